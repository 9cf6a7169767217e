"""Holds the keeper of the lock and of the history for as long as the playbook runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

ROOT = Path(__file__).resolve().parents[2]

DOCUMENTATION = r"""
name: keeper
type: aggregate
short_description: Releases the lock and writes the history at the end of a run
description:
  - Starts plugins/keeper.py when a task has taken the lock (role lock), and tells it at the end how the run went.
  - Starts it again when it is killed. A run whose keeper cannot be kept alive stops at its next task.
  - It needs not be enabled, because a lock that nobody releases is worse than none.
"""

_LOCK_ACTION = "environment_lock"
_RELEASE_FACT = "deploy_release"
_ERROR_CHARACTERS = 300
_COMMAND = [sys.executable, "-m", "plugins.keeper"]
_MOST_KEEPERS = 3


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Hears of the lock, of failures and of the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "keeper"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self) -> None:
        super().__init__()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()
        self._ending = False
        self._lost = ""
        self._release = ""
        self._error = ""

    def v2_runner_on_ok(self, result: Any) -> None:
        """Start the keeper once there is something to keep, and note which release the run is about."""
        self._release = (result.result.get("ansible_facts") or {}).get(_RELEASE_FACT, self._release)
        order = result.result.get("order") if result.task.action == _LOCK_ACTION else None
        if not order or self._keeper:
            return
        self._keeper = self._start(order)
        threading.Thread(target=self._watch, args=(self._keeper, order), daemon=True).start()

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Remember the first failure's message."""
        if not ignore_errors and not self._error:
            self._error = " ".join(str(result.result.get("msg", "")).split())[:_ERROR_CHARACTERS]

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Remember it if it is the first."""
        self.v2_runner_on_failed(result)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Stop when the lock is lost: two runs at once is what it is there against."""
        if not self._keeper:
            return
        lost = self._lost or self._heard()
        if lost:
            self._display.error(f"the lock is not ours any more, so this run stops here: {lost}")
            raise KeyboardInterrupt

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Say how it went, and wait until that is written and the lock is free."""
        if not self._keeper:
            return
        with self._turn:
            self._ending = True
        of_hosts = [stats.summarize(host) for host in stats.processed]
        failed = any(host["failures"] or host["unreachable"] for host in of_hosts)
        changed = sum(host["changed"] for host in of_hosts)
        self._tell(
            self._keeper,
            {
                "result": "failed" if failed else "ok",
                "changed": changed,
                **({"error": self._error, "attempted": self._release} if failed else {}),
            },
        )
        assert self._keeper.stdin and self._keeper.stdout
        self._keeper.stdin.close()
        self._keeper.wait()
        lost = self._lost or self._heard()
        if lost:
            self._display.error(f"the lock was lost during the last task, so another run may be at work: {lost}")
        self._keeper.stdout.close()
        self._keeper = None

    def _start(self, order: dict[str, Any]) -> subprocess.Popen[bytes]:
        keeper = subprocess.Popen(
            _COMMAND,
            cwd=ROOT,
            # What could not be written is not to be tried again when it is closed.
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sys.__stderr__,
            # Ctrl-C is for the playbook; the keeper sees it by the end of the playbook.
            start_new_session=True,
        )
        assert keeper.stdout
        os.set_blocking(keeper.stdout.fileno(), False)
        self._tell(keeper, order)
        return keeper

    def _watch(self, keeper: subprocess.Popen[bytes], order: dict[str, Any]) -> None:
        """Have another keeper when one is killed, at once: one task may take longer than the lock lasts without it."""
        for left in reversed(range(_MOST_KEEPERS)):
            keeper.wait()
            with self._turn:
                if self._ending:
                    return
                how = f"the keeper of the lock has ended ({keeper.returncode})"
                if left == 0:
                    self._lost = f"{how} again and again; see the machine's log for what kills it"
                    return
                self._keeper = keeper = self._start(order)
            self._display.warning(f"{how}, another one has taken its place")

    def _heard(self) -> str:
        """Return what the keeper has said of the lock's loss; empty when it has not."""
        assert self._keeper and self._keeper.stdout
        return (self._keeper.stdout.read() or b"").decode().strip()

    def _tell(self, keeper: subprocess.Popen[bytes], what: dict[str, Any]) -> None:
        assert keeper.stdin
        try:
            keeper.stdin.write(json.dumps(what, default=str).encode() + b"\n")
        except BrokenPipeError:
            self._display.warning("the keeper of the lock has ended; the lock will expire")
