"""What is in an account, counted by kind: both ways of making a tier must come to the same."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from bench.emulator import Emulator

S3_SETTINGS = {
    "encryption": "get_bucket_encryption",
    "ownership": "get_bucket_ownership_controls",
    "public access block": "get_public_access_block",
    "lifecycle": "get_bucket_lifecycle_configuration",
    "policy": "get_bucket_policy",
    "tags": "get_bucket_tagging",
}


class List(NamedTuple):
    """A list call, and which of its items count as what."""

    kind: str
    service: str
    operation: str
    key: str
    """Where in an answer the items are, with dots between the steps."""
    counts: Callable[[Any], Any] = bool


LISTS = (
    List("ec2 instance connect endpoint", "ec2", "describe_instance_connect_endpoints", "InstanceConnectEndpoints"),
    List("ec2 key pair", "ec2", "describe_key_pairs", "KeyPairs"),
    List("ec2 launch template", "ec2", "describe_launch_templates", "LaunchTemplates"),
    List("ec2 elastic ip", "ec2", "describe_addresses", "Addresses"),
    List("ec2 nat gateway", "ec2", "describe_nat_gateways", "NatGateways", lambda each: each["State"] != "deleted"),
    List("ec2 flow log", "ec2", "describe_flow_logs", "FlowLogs"),
    List("iam instance profile", "iam", "list_instance_profiles", "InstanceProfiles"),
    # With its read replicas, which are counted once more by themselves.
    List("rds instance", "rds", "describe_db_instances", "DBInstances"),
    List(
        "rds read replica",
        "rds",
        "describe_db_instances",
        "DBInstances",
        lambda each: each.get("ReadReplicaSourceDBInstanceIdentifier"),
    ),
    List("rds subnet group", "rds", "describe_db_subnet_groups", "DBSubnetGroups"),
    List(
        "rds parameter group",
        "rds",
        "describe_db_parameter_groups",
        "DBParameterGroups",
        lambda each: not each["DBParameterGroupName"].startswith("default."),
    ),
    List("elasticache replication group", "elasticache", "describe_replication_groups", "ReplicationGroups"),
    List("elasticache node", "elasticache", "describe_cache_clusters", "CacheClusters"),
    List("elasticache subnet group", "elasticache", "describe_cache_subnet_groups", "CacheSubnetGroups"),
    List("elbv2 target group", "elbv2", "describe_target_groups", "TargetGroups"),
    List("autoscaling policy", "autoscaling", "describe_policies", "ScalingPolicies"),
    List("sqs queue", "sqs", "list_queues", "QueueUrls"),
    List("lambda function", "lambda", "list_functions", "Functions"),
    List("lambda event source mapping", "lambda", "list_event_source_mappings", "EventSourceMappings"),
    List("logs group", "logs", "describe_log_groups", "logGroups"),
    List("sns topic", "sns", "list_topics", "Topics"),
    List("sns subscription", "sns", "list_subscriptions", "Subscriptions"),
    # Those that a target tracking policy makes are the service's own.
    List(
        "cloudwatch alarm",
        "cloudwatch",
        "describe_alarms",
        "MetricAlarms",
        lambda each: not each["AlarmName"].startswith("TargetTracking-"),
    ),
    List("cloudwatch dashboard", "cloudwatch", "list_dashboards", "DashboardEntries"),
    List("route53 zone", "route53", "list_hosted_zones", "HostedZones"),
    List("cloudfront distribution", "cloudfront", "list_distributions", "DistributionList.Items"),
    List("cloudfront function", "cloudfront", "list_functions", "FunctionList.Items"),
    List(
        "cloudfront origin access control", "cloudfront", "list_origin_access_controls", "OriginAccessControlList.Items"
    ),
    List("cloudtrail trail", "cloudtrail", "list_trails", "Trails"),
    List("dynamodb table", "dynamodb", "list_tables", "TableNames"),
    List("ecs task definition", "ecs", "list_task_definitions", "taskDefinitionArns"),
    List("servicediscovery namespace", "servicediscovery", "list_namespaces", "Namespaces"),
    List("servicediscovery service", "servicediscovery", "list_services", "Services"),
)

MARKERS = {
    "list_functions": ("Marker", "FunctionList.NextMarker"),
    "list_web_acls": ("NextMarker", "NextMarker"),
}
"""Lists of several pages that botocore has no paginator of: argument for the next page, where an answer names it."""


def census(emulator: Emulator) -> Counter[str]:
    """Count the resources of an account by kind, from each service's own lists; AWS's own and defaults left out."""
    found: Counter[str] = Counter()
    for each in LISTS:
        listed = items(emulator.client(each.service), each.operation, each.key)
        found[each.kind] += sum(1 for item in listed if each.counts(item))
    for part in (
        _network,
        _instances,
        _s3,
        _identity,
        _balancers,
        _firewall,
        _budgets,
        _tables,
        _functions,
        _apis,
        _schedules,
        _containers,
        _images,
    ):
        for kind in part(emulator):
            found[kind] += 1
    return +found


def differences(ours: Counter[str], theirs: Counter[str]) -> dict[str, tuple[int, int]]:
    """Kinds that are not equally many: (ours, theirs)."""
    return {kind: (ours[kind], theirs[kind]) for kind in sorted(ours | theirs) if ours[kind] != theirs[kind]}


def items(client: Any, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
    """Yield what a list call has, of all its pages.

    Args:
        client: of the service.
        operation: the call.
        key: where in an answer the items are, with dots between the steps.
        arguments: of the call.
    """
    for page in _pages(client, operation, **arguments):
        yield from _at(page, key) or []


def _pages(client: Any, operation: str, **arguments: Any) -> Iterator[Any]:
    if client.can_paginate(operation):
        yield from client.get_paginator(operation).paginate(**arguments)
        return
    argument, marker = MARKERS.get(operation, ("", ""))
    while True:
        page = getattr(client, operation)(**arguments)
        yield page
        if not (following := _at(page, marker)):
            return
        arguments[argument] = following


def _at(answer: Any, key: str) -> Any:
    return functools.reduce(lambda part, step: part.get(step) or {}, key.split("."), answer)


def _network(emulator: Emulator) -> Iterator[str]:
    ec2 = emulator.client("ec2")
    ours = [vpc["VpcId"] for vpc in items(ec2, "describe_vpcs", "Vpcs") if not vpc["IsDefault"]]
    for _ in ours:
        yield "ec2 vpc"
    mine = [{"Name": "vpc-id", "Values": ours or ["none"]}]
    for _ in items(ec2, "describe_subnets", "Subnets", Filters=mine):
        yield "ec2 subnet"
    for gateway in items(ec2, "describe_internet_gateways", "InternetGateways"):
        if any(each["VpcId"] in ours for each in gateway["Attachments"]):
            yield "ec2 internet gateway"
    for table in items(ec2, "describe_route_tables", "RouteTables", Filters=mine):
        if not any(each.get("Main") for each in table["Associations"]):
            yield "ec2 route table"
            for _ in table["Associations"]:
                yield "ec2 route table association"
        for route in table["Routes"]:
            if route.get("NatGatewayId"):
                yield "ec2 route by NAT"
            elif route.get("GatewayId", "local") != "local":
                yield "ec2 route"
    groups = list(items(ec2, "describe_security_groups", "SecurityGroups", Filters=mine))
    for group in groups:
        if group["GroupName"] != "default":
            yield "ec2 security group"
    ids = [group["GroupId"] for group in groups]
    for rule in items(ec2, "describe_security_group_rules", "SecurityGroupRules"):
        if rule["GroupId"] in ids:
            yield "ec2 security group rule"
    for _ in items(ec2, "describe_vpc_endpoints", "VpcEndpoints", Filters=mine):
        yield "ec2 vpc endpoint"
    for _ in items(ec2, "describe_images", "Images", Owners=["self"]):
        yield "ec2 image"


def _instances(emulator: Emulator) -> Iterator[str]:
    for reservation in items(emulator.client("ec2"), "describe_instances", "Reservations"):
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] == "running":
                yield "ec2 instance"
    groups = emulator.client("autoscaling")
    for group in items(groups, "describe_auto_scaling_groups", "AutoScalingGroups"):
        yield "autoscaling group"
        if group.get("InstanceMaintenancePolicy"):
            yield "autoscaling maintenance policy"
        name = group["AutoScalingGroupName"]
        for _ in items(groups, "describe_lifecycle_hooks", "LifecycleHooks", AutoScalingGroupName=name):
            yield "autoscaling lifecycle hook"


def _s3(emulator: Emulator) -> Iterator[str]:
    s3 = emulator.client("s3")
    for name in [bucket["Name"] for bucket in items(s3, "list_buckets", "Buckets")]:
        yield "s3 bucket"
        for what, operation in S3_SETTINGS.items():
            try:
                getattr(s3, operation)(Bucket=name)
            except ClientError:
                continue
            yield f"s3 bucket {what}"
        if s3.get_bucket_versioning(Bucket=name).get("Status") == "Enabled":
            yield "s3 bucket versioning"
        for _ in items(s3, "list_objects_v2", "Contents", Bucket=name):
            yield "s3 object"


def _identity(emulator: Emulator) -> Iterator[str]:
    iam = emulator.client("iam")
    for role in items(iam, "list_roles", "Roles"):
        if role["Path"].startswith("/aws-service-role/"):
            continue
        yield "iam role"
        for _ in items(iam, "list_role_policies", "PolicyNames", RoleName=role["RoleName"]):
            yield "iam role policy"
    yield from _keys(emulator)
    for secret in items(emulator.client("secretsmanager"), "list_secrets", "SecretList"):
        yield "secretsmanager secret"
        for _ in secret["SecretVersionsToStages"]:
            yield "secretsmanager secret version"
    ssm = emulator.client("ssm")
    for parameter in items(ssm, "get_parameters_by_path", "Parameters", Path="/", Recursive=True):
        if not parameter["Name"].startswith("/aws/"):
            yield "ssm parameter"


def _keys(emulator: Emulator) -> Iterator[str]:
    kms = emulator.client("kms")
    aliases = {alias["AliasName"]: alias.get("TargetKeyId") for alias in items(kms, "list_aliases", "Aliases")}
    # Those of AWS's services themselves are made when one is used.
    own = {key for name, key in aliases.items() if name.startswith("alias/aws/")}
    for key in aliases.values():
        if key not in own:
            yield "kms alias"
    for key in items(kms, "list_keys", "Keys"):
        if key["KeyId"] in own or kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] == "PendingDeletion":
            continue
        yield "kms key"
        if kms.get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"]:
            yield "kms key rotation"


def _balancers(emulator: Emulator) -> Iterator[str]:
    elbv2 = emulator.client("elbv2")
    for balancer in items(elbv2, "describe_load_balancers", "LoadBalancers"):
        yield "elbv2 load balancer"
        for listener in items(elbv2, "describe_listeners", "Listeners", LoadBalancerArn=balancer["LoadBalancerArn"]):
            yield "elbv2 listener"
            for rule in items(elbv2, "describe_rules", "Rules", ListenerArn=listener["ListenerArn"]):
                if not rule["IsDefault"]:
                    yield "elbv2 rule"


def _firewall(emulator: Emulator) -> Iterator[str]:
    wafv2 = emulator.client("wafv2")
    for scope in ("REGIONAL", "CLOUDFRONT"):
        for acl in items(wafv2, "list_web_acls", "WebACLs", Scope=scope):
            yield f"wafv2 web acl {scope.lower()}"
            # What one of CloudFront's protects is said in the distributions.
            if scope == "REGIONAL":
                for _ in items(wafv2, "list_resources_for_web_acl", "ResourceArns", WebACLArn=acl["ARN"]):
                    yield "wafv2 association"


def _budgets(emulator: Emulator) -> Iterator[str]:
    account = emulator.client("sts").get_caller_identity()["Account"]
    for _ in items(emulator.client("budgets"), "describe_budgets", "Budgets", AccountId=account):
        yield "budgets budget"


def _tables(emulator: Emulator) -> Iterator[str]:
    dynamodb = emulator.client("dynamodb")
    for name in items(dynamodb, "list_tables", "TableNames"):
        for _ in dynamodb.describe_table(TableName=name)["Table"].get("GlobalSecondaryIndexes", []):
            yield "dynamodb index"
        if dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED":
            yield "dynamodb time to live"
        backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        if backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED":
            yield "dynamodb point-in-time recovery"


def _functions(emulator: Emulator) -> Iterator[str]:
    client = emulator.client("lambda")
    for name in [each["FunctionName"] for each in items(client, "list_functions", "Functions")]:
        for version in items(client, "list_versions_by_function", "Versions", FunctionName=name):
            if version["Version"] != "$LATEST":
                yield "lambda version"
        for alias in items(client, "list_aliases", "Aliases", FunctionName=name):
            yield "lambda alias"
            try:
                policy = client.get_policy(FunctionName=name, Qualifier=alias["Name"])["Policy"]
            except client.exceptions.ResourceNotFoundException:
                continue
            for _ in json.loads(policy)["Statement"]:
                yield "lambda permission"


def _apis(emulator: Emulator) -> Iterator[str]:
    client = emulator.client("apigatewayv2")
    for api in items(client, "get_apis", "Items"):
        yield "apigatewayv2 api"
        for kind, operation in (("integration", "get_integrations"), ("route", "get_routes"), ("stage", "get_stages")):
            for _ in items(client, operation, "Items", ApiId=api["ApiId"]):
                yield f"apigatewayv2 {kind}"


def _schedules(emulator: Emulator) -> Iterator[str]:
    client = emulator.client("events")
    for rule in items(client, "list_rules", "Rules"):
        yield "events rule"
        for _ in items(client, "list_targets_by_rule", "Targets", Rule=rule["Name"]):
            yield "events target"


def _containers(emulator: Emulator) -> Iterator[str]:
    ecs = emulator.client("ecs")
    for cluster in items(ecs, "list_clusters", "clusterArns"):
        # One that was deleted is shown for a while.
        if ecs.describe_clusters(clusters=[cluster])["clusters"][0]["status"] != "ACTIVE":
            continue
        yield "ecs cluster"
        for _ in items(ecs, "list_services", "serviceArns", cluster=cluster):
            yield "ecs service"
        for _ in items(ecs, "list_tasks", "taskArns", cluster=cluster):
            yield "ecs task"
    scaling = emulator.client("application-autoscaling")
    for _ in items(scaling, "describe_scalable_targets", "ScalableTargets", ServiceNamespace="ecs"):
        yield "applicationautoscaling target"
    for _ in items(scaling, "describe_scaling_policies", "ScalingPolicies", ServiceNamespace="ecs"):
        yield "applicationautoscaling policy"


def _images(emulator: Emulator) -> Iterator[str]:
    ecr = emulator.client("ecr")
    for repository in items(ecr, "describe_repositories", "repositories"):
        yield "ecr repository"
        name = repository["repositoryName"]
        for _ in items(ecr, "list_images", "imageIds", repositoryName=name):
            yield "ecr image"
        try:
            ecr.get_lifecycle_policy(repositoryName=name)
        except ecr.exceptions.LifecyclePolicyNotFoundException:
            continue
        yield "ecr lifecycle policy"
