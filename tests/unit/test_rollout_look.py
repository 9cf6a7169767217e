"""Looking at the hosts before they are touched, and waiting for those that are to come."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from plugins.action import rollout_look
from plugins.module_utils.rollout import Sight, Target

Look = Callable[..., dict[str, Any]]


def group(desired: int, healthy: str, **lifecycles: str) -> Sight:
    """Return a group of hosts that are healthy, and of others in some stage of their life."""
    instances = {**dict.fromkeys(healthy, "InService"), **lifecycles}
    return Sight("cars", True, instances, dict.fromkeys(healthy, Target("healthy")), desired=desired)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(rollout_look.Display, "display", lambda _self, line: lines.append(line))
    monkeypatch.setattr(rollout_look, "_LINE_SECONDS", 0)
    return lines


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> Look:
    """Look at one sight after the other; the last stays."""
    monkeypatch.setattr(rollout_look, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(rollout_look, "Clients", lambda _region: None)

    def run(*sights: Sight, **arguments: Any) -> dict[str, Any]:
        left = list(sights)
        monkeypatch.setattr(rollout_look, "look", lambda *_asked: left.pop(0) if len(left) > 1 else left[0])
        action = rollout_look.ActionModule.__new__(rollout_look.ActionModule)
        action._task = SimpleNamespace(check_mode=False)
        defaults = {name: option.get("default", "us-east-1") for name, option in action.takes.items()}
        return action.ask({**defaults, "floor": "50%", **arguments}, {})

    return run


def test_the_last_that_serves_stays_until_the_successor_of_the_other_is_in_service(look: Look, said: list[str]) -> None:
    killed, starting = group(2, "b", a="Terminating"), group(2, "b", c="Pending:Wait")
    assert look(killed, starting, group(2, "bc"), batch=["b"], patience=5)["refusal"] == ""
    assert said == ["waiting: enough hosts to be in service (0 s)", "waiting: c to be in service (0 s)"]


def test_a_successor_that_does_not_come_ends_it(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = group(2, "b", a="Terminating")
    assert "would leave 0 healthy of 2 hosts" in look(killed, batch=["b"], patience=0.05)["refusal"]
    assert look(killed, batch=["b"], patience=1)["refusal"].endswith("it goes on with the rest (waited 1 s)")


def test_what_never_fits_is_refused_at_once(look: Look, said: list[str]) -> None:
    assert look(group(4, "abcd"), batch=["c", "d"], floor="3", patience=3600)["refusal"]
    assert said == []


def test_without_a_batch_one_in_service_is_enough(look: Look, said: list[str]) -> None:
    first, one = group(2, "", a="Pending:Wait", b="Pending"), group(2, "a", b="Pending:Wait")
    assert look(first, one, patience=5)["hosts"] == ["a"]
    assert len(said) == 1
    assert look(first, patience=0.05)["hosts"] == []
    # Who stops waiting, or never began, is not to wait for instances that nobody starts.
    assert look(group(0, ""), patience=3600)["hosts"] == []
