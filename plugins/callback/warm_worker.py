"""Starts the warm worker with a playbook and ends it with it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.callback import CallbackBase

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.warm_worker import COLLECTIONS, SOCKET_VARIABLE, environment

ROOT = Path(__file__).resolve().parents[2]

DOCUMENTATION = r"""
name: warm_worker
type: aggregate
short_description: Runs AWS modules on the controller in children of one warm process
description:
  - Starts the server that plugins/action/normal.py hands the AWS modules of localhost to, before the first of them.
  - It ends with the playbook, also when that is killed, because its standard input is a pipe from it.
requirements:
  - enable in configuration
options:
  enabled:
    description: Whether to start it. Without it every module runs in a process of its own, as Ansible does.
    type: bool
    default: true
    env:
      - name: VAHANA_WARM_WORKER
    ini:
      - section: warm_worker
        key: enabled
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Holds the server's process for as long as the playbook runs."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "warm_worker"
    CALLBACK_NEEDS_ENABLED = True

    _server: subprocess.Popen[bytes] | None = None

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Start the server before the first AWS module, which waits until it is ready. Many a run has none."""
        # The server forks, watches its children and their callers in ways that only Linux has.
        if self._server or not _may_use_it(str(task.action)) or not hasattr(os, "pidfd_open"):
            return
        if not self.get_option("enabled"):
            return
        self._folder = tempfile.TemporaryDirectory(prefix="vahana-warm-")
        path = Path(self._folder.name) / "socket"
        self._server = subprocess.Popen(
            [sys.executable, "-m", "plugins.warm_worker.server", str(path)],
            cwd=ROOT,
            env=environment(constants.COLLECTIONS_PATHS),
            stdin=subprocess.PIPE,
            # Ansible keeps its own from being inherited.
            stdout=subprocess.DEVNULL,
            stderr=sys.__stderr__,
            # Ctrl-C is for the playbook; the server's children end with the task that waits for them.
            start_new_session=True,
        )
        os.environ[SOCKET_VARIABLE] = str(path)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """End the server."""
        if self._server:
            os.environ.pop(SOCKET_VARIABLE, None)
            assert self._server.stdin
            self._server.stdin.close()
            self._server.wait()
            self._folder.cleanup()


def _may_use_it(action: str) -> bool:
    """Tell whether plugins/action/normal.py may hand this action to the server."""
    return action.startswith(COLLECTIONS) or (ROOT / "plugins" / "modules" / f"{action}.py").is_file()
