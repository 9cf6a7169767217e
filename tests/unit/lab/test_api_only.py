"""The API without a machine: everything is there at once or after its time, and calls are counted."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from lab import operations, settings, times
from lab.moto_patches import ec2
from lab.reconcilers.stand_ins import StandIns

Client = Callable[[str], Any]


@pytest.fixture
def stand_ins(account: None) -> Iterator[StandIns]:
    """What `lab serve --api-only` runs; the test says when."""
    made = StandIns()
    yield made
    made.close()
    times.follow(0)


def subnets_of(client: Client) -> tuple[str, list[str]]:
    """Make a VPC with an internet gateway and two subnets; return its id and theirs."""
    api = client("ec2")
    vpc = api.create_vpc(CidrBlock="192.0.2.0/24")["Vpc"]["VpcId"]
    gateway = api.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    api.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    subnets = [
        api.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=f"us-east-1{zone}")["Subnet"]["SubnetId"]
        for cidr, zone in (("192.0.2.0/25", "a"), ("192.0.2.128/25", "b"))
    ]
    return vpc, subnets


def start_group(client: Client, vpc: str, subnets: list[str]) -> str:
    """Make a load balancer and a group of two with a launch hook; return the target group's ARN."""
    elbv2, group = client("elbv2"), client("autoscaling")
    balancer = elbv2.create_load_balancer(Name="trial", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    made = elbv2.create_target_group(Name="trial", Protocol="HTTP", Port=3000, VpcId=vpc)
    targets: str = made["TargetGroups"][0]["TargetGroupArn"]
    actions = [{"Type": "forward", "TargetGroupArn": targets}]
    elbv2.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=actions)
    image = client("ssm").get_parameter(Name=ec2.DEBIAN_PARAMETER)["Parameter"]["Value"]
    client("ec2").create_launch_template(
        LaunchTemplateName="trial", LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro"}
    )
    group.create_auto_scaling_group(
        AutoScalingGroupName="trial",
        MinSize=2,
        MaxSize=2,
        LaunchTemplate={"LaunchTemplateName": "trial", "Version": "$Latest"},
        VPCZoneIdentifier=",".join(subnets),
        TargetGroupARNs=[targets],
    )
    group.put_lifecycle_hook(
        AutoScalingGroupName="trial",
        LifecycleHookName="launch",
        LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING",
    )
    return targets


def create_database(client: Client, subnets: list[str]) -> None:
    """Start a database."""
    rds = client("rds")
    rds.create_db_subnet_group(DBSubnetGroupName="trial", DBSubnetGroupDescription="trial", SubnetIds=subnets)
    rds.create_db_instance(
        DBInstanceIdentifier="trial",
        Engine="postgres",
        DBInstanceClass="db.t3.micro",
        AllocatedStorage=20,
        MasterUsername="trial",
        MasterUserPassword="trialtrial",
        DBSubnetGroupName="trial",
    )


def states(client: Client, targets: str) -> dict[str, list[str]]:
    """What the API says of each thing."""
    groups = client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    health = client("elbv2").describe_target_health(TargetGroupArn=targets)["TargetHealthDescriptions"]
    return {
        "group": [each["LifecycleState"] for group in groups for each in group["Instances"]],
        "targets": [each["TargetHealth"]["State"] for each in health],
        "balancer": [each["State"]["Code"] for each in client("elbv2").describe_load_balancers()["LoadBalancers"]],
        "database": [each["DBInstanceStatus"] for each in client("rds").describe_db_instances()["DBInstances"]],
    }


def test_everything_is_there_at_once(stand_ins: StandIns, client: Client) -> None:
    # A range that the real lab refuses: this machine has a route to it.
    vpc, subnets = subnets_of(client)
    targets = start_group(client, vpc, subnets)
    create_database(client, subnets)
    stand_ins.reconcile()
    assert states(client, targets) == {
        "group": ["InService", "InService"],
        "targets": ["healthy", "healthy"],
        "balancer": ["active"],
        "database": ["available"],
    }
    made = client("ec2").describe_instances()["Reservations"][0]["Instances"][0]["InstanceId"]
    image = client("ec2").create_image(InstanceId=made, Name="trial")["ImageId"]
    stand_ins.reconcile()
    assert client("ec2").describe_images(ImageIds=[image])["Images"][0]["State"] == "available"
    assert client("ec2").get_console_output(InstanceId=made)["Output"] == ""


