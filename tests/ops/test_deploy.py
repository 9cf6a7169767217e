"""What a deployment looks at before it touches a host, and what it leaves behind, on an account without hosts."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.ops.conftest import NAME, PARAMETERS, TAGS, Account, approved, publish

GROUP = f"{NAME}-backend"
BACKEND = [{"Key": "vahana:role", "Value": "backend"}, {"Key": "vahana:tier", "Value": "basic"}]


class Fleet:
    """An Auto Scaling group of two behind a load balancer, in an account that has little else of the tier."""

    def __init__(self, account: Account) -> None:
        self.autoscaling, self.elb, self.ssm = (account.client(name) for name in ("autoscaling", "elbv2", "ssm"))
        subnets, vpc = _network(account.client("ec2"))
        self.targets = self._balance(subnets, vpc)
        self._launch(account.client("ec2"), subnets)
        for name, value in (("tier", "basic"), ("release", "1.0.0")):
            self.ssm.put_parameter(Name=f"{PARAMETERS}/{name}", Value=value, Type="String", Tags=TAGS)
        for release in ("1.0.0", "2.0.0"):
            publish(account, release)
        deadline = time.monotonic() + 20
        while self.health().count("healthy") < 2 and time.monotonic() < deadline:
            time.sleep(0.1)

    def _balance(self, subnets: list[str], vpc: str) -> str:
        made = self.elb.create_load_balancer(Name=NAME, Subnets=subnets, Tags=TAGS)
        group = self.elb.create_target_group(Name=GROUP, Protocol="HTTP", Port=3000, VpcId=vpc, Tags=TAGS)
        arn = str(group["TargetGroups"][0]["TargetGroupArn"])
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "0"}
        self.elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[delay])
        self.listener = self.elb.create_listener(
            LoadBalancerArn=made["LoadBalancers"][0]["LoadBalancerArn"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
        )["Listeners"][0]["ListenerArn"]
        return arn

    def _launch(self, ec2: Any, subnets: list[str]) -> None:
        image = ec2.register_image(Name="any", RootDeviceName="/dev/xvda", Architecture="x86_64")["ImageId"]
        tagged = {"ResourceType": "instance", "Tags": [*TAGS, *BACKEND]}
        ec2.create_launch_template(
            LaunchTemplateName=GROUP,
            LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro", "TagSpecifications": [tagged]},
            TagSpecifications=[{"ResourceType": "launch-template", "Tags": TAGS}],
        )
        self.autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=GROUP,
            MinSize=2,
            MaxSize=4,
            LaunchTemplate={"LaunchTemplateName": GROUP, "Version": "$Latest"},
            VPCZoneIdentifier=",".join(subnets),
            TargetGroupARNs=[self.targets],
            HealthCheckType="ELB",
            Tags=[{**tag, "PropagateAtLaunch": False} for tag in TAGS],
        )

    def instances(self) -> list[str]:
        """Return the ids of the group's instances, in order."""
        [group] = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"]
        return sorted(item["InstanceId"] for item in group["Instances"])

    def health(self) -> list[str]:
        """Return the states of the targets."""
        found = self.elb.describe_target_health(TargetGroupArn=self.targets)["TargetHealthDescriptions"]
        return [item["TargetHealth"]["State"] for item in found]

    def suspended(self) -> list[str]:
        """Return what is suspended, in order."""
        [group] = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"]
        return sorted(item["ProcessName"] for item in group["SuspendedProcesses"])


def _network(ec2: Any) -> tuple[list[str], str]:
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"]
        for number, zone in enumerate("ab")
    ]
    return [subnet["SubnetId"] for subnet in subnets], vpc


@pytest.fixture
def fleet(account: Account) -> Fleet:
    """Two healthy hosts that nobody can log in to."""
    made = Fleet(account)
    account.writes()
    return made


def test_what_a_killed_run_left_is_put_right(account: Account, fleet: Fleet, front_door: str) -> None:
    """Its hosts are back in service and its processes resumed, and nothing that somebody else suspended."""
    wanted = ["AZRebalance", "HealthCheck", "ScheduledActions"]
    fleet.autoscaling.suspend_processes(AutoScalingGroupName=GROUP, ScalingProcesses=wanted)
    ours = json.dumps(["AZRebalance", "ScheduledActions"])
    fleet.ssm.put_parameter(Name=f"{PARAMETERS}/suspended", Value=ours, Type="String", Tags=TAGS)
    [first, _second] = fleet.instances()
    fleet.elb.deregister_targets(TargetGroupArn=fleet.targets, Targets=[{"Id": first}])
    deploy = ("deploy", "-e", "release=2.0.0", "-e", f"public_url={front_door}")

    account.writes()
    tried = account.play(*deploy, "--check")
    assert tried.code == 0, tried.output
    assert account.writes() == []
    for line in ("Resume exactly what a deployment has suspended", "Put back what a run that was killed left"):
        assert line in tried.output

    done = account.play(*deploy)
    assert done.code == 0, done.output
    assert fleet.suspended() == ["HealthCheck"]
    assert fleet.health() == ["healthy", "healthy"]
    assert f"{first}: in service" in done.output
    assert approved(account) == "2.0.0"
    assert not fleet.ssm.get_parameters(Names=[f"{PARAMETERS}/suspended"])["Parameters"]


def test_hosts_that_are_not_healthy_stop_it_unless_it_is_the_cure(
    account: Account, fleet: Fleet, front_door: str
) -> None:
    [first, second] = fleet.instances()
    fleet.elb.delete_listener(ListenerArn=fleet.listener)
    deploy = ("deploy", "-e", "release=2.0.0", "-e", f"public_url={front_door}")
    refused = account.play(*deploy)
    assert refused.code != 0
    assert "error: Nothing was touched, for not every host is healthy:" in refused.output
    for name in (first, second):
        assert f"{name} is unused (Target.NotInUse: " in refused.output
        assert f"`ansible {name} -b -a 'journalctl -u backend -n 50'`" in refused.output
    assert "-e deploy_unhealthy=true" in refused.output
    assert approved(account) == "1.0.0"

    cured = account.play(*deploy, "-e", "deploy_unhealthy=true")
    assert cured.code == 0, cured.output
    assert approved(account) == "2.0.0"
