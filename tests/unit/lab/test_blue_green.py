"""Blue/green deployments of ECS services: who has the requests, what takes a deployment back, what ECS refuses."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.moto_patches import ecs, elbv2
from tests.unit.lab.test_services import World

pytestmark = pytest.mark.usefixtures("lab_account")
Client = Callable[[str], Any]
VERSION = "2012-10-17"
TRUST = {
    "Version": VERSION,
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
ALLOWED = [
    *(f"elasticloadbalancing:Describe{kind}" for kind in ("Listeners", "Rules", "TargetGroups", "TargetHealth")),
    *(f"elasticloadbalancing:{action}" for action in ("RegisterTargets", "DeregisterTargets", "ModifyRule")),
]


class Pair(World):
    """The same world with two target groups, a rule that leads to both, and the role that may change that."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        api = client("elbv2")
        self.blue, self.green = (
            api.create_target_group(Name=name, Protocol="HTTP", Port=3000, VpcId=self.vpc, TargetType="ip")[
                "TargetGroups"
            ][0]["TargetGroupArn"]
            for name in ("web", "web-2")
        )
        for arn in (self.blue, self.green):
            delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}]
            api.modify_target_group_attributes(TargetGroupArn=arn, Attributes=delay)
        balancer = api.create_load_balancer(Name="trial", Subnets=self.subnets)["LoadBalancers"][0]["LoadBalancerArn"]
        nothing = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
        listener = api.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=nothing)
        self.listener = listener["Listeners"][0]["ListenerArn"]
        self.rule = self.make_rule(1, {self.blue: 1, self.green: 0})
        self.role = client("iam").create_role(RoleName="ecs", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        self.allow(ALLOWED)

    def make_rule(self, priority: int, shares: dict[str, int]) -> str:
        groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in shares.items()]
        made = self.client("elbv2").create_rule(
            ListenerArn=self.listener,
            Priority=priority,
            Conditions=[{"Field": "path-pattern", "Values": [f"/{priority}"]}],
            Actions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}],
        )
        return str(made["Rules"][0]["RuleArn"])

    def allow(self, actions: list[str]) -> None:
        """Let ECS do this to the load balancer, and nothing else."""
        policy = {"Version": VERSION, "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
        self.client("iam").put_role_policy(RoleName="ecs", PolicyName="p", PolicyDocument=json.dumps(policy))

    def balancers(self, **more: Any) -> list[dict[str, Any]]:
        pair = {
            "alternateTargetGroupArn": self.green,
            "productionListenerRule": self.rule,
            "roleArn": self.role,
            **more,
        }
        return [
            {
                "targetGroupArn": self.blue,
                "containerName": "web",
                "containerPort": 3000,
                "advancedConfiguration": {key: value for key, value in pair.items() if value},
            }
        ]

    def blue_green(self, **more: Any) -> dict[str, Any]:
        """What a service is made with."""
        configuration = {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1, **more}
        return {"loadBalancers": self.balancers(), "deploymentConfiguration": configuration}

    @property
    def serving(self) -> list[str]:
        """The target groups that have requests."""
        found = self.client("elbv2").describe_rules(RuleArns=[self.rule])["Rules"][0]["Actions"][0]
        return [each["TargetGroupArn"] for each in found["ForwardConfig"]["TargetGroups"] if each["Weight"]]

    @property
    def last(self) -> dict[str, Any]:
        """The service's newest deployment."""
        api = self.client("ecs")
        brief = api.list_service_deployments(cluster="trial", service="web")["serviceDeployments"][0]
        arn = brief["serviceDeploymentArn"]
        assert self.service["currentServiceDeployment"] == arn
        found = dict(api.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0])
        assert found["status"] == brief["status"]
        return found

    def targets_of(self, group: str) -> set[str]:
        found = self.client("elbv2").describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return {each["Target"]["Id"] for each in found if each["TargetHealth"]["State"] == "healthy"}

    def until(self, stage: str) -> None:
        """Go on until the deployment is in a stage."""
        for _ in range(100):
            if self.last["lifecycleStage"] == stage:
                return
            self.round()
        raise AssertionError(f"never {stage}: {self.last}")

    def alarm(self, state: str) -> None:
        api = self.client("cloudwatch")
        api.put_metric_alarm(
            AlarmName="errors",
            Namespace="n",
            MetricName="m",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            Statistic="Sum",
            ComparisonOperator="GreaterThanThreshold",
        )
        api.set_alarm_state(AlarmName="errors", StateValue=state, StateReason="trial")


