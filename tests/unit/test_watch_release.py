"""Looking on at a version of a function: what is well, and each way in which it is not."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from lab.moto_patches import awslambda
from plugins.action import watch_release
from plugins.action.watch_release import Watcher, event_of

Answer = tuple[bytes, str, str]


def answer(status: int = 200, version: str = "2.0.0") -> Answer:
    return json.dumps({"statusCode": status, "body": json.dumps({"version": version})}).encode(), "", ""


@pytest.fixture
def clients(credentials: None) -> Iterator[dict[str, Any]]:
    awslambda.apply()
    with mock_aws():
        made: dict[str, Any] = {name: boto3.client(name) for name in ("lambda", "cloudwatch", "iam")}
        role = made["iam"].create_role(RoleName="api", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as packed:
            packed.writestr("api.js", "")
        made["lambda"].create_function(
            FunctionName="cars-prod-api",
            Runtime="nodejs24.x",
            Role=role,
            Handler="api.handler",
            Code={"ZipFile": code.getvalue()},
            Publish=True,
        )
        yield made
    awslambda.follow(None)


@pytest.fixture
def watch(clients: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Watch the version for a moment, which answers as it is told."""

    def run(answers: Answer, **arguments: Any) -> dict[str, Any]:
        asked: list[dict[str, Any]] = []

        def runner(_function: Any, event: bytes, _alias: str = "") -> Answer:
            asked.append(json.loads(event))
            return answers

        awslambda.follow(runner)
        given = {
            "function": "cars-prod-api",
            "alias": "live",
            "version": "1",
            "release": "2.0.0",
            "path": "/api/health",
            "alarms": [],
            "seconds": 0,
            "interval": 0.01,
            **arguments,
        }
        found = Watcher(clients, given).watch()
        assert asked
        assert {event["rawPath"] for event in asked} == {"/api/health"}
        return found

    return run


def test_a_version_that_is_well(watch: Callable[..., dict[str, Any]]) -> None:
    assert watch(answer()) == {"succeeded": True, "reason": "", "log": [], "requests": 0}


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (answer(503), "it answers /api/health with 503"),
        (answer(version="1.0.0"), "/api/health of it says that it is 1.0.0"),
        ((b'"nonsense"', "", ""), "it answers /api/health with None"),
        (
            (json.dumps({"errorType": "TypeError", "errorMessage": "x is null"}).encode(), "Unhandled", ""),
            "it fails: TypeError: x is null",
        ),
    ],
)
def test_a_version_that_answers_badly(watch: Callable[..., dict[str, Any]], answers: Answer, reason: str) -> None:
    found = watch(answers)
    assert (found["succeeded"], found["reason"]) == (False, reason)


def test_its_last_log_lines_are_shown(watch: Callable[..., dict[str, Any]]) -> None:
    body, error, _log = answer(500)
    found = watch((body, error, "one\ntwo"))
    assert found["log"] == ["one", "two"]


def count(clients: dict[str, Any], metric: str, number: float, version: str = "1") -> None:
    names = {"FunctionName": "cars-prod-api", "Resource": "cars-prod-api:live", "ExecutedVersion": version}
    clients["cloudwatch"].put_metric_data(
        Namespace="AWS/Lambda",
        MetricData=[
            {
                "MetricName": metric,
                "Dimensions": [{"Name": name, "Value": value} for name, value in names.items()],
                "Timestamp": datetime.now(UTC),
                "Value": number,
            }
        ],
    )


def test_errors_of_visitors_count_for_this_version_alone(
    watch: Callable[..., dict[str, Any]], clients: dict[str, Any]
) -> None:
    count(clients, "Invocations", 40)
    count(clients, "Errors", 3, version="7")
    found = watch(answer())
    assert (found["succeeded"], found["requests"]) == (True, 40)
    count(clients, "Errors", 3)
    assert watch(answer())["reason"] == "3 of 40 requests of visitors ended in an error"


def test_an_alarm_counts_when_it_goes_off_meanwhile(
    watch: Callable[..., dict[str, Any]], clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cars-prod-api-errors", "cars-prod-queue-age"):
        clients["cloudwatch"].put_metric_alarm(
            AlarmName=name,
            Namespace="AWS/ApiGateway",
            MetricName="5xx",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
        )
    names = ["cars-prod-api-errors", "cars-prod-queue-age"]

    def alarm(name: str) -> None:
        clients["cloudwatch"].set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="it is so")

    alarm("cars-prod-queue-age")
    assert watch(answer(), alarms=names)["succeeded"]
    health = Watcher._health

    def and_then_it_goes_off(watcher: Watcher) -> str:
        alarm("cars-prod-api-errors")
        return health(watcher)

    monkeypatch.setattr(Watcher, "_health", and_then_it_goes_off)
    assert watch(answer(), alarms=names)["reason"] == "the alarm cars-prod-api-errors has gone off"


def test_the_question_is_as_api_gateway_asks_it() -> None:
    event = event_of("/api/health")
    assert (event["version"], event["rawPath"], event["requestContext"]["http"]["method"]) == (
        "2.0",
        "/api/health",
        "GET",
    )


def test_it_asks_the_region_it_is_told(credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    regions = {}

    class Noted(Watcher):
        def __init__(self, clients: dict[str, Any], arguments: dict[str, Any]) -> None:
            regions.update({name: client.meta.region_name for name, client in clients.items()})
            super().__init__(clients, arguments)

        def watch(self) -> dict[str, Any]:
            return {"succeeded": True}

    monkeypatch.setattr(watch_release, "Watcher", Noted)
    action = watch_release.ActionModule.__new__(watch_release.ActionModule)
    assert action.ask({"region": "eu-west-1"}, {}) == {"succeeded": True}
    assert regions == {"lambda": "eu-west-1", "cloudwatch": "eu-west-1"}
