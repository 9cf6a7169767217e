"""Auto Scaling groups: what the reconciler does with instances whose hosts the test plays."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.moto_patches import ec2
from lab.moto_patches.ec2 import State
from lab.reconcilers.autoscaling import AutoScaling

Client = Callable[[str], Any]
LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"


class Group:
    """A group of two to four instances over two zones, and the machine below it."""

    def __init__(self, client: Client) -> None:
        self.api, self.ec2, self.elbv2 = client("autoscaling"), client("ec2"), client("elbv2")
        self._reconciler = AutoScaling()
        self.vpc = self.ec2.create_vpc(CidrBlock="10.93.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            self.ec2.create_subnet(
                VpcId=self.vpc, CidrBlock=f"10.93.{number}.0/24", AvailabilityZone=f"us-east-1{zone}"
            )["Subnet"]["SubnetId"]
            for number, zone in enumerate("ab")
        ]
        self.image = client("ssm").get_parameter(Name=ec2.DEBIAN_PARAMETER)["Parameter"]["Value"]
        self.ec2.create_launch_template(
            LaunchTemplateName="trial", LaunchTemplateData={"ImageId": self.image, "InstanceType": "t3.micro"}
        )
        made = self.elbv2.create_target_group(Name="trial", Protocol="HTTP", Port=3000, VpcId=self.vpc)
        self.targets = made["TargetGroups"][0]["TargetGroupArn"]
        self.api.create_auto_scaling_group(
            AutoScalingGroupName="trial",
            MinSize=2,
            MaxSize=4,
            LaunchTemplate={"LaunchTemplateName": "trial", "Version": "$Latest"},
            VPCZoneIdentifier=",".join(subnets),
            TargetGroupARNs=[self.targets],
            HealthCheckGracePeriod=0,
        )

    def settle(self, rounds: int = 8) -> list[dict[str, Any]]:
        """Let hosts come and go as the API wants and the reconciler work; return the group's instances."""
        for _ in range(rounds):
            self._reconciler.reconcile()
            for instance in ec2.all_instances():
                match ec2.state_of(instance):
                    case State.PENDING:
                        ec2.set_state(instance, State.RUNNING)
                        instance.reachability = "passed"
                    case State.SHUTTING_DOWN:
                        ec2.set_state(instance, State.TERMINATED)
        return self.instances()

    def instances(self) -> list[dict[str, Any]]:
        """The group's instances, as described."""
        groups = self.api.describe_auto_scaling_groups(AutoScalingGroupNames=["trial"])["AutoScalingGroups"]
        return list(groups[0]["Instances"]) if groups else []

    def registered(self) -> set[str]:
        """Ids of the targets that are not being drained."""
        health = self.elbv2.describe_target_health(TargetGroupArn=self.targets)["TargetHealthDescriptions"]
        return {each["Target"]["Id"] for each in health if each["TargetHealth"]["State"] != "draining"}

    def drain_at_once(self) -> None:
        """Have targets leave without a delay."""
        self.elbv2.modify_target_group_attributes(
            TargetGroupArn=self.targets, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}]
        )

    def activities(self) -> list[dict[str, Any]]:
        """What the group did, newest first."""
        return list(self.api.describe_scaling_activities(AutoScalingGroupName="trial")["Activities"])


@pytest.fixture
def group(client: Client) -> Group:
    """A group that was just created."""
    made = Group(client)
    made.drain_at_once()
    return made


def ids(instances: list[dict[str, Any]]) -> set[str]:
    """Ids of instances."""
    return {instance["InstanceId"] for instance in instances}


def test_instances_are_spread_in_service_and_registered(group: Group) -> None:
    instances = group.settle()
    assert Counter(each["AvailabilityZone"] for each in instances) == {"us-east-1a": 1, "us-east-1b": 1}
    assert {each["LifecycleState"] for each in instances} == {"InService"}
    assert {each["LaunchTemplate"]["Version"] for each in instances} == {"1"}
    assert group.registered() == ids(instances)
    assert {each["StatusCode"] for each in group.activities()} == {"Successful"}


def test_launch_hook_holds_an_instance_until_it_is_completed(group: Group) -> None:
    group.api.put_lifecycle_hook(
        LifecycleHookName="boot", AutoScalingGroupName="trial", LifecycleTransition=LAUNCHING, HeartbeatTimeout=60
    )
    instances = group.settle()
    assert {each["LifecycleState"] for each in instances} == {"Pending:Wait"}
    assert not group.registered()
    group.api.complete_lifecycle_action(
        LifecycleHookName="boot",
        AutoScalingGroupName="trial",
        InstanceId=instances[0]["InstanceId"],
        LifecycleActionResult="CONTINUE",
    )
    states = {each["InstanceId"]: each["LifecycleState"] for each in group.settle()}
    assert states[instances[0]["InstanceId"]] == "InService"
    assert states[instances[1]["InstanceId"]] == "Pending:Wait"