@pytest.fixture
def pair(client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    found = Pair(client)
    monkeypatch.setattr(time, "time", lambda: found.now)
    elbv2.follow(found.measure)
    yield found
    elbv2.follow(None)


@pytest.fixture
def running(pair: Pair) -> Pair:
    """A service of two tasks that deploys blue/green, watched by an alarm."""
    pair.alarm("OK")
    pair.create(**pair.blue_green(alarms={"alarmNames": ["errors"], "enable": True, "rollback": True}))
    pair.rounds(8)
    assert pair.last["status"] == "SUCCESSFUL" and pair.serving == [pair.blue]
    return pair


def test_a_deployment_from_beginning_to_end(running: Pair) -> None:
    before = {task.address for task in running.running}
    assert running.targets_of(running.blue) == before and not running.targets_of(running.green)
    assert "rolloutState" not in running.service["deployments"][0], "which is for rolling deployments alone"
    running.watch()
    running.update(taskDefinition=running.register())
    assert [each["status"] for each in running.service["deployments"]] == ["PRIMARY", "ACTIVE"]
    running.until("BAKE_TIME")
    assert running.serving == [running.green] and running.targets_of(running.blue) == before, "they stay while it bakes"
    assert len(running.targets_of(running.green)) == 2 and not running.targets_of(running.green) & before
    summary = running.last["targetServiceRevision"]
    assert (summary["requestedProductionTrafficWeight"], summary["runningTaskCount"]) == (100.0, 2)
    began = running.now
    running.until("CLEAN_UP")
    assert running.now - began >= 60, "the minute of baking"
    running.rounds(40)
    assert running.last["status"] == "SUCCESSFUL" and len(running.running) == 2 and running.fewest_healthy >= 2
    assert not {task.address for task in running.running} & before
    assert [each["taskDefinition"][-2:] for each in running.service["deployments"]] == [":2"]
    running.update(taskDefinition=running.register())
    running.until("BAKE_TIME")
    assert running.serving == [running.blue], "the next one goes the other way"


def test_requests_wait_for_all_tasks(running: Pair) -> None:
    before = running.targets_of(running.blue)
    unknown: elbv2.Health = ("initial", "Elb.InitialHealthChecking", None)
    elbv2.follow(lambda group, target: running.measure(group, target) if target in before else unknown)
    running.update(taskDefinition=running.register())
    running.rounds(8)
    assert len(running.running) == 4
    assert running.serving == [running.blue] and running.last["lifecycleStage"] == "SCALE_UP"
    elbv2.follow(running.measure)
    running.until("BAKE_TIME")


@pytest.mark.parametrize("stage", ["SCALE_UP", "BAKE_TIME", "CLEAN_UP"])
def test_an_operator_takes_it_back(running: Pair, stage: str) -> None:
    kept = {task.id for task in running.running}
    running.update(taskDefinition=running.register())
    if stage == "CLEAN_UP":
        running.until("BAKE_TIME")
        running.now += 60
    running.until(stage)
    found = running.last
    running.client("ecs").stop_service_deployment(serviceDeploymentArn=found["serviceDeploymentArn"])
    assert running.last["status"] == "ROLLBACK_REQUESTED"
    running.round()
    running.round()
    if stage == "BAKE_TIME":
        assert running.serving == [running.blue], "at once"
    running.rounds(40)
    assert running.last["status"] == "ROLLBACK_SUCCESSFUL" and "StopServiceDeployment" in running.last["statusReason"]
    assert running.serving == [running.blue] and len(running.running) == 2
    assert running.service["taskDefinition"].endswith(":1")
    if stage != "CLEAN_UP":
        assert {task.id for task in running.running} == kept
    with pytest.raises(ClientError, match="ConflictException"):
        running.client("ecs").stop_service_deployment(serviceDeploymentArn=found["serviceDeploymentArn"])


def test_an_alarm_takes_it_back_while_it_bakes(running: Pair) -> None:
    running.update(taskDefinition=running.register())
    running.until("BAKE_TIME")
    running.alarm("ALARM")
    running.rounds(3)
    assert running.serving == [running.blue]
    running.rounds(40)
    assert running.last["status"] == "ROLLBACK_SUCCESSFUL" and running.last["alarms"]["triggeredAlarmNames"] == [
        "errors"
    ]
    # What is wrong already is not what this deployment does.
    running.update(taskDefinition=running.register())
    running.rounds(120)
    assert running.last["status"] == "SUCCESSFUL"


def test_an_alarm_that_was_evaluated_anew_has_gone_off_all_the_same(running: Pair) -> None:
    running.update(taskDefinition=running.register())
    running.until("BAKE_TIME")
    running.alarm("ALARM")
    running.alarm("OK")
    running.rounds(40)
    assert running.last["status"] == "ROLLBACK_SUCCESSFUL" and running.serving == [running.blue]


def test_tasks_that_do_not_start_get_no_requests(running: Pair) -> None:
    bad = running.register()
    running.fails.add(bad)
    running.update(taskDefinition=bad)
    running.rounds(12)
    primary = running.service["deployments"][0]
    assert primary["taskDefinition"] == bad and primary["failedTasks"] >= 3
    assert running.last["status"] == "IN_PROGRESS" and running.serving == [running.blue], "nobody takes it back"


def test_a_role_that_may_not_changes_nothing(running: Pair) -> None:
    running.allow([action for action in ALLOWED if not action.endswith("ModifyRule")])
    running.update(taskDefinition=running.register())
    running.rounds(30)
    assert running.last["status"] == "ROLLBACK_SUCCESSFUL" and "ModifyRule" in running.last["statusReason"]
    assert running.serving == [running.blue] and len(running.running) == 2
    running.allow([action for action in ALLOWED if not action.endswith(":RegisterTargets")])
    running.update(taskDefinition=running.register())
    running.rounds(30)
    assert "RegisterTargets" in running.last["statusReason"] and running.serving == [running.blue]


def test_a_new_deployment_in_the_midst_of_one(running: Pair) -> None:
    running.update(taskDefinition=running.register())
    running.until("BAKE_TIME")
    newest = running.register()
    running.update(taskDefinition=newest)
    running.until("BAKE_TIME")
    assert running.serving == [running.blue], "what had the requests was green"
    running.rounds(120)
    assert running.last["status"] == "SUCCESSFUL" and len(running.running) == 2
    assert {task.task_definition_arn for task in running.running} == {newest}


def test_from_one_strategy_to_the_other(pair: Pair) -> None:
    one = {key: value for key, value in pair.balancers()[0].items() if key != "advancedConfiguration"}
    pair.create(loadBalancers=[one])
    pair.rounds()
    wanted = pair.blue_green()
    with pytest.raises(ClientError, match="by a rolling deployment first"):
        pair.update(**wanted)
    pair.update(loadBalancers=wanted["loadBalancers"])
    with pytest.raises(ClientError, match="cannot be changed while a deployment"):
        pair.update(**wanted)
    pair.rounds(30)
    before = pair.service["deployments"][0]["id"]
    pair.update(deploymentConfiguration=wanted["deploymentConfiguration"])
    assert pair.service["deployments"][0]["id"] == before, "the strategy alone renews no tasks"
    pair.update(taskDefinition=pair.register())
    pair.rounds(120)
    assert pair.serving == [pair.green]
    rolling = {"strategy": "ROLLING", "deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    pair.update(deploymentConfiguration=rolling)
    assert pair.service["deploymentConfiguration"]["bakeTimeInMinutes"] == 0
    pair.update(taskDefinition=pair.register())
    pair.rounds(30)
    assert pair.service["deployments"][0]["rolloutState"] == "COMPLETED"
    assert pair.targets_of(pair.green) == {task.address for task in pair.running} and pair.serving == [pair.green]


@pytest.mark.parametrize(
    ("advanced", "configuration", "message"),
    [
        ({"alternateTargetGroupArn": ""}, {}, "alternateTargetGroupArn must be provided"),
        ({"productionListenerRule": ""}, {}, "productionListenerRule must be provided"),
        ({"roleArn": ""}, {}, "roleArn must be provided"),
        ({"roleArn": "arn:aws:iam::123456789012:role/nobody"}, {}, "unable to assume"),
        ({"productionListenerRule": "arn:nothing"}, {}, "Unable to find listener rule"),
        ({}, {"bakeTimeInMinutes": None}, "bakeTimeInMinutes must be provided"),
        ({}, {"bakeTimeInMinutes": 1441}, "between 0 and 1440"),
        ({}, {"strategy": "CANARY"}, "knows the strategies"),
        ({}, {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}, "circuit breaker can only be used"),
        ({}, {"alarms": {"alarmNames": ["none"], "enable": True, "rollback": True}}, "alarms do not exist: none"),
    ],
)
def test_what_is_refused(pair: Pair, advanced: dict[str, Any], configuration: dict[str, Any], message: str) -> None:
    given = {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1, **configuration}
    with pytest.raises(ClientError, match=message):
        pair.create(
            loadBalancers=pair.balancers(**advanced),
            deploymentConfiguration={key: value for key, value in given.items() if value is not None},
        )


def test_a_rule_that_does_not_lead_to_both(pair: Pair) -> None:
    pair.rule = pair.make_rule(2, {pair.blue: 1})
    with pytest.raises(ClientError, match="must forward to both"):
        pair.create(**pair.blue_green())
    pair.client("elbv2").modify_rule(
        RuleArn=pair.rule, Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}]
    )
    with pytest.raises(ClientError, match="forward actions alone"):
        pair.create(**pair.blue_green())
    assert not list(ecs.tasks())
