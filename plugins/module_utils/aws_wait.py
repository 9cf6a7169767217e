"""Waiting on the controller for something of AWS, with a word now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ansible.utils.display import Display

from plugins.module_utils.aws_action import AwsAction

SECONDS_A_MINUTE = 60

display = Display()


def elapsed(seconds: float) -> str:
    """Return a duration in seconds as people say it, for example ``4 min 05 s``."""
    minutes, rest = divmod(int(seconds), SECONDS_A_MINUTE)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def waits(timeout: int | None, poll: float, report: float) -> dict[str, dict[str, Any]]:
    """Return the arguments that everything that waits takes.

    :param timeout: the longest time to wait unless told otherwise, in seconds; None when it must be told.
    :param poll: seconds between two looks.
    :param report: seconds between two lines while nothing changes.
    """
    return {
        "timeout": {"type": "int", "required": True} if timeout is None else {"type": "int", "default": timeout},
        "poll_seconds": {"type": "float", "default": poll},
        "report_seconds": {"type": "float", "default": report},
    }


@dataclass(frozen=True)
class Progress:
    """How far it is.

    :param done: it is as wanted.
    :param text: the same for a person: who waits sees each change of it.
    :param obstacle: why it will not come there by itself, and what mends that; empty when nothing is in the way.
    :param detail: what else is said beside the time: how long it usually takes, a part of a hundred.
    :param results: what the task returns when it is done.
    """

    done: bool
    text: str
    obstacle: str = ""
    detail: str = ""
    results: dict[str, Any] = field(default_factory=dict)


class AwsWait(AwsAction):
    """Look again and again until it is as wanted. In check mode nothing was changed that would be worth waiting for."""

    goes_on: ClassVar[str] = "run the same command again to go on waiting"
    """What becomes of it when nobody waits any longer, or where one sees why; with arguments of the task in braces."""

    def looks(self, arguments: dict[str, Any]) -> Callable[[], Progress]:
        """Return what says how far it is now, each time it is called."""
        raise NotImplementedError

    def ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Wait, and return ``waited_seconds`` with the results of the last look."""
        if self._task.check_mode:
            return {"waited_seconds": 0}
        began = reported = time.monotonic()
        look, said = self.looks(arguments), ""
        while True:
            found, now = look(), time.monotonic()
            if found.done:
                return {"waited_seconds": int(now - began), **found.results}
            if found.obstacle:
                return {"failed": True, "msg": f"{found.text}; {found.obstacle}"}
            if now - began >= arguments["timeout"]:
                later = self.goes_on.format(**arguments)
                return {"failed": True, "msg": f"{found.text}, not done after {elapsed(now - began)}; {later}"}
            if found.text != said or now - reported >= arguments["report_seconds"]:
                said, reported = found.text, now
                beside = "; ".join(filter(None, (elapsed(now - began), found.detail)))
                display.display(f"{said} ({beside})")
            time.sleep(arguments["poll_seconds"])
