"""What is in an account, counted by kind: both ways of making a tier must come to the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

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


def census(emulator: Emulator) -> Counter[str]:
    """Count the resources of an account by kind, from each service's own lists; AWS's own and defaults left out."""
    found: Counter[str] = Counter()
    for part in (_ec2, _s3, _identity, _services):
        for kind in part(emulator):
            found[kind] += 1
    return found


def differences(ours: Counter[str], theirs: Counter[str]) -> dict[str, tuple[int, int]]:
    """Kinds that are not equally many: (ours, theirs)."""
    return {kind: (ours[kind], theirs[kind]) for kind in sorted(ours | theirs) if ours[kind] != theirs[kind]}


def _ec2(emulator: Emulator) -> Iterator[str]:
    ec2 = emulator.client("ec2")
    ours = [vpc["VpcId"] for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]]
    for _ in ours:
        yield "ec2 vpc"
    mine = [{"Name": "vpc-id", "Values": ours or ["none"]}]
    for _ in ec2.describe_subnets(Filters=mine)["Subnets"]:
        yield "ec2 subnet"
    for gateway in ec2.describe_internet_gateways()["InternetGateways"]:
        if any(each["VpcId"] in ours for each in gateway["Attachments"]):
            yield "ec2 internet gateway"
    for table in ec2.describe_route_tables(Filters=mine)["RouteTables"]:
        if not any(each.get("Main") for each in table["Associations"]):
            yield "ec2 route table"
            for _ in table["Associations"]:
                yield "ec2 route table association"
        for route in table["Routes"]:
            if route.get("GatewayId", "local") != "local":
                yield "ec2 route"
    groups = ec2.describe_security_groups(Filters=mine)["SecurityGroups"]
    for group in groups:
        if group["GroupName"] != "default":
            yield "ec2 security group"
    ids = [group["GroupId"] for group in groups]
    for rule in ec2.describe_security_group_rules()["SecurityGroupRules"]:
        if rule["GroupId"] in ids:
            yield "ec2 security group rule"
    for _ in ec2.describe_vpc_endpoints(Filters=mine)["VpcEndpoints"]:
        yield "ec2 vpc endpoint"
    for _ in ec2.describe_instance_connect_endpoints()["InstanceConnectEndpoints"]:
        yield "ec2 instance connect endpoint"
    for _ in ec2.describe_key_pairs()["KeyPairs"]:
        yield "ec2 key pair"
    for _ in ec2.describe_launch_templates()["LaunchTemplates"]:
        yield "ec2 launch template"
    for _ in ec2.describe_addresses()["Addresses"]:
        yield "ec2 elastic ip"
    for reservation in ec2.describe_instances()["Reservations"]:
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] == "running":
                yield "ec2 instance"
    for _ in ec2.describe_images(Owners=["self"])["Images"]:
        yield "ec2 image"


def _s3(emulator: Emulator) -> Iterator[str]:
    s3 = emulator.client("s3")
    for bucket in s3.list_buckets()["Buckets"]:
        yield "s3 bucket"
        for what, operation in S3_SETTINGS.items():
            try:
                getattr(s3, operation)(Bucket=bucket["Name"])
            except ClientError:
                continue
            yield f"s3 bucket {what}"
        if s3.get_bucket_versioning(Bucket=bucket["Name"]).get("Status") == "Enabled":
            yield "s3 bucket versioning"
        for _ in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", []):
            yield "s3 object"


def _identity(emulator: Emulator) -> Iterator[str]:
    iam = emulator.client("iam")
    for role in iam.list_roles()["Roles"]:
        if role["Path"].startswith("/aws-service-role/"):
            continue
        yield "iam role"
        for _ in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
            yield "iam role policy"
    for _ in iam.list_instance_profiles()["InstanceProfiles"]:
        yield "iam instance profile"
    for secret in emulator.client("secretsmanager").list_secrets()["SecretList"]:
        yield "secretsmanager secret"
        for _ in secret["SecretVersionsToStages"]:
            yield "secretsmanager secret version"
    for parameter in emulator.client("ssm").get_parameters_by_path(Path="/", Recursive=True)["Parameters"]:
        if not parameter["Name"].startswith("/aws/"):
            yield "ssm parameter"


def _services(emulator: Emulator) -> Iterator[str]:
    lists: list[tuple[str, str, str, str]] = [
        ("rds", "describe_db_instances", "DBInstances", "rds instance"),
        ("rds", "describe_db_subnet_groups", "DBSubnetGroups", "rds subnet group"),
        ("elbv2", "describe_target_groups", "TargetGroups", "elbv2 target group"),
        ("autoscaling", "describe_policies", "ScalingPolicies", "autoscaling policy"),
        ("sns", "list_topics", "Topics", "sns topic"),
        ("route53", "list_hosted_zones", "HostedZones", "route53 zone"),
    ]
    for service, operation, key, kind in lists:
        for _ in getattr(emulator.client(service), operation)()[key]:
            yield kind
    elbv2 = emulator.client("elbv2")
    for balancer in elbv2.describe_load_balancers()["LoadBalancers"]:
        yield "elbv2 load balancer"
        for _ in elbv2.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]:
            yield "elbv2 listener"
    groups = emulator.client("autoscaling")
    for group in groups.describe_auto_scaling_groups()["AutoScalingGroups"]:
        yield "autoscaling group"
        name = group["AutoScalingGroupName"]
        for _ in groups.describe_lifecycle_hooks(AutoScalingGroupName=name)["LifecycleHooks"]:
            yield "autoscaling lifecycle hook"
    alarms = emulator.client("cloudwatch").describe_alarms()["MetricAlarms"]
    for alarm in alarms:
        # Those that a target tracking policy makes are the service's own.
        if not alarm["AlarmName"].startswith("TargetTracking-"):
            yield "cloudwatch alarm"
    cloudfront = emulator.client("cloudfront")
    answers: list[tuple[Any, str]] = [
        (cloudfront.list_distributions()["DistributionList"], "cloudfront distribution"),
        (cloudfront.list_functions()["FunctionList"], "cloudfront function"),
        (cloudfront.list_origin_access_controls()["OriginAccessControlList"], "cloudfront origin access control"),
    ]
    for answer, kind in answers:
        for _ in answer.get("Items") or []:
            yield kind
