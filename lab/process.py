"""Which process is the lab: one a machine, known by a locked file."""

from __future__ import annotations

import fcntl
import os
from typing import IO

from lab import settings


class AlreadyRunningError(RuntimeError):
    """Another process is the lab."""


def lock() -> IO[str]:
    """Become the lab of this machine and write our process id.

    Returns:
        The open pid file; closing it, or the end of the process, gives the lock back.

    Raises:
        AlreadyRunningError: another process is the lab.
    """
    settings.runtime().mkdir(parents=True, exist_ok=True)
    file = settings.pid_file().open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise AlreadyRunningError(f"the lab runs already (pid {settings.pid_file().read_text().strip()})") from error
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def running() -> int | None:
    """The process id of the running lab, None if there is none."""
    try:
        with settings.pid_file().open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return int(settings.pid_file().read_text() or 0)
    return None
