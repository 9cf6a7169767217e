"""How many instances of a group stay healthy while some are replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from plugins.modules import autoscaling_maintenance_policy as policy_module

Run = Callable[..., dict[str, Any]]
WANTED = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200}


@pytest.fixture
def group(lab_account: None) -> None:
    """A group without instances; stock moto knows no maintenance policy."""
    ec2: Any = boto3.client("ec2")
    image = boto3.client("ssm").get_parameter(Name="/aws/service/debian/release/13/latest/amd64")["Parameter"]["Value"]
    ec2.create_launch_template(
        LaunchTemplateName="cars", LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro"}
    )
    boto3.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName="cars",
        LaunchTemplate={"LaunchTemplateName": "cars"},
        MinSize=0,
        MaxSize=3,
        AvailabilityZones=["us-east-1a"],
    )


def policy() -> Any:
    return (
        boto3.client("autoscaling")
        .describe_auto_scaling_groups()["AutoScalingGroups"][0]
        .get("InstanceMaintenancePolicy")
    )


@pytest.mark.usefixtures("group")
def test_sets_it_once_and_ends_it(run_module: Run) -> None:
    def keep(least: int, most: int, **arguments: Any) -> dict[str, Any]:
        wanted = {"min_healthy_percentage": least, "max_healthy_percentage": most}
        return run_module(policy_module, name="cars", **wanted, **arguments)

    assert not keep(-1, -1)["changed"]
    planned = keep(100, 200, check=True)
    assert (planned["changed"], planned["diff"]) == (True, {"before": {}, "after": WANTED})
    assert not policy()
    assert keep(100, 200)["changed"] and policy() == WANTED
    assert not keep(100, 200)["changed"]
    ended = keep(-1, -1)
    assert ended["changed"] and ended["previous"] == WANTED and not policy()


@pytest.mark.usefixtures("group")
def test_refuses_a_group_that_is_not_there(run_module: Run) -> None:
    failed = run_module(policy_module, name="vans", min_healthy_percentage=100, max_healthy_percentage=200)
    assert "there is no Auto Scaling group vans" in failed["msg"]
