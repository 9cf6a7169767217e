"""Waiting for a database, with a word now and then."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.rds.models import rds_backends

from plugins.action import rds_instance_wait
from plugins.module_utils import aws_wait

NAME = "vahanhelp-prod"


class Clock:
    """Time that passes only while somebody sleeps; each sleep moves the database on to its next status."""

    def __init__(self, statuses: list[str]) -> None:
        """Take the statuses that follow the present one; the last one stays."""
        self.now = 0.0
        self.statuses = statuses

    def monotonic(self) -> float:
        """Return the seconds passed."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        if self.statuses:
            set_status(self.statuses.pop(0))


def set_status(status: str) -> None:
    databases = rds_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].databases
    if status == "absent":
        del databases[NAME]
    else:
        databases[NAME].status = status


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(aws_wait.display, "display", lines.append)
    return lines


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> Callable[..., dict[str, Any]]:
    def run(statuses: list[str], check: bool = False, **arguments: Any) -> dict[str, Any]:
        monkeypatch.setattr(aws_wait, "time", Clock(statuses))
        task = SimpleNamespace(
            args={"db_instance_identifier": NAME, **arguments},
            check_mode=check,
            async_val=0,
            action="rds_instance_wait",
        )
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
        action = rds_instance_wait.ActionModule(task, connection, None, None, None, None)
        result: dict[str, Any] = action.run(task_vars={})
        return result

    return run


@pytest.fixture
def database() -> None:
    boto3.client("rds").create_db_instance(
        DBInstanceIdentifier=NAME, DBInstanceClass="db.t3.micro", Engine="postgres", AllocatedStorage=20
    )


@pytest.mark.usefixtures("database")
def test_waits_until_available_and_tells_how_long_it_takes(
    wait: Callable[..., dict[str, Any]], said: list[str]
) -> None:
    set_status("creating")
    result = wait(["creating"] * 14 + ["backing-up"] * 2 + ["available"])
    assert not result["changed"] and result["waited_seconds"] == 85
    assert result["instance"]["db_instance_status"] == "available" and result["instance"]["endpoint"]["address"]
    assert said == [
        f"database {NAME}: creating (0 s; usually 8 to 15 min)",
        f"database {NAME}: creating (30 s; usually 8 to 15 min)",
        f"database {NAME}: creating (1 min 00 s; usually 8 to 15 min)",
        f"database {NAME}: backing-up (1 min 15 s; usually 2 to 4 min)",
    ]


@pytest.mark.usefixtures("database")
def test_says_nothing_when_there_is_nothing_to_wait_for(wait: Callable[..., dict[str, Any]], said: list[str]) -> None:
    assert wait([])["waited_seconds"] == 0 and said == []


@pytest.mark.usefixtures("database")
def test_one_whose_storage_is_optimized_is_available(wait: Callable[..., dict[str, Any]]) -> None:
    set_status("modifying")
    result = wait(["modifying", "storage-optimization"])
    assert result["waited_seconds"] == 10 and result["instance"]["db_instance_status"] == "storage-optimization"


DONE: dict[str, Any] = {"DBInstanceStatus": "available"}
PASSWORD = {**DONE, "PendingModifiedValues": {"MasterUserPassword": "****"}}
FOLLOWS = {**DONE, "ReadReplicaSourceDBInstanceIdentifier": "other", "StatusInfos": [{"Status": "replicating"}]}
ENDING = {**DONE, "StatusInfos": [{"Status": "terminated"}]}


@pytest.mark.parametrize(
    ("wanted", "instance", "unfinished"),
    [
        ("available", DONE, ""),
        ("available", {**DONE, "PendingModifiedValues": {"DBInstanceClass": "db.t3.small"}}, ""),
        ("available", PASSWORD, "its new password is not in force yet"),
        ("available", FOLLOWS, ""),
        ("promoted", FOLLOWS, "it follows other"),
        ("promoted", ENDING, "its replication is terminated"),
        ("promoted", PASSWORD, "its new password is not in force yet"),
        ("promoted", {**DONE, "StatusInfos": []}, ""),
        ("promoted", {"DBInstanceStatus": "modifying"}, ""),
    ],
)
def test_available_from_before_the_change_is_not_the_end(
    monkeypatch: pytest.MonkeyPatch, wanted: str, instance: dict[str, Any], unfinished: str
) -> None:
    monkeypatch.setattr(rds_instance_wait, "_describe", lambda _client, _name: instance)
    found = rds_instance_wait._look(None, NAME, wanted)
    status = instance["DBInstanceStatus"]
    assert found.text == f"database {NAME}: {status}{', ' * bool(unfinished)}{unfinished}"
    assert found.done == (status == "available" and not unfinished) and not found.obstacle


def test_what_was_to_be_promoted_must_be_there(wait: Callable[..., dict[str, Any]]) -> None:
    assert "absent; create it" in wait([], state="promoted")["msg"]


@pytest.mark.usefixtures("database")
def test_waits_until_gone(wait: Callable[..., dict[str, Any]]) -> None:
    set_status("deleting")
    assert wait(["deleting", "absent"], state="absent")["instance"] == {}


def test_gone_is_what_never_was(wait: Callable[..., dict[str, Any]]) -> None:
    assert wait([], state="absent")["waited_seconds"] == 0


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("status", ["failed", "incompatible-network", "stopped"])
def test_gives_up_on_a_status_that_stays(wait: Callable[..., dict[str, Any]], status: str) -> None:
    set_status("creating")
    given_up = wait([status])
    assert given_up["failed"] and f"database {NAME}: {status}; " in given_up["msg"]
    assert f"aws rds describe-events --source-type db-instance --source-identifier {NAME}" in given_up["msg"]


@pytest.mark.usefixtures("database")
def test_gives_up_in_the_end(wait: Callable[..., dict[str, Any]]) -> None:
    set_status("creating")
    given_up = wait([], timeout=600)
    assert given_up["failed"]
    assert (
        given_up["msg"]
        == f"database {NAME}: creating, not done after 10 min 00 s; run the same command again to go on waiting"
    )


def test_there_must_be_something_to_wait_for(wait: Callable[..., dict[str, Any]]) -> None:
    missing = wait([])
    assert missing["failed"] and missing["msg"] == f"database {NAME}: absent; create it: ansible-playbook site.yml"


def test_check_mode_waits_for_nothing(wait: Callable[..., dict[str, Any]]) -> None:
    assert wait([], check=True) == {"changed": False, "waited_seconds": 0, "instance": {}}
