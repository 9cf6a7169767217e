"""The number of instances that a group wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3

from plugins.modules import autoscaling_capacity

Run = Callable[..., dict[str, Any]]


def make_group() -> None:
    image = boto3.client("ec2").register_image(Name="any", RootDeviceName="/dev/xvda")["ImageId"]
    boto3.client("ec2").create_launch_template(
        LaunchTemplateName="cars", LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro"}
    )
    boto3.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName="cars",
        LaunchTemplate={"LaunchTemplateName": "cars"},
        MinSize=1,
        MaxSize=3,
        DesiredCapacity=1,
        AvailabilityZones=["us-east-1a"],
    )


def desired() -> int:
    return int(boto3.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"][0]["DesiredCapacity"])


def test_sets_it_once(run_module: Run) -> None:
    make_group()
    planned = run_module(autoscaling_capacity, check=True, name="cars", desired_capacity=2)
    assert planned["diff"] == {"before": {"desired_capacity": 1}, "after": {"desired_capacity": 2}}
    assert (planned["changed"], desired()) == (True, 1)
    done = run_module(autoscaling_capacity, name="cars", desired_capacity=2)
    assert (done["changed"], done["previous"], desired()) == (True, 1, 2)
    assert not run_module(autoscaling_capacity, name="cars", desired_capacity=2)["changed"]


def test_refuses(run_module: Run) -> None:
    assert (
        "there is no Auto Scaling group cars"
        in run_module(autoscaling_capacity, name="cars", desired_capacity=2)["msg"]
    )
    make_group()
    assert (
        run_module(autoscaling_capacity, name="cars", desired_capacity=4)["msg"] == "cars takes 1 to 3 instances, not 4"
    )
    assert desired() == 1
