"""The state of an environment as a person reads it."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plugins.module_utils.discovery import EMPTY
from plugins.module_utils.summary import age, summary

NOW = datetime.now(UTC)
GIB = 1 << 30


def stack(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = copy.deepcopy(EMPTY)
    made.update(account_id="123456789012", region="us-east-1", tier="basic", release="2.0.0")
    made["resources"] = [{"arn": "a", "service": "s3", "type": "bucket", "id": "b", "layer": "storage"}]
    made["load_balancer"]["target_group_arn"] = "arn:tg"
    made["compute"]["instances"] = [
        {
            "id": f"i-{number}",
            "type": "t3.micro",
            "state": "running",
            "availability_zone": "us-east-1a",
            "private_address": f"10.0.0.{number}",
            "health": "healthy",
            "launched": (NOW - timedelta(hours=3)).isoformat(),
        }
        for number in (1, 2)
    ]
    for path, value in changes.items():
        layer, _dots, key = path.partition("__")
        made[layer][key] = value
    return made


def lines(found: dict[str, Any], **seen: Any) -> list[str]:
    return summary(found, "cars-prod", "http://x", {}, "us-east-1", 8, seen)


HOST = {
    "release": "2.0.0",
    "cpu_percent": 12,
    "memory": {"total": 4 * GIB, "used": GIB},
    "health": {"status": 200},
}


def test_a_table_of_the_instances() -> None:
    text = lines(stack(), hosts={"i-1": HOST, "i-2": {"error": "Connection timed out"}})
    [head] = [number for number, line in enumerate(text) if line.startswith("  instances")]
    assert [" ".join(line.split()) for line in text[head : head + 4]] == [
        "instances instance type zone address health age release CPU memory",
        "i-1 t3.micro us-east-1a 10.0.0.1 healthy 3 h 2.0.0 12 % 25 %",
        "i-2 t3.micro us-east-1a 10.0.0.2 healthy 3 h - - -",
        "i-2 does not say how it is: Connection timed out",
    ]


def test_nobody_is_asked_at_the_end_of_a_run() -> None:
    text = lines(stack())
    assert not any(word in "\n".join(text) for word in ("CPU", "lock", "deployed"))
    assert any("i-1" in line for line in text)


@pytest.mark.parametrize(
    ("host", "word"),
    [({}, "running"), ({"health": {"status": 503}}, "answers 503"), ({"health": {"status": 0}}, "no answer")],
)
def test_without_a_load_balancer_the_host_says_whether_it_is_healthy(host: dict[str, Any], word: str) -> None:
    found = stack(load_balancer__target_group_arn="")
    assert any("i-1" in line and f"  {word}  " in line for line in lines(found, hosts={"i-1": host}))


def test_who_has_it_and_what_was_deployed() -> None:
    deployed = {"time": "2026-11-20T08:00:00+00:00", "who": "ann@a", "verb": "deploy", "from": "1.0.0", "to": "2.0.0"}
    text = lines(stack(), lock="bob@b holds the lock since noon", deployment=deployed)
    assert "  deployed    2026-11-20T08:00:00Z by ann@a: deploy 1.0.0 → 2.0.0" in text
    assert "  lock        bob@b holds the lock since noon" in text


def test_alarms() -> None:
    # Of now, not of when this file was read.
    since = (datetime.now(UTC) - timedelta(minutes=5, seconds=20)).isoformat()
    alarm = {"name": "cars-prod-cpu", "since": since, "reason": "above 80"}
    loud = lines(stack(monitoring__alarm_names=["cars-prod-cpu", "x"], monitoring__alarms=[alarm]))
    assert "  alarms      cars-prod-cpu for 5 min: above 80" in loud
    assert "  alarms      none of 1 has gone off" in lines(stack(monitoring__alarm_names=["x"]))
    assert not any("alarms" in line for line in lines(stack()))


def test_maintenance() -> None:
    found = stack(
        maintenance__on=True, maintenance__since="2026-11-22T12:00:00+00:00", maintenance__message="Back at six"
    )
    assert any(
        line.startswith("  maintenance on since 2026-11-22T12:00:00+00:00: Back at six (ends with")
        for line in lines(found)
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h"), (200_000, "2 d"), (-5, "0 s")]
)
def test_age(seconds: int, text: str) -> None:
    assert age((NOW - timedelta(seconds=seconds)).isoformat(), NOW) == text


def test_an_age_that_is_not_known() -> None:
    assert age("") == "-"


def test_a_database_of_its_own_and_one_that_follows() -> None:
    size = {"engine_version": "17", "instance_class": "db.t3.small", "allocated_storage": 100, "status": "available"}
    own = {**EMPTY["database"], **size, "identifier": "cars-prod", "multi_az": True}
    text = [" ".join(line.split()) for line in lines({**stack(), "database": own})]
    assert "database cars-prod PostgreSQL 17 db.t3.small with a standby, 100 GB, available" in text

    source = "arn:aws:rds:eu-west-1:1:db:cars-prod-eu-west-1"
    following = {
        **own,
        "identifier": "cars-prod-standby-1",
        "source_arn": source,
        "kept": [own],
    }
    text = [" ".join(line.split()) for line in lines({**stack(), "database": following})]
    follows = "follows cars-prod-eu-west-1 in eu-west-1, 100 GB, available"
    assert f"database cars-prod-standby-1 PostgreSQL 17 db.t3.small {follows}" in text
    assert "cars-prod was replaced and is kept, and charged for" in text


def test_messages_that_wait() -> None:
    text = lines(stack(queue__messages={"email": 0, "email-dlq": 0}))
    assert "  queues      none of 2 has messages" in text
    text = lines(stack(queue__messages={"email": 3, "email-dlq": 0, "analytics-dlq": 1}))
    assert "  queues      messages wait: email 3, analytics-dlq 1" in text
    assert not any("queues" in line for line in lines(stack()))


def test_services_with_their_versions_and_deployments() -> None:
    service = {"name": "auth", "version": "1.0.0-abc", "running": 2, "desired": 2, "deployment": "COMPLETED"}
    other = {**service, "name": "insurance", "running": 1, "deployment": "IN_PROGRESS"}
    found = stack(
        compute__instances=[], containers__services=[{**each, "cpu": "", "memory": ""} for each in (service, other)]
    )
    text = [" ".join(line.split()) for line in lines(found)]
    assert "services auth 1.0.0-abc 2 of 2 tasks" in text
    assert "insurance 1.0.0-abc 1 of 2 tasks, deployment IN_PROGRESS" in text
    assert not [line for line in text if line.startswith("instances")]


def test_where_functions_answer_there_are_no_instances() -> None:
    found = stack(
        compute__instances=[],
        api__function_names=["cars-prod-api", "cars-prod-sweep"],
        api__releases={"1.0.0": 90, "2.0.0": 10},
    )
    text = [" ".join(line.split()) for line in lines(found)]
    assert "functions cars-prod-api, cars-prod-sweep" in text
    assert "requests 90 % 1.0.0, 10 % 2.0.0" in text
    assert not [line for line in text if line.startswith("instances")]
