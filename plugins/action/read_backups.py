"""List the backups of an environment, in the controller's own process."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Any, ClassVar

import boto3

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.aws_action import AwsAction
from plugins.module_utils.backups import (
    backup_name,
    choose,
    leftover_tables,
    list_backups,
    list_table_backups,
    restorable,
    surplus,
)
from plugins.module_utils.discovery import Environment

DOCUMENTATION = r"""
module: read_backups
short_description: List the backups of an environment
description:
  - Reads manual RDS snapshots with the environment's tags, on-demand backups of DynamoDB with its names, and the folder
    C(backups) of the releases bucket.
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
  table:
    description: DynamoDB table in use. Empty when there is none.
    type: str
    default: ""
  parameter:
    description: Parameter that has the name of the table in use, where O(table) does not say it.
    type: str
    default: ""
"""

RETURN = r"""
backups:
  description: All, the newest first, each with C(name), C(arn) (of DynamoDB's), C(engine), C(status), C(time),
    C(bytes), C(engine_version) (of snapshots), C(release), C(rows), C(manifest), C(kept) and C(line).
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
window:
  description: The C(earliest) and the C(latest) second that the table can be brought back to; empty when to none.
  returned: success
  type: dict
leftovers:
  description: Tables that a restore has begun to make and nobody will use.
  returned: when O(table) is given
  type: list
  elements: str
new_name:
  description: Name for one that is made now.
  returned: success
  type: str
"""


class ActionModule(AwsAction):
    """List the backups."""

    takes: ClassVar[dict[str, Any]] = {
        **{name: {"type": "str", "required": True} for name in ("app", "env", "region")},
        **{name: {"type": "str", "default": ""} for name in ("bucket", "choose", "table", "parameter")},
        "keep": {"type": "int", "default": 0},
    }
    failure = "the backups cannot be listed"

    def ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the backups, and of them what was asked for."""
        environment = Environment(arguments["app"], arguments["env"], arguments["region"])
        now = datetime.datetime.now(datetime.UTC)
        rds, s3, dynamodb, ssm = (
            boto3.client(service, region_name=environment.region) for service in ("rds", "s3", "dynamodb", "ssm")
        )
        found = [
            *list_backups(rds, s3, environment, arguments["bucket"]),
            *list_table_backups(dynamodb, s3, environment, arguments["bucket"]),
        ]
        found.sort(key=lambda backup: backup.name, reverse=True)
        table = arguments["table"] or self._told(ssm, arguments["parameter"])
        result: dict[str, Any] = {
            "backups": [backup.described(now) for backup in found],
            "window": restorable(dynamodb, table) if table else {},
            "new_name": backup_name(environment, now),
        }
        if arguments["table"]:
            result["leftovers"] = leftover_tables(dynamodb, environment, table)
        if arguments["keep"]:
            result["surplus"] = [backup.described(now) for backup in surplus(found, arguments["keep"])]
        if arguments["choose"]:
            try:
                result["chosen"] = choose(found, arguments["choose"], environment.name_prefix).described(now)
            except LookupError as missing:
                return {"failed": True, "msg": str(missing)}
        return result

    @staticmethod
    def _told(ssm: Any, parameter: str) -> str:
        try:
            return str(ssm.get_parameter(Name=parameter)["Parameter"]["Value"]) if parameter else ""
        except ssm.exceptions.ParameterNotFound:
            return ""
