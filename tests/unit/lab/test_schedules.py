"""EventBridge's rules on the lab: functions that are asked at fixed times."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.moto_patches import awslambda
from lab.reconcilers import schedules
from lab.reconcilers.schedules import Schedules, seconds_of
from tests.unit.lab.test_http_apis import archive

Client = Callable[[str], Any]
RULE = "arn:aws:events:us-east-1:123456789012:rule/sweep"


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("rate(1 minute)", 60),
        ("rate(5 minutes)", 300),
        ("rate(2 hours)", 7200),
        ("cron(0 3 * * ? *)", None),
        ("", None),
    ],
)
def test_how_often_a_rate_is(expression: str, seconds: int | None) -> None:
    assert seconds_of(expression) == seconds


@pytest.fixture
def asked() -> Iterator[list[tuple[str, Any]]]:
    """What the functions were asked, by the alias that was."""
    found: list[tuple[str, Any]] = []

    def run(_function: Any, event: bytes, alias: str = "") -> tuple[bytes, str, str]:
        found.append((alias, json.loads(event)))
        return b"null", "", ""

    awslambda.follow(run)
    yield found
    awslambda.follow(None)


@pytest.fixture
def function(client: Client) -> str:
    """A function with an alias that EventBridge may ask, and a rule."""
    role = client("iam").create_role(RoleName="sweep", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    client("lambda").create_function(
        FunctionName="sweep",
        Runtime="nodejs24.x",
        Role=role,
        Handler="index.handler",
        Code={"ZipFile": archive("1")},
        Publish=True,
    )
    client("lambda").create_alias(FunctionName="sweep", Name="live", FunctionVersion="1")
    client("events").put_rule(Name="sweep", ScheduleExpression="rate(1 minute)")
    arn = "arn:aws:lambda:us-east-1:123456789012:function:sweep:live"
    client("events").put_targets(Rule="sweep", Targets=[{"Id": "function", "Arn": arn}])
    return arn


def permit(client: Client) -> None:
    client("lambda").add_permission(
        FunctionName="sweep",
        Qualifier="live",
        StatementId="schedule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=RULE,
    )


def test_it_is_asked_when_its_time_has_come(
    client: Client, function: str, asked: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    permit(client)
    now = 1000.0
    monkeypatch.setattr(schedules.time, "monotonic", lambda: now)
    works = Schedules()
    monkeypatch.setattr(schedules.threading, "Thread", _Now)
    for now, times in ((1000, 0), (1059, 0), (1060, 1), (1100, 1), (1121, 2)):
        works.reconcile()
        assert len(asked) == times, now
    client("events").disable_rule(Name="sweep")
    now = 2000
    works.reconcile()
    alias, event = asked[0]
    assert (len(asked), alias, event["detail-type"], event["resources"]) == (2, "live", "Scheduled Event", [RULE])


class _Now:
    """A thread that is done when it was started."""

    def __init__(self, target: Callable[..., None], args: tuple[Any, ...], name: str, daemon: bool) -> None:
        self.start = lambda: target(*args)


def test_a_function_says_who_may_ask_it(
    client: Client, function: str, asked: list[tuple[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    [(rule, _)] = schedules.rules()
    Schedules().ask(rule, function)
    assert asked == []
    assert "does not permit EventBridge" in caplog.text
    Schedules().ask(rule, function.replace("sweep:live", "gone:live"))
    assert asked == []
