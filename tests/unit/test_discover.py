"""Discovery: the keys are always all there, ours and foreign are told apart, what is kept is not what is left."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, EndpointConnectionError

from lab.moto_patches import budgets, elasticache
from plugins.module_utils import details
from plugins.module_utils.convergence import differences
from plugins.module_utils.discovery import (
    EMPTY,
    Aws,
    Environment,
    Resource,
    assemble,
    connect,
    discover,
    kind_of,
    observe,
)
from tests.unit.flow import ROOT

PROD = Environment("vahanhelp", "prod", "us-east-1")
pytestmark = pytest.mark.usefixtures("lab_account")
OURS = {**PROD.tags, "vahana:tier": "basic"}


def pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    """Return tags as EC2 and most services want them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def keys(value: Any) -> Any:
    """Return the shape of a stack: its keys at every level that has fixed ones."""
    return {key: keys(inner) for key, inner in value.items()} if isinstance(value, dict) else None


def test_an_empty_account() -> None:
    stack = discover(PROD)
    assert keys(stack) == keys(EMPTY)
    assert stack["account_id"] == "123456789012"
    assert stack["region"] == "us-east-1"
    assert stack["resources"] == []
    assert stack["foreign"] == []


def test_another_region_is_read_with_the_global_services() -> None:
    assert discover(Environment("vahanhelp", "prod", "eu-central-1"))["region"] == "eu-central-1"


def make_network(tags: dict[str, str]) -> str:
    """Make a VPC with two kinds of subnets; return its id."""
    ec2 = boto3.client("ec2")

    def tagged(kind: str, **more: str) -> Any:
        return [{"ResourceType": kind, "Tags": pairs({**tags, "vahana:layer": "network", **more})}]

    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tagged("vpc"))["Vpc"]["VpcId"]
    for number, (purpose, zone) in enumerate(
        (("public", "us-east-1b"), ("public", "us-east-1a"), ("database", "us-east-1a"))
    ):
        ec2.create_subnet(
            VpcId=vpc,
            CidrBlock=f"10.0.{number}.0/24",
            AvailabilityZone=zone,
            TagSpecifications=tagged("subnet", **{"vahana:subnet": purpose}),
        )
    ec2.create_security_group(
        GroupName="vahanhelp-prod-load-balancer",
        Description="x",
        VpcId=vpc,
        TagSpecifications=tagged("security-group"),
    )
    return str(vpc)


def test_the_network_in_zone_order() -> None:
    vpc = make_network(OURS)
    stack = discover(PROD)
    assert stack["network"]["vpc_id"] == vpc
    assert stack["network"]["vpc_cidr"] == "10.0.0.0/16"
    ec2 = boto3.client("ec2")
    public = stack["network"]["public_subnet_ids"]
    zones = {item["SubnetId"]: item["AvailabilityZone"] for item in ec2.describe_subnets(SubnetIds=public)["Subnets"]}
    assert [zones[subnet] for subnet in public] == ["us-east-1a", "us-east-1b"]
    assert len(stack["network"]["database_subnet_ids"]) == 1
    assert list(stack["network"]["security_group_ids"]) == ["load_balancer"]
    assert stack["network"]["availability_zones"] == ["us-east-1a", "us-east-1b"]
    assert {entry["type"] for entry in stack["resources"]} == {"vpc", "subnet", "security-group"}
    assert {entry["layer"] for entry in stack["resources"]} == {"network"}


def asked(tier: str = "") -> tuple[set[str], set[str]]:
    """Return which services a discovery made clients of, and which NAT and bucket calls and the like it made."""
    session = boto3.Session()
    calls: set[str] = set()
    session.events.register("before-call", lambda model, **_others: calls.add(model.name))
    aws = connect(PROD, session, tier)
    observe(aws)
    return set(aws.clients), calls


def test_small_tiers_pay_nothing_for_what_larger_ones_have() -> None:
    make_network(OURS)
    services, calls = asked()
    assert services == {
        *("acm", "autoscaling", "cloudfront", "cloudwatch", "ec2", "elbv2", "iam", "logs", "rds", "route53", "s3"),
        *("secretsmanager", "sns", "ssm", "sts", "tagging"),
    }
    assert (services, calls) == asked("basic") == asked("minimal")
    more = asked("full")[1] - calls
    assert {"DescribeNatGateways", "DescribeDBParameterGroups", "ListWebACLs", "ListDashboards"} <= more
    assert "DescribeReplicationGroups" in more
    assert {"ListQueues", "ListRoles"} <= more


def test_larger_tiers_and_what_is_left_of_them_are_read_whatever_the_run_is_told() -> None:
    make_network({**OURS, "vahana:tier": "full"})
    everything = asked("full")
    assert asked() == everything == asked("basic")
    ec2: Any = boto3.client("ec2")
    made = [item["SubnetId"] for item in ec2.describe_subnets()["Subnets"] if item.get("Tags")]
    vpcs = [item["VpcId"] for item in ec2.describe_vpcs()["Vpcs"] if item.get("Tags")]
    groups = [item["GroupId"] for item in ec2.describe_security_groups()["SecurityGroups"] if item.get("Tags")]
    address = {"ResourceType": "elastic-ip", "Tags": pairs({**OURS, "vahana:layer": "network"})}
    allocation = ec2.allocate_address(Domain="vpc", TagSpecifications=[address])["AllocationId"]
    gateway = ec2.create_nat_gateway(
        SubnetId=made[0],
        AllocationId=allocation,
        TagSpecifications=[{"ResourceType": "natgateway", "Tags": pairs(OURS)}],
    )["NatGateway"]["NatGatewayId"]
    ec2.create_tags(Resources=[*made, *vpcs, *groups], Tags=pairs({"vahana:tier": "basic"}))
    assert "DescribeNatGateways" in asked()[1]
    stack = discover(PROD)
    assert gateway in [entry["id"] for entry in stack["resources"]]
    assert (stack["network"]["nat_gateway_ids"], stack["network"]["nat_allocation_ids"]) == ([gateway], [allocation])
    assert stack["compute"]["elastic_ip"] == "", "it is no instance's"
    ec2.delete_nat_gateway(NatGatewayId=gateway)
    assert gateway not in [entry["id"] for entry in discover(PROD)["resources"]]


