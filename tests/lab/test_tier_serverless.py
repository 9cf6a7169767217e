"""The serverless tier from nothing to nothing: releases that nobody notices, and releases that do not stay."""

from __future__ import annotations

import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import ROOT, playbook, run, wait_for
from tests.lab.load import items, load
from tests.lab.visitor import CAR, URL, call

pytestmark = pytest.mark.long

TIER = ("-e", "tier=serverless")
NAME = "vahanhelp-prod"
BUCKET = f"{NAME}-releases-123456789012"
LEAST_REQUESTS = 20_000
ROUNDS = 3
SECONDS_AFTER = 2.0
#: Percent of the requests that a release may spoil before it is taken back: it gets a tenth of them.
MOST_FAILED = 10
#: Here a policy counts at once, so functions learn of another table by being refused the one that they know.
AT_ONCE = ("-e", "api_move_read_seconds=0", "-e", "api_move_permission_seconds=0")
HANDLER = "export async function handler(event, context) {\n"
#: Releases that are broken: what their function does first.
BROKEN = {
    "ill": "  if (event.rawPath === '/api/health') return { statusCode: 500, body: 'ill' };\n",
    "fails": "  if (event.requestContext.http.method === 'POST') throw new Error('out of cheese');\n",
}

Aws = Callable[[str], Any]


@pytest.fixture(scope="module")
def serverless(lab: None) -> Iterator[None]:
    playbook("site.yml", *TIER, "-e", "release=good", "-e", "release_build_named=true")
    yield
    gone = playbook("playbooks/destroy.yml", "-e", f"confirm={NAME}")
    assert f"{NAME}: nothing is left" in gone.output


def shares(aws: Aws) -> tuple[str, dict[str, float]]:
    """Release behind the alias, and the weights of others."""
    alias = aws("lambda").get_alias(FunctionName=f"{NAME}-api", Name="live")
    version = aws("lambda").get_function_configuration(FunctionName=f"{NAME}-api", Qualifier=alias["FunctionVersion"])
    return version["Description"], (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}


@pytest.mark.usefixtures("serverless")
def test_it_serves_and_workers_are_told(aws: Aws) -> None:
    assert call("GET", "/api/health") == {"status": "ok", "version": "good"}
    made = call("POST", "/api/listings", CAR)
    assert call("GET", f"/api/listings/{made['id']}") == made
    wait_for(lambda: [each["id"] for each in call("GET", "/api/listings?make=Mahindra")["items"]] == [made["id"]])

    def told() -> set[str]:
        found = aws("s3").list_objects_v2(Bucket=BUCKET, Prefix="worker/").get("Contents", [])
        return {each["Key"].split("/")[1] for each in found}

    wait_for(lambda: told() == {"email", "notifications", "analytics"})
    with urllib.request.urlopen(URL, timeout=15) as page:
        assert b"<html" in page.read()


@pytest.mark.usefixtures("serverless")
def test_a_second_run_changes_nothing() -> None:
    again = playbook("site.yml", *TIER, "-e", "release=good")
    assert again.recap()["changed"] == 0
    every = playbook("site.yml", *TIER, "-e", "release=good", "-e", "full=true")
    assert every.recap()["changed"] == 0
    assert playbook("playbooks/plan.yml", *TIER, "-e", "release=good", check=False).code == 0
    settled = playbook("site.yml", *TIER, "-e", "release=good")
    assert "Nothing to do" in settled.output


@pytest.mark.usefixtures("serverless")
@pytest.mark.parametrize("turn", range(1, ROUNDS + 1))
def test_nobody_notices_a_release_nor_the_way_back(aws: Aws, turn: int) -> None:
    # Each write sets three workers going, on the two cores that the lab has itself.
    with load(f"serverless/unnoticed-{turn}", slower=0.5, seldom=8) as seen:
        playbook("playbooks/deploy.yml", "-e", f"release=next-{turn}", "-e", "release_build_named=true")
        assert shares(aws) == (f"next-{turn}", {})
        playbook("playbooks/rollback.yml")
        assert shares(aws) == ("good", {})
        wait_for(lambda: seen.so_far >= LEAST_REQUESTS, 600)
        time.sleep(SECONDS_AFTER)
    seen.assert_unnoticed(LEAST_REQUESTS)
    assert seen.acknowledged() - items(aws("dynamodb")) == set()


