"""What a rolling deployment decides: which hosts it may touch, how many at once, and what it tells in the end.

Pure functions without Ansible and without AWS. The states are AWS's own:

* lifecycle of an instance: "Amazon EC2 Auto Scaling instance lifecycle", Amazon EC2 Auto Scaling User Guide.
* state and reason of a target: API_TargetHealth, Elastic Load Balancing API Reference. A target that the answer of
  DescribeTargetHealth does not name is :data:`ABSENT` here.
* status of an instance refresh: API_InstanceRefresh, Amazon EC2 Auto Scaling API Reference.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ABSENT = "absent"
#: How a target is that takes no requests and can be registered anew.
OUT = (ABSENT, "unused")
#: Statuses in which an instance refresh replaces instances, or is about to.
REFRESHING = ("Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking")
STANDBY = ("Standby", "EnteringStandby")
_PERCENT = re.compile(r"(\d{1,3})%")
_HUNDRED = 100

WAITS = ("drain", "switch", "health", "in service")
"""What every host goes through, and what has to be waited for however fast the rest is."""
PHASES = (*WAITS, "watch")
"""What takes time. The first batch is watched for as long as it was asked for, so that does not count as a wait."""


@dataclass(frozen=True)
class Target:
    """What the load balancer says of an instance: its state, and why in AWS's words."""

    state: str = ABSENT
    reason: str = ""


@dataclass(frozen=True)
class Sight:
    """The hosts of an environment as they are.

    :param group: name of the Auto Scaling group; empty for instances on their own.
    :param balanced: whether a load balancer stands before them.
    :param instances: lifecycle by instance id; empty for an instance on its own.
    :param targets: what the load balancer says of each target.
    :param refresh: id and status of an instance refresh that is at work, if one is.
    :param desired: how many instances the group wants; 0 where there is none.
    """

    group: str
    balanced: bool
    instances: Mapping[str, str]
    targets: Mapping[str, Target] = field(default_factory=dict)
    refresh: tuple[str, str] | None = None
    desired: int = 0

    @property
    def size(self) -> int:
        """How many hosts there should be: one that was lost counts until its successor is in service."""
        return max(len(self.hosts), self.desired)

    @property
    def starting(self) -> list[str]:
        """Instances that the group has launched and that are not in service yet."""
        return sorted(name for name, lifecycle in self.instances.items() if lifecycle.startswith("Pending"))

    @property
    def hosts(self) -> list[str]:
        """Instances that serve, or should."""
        return sorted(name for name, lifecycle in self.instances.items() if lifecycle in ("", "InService"))

    @property
    def out(self) -> list[str]:
        """Hosts that the load balancer does not send requests to because nobody told it to (any more)."""
        return [name for name in self.hosts if self.balanced and self.target(name).state in (ABSENT, "draining")]

    @property
    def healthy(self) -> list[str]:
        """Hosts that the load balancer sends requests to; without one all of them."""
        return [name for name in self.hosts if not self.balanced or self.target(name).state == "healthy"]

    @property
    def settling(self) -> bool:
        """Whether a target's first checks are not over."""
        return any(self.target(name).state == "initial" for name in self.hosts)

    def target(self, name: str) -> Target:
        """Return what the load balancer says of an instance."""
        return self.targets.get(name, Target())


def obstacles(sight: Sight) -> list[str]:
    """Say what must be over before a deployment can begin, one line each."""
    if not sight.refresh:
        return []
    refresh, status = sight.refresh
    return [
        f"an instance refresh of {sight.group} is at work ({refresh}, {status}): wait for it, or take it back with "
        f"`aws autoscaling rollback-instance-refresh --auto-scaling-group-name {sight.group}`"
    ]


def unhealthy(sight: Sight) -> list[str]:
    """Name every host that is not healthy, with the reason and what to do, one line each."""
    lines = [
        f"{name} is in standby: bring it back with `aws autoscaling exit-standby --auto-scaling-group-name "
        f"{sight.group} --instance-ids {name}`, or terminate it"
        for name, lifecycle in sorted(sight.instances.items())
        if lifecycle in STANDBY
    ]
    for name in sight.hosts:
        target = sight.target(name)
        if sight.balanced and target.state != "healthy" and name not in sight.out:
            why = f" ({target.reason})" if target.reason else ""
            lines.append(
                f"{name} is {target.state}{why}: see why with `ansible {name} -b -a 'journalctl -u backend -n 50'`, "
                f"or terminate it"
            )
    return lines


def least_healthy(floor: str, hosts: int) -> int:
    """Return how many of ``hosts`` must stay healthy; ``floor`` is a number or a share of them, as ``50%``.

    Where there is more than one host it is never none of them.

    :raises ValueError: the floor is neither.
    """
    share = _PERCENT.fullmatch(floor)
    if share and int(share[1]) <= _HUNDRED:
        least = math.ceil(hosts * int(share[1]) / _HUNDRED)
    elif floor.isdigit():
        least = int(floor)
    else:
        raise ValueError(f"'{floor}' is neither a number nor a percentage")
    return max(least, 1) if hosts > 1 else 0


