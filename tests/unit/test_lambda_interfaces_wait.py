"""Waiting until Lambda has given its network interfaces back."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from plugins.action import lambda_interfaces_wait as waiting
from plugins.module_utils import aws_wait

VPC = "vpc-0123456789abcdef0"
Wait = Callable[..., dict[str, Any]]


def interface(number: int, kind: str) -> dict[str, str]:
    return {"NetworkInterfaceId": f"eni-{number}", "InterfaceType": kind}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(aws_wait.display, "display", lines.append)
    return lines


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Wait:
    """Ask an EC2 that has one list of interfaces after the other; the last stays."""

    def run(*lists: list[dict[str, str]], check: bool = False, **arguments: Any) -> dict[str, Any]:
        left = list(lists)

        class Ec2:
            def can_paginate(self, _operation: str) -> bool:
                return False

            def describe_network_interfaces(self, **asked: Any) -> dict[str, Any]:
                assert asked == {"Filters": [{"Name": "vpc-id", "Values": [VPC]}]}
                return {"NetworkInterfaces": left.pop(0) if len(left) > 1 else left[0]}

        monkeypatch.setattr(waiting.boto3, "client", lambda _service: Ec2())
        action = waiting.ActionModule.__new__(waiting.ActionModule)
        action._task = SimpleNamespace(check_mode=check)
        defaults = {"vpc_ids": [VPC], "timeout": 5, "poll_seconds": 0.01, "report_seconds": 60}
        return action.ask({**defaults, **arguments}, {})

    return run


def test_those_of_others_are_not_waited_for(wait: Wait, said: list[str]) -> None:
    assert wait([interface(1, "interface"), interface(2, "nat_gateway")]) == {"waited_seconds": 0}
    assert said == []


def test_it_goes_on_when_the_last_is_gone_and_says_what_it_waits_for(wait: Wait, said: list[str]) -> None:
    first, second = interface(1, "lambda"), interface(2, "lambda")
    assert "failed" not in wait([first, second], [second], [])
    assert said == [f"Lambda still has {names} (0 s; usually 5 to 25 min)" for names in ("eni-1, eni-2", "eni-2")]


def test_it_does_not_wait_for_ever(wait: Wait) -> None:
    done = wait([interface(1, "lambda")], timeout=0)
    assert done["failed"] and "Lambda still has eni-1, not done after 0 s; run the same command again" in done["msg"]


def test_a_plan_and_an_account_without_a_vpc_wait_for_nothing(wait: Wait) -> None:
    assert wait([interface(1, "lambda")], check=True) == {"waited_seconds": 0}
    assert wait([interface(1, "lambda")], vpc_ids=[]) == {"waited_seconds": 0}
