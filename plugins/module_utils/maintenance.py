"""Maintenance: how it is put up in front of the application, and how it is recognised.

Behind a load balancer two rules stand before every other rule of each listener that leads to the application. The first
lets the health check through, so that monitors and deployments still see the application; the second answers everything
else. On a tier without a load balancer the host's launcher answers (roles/backend), and a parameter remembers it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MAINTENANCE_TAG = "vahana:maintenance"
SINCE_TAG = "vahana:since"
HEALTH, PAGE = "health", "page"
"""What the rules are for, and what their tag says."""

PRIORITIES: Mapping[str, str] = {"1": HEALTH, "2": PAGE}
"""The rules by their priority, before all others."""

NOT_ON: Mapping[str, Any] = {"on": False, "since": "", "message": ""}


def body(message: str) -> str:
    """Return what is answered: an error as the example backend's other errors are."""
    return json.dumps({"code": "maintenance", "message": message}, ensure_ascii=False)


def from_rule(tags: Mapping[str, str], rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a listener rule says about maintenance.

    :param rule: as DescribeRules gives it.
    """
    if tags.get(MAINTENANCE_TAG) != PAGE:
        return dict(NOT_ON)
    texts = [action.get("FixedResponseConfig", {}).get("MessageBody", "") for action in rule["Actions"]]
    try:
        message = str(json.loads(texts[0])["message"])
    except (ValueError, KeyError, IndexError, TypeError):
        # Somebody has changed what is answered; it is maintenance all the same.
        message = "".join(texts)
    return {"on": True, "since": tags.get(SINCE_TAG, ""), "message": message}


def from_parameter(value: str) -> dict[str, Any]:
    """Return what the parameter of a tier without a load balancer says."""
    try:
        content = json.loads(value)
        return {"on": True, "since": str(content["since"]), "message": str(content["message"])}
    except (ValueError, KeyError, TypeError):
        return {"on": True, "since": "", "message": value}