def test_abandoned_launch_is_replaced(group: Group) -> None:
    group.api.put_lifecycle_hook(
        LifecycleHookName="boot", AutoScalingGroupName="trial", LifecycleTransition=LAUNCHING, HeartbeatTimeout=60
    )
    first = group.settle()
    group.api.complete_lifecycle_action(
        LifecycleHookName="boot",
        AutoScalingGroupName="trial",
        InstanceId=first[0]["InstanceId"],
        LifecycleActionResult="ABANDON",
    )
    second = group.settle()
    assert len(second) == 2
    assert first[0]["InstanceId"] not in ids(second)
    assert any(each["StatusCode"] == "Failed" and "ABANDON" in each["StatusMessage"] for each in group.activities())


def test_hook_without_an_answer_takes_its_default(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    group.api.put_lifecycle_hook(
        LifecycleHookName="boot",
        AutoScalingGroupName="trial",
        LifecycleTransition=LAUNCHING,
        HeartbeatTimeout=30,
        DefaultResult="CONTINUE",
    )
    group.settle()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 31)
    assert {each["LifecycleState"] for each in group.settle()} == {"InService"}


def test_completing_what_does_not_wait_is_refused(group: Group) -> None:
    instance = group.settle()[0]["InstanceId"]
    with pytest.raises(ClientError, match="No active Lifecycle Action found"):
        group.api.complete_lifecycle_action(
            LifecycleHookName="boot",
            AutoScalingGroupName="trial",
            InstanceId=instance,
            LifecycleActionResult="CONTINUE",
        )


@pytest.mark.parametrize("fault", ["terminated", "died", "unhealthy"])
def test_lost_instance_is_replaced_and_registered(group: Group, fault: str) -> None:
    lost = group.settle()[0]["InstanceId"]
    if fault == "terminated":
        group.ec2.terminate_instances(InstanceIds=[lost])
    elif fault == "died":
        next(each for each in ec2.all_instances() if each.id == lost).reachability = "failed"
    else:
        group.api.set_instance_health(InstanceId=lost, HealthStatus="Unhealthy")
    instances = group.settle()
    assert len(instances) == 2
    assert lost not in ids(instances)
    assert group.registered() == ids(instances)


def test_suspended_replacement_leaves_the_unhealthy_alone(group: Group) -> None:
    lost = group.settle()[0]["InstanceId"]
    group.api.suspend_processes(AutoScalingGroupName="trial", ScalingProcesses=["ReplaceUnhealthy"])
    group.api.set_instance_health(InstanceId=lost, HealthStatus="Unhealthy")
    assert lost in ids(group.settle())
    group.api.resume_processes(AutoScalingGroupName="trial", ScalingProcesses=["ReplaceUnhealthy"])
    assert lost not in ids(group.settle())


def test_deregistration_by_hand_is_not_undone(group: Group) -> None:
    chosen = group.settle()[0]["InstanceId"]
    group.elbv2.deregister_targets(TargetGroupArn=group.targets, Targets=[{"Id": chosen}])
    group.settle()
    assert chosen not in group.registered()


def test_capacity_follows_the_wish_and_its_bounds(group: Group) -> None:
    group.settle()
    group.api.set_desired_capacity(AutoScalingGroupName="trial", DesiredCapacity=4)
    assert len(group.settle()) == 4
    with pytest.raises(ClientError, match="must be between"):
        group.api.set_desired_capacity(AutoScalingGroupName="trial", DesiredCapacity=5)
    group.api.update_auto_scaling_group(AutoScalingGroupName="trial", MinSize=1, MaxSize=1)
    instances = group.settle()
    assert len(instances) == 1
    assert group.registered() == ids(instances)


def test_minimum_above_maximum_is_refused(group: Group) -> None:
    with pytest.raises(ClientError, match="must be greater than or equal to min bound"):
        group.api.update_auto_scaling_group(AutoScalingGroupName="trial", MinSize=5)


def test_protected_instances_survive_scaling_in(group: Group) -> None:
    kept = group.settle()[0]["InstanceId"]
    group.api.set_instance_protection(AutoScalingGroupName="trial", InstanceIds=[kept], ProtectedFromScaleIn=True)
    group.api.update_auto_scaling_group(AutoScalingGroupName="trial", MinSize=1, DesiredCapacity=1)
    assert ids(group.settle()) == {kept}


