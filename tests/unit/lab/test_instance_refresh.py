"""Instance refreshes: in which order instances come and go, what is refused, and what is left after a failure."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab import state
from lab.moto_patches import ec2, elbv2
from lab.moto_patches.ec2 import State
from tests.unit.lab.test_autoscaling import LAUNCHING, Group, ids

Client = Callable[[str], Any]
PREFERENCES = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 150, "InstanceWarmup": 0, "AutoRollback": True}


class Refreshed(Group):
    """A group of two on version 1 of its template, which has a version 2."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.drain_at_once()
        self.cloudwatch = client("cloudwatch")
        self.api.update_auto_scaling_group(
            AutoScalingGroupName="trial", LaunchTemplate={"LaunchTemplateName": "trial", "Version": "1"}
        )
        self.ec2.create_launch_template_version(
            LaunchTemplateName="trial", SourceVersion="1", LaunchTemplateData={"UserData": "Mg=="}
        )
        self.first = ids(self.settle())

    def start(self, version: str = "2", **preferences: Any) -> str:
        """Start a refresh; return its id."""
        started = self.api.start_instance_refresh(
            AutoScalingGroupName="trial",
            DesiredConfiguration={"LaunchTemplate": {"LaunchTemplateName": "trial", "Version": version}},
            Preferences={**PREFERENCES, **preferences},
        )
        return str(started["InstanceRefreshId"])

    def refresh(self) -> dict[str, Any]:
        """The last refresh, as described."""
        found: dict[str, Any] = self.api.describe_instance_refreshes(AutoScalingGroupName="trial")["InstanceRefreshes"][
            0
        ]
        return found

    def version(self) -> str:
        """The version of the template that the group has."""
        group = self.api.describe_auto_scaling_groups(AutoScalingGroupNames=["trial"])["AutoScalingGroups"][0]
        return str(group["LaunchTemplate"]["Version"])

    def versions(self) -> list[str]:
        """The versions that the instances in service were launched from."""
        return sorted(
            each["LaunchTemplate"]["Version"] for each in self.instances() if each["LifecycleState"] == "InService"
        )

    def serving(self) -> int:
        """How many instances are in service."""
        return len(self.versions())

    def abandon(self) -> bool:
        """Abandon the launches that wait; say whether there was one."""
        waiting = [each for each in self.instances() if each["LifecycleState"] == "Pending:Wait"]
        for each in waiting:
            self.answer(each["InstanceId"], "ABANDON")
        return bool(waiting)

    def hook(self) -> None:
        """Let new instances wait for an answer."""
        self.api.put_lifecycle_hook(
            LifecycleHookName="boot", AutoScalingGroupName="trial", LifecycleTransition=LAUNCHING, HeartbeatTimeout=60
        )

    def answer(self, instance_id: str, result: str) -> None:
        """Complete a launch."""
        self.api.complete_lifecycle_action(
            LifecycleHookName="boot",
            AutoScalingGroupName="trial",
            InstanceId=instance_id,
            LifecycleActionResult=result,
        )


