"""Find out whether a run would do anything, in the controller's own process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.convergence import unsettled
from plugins.module_utils.run_inputs import ARGUMENTS, run_inputs

DOCUMENTATION = r"""
module: converged
short_description: Find out whether a run would do anything
description:
  - Nothing is to be done when the inputs of this run are those of the last complete one, what that one left behind is
    unchanged, and nothing is under way or broken.
  - Calls no API.
options:
  stack:
    description: The live state.
    type: dict
    required: true
  recorded:
    description: C(inputs) and C(time) of the last complete run, empty when there was none.
    type: dict
    required: true
  drift:
    description: What is not as that run left it.
    type: list
    elements: dict
    required: true
  project:
    description: Folder that relative paths in O(sources) start from.
    type: path
    required: true
  sources:
    description: Folders that a release is built from.
    type: list
    elements: str
    required: true
  files:
    description: Files of this machine that the run reads.
    type: list
    elements: str
    required: true
  full:
    description: Whether to go through every task in any case.
    type: bool
    required: true
"""

RETURN = r"""
settled:
  description: Whether nothing is to be done.
  returned: always
  type: bool
inputs:
  description: Hash of everything this run was given.
  returned: always
  type: str
reasons:
  description: Why the run goes through its tasks.
  returned: always
  type: list
  elements: str
"""


class ActionModule(ActionBase):  # type: ignore[misc]
    """Run on the controller, whatever the host of the play."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return whether the run is settled."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "stack": {"type": "dict", "required": True},
                "recorded": {"type": "dict", "required": True},
                "drift": {"type": "list", "elements": "dict", "required": True},
                **ARGUMENTS,
                "full": {"type": "bool", "required": True},
            }
        )
        recorded = arguments["recorded"]
        inputs = run_inputs(task_vars, arguments)
        reasons = unsettled(arguments["stack"])
        if not recorded:
            reasons.append("there is no record of a complete run")
        elif recorded["inputs"] != inputs:
            reasons.append("variables, code, sources or keys are not those of the last complete run")
        reasons += [f"{entry['kind']} {entry['id']} is {entry['what']}" for entry in arguments["drift"]]
        if arguments["full"]:
            reasons.append("full=true")
        return {
            "changed": False,
            "settled": not reasons,
            "inputs": inputs,
            "reasons": reasons,
            "msg": (
                ""
                if reasons
                else f"Nothing to do: everything is as the complete run of {recorded['time']} left it, and so are its "
                "inputs. To go through every task all the same: -e full=true"
            ),
        }
