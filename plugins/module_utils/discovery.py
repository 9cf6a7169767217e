"""The live state of one environment, read from AWS in parallel.

:func:`discover` asks every service at the same time and puts the answers into one dict, ``stack``, which always has
the same keys (:data:`EMPTY`). What is ours is decided by tags (:mod:`plugins.module_utils.ownership`); for the few
kinds that cannot carry tags, by the marker in their description. Three lists come with it:

* ``resources``: everything owned. A kind that a service lists itself is taken from there, because the tagging API goes
  on naming what was deleted for a while; whatever else the tagging API names is added.
* ``foreign``: what has one of our names without our tags.
* ``retained``: what is ours and kept on purpose after a destroy (final database snapshots).
"""

from __future__ import annotations

import copy
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from plugins.module_utils.alias_shares import shares
from plugins.module_utils.aws_session import aws_session
from plugins.module_utils.convergence import Document, Record, documents, lasts, read_record
from plugins.module_utils.details import DETAILS
from plugins.module_utils.inputs import LONGEST_NAME
from plugins.module_utils.listener_rules import shares_of
from plugins.module_utils.maintenance import NOT_ON, PRIORITIES, from_parameter, from_rule
from plugins.module_utils.ownership import foreign as foreign_message
from plugins.module_utils.ownership import listed_tags, owned_by

#: CloudFront and its certificates live in this region, wherever the environment is.
GLOBAL_REGION = "us-east-1"
WORKERS = 16
#: The tiers that have nothing of what MORE_READERS list.
SMALL_TIERS = frozenset({"", "minimal", "basic"})
#: Those that have nothing of what CONTAINER_READERS list.
WITHOUT_CONTAINERS = SMALL_TIERS | {"full", "serverless"}
RETAIN_TAG = "vahana:retain"
#: A database that another one has replaced, and one that is being proven and goes again.
KEPT_TAG = "vahana:kept"
THROWAWAY_TAG = "vahana:throwaway"
#: Of databases that nobody uses.
UNUSED_TAGS = frozenset({KEPT_TAG, THROWAWAY_TAG})
LAYER_TAG = "vahana:layer"
ROLE_TAG = "vahana:role"

#: Of deployments of containers, as ECS calls it, and the states of one that has not ended (API_ServiceDeployment).
BLUE_GREEN = "BLUE_GREEN"
UNDER_WAY = ["PENDING", "IN_PROGRESS", "STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"]

