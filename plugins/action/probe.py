"""Have a URL asked again and again while the playbook runs."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

DOCUMENTATION = r"""
module: probe
short_description: Have a URL asked again and again while the playbook runs
description:
  - Gives the order that plugins/callback/probe.py carries out, which tells at the end of the run how many requests were
    answered.
  - Says nothing about the environment, so it never counts as a change.
options:
  url:
    description: What to ask.
    type: str
    required: true
  interval:
    description: Seconds between an answer and the next request, of each of two visitors.
    type: float
    default: 0.1
"""

RETURN = r"""
order:
  description: What the probe is told.
  returned: success
  type: dict
"""


class ActionModule(ActionBase):  # type: ignore[misc]
    """Run on the controller, whatever the host of the play."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Give the order."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={"url": {"type": "str", "required": True}, "interval": {"type": "float", "default": 0.1}}
        )
        return {"changed": False, "order": {name: arguments[name] for name in ("url", "interval")}}
