"""Filters for a rolling deployment; the work is in plugins/module_utils."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.rollout import batches, error, failure_lines, said, summary_lines, trouble


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them."""
        return {
            "rollout_batches": batches,
            "rollout_error": error,
            "rollout_failures": failure_lines,
            "rollout_said": said,
            "rollout_summary": summary_lines,
            "rollout_trouble": trouble,
        }
