"""Holds the probe for as long as the playbook runs, and tells at the end what it saw."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

ROOT = Path(__file__).resolve().parents[2]

DOCUMENTATION = r"""
name: probe
type: aggregate
short_description: Tells at the end of a run how many requests were answered meanwhile
description:
  - Starts plugins/probe.py when a task asks for it (role verify, tasks probe.yml).
  - It needs not be enabled, because nothing happens before a task asks.
"""

_ACTION = "probe"
_END_SECONDS = 30.0


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Hears of the order and of the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "probe"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self) -> None:
        super().__init__()
        self._probe: subprocess.Popen[str] | None = None

    def v2_runner_on_ok(self, result: Any) -> None:
        """Start the probe."""
        order = result.result.get("order") if result.task.action == _ACTION else None
        if not order or self._probe:
            return
        self._probe = subprocess.Popen(
            [sys.executable, "-m", "plugins.probe"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sys.__stderr__,
            text=True,
            # Ctrl-C is for the playbook; the probe sees it by the end of its input.
            start_new_session=True,
        )
        assert self._probe.stdin
        self._probe.stdin.write(json.dumps(order) + "\n")
        self._probe.stdin.flush()

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Say what it saw."""
        if not self._probe:
            return
        try:
            output, _nothing = self._probe.communicate(timeout=_END_SECONDS)
            seen = json.loads(output)
        except (subprocess.TimeoutExpired, ValueError) as error:
            self._probe.kill()
            self._display.warning(f"the probe did not tell what it saw: {error}")
            return
        text = f"probe: {seen['served']} requests served, {seen['failed']} failed, the longest took {seen['longest']} s"
        self._display.display("\n".join([text, *(f"  {cause}" for cause in seen["causes"])]))
        self._probe = None
