"""One run at a time, and a history of them all: the flow itself, on an environment that is little but its bucket."""

from __future__ import annotations

import json
import re
import time

from tests.ops.conftest import BUCKET, NAME, PARAMETERS, ROOT, Account
from tests.ops.stage import health, make_group, take_one_out

#: The shortest run that changes something: the parameter that names the tier.
CHANGE = ("provision", "--tags", "environment", "-e", "tier=minimal")
ALICE = {
    "who": "alice@laptop",
    "verb": "deploy",
    "reason": "Friday's release",
    "machine": "another one",
    "since": "2026-11-22T12:00:00+00:00",
}


def lock_by_alice(account: Account) -> None:
    account.client("s3").put_object(Bucket=BUCKET, Key="lock.json", Body=json.dumps(ALICE).encode())
    account.writes()


def test_a_run_leaves_no_lock_but_a_record(account: Account) -> None:
    done = account.play(*CHANGE, "-e", "reason='first of all'")
    assert done.code == 0, done.output
    assert "lock.json" not in account.objects()
    [entry] = account.history()
    assert (entry["verb"], entry["result"], entry["changed"]) == ("provision", "ok", 1)
    assert (entry["reason"], entry["arguments"]["tier"]) == ("first of all", "minimal")
    assert entry["identity"].startswith("arn:aws:")
    # What changed nothing is nothing to remember.
    assert account.play(*CHANGE).code == 0
    assert len(account.history()) == 1
    shown = account.play("history", "-e", "limit=5")
    assert f" {entry['who']}  provision " in shown.output
    assert (
        json.loads(
            next(
                line
                for line in account.play("history", "-e", "format=json").output.splitlines()
                if line.startswith("{")
            )
        )
        == entry
    )


def test_the_second_run_is_told_who_and_why_and_stops(account: Account) -> None:
    lock_by_alice(account)
    # A plan needs no lock.
    assert account.play(*CHANGE, "--check").code == 0
    # Heard from just now, however long that took.
    lock_by_alice(account)
    stopped = account.play(*CHANGE)
    assert stopped.code != 0
    assert (
        "error: alice@laptop holds the lock since 2026-11-22T12:00:00+00:00 for deploy (Friday's release), heard from "
        in stopped.output
    )
    assert f"playbooks/unlock.yml -e confirm={NAME}" in stopped.output
    # The attempt to create it, which S3 refused, is the only write.
    assert account.writes() == ["PutObject"]
    assert account.objects() == ["lock.json"]


def test_waiting_for_the_lock(account: Account) -> None:
    lock_by_alice(account)
    with account.start(*CHANGE, "-e", "wait=60") as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("waiting: alice@laptop holds the lock"):
                account.client("s3").delete_object(Bucket=BUCKET, Key="lock.json")
                break
        rest = process.stdout.read()
    assert process.returncode == 0, rest
    assert account.client("ssm").get_parameter(Name=f"{PARAMETERS}/tier")["Parameter"]["Value"] == "minimal"


def test_unlock(account: Account) -> None:
    lock_by_alice(account)
    refused = account.play("unlock")
    assert refused.code != 0
    assert "the lock stays, for its holder is alive" in refused.output, refused.output
    assert account.objects() == ["lock.json"]
    done = account.play("unlock", "-e", f"confirm={NAME}", "-e", "reason='she went home'")
    assert done.code == 0, done.output
    assert "lock.json" not in account.objects()
    [entry] = account.history()
    assert entry["from"].startswith("alice@laptop holds the lock")
    assert (entry["verb"], entry["to"], entry["reason"]) == ("unlock", "unlocked", "she went home")


def test_unlock_puts_back_whom_a_deployment_had_taken_out_of_service(account: Account) -> None:
    targets = make_group(account, 2)["target_group"]
    take_one_out(account, targets)
    done = account.play("unlock")
    assert done.code == 0, done.output
    assert re.search(r"^i-[0-9a-f]+: in service \(", done.output, re.MULTILINE), done.output
    assert health(account, targets) == ["healthy"] * 2


def test_a_run_that_was_killed_is_recorded_and_finished_by_the_next(account: Account) -> None:
    killed = account.play(
        *CHANGE,
        ANSIBLE_CALLBACK_PLUGINS=f"plugins/callback:{ROOT / 'tests' / 'plan' / 'callbacks'}",
        ANSIBLE_CALLBACKS_ENABLED="changed_tasks",
        CHANGED_TASKS="/dev/null",
        CHANGED_TASKS_STOP_AFTER="1",
    )
    assert killed.code == -9
    deadline = time.monotonic() + 120
    while not account.history() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [entry["result"] for entry in account.history()] == ["interrupted"]
    assert "lock.json" in account.objects()
    done = account.play(*CHANGE)
    assert done.code == 0, done.output
    assert "taken over from a run that is dead: " in done.output
    assert "lock.json" not in account.objects()
