"""Ownership of what serves: load balancers, groups, instances, images, addresses and topics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends

from plugins.modules import resource_ownership

TAGS = {"vahana:app": "cars", "vahana:env": "prod"}
NAME = "cars-prod"
Run = Callable[..., dict[str, Any]]


def boto_tags(tags: dict[str, str]) -> list[Any]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def make_target_group(tags: dict[str, str]) -> None:
    vpc = boto3.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    boto3.client("elbv2").create_target_group(Name=NAME, Protocol="HTTP", Port=80, VpcId=vpc, Tags=boto_tags(tags))


def make_launch_template(tags: dict[str, str]) -> None:
    boto3.client("ec2").create_launch_template(
        LaunchTemplateName=NAME,
        LaunchTemplateData={"InstanceType": "t3.micro"},
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": boto_tags(tags)}],
    )


def make_auto_scaling_group(tags: dict[str, str]) -> None:
    make_launch_template(tags)
    boto3.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=NAME,
        MinSize=0,
        MaxSize=1,
        AvailabilityZones=["us-east-1a"],
        LaunchTemplate={"LaunchTemplateName": NAME},
        Tags=[{**tag, "PropagateAtLaunch": False} for tag in boto_tags(tags)],
    )


def make_topic(tags: dict[str, str]) -> None:
    boto3.client("sns").create_topic(Name=NAME, Tags=boto_tags(tags))


def make_health_check(tags: dict[str, str]) -> str:
    route53 = boto3.client("route53")
    config: Any = {"Type": "HTTPS", "Port": 443, "FullyQualifiedDomainName": NAME, "ResourcePath": "/"}
    made = route53.create_health_check(CallerReference=str(tags), HealthCheckConfig=config)["HealthCheck"]["Id"]
    if tags:
        route53.change_tags_for_resource(ResourceType="healthcheck", ResourceId=made, AddTags=boto_tags(tags))
    return str(made)


MAKERS: dict[str, Callable[[dict[str, str]], Any]] = {
    "health_check": make_health_check,
    "target_group": make_target_group,
    "launch_template": make_launch_template,
    "auto_scaling_group": make_auto_scaling_group,
    "sns_topic": make_topic,
}


def look_up(run_module: Run, *resources: dict[str, str]) -> dict[str, Any]:
    return run_module(resource_ownership, tags=TAGS, resources=list(resources))


@pytest.mark.parametrize("kind", MAKERS)
def test_finds_ours_and_refuses_others(run_module: Run, kind: str) -> None:
    query = {"type": kind, "name": NAME}
    assert look_up(run_module, query)["resources"] == {kind: []}
    MAKERS[kind](TAGS)
    found = look_up(run_module, query)["resources"][kind]
    assert [(item["name"], item["tags"]) for item in found] == [(NAME, TAGS)]

    refused = run_module(resource_ownership, tags={**TAGS, "vahana:env": "test"}, resources=[query])
    assert refused["failed"]
    assert "not ours to change" in refused["msg"]


def test_lists_instances_addresses_and_images_by_tags(run_module: Run) -> None:
    ec2 = boto3.client("ec2")

    def run(tags: dict[str, str]) -> str:
        made = ec2.run_instances(
            ImageId=ec2.describe_images()["Images"][0]["ImageId"],
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": boto_tags(tags)}],
        )
        return str(made["Instances"][0]["InstanceId"])

    ours, gone = run(TAGS), run(TAGS)
    run({**TAGS, "vahana:env": "test"})
    ec2.terminate_instances(InstanceIds=[gone])
    # Other tests of this process may have made moto wait for the host.
    state = ec2_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].get_instance(ours)._state
    state.name, state.code = "running", 16
    image = ec2.create_image(
        InstanceId=ours, Name="cars", TagSpecifications=[{"ResourceType": "image", "Tags": boto_tags(TAGS)}]
    )["ImageId"]
    address = ec2.allocate_address(
        Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": boto_tags(TAGS)}]
    )
    ec2.allocate_address(Domain="vpc")

    found = look_up(run_module, {"type": "instance"}, {"type": "image"}, {"type": "elastic_ip"})["resources"]
    assert [item["id"] for item in found["instance"]] == [ours]
    assert [(item["id"], item["name"]) for item in found["image"]] == [(image, "cars")]
    assert [(item["id"], item["public_ip"]) for item in found["elastic_ip"]] == [
        (address["AllocationId"], address["PublicIp"])
    ]


def test_a_health_check_without_tags_is_what_an_interrupted_run_left(run_module: Run) -> None:
    made = make_health_check({})
    [found] = look_up(run_module, {"type": "health_check", "name": NAME})["resources"]["health_check"]
    assert (found["id"], found["tags"]) == (made, TAGS)
    assert look_up(run_module, {"type": "health_check", "name": "other"})["resources"]["health_check"] == []


def test_topics_are_not_listed_by_tags(run_module: Run) -> None:
    assert "can only be looked up by name" in look_up(run_module, {"type": "sns_topic"})["msg"]
