#!/usr/bin/python
"""Look AWS resources up by name and refuse those that do not carry our ownership tags."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.common.dict_transformations import camel_dict_to_snake_dict
from ansible.module_utils.ownership import OWNERSHIP_KEYS, listed_tags, owned_by
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.tagging import boto3_tag_list_to_ansible_dict
from ansible_collections.amazon.aws.plugins.module_utils.transformation import normalize_boto3_result
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: resource_ownership
short_description: Look resources up by name and refuse those that are not ours
description:
  - Looks up AWS resources by the name a role is about to use (or, for EC2 types, by the ownership tags alone)
    and returns what it found.
  - A resource that has the name but not the ownership tags belongs to somebody else. The module then fails,
    before anything is changed, and says for each such resource how to mend it.
  - Only reads. All resources are looked up at the same time, in one process.
options:
  tags:
    description:
      - Tags whose C(vahana:app) and C(vahana:env) identify the owner.
      - Other tags (tier, layer, C(Name)) may differ and are not compared.
    type: dict
    required: true
  resources:
    description: What to look up.
    type: list
    elements: dict
    required: true
    suboptions:
      type:
        description: Type of the resource.
        type: str
        required: true
        choices:
          - auto_scaling_group
          - cache_subnet_group
          - db_instance
          - db_parameter_group
          - db_snapshot
          - db_subnet_group
          - elastic_ip
          - health_check
          - iam_instance_profile
          - iam_role
          - image
          - instance
          - instance_connect_endpoint
          - internet_gateway
          - key_pair
          - kms_key
          - launch_template
          - load_balancer
          - log_group
          - nat_gateway
          - replication_group
          - route_table
          - s3_bucket
          - secret
          - security_group
          - snapshot
          - sns_topic
          - subnet
          - target_group
          - trail
          - vpc
          - vpc_endpoint
          - web_acl_cloudfront
          - web_acl_regional
      name:
        description:
          - Name of the resource. That is the C(Name) tag for a VPC and its parts, and the identifier of the database
            instance for C(db_snapshot).
          - Without it, every resource of an EC2 type, and every C(db_snapshot), that carries the ownership tags is
            returned, and no foreign one can be met.
        type: str
      vpc_id:
        description: Look only in this VPC (for types that are parts of one).
        type: str
      attributes:
        description: Return also the C(attributes) of a load balancer, which are asked for one by one.
        type: bool
        default: false
notes:
  - An S3 bucket is tagged by a call of its own after it was created. A bucket of this account with no tag and no
    object in it is therefore taken for the rest of an interrupted run, and counts as ours. So does a health check
    without tags that asks the domain that is given as O(resources[].name).
  - A secret that is scheduled for deletion is returned with C(deleted_date).
  - ElastiCache says the tags of a cache only while it is available. At other times the Resource Groups Tagging API is
    asked, and one that it does not know counts as somebody else's.
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author:
  - Vahana
"""

EXAMPLES = r"""
- name: Refuse a role or a key pair that somebody else made
  resource_ownership:
    tags: {"vahana:app": vahanhelp, "vahana:env": prod}
    resources:
      - {type: iam_role, name: vahanhelp-prod-instance}
      - {type: key_pair, name: vahanhelp-prod}
  register: existing

- name: List the security groups that are ours in one VPC
  resource_ownership:
    tags: {"vahana:app": vahanhelp, "vahana:env": prod}
    resources:
      - {type: security_group, vpc_id: vpc-0a1b2c3d}
"""

RETURN = r"""
resources:
  description:
    - For each type asked for, the resources found, ordered by name. Beside the keys below each has the attributes of
      the service's own describe call in snake case (for example C(public_key) of a key pair).
  returned: always
  type: dict
  contains:
    name:
      description: Name of the resource.
      type: str
    id:
      description: Identifier that the service's other calls take.
      type: str
    arn:
      description: ARN, empty for EC2 types whose describe call has none.
      type: str
    tags:
      description: All tags.
      type: dict
"""

WORKERS = 10

Finding = dict[str, Any]


