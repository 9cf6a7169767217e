"""Parts of an environment, made with plain API calls: what the verbs find."""

from __future__ import annotations

import time
from typing import Any

from tests.ops.conftest import NAME, PARAMETERS, TAGS, Account

OWN = [{"Key": "vahana:role", "Value": "backend"}]
TIER = [{"Key": "vahana:tier", "Value": "basic"}]


def put_parameter(account: Account, name: str, value: str) -> None:
    """Make one of the environment's parameters."""
    account.client("ssm").put_parameter(Name=f"{PARAMETERS}/{name}", Value=value, Type="String", Tags=TAGS)


def make_instance(account: Account) -> str:
    """Make the instance of tier minimal; return its id."""
    put_parameter(account, "tier", "minimal")
    ec2 = account.client("ec2")
    image = ec2.register_image(Name="any", RootDeviceName="/dev/xvda", Architecture="x86_64")["ImageId"]
    tags = [*TAGS, *OWN, {"Key": "vahana:tier", "Value": "minimal"}]
    made = ec2.run_instances(
        ImageId=image,
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    return str(made["Instances"][0]["InstanceId"])


def make_group(account: Account, size: int = 2) -> dict[str, str]:
    """Make load balancer and group of tier basic; return the ARNs of balancer, listener and target group."""
    put_parameter(account, "tier", "basic")
    ec2, elb = account.client("ec2"), account.client("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate("ab")
    ]
    # As AWS does: a load balancer needs a way to the internet.
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    balancer = elb.create_load_balancer(Name=NAME, Subnets=subnets, Tags=TAGS)["LoadBalancers"][0]["LoadBalancerArn"]
    targets = elb.create_target_group(Name=f"{NAME}-backend", VpcId=vpc, Protocol="HTTP", Port=3000, Tags=TAGS)
    target_group = targets["TargetGroups"][0]["TargetGroupArn"]
    # AWS's own is five minutes.
    delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "2"}
    elb.modify_target_group_attributes(TargetGroupArn=target_group, Attributes=[delay])
    listener = elb.create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": target_group}],
    )["Listeners"][0]["ListenerArn"]
    image = ec2.register_image(Name="any", RootDeviceName="/dev/xvda", Architecture="x86_64")["ImageId"]
    specification: Any = {
        "ImageId": image,
        "InstanceType": "t3.micro",
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [*TAGS, *OWN, *TIER]}],
    }
    ec2.create_launch_template(LaunchTemplateName=f"{NAME}-backend", LaunchTemplateData=specification)
    group = f"{NAME}-backend"
    account.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=group,
        LaunchTemplate={"LaunchTemplateName": group},
        MinSize=1,
        MaxSize=4,
        DesiredCapacity=size,
        VPCZoneIdentifier=",".join(subnets),
        TargetGroupARNs=[target_group],
        Tags=[
            {**tag, "PropagateAtLaunch": True, "ResourceId": group, "ResourceType": "auto-scaling-group"}
            for tag in TAGS
        ],
    )
    account.writes()
    return {"balancer": balancer, "listener": listener, "target_group": target_group}


def health(account: Account, target_group: str) -> list[str]:
    """Return the states of a group's targets."""
    found = account.client("elbv2").describe_target_health(TargetGroupArn=target_group)["TargetHealthDescriptions"]
    return [item["TargetHealth"]["State"] for item in found]


def take_one_out(account: Account, target_group: str) -> None:
    """Take one of the healthy targets out of service, as a deployment does, and wait until it is drained."""
    elb = account.client("elbv2")
    deadline = time.monotonic() + 60
    while set(states := health(account, target_group)) != {"healthy"} and time.monotonic() < deadline:
        time.sleep(0.2)
    first = elb.describe_target_health(TargetGroupArn=target_group)["TargetHealthDescriptions"][0]["Target"]
    elb.deregister_targets(TargetGroupArn=target_group, Targets=[first])
    while len(health(account, target_group)) == len(states) and time.monotonic() < deadline:
        time.sleep(0.2)
    account.writes()
