"""Bring the messages of a dead letter queue back, and say how far it is while they move."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import boto3
from ansible.errors import AnsibleActionFail
from ansible.utils.display import Display

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.aws_action import AwsAction

DOCUMENTATION = r"""
module: sqs_redrive
short_description: Move the messages of a dead letter queue back to where they came from
description:
  - Lets SQS move them (StartMessageMoveTask) and follows until it is done. A move that is under way, as that of a run
    that was stopped, is followed and none is started.
  - In check mode nothing is moved.
options:
  region:
    description: AWS region.
    type: str
    required: true
  dead_letter_arn:
    description: ARN of the dead letter queue.
    type: str
    required: true
  timeout:
    description: How long to follow, in seconds.
    type: int
    default: 3600
  poll_seconds:
    description: How often to ask, in seconds.
    type: float
    default: 1
  report_seconds:
    description: How often to say how far it is, in seconds.
    type: float
    default: 10
"""

RETURN = r"""
waiting:
  description: How many messages there were to move, about.
  returned: always
  type: int
moved:
  description: How many were moved.
  returned: always
  type: int
"""


class ActionModule(AwsAction):
    """Move the messages."""

    takes: ClassVar[dict[str, Any]] = {
        "region": {"type": "str", "required": True},
        "dead_letter_arn": {"type": "str", "required": True},
        "timeout": {"type": "int", "default": 3600},
        "poll_seconds": {"type": "float", "default": 1},
        "report_seconds": {"type": "float", "default": 10},
    }
    failure = "the messages cannot be brought back"

    def ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Start a move unless one is under way, and follow it."""
        sqs, arn = boto3.client("sqs", region_name=arguments["region"]), arguments["dead_letter_arn"]
        running = any(task["Status"] == "RUNNING" for task in _tasks(sqs, arn))
        waiting = _waiting(sqs, arn)
        if self._task.check_mode or not (waiting or running):
            return {"changed": bool(waiting or running), "waiting": waiting, "moved": 0}
        if not running:
            sqs.start_message_move_task(SourceArn=arn)
        return {"changed": True, "waiting": waiting, "moved": _follow(sqs, arn, arguments)}


def _tasks(sqs: Any, arn: str) -> list[dict[str, Any]]:
    """Return the last moves of a queue, the newest first."""
    found: list[dict[str, Any]] = sqs.list_message_move_tasks(SourceArn=arn, MaxResults=10).get("Results", [])
    return found


def _waiting(sqs: Any, arn: str) -> int:
    url = sqs.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
    name = "ApproximateNumberOfMessages"
    return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def _follow(sqs: Any, arn: str, arguments: dict[str, Any]) -> int:
    began = reported = time.monotonic()
    while True:
        task, now = _tasks(sqs, arn)[0], time.monotonic()
        moved, total = (
            task.get("ApproximateNumberOfMessagesMoved", 0),
            task.get("ApproximateNumberOfMessagesToMove", "?"),
        )
        match task["Status"]:
            case "COMPLETED":
                return int(moved)
            case "FAILED" | "CANCELLED" as ended:
                reason = task.get("FailureReason", "somebody has ended it")
                raise AnsibleActionFail(f"{moved} of {total} messages are back, then it was {ended.lower()}: {reason}")
        if now - began >= arguments["timeout"]:
            raise AnsibleActionFail(
                f"{moved} of {total} messages are back after {now - began:.0f} s; it goes on by itself, and the same "
                "command follows it"
            )
        if now - reported >= arguments["report_seconds"]:
            Display().display(f"moving: {moved} of {total} messages ({now - began:.0f} s)")
            reported = now
        time.sleep(arguments["poll_seconds"])