@dataclass(frozen=True)
class Query:
    """One resource to look up: by ``name``, or by the ownership ``tags`` when the name is empty."""

    type: str
    name: str
    vpc_id: str
    tags: Mapping[str, str]
    attributes: bool = False


@dataclass(frozen=True)
class Ec2Type:
    """How one EC2 type is listed.

    Operation, list and id in its answer, its filters' names (empty: no such filter), and the keys of ARN and name in
    the answer (empty: no ARN; the name is a tag).
    """

    operation: str
    result: str
    id: str
    name_filter: str = "tag:Name"
    vpc_filter: str = "vpc-id"
    arn: str = ""
    name: str = ""
    arguments: tuple[tuple[str, Any], ...] = ()


EC2_TYPES = {
    "vpc": Ec2Type("describe_vpcs", "Vpcs", "VpcId", vpc_filter=""),
    "internet_gateway": Ec2Type(
        "describe_internet_gateways", "InternetGateways", "InternetGatewayId", vpc_filter="attachment.vpc-id"
    ),
    "subnet": Ec2Type("describe_subnets", "Subnets", "SubnetId", arn="SubnetArn"),
    "route_table": Ec2Type("describe_route_tables", "RouteTables", "RouteTableId"),
    "security_group": Ec2Type(
        "describe_security_groups",
        "SecurityGroups",
        "GroupId",
        name_filter="group-name",
        arn="SecurityGroupArn",
        name="GroupName",
    ),
    "vpc_endpoint": Ec2Type("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    "instance_connect_endpoint": Ec2Type(
        "describe_instance_connect_endpoints",
        "InstanceConnectEndpoints",
        "InstanceConnectEndpointId",
        arn="InstanceConnectEndpointArn",
    ),
    "key_pair": Ec2Type(
        "describe_key_pairs",
        "KeyPairs",
        "KeyPairId",
        name_filter="key-name",
        vpc_filter="",
        name="KeyName",
        arguments=(("IncludePublicKey", True),),
    ),
    "launch_template": Ec2Type(
        "describe_launch_templates",
        "LaunchTemplates",
        "LaunchTemplateId",
        name_filter="launch-template-name",
        vpc_filter="",
        name="LaunchTemplateName",
    ),
    "image": Ec2Type(
        "describe_images",
        "Images",
        "ImageId",
        name_filter="name",
        vpc_filter="",
        name="Name",
        arguments=(("Owners", ["self"]),),
    ),
    "snapshot": Ec2Type(
        "describe_snapshots", "Snapshots", "SnapshotId", vpc_filter="", arguments=(("OwnerIds", ["self"]),)
    ),
    "nat_gateway": Ec2Type("describe_nat_gateways", "NatGateways", "NatGatewayId"),
    "elastic_ip": Ec2Type("describe_addresses", "Addresses", "AllocationId", vpc_filter=""),
}

# Types that can be looked up by the ownership tags alone.
LISTED_BY_TAGS = frozenset({*EC2_TYPES, "instance", "db_snapshot"})

# Connect endpoints and NAT gateways stay listed for a while after they were deleted.
GONE_STATES = ("delete-complete", "deleted")


def error_code(error: Any) -> str:
    """Return the error code of a botocore ``ClientError``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def finding(
    description: Mapping[str, Any], name: str, resource_id: str, arn: str, tags: Mapping[str, str] | None
) -> Finding:
    """Make the returned form of a resource out of the description its service gave.

    ``tags`` is None when the service does not say them now: the tagging API is asked for them later.
    """
    plain = camel_dict_to_snake_dict(normalize_boto3_result(description), ignore_list=["Tags", "TagList"])
    plain.pop("tag_list", None)
    return {**plain, "name": name, "id": resource_id, "arn": arn, "tags": tags if tags is None else dict(tags)}


def ec2_filters(query: Query, name_filter: str, vpc_filter: str) -> list[dict[str, Any]]:
    """Write the query as filters of EC2's describe calls."""
    wanted = {name_filter: query.name} if query.name else {f"tag:{key}": value for key, value in query.tags.items()}
    if query.vpc_id and vpc_filter:
        wanted[vpc_filter] = query.vpc_id
    return [{"Name": key, "Values": [value]} for key, value in wanted.items()]


