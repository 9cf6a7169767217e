"""When a CloudWatch alarm changes its state: the rules alone, without metrics and without time.

From "Evaluating an alarm" and "Configuring how CloudWatch alarms treat missing data",
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html and
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

OK, ALARM, UNKNOWN = "OK", "ALARM", "INSUFFICIENT_DATA"

MORE_POINTS = 2
"""How many datapoints beyond the evaluation periods are looked at, so that a late one is no missing one."""

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


@dataclass(frozen=True)
class Rule:
    """What an alarm watches for.

    Attributes:
        comparison: name of the comparison, as the API has it.
        threshold: what is compared with.
        periods: datapoints that are evaluated.
        datapoints: how many of them must breach.
        missing: what a missing datapoint counts as: missing, ignore, breaching or notBreaching.
    """

    comparison: str
    threshold: float
    periods: int
    datapoints: int
    missing: str = "missing"

    @property
    def points(self) -> int:
        """How many of the latest datapoints :func:`state` is to be given."""
        return self.periods + MORE_POINTS


def statistic(values: Sequence[float], name: str) -> float | None:
    """Return a statistic of the values of one period, None without any.

    Args:
        values: what was measured.
        name: Average, Maximum, Minimum, Sum, SampleCount, or a percentile as p95.

    Raises:
        ValueError: the lab does not know the statistic.
    """
    if not values:
        return None
    known: Mapping[str, Callable[[Sequence[float]], float]] = {
        "Average": lambda given: sum(given) / len(given),
        "Maximum": max,
        "Minimum": min,
        "Sum": sum,
        "SampleCount": len,
    }
    if name in known:
        return known[name](values)
    if name.startswith("p"):
        ordered = sorted(values)
        return ordered[max(0, math.ceil(float(name[1:]) / 100 * len(ordered)) - 1)]
    raise ValueError(f"the lab does not know the statistic {name}")


def state(points: Sequence[float | None], rule: Rule, current: str) -> str:
    """Return the state of an alarm.

    Args:
        points: the latest datapoints, the newest last; None where there is none.
        rule: what the alarm watches for.
        current: its state until now.
    """
    breaches = COMPARISONS[rule.comparison]
    seen = [
        (age, breaches(point, rule.threshold)) for age, point in enumerate(reversed(points), 1) if point is not None
    ]
    missing = max(0, rule.periods - len(seen))
    if missing == 0:
        # Enough real ones: the newest of them, whatever is missing between.
        breaching = sum(breach for _, breach in seen[: rule.periods])
        return ALARM if breaching >= rule.datapoints else OK
    breaching = sum(breach for _, breach in seen)
    if rule.missing == "breaching":
        breaching += missing
    if breaching >= rule.datapoints:
        return ALARM
    if rule.missing in ("breaching", "notBreaching"):
        return OK
    if not seen:
        return current if rule.missing == "ignore" else UNKNOWN
    if breaching < len(seen):
        return OK
    # Nothing but breaching ones, yet too few.
    if rule.missing == "missing" and seen[-1][0] >= rule.datapoints:
        return ALARM
    return current


def reason(points: Sequence[float | None], rule: Rule, decided: str) -> str:
    """Say why, in CloudWatch's words."""
    seen = [point for point in points if point is not None][-rule.periods :]
    if decided == UNKNOWN or not seen:
        return f"Insufficient Data: {rule.periods - len(seen)} datapoints were unknown."
    words = {
        "GreaterThanOrEqualToThreshold": "greater than or equal to",
        "GreaterThanThreshold": "greater than",
        "LessThanThreshold": "less than",
        "LessThanOrEqualToThreshold": "less than or equal to",
    }[rule.comparison]
    breaches = COMPARISONS[rule.comparison]
    chosen = [point for point in seen if breaches(point, rule.threshold) == (decided == ALARM)] or seen
    was = "was" if len(chosen) == 1 else "were"
    values = ", ".join(f"{point:g}" for point in reversed(chosen))
    return (
        f"Threshold Crossed: {len(chosen)} out of the last {len(seen)} datapoints [{values}] {was} "
        f"{'' if decided == ALARM else 'not '}{words} the threshold ({rule.threshold:g})."
    )
