"""How many instances a target tracking policy wants.

As two alarms that AWS makes for each policy, AlarmHigh and AlarmLow:
https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-scaling-target-tracking.html
"""

from __future__ import annotations

import math
from collections.abc import Sequence

HIGH_POINTS = 3
"""So many datapoints in a row above the target, and the group grows."""
LOW_POINTS = 15
"""So many in a row below LOW_SHARE of the target, and it shrinks."""
LOW_SHARE = 0.7
"""What AWS's AlarmLow of a group's CPU has for a threshold: 28 for a target of 40 (observed; it documents none)."""


def wanted_size(
    points: Sequence[float],
    target: float,
    size: int,
    serving: int,
    *,
    scale_in: bool = True,
    low_share: float = LOW_SHARE,
) -> int:
    """Return how many instances there should be, without the group's own limits.

    Args:
        points: average metric of the instances that count, one a period, the newest last.
        target: what the policy keeps it at.
        size: desired capacity now.
        serving: how many instances the newest datapoint is the average of. Those that still warm up do not count in
            it, but as capacity that is on its way.
        scale_in: whether the policy may shrink the group.
        low_share: below which part of the target it does.
    """
    high = points[-HIGH_POINTS:]
    if len(high) == HIGH_POINTS and min(high) > target:
        return max(size, math.ceil(serving * points[-1] / target))
    low = points[-LOW_POINTS:]
    # Never while something warms up: it has just been asked for.
    if scale_in and serving == size and len(low) == LOW_POINTS and max(low) < target * low_share:
        return min(size, max(1, math.ceil(size * max(low) / target)))
    return size