def find_ec2(client: Any, query: Query) -> Iterable[Finding]:
    """Find resources of an EC2 type by name, or by the ownership tags when the query has no name."""
    kind = EC2_TYPES[query.type]
    arguments: dict[str, Any] = {
        **dict(kind.arguments),
        "Filters": ec2_filters(query, kind.name_filter, kind.vpc_filter),
    }
    if client.can_paginate(kind.operation):
        pages = client.get_paginator(kind.operation).paginate(**arguments)
    else:
        pages = [getattr(client, kind.operation)(**arguments)]
    for page in pages:
        for item in page.get(kind.result, []):
            if item.get("State") in GONE_STATES:
                continue
            tags = boto3_tag_list_to_ansible_dict(item.get("Tags", []))
            name = item[kind.name] if kind.name else tags.get("Name", "")
            yield finding(item, name, item[kind.id], item.get(kind.arn, ""), tags)


def find_instance(client: Any, query: Query) -> Iterable[Finding]:
    """Find EC2 instances that have not been terminated."""
    alive = {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}
    pages = client.get_paginator("describe_instances").paginate(
        Filters=[*ec2_filters(query, "tag:Name", "vpc-id"), alive]
    )
    for page in pages:
        for reservation in page["Reservations"]:
            for item in reservation["Instances"]:
                tags = boto3_tag_list_to_ansible_dict(item.get("Tags", []))
                yield finding(item, tags.get("Name", ""), item["InstanceId"], "", tags)


LONGEST_GROUP_NAME = 32
"""CreateTargetGroup, Elastic Load Balancing API."""


def find_load_balancer(client: Any, query: Query) -> Iterable[Finding]:
    """Find a load balancer by its name."""
    for item in client.describe_load_balancers(Names=[query.name])["LoadBalancers"]:
        arn = item["LoadBalancerArn"]
        found = finding(item, query.name, item["LoadBalancerName"], arn, elbv2_tags(client, item))
        if query.attributes:
            asked = client.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
            found["attributes"] = boto3_tag_list_to_ansible_dict(asked)
        yield found


def find_target_group(client: Any, query: Query) -> Iterable[Finding]:
    """Find a target group by its name; AWS refuses to look for one that is longer than a name can be."""
    if len(query.name) > LONGEST_GROUP_NAME:
        return
    for item in client.describe_target_groups(Names=[query.name])["TargetGroups"]:
        yield finding(item, query.name, item["TargetGroupName"], item["TargetGroupArn"], elbv2_tags(client, item))


