"""Wait for a database snapshot on the controller, and say how far it is while waiting."""

from __future__ import annotations

import time
from typing import Any

import boto3
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from botocore.exceptions import BotoCoreError, ClientError

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

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types, so its base class is Any
    """Run on the controller, whatever the host of the play."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Poll until the snapshot is available, or fail with one line."""
        super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(
            argument_spec={
                "db_snapshot_identifier": {"type": "str", "required": True},
                "timeout": {"type": "int", "default": 3600},
                "poll_seconds": {"type": "float", "default": 2},
                "report_seconds": {"type": "float", "default": 30},
            }
        )
        if self._task.check_mode:
            return {"changed": False, "waited_seconds": 0}
        name = str(args["db_snapshot_identifier"])
        try:
            return self._wait(boto3.client("rds"), name, args)
        except (BotoCoreError, ClientError) as error:
            raise AnsibleActionFail(f"Waiting for the snapshot {name} failed: {error}") from None

    @staticmethod
    def _wait(client: Any, name: str, args: dict[str, Any]) -> dict[str, Any]:
        began = reported = time.monotonic()
        while True:
            snapshot = client.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]
            status, now = snapshot["Status"], time.monotonic()
            if status == "available":
                return {"changed": False, "waited_seconds": int(now - began)}
            if status == "failed":
                raise AnsibleActionFail(
                    f"The snapshot {name} failed: see why with aws rds describe-events --duration 60"
                )
            if now - began >= args["timeout"]:
                raise AnsibleActionFail(
                    f"The snapshot {name} is still {status} after {now - began:.0f} s; it goes on by itself"
                )
            if now - reported >= args["report_seconds"]:
                display.display(
                    f"snapshot {name}: {status}, {snapshot.get('PercentProgress', 0)} % ({now - began:.0f} s)"
                )
                reported = now
            time.sleep(args["poll_seconds"])
