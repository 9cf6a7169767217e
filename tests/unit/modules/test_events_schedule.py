"""The module events_schedule: a rule with one function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from plugins.modules import events_schedule

Run = Callable[..., dict[str, Any]]
NAME = "cars-prod-sweep"
TAGS = {"vahana:app": "cars", "vahana:env": "prod"}
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:cars-prod-sweep:live"


@pytest.fixture
def schedule(run_module: Run) -> Run:
    def run(check: bool = False, **arguments: Any) -> dict[str, Any]:
        given = {"name": NAME, "schedule": "rate(1 minute)", "function_arn": FUNCTION, "tags": TAGS, **arguments}
        return run_module(events_schedule, check, **given)

    return run


def rule() -> dict[str, Any]:
    return dict(boto3.client("events").describe_rule(Name=NAME))


def targets() -> dict[str, str]:
    found = boto3.client("events").list_targets_by_rule(Rule=NAME)["Targets"]
    return {each["Id"]: each["Arn"] for each in found}


def test_it_is_made_changed_and_deleted(schedule: Run) -> None:
    planned = schedule(True)
    assert planned["changed"]
    assert boto3.client("events").list_rules()["Rules"] == []
    done = schedule()
    assert (done["changed"], done["diff"]) == (True, planned["diff"])
    assert (rule()["ScheduleExpression"], rule()["State"], targets()) == (
        "rate(1 minute)",
        "ENABLED",
        {"function": FUNCTION},
    )
    for check in (True, False):
        assert not schedule(check)["changed"]
    assert schedule(True, schedule="rate(5 minutes)")["changed"]
    assert schedule(schedule="rate(5 minutes)")["changed"]
    assert rule()["ScheduleExpression"] == "rate(5 minutes)"
    assert schedule(state="absent")["changed"]
    assert boto3.client("events").list_rules()["Rules"] == []
    assert not schedule(state="absent")["changed"]


def test_what_somebody_did_to_it_is_put_right(schedule: Run) -> None:
    schedule()
    events = boto3.client("events")
    events.disable_rule(Name=NAME)
    events.put_targets(Rule=NAME, Targets=[{"Id": "other", "Arn": FUNCTION.replace("sweep", "other")}])
    events.tag_resource(ResourceARN=rule()["Arn"], Tags=[{"Key": "by", "Value": "hand"}])
    assert schedule()["changed"]
    assert (rule()["State"], targets()) == ("ENABLED", {"function": FUNCTION})
    tags = events.list_tags_for_resource(ResourceARN=rule()["Arn"])["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == TAGS
    assert not schedule()["changed"]


def test_somebody_elses_is_left_alone(schedule: Run) -> None:
    boto3.client("events").put_rule(Name=NAME, ScheduleExpression="rate(1 day)")
    assert "is not tagged" in schedule()["msg"]
    assert not schedule(state="absent")["changed"]
    assert rule()["ScheduleExpression"] == "rate(1 day)"
