"""The host's log agent: what it makes of the journal, and that nothing is lost."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

sys.path.insert(0, str(Path(__file__).parents[3] / "roles/log_agent/files"))
import log_agent
from log_agent import Shipper, events_of, follow

UNITS = ["backend.service", "backend-boot.service"]
NOW = int(time.time() * 1000) - 60_000


def entry(number: int, text: Any = "hello", **fields: Any) -> dict[str, Any]:
    """An entry as journalctl writes it."""
    return {
        "__CURSOR": f"c{number}",
        "__REALTIME_TIMESTAMP": str((NOW + number) * 1000),
        "_SYSTEMD_UNIT": "backend.service",
        "PRIORITY": "6",
        "MESSAGE": text,
        **fields,
    }


def lines(*entries: dict[str, Any]) -> list[bytes]:
    return [json.dumps(each).encode() for each in entries]


class Logs:
    """The API, which can be made to fail."""

    def __init__(self) -> None:
        self.client: Any = boto3.client("logs", "us-east-1")
        self.failures: list[Exception] = []
        self.calls: list[dict[str, Any]] = []

    def put_log_events(self, **arguments: Any) -> Any:
        if self.failures:
            raise self.failures.pop(0)
        answer = self.client.put_log_events(**arguments)
        self.calls.append(arguments)
        return answer

    def create_log_stream(self, **arguments: Any) -> Any:
        return self.client.create_log_stream(**arguments)

    def texts(self, group: str) -> list[str]:
        found = self.client.get_log_events(logGroupName=f"/cars/prod/{group}", logStreamName="i-1", startFromHead=True)
        return [event["message"] for event in found["events"]]


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Logs]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        made = Logs()
        for group in ("backend", "system"):
            made.client.create_log_group(logGroupName=f"/cars/prod/{group}")
        yield made


def shipper(logs: Logs, state: Path, pauses: list[float] | None = None) -> Shipper:
    waited = [] if pauses is None else pauses
    return Shipper(logs, "/cars/prod", "i-1", state, waited.append)


def test_what_goes_where() -> None:
    def made(**fields: Any) -> list[tuple[str, str]]:
        return [(event.group, event.text) for event in events_of(entry(1, **fields), UNITS)]

    assert made() == [("backend", "hello")]
    assert made(_SYSTEMD_UNIT="init.scope", UNIT="backend.service") == [("backend", "hello")]
    assert made(_SYSTEMD_UNIT="ssh.service") == []
    assert made(_SYSTEMD_UNIT="ssh.service", PRIORITY="4", SYSLOG_IDENTIFIER="sshd") == [("system", "sshd: hello")]
    assert made(_SYSTEMD_UNIT=None, PRIORITY="3") == [("system", "kernel: hello")]
    assert made(text=[104, 105, 255]) == [("backend", "hi\ufffd")]
    assert made(text="") == made(text=None) == []
    long = "ü" * log_agent.LARGEST_EVENT
    assert sum(len(text.strip("\ufffd")) for _group, text in made(text=long)) >= len(long) - 2
    assert len(made(text=long)) == 2


def test_sent_in_batches_and_the_place_is_kept(logs: Logs, tmp_path: Path) -> None:
    state = tmp_path / "place"
    warning = entry(3, "disk", _SYSTEMD_UNIT="x.service", PRIORITY="4")
    follow(lines(entry(1, "one"), entry(2, "two"), warning), shipper(logs, state), UNITS, 60)
    assert logs.texts("backend") == ["one", "two"]
    assert logs.texts("system") == ["x.service: disk"]
    assert len(logs.calls) == 2
    assert shipper(logs, state).place() == "c3"


def test_a_quiet_moment_sends_what_waits(logs: Logs, tmp_path: Path) -> None:
    state = tmp_path / "place"

    def quiet() -> Iterator[bytes | None]:
        yield lines(entry(1, "one"))[0]
        assert logs.calls == []
        time.sleep(0.06)
        yield None
        assert logs.texts("backend") == ["one"]
        assert state.read_text() == "c1\n"

    follow(quiet(), shipper(logs, state), UNITS, 0.05)


def test_limits_of_a_batch(logs: Logs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_agent, "BATCH_EVENTS", 3)
    follow(lines(*(entry(n, str(n)) for n in range(7))), shipper(logs, tmp_path / "place"), UNITS, 60)
    assert [len(call["logEvents"]) for call in logs.calls] == [3, 3, 1]
    monkeypatch.setattr(log_agent, "BATCH_EVENTS", 100)
    monkeypatch.setattr(log_agent, "BATCH_BYTES", 2 * (100 + log_agent.EVENT_OVERHEAD))
    logs.calls.clear()
    day = 24 * 3600 * 1000 + 1
    follow(lines(*(entry(n, "x" * 100) for n in (7, 8, 9))), shipper(logs, tmp_path / "place"), UNITS, 60)
    assert [len(call["logEvents"]) for call in logs.calls] == [2, 1]
    logs.calls.clear()
    follow(lines(entry(10, "b"), entry(10 - day, "a")), shipper(logs, tmp_path / "place"), UNITS, 60)
    assert [call["logEvents"][0]["message"] for call in logs.calls] == ["a", "b"]


def test_nothing_is_lost_while_cloudwatch_is_away(logs: Logs, tmp_path: Path) -> None:
    state, pauses = tmp_path / "place", list[float]()
    throttled = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "PutLogEvents")
    logs.failures = [EndpointConnectionError(endpoint_url="https://logs"), throttled, throttled]
    follow(lines(entry(1, "one")), shipper(logs, state, pauses), UNITS, 60)
    assert logs.texts("backend") == ["one"]
    assert pauses == [1, 2, 4]
    assert shipper(logs, state).place() == "c1"


def test_a_group_that_comes_later(logs: Logs, tmp_path: Path) -> None:
    logs.client.delete_log_group(logGroupName="/cars/prod/backend")

    def make(_seconds: float) -> None:
        logs.client.create_log_group(logGroupName="/cars/prod/backend")

    late = Shipper(logs, "/cars/prod", "i-1", tmp_path / "place", make)
    follow(lines(entry(1, "one")), late, UNITS, 60)
    assert logs.texts("backend") == ["one"]


def test_the_place_does_not_move_before_everything_is_sent(logs: Logs, tmp_path: Path) -> None:
    def ends(_seconds: float) -> None:
        raise KeyboardInterrupt

    state = tmp_path / "place"
    follow(lines(entry(1, "one")), shipper(logs, state), UNITS, 60)
    logs.failures = [EndpointConnectionError(endpoint_url="https://logs")]
    with pytest.raises(KeyboardInterrupt):
        follow(lines(entry(2, "two")), Shipper(logs, "/cars/prod", "i-1", state, ends), UNITS, 60)
    assert state.read_text() == "c1\n"
    follow(lines(entry(2, "two")), shipper(logs, state), UNITS, 60)
    assert logs.texts("backend") == ["one", "two"]


def test_lines_of_a_process() -> None:
    script = "import sys,time; w=sys.stdout; w.write('a\\nb'); w.flush(); time.sleep(.6); w.write('c\\n'); w.flush()"
    process = log_agent.subprocess.Popen([sys.executable, "-c", script], stdout=log_agent.subprocess.PIPE)
    read = list(log_agent.lines_of(process, 0.2))
    assert [each for each in read if each is not None] == [b"a", b"bc"]
    assert None in read
    assert process.wait() == 0
