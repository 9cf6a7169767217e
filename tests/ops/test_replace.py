"""New instances with a new release: the whole sequence against the API alone, and what a failure leaves."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any

import pytest

from tests.ops.conftest import NAME, PARAMETERS, TAGS, Account

GROUP = f"{NAME}-backend"
OWN = [*TAGS, {"Key": "vahana:tier", "Value": "basic"}, {"Key": "vahana:layer", "Value": "compute"}]
USER_DATA = """#!/bin/sh
set -eu
cat >/etc/vahana/boot.json.new <<'JSON'
{
  "app": "vahanhelp",
  "port": 3000
}
JSON
mv /etc/vahana/boot.json.new /etc/vahana/boot.json
"""
#: No longer than the stand-ins need: they start instances at once.
QUICK = json.dumps({"replacement_instance_warmup": 0, "replacement_poll_seconds": 0.2, "compute_wait_timeout": 30})
REPLACE = ("../tests/ops/replace", "-e", QUICK, "-e", "strategy=replace")


class Fleet:
    """A group of two behind a target group, on version 1 of its template, with release 1.0.0."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.ec2, self.api, self.ssm = (account.client(name) for name in ("ec2", "autoscaling", "ssm"))
        elbv2 = account.client("elbv2")
        self.ssm.put_parameter(Name=f"{PARAMETERS}/tier", Value="basic", Type="String", Tags=TAGS)
        self.ssm.put_parameter(Name=f"{PARAMETERS}/release", Value="1.0.0", Type="String", Tags=TAGS)
        vpc = self.ec2.create_vpc(CidrBlock="192.0.2.0/24")["Vpc"]["VpcId"]
        subnets = [
            self.ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=f"us-east-1{zone}")["Subnet"]["SubnetId"]
            for cidr, zone in (("192.0.2.0/25", "a"), ("192.0.2.128/25", "b"))
        ]
        image = self.ec2.register_image(Name="any", RootDeviceName="/dev/xvda", Architecture="x86_64")["ImageId"]
        made = elbv2.create_target_group(Name=GROUP, Protocol="HTTP", Port=3000, VpcId=vpc, Tags=OWN)["TargetGroups"]
        balancer = elbv2.create_load_balancer(Name=GROUP, Scheme="internal", Subnets=subnets, Tags=OWN)["LoadBalancers"]
        elbv2.create_listener(
            LoadBalancerArn=balancer[0]["LoadBalancerArn"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": made[0]["TargetGroupArn"]}],
        )
        elbv2.modify_target_group_attributes(
            TargetGroupArn=made[0]["TargetGroupArn"],
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}],
        )
        template = self.ec2.create_launch_template(
            LaunchTemplateName=GROUP,
            LaunchTemplateData={
                "ImageId": image,
                "InstanceType": "t3.micro",
                "UserData": base64.b64encode(USER_DATA.encode()).decode(),
                "TagSpecifications": [
                    {"ResourceType": "instance", "Tags": [*OWN, {"Key": "vahana:role", "Value": "backend"}]}
                ],
            },
            TagSpecifications=[{"ResourceType": "launch-template", "Tags": OWN}],
        )
        self.template = template["LaunchTemplate"]["LaunchTemplateId"]
        tag = {"ResourceId": GROUP, "ResourceType": "auto-scaling-group", "PropagateAtLaunch": False}
        self.api.create_auto_scaling_group(
            AutoScalingGroupName=GROUP,
            MinSize=2,
            MaxSize=4,
            LaunchTemplate={"LaunchTemplateId": self.template, "Version": "1"},
            VPCZoneIdentifier=",".join(subnets),
            HealthCheckType="ELB",
            HealthCheckGracePeriod=60,
            TargetGroupARNs=[made[0]["TargetGroupArn"]],
            Tags=[{**tag, **each} for each in OWN],
        )
        self.api.put_lifecycle_hook(
            AutoScalingGroupName=GROUP,
            LifecycleHookName=f"{NAME}-launch",
            LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING",
        )
        self.first = self.instances()
        assert len(self.first) == 2
        account.writes()

    def group(self) -> dict[str, Any]:
        """The group, as described."""
        found: dict[str, Any] = self.api.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])[
            "AutoScalingGroups"
        ][0]
        return found

    def instances(self) -> dict[str, str]:
        """Ids of the instances in service, with the release that their user data names."""
        return {
            each["InstanceId"]: self.boot(each["InstanceId"]).get("release", "")
            for each in self.group()["Instances"]
            if each["LifecycleState"] == "InService"
        }

    def boot(self, instance_id: str) -> dict[str, Any]:
        """What an instance's user data tells it."""
        attribute = self.ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
        text = base64.b64decode(attribute["UserData"]["Value"]).decode()
        assert text.startswith("#!/bin/sh") and "mv /etc/vahana" in text
        found: dict[str, Any] = json.loads(text.split("<<'JSON'\n")[1].split("\nJSON\n")[0])
        return found

    def approved(self) -> str:
        """The approved release."""
        return str(self.ssm.get_parameter(Name=f"{PARAMETERS}/release")["Parameter"]["Value"])

    def versions(self) -> list[int]:
        """Versions of the template."""
        found = self.ec2.describe_launch_template_versions(LaunchTemplateId=self.template)["LaunchTemplateVersions"]
        return sorted(each["VersionNumber"] for each in found)

    def assert_nothing_is_left(self, *versions: int) -> None:
        """See the group on its own version and no pinned one."""
        assert self.group()["LaunchTemplate"]["Version"] == str(versions[-1])
        assert self.versions() == list(versions)
        assert "lock.json" not in self.account.objects()

    def wait(self) -> None:
        """Wait until no refresh goes on."""
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            found = self.api.describe_instance_refreshes(AutoScalingGroupName=GROUP)["InstanceRefreshes"]
            if found[0]["Status"] == "Successful":
                return
            time.sleep(0.2)
        raise AssertionError(found)

    def abandon(self) -> None:
        """Let instances of a new version 2, and those made from it, never come into service."""
        fault = {"ResourceType": "instance", "Tags": [{"Key": "vahana-lab:launch", "Value": "abandon"}]}
        self.ec2.create_launch_template_version(
            LaunchTemplateId=self.template, SourceVersion="1", LaunchTemplateData={"TagSpecifications": [fault]}
        )
        self.api.update_auto_scaling_group(
            AutoScalingGroupName=GROUP, LaunchTemplate={"LaunchTemplateId": self.template, "Version": "2"}
        )