#: What is on the second target group of a service that is deployed blue/green: the service's name.
ALTERNATE_TAG = "vahana:alternate"
#: How the names of dead letter queues end.
DEAD_LETTER = "-dlq"
#: Messages that nobody has taken yet, that somebody works on, and that are not to be seen yet.
WAITING = tuple(f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed"))
#: The alias of a function that visitors ask.
ALIAS = "live"
#: How the names end that an HTTP API or a load balancer has of its own: by them health checks ask one region.
AWS_NAMES = ".amazonaws.com"
#: What services say of something that is not there.
GONE = frozenset(
    {
        "InvalidResourceId",
        "NoSuchEntity",
        "NoSuchHealthCheck",
        "NoSuchHostedZone",
        "NoSuchResource",
        "RepositoryNotFoundException",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "WAFNonexistentItemException",
    }
)

EMPTY: dict[str, Any] = {
    "account_id": "",
    "region": "",
    "regions": [],
    "domain": "",
    "tier": "",
    "release": "",
    "image": {"ami_id": "", "name": "", "hash": "", "builder_instance_ids": [], "snapshot_ids": []},
    "identity": {
        "instance_role_name": "",
        "instance_role_arn": "",
        "instance_profile_name": "",
        "instance_profile_arn": "",
        "key_name": "",
        "database_secret_arn": "",
        "backend_secret_arn": "",
        "cache_secret_arn": "",
        "encryption_key_arn": "",
    },
    "network": {
        "vpc_id": "",
        "vpc_cidr": "",
        "internet_gateway_id": "",
        "public_subnet_ids": [],
        "private_subnet_ids": [],
        "database_subnet_ids": [],
        "route_table_ids": [],
        "security_group_ids": {},
        "connect_endpoint_id": "",
        "interface_endpoints": 0,
        "nat_gateway_ids": [],
        "nat_allocation_ids": [],
        "flow_log_ids": [],
        "availability_zones": [],
    },
    "storage": {
        "releases_bucket": "",
        "frontend_bucket": "",
        "frontend_bucket_domain": "",
        "audit_bucket": "",
        "images_bucket": "",
        "images_bucket_domain": "",
        "logs_bucket": "",
    },
    "database": {
        "identifier": "",
        "arn": "",
        "status": "",
        "created": "",
        "address": "",
        "port": "",
        "name": "",
        "subnet_group": "",
        "instance_class": "",
        "allocated_storage": "",
        "multi_az": "",
        "engine_version": "",
        "parameter_group": "",
        "parameters": "",
        "source_arn": "",
        "secret_arn": "",
        "kept": [],
        "replica": {
            "identifier": "",
            "arn": "",
            "status": "",
            "address": "",
            "instance_class": "",
            "allocated_storage": "",
            "parameters": "",
        },
    },
    "cache": {
        "identifier": "",
        "arn": "",
        "status": "",
        "address": "",
        "port": "",
        "node_type": "",
        "nodes": "",
        "engine_version": "",
        "members": [],
    },
    "load_balancer": {
        "arn": "",
        "name": "",
        "dns_name": "",
        "zone_id": "",
        "target_group_arn": "",
        "path_group_arns": {},
        "alternate_group_arns": {},
        "rule_arns": {},
        "listener_arns": {},
        "targets": {},
    },
    "compute": {
        "auto_scaling_group": "",
        "desired_capacity": "",
        "min_size": "",
        "max_size": "",
        "suspended_processes": [],
        "launch_template_id": "",
        "instance_ids": [],
        "instances": [],
        "elastic_ip": "",
        "allocation_id": "",
    },
    "edge": {
        "distribution_id": "",
        "distribution_arn": "",
        "domain_name": "",
        "origin_access_control_id": "",
        "function_name": "",
        "certificate_arn": "",
        "load_balancer_certificate_arn": "",
    },
    "audit": {"trail_arn": "", "budget": ""},
    "firewall": {"cloudfront_acl_arn": "", "load_balancer_acl_arn": "", "rules": 0},
    "dns": {"domain": "", "zone_id": "", "zone_name": "", "records": [], "health_check_id": "", "health_checks": {}},
    "monitoring": {"topic_arn": "", "alarm_names": [], "alarms": [], "dashboard": ""},
    "table": {"name": "", "arn": "", "kept": []},
    "api": {
        "api_id": "",
        "endpoint": "",
        "function_names": [],
        "releases": {},
        "role_names": [],
        "log_groups": [],
        "parameter_names": [],
        "domain_name": "",
        "domain_target": "",
    },
    "containers": {
        "cluster": "",
        "strategy": "",
        "bake_minutes": "",
        "services": [],
        "versions": {},
        "role_names": [],
        "secret_names": [],
        "log_groups": [],
    },
    "queue": {"urls": {}, "arns": {}, "dead_letter_arns": {}, "messages": {}},
    "functions": {"names": [], "role_names": [], "log_groups": []},
    "pipeline": {"name": "", "arn": "", "connection_arn": "", "connection_status": ""},
    "maintenance": NOT_ON,
    "resources": [],
    "foreign": [],
    "retained": [],
}


@dataclass(frozen=True)
class Environment:
    """Which environment to look for: application, environment name and AWS region."""

    app: str
    env: str
    region: str

    @property
    def name_prefix(self) -> str:
        """Prefix of AWS names, e.g. ``vahanhelp-prod``."""
        return f"{self.app}-{self.env}"

    @property
    def path_group_prefix(self) -> str:
        """Prefix of the target groups of paths, whose names have no room for a region's, e.g. ``vahanhelp-prod-``."""
        return f"{self.name_prefix.removesuffix(f'-{self.region}')}-"

    @property
    def parameter_prefix(self) -> str:
        """Path of parameters and secrets, e.g. ``/vahanhelp/prod``."""
        return f"/{self.app}/{self.env}"

    @property
    def tags(self) -> dict[str, str]:
        """The tags that make a resource ours."""
        return {"vahana:app": self.app, "vahana:env": self.env}

    @property
    def marker(self) -> str:
        """What stands in the description of a resource that cannot carry tags."""
        return " ".join(f"{key}={value}" for key, value in self.tags.items())

    @property
    def filters(self) -> list[dict[str, Any]]:
        """The ownership tags as filters of EC2 and Auto Scaling calls."""
        return [{"Name": f"tag:{key}", "Values": [value]} for key, value in self.tags.items()]


@dataclass(frozen=True)
class Resource:
    """One thing that AWS lists.

    :param kind: name of the kind as ARNs have it, e.g. ``ec2:subnet``.
    :param tags: tags; for a kind without tags the ownership tags when its marker is there.
    :param unique: the name was looked for because we would use it, so that without our tags it is in our way.
    :param description: the answer of the service's own call.
    """

    kind: str
    id: str
    arn: str
    tags: Mapping[str, str]
    unique: bool
    description: Mapping[str, Any]

    @property
    def service(self) -> str:
        """Service part of the kind, e.g. ``ec2``."""
        return self.kind.partition(":")[0]

    def listed(self) -> dict[str, str]:
        """Return the entry for the lists in ``stack``."""
        return {
            "arn": self.arn,
            "service": self.service,
            "type": self.kind.partition(":")[2],
            "id": self.id,
            "layer": self.tags.get(LAYER_TAG, ""),
        }


class Clients(Mapping[str, Any]):
    """A client for each service, made when somebody asks for it. Its name is boto3's, or one of :data:`ALIASES`.

    They are made one after the other: making them in threads is not safe, using them is.
    """

    ALIASES: Mapping[str, str] = {"tagging": "resourcegroupstaggingapi"}

    def __init__(self, session: boto3.Session, region: str) -> None:
        self._session, self._region = session, region
        self._made: dict[str, Any] = {}
        self._one_at_a_time = threading.Lock()
        self._config = Config(
            connect_timeout=5,
            read_timeout=30,
            retries={"mode": "standard", "total_max_attempts": 8},
            max_pool_connections=8,
        )

    def __getitem__(self, name: str) -> Any:
        """Return the client of a service; of "<service> <region>" or "<service> global" the one there."""
        with self._one_at_a_time:
            if name not in self._made:
                service, _, where = name.partition(" ")
                self._made[name] = self._session.client(
                    self.ALIASES.get(service, service),  # type: ignore[call-overload]
                    region_name={"": self._region, "global": GLOBAL_REGION}.get(where, where),
                    config=self._config,
                )
            return self._made[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of those that were made."""
        return iter(self._made)

    def __len__(self) -> int:
        """Return how many were made."""
        return len(self._made)


@dataclass(frozen=True)
class Aws:
    """What the readers are given: the environment, a client for each service, and the account's number.

    :param tier: the tier of the run; empty when it is the one that is deployed.
    """

    environment: Environment
    clients: Mapping[str, Any]
    account_id: str
    tier: str = ""

    @property
    def releases_bucket(self) -> str:
        """Name of the bucket of releases, whether there is one or not."""
        return f"{self.environment.name_prefix}-releases-{self.account_id}"

    def arn(self, service: str, resource: str, *, region: str | None = None) -> str:
        """Make an ARN for the kinds whose list calls return none."""
        where = self.environment.region if region is None else region
        return f"arn:aws:{service}:{where}:{self.account_id}:{resource}"


Reader = Callable[[Aws], Iterable[Resource]]


def tags_of(pairs: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
    """Turn ``[{"Key": …, "Value": …}]`` into a dict."""
    return {pair["Key"]: pair.get("Value", "") for pair in pairs or ()}


def lower_tags_of(pairs: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
    """Turn ``[{"key": …, "value": …}]``, as ECS has it, into a dict."""
    return {pair["key"]: pair.get("value", "") for pair in pairs or ()}


def error_code(error: ClientError) -> str:
    """Return the code of an AWS error, e.g. ``NoSuchEntity``."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def unless_gone() -> Iterator[None]:
    """Pass over what is asked about one resource when that has been deleted since it was listed."""
    try:
        yield
    except ClientError as error:
        if error_code(error) not in GONE:
            raise


def pages(client: Any, operation: str, key: str, **arguments: Any) -> Iterator[dict[str, Any]]:
    """Yield the items of every page of a list call."""
    if client.can_paginate(operation):
        for page in client.get_paginator(operation).paginate(**arguments):
            yield from page.get(key, [])
    else:
        yield from getattr(client, operation)(**arguments).get(key, [])


def pages_by(token: str, call: Callable[..., Any], key: str, **arguments: Any) -> Iterator[dict[str, Any]]:
    """Yield the items of every page of a list call that has no paginator; ``token`` names the next page, both ways."""
    while True:
        page = call(**arguments)
        yield from page[key]
        if not page.get(token):
            return
        arguments[token] = page[token]


def _ec2(kind: str, operation: str, key: str, identity: str, gone: tuple[str, ...] = (), **arguments: Any) -> Reader:
    """Make the reader of an EC2 kind that is found by our tags."""

    def read(aws: Aws) -> Iterator[Resource]:
        filters = aws.environment.filters
        for item in pages(aws.clients["ec2"], operation, key, Filters=filters, **arguments):
            state = item.get("State")
            if (state.get("Name") if isinstance(state, dict) else state) in gone:
                continue
            arn = aws.arn("ec2", f"{kind}/{item[identity]}")
            yield Resource(f"ec2:{kind}", item[identity], arn, tags_of(item.get("Tags")), False, item)

    return read


def _instances(aws: Aws) -> Iterator[Resource]:
    states = {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped", "shutting-down"]}
    filters = [*aws.environment.filters, states]
    for reservation in pages(aws.clients["ec2"], "describe_instances", "Reservations", Filters=filters):
        for item in reservation["Instances"]:
            arn = aws.arn("ec2", f"instance/{item['InstanceId']}")
            yield Resource("ec2:instance", item["InstanceId"], arn, tags_of(item.get("Tags")), False, item)


def _key_pairs(aws: Aws) -> Iterator[Resource]:
    names = [{"Name": "key-name", "Values": [aws.environment.name_prefix]}]
    for item in pages(aws.clients["ec2"], "describe_key_pairs", "KeyPairs", Filters=names):
        arn = aws.arn("ec2", f"key-pair/{item['KeyPairId']}")
        yield Resource("ec2:key-pair", item["KeyName"], arn, tags_of(item.get("Tags")), True, item)


def _launch_templates(aws: Aws) -> Iterator[Resource]:
    names = [{"Name": "launch-template-name", "Values": [f"{aws.environment.name_prefix}-backend"]}]
    for item in pages(aws.clients["ec2"], "describe_launch_templates", "LaunchTemplates", Filters=names):
        arn = aws.arn("ec2", f"launch-template/{item['LaunchTemplateId']}")
        yield Resource("ec2:launch-template", item["LaunchTemplateId"], arn, tags_of(item.get("Tags")), True, item)


def _iam(aws: Aws) -> Iterator[Resource]:
    iam, name = aws.clients["iam"], f"{aws.environment.name_prefix}-instance"
    for kind, call, key, argument in (
        ("role", iam.get_role, "Role", "RoleName"),
        ("instance-profile", iam.get_instance_profile, "InstanceProfile", "InstanceProfileName"),
    ):
        try:
            item = call(**{argument: name})[key]
        except iam.exceptions.NoSuchEntityException:
            continue
        yield Resource(f"iam:{kind}", name, item["Arn"], tags_of(item.get("Tags")), True, item)


def _secrets(aws: Aws) -> Iterator[Resource]:
    prefix = f"{aws.environment.parameter_prefix}/"
    filters = [{"Key": "name", "Values": [prefix]}]
    # A secret that is scheduled for deletion is not listed: it is gone unless somebody restores it.
    for item in pages(aws.clients["secretsmanager"], "list_secrets", "SecretList", Filters=filters):
        yield Resource("secretsmanager:secret", item["Name"], item["ARN"], tags_of(item.get("Tags")), True, item)


def _keys(aws: Aws) -> Iterator[Resource]:
    """Read the key by its alias, and any other that has our tags: whoever was killed between the two has left one."""
    kms, alias = aws.clients["kms"], f"alias/{aws.environment.name_prefix}"
    found = {item["ResourceARN"] for item in _tagged(aws, "tagging", ResourceTypeFilters=["kms:key"])}
    try:
        named = kms.describe_key(KeyId=alias)["KeyMetadata"]["Arn"]
    except kms.exceptions.NotFoundException:
        named = ""
    for arn in sorted({*found, named} - {""}):
        try:
            item = kms.describe_key(KeyId=arn)["KeyMetadata"]
        except kms.exceptions.NotFoundException:
            # What has come to its end may still be listed.
            continue
        # What waits for its end is gone unless a run takes it back.
        if item["KeyState"] != "PendingDeletion":
            tags = {tag["TagKey"]: tag["TagValue"] for tag in pages(kms, "list_resource_tags", "Tags", KeyId=arn)}
            yield Resource("kms:key", item["KeyId"], arn, tags, arn == named, {**item, "Named": arn == named})


def _parameters(aws: Aws) -> Iterator[Resource]:
    ssm = aws.clients["ssm"]
    asked = {"Path": aws.environment.parameter_prefix, "Recursive": True}
    for item in pages(ssm, "get_parameters_by_path", "Parameters", **asked):
        with unless_gone():
            tags = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=item["Name"])["TagList"]
            arn = item.get("ARN") or aws.arn("ssm", f"parameter{item['Name']}")
            yield Resource("ssm:parameter", item["Name"], arn, tags_of(tags), True, item)


def _bucket(suffix: str) -> Reader:
    def read(aws: Aws) -> Iterator[Resource]:
        s3, name = aws.clients["s3"], f"{aws.environment.name_prefix}-{suffix}-{aws.account_id}"
        try:
            region = s3.head_bucket(Bucket=name).get("BucketRegion") or aws.environment.region
            tags = tags_of(s3.get_bucket_tagging(Bucket=name)["TagSet"])
        except ClientError as error:
            code = error_code(error)
            if code in ("404", "NoSuchBucket"):
                return
            if code == "NoSuchTagSet":
                # S3 tags a bucket in a second call: an empty one without tags is what an interrupted run left.
                empty = s3.list_objects_v2(Bucket=name, MaxKeys=1).get("KeyCount", 0) == 0
                tags, region = (dict(aws.environment.tags) if empty else {}), aws.environment.region
            elif code in ("403", "AccessDenied"):
                # Bucket names are the whole world's: somebody else's account has this one.
                tags, region = {}, ""
            else:
                raise
        yield Resource("s3:bucket", name, f"arn:aws:s3:::{name}", tags, True, {"suffix": suffix, "region": region})

    return read


def _database(aws: Aws) -> Iterator[Resource]:
    rds, name = aws.clients["rds"], aws.environment.name_prefix
    # A restored database has a name of its own: ours are found by their tags, and who has our name is in our way.
    for item in pages(rds, "describe_db_instances", "DBInstances"):
        tags, unique = tags_of(item.get("TagList")), item["DBInstanceIdentifier"] == name
        if unique or owned_by(tags, aws.environment.tags):
            yield Resource("rds:db", item["DBInstanceIdentifier"], item["DBInstanceArn"], tags, unique, item)
    try:
        for item in rds.describe_db_subnet_groups(DBSubnetGroupName=name)["DBSubnetGroups"]:
            arn = item["DBSubnetGroupArn"]
            tags = tags_of(rds.list_tags_for_resource(ResourceName=arn)["TagList"])
            yield Resource("rds:subgrp", item["DBSubnetGroupName"], arn, tags, True, item)
    except rds.exceptions.DBSubnetGroupNotFoundFault:
        pass


def _parameter_groups(aws: Aws) -> Iterator[Resource]:
    rds, prefix = aws.clients["rds"], f"{aws.environment.name_prefix}-postgres"
    for item in pages(rds, "describe_db_parameter_groups", "DBParameterGroups"):
        name, arn = item["DBParameterGroupName"], item["DBParameterGroupArn"]
        if name.startswith(prefix):
            tags = tags_of(rds.list_tags_for_resource(ResourceName=arn)["TagList"])
            yield Resource("rds:pg", name, arn, tags, True, item)


def _database_snapshots(aws: Aws) -> Iterator[Resource]:
    rds = aws.clients["rds"]
    for item in pages(rds, "describe_db_snapshots", "DBSnapshots", SnapshotType="manual"):
        tags = tags_of(item.get("TagList"))
        yield Resource("rds:snapshot", item["DBSnapshotIdentifier"], item["DBSnapshotArn"], tags, False, item)


def _caches(aws: Aws) -> Iterator[Resource]:
    cache, name = aws.clients["elasticache"], aws.environment.name_prefix

    def tags(arn: str) -> dict[str, str]:
        return tags_of(cache.list_tags_for_resource(ResourceName=arn)["TagList"])

    try:
        for item in cache.describe_cache_subnet_groups(CacheSubnetGroupName=name)["CacheSubnetGroups"]:
            yield Resource("elasticache:subnetgroup", name, item["ARN"], tags(item["ARN"]), True, item)
    except cache.exceptions.CacheSubnetGroupNotFoundFault:
        pass
    try:
        groups = cache.describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"]
    except cache.exceptions.ReplicationGroupNotFoundFault:
        return
    for item in groups:
        # What a node alone says is the same for all of them.
        nodes = cache.describe_cache_clusters(CacheClusterId=item["MemberClusters"][0])["CacheClusters"]
        node = {key: nodes[0].get(key) for key in ("EngineVersion", "SecurityGroups", "CacheSubnetGroupName")}
        # One that is going answers no questions about its tags.
        going = item["Status"] == "deleting"
        owner = dict(aws.environment.tags) if going else _tags_of_cache(aws, item)
        yield Resource("elasticache:replicationgroup", name, item["ARN"], owner, True, {**item, **node})


def _tags_of_cache(aws: Aws, group: Mapping[str, Any]) -> dict[str, str]:
    """Return a cache's tags, which ElastiCache says only while it is available; the tagging API knows them always."""
    arn, cache = group["ARN"], aws.clients["elasticache"]
    if group["Status"] == "available":
        try:
            return tags_of(cache.list_tags_for_resource(ResourceName=arn)["TagList"])
        # A snapshot of it has begun since.
        except cache.exceptions.InvalidReplicationGroupStateFault:
            pass
    return listed_tags(aws.clients["tagging"], arn)


def _load_balancer(aws: Aws) -> Iterator[Resource]:
    elb, name = aws.clients["elbv2"], aws.environment.name_prefix
    found: list[tuple[str, str, dict[str, Any]]] = []
    try:
        for item in elb.describe_load_balancers(Names=[name])["LoadBalancers"]:
            arn = item["LoadBalancerArn"]
            item["Listeners"] = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
            found.append(("loadbalancer", arn, item))
    except elb.exceptions.LoadBalancerNotFoundException:
        pass
    rules: list[dict[str, Any]] = []
    for _kind, _arn, item in found:
        for listener in item["Listeners"]:
            rules += pages(elb, "describe_rules", "Rules", ListenerArn=listener["ListenerArn"])
        item["PathRules"] = [rule for rule in rules if not rule["IsDefault"] and rule["Priority"] not in PRIORITIES]
        item["Paths"] = [
            {
                **{key: rule[key] for key in ("Priority", "Conditions")},
                "Actions": [_without_weights(action) for action in rule["Actions"]],
            }
            for rule in item["PathRules"]
        ]
    # DescribeTags takes 20 ARNs, and no other rules are ours.
    found += [("listener-rule", rule["RuleArn"], rule) for rule in rules if rule["Priority"] in PRIORITIES]
    try:
        # Where target groups are those of paths, this name may be longer than AWS lets one ask for.
        group = f"{name}-backend"
        asked = elb.describe_target_groups(Names=[group]) if len(group) <= LONGEST_NAME else {"TargetGroups": []}
        for item in asked["TargetGroups"]:
            arn = item["TargetGroupArn"]
            health = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
            item["Targets"] = {target["Target"]["Id"]: target["TargetHealth"]["State"] for target in health}
            found.append(("targetgroup", arn, item))
    except elb.exceptions.TargetGroupNotFoundException:
        pass
    if not found:
        return
    described = elb.describe_tags(ResourceArns=[arn for _kind, arn, _item in found])["TagDescriptions"]
    tags = {entry["ResourceArn"]: tags_of(entry["Tags"]) for entry in described}
    for kind, arn, item in found:
        name = item.get("LoadBalancerName") or item.get("TargetGroupName") or arn.rpartition("/")[2]
        unique = kind != "listener-rule"
        yield Resource(f"elasticloadbalancing:{kind}", name, arn, tags.get(arn, {}), unique, item)


def _without_weights(action: Mapping[str, Any]) -> dict[str, Any]:
    """Return an action of a rule without the weights of two groups, which are the business of ECS."""
    groups = action.get("ForwardConfig", {}).get("TargetGroups", [])
    if len(groups) < 2:
        return dict(action)
    named = [{"TargetGroupArn": group["TargetGroupArn"]} for group in groups]
    return {**action, "ForwardConfig": {**action["ForwardConfig"], "TargetGroups": named}}


def _path_groups(aws: Aws) -> Iterator[Resource]:
    """Read the target groups that a load balancer with paths has in place of the backend's."""
    elb, prefix = aws.clients["elbv2"], aws.environment.path_group_prefix
    groups = {
        item["TargetGroupArn"]: item
        for item in pages(elb, "describe_target_groups", "TargetGroups")
        if item["TargetGroupName"].startswith(prefix) and item["TargetGroupName"] != f"{prefix}backend"
    }
    # DescribeTags takes 20 ARNs.
    for batch in itertools.batched(groups, 20):
        for described in elb.describe_tags(ResourceArns=list(batch))["TagDescriptions"]:
            arn = described["ResourceArn"]
            # The prefix of prod is also the prefix of prod-2: only our tags say which of them is ours.
            tags, name = tags_of(described["Tags"]), groups[arn]["TargetGroupName"]
            yield Resource("elasticloadbalancing:targetgroup", name, arn, tags, False, groups[arn])


def _auto_scaling_group(aws: Aws) -> Iterator[Resource]:
    name = f"{aws.environment.name_prefix}-backend"
    groups = aws.clients["autoscaling"].describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    for item in groups["AutoScalingGroups"]:
        tags = tags_of(item.get("Tags"))
        yield Resource("autoscaling:autoScalingGroup", name, item["AutoScalingGroupARN"], tags, True, item)


def _distributions(aws: Aws) -> Iterator[Resource]:
    cloudfront = aws.clients["cloudfront"]
    for page in cloudfront.get_paginator("list_distributions").paginate():
        for item in page["DistributionList"].get("Items", []):
            if item.get("Comment") != aws.environment.name_prefix:
                continue
            with unless_gone():
                tags = tags_of(cloudfront.list_tags_for_resource(Resource=item["ARN"])["Tags"].get("Items"))
                # Many may have the same comment: it is no name that we would collide with.
                yield Resource("cloudfront:distribution", item["Id"], item["ARN"], tags, False, item)


def _edge_parts(aws: Aws) -> Iterator[Resource]:
    """Read the origin access control, whose description names the owner for it can carry no tags, and the functions."""
    cloudfront, environment = aws.clients["cloudfront"], aws.environment
    controls = cloudfront.list_origin_access_controls().get("OriginAccessControlList", {}).get("Items", [])
    for item in controls:
        if item["Name"] == f"{environment.name_prefix}-frontend":
            tags = _marked(environment, item.get("Description", ""))
            arn = aws.arn("cloudfront", f"origin-access-control/{item['Id']}", region="")
            yield Resource("cloudfront:origin-access-control", item["Id"], arn, tags, True, item)
    for item in cloudfront.list_functions().get("FunctionList", {}).get("Items", []):
        if item["Name"] in (_page_function(environment), f"{environment.name_prefix}-api"):
            arn = item["FunctionMetadata"]["FunctionARN"]
            tags = tags_of(cloudfront.list_tags_for_resource(Resource=arn)["Tags"].get("Items"))
            yield Resource("cloudfront:function", item["Name"], arn, tags, True, item)


def _page_function(environment: Environment) -> str:
    """Return the name of the function that answers every route with the page."""
    return f"{environment.name_prefix}-spa"


def _marked(environment: Environment, description: str) -> dict[str, str]:
    return {**environment.tags, LAYER_TAG: "edge"} if environment.marker == description else {}


def _certificates(client: str) -> Reader:
    def read(aws: Aws) -> Iterator[Resource]:
        acm = aws.clients[client]
        for item in pages(acm, "list_certificates", "CertificateSummaryList"):
            with unless_gone():
                tags = tags_of(acm.list_tags_for_certificate(CertificateArn=item["CertificateArn"]).get("Tags"))
                yield Resource("acm:certificate", item["DomainName"], item["CertificateArn"], tags, False, item)

    return read


def _zones(aws: Aws) -> Iterator[Resource]:
    """Find the zone with our records: a TXT record beside them names their owner, for records carry no tags."""
    route53, owner = aws.clients["route53"], f'"{aws.environment.marker}"'
    for zone in pages(route53, "list_hosted_zones", "HostedZones"):
        zone_id = zone["Id"].rpartition("/")[2]
        tags = route53.list_tags_for_resource(ResourceType="hostedzone", ResourceId=zone_id)["ResourceTagSet"]["Tags"]
        records = list(pages(route53, "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=zone["Id"]))
        domains = {
            record["Name"].removeprefix("_vahana.").rstrip(".")
            for record in records
            if record["Type"] == "TXT"
            and record["Name"].startswith("_vahana.")
            and owner in (value["Value"] for value in record.get("ResourceRecords", []))
        }
        arn = f"arn:aws:route53:::hostedzone/{zone_id}"
        # That of the environment before those below it, as that of its API.
        ordered = sorted(domains, key=lambda domain: (len(domain), domain))
        found = {**zone, "ZoneId": zone_id, "Domains": ordered, "Records": records}
        yield Resource("route53:hostedzone", zone_id, arn, tags_of(tags), False, found)
        for domain in ordered:
            for record in records:
                name = record["Name"].rstrip(".")
                if name == domain or (record["Type"] == "TXT" and name == f"_vahana.{domain}"):
                    # Several of one name and type differ by their identifier.
                    parts = [name, record["Type"], *filter(None, [record.get("SetIdentifier")])]
                    yield Resource(
                        "route53:record",
                        " ".join(parts),
                        f"{arn}/{'/'.join(parts)}",
                        {**aws.environment.tags, LAYER_TAG: "dns"},
                        False,
                        {**record, "ZoneId": zone_id},
                    )


def _health_checks(aws: Aws) -> Iterator[Resource]:
    route53 = aws.clients["route53"]
    for item in pages(route53, "list_health_checks", "HealthChecks"):
        with unless_gone():
            asked = route53.list_tags_for_resource(ResourceType="healthcheck", ResourceId=item["Id"])
            arn = f"arn:aws:route53:::healthcheck/{item['Id']}"
            yield Resource(
                "route53:healthcheck", item["Id"], arn, tags_of(asked["ResourceTagSet"]["Tags"]), False, item
            )


def _alarms(aws: Aws) -> Iterator[Resource]:
    cloudwatch = aws.clients["cloudwatch"]
    prefix = f"{aws.environment.name_prefix}-"
    for item in pages(cloudwatch, "describe_alarms", "MetricAlarms", AlarmNamePrefix=prefix):
        with unless_gone():
            tags = tags_of(cloudwatch.list_tags_for_resource(ResourceARN=item["AlarmArn"])["Tags"])
            # The prefix of prod is also the prefix of prod-2: only our tags say which of them is ours.
            yield Resource("cloudwatch:alarm", item["AlarmName"], item["AlarmArn"], tags, False, item)


def _dashboards(aws: Aws) -> Iterator[Resource]:
    """Read our dashboard, a text in which names the owner, for it can carry no tags."""
    cloudwatch, environment = aws.clients["cloudwatch"], aws.environment
    name = environment.name_prefix
    for item in pages(cloudwatch, "list_dashboards", "DashboardEntries", DashboardNamePrefix=name):
        if item["DashboardName"] == name:
            body = json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])
            texts = [widget.get("properties", {}).get("markdown") for widget in body.get("widgets", [])]
            tags = {**environment.tags, LAYER_TAG: "monitoring"} if environment.marker in texts else {}
            yield Resource("cloudwatch:dashboard", name, item["DashboardArn"], tags, True, {"Body": body})


def _trails(aws: Aws) -> Iterator[Resource]:
    trails, name = aws.clients["cloudtrail"], aws.environment.name_prefix
    for item in trails.describe_trails(includeShadowTrails=False)["trailList"]:
        if item["Name"] == name:
            arn = item["TrailARN"]
            tags = tags_of(trails.list_tags(ResourceIdList=[arn])["ResourceTagList"][0]["TagsList"])
            yield Resource("cloudtrail:trail", name, arn, tags, True, item)


def _budgets(aws: Aws) -> Iterator[Resource]:
    # The API of budgets is the same everywhere.
    budgets, name = aws.clients["budgets"], aws.environment.name_prefix
    arn = aws.arn("budgets", f"budget/{name}", region="")
    try:
        item = budgets.describe_budget(AccountId=aws.account_id, BudgetName=name)["Budget"]
    except budgets.exceptions.NotFoundException:
        return
    tags = tags_of(budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"])
    yield Resource("budgets:budget", name, arn, tags, True, item)


def _topics(aws: Aws) -> Iterator[Resource]:
    sns, prefix = aws.clients["sns"], aws.environment.name_prefix
    for item in pages(sns, "list_topics", "Topics"):
        arn = item["TopicArn"]
        name = arn.rpartition(":")[2]
        if name == prefix or name.startswith(f"{prefix}-"):
            with unless_gone():
                tags = tags_of(sns.list_tags_for_resource(ResourceArn=arn)["Tags"])
                yield Resource("sns:topic", name, arn, tags, name == f"{prefix}-alarms", item)


def _log_groups(aws: Aws) -> Iterator[Resource]:
    logs = aws.clients["logs"]
    prefix = f"{aws.environment.parameter_prefix}/"
    for item in pages(logs, "describe_log_groups", "logGroups", logGroupNamePrefix=prefix):
        arn = item["arn"].removesuffix(":*")
        with unless_gone():
            tags = logs.list_tags_for_resource(resourceArn=arn)["tags"]
            yield Resource("logs:log-group", item["logGroupName"], arn, tags, True, item)


def _web_acls(scope: str) -> Reader:
    """Make the reader of web ACLs of the scope CLOUDFRONT, which live in one region, or REGIONAL."""

    def read(aws: Aws) -> Iterator[Resource]:
        wafv2 = aws.clients[_waf_client(aws, scope)]
        for found in pages_by("NextMarker", wafv2.list_web_acls, "WebACLs", Scope=scope, Limit=100):
            if found["Name"] == aws.environment.name_prefix:
                with unless_gone():
                    tags = wafv2.list_tags_for_resource(ResourceARN=found["ARN"])["TagInfoForResource"]["TagList"]
                    item = wafv2.get_web_acl(Name=found["Name"], Scope=scope, Id=found["Id"])["WebACL"]
                    yield Resource(kind_of(found["ARN"]), found["Name"], found["ARN"], tags_of(tags), True, item)

    return read


def _waf_client(aws: Aws, scope: str) -> str:
    return "wafv2 global" if scope == "CLOUDFRONT" and aws.environment.region != GLOBAL_REGION else "wafv2"


def _queues(aws: Aws) -> Iterator[Resource]:
    sqs = aws.clients["sqs"]
    asked = {"QueueNamePrefix": f"{aws.environment.name_prefix}-", "PaginationConfig": {"PageSize": 1000}}
    urls: Iterator[Any] = pages(sqs, "list_queues", "QueueUrls", **asked)
    for url in urls:
        try:
            item = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            tags = sqs.list_queue_tags(QueueUrl=url).get("Tags", {})
        except sqs.exceptions.QueueDoesNotExist:
            # One that was deleted is listed for up to a minute.
            continue
        # The prefix of prod is also the prefix of prod-2: only our tags say which of them is ours.
        yield Resource("sqs:queue", url.rpartition("/")[2], item["QueueArn"], tags, False, item)


def _functions(aws: Aws) -> Iterator[Resource]:
    client, prefix = aws.clients["lambda"], f"{aws.environment.name_prefix}-"
    for item in pages(client, "list_functions", "Functions"):
        if item["FunctionName"].startswith(prefix):
            with unless_gone():
                tags = client.list_tags(Resource=item["FunctionArn"]).get("Tags", {})
                more = _releases(client, item["FunctionName"]) if tags.get(LAYER_TAG) == "api" else {}
                yield Resource(
                    "lambda:function", item["FunctionName"], item["FunctionArn"], tags, False, {**item, **more}
                )


def _releases(client: Any, name: str) -> dict[str, Any]:
    """Return which releases a function's alias stands for, each with its percent of the requests."""
    aliases = [alias for alias in pages(client, "list_aliases", "Aliases", FunctionName=name) if alias["Name"] == ALIAS]
    versions = pages(client, "list_versions_by_function", "Versions", FunctionName=name)
    releases = {version["Version"]: version.get("Description", "") for version in versions}
    return {"Releases": shares(aliases[0], releases) if aliases else {}, "Aliases": aliases}


def table_names(prefix: str, names: Iterable[str]) -> list[str]:
    """Return those of an environment's tables: the first one, and what restores have made beside it."""
    ours = re.compile(rf"{re.escape(prefix)}(-(restored|proof)-\d{{14}})?")
    return [name for name in names if ours.fullmatch(name)]


def _tables(aws: Aws) -> Iterator[Resource]:
    dynamodb, prefix = aws.clients["dynamodb"], aws.environment.name_prefix
    listed: Iterator[Any] = pages(dynamodb, "list_tables", "TableNames")
    for name in table_names(prefix, listed):
        try:
            item = dynamodb.describe_table(TableName=name)["Table"]
            tags = tags_of(pages(dynamodb, "list_tags_of_resource", "Tags", ResourceArn=item["TableArn"]))
        except dynamodb.exceptions.ResourceNotFoundException:
            # Gone since it was listed.
            continue
        # A table gets the tags only when its restore has ended: without them it is in nobody's way.
        yield Resource("dynamodb:table", name, item["TableArn"], tags, name == prefix, item)


def _http_apis(aws: Aws) -> Iterator[Resource]:
    for item in pages(aws.clients["apigatewayv2"], "get_apis", "Items"):
        if item["Name"] == aws.environment.name_prefix:
            arn = f"arn:aws:apigateway:{aws.environment.region}::/apis/{item['ApiId']}"
            # Many may have the same name: it is none that we would collide with.
            yield Resource("apigateway:apis", item["ApiId"], arn, item.get("Tags", {}), False, item)


def _domain_names(aws: Aws) -> Iterator[Resource]:
    for item in pages(aws.clients["apigatewayv2"], "get_domain_names", "Items"):
        arn = f"arn:aws:apigateway:{aws.environment.region}::/domainnames/{item['DomainName']}"
        # All of the account: only our tags say which is ours.
        yield Resource("apigateway:domainnames", item["DomainName"], arn, item.get("Tags", {}), False, item)


def _containers(aws: Aws) -> Iterator[Resource]:
    """Read the ECS cluster, its services, and what each of them runs."""
    ecs, name = aws.clients["ecs"], aws.environment.name_prefix
    in_service: set[str] = set()
    for item in ecs.describe_clusters(clusters=[name], include=["TAGS", "SETTINGS"])["clusters"]:
        if item["status"] != "ACTIVE":
            continue
        yield Resource("ecs:cluster", name, item["clusterArn"], lower_tags_of(item.get("tags")), True, item)
        arns: list[Any] = list(pages(ecs, "list_services", "serviceArns", cluster=name))
        for start in range(0, len(arns), 10):
            asked = {"cluster": name, "services": arns[start : start + 10], "include": ["TAGS"]}
            for service in ecs.describe_services(**asked)["services"]:
                if service["status"] != "INACTIVE":
                    tags = lower_tags_of(service.get("tags"))
                    if service["deploymentConfiguration"].get("strategy") == BLUE_GREEN:
                        _add_rollout(ecs, name, service)
                    yield Resource("ecs:service", service["serviceName"], service["serviceArn"], tags, False, service)
                    in_service.add(service["taskDefinition"])
    wanted: list[Any] = [
        *pages(ecs, "list_task_definition_families", "families", familyPrefix=f"{name}-", status="ACTIVE"),
        *sorted(in_service),
    ]
    seen: set[str] = set()
    for family in wanted:
        # That of a service is the newest of its family, unless its deployment was rolled back.
        if family in seen:
            continue
        try:
            found = ecs.describe_task_definition(taskDefinition=family, include=["TAGS"])
        except ecs.exceptions.ClientException:
            # A family is listed for a while after its last revision has gone.
            continue
        item, tags = found["taskDefinition"], lower_tags_of(found.get("tags"))
        seen.add(item["taskDefinitionArn"])
        yield Resource("ecs:task-definition", item["family"], item["taskDefinitionArn"], tags, False, item)


def _add_rollout(ecs: Any, cluster: str, service: dict[str, Any]) -> None:
    """Say how far a blue/green deployment is, which ECS does only for rolling ones (API_Deployment)."""
    asked = {"cluster": cluster, "service": service["serviceName"], "status": UNDER_WAY}
    under_way = service["status"] == "ACTIVE" and ecs.list_service_deployments(**asked)["serviceDeployments"]
    service["deployments"][0]["rolloutState"] = "IN_PROGRESS" if under_way else "COMPLETED"


def _repositories(aws: Aws) -> Iterator[Resource]:
    ecr, prefix = aws.clients["ecr"], f"{aws.environment.name_prefix}/"
    for item in pages(ecr, "describe_repositories", "repositories"):
        if item["repositoryName"].startswith(prefix):
            arn = item["repositoryArn"]
            with unless_gone():
                tags = tags_of(ecr.list_tags_for_resource(resourceArn=arn)["tags"])
                yield Resource("ecr:repository", item["repositoryName"], arn, tags, True, item)


def _namespaces(aws: Aws) -> Iterator[Resource]:
    cloud_map, name = aws.clients["servicediscovery"], f"{aws.environment.name_prefix}.internal"
    for item in pages(cloud_map, "list_namespaces", "Namespaces"):
        if item["Name"] == name:
            tags = tags_of(cloud_map.list_tags_for_resource(ResourceARN=item["Arn"])["Tags"])
            yield Resource("servicediscovery:namespace", name, item["Arn"], tags, True, item)


def _schedules(aws: Aws) -> Iterator[Resource]:
    events, name = aws.clients["events"], f"{aws.environment.name_prefix}-sweep"
    try:
        item = events.describe_rule(Name=name)
    except events.exceptions.ResourceNotFoundException:
        return
    item.pop("ResponseMetadata")
    tags = tags_of(events.list_tags_for_resource(ResourceARN=item["Arn"])["Tags"])
    yield Resource("events:rule", name, item["Arn"], tags, True, item)


def _roles(aws: Aws) -> Iterator[Resource]:
    """Read the roles below the environment's path, which larger tiers have beside that of the instances."""
    iam = aws.clients["iam"]
    for item in pages(iam, "list_roles", "Roles", PathPrefix=f"{aws.environment.parameter_prefix}/"):
        with unless_gone():
            tags = tags_of(iam.list_role_tags(RoleName=item["RoleName"])["Tags"])
            yield Resource("iam:role", item["RoleName"], item["Arn"], tags, False, item)


def _connections(aws: Aws) -> Iterator[Resource]:
    api, name = aws.clients["codeconnections"], aws.environment.name_prefix
    for item in pages_by("NextToken", api.list_connections, "Connections", MaxResults=100):
        if item["ConnectionName"] == name:
            arn = item["ConnectionArn"]
            tags = tags_of(api.list_tags_for_resource(ResourceArn=arn)["Tags"])
            yield Resource("codeconnections:connection", name, arn, tags, True, item)


def _projects(aws: Aws) -> Iterator[Resource]:
    names = [f"{aws.environment.name_prefix}-pipeline-{stage}" for stage in ("build", "deploy")]
    for item in aws.clients["codebuild"].batch_get_projects(names=names)["projects"]:
        tags = {tag["key"]: tag["value"] for tag in item.get("tags") or ()}
        yield Resource("codebuild:project", item["name"], item["arn"], tags, True, item)


def _pipeline(aws: Aws) -> Iterator[Resource]:
    api, name = aws.clients["codepipeline"], aws.environment.name_prefix
    try:
        found = api.get_pipeline(name=name)
    except api.exceptions.PipelineNotFoundException:
        return
    arn = found["metadata"]["pipelineArn"]
    tags = {tag["key"]: tag["value"] for tag in api.list_tags_for_resource(resourceArn=arn)["tags"]}
    # Its ARN ends in its name alone; others' have a kind before it.
    yield Resource("codepipeline:pipeline", name, arn, tags, True, found["pipeline"])


def _tagged(aws: Aws, client: str, **more: Any) -> Iterator[dict[str, Any]]:
    """Yield what the tagging API lists as ours."""
    filters = [{"Key": key, "Values": [value]} for key, value in aws.environment.tags.items()]
    # As many to a page as AWS gives: https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html
    asked = {"TagFilters": filters, "ResourcesPerPage": 100, **more}
    yield from pages(aws.clients[client], "get_resources", "ResourceTagMappingList", **asked)


def _tagging(client: str) -> Reader:
    """Make the reader of what the tagging API names in one region; its descriptions are empty."""

    def read(aws: Aws) -> Iterator[Resource]:
        for item in _tagged(aws, client):
            arn = item["ResourceARN"]
            yield Resource(kind_of(arn), arn.rpartition("/")[2], arn, tags_of(item["Tags"]), False, {})

    return read


def kind_of(arn: str) -> str:
    """Return the kind of an ARN as ``service:type``.

    :raises ValueError: when ``arn`` has fewer than six parts.
    """
    _arn, _partition, service, _region, _account, resource = arn.split(":", 5)
    # Those of API Gateway are paths.
    resource = resource.removeprefix("/")
    separator = min((resource.find(mark) for mark in "/:" if mark in resource), default=-1)
    if separator == -1:
        # A bucket or a topic: the whole rest is its name.
        kinds = {"s3": "bucket", "sns": "topic", "sqs": "queue", "codepipeline": "pipeline"}
        return f"{service}:{kinds.get(service, service)}"
    return f"{service}:{resource[:separator]}"


#: The readers of what every tier has; the certificates' and the tagging API's depend on the region.
READERS: tuple[Reader, ...] = (
    _ec2("vpc", "describe_vpcs", "Vpcs", "VpcId"),
    _ec2("subnet", "describe_subnets", "Subnets", "SubnetId"),
    _ec2("internet-gateway", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    _ec2("route-table", "describe_route_tables", "RouteTables", "RouteTableId"),
    _ec2("security-group", "describe_security_groups", "SecurityGroups", "GroupId"),
    _ec2("vpc-endpoint", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId", ("deleted",)),
    _ec2(
        "instance-connect-endpoint",
        "describe_instance_connect_endpoints",
        "InstanceConnectEndpoints",
        "InstanceConnectEndpointId",
        ("delete-complete",),
    ),
    _ec2("elastic-ip", "describe_addresses", "Addresses", "AllocationId"),
    _ec2("volume", "describe_volumes", "Volumes", "VolumeId", ("deleting", "deleted")),
    _ec2("image", "describe_images", "Images", "ImageId", ("deregistered",), Owners=["self"]),
    _ec2("snapshot", "describe_snapshots", "Snapshots", "SnapshotId", OwnerIds=["self"]),
    _instances,
    _key_pairs,
    _launch_templates,
    _iam,
    _secrets,
    _parameters,
    _bucket("releases"),
    _bucket("frontend"),
    _database,
    _database_snapshots,
    _load_balancer,
    _auto_scaling_group,
    _distributions,
    _edge_parts,
    _zones,
    _alarms,
    _topics,
    _log_groups,
)

#: The readers of what only larger tiers have, with the pattern of the ARNs of what each lists. They ask when the tier
#: of the run, or a tier that the environment's tags name, is none of SMALL_TIERS; otherwise only when the tagging API
#: names what they list. So small tiers pay nothing for them: no call, and no client of a service that they do not use.
MORE_READERS: tuple[tuple[str, Reader], ...] = (
    (
        "arn:*:ec2:*:natgateway/*",
        _ec2("natgateway", "describe_nat_gateways", "NatGateways", "NatGatewayId", ("deleted",)),
    ),
    ("arn:*:kms:*:key/*", _keys),
    ("arn:*:s3:::*-images-*", _bucket("images")),
    ("arn:*:s3:::*-audit-*", _bucket("audit")),
    ("arn:*:cloudtrail:*:trail/*", _trails),
    ("arn:*:budgets::*:budget/*", _budgets),
    # The tagging API knows no dashboards.
    ("arn:*:cloudwatch::*:dashboard/*", _dashboards),
    ("arn:*:wafv2:*:global/webacl/*", _web_acls("CLOUDFRONT")),
    ("arn:*:wafv2:*:regional/webacl/*", _web_acls("REGIONAL")),
    ("arn:*:rds:*:pg:*", _parameter_groups),
    ("arn:*:elasticache:*", _caches),
    ("arn:*:sqs:*", _queues),
    ("arn:*:lambda:*:function:*", _functions),
    ("arn:*:dynamodb:*:table/*", _tables),
    ("arn:*:apigateway:*::/apis/*", _http_apis),
    ("arn:*:apigateway:*::/domainnames/*", _domain_names),
    ("arn:*:events:*:rule/*", _schedules),
    ("arn:*:ec2:*:vpc-flow-log/*", _ec2("vpc-flow-log", "describe_flow_logs", "FlowLogs", "FlowLogId")),
    ("arn:*:s3:::*-logs-[0-9]*", _bucket("logs")),
    ("arn:*:route53:::healthcheck/*", _health_checks),
    ("arn:*:codebuild:*:project/*-pipeline-*", _projects),
    ("arn:*:codeconnections:*:connection/*", _connections),
    ("arn:*:codepipeline:*", _pipeline),
    # The tagging API names no roles: those of functions and of a pipeline.
    ("arn:*:lambda:*:function:*", _roles),
    ("arn:*:codepipeline:*", _roles),
)

#: The same for what only tier microservices has, when the tier is none of WITHOUT_CONTAINERS.
CONTAINER_READERS: tuple[tuple[str, Reader], ...] = (
    ("arn:*:ecs:*:cluster/*", _containers),
    ("arn:*:ecs:*:cluster/*", _path_groups),
    ("arn:*:ecr:*:repository/*", _repositories),
    ("arn:*:servicediscovery:*:namespace/*", _namespaces),
)

#: Kinds that READERS and MORE_READERS list themselves. Instances that ended and secrets that await their deletion stay
#: in the tagging API for a while; listeners and rules live and die with their load balancer.
LISTED = frozenset(
    {
        "ec2:vpc",
        "ec2:subnet",
        "ec2:internet-gateway",
        "ec2:route-table",
        "ec2:security-group",
        "ec2:security-group-rule",
        "ec2:vpc-endpoint",
        "ec2:instance-connect-endpoint",
        "ec2:elastic-ip",
        "ec2:natgateway",
        "ec2:vpc-flow-log",
        "ec2:volume",
        "ec2:image",
        "ec2:snapshot",
        "ec2:instance",
        "ec2:network-interface",
        "ec2:key-pair",
        "ec2:launch-template",
        *(f"iam:{kind}" for kind in ("role", "instance-profile")),
        *(f"elasticloadbalancing:{kind}" for kind in ("loadbalancer", "targetgroup", "listener", "listener-rule")),
        *(f"rds:{kind}" for kind in ("db", "pg", "subgrp", "snapshot")),
        # Nodes and their snapshots come and go with the group.
        *(f"elasticache:{kind}" for kind in ("replicationgroup", "subnetgroup", "cluster", "snapshot")),
        # One that awaits its deletion stays in the tagging API for a month.
        "kms:key",
        "secretsmanager:secret",
        "ssm:parameter",
        "s3:bucket",
        "budgets:budget",
        "cloudtrail:trail",
        *(f"wafv2:{scope}" for scope in ("global", "regional")),
        "autoscaling:autoScalingGroup",
        "cloudfront:distribution",
        "acm:certificate",
        "route53:hostedzone",
        "route53:healthcheck",
        "cloudwatch:alarm",
        "sns:topic",
        "logs:log-group",
        "sqs:queue",
        *(f"lambda:{kind}" for kind in ("function", "event-source-mapping")),
        "dynamodb:table",
        # The stage is part of the one, the mapping of the other.
        *(f"apigateway:{kind}" for kind in ("apis", "domainnames")),
        "events:rule",
        # Tasks come and go, and so do the network interfaces of theirs.
        *(f"ecs:{kind}" for kind in ("cluster", "service", "task-definition", "task")),
        "ecr:repository",
        # Its services are part of it, and the zone is its own.
        *(f"servicediscovery:{kind}" for kind in ("namespace", "service")),
        "codebuild:project",
        "codeconnections:connection",
        "codepipeline:pipeline",
    }
)


@dataclass(frozen=True)
class Observation:
    """Everything there is to know about an environment.

    :param stack: what :func:`discover` returns.
    :param documents: every field that our roles set, by ARN (:func:`plugins.module_utils.convergence.documents`).
    :param record: what the last complete run left behind, if there was one.
    """

    stack: dict[str, Any]
    documents: dict[str, Document]
    record: Record | None


def connect(environment: Environment, session: boto3.Session | None = None, tier: str = "") -> Aws:
    """Make what the readers are given.

    :param tier: the tier of the run; empty when it is the one that is deployed.

    :raises botocore.exceptions.ClientError: when AWS refuses the credentials.
    :raises botocore.exceptions.BotoCoreError: when AWS cannot be reached.
    """
    clients = Clients(session or aws_session(), environment.region)
    return Aws(environment, clients, clients["sts"].get_caller_identity()["Account"], tier)


def discover(environment: Environment, session: boto3.Session | None = None, tier: str = "") -> dict[str, Any]:
    """Read the live state of ``environment``.

    :param tier: the tier of the run; empty when it is the one that is deployed.
    :raises botocore.exceptions.ClientError: when AWS refuses a call.
    :raises botocore.exceptions.BotoCoreError: when AWS cannot be reached.
    """
    aws = connect(environment, session, tier)
    with ThreadPoolExecutor(WORKERS) as pool:
        return assemble(aws, _list(aws, pool))


def observe(aws: Aws) -> Observation:
    """Read the live state with all details, and the record of the last complete run.

    :raises botocore.exceptions.ClientError: when AWS refuses a call.
    :raises botocore.exceptions.BotoCoreError: when AWS cannot be reached.
    """
    with ThreadPoolExecutor(WORKERS) as pool:
        record = pool.submit(read_record, aws.clients["s3"], aws.releases_bucket)
        found = _list(aws, pool)
        owned = [each for each in _owned(aws, found) if each.tags.get(RETAIN_TAG) != "true" and lasts(each)]
        details = pool.map(lambda each: DETAILS[each.kind](aws, each) if each.kind in DETAILS else {}, owned)
        return Observation(assemble(aws, found), documents(zip(owned, details, strict=True)), record.result())


def _list(aws: Aws, pool: ThreadPoolExecutor) -> list[Resource]:
    """Ask every reader at the same time; those of larger tiers once it is known that there is something for them."""

    def ask(readers: Iterable[Reader]) -> list[Future[list[Resource]]]:
        return [pool.submit(lambda reader: list(reader(aws)), reader) for reader in readers]

    regions = ("", " global") if aws.environment.region != GLOBAL_REGION else ("",)
    tagged = ask(_tagging(f"tagging{region}") for region in regions)
    asked = ask([*READERS, *(_certificates(f"acm{region}") for region in regions)])
    for readers, without in ((MORE_READERS, SMALL_TIERS), (CONTAINER_READERS, WITHOUT_CONTAINERS)):
        named = [] if aws.tier not in without else [resource for answer in tagged for resource in answer.result()]
        every = not {aws.tier, *(resource.tags.get("vahana:tier", "") for resource in named)} <= without
        wanted = (
            reader
            for pattern, reader in readers
            if every or any(fnmatchcase(resource.arn, pattern) for resource in named)
        )
        # One that lists two kinds is there twice.
        asked += ask(dict.fromkeys(wanted))
    return [resource for answer in [*asked, *tagged] for resource in answer.result()]


def _owned(aws: Aws, found: Iterable[Resource]) -> Iterator[Resource]:
    """Yield what is ours, each resource once: as its own service describes it, else as the tagging API names it."""
    seen: set[str] = set()
    for resource in found:
        if not owned_by(resource.tags, aws.environment.tags) or resource.arn in seen:
            continue
        if resource.description or resource.kind not in LISTED:
            seen.add(resource.arn)
            yield resource


def assemble(aws: Aws, found: Sequence[Resource]) -> dict[str, Any]:
    """Put what was found into a ``stack``."""
    environment = aws.environment
    ours: dict[str, list[Resource]] = {}
    stack = copy.deepcopy(EMPTY)
    stack["account_id"], stack["region"] = aws.account_id, environment.region
    for resource in found:
        if not owned_by(resource.tags, environment.tags):
            if resource.unique:
                message = foreign_message(resource.kind, resource.id, environment.tags)
                stack["foreign"].append({**resource.listed(), "message": message})
            if resource.kind == "route53:hostedzone":
                ours.setdefault("zone", []).append(resource)
    for resource in _owned(aws, found):
        if resource.kind == "route53:hostedzone":
            ours.setdefault("zone", []).append(resource)
        ours.setdefault(resource.kind, []).append(resource)
        kept = resource.tags.get(RETAIN_TAG) == "true"
        stack["retained" if kept else "resources"].append(resource.listed())
    fillers = (
        *(_fill_small, _fill_network, _fill_data, _fill_compute, _fill_edge, _fill_messaging),
        *(_fill_api, _fill_containers, _fill_pipeline),
    )
    for fill in fillers:
        fill(stack, ours, environment)
    stack["resources"].sort(key=lambda entry: (entry["service"], entry["type"], entry["id"]))
    return stack


Found = Mapping[str, list[Resource]]


def _iso(time: datetime | None) -> str:
    """Return a time as ISO 8601, UTC; empty when there is none."""
    return time.astimezone(UTC).isoformat(timespec="seconds") if time else ""


def _one(ours: Found, kind: str) -> Mapping[str, Any]:
    """Return the description of the only resource of a kind, an empty one when there is none."""
    found = ours.get(kind, [])
    return found[0].description if found else {}


def _of_layer(ours: Found, kind: str, layer: str) -> list[Resource]:
    """Return the resources of a kind that one layer has made."""
    return [resource for resource in ours.get(kind, []) if resource.tags.get(LAYER_TAG) == layer]


def _fill_small(stack: dict[str, Any], ours: Found, environment: Environment) -> None:
    """Fill in parameters, identity, storage and monitoring."""
    found = [from_rule(rule.tags, rule.description) for rule in ours.get("elasticloadbalancing:listener-rule", [])]
    found += [
        from_parameter(resource.description["Value"])
        for resource in ours.get("ssm:parameter", [])
        if resource.id == f"{environment.parameter_prefix}/maintenance"
    ]
    stack["maintenance"] = next((each for each in found if each["on"]), dict(NOT_ON))
    values = {
        resource.id.removeprefix(f"{environment.parameter_prefix}/"): resource.description["Value"]
        for resource in ours.get("ssm:parameter", [])
    }
    tiers = [resource.tags.get("vahana:tier", "") for found in ours.values() for resource in found]
    # A run that broke off before it wrote the parameter has tagged what it made.
    stack["tier"] = values.get("tier") or next(filter(None, tiers), "")
    stack["release"] = values.get("release", "")
    stack["domain"] = values.get("domain", "")
    stack["regions"] = [name for each in values.get("regions", "").split(",") if (name := each.strip())]
    stack["regions"] = stack["regions"] or [environment.region]
    instance = f"{environment.name_prefix}-instance"
    roles = {resource.id: resource.description for resource in ours.get("iam:role", [])}
    role, profile = roles.get(instance, {}), _one(ours, "iam:instance-profile")
    secrets = {resource.id.rpartition("/")[2]: resource.arn for resource in ours.get("secretsmanager:secret", [])}
    stack["identity"].update(
        instance_role_name=role.get("RoleName", ""),
        instance_role_arn=role.get("Arn", ""),
        instance_profile_name=profile.get("InstanceProfileName", ""),
        instance_profile_arn=profile.get("Arn", ""),
        key_name=_one(ours, "ec2:key-pair").get("KeyName", ""),
        database_secret_arn=secrets.get("database", ""),
        backend_secret_arn=secrets.get("backend", ""),
        cache_secret_arn=secrets.get("cache", ""),
        encryption_key_arn=_key(ours.get("kms:key", [])),
    )
    for bucket in ours.get("s3:bucket", []):
        stack["storage"][f"{bucket.description['suffix']}_bucket"] = bucket.id
        if f"{bucket.description['suffix']}_bucket_domain" in stack["storage"]:
            domain = f"{bucket.id}.s3.{bucket.description['region']}.amazonaws.com"
            stack["storage"][f"{bucket.description['suffix']}_bucket_domain"] = domain
    stack["audit"].update(
        trail_arn=next((trail.arn for trail in ours.get("cloudtrail:trail", [])), ""),
        budget=next((budget.id for budget in ours.get("budgets:budget", [])), ""),
    )
    topics = ours.get("sns:topic", [])
    stack["monitoring"].update(
        topic_arn=topics[0].arn if topics else "",
        dashboard=next((resource.id for resource in ours.get("cloudwatch:dashboard", [])), ""),
        alarm_names=sorted(resource.id for resource in ours.get("cloudwatch:alarm", [])),
        alarms=[
            {
                "name": resource.id,
                "since": _iso(resource.description.get("StateUpdatedTimestamp")),
                "reason": resource.description.get("StateReason", ""),
            }
            for resource in sorted(ours.get("cloudwatch:alarm", []), key=lambda resource: resource.id)
            if resource.description.get("StateValue") == "ALARM"
        ],
    )


def _key(keys: Sequence[Resource]) -> str:
    """Return the ARN of the key in use: the one with the alias, else the first that lacks it."""
    return next((key.arn for key in sorted(keys, key=lambda key: (not key.description["Named"], key.arn))), "")


def _fill_network(stack: dict[str, Any], ours: Found, environment: Environment) -> None:
    vpc = _one(ours, "ec2:vpc")
    subnets = sorted(ours.get("ec2:subnet", []), key=lambda subnet: str(subnet.description["AvailabilityZone"]))
    groups = ours.get("ec2:security-group", [])
    stack["network"].update(
        vpc_id=vpc.get("VpcId", ""),
        vpc_cidr=vpc.get("CidrBlock", ""),
        internet_gateway_id=_one(ours, "ec2:internet-gateway").get("InternetGatewayId", ""),
        route_table_ids=sorted(resource.id for resource in ours.get("ec2:route-table", [])),
        interface_endpoints=sum(
            each.description.get("VpcEndpointType") == "Interface" for each in ours.get("ec2:vpc-endpoint", [])
        ),
        security_group_ids={
            str(group.description["GroupName"]).removeprefix(f"{environment.name_prefix}-").replace("-", "_"): group.id
            for group in groups
        },
        connect_endpoint_id=_one(ours, "ec2:instance-connect-endpoint").get("InstanceConnectEndpointId", ""),
        nat_gateway_ids=sorted(resource.id for resource in ours.get("ec2:natgateway", [])),
        nat_allocation_ids=sorted(address.id for address in _of_layer(ours, "ec2:elastic-ip", "network")),
        flow_log_ids=sorted(resource.id for resource in ours.get("ec2:vpc-flow-log", [])),
    )
    for purpose in ("public", "private", "database"):
        of_purpose = [subnet for subnet in subnets if subnet.tags.get("vahana:subnet") == purpose]
        stack["network"][f"{purpose}_subnet_ids"] = [subnet.id for subnet in of_purpose]
    zones = (str(subnet.description["AvailabilityZone"]) for subnet in subnets)
    stack["network"]["availability_zones"] = list(dict.fromkeys(zones))


def beside_its_source(source: str | None) -> bool:
    """Tell whether a database follows one of its own region: RDS names that one, and those of other regions by ARN.

    :param source: ``ReadReplicaSourceDBInstanceIdentifier``.
    """
    return bool(source) and ":" not in str(source)


def _place_of_the_database(ours: Found, environment: Environment) -> str:
    """Return the parameter that says where the database is and which secret opens it, as JSON."""
    name = f"{environment.parameter_prefix}/database"
    found = (each for each in ours.get("ssm:parameter", []) if each.id == name)
    return next((str(each.description["Value"]) for each in found), "")


def current_database(ours: Found, environment: Environment) -> Resource | None:
    """Return the database that the hosts use: the one that the parameter names, otherwise the one with our name."""
    published = _place_of_the_database(ours, environment)
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_CommonTasks.Connect.html: <identifier>.<others>
    wanted = re.search(r'"host": *"([^".]+)\.', published)
    order = [wanted[1] if wanted else "", environment.name_prefix]
    # The marks say what happens to a database that nobody uses; a restore that was killed may have left one on this.
    candidates = [
        resource
        for resource in ours.get("rds:db", [])
        # What follows a database of another region is the one in use here.
        if not beside_its_source(resource.description.get("ReadReplicaSourceDBInstanceIdentifier"))
        and (resource.id == order[0] or not UNUSED_TAGS & resource.tags.keys())
    ]
    candidates.sort(key=lambda resource: order.index(resource.id) if resource.id in order else len(order))
    return candidates[0] if candidates else None


def current_table(ours: Found, environment: Environment) -> Resource | None:
    """Return the table that the functions use: the one that their parameter names, otherwise the one with our name."""
    name = f"{environment.parameter_prefix}/api/table"
    told = next((str(each.description["Value"]) for each in ours.get("ssm:parameter", []) if each.id == name), "")
    order = [told, environment.name_prefix]
    # The marks are as those of databases.
    candidates = [
        each for each in ours.get("dynamodb:table", []) if each.id == told or not UNUSED_TAGS & each.tags.keys()
    ]
    candidates.sort(key=lambda each: order.index(each.id) if each.id in order else len(order))
    return candidates[0] if candidates else None


def _replica(ours: Found, source: str) -> Mapping[str, Any]:
    """Return the description of the read replica of a database, an empty one when it has none."""
    found = (resource.description for resource in ours.get("rds:db", []))
    return next((item for item in found if item.get("ReadReplicaSourceDBInstanceIdentifier") == source), {})


def _group_of_parameters(instance: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return which parameter group a database instance has, and whether it is in force."""
    return next(iter(instance.get("DBParameterGroups", [])), {})


def _fill_data(stack: dict[str, Any], ours: Found, environment: Environment) -> None:
    """Fill in the database, the cache and the load balancer."""
    balancer = _one(ours, "elasticloadbalancing:loadbalancer")
    prefix = environment.path_group_prefix
    listed = ours.get("elasticloadbalancing:targetgroup", [])
    alternates = {group.tags[ALTERNATE_TAG]: group.arn for group in listed if ALTERNATE_TAG in group.tags}
    groups = {group.id.removeprefix(prefix): group for group in listed if ALTERNATE_TAG not in group.tags}
    targets: Mapping[str, Any] = groups.pop("backend").description if "backend" in groups else {}
    current = current_database(ours, environment)
    database: Mapping[str, Any] = current.description if current else {}
    endpoint = database.get("Endpoint") or {}
    named = re.search(r'"secret": *"([^"]+)"', _place_of_the_database(ours, environment)) if current else None
    secrets = {resource.id: resource.arn for resource in ours.get("secretsmanager:secret", [])}
    replica = _replica(ours, str(database.get("DBInstanceIdentifier", "")))
    stack["database"].update(
        identifier=database.get("DBInstanceIdentifier", ""),
        arn=database.get("DBInstanceArn", ""),
        status=database.get("DBInstanceStatus", ""),
        # There is none while it is being created.
        created=database["InstanceCreateTime"].isoformat() if "InstanceCreateTime" in database else "",
        address=endpoint.get("Address", ""),
        port=endpoint.get("Port", ""),
        name=database.get("DBName", ""),
        subnet_group=_one(ours, "rds:subgrp").get("DBSubnetGroupName", ""),
        instance_class=database.get("DBInstanceClass", ""),
        allocated_storage=database.get("AllocatedStorage", ""),
        multi_az=database.get("MultiAZ", ""),
        engine_version=database.get("EngineVersion", ""),
        parameter_group=_group_of_parameters(database).get("DBParameterGroupName", ""),
        parameters=_group_of_parameters(database).get("ParameterApplyStatus", ""),
        source_arn=database.get("ReadReplicaSourceDBInstanceIdentifier", ""),
        secret_arn=secrets.get(named[1], "") if named else "",
        kept=sorted(
            (
                {
                    "identifier": resource.id,
                    "instance_class": resource.description.get("DBInstanceClass", ""),
                    "allocated_storage": resource.description.get("AllocatedStorage", ""),
                    "multi_az": resource.description.get("MultiAZ", ""),
                }
                for resource in ours.get("rds:db", [])
                # A run that was killed may have marked the one in use.
                if KEPT_TAG in resource.tags and resource is not current
            ),
            key=lambda kept: str(kept["identifier"]),
        ),
        replica={
            "identifier": replica.get("DBInstanceIdentifier", ""),
            "arn": replica.get("DBInstanceArn", ""),
            "status": replica.get("DBInstanceStatus", ""),
            "address": (replica.get("Endpoint") or {}).get("Address", ""),
            "instance_class": replica.get("DBInstanceClass", ""),
            "allocated_storage": replica.get("AllocatedStorage", ""),
            "parameters": _group_of_parameters(replica).get("ParameterApplyStatus", ""),
        },
    )
    cache = _one(ours, "elasticache:replicationgroup")
    written = next((group.get("PrimaryEndpoint") or {} for group in cache.get("NodeGroups", [])), {})
    stack["cache"].update(
        identifier=cache.get("ReplicationGroupId", ""),
        arn=cache.get("ARN", ""),
        status=cache.get("Status", ""),
        address=written.get("Address", ""),
        port=written.get("Port", ""),
        node_type=cache.get("CacheNodeType", ""),
        nodes=len(cache["MemberClusters"]) if cache else "",
        engine_version=cache.get("EngineVersion", ""),
        members=list(cache.get("MemberClusters", [])),
    )
    stack["load_balancer"].update(
        arn=balancer.get("LoadBalancerArn", ""),
        name=balancer.get("LoadBalancerName", ""),
        dns_name=balancer.get("DNSName", ""),
        zone_id=balancer.get("CanonicalHostedZoneId", ""),
        listener_arns={item["Protocol"].lower(): item["ListenerArn"] for item in balancer.get("Listeners", [])},
        target_group_arn=targets.get("TargetGroupArn", ""),
        path_group_arns={name: group.arn for name, group in sorted(groups.items())},
        alternate_group_arns=dict(sorted(alternates.items())),
        rule_arns={
            name: rule["RuleArn"]
            for name, group in sorted(groups.items())
            for rule in balancer.get("PathRules", [])
            if {group.arn, alternates.get(name)} & shares_of(rule).keys()
        },
        targets=targets.get("Targets", {}),
    )


def _fill_compute(stack: dict[str, Any], ours: Found, _environment: Environment) -> None:
    """Fill in the instances, their group and the image they start from."""
    by_role: dict[str, list[Resource]] = {}
    for resource in sorted(ours.get("ec2:instance", []), key=lambda resource: resource.id):
        if resource.description["State"]["Name"] in ("pending", "running"):
            by_role.setdefault(resource.tags.get(ROLE_TAG, ""), []).append(resource)
    backends = by_role.get("backend", [])
    addresses = _of_layer(ours, "ec2:elastic-ip", "compute")
    address: Mapping[str, Any] = addresses[0].description if addresses else {}
    targets = stack["load_balancer"]["targets"]
    group = _one(ours, "autoscaling:autoScalingGroup")
    lifecycle = {item["InstanceId"]: item["LifecycleState"] for item in group.get("Instances", [])}
    stack["compute"].update(
        auto_scaling_group=group.get("AutoScalingGroupName", ""),
        desired_capacity=group.get("DesiredCapacity", ""),
        min_size=group.get("MinSize", ""),
        max_size=group.get("MaxSize", ""),
        suspended_processes=sorted(item["ProcessName"] for item in group.get("SuspendedProcesses", [])),
        launch_template_id=_one(ours, "ec2:launch-template").get("LaunchTemplateId", ""),
        instance_ids=[resource.id for resource in backends],
        instances=[
            {
                "id": resource.id,
                "type": resource.description.get("InstanceType", ""),
                "state": resource.description["State"]["Name"],
                "availability_zone": resource.description.get("Placement", {}).get("AvailabilityZone", ""),
                "private_address": resource.description.get("PrivateIpAddress", ""),
                "launched": _iso(resource.description.get("LaunchTime")),
                "image_id": resource.description.get("ImageId", ""),
                "health": targets.get(resource.id, ""),
                "lifecycle": lifecycle.get(resource.id, ""),
            }
            for resource in backends
        ],
        elastic_ip=address.get("PublicIp", ""),
        allocation_id=address.get("AllocationId", ""),
    )
    images = [resource for resource in ours.get("ec2:image", []) if resource.description.get("State") == "available"]
    images.sort(key=lambda resource: str(resource.description.get("CreationDate", "")))
    wanted = next(
        (
            str(resource.description["Value"])
            for resource in ours.get("ssm:parameter", [])
            if resource.id.rpartition("/")[2] == "image"
        ),
        "",
    )
    current = [resource for resource in images if resource.tags.get("vahana:image") == wanted] or images
    if current:
        image = current[-1]
        stack["image"].update(
            ami_id=image.id,
            name=image.description.get("Name", ""),
            hash=image.tags.get("vahana:image", ""),
        )
    stack["image"].update(
        builder_instance_ids=[resource.id for resource in by_role.get("image-builder", [])],
        snapshot_ids=sorted(resource.id for resource in ours.get("ec2:snapshot", [])),
    )


def _fill_edge(stack: dict[str, Any], ours: Found, environment: Environment) -> None:
    """Fill in the distribution, the certificates and the DNS records."""
    distribution = _one(ours, "cloudfront:distribution")
    stack["edge"].update(
        distribution_id=distribution.get("Id", ""),
        distribution_arn=distribution.get("ARN", ""),
        domain_name=distribution.get("DomainName", ""),
        origin_access_control_id=_one(ours, "cloudfront:origin-access-control").get("Id", ""),
        function_name=next(
            (each.id for each in ours.get("cloudfront:function", []) if each.id == _page_function(environment)), ""
        ),
    )
    acls = {scope: ours.get(f"wafv2:{scope}", []) for scope in ("global", "regional")}
    stack["firewall"].update(
        cloudfront_acl_arn=next((acl.arn for acl in acls["global"]), ""),
        load_balancer_acl_arn=next((acl.arn for acl in acls["regional"]), ""),
        rules=sum(len(acl.description.get("Rules", [])) for found in acls.values() for acl in found),
    )
    for certificate in ours.get("acm:certificate", []):
        region = certificate.arn.split(":")[3]
        if region == GLOBAL_REGION:
            stack["edge"]["certificate_arn"] = certificate.arn
        if region == environment.region:
            stack["edge"]["load_balancer_certificate_arn"] = certificate.arn
    for zone in ours.get("zone", []):
        if zone.description.get("Domains") or owned_by(zone.tags, environment.tags):
            domains = zone.description.get("Domains") or [""]
            stack["dns"].update(
                domain=domains[0], zone_id=zone.id, zone_name=str(zone.description.get("Name", "")).rstrip(".")
            )
    records = [resource.description for resource in ours.get("route53:record", [])]
    stack["dns"]["records"] = [
        {
            "name": str(item["Name"]).rstrip("."),
            "type": item["Type"],
            "identifier": item.get("SetIdentifier", ""),
            "zone_id": item["ZoneId"],
        }
        for item in records
    ]
    stack["dns"]["health_checks"] = {
        item["SetIdentifier"]: item["HealthCheckId"]
        for item in records
        if item.get("SetIdentifier") and item.get("HealthCheckId")
    }
    # That of the domain itself; those of regions ask AWS's own names, or other checks.
    stack["dns"]["health_check_id"] = next(
        (
            check.id
            for check in ours.get("route53:healthcheck", [])
            if not str(check.description["HealthCheckConfig"].get("FullyQualifiedDomainName", AWS_NAMES)).endswith(
                AWS_NAMES
            )
        ),
        "",
    )


def _fill_messaging(stack: dict[str, Any], ours: Found, environment: Environment) -> None:
    """Fill in the queues, those who work on them, and how many messages wait."""
    prefix = f"{environment.name_prefix}-"
    for resource in sorted(ours.get("sqs:queue", []), key=lambda resource: resource.id):
        name = resource.id.removeprefix(prefix)
        stack["queue"]["messages"][name] = sum(int(resource.description.get(count, 0)) for count in WAITING)
        if name.endswith(DEAD_LETTER):
            stack["queue"]["dead_letter_arns"][name.removesuffix(DEAD_LETTER)] = resource.arn
            continue
        _arn, _partition, _service, region, account, _name = resource.arn.split(":")
        # As hosts know it; the API gives the address by which it was asked.
        stack["queue"]["urls"][name] = f"https://sqs.{region}.amazonaws.com/{account}/{resource.id}"
        stack["queue"]["arns"][name] = resource.arn
    log_groups = f"{environment.parameter_prefix}/functions/"
    stack["functions"].update(
        names=sorted(resource.id for resource in _of_layer(ours, "lambda:function", "functions")),
        role_names=sorted(
            resource.id for resource in ours.get("iam:role", []) if resource.id.startswith(f"{prefix}function-")
        ),
        log_groups=sorted(
            resource.id for resource in ours.get("logs:log-group", []) if resource.id.startswith(log_groups)
        ),
    )


def _fill_api(stack: dict[str, Any], ours: Found, environment: Environment) -> None:
    """Fill in the table, the HTTP API and the functions that answer it."""
    table, api = current_table(ours, environment), _one(ours, "apigateway:apis")
    domain = _one(ours, "apigateway:domainnames")
    configurations = domain.get("DomainNameConfigurations", [])
    stack["table"].update(
        name=table.id if table else "",
        arn=table.arn if table else "",
        kept=sorted(each.id for each in ours.get("dynamodb:table", []) if KEPT_TAG in each.tags and each is not table),
    )
    functions = sorted(_of_layer(ours, "lambda:function", "api"), key=lambda resource: resource.id)
    answering = next((each for each in functions if each.id == f"{environment.name_prefix}-api"), None)
    stack["api"].update(
        api_id=api.get("ApiId", ""),
        endpoint=api.get("ApiEndpoint", ""),
        function_names=[each.id for each in functions],
        releases=dict(answering.description.get("Releases", {})) if answering else {},
        role_names=sorted(each.id for each in _of_layer(ours, "iam:role", "api")),
        log_groups=sorted(each.id for each in _of_layer(ours, "logs:log-group", "api")),
        parameter_names=sorted(each.id for each in _of_layer(ours, "ssm:parameter", "api")),
        domain_name=domain.get("DomainName", ""),
        domain_target=next((each.get("ApiGatewayDomainName", "") for each in configurations), ""),
    )


def _fill_containers(stack: dict[str, Any], ours: Found, _environment: Environment) -> None:
    """Fill in the services that run as containers."""
    definitions = {each.arn: each.description for each in ours.get("ecs:task-definition", [])}
    services = sorted(ours.get("ecs:service", []), key=lambda each: each.id)
    runs = {each.id: definitions.get(each.description["taskDefinition"], {}) for each in services}
    versions = {name: _version(definition) for name, definition in runs.items()}
    configurations = [each.description["deploymentConfiguration"] for each in services]
    baking = [each["bakeTimeInMinutes"] for each in configurations if each.get("strategy") == BLUE_GREEN]
    stack["containers"].update(
        strategy="blue_green" if baking else "rolling" if services else "",
        bake_minutes=baking[0] if baking else "",
        cluster=next((each.id for each in ours.get("ecs:cluster", [])), ""),
        services=[
            {
                "name": each.id,
                "version": versions[each.id],
                "cpu": runs[each.id].get("cpu", ""),
                "memory": runs[each.id].get("memory", ""),
                "running": each.description["runningCount"],
                "desired": each.description["desiredCount"],
                "deployment": each.description["deployments"][0].get("rolloutState", ""),
            }
            for each in services
        ],
        versions={name: version for name, version in versions.items() if version},
        role_names=sorted(each.id for each in _of_layer(ours, "iam:role", "containers")),
        secret_names=sorted(each.id for each in _of_layer(ours, "secretsmanager:secret", "containers")),
        log_groups=sorted(each.id for each in _of_layer(ours, "logs:log-group", "containers")),
    )


def _version(definition: Mapping[str, Any]) -> str:
    """Return which version the tasks of a definition are told that they are."""
    told = [each for container in definition.get("containerDefinitions", []) for each in container["environment"]]
    return next((str(each["value"]) for each in told if each["name"] == "APP_VERSION"), "")


def _fill_pipeline(stack: dict[str, Any], ours: Found, _environment: Environment) -> None:
    pipeline, connection = ours.get("codepipeline:pipeline", []), _one(ours, "codeconnections:connection")
    stack["pipeline"].update(
        name=pipeline[0].id if pipeline else "",
        arn=pipeline[0].arn if pipeline else "",
        connection_arn=connection.get("ConnectionArn", ""),
        connection_status=connection.get("ConnectionStatus", ""),
    )
