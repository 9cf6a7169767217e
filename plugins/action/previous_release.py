"""Find out which release was in service before, in the controller's own process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import boto3
from ansible.plugins.action import ActionBase
from botocore.exceptions import BotoCoreError, ClientError

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.history import before_last

DOCUMENTATION = r"""
module: previous_release
short_description: Find out which release was in service before
description:
  - Reads the history that Parameter Store keeps of the approved release (the last 100 values).
options:
  region:
    description: AWS region.
    type: str
    required: true
  parameter:
    description: Name of the parameter.
    type: str
    required: true
"""

RETURN = r"""
current:
  description: The approved release; empty when there is none.
  returned: success
  type: str
previous:
  description: The last one before it with another name; empty when there was none.
  returned: success
  type: str
"""


class ActionModule(ActionBase):  # type: ignore[misc]
    """Run on the controller, whatever the host of the play."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return both names, or fail with one line."""
        super().run(tmp, task_vars)
        names = ("region", "parameter")
        _validation, arguments = self.validate_argument_spec(
            argument_spec={name: {"type": "str", "required": True} for name in names}
        )
        ssm = boto3.client("ssm", region_name=str(arguments["region"]))
        try:
            pages = ssm.get_paginator("get_parameter_history").paginate(Name=str(arguments["parameter"]))
            found = [item for page in pages for item in page["Parameters"]]
        except ssm.exceptions.ParameterNotFound:
            found = []
        except (BotoCoreError, ClientError) as error:
            detail = " ".join(str(error).split())
            return {"changed": False, "failed": True, "msg": f"the approved releases cannot be read: {detail}"}
        values = [item["Value"] for item in sorted(found, key=lambda item: item["Version"])]
        return {"changed": False, "current": values[-1] if values else "", "previous": before_last(values)}
