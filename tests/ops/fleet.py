"""An Auto Scaling group behind a load balancer, and hosts of which nothing is there but what they are asked."""

from __future__ import annotations

import re
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from tests.ops.conftest import NAME, PARAMETERS, TAGS, Account, publish

HERE = Path(__file__).parent
GROUP = f"{NAME}-backend"
_TIME = re.compile(r"(\d+)m([\d.]+)s")
BACKEND = [{"Key": "vahana:role", "Value": "backend"}, {"Key": "vahana:tier", "Value": "basic"}]


class Fleet:
    """An Auto Scaling group of hosts behind a load balancer, in an account that has little else of the tier."""

    def __init__(self, account: Account, size: int = 2) -> None:
        self._size = size
        self._account = account
        self.autoscaling, self.elb, self.ssm = (account.client(name) for name in ("autoscaling", "elbv2", "ssm"))
        subnets, vpc = _network(account.client("ec2"))
        self.targets = self._balance(subnets, vpc)
        self._launch(account.client("ec2"), subnets)
        for name, value in (("tier", "basic"), ("release", "1.0.0")):
            self.ssm.put_parameter(Name=f"{PARAMETERS}/{name}", Value=value, Type="String", Tags=TAGS)
        for release in ("1.0.0", "2.0.0", "3.0.0-crash", "3.0.0-leak", "3.0.0-migration", "3.0.0-damaged"):
            publish(account, release)
        deadline = time.monotonic() + 120
        while self.health().count("healthy") < size and time.monotonic() < deadline:
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
            MinSize=self._size,
            MaxSize=self._size + 2,
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

    def hosts(self, folder: Path, *, light: bool = False) -> tuple[str, ...]:
        """Make this machine be all of the hosts; return the arguments by which a playbook takes it for them.

        Each has an interpreter of its own, which is how backend-release knows as which host it was called.

        :param light: let them do next to nothing, where what is looked at is the controller (light_python.py).
        """
        self.host(folder, "localhost")
        for name in self.instances():
            self.host(folder, name, light=light)
        interpreter = f"{folder}/{{{{ inventory_hostname }}}}/python"
        settings = (
            f"ansible_connection=local ansible_become=false ansible_python_interpreter={shlex.quote(interpreter)}"
        )
        return ("--limit", "all", "-e", settings)

    @staticmethod
    def host(folder: Path, name: str, *, light: bool = False) -> None:
        """Make this machine be one more host."""
        tools = folder / name / "bin"
        tools.mkdir(parents=True)
        tool = tools / "backend-release"
        tool.write_text(f'#!/bin/sh\nexec {sys.executable} -S {HERE}/backend_release.py {folder / name} "$@"\n')
        python = folder / name / "python"
        what = f"{sys.executable} -S {HERE}/light_python.py" if light else sys.executable
        # Bash, whose `times` counts in thousandths: what a host does is no time of the controller's, see host_seconds.
        python.write_text(
            f'#!/bin/bash\nPATH={tools}:$PATH {what} "$@"\ncode=$?\ntimes >> {folder / name}/times\nexit $code\n'
        )
        for program in (tool, python):
            program.chmod(0o755)

    def host_seconds(self, folder: Path) -> float:
        """Return the processor time that the hosts needed so far, user and system, and forget it."""
        seconds = 0.0
        for name in self.instances():
            file = folder / name / "times"
            if file.exists():
                found = _TIME.findall(file.read_text())
                seconds += sum(60 * int(minutes) + float(rest) for minutes, rest in found)
                file.unlink()
        return seconds


def _network(ec2: Any) -> tuple[list[str], str]:
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"]
        for number, zone in enumerate("ab")
    ]
    return [subnet["SubnetId"] for subnet in subnets], vpc
