"""Check every variable of the run at once, before anything is asked of AWS."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible import context
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.all_inputs import ALL_INPUTS, HOOKS, check_all
from plugins.module_utils.inputs import Problem
from plugins.module_utils.project import ROOT, knowledge, read_variables

DOCUMENTATION = r"""
module: validate_inputs
short_description: Check every variable of the run at once
description:
  - Reads the variables of the play (group_vars, C(-e), inventory) and returns every mistake, each with its mend.
  - Calls no API and changes nothing.
options:
  need_tier:
    description: Whether a run without a tier is a mistake. Before the deployed tier is known it is not.
    type: bool
    default: false
"""

RETURN = r"""
problems:
  description: One line for each mistake.
  returned: always
  type: list
  elements: str
"""


class ActionModule(ActionBase):  # type: ignore[misc]
    """Run on the controller, whatever the host of the play."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the problems; failed when there is one."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={"need_tier": {"type": "bool", "default": False}}
        )
        variables = task_vars or {}
        extra = load_extra_vars(self._loader)
        values: dict[str, Any] = {}
        for name in ALL_INPUTS:
            if name in variables:
                try:
                    values[name] = self._templar.template(variables[name])
                except AnsibleError:
                    # Depends on what the run has not read yet, e.g. the deployed tier.
                    continue

        def load(path: str) -> Any:
            return self._loader.load_from_file(path)

        tier = str(values.get("tier", ""))
        written, sources = read_variables(ROOT, tier, load)
        tiers = variables["tier_names"]
        known = knowledge(ROOT, sources, tiers, extra, context.CLIARGS, str(values.get(HOOKS) or ""))
        if not tier:
            values.pop("tier", None)
        problems = list(map(str, check_all(values, {**written, **extra}, known, load)))
        if arguments["need_tier"] and not tier:
            name = f"{values.get('app_name')}-{values.get('deploy_env')}"
            choice = " or ".join(f"-e tier={each}" for each in known.tiers)
            missing = f"not given, and nothing is deployed as {name} in {values.get('aws_region')}"
            problems.append(str(Problem("tier", "-e", missing, f"choose one: {choice}")))
        return {"changed": False, "failed": bool(problems), "problems": problems, "msg": "\n".join(problems)}
