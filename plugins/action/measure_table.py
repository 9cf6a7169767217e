"""Read what a DynamoDB table holds, in the controller's own process."""

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
from plugins.module_utils.table_measure import measure

DOCUMENTATION = r"""
module: measure_table
short_description: Read what a DynamoDB table holds
description:
  - Reads every item once, consistently, and says how many there are of each kind and what their checksums are.
  - Costs a read request unit for each 4 KB. Changes nothing; in check mode it reads nothing.
options:
  name:
    description: Name of the table.
    type: str
    required: true
  report_seconds:
    description: How often to say how far it is, in seconds.
    type: float
    default: 30
"""

RETURN = r"""
measure:
  description: The C(schema) (names of the keys), and C(tables), the kinds of items by name, each with C(rows) (how
    many) and C(parts).
  returned: success
  type: dict
"""

display = Display()


class ActionModule(AwsAction):
    """Measure the table."""

    takes: ClassVar[dict[str, Any]] = {
        "name": {"type": "str", "required": True},
        "report_seconds": {"type": "float", "default": 30},
    }
    failure = "the table cannot be read"

    def ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Read the table, and say how far that is."""
        if self._task.check_mode:
            return {"measure": {"schema": "", "tables": {}}}
        name, reported = arguments["name"], time.monotonic()

        def tell(count: int) -> None:
            nonlocal reported
            if time.monotonic() - reported >= arguments["report_seconds"]:
                display.display(f"table {name}: {count} items read")
                reported = time.monotonic()

        return {"measure": measure(boto3.client("dynamodb"), name, tell)}
