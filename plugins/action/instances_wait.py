"""Wait on the controller until an Auto Scaling group has its instances, and say how far it is while waiting."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import boto3
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from botocore.exceptions import BotoCoreError, ClientError

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.capacity import Progress, progress

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


class ActionModule(ActionBase):  # type: ignore[misc]
    """Run on the controller, whatever the host of the play."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Wait, or fail with one line."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "region": {"type": "str", "required": True},
                "group": {"type": "str", "required": True},
                "target_group_arn": {"type": "str", "default": ""},
                "timeout": {"type": "int", "required": True},
                "poll_seconds": {"type": "float", "default": 2},
                "report_seconds": {"type": "float", "default": 30},
            }
        )
        # Ansible's own text types would reach botocore's serialisers.
        region, group, targets = (str(arguments[name]) for name in ("region", "group", "target_group_arn"))
        autoscaling = boto3.client("autoscaling", region_name=region)
        elb = boto3.client("elbv2", region_name=region)
        began = time.monotonic()
        said, said_at = "", began
        while True:
            try:
                found = _look(autoscaling, elb, group, targets)
            except (BotoCoreError, ClientError) as error:
                # One answer that failed is asked for again.
                found = Progress(False, f"AWS does not answer: {' '.join(str(error).split())}")
            now = time.monotonic()
            if found.done:
                return {"changed": False, "text": found.text, "waited_seconds": round(now - began)}
            if found.obstacle or now - began >= arguments["timeout"]:
                why = found.obstacle or (
                    f"not done after {now - began:.0f} s. Why: aws autoscaling describe-scaling-activities "
                    f"--auto-scaling-group-name {group}, and on a new instance: journalctl -u backend-boot -u backend"
                )
                return {"changed": False, "failed": True, "msg": f"{group}: {found.text}; {why}"}
            if found.text != said or now - said_at >= arguments["report_seconds"]:
                said, said_at = found.text, now
                Display().display(f"waiting: {group}: {said} ({now - began:.0f} s)")
            time.sleep(arguments["poll_seconds"])


def _look(autoscaling: Any, elb: Any, name: str, targets: str) -> Progress:
    groups = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    if not groups:
        return Progress(False, "there is no such group", "site.yml makes it")
    health: list[str] | None = None
    if targets:
        answer = elb.describe_target_health(TargetGroupArn=targets)["TargetHealthDescriptions"]
        health = [item["TargetHealth"]["State"] for item in answer]
    return progress(groups[0], health)
