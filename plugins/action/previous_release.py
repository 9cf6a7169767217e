"""Find out which release was in service before, in the controller's own process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import boto3

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.aws_action import AwsAction
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


class ActionModule(AwsAction):
    """Read the parameter's history."""

    takes: ClassVar[dict[str, Any]] = {name: {"type": "str", "required": True} for name in ("region", "parameter")}
    failure = "the approved releases cannot be read"

    def ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the approved release and the one before."""
        ssm = boto3.client("ssm", region_name=arguments["region"])
        try:
            pages = ssm.get_paginator("get_parameter_history").paginate(Name=arguments["parameter"])
            found = [item for page in pages for item in page["Parameters"]]
        except ssm.exceptions.ParameterNotFound:
            found = []
        values = [item["Value"] for item in sorted(found, key=lambda item: item["Version"])]
        return {"current": values[-1] if values else "", "previous": before_last(values)}
