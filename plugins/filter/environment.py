"""Filters that read a stack or a tier's data; the work is in plugins/module_utils."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils import costs
from plugins.module_utils.commands import command_failures, command_lines
from plugins.module_utils.convergence import drift_lines
from plugins.module_utils.diagnosis import diagnose, unchecked
from plugins.module_utils.summary import public_url, summary
from plugins.module_utils.tier_change import left_behind


def tier_cost(tier: Mapping[str, Any], prices: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a tier's data costs a month: ``total`` in USD and its ``lines``."""
    lines = costs.bill(costs.tier_demands(tier), prices)
    return {
        "total": round(costs.total(lines), 2),
        "lines": [{"name": line.name, "quantity": line.quantity, "usd": line.usd} for line in lines],
        "unpriced": costs.unpriced(lines),
    }


def planned_cost(
    stacks: Sequence[Mapping[str, Any]],
    wanted: Mapping[str, Any],
    prices: Mapping[str, Mapping[str, Any]],
    writing: int = 0,
) -> dict[str, float]:
    """Return a month's cost in USD of what is there (``before``) and of what a run makes of it (``after``).

    New alarms are not in ``after``: each costs ``alarm``.

    :param stacks: what there is in each region.
    :param writing: which of them has the database that takes the writes.
    """
    volume = float(wanted["compute_volume_size"])
    regions = [costs.in_region(wanted, number, writing) for number in range(len(stacks))]
    before = [line for stack in stacks for line in costs.bill(costs.stack_demands(stack, volume), prices)]
    after = [
        line
        for stack, region in zip(stacks, regions, strict=True)
        for line in costs.bill(costs.planned_demands(stack, region, volume), prices)
    ]
    return {
        "before": round(costs.total(before), 2),
        "after": round(costs.total(after), 2),
        "alarm": float(prices["alarm"]["usd"]),
    }


def diagnosis(facts: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return ``findings``, each with its mend, and what was left ``unchecked``, with the reason."""
    return {"findings": list(map(str, diagnose(facts))), "unchecked": unchecked(facts)}


def plan_mismatch(found: Mapping[str, Any], planned: Mapping[str, Any]) -> list[str]:
    """Say what differs between the fingerprints of what is there and of what a plan was made from."""
    inputs = ["the inputs (variables, code, sources or keys)"] if found["inputs"] != planned["inputs"] else []
    now, then = found["state"], planned["state"]
    layers = sorted(layer for layer in {*now, *then} if now.get(layer) != then.get(layer))
    return inputs + [f"the layer {layer or 'without a name'}" for layer in layers]


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them."""
        return {
            "public_url": public_url,
            "environment_summary": summary,
            "tier_cost": tier_cost,
            "drift_lines": drift_lines,
            "planned_cost": planned_cost,
            "plan_mismatch": plan_mismatch,
            "left_behind": left_behind,
            "diagnosis": diagnosis,
            "command_lines": command_lines,
            "command_failures": command_failures,
        }
