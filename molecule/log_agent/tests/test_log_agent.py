"""What a host writes reaches CloudWatch Logs, once, in the group that it belongs to. Tests build on each other."""

from __future__ import annotations

import time
from typing import Any

import boto3
import pytest
from testinfra.host import Host

PATIENCE = 120
"""Seconds. What goes well never waits for it, and a busy machine is no failure."""


@pytest.fixture(scope="module")
def logs(host: Host) -> Any:
    """CloudWatch Logs as the host sees it."""
    environment = dict(line.split("=", 1) for line in host.file("/etc/environment").content_string.splitlines())
    return boto3.client(
        "logs",
        region_name="us-east-1",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="molecule",
        aws_secret_access_key="molecule",
    )


def sent(host: Host, logs: Any, group: str) -> list[str]:
    """Return what is in the host's own stream of a group, none when there is no stream yet."""
    stream = host.file("/var/lib/cloud/data/instance-id").content_string.strip()
    named = {"logGroupName": f"/carapp/test/{group}", "logStreamName": stream}
    try:
        events = logs.get_log_events(**named, startFromHead=True)["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [str(event["message"]) for event in events]


def wait_for(host: Host, logs: Any, group: str, text: str) -> None:
    """Wait until a group has a line."""
    deadline = time.monotonic() + PATIENCE
    while text not in sent(host, logs, group):
        assert time.monotonic() < deadline, host.run("sudo journalctl --unit log-agent --lines 20").stdout
        time.sleep(0.5)


def write(host: Host, unit: str, *words: str) -> None:
    """Let a unit write a line."""
    with host.sudo():
        host.check_output(f"systemd-run --quiet --wait --unit {unit} --service-type oneshot {' '.join(words)}")


def test_it_runs_without_rights(host: Host) -> None:
    assert host.service("log-agent").is_running
    assert host.service("log-agent").is_enabled
    process = host.check_output("systemctl show --property MainPID --value log-agent")
    assert host.check_output(f"stat --format %U /proc/{process}") != "root"
    status = host.check_output(f"cat /proc/{process}/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"


def test_every_line_of_the_backend_is_sent(host: Host, logs: Any) -> None:
    write(host, "backend", "echo", "a-line-of-the-backend")
    wait_for(host, logs, "backend", "a-line-of-the-backend")


def test_of_others_what_they_warn_of(host: Host, logs: Any) -> None:
    host.check_output("logger --tag elsewhere --priority user.info a-remark")
    host.check_output("logger --tag elsewhere --priority user.warning a-warning")
    wait_for(host, logs, "system", "elsewhere: a-warning")
    assert not [line for group in ("system", "backend") for line in sent(host, logs, group) if "a-remark" in line]


def test_what_was_written_while_it_was_stopped_is_sent_once(host: Host, logs: Any) -> None:
    with host.sudo():
        host.check_output("systemctl stop log-agent")
    write(host, "backend", "echo", "a-line-that-waited")
    assert "a-line-that-waited" not in sent(host, logs, "backend")
    with host.sudo():
        host.check_output("systemctl start log-agent")
    wait_for(host, logs, "backend", "a-line-that-waited")
    assert sent(host, logs, "backend").count("a-line-that-waited") == 1
    assert sent(host, logs, "backend").count("a-line-of-the-backend") == 1
