"""All alarms of an environment as one list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from plugins.modules import cloudwatch_alarms

TAGS = {"vahana:app": "cars", "vahana:env": "prod"}
CPU = {
    "name": "cpu",
    "description": "Too busy",
    "namespace": "AWS/EC2",
    "metric": "CPUUtilization",
    "dimensions": {"InstanceId": "i-1"},
    "threshold": 80,
}
DISK = {**CPU, "name": "disk", "metric": "FreeStorageSpace", "comparison": "LessThanThreshold", "statistic": "Minimum"}

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def alarms(run_module: Run) -> Run:
    def run(*wanted: dict[str, Any], **options: Any) -> dict[str, Any]:
        return run_module(
            cloudwatch_alarms, **{"prefix": "cars-prod-", "alarms": list(wanted), "tags": TAGS, **options}
        )

    return run


def names() -> list[str]:
    return sorted(alarm["AlarmName"] for alarm in boto3.client("cloudwatch").describe_alarms()["MetricAlarms"])


def test_sets_them_once(alarms: Run) -> None:
    assert alarms(CPU, DISK, check=True)["changed"]
    assert names() == []
    made = alarms(CPU, DISK)
    assert made["changed"]
    assert made["names"] == names() == ["cars-prod-cpu", "cars-prod-disk"]
    assert not alarms(CPU, DISK)["changed"]
    assert not alarms(CPU, DISK, check=True)["changed"]


def test_percentiles_and_an_alarm_for_each_value(alarms: Run) -> None:
    each = {"dimension": "QueueName", "values": ["cars-prod-email", "cars-prod-sms"]}
    age = {**CPU, "name": "age", "dimensions": {}, "percentile": "p95", "each": each}
    made = alarms(age)
    assert made["names"] == names() == ["cars-prod-age-email", "cars-prod-age-sms"]
    alarm = boto3.client("cloudwatch").describe_alarms(AlarmNames=["cars-prod-age-sms"])["MetricAlarms"][0]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": "cars-prod-sms"}]
    assert (alarm["ExtendedStatistic"], alarm.get("Statistic")) == ("p95", None)
    assert not alarms(age)["changed"]
    # Back to a statistic of all.
    assert alarms({**age, "percentile": ""})["changed"]
    assert alarms({**age, "each": {**each, "values": []}})["names"] == []


def test_changes_one_and_tells_which(alarms: Run) -> None:
    alarms(CPU, DISK)
    changed = alarms({**CPU, "threshold": 90, "actions": ["arn:aws:sns:us-east-1:1:x"]}, DISK)
    assert list(changed["diff"]["after"]) == ["cars-prod-cpu"]
    assert changed["diff"]["before"]["cars-prod-cpu"]["Threshold"] == 80
    alarm = boto3.client("cloudwatch").describe_alarms(AlarmNames=["cars-prod-cpu"])["MetricAlarms"][0]
    assert (alarm["Threshold"], alarm["AlarmActions"]) == (90, ["arn:aws:sns:us-east-1:1:x"])


def test_deletes_what_is_no_longer_listed_and_only_ours(alarms: Run) -> None:
    alarms(CPU, DISK)
    alarms(CPU, tags={**TAGS, "vahana:env": "prod-2"}, prefix="cars-prod-2-")
    assert alarms(CPU, check=True)["changed"]
    assert alarms(CPU)["changed"]
    assert names() == ["cars-prod-2-cpu", "cars-prod-cpu"]
    assert alarms()["changed"]
    assert names() == ["cars-prod-2-cpu"]
    assert not alarms()["changed"]


def test_refuses_a_foreign_alarm(alarms: Run) -> None:
    alarms(CPU, tags={**TAGS, "vahana:app": "bikes"})
    refused = alarms(CPU)
    assert refused["failed"]
    assert "cars-prod-cpu exists but is not tagged vahana:app=cars" in refused["msg"]


def test_tags_follow(alarms: Run) -> None:
    alarms(CPU)
    assert alarms(CPU, tags={**TAGS, "vahana:tier": "full"})["changed"]
    assert not alarms(CPU, tags={**TAGS, "vahana:tier": "full"})["changed"]
