"""Log lines of a group: what is new is kept, and not without end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from lab.moto_patches import logs


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if ten lines were very many."""
    monkeypatch.setattr(logs, "MOST_LINES", 10)
    monkeypatch.setattr(logs, "FEWER", 3)


@pytest.mark.usefixtures("few")
def test_the_oldest_lines_of_a_group_go(client: Callable[[str], Any]) -> None:
    api = client("logs")
    api.create_log_group(logGroupName="app")

    def put(stream: str, *messages: str) -> None:
        now = int(time.time() * 1000)
        lines = [{"timestamp": now, "message": message} for message in messages]
        api.put_log_events(logGroupName="app", logStreamName=stream, logEvents=lines)

    def kept(stream: str) -> list[str]:
        found = api.get_log_events(logGroupName="app", logStreamName=stream, startFromHead=True)
        return [event["message"] for event in found["events"]]

    for stream in ("gone", "host"):
        api.create_log_stream(logGroupName="app", logStreamName=stream)
    put("gone", "a", "b", "c")
    put("host", *"defghij")
    assert (kept("gone"), kept("host")) == (list("abc"), list("defghij"))
    # One too many: as many as that and three more go, those of the stream that was silent for longest.
    put("host", "k")
    assert (kept("gone"), kept("host")) == ([], list("efghijk"))
    put("gone", "l")
    put("host", "m", "n", "o")
    assert (kept("gone"), kept("host")) == ([], list("hijkmno"))
