"""CloudWatch: a new alarm knows nothing yet, and one that is changed keeps the state that it has."""

from __future__ import annotations

from typing import Any

from moto.cloudwatch.models import CloudWatchBackend

_put = CloudWatchBackend.put_metric_alarm
KEPT = ("state_value", "state_reason", "state_reason_data", "state_updated_timestamp", "history")


def put_metric_alarm(self: Any, name: str, *arguments: Any, **more: Any) -> Any:
    """PutMetricAlarm."""
    before = self.alarms.get(name)
    alarm = _put(self, name, *arguments, **more)
    if before is None:
        alarm.state_value = "INSUFFICIENT_DATA"
    else:
        for field in KEPT:
            setattr(alarm, field, getattr(before, field))
    return alarm


def apply() -> None:
    """Put this into moto."""
    CloudWatchBackend.put_metric_alarm = put_metric_alarm