@pytest.fixture
def fleet(account: Account) -> Fleet:
    """A group to be replaced."""
    return Fleet(account)


def test_every_instance_is_replaced_and_the_pointer_moves_last(fleet: Fleet) -> None:
    planned = fleet.account.play(*REPLACE, "-e", "release=2.0.0", "--check")
    assert planned.code == 0, planned.output
    assert fleet.account.writes() == []

    done = fleet.account.play(*REPLACE, "-e", "release=2.0.0", "-e", "replacement_instance_warmup=1")
    assert done.code == 0, done.output
    assert f"refresh {GROUP}: InProgress, 50 %, 1 to go" in done.output
    assert set(fleet.instances().values()) == {"2.0.0"}
    assert not fleet.first.keys() & fleet.instances().keys()
    assert fleet.approved() == "2.0.0"
    fleet.assert_nothing_is_left(1)
    writes = [name for name in fleet.account.writes() if "Object" not in name]
    assert sorted(writes) == [
        "AddTagsToResource",
        "CreateLaunchTemplateVersion",
        "DeleteLaunchTemplateVersions",
        "PutParameter",
        "StartInstanceRefresh",
        "UpdateAutoScalingGroup",
    ]
    # What a dry run names is what the run changes.
    changes = [[line for line in run.output.splitlines() if line.startswith("changed: ")] for run in (planned, done)]
    assert changes[0] == changes[1]

    again = fleet.account.play(*REPLACE, "-e", "release=2.0.0")
    assert again.code == 0, again.output
    assert "changed=0" in again.output
    assert [name for name in fleet.account.writes() if "Object" not in name] == []