@pytest.mark.usefixtures("serverless")
@pytest.mark.parametrize("fault", BROKEN)
def test_a_release_that_fails_does_not_stay(aws: Aws, tmp_path: Path, fault: str) -> None:
    for folder in ("backend", "functions"):
        ignored = shutil.ignore_patterns("node_modules", "dist")
        shutil.copytree(ROOT / "examples" / folder, tmp_path / folder, ignore=ignored)
    file = tmp_path / "functions/src/api.js"
    text = file.read_text()
    assert HANDLER in text
    file.write_text(text.replace(HANDLER, HANDLER + BROKEN[fault]))
    sources = [f"release_{folder}_source={tmp_path / folder}" for folder in ("backend", "functions")]
    with load(f"serverless/{fault}") as seen:
        given = [part for source in sources for part in ("-e", source)]
        failed = playbook(
            "playbooks/deploy.yml", "-e", f"release={fault}", "-e", "release_build_named=true", *given, check=False
        )
        time.sleep(SECONDS_AFTER)
    assert failed.code != 0
    told = {"ill": "it answers /api/health with 500", "fails": "requests of visitors ended in an error"}[fault]
    assert told in failed.output
    assert "good answers as before" in failed.output
    assert shares(aws) == ("good", {})
    assert aws("ssm").get_parameter(Name="/vahanhelp/prod/release")["Parameter"]["Value"] == "good"
    if fault == "ill":
        assert seen.failures() == []
    else:
        assert 0 < len(seen.failures()) < seen.requests * MOST_FAILED / 100
    assert seen.acknowledged() - items(aws("dynamodb")) == set()


@pytest.mark.usefixtures("serverless")
def test_the_table_is_brought_back_and_no_request_fails(aws: Aws) -> None:
    made = call("POST", "/api/listings", CAR)
    playbook("playbooks/backup.yml", "-e", "backup_table_margin=5")
    after = call("POST", "/api/listings", CAR)
    with load("serverless/restore", slower=0.5) as seen:
        restored = playbook("playbooks/restore.yml", *AT_ONCE)
        time.sleep(SECONDS_AFTER)
    table = aws("ssm").get_parameter(Name="/vahanhelp/prod/api/table")["Parameter"]["Value"]
    assert table.startswith(f"{NAME}-restored-") and f"in use: {table}" in restored.output
    assert call("GET", f"/api/listings/{made['id']}") == made
    keys = {item["pk"]["S"] for item in aws("dynamodb").scan(TableName=NAME)["Items"]}
    assert f"LISTING#{after['id']}" in keys
    assert f"in {NAME} alone, written or deleted since then: LISTING:" in restored.output
    assert seen.failures() == []
    fresh = call("POST", "/api/listings", CAR)
    found = aws("dynamodb").get_item(
        TableName=table, Key={"pk": {"S": f"LISTING#{fresh['id']}"}, "sk": {"S": "LISTING"}}
    )
    assert found["Item"]["id"]["S"] == fresh["id"]
    assert playbook("playbooks/plan.yml", *TIER, "-e", "release=good", check=False).code == 0


@pytest.mark.usefixtures("serverless")
def test_searches_come_from_a_cache_and_nobody_misses_it(aws: Aws) -> None:
    table = aws("ssm").get_parameter(Name="/vahanhelp/prod/api/table")["Parameter"]["Value"]
    made = call("POST", "/api/listings", {**CAR, "make": "Cached"})
    # What was just written is not kept yet.
    time.sleep(3)

    def found() -> list[str]:
        return [each["id"] for each in call("GET", "/api/listings?make=Cached")["items"]]

    assert found() == [made["id"]]
    key = {"pk": {"S": f"LISTING#{made['id']}"}, "sk": {"S": "LISTING"}}
    # Behind the application's back: it is still found, in the cache.
    aws("dynamodb").delete_item(TableName=table, Key=key)
    assert found() == [made["id"]]
    # A write ends that at once.
    other = call("POST", "/api/listings", {**CAR, "make": "Cached"})
    assert found() == [other["id"]]
    with load("serverless/cache-lost", slower=0.5) as seen:
        time.sleep(5)
        run("lab", "fault", "cache", f"{NAME}-001", "--for", "20")
        assert found() == [other["id"]]
        time.sleep(40)
    seen.assert_unnoticed(500)