def test_termination_with_decrement_shrinks_the_group(group: Group) -> None:
    chosen = group.settle()[0]["InstanceId"]
    with pytest.raises(ClientError, match="violate group's min size"):
        group.api.terminate_instance_in_auto_scaling_group(InstanceId=chosen, ShouldDecrementDesiredCapacity=True)
    group.api.update_auto_scaling_group(AutoScalingGroupName="trial", MinSize=1)
    activity = group.api.terminate_instance_in_auto_scaling_group(
        InstanceId=chosen, ShouldDecrementDesiredCapacity=True
    )["Activity"]
    assert chosen not in ids(group.settle())
    assert len(group.instances()) == 1
    named = {each["ActivityId"]: each["StatusCode"] for each in group.activities()}
    assert named[activity["ActivityId"]] == "Successful"


def test_failed_launch_is_told_and_tried_again_later(group: Group) -> None:
    group.settle()
    group.ec2.deregister_image(ImageId=group.image)
    group.api.set_desired_capacity(AutoScalingGroupName="trial", DesiredCapacity=3)
    assert len(group.settle()) == 2
    failed = [each for each in group.activities() if each["StatusCode"] == "Failed"]
    assert len(failed) == 1
    assert group.image in failed[0]["StatusMessage"]


def test_group_with_instances_goes_only_by_force(group: Group) -> None:
    group.settle()
    with pytest.raises(ClientError) as caught:
        group.api.delete_auto_scaling_group(AutoScalingGroupName="trial")
    assert caught.value.response["Error"]["Code"] == "ResourceInUse"
    group.api.delete_auto_scaling_group(AutoScalingGroupName="trial", ForceDelete=True)
    group.settle()
    assert not group.api.describe_auto_scaling_groups()["AutoScalingGroups"]
    assert all(ec2.state_of(instance) is State.TERMINATED for instance in ec2.all_instances())


def test_metrics_collection_can_end(group: Group) -> None:
    names = ["GroupInServiceInstances", "GroupDesiredCapacity"]
    group.api.enable_metrics_collection(AutoScalingGroupName="trial", Granularity="1Minute", Metrics=names)
    group.api.disable_metrics_collection(AutoScalingGroupName="trial", Metrics=names[:1])
    described = group.api.describe_auto_scaling_groups()["AutoScalingGroups"][0]
    assert [each["Metric"] for each in described["EnabledMetrics"]] == names[1:]


def test_a_policy_is_enabled_and_predicts_nothing(client: Client) -> None:
    group = Group(client)
    tracking = {
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
        "TargetValue": 60,
    }
    group.api.put_scaling_policy(
        AutoScalingGroupName="trial",
        PolicyName="cpu",
        PolicyType="TargetTrackingScaling",
        TargetTrackingConfiguration=tracking,
    )
    policy = group.api.describe_policies()["ScalingPolicies"][0]
    assert policy["Enabled"] is True
    assert "PredictiveScalingConfiguration" not in policy


def test_a_maintenance_policy_is_kept_and_ended(group: Group) -> None:
    def kept() -> Any:
        return group.api.describe_auto_scaling_groups()["AutoScalingGroups"][0].get("InstanceMaintenancePolicy")

    def ask(least: int, most: int) -> None:
        policy = {"MinHealthyPercentage": least, "MaxHealthyPercentage": most}
        group.api.update_auto_scaling_group(AutoScalingGroupName="trial", InstanceMaintenancePolicy=policy)

    assert not kept()
    ask(100, 200)
    assert kept() == {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200}
    group.api.update_auto_scaling_group(AutoScalingGroupName="trial", MaxSize=3)
    assert kept()
    with pytest.raises(ClientError):
        ask(50, 200)
    ask(-1, -1)
    assert not kept()


def test_with_a_maintenance_policy_a_successor_comes_first(group: Group) -> None:
    group.api.update_auto_scaling_group(
        AutoScalingGroupName="trial",
        InstanceMaintenancePolicy={"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200},
    )
    before = ids(group.settle())
    lost = min(before)
    group.api.set_instance_health(InstanceId=lost, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False)
    seen = [ids(group.settle(1)) for _ in range(12)]
    assert {*before} < {*seen[0]}, "the successor is launched while the other one is there"
    for members in seen:
        healthy = {each for each in members if each != lost}
        assert lost in members or len(healthy) == 2
        assert len(members) <= 4
    assert lost not in seen[-1] and len(seen[-1]) == 2