def test_queues_and_those_who_work_on_them() -> None:
    clients: dict[str, Any] = {name: boto3.client(name) for name in ("sqs", "iam", "logs", "lambda")}
    sqs, iam, logs, functions = clients.values()
    tags = {**OURS, "vahana:tier": "full"}
    arns = {}
    for name in ("email", "email-dlq"):
        url = sqs.create_queue(QueueName=f"vahanhelp-prod-{name}", Attributes={"VisibilityTimeout": "180"}, tags=tags)
        asked = sqs.get_queue_attributes(QueueUrl=url["QueueUrl"], AttributeNames=["QueueArn"])
        arns[name] = asked["Attributes"]["QueueArn"]
        sqs.send_message(QueueUrl=url["QueueUrl"], MessageBody="x")
    sqs.create_queue(QueueName="vahanhelp-prod-2-email", tags={**tags, "vahana:env": "prod-2"})
    role = iam.create_role(
        Path="/vahanhelp/prod/",
        RoleName="vahanhelp-prod-function-email",
        AssumeRolePolicyDocument="{}",
        Tags=pairs(tags),
    )
    logs.create_log_group(logGroupName="/vahanhelp/prod/functions/email", tags=tags)
    functions.create_function(
        FunctionName="vahanhelp-prod-email",
        Runtime="nodejs24.x",
        Role=role["Role"]["Arn"],
        Handler="src/email.handler",
        Code={"ZipFile": b"x"},
        Tags={**tags, "vahana:layer": "functions"},
    )
    mapping = functions.create_event_source_mapping(
        FunctionName="vahanhelp-prod-email", EventSourceArn=arns["email"], BatchSize=7
    )
    stack = discover(PROD)
    assert stack["queue"] == {
        "urls": {"email": "https://sqs.us-east-1.amazonaws.com/123456789012/vahanhelp-prod-email"},
        "arns": {"email": arns["email"]},
        "dead_letter_arns": {"email": arns["email-dlq"]},
        "messages": {"email": 1, "email-dlq": 1},
    }
    assert stack["functions"] == {
        "names": ["vahanhelp-prod-email"],
        "role_names": ["vahanhelp-prod-function-email"],
        "log_groups": ["/vahanhelp/prod/functions/email"],
    }
    # The role of the instances is another one.
    assert stack["identity"]["instance_role_name"] == ""
    kinds = {f"{entry['service']}:{entry['type']}" for entry in stack["resources"]}
    assert kinds == {"sqs:queue", "iam:role", "logs:log-group", "lambda:function"}

    def recorded() -> Any:
        return observe(connect(PROD)).documents

    before = recorded()
    (function,) = (document for document in before.values() if document["kind"] == "lambda:function")
    assert function["fields"]["EventSourceMappings"][0]["BatchSize"] == 7
    sqs.purge_queue(QueueUrl=stack["queue"]["urls"]["email"])
    assert recorded() == before
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    assert recorded() != before


