"""Ask AWS who we are, in the controller's own process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.access import AccessError, identify

DOCUMENTATION = r"""
module: aws_identity
short_description: Ask AWS who we are
description:
  - Returns the account and the caller, or fails with one line that says what to do.
options:
  region:
    description: Region to ask in.
    type: str
    required: true
"""

RETURN = r"""
account_id:
  description: Number of the account.
  returned: success
  type: str
arn:
  description: ARN of the user or role.
  returned: success
  type: str
"""


class ActionModule(ActionBase):  # type: ignore[misc]
    """Run on the controller, whatever the host of the play."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the identity, or fail with one line."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={"region": {"type": "str", "required": True}}
        )
        try:
            identity = identify(arguments["region"])
        except AccessError as error:
            return {"changed": False, "failed": True, "msg": str(error)}
        return {"changed": False, "account_id": identity.account_id, "arn": identity.arn}
