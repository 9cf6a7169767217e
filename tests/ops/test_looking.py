"""The verbs that only look: what they print and how they end. None writes anything."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests.ops.conftest import BIN, BUCKET, NAME, Account
from tests.ops.stage import make_group, make_instance, put_parameter

LOCK = {"who": "alice@laptop", "verb": "deploy", "reason": "Friday's release", "since": "2026-11-22T12:00:00+00:00"}


SSH = """#!/bin/sh
[ "$1" = -V ] && exec echo OpenSSH_9.9
while :; do
  case $1 in
    -o | -i | -l | -p) shift 2 ;;
    -*) shift ;;
    *) break ;;
  esac
done
export ASKED=$1
shift
exec sh -c "$*"
"""
SUDO = """#!/bin/sh
while :; do
  case $1 in
    -u) shift 2 ;;
    -*) shift ;;
    *) break ;;
  esac
done
exec "$@"
"""
JOURNALCTL = """#!/bin/sh
printf '{"__REALTIME_TIMESTAMP": "1764000000%03d000", "SYSLOG_IDENTIFIER": "backend", "MESSAGE": "%s: %s"}\\n' \\
  "$(echo "$ASKED" | tr -dc 0-9 | tail -c 3)" "$ASKED" "$*"
"""


@pytest.fixture
def hosts(tmp_path: Path) -> dict[str, str]:
    """Let this machine stand for every host: an environment for a play whose ssh leads nowhere else."""
    for name, text in (("ssh", SSH), ("sudo", SUDO), ("journalctl", JOURNALCTL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return {"PATH": f"{tmp_path}:{BIN}:{os.environ['PATH']}"}


#: Also the hosts; whatever this machine's own python3 is.
ALL = ("--limit", "all", "-e", f"ansible_python_interpreter={sys.executable}")


def test_status(account: Account, hosts: dict[str, str]) -> None:
    make_group(account, 2)
    put_parameter(account, "release", "2.0.0")
    s3 = account.client("s3")
    s3.put_object(Bucket=BUCKET, Key="lock.json", Body=json.dumps(LOCK).encode())
    entry = {"id": "x", "time": "2026-11-20T08:00:00+00:00", "who": "ann@a", "verb": "deploy", "result": "ok"}
    entry |= {"from": "1.0.0", "to": "2.0.0"}
    s3.put_object(Bucket=BUCKET, Key="audit/20261120T080000Z-x.json", Body=json.dumps(entry).encode())
    account.writes()
    shown = account.play("status", *ALL, **hosts)
    assert shown.code == 0, shown.output
    # Of each host, what it said of itself.
    assert len(re.findall(r"i-\w+  t3\.micro .* healthy +\d+ s  -  +\d+ %  +\d+ %", shown.output)) == 2, shown.output
    assert "  lock        alice@laptop holds the lock since 2026-11-22T12:00:00+00:00 for deploy" in shown.output
    assert "  deployed    2026-11-20T08:00:00Z by ann@a: deploy 1.0.0 → 2.0.0" in shown.output
    assert shown.output.count("t3.micro  us-east-1") == 2
    assert account.writes() == []


def test_doctor(account: Account, hosts: dict[str, str]) -> None:
    make_group(account, 2)
    account.client("autoscaling").suspend_processes(
        AutoScalingGroupName=f"{NAME}-backend", ScalingProcesses=["AZRebalance"]
    )
    dead = {**LOCK, "machine": "another one"}
    account.client("s3").put_object(Bucket=BUCKET, Key="lock.json", Body=json.dumps(dead).encode())
    account.writes()
    sick = account.play("doctor", *ALL, **hosts)
    assert sick.code == 2, sick.output
    assert f"error: {NAME}: " in sick.output
    assert f"group {NAME}-backend: its processes AZRebalance are suspended" in sick.output
    assert "aws autoscaling resume-processes" in sick.output
    # This machine is no host of the backend, and says so.
    mend = "ansible-playbook -i inventories/lab playbooks/configure.yml"
    assert sick.output.count(f"it has not the project's configuration; {mend}") == 2
    assert "not checked: quota vCPUs of standard On-Demand instances: " in sick.output
    assert account.writes() == []


def test_logs_and_exec(account: Account, hosts: dict[str, str]) -> None:
    make_group(account, 2)
    read = account.play("logs", "-e", "since=2h", "-e", 'grep="it\'s"', *ALL, **hosts)
    assert read.code == 0, read.output
    lines = [line for line in read.output.splitlines() if " backend: 10.0." in line]
    assert len(lines) == 2
    assert lines == sorted(lines)
    assert all("--unit=backend --unit=backend-boot --since=@" in line and "--grep=it's" in line for line in lines)
    assert account.history() == []

    failed = account.play("exec", "-e", "command='psql postgres://app:hunter2@db/x'", *ALL, **hosts)
    assert failed.code == 2, failed.output
    # There is no backend on this machine.
    assert failed.output.count(": exit code 1\n") == 2, failed.output
    assert failed.output.count("/etc/vahana/backend.json") == 2
    assert re.search(r"error: the command failed on i-\w+ \(exit code 1\), i-\w+ \(exit code 1\)", failed.output)
    [entry] = account.history()
    assert (entry["verb"], entry["result"], entry["changed"]) == ("exec", "failed", 2)
    assert entry["arguments"]["command"] == "psql postgres://app:…@db/x"
    assert "hunter2" not in json.dumps(entry)


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
