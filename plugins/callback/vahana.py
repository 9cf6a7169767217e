"""Ansible's default output with less around what a person wants to read."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible import constants
from ansible.plugins.callback.default import CallbackModule as DefaultCallback

if TYPE_CHECKING:
    from ansible.executor.stats import AggregateStats
    from ansible.executor.task_result import CallbackTaskResult
    from ansible.playbook import Playbook
    from ansible.playbook.included_file import IncludedFile
    from ansible.playbook.play import Play
    from ansible.playbook.task import Task

DOCUMENTATION = r"""
name: vahana
type: stdout
short_description: One line a change, one line a problem, the summary as plain text
description:
  - Prints a line for each task that changed something, and for each that failed its message alone, line by line.
  - Tasks that found everything as it should be are counted in the recap and not shown, nor are plays without a task.
  - Messages of C(debug) are printed as they are.
  - While a task lasts whose vars have one that ends in C(_usual), it says twice a minute how long that usually takes.
  - With C(-v) or more it prints exactly what the default callback does.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
"""

PLAN = Path(__file__).resolve().parents[2] / "playbooks/plan.yml"
#: How much of a failed program's last words is shown.
_LAST_LINES = 50
_WAIT_LINE_SECONDS = 30
_USUAL = "_usual"
_HIDDEN = "failed; why is hidden, for it may hold a secret: -e <role>_no_log=false shows it, secrets and all"


def message_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a failed result has to say, line by line: its message, and the program's output if there was one."""
    # What callbacks are given has no `failed`; a failed item has an exception, and only such a one.
    items = [item for item in result.get("results", ()) if isinstance(item, dict)]
    failed = [item for item in items if item.get("failed") or "exception" in item]
    if failed:
        for item in failed:
            yield from message_lines(item)
        return
    said = [line for line in str(result.get("msg", "")).splitlines() if line.strip()]
    yield from said or [_HIDDEN if "censored" in result else "failed without a message; run again with -v"]
    for stream in ("stderr", "stdout", "module_stderr", "module_stdout"):
        words = str(result.get(stream, "")).strip()
        if words:
            yield from words.splitlines()[-_LAST_LINES:]
            return


class _Wait:
    """Says every half minute what is waited for, since when, and how long that usually takes."""

    def __init__(self, say: Callable[[str], None], name: str, usual: str) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(say, name, usual), daemon=True)
        self._thread.start()

    def _run(self, say: Callable[[str], None], name: str, usual: str) -> None:
        began = time.monotonic()
        while not self._over.wait(_WAIT_LINE_SECONDS):
            say(f"waiting: {name} ({time.monotonic() - began:.0f} s; usually {usual})")

    def end(self) -> None:
        """Say no more."""
        self._over.set()
        self._thread.join()


