"""Waiting until a table is there with its indexes."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from plugins.action import dynamodb_table_wait as waiting
from plugins.module_utils import aws_wait

Wait = Callable[..., dict[str, Any]]


def table(status: str, *indexes: str) -> dict[str, Any]:
    return {"TableStatus": status, "GlobalSecondaryIndexes": [{"IndexStatus": each} for each in indexes]}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(aws_wait.display, "display", lines.append)
    return lines


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Wait:
    """Ask a DynamoDB whose table is one after the other; the last stays."""

    def run(*states: dict[str, Any], check: bool = False, **arguments: Any) -> dict[str, Any]:
        left = list(states)

        class Dynamodb:
            def describe_table(self, **asked: str) -> dict[str, Any]:
                assert asked == {"TableName": "cars"}
                return {"Table": left.pop(0) if len(left) > 1 else left[0]}

        monkeypatch.setattr(waiting.boto3, "client", lambda _service: Dynamodb())
        action = waiting.ActionModule.__new__(waiting.ActionModule)
        action._task = SimpleNamespace(check_mode=check)
        defaults = {"name": "cars", "timeout": 5, "poll_seconds": 0.01, "report_seconds": 0}
        return action.ask({**defaults, **arguments}, {})

    return run


def test_it_waits_for_the_indexes_too(wait: Wait, said: list[str]) -> None:
    done = wait(table("CREATING"), table("ACTIVE", "CREATING"), table("ACTIVE", "ACTIVE"))
    assert done == {"waited_seconds": 0}
    assert said == [f"table cars: {status} (0 s; usually 5 to 20 min)" for status in ("CREATING", "ACTIVE")]


def test_it_does_not_wait_for_ever_nor_in_a_plan(wait: Wait, said: list[str]) -> None:
    late = wait(table("CREATING"), timeout=0)
    assert late == {"failed": True, "msg": "table cars: CREATING, not done after 0 s; it goes on by itself"}
    assert wait(table("CREATING"), check=True) == {"waited_seconds": 0}
    assert said == []
