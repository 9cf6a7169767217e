"""What functions and HTTP APIs have served since the last look, kept for CloudWatch.

Metrics of functions: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html; of HTTP APIs:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

Dimensions = Mapping[str, str]
Value = tuple[str, str, str, float, dict[str, str]]
"""Region, namespace, name of the metric, value, dimensions."""
_Key = tuple[str, str, str, tuple[tuple[str, str], ...]]

MOST_TIMES = 100
"""Most durations of a metric that are passed on of one look: enough for percentiles."""


class Served:
    """Counts and durations, added by whoever serves and taken by whoever reports."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[_Key, float] = defaultdict(float)
        self._times: dict[_Key, list[float]] = defaultdict(list)

    def add(
        self,
        region: str,
        namespace: str,
        dimensions: Sequence[Dimensions],
        counts: Mapping[str, float],
        times: Mapping[str, float],
    ) -> None:
        """Note something that was served.

        Args:
            region: where.
            namespace: of its metrics, as AWS/Lambda.
            dimensions: all sets of dimensions that the metrics have.
            counts: what is added up, by metric.
            times: milliseconds, by metric.
        """
        with self._lock:
            for each in dimensions:
                named = tuple(each.items())
                for metric, value in counts.items():
                    self._counts[region, namespace, metric, named] += value
                for metric, value in times.items():
                    self._times[region, namespace, metric, named].append(value)

    def take(self) -> Iterator[Value]:
        """Return what was served since the last time: a sum of each count, durations as they are spread."""
        with self._lock:
            counts, times = dict(self._counts), dict(self._times)
            self._counts.clear()
            self._times.clear()
        for (region, namespace, metric, named), value in counts.items():
            yield region, namespace, metric, value, dict(named)
        for (region, namespace, metric, named), values in times.items():
            ordered = sorted(values, reverse=True)
            for value in ordered[:: -(-len(ordered) // MOST_TIMES)]:
                yield region, namespace, metric, value, dict(named)


SERVED = Served()
"""Of this process."""


def note_invocation(region: str, name: str, version: str, alias: str, *, failed: bool, seconds: float) -> None:
    """Note an invocation of a function.

    Args:
        region: where.
        name: of the function.
        version: that was invoked.
        alias: that it was invoked by; empty for none.
        failed: whether it ended with an error.
        seconds: how long it took.
    """
    own: Dimensions = {"FunctionName": name}
    # By the version that was executed two versions behind an alias are told apart.
    by_alias = {**own, "Resource": f"{name}:{alias}"}
    dimensions = [own, *([by_alias, {**by_alias, "ExecutedVersion": version}] if alias else [])]
    counts = {"Invocations": 1.0, "Errors": float(failed)}
    SERVED.add(region, "AWS/Lambda", dimensions, counts, {"Duration": seconds * 1000})


def note_request(region: str, api: str, stage: str, *, status: int, seconds: float) -> None:
    """Note a request to an HTTP API, with the status that it was answered."""
    counts = {"Count": 1.0, "4xx": float(400 <= status < 500), "5xx": float(status >= 500)}
    dimensions = [{"ApiId": api}, {"ApiId": api, "Stage": stage}]
    SERVED.add(region, "AWS/ApiGateway", dimensions, counts, {"Latency": seconds * 1000})
