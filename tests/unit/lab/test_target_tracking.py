"""How many instances a policy wants, what a host's CPU does, and what the group makes of both."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab import metrics, podman, scaling, settings
from lab.moto_patches import autoscaling as api
from lab.moto_patches import ec2
from lab.reconcilers.target_tracking import TargetTracking

Client = Callable[[str], Any]


@pytest.mark.parametrize(
    ("points", "size", "serving", "expected"),
    [
        ([90, 90, 90], 2, 2, 3),
        ([99, 99, 100], 4, 4, 7),
        # Two datapoints are none too many, one below the target ends it.
        ([90, 90], 2, 2, 2),
        ([90, 59, 90], 2, 2, 2),
        # What warms up is counted as capacity on its way.
        ([90, 90, 90], 4, 2, 4),
        ([10] * 15, 4, 4, 1),
        ([10] * 14, 4, 4, 4),
        ([*[10] * 14, 40], 4, 4, 3),
        ([*[10] * 14, 43], 4, 4, 4),
        ([10] * 15, 4, 3, 4),
        # Between the two alarms nothing happens.
        ([50] * 15, 4, 4, 4),
        ([0] * 15, 2, 2, 1),
    ],
)
def test_the_size_that_a_policy_wants(points: list[float], size: int, serving: int, expected: int) -> None:
    assert scaling.wanted_size(points, 60, size, serving) == expected


def test_a_policy_that_may_not_shrink_the_group() -> None:
    assert scaling.wanted_size([10] * 15, 60, 4, 4, scale_in=False) == 4


@pytest.mark.parametrize("version", [1, 2])
def test_the_cpu_of_a_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: int) -> None:
    monkeypatch.setattr(metrics, "CGROUPS", tmp_path)
    monkeypatch.setattr(podman, "inspect", lambda name: {"State": {"CgroupPath": f"/libpod_parent/{name}"}})
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    folder = tmp_path / ("cpuacct" if version == 1 else "") / "libpod_parent" / settings.host_name("i-1")
    folder.mkdir(parents=True)

    def used(seconds: float) -> None:
        if version == 1:
            (folder / "cpuacct.usage").write_text(f"{int(seconds * 1e9)}\n")
        else:
            (folder / "cpu.stat").write_text(f"usage_usec {int(seconds * 1e6)}\nuser_usec 1\n")

    meter, instance = metrics.CpuMeter(), SimpleNamespace(id="i-1", instance_type="t3.micro")
    used(1)
    assert meter.percent(instance, 0) is None
    clock[0] += 10
    used(6)
    # Five seconds of the twenty that the two cores of a t3.micro have in ten.
    assert meter.percent(instance, 0) == pytest.approx(25)
    clock[0] += 10
    used(7)
    assert meter.percent(instance, 0.2) == pytest.approx(50)
    clock[0] += 10
    used(0.5)
    assert meter.percent(instance, 0) is None, "a host that was started again"
    for file in folder.iterdir():
        file.unlink()
    assert meter.percent(instance, 0) is None


def test_the_pace_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "home", lambda: tmp_path)
    assert metrics.pace() == metrics.Pace(60.0, 0.0)
    metrics.set_pace(metrics.Pace(2.0, 0.2))
    assert metrics.pace() == metrics.Pace(2.0, 0.2)
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"period": 2.0, "cpus": 0.2}


class Group:
    """A group of two to four instances that follows a CPU which the test plays."""

    def __init__(self, client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(settings, "home", lambda: tmp_path)
        metrics.set_pace(metrics.Pace(0.0, 0.0))
        self.load: float | None = 0.0
        monkeypatch.setattr(metrics.CpuMeter, "percent", lambda meter, instance, cpus: self.load)
        self.client = client("autoscaling")
        image = client("ssm").get_parameter(Name=ec2.DEBIAN_PARAMETER)["Parameter"]["Value"]
        client("ec2").create_launch_template(
            LaunchTemplateName="trial", LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro"}
        )
        self.client.create_auto_scaling_group(
            AutoScalingGroupName="trial",
            MinSize=2,
            MaxSize=4,
            LaunchTemplate={"LaunchTemplateName": "trial"},
            AvailabilityZones=["us-east-1a", "us-east-1b"],
        )
        self.client.put_scaling_policy(
            AutoScalingGroupName="trial",
            PolicyName="cpu",
            PolicyType="TargetTrackingScaling",
            EstimatedInstanceWarmup=0,
            TargetTrackingConfiguration={
                "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
                "TargetValue": 60.0,
            },
        )
        [backend] = api.backends()
        self.moto = backend.autoscaling_groups["trial"]
        self._tracking = TargetTracking()

    def run(self, datapoints: int) -> int:
        """Measure so many times, every instance that is wanted in service; return the desired capacity."""
        for _ in range(datapoints):
            self.moto.instance_states = [
                SimpleNamespace(
                    instance_id=f"i-{number}", instance=None, lifecycle_state="InService", in_service_at=time.time()
                )
                for number in range(self.moto.desired_capacity)
            ]
            self._tracking.reconcile()
        return int(self.moto.desired_capacity)


@pytest.fixture
def group(client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Group:
    return Group(client, monkeypatch, tmp_path)


def test_a_group_grows_under_load_and_shrinks_again(group: Group) -> None:
    group.load = 90
    assert group.run(2) == 2
    assert group.run(1) == 3
    assert "AlarmHigh in state ALARM triggered policy cpu changing the desired capacity from 2 to 3" in group.moto.cause
    assert group.run(5) == 4, "its maximum"
    group.load = 5
    assert group.run(14) == 4
    assert group.run(1) == 2, "its minimum"
    assert "AlarmLow" in group.moto.cause


def test_a_suspended_process_leaves_the_group_alone(group: Group) -> None:
    group.client.suspend_processes(AutoScalingGroupName="trial", ScalingProcesses=["AlarmNotification"])
    group.load = 90
    assert group.run(6) == 2
    group.client.resume_processes(AutoScalingGroupName="trial", ScalingProcesses=["AlarmNotification"])
    assert group.run(1) == 3


def test_without_a_measured_host_nothing_happens(group: Group) -> None:
    group.load = None
    assert group.run(20) == 2