def elbv2_tags(client: Any, item: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a load balancer or a target group."""
    arn = item.get("LoadBalancerArn") or item["TargetGroupArn"]
    answer = client.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
    return dict(boto3_tag_list_to_ansible_dict(answer))


def find_auto_scaling_group(client: Any, query: Query) -> Iterable[Finding]:
    """Find an Auto Scaling group by its name."""
    for item in client.describe_auto_scaling_groups(AutoScalingGroupNames=[query.name])["AutoScalingGroups"]:
        tags = boto3_tag_list_to_ansible_dict(item.get("Tags", []))
        yield finding(item, query.name, item["AutoScalingGroupName"], item["AutoScalingGroupARN"], tags)


def find_sns_topic(client: Any, query: Query) -> Iterable[Finding]:
    """Find a topic of this account by its name."""
    for page in client.get_paginator("list_topics").paginate():
        for item in page["Topics"]:
            arn = item["TopicArn"]
            if arn.rsplit(":", maxsplit=1)[-1] == query.name:
                tags = boto3_tag_list_to_ansible_dict(client.list_tags_for_resource(ResourceArn=arn)["Tags"])
                yield finding(item, query.name, arn, arn, tags)


def find_log_group(client: Any, query: Query) -> Iterable[Finding]:
    """Find a log group by its name."""
    for page in client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=query.name):
        for item in page["logGroups"]:
            if item["logGroupName"] == query.name:
                arn = item["arn"].removesuffix(":*")
                yield finding(item, query.name, query.name, arn, client.list_tags_for_resource(resourceArn=arn)["tags"])


def find_trail(client: Any, query: Query) -> Iterable[Finding]:
    """Find a trail of this region by its name."""
    for item in client.describe_trails(includeShadowTrails=False)["trailList"]:
        if item["Name"] == query.name:
            tags = client.list_tags(ResourceIdList=[item["TrailARN"]])["ResourceTagList"][0]["TagsList"]
            yield finding(item, query.name, query.name, item["TrailARN"], boto3_tag_list_to_ansible_dict(tags))


def find_iam_role(client: Any, query: Query) -> Iterable[Finding]:
    """Find an IAM role by its name."""
    role = client.get_role(RoleName=query.name)["Role"]
    yield finding(role, query.name, query.name, role["Arn"], boto3_tag_list_to_ansible_dict(role.get("Tags", [])))


def find_iam_instance_profile(client: Any, query: Query) -> Iterable[Finding]:
    """Find an instance profile by its name."""
    profile = client.get_instance_profile(InstanceProfileName=query.name)["InstanceProfile"]
    tags = boto3_tag_list_to_ansible_dict(profile.get("Tags", []))
    yield finding(profile, query.name, query.name, profile["Arn"], tags)


def find_secret(client: Any, query: Query) -> Iterable[Finding]:
    """Find a secret by its name, also one that is scheduled for deletion. Its value is not read."""
    secret = client.describe_secret(SecretId=query.name)
    tags = boto3_tag_list_to_ansible_dict(secret.get("Tags", []))
    secret.pop("ResponseMetadata", None)
    yield finding(secret, query.name, query.name, secret["ARN"], tags)


def find_kms_key(client: Any, query: Query) -> Iterable[Finding]:
    """Find a key by its alias, also one that is scheduled for deletion."""
    key = client.describe_key(KeyId=f"alias/{query.name}")["KeyMetadata"]
    tags = client.list_resource_tags(KeyId=key["KeyId"])["Tags"]
    yield finding(key, query.name, key["KeyId"], key["Arn"], {tag["TagKey"]: tag["TagValue"] for tag in tags})


def find_s3_bucket(client: Any, query: Query) -> Iterable[Finding]:
    """Find a bucket by its name; see the module's notes for an empty bucket without tags."""
    try:
        client.head_bucket(Bucket=query.name)
        tags = boto3_tag_list_to_ansible_dict(client.get_bucket_tagging(Bucket=query.name)["TagSet"])
    except ClientError as error:
        if error_code(error) in ("403", "AccessDenied"):
            tags = {}
        elif error_code(error) == "NoSuchTagSet":
            empty = client.list_objects_v2(Bucket=query.name, MaxKeys=1).get("KeyCount", 0) == 0
            tags = dict(query.tags) if empty else {}
        else:
            raise
    yield finding({}, query.name, query.name, f"arn:aws:s3:::{query.name}", tags)


def find_db_instance(client: Any, query: Query) -> Iterable[Finding]:
    """Find a database instance by its identifier."""
    for item in client.describe_db_instances(DBInstanceIdentifier=query.name)["DBInstances"]:
        tags = boto3_tag_list_to_ansible_dict(item.get("TagList", []))
        yield finding(item, query.name, item["DBInstanceIdentifier"], item["DBInstanceArn"], tags)


def find_db_snapshot(client: Any, query: Query) -> Iterable[Finding]:
    """Find the manual snapshots, of one or any database instance, that are ours; somebody else's are no conflict."""
    instance = {"DBInstanceIdentifier": query.name} if query.name else {}
    pages = client.get_paginator("describe_db_snapshots").paginate(SnapshotType="manual", **instance)
    for page in pages:
        for item in page["DBSnapshots"]:
            tags = boto3_tag_list_to_ansible_dict(item.get("TagList", []))
            if owned_by(tags, query.tags):
                snapshot = item["DBSnapshotIdentifier"]
                yield finding(item, snapshot, snapshot, item["DBSnapshotArn"], tags)


def find_db_subnet_group(client: Any, query: Query) -> Iterable[Finding]:
    """Find a database subnet group by its name."""
    for item in client.describe_db_subnet_groups(DBSubnetGroupName=query.name)["DBSubnetGroups"]:
        arn = item["DBSubnetGroupArn"]
        tags = boto3_tag_list_to_ansible_dict(client.list_tags_for_resource(ResourceName=arn)["TagList"])
        yield finding(item, query.name, item["DBSubnetGroupName"], arn, tags)


def find_web_acl(client: Any, query: Query) -> Iterable[Finding]:
    """Find a web ACL of the scope that the type names. There is no paginator for them."""
    marker: dict[str, str] = {}
    while True:
        answer = client.list_web_acls(Scope=query.type.removeprefix("web_acl_").upper(), Limit=100, **marker)
        for item in answer["WebACLs"]:
            if item["Name"] == query.name:
                tags = client.list_tags_for_resource(ResourceARN=item["ARN"])["TagInfoForResource"]["TagList"]
                yield finding(item, query.name, item["Id"], item["ARN"], boto3_tag_list_to_ansible_dict(tags))
        if not answer.get("NextMarker"):
            return
        marker = {"NextMarker": answer["NextMarker"]}


def find_health_check(client: Any, query: Query) -> Iterable[Finding]:
    """Find the health checks that ask a domain name; see the module's notes for one without tags."""
    for page in client.get_paginator("list_health_checks").paginate():
        for item in page["HealthChecks"]:
            if item["HealthCheckConfig"].get("FullyQualifiedDomainName") == query.name:
                asked = client.list_tags_for_resource(ResourceType="healthcheck", ResourceId=item["Id"])
                tags = boto3_tag_list_to_ansible_dict(asked["ResourceTagSet"]["Tags"]) or dict(query.tags)
                yield finding(item, query.name, item["Id"], f"arn:aws:route53:::healthcheck/{item['Id']}", tags)


def find_db_parameter_group(client: Any, query: Query) -> Iterable[Finding]:
    """Find a database parameter group by its name."""
    for item in client.describe_db_parameter_groups(DBParameterGroupName=query.name)["DBParameterGroups"]:
        arn = item["DBParameterGroupArn"]
        tags = boto3_tag_list_to_ansible_dict(client.list_tags_for_resource(ResourceName=arn)["TagList"])
        yield finding(item, query.name, item["DBParameterGroupName"], arn, tags)


def find_replication_group(client: Any, query: Query) -> Iterable[Finding]:
    """Find a cache by its name. One that is being deleted is nobody's."""
    for item in client.describe_replication_groups(ReplicationGroupId=query.name)["ReplicationGroups"]:
        if item["Status"] != "deleting":
            yield finding(
                item, query.name, item["ReplicationGroupId"], item["ARN"], replication_group_tags(client, item)
            )


def replication_group_tags(client: Any, item: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the tags of a cache; None while it is created, changed or saved, when ElastiCache does not say them."""
    if item["Status"] != "available":
        return None
    try:
        return elasticache_tags(client, item)
    except ClientError as error:
        # A snapshot of it has begun since.
        if error_code(error) == "InvalidReplicationGroupState":
            return None
        raise


def find_cache_subnet_group(client: Any, query: Query) -> Iterable[Finding]:
    """Find a cache's subnet group by its name."""
    for item in client.describe_cache_subnet_groups(CacheSubnetGroupName=query.name)["CacheSubnetGroups"]:
        yield finding(item, query.name, item["CacheSubnetGroupName"], item["ARN"], elasticache_tags(client, item))


def elasticache_tags(client: Any, item: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a cache or its subnet group."""
    return dict(boto3_tag_list_to_ansible_dict(client.list_tags_for_resource(ResourceName=item["ARN"])["TagList"]))


Finder = Callable[[Any, Query], Iterable[Finding]]

# type: (service, finder, the words for it in a message, the command that adopts it)
TYPES: dict[str, tuple[str, Finder, str, str]] = {
    "iam_role": ("iam", find_iam_role, "IAM role", "aws iam tag-role --role-name {id} --tags {iam_tags}"),
    "iam_instance_profile": (
        "iam",
        find_iam_instance_profile,
        "instance profile",
        "aws iam tag-instance-profile --instance-profile-name {id} --tags {iam_tags}",
    ),
    "secret": (
        "secretsmanager",
        find_secret,
        "secret",
        "aws secretsmanager tag-resource --secret-id {id} --tags {iam_tags}",
    ),
    "kms_key": (
        "kms",
        find_kms_key,
        "KMS key",
        "aws kms tag-resource --key-id {id} --tags {key_tags}",
    ),
    "s3_bucket": (
        "s3",
        find_s3_bucket,
        "S3 bucket",
        "aws resourcegroupstaggingapi tag-resources --resource-arn-list {arn} --tags {plain_tags}",
    ),
    **{
        name: ("rds", finder, words, "aws rds add-tags-to-resource --resource-name {arn} --tags {iam_tags}")
        for name, finder, words in (
            ("db_instance", find_db_instance, "database instance"),
            ("db_parameter_group", find_db_parameter_group, "database parameter group"),
            ("db_snapshot", find_db_snapshot, "database snapshot"),
            ("db_subnet_group", find_db_subnet_group, "database subnet group"),
        )
    },
    **{
        name: (
            "elasticache",
            finder,
            words,
            "aws elasticache add-tags-to-resource --resource-name {arn} --tags {iam_tags}",
        )
        for name, finder, words in (
            ("replication_group", find_replication_group, "cache"),
            ("cache_subnet_group", find_cache_subnet_group, "cache subnet group"),
        )
    },
    **{
        name: ("ec2", find_ec2, words, "aws ec2 create-tags --resources {id} --tags {iam_tags}")
        for name, words in (
            ("vpc", "VPC"),
            ("internet_gateway", "internet gateway"),
            ("subnet", "subnet"),
            ("route_table", "route table"),
            ("security_group", "security group"),
            ("vpc_endpoint", "VPC endpoint"),
            ("instance_connect_endpoint", "EC2 Instance Connect Endpoint"),
            ("key_pair", "EC2 key pair"),
            ("launch_template", "launch template"),
            ("image", "machine image"),
            ("snapshot", "disk snapshot"),
            ("elastic_ip", "Elastic IP address"),
            ("nat_gateway", "NAT gateway"),
        )
    },
    "instance": ("ec2", find_instance, "EC2 instance", "aws ec2 create-tags --resources {id} --tags {iam_tags}"),
    "load_balancer": (
        "elbv2",
        find_load_balancer,
        "load balancer",
        "aws elbv2 add-tags --resource-arns {arn} --tags {iam_tags}",
    ),
    "target_group": (
        "elbv2",
        find_target_group,
        "target group",
        "aws elbv2 add-tags --resource-arns {arn} --tags {iam_tags}",
    ),
    "auto_scaling_group": (
        "autoscaling",
        find_auto_scaling_group,
        "Auto Scaling group",
        "aws autoscaling create-or-update-tags --tags {group_tags}",
    ),
    **{
        f"web_acl_{scope}": (
            "wafv2",
            find_web_acl,
            f"{scope} web ACL",
            "aws wafv2 tag-resource --resource-arn {arn} --tags {iam_tags}",
        )
        for scope in ("cloudfront", "regional")
    },
    "health_check": (
        "route53",
        find_health_check,
        "health check",
        "aws route53 change-tags-for-resource --resource-type healthcheck --resource-id {id} --add-tags {iam_tags}",
    ),
    "trail": (
        "cloudtrail",
        find_trail,
        "trail",
        "aws cloudtrail add-tags --resource-id {arn} --tags-list {iam_tags}",
    ),
    "log_group": (
        "logs",
        find_log_group,
        "log group",
        "aws logs tag-resource --resource-arn {arn} --tags {plain_tags}",
    ),
    "sns_topic": (
        "sns",
        find_sns_topic,
        "SNS topic",
        "aws sns tag-resource --resource-arn {arn} --tags {iam_tags}",
    ),
}

NOT_FOUND = frozenset(
    {
        "404",
        "NoSuchBucket",
        "NoSuchEntity",
        "NotFoundException",
        "ResourceNotFoundException",
        "CacheSubnetGroupNotFoundFault",
        "DBInstanceNotFound",
        "DBInstanceNotFoundFault",
        "DBParameterGroupNotFound",
        "DBSubnetGroupNotFoundFault",
        "InvalidKeyPair.NotFound",
        "InvalidLaunchTemplateName.NotFoundException",
        "LoadBalancerNotFound",
        "ReplicationGroupNotFoundFault",
        "TargetGroupNotFound",
    }
)


def look_up(client: Any, query: Query) -> list[Finding]:
    """Return what matches the query, nothing when the service does not know the name.

    Raises ``ClientError`` or ``BotoCoreError`` for anything but an unknown name.
    """
    try:
        return list(TYPES[query.type][1](client, query))
    except ClientError as error:
        if error_code(error) in NOT_FOUND:
            return []
        raise


def foreign_message(query: Query, found: Finding) -> str:
    """Say which resource is in the way and what mends it."""
    _service, _finder, words, adopt = TYPES[query.type]
    command = adopt.format(
        id=found["id"],
        arn=found["arn"],
        iam_tags=" ".join(f"Key={key},Value={value}" for key, value in query.tags.items()),
        key_tags=" ".join(f"TagKey={key},TagValue={value}" for key, value in query.tags.items()),
        plain_tags=",".join(f"{key}={value}" for key, value in query.tags.items()),
        group_tags=" ".join(
            f"ResourceId={found['id']},ResourceType=auto-scaling-group,Key={key},Value={value},PropagateAtLaunch=false"
            for key, value in query.tags.items()
        ),
    )
    tags = " and ".join(f"{key}={value}" for key, value in query.tags.items())
    resource_id = "" if found["id"] == query.name else f" ({found['id']})"
    return (
        f"The {words} {query.name}{resource_id} exists, but lacks the tags {tags}, so it is not ours to change. "
        f"Delete it, or choose another app_name or deploy_env, or, if it is yours, adopt it: {command}"
    )


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "tags": {"type": "dict", "required": True},
            "resources": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "type": {"type": "str", "required": True, "choices": sorted(TYPES)},
                    "name": {"type": "str"},
                    "vpc_id": {"type": "str"},
                    "attributes": {"type": "bool", "default": False},
                },
            },
        },
        supports_check_mode=True,
    )
    ownership = {key: module.params["tags"].get(key) for key in OWNERSHIP_KEYS}
    if not all(ownership.values()):
        module.fail_json(msg=f"tags must contain {' and '.join(OWNERSHIP_KEYS)}.")
    queries = [
        Query(item["type"], item["name"] or "", item["vpc_id"] or "", ownership, item["attributes"])
        for item in module.params["resources"]
    ]
    for query in queries:
        if not query.name and query.type not in LISTED_BY_TAGS:
            module.fail_json(msg=f"A {query.type} can only be looked up by name.")
    # Clients are made here because making them is not safe in threads; using them is.
    clients = {service: module.client(service) for service in sorted({TYPES[query.type][0] for query in queries})}
    try:
        with ThreadPoolExecutor(WORKERS) as pool:
            answers = list(pool.map(lambda query: look_up(clients[TYPES[query.type][0]], query), queries))
        for item in (item for found in answers for item in found if item["tags"] is None):
            item["tags"] = listed_tags(module.client("resourcegroupstaggingapi"), item["arn"])
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg="Looking up existing resources failed")

    resources: dict[str, list[Finding]] = {query.type: [] for query in queries}
    foreign = []
    for query, found in zip(queries, answers, strict=True):
        resources[query.type] += found
        foreign += [foreign_message(query, item) for item in found if not owned_by(item["tags"], ownership)]
    if foreign:
        module.fail_json(msg="\n".join(foreign), resources=resources)
    for items in resources.values():
        items.sort(key=lambda item: item["name"])
    module.exit_json(changed=False, resources=resources)


if __name__ == "__main__":
    main()
