"""Hosts out of a load balancer's service and back, on a load balancer whose states follow from the questions asked."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils import traffic
from plugins.module_utils.rollout import Target
from plugins.module_utils.traffic import OrphanError, Traffic, look


class InvalidTargetError(Exception):
    """AWS takes no target whose instance does not run."""


@dataclass
class Cloud:
    """Load balancer, group and instances at once. What is registered or drains moves on with every look.

    Attributes:
        states: of each target what DescribeTargetHealth says in turn, the last of them for ever.
        dead: instances that do not run.
        leaving: lifecycle of those that their group terminates.
        given_up: those that their group has found unhealthy and has not replaced yet.
        told: the calls that change something.
        delay: the deregistration delay.
        drains: what is said in turn of a target that is deregistered.
    """

    states: dict[str, list[str]]
    dead: set[str] = field(default_factory=set)
    leaving: dict[str, str] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)
    told: list[tuple[str, ...]] = field(default_factory=list)
    comes_up: bool = True
    delay: float = 0
    drains: list[str] = field(default_factory=lambda: ["draining"] * 3)

    class exceptions:  # noqa: N801 - as boto3 calls it
        InvalidTargetException = InvalidTargetError

    @property
    def clients(self) -> dict[str, Any]:
        return dict.fromkeys(("autoscaling", "ec2", "elbv2"), self)

    def describe_target_health(self, TargetGroupArn: str) -> dict[str, Any]:  # noqa: N803 - as boto3 calls it
        now = {name: states.pop(0) if len(states) > 1 else states[0] for name, states in self.states.items()}
        described = [
            {"Target": {"Id": name}, "TargetHealth": {"State": state, "Reason": f"Target.{state.title()}"}}
            for name, state in now.items()
            if state != "absent"
        ]
        return {"TargetHealthDescriptions": described}

    def deregister_targets(self, TargetGroupArn: str, Targets: list[dict[str, Any]]) -> None:  # noqa: N803
        names = [target["Id"] for target in Targets]
        self.told.append(("out", *names))
        for name in names:
            self.states[name] = [*self.drains, "absent"] if self.drains[-1] == "draining" else list(self.drains)

    def describe_target_group_attributes(self, TargetGroupArn: str) -> dict[str, Any]:  # noqa: N803
        return {"Attributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": str(self.delay)}]}

    def register_targets(self, TargetGroupArn: str, Targets: list[dict[str, Any]]) -> None:  # noqa: N803
        names = [target["Id"] for target in Targets]
        if self.dead.intersection(names):
            raise InvalidTargetError
        self.told.append(("in", *names))
        for name in names:
            if self.states[name] != ["draining"]:
                self.states[name] = ["initial", "initial", "healthy" if self.comes_up else "unhealthy"]

    def describe_instances(self, Filters: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        states = {name: "terminated" if name in self.dead else "running" for name in Filters[0]["Values"]}
        instances = [{"InstanceId": name, "State": {"Name": state}} for name, state in states.items()]
        return {"Reservations": [{"Instances": instances}]}

    def describe_auto_scaling_instances(self, InstanceIds: list[str]) -> dict[str, Any]:  # noqa: N803
        assert len(InstanceIds) <= 50, "Array Members: Maximum number of 50 items"
        known = [
            {
                "InstanceId": name,
                "LifecycleState": self.leaving.get(name, "InService"),
                "HealthStatus": "UNHEALTHY" if name in self.given_up else "HEALTHY",
            }
            for name in InstanceIds
        ]
        return {"AutoScalingInstances": known}


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "GONE_SECONDS", 0.0)
    monkeypatch.setattr(traffic, "DOUBT_SECONDS", 0.05)


def of(cloud: Cloud, said: Callable[[str], object] = lambda line: None) -> Traffic:
    return Traffic(cloud.clients, "arn", 3000, say=said, poll=0.001)


def test_out_with_one_call_until_all_are_drained() -> None:
    cloud, lines = Cloud({"a": ["healthy"], "b": ["healthy"], "c": ["healthy"]}), list[str]()
    changed, outcomes = of(cloud, lines.append).bring("out", ["a", "b"], 5)
    assert changed
    assert cloud.told == [("out", "a", "b")]
    assert {name: each["error"] for name, each in outcomes.items()} == {"a": "", "b": ""}
    assert [line.split(" (")[0] for line in lines] == ["a: drained", "b: drained"]


def test_in_until_all_are_healthy_and_nothing_the_second_time() -> None:
    cloud, lines = Cloud({"a": ["absent"], "b": ["healthy"]}), list[str]()
    assert of(cloud).to_change("in", ["a", "b"]) == ["a"]
    changed, outcomes = of(cloud, lines.append).bring("in", ["a", "b"], 5)
    assert (changed, cloud.told) == (True, [("in", "a")])
    assert all(not each["error"] and not each["gone"] for each in outcomes.values())
    assert of(cloud).bring("in", ["a", "b"], 5)[0] is False
    assert cloud.told == [("in", "a")]


def test_what_drains_is_registered_until_it_stays() -> None:
    """AWS says yes to who registers a draining target, and may have it gone a moment later."""
    cloud = Cloud({"a": ["draining"]})
    told_in_vain = of(cloud)
    cloud.register_targets("arn", [{"Id": "a"}])
    assert cloud.states["a"] == ["draining"]
    cloud.states["a"] = ["draining", "draining", "absent"]
    changed, outcomes = told_in_vain.bring("in", ["a"], 5)
    assert changed
    assert outcomes["a"]["error"] == ""
    assert cloud.states["a"] == ["healthy"]


def test_what_does_not_become_healthy_is_said_with_the_reason() -> None:
    cloud = Cloud({"a": ["absent"]}, comes_up=False)
    _changed, outcomes = of(cloud).bring("in", ["a"], 0.05)
    assert outcomes["a"]["error"] == "the load balancer says unhealthy (Target.Unhealthy) after 0 s"
    assert not outcomes["a"]["gone"]


def test_terminated_meanwhile_is_no_error() -> None:
    cloud = Cloud({"a": ["absent"], "b": ["absent"], "c": ["absent"]}, dead={"a"}, leaving={"b": "Terminating:Wait"})
    _changed, outcomes = of(cloud).bring("in", ["a", "b", "c"], 5)
    assert {name: each["gone"] for name, each in outcomes.items()} == {"a": True, "b": True, "c": False}
    assert not any(each["error"] for each in outcomes.values())


def test_one_that_hangs_is_lost_once_its_group_gives_it_up() -> None:
    """It stays until its successor is in service, which nobody has to wait for."""
    cloud = Cloud({"a": ["absent"], "b": ["absent"]}, comes_up=False, given_up={"a", "b"})
    _changed, outcomes = of(cloud).bring("in", ["a", "b"], 0.1, {"a"})
    assert outcomes["a"]["gone"]
    # Whoever can be reached goes back to the release before.
    assert not outcomes["b"]["gone"]
    assert outcomes["b"]["error"] != ""


def test_a_batch_of_more_than_aws_describes_at_once() -> None:
    names = [f"i-{number}" for number in range(120)]
    cloud = Cloud({name: ["absent"] for name in names}, dead={"i-3"}, leaving={"i-119": "Terminating:Wait"})
    assert of(cloud).gone(iter(names)) == ["i-3", "i-119"]


def test_there_is_little_waiting_for_one_that_cannot_be_reached() -> None:
    cloud = Cloud({"a": ["absent"]}, comes_up=False)
    _changed, outcomes = of(cloud).bring("in", ["a"], 3600, doubtful={"a"})
    assert "the load balancer says unhealthy" in outcomes["a"]["error"]


def test_a_look_at_group_and_targets() -> None:
    class Group:
        def describe_auto_scaling_groups(self, AutoScalingGroupNames: list[str]) -> dict[str, Any]:  # noqa: N803
            members = [{"InstanceId": "a", "LifecycleState": "InService"}]
            return {"AutoScalingGroups": [{"Instances": members, "DesiredCapacity": 2}]}

        def describe_instance_refreshes(self, **arguments: Any) -> dict[str, Any]:
            return {"InstanceRefreshes": [{"InstanceRefreshId": "r-1", "Status": "InProgress"}]}

    cloud = Cloud({"a": ["healthy"]})
    seen = look({**cloud.clients, "autoscaling": Group()}, "cars", "arn", [])
    assert (seen.instances, seen.desired, seen.refresh) == ({"a": "InService"}, 2, ("r-1", "InProgress"))
    assert seen.targets == {"a": Target("healthy", "Target.Healthy")}
    alone = look(cloud.clients, "", "", ["i-1"])
    assert (alone.hosts, alone.balanced, alone.refresh) == (["i-1"], False, None)


def test_one_that_its_group_terminates_is_not_registered_again() -> None:
    """Its group has deregistered it, and would not do so a second time: it would get requests to its end."""
    cloud = Cloud({"a": ["draining"], "b": ["absent"]}, leaving={"a": "Terminating:Wait"})
    _changed, outcomes = of(cloud).bring("in", ["a", "b"], 5)
    assert cloud.told == [("in", "b")]
    assert (outcomes["a"]["gone"], outcomes["b"]["gone"]) == (True, False)


def test_one_that_its_group_terminates_after_it_was_registered_is_taken_out_again() -> None:
    cloud = Cloud({"a": ["absent"]}, comes_up=False)
    registering = cloud.register_targets

    def then_terminate(TargetGroupArn: str, Targets: list[dict[str, Any]]) -> None:  # noqa: N803
        registering(TargetGroupArn, Targets)
        cloud.leaving["a"] = "Terminating:Wait"

    cloud.register_targets = then_terminate  # type: ignore[method-assign]
    _changed, outcomes = of(cloud).bring("in", ["a"], 5)
    assert cloud.told == [("in", "a"), ("out", "a")]
    assert outcomes["a"]["gone"]


def test_what_drains_has_its_groups_delay_on_top() -> None:
    cloud = Cloud({"a": ["healthy"]}, delay=5)
    cloud.drains = ["draining"] * 50
    _changed, outcomes = of(cloud).bring("out", ["a"], 0.02)
    assert outcomes["a"]["error"] == ""
    cloud = Cloud({"a": ["draining"]})
    _changed, outcomes = of(cloud).bring("out", ["a"], 0.02)
    assert outcomes["a"]["error"].startswith("the load balancer says draining")


def work_against(folder: Path) -> None:
    """Take a host out, which somebody else puts back all the time, in a worker of a process that is killed."""

    def worker() -> None:
        cloud = Cloud({"a": ["healthy"]})
        cloud.drains = ["draining", "healthy"]
        try:
            of(cloud).bring("out", ["a"], 60)
        except OrphanError:
            (folder / "ended").write_text(f"{len(cloud.told)}")

    process = multiprocessing.get_context("fork").Process(target=worker)
    process.start()
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_whose_run_was_killed_does_not_work_against_the_next(tmp_path: Path) -> None:
    run = multiprocessing.get_context("fork").Process(target=work_against, args=(tmp_path,))
    run.start()
    run.join(10)
    assert run.exitcode == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while not (tmp_path / "ended").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert int((tmp_path / "ended").read_text()) > 1
