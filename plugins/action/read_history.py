"""Read what was changed in an environment, in the controller's own process."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import boto3
from ansible.plugins.action import ActionBase
from botocore.exceptions import BotoCoreError, ClientError

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.history import moment, read_entries, table

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


class ActionModule(ActionBase):  # type: ignore[misc]
    """Run on the controller, whatever the host of the play."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the records, or fail with one line."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "region": {"type": "str", "required": True},
                "bucket": {"type": "str", "required": True},
                "since": {"type": "str", "default": ""},
                "limit": {"type": "int", "default": 20},
            }
        )
        since = moment(str(arguments["since"])) if arguments["since"] else None
        try:
            s3 = boto3.client("s3", region_name=str(arguments["region"]))
            entries = read_entries(s3, str(arguments["bucket"]), since, arguments["limit"])
        except (BotoCoreError, ClientError) as error:
            detail = " ".join(str(error).split())
            return {"changed": False, "failed": True, "msg": f"the history cannot be read: {detail}"}
        return {
            "changed": False,
            "entries": entries,
            "table": table(entries),
            "json": [json.dumps(entry, sort_keys=True) for entry in entries],
        }
