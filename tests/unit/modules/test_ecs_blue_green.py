"""Blue/green deployments of ECS services: one strategy or the other, what takes them back, and the alarms that may."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from lab.reconcilers.stand_ins import FAULT_TAG, StandIns
from plugins.modules import ecs_deployment_alarms, ecs_services
from tests.unit.modules.test_ecs_services import CLUSTER, ecs, found, network, services, stand_ins  # noqa: F401

Run = Callable[..., dict[str, Any]]
VERSION = "2012-10-17"
BROKEN = {"container": {"dockerLabels": {FAULT_TAG: "abandon"}}}


def statement(**more: Any) -> str:
    return json.dumps({"Version": VERSION, "Statement": [{"Effect": "Allow", **more}]})


@pytest.fixture
def pair(network: dict[str, Any]) -> dict[str, Any]:  # noqa: F811 - a fixture
    """Two target groups with a rule that leads to both, as a service names them."""
    clients: list[Any] = [boto3.client(name, region_name="us-east-1") for name in ("ec2", "elbv2", "iam")]
    ec2, elb, iam = clients
    vpc = ec2.describe_subnets(SubnetIds=network["subnets"])["Subnets"][0]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    zone = ec2.describe_subnets(SubnetIds=network["subnets"])["Subnets"][0]["AvailabilityZone"]
    other = "us-east-1b" if zone != "us-east-1b" else "us-east-1a"
    second = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.2.0/24", AvailabilityZone=other)["Subnet"]["SubnetId"]
    groups = []
    for name in ("auth", "auth-2"):
        made = elb.create_target_group(Name=name, Protocol="HTTP", Port=3000, VpcId=vpc, TargetType="ip")
        groups.append(made["TargetGroups"][0]["TargetGroupArn"])
        delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}]
        elb.modify_target_group_attributes(TargetGroupArn=groups[-1], Attributes=delay)
    balancer = elb.create_load_balancer(Name="cars", Subnets=[*network["subnets"], second])
    nothing = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
    listener = elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=nothing,
    )["Listeners"][0]["ListenerArn"]
    shares = [{"TargetGroupArn": groups[0], "Weight": 100}, {"TargetGroupArn": groups[1], "Weight": 0}]
    rule = elb.create_rule(
        ListenerArn=listener,
        Priority=1,
        Conditions=[{"Field": "path-pattern", "Values": ["/api/auth/*"]}],
        Actions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": shares}}],
    )["Rules"][0]["RuleArn"]
    trust = statement(Principal={"Service": "ecs.amazonaws.com"}, Action="sts:AssumeRole")
    role = iam.create_role(RoleName="ecs", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    allowed = statement(Action="elasticloadbalancing:*", Resource="*")
    iam.put_role_policy(RoleName="ecs", PolicyName="p", PolicyDocument=allowed)
    return {
        "alternate_target_group_arn": groups[1],
        "listener_rule_arn": rule,
        "infrastructure_role_arn": role,
        "target_group_arn": groups[0],
        "container_port": 3000,
        "container": {"portMappings": [{"containerPort": 3000}]},
    }


def rolling(pair: dict[str, Any]) -> dict[str, Any]:
    return {key: pair[key] for key in ("target_group_arn", "container_port", "container")}


def blue_green(pair: dict[str, Any], **more: Any) -> dict[str, Any]:
    container = {**pair["container"], **more.pop("container", {})}
    return {**pair, "container": container, "strategy": "blue_green", "bake_minutes": 0, **more}


def serving(pair: dict[str, Any]) -> str:
    rule = boto3.client("elbv2", region_name="us-east-1").describe_rules(RuleArns=[pair["listener_rule_arn"]])
    groups = rule["Rules"][0]["Actions"][0]["ForwardConfig"]["TargetGroups"]
    (one,) = [each["TargetGroupArn"] for each in groups if each["Weight"]]
    return str(one)


def status(name: str = "auth") -> str:
    arn = found(name)["currentServiceDeployment"]
    return str(ecs().describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]["status"])


def test_a_deployment_and_the_next_one(services: Run, pair: dict[str, Any]) -> None:  # noqa: F811
    planned = services({"auth": "auth@sha256:1"}, blue_green(pair), check=True)
    made = services({"auth": "auth@sha256:1"}, blue_green(pair))
    assert made["changed"] and set(made["diff"]["after"]) == set(planned["diff"]["after"])
    auth = found("auth")
    assert (auth["deploymentConfiguration"]["strategy"], auth["runningCount"], status()) == (
        "BLUE_GREEN",
        2,
        "SUCCESSFUL",
    )
    assert serving(pair) == pair["target_group_arn"]
    for number, group in ((2, pair["alternate_target_group_arn"]), (3, pair["target_group_arn"])):
        changed = services({"auth": f"auth@sha256:{number}"}, blue_green(pair))
        assert list(changed["diff"]["after"][f"{CLUSTER}/auth"]) == ["taskDefinition"]
        assert (status(), serving(pair), found("auth")["runningCount"]) == ("SUCCESSFUL", group, 2)
        for check in (True, False):
            again = services({"auth": f"auth@sha256:{number}"}, blue_green(pair), check=check)
            assert not again["changed"], again["diff"]
    renewed = services({"auth": "auth@sha256:3"}, blue_green(pair), renew=True)
    assert renewed["changed"] and serving(pair) == pair["alternate_target_group_arn"]


def test_from_one_strategy_to_the_other_and_back(services: Run, pair: dict[str, Any]) -> None:  # noqa: F811
    services({"auth": "auth"}, rolling(pair))
    planned = services({"auth": "auth"}, blue_green(pair), check=True)
    assert list(planned["diff"]["after"][f"{CLUSTER}/auth"]) == ["loadBalancers", "deploymentConfiguration"]
    assert found("auth")["deploymentConfiguration"]["strategy"] == "ROLLING"
    changed = services({"auth": "auth"}, blue_green(pair))
    assert changed["diff"] == planned["diff"]
    assert found("auth")["deploymentConfiguration"]["strategy"] == "BLUE_GREEN"
    assert not services({"auth": "auth"}, blue_green(pair))["changed"]
    services({"auth": "auth@sha256:2"}, blue_green(pair))
    assert serving(pair) == pair["alternate_target_group_arn"]

    before = found("auth")["deployments"][0]["id"]
    planned = services({"auth": "auth@sha256:2"}, rolling(pair), check=True)
    assert list(planned["diff"]["after"][f"{CLUSTER}/auth"]) == ["deploymentConfiguration"]
    assert services({"auth": "auth@sha256:2"}, rolling(pair))["diff"] == planned["diff"]
    auth = found("auth")
    assert auth["deployments"][0]["id"] == before, "which renews no tasks"
    breaker = auth["deploymentConfiguration"]["deploymentCircuitBreaker"]
    assert (breaker["enable"], breaker["rollback"]) == (True, True)
    assert not services({"auth": "auth@sha256:2"}, rolling(pair))["changed"]
    services({"auth": "auth@sha256:3"}, rolling(pair))
    assert serving(pair) == pair["alternate_target_group_arn"], "new tasks are where the requests are"
    health = boto3.client("elbv2", region_name="us-east-1").describe_target_health(TargetGroupArn=serving(pair))
    assert len([each for each in health["TargetHealthDescriptions"] if each["TargetHealth"]["State"] == "healthy"]) == 2

    again = services({"auth": "auth@sha256:3"}, blue_green(pair))
    assert list(again["diff"]["after"][f"{CLUSTER}/auth"]) == ["deploymentConfiguration"]
    assert not services({"auth": "auth@sha256:3"}, blue_green(pair))["changed"]


def test_which_group_is_called_the_first_does_not_matter(services: Run, pair: dict[str, Any]) -> None:  # noqa: F811
    services({"auth": "auth"}, blue_green(pair))
    swapped = {
        "target_group_arn": pair["alternate_target_group_arn"],
        "alternate_target_group_arn": pair["target_group_arn"],
    }
    assert not services({"auth": "auth"}, blue_green(pair, **swapped))["changed"]


def test_another_bake_time_renews_no_tasks(services: Run, pair: dict[str, Any]) -> None:  # noqa: F811
    services({"auth": "auth"}, blue_green(pair))
    before = found("auth")["deployments"][0]["id"]
    changed = services({"auth": "auth"}, blue_green(pair, bake_minutes=7))
    assert changed["diff"]["after"][f"{CLUSTER}/auth"]["deploymentConfiguration"]["bakeTimeInMinutes"] == 7
    assert found("auth")["deployments"][0]["id"] == before


def test_tasks_that_fail_take_it_back(services: Run, pair: dict[str, Any]) -> None:  # noqa: F811
    services({"auth": "auth@sha256:1"}, blue_green(pair))
    good = found("auth")["taskDefinition"]
    failed = services({"auth": "auth@sha256:2"}, blue_green(pair, **BROKEN))
    assert failed["failed"] and failed["changed"]
    assert "was taken back: " in failed["msg"] and "tasks in a row failed" in failed["msg"]
    assert "Essential container in task exited" in failed["msg"]
    auth = found("auth")
    assert (auth["taskDefinition"], auth["runningCount"], status()) == (good, 2, "ROLLBACK_SUCCESSFUL")
    assert serving(pair) == pair["target_group_arn"]
    # What it went back to is neither deployed once more nor complained of.
    again = services({"auth": "auth@sha256:1"}, blue_green(pair))
    assert not again["changed"] and not again.get("failed")


def test_a_first_one_that_fails_has_nothing_to_go_back_to(services: Run, pair: dict[str, Any]) -> None:  # noqa: F811
    failed = services({"auth": "auth"}, blue_green(pair, **BROKEN))
    assert failed["failed"] and "is ROLLBACK_FAILED: " in failed["msg"] and "tasks in a row failed" in failed["msg"]
    assert services({"auth": "auth@sha256:2"}, blue_green(pair)).get("failed") is None
    assert found("auth")["runningCount"] == 2


def test_one_that_takes_too_long_is_taken_back(
    services: Run,  # noqa: F811
    pair: dict[str, Any],
) -> None:
    services({"auth": "auth@sha256:1"}, blue_green(pair, bake_minutes=5))
    good = found("auth")["taskDefinition"]
    late = services({"auth": "auth@sha256:2"}, blue_green(pair, bake_minutes=5), wait_timeout=2)
    assert late["failed"] and "was taken back: it took too long" in late["msg"]
    assert (found("auth")["taskDefinition"], serving(pair)) == (good, pair["target_group_arn"])


def test_what_an_earlier_run_began_is_followed(
    services: Run,  # noqa: F811
    pair: dict[str, Any],
    stand_ins: StandIns,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ecs_services, "ROLLBACK_SECONDS", 0)
    services({"auth": "auth@sha256:1"}, blue_green(pair, bake_minutes=5))
    stand_ins.close()
    services({"auth": "auth@sha256:2"}, blue_green(pair, bake_minutes=5), wait=False)
    arn = found("auth")["currentServiceDeployment"]
    ecs().stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
    seen = services({"auth": "auth@sha256:2"}, blue_green(pair, bake_minutes=5), wait_timeout=0)
    assert seen["failed"] and not seen["changed"] and "is still ROLLBACK_REQUESTED" in seen["msg"]


def test_it_needs_two_groups(services: Run, pair: dict[str, Any]) -> None:  # noqa: F811
    refused = services({"auth": "auth"}, {**rolling(pair), "strategy": "blue_green", "bake_minutes": 1})
    assert refused["failed"] and "alternate_target_group_arn" in refused["msg"]


def test_alarms(run_module: Run, services: Run, pair: dict[str, Any], stand_ins: StandIns) -> None:  # noqa: F811
    def watch(*alarms: str, check: bool = False) -> dict[str, Any]:
        options = {"cluster": CLUSTER, "services": ["auth", "cars"], "alarms": list(alarms)}
        return run_module(ecs_deployment_alarms, **options, check=check)

    assert not watch("errors")["changed"], "there is no cluster yet"
    assert set(watch("errors", check=True)["diff"]["after"]) == {f"{CLUSTER}/auth", f"{CLUSTER}/cars"}, "but will be"
    services({"auth": "auth"}, rolling(pair))
    assert not watch("errors")["changed"], "a rolling one is left alone"
    services({"auth": "auth"}, blue_green(pair))
    cloudwatch = boto3.client("cloudwatch", region_name="us-east-1")
    metric = {"Namespace": "n", "MetricName": "m", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1}
    for name in ("errors", "slow"):
        cloudwatch.put_metric_alarm(
            AlarmName=name, **metric, Statistic="Sum", ComparisonOperator="GreaterThanThreshold"
        )
    planned = run_module(
        ecs_deployment_alarms, cluster=CLUSTER, services=["auth"], alarms=["slow", "errors"], check=True
    )
    before = found("auth")["deployments"][0]["id"]
    changed = watch("slow", "errors")
    assert changed["diff"] == planned["diff"] and changed["services"] == ["auth"]
    auth = found("auth")
    assert auth["deploymentConfiguration"]["alarms"] == {
        "alarmNames": ["errors", "slow"],
        "enable": True,
        "rollback": True,
    }
    assert auth["deployments"][0]["id"] == before and auth["deploymentConfiguration"]["bakeTimeInMinutes"] == 0
    assert not watch("errors", "slow")["changed"]
    assert not services({"auth": "auth"}, blue_green(pair))["changed"], "which leaves them as they are"
    services({"auth": "auth@sha256:2"}, blue_green(pair, bake_minutes=5), wait=False)
    assert found("auth")["deploymentConfiguration"]["alarms"]["enable"]
    for _ in range(200):
        arn = found("auth")["currentServiceDeployment"]
        going = ecs().describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]
        if going["lifecycleStage"] == "BAKE_TIME":
            break
        stand_ins.attempt()
    cloudwatch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="trial")
    for _ in range(200):
        if status() == "ROLLBACK_SUCCESSFUL":
            break
        stand_ins.attempt()
    going = ecs().describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]
    assert going["statusReason"] == "Alarm(s) detected: errors." and serving(pair) == pair["target_group_arn"]
    assert watch()["changed"] and not found("auth")["deploymentConfiguration"]["alarms"]["enable"]


def test_the_threshold_is_that_of_the_circuit_breaker() -> None:
    assert [ecs_services.threshold(desired) for desired in (0, 1, 6, 7, 1000)] == [3, 3, 3, 4, 200]


def test_one_that_is_not_shown_yet_has_not_failed(
    services: Run,  # noqa: F811
    pair: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services({"auth": "auth@sha256:1"}, blue_green(pair))
    ask, left = ecs_services.Services.service_deployment, [3]

    def shown(self: Any, service: Any) -> dict[str, Any]:
        left[0] -= 1
        return {} if left[0] >= 0 else ask(self, service)

    monkeypatch.setattr(ecs_services.Services, "service_deployment", shown)
    assert not services({"auth": "auth@sha256:2"}, blue_green(pair)).get("failed")
    assert status() == "SUCCESSFUL" and serving(pair) == pair["alternate_target_group_arn"], "it has waited"
    monkeypatch.setattr(ecs_services, "UNSEEN_SECONDS", 0)
    left[0] = 3
    assert "has not begun" in services({"auth": "auth@sha256:3"}, blue_green(pair))["msg"]
