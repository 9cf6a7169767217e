"""States that nothing on this machine stands behind: they change because their time is over (`--realistic`)."""

from __future__ import annotations

from typing import ClassVar

from moto.cloudfront.models import cloudfront_backends

from lab import settings, times
from lab.moto_patches import cloudfront, ec2
from lab.reconcilers.base import Reconciler


class Waits(Reconciler):
    """Keeps distributions in progress and NAT gateways pending as long as AWS does."""

    name: ClassVar[str] = "waits"
    interval: ClassVar[float] = 0.5

    def __init__(self) -> None:
        super().__init__()
        cloudfront.follow_states(True)

    def close(self) -> None:
        """Stop, and leave moto's own behaviour behind."""
        super().close()
        cloudfront.follow_states(False)

    def reconcile(self) -> None:
        """Set the states by the time that has passed."""
        for cdn in list(cloudfront_backends[settings.ACCOUNT_ID].values()):
            for distribution in list(cdn.distributions.values()):
                done = times.elapsed("distribution deploy", distribution.last_modified_time)
                distribution.status = "Deployed" if done else "InProgress"
        for backend in ec2.backends():
            for gateway in list(backend.nat_gateways.values()):
                if gateway.state in ("available", "pending"):
                    done = times.elapsed("NAT gateway create", gateway._created_at)
                    gateway.state = "available" if done else "pending"
