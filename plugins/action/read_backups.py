"""List the backups of an environment, in the controller's own process."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Any

import boto3
from ansible.plugins.action import ActionBase
from botocore.exceptions import BotoCoreError, ClientError

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.backups import backup_name, choose, list_backups, surplus
from plugins.module_utils.discovery import Environment

DOCUMENTATION = r"""
module: read_backups
short_description: List the backups of an environment
description:
  - Reads manual RDS snapshots with the environment's tags and the folder C(backups) of the releases bucket.
  - Changes nothing.
options:
  app:
    description: Name of the application.
    type: str
    required: true
  env:
    description: Name of the environment.
    type: str
    required: true
  region:
    description: AWS region.
    type: str
    required: true
  bucket:
    description: Bucket of releases. Empty when there is none.
    type: str
    default: ""
  choose:
    description: Name of one that must be there and available, or C(latest).
    type: str
    default: ""
  keep:
    description: How many to keep.
    type: int
    default: 0
"""

RETURN = r"""
backups:
  description: All, the newest first, each with C(name), C(engine), C(status), C(time), C(bytes), C(release),
    C(rows), C(manifest), C(kept) and C(line).
  returned: success
  type: list
  elements: dict
chosen:
  description: The one that O(choose) asks for.
  returned: when O(choose) is given
  type: dict
surplus:
  description: Those beyond O(keep).
  returned: when O(keep) is given
  type: list
  elements: dict
new_name:
  description: Name for one that is made now.
  returned: success
  type: str
"""


class ActionModule(ActionBase):  # type: ignore[misc]
    """Run on the controller, whatever the host of the play."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the list, or fail with one line."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                **{name: {"type": "str", "required": True} for name in ("app", "env", "region")},
                **{name: {"type": "str", "default": ""} for name in ("bucket", "choose")},
                "keep": {"type": "int", "default": 0},
            }
        )
        # Ansible's own text types would reach botocore's serialisers.
        environment = Environment(*(str(arguments[name]) for name in ("app", "env", "region")))
        now = datetime.datetime.now(datetime.UTC)
        try:
            found = list_backups(
                boto3.client("rds", region_name=environment.region),
                boto3.client("s3", region_name=environment.region),
                environment,
                str(arguments["bucket"]),
            )
        except (BotoCoreError, ClientError) as error:
            detail = " ".join(str(error).split())
            return {"changed": False, "failed": True, "msg": f"the backups cannot be listed: {detail}"}
        result: dict[str, Any] = {
            "changed": False,
            "backups": [backup.described(now) for backup in found],
            "new_name": backup_name(environment, now),
        }
        if arguments["keep"]:
            result["surplus"] = [backup.described(now) for backup in surplus(found, int(arguments["keep"]))]
        if arguments["choose"]:
            try:
                result["chosen"] = choose(found, str(arguments["choose"]), environment.name_prefix).described(now)
            except LookupError as missing:
                return {"changed": False, "failed": True, "msg": str(missing)}
        return result
