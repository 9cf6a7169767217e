"""What a rolling deployment decides: whom it may touch, how many at once, and what it tells in the end."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from plugins.module_utils.rollout import (
    Sight,
    Target,
    batches,
    below_floor,
    error,
    failure_lines,
    least_healthy,
    may_change,
    obstacles,
    said,
    summary_lines,
    trouble,
    unhealthy,
)
from tests.unit.servers import ROOT

HEALTHY = Target("healthy")


def sight(targets: dict[str, Target], **lifecycles: str) -> Sight:
    """Return a group whose instances are in service unless told otherwise."""
    instances = {**dict.fromkeys(targets, "InService"), **lifecycles}
    return Sight("cars-backend", balanced=True, instances=instances, targets=targets)


def test_who_serves_who_is_out_and_who_is_coming() -> None:
    seen = sight(
        {"a": HEALTHY, "b": Target("draining"), "d": HEALTHY, "e": Target("initial")},
        c="InService",
        d="Terminating:Wait",
        f="Pending:Wait",
    )
    assert seen.hosts == ["a", "b", "c", "e"]
    assert (seen.healthy, seen.out, seen.starting, seen.settling) == (["a"], ["b", "c"], ["f"], True)


def test_without_a_load_balancer_every_host_counts_as_healthy() -> None:
    seen = Sight("", balanced=False, instances={"a": ""})
    assert (seen.hosts, seen.healthy, seen.out) == (["a"], ["a"], [])
    assert unhealthy(seen) == []


def test_each_host_that_is_not_healthy_is_named_with_its_reason_and_its_mend() -> None:
    ill = Target("unhealthy", "Target.ResponseCodeMismatch: Health checks failed with these codes: [500]")
    seen = sight({"a": HEALTHY, "b": ill, "c": Target("draining")}, d="Standby")
    standby, failing = unhealthy(seen)
    assert standby.startswith("d is in standby: bring it back with `aws autoscaling exit-standby ")
    assert failing == (
        "b is unhealthy (Target.ResponseCodeMismatch: Health checks failed with these codes: [500]): see why with "
        "`ansible b -b -a 'journalctl -u backend -n 50'`, or terminate it"
    )


def test_an_instance_refresh_is_in_the_way() -> None:
    assert obstacles(sight({"a": HEALTHY})) == []
    [line] = obstacles(Sight("cars-backend", True, {}, refresh=("r-1", "InProgress")))
    assert "(r-1, InProgress)" in line
    assert "rollback-instance-refresh --auto-scaling-group-name cars-backend" in line


@pytest.mark.parametrize(
    ("floor", "hosts", "least"),
    [
        *[("50%", hosts, least) for hosts, least in ((1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (50, 25))],
        ("0%", 2, 1),
        ("0", 1, 0),
        ("3", 4, 3),
        ("100%", 4, 4),
        ("100%", 1, 0),
    ],
)
def test_floor(floor: str, hosts: int, least: int) -> None:
    assert least_healthy(floor, hosts) == least


@pytest.mark.parametrize("floor", ["half", "-1", "101%", "", "1.5"])
def test_no_floor(floor: str) -> None:
    with pytest.raises(ValueError, match="neither a number nor a percentage"):
        least_healthy(floor, 2)


def test_a_batch_below_the_floor_is_refused() -> None:
    four = sight(dict.fromkeys("abcd", HEALTHY))
    assert below_floor(four, ["c", "d"], "50%") == ""
    refusal = below_floor(four, ["b", "c", "d"], "50%")
    assert refusal.startswith("taking b, c, d out of service would leave 1 healthy of 4 hosts, and 2 must stay ")
    one_ill = sight({**dict.fromkeys("abc", HEALTHY), "d": Target("unhealthy")})
    assert "not healthy: d" in below_floor(one_ill, ["b", "c"], "50%")


def test_of_two_one_goes_and_of_one_healthy_none() -> None:
    assert below_floor(sight({"a": HEALTHY, "b": HEALTHY}), ["a"], "50%") == ""
    crippled = sight({"a": HEALTHY, "b": Target("unhealthy")})
    assert below_floor(crippled, ["a"], "50%")
    assert below_floor(crippled, ["a"], "0")


def test_what_serves_nobody_may_always_be_cured() -> None:
    assert below_floor(sight({"a": HEALTHY, "b": Target("unhealthy")}), ["b"], "100%") == ""
    assert below_floor(sight({"a": Target("unhealthy"), "b": Target("unhealthy")}), ["a", "b"], "50%") == ""


def test_one_that_was_lost_counts_until_its_successor_is_in_service() -> None:
    """Of two the first is killed: the other is the last that serves."""
    lost = Sight(
        "cars-backend",
        balanced=True,
        instances={"a": "Terminating", "b": "InService", "c": "Pending:Wait"},
        targets={"b": HEALTHY},
        desired=2,
    )
    refusal = below_floor(lost, ["b"], "50%")
    assert "would leave 0 healthy of 2 hosts, and 1 must stay" in refusal
    assert "not in service yet: 1 (c)" in refusal
    assert may_change(lost, ["b"], "50%")
    succeeded = replace(lost, instances={"b": "InService", "c": "InService"}, targets={"b": HEALTHY, "c": HEALTHY})
    assert below_floor(succeeded, ["b"], "50%") == ""
    # One that is alone by its group's will has nobody who could take over.
    assert below_floor(Sight("cars", balanced=True, instances={"b": "InService"}, desired=1), ["b"], "50%") == ""


def test_what_no_waiting_mends_is_not_waited_for() -> None:
    four = replace(sight(dict.fromkeys("abcd", HEALTHY)), desired=4)
    assert below_floor(four, ["c", "d"], "3")
    assert not may_change(four, ["c", "d"], "3")
    one_starts = sight({"a": HEALTHY, "b": HEALTHY, "c": Target("initial")})
    assert below_floor(one_starts, ["b"], "50%")
    assert may_change(one_starts, ["b"], "50%")


def test_batches() -> None:
    assert batches([1, "25%", "50%"]) == batches("1, 25%,50%") == [1, "25%", "50%"]
    assert batches(2) == [2]


@pytest.mark.parametrize("value", [[], "", "0", ["0%"], "1,half", [101, "101%"]])
def test_no_batches(value: Any) -> None:
    with pytest.raises(ValueError, match=r"neither a number of hosts nor|no batch"):
        batches(value)


def ran(code: int, answer: dict[str, Any] | None = None, error: str = "") -> dict[str, Any]:
    return {"rc": code, "stdout": json.dumps(answer) if answer is not None else "", "stderr": error}


def test_what_backend_release_said() -> None:
    assert trouble(ran(0, {"changed": True})) == {}
    assert trouble({"skipped": True}) == {}
    assert said(ran(0, {"changed": True})) == {"changed": True}
    assert said({"stdout": "[1]"}) == said({"stdout": "Segmentation fault"}) == said({"skipped": True}) == {}


@pytest.mark.parametrize(
    ("result", "cause", "log"),
    [
        (ran(1, {"error": "not healthy", "log": ["boom"]}, "error: not healthy"), "not healthy", ["boom"]),
        (ran(75, error="trying\nerror: no answer from AWS\n"), "no answer from AWS", []),
        ({"rc": 2, "msg": "[Errno 2] No such file"}, "[Errno 2] No such file", []),
        ({"failed": True, "msg": "Timed out after 300 second(s)."}, "Timed out after 300 second(s).", []),
        ({}, "no reason is given", []),
    ],
)  # fmt: skip
def test_why_it_failed(result: dict[str, Any], cause: str, log: list[str]) -> None:
    assert trouble(result) == {"cause": cause, "log": log, "unreachable": False}


def test_a_host_that_cannot_be_reached_and_one_of_former_days() -> None:
    gone = trouble({"unreachable": True, "msg": "Task failed: Failed to connect to the host via ssh: No route to host"})
    assert gone["unreachable"]
    assert gone["cause"] == "it cannot be reached: Failed to connect to the host via ssh: No route to host"
    for words in ("argument verb: invalid choice: 'migrate'", "unrecognized arguments: --drained"):
        old = trouble(ran(2, error=f"usage: …\nbackend-release: error: {words}"))
        assert "run playbooks/configure.yml" in old["cause"]


def test_why_a_task_on_the_controller_failed() -> None:
    assert error({"failed": True, "msg": "Task failed: no answer"}) == "no answer"
    assert error({"failed": True}) == "no reason is given"
    assert error({"msg": "all is well"}) == error({"skipped": True}) == error({}) == ""


def test_the_report_names_host_phase_cause_and_last_lines() -> None:
    failure = {"host": "i-1", "phase": "switching", "cause": "it is not healthy", "log": ["boom", "bang"]}
    assert failure_lines([failure, failure]) == ["i-1 failed at switching: it is not healthy", "  | boom", "  | bang"]


def test_the_table_sums_the_slowest_of_each_batch() -> None:
    canary = {"began": 100.0, "ended": 146.0, "drain": 30.0, "switch": 3.0, "health": 1.0, "in service": 10.0}
    slow = {**canary, "began": 150.0, "ended": 199.5, "switch": 5.0}
    quick = {**canary, "began": 150.0, "ended": 199.0, "in service": 12.0}
    lines = summary_lines({"i-1": {**canary, "watch": 20.0}, "i-2": slow, "i-3": quick}, 130.0)
    table = [line.split() for line in lines]
    assert table[1] == ["1", "1", "30.0", "s", "3.0", "s", "1.0", "s", "10.0", "s", "20.0", "s", "46.0", "s"]
    assert table[2] == ["2", "2", "30.0", "s", "5.0", "s", "1.0", "s", "12.0", "s", "0.0", "s", "49.5", "s"]
    assert (
        lines[-1] == "130.0 s in all, 92.0 s of it unavoidable waiting and 20.0 s of watching: 1.20 times the waiting"
    )
    assert len({len(line) for line in lines[:-1]}) == 1


def test_every_command_that_takes_the_lock_of_a_host_waits_for_it() -> None:
    commands = [
        line.strip()
        for file in (ROOT / "roles/rollout").glob("*/*.yml")
        for line in file.read_text().splitlines()
        if re.search(r"'?backend-release'?, '?(install|migrate|activate)\b", line)
    ]
    assert len(commands) == 4
    assert [command for command in commands if "+ __rollout_wait" not in command] == []
