"""Filters that read a stack or a tier's data; the work is in plugins/module_utils."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils import costs
from plugins.module_utils.summary import public_url, summary


def tier_cost(tier: Mapping[str, Any], prices: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a tier's data costs a month: ``total`` in USD and its ``lines``."""
    lines = costs.bill(costs.tier_demands(tier), prices)
    return {
        "total": round(costs.total(lines), 2),
        "lines": [{"name": line.name, "quantity": line.quantity, "usd": line.usd} for line in lines],
        "unpriced": costs.unpriced(lines),
    }


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them."""
        return {"public_url": public_url, "environment_summary": summary, "tier_cost": tier_cost}
