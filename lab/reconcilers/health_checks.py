"""Route 53's health checks: each asks its endpoint through the front door, as often as it says."""

from __future__ import annotations

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from moto.route53.models import route53_backends

from lab import health, metrics, settings
from lab.reconcilers.base import Reconciler

CONNECT_SECONDS, ANSWER_SECONDS = 4, 2
"""How long a check waits for a connection and then for the status: "How Amazon Route 53 determines whether a health
check is healthy"."""
SEARCHED_BYTES = 5120
AGENT = "Amazon-Route53-Health-Check-Service"
AT_ONCE = 16


def ask(check: Any, door: tuple[str, int]) -> tuple[bool, str]:
    """Ask the endpoint of a check once.

    Args:
        check: moto's health check, of a type in `health.ENDPOINTS`.
        door: address and port of the front door.

    Returns:
        Whether it passed, and in words what was answered.
    """
    domain, secure = check.ip_address or check.fqdn or "", check.type_.startswith("HTTPS")
    if ".execute-api." in domain and not secure:
        return False, "Failure: API Gateway answers on HTTPS only"
    # A load balancer has a listener for each port; elsewhere the name alone says what answers.
    host = f"{domain}:{check.port}" if secure and domain.endswith(".elb.amazonaws.com") else domain
    connection = http.client.HTTPConnection(*door, timeout=CONNECT_SECONDS)
    try:
        connection.connect()
        connection.sock.settimeout(ANSWER_SECONDS)
        connection.request("GET", check.resource_path or "/", headers={"Host": host, "User-Agent": AGENT})
        answer = connection.getresponse()
        body = answer.read(SEARCHED_BYTES) if check.search_string else b""
    except (OSError, http.client.HTTPException) as error:
        return False, f"Failure: {error}"
    finally:
        connection.close()
    passed = 200 <= answer.status < 400 and (check.search_string or "").encode() in body
    return passed, f"{'Success' if passed else 'Failure'}: HTTP Status Code {answer.status}, {answer.reason}"


class HealthChecks(Reconciler):
    """Asks the endpoints of all health checks. One stands for AWS's checkers all over the world."""

    name: ClassVar[str] = "health_checks"
    interval: ClassVar[float] = 0.1

    def __init__(self, door: tuple[str, int] = (settings.LOOPBACK, settings.FRONT_DOOR_PORT)) -> None:
        """Take where the front door is."""
        super().__init__()
        self._door = door
        self._pool = ThreadPoolExecutor(AT_ONCE, "health_check")
        self._due: dict[str, float] = {}

    def reconcile(self) -> None:
        """Start what is due; none is asked again while it has not answered."""
        checks = dict(route53_backends[settings.ACCOUNT_ID]["aws"].health_checks)
        for gone in self._due.keys() - checks.keys():
            del self._due[gone]
        health.keep_only(set(checks))
        asking = [each for each in checks.values() if each.type_ in health.ENDPOINTS and not each.disabled]
        for check in asking:
            if self._due.get(check.id, 0) <= time.monotonic():
                self._due[check.id] = float("inf")
                self._pool.submit(self._check, check)

    def _check(self, check: Any) -> None:
        try:
            passed, said = ask(check, self._door)
            health.note(check, passed=passed, said=said)
        except Exception:
            self.log.exception("health check %s", check.id)
        # Minutes may be shorter here: `lab metrics`.
        self._due[check.id] = time.monotonic() + float(check.request_interval) * metrics.pace().period / 60

    def close(self) -> None:
        """Stop asking."""
        super().close()
        self._pool.shutdown(wait=False, cancel_futures=True)
