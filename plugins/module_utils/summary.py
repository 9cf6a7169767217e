"""The state of an environment as lines that a person can read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from plugins.module_utils import costs

_MARGIN = 12


def public_url(stack: Mapping[str, Any], domain: str = "") -> str:
    """Return where an environment answers; empty when nothing of it does yet.

    With a content delivery network in front that is HTTPS; a tier without one has no certificate.
    """
    edge = stack["edge"]["domain_name"]
    balancer = stack["load_balancer"]
    if edge:
        return f"https://{domain or edge}"
    if balancer["dns_name"]:
        scheme = "https" if "https" in balancer["listener_arns"] else "http"
        return f"{scheme}://{domain or balancer['dns_name']}"
    if stack["compute"]["elastic_ip"]:
        return f"http://{domain or stack['compute']['elastic_ip']}"
    return ""


def summary(
    stack: Mapping[str, Any], name: str, url: str, prices: Mapping[str, Any], prices_region: str, volume_gb: float
) -> list[str]:
    """Describe what exists, where it answers, what runs on it and what it costs.

    :param stack: what :func:`plugins.module_utils.discovery.discover` returned.
    :param name: the environment's name, e.g. ``vahanhelp-prod``.
    """
    if not stack["resources"]:
        return [f"{name}: nothing exists in {stack['region']} (account {stack['account_id']})", *_retained(stack)]
    lines = [
        f"{name}: tier {stack['tier'] or 'unknown'} in {stack['region']}, account {stack['account_id']}",
        _line("url", url or "nothing answers yet"),
        _line("release", stack["release"] or "none approved yet"),
    ]
    lines += _maintenance(stack)
    lines += _instances(stack)
    lines += _data(stack)
    layers = Counter(entry["layer"] or "other" for entry in stack["resources"])
    counted = ", ".join(f"{layer} {count}" for layer, count in sorted(layers.items()))
    lines.append(_line("resources", f"{len(stack['resources'])} ({counted})"))
    lines += _cost(stack, prices, prices_region, volume_gb)
    lines += _retained(stack)
    return lines


def _maintenance(stack: Mapping[str, Any]) -> list[str]:
    """Say that visitors get no application: whoever reads this may not be the one who wanted it."""
    found = stack["maintenance"]
    if not found["on"]:
        return []
    since = f" since {found['since']}" if found["since"] else ""
    text = f"on{since}: {found['message']} (ends with playbooks/maintenance.yml -e maintenance=off)"
    return [_line("maintenance", text)]


def _line(label: str, text: str) -> str:
    return f"  {label:<{_MARGIN}}{text}"


def _instances(stack: Mapping[str, Any]) -> list[str]:
    instances: Sequence[Mapping[str, Any]] = stack["compute"]["instances"]
    if not instances:
        return [_line("instances", "none")]
    behind = bool(stack["load_balancer"]["target_group_arn"])
    lines = []
    for number, instance in enumerate(instances):
        health = (instance["health"] or "not registered") if behind else instance["state"]
        place = f"{instance['type']} {instance['availability_zone']} {instance['private_address']}"
        lines.append(_line("instances" if number == 0 else "", f"{instance['id']} {place} {health}"))
    return lines


def _data(stack: Mapping[str, Any]) -> list[str]:
    lines = []
    if stack["image"]["ami_id"]:
        lines.append(_line("image", f"{stack['image']['ami_id']} {stack['image']['name']}"))
    database = stack["database"]
    if database["identifier"]:
        standby = "with a standby" if database["multi_az"] else "without a standby"
        kind = f"PostgreSQL {database['engine_version']} {database['instance_class']} {standby}"
        size = f"{database['allocated_storage']} GB"
        lines.append(_line("database", f"{database['identifier']} {kind}, {size}, {database['status']}"))
    return lines


def _cost(stack: Mapping[str, Any], prices: Mapping[str, Any], prices_region: str, volume_gb: float) -> list[str]:
    bill = costs.bill(costs.stack_demands(stack, volume_gb), prices)
    oldest = min((str(prices[line.price]["read"]) for line in bill if line.usd is not None), default="")
    missing = costs.unpriced(bill)
    least = "at least " if missing else ""
    amount = f"{least}${costs.total(bill):.2f} a month before traffic ({prices_region} prices, oldest of {oldest})"
    lines = [_line("cost", amount)]
    lines += [_line("", f"{line.quantity:g} x {line.name}: ${line.usd:.2f}") for line in bill if line.usd is not None]
    if missing:
        lines.append(_line("", f"no price in group_vars/all/prices.yml: {', '.join(missing)}"))
    return lines


def _retained(stack: Mapping[str, Any]) -> list[str]:
    return [
        _line("kept" if number == 0 else "", f"{entry['service']} {entry['type']} {entry['id']}")
        for number, entry in enumerate(stack["retained"])
    ]
