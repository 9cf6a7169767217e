"""How long AWS takes to make and delete things, for a lab that shall take as long (`--realistic`).

Without `--realistic` nothing here delays anything. Each time is that of the creation of one resource of the size that
the tiers use, in seconds, and says where it comes from: a page of AWS's documentation, or "typical": what operators
and Terraform's logs commonly show, a middle value of a wide range. Read 2026-11.
"""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Duration:
    """How long something takes on AWS."""

    seconds: float
    source: str


TIMES = {
    "instance start": Duration(15, "typical: pending → running of a small instance, 10 to 30 s"),
    "instance boot": Duration(60, "typical: running → user data has run and the app answers, 45 to 90 s"),
    "instance stop": Duration(30, "typical: 15 to 60 s"),
    "instance terminate": Duration(45, "typical: shutting-down → terminated, 30 to 60 s"),
    "image": Duration(180, "typical: CreateImage of a small root volume, 2 to 5 min"),
    "connect endpoint create": Duration(180, "typical: create-in-progress → create-complete, 2 to 5 min"),
    "connect endpoint delete": Duration(120, "typical: 1 to 5 min"),
    "NAT gateway create": Duration(120, "typical: pending → available, 1.5 to 2.5 min"),
    "NAT gateway delete": Duration(60, "typical: deleting → deleted, 45 to 90 s"),
    "address release": Duration(10, "typical: NAT gateway deleted → ReleaseAddress refuses no more, 0 to 30 s"),
    "load balancer create": Duration(150, "typical: provisioning → active, 2 to 3 min"),
    "load balancer delete": Duration(60, "typical: until its network interfaces are gone, 20 s to 3 min"),
    "target healthy": Duration(15, "two checks, 5 s apart as the tiers set it, after registration"),
    "database create": Duration(600, "typical: PostgreSQL db.t3.micro Multi-AZ, 20 GiB, 8 to 15 min"),
    "database modify": Duration(60, "typical: a change of password or settings without an outage"),
    "database restart": Duration(60, "typical: reboot without failover, 30 to 90 s"),
    "database stop": Duration(300, "typical: 3 to 8 min"),
    "database delete": Duration(300, "typical: with a final snapshot of a small database, 4 to 8 min"),
    "database snapshot": Duration(120, "typical: small database, 1.5 to 4 min"),
    "cache create": Duration(360, "typical: one node of cache.t3.micro, 4 to 8 min"),
    "cache modify": Duration(180, "typical: a change of settings or replicas, 1 to 10 min"),
    "cache delete": Duration(240, "typical: without a snapshot, 3 to 6 min"),
    "table restore": Duration(600, "typical: a small table with its indexes, 5 to 20 min"),
    "table update": Duration(35, "typical: UPDATING → ACTIVE after a change of the deletion protection"),
    "task start": Duration(35, "typical: PROVISIONING → RUNNING on Fargate with an image of 100 MB, 20 to 60 s"),
    "task stop": Duration(30, "typical: drained, SIGTERM, its network interface gone, 20 to 60 s"),
    "distribution deploy": Duration(240, "typical: InProgress → Deployed, create or update, 3 to 6 min"),
    "certificate": Duration(120, "typical: once its DNS record can be found, 1 to 5 min (AWS: up to 30)"),
    "certificate release": Duration(900, "typical: what used it is gone → ACM lets it be deleted, 10 to 20 min"),
}

_scale = 0.0
_since: dict[tuple[str, str], float] = {}


def follow(scale: float) -> None:
    """Take as long as AWS, times a factor.

    Args:
        scale: 1 is AWS's own pace, 0.1 ten times faster, 0 at once.
    """
    global _scale  # noqa: PLW0603 - one lab a process, like moto's own backends
    _scale = scale
    _since.clear()


def length(what: str) -> float:
    """Seconds that something takes here; 0 when everything is done at once."""
    return TIMES[what].seconds * _scale


def over(what: str, identity: str) -> bool:
    """Tell whether the time has passed that something takes, counted from the first question about it.

    Args:
        what: a name in `TIMES`.
        identity: of which resource (id or ARN). After the answer yes the next question starts anew.
    """
    seconds = length(what)
    if seconds > 0 and time.monotonic() - _since.setdefault((what, identity), time.monotonic()) < seconds:
        return False
    _since.pop((what, identity), None)
    return True


def elapsed(what: str, since: datetime.datetime) -> bool:
    """Tell whether the time has passed that something takes, counted from a moment (UTC, as moto's `utcnow`)."""
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    return now - since >= datetime.timedelta(seconds=length(what))