def test_a_load_balancer_keeps_its_subnets_until_it_is_gone(stand_ins: StandIns, client: Client) -> None:
    vpc, subnets = subnets_of(client)
    start_group(client, vpc, subnets)
    stand_ins.reconcile()
    found = client("ec2").describe_network_interfaces(Filters=[{"Name": "description", "Values": ["ELB app/trial/*"]}])
    assert {each["SubnetId"] for each in found["NetworkInterfaces"]} == set(subnets)
    arn = client("elbv2").describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
    client("elbv2").delete_load_balancer(LoadBalancerArn=arn)
    stand_ins.reconcile()
    found = client("ec2").describe_network_interfaces(Filters=[{"Name": "description", "Values": ["ELB app/trial/*"]}])
    assert found["NetworkInterfaces"] == []


def test_a_deleted_database_is_gone_with_its_interface(stand_ins: StandIns, client: Client) -> None:
    _, subnets = subnets_of(client)
    create_database(client, subnets)
    stand_ins.reconcile()
    client("rds").delete_db_instance(DBInstanceIdentifier="trial", FinalDBSnapshotIdentifier="last")
    stand_ins.reconcile()
    assert client("rds").describe_db_instances()["DBInstances"] == []
    assert client("rds").describe_db_snapshots()["DBSnapshots"][0]["Status"] == "available"
    assert client("ec2").describe_network_interfaces()["NetworkInterfaces"] == []


def create_service(client: Client, subnets: list[str], **container: Any) -> None:
    """Make a service of two tasks, with a circuit breaker."""
    ecs = client("ecs")
    ecs.create_cluster(clusterName="trial")
    definition = {
        "family": "web",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
    }
    checked = {"name": "web", "image": "web", "healthCheck": {"command": ["CMD", "true"]}}
    ecs.register_task_definition(**definition, containerDefinitions=[{**checked, **container}])
    ecs.create_service(
        cluster="trial",
        serviceName="web",
        taskDefinition="web",
        desiredCount=2,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": subnets}},
        deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
    )


def deployments(client: Client) -> list[tuple[str, int]]:
    """Rollout and running tasks of each deployment."""
    (service,) = client("ecs").describe_services(cluster="trial", services=["web"])["services"]
    return [(each["rolloutState"], each["runningCount"]) for each in service["deployments"]]


def test_tasks_run_at_once(stand_ins: StandIns, client: Client) -> None:
    _, subnets = subnets_of(client)
    create_service(client, subnets)
    stand_ins.reconcile()
    assert deployments(client) == [("COMPLETED", 2)]
    client("ecs").delete_service(cluster="trial", service="web", force=True)
    stand_ins.reconcile()
    assert client("ecs").list_services(cluster="trial")["serviceArns"] == []
    assert client("ec2").describe_network_interfaces()["NetworkInterfaces"] == []


