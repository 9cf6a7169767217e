"""The verbs that only look: what they print and how they end. None writes anything."""

from __future__ import annotations

import json

import pytest

from tests.ops.conftest import BUCKET, NAME, Account
from tests.ops.stage import make_group, make_instance, put_parameter

LOCK = {"who": "alice@laptop", "verb": "deploy", "reason": "Friday's release", "since": "2026-11-22T12:00:00+00:00"}


def test_status(account: Account) -> None:
    make_group(account, 2)
    put_parameter(account, "release", "2.0.0")
    s3 = account.client("s3")
    s3.put_object(Bucket=BUCKET, Key="lock.json", Body=json.dumps(LOCK).encode())
    entry = {"id": "x", "time": "2026-11-20T08:00:00+00:00", "who": "ann@a", "verb": "deploy", "result": "ok"}
    entry |= {"from": "1.0.0", "to": "2.0.0"}
    s3.put_object(Bucket=BUCKET, Key="audit/20261120T080000Z-x.json", Body=json.dumps(entry).encode())
    account.writes()
    shown = account.play("status")
    assert shown.code == 0, shown.output
    assert "  lock        alice@laptop holds the lock since 2026-11-22T12:00:00+00:00 for deploy" in shown.output
    assert "  deployed    2026-11-20T08:00:00Z by ann@a: deploy 1.0.0 → 2.0.0" in shown.output
    assert shown.output.count("t3.micro  us-east-1") == 2
    assert account.writes() == []


def test_doctor(account: Account) -> None:
    make_group(account, 2)
    account.client("autoscaling").suspend_processes(
        AutoScalingGroupName=f"{NAME}-backend", ScalingProcesses=["AZRebalance"]
    )
    dead = {**LOCK, "machine": "another one"}
    account.client("s3").put_object(Bucket=BUCKET, Key="lock.json", Body=json.dumps(dead).encode())
    account.writes()
    sick = account.play("doctor")
    assert sick.code == 2, sick.output
    assert f"error: {NAME}: " in sick.output
    assert f"group {NAME}-backend: its processes AZRebalance are suspended" in sick.output
    assert "aws autoscaling resume-processes" in sick.output
    assert "not checked: quota vCPUs of standard On-Demand instances: " in sick.output
    assert account.writes() == []


@pytest.mark.long
def test_there_is_no_host_to_ask(account: Account) -> None:
    put_parameter(account, "tier", "minimal")
    for verb, arguments in (("logs", ()), ("exec", ("-e", "command=true"))):
        nothing = account.play(verb, *arguments)
        assert nothing.code == 2
        assert f"{NAME} has no running instance; it has none: make them with" in nothing.output, nothing.output


@pytest.mark.long
def test_a_host_that_is_not_there(account: Account) -> None:
    instance = make_instance(account)
    wrong = account.play("exec", "-e", "command=true", "-e", "host=i-00000000")
    assert wrong.code == 2
    assert f"{NAME} has no instance i-00000000; it has {instance}" in wrong.output
    misspelt = account.play("exec", "-e", "host=web1")
    assert "command (group_vars/all/verbs.yml): what to run; write -e command=" in misspelt.output
    assert "host (-e): 'web1' is not an instance id" in misspelt.output


def test_a_command_would_be_run_and_is_not(account: Account) -> None:
    # Its connection is never opened: a check runs nothing.
    make_instance(account)
    account.writes()
    would = account.play("exec", "-e", "command='rm -rf /tmp/x'", "--check", "--limit", "all")
    assert would.code == 0, would.output
    assert "would run rm -rf /tmp/x as vahanhelp" in would.output
    assert account.writes() == []
