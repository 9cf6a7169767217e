"""What follows its load: a datapoint of the CPU each period, and the datapoints that a policy decides by."""

from __future__ import annotations

import abc
import time
from collections import deque
from collections.abc import Iterable
from typing import ClassVar

from lab import metrics, scaling
from lab.reconcilers.base import Reconciler


class LoadFollowing(Reconciler):
    """Looks at all policies once a period of the lab's metrics."""

    interval: ClassVar[float] = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.meter = metrics.CpuMeter()
        self._points: dict[str, deque[float]] = {}
        self._next = 0.0

    def reconcile(self) -> None:
        """Follow all policies when it is time for a datapoint."""
        pace = metrics.pace()
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + pace.period
        self.follow_all(pace)

    @abc.abstractmethod
    def follow_all(self, pace: metrics.Pace) -> None:
        """Take a datapoint for each policy, and do what the policy wants."""

    def datapoints(self, policy_arn: str, loads: Iterable[float | None]) -> tuple[tuple[float, ...], int]:
        """Add a datapoint to a policy's, the mean of what could be measured; return them, and of how many that is.

        Without anything measured there is no datapoint, and the number is 0.
        """
        measured = [load for load in loads if load is not None]
        points = self._points.setdefault(policy_arn, deque(maxlen=scaling.LOW_POINTS))
        if measured:
            points.append(sum(measured) / len(measured))
        return tuple(points), len(measured)
