"""Wait on the controller until an Auto Scaling group has its instances, and say how far it is while waiting."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import boto3
from botocore.exceptions import BotoCoreError, ClientError

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.aws_wait import AwsWait, Progress, waits
from plugins.module_utils.capacity import progress

DOCUMENTATION = r"""
module: instances_wait
short_description: Wait until an Auto Scaling group has the instances it wants
description:
  - All of them are in service and healthy behind the load balancer, and what has to go is drained and gone.
  - Prints a line whenever something changes, and at least every O(report_seconds). Changes nothing.
options:
  region:
    description: AWS region.
    type: str
    required: true
  group:
    description: Name of the group.
    type: str
    required: true
  target_group_arn:
    description: Its target group; empty when it has none.
    type: str
    default: ""
  timeout:
    description: Longest time to wait, in seconds.
    type: int
    required: true
  poll_seconds:
    description: Seconds between two looks.
    type: float
    default: 2
  report_seconds:
    description: Seconds between two lines while nothing changes.
    type: float
    default: 30
"""

RETURN = r"""
text:
  description: What there is in the end.
  returned: success
  type: str
waited_seconds:
  description: How long was waited.
  returned: success
  type: int
"""


class ActionModule(AwsWait):
    """Wait for the instances."""

    takes: ClassVar[dict[str, Any]] = {
        "region": {"type": "str", "required": True},
        "group": {"type": "str", "required": True},
        "target_group_arn": {"type": "str", "default": ""},
        **waits(timeout=None, poll=2, report=30),
    }
    failure = "the group's instances cannot be waited for"
    goes_on = (
        "see why: aws autoscaling describe-scaling-activities --auto-scaling-group-name {group}, and on a new "
        "instance journalctl -u backend-boot -u backend"
    )

    def looks(self, arguments: dict[str, Any]) -> Callable[[], Progress]:
        """Look at the group."""
        region, group, targets = (arguments[name] for name in ("region", "group", "target_group_arn"))
        autoscaling = boto3.client("autoscaling", region_name=region)
        elb = boto3.client("elbv2", region_name=region)
        return partial(_look, autoscaling, elb, group, targets)


def _look(autoscaling: Any, elb: Any, name: str, targets: str) -> Progress:
    try:
        found = _progress(autoscaling, elb, name, targets)
    except (BotoCoreError, ClientError) as error:
        # One answer that failed is asked for again.
        found = Progress(False, f"AWS does not answer: {' '.join(str(error).split())}")
    return replace(found, text=f"{name}: {found.text}", results={"text": found.text})


def _progress(autoscaling: Any, elb: Any, name: str, targets: str) -> Progress:
    groups = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    if not groups:
        return Progress(False, "there is no such group", "site.yml makes it")
    health: list[str] | None = None
    if targets:
        answer = elb.describe_target_health(TargetGroupArn=targets)["TargetHealthDescriptions"]
        health = [item["TargetHealth"]["State"] for item in answer]
    return progress(groups[0], health)
