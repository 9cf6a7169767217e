"""Flow logs: made once, made anew when they differ, and gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from plugins.modules import ec2_flow_log as flow_log_module

NAME = "vahanhelp-prod-flow-log"
BUCKET = "vahanhelp-prod-logs-123456789012"
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def keep(run_module: Run) -> Run:
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    vpc = boto3.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]

    def run(**arguments: Any) -> dict[str, Any]:
        defaults = {"name": NAME, "vpc_id": vpc, "destination": f"arn:aws:s3:::{BUCKET}", "tags": {"vahana:env": "x"}}
        return run_module(flow_log_module, **{**defaults, **arguments})

    return run


def flow_logs() -> list[Any]:
    return boto3.client("ec2").describe_flow_logs()["FlowLogs"]


def test_makes_it_once(keep: Run) -> None:
    assert keep(check=True)["changed"] and not flow_logs()
    first = keep()
    assert first["changed"]
    assert first["flow_log"]["tags"] == {"vahana:env": "x", "Name": NAME}
    assert (first["flow_log"]["traffic_type"], first["flow_log"]["max_aggregation_interval"]) == ("ALL", 600)
    second = keep()
    assert not second["changed"] and second["flow_log"] == first["flow_log"]
    assert not keep(check=True)["changed"]


def test_one_that_differs_is_made_anew(keep: Run) -> None:
    first = keep()["flow_log"]["flow_log_id"]
    planned = keep(check=True, traffic_type="REJECT")
    assert planned["changed"] and planned["diff"]["before"]["TrafficType"] == "ALL"
    assert [item["FlowLogId"] for item in flow_logs()] == [first]
    changed = keep(traffic_type="REJECT")
    assert changed["changed"] and changed["flow_log"]["traffic_type"] == "REJECT"
    assert len(flow_logs()) == 1 and flow_logs()[0]["FlowLogId"] != first


def test_tags_are_changed_in_place(keep: Run) -> None:
    first = keep()["flow_log"]["flow_log_id"]
    changed = keep(tags={"vahana:env": "y"})
    assert changed["changed"] and changed["flow_log"]["flow_log_id"] == first
    assert changed["flow_log"]["tags"]["vahana:env"] == "y"


def test_takes_it_away(keep: Run) -> None:
    keep()
    assert keep(check=True, state="absent")["changed"] and flow_logs()
    gone = keep(state="absent")
    assert gone["changed"] and gone["flow_log"] == {} and not flow_logs()
    assert not keep(state="absent")["changed"]


def test_says_what_aws_could_not_do(keep: Run) -> None:
    failed = keep(destination="arn:aws:s3:::nobodys")
    assert failed["failed"] and "nobodys" in failed["msg"]
