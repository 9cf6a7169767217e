"""Jinja filter that compares a restored database with the manifest of its backup."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.backups import compare


class FilterModule:
    """Make the filter known to Ansible."""

    def filters(self) -> dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]]:
        """Return the filters by name."""
        return {"compare_backup": compare}
