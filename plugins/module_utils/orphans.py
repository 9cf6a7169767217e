"""Whether a task still has a run that waits for it."""

from __future__ import annotations

import multiprocessing
import os


def orphaned() -> bool:
    """Whether Ansible, whose workers go on when it is killed, is gone."""
    parent = multiprocessing.parent_process()
    return parent is not None and parent.pid != os.getppid()
