"""The keeper of the lock: what becomes of lock and run when it, the playbook or the way to S3 dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from plugins.callback import keeper as keeper_callback
from plugins.module_utils.history import read_entries
from plugins.module_utils.locking import EXPIRY_SECONDS, HEARTBEAT_SECONDS, Holder, Lock

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"
HEARTBEAT = 0.2
DEADLINE = 60.0

#: A playbook of one task, which holds all that the playbook has open and goes on when that is killed.
PLAYBOOK = """
import json, os, sys, time
from types import SimpleNamespace
from plugins.callback.keeper import CallbackModule

order = json.loads(sys.stdin.readline())
order["holder"]["pid"] = os.getpid()
callback = CallbackModule()
callback.v2_runner_on_ok(SimpleNamespace(result={"order": order}, task=SimpleNamespace(action="environment_lock")))
task = os.fork()
if task == 0:
    os.setsid()
    time.sleep(300)
print(task, callback._keeper.pid, flush=True)
time.sleep(300)
"""


@pytest.fixture
def s3(credentials: None, monkeypatch: pytest.MonkeyPatch, moto_url: str) -> Any:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    return boto3.client("s3", region_name=REGION)


@pytest.fixture
def bucket(s3: Any, request: pytest.FixtureRequest) -> str:
    name = f"keeper-{abs(hash(request.node.name))}"
    s3.create_bucket(Bucket=name)
    return name


def order_of(s3: Any, bucket: str, pid: int) -> dict[str, Any]:
    """Take the lock; return what environment_lock tells the keeper."""
    holder = Holder.of_process(pid, "deploy", "")
    etag, _dead = Lock(s3, bucket).take(holder)
    record = {"id": holder.id, "time": holder.since, "who": holder.who, "verb": "deploy", "from": "1", "to": "2"}
    return {
        "region": REGION,
        "bucket": bucket,
        "parameter_prefix": "/a/b",
        "holder": asdict(holder),
        "etag": etag,
        "record": record,
        "began": time.monotonic(),
    }


def until(true: Callable[[], Any]) -> Any:
    """Wait for something to be so; return it."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        found = true()
        if found:
            return found
        time.sleep(0.05)
    pytest.fail("it did not come")


def is_keeper(pid: int) -> bool:
    """Tell whether this process is there and a keeper; nothing remains of the command line of one that has ended."""
    try:
        return b"keeper" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_a_killed_playbook_is_noticed_while_its_task_lives(s3: Any, bucket: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PLAYBOOK], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as playbook:
        assert playbook.stdin and playbook.stdout
        playbook.stdin.write(json.dumps(order_of(s3, bucket, 0)) + "\n")
        playbook.stdin.flush()
        task, keeper = map(int, playbook.stdout.readline().split())
        try:
            assert is_keeper(keeper)
            playbook.kill()
            [entry] = until(lambda: read_entries(s3, bucket, None, 2))
            assert (entry["result"], entry["verb"], entry["changed"]) == ("interrupted", "deploy", None)
            until(lambda: not is_keeper(keeper))
            # The task may be at work on hosts: only time frees the lock.
            assert Lock(s3, bucket).read()
        finally:
            os.kill(task, signal.SIGKILL)


@pytest.fixture
def callback(monkeypatch: pytest.MonkeyPatch) -> Iterator[keeper_callback.CallbackModule]:
    program = f"from plugins import keeper; keeper.main({HEARTBEAT})"
    monkeypatch.setattr(keeper_callback, "_COMMAND", [sys.executable, "-c", program])
    yield keeper_callback.CallbackModule()


def begin(callback: keeper_callback.CallbackModule, order: dict[str, Any]) -> None:
    callback.v2_runner_on_ok(SimpleNamespace(result={"order": order}, task=SimpleNamespace(action="environment_lock")))


def end(callback: keeper_callback.CallbackModule, failures: int = 0) -> None:
    host = {"failures": failures, "unreachable": 0, "changed": 1}
    callback.v2_playbook_on_stats(SimpleNamespace(processed=["localhost"], summarize=lambda name: host))