def test_what_a_deployment_in_place_has_suspended_is_resumed(fleet: Fleet) -> None:
    """It was killed; what somebody else has suspended stays so, and is in the way."""
    ours = ["AZRebalance", "InstanceRefresh", "ScheduledActions"]
    fleet.ssm.put_parameter(Name=f"{PARAMETERS}/suspended", Value=json.dumps(ours), Type="String", Tags=TAGS)
    fleet.api.suspend_processes(AutoScalingGroupName=GROUP, ScalingProcesses=[*ours, "Launch"])
    for run in ("--check",), ():
        refused = fleet.account.play(*REPLACE, "-e", "release=2.0.0", *run)
        assert refused.code != 0
        assert f"error: {GROUP} has suspended Launch, without which no instance is replaced" in refused.output
        assert "InstanceRefresh," not in refused.output
    assert [each["ProcessName"] for each in fleet.group()["SuspendedProcesses"]] == ["Launch"]
    assert not fleet.ssm.get_parameters(Names=[f"{PARAMETERS}/suspended"])["Parameters"]


@pytest.mark.long
@pytest.mark.parametrize("ended", [False, True])
def test_a_run_that_was_killed_is_finished_by_the_next(fleet: Fleet, ended: bool) -> None:
    """Killed while the refresh goes on, or after it: the next run knows of it from AWS alone."""
    killed = fleet.account.start(
        *REPLACE, "-e", "release=2.0.0", "-e", f"replacement_instance_warmup={1 if ended else 5}"
    )
    with killed as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith(f"refresh {GROUP}: "):
                process.kill()
                break
    if ended:
        fleet.wait()
        assert fleet.group()["LaunchTemplate"]["Version"] == "2"
    assert fleet.approved() == "1.0.0"
    done = fleet.account.play(*REPLACE, "-e", "release=2.0.0")
    assert done.code == 0, done.output
    assert "an earlier replacement was interrupted (release 2.0.0; " in done.output
    assert set(fleet.instances().values()) == {"2.0.0"}
    assert fleet.approved() == "2.0.0"
    fleet.assert_nothing_is_left(1)
    assert len(fleet.api.describe_instance_refreshes(AutoScalingGroupName=GROUP)["InstanceRefreshes"]) == 1


@pytest.mark.long
def test_a_refresh_that_was_cancelled_leaves_no_release_that_is_not_approved(fleet: Fleet) -> None:
    """AWS does not roll back what was cancelled: the next run does, whatever it was asked for."""
    with fleet.account.start(*REPLACE, "-e", "release=2.0.0", "-e", "replacement_instance_warmup=3") as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith(f"refresh {GROUP}: InProgress, 50 %"):
                process.kill()
                break
    fleet.api.cancel_instance_refresh(AutoScalingGroupName=GROUP)
    assert "2.0.0" in fleet.instances().values()
    done = fleet.account.play(*REPLACE, "-e", "release=1.0.0")
    assert done.code == 0, done.output
    assert list(fleet.instances().values()) == ["", ""]
    assert fleet.approved() == "1.0.0"
    fleet.assert_nothing_is_left(1)


@pytest.mark.long
def test_instances_that_do_not_come_into_service_are_rolled_back(fleet: Fleet) -> None:
    fleet.abandon()
    done = fleet.account.play(*REPLACE, "-e", "release=2.0.0")
    assert done.code != 0, done.output
    assert re.search(
        rf"error: Release 2\.0\.0 is not in service on {GROUP}: \d+ of the new instances failed; Rollback initiated by"
        r" user \(the refresh ended as RollbackSuccessful\)\n",
        done.output,
    ), done.output
    assert re.search(r"error: i-[0-9a-f]+: Instance failed to complete user's Lifecycle Action", done.output)
    assert "error: 1.0.0 serves." in done.output
    assert fleet.instances() == fleet.first
    assert fleet.approved() == "1.0.0"
    fleet.assert_nothing_is_left(1, 2)
    refresh = fleet.api.describe_instance_refreshes(AutoScalingGroupName=GROUP)["InstanceRefreshes"][0]
    assert refresh["Status"] == "RollbackSuccessful"
    assert fleet.account.history()[-1]["result"] == "failed"
