"""What a fault has taken away for a while: its reconciler leaves it alone until the time is over."""

from __future__ import annotations

import time
from pathlib import Path

from lab import settings


def _mark(container: str) -> Path:
    return settings.runtime() / "lost" / container


def hold(container: str, seconds: float) -> None:
    """Keep a container from being started again for some seconds."""
    mark = _mark(container)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(str(time.time() + seconds))


def holds(container: str) -> bool:
    """Tell whether a container is to stay lost."""
    try:
        until = float(_mark(container).read_text())
    except FileNotFoundError:
        return False
    if time.time() < until:
        return True
    _mark(container).unlink(missing_ok=True)
    return False
