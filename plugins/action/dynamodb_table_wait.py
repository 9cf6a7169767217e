"""Wait for a DynamoDB table on the controller, and say how far it is while waiting."""

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

DOCUMENTATION = r"""
module: dynamodb_table_wait
short_description: Wait until a DynamoDB table is there with its indexes
description:
  - Polls until the table is active and says what it is while waiting. Changes nothing; in check mode it does not wait.
options:
  name:
    description: Name of the table.
    type: str
    required: true
  timeout:
    description: How long to wait, in seconds. A restore takes minutes, also that of a small table.
    type: int
    default: 5400
  poll_seconds:
    description: How often to ask, in seconds.
    type: float
    default: 2
  report_seconds:
    description: How often to say what it is, in seconds.
    type: float
    default: 30
"""

RETURN = r"""
waited_seconds:
  description: How long it took.
  returned: success
  type: int
"""

display = Display()


class ActionModule(AwsAction):
    """Wait for the table."""

    takes: ClassVar[dict[str, Any]] = {
        "name": {"type": "str", "required": True},
        "timeout": {"type": "int", "default": 5400},
        "poll_seconds": {"type": "float", "default": 2},
        "report_seconds": {"type": "float", "default": 30},
    }
    failure = "the table cannot be waited for"

    def ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Poll until the table is active."""
        if self._task.check_mode:
            return {"waited_seconds": 0}
        client, name = boto3.client("dynamodb"), arguments["name"]
        began = reported = time.monotonic()
        while True:
            table = client.describe_table(TableName=name)["Table"]
            indexes = [each["IndexStatus"] for each in table.get("GlobalSecondaryIndexes", [])]
            status, now = table["TableStatus"], time.monotonic()
            if {status, *indexes} == {"ACTIVE"}:
                return {"waited_seconds": int(now - began)}
            if now - began >= arguments["timeout"]:
                msg = f"The table {name} is still {status} after {now - began:.0f} s; it goes on by itself"
                return {"failed": True, "msg": msg}
            if now - reported >= arguments["report_seconds"]:
                display.display(f"table {name}: {status} ({now - began:.0f} s; usually 5 to 20 min)")
                reported = now
            time.sleep(arguments["poll_seconds"])
