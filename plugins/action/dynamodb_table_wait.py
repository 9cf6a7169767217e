"""Wait for a DynamoDB table on the controller, and say how far it is while waiting."""

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


class ActionModule(AwsWait):
    """Wait for the table."""

    takes: ClassVar[dict[str, Any]] = {
        "name": {"type": "str", "required": True},
        **waits(timeout=5400, poll=2, report=30),
    }
    failure = "the table cannot be waited for"
    goes_on = "it goes on by itself"

    def looks(self, arguments: dict[str, Any]) -> Callable[[], Progress]:
        """Look at the table."""
        return partial(_look, boto3.client("dynamodb"), arguments["name"])


def _look(client: Any, name: str) -> Progress:
    table = client.describe_table(TableName=name)["Table"]
    indexes = [each["IndexStatus"] for each in table.get("GlobalSecondaryIndexes", [])]
    return Progress(
        done={table["TableStatus"], *indexes} == {"ACTIVE"},
        text=f"table {name}: {table['TableStatus']}",
        detail="usually 5 to 20 min",
    )
