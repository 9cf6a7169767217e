"""Modules under the plan's watch: what they would write goes nowhere, and the result says what it would have been."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import boto3
import pytest

from plugins.module_utils.planning import HIDDEN, KNOWN_AFTER_APPLY, change_of, is_planned
from plugins.warm_worker.wire import Request

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "0-no-secret-0"}
Plan = Callable[..., dict[str, Any]]


@pytest.fixture
def client(moto_url: str) -> Callable[[str], Any]:
    """Return clients of the account that the modules plan for."""

    def connect(service: str) -> Any:
        return boto3.client(service, endpoint_url=moto_url, **ACCOUNT)  # type: ignore[call-overload]

    return connect


@pytest.fixture
def plan(moto_url: str, tmp_path: Path) -> Plan:
    """Return how to plan one module of a collection, as a task in check mode does without the warm worker."""

    def run(module: str, **arguments: Any) -> dict[str, Any]:
        request = Request(
            module=f"ansible_collections.{module.rpartition('.')[0]}.plugins.modules.{module.rpartition('.')[2]}",
            path="",
            arguments=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            profile="legacy",
            environment={
                "PATH": os.environ["PATH"],
                "AWS_ENDPOINT_URL": moto_url,
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "0-no-secret-0",
            },
            directory=str(tmp_path),
            umask=0o022,
            plan=True,
        )
        ran = subprocess.run(
            [sys.executable, "-m", "plugins.warm_worker.once"],
            input=json.dumps(asdict(request)),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.stdout, ran.stderr
        result: dict[str, Any] = json.loads(ran.stdout)
        return result

    return run


def test_what_is_not_there_is_created_with_an_id_that_comes_later(client: Callable[[str], Any], plan: Plan) -> None:
    before = len(client("ec2").describe_vpcs()["Vpcs"])
    result = plan("amazon.aws.ec2_vpc_net", name="planned", cidr_block="10.60.0.0/16")
    assert result["changed"] is True
    assert result["vpc"] == {"id": KNOWN_AFTER_APPLY, "cidr_block": "10.60.0.0/16"}
    assert (result["plan"]["action"], result["plan"]["kind"], result["plan"]["name"]) == ("create", "VPC", "planned")
    assert len(client("ec2").describe_vpcs()["Vpcs"]) == before


def test_what_differs_is_changed_field_by_field(client: Callable[[str], Any], plan: Plan) -> None:
    vpc = client("ec2").create_vpc(CidrBlock="10.61.0.0/16")["Vpc"]["VpcId"]
    tags = [{"Key": "Name", "Value": "there"}, {"Key": "a", "Value": "old"}]
    client("ec2").create_tags(Resources=[vpc], Tags=tags)
    result = plan("amazon.aws.ec2_vpc_net", name="there", cidr_block="10.61.0.0/16", tags={"a": "new"})
    assert result["changed"] is True
    assert result["vpc"]["id"] == vpc
    assert result["plan"]["action"] == "change"
    assert (result["plan"]["before"], result["plan"]["after"]) == ({"tags.a": "old"}, {"tags.a": "new"})


def test_a_part_that_is_lost_makes_no_new_thing(client: Callable[[str], Any], plan: Plan) -> None:
    """What comes after goes by the load balancer that is there."""
    ec2, elbv2 = client("ec2"), client("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.63.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.63.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate("ab")
    ]
    group = ec2.create_security_group(GroupName="front", Description="front", VpcId=vpc)["GroupId"]
    made = elbv2.create_load_balancer(Name="front", Subnets=subnets, SecurityGroups=[group])["LoadBalancers"][0]
    nothing = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    arguments = {"name": "front", "subnets": subnets, "security_groups": [group], "wait": False}
    condition = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/cars"]}}
    rule = {"Priority": 101, "Conditions": [condition], "Actions": [nothing]}
    for rules in ([], [rule]):
        listener = {"Protocol": "HTTP", "Port": 80, "DefaultActions": [nothing], "Rules": rules}
        planned = plan("amazon.aws.elb_application_lb", **arguments, listeners=[listener])
        assert planned["plan"]["action"] == "change"
        assert (planned["load_balancer_arn"], planned["dns_name"]) == (made["LoadBalancerArn"], made["DNSName"])
        if not rules:
            elbv2.create_listener(
                LoadBalancerArn=made["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[nothing]
            )


def test_what_is_as_it_should_be_is_not_changed(client: Callable[[str], Any], plan: Plan) -> None:
    client("sns").create_topic(Name="same")
    result = plan("community.aws.sns_topic", name="same")
    assert result["changed"] is False
    assert "plan" not in result


def test_a_value_that_comes_later_never_reaches_the_api(plan: Plan) -> None:
    subnet = plan("amazon.aws.ec2_vpc_subnet", vpc_id=KNOWN_AFTER_APPLY, cidr="10.62.1.0/24")
    assert subnet["changed"] is True
    assert subnet["plan"]["action"] == "create"
    assert subnet["subnet"] == {"id": KNOWN_AFTER_APPLY}
    policy = plan(
        "amazon.aws.iam_policy",
        iam_type="role",
        iam_name=f"new {KNOWN_AFTER_APPLY}",
        policy_name="p",
        policy_json="{}",
        state="present",
    )
    assert policy["changed"] is True


def test_a_module_that_takes_a_planned_value_for_a_mistake_is_not_believed(plan: Plan) -> None:
    # This one raises an error of its own before it asks, as others say that they failed.
    builder = plan(
        "amazon.aws.ec2_instance",
        name="builder",
        image_id="ami-12345678",
        vpc_subnet_id=KNOWN_AFTER_APPLY,
        security_groups=[KNOWN_AFTER_APPLY],
    )
    assert (builder["changed"], builder["instance_ids"]) == (True, [KNOWN_AFTER_APPLY])


def test_who_only_asks_changes_nothing(plan: Plan) -> None:
    result = plan("amazon.aws.ec2_ami_info", image_ids=[KNOWN_AFTER_APPLY])
    assert result["changed"] is False
    assert not result.get("failed")


def test_a_mistake_is_one_in_a_plan_too(plan: Plan) -> None:
    result = plan("amazon.aws.ec2_vpc_net", name="planned", cidr_block="10.60.0.0/16", no_such_option=1)
    assert result["failed"] is True


def test_what_is_secret_stays_so_before_and_after(client: Callable[[str], Any], plan: Plan) -> None:
    client("ssm").put_parameter(Name="/secret", Value="old-secret", Type="String")
    arguments = {"name": "/secret", "value": "new-secret", "string_type": "String", "overwrite_value": "changed"}
    result = plan("community.aws.ssm_parameter", **arguments)
    assert result["plan"]["before"] == {"value": HIDDEN}
    assert result["plan"]["after"] == {"value": HIDDEN}
    assert "secret" not in json.dumps(result["diff"])
    assert client("ssm").get_parameter(Name="/secret")["Parameter"]["Value"] == "old-secret"


def test_a_module_that_writes_in_every_run_changes_only_what_differs(client: Callable[[str], Any], plan: Plan) -> None:
    image = client("ec2").describe_images()["Images"][0]["ImageId"]
    client("ec2").create_launch_template(LaunchTemplateName="template", LaunchTemplateData={"ImageId": image})
    client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName="group",
        MinSize=0,
        MaxSize=1,
        LaunchTemplate={"LaunchTemplateName": "template", "Version": "1"},
        AvailabilityZones=["us-east-1a"],
    )
    arguments = {"name": "group", "min_size": 0, "desired_capacity": 0, "wait_for_instances": False}
    same = plan("amazon.aws.autoscaling_group", max_size=1, **arguments)
    assert same["changed"] is False, same["plan"]
    changed = plan("amazon.aws.autoscaling_group", max_size=5, **arguments)
    assert (changed["plan"]["before"], changed["plan"]["after"]) == ({"max_size": 1}, {"max_size": 5})
    gone = plan("amazon.aws.autoscaling_group", name="group", state="absent", wait_for_instances=False)
    assert (gone["changed"], gone["plan"]["action"]) == (True, "delete")
    never = plan("amazon.aws.autoscaling_group", name="other", state="absent", wait_for_instances=False)
    assert never["changed"] is False


def test_planned_values_are_found_at_any_depth() -> None:
    assert is_planned({"a": [{"b": f"arn:{KNOWN_AFTER_APPLY}/x"}]})
    assert not is_planned({"a": [1, None, "b", b"c"]})


def test_the_diff_of_a_module_that_plans_by_itself_tells_what_it_does() -> None:
    assert change_of({"before": {}, "after": {"a": 1}}).action == "create"
    assert change_of({"before": {"a": 1}, "after": {}}).action == "delete"
    changed = change_of({"before": {"a": 1, "b": {"c": 2}}, "after": {"a": 1, "b": {"c": 3}}})
    assert (changed.action, changed.before, changed.after) == ("change", {"b.c": 2}, {"b.c": 3})
    assert change_of(None).action == "change"
