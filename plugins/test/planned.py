"""The test ``planned``: whether a value is one that only the run will know."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.planning import is_planned


class TestModule:
    """The tests by name."""

    def tests(self) -> dict[str, Callable[[Any], bool]]:
        """Return them."""
        return {"planned": is_planned}