def below_floor(sight: Sight, batch: Collection[str], floor: str) -> str:
    """Say why a batch cannot be taken out of service; empty when it can.

    A batch without a healthy host can always: it takes nothing away.
    """
    stay = [name for name in sight.healthy if name not in batch]
    least = least_healthy(floor, sight.size)
    if len(stay) >= least or len(stay) == len(sight.healthy):
        return ""
    ill = [name for name in sight.hosts if name not in sight.healthy]
    and_ill = f"; not healthy: {', '.join(ill)}" if ill else ""
    missing = sight.size - len(sight.hosts)
    coming = f" ({', '.join(sight.starting)})" if sight.starting else ""
    and_missing = f"; not in service yet: {missing}{coming}" if missing else ""
    return (
        f"taking {', '.join(sorted(batch))} out of service would leave {len(stay)} healthy of {sight.size} "
        f"hosts, and {least} must stay (deploy_healthy_floor={floor}){and_ill}{and_missing}; "
        f"add hosts, mend those that are not healthy, or lower the floor, and run this again: it goes on with the rest"
    )


def may_change(sight: Sight, batch: Collection[str], floor: str) -> bool:
    """Whether a batch could be taken out of service if all hosts that there should be were healthy."""
    return sight.size - len(set(batch).intersection(sight.hosts)) >= least_healthy(floor, sight.size)


def batches(value: Any) -> list[int | str]:
    """Return the sizes of batches in Ansible's notation: whole numbers and percentages.

    :param value: a list of them, or a text with commas between.
    :raises ValueError: an entry is neither, or there is none.
    """
    entries = value.split(",") if isinstance(value, str) else value if isinstance(value, Sequence) else [value]
    sizes: list[int | str] = []
    for entry in entries:
        text = str(entry).strip()
        share = _PERCENT.fullmatch(text)
        if share and 0 < int(share[1]) <= _HUNDRED:
            sizes.append(text)
        elif text.isdigit() and int(text) > 0:
            sizes.append(int(text))
        else:
            raise ValueError(f"'{text}' is neither a number of hosts nor a percentage")
    if not sizes:
        raise ValueError("there is no batch")
    return sizes


def said(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what backend-release printed as the result of a task; nothing where it printed no such thing."""
    try:
        answer = json.loads(result.get("stdout") or "null")
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def trouble(result: Mapping[str, Any]) -> dict[str, Any]:
    """Say why a task that ran backend-release did not do what it should; nothing where it did, or did not run.

    :returns: ``cause`` in one line, ``log`` with the application's last lines, and whether the host is ``unreachable``.
    """
    if result.get("unreachable"):
        cause = f"it cannot be reached: {_last_line(result.get('msg')).removeprefix('Task failed: ')}"
        return {"cause": cause, "log": [], "unreachable": True}
    if result.get("skipped") or result.get("rc") == 0:
        return {}
    answer, error = said(result), str(result.get("stderr") or "")
    if "invalid choice" in error or "unrecognized arguments" in error:
        cause = "its host tools are older than this project: run playbooks/configure.yml, or replace the instance"
    else:
        cause = answer.get("error") or _last_line(error or result.get("msg")).removeprefix("error: ")
    return {"cause": cause, "log": answer.get("log", []), "unreachable": False}


def error(result: Mapping[str, Any]) -> str:
    """Say why a task on the controller failed; nothing where it did not, or did not run."""
    return str(result.get("msg") or "no reason is given").removeprefix("Task failed: ") if result.get("failed") else ""


def _last_line(text: Any) -> str:
    lines = [line.strip() for line in str(text or "").splitlines() if line.strip()]
    return lines[-1] if lines else "no reason is given"


def failure_lines(failures: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the report of what went wrong: host, phase and cause of each, and the application's last lines."""
    lines: list[str] = []
    for failure in failures:
        line = f"{failure['host']} failed at {failure['phase']}: {failure['cause']}"
        # What holds for a whole batch is said of each of its hosts.
        if line not in lines:
            lines += [line, *(f"  | {last}" for last in failure.get("log", []))]
    return lines


def summary_lines(hosts: Mapping[str, Mapping[str, Any]], total: float) -> list[str]:
    """Return the table of a rollout: by batch how long each phase took, and the whole next to what must be waited for.

    :param hosts: by instance id, ``began`` and ``ended`` of its batch and the seconds of each of :data:`PHASES`.
    :param total: seconds from the first look to the end.
    """
    by_batch: dict[float, list[str]] = {}
    for name, times in sorted(hosts.items()):
        by_batch.setdefault(float(times["began"]), []).append(name)
    lines = [f"{'batch':<7}{'hosts':<7}{''.join(f'{phase:>12}' for phase in PHASES)}{'total':>12}"]
    sums = dict.fromkeys(PHASES, 0.0)
    for number, (began, batch) in enumerate(sorted(by_batch.items()), 1):
        # Hosts of a batch go at the same time: it takes as long as its slowest.
        slowest = {phase: max(float(hosts[name].get(phase) or 0) for name in batch) for phase in PHASES}
        ended = max(float(hosts[name]["ended"]) for name in batch)
        for phase in PHASES:
            sums[phase] += slowest[phase]
        columns = "".join(f"{slowest[phase]:>10.1f} s" for phase in PHASES)
        lines.append(f"{number:<7}{len(batch):<7}{columns}{ended - began:>10.1f} s")
    waits = sum(sums[phase] for phase in WAITS)
    lines.append(f"{'all':<7}{len(hosts):<7}{''.join(f'{sums[phase]:>10.1f} s' for phase in PHASES)}{total:>10.1f} s")
    if waits:
        watched = f" and {sums['watch']:.1f} s of watching" if sums["watch"] else ""
        ratio = (total - sums["watch"]) / waits
        lines.append(
            f"{total:.1f} s in all, {waits:.1f} s of it unavoidable waiting{watched}: {ratio:.2f} times the waiting"
        )
    return lines