class CallbackModule(DefaultCallback):  # type: ignore[misc]
    """The default callback with other words for what happened."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "vahana"

    def __init__(self) -> None:
        super().__init__()
        #: Of each task that is tried again: when that began and when a line was last printed, in seconds.
        self._waits: dict[str, tuple[float, float]] = {}
        #: The task that takes long, if one runs.
        self._wait: _Wait | None = None
        #: The play that has begun and done nothing yet.
        self._silent: Play | None = None

    def v2_playbook_on_start(self, playbook: Playbook) -> None:
        """Become a dry run, with the callback that prints it, where the playbook is the plan."""
        if Path(playbook._file_name).resolve() == PLAN:
            # What this process would do at its end, because it has none: temporary folders go.
            atexit._run_exitfuncs()
            for stream in (0, 1, 2):
                # Ansible keeps them from its children.
                os.set_inheritable(stream, True)
            os.execve(
                sys.executable,
                [sys.executable, *sys.argv, "--check", "--diff"],
                {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "plan"},
            )
        super().v2_playbook_on_start(playbook)

    def v2_playbook_on_play_start(self, play: Play) -> None:
        """Name the play when it does something: many have no hosts, or end at once."""
        if not self._plain:
            super().v2_playbook_on_play_start(play)
            return
        self._play, self._silent = play, play

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """Print nothing of a play that has nothing to do."""
        if not self._plain:
            super().v2_playbook_on_no_hosts_matched()

    def v2_playbook_on_task_start(self, task: Task, is_conditional: bool) -> None:
        """Begin to say what is waited for, if that is known to take long."""
        self._end_wait()
        if self._silent and task.action not in constants._ACTION_META:
            super().v2_playbook_on_play_start(self._silent)
            self._silent = None
        usual = next((str(value) for name, value in task.vars.items() if name.endswith(_USUAL)), "")
        if usual and self._plain:
            self._wait = _Wait(self._display.display, task.get_name().strip(), usual)
        super().v2_playbook_on_task_start(task, is_conditional)

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        """Print the recap."""
        self._end_wait()
        super().v2_playbook_on_stats(stats)

    def _end_wait(self) -> None:
        if self._wait:
            self._wait.end()
            self._wait = None

    @property
    def _plain(self) -> bool:
        return not self._display.verbosity

    def _print_task_banner(self, task: Any) -> None:
        if not self._plain:
            super()._print_task_banner(task)

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        """Print the message alone: which task of which role it was matters to a person reading the code, with -v."""
        if not self._plain:
            super().v2_runner_on_failed(result, ignore_errors=ignore_errors)
            return
        color = constants.COLOR_SKIP if ignore_errors else constants.COLOR_ERROR
        where = "" if result.host.get_name() == "localhost" else f"[{self.host_label(result)}] "
        word = "ignored" if ignore_errors else "error"
        for line in message_lines(result.result):
            self._display.display(f"{word}: {where}{line}", color=color, stderr=not ignore_errors)

    def v2_runner_item_on_failed(self, result: CallbackTaskResult) -> None:
        """Leave it to the whole task's result, which has every item's message."""
        if not self._plain:
            super().v2_runner_item_on_failed(result)

    def v2_runner_retry(self, result: CallbackTaskResult) -> None:
        """Say what is waited for and since when, at first and then every half minute."""
        if not self._plain:
            super().v2_runner_retry(result)
            return
        if self._wait:
            return
        now = time.monotonic()
        began, said = self._waits.get(result.task._uuid, (now, now - _WAIT_LINE_SECONDS))
        if now - said >= _WAIT_LINE_SECONDS:
            said = now
            since = f" ({now - began:.0f} s)" if now > began else ""
            self._display.display(f"waiting: [{self.host_label(result)}] {result.task.get_name().strip()}{since}")
        self._waits[result.task._uuid] = began, said

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        """Print the reason alone."""
        if not self._plain:
            super().v2_runner_on_unreachable(result)
            return
        for line in message_lines(result.result):
            self._display.display(
                f"unreachable: [{self.host_label(result)}] {line}", color=constants.COLOR_UNREACHABLE, stderr=True
            )

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        """Print changes, and what debug has to say."""
        if not self._plain:
            super().v2_runner_on_ok(result)
            return
        if result.task.action in ("debug", "ansible.builtin.debug") and "msg" in result.result:
            said = result.result["msg"]
            for line in said if isinstance(said, list) else str(said).splitlines():
                self._display.display(str(line))
            return
        if result.result.get("changed") and not isinstance(result.result.get("results"), list):
            self._changed(result, "")

    def v2_runner_item_on_ok(self, result: CallbackTaskResult) -> None:
        """Print an item that changed."""
        if not self._plain:
            super().v2_runner_item_on_ok(result)
        elif result.result.get("changed"):
            self._changed(result, f" ({self._get_item_label(result.result)})")

    def v2_playbook_on_include(self, included_file: IncludedFile) -> None:
        """Print nothing: which file a task stands in matters to a person reading the code."""
        if not self._plain:
            super().v2_playbook_on_include(included_file)

    def _changed(self, result: CallbackTaskResult, item: str) -> None:
        line = f"changed: [{self.host_label(result)}] {result.task.get_name().strip()}{item}"
        self._display.display(line, color=constants.COLOR_CHANGED)
