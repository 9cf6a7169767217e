"""The lock: who gets it, who loses it, and that two can never have it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from ansible import context
from ansible.parsing.dataloader import DataLoader
from moto import mock_aws

from plugins.action import environment_lock
from plugins.module_utils import locking
from plugins.module_utils.history import read_entries, write_entry
from plugins.module_utils.locking import Held, Holder, Lock, LockedError, LostError

BUCKET = "vahanhelp-prod-releases-123456789012"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "0-no-secret-0")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield client


def ours(reason: str = "") -> Holder:
    return Holder.of_process(os.getpid(), "deploy", reason)


def elsewhere() -> Holder:
    return Holder("alice@laptop", "deploy", "Friday's release", machine="another boot", pid=1, started="1")


def keys(s3: Any) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def test_second_one_is_told_who_has_it(s3: Any) -> None:
    lock = Lock(s3, BUCKET)
    lock.take(elsewhere())
    with pytest.raises(LockedError) as caught:
        lock.take(ours())
    assert str(caught.value).startswith("alice@laptop holds the lock since 20")
    assert "for deploy (Friday's release), heard from " in str(caught.value)


def test_taken_renewed_released_and_taken_again(s3: Any) -> None:
    lock, holder = Lock(s3, BUCKET), ours()
    etag, dead = lock.take(holder)
    assert dead is None
    for _beat in range(3):
        etag = lock.renew(locking.asdict(holder), etag)
    assert lock.release(etag)
    assert keys(s3) == []
    assert lock.read() is None
    # A delete marker is its current version now.
    lock.take(ours())
    assert keys(s3) == ["lock.json"]


def test_a_process_of_this_machine_that_ended_has_lost_it(s3: Any) -> None:
    lock = Lock(s3, BUCKET)
    with subprocess.Popen(["sleep", "60"]) as process:
        lock.take(Holder.of_process(process.pid, "site", ""))
        with pytest.raises(LockedError):
            lock.take(ours())
        process.kill()
    _etag, dead = lock.take(ours())
    assert dead
    assert dead.holder.verb == "site"


def test_silence_of_another_machine_ends_its_lock(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, holder = Lock(s3, BUCKET), elsewhere()
    etag, _dead = lock.take(holder)
    read = Lock.read

    def later(self: Lock) -> Held | None:
        held = read(self)
        return held and Held(held.holder, held.etag, held.silent + locking.EXPIRY_SECONDS)

    monkeypatch.setattr(Lock, "read", later)
    _etag, dead = lock.take(ours())
    assert dead
    assert dead.holder.who == "alice@laptop"
    with pytest.raises(LostError, match="holds the lock since"):
        lock.renew(locking.asdict(holder), etag)
    # The end of the run that lost it takes nothing from the one that has it.
    assert not lock.release(etag)
    assert keys(s3) == ["lock.json"]


def test_a_heartbeat_does_not_bring_a_broken_lock_back(s3: Any) -> None:
    lock, holder = Lock(s3, BUCKET), ours()
    etag, _dead = lock.take(holder)
    held = lock.read()
    assert held
    assert lock.release(held.etag)
    with pytest.raises(LostError, match="removed"):
        lock.renew(locking.asdict(holder), etag)
    assert keys(s3) == []


def test_a_heartbeat_goes_on_from_one_that_was_not_told(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = (f"2026-11-25T12:00:{second:02}+00:00" for second in range(60))
    monkeypatch.setattr(locking, "now", lambda: next(seconds))
    lock, holder = Lock(s3, BUCKET), elsewhere()
    first, _dead = lock.take(holder)
    told_to_nobody = lock.renew(locking.asdict(holder), first)
    etag = lock.renew(locking.asdict(holder), first)
    held = lock.read()
    assert held and held.etag == etag not in (first, told_to_nobody)


def test_a_write_whose_answer_was_lost_is_ours(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore sends it again, and S3 finds what the first one has written."""
    lock, put = Lock(s3, BUCKET), Lock._put

    def twice(self: Lock, holder: Holder, condition: Any) -> str:
        put(self, holder, condition)
        return put(self, holder, condition)

    monkeypatch.setattr(Lock, "_put", twice)
    etag, dead = lock.take(ours())
    held = lock.read()
    assert held and held.etag == etag and dead is None