def test_a_task_with_the_label_ends_as_it_begins(
    stand_ins: StandIns, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [time.time()]
    monkeypatch.setattr(time, "time", lambda: now[0])
    _, subnets = subnets_of(client)
    create_service(client, subnets, dockerLabels={"vahana-lab:launch": "abandon"})
    for _ in range(10):
        stand_ins.reconcile()
        now[0] += 1
    assert deployments(client) == [("FAILED", 0)]


def test_realistic_takes_its_time(stand_ins: StandIns, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(times.time, "monotonic", lambda: now[0])
    times.follow(0.1)
    vpc, subnets = subnets_of(client)
    targets = start_group(client, vpc, subnets)
    create_database(client, subnets)
    seen = []
    for _ in range(60):
        stand_ins.reconcile()
        seen.append(states(client, targets))
        now[0] += 1
    # 15 s from pending to running, 60 s until it has booted, then two health checks: all of it ten times faster.
    assert seen[0] == {
        "group": ["Pending"] * 2,
        "targets": [],
        "balancer": ["provisioning"],
        "database": ["creating"],
    }
    first = {(kind, state): at for at, each in reversed(list(enumerate(seen))) for kind in each for state in each[kind]}
    assert first["group", "Pending:Wait"] == 2
    assert first["group", "InService"] == 8
    assert first["targets", "healthy"] == 10
    assert first["balancer", "active"] == 15
    assert seen[-1]["database"] == ["creating"]
    now[0] += 1
    stand_ins.reconcile()
    assert states(client, targets)["database"] == ["available"]


@pytest.mark.parametrize(
    ("service", "method", "path", "query", "name"),
    [
        ("s3", "PUT", "/bucket", "", "CreateBucket"),
        ("s3", "PUT", "/bucket/", "policy", "PutBucketPolicy"),
        ("s3", "GET", "/bucket", "lifecycle", "GetBucketLifecycleConfiguration"),
        ("s3", "PUT", "/bucket/a/key", "x-id=PutObject", "PutObject"),
        ("s3", "GET", "/bucket", "list-type=2&prefix=", "ListObjectsV2"),
        ("cloudfront", "GET", "/2020-05-31/distribution/E123/config", "", "GetDistributionConfig"),
        ("route53", "GET", "/2013-04-01/hostedzone", "", "ListHostedZones"),
        ("no-such-service", "GET", "/path", "", "GET /path"),
    ],
)
def test_rest_requests_have_names(service: str, method: str, path: str, query: str, name: str) -> None:
    found = operations.name(service, method, path, query)
    # botocore's models of path-style and generic operations have the version in their paths or not, by release.
    assert found.rstrip("0123456789_") == name.rstrip("0123456789_")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """`lab serve --api-only` as a program of its own, on a free port."""
    command = [sys.executable, "-m", "lab.cli", "serve", "--api-only", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("ready: ").strip()
        process.terminate()
        assert process.wait(timeout=120) == 0


def calls(server: str, method: str = "GET") -> dict[str, Any]:
    """What the server counted."""
    request = urllib.request.Request(f"{server}/vahana-lab/calls", method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_calls_are_counted(server: str) -> None:
    assert server.startswith(f"http://{settings.LOOPBACK}:")
    options: dict[str, Any] = {"endpoint_url": server, "config": Config(retries={"max_attempts": 0})}
    boto3.client("ec2", **options).describe_vpcs()
    boto3.client("ec2", **options).describe_vpcs()
    boto3.client("s3", **options).create_bucket(Bucket="trial")
    boto3.client("ssm", **options).put_parameter(Name="trial", Value="1", Type="String")
    counted = calls(server)
    assert {key: counted[key] for key in ("calls", "reads", "writes")} == {"calls": 4, "reads": 2, "writes": 2}
    assert counted["actions"] == [
        {"service": "ec2", "action": "DescribeVpcs", "kind": "read", "count": 2},
        {"service": "s3", "action": "CreateBucket", "kind": "write", "count": 1},
        {"service": "ssm", "action": "PutParameter", "kind": "write", "count": 1},
    ]
    assert calls(server, "DELETE") == counted
    assert calls(server)["calls"] == 0


def test_a_new_password_of_a_database_is_not_in_force_at_once(stand_ins: StandIns, client: Client) -> None:
    _, subnets = subnets_of(client)
    create_database(client, subnets)
    stand_ins.reconcile()
    rds = client("rds")

    def found() -> tuple[str, dict[str, Any]]:
        (each,) = rds.describe_db_instances()["DBInstances"]
        return each["DBInstanceStatus"], each["PendingModifiedValues"]

    assert found() == ("available", {})
    rds.modify_db_instance(DBInstanceIdentifier="trial", MasterUserPassword="anotheranother", ApplyImmediately=True)
    assert found() == ("available", {"MasterUserPassword": "****"})
    stand_ins.reconcile()
    assert found() == ("available", {})
