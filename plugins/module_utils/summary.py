"""The state of an environment as lines that a person can read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
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
    stack: Mapping[str, Any],
    name: str,
    url: str,
    prices: Mapping[str, Any],
    prices_region: str,
    volume_gb: float,
    seen: Mapping[str, Any] | None = None,
) -> list[str]:
    """Describe what exists, where it answers, what runs on it and what it costs.

    :param stack: what :func:`plugins.module_utils.discovery.discover` returned.
    :param name: the environment's name, e.g. ``vahanhelp-prod``.
    :param seen: what was asked besides, all of it optional: ``hosts`` (by instance id, what
        plugins/remote/host_report.py says, or ``error``), ``lock`` (who holds it) and ``deployment`` (the record of
        the last one).
    """
    seen = seen or {}
    if not stack["resources"]:
        return [f"{name}: nothing exists in {stack['region']} (account {stack['account_id']})", *_retained(stack)]
    lines = [
        f"{name}: tier {stack['tier'] or 'unknown'} in {stack['region']}, account {stack['account_id']}",
        _line("url", url or "nothing answers yet"),
        _line("release", stack["release"] or "none approved yet"),
    ]
    lines += _last_deployment(seen.get("deployment") or {})
    lines += _maintenance(stack)
    lines += [_line("lock", seen["lock"])] if seen.get("lock") else []
    lines += _functions(stack) or _services(stack) or _instances(stack, seen.get("hosts") or {})
    lines += _alarms(stack)
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


def _last_deployment(entry: Mapping[str, Any]) -> list[str]:
    """Name the last run that brought a release into service."""
    if not entry:
        return []
    moved = entry.get("from") != entry.get("to")
    way = f"{entry['from']} → {entry['to']}" if moved and entry.get("from") else entry.get("to")
    time = str(entry["time"]).replace("+00:00", "Z")
    return [_line("deployed", f"{time} by {entry['who']}: {entry['verb']} {way}")]


def age(since: str, now: datetime | None = None) -> str:
    """Return how long ago a time (ISO 8601) is, e.g. ``3 h``; ``-`` when it is not known.

    >>> age("2026-11-22T12:00:00+00:00", datetime(2026, 11, 25, 13, tzinfo=UTC))
    '3 d'
    """
    if not since:
        return "-"
    seconds = max(0, int(((now or datetime.now(UTC)) - datetime.fromisoformat(since)).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _functions(stack: Mapping[str, Any]) -> list[str]:
    """Say which functions answer, and which releases have how many of the requests; nothing where instances do."""
    api = stack["api"]
    if not api["function_names"]:
        return []
    shares = ", ".join(f"{percent} % {release}" for release, percent in api["releases"].items())
    return [
        _line("functions", ", ".join(api["function_names"])),
        _line("requests", shares or "no release is in service"),
    ]


def _services(stack: Mapping[str, Any]) -> list[str]:
    """Say which services run as containers, in which version, and how their last deployment went."""
    services: Sequence[Mapping[str, Any]] = stack["containers"]["services"]
    width = max((len(each["name"]) for each in services), default=0)
    lines = []
    for number, each in enumerate(services):
        state = "" if each["deployment"] == "COMPLETED" else f", deployment {each['deployment'] or 'unknown'}"
        tasks = f"{each['running']} of {each['desired']} tasks{state}"
        text = f"{each['name'].ljust(width)}  {each['version'] or '-'}  {tasks}"
        lines.append(_line("services" if number == 0 else "", text))
    return lines


def _instances(stack: Mapping[str, Any], hosts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a table of the instances; with what the hosts say of themselves when they were asked."""
    instances: Sequence[Mapping[str, Any]] = stack["compute"]["instances"]
    if not instances:
        return [_line("instances", "none")]
    rows = [["instance", "type", "zone", "address", "health", "age"]]
    if hosts:
        rows[0] += ["release", "CPU", "memory"]
    for instance in instances:
        host = hosts.get(instance["id"], {})
        row = [instance[key] for key in ("id", "type", "availability_zone", "private_address")]
        row += [_health(stack, instance, host), age(instance["launched"])]
        if hosts:
            row += [host.get("release") or "-", _percent(host.get("cpu_percent")), _memory(host)]
        rows.append(row)
    lines = []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        lines.append(_line("instances" if number == 0 else "", text))
    unheard = {name: host["error"] for name, host in hosts.items() if "error" in host}
    lines += [_line("", f"{name} does not say how it is: {reason}") for name, reason in unheard.items()]
    return lines


def _health(stack: Mapping[str, Any], instance: Mapping[str, Any], host: Mapping[str, Any]) -> str:
    """Return what the load balancer finds; without one, what the host's own health check answers if it was asked."""
    if stack["load_balancer"]["target_group_arn"]:
        return str(instance["health"] or "not registered")
    if "health" not in host:
        return str(instance["state"])
    status = host["health"]["status"]
    return "healthy" if status == 200 else f"answers {status}" if status else "no answer"


def _percent(value: int | None) -> str:
    return "-" if value is None else f"{value} %"


def _memory(host: Mapping[str, Any]) -> str:
    memory = host.get("memory")
    return _percent(round(100 * memory["used"] / memory["total"]) if memory else None)


def _alarms(stack: Mapping[str, Any]) -> list[str]:
    """Name the alarms that have gone off."""
    monitoring = stack["monitoring"]
    if not monitoring["alarm_names"]:
        return []
    if not monitoring["alarms"]:
        return [_line("alarms", f"none of {len(monitoring['alarm_names'])} has gone off")]
    return [
        _line("alarms" if number == 0 else "", f"{alarm['name']} for {age(alarm['since'])}: {alarm['reason']}")
        for number, alarm in enumerate(monitoring["alarms"])
    ]


def _data(stack: Mapping[str, Any]) -> list[str]:
    lines = []
    if stack["image"]["ami_id"]:
        lines.append(_line("image", f"{stack['image']['ami_id']} {stack['image']['name']}"))
    database = stack["database"]
    if database["identifier"]:
        standby = "with a standby" if database["multi_az"] else "without a standby"
        if database["source_arn"]:
            _arn, _aws, _rds, region, *_rest, source = database["source_arn"].split(":")
            standby = f"follows {source} in {region}"
        kind = f"PostgreSQL {database['engine_version']} {database['instance_class']} {standby}"
        size = f"{database['allocated_storage']} GB"
        lines.append(_line("database", f"{database['identifier']} {kind}, {size}, {database['status']}"))
    lines += [_line("", f"{kept['identifier']} was replaced and is kept, and charged for") for kept in database["kept"]]
    replica = database["replica"]
    if replica["identifier"]:
        kind = f"read replica, {replica['instance_class']}, {replica['status']}"
        lines.append(_line("", f"{replica['identifier']} {kind}"))
    cache = stack["cache"]
    if cache["identifier"]:
        kind = f"Valkey {cache['engine_version']} {cache['nodes']} x {cache['node_type']}"
        lines.append(_line("cache", f"{cache['identifier']} {kind}, {cache['status']}"))
    return lines + _queues(stack["queue"]["messages"])


def _queues(messages: Mapping[str, int]) -> list[str]:
    """Say where messages wait, those of dead letters too."""
    if not messages:
        return []
    waiting = ", ".join(f"{name} {count}" for name, count in messages.items() if count)
    return [_line("queues", f"messages wait: {waiting}" if waiting else f"none of {len(messages)} has messages")]


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
