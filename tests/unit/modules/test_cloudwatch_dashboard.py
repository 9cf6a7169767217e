"""The module cloudwatch_dashboard."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from plugins.modules import cloudwatch_dashboard

Run = Callable[..., dict[str, Any]]
CPU = {"type": "metric", "width": 8, "properties": {"metrics": [["AWS/EC2", "CPUUtilization"]], "period": 60}}


@pytest.fixture
def dashboard(run_module: Run) -> Run:
    def run(check: bool = False, **arguments: Any) -> dict[str, Any]:
        return run_module(cloudwatch_dashboard, check, name="cars-prod", owner="vahana:app=cars", **arguments)

    return run


def names() -> list[str]:
    return [each["DashboardName"] for each in boto3.client("cloudwatch").list_dashboards()["DashboardEntries"]]


def test_made_once_changed_and_deleted(dashboard: Run) -> None:
    assert dashboard(True, widgets=[CPU])["changed"]
    assert names() == []
    assert dashboard(widgets=[CPU])["changed"]
    assert names() == ["cars-prod"]
    for check in (True, False):
        assert not dashboard(check, widgets=[CPU])["changed"]
    changed = dashboard(widgets=[{**CPU, "width": 12}])
    assert changed["changed"]
    assert [side["widgets"][1]["width"] for side in (changed["diff"]["before"], changed["diff"]["after"])] == [8, 12]
    assert dashboard(True, state="absent")["changed"]
    assert dashboard(state="absent")["changed"]
    assert not dashboard(state="absent")["changed"]
    assert names() == []


def test_how_the_json_is_written_is_no_difference(dashboard: Run) -> None:
    dashboard(widgets=[CPU])
    client = boto3.client("cloudwatch")
    body = json.loads(client.get_dashboard(DashboardName="cars-prod")["DashboardBody"])
    client.put_dashboard(DashboardName="cars-prod", DashboardBody=json.dumps(body, indent=4, sort_keys=True))
    assert not dashboard(widgets=[CPU])["changed"]


def test_somebody_elses_is_left_alone(dashboard: Run) -> None:
    boto3.client("cloudwatch").put_dashboard(DashboardName="cars-prod", DashboardBody=json.dumps({"widgets": [CPU]}))
    for state in ({"widgets": [CPU]}, {"state": "absent"}):
        assert "is left alone" in dashboard(**state)["msg"]
