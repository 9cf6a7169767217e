"""Read what was changed in an environment, in the controller's own process."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, ClassVar

import boto3

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.aws_action import AwsAction
from plugins.module_utils.history import last_deployment, moment, read_entries, table

DOCUMENTATION = r"""
module: read_history
short_description: Read what was changed in an environment
description:
  - Returns the records that runs left in the bucket of releases, the oldest first.
options:
  region:
    description: AWS region.
    type: str
    required: true
  bucket:
    description: Bucket of releases.
    type: str
    required: true
  since:
    description: Leaves out what is older, C(2h), C(7d) or a time in ISO 8601. Empty takes all.
    type: str
    default: ""
  limit:
    description: How many of the newest.
    type: int
    default: 20
  deployment:
    description: In place of all that, the last run that brought a release into service, however many came after it.
    type: bool
    default: false
"""

RETURN = r"""
entries:
  description: The records.
  returned: success
  type: list
  elements: dict
table:
  description: The records as lines of a table.
  returned: success
  type: list
  elements: str
json:
  description: The records as one line of JSON each.
  returned: success
  type: list
  elements: str
"""


class ActionModule(AwsAction):
    """Read the history."""

    takes: ClassVar[dict[str, Any]] = {
        "region": {"type": "str", "required": True},
        "bucket": {"type": "str", "required": True},
        "since": {"type": "str", "default": ""},
        "limit": {"type": "int", "default": 20},
        "deployment": {"type": "bool", "default": False},
    }
    failure = "the history cannot be read"

    def ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the records, the oldest first."""
        since = moment(arguments["since"]) if arguments["since"] else None
        s3 = boto3.client("s3", region_name=arguments["region"])
        if arguments["deployment"]:
            last = last_deployment(s3, arguments["bucket"])
            entries = [last] if last else []
        else:
            entries = read_entries(s3, arguments["bucket"], since, arguments["limit"])
        return {
            "entries": entries,
            "table": table(entries),
            "json": [json.dumps(entry, sort_keys=True) for entry in entries],
        }
