"""Whether an Auto Scaling group has the instances it wants, all of them serving."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from plugins.module_utils.aws_wait import Progress


def progress(group: Mapping[str, Any], health: Sequence[str] | None) -> Progress:
    """Judge a group.

    :param group: as DescribeAutoScalingGroups gives it.
    :param health: state of each target of the group's target group, e.g. ``healthy``; None without a target group.
    """
    wanted = group["DesiredCapacity"]
    states = Counter(item["LifecycleState"] for item in group["Instances"])
    serving = [
        item
        for item in group["Instances"]
        if item["LifecycleState"] == "InService" and item["HealthStatus"].lower() == "healthy"
    ]
    parts = [f"{len(serving)} of {wanted} in service"]
    parts += [f"{count} {state}" for state, count in sorted(states.items()) if state != "InService"]
    done = len(serving) == wanted == len(group["Instances"])
    if health is not None:
        found = Counter(health)
        parts.append(f"{found['healthy']} healthy behind the load balancer")
        parts += [f"{count} {state}" for state, count in sorted(found.items()) if state != "healthy"]
        done = done and found["healthy"] == wanted == len(health)
    return Progress(done, ", ".join(parts), "" if done else _obstacle(group))


def _obstacle(group: Mapping[str, Any]) -> str:
    """Return which suspended process keeps the group from its size (Amazon EC2 Auto Scaling User Guide)."""
    suspended = {item["ProcessName"] for item in group.get("SuspendedProcesses", [])}
    missing = group["DesiredCapacity"] - len(group["Instances"])
    process = "Launch" if missing > 0 else "Terminate" if missing < 0 else ""
    if process not in suspended:
        return ""
    name = group["AutoScalingGroupName"]
    return (
        f"the group's process {process} is suspended; resume it with `aws autoscaling resume-processes "
        f"--auto-scaling-group-name {name} --scaling-processes {process}`"
    )
