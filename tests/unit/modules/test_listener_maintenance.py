"""Maintenance in front of an application, as rules of its load balancer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from plugins.module_utils.maintenance import from_rule
from plugins.modules import listener_maintenance

TAGS = {"vahana:app": "cars", "vahana:env": "prod"}
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def balancer() -> str:
    """Make a load balancer that forwards on 443 and redirects on 80; return its ARN."""
    ec2, elb = boto3.client("ec2"), boto3.client("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate("ab")
    ]
    arn = elb.create_load_balancer(Name="cars", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    targets = elb.create_target_group(Name="cars", VpcId=vpc, Protocol="HTTP", Port=80)["TargetGroups"][0][
        "TargetGroupArn"
    ]
    elb.create_listener(
        LoadBalancerArn=arn, Protocol="HTTP", Port=8080, DefaultActions=[{"Type": "forward", "TargetGroupArn": targets}]
    )
    redirect = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    elb.create_listener(
        LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=[{"Type": "redirect", "RedirectConfig": redirect}]
    )
    return str(arn)


@pytest.fixture
def maintain(run_module: Run, balancer: str) -> Run:
    def run(state: str, message: str = "Back at six", **options: Any) -> dict[str, Any]:
        arguments = {"message": message, "health_path": "/api/health"} if state == "present" else {}
        return run_module(
            listener_maintenance,
            **{"load_balancer_arn": balancer, "state": state, "tags": TAGS, **arguments, **options},
        )

    return run


def rules(balancer: str) -> list[dict[str, Any]]:
    elb = boto3.client("elbv2")
    return [
        rule
        for listener in elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"]
        for rule in elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
        if not rule["IsDefault"]
    ]


def test_on_and_off(maintain: Run, balancer: str) -> None:
    assert maintain("present", check=True)["changed"]
    assert rules(balancer) == []
    assert maintain("present")["changed"]
    health, page = rules(balancer)
    assert [rule["Priority"] for rule in (health, page)] == ["1", "2"]
    assert health["Conditions"][0]["PathPatternConfig"]["Values"] == ["/api/health"]
    assert health["Actions"][0]["Type"] == "forward"
    answer = page["Actions"][0]["FixedResponseConfig"]
    assert (answer["StatusCode"], answer["ContentType"]) == ("503", "application/json")
    assert json.loads(answer["MessageBody"]) == {"code": "maintenance", "message": "Back at six"}
    for check in (True, False):
        again = maintain("present", check=check)
        assert not again["changed"], again["diff"]
    assert maintain("absent", check=True)["changed"]
    assert len(rules(balancer)) == 2
    assert maintain("absent")["changed"]
    assert rules(balancer) == []
    assert not maintain("absent")["changed"]


def test_where_each_path_has_a_target_group_of_its_own(maintain: Run, balancer: str) -> None:
    """The health check goes on to where its path leads, though the listener itself forwards nothing."""
    elb = boto3.client("elbv2")
    listener = elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"][0]
    targets = listener["DefaultActions"][0]["TargetGroupArn"]
    nothing = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    elb.modify_listener(ListenerArn=listener["ListenerArn"], DefaultActions=[nothing])
    refused = maintain("present", health_path="/api/cars/health")
    assert "no rule of the listener for HTTP leads /api/cars/health to a target group" in refused["msg"]

    vpc = elb.describe_load_balancers(LoadBalancerArns=[balancer])["LoadBalancers"][0]["VpcId"]
    other = elb.create_target_group(Name="others", VpcId=vpc, Protocol="HTTP", Port=80)["TargetGroups"][0]
    # Of two that match the first counts, and 9 comes before 10.
    for priority, pattern, target in ((10, "/api/*", other["TargetGroupArn"]), (9, "/api/car?/*", targets)):
        elb.create_rule(
            ListenerArn=listener["ListenerArn"],
            Priority=priority,
            Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/api/none", pattern]}}],
            Actions=[{"Type": "forward", "TargetGroupArn": target}],
        )
    assert maintain("present", health_path="/api/cars/health")["changed"]
    found = {rule["Priority"]: rule for rule in rules(balancer)}
    assert found["1"]["Conditions"][0]["PathPatternConfig"]["Values"] == ["/api/cars/health"]
    assert found["1"]["Actions"][0]["TargetGroupArn"] == targets
    assert not maintain("present", health_path="/api/cars/health")["changed"]
    assert maintain("absent")["changed"]
    assert len(rules(balancer)) == 2


def test_of_two_target_groups_it_is_the_one_that_has_the_requests(maintain: Run, balancer: str) -> None:
    elb = boto3.client("elbv2")
    listener = elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"][0]
    first = listener["DefaultActions"][0]["TargetGroupArn"]
    vpc = elb.describe_load_balancers(LoadBalancerArns=[balancer])["LoadBalancers"][0]["VpcId"]
    second = elb.create_target_group(Name="second", VpcId=vpc, Protocol="HTTP", Port=80)["TargetGroups"][0]
    pair = [first, second["TargetGroupArn"]]

    def lead(serving: str) -> list[dict[str, Any]]:
        groups = [{"TargetGroupArn": arn, "Weight": 100 if arn == serving else 0} for arn in pair]
        return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]

    rule = elb.create_rule(
        ListenerArn=listener["ListenerArn"],
        Priority=101,
        Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/api/cars/*"]}}],
        Actions=lead(pair[1]),
    )["Rules"][0]["RuleArn"]
    assert maintain("present", health_path="/api/cars/health")["changed"]
    found = {each["Priority"]: each for each in rules(balancer)}
    assert found["1"]["Actions"][0]["TargetGroupArn"] == pair[1]
    # A deployment has moved the requests: asked again, it follows.
    elb.modify_rule(RuleArn=rule, Actions=lead(pair[0]))
    assert maintain("present", health_path="/api/cars/health")["changed"]
    found = {each["Priority"]: each for each in rules(balancer)}
    assert found["1"]["Actions"][0]["TargetGroupArn"] == pair[0]
    assert not maintain("present", health_path="/api/cars/health")["changed"]


def test_another_message_keeps_the_time(maintain: Run, balancer: str) -> None:
    def seen() -> dict[str, Any]:
        page = rules(balancer)[1]
        [answer] = boto3.client("elbv2").describe_tags(ResourceArns=[page["RuleArn"]])["TagDescriptions"]
        return from_rule({tag["Key"]: tag["Value"] for tag in answer["Tags"]}, page)

    maintain("present")
    first = seen()
    changed = maintain("present", 'Back at "seven"')
    assert list(changed["diff"]["after"]) == ["HTTP 8080 rule 1"]
    assert first["on"] and first["since"]
    assert seen() == {"on": True, "since": first["since"], "message": 'Back at "seven"'}


def test_half_of_it_is_completed(maintain: Run, balancer: str) -> None:
    maintain("present")
    boto3.client("elbv2").delete_rule(RuleArn=rules(balancer)[1]["RuleArn"])
    assert maintain("present")["changed"]
    assert len(rules(balancer)) == 2


def test_somebody_elses_rule_stays(maintain: Run, balancer: str) -> None:
    elb = boto3.client("elbv2")
    listener = elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"][0]
    elb.create_rule(
        ListenerArn=listener["ListenerArn"],
        Priority=2,
        Conditions=[{"Field": "path-pattern", "Values": ["/x"]}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
    )
    refused = maintain("present")
    assert refused["failed"]
    assert "a rule of somebody else's with priority 2" in refused["msg"]
    assert not maintain("absent")["changed"]
    assert len(rules(balancer)) == 1
