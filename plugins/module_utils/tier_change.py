"""What the run of another tier would leave behind.

A role keeps what its tier has and takes nothing away that only another tier has: a database's storage cannot shrink, a
subnet with instances cannot go, a single instance's disk holds the data. What a run leaves so is paid for and kept by
nobody, so a tier that is not a larger one of the same kind is refused before anything is touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

FLOW = frozenset({"", "environment", "release"})
"""Layers of what every tier has: what roles of the flow have made, and what no role has."""

SHOWN = 3
"""How many resources of a layer are named."""


def left_behind(stack: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return what is there and the wanted tier has no place for, a line for each layer, none when it has room for all.

    :param stack: what :func:`plugins.module_utils.discovery.discover` returned.
    :param wanted: of the tier's data ``layers``, ``compute_kind``, ``network_private_subnet_cidrs``, ``storage_images``
        and ``storage_logs``.
    """
    lines = [f"{layer}: {_few(found)}" for layer, found in _layers(stack, wanted["layers"])]
    return [*lines, *_parts(stack, wanted)]


def _layers(stack: Mapping[str, Any], layers: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the layers that the tier does not have, each with what there is of it."""
    found: dict[str, list[str]] = {}
    for entry in stack["resources"]:
        if entry["layer"] not in FLOW and entry["layer"] not in layers:
            found.setdefault(entry["layer"], []).append(f"{entry['type']} {entry['id']}")
    yield from sorted(found.items())


def _parts(stack: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """Yield what there is of layers that both tiers have and the wanted one has less of."""
    network, compute, storage = stack["network"], stack["compute"], stack["storage"]
    ways_out = [f"NAT gateway {each}" for each in network["nat_gateway_ids"]]
    private = [*ways_out, *(f"private subnet {each}" for each in network["private_subnet_ids"])]
    if private and not wanted["network_private_subnet_cidrs"]:
        yield f"network: {_few(private)}"
    group = compute["auto_scaling_group"]
    if group and wanted["compute_kind"] == "instance":
        yield f"compute: Auto Scaling group {group}"
    single = [f"instance {each['id']} with its disk" for each in compute["instances"] if not group]
    if single and wanted["compute_kind"] == "auto_scaling_group":
        yield f"compute: {_few([*single, *([compute['elastic_ip']] if compute['elastic_ip'] else [])])}"
    for kind in ("images", "logs"):
        if storage[f"{kind}_bucket"] and not wanted[f"storage_{kind}"]:
            yield f"storage: bucket {storage[f'{kind}_bucket']}"


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
