"""Wait for a database snapshot on the controller, and say how far it is while waiting."""

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
module: rds_snapshot_wait
short_description: Wait for a database snapshot
description:
  - Polls until the snapshot is available and says how far it is. Changes nothing; in check mode it does not wait.
options:
  db_snapshot_identifier:
    description: Name of the snapshot.
    type: str
    required: true
  timeout:
    description: How long to wait, in seconds.
    type: int
    default: 3600
  poll_seconds:
    description: How often to ask, in seconds.
    type: float
    default: 2
  report_seconds:
    description: How often to say how far it is, in seconds.
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
    """Wait for the snapshot."""

    takes: ClassVar[dict[str, Any]] = {
        "db_snapshot_identifier": {"type": "str", "required": True},
        **waits(timeout=3600, poll=2, report=30),
    }
    failure = "the snapshot cannot be waited for"
    goes_on = "it goes on by itself"

    def looks(self, arguments: dict[str, Any]) -> Callable[[], Progress]:
        """Look at the snapshot."""
        return partial(_look, boto3.client("rds"), arguments["db_snapshot_identifier"])


def _look(client: Any, name: str) -> Progress:
    snapshot = client.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]
    status = snapshot["Status"]
    return Progress(
        done=status == "available",
        text=f"snapshot {name}: {status}",
        obstacle="see why with `aws rds describe-events --duration 60`" if status == "failed" else "",
        detail=f"{snapshot.get('PercentProgress', 0)} %",
    )
