"""Global tables: what was written in one region reaches the others within a second, as it usually does on AWS."""

from __future__ import annotations

from typing import ClassVar

from lab.moto_patches import dynamodb
from lab.reconcilers.base import Reconciler


class Tables(Reconciler):
    """Carries writes from region to region."""

    name: ClassVar[str] = "tables"
    interval: ClassVar[float] = 0.5

    def reconcile(self) -> None:
        """Deliver what waits for each region."""
        delivered = [table.deliver(region) for table in dynamodb.global_tables() for region in list(table.tables)]
        if any(delivered):
            self.written()
