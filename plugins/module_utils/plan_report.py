"""A plan in words: which resources a run would create, change and delete."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from plugins.module_utils.planning import KNOWN_AFTER_APPLY

#: Raise it when the file that ``-e out=`` writes changes.
FORMAT = 1
SIGNS = {"create": "+", "change": "~", "delete": "-"}
_LONGEST = 100


SETS = frozenset({"alarm", "function", "queue"})
"""Kinds of which one task keeps all; its fields begin with the name of one."""


@dataclass(frozen=True)
class Line:
    """One resource that a run would change."""

    action: str
    layer: str
    kind: str
    name: str
    host: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


def lines_of(layer: str, task: str, item: str, host: str, plan: Mapping[str, Any]) -> Iterator[Line]:
    """Yield the resources of one changed task, or item of its loop."""
    kind, name = plan["kind"], plan["name"].replace(KNOWN_AFTER_APPLY, "").strip()
    before, after = plan["before"], plan["after"]
    if kind in SETS:
        for each in sorted({path.partition(".")[0] for path in (*before, *after)}):
            old, new = (
                {path.partition(".")[2]: value for path, value in side.items() if path.partition(".")[0] == each}
                for side in (before, after)
            )
            action = "change" if old and new else "create" if new else "delete"
            yield Line(action, layer, kind, each, host, old, new)
        return
    # A task of an ordinary module is told by its own name: "Present | Make the SSH key".
    kind = kind or task.rpartition("| ")[2]
    yield Line(plan["action"], layer, kind, name or item, host, before, after)


def merged(lines: Iterable[Line]) -> list[Line]:
    """Return one line a resource: later steps with what the run creates belong to its creation."""
    found: dict[tuple[str, str, str], Line] = {}
    for line in lines:
        key = (line.kind, line.name, line.host)
        earlier = found.get(key)
        if earlier is None:
            # A step with something that has no name yet is one with what an earlier task creates.
            if line.name or line.action == "create" or line.before:
                found[key] = line
        elif earlier.action == "change":
            found[key] = replace(
                earlier,
                # A part of what is there may be made.
                action="change" if line.action == "create" else line.action,
                before={**earlier.before, **line.before},
                after={**earlier.after, **line.after},
            )
    return list(found.values())


def counts(lines: Sequence[Line]) -> dict[str, int]:
    """Return how many resources each action concerns."""
    counted = Counter(line.action for line in lines)
    return {action: counted[action] for action in SIGNS}


def cost(lines: Sequence[Line], basis: Mapping[str, Any]) -> dict[str, float]:
    """Return a month's cost before and after, in USD."""
    alarms = Counter(line.action for line in lines if line.kind == "alarm")
    prices = basis["cost"]
    more = (alarms["create"] - alarms["delete"]) * prices["alarm"]
    return {"before": prices["before"], "after": round(prices["after"] + more, 2)}


def as_data(lines: Sequence[Line], basis: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan as JSON says it."""
    return {
        "format": FORMAT,
        **{key: basis[key] for key in ("environment", "tier", "region", "fingerprint")},
        "changes": [asdict(line) for line in lines],
        "counts": counts(lines),
        "cost": cost(lines, basis),
    }


def as_text(lines: Sequence[Line], basis: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the plan as people read it: each line with the action that it tells of, or an empty one."""
    width = max((len(line.layer) for line in lines), default=0)
    for line in lines:
        where = "" if line.host == "localhost" else f"  on {line.host}"
        what = f"{line.kind} {line.name}".strip()
        yield f"{SIGNS[line.action]} {line.action}  {line.layer:<{width}}  {what}{where}", line.action
        if line.action == "change":
            for field in {**line.before, **line.after}:
                old, new = (_said(side, field) for side in (line.before, line.after))
                yield f"    {field}: {old} → {new}", line.action
    counted = counts(lines)
    if any(counted.values()):
        yield "", ""
        said = f"{counted['create']} to create, {counted['change']} to change, {counted['delete']} to delete"
    else:
        said = "nothing to do"
    yield f"{basis['environment']}, tier {basis['tier']} in {basis['region']}: {said}", ""
    money = cost(lines, basis)
    if money["before"] != money["after"]:
        yield f"cost: ${money['before']:.2f} → ${money['after']:.2f} a month before traffic", ""
    else:
        yield f"cost: ${money['after']:.2f} a month before traffic, as now", ""


def _said(fields: Mapping[str, Any], name: str) -> str:
    if name not in fields:
        return "nothing"
    value = fields[name]
    if isinstance(value, list) and all(isinstance(part, dict) and "IpProtocol" in part for part in value):
        value = "; ".join(rule for part in value for rule in _rules(part))
    text = value if isinstance(value, str) and value else json.dumps(value, default=str)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _rules(permission: Mapping[str, Any]) -> Iterator[str]:
    """Say what a rule of a security group allows, as ``tcp 22 0.0.0.0/0``."""
    ports = sorted({permission[key] for key in ("FromPort", "ToPort") if key in permission})
    what = " ".join([permission["IpProtocol"].replace("-1", "all"), "-".join(map(str, ports))]).strip()
    peers = {
        "IpRanges": "CidrIp",
        "Ipv6Ranges": "CidrIpv6",
        "PrefixListIds": "PrefixListId",
        "UserIdGroupPairs": "GroupId",
    }
    for key, field in peers.items():
        for peer in permission.get(key, ()):
            yield f"{what} {peer.get(field, KNOWN_AFTER_APPLY)}"
