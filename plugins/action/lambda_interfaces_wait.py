"""Wait on the controller until Lambda has given its network interfaces in a VPC back, and say so while waiting."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import boto3

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.aws_wait import AwsWait, Progress, waits
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


class ActionModule(AwsWait):
    """Wait for the interfaces."""

    takes: ClassVar[dict[str, Any]] = {
        "vpc_ids": {"type": "list", "elements": "str", "required": True},
        **waits(timeout=3600, poll=10, report=60),
    }
    failure = "the network interfaces of Lambda cannot be listed"

    def looks(self, arguments: dict[str, Any]) -> Callable[[], Progress]:
        """Look at the interfaces."""
        return partial(_look, boto3.client("ec2"), [str(vpc) for vpc in arguments["vpc_ids"]])


def _look(client: Any, vpc_ids: list[str]) -> Progress:
    filters = [{"Name": "vpc-id", "Values": vpc_ids}]
    found = pages(client, "describe_network_interfaces", "NetworkInterfaces", Filters=filters) if vpc_ids else []
    left = sorted(each["NetworkInterfaceId"] for each in found if each.get("InterfaceType") == "lambda")
    return Progress(not left, f"Lambda still has {', '.join(left)}", detail="usually 5 to 25 min")
