"""What Route 53's health checks have found.

https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto.route53.models import route53_backends

from lab import settings

CALCULATED = "CALCULATED"
ENDPOINTS = ("HTTP", "HTTPS", "HTTP_STR_MATCH", "HTTPS_STR_MATCH")
"""Types whose endpoint the lab asks; what TCP checks, alarms and routing controls say is always that all is well."""


@dataclass
class Finding:
    """What a check has found of its endpoint.

    Attributes:
        passes: the status; healthy until there is enough to say otherwise.
        streak: answers in a row that speak against the status.
        said: the last answer in words.
        at: when that was.
    """

    passes: bool = True
    streak: int = 0
    said: str = ""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


_findings: dict[str, Finding] = {}


def note(check: Any, *, passed: bool, said: str) -> None:
    """Note what an endpoint answered; as many answers in a row as the threshold says change the status."""
    found = _findings.setdefault(check.id, Finding())
    found.said, found.at = said, datetime.now(UTC)
    found.streak = 0 if passed == found.passes else found.streak + 1
    if found.streak >= int(check.failure_threshold):
        found.passes, found.streak = passed, 0


def finding(check_id: str) -> Finding:
    """What a check has found so far."""
    return _findings.get(check_id, Finding())


def keep_only(check_ids: set[str]) -> None:
    """Forget all other checks."""
    for gone in _findings.keys() - check_ids:
        del _findings[gone]


def is_healthy(check_id: str) -> bool:
    """Say whether a health check is healthy; one that is disabled or not there any more always is."""
    check = route53_backends[settings.ACCOUNT_ID]["aws"].health_checks.get(check_id)
    if check is None:
        return True
    if check.disabled:
        passes = True
    elif check.type_ == CALCULATED:
        passes = sum(is_healthy(child) for child in check.children or ()) >= int(check.health_threshold or 0)
    else:
        passes = finding(check_id).passes
    return passes != bool(check.inverted)
