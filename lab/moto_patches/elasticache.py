"""ElastiCache: replication groups that take their time, with nodes, members and subnet groups as AWS has them.

moto's replication groups are available at once and stay after their deletion, know neither their nodes nor what is
changed, and take any engine, token and subnet group; its subnet groups cannot be changed or deleted. So the lab has its
own, of one shard (cluster mode disabled), and leaves moto's cache clusters outside of a group and its users alone.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from moto.core.resource_tagging import TaggedResource
from moto.core.responses import ActionResult, PaginatedResult
from moto.ec2.models import ec2_backends
from moto.elasticache import models
from moto.elasticache.exceptions import CacheSubnetGroupNotFound, ElastiCacheException, ReplicationGroupNotFound
from moto.elasticache.responses import ElastiCacheResponse

VERSIONS = {"8.0": "8.0.1", "8.1": "8.1.1"}
"""Versions of Valkey the lab offers, with what AWS makes of them.

https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/engine-versions.html
"""

TOKEN = re.compile(r"[A-Za-z0-9!&#$^<>-]{16,128}")
"""https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth.html"""

MOST_REPLICAS = 5

_real = False


def follow(real: bool) -> None:
    """Let replication groups wait for the reconciler.

    Args:
        real: there is one. Without it (unit tests, no daemon) everything is finished at once.
    """
    global _real  # noqa: PLW0603 - one lab a process, like moto's own backends
    _real = real


@dataclass
class Group:
    """A replication group with one shard."""

    name: str
    arn: str
    region: str
    description: str
    engine_version: str
    node_type: str
    nodes: int
    failover: bool
    multi_az: bool
    port: int
    subnet_group: str
    security_group_ids: list[str]
    transit_encryption: bool
    rest_encryption: bool
    token: str
    snapshot_days: int
    status: str = "creating"
    domain: str = ""
    primary: int = 1
    """Number of the node that is written to."""

    @property
    def members(self) -> list[str]:
        """Identifiers of the nodes."""
        return [self.member(number) for number in range(1, self.nodes + 1)]

    def member(self, number: int) -> str:
        """Identifier of a node."""
        return f"{self.name}-{number:03d}"

    @property
    def address(self) -> str:
        """Name of the node that is written to."""
        return f"master.{self.name}.{self.domain}"


def _fault(code: str, message: str) -> ElastiCacheException:
    error = ElastiCacheException(message)
    error.code = code
    return error


def groups() -> Iterator[tuple[Any, Group]]:
    """(backend, replication group) of all accounts and regions."""
    for account in list(models.elasticache_backends.values()):
        for backend in list(account.values()):
            for group in list(backend.replication_groups.values()):
                yield backend, group


def forget(backend: Any, group: Group) -> None:
    """Drop a group that is gone."""
    backend.replication_groups.pop(group.name, None)
    backend.tagging_service.delete_all_tags_for_resource(group.arn)


def _version(wanted: str | None) -> str:
    text = wanted or "8.0"
    found = VERSIONS.get(text) or next((full for full in VERSIONS.values() if full == text), None)
    if found is None:
        raise _fault(
            "InvalidParameterValue",
            f"Specific version selection is not allowed for '{text}' (the lab has Valkey {', '.join(VERSIONS)})",
        )
    return found


def _find(backend: Any, name: str) -> Group:
    group: Group | None = backend.replication_groups.get(name)
    if group is None:
        raise ReplicationGroupNotFound(name)
    return group


def _usable(group: Group) -> None:
    if _real and group.status != "available":
        raise _fault(
            "InvalidReplicationGroupState",
            f"Replication group must be in available state to modify. Current status: {group.status}",
        )


def _answers_about_tags(backend: Any, arn: str) -> None:
    """Refuse to read or change the tags of a group that is not available, as AWS does.

    https://github.com/hashicorp/terraform-provider-aws/issues/33859
    """
    group = next((each for each in backend.replication_groups.values() if each.arn == arn), None)
    if _real and group is not None and group.status != "available":
        raise _fault("InvalidReplicationGroupState", "Cluster not in available state to perform tagging operations.")


def _describe(group: Group) -> dict[str, Any]:
    members = []
    there = group.status != "creating"
    for number, member in enumerate(group.members, start=1):
        endpoint = {"ReadEndpoint": {"Address": f"{member}.{group.name}.{group.domain}", "Port": group.port}}
        members.append(
            {
                "CacheClusterId": member,
                "CacheNodeId": "0001",
                "CurrentRole": "primary" if number == group.primary else "replica",
                **(endpoint if there else {}),
            }
        )
    shard: dict[str, Any] = {"NodeGroupId": "0001", "Status": group.status, "NodeGroupMembers": members}
    if there:
        shard["PrimaryEndpoint"] = {"Address": group.address, "Port": group.port}
        shard["ReaderEndpoint"] = {"Address": f"replica.{group.name}.{group.domain}", "Port": group.port}
    return {
        "ReplicationGroupId": group.name,
        "Description": group.description,
        "Status": group.status,
        "PendingModifiedValues": {},
        "MemberClusters": group.members,
        "NodeGroups": [shard],
        "AutomaticFailover": "enabled" if group.failover else "disabled",
        "MultiAZ": "enabled" if group.multi_az else "disabled",
        "SnapshotRetentionLimit": group.snapshot_days,
        "ClusterEnabled": False,
        "ClusterMode": "disabled",
        "CacheNodeType": group.node_type,
        "AuthTokenEnabled": bool(group.token),
        "TransitEncryptionEnabled": group.transit_encryption,
        "AtRestEncryptionEnabled": group.rest_encryption,
        "ARN": group.arn,
        "AutoMinorVersionUpgrade": True,
        "Engine": "valkey",
    }


def subnet_of(backend: Any, group: Group, number: int) -> Any:
    """The subnet of a node: one zone after the other."""
    subnet_ids = backend.cache_subnet_groups[group.subnet_group].subnet_ids
    ec2 = ec2_backends[backend.account_id][backend.region_name]
    return ec2.get_subnet(subnet_ids[(number - 1) % len(subnet_ids)])


def _describe_node(backend: Any, group: Group, number: int) -> dict[str, Any]:
    member = group.member(number)
    return {
        "PreferredAvailabilityZone": subnet_of(backend, group, number).availability_zone,
        "CacheClusterId": member,
        "ReplicationGroupId": group.name,
        "CacheNodeType": group.node_type,
        "Engine": "valkey",
        "EngineVersion": group.engine_version,
        "CacheClusterStatus": group.status,
        "NumCacheNodes": 1,
        "CacheSubnetGroupName": group.subnet_group,
        "CacheParameterGroup": {
            "CacheParameterGroupName": f"default.valkey{group.engine_version.partition('.')[0]}",
            "ParameterApplyStatus": "in-sync",
        },
        "AutoMinorVersionUpgrade": True,
        "SecurityGroups": [{"SecurityGroupId": each, "Status": "active"} for each in group.security_group_ids],
        "TransitEncryptionEnabled": group.transit_encryption,
        "AtRestEncryptionEnabled": group.rest_encryption,
        "AuthTokenEnabled": bool(group.token),
        "ARN": group.arn.replace(f":replicationgroup:{group.name}", f":cluster:{member}"),
    }


def _patch_groups() -> None:
    nodes = ElastiCacheResponse.describe_cache_clusters

    def create_replication_group(self: Any) -> ActionResult:
        backend, asked = self.elasticache_backend, self._get_params()
        name, token = asked["ReplicationGroupId"].lower(), asked.get("AuthToken") or ""
        if name in backend.replication_groups:
            raise _fault("ReplicationGroupAlreadyExists", f"Replication group {name} already exists.")
        if not re.fullmatch(r"[a-z](?:-?[a-z0-9]){0,39}", name):
            raise _fault("InvalidParameterValue", f"The parameter ReplicationGroupId is not a valid identifier: {name}")
        if asked.get("Engine") != "valkey" or int(asked.get("NumNodeGroups") or 1) != 1:
            raise _fault("InvalidParameterValue", "the lab has Valkey with one shard")
        if token and not TOKEN.fullmatch(token):
            raise _fault("InvalidParameterValue", "Invalid AuthToken provided.")
        encrypted = self._get_bool_param("TransitEncryptionEnabled") or False
        if token and not encrypted:
            raise _fault("InvalidParameterCombination", "AuthToken can only be used when in-transit encryption is on.")
        if (subnets := asked.get("CacheSubnetGroupName")) not in backend.cache_subnet_groups:
            raise CacheSubnetGroupNotFound(subnets)
        count, failover = int(asked.get("NumCacheClusters") or 1), self._get_bool_param("AutomaticFailoverEnabled")
        if failover and count == 1:
            raise _fault(
                "InvalidParameterValue",
                "Replication group with automatic failover must have at least 2 cache clusters in it.",
            )
        group = Group(
            name=name,
            arn=f"arn:aws:elasticache:{backend.region_name}:{backend.account_id}:replicationgroup:{name}",
            region=backend.region_name,
            description=asked["ReplicationGroupDescription"],
            engine_version=_version(asked.get("EngineVersion")),
            node_type=asked["CacheNodeType"],
            nodes=count,
            failover=bool(failover),
            multi_az=bool(self._get_bool_param("MultiAZEnabled")),
            port=int(asked.get("Port") or 6379),
            subnet_group=subnets,
            security_group_ids=list(asked.get("SecurityGroupIds") or []),
            transit_encryption=encrypted,
            rest_encryption=self._get_bool_param("AtRestEncryptionEnabled") or False,
            token=token,
            snapshot_days=int(asked.get("SnapshotRetentionLimit") or 0),
            status="creating" if _real else "available",
            # The rest of the name is the account's.
            domain=f"lab{backend.account_id[-3:]}.use1.cache.amazonaws.com",
        )
        backend.tagging_service.tag_resource(group.arn, asked.get("Tags") or [])
        backend.replication_groups[name] = group
        return ActionResult({"ReplicationGroup": _describe(group)})

    def describe_replication_groups(self: Any) -> PaginatedResult:
        backend, name = self.elasticache_backend, self._get_param("ReplicationGroupId")
        found = [_find(backend, name.lower())] if name else list(backend.replication_groups.values())
        return PaginatedResult({"ReplicationGroups": [_describe(group) for group in found]})

    def modify_replication_group(self: Any) -> ActionResult:
        asked = self._get_params()
        group = _find(self.elasticache_backend, asked["ReplicationGroupId"].lower())
        _usable(group)
        for key, name in (("CacheNodeType", "node_type"), ("ReplicationGroupDescription", "description")):
            if asked.get(key):
                setattr(group, name, asked[key])
        if asked.get("EngineVersion"):
            version = _version(asked["EngineVersion"])
            if version < group.engine_version:
                raise _fault("InvalidParameterCombination", "Cannot downgrade the engine version.")
            group.engine_version = version
        if asked.get("SecurityGroupIds"):
            group.security_group_ids = list(asked["SecurityGroupIds"])
        if asked.get("SnapshotRetentionLimit") is not None:
            group.snapshot_days = int(asked["SnapshotRetentionLimit"])
        failover = self._get_bool_param("AutomaticFailoverEnabled")
        if failover and group.nodes == 1:
            raise _fault("InvalidParameterValue", "automatic failover needs at least 2 cache clusters")
        group.failover = group.failover if failover is None else failover
        multi_az = self._get_bool_param("MultiAZEnabled")
        group.multi_az = group.multi_az if multi_az is None else multi_az
        if _real:
            group.status = "modifying"
        return ActionResult({"ReplicationGroup": _describe(group)})

    def replicas(self: Any) -> ActionResult:
        group = _find(self.elasticache_backend, self._get_param("ReplicationGroupId").lower())
        _usable(group)
        wanted = int(self._get_param("NewReplicaCount"))
        if not 0 <= wanted <= MOST_REPLICAS or (wanted == 0 and group.failover):
            raise _fault("InvalidParameterValue", f"{wanted} replicas are not possible here")
        group.nodes = wanted + 1
        if group.primary > group.nodes:
            group.primary = 1
        if _real:
            group.status = "modifying"
        return ActionResult({"ReplicationGroup": _describe(group)})

    def delete_replication_group(self: Any) -> ActionResult:
        group = _find(self.elasticache_backend, self._get_param("ReplicationGroupId").lower())
        if _real and group.status not in {"available", "create-failed"}:
            raise _fault("InvalidReplicationGroupState", f"Cannot delete while the status is {group.status}")
        group.status = "deleting"
        answer = ActionResult({"ReplicationGroup": _describe(group)})
        if not _real:
            forget(self.elasticache_backend, group)
        return answer

    def describe_cache_clusters(self: Any) -> ActionResult:
        name, backend = self._get_param("CacheClusterId"), self.elasticache_backend
        found = [
            _describe_node(backend, group, number)
            for group in list(backend.replication_groups.values())
            for number, member in enumerate(group.members, start=1)
            if name in (None, member)
        ]
        return PaginatedResult({"CacheClusters": found}) if found else nodes(self)

    ElastiCacheResponse.create_replication_group = create_replication_group
    ElastiCacheResponse.describe_replication_groups = describe_replication_groups
    ElastiCacheResponse.modify_replication_group = modify_replication_group
    ElastiCacheResponse.increase_replica_count = replicas
    ElastiCacheResponse.decrease_replica_count = replicas
    ElastiCacheResponse.delete_replication_group = delete_replication_group
    ElastiCacheResponse.describe_cache_clusters = describe_cache_clusters


def _patch_subnet_groups() -> None:
    def modify_cache_subnet_group(self: Any) -> ActionResult:
        asked, backend = self._get_params(), self.elasticache_backend
        name = asked["CacheSubnetGroupName"]
        known = backend.cache_subnet_groups.get(name)
        if known is None:
            raise CacheSubnetGroupNotFound(name)
        backend.cache_subnet_groups[name] = models.CacheSubnetGroup(
            backend.account_id,
            backend.region_name,
            name,
            asked.get("CacheSubnetGroupDescription") or known.cache_subnet_group_description,
            list(asked.get("SubnetIds") or known.subnet_ids),
            known.tags,
        )
        return ActionResult({"CacheSubnetGroup": backend.cache_subnet_groups[name]})

    def delete_cache_subnet_group(self: Any) -> ActionResult:
        name, backend = self._get_param("CacheSubnetGroupName"), self.elasticache_backend
        if name not in backend.cache_subnet_groups:
            raise CacheSubnetGroupNotFound(name)
        if any(group.subnet_group == name for group in backend.replication_groups.values()):
            raise _fault("CacheSubnetGroupInUse", f"Cache subnet group {name} is currently in use by a cache cluster.")
        group = backend.cache_subnet_groups.pop(name)
        backend.tagging_service.delete_all_tags_for_resource(group.arn)
        return ActionResult({})

    ElastiCacheResponse.modify_cache_subnet_group = modify_cache_subnet_group
    ElastiCacheResponse.delete_cache_subnet_group = delete_cache_subnet_group


def _patch_tagging() -> None:
    def iter_tagged_resources(self: Any) -> Iterator[TaggedResource]:
        arns = {
            "elasticache:replicationgroup": [group.arn for group in self.replication_groups.values()],
            "elasticache:subnetgroup": [group.arn for group in self.cache_subnet_groups.values()],
        }
        for kind, found in arns.items():
            for arn in found:
                tags = self.tagging_service.get_tag_dict_for_resource(arn)
                yield TaggedResource(arn=arn, tags=tags, resource_type=kind)

    def guarded(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def answer(self: Any, arn: str, *arguments: Any) -> Any:
            _answers_about_tags(self, arn)
            return call(self, arn, *arguments)

        return answer

    backend = models.ElastiCacheBackend
    backend.iter_tagged_resources = iter_tagged_resources
    for name in ("list_tags_for_resource", "add_tags_to_resource", "remove_tags_from_resource"):
        setattr(backend, name, guarded(getattr(backend, name)))


@functools.cache
def apply() -> None:
    """Patch moto.elasticache."""
    _patch_groups()
    _patch_subnet_groups()
    _patch_tagging()
