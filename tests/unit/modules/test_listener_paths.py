"""Rules that lead paths to pairs of target groups, whose weights are the business of ECS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from lab import moto_patches
from plugins.module_utils.planning import KNOWN_AFTER_APPLY
from plugins.modules import listener_paths

Run = Callable[..., dict[str, Any]]


def elb() -> Any:
    return boto3.client("elbv2", region_name="us-east-1")


class Balancer:
    """A load balancer with a listener that leads nowhere, and target groups by their names."""

    def __init__(self) -> None:
        ec2 = boto3.client("ec2", region_name="us-east-1")
        vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"][
                "SubnetId"
            ]
            for n, zone in ((1, "a"), (2, "b"))
        ]
        self.arn = elb().create_load_balancer(Name="cars", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
        self.listener = self.listen(80)
        self.groups = {
            name: elb().create_target_group(Name=name, Protocol="HTTP", Port=3000, VpcId=vpc, TargetType="ip")[
                "TargetGroups"
            ][0]["TargetGroupArn"]
            for name in ("auth", "auth-2", "cars", "cars-2")
        }

    def listen(self, port: int) -> str:
        nothing = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
        made = elb().create_listener(LoadBalancerArn=self.arn, Protocol="HTTP", Port=port, DefaultActions=nothing)
        return str(made["Listeners"][0]["ListenerArn"])

    def rules(self, listener: str = "") -> dict[str, dict[str, Any]]:
        """The rules by their priorities."""
        found = elb().describe_rules(ListenerArn=listener or self.listener)["Rules"]
        return {rule["Priority"]: rule for rule in found if not rule["IsDefault"]}

    def shares(self, priority: str, listener: str = "") -> dict[str, int]:
        """The weights of a rule by the names of the groups."""
        names = {arn: name for name, arn in self.groups.items()}
        (action,) = self.rules(listener)[priority]["Actions"]
        return {names[each["TargetGroupArn"]]: each["Weight"] for each in action["ForwardConfig"]["TargetGroups"]}

    def shift(self, priority: str, shares: dict[str, int]) -> None:
        """Do what ECS does."""
        groups = [{"TargetGroupArn": self.groups[name], "Weight": weight} for name, weight in shares.items()]
        actions = [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]
        elb().modify_rule(RuleArn=self.rules()[priority]["RuleArn"], Actions=actions)


@pytest.fixture
def balancer() -> Balancer:
    moto_patches.apply_all()
    return Balancer()


@pytest.fixture
def lead(run_module: Run, balancer: Balancer) -> Run:
    def run(*names: str, **options: Any) -> dict[str, Any]:
        """Run the module with rules for services."""
        wanted = [
            {
                "name": name,
                "priority": 101 + number,
                "paths": [f"/api/{name}", f"/api/{name}/*"],
                "target_group_arns": [balancer.groups[name], balancer.groups[f"{name}-2"]],
            }
            for number, name in enumerate(names)
        ]
        defaults = {"load_balancer_arn": balancer.arn, "port": 80, "rules": wanted}
        return run_module(listener_paths, **{**defaults, **options})

    return run


def test_makes_rules_once(lead: Run, balancer: Balancer) -> None:
    planned = lead("auth", "cars", check=True)
    assert planned["changed"] and not balancer.rules() and planned["rule_arns"] == {}
    made = lead("auth", "cars")
    assert made["diff"] == planned["diff"]
    assert (balancer.shares("101"), balancer.shares("102")) == ({"auth": 100, "auth-2": 0}, {"cars": 100, "cars-2": 0})
    assert made["rule_arns"] == {
        name: balancer.rules()[priority]["RuleArn"] for name, priority in (("auth", "101"), ("cars", "102"))
    }
    for check in (True, False):
        again = lead("auth", "cars", check=check)
        assert not again["changed"] and again["rule_arns"] == made["rule_arns"], again["diff"]


@pytest.mark.parametrize("shares", [{"cars-2": 100, "cars": 0}, {"cars": 1, "cars-2": 99}])
def test_weights_stay_as_they_are(lead: Run, balancer: Balancer, shares: dict[str, int]) -> None:
    lead("cars")
    balancer.shift("101", shares)
    assert not lead("cars")["changed"] and balancer.shares("101") == shares
    elb().modify_rule(
        RuleArn=balancer.rules()["101"]["RuleArn"], Conditions=[{"Field": "path-pattern", "Values": ["/old"]}]
    )
    mended = lead("cars")
    assert mended["diff"]["after"]["cars"] == {"paths": ["/api/cars", "/api/cars/*"]}
    assert balancer.shares("101") == shares and not lead("cars")["changed"]


def test_a_rule_for_one_group_gets_the_other_without_requests(lead: Run, balancer: Balancer) -> None:
    made = elb().create_rule(
        ListenerArn=balancer.listener,
        Priority=101,
        Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/api/cars", "/api/cars/*"]}}],
        Actions=[{"Type": "forward", "TargetGroupArn": balancer.groups["cars-2"]}],
    )
    changed = lead("cars")
    assert changed["rule_arns"] == {"cars": made["Rules"][0]["RuleArn"]}, "the same one"
    assert balancer.shares("101") == {"cars": 0, "cars-2": 100}


def test_a_rule_moves_with_its_groups(lead: Run, balancer: Balancer) -> None:
    before = lead("cars")["rule_arns"]
    balancer.shift("101", {"cars": 0, "cars-2": 100})
    planned = lead("auth", "cars", check=True)
    assert planned["diff"]["after"]["cars"] == {"priority": 102}
    after = lead("auth", "cars")
    assert after["rule_arns"]["cars"] == before["cars"] and after["diff"] == planned["diff"]
    assert balancer.shares("102") == {"cars": 0, "cars-2": 100} and balancer.shares("101")["auth"] == 100


def test_deletes_what_is_not_listed_but_not_maintenance(lead: Run, balancer: Balancer) -> None:
    lead("auth", "cars")
    elb().create_rule(
        ListenerArn=balancer.listener,
        Priority=2,
        Conditions=[{"Field": "path-pattern", "Values": ["*"]}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}],
    )
    gone = lead("auth")
    assert list(gone["diff"]["before"]) == ["rule 102"] and sorted(balancer.rules()) == ["101", "2"]


def test_a_rule_of_another_listener_begins_where_the_requests_are(lead: Run, balancer: Balancer) -> None:
    lead("cars")
    balancer.shift("101", {"cars": 0, "cars-2": 100})
    other = balancer.listen(8443)
    lead("cars", port=8443)
    assert balancer.shares("101", other) == {"cars": 0, "cars-2": 100}


def test_what_is_not_there_yet(lead: Run) -> None:
    planned = lead("cars", load_balancer_arn=KNOWN_AFTER_APPLY, check=True)
    assert planned["changed"] and list(planned["diff"]["after"]) == ["cars"]
    assert lead("cars", port=443, check=True)["changed"]
    refused = lead("cars", port=443)
    assert refused["failed"] and "no listener on port 443" in refused["msg"]
