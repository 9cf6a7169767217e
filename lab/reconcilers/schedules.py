"""EventBridge's rules with a schedule: functions that are asked at fixed times.

Rates (``rate(1 minute)``), from the moment the lab sees the rule; no cron expressions, no other targets and no retries.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar

from moto.awslambda.exceptions import UnknownFunctionException
from moto.awslambda.models import lambda_backends
from moto.events.models import events_backends

from lab import policies, settings
from lab.moto_patches import awslambda
from lab.reconcilers.base import Reconciler

PRINCIPAL = "events.amazonaws.com"
RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
SECONDS = {"minute": 60, "hour": 3600, "day": 86400}


def seconds_of(expression: str) -> int | None:
    """Return how often a rate is, in seconds; None for what is no rate.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
    """
    found = RATE.fullmatch(expression.strip())
    return int(found[1]) * SECONDS[found[2]] if found else None


def event_of(rule: Any) -> dict[str, Any]:
    """Return the event of a rule, as the page above has it."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": settings.ACCOUNT_ID,
        "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "region": rule.region_name,
        "resources": [rule.arn],
        "detail": {},
    }


def rules() -> Iterator[tuple[Any, int]]:
    """Every rule with a rate that is enabled, and how often it is, in seconds."""
    for backend in list(events_backends[settings.ACCOUNT_ID].values()):
        for bus in list(backend.event_buses.values()):
            for rule in list(bus.rules.values()):
                often = seconds_of(rule.scheduled_expression or "")
                if often and rule.state == "ENABLED":
                    yield rule, often


class Schedules(Reconciler):
    """Asks the functions of rules when their time has come."""

    name: ClassVar[str] = "schedules"
    interval: ClassVar[float] = 1.0

    def __init__(self) -> None:
        super().__init__()
        self._next: dict[str, float] = {}

    def reconcile(self) -> None:
        """Ask those whose time has come, each in a thread of its own."""
        now = time.monotonic()
        known: dict[str, float] = {}
        for rule, often in rules():
            key = f"{rule.arn} {rule.scheduled_expression}"
            due = self._next.get(key, now + often)
            if now >= due:
                for target in rule.targets:
                    threading.Thread(target=self.ask, args=(rule, target["Arn"]), name=rule.name, daemon=True).start()
                due = now + often
            known[key] = due
        self._next = known

    def ask(self, rule: Any, arn: str) -> None:
        """Ask a function; what comes of it is in its own log, and why it was not asked in the lab's."""
        try:
            function, alias = awslambda.chosen(lambda_backends[settings.ACCOUNT_ID][arn.split(":")[3]], arn)
        except UnknownFunctionException as unknown:
            self.log.warning("rule %s: %s", rule.name, unknown)
            return
        if not policies.permits_service(function, PRINCIPAL, arn, rule.arn):
            self.log.warning("rule %s: %s does not permit EventBridge to invoke it", rule.name, arn)
            return
        awslambda.run(function, json.dumps(event_of(rule)).encode(), alias)
        self.written()