def test_two_target_groups_of_a_service() -> None:
    """Which of them has the requests is the business of ECS, so that it is no drift when that changes."""
    elb, tags = boto3.client("elbv2"), pairs({**OURS, "vahana:tier": "microservices"})
    vpc = make_network({**OURS, "vahana:tier": "microservices"})
    boto3.client("ecs").create_cluster(
        clusterName="vahanhelp-prod", tags=[{"key": k, "value": v} for k, v in OURS.items()]
    )
    first, second, other = (
        elb.create_target_group(
            Name=f"vahanhelp-prod-{name}", Tags=[*tags, *more], Protocol="HTTP", Port=3000, VpcId=vpc, TargetType="ip"
        )["TargetGroups"][0]["TargetGroupArn"]
        for name, more in (("auth", []), ("auth-2", pairs({"vahana:alternate": "auth"})), ("cars", []))
    )
    found = boto3.client("ec2").describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    zones = {each["AvailabilityZone"]: each["SubnetId"] for each in found}
    balancer = elb.create_load_balancer(
        Name="vahanhelp-prod", Subnets=list(zones.values()), Scheme="internal", Tags=tags
    )["LoadBalancers"][0]["LoadBalancerArn"]
    nothing = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
    listener = elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=nothing)

    def lead(shares: dict[str, int]) -> list[dict[str, Any]]:
        groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in shares.items()]
        return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]

    rule = elb.create_rule(
        ListenerArn=listener["Listeners"][0]["ListenerArn"],
        Priority=101,
        Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/api/auth/*"]}}],
        Actions=lead({first: 100, second: 0}),
    )["Rules"][0]["RuleArn"]
    balanced = discover(PROD)["load_balancer"]
    assert balanced["path_group_arns"] == {"auth": first, "cars": other}
    assert (balanced["alternate_group_arns"], balanced["rule_arns"]) == ({"auth": second}, {"auth": rule})
    before = observe(connect(PROD)).documents
    elb.modify_rule(RuleArn=rule, Actions=lead({second: 100, first: 0}))
    assert observe(connect(PROD)).documents == before
    elb.modify_rule(RuleArn=rule, Actions=lead({second: 100, other: 0}))
    assert observe(connect(PROD)).documents != before


def test_services_that_run_as_containers() -> None:
    clients: dict[str, Any] = {name: boto3.client(name) for name in ("ecs", "ecr", "servicediscovery", "elbv2")}
    ecs, ecr, cloud_map, elbv2 = clients.values()
    vpc = make_network({**OURS, "vahana:tier": "microservices"})
    tags = [{"key": key, "value": value} for key, value in OURS.items()]
    ecs.create_cluster(clusterName="vahanhelp-prod", tags=tags)
    told = {"environment": [{"name": "APP_VERSION", "value": "1.0.0-abc"}]}
    for version in ("1.0.0-abc", "1.1.0-def"):
        told["environment"][0]["value"] = version
        container = {"name": "auth", "image": "x", "memory": 128, **told}
        definition = {"family": "vahanhelp-prod-auth", "containerDefinitions": [container], "tags": tags}
        fargate: dict[str, Any] = {
            "requiresCompatibilities": ["FARGATE"],
            "networkMode": "awsvpc",
            "cpu": "256",
            "memory": "512",
        }
        fargate["executionRoleArn"] = "arn:aws:iam::123456789012:role/vahanhelp-prod-execution"
        ecs.register_task_definition(**definition, **fargate)
    # Its last deployment was rolled back: the newest revision is not in service.
    service = {"serviceName": "auth", "taskDefinition": "vahanhelp-prod-auth:1", "desiredCount": 2, "tags": tags}
    subnet = boto3.client("ec2").create_subnet(VpcId=vpc, CidrBlock="10.0.3.0/24")["Subnet"]["SubnetId"]
    network = {"awsvpcConfiguration": {"subnets": [subnet]}}
    ecs.create_service(cluster="vahanhelp-prod", **service, launchType="FARGATE", networkConfiguration=network)
    ecr.create_repository(repositoryName="vahanhelp-prod/auth", tags=pairs(OURS))
    cloud_map.create_private_dns_namespace(Name="vahanhelp-prod.internal", Vpc=vpc, Tags=pairs(OURS))
    group = {"Protocol": "HTTP", "Port": 3000, "VpcId": vpc, "TargetType": "ip"}
    arn = elbv2.create_target_group(Name="vahanhelp-prod-auth", Tags=pairs(OURS), **group)["TargetGroups"][0]
    elbv2.create_target_group(Name="vahanhelp-prod-2-auth", Tags=pairs({**OURS, "vahana:env": "prod-2"}), **group)
    stack = discover(PROD)
    (found,) = stack["containers"]["services"]
    assert {key: found[key] for key in ("name", "version", "desired", "cpu", "memory")} == {
        "name": "auth",
        "version": "1.0.0-abc",
        "desired": 2,
        "cpu": "256",
        "memory": "512",
    }
    assert (stack["containers"]["cluster"], stack["containers"]["versions"]) == (
        "vahanhelp-prod",
        {"auth": "1.0.0-abc"},
    )
    assert stack["load_balancer"]["path_group_arns"] == {"auth": arn["TargetGroupArn"]}
    assert stack["load_balancer"]["target_group_arn"] == ""
    kinds = [f"{entry['service']}:{entry['type']}" for entry in stack["resources"] if entry["service"] != "ec2"]
    assert sorted(kinds) == [
        *("ecr:repository", "ecs:cluster", "ecs:service", "ecs:task-definition", "ecs:task-definition"),
        *("elasticloadbalancing:targetgroup", "servicediscovery:namespace"),
    ]
    before = observe(connect(PROD)).documents
    scaled = {"ServiceNamespace": "ecs", "ResourceId": "service/vahanhelp-prod/auth"}
    boto3.client("application-autoscaling").register_scalable_target(
        **scaled, ScalableDimension="ecs:service:DesiredCount", MinCapacity=1, MaxCapacity=2
    )
    assert observe(connect(PROD)).documents != before


def test_tiers_without_containers_do_not_ask_for_them() -> None:
    make_network({**OURS, "vahana:tier": "full"})
    assert {"ecs", "ecr", "servicediscovery"} & asked("full")[0] == set()
    boto3.client("ecr").create_repository(repositoryName="vahanhelp-prod/auth", tags=pairs(OURS))
    assert [entry["id"] for entry in discover(PROD)["resources"] if entry["service"] == "ecr"] == [
        "vahanhelp-prod/auth"
    ]


def test_another_environments_resources_are_not_ours() -> None:
    make_network({**OURS, "vahana:env": "test"})
    assert discover(PROD)["resources"] == []


def test_tier_and_release_come_from_the_parameter_store() -> None:
    ssm = boto3.client("ssm")
    for name, value in (("tier", "basic"), ("release", "1.0.0-abc")):
        ssm.put_parameter(Name=f"/vahanhelp/prod/{name}", Value=value, Type="String", Tags=pairs(OURS))
    stack = discover(PROD)
    assert (stack["tier"], stack["release"]) == ("basic", "1.0.0-abc")
    assert [entry["id"] for entry in stack["resources"]] == ["/vahanhelp/prod/release", "/vahanhelp/prod/tier"]


def test_regions_come_from_the_parameter_store() -> None:
    assert discover(PROD)["regions"] == ["us-east-1"]
    value = "us-east-1, eu-west-1"
    boto3.client("ssm").put_parameter(Name="/vahanhelp/prod/regions", Value=value, Type="String", Tags=pairs(OURS))
    assert discover(PROD)["regions"] == ["us-east-1", "eu-west-1"]


def make_named(environment: Environment) -> None:
    """Make one of each kind that is looked for by the beginning of its name."""
    name, path, tags = environment.name_prefix, environment.parameter_prefix, environment.tags
    tags = {**tags, "vahana:tier": "serverless", "vahana:layer": "api"}
    clients: dict[str, Any] = {
        each: boto3.client(each)
        for each in ("cloudwatch", "iam", "lambda", "logs", "secretsmanager", "sns", "sqs", "ssm")
    }
    alarm = {"MetricName": "x", "Namespace": "x", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0}
    clients["cloudwatch"].put_metric_alarm(
        AlarmName=f"{name}-x",
        **alarm,
        Statistic="Sum",
        ComparisonOperator="GreaterThanThreshold",
        Tags=pairs(tags),
    )
    role = clients["iam"].create_role(
        RoleName=f"{name}-api-api", Path=f"{path}/", AssumeRolePolicyDocument="{}", Tags=pairs(tags)
    )
    clients["lambda"].create_function(
        FunctionName=f"{name}-api",
        Runtime="nodejs24.x",
        Role=role["Role"]["Arn"],
        Handler="api.handler",
        Code={"ZipFile": b"x"},
        Tags=tags,
    )
    clients["logs"].create_log_group(logGroupName=f"{path}/api/api", tags=tags)
    clients["secretsmanager"].create_secret(Name=f"{path}/backend", SecretString="x", Tags=pairs(tags))
    clients["sns"].create_topic(Name=f"{name}-alarms", Tags=pairs(tags))
    clients["sqs"].create_queue(QueueName=f"{name}-email", tags=tags)
    clients["ssm"].put_parameter(Name=f"{path}/api/table", Value="x", Type="String", Tags=pairs(tags))


def test_the_environment_of_another_region_has_names_that_begin_like_ours() -> None:
    other = Environment("vahanhelp", "prod-eu-west-1", "us-east-1")
    make_named(other)
    stack = discover(PROD, tier="serverless")
    assert (stack["resources"], stack["foreign"]) == ([], [])
    theirs = discover(other)
    make_named(PROD)
    ours = discover(PROD)
    assert discover(other) == theirs
    assert ours["foreign"] == theirs["foreign"] == []
    assert len(ours["resources"]) == len(theirs["resources"]) == 8
    assert not {entry["arn"] for entry in ours["resources"]} & {entry["arn"] for entry in theirs["resources"]}
    for stack, environment in ((ours, PROD), (theirs, other)):
        assert stack["api"]["function_names"] == [f"{environment.name_prefix}-api"]
        assert stack["api"]["role_names"] == [f"{environment.name_prefix}-api-api"]
        assert list(stack["queue"]["urls"]) == ["email"]


def test_a_functions_role_is_found_when_the_function_is_gone() -> None:
    # What a destroy that was killed after the network has left: the roles, and the tier last of all.
    tags = {**PROD.tags, "vahana:tier": "serverless"}
    boto3.client("iam").create_role(
        RoleName="vahanhelp-prod-api-api",
        Path="/vahanhelp/prod/",
        AssumeRolePolicyDocument="{}",
        Tags=pairs({**tags, "vahana:layer": "api"}),
    )
    boto3.client("ssm").put_parameter(
        Name="/vahanhelp/prod/tier",
        Value="serverless",
        Type="String",
        Tags=pairs({**tags, "vahana:layer": "environment"}),
    )
    stack = discover(PROD)
    assert (stack["tier"], stack["api"]["role_names"]) == ("serverless", ["vahanhelp-prod-api-api"])


def test_a_control_of_another_regions_environment_is_not_ours() -> None:
    config: dict[str, Any] = {
        "Name": "vahanhelp-prod-frontend",
        "SigningProtocol": "sigv4",
        "SigningBehavior": "always",
        "OriginAccessControlOriginType": "s3",
    }
    cloudfront: Any = boto3.client("cloudfront")
    marker = Environment("vahanhelp", "prod-eu-west-1", "eu-west-1").marker
    made = cloudfront.create_origin_access_control(OriginAccessControlConfig={**config, "Description": marker})
    control = made["OriginAccessControl"]["Id"]
    stack = discover(PROD)
    assert (stack["resources"], [entry["id"] for entry in stack["foreign"]]) == ([], [control])
    cloudfront.delete_origin_access_control(Id=control, IfMatch=made["ETag"])
    cloudfront.create_origin_access_control(OriginAccessControlConfig={**config, "Description": PROD.marker})
    stack = discover(PROD)
    assert ([entry["type"] for entry in stack["resources"]], stack["foreign"]) == (["origin-access-control"], [])


def test_the_tier_of_a_run_that_broke_off_comes_from_its_tags() -> None:
    make_network(OURS)
    assert discover(PROD)["tier"] == "basic"


def test_our_names_without_our_tags_are_foreign() -> None:
    boto3.client("ec2").create_key_pair(KeyName="vahanhelp-prod")
    boto3.client("iam").create_role(RoleName="vahanhelp-prod-instance", AssumeRolePolicyDocument="{}")
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="vahanhelp-prod-releases-123456789012")
    s3.put_object(Bucket="vahanhelp-prod-releases-123456789012", Key="theirs", Body=b"x")
    stack = discover(PROD)
    assert sorted(entry["type"] for entry in stack["foreign"]) == ["bucket", "key-pair", "role"]
    assert all("left alone" in entry["message"] for entry in stack["foreign"])
    assert stack["resources"] == []


def test_an_empty_bucket_without_tags_is_what_a_stopped_run_left() -> None:
    boto3.client("s3").create_bucket(Bucket="vahanhelp-prod-frontend-123456789012")
    stack = discover(PROD)
    assert stack["foreign"] == []
    assert stack["storage"]["frontend_bucket"] == "vahanhelp-prod-frontend-123456789012"
    assert (
        stack["storage"]["frontend_bucket_domain"] == "vahanhelp-prod-frontend-123456789012.s3.us-east-1.amazonaws.com"
    )


def test_web_acls_and_the_bucket_of_images_of_a_larger_tier() -> None:
    boto3.client("s3").create_bucket(Bucket="vahanhelp-prod-images-123456789012")
    wafv2 = boto3.client("wafv2")
    seen = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "x"}
    rule = {"Name": "r", "Priority": 0, "Action": {"Block": {}}, "VisibilityConfig": seen}
    rule["Statement"] = {"RateBasedStatement": {"Limit": 100, "AggregateKeyType": "IP"}}
    arns = {
        scope: wafv2.create_web_acl(
            Name="vahanhelp-prod",
            Scope=scope,
            DefaultAction={"Allow": {}},
            VisibilityConfig=seen,
            Rules=[rule],
            Tags=pairs(OURS),
        )["Summary"]["ARN"]
        for scope in ("CLOUDFRONT", "REGIONAL")
    }
    body = {"widgets": [{"type": "text", "properties": {"markdown": "vahana:app=vahanhelp vahana:env=prod"}}]}
    boto3.client("cloudwatch").put_dashboard(DashboardName="vahanhelp-prod", DashboardBody=json.dumps(body))
    budgets.apply()
    named = {"BudgetName": "vahanhelp-prod", "BudgetLimit": {"Amount": "300", "Unit": "USD"}}
    boto3.client("budgets").create_budget(
        AccountId="123456789012",
        Budget={**named, "TimeUnit": "MONTHLY", "BudgetType": "COST"},
        ResourceTags=pairs(OURS),
    )
    boto3.client("cloudtrail").create_trail(
        Name="vahanhelp-prod", S3BucketName="vahanhelp-prod-images-123456789012", TagsList=pairs(OURS)
    )
    stack = discover(PROD, tier="full")
    assert stack["audit"]["budget"] == "vahanhelp-prod"
    assert stack["audit"]["trail_arn"].endswith(":trail/vahanhelp-prod")
    assert stack["monitoring"]["dashboard"] == "vahanhelp-prod"
    assert stack["firewall"] == {
        "cloudfront_acl_arn": arns["CLOUDFRONT"],
        "load_balancer_acl_arn": arns["REGIONAL"],
        "rules": 2,
    }
    assert stack["storage"]["images_bucket_domain"] == "vahanhelp-prod-images-123456789012.s3.us-east-1.amazonaws.com"
    assert [entry["service"] for entry in stack["resources"]] == [
        "budgets",
        "cloudtrail",
        "cloudwatch",
        "s3",
        "wafv2",
        "wafv2",
    ]


def make_key(tags: dict[str, str], alias: str = "") -> str:
    kms = boto3.client("kms")
    key = kms.create_key(Tags=[{"TagKey": name, "TagValue": value} for name, value in tags.items()])["KeyMetadata"]
    if alias:
        kms.create_alias(AliasName=f"alias/{alias}", TargetKeyId=key["KeyId"])
    return str(key["Arn"])


def test_the_key_that_encrypts() -> None:
    # One whose maker was killed before it had its name; one that another environment has.
    unnamed = make_key(OURS)
    make_key({**OURS, "vahana:env": "test"}, "vahanhelp-test")
    assert discover(PROD, tier="full")["identity"]["encryption_key_arn"] == unnamed
    named = make_key(OURS, "vahanhelp-prod")
    stack = discover(PROD, tier="full")
    assert stack["identity"]["encryption_key_arn"] == named and stack["foreign"] == []
    assert sorted(entry["arn"] for entry in stack["resources"]) == sorted([named, unnamed])
    # By what is tagged it is found whatever the run is told.
    assert discover(PROD, tier="minimal")["identity"]["encryption_key_arn"] == named
    [document] = [each for arn, each in observe(connect(PROD, tier="full")).documents.items() if arn == named]
    assert document["fields"]["KeyRotationEnabled"] is False and document["fields"]["Policy"]["Statement"]
    kms = boto3.client("kms")
    for arn in (named, unnamed):
        kms.schedule_key_deletion(KeyId=arn.rpartition("/")[2], PendingWindowInDays=30)
    stack = discover(PROD, tier="full")
    assert (stack["identity"]["encryption_key_arn"], stack["resources"]) == ("", [])


def test_a_key_with_our_name_and_without_our_tags_is_foreign() -> None:
    make_key({"team": "boats"}, "vahanhelp-prod")
    stack = discover(PROD, tier="full")
    assert [entry["service"] for entry in stack["foreign"]] == ["kms"]
    assert stack["identity"]["encryption_key_arn"] == ""


def found(kind: str, tags: dict[str, str], **description: Any) -> Resource:
    """Return a resource the way a reader does."""
    arn = f"arn:aws:{kind.partition(':')[0]}:us-east-1:123456789012:{kind.partition(':')[2]}/x"
    return Resource(kind, "x", arn, tags, False, description)


def test_the_functions_at_the_edge() -> None:
    cloudfront = boto3.client("cloudfront")
    for name in ("api", "spa"):
        cloudfront.create_function(
            Name=f"vahanhelp-prod-{name}",
            FunctionConfig={"Comment": "", "Runtime": "cloudfront-js-2.0"},
            FunctionCode=b"function handler(event) { return event.request; }",
            Tags={"Items": pairs({**OURS, "vahana:layer": "edge"})},
        )
    stack = discover(PROD)
    assert stack["edge"]["function_name"] == "vahanhelp-prod-spa"
    found = [(entry["type"], entry["id"], entry["layer"]) for entry in stack["resources"]]
    assert found == [("function", f"vahanhelp-prod-{name}", "edge") for name in ("api", "spa")]


def test_the_database_and_its_replica() -> None:
    def instance(name: str, **more: Any) -> Resource:
        description = {"DBInstanceIdentifier": name, "DBInstanceStatus": "available", **more}
        return Resource("rds:db", name, f"arn:{name}", OURS, False, description)

    replica = instance("a-replica", ReadReplicaSourceDBInstanceIdentifier="vahanhelp-prod", AllocatedStorage=100)
    aws = Aws(PROD, {}, "123456789012")
    database = assemble(aws, [replica, instance("vahanhelp-prod")])["database"]
    assert (database["identifier"], database["replica"]["identifier"]) == ("vahanhelp-prod", "a-replica")
    assert database["replica"]["allocated_storage"] == 100
    assert assemble(aws, [replica])["database"]["identifier"] == "", "a replica is nobody's database"
    # But for one of a database in another region, which is this region's until it is promoted and after.
    source = "arn:aws:rds:eu-west-1:123456789012:db:vahanhelp-prod"
    abroad = instance("vahanhelp-prod", ReadReplicaSourceDBInstanceIdentifier=source)
    database = assemble(aws, [replica, abroad])["database"]
    assert (database["identifier"], database["source_arn"]) == ("vahanhelp-prod", source)


def test_parameters_that_wait_for_a_reboot() -> None:
    rds: Any = boto3.client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier="vahanhelp-prod",
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="master",
        MasterUserPassword="masterpassword",
        Tags=pairs(OURS),
    )

    def found() -> tuple[str, str]:
        database = discover(PROD)["database"]
        return database["parameter_group"], database["parameters"]

    assert found() == ("default.postgres17", "in-sync")
    rds.create_db_parameter_group(
        DBParameterGroupName="trial", DBParameterGroupFamily="postgres17", Description="trial", Tags=pairs(OURS)
    )
    rds.modify_db_instance(DBInstanceIdentifier="vahanhelp-prod", DBParameterGroupName="trial", ApplyImmediately=True)
    assert found() == ("trial", "pending-reboot")
    rds.modify_db_instance(DBInstanceIdentifier="vahanhelp-prod", DBParameterGroupName="trial", ApplyImmediately=True)
    assert found() == ("trial", "pending-reboot")
    rds.reboot_db_instance(DBInstanceIdentifier="vahanhelp-prod")
    assert found() == ("trial", "in-sync")
    # One that is restored with its group has it from its beginning.
    rds.create_db_snapshot(DBInstanceIdentifier="vahanhelp-prod", DBSnapshotIdentifier="trial")
    made = rds.restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier="restored", DBSnapshotIdentifier="trial", DBParameterGroupName="trial"
    )["DBInstance"]
    (group,) = made["DBParameterGroups"]
    assert (group["DBParameterGroupName"], group["ParameterApplyStatus"]) == ("trial", "in-sync")


def test_which_secret_opens_the_database() -> None:
    def secret(name: str) -> Resource:
        return Resource("secretsmanager:secret", f"/vahanhelp/prod/{name}", f"arn:{name}", OURS, True, {"Name": name})

    value = {"Value": json.dumps({"host": "vahanhelp-prod.x", "secret": "/vahanhelp/prod/database-login"})}
    place = Resource("ssm:parameter", "/vahanhelp/prod/database", "arn:place", OURS, True, value)
    description = {"DBInstanceIdentifier": "vahanhelp-prod", "DBInstanceStatus": "available"}
    instance = Resource("rds:db", "vahanhelp-prod", "arn:db", OURS, False, description)
    aws, secrets = Aws(PROD, {}, "123456789012"), [secret("database"), secret("database-login")]
    stack = assemble(aws, [*secrets, instance, place])
    assert (stack["identity"]["database_secret_arn"], stack["database"]["secret_arn"]) == (
        "arn:database",
        "arn:database-login",
    )
    # A new one begins with the master user again.
    assert assemble(aws, [*secrets, place])["database"]["secret_arn"] == ""


def make_cache(tags: Any) -> Any:
    """Make a cache in a subnet group; return the service's client."""
    ec2, cache = boto3.client("ec2"), boto3.client("elasticache")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.5.0/24")["Subnet"]["SubnetId"]
    cache.create_cache_subnet_group(
        CacheSubnetGroupName="vahanhelp-prod", CacheSubnetGroupDescription="x", SubnetIds=[subnet], Tags=tags
    )
    cache.create_replication_group(
        ReplicationGroupId="vahanhelp-prod",
        ReplicationGroupDescription="x",
        Engine="valkey",
        CacheNodeType="cache.t3.micro",
        CacheSubnetGroupName="vahanhelp-prod",
        Tags=tags,
    )
    return cache


def test_the_cache() -> None:
    cache = make_cache(pairs({**OURS, "vahana:layer": "cache"}))
    # Nobody says that the tier has one: the tagging API does.
    stack = discover(PROD)
    assert stack["cache"]["members"] == ["vahanhelp-prod-001"] and stack["cache"]["nodes"] == 1
    assert stack["cache"]["address"].startswith("master.vahanhelp-prod.")
    owned = {f"{entry['service']}:{entry['type']}" for entry in stack["resources"] if entry["layer"] == "cache"}
    assert owned == {"elasticache:replicationgroup", "elasticache:subnetgroup"}
    cache.delete_replication_group(ReplicationGroupId="vahanhelp-prod")
    assert discover(PROD)["cache"] == EMPTY["cache"]


@pytest.mark.parametrize("status", ["creating", "modifying", "snapshotting"])
def test_a_cache_that_does_not_say_its_tags(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    monkeypatch.setattr(elasticache, "_real", True)
    cache = make_cache(pairs({**OURS, "vahana:layer": "cache"}))
    (group,) = (group for _backend, group in elasticache.groups())
    group.status = status
    with pytest.raises(cache.exceptions.InvalidReplicationGroupStateFault, match="not in available state"):
        cache.list_tags_for_resource(ResourceName=group.arn)
    stack = discover(PROD)
    assert stack["cache"]["status"] == status and stack["foreign"] == []
    assert {entry["type"] for entry in stack["resources"] if entry["layer"] == "cache"} == {
        "replicationgroup",
        "subnetgroup",
    }


def test_a_cache_of_somebody_else_that_does_not_say_its_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elasticache, "_real", True)
    make_cache(pairs({"owner": "somebody"}))
    stack = discover(PROD, tier="full")
    assert stack["cache"] == EMPTY["cache"]
    assert {entry["type"] for entry in stack["foreign"]} == {"replicationgroup", "subnetgroup"}


def test_a_cache_whose_snapshot_begins_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = make_cache(pairs(OURS))
    monkeypatch.setattr(elasticache, "_real", True)
    (group,) = (group for _backend, group in elasticache.groups())
    describe = elasticache._describe

    def described(group: Any) -> dict[str, Any]:
        answer = describe(group)
        group.status = "snapshotting"
        return answer

    monkeypatch.setattr(elasticache, "_describe", described)
    assert discover(PROD)["cache"]["status"] == "available" and group.status == "snapshotting"
    assert cache.describe_replication_groups()["ReplicationGroups"][0]["Status"] == "snapshotting"


def records_of(*names: str, domain: str = "api.cars.example.com") -> str:
    """Make a zone with the environment's domain and a record of its API for each region; return its id."""
    route53: Any = boto3.client("route53")
    zone = str(route53.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"])
    marker = [{"Value": f'"{PROD.marker}"'}]
    wanted: list[dict[str, Any]] = [
        {"Name": f"_vahana.{name}", "Type": "TXT", "TTL": 300, "ResourceRecords": marker}
        for name in ("cars.example.com", domain)
    ]
    wanted.append({"Name": "cars.example.com", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]})
    for name in names:
        target = [{"Value": f"d-0.execute-api.{name}.amazonaws.com"}]
        check = health_check(f"a1.execute-api.{name}.amazonaws.com")
        record = {"Name": domain, "Type": "CNAME", "SetIdentifier": name, "Region": name, "TTL": 10}
        wanted.append({**record, "ResourceRecords": target, "HealthCheckId": check})
    changes = [{"Action": "CREATE", "ResourceRecordSet": each} for each in wanted]
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    return zone.rpartition("/")[2]


def health_check(name: str) -> str:
    """Make a health check of ours that asks a name; return its id."""
    route53: Any = boto3.client("route53")
    config = {"Type": "HTTPS", "FullyQualifiedDomainName": name, "RequestInterval": 10, "FailureThreshold": 2}
    made = str(route53.create_health_check(CallerReference=name, HealthCheckConfig=config)["HealthCheck"]["Id"])
    route53.change_tags_for_resource(ResourceType="healthcheck", ResourceId=made, AddTags=pairs(OURS))
    return made


def test_the_records_of_several_regions() -> None:
    # Left by a killed run: the API of the first region was made anew since.
    left = health_check("a0.execute-api.us-east-1.amazonaws.com")
    zone = records_of("us-east-1", "eu-west-1")
    route53: Any = boto3.client("route53")
    elsewhere = health_check("vahanhelp-prod-1.us-east-1.elb.amazonaws.com")
    calculated = {"Type": "CALCULATED", "ChildHealthChecks": [elsewhere], "HealthThreshold": 1}
    first = str(route53.create_health_check(CallerReference="first", HealthCheckConfig=calculated)["HealthCheck"]["Id"])
    route53.change_tags_for_resource(ResourceType="healthcheck", ResourceId=first, AddTags=pairs(OURS))
    own = health_check("cars.example.com")
    found = {
        each["HealthCheckConfig"].get("FullyQualifiedDomainName", "first"): each["Id"]
        for each in route53.list_health_checks()["HealthChecks"]
    }
    stack = discover(PROD)
    assert (stack["dns"]["domain"], stack["dns"]["zone_id"]) == ("cars.example.com", zone)
    assert stack["dns"]["health_check_id"] == own
    assert stack["dns"]["health_checks"] == {
        region: found[f"a1.execute-api.{region}.amazonaws.com"] for region in ("us-east-1", "eu-west-1")
    }
    assert {each["id"] for each in stack["resources"] if each["type"] == "healthcheck"} == {left, *found.values()}
    assert sorted((each["name"], each["type"], each["identifier"]) for each in stack["dns"]["records"]) == [
        ("_vahana.api.cars.example.com", "TXT", ""),
        ("_vahana.cars.example.com", "TXT", ""),
        ("api.cars.example.com", "CNAME", "eu-west-1"),
        ("api.cars.example.com", "CNAME", "us-east-1"),
        ("cars.example.com", "A", ""),
    ]
    arns = [each["arn"] for each in stack["resources"] if each["type"] == "record"]
    assert len(set(arns)) == 5
    assert f"arn:aws:route53:::hostedzone/{zone}/cars.example.com/A" in arns, "as it was with one region"
    assert discover(Environment("vahanhelp", "prod-eu-west-1", "eu-west-1"))["dns"] == EMPTY["dns"]


def test_records_and_checks_of_several_regions_that_drift() -> None:
    zone = records_of("us-east-1", "eu-west-1")
    route53: Any = boto3.client("route53")

    def recorded() -> Any:
        return observe(connect(PROD)).documents

    before = recorded()
    arn = f"arn:aws:route53:::hostedzone/{zone}/api.cars.example.com/CNAME/eu-west-1"
    fields = before[arn]["fields"]
    assert (fields["Region"], fields["TTL"]) == ("eu-west-1", 10)
    listed = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    [record] = [each for each in listed if each.get("SetIdentifier") == "eu-west-1"]
    edited = {"TTL": 60, "Region": "eu-west-2", "HealthCheckId": "x", "ResourceRecords": [{"Value": "y"}]}
    changes = [{"Action": "UPSERT", "ResourceRecordSet": {**record, **edited}}]
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    route53.update_health_check(HealthCheckId=record["HealthCheckId"], FailureThreshold=5)
    drifted = {each["id"]: {field["field"] for field in each["fields"]} for each in differences(before, recorded())}
    assert drifted["api.cars.example.com CNAME eu-west-1"] == set(edited)
    assert "HealthCheckConfig.FailureThreshold" in drifted[record["HealthCheckId"]] and len(drifted) == 2


def test_the_custom_domain_name_of_an_api() -> None:
    acm, api = boto3.client("acm"), boto3.client("apigatewayv2")
    zone = boto3.client("route53").create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]
    certificates = []
    for _ in range(2):
        arn = acm.request_certificate(DomainName="*.example.com", ValidationMethod="DNS")["CertificateArn"]
        [option] = acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"]
        record: Any = {**option["ResourceRecord"]}
        wanted: Any = {"Name": record["Name"], "Type": "CNAME", "TTL": 60}
        wanted["ResourceRecords"] = [{"Value": record["Value"]}]
        changes: Any = [{"Action": "UPSERT", "ResourceRecordSet": wanted}]
        boto3.client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
        certificates.append(arn)
    apis = [api.create_api(Name="x", ProtocolType="HTTP")["ApiId"] for _ in range(2)]
    for each in apis:
        api.create_stage(ApiId=each, StageName="$default")
    configured: Any = [{"CertificateArn": certificates[0], "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}]
    for name, tags in (("api.example.com", OURS), ("test.example.com", {**OURS, "vahana:env": "test"})):
        made = api.create_domain_name(DomainName=name, DomainNameConfigurations=configured, Tags=tags)
        mapping = api.create_api_mapping(DomainName=name, ApiId=apis[0], Stage="$default")["ApiMappingId"]
        if tags is OURS:
            target, ours = made["DomainNameConfigurations"][0]["ApiGatewayDomainName"], mapping
    stack = discover(PROD, tier="serverless")
    assert (stack["api"]["domain_name"], stack["api"]["domain_target"]) == ("api.example.com", target)
    assert [each["id"] for each in stack["resources"]] == ["api.example.com"]
    assert stack["resources"][0]["type"] == "domainnames"

    def recorded() -> Any:
        return observe(connect(PROD, tier="serverless")).documents

    before = recorded()
    api.update_api_mapping(DomainName="api.example.com", ApiMappingId=ours, ApiId=apis[1], Stage="$default")
    assert [each["field"] for each in differences(before, recorded())[0]["fields"]] == ["ApiMappings"]
    before = recorded()
    moved: Any = [{**configured[0], "CertificateArn": certificates[1]}]
    api.update_domain_name(DomainName="api.example.com", DomainNameConfigurations=moved)
    assert [each["field"] for each in differences(before, recorded())[0]["fields"]] == ["DomainNameConfigurations"]


def test_a_table_with_a_replica() -> None:
    home, abroad = (boto3.client("dynamodb", region_name=region) for region in ("us-east-1", "eu-west-1"))
    home.create_table(
        TableName="vahanhelp-prod",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        Tags=pairs(OURS),  # type: ignore[arg-type]
    )

    def recorded() -> Any:
        [document] = observe(connect(PROD)).documents.values()
        return document["fields"]

    alone = recorded()
    assert not {"Replicas", "ReplicaSettings"} & alone.keys()
    home.update_table(TableName="vahanhelp-prod", ReplicaUpdates=[{"Create": {"RegionName": "eu-west-1"}}])
    fields = recorded()
    assert [each["RegionName"] for each in fields["Replicas"]] == ["eu-west-1"]
    before = fields["ReplicaSettings"]["eu-west-1"]
    arn = abroad.describe_table(TableName="vahanhelp-prod")["Table"]["TableArn"]
    abroad.update_table(TableName="vahanhelp-prod", DeletionProtectionEnabled=True)
    recovery: Any = {"PointInTimeRecoveryEnabled": True}
    abroad.update_continuous_backups(TableName="vahanhelp-prod", PointInTimeRecoverySpecification=recovery)
    abroad.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    after = recorded()["ReplicaSettings"]["eu-west-1"]
    assert {key for key in after if after[key] != before[key]} == {
        *("DeletionProtectionEnabled", "PointInTimeRecovery", "Tags"),
    }


def test_a_replica_in_a_region_that_is_lost() -> None:
    class Lost:
        def describe_table(self, **_: Any) -> Any:
            raise EndpointConnectionError(endpoint_url="https://dynamodb.eu-west-1.amazonaws.com")

    aws = Aws(PROD, {"dynamodb eu-west-1": Lost()}, "123456789012")
    assert details._replica(aws, "vahanhelp-prod", "eu-west-1") == {"Error": "EndpointConnectionError"}


def test_a_final_snapshot_is_retained_and_not_left() -> None:
    aws = Aws(PROD, {}, "123456789012")
    snapshot = found("rds:snapshot", {**OURS, "vahana:retain": "true"}, DBSnapshotIdentifier="x")
    stack = assemble(aws, [snapshot])
    assert stack["resources"] == []
    assert [entry["id"] for entry in stack["retained"]] == ["x"]


def test_what_only_the_tagging_api_knows_counts_unless_its_service_lists_it() -> None:
    aws = Aws(PROD, {}, "123456789012")
    stack = assemble(aws, [found("ec2:instance", OURS), found("kinesis:stream", OURS)])
    assert [(entry["service"], entry["type"]) for entry in stack["resources"]] == [("kinesis", "stream")]


@pytest.mark.parametrize(
    ("arn", "kind"),
    [
        ("arn:aws:ec2:us-east-1:1:subnet/subnet-1", "ec2:subnet"),
        ("arn:aws:rds:us-east-1:1:db:vahanhelp-prod", "rds:db"),
        ("arn:aws:s3:::bucket", "s3:bucket"),
        ("arn:aws:sns:us-east-1:1:topic", "sns:topic"),
        ("arn:aws:ssm:us-east-1:1:parameter/a/b", "ssm:parameter"),
        ("arn:aws:secretsmanager:us-east-1:1:secret:/a/b-AbCdEf", "secretsmanager:secret"),
        ("arn:aws:cloudwatch:us-east-1:1:alarm:x", "cloudwatch:alarm"),
    ],
)
def test_the_kind_of_an_arn(arn: str, kind: str) -> None:
    assert kind_of(arn) == kind


def test_the_documentation_lists_every_key() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    section = text[text.index("## `stack`") : text.index("## SSH")]
    for key, inner in EMPTY.items():
        assert f"`{key}`" in section
        for name in inner if isinstance(inner, dict) else ():
            assert f"`{name}`" in section, f"{key}.{name}"


def make_what_has_tags_of_its_own() -> None:
    """Make one of each kind whose tags are asked for after the list."""
    boto3.client("acm").request_certificate(DomainName="cars.example.com", Tags=pairs(OURS))
    boto3.client("logs").create_log_group(logGroupName="/vahanhelp/prod/backend", tags=OURS)
    boto3.client("sns").create_topic(Name="vahanhelp-prod-alarms", Tags=pairs(OURS))
    boto3.client("ssm").put_parameter(Name="/vahanhelp/prod/tier", Value="basic", Type="String", Tags=pairs(OURS))
    boto3.client("cloudwatch").put_metric_alarm(
        AlarmName="vahanhelp-prod-high",
        Namespace="AWS/EC2",
        MetricName="CPUUtilization",
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        Tags=pairs(OURS),
    )


@pytest.mark.parametrize(
    ("service", "operation", "code", "kind"),
    [
        ("acm", "ListTagsForCertificate", "ResourceNotFoundException", "certificate"),
        ("logs", "ListTagsForResource", "ResourceNotFoundException", "log-group"),
        ("sns", "ListTagsForResource", "ResourceNotFound", "topic"),
        ("ssm", "ListTagsForResource", "InvalidResourceId", "parameter"),
        ("cloudwatch", "ListTagsForResource", "ResourceNotFoundException", "alarm"),
    ],
)
def test_what_goes_between_the_list_and_its_tags_is_gone(
    monkeypatch: pytest.MonkeyPatch, service: str, operation: str, code: str, kind: str
) -> None:
    make_what_has_tags_of_its_own()
    assert kind in {entry["type"] for entry in discover(PROD)["resources"]}
    client_class: Any = BaseClient
    call = client_class._make_api_call

    def refuse(answer: str) -> None:
        def called(client: Any, asked: str, parameters: dict[str, Any]) -> Any:
            if (client.meta.service_model.service_name, asked) == (service, operation):
                raise ClientError({"Error": {"Code": answer, "Message": "x"}}, asked)
            return call(client, asked, parameters)

        monkeypatch.setattr(client_class, "_make_api_call", called)

    refuse(code)
    assert kind not in {entry["type"] for entry in discover(PROD)["resources"]}
    refuse("AccessDenied")
    with pytest.raises(ClientError, match="AccessDenied"):
        discover(PROD)


def test_no_target_group_is_asked_for_by_a_name_that_none_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    client_class: Any = BaseClient
    call = client_class._make_api_call
    asked: list[str] = []

    def called(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        asked.extend(parameters["Names"] if operation == "DescribeTargetGroups" and "Names" in parameters else [])
        return call(client, operation, parameters)

    monkeypatch.setattr(client_class, "_make_api_call", called)
    discover(PROD)
    discover(Environment("vahanhelp", "prod-ap-southeast-1", "ap-southeast-1"))
    assert asked == ["vahanhelp-prod-backend"]
