"""Wait on the controller until Lambda has given its network interfaces in a VPC back, and say so while waiting."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import boto3
from ansible.utils.display import Display

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.aws_action import AwsAction
from plugins.module_utils.discovery import pages

DOCUMENTATION = r"""
module: lambda_interfaces_wait
short_description: Wait until Lambda has no network interface in a VPC any more
description:
  - After a function is deleted Lambda keeps the network interfaces by which it was in the VPC, for 20 minutes and more,
    and subnets and security groups cannot be deleted before they are gone. Nobody else can delete them.
  - Changes nothing; in check mode it does not wait.
options:
  vpc_ids:
    description: The VPCs.
    type: list
    elements: str
    required: true
  timeout:
    description: How long to wait, in seconds.
    type: int
    default: 3600
  poll_seconds:
    description: How often to ask, in seconds.
    type: float
    default: 10
  report_seconds:
    description: How often to say how many there are, in seconds.
    type: float
    default: 60
"""

RETURN = r"""
waited_seconds:
  description: How long it took.
  returned: success
  type: int
"""

display = Display()


class ActionModule(AwsAction):
    """Wait for the interfaces."""

    takes: ClassVar[dict[str, Any]] = {
        "vpc_ids": {"type": "list", "elements": "str", "required": True},
        "timeout": {"type": "int", "default": 3600},
        "poll_seconds": {"type": "float", "default": 10},
        "report_seconds": {"type": "float", "default": 60},
    }
    failure = "the network interfaces of Lambda cannot be listed"

    def ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Poll until there is none."""
        if self._task.check_mode or not arguments["vpc_ids"]:
            return {"waited_seconds": 0}
        began, reported = time.monotonic(), float("-inf")
        while True:
            left, now = self._left([str(vpc) for vpc in arguments["vpc_ids"]]), time.monotonic()
            if not left:
                return {"waited_seconds": int(now - began)}
            names = ", ".join(left)
            if now - began >= arguments["timeout"]:
                msg = f"Lambda still has {names} after {now - began:.0f} s; run the same command again to go on waiting"
                return {"failed": True, "msg": msg}
            if now - reported >= arguments["report_seconds"]:
                display.display(f"Lambda still has {names} ({now - began:.0f} s; usually 5 to 25 min)")
                reported = now
            time.sleep(arguments["poll_seconds"])

    @staticmethod
    def _left(vpc_ids: list[str]) -> list[str]:
        filters = [{"Name": "vpc-id", "Values": vpc_ids}]
        found = pages(boto3.client("ec2"), "describe_network_interfaces", "NetworkInterfaces", Filters=filters)
        return sorted(each["NetworkInterfaceId"] for each in found if each.get("InterfaceType") == "lambda")
