"""The benchmark's own parts: what it finds on a machine, how it counts, what it prints."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

from bench import hosts, programs, realistic, report, runner
from bench.census import census, differences, items
from bench.emulator import ROOT, Calls, Emulator, Image
from lab.times import TIMES


def test_terraform_is_skipped_with_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TF_CLI_CONFIG_FILE", raising=False)
    monkeypatch.setattr(programs.shutil, "which", lambda name: None)
    assert programs.terraform_missing(None) == ("there is no terraform in PATH", None)
    monkeypatch.setattr(programs.shutil, "which", lambda name: f"/usr/bin/{name}")
    reason, folder = programs.terraform_missing(tmp_path)
    assert "--plugin-dir" in reason
    assert str(tmp_path) in reason
    assert folder is None


def test_the_provider_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs.shutil, "which", lambda name: f"/usr/bin/{name}")
    (tmp_path / "mirror" / programs.PROVIDER).mkdir(parents=True)
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(tmp_path / "missing.rc"))
    monkeypatch.setattr(programs, "PROVIDER_FOLDERS", (tmp_path / "none", tmp_path / "mirror"))
    assert programs.terraform_missing(None) == ("", tmp_path / "mirror")
    # The caller's own configuration counts when it is there, and a named folder counts most.
    (tmp_path / "missing.rc").touch()
    assert programs.terraform_missing(None) == ("", None)
    assert programs.terraform_missing(tmp_path / "mirror") == ("", tmp_path / "mirror")


def measurement(wall: float, reads: int) -> dict[str, Any]:
    """One measurement as the runner keeps it."""
    return {"wall": wall, "cpu": wall / 2, "calls": {"reads": reads, "writes": 1, "actions": []}}


def test_the_table_has_medians_and_ratios(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ours = {step: [measurement(wall, 10) for wall in (1.0, 9.0, 2.0)] for step in runner.STEPS}
    theirs = {step: [measurement(wall, 20) for wall in (4.0, 4.0, 5.0)] for step in runner.STEPS}
    found = {
        "measured": {"ansible": ours, "terraform": theirs},
        "census": {"a": 2, "b": 1},
        "differences": {"b": (1, 2)},
    }
    summary = report.summary({"basic": found}, 3)
    text = report.table(summary)
    assert "| basic | no-op (`plan`) | 2.0 | 4.0 | 0.50 | 1.0 | 2.0 | 0.50 | 10 + 1 | 20 + 1 |" in text
    assert "basic: 3 resources counted; Terraform's are b 1 to 2." in text
    readme = tmp_path / "README.md"
    others = "<!-- hosts: begin -->\nold\n<!-- hosts: end -->"
    begin, end = "<!-- figures: begin -->", "<!-- figures: end -->"
    readme.write_text(f"before\n{begin}\nold\n{end}\nafter\n{others}\n")
    monkeypatch.setattr(report, "README", readme)
    report.write("figures", text)
    assert readme.read_text() == f"before\n{begin}\n{text}\n{end}\nafter\n{others}\n"


def test_without_terraform_its_columns_are_empty() -> None:
    ours = {step: [measurement(1.0, 10)] for step in runner.STEPS}
    found = {"measured": {"ansible": ours}, "census": {}, "differences": {}}
    text = report.table(report.summary({"minimal": found}, 1))
    assert "| minimal | plan (`plan`) | 1.0 |  |  | 0.5 |  |  | 10 + 1 |  |" in text


def test_what_grows_with_the_hosts_is_told_from_what_does_not() -> None:
    found = [
        hosts.Deployment(size, wall=10 + size, cpu=20 + size / 2 + noise, hosts_cpu=0, actions={"A": 90}, writes=1)
        for size in (2, 10)
        for noise in (0, 0, 9)
    ]
    assert hosts.table(found).splitlines()[2:] == [
        "| 2 | 12.0 | 6.00 |  | 21.0 | 10.50 |  | 90 | 45.0 |  |",
        "| 10 | 20.0 | 2.00 | 1.00 | 25.0 | 2.50 | 0.50 | 90 | 9.0 | 0.00 |",
    ]


def test_differences_are_listed_both_ways() -> None:
    assert differences(Counter(a=1, b=2), Counter(b=3, c=1)) == {"a": (1, 0), "b": (2, 3), "c": (0, 1)}


def furnish(emulator: Emulator) -> None:
    """Make one of many kinds, and more log groups than a page has."""
    for name in ("a", "b"):
        emulator.client("sqs").create_queue(QueueName=name)
    logs = emulator.client("logs")
    for number in range(60):
        logs.create_log_group(logGroupName=f"group-{number}")
    emulator.client("cloudfront").create_function(
        Name="a", FunctionConfig={"Comment": "", "Runtime": "cloudfront-js-2.0"}, FunctionCode=b"function handler() {}"
    )
    for scope in ("REGIONAL", "CLOUDFRONT"):
        seen = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "a"}
        emulator.client("wafv2").create_web_acl(
            Name="a", Scope=scope, DefaultAction={"Allow": {}}, VisibilityConfig=seen
        )
    ec2 = emulator.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    gateway = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)["NatGateway"]["NatGatewayId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=gateway)
    emulator.client("elasticache").create_cache_subnet_group(
        CacheSubnetGroupName="a", CacheSubnetGroupDescription="a", SubnetIds=[subnet]
    )
    emulator.client("rds").create_db_parameter_group(
        DBParameterGroupName="a", DBParameterGroupFamily="postgres17", Description="a"
    )
    emulator.client("budgets").create_budget(
        AccountId=emulator.client("sts").get_caller_identity()["Account"],
        Budget={
            "BudgetName": "a",
            "TimeUnit": "MONTHLY",
            "BudgetType": "COST",
            "BudgetLimit": {"Amount": "1", "Unit": "USD"},
        },
    )
    emulator.client("cloudwatch").put_dashboard(DashboardName="a", DashboardBody='{"widgets": []}')


def furnish_serverless(emulator: Emulator) -> None:
    """Make one of each kind that is in the tier serverless only."""
    dynamodb = emulator.client("dynamodb")
    key = [{"AttributeName": "pk", "KeyType": "HASH"}]
    dynamodb.create_table(
        TableName="a",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=key,
        GlobalSecondaryIndexes=[{"IndexName": "by-key", "KeySchema": key, "Projection": {"ProjectionType": "ALL"}}],
    )
    dynamodb.update_time_to_live(TableName="a", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"})
    dynamodb.update_continuous_backups(
        TableName="a", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = emulator.client("iam").create_role(RoleName="a", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.mjs", "")
    functions = emulator.client("lambda")
    for name in ("a", "b"):
        functions.create_function(
            FunctionName=name, Role=role, Runtime="nodejs24.x", Handler="a.b", Code={"ZipFile": code.getvalue()}
        )
        version = functions.publish_version(FunctionName=name)["Version"]
        functions.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    functions.add_permission(
        FunctionName="a",
        Qualifier="live",
        StatementId="a",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
    )
    gateway = emulator.client("apigatewayv2")
    api = gateway.create_api(Name="a", ProtocolType="HTTP")["ApiId"]
    gateway.create_integration(ApiId=api, IntegrationType="AWS_PROXY", PayloadFormatVersion="2.0")
    gateway.create_route(ApiId=api, RouteKey="$default")
    gateway.create_stage(ApiId=api, StageName="$default")
    events = emulator.client("events")
    events.put_rule(Name="a", ScheduleExpression="rate(1 minute)")
    events.put_targets(
        Rule="a", Targets=[{"Id": "function", "Arn": "arn:aws:lambda:us-east-1:123456789012:function:a"}]
    )


def furnish_microservices(emulator: Emulator) -> None:
    """Make one of each kind that is in the tier microservices only, and a second repository without a policy."""
    ec2 = emulator.client("ec2")
    subnets = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"][:2]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=subnets[0]["VpcId"])
    elbv2 = emulator.client("elbv2")
    balancer = elbv2.create_load_balancer(Name="a", Subnets=[each["SubnetId"] for each in subnets])["LoadBalancers"][0]
    answer = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
    listener = elbv2.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=answer
    )["Listeners"][0]["ListenerArn"]
    paths = [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a"]}}]
    elbv2.create_rule(ListenerArn=listener, Priority=1, Conditions=paths, Actions=answer)
    ecr = emulator.client("ecr")
    for name in ("a/b", "a/c"):
        ecr.create_repository(repositoryName=name)
    policy = {"rulePriority": 1, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}}
    text = json.dumps({"rules": [{**policy, "action": {"type": "expire"}}]})
    ecr.put_lifecycle_policy(repositoryName="a/b", lifecyclePolicyText=text)
    names = emulator.client("servicediscovery")
    operation = names.create_private_dns_namespace(Name="a.internal", Vpc=subnets[0]["VpcId"])["OperationId"]
    namespace = names.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
    records = [{"Type": "A", "TTL": 10}]
    names.create_service(Name="a", NamespaceId=namespace, DnsConfig={"DnsRecords": records})
    ecs = emulator.client("ecs")
    for name in ("a", "deleted"):
        ecs.create_cluster(clusterName=name)
    ecs.delete_cluster(cluster="deleted")
    ecs.register_task_definition(
        family="a",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        executionRoleArn="arn:aws:iam::123456789012:role/a",
        containerDefinitions=[{"name": "a", "image": "a"}],
    )
    network = {"awsvpcConfiguration": {"subnets": [subnets[0]["SubnetId"]]}}
    ecs.create_service(
        cluster="a",
        serviceName="a",
        taskDefinition="a",
        desiredCount=0,
        launchType="FARGATE",
        networkConfiguration=network,
    )
    scaling = emulator.client("application-autoscaling")
    scaled = {"ServiceNamespace": "ecs", "ResourceId": "service/a/a", "ScalableDimension": "ecs:service:DesiredCount"}
    scaling.register_scalable_target(**scaled, MinCapacity=0, MaxCapacity=1)
    scaling.put_scaling_policy(
        **scaled,
        PolicyName="cpu",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 60.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
        },
    )


def test_an_emulator_is_measured_and_counted(tmp_path: Path) -> None:
    image = Image("trial-0123456789ab", {"vahana:image": "0123456789ab"})
    with Emulator() as emulator:
        assert emulator.image() is None
        emulator.put_image(image)
        assert emulator.image() == image
        assert census(emulator) == {"ec2 image": 1}
        program = "import boto3; boto3.client('sns').create_topic(Name='trial')"
        measured = programs.measure([sys.executable, "-c", program], emulator, tmp_path, {})
        assert (measured.calls.reads, measured.calls.writes) == (0, 1)
        assert measured.cpu > 0
        assert census(emulator) == {"ec2 image": 1, "sns topic": 1}
        furnish(emulator)
        assert census(emulator) == {
            "ec2 image": 1,
            "sns topic": 1,
            "sqs queue": 2,
            "logs group": 60,
            "cloudfront function": 1,
            "wafv2 web acl regional": 1,
            "wafv2 web acl cloudfront": 1,
            "elasticache subnet group": 1,
            "ec2 vpc": 1,
            "ec2 subnet": 1,
            "ec2 elastic ip": 1,
            "ec2 nat gateway": 1,
            "ec2 route table": 1,
            "ec2 route by NAT": 1,
            # That of the default security group.
            "ec2 security group rule": 1,
            "rds parameter group": 1,
            "budgets budget": 1,
            "cloudwatch dashboard": 1,
        }
        before = census(emulator)
        furnish_serverless(emulator)
        assert census(emulator) - before == {
            "dynamodb table": 1,
            "dynamodb index": 1,
            "dynamodb time to live": 1,
            "dynamodb point-in-time recovery": 1,
            "iam role": 1,
            "lambda function": 2,
            "lambda version": 2,
            "lambda alias": 2,
            "lambda permission": 1,
            "apigatewayv2 api": 1,
            "apigatewayv2 integration": 1,
            "apigatewayv2 route": 1,
            "apigatewayv2 stage": 1,
            "events rule": 1,
            "events target": 1,
        }
        before = census(emulator)
        furnish_microservices(emulator)
        assert census(emulator) - before == {
            "elbv2 load balancer": 1,
            "elbv2 listener": 1,
            "elbv2 rule": 1,
            "ecr repository": 2,
            "ecr lifecycle policy": 1,
            "servicediscovery namespace": 1,
            "servicediscovery service": 1,
            # That of the namespace.
            "route53 zone": 1,
            "ecs cluster": 1,
            "ecs task definition": 1,
            "ecs service": 1,
            "applicationautoscaling target": 1,
            "applicationautoscaling policy": 1,
        }
        with pytest.raises(programs.ProgramError, match="exit code 3"):
            programs.measure([sys.executable, "-c", "raise SystemExit(3)"], emulator, tmp_path, {})


def test_the_longest_chain_of_waits() -> None:
    assert realistic.longest_chain(realistic.WAITS["basic"]) == [
        ("database", TIMES["database create"].seconds),
        ("instances", TIMES["instance start"].seconds),
        ("instances' boot", TIMES["instance boot"].seconds),
        ("targets", TIMES["target healthy"].seconds),
    ]
    assert [name for name, _ in realistic.longest_chain(realistic.WAITS["full"])] == ["database", "read replica"]
    found = realistic.longest_chain(realistic.WAITS["microservices"])
    assert [name for name, _ in found] == ["database", "tasks", "targets"]
    waits = {
        "a": realistic.Wait("instance boot"),
        "b": realistic.Wait("instance start"),
        "c": realistic.Wait("instance stop", ("a", "b")),
    }
    assert [name for name, _ in realistic.longest_chain(waits)] == ["a", "c"]


def test_every_tier_has_what_it_is_compared_with() -> None:
    assert set(realistic.WAITS) == set(runner.TIERS)
    assert {path.parent.name for path in (ROOT / "bench/terraform").glob("*/main.tf")} == set(runner.TIERS)
    for waits in realistic.WAITS.values():
        for wait in waits.values():
            assert wait.time in TIMES
            assert waits.keys() >= set(wait.after)


class Pages:
    """A client that has no paginator and gives one thing at a time."""

    def can_paginate(self, operation: str) -> bool:
        """Say no."""
        return False

    def list_functions(self, Marker: str = "0") -> dict[str, Any]:  # noqa: N803 - botocore's name of the argument
        """Return one of three pages; the last has no items."""
        number = int(Marker)
        if number == 2:
            return {"FunctionList": {"Quantity": 0}}
        return {"FunctionList": {"Items": [number], "NextMarker": str(number + 1)}}


def test_all_pages_are_counted() -> None:
    assert list(items(Pages(), "list_functions", "FunctionList.Items")) == [0, 1]


def test_functions_are_packed_with_their_sources_alone(tmp_path: Path) -> None:
    programs.pack(ROOT / "examples/worker", tmp_path / "worker.zip")
    names = zipfile.ZipFile(tmp_path / "worker.zip").namelist()
    assert {"package.json", "src/email.js", "src/notifications.js", "src/analytics.js"} <= set(names)
    assert all(name == "package.json" or name.startswith("src/") for name in names)


def test_a_stack_finds_its_modules(tmp_path: Path) -> None:
    found = {}
    for tier in runner.TIERS:
        work = tmp_path / tier
        work.mkdir()
        programs.Terraform(tier, work, tmp_path, {})
        stack = work / f"terraform-{tier}"
        texts = [path.read_text() for path in stack.glob("*.tf")]
        found[tier] = [source for text in texts for source in re.findall(r'source +=\s*"(\.[^"]+)"', text)]
        assert all((stack / source / "main.tf").is_file() for source in found[tier])
    assert all(found[tier] for tier in ("full", "serverless", "microservices"))


def test_a_stack_is_told_what_it_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, str] = {}

    def note(command: list[str], emulator: Emulator, cwd: Path, environment: dict[str, str]) -> None:
        told.update(environment)

    monkeypatch.setattr(programs, "measure", note)
    variables = {"public_key": "ssh-ed25519 a", "release_folder": "/dist/1.0.0", "service_versions": '{"a": "1"}'}
    for tier in runner.TIERS:
        work = tmp_path / tier
        work.mkdir()
        terraform = programs.Terraform(tier, work, tmp_path, variables)
        told.clear()
        terraform.plan(cast(Emulator, None))
        text = (ROOT / "bench/terraform" / tier / "variables.tf").read_text()
        # Each is a block; those with a default need nobody to say them.
        blocks = [block for block in text.split("variable ") if block and "default" not in block]
        asked = {"TF_VAR_" + block.partition('"')[2].partition('"')[0] for block in blocks}
        assert asked <= told.keys()
    assert told["TF_VAR_service_versions"] == '{"a": "1"}'


def test_a_realistic_result_says_what_it_could_not_be_faster_than(tmp_path: Path) -> None:
    measured = programs.Measurement(wall=8.0, cpu=1.0, calls=Calls(1, 1, []))
    result = realistic.Result("basic", 0.1, [("database", 60.0), ("instances", 20.0)], measured)
    assert result.ratio == pytest.approx(1.0)
    assert str(result) == (
        "basic, AWS's times by 0.1: 8 s, 1.00 of the longest chain of waits\n  database 6 → instances 2 = 8 s"
    )


@pytest.mark.skipif(shutil.which("terraform") is None, reason="there is no terraform in PATH")
def test_the_stacks_are_formatted() -> None:
    command = ["terraform", "fmt", "-check", "-diff", "-recursive", str(ROOT / "bench/terraform")]
    assert subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout == ""
