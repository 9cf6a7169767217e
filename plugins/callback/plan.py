"""Prints what a dry run of the project would change; the output of playbooks/plan.yml."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ansible import constants

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.callback.vahana import CallbackModule as VahanaCallback
from plugins.module_utils import plan_report
from plugins.module_utils.planning import change_of

if TYPE_CHECKING:
    from ansible.executor.stats import AggregateStats
    from ansible.executor.task_result import CallbackTaskResult

DOCUMENTATION = r"""
name: plan
type: stdout
short_description: What a dry run would change, a resource a line
description:
  - Prints what would be created, changed (each field, old and new) and deleted, the numbers, and a month's cost.
  - Ends the program with 0 when there is nothing to do, 2 when there is, 1 when the plan could not be made.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
"""

NOTHING_TO_DO, FAILED, CHANGES = 0, 1, 2
_COLORS = {"create": constants.COLOR_OK, "change": constants.COLOR_CHANGED, "delete": constants.COLOR_ERROR}


class CallbackModule(VahanaCallback):
    """Collects what changes and tells it at the end."""

    CALLBACK_NAME = "plan"

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[plan_report.Line] = []
        self._basis: dict[str, Any] = {}

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Print nothing, and be what vahana.py has made of the program."""

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Print nothing: a plan is about resources."""
        self._play = play

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """Print nothing: a play may have no hosts yet."""

    def v2_on_file_diff(self, result: CallbackTaskResult) -> None:
        """Leave it to the plan."""

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        """Note a change; a loop's items have been noted one by one."""
        facts = result.result.get("ansible_facts") or {}
        self._basis = facts.get("plan_basis", self._basis)
        if not isinstance(result.result.get("results"), list):
            self._note(result, "")

    def v2_runner_item_on_ok(self, result: CallbackTaskResult) -> None:
        """Note an item that changes."""
        self._note(result, str(self._get_item_label(result.result)))

    def _note(self, result: CallbackTaskResult, item: str) -> None:
        if not result.result.get("changed"):
            return
        role = result.task._role
        plan = result.result.get("plan") or vars(change_of(result.result.get("diff")))
        layer = role.get_name() if role else ""
        self._lines += plan_report.lines_of(layer, result.task.name, item, result.host.get_name(), plan)

    def v2_playbook_on_stats(self, stats: AggregateStats) -> NoReturn:
        """Print the plan and end the program with the code that says what it is."""
        if stats.failures or stats.dark or not self._basis:
            raise SystemExit(FAILED)
        lines = plan_report.merged(self._lines)
        data = plan_report.as_data(lines, self._basis)
        if self._basis["out"]:
            Path(self._basis["out"]).expanduser().write_text(json.dumps(data, indent=1, default=str) + "\n")
        if self._basis["format"] == "json":
            self._display.display(json.dumps(data, indent=1, default=str))
        else:
            for text, action in plan_report.as_text(lines, self._basis):
                self._display.display(text, color=_COLORS.get(action))
        raise SystemExit(CHANGES if lines else NOTHING_TO_DO)
