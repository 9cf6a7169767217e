"""Health checks of Route 53, and the records that are answered by them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from moto.route53.models import route53_backends

from lab import health, metrics, names, routing, settings
from lab.reconcilers import health_checks
from lab.reconcilers.health_checks import HealthChecks

Client = Callable[[str], Any]
HOME, ABROAD = "us-east-1", "eu-west-1"
INTERVAL, THRESHOLD = 10, 2
PERIOD = 3.0
"""Seconds of a minute in these tests."""


class Door(BaseHTTPRequestHandler):
    """A front door: names under `well.` answer, /old leads elsewhere, /slow takes too long."""

    def do_GET(self) -> None:
        host = self.headers["Host"]
        if self.path == "/slow":
            time.sleep(0.5)
        # A load balancer's listener for HTTP leads to the one for HTTPS.
        code = (
            302
            if self.path == "/old" or host.endswith(".elb.amazonaws.com")
            else 200
            if host.startswith(("well.", "192."))
            else 503
        )
        self.send_response(code)
        self.send_header("Content-Length", "2")
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):
            self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def door() -> Iterator[tuple[str, int]]:
    server = ThreadingHTTPServer((settings.LOOPBACK, 0), Door)
    Thread(target=server.serve_forever, daemon=True).start()
    yield (settings.LOOPBACK, server.server_port)
    server.shutdown()
    server.server_close()


def check(**fields: Any) -> Any:
    plain = {
        "type_": "HTTPS",
        "ip_address": None,
        "fqdn": "well.example.com",
        "port": 443,
        "resource_path": "/",
        "search_string": "",
    }
    return SimpleNamespace(**{**plain, **fields})


@pytest.mark.parametrize(
    ("fields", "passes"),
    [
        ({}, True),
        ({"resource_path": "/old"}, True),
        ({"fqdn": "ill.example.com"}, False),
        ({"fqdn": "ill.example.com", "ip_address": "192.0.2.1"}, True),
        ({"search_string": "ok"}, True),
        ({"search_string": "fine"}, False),
        ({"resource_path": "/slow"}, False),
        ({"fqdn": "well.us-east-1.elb.amazonaws.com", "search_string": "ok", "type_": "HTTPS_STR_MATCH"}, True),
        ({"fqdn": "ill.us-east-1.elb.amazonaws.com", "type_": "HTTPS"}, False),
        ({"fqdn": "ill.us-east-1.elb.amazonaws.com", "type_": "HTTP"}, True),
        # API Gateway has no port for HTTP.
        ({"type_": "HTTP", "fqdn": "well.execute-api.us-east-1.amazonaws.com"}, False),
        ({"type_": "HTTPS", "fqdn": "well.execute-api.us-east-1.amazonaws.com"}, True),
    ],
)
def test_what_an_endpoint_must_answer(
    door: tuple[str, int], fields: dict[str, Any], passes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_checks, "ANSWER_SECONDS", 0.2)
    passed, said = health_checks.ask(check(**fields), door)
    assert passed == passes and said.startswith("Success" if passes else "Failure")


def test_nobody_there_is_a_failure() -> None:
    assert not health_checks.ask(check(), (settings.LOOPBACK, 9))[0]


@pytest.fixture
def make(client: Client) -> Callable[..., str]:
    """Makes health checks."""

    def made(domain: str = "well.example.com", **config: Any) -> str:
        plain = {
            "Type": "HTTPS",
            "FullyQualifiedDomainName": domain,
            "RequestInterval": INTERVAL,
            "FailureThreshold": THRESHOLD,
        }
        if config.get("Type") == health.CALCULATED:
            plain = {}
        answer = client("route53").create_health_check(
            CallerReference=f"{domain}{config}", HealthCheckConfig={**plain, **config}
        )
        return str(answer["HealthCheck"]["Id"])

    return made


def note(check_id: str, *answers: bool) -> list[bool]:
    """Note answers one after the other, and return the status after each."""
    found = route53_backends[settings.ACCOUNT_ID]["aws"].health_checks[check_id]
    statuses = []
    for passed in answers:
        health.note(found, passed=passed, said="")
        statuses.append(health.is_healthy(check_id))
    return statuses


def test_the_threshold_changes_the_status_both_ways(make: Callable[..., str]) -> None:
    made = make()
    assert health.is_healthy(made), "until there is enough to say otherwise"
    assert note(made, False, True, False, False, True, True) == [True, True, True, False, False, True]
    assert health.is_healthy("one that is gone")


def test_checks_that_are_inverted_disabled_or_made_of_others(make: Callable[..., str]) -> None:
    ill, well = make("a.example.com"), make("b.example.com")
    note(ill, False, False)
    assert note(make(Inverted=True), False, False) == [False, True]
    assert health.is_healthy(make(Disabled=True))
    assert not health.is_healthy(make(Disabled=True, Inverted=True))
    both = {"Type": health.CALCULATED, "ChildHealthChecks": [ill, well]}
    assert [health.is_healthy(make(**both, HealthThreshold=number)) for number in (1, 2)] == [True, False]


def test_checks_ask_as_often_as_they_say(
    door: tuple[str, int], make: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VAHANA_LAB_HOME", str(tmp_path))
    metrics.set_pace(metrics.Pace(PERIOD))
    ill, well = make("ill.example.com"), make()
    asked: list[str] = []
    ask = health_checks.ask

    def counted(check: Any, door: tuple[str, int]) -> tuple[bool, str]:
        asked.append(check.id)
        return ask(check, door)

    monkeypatch.setattr(health_checks, "ask", counted)
    checks = HealthChecks(door)
    checks.start()
    began = time.monotonic()
    while health.is_healthy(ill) and time.monotonic() < began + 10:
        time.sleep(0.05)
    took = time.monotonic() - began
    checks.close()
    assert not health.is_healthy(ill) and health.is_healthy(well)
    assert took >= INTERVAL * PERIOD / 60 * (THRESHOLD - 1)
    assert THRESHOLD <= asked.count(ill) <= THRESHOLD + 1 and asked.count(well) <= THRESHOLD + 1
    assert health.finding(ill).said.startswith("Failure: HTTP Status Code 503")


def record(name: str, value: str, **policy: Any) -> dict[str, Any]:
    return {
        "Name": name,
        "Type": "A",
        "TTL": 60,
        "SetIdentifier": value,
        "ResourceRecords": [{"Value": value}],
        **policy,
    }


@pytest.fixture
def zone(client: Client) -> Callable[..., None]:
    """Keeps records in the zone example.com."""
    made = client("route53").create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]

    def keep(*records: dict[str, Any]) -> None:
        changes = [{"Action": "UPSERT", "ResourceRecordSet": each} for each in records]
        client("route53").change_resource_record_sets(HostedZoneId=made, ChangeBatch={"Changes": changes})

    return keep


def test_the_nearest_healthy_latency_record_is_answered(
    make: Callable[..., str], zone: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = make("near.example.com"), make("far.example.com")
    zone(
        record("api.example.com", "192.0.2.1", Region=HOME, HealthCheckId=near),
        record("api.example.com", "192.0.2.2", Region=ABROAD, HealthCheckId=far),
    )
    monkeypatch.delenv(routing.NEAREST, raising=False)
    assert names.addresses("api.example.com") == ["192.0.2.1"]
    monkeypatch.setenv(routing.NEAREST, f"{ABROAD},{HOME}")
    assert names.addresses("api.example.com") == ["192.0.2.2"]
    note(far, False, False)
    assert names.addresses("api.example.com") == ["192.0.2.1"]
    note(near, False, False)
    assert names.addresses("api.example.com") == ["192.0.2.2"], "with none healthy all count as healthy"
    note(near, True, True)
    assert names.addresses("api.example.com") == ["192.0.2.1"]
    assert (names.routing_ttl("api.example.com"), names.routing_ttl("www.example.com")) == (60, 0)


def test_the_secondary_is_answered_while_the_primary_is_ill(
    make: Callable[..., str], zone: Callable[..., None]
) -> None:
    primary = make()
    zone(
        record("api.example.com", "192.0.2.2", Failover="SECONDARY"),
        record("api.example.com", "192.0.2.1", Failover="PRIMARY", HealthCheckId=primary),
    )
    assert names.addresses("api.example.com") == ["192.0.2.1"]
    note(primary, False, False)
    assert names.addresses("api.example.com") == ["192.0.2.2"]


def test_what_a_check_was_answered_can_be_read(client: Client, make: Callable[..., str]) -> None:
    made = make()
    health.note(route53_backends[settings.ACCOUNT_ID]["aws"].health_checks[made], passed=False, said="Failure: 503")
    [seen] = client("route53").get_health_check_status(HealthCheckId=made)["HealthCheckObservations"]
    assert seen["StatusReport"]["Status"] == "Failure: 503"
    both = make(Type=health.CALCULATED, ChildHealthChecks=[made], HealthThreshold=1)
    assert client("route53").get_health_check_status(HealthCheckId=both)["HealthCheckObservations"] == []
