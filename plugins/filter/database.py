"""Filters of the verbs that work with the database."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.backups import compare


def serving_host(stack: Mapping[str, Any]) -> str:
    """Return the id of a running instance, a healthy one if there is one; empty when none runs."""
    running = [each for each in stack["compute"]["instances"] if each["state"] == "running"]
    running.sort(key=lambda each: (each["health"] not in ("healthy", ""), each["id"]))
    return str(running[0]["id"]) if running else ""


class FilterModule:
    """Make the filters known to Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"compare_backup": compare, "serving_host": serving_host}
