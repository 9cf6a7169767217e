"""Which of several Route 53 records of one name and type is answered: by routing policy and health.

https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-how-route-53-chooses-records.html
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from lab import health

NEAREST = "VAHANA_LAB_NEAREST"
"""Environment variable: regions in order of nearness to whoever asks, as `eu-west-1,us-east-1`."""


def _rank(rrset: Any) -> tuple[int, ...]:
    """How soon a record is taken: the smaller, the sooner; of equal ones the first in the zone."""
    if rrset.failover:
        return (0 if rrset.failover == "PRIMARY" else 1,)
    if rrset.region:
        near = [name.strip() for name in os.environ.get(NEAREST, "").split(",")]
        return (near.index(rrset.region) if rrset.region in near else len(near),)
    return (0,)


def choose(rrsets: Sequence[Any]) -> Any | None:
    """Choose the record set that is answered.

    Args:
        rrsets: those of one name and type, as the zone has them.

    Returns:
        The first healthy one by its policy: the primary before the secondary of a failover pair, of latency records the
        nearest, of all others the first. Where none is healthy all count as healthy; None where there is none at all.
    """
    ordered = sorted(rrsets, key=_rank)
    healthy = (each for each in ordered if not each.health_check_id or health.is_healthy(each.health_check_id))
    return next(healthy, ordered[0] if ordered else None)