@pytest.fixture
def group(client: Client) -> Refreshed:
    """A group whose refresh is still to be started."""
    return Refreshed(client)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets time pass."""
    now, real = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: real() + now[0])

    def go_on(seconds: float) -> None:
        now[0] += seconds

    return go_on


def test_launches_before_it_terminates_and_keeps_within_its_bounds(group: Refreshed) -> None:
    group.api.set_desired_capacity(AutoScalingGroupName="trial", DesiredCapacity=4)
    group.settle()
    group.start()
    assert group.refresh()["Status"] == "Pending"
    seen = []
    for _ in range(60):
        group.settle(1)
        assert group.serving() >= 4
        counted = [each for each in group.instances() if not each["LifecycleState"].startswith("Terminating")]
        assert len(counted) <= 6
        seen.append((group.refresh()["Status"], group.refresh()["PercentageComplete"]))
        if seen[-1][0] == "Successful":
            break
    assert list(dict.fromkeys(seen)) == [
        ("InProgress", 0),
        ("InProgress", 50),
        ("InProgress", 100),
        ("Successful", 100),
    ]
    assert group.versions() == ["2"] * 4
    assert group.version() == "2"
    assert group.registered() == ids(group.instances())
    assert group.refresh()["InstancesToUpdate"] == 0
    assert group.refresh()["EndTime"] >= group.refresh()["StartTime"]


def test_the_groups_own_version_changes_only_at_the_end(group: Refreshed) -> None:
    group.hook()
    group.start()
    group.settle(3)
    # What scaling launches meanwhile is of the new version, too.
    group.api.set_desired_capacity(AutoScalingGroupName="trial", DesiredCapacity=3)
    fresh = [each for each in group.settle(4) if each["LifecycleState"] == "Pending:Wait"]
    assert {each["LaunchTemplate"]["Version"] for each in fresh} == {"2"}
    assert group.version() == "1"
    with pytest.raises(ClientError, match="An active instance refresh with a desired configuration exists"):
        group.api.update_auto_scaling_group(
            AutoScalingGroupName="trial", LaunchTemplate={"LaunchTemplateName": "trial", "Version": "1"}
        )
    group.api.update_auto_scaling_group(AutoScalingGroupName="trial", MaxSize=5)
    assert group.first <= ids(group.instances())


def test_new_instances_warm_up(group: Refreshed, clock: Callable[[float], None]) -> None:
    group.start(InstanceWarmup=30)
    group.settle()
    assert group.versions() == ["1", "1", "2"]
    assert "warm up before continuing" in group.refresh()["StatusReason"]
    clock(31)
    group.settle()
    assert group.versions() == ["1", "2", "2"]
    assert group.refresh()["PercentageComplete"] == 50
    clock(31)
    group.settle()
    assert group.refresh()["Status"] == "Successful"


def test_new_instances_must_be_healthy_for_the_load_balancer(group: Refreshed) -> None:
    group.api.update_auto_scaling_group(AutoScalingGroupName="trial", HealthCheckType="ELB", HealthCheckGracePeriod=600)
    zones = group.ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [group.vpc]}])["Subnets"]
    made = group.elbv2.create_load_balancer(Name="trial", Scheme="internal", Subnets=[z["SubnetId"] for z in zones])
    group.elbv2.create_listener(
        LoadBalancerArn=made["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group.targets}],
    )
    healthy = set(group.first)
    elbv2.follow(lambda targets, target: ("healthy", None, None) if target in healthy else ("unhealthy", None, None))
    try:
        group.start()
        group.settle()
        assert group.versions() == ["1", "1", "2"]
        assert "is not healthy yet" in group.refresh()["StatusReason"]
        healthy |= ids(group.instances())
        group.settle()
        healthy |= ids(group.instances())
        group.settle(12)
        assert group.refresh()["Status"] == "Successful"
    finally:
        elbv2.follow(None)


def test_an_abandoned_launch_is_tried_again_for_an_hour_and_then_rolled_back(
    group: Refreshed, clock: Callable[[float], None]
) -> None:
    group.hook()
    group.start()
    for _ in range(3):
        group.settle(4)
        assert group.abandon()
    assert group.refresh()["Status"] == "InProgress"
    assert ids([each for each in group.settle(4) if each["LifecycleState"] == "InService"]) == group.first
    clock(3601)
    group.settle(1)
    assert group.refresh()["Status"] == "RollbackInProgress"
    assert "Auto rollback" in group.refresh()["RollbackDetails"]["RollbackReason"]
    group.settle()
    assert group.refresh()["Status"] == "RollbackSuccessful"
    assert ids(group.instances()) == group.first
    assert group.version() == "1"


def test_without_auto_rollback_it_fails_and_leaves_what_there_is(
    group: Refreshed, clock: Callable[[float], None]
) -> None:
    group.hook()
    group.start(AutoRollback=False)
    first = group.settle(4)
    group.answer(next(each["InstanceId"] for each in first if each["InstanceId"] not in group.first), "CONTINUE")
    group.settle(6)
    assert group.abandon()
    clock(3601)
    group.settle()
    assert group.refresh()["Status"] == "Failed"
    assert group.refresh()["PercentageComplete"] == 50
    assert len(group.instances()) == 2
    assert "2" in group.versions()
    assert group.version() == "1"


def test_a_rollback_by_hand_replaces_what_was_replaced(group: Refreshed) -> None:
    group.hook()
    group.start()
    done = next(each for each in group.settle(4) if each["InstanceId"] not in group.first)["InstanceId"]
    group.answer(done, "CONTINUE")
    group.settle(6)
    assert group.versions() == ["1", "2"]
    group.api.delete_lifecycle_hook(AutoScalingGroupName="trial", LifecycleHookName="boot")
    group.api.rollback_instance_refresh(AutoScalingGroupName="trial")
    percentages = set()
    for _ in range(12):
        group.settle(1)
        assert group.serving() >= 2
        percentages.add(group.refresh()["PercentageComplete"])
    found = group.refresh()
    assert found["Status"] == "RollbackSuccessful"
    assert found["RollbackDetails"]["PercentageCompleteOnRollback"] == 50
    assert (max(percentages), min(percentages)) == (50, 0)
    assert group.versions() == ["1", "1"]
    assert len(ids(group.instances()) & group.first) == 1
    with pytest.raises(ClientError) as caught:
        group.api.rollback_instance_refresh(AutoScalingGroupName="trial")
    assert caught.value.response["Error"]["Code"] == "ActiveInstanceRefreshNotFound"


def test_cancelling_leaves_what_was_replaced(group: Refreshed) -> None:
    group.start(InstanceWarmup=600)
    group.settle()
    group.api.cancel_instance_refresh(AutoScalingGroupName="trial")
    group.settle()
    assert group.refresh()["Status"] == "Cancelled"
    assert len(group.instances()) == 2
    assert group.version() == "1"
    with pytest.raises(ClientError) as caught:
        group.api.cancel_instance_refresh(AutoScalingGroupName="trial")
    assert caught.value.response["Error"]["Code"] == "ActiveInstanceRefreshNotFound"


def test_skip_matching_replaces_only_what_differs(group: Refreshed) -> None:
    group.start()
    group.settle(20)
    kept = ids(group.instances())
    assert group.versions() == ["2", "2"]
    group.start(SkipMatching=True)
    group.settle()
    assert group.refresh()["Status"] == "Successful"
    assert ids(group.instances()) == kept
    group.start(SkipMatching=False)
    group.settle(20)
    assert not ids(group.instances()) & kept


def test_baking_waits_and_an_alarm_rolls_back(group: Refreshed, clock: Callable[[float], None]) -> None:
    alarm = {"Namespace": "trial", "MetricName": "errors", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1}
    group.cloudwatch.put_metric_alarm(
        AlarmName="errors", ComparisonOperator="GreaterThanThreshold", Statistic="Sum", **alarm
    )
    group.start(BakeTime=300, AlarmSpecification={"Alarms": ["errors"]})
    group.settle(20)
    assert (group.refresh()["Status"], group.version()) == ("Baking", "1")
    group.cloudwatch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="trial")
    group.settle(20)
    assert group.refresh()["Status"] == "RollbackSuccessful"
    assert "CloudWatch alarm errors" in group.refresh()["RollbackDetails"]["RollbackReason"]
    assert group.versions() == ["1", "1"]
    group.cloudwatch.set_alarm_state(AlarmName="errors", StateValue="OK", StateReason="trial")
    group.start(BakeTime=300)
    group.settle(20)
    clock(301)
    group.settle()
    assert (group.refresh()["Status"], group.version()) == ("Successful", "2")


def test_protected_and_standby_instances(group: Refreshed, clock: Callable[[float], None]) -> None:
    kept = sorted(group.first)
    group.api.set_instance_protection(AutoScalingGroupName="trial", InstanceIds=kept[:1], ProtectedFromScaleIn=True)
    group.start()
    group.settle(20)
    assert group.refresh()["StatusReason"] == f"Waiting for instances protected from scale in: {kept[0]}"
    assert kept[0] in ids(group.instances())
    clock(3601)
    group.settle(20)
    assert group.refresh()["Status"] == "RollbackSuccessful"
    group.start(ScaleInProtectedInstances="Ignore")
    group.settle(20)
    assert group.refresh()["Status"] == "Successful"
    assert group.versions() == ["1", "2"]
    group.start(ScaleInProtectedInstances="Refresh")
    group.settle(20)
    assert group.versions() == ["2", "2"]
    assert kept[0] not in ids(group.instances())


@pytest.mark.parametrize(
    ("least", "most", "fewest", "highest"),
    [(100, 100, 2, 3), (90, None, 1, 2), (50, 100, 1, 2), (0, 100, 0, 2), (100, 200, 2, 4)],
)
def test_percentages_without_room_replace_one_at_a_time(
    group: Refreshed, least: int, most: int | None, fewest: int, highest: int
) -> None:
    preferences: dict[str, Any] = {"MinHealthyPercentage": least, "InstanceWarmup": 0}
    if most is not None:
        preferences["MaxHealthyPercentage"] = most
    group.api.start_instance_refresh(
        AutoScalingGroupName="trial",
        DesiredConfiguration={"LaunchTemplate": {"LaunchTemplateName": "trial", "Version": "2"}},
        Preferences=preferences,
    )
    serving, members = [], []
    for _ in range(40):
        group.settle(1)
        serving.append(group.serving())
        members.append(sum(not each["LifecycleState"].startswith("Terminating") for each in group.instances()))
    assert group.refresh()["Status"] == "Successful"
    assert (min(serving), max(members)) == (fewest, highest)


def test_what_aws_refuses_is_refused(group: Refreshed) -> None:
    def refused(**arguments: Any) -> str:
        with pytest.raises(ClientError) as caught:
            group.api.start_instance_refresh(AutoScalingGroupName="trial", **arguments)
        return f"{caught.value.response['Error']['Code']}: {caught.value.response['Error']['Message']}"

    template = {"LaunchTemplateName": "trial", "Version": "9"}
    assert refused(DesiredConfiguration={"LaunchTemplate": template}).startswith(
        "ValidationError: You must use a valid fully-formed launch template."
    )
    assert "AutoRollback parameter cannot be set to true when the DesiredConfiguration parameter is empty" in refused(
        Preferences={"AutoRollback": True}
    )
    assert "You must specify MinHealthyPercentage" in refused(Preferences={"MaxHealthyPercentage": 150})
    assert "cannot be greater than 100" in refused(
        Preferences={"MinHealthyPercentage": 50, "MaxHealthyPercentage": 200}
    )
    with pytest.raises(ClientError, match="not found"):
        group.api.start_instance_refresh(AutoScalingGroupName="another")
    group.start()
    assert refused().startswith("InstanceRefreshInProgress: ")


def test_nothing_can_be_rolled_back_to_a_version_that_moves(group: Refreshed) -> None:
    group.api.update_auto_scaling_group(
        AutoScalingGroupName="trial", LaunchTemplate={"LaunchTemplateName": "trial", "Version": "$Latest"}
    )
    with pytest.raises(ClientError, match=r"uses the \$Latest or \$Default version"):
        group.start()
    group.start(AutoRollback=False)
    group.settle(2)
    with pytest.raises(ClientError) as caught:
        group.api.rollback_instance_refresh(AutoScalingGroupName="trial")
    assert caught.value.response["Error"]["Code"] == "IrreversibleInstanceRefresh"


def test_a_suspended_process_holds_it(group: Refreshed) -> None:
    group.api.suspend_processes(AutoScalingGroupName="trial", ScalingProcesses=["InstanceRefresh"])
    group.start()
    group.settle()
    assert ids(group.instances()) == group.first
    group.api.resume_processes(AutoScalingGroupName="trial", ScalingProcesses=["InstanceRefresh"])
    group.settle(20)
    assert group.refresh()["Status"] == "Successful"


def test_it_survives_a_restart_of_the_lab(group: Refreshed, tmp_path: Path) -> None:
    from tests.unit.lab.test_state import forget

    identifier = group.start()
    group.settle(3)
    state.save(tmp_path)
    forget()
    assert state.load(tmp_path)
    assert group.refresh()["InstanceRefreshId"] == identifier
    group.settle(20)
    assert group.refresh()["Status"] == "Successful"
    assert group.versions() == ["2", "2"]


def test_a_dead_instance_is_replaced_by_a_new_one(group: Refreshed) -> None:
    group.start(InstanceWarmup=0)
    group.settle(3)
    lost = sorted(group.first)[0]
    next(each for each in ec2.all_instances() if each.id == lost).reachability = "failed"
    group.settle(20)
    assert group.refresh()["Status"] == "Successful"
    assert group.versions() == ["2", "2"]
    assert {ec2.state_of(each) for each in ec2.all_instances() if each.id in group.first} == {State.TERMINATED}