def test_a_lock_is_broken_while_its_holder_renews_it(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each renewal in a second of its own, so that it is another object.
    seconds = (f"2026-11-25T12:00:{second:02}+00:00" for second in range(60))
    monkeypatch.setattr(locking, "now", lambda: next(seconds))
    lock, holder = Lock(s3, BUCKET), elsewhere()
    etag, _dead = lock.take(holder)
    lock.renew(locking.asdict(holder), etag)
    release, etags = Lock.release, list[str]()

    def while_it_beats(self: Lock, etag: str) -> bool:
        etags.append(etag)
        if len(etags) == 1:
            lock.renew(locking.asdict(holder), etag)
        return release(self, etag)

    monkeypatch.setattr(Lock, "release", while_it_beats)
    assert lock.take_from(holder.id)
    assert len(etags) == 2 and lock.read() is None
    # Nobody else's.
    lock.take(ours())
    assert not lock.take_from(holder.id) and lock.read()


def test_what_another_version_wrote_counts_as_a_lock(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="lock.json", Body=b'{"owner": 1}')
    with pytest.raises(LockedError, match="somebody holds the lock"):
        Lock(s3, BUCKET).take(ours())
    held = Lock(s3, BUCKET).read()
    assert held and Lock(s3, BUCKET).take_from(held.holder.id)


@pytest.mark.parametrize(("to", "said"), [("nothing", []), ("1.0.0", ["the lock was removed"])])
def test_only_destroy_takes_its_own_lock_away(monkeypatch: pytest.MonkeyPatch, to: str, said: list[str]) -> None:
    from plugins import keeper

    class Gone:
        def renew(self, holder: Any, etag: str) -> str:
            raise LostError("the lock was removed", removed=True)

    heard: list[str] = []
    answers = iter([False, True])
    monkeypatch.setattr(keeper, "_say", heard.append)
    monkeypatch.setattr(keeper, "_MISSED_HEARTBEATS", 1_000_000)

    def has_spoken(seconds: float) -> bool:
        time.sleep(0.01)
        return next(answers)

    monkeypatch.setattr(keeper, "_has_spoken", has_spoken)
    order = {"etag": "a", "holder": {"pid": os.getppid()}, "record": {"to": to}}
    assert keeper.keep(Gone(), order, 0.001) == ""  # type: ignore[arg-type]
    assert heard == said


def lock_action(**arguments: Any) -> dict[str, Any]:
    """Run environment_lock as a task does."""
    arguments = {"region": "us-east-1", "bucket": BUCKET, **arguments}
    task = SimpleNamespace(args=arguments, check_mode=False, async_val=0, action="environment_lock")
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
    action = environment_lock.ActionModule(task, connection, None, DataLoader(), None, None)
    result: dict[str, Any] = action.run(task_vars={})
    return result


def dead() -> Holder:
    """Return a process of this machine that is no more, as all of them are after its end."""
    return Holder("alice@laptop", "deploy", "Friday's release", machine=locking.machine(), pid=1, started="0")


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "CLIARGS", {"args": ["playbooks/deploy.yml"], "extra_vars": ()})


@pytest.mark.usefixtures("command_line")
@pytest.mark.parametrize("state", ["taken", "absent"])
def test_a_run_that_died_with_its_machine_is_recorded_once(s3: Any, state: str) -> None:
    holder = dead()
    for result in ("interrupted", "as its keeper wrote it"):
        Lock(s3, BUCKET).take(holder)
        assert not lock_action(state=state, id=holder.id).get("failed")
        [entry] = read_entries(s3, BUCKET, None, 2)
        assert (entry["result"], entry["who"], entry["verb"]) == (result, "alice@laptop", "deploy")
        assert (entry["id"], entry["time"]) == (holder.id, holder.since)
        write_entry(s3, BUCKET, {**entry, "result": "as its keeper wrote it"})
        s3.delete_object(Bucket=BUCKET, Key="lock.json")
