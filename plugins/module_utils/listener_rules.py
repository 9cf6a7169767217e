"""What a rule of a load balancer's listener, as DescribeRules gives it, says in the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def paths_of(rule: Mapping[str, Any]) -> list[str]:
    """Return the path patterns of a rule."""
    return [
        value
        for condition in rule["Conditions"]
        for value in condition.get("PathPatternConfig", {}).get("Values") or condition.get("Values", [])
    ]


def shares_of(rule: Mapping[str, Any]) -> dict[str, int]:
    """Return the weights of the target groups that a rule leads to, by ARN.

    Answers name the only group of an action beside its configuration or without one
    (https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Action.html).
    """
    found: dict[str, int] = {}
    for action in rule["Actions"]:
        if action["Type"] == "forward":
            groups = action.get("ForwardConfig", {}).get("TargetGroups") or [action]
            found |= {group["TargetGroupArn"]: int(group.get("Weight", 1)) for group in groups}
    return found
