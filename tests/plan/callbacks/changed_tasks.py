"""Writes which tasks changed something, for the tests of the plan; can end a run in the middle as a power cut would."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: changed_tasks
type: aggregate
short_description: Writes which tasks changed something
description:
  - Appends a JSON line for each task, or item of a loop, that reports a change, with its plan in check mode.
requirements:
  - enable in configuration
options:
  file:
    description: Where to write.
    required: true
    env:
      - name: CHANGED_TASKS
  stop_after:
    description: Number of changes after which the run kills itself; 0 lets it end.
    type: int
    default: 0
    env:
      - name: CHANGED_TASKS_STOP_AFTER
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Hears of every result."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "changed_tasks"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def v2_runner_on_ok(self, result: Any) -> None:
        """Note a task; a loop's items have been noted one by one."""
        if not isinstance(result.result.get("results"), list):
            self._note(result, "")

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """Note an item."""
        self._note(result, str(self._get_item_label(result.result)))

    def _note(self, result: Any, item: str) -> None:
        if not result.result.get("changed"):
            return
        task = result.task
        entry = {
            "role": task._role.get_name() if task._role else "",
            "task": task.name,
            "item": item,
            "host": result.host.get_name(),
            "plan": result.result.get("plan"),
        }
        with Path(self.get_option("file")).open("a") as file:
            file.write(json.dumps(entry, default=str) + "\n")
        self._count += 1
        if self._count == self.get_option("stop_after"):
            os.kill(os.getpid(), signal.SIGKILL)