def kill_keeper(callback: keeper_callback.CallbackModule) -> None:
    assert callback._keeper
    callback._keeper.kill()


def test_a_killed_keeper_has_a_successor_that_renews_the_lock(
    s3: Any, bucket: str, callback: keeper_callback.CallbackModule
) -> None:
    begin(callback, order_of(s3, bucket, os.getpid()))
    first = callback._keeper
    kill_keeper(callback)
    until(lambda: callback._keeper is not first)
    lock = Lock(s3, bucket)
    before = lock.read()
    assert before
    until(lambda: (now := lock.read()) and now.holder.heartbeat > before.holder.heartbeat)
    callback.v2_playbook_on_task_start(None, False)
    end(callback)
    [entry] = read_entries(s3, bucket, None, 2)
    assert (entry["result"], entry["changed"], lock.read()) == ("ok", 1, None)


@pytest.mark.parametrize(("in_service", "attempted"), [("1.0.0", "2.0.0"), ("2.0.0", None)])
def test_the_release_that_did_not_get_in_service_is_recorded(
    s3: Any, bucket: str, callback: keeper_callback.CallbackModule, in_service: str, attempted: str | None
) -> None:
    boto3.client("ssm").put_parameter(Name="/a/b/release", Value=in_service, Type="String", Overwrite=True)
    order = order_of(s3, bucket, os.getpid())
    order["record"]["to"] = ""
    begin(callback, order)
    fact = {"ansible_facts": {"deploy_release": "2.0.0"}}
    callback.v2_runner_on_ok(SimpleNamespace(result=fact, task=SimpleNamespace(action="ansible.builtin.set_fact")))
    end(callback, failures=1)
    [entry] = read_entries(s3, bucket, None, 2)
    assert (entry["result"], entry["to"], entry.get("attempted")) == ("failed", in_service, attempted)


def test_a_run_whose_keeper_cannot_live_stops(s3: Any, bucket: str, callback: keeper_callback.CallbackModule) -> None:
    begin(callback, order_of(s3, bucket, os.getpid()))
    for _time in range(keeper_callback._MOST_KEEPERS):
        killed = callback._keeper
        kill_keeper(callback)
        until(lambda killed=killed: callback._keeper is not killed or callback._lost)  # type: ignore[misc]
    with pytest.raises(KeyboardInterrupt):
        callback.v2_playbook_on_task_start(None, False)


def test_a_lock_that_another_took_stops_the_run(s3: Any, bucket: str, callback: keeper_callback.CallbackModule) -> None:
    begin(callback, order_of(s3, bucket, os.getpid()))
    s3.delete_object(Bucket=bucket, Key="lock.json")
    Lock(s3, bucket).take(Holder("alice@laptop", "deploy"))

    def stopped() -> bool:
        try:
            callback.v2_playbook_on_task_start(None, False)
        except KeyboardInterrupt:
            return True
        return False

    until(stopped)
    end(callback)
    held = Lock(s3, bucket).read()
    assert held and held.holder.who == "alice@laptop"


def test_a_run_without_a_way_to_s3_is_told_before_its_lock_expires(
    s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server takes every connection and answers nothing: a single request would wait for longer."""
    heartbeat, order = 3.0, order_of(s3, bucket, os.getpid())
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        with subprocess.Popen(
            [sys.executable, "-c", f"from plugins import keeper; print(flush=True); keeper.main({heartbeat})"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as keeper:
            assert keeper.stdin and keeper.stdout
            keeper.stdout.readline()
            began = time.monotonic()
            keeper.stdin.write(json.dumps(order) + "\n")
            keeper.stdin.flush()
            said = keeper.stdout.readline()
            took = time.monotonic() - began
            keeper.kill()
    assert said == "the lock could not be renewed for 6 s: S3 does not answer\n"
    assert took < EXPIRY_SECONDS / HEARTBEAT_SECONDS * heartbeat
