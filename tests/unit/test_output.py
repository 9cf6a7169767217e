"""What a person reads while a run goes on."""

from __future__ import annotations

import threading
import time

import pytest

from plugins.callback import vahana


def test_a_long_task_says_what_is_usual_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vahana, "_WAIT_LINE_SECONDS", 0.05)
    said: list[str] = []
    twice = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            twice.set()

    wait = vahana._Wait(say, "Join | Wait for the database", "8 to 15 min")
    assert twice.wait(10)
    wait.end()
    count = len(said)
    time.sleep(0.2)
    assert len(said) == count
    assert said[0] == "waiting: Join | Wait for the database (0 s; usually 8 to 15 min)"


def test_a_failure_that_is_hidden_says_how_to_see_it() -> None:
    hidden = {"censored": "the output has been hidden", "failed": True}
    assert list(vahana.message_lines(hidden)) == [
        "failed; why is hidden, for it may hold a secret: -e <role>_no_log=false shows it, secrets and all"
    ]
    assert list(vahana.message_lines({"failed": True})) == ["failed without a message; run again with -v"]
