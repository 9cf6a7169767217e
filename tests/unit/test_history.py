"""The history: what is kept, in which order it is read, and how it reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from plugins.module_utils.history import before_last, given, last_deployment, moment, read_entries, table, write_entry

BUCKET = "vahanhelp-prod-releases-123456789012"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "0-no-secret-0")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield client


def entry(time: str, **more: Any) -> dict[str, Any]:
    return {"id": "0123456789abcdef", "time": time, "who": "alice@laptop", "verb": "deploy", **more}


def test_newest_are_read_oldest_first(s3: Any) -> None:
    for hour in (3, 1, 2):
        write_entry(s3, BUCKET, entry(f"2026-11-22T0{hour}:00:00+00:00"))
    assert [item["time"][11:13] for item in read_entries(s3, BUCKET, None, 10)] == ["01", "02", "03"]
    assert [item["time"][11:13] for item in read_entries(s3, BUCKET, None, 2)] == ["02", "03"]
    assert [item["time"][11:13] for item in read_entries(s3, BUCKET, datetime(2026, 11, 22, 2, tzinfo=UTC), 9)] == [
        "02",
        "03",
    ]


def test_two_at_the_same_second_are_both_kept(s3: Any) -> None:
    write_entry(s3, BUCKET, entry("2026-11-22T01:00:00+00:00"))
    write_entry(s3, BUCKET, {**entry("2026-11-22T01:00:00+00:00"), "id": "fedcba9876543210"})
    assert len(read_entries(s3, BUCKET, None, 10)) == 2


def test_the_last_deployment_is_found_behind_any_number_of_other_runs(s3: Any) -> None:
    assert last_deployment(s3, BUCKET) is None
    moved = {"from": "1", "to": "2", "result": "ok"}
    write_entry(s3, BUCKET, entry("2026-11-20T08:00:00+00:00", **{**moved, "from": ""}, verb="site"))
    assert (last_deployment(s3, BUCKET) or {})["verb"] == "site"
    write_entry(s3, BUCKET, entry("2026-11-20T09:00:00+00:00", **moved))
    write_entry(s3, BUCKET, entry("2026-11-20T10:00:00+00:00", **{**moved, "result": "failed"}))
    write_entry(s3, BUCKET, entry("2026-11-20T11:00:00+00:00", **{**moved, "from": "2"}, verb="site"))
    for minute in range(40):
        write_entry(s3, BUCKET, entry(f"2026-11-21T08:{minute:02}:00+00:00", **moved, verb="scale"))
    assert (last_deployment(s3, BUCKET) or {})["time"] == "2026-11-20T09:00:00+00:00"
    write_entry(s3, BUCKET, entry("2026-11-22T08:00:00+00:00", **moved, verb="rollback"))
    s3.meta.events.register("before-call.s3.GetObject", lambda **_: read.append(1))
    read: list[int] = []
    assert (last_deployment(s3, BUCKET) or {})["verb"] == "rollback"
    assert len(read) <= 8, "what is recent costs no more than one round"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", datetime(2026, 11, 22, 10, 30, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 15, 12, tzinfo=UTC)),
        ("2026-11-22T09:00", datetime(2026, 11, 22, 9, tzinfo=UTC)),
        ("2026-11-22T09:00+02:00", datetime(2026, 11, 22, 7, tzinfo=UTC)),
    ],
)
def test_moments(text: str, expected: datetime) -> None:
    assert moment(text, NOON) == expected


def test_secrets_given_on_the_command_line_are_not_kept() -> None:
    variables = {"release": "2", "app_secret": "x", "database_password": "y", "unknown": "z"}
    assert given(variables, ["release", "app_secret", "database_password"]) == {"release": "2"}


def test_table() -> None:
    lines = table(
        [
            entry("2026-11-22T01:00:00+00:00", **{"from": "1", "to": "2"}, result="ok", seconds=61.4, changed=3),
            entry("2026-11-22T02:00:00+00:00", **{"from": "2", "to": "2"}, result="failed", error="x" * 100),
            entry("2026-11-22T03:00:00+00:00", **{"from": "2", "to": "2"}, result="failed", attempted="3", error="ill"),
        ]
    )
    assert lines[0].split() == ["when", "who", "verb", "from", "→", "to", "result", "took", "changed", "what"]
    assert lines[1].split() == ["2026-11-22T01:00:00Z", "alice@laptop", "deploy", "1", "→", "2", "ok", "61", "s", "3"]
    assert lines[2].endswith("x" * 59 + "…")
    assert lines[3].endswith("attempted=3 ill")


@pytest.mark.parametrize(
    ("approved", "expected"),
    [([], ""), (["1"], ""), (["1", "2"], "1"), (["1", "2", "2"], "1"), (["1", "2", "1"], "2"), (["1", "2", "3"], "2")],
)
def test_the_release_before(approved: list[str], expected: str) -> None:
    assert before_last(approved) == expected
