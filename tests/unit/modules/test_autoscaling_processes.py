"""What is suspended is written down first, and exactly that is resumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from plugins.modules import autoscaling_processes

PARAMETER = "/cars/prod/suspended"
WANTED = ["AZRebalance", "ScheduledActions"]

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def group() -> Any:
    """A group without instances, and one process that somebody else has suspended."""
    client, ec2 = boto3.client("autoscaling"), boto3.client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    client.create_launch_configuration(LaunchConfigurationName="cars", ImageId=image, InstanceType="t3.micro")
    client.create_auto_scaling_group(
        AutoScalingGroupName="cars",
        MinSize=0,
        MaxSize=0,
        LaunchConfigurationName="cars",
        AvailabilityZones=["us-east-1a"],
    )
    client.suspend_processes(AutoScalingGroupName="cars", ScalingProcesses=["ScheduledActions"])
    return client


@pytest.fixture
def processes(run_module: Run) -> Run:
    def run(state: str, **options: Any) -> dict[str, Any]:
        arguments = {"state": state, "name": "cars", "parameter": PARAMETER, **options}
        return run_module(autoscaling_processes, **arguments)

    return run


def suspended(group: Any) -> set[str]:
    [found] = group.describe_auto_scaling_groups(AutoScalingGroupNames=["cars"])["AutoScalingGroups"]
    return {item["ProcessName"] for item in found["SuspendedProcesses"]}


def written() -> str | None:
    found = boto3.client("ssm").get_parameters(Names=[PARAMETER])["Parameters"]
    return str(found[0]["Value"]) if found else None


def test_there_and_back(group: Any, processes: Run) -> None:
    assert processes("suspended", processes=WANTED, check=True)["processes"] == ["AZRebalance"]
    assert (suspended(group), written()) == ({"ScheduledActions"}, None)
    done = processes("suspended", processes=WANTED, tags={"vahana:app": "cars"})
    assert (done["changed"], done["processes"]) == (True, ["AZRebalance"])
    assert (suspended(group), written()) == (set(WANTED), '["AZRebalance"]')
    tags = boto3.client("ssm").list_tags_for_resource(ResourceType="Parameter", ResourceId=PARAMETER)["TagList"]
    assert tags == [{"Key": "vahana:app", "Value": "cars"}]
    assert not processes("suspended", processes=WANTED)["changed"]

    assert processes("resumed", check=True)["processes"] == ["AZRebalance"]
    assert suspended(group) == set(WANTED)
    assert processes("resumed")["processes"] == ["AZRebalance"]
    # Somebody else's is left as it was.
    assert (suspended(group), written()) == ({"ScheduledActions"}, None)
    assert not processes("resumed")["changed"]


def test_killed_before_it_suspended_what_it_wrote_down(group: Any, processes: Run) -> None:
    boto3.client("ssm").put_parameter(Name=PARAMETER, Value='["AZRebalance"]', Type="String")
    assert processes("suspended", processes=[*WANTED, "InstanceRefresh"])["processes"] == [
        "AZRebalance",
        "InstanceRefresh",
    ]
    assert written() == '["AZRebalance", "InstanceRefresh"]'
    assert processes("resumed")["processes"] == ["AZRebalance", "InstanceRefresh"]
    assert suspended(group) == {"ScheduledActions"}


def test_killed_after_it_resumed(group: Any, processes: Run) -> None:
    boto3.client("ssm").put_parameter(Name=PARAMETER, Value='["AZRebalance"]', Type="String")
    resumed = processes("resumed")
    assert (resumed["changed"], resumed["processes"], written()) == (True, [], None)


def test_a_group_that_is_gone(processes: Run) -> None:
    boto3.client("ssm").put_parameter(Name=PARAMETER, Value='["AZRebalance"]', Type="String")
    assert processes("forgotten", check=True)["changed"]
    assert written()
    assert processes("forgotten")["changed"]
    assert written() is None
    assert not processes("forgotten")["changed"]
    assert not processes("suspended", name="", processes=WANTED)["changed"]


def test_a_parameter_that_somebody_else_wrote(group: Any, processes: Run) -> None:
    boto3.client("ssm").put_parameter(Name=PARAMETER, Value="AZRebalance", Type="String")
    failed = processes("resumed")
    assert failed["failed"]
    assert f"parameter {PARAMETER} is not a list of processes" in failed["msg"]
    assert written() == "AZRebalance"


def test_when_nothing_can_be_written_nothing_is_suspended(
    group: Any, processes: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at any moment, it leaves nothing suspended that is not written down."""

    def refuse(**arguments: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "PutParameter")

    real = autoscaling_processes.AnsibleAWSModule.client

    def client(self: Any, service: str, *wanted: Any, **arguments: Any) -> Any:
        made = real(self, service, *wanted, **arguments)
        if service == "ssm":
            made.put_parameter = refuse
        return made

    monkeypatch.setattr(autoscaling_processes.AnsibleAWSModule, "client", client)
    assert processes("suspended", processes=WANTED)["failed"]
    assert suspended(group) == {"ScheduledActions"}
