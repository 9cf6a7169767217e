"""What a plan says would change is exactly what the next run changes, whatever the state it starts from.

Each scenario: bring the account into a state, plan, run, compare task by task, plan again. The plan writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from plugins.module_utils.replacement import description, pinned_user_data
from tests.plan.conftest import Account, Run

NAME = "vahanhelp-prod"
Drift = Callable[[Account], None]


def plan(account: Account, tier: str, *arguments: str) -> Run:
    """Plan, and see that nothing was written."""
    planned = account.play(tier, "--check", "--diff", *arguments)
    assert planned.code == 0, planned.output[-4000:]
    assert planned.writes == []
    return planned


def prove(account: Account, tier: str, *arguments: str) -> Run:
    """Plan, run, compare, and plan again; return the plan."""
    planned = plan(account, tier, *arguments)
    ran = account.play(tier, *arguments)
    assert ran.code == 0, ran.output[-4000:]
    assert {"missing": ran.changed - planned.changed, "invented": planned.changed - ran.changed} == {
        "missing": set(),
        "invented": set(),
    }
    after = plan(account, tier, *arguments)
    assert after.changed == set()
    return planned


@pytest.fixture
def finished(account: Account) -> Callable[[str], None]:
    """Bring the account to a whole tier."""

    def bring(tier: str) -> None:
        if tier in account.saved:
            account.load(tier)
            return
        account.load("empty")
        made = account.play(tier)
        assert made.code == 0, made.output[-4000:]
        account.save(tier)

    return bring


# Drift: somebody else changes what is there --------------------------------------------------------------------------


def _group(account: Account, name: str) -> str:
    filters = [{"Name": "group-name", "Values": [f"{NAME}-{name}"]}]
    found = account.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    return str(found[0]["GroupId"])


def add_security_group_rule(account: Account) -> None:
    """Open SSH to the world by hand."""
    account.client("ec2").authorize_security_group_ingress(
        GroupId=_group(account, "backend"), IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
    )


def raise_group_maximum(account: Account) -> None:
    """Let the group grow."""
    account.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=f"{NAME}-backend", MaxSize=9)


def remove_bucket_policy(account: Account) -> None:
    """Let the bucket of releases be read without TLS."""
    account.client("s3").delete_bucket_policy(Bucket=f"{NAME}-releases-123456789012")


def edit_health_path(account: Account) -> None:
    """Let the load balancer ask for another page."""
    elbv2 = account.client("elbv2")
    arn = elbv2.describe_target_groups(Names=[f"{NAME}-backend"])["TargetGroups"][0]["TargetGroupArn"]
    elbv2.modify_target_group(TargetGroupArn=arn, HealthCheckPath="/")


def lose_subnet_tag(account: Account) -> None:
    """Take a tag from one of the subnets."""
    ec2 = account.client("ec2")
    subnet = ec2.describe_subnets(Filters=[{"Name": "cidr-block", "Values": ["10.0.1.0/24"]}])["Subnets"]
    ours = [each["SubnetId"] for each in subnet if any(tag["Key"] == "vahana:app" for tag in each.get("Tags", []))]
    ec2.delete_tags(Resources=ours, Tags=[{"Key": "vahana:subnet"}])


def edit_launch_template(account: Account) -> None:
    """Let the group start larger instances."""
    account.client("ec2").create_launch_template_version(
        LaunchTemplateName=f"{NAME}-backend", SourceVersion="$Latest", LaunchTemplateData={"InstanceType": "t3.large"}
    )


def _private_route_table(account: Account) -> str:
    filters = [{"Name": "tag:Name", "Values": [f"{NAME}-private-2"]}]
    return str(account.client("ec2").describe_route_tables(Filters=filters)["RouteTables"][0]["RouteTableId"])


def lose_private_route(account: Account) -> None:
    """Take the way out from one of the private subnets."""
    account.client("ec2").delete_route(RouteTableId=_private_route_table(account), DestinationCidrBlock="0.0.0.0/0")


def lose_nat_gateway(account: Account) -> None:
    """Delete the NAT gateway."""
    ec2 = account.client("ec2")
    for gateway in ec2.describe_nat_gateways()["NatGateways"]:
        ec2.delete_nat_gateway(NatGatewayId=gateway["NatGatewayId"])


def lose_endpoint(account: Account) -> None:
    """Delete the gateway endpoint of DynamoDB."""
    ec2 = account.client("ec2")
    for endpoint in ec2.describe_vpc_endpoints()["VpcEndpoints"]:
        if endpoint["ServiceName"].endswith(".dynamodb"):
            ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint["VpcEndpointId"]])


def lose_endpoint_of_subnet(account: Account) -> None:
    """Let a private subnet reach S3 the long way."""
    ec2 = account.client("ec2")
    for endpoint in ec2.describe_vpc_endpoints()["VpcEndpoints"]:
        if endpoint["ServiceName"].endswith(".s3"):
            ec2.modify_vpc_endpoint(
                VpcEndpointId=endpoint["VpcEndpointId"], RemoveRouteTableIds=[_private_route_table(account)]
            )


def lose_flow_log(account: Account) -> None:
    """Delete the flow log."""
    ec2 = account.client("ec2")
    ec2.delete_flow_logs(FlowLogIds=[item["FlowLogId"] for item in ec2.describe_flow_logs()["FlowLogs"]])


def terminate_first(account: Account) -> None:
    """Let the group terminate instances before their successors serve."""
    account.client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName=f"{NAME}-backend",
        InstanceMaintenancePolicy={"MinHealthyPercentage": -1, "MaxHealthyPercentage": -1},
    )


def unprotect_load_balancer(account: Account) -> None:
    """Let the load balancer be deleted by mistake, and write no logs."""
    elbv2 = account.client("elbv2")
    arn = elbv2.describe_load_balancers(Names=[NAME])["LoadBalancers"][0]["LoadBalancerArn"]
    off = ("deletion_protection.enabled", "access_logs.s3.enabled")
    elbv2.modify_load_balancer_attributes(
        LoadBalancerArn=arn, Attributes=[{"Key": key, "Value": "false"} for key in off]
    )


def edit_scaling_policy(account: Account) -> None:
    """Let the group grow late."""
    autoscaling = account.client("autoscaling")
    [policy] = autoscaling.describe_policies(AutoScalingGroupName=f"{NAME}-backend")["ScalingPolicies"]
    autoscaling.put_scaling_policy(
        AutoScalingGroupName=f"{NAME}-backend",
        PolicyName=policy["PolicyName"],
        PolicyType="TargetTrackingScaling",
        EstimatedInstanceWarmup=policy["EstimatedInstanceWarmup"],
        TargetTrackingConfiguration={**policy["TargetTrackingConfiguration"], "TargetValue": 90.0},
    )


DRIFTS: dict[str, list[Drift]] = {
    "basic": [
        add_security_group_rule,
        raise_group_maximum,
        remove_bucket_policy,
        edit_health_path,
        lose_subnet_tag,
        edit_launch_template,
    ],
    "minimal": [add_security_group_rule, remove_bucket_policy, lose_subnet_tag],
    "full": [
        add_security_group_rule,
        lose_subnet_tag,
        lose_private_route,
        lose_nat_gateway,
        lose_endpoint,
        lose_endpoint_of_subnet,
        lose_flow_log,
        edit_scaling_policy,
        terminate_first,
        unprotect_load_balancer,
    ],
}
EDITED: dict[str, dict[str, Any]] = {
    "basic": {
        "database_instance_class": "db.t3.small",
        "compute_max_size": 6,
        "monitoring_database_free_storage": 2147483648,
        "load_balancer_health_check_path": "/",
        "compute_instance_type": "t3.small",
        "storage_noncurrent_days": 30,
    },
    "minimal": {
        "network_public_sources": ["192.0.2.0/24"],
        "monitoring_email": "operators@example.com",
        "storage_noncurrent_days": 30,
    },
    "full": {"network_nat_gateways": "per_zone", "storage_logs_days": 30, "compute_cpu_target": 50},
}


def _edit(names: dict[str, Any]) -> tuple[str, ...]:
    return "-e", json.dumps(names)


@pytest.mark.parametrize(
    "tier", ["basic", *(pytest.param(tier, marks=pytest.mark.long) for tier in ("minimal", "full"))]
)
def test_an_empty_account(account: Account, tier: str) -> None:
    """Nothing is there yet: the plan names every task of the first run."""
    account.load("empty")
    planned = prove(account, tier)
    account.save(tier)
    assert len(planned.changed) > {"minimal": 20, "basic": 30, "full": 40}[tier]


@pytest.mark.parametrize(
    "tier", ["basic", *(pytest.param(tier, marks=pytest.mark.long) for tier in ("minimal", "full"))]
)
def test_everything_drifted(account: Account, finished: Callable[[str], None], tier: str) -> None:
    """Somebody has changed something in each way at once."""
    finished(tier)
    for drift in DRIFTS[tier]:
        drift(account)
    assert len(prove(account, tier).changed) >= len(DRIFTS[tier])


@pytest.mark.long
@pytest.mark.parametrize("tier", ["basic", "minimal", "full"])
def test_edited_variables(account: Account, finished: Callable[[str], None], tier: str) -> None:
    """The operator wants something else."""
    finished(tier)
    assert len(prove(account, tier, *_edit(EDITED[tier])).changed) >= len(EDITED[tier]) - 1


@pytest.mark.long
def test_a_replacement_that_was_interrupted(account: Account, finished: Callable[[str], None]) -> None:
    """A run that was killed has left a pinned version: it goes, and nothing else changes."""
    finished("basic")
    ec2 = account.client("ec2")
    template = {"LaunchTemplateName": f"{NAME}-backend"}
    [last] = ec2.describe_launch_template_versions(**template, Versions=["$Latest"])["LaunchTemplateVersions"]
    number = str(last["VersionNumber"])
    ec2.create_launch_template_version(
        **template,
        SourceVersion=number,
        VersionDescription=description("9.9.9", number),
        LaunchTemplateData={"UserData": pinned_user_data(last["LaunchTemplateData"]["UserData"], "9.9.9")},
    )
    assert {task for _, task, _ in prove(account, "basic").changed} == {
        "Finish | Give the group back the version that it had"
    }
    [left] = ec2.describe_launch_template_versions(**template, Versions=["$Latest"])["LaunchTemplateVersions"]
    assert left == last


@pytest.mark.long
def test_what_a_killed_deployment_took_out_of_service_is_put_back(
    account: Account, finished: Callable[[str], None]
) -> None:
    """A group never registers an instance a second time, so a run that waits for all targets would wait in vain."""
    finished("basic")
    elbv2 = account.client("elbv2")
    arn = elbv2.describe_target_groups(Names=[f"{NAME}-backend"])["TargetGroups"][0]["TargetGroupArn"]
    before = elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    elbv2.deregister_targets(TargetGroupArn=arn, Targets=[before[0]["Target"]])
    prove(account, "basic", *_edit({"compute_max_size": 6}))
    after = elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    assert {item["Target"]["Id"] for item in after} == {item["Target"]["Id"] for item in before}
    assert {item["TargetHealth"]["State"] for item in after} == {"healthy"}


@pytest.mark.long
@pytest.mark.parametrize(("tier", "drift"), [(tier, drift) for tier, drifts in DRIFTS.items() for drift in drifts])
def test_one_drift(account: Account, finished: Callable[[str], None], tier: str, drift: Drift) -> None:
    """Each drift alone is found, and nothing beside it: a NAT gateway has the route tables that lead to it."""
    finished(tier)
    drift(account)
    assert 1 <= len(prove(account, tier).changed) <= (3 if drift is lose_nat_gateway else 2)


@pytest.mark.long
@pytest.mark.parametrize(("tier", "name"), [(tier, name) for tier, names in EDITED.items() for name in names])
def test_one_edited_variable(account: Account, finished: Callable[[str], None], tier: str, name: str) -> None:
    """Each edited variable alone changes what reads it."""
    finished(tier)
    assert prove(account, tier, *_edit({name: EDITED[tier][name]})).changed


@pytest.mark.long
@pytest.mark.parametrize(
    ("tier", "changes"),
    [("minimal", n) for n in range(2, 22, 4)]
    + [("basic", n) for n in range(2, 50, 4)]
    + [("full", n) for n in range(2, 60, 8)],
)
def test_a_run_that_was_killed(account: Account, tier: str, changes: int) -> None:
    """A run ended in the middle: the plan names what is left of it."""
    account.load("empty")
    killed = account.play(tier, stop_after=changes)
    assert len(killed.entries) == changes
    prove(account, tier)
