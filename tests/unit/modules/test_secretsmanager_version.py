"""Two steps of a new password: pending, then current."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from plugins.modules import secretsmanager_version

NAME = "/vahanhelp/prod/database"
TAGS = {"vahana:app": "vahanhelp", "vahana:env": "prod"}
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def step(run_module: Run) -> Run:
    def run(state: str, check: bool = False, **arguments: Any) -> dict[str, Any]:
        return run_module(secretsmanager_version, check, name=NAME, state=state, **arguments)

    return run


@pytest.fixture
def old() -> dict[str, str]:
    made = {"username": "vahanhelp", "password": "first", "mine": "x"}
    boto3.client("secretsmanager").create_secret(Name=NAME, SecretString=json.dumps(made))
    return made


def value(stage: str = "AWSCURRENT") -> dict[str, str]:
    client = boto3.client("secretsmanager")
    found: dict[str, str] = json.loads(client.get_secret_value(SecretId=NAME, VersionStage=stage)["SecretString"])
    return found


def labels() -> list[list[str]]:
    described = boto3.client("secretsmanager").describe_secret(SecretId=NAME)
    return sorted(sorted(found) for found in described["VersionIdsToStages"].values() if found)


def test_a_pending_password_is_not_in_force_yet(step: Run, old: dict[str, str]) -> None:
    result = step("pending", values={"username": "vahanhelp_a"})
    assert result["changed"] and value() == old and result["secret"]["stage"] == "AWSPENDING"
    new = value("AWSPENDING")
    assert new == {**old, "username": "vahanhelp_a", "password": new["password"]}
    assert len(new["password"]) == 32 and new["password"] not in json.dumps(result)


def test_the_second_step_puts_it_into_force_once(step: Run, old: dict[str, str]) -> None:
    step("pending")
    new = value("AWSPENDING")
    assert step("current")["changed"] and value() == new and value("AWSPREVIOUS") == old
    assert labels() == [["AWSCURRENT"], ["AWSPREVIOUS"]]
    assert not step("current")["changed"] and value() == new


def test_a_rotation_that_broke_off_begins_anew(step: Run, old: dict[str, str]) -> None:
    step("pending")
    given_up = value("AWSPENDING")
    step("pending")
    assert value() == old and value("AWSPENDING") != given_up
    step("current")
    assert value() not in (old, given_up)


def test_what_may_be_known_already_is_gone_on_with(step: Run, old: dict[str, str]) -> None:
    step("pending")
    told = value("AWSPENDING")
    assert step("pending", resume=True)["secret"]["stage"] == "AWSPENDING" and value("AWSPENDING") == told
    step("current")
    assert value() == told
    step("pending", resume=True)
    assert value() == told and value("AWSPENDING") not in (old, told)


def test_of_several_the_new_one_is_known_before_it_leads(step: Run, old: dict[str, str]) -> None:
    def renew(several: str) -> list[str]:
        step("pending", several=several)
        step("current")
        assert value()["mine"] == "x"
        return value()["password"].split(",")

    assert renew("add")[0] == old["password"]
    second, first = renew("lead")
    assert first == old["password"] and len(second) == 32
    # One that broke off between the two forgets nothing that somebody may have signed with.
    assert renew("add")[:2] == renew("add")[:2] == [second, first]
    third = renew("lead")[0]
    assert renew("add")[:2] == [third, second], "two former ones stay"


def test_the_first_version_is_in_force_at_once(step: Run) -> None:
    assert step("pending", values={"username": "vahanhelp_a"}, tags=TAGS)["secret"]["stage"] == "AWSCURRENT"
    assert value()["username"] == "vahanhelp_a"
    described = boto3.client("secretsmanager").describe_secret(SecretId=NAME)
    assert {tag["Key"]: tag["Value"] for tag in described["Tags"]} == TAGS
    assert not step("current")["changed"]


def test_the_password_before_can_be_kept_under_another_key(step: Run, old: dict[str, str]) -> None:
    step("pending", previous_key="former")
    assert value("AWSPENDING")["former"] == old["password"]


def test_check_mode_writes_nothing(step: Run, old: dict[str, str]) -> None:
    assert step("pending", check=True)["changed"] and labels() == [["AWSCURRENT"]]
    step("pending")
    before = labels()
    assert step("current", check=True)["changed"] and labels() == before and value() == old


def test_a_secret_that_is_to_be_deleted_is_taken_back(step: Run, old: dict[str, str]) -> None:
    boto3.client("secretsmanager").delete_secret(SecretId=NAME, RecoveryWindowInDays=7)
    step("pending")
    assert value() == old and value("AWSPENDING")["password"] != old["password"]


def test_what_is_no_json_is_refused_without_being_shown(step: Run) -> None:
    boto3.client("secretsmanager").create_secret(Name=NAME, SecretString="hunter2")
    result = step("pending")
    assert result["failed"] and "does not hold a JSON map" in result["msg"] and "hunter2" not in json.dumps(result)


def test_nothing_to_put_into_force_is_an_error(step: Run) -> None:
    assert "there is no secret" in step("current")["msg"]


def test_a_new_password_comes_under_the_key(step: Run, old: dict[str, str]) -> None:
    def key(name: str) -> str:
        return str(boto3.client("secretsmanager").describe_secret(SecretId=name).get("KmsKeyId", ""))

    wanted = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    assert step("pending", check=True, kms_key_id=wanted)["changed"] and not key(NAME)
    step("pending", kms_key_id=wanted)
    assert key(NAME) == wanted and value() == old
    step("pending")
    assert key(NAME) == wanted


def test_a_secret_is_made_under_the_key(run_module: Run) -> None:
    wanted = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    run_module(secretsmanager_version, name=NAME, state="pending", kms_key_id=wanted)
    assert boto3.client("secretsmanager").describe_secret(SecretId=NAME)["KmsKeyId"] == wanted
