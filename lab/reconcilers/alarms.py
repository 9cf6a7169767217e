"""Alarms that go off: metrics against the rules of `lab.alarms`, and the message to whom an alarm tells."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, ClassVar

from moto.cloudwatch.models import cloudwatch_backends
from moto.sns.models import sns_backends

from lab import alarms, keys, mailbox, metrics, settings
from lab.moto_patches import sns
from lab.reconcilers.base import Reconciler

LOOKS = 6
"""Looks in a minute of the lab."""
SERVICE = "cloudwatch.amazonaws.com"
KEPT_SECONDS = 3600
"""How long values are kept at least."""

Key = tuple[str, str, frozenset[tuple[str, str]]]


def seconds(moment: datetime) -> float:
    """Return a time as seconds since 1970; moto's have no zone and mean UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def rule_of(alarm: Any) -> alarms.Rule:
    """Read what moto's alarm watches for."""
    periods = int(alarm.evaluation_periods)
    datapoints = int(alarm.datapoints_to_alarm or periods)
    missing = alarm.treat_missing_data or "missing"
    return alarms.Rule(alarm.comparison_operator, float(alarm.threshold), periods, datapoints, missing)


def key_of(watched: Any) -> Key:
    """Return what tells one metric from others, of an alarm or of a value."""
    metric = getattr(watched, "metric_name", None) or watched.name
    return watched.namespace, metric, frozenset((each.name, str(each.value)) for each in watched.dimensions)


def points_of(
    values: Iterable[tuple[float, float]], name: str, period: float, count: int, now: float
) -> list[float | None]:
    """Return the datapoints of the latest whole periods, the newest last.

    Args:
        values: times and what was measured.
        name: the statistic.
        period: seconds of a datapoint.
        count: how many datapoints.
        now: seconds since 1970.
    """
    end = now // period * period
    bins: list[list[float]] = [[] for _ in range(count)]
    for moment, value in values:
        # A period begins with its first moment: one that is a whole period old belongs to the newest still.
        age = int(-((moment - end) // period)) - 1
        if 0 <= age < count:
            bins[count - 1 - age].append(value)
    return [alarms.statistic(each, name) for each in bins]


class Alarms(Reconciler):
    """Looks at every alarm some times a minute."""

    name: ClassVar[str] = "alarms"
    interval: ClassVar[float] = 1.0

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0
        sns.follow(mailbox.deliver)

    def close(self) -> None:
        """Stop; nothing is delivered any more."""
        super().close()
        sns.follow(None)

    def reconcile(self) -> None:
        """Look when it is time."""
        pace = metrics.pace()
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + pace.period / LOOKS
        for backend in list(cloudwatch_backends[settings.ACCOUNT_ID].values()):
            self.evaluate(backend, pace.period / 60, time.time())

    def evaluate(self, backend: Any, scale: float, now: float) -> None:
        """Bring the alarms of one region to their states.

        Args:
            backend: moto's CloudWatch of the region.
            scale: how long the lab's minute is, 1 as everywhere.
            now: seconds since 1970.
        """
        watched = [alarm for alarm in list(backend.alarms.values()) if alarm.metric_name and not alarm.rule]
        self._forget(backend, watched, scale, now)
        values: dict[Key, list[tuple[float, float]]] = {key_of(alarm): [] for alarm in watched}
        for datum in list(backend.metric_data):
            kept = values.get(key_of(datum)) if values else None
            if kept is not None and hasattr(datum, "value"):
                kept.append((seconds(datum.timestamp), datum.value))
        for alarm in watched:
            rule, statistic = rule_of(alarm), alarm.extended_statistic or alarm.statistic
            period = float(alarm.period) * scale
            points = points_of(values[key_of(alarm)], statistic, period, rule.points, now)
            decided = alarms.state(points, rule, alarm.state_value)
            if decided != alarm.state_value:
                self._change(backend, alarm, decided, alarms.reason(points, rule, decided))

    @staticmethod
    def _forget(backend: Any, watched: Iterable[Any], scale: float, now: float) -> None:
        """Drop values that no alarm looks at any more: they come in the order of time."""
        longest = max((alarm.period * scale * rule_of(alarm).points for alarm in watched), default=0)
        oldest = now - max(KEPT_SECONDS, longest + 60)
        old = 0
        for datum in backend.metric_data:
            if seconds(datum.timestamp) >= oldest:
                break
            old += 1
        del backend.metric_data[:old]

    def _change(self, backend: Any, alarm: Any, decided: str, reason: str) -> None:
        before = alarm.state_value
        alarm.update_state(reason, "{}", decided)
        self.log.info("%s is %s: %s", alarm.name, decided, reason)
        actions = {
            alarms.OK: alarm.ok_actions,
            alarms.ALARM: alarm.alarm_actions,
            alarms.UNKNOWN: alarm.insufficient_data_actions,
        }[decided]
        for arn in actions if alarm.actions_enabled else []:
            topic = sns_backends[settings.ACCOUNT_ID][backend.region_name].topics.get(arn)
            key = keys.find(topic.kms_master_key_id or "", backend.region_name) if topic is not None else None
            if key is not None and not keys.serves_service(key, SERVICE, alarm.alarm_arn):
                self.log.warning("%s tells nobody: the key of %s does not let CloudWatch use it", alarm.name, arn)
            elif topic is not None:
                message = {
                    "default": json.dumps(_message(backend, alarm, before)),
                    "email": _mail(backend, alarm, before),
                }
                subject = f'{decided}: "{alarm.name}" in {backend.region_name}'[:100]
                topic.publish(json.dumps(message), subject=subject, message_structure="json")
        self.changed()


def _message(backend: Any, alarm: Any, before: str) -> dict[str, Any]:
    """What CloudWatch sends to a topic."""
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": backend.account_id,
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": alarm.state_updated_timestamp.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
        "Region": backend.region_name,
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": before,
        "Trigger": {
            "MetricName": alarm.metric_name,
            "Namespace": alarm.namespace,
            "Dimensions": [{"name": each.name, "value": each.value} for each in alarm.dimensions],
            "Statistic": alarm.extended_statistic or alarm.statistic,
            "Period": alarm.period,
            "EvaluationPeriods": alarm.evaluation_periods,
            "ComparisonOperator": alarm.comparison_operator,
            "Threshold": alarm.threshold,
            "TreatMissingData": alarm.treat_missing_data or "missing",
        },
    }


def _mail(backend: Any, alarm: Any, before: str) -> str:
    """What SNS makes of it for people."""
    when = alarm.state_updated_timestamp.strftime("%A %d %B, %Y %H:%M:%S UTC")
    return (
        f'You are receiving this email because your Amazon CloudWatch Alarm "{alarm.name}" in the '
        f"{backend.region_name} region has entered the {alarm.state_value} state, because "
        f'"{alarm.state_reason}" at "{when}".\n\n'
        f"- Name: {alarm.name}\n- Description: {alarm.description}\n- State Change: {before} -> {alarm.state_value}\n"
    )
