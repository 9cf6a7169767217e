#!/usr/bin/python
"""Keep a cache that hosts share: an ElastiCache replication group, with the subnet group it is in."""

from __future__ import annotations

import json
import time
from typing import Any

from ansible.module_utils.common.dict_transformations import camel_dict_to_snake_dict
from ansible.module_utils.ownership import listed_tags
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
    compare_aws_tags,
)
from ansible_collections.amazon.aws.plugins.module_utils.transformation import normalize_boto3_result
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: elasticache_replication_group
short_description: Keep an ElastiCache replication group
description:
  - Creates, changes and deletes a replication group of Amazon ElastiCache for Valkey with one shard, and the subnet
    group of the same name that it is in.
  - It is always encrypted, on disk and on the way, and asks for a password, which this module reads from Secrets
    Manager when it creates the group. It is never an argument or a result.
  - With replicas a lost primary is replaced by one of them, in another Availability Zone.
options:
  name:
    description: Identifier of the replication group and name of its subnet group.
    type: str
    required: true
  state:
    description: Whether the group is to exist; V(available) only waits for it.
    type: str
    choices: [present, available, absent]
    default: present
  description:
    description: What the group is for.
    type: str
  engine_version:
    description: Version of Valkey, as 8.0. A higher one upgrades the group in place; there is no way back.
    type: str
    default: "8.0"
  node_type:
    description: Size of each node.
    type: str
    default: cache.t3.micro
  replicas:
    description: Replicas of the one node that is written to.
    type: int
    default: 0
  port:
    description: Port of the nodes.
    type: int
    default: 6379
  subnet_ids:
    description: Subnets of the nodes; required for O(state=present).
    type: list
    elements: str
  security_group_ids:
    description: Security groups of the nodes; required for O(state=present).
    type: list
    elements: str
  secret:
    description: Secret that holds V(password), 16 to 128 characters; required for O(state=present).
    type: str
  snapshot_days:
    description: Days that a daily snapshot is kept; 0 makes none.
    type: int
    default: 0
  wait:
    description:
      - Whether to wait until the group is available, or gone. The subnet group of a group that is being deleted goes
        with O(wait=true).
      - A step that needs the one before it waits whatever this says, as replicas before the failover to them.
    type: bool
    default: true
  wait_timeout:
    description: How long to wait, in seconds.
    type: int
    default: 1800
  tags:
    description: Tags of both. Other tags are removed.
    type: dict
    aliases: [resource_tags]
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author:
  - Vahana
"""

EXAMPLES = r"""
- name: Start to create a cache
  elasticache_replication_group:
    name: vahanhelp-prod
    subnet_ids: [subnet-0a1b2c3d, subnet-1a2b3c4d]
    security_group_ids: [sg-0a1b2c3d]
    secret: /vahanhelp/prod/cache
    wait: false

- name: Remove it
  elasticache_replication_group:
    name: vahanhelp-prod
    state: absent
"""

RETURN = r"""
replication_group:
  description:
    - The group as DescribeReplicationGroups gives it, in snake case, with C(tags) as a map (empty while it is
      created), and the C(address) and C(port) that are written to (empty until it is there).
    - Empty when it is absent or would only be created.
  returned: always
  type: dict
"""

POLL_SECONDS = 5
AVAILABLE = "available"
#: It serves while it is in these states: DescribeReplicationGroups, "Status".
SERVING = (AVAILABLE, "modifying", "snapshotting")
#: It can be deleted in these alone.
DELETABLE = (AVAILABLE, "create-failed")
#: What ElastiCache answers while a group is not available to whoever changes or deletes it, or asks for its tags.
NOT_AVAILABLE = "InvalidReplicationGroupState"

Group = dict[str, Any]


class CacheError(Exception):
    """What somebody has to decide or mend."""


def found_or_none(call: Any, key: str, absent: str, **arguments: Any) -> dict[str, Any] | None:
    """Return the first of what a describe call lists, None when AWS says by the code ``absent`` that there is none."""
    try:
        listed = call(**arguments, aws_retry=True)[key]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == absent:
            return None
        raise
    return dict(listed[0]) if listed else None


class Manager:
    """Brings one replication group, found by its name, to the state the module was asked for."""

    def __init__(self, module: Any) -> None:
        """Take the parameters and make the clients."""
        self.module = module
        self.params = module.params
        self.name = self.params["name"]
        self.tags = self.params["tags"] or {}
        # A snapshot may begin by itself after the group was seen to be available, and tags that are set are a change.
        retry = AWSRetry.jittered_backoff(catch_extra_error_codes=[NOT_AVAILABLE])
        self.client = module.client("elasticache", retry_decorator=retry)

    # What is there ---------------------------------------------------------------------------------------------------

    def find(self) -> Group | None:
        """Return the group, with what only its first node says, and its tags while it is available."""
        group = found_or_none(
            self.client.describe_replication_groups,
            "ReplicationGroups",
            "ReplicationGroupNotFoundFault",
            ReplicationGroupId=self.name,
        )
        if group is None:
            return None
        node = found_or_none(
            self.client.describe_cache_clusters,
            "CacheClusters",
            "CacheClusterNotFound",
            CacheClusterId=next(iter(group.get("MemberClusters", [])), f"{self.name}-001"),
        )
        group["EngineVersion"] = (node or {}).get("EngineVersion", "")
        group["SecurityGroupIds"] = sorted(each["SecurityGroupId"] for each in (node or {}).get("SecurityGroups", []))
        if group["Status"] == AVAILABLE:
            group["Tags"] = self.tags_of(group["ARN"])
        elif group["Status"] in SERVING:
            # Then ElastiCache does not say them.
            tagging = self.module.client("resourcegroupstaggingapi")
            group["Tags"] = ansible_dict_to_boto3_tag_list(listed_tags(tagging, group["ARN"]))
        return group

    def tags_of(self, arn: str) -> list[dict[str, str]]:
        """Return the tags of a group that is available, or of a subnet group."""
        return list(self.client.list_tags_for_resource(ResourceName=arn, aws_retry=True)["TagList"])

    def find_subnet_group(self) -> Group | None:
        """Return the subnet group."""
        return found_or_none(
            self.client.describe_cache_subnet_groups,
            "CacheSubnetGroups",
            "CacheSubnetGroupNotFoundFault",
            CacheSubnetGroupName=self.name,
        )

    def wait_until(self, available: bool) -> Group | None:
        """Wait until the group is available, or gone. Raises ``CacheError`` when that cannot be."""
        deadline = time.monotonic() + self.params["wait_timeout"]
        while True:
            group = self.find()
            status = group["Status"] if group else "absent"
            if status == (AVAILABLE if available else "absent"):
                return group
            if available and status in ("absent", "create-failed"):
                raise CacheError(f"is {status}: look at `aws elasticache describe-events --duration 1440`")
            if time.monotonic() >= deadline:
                wanted = "available" if available else "gone"
                raise CacheError(f"is {status}, not {wanted}, after {self.params['wait_timeout']} s")
            time.sleep(POLL_SECONDS)

    # What is to be ---------------------------------------------------------------------------------------------------

    def write(self, operation: str, **arguments: Any) -> None:
        """Call an operation that changes something, unless this is a check."""
        if not self.module.check_mode:
            getattr(self.client, operation)(**arguments, aws_retry=True)

    def same_tags(self, current: list[dict[str, str]]) -> bool:
        """Say whether tags are what they should be."""
        return dict(boto3_tag_list_to_ansible_dict(current)) == self.tags

    def keep_tags(self, arn: str, current: list[dict[str, str]]) -> bool:
        """Bring the tags of a group or a subnet group to what they should be."""
        to_set, to_remove = compare_aws_tags(boto3_tag_list_to_ansible_dict(current), self.tags, purge_tags=True)
        if to_set:
            self.write("add_tags_to_resource", ResourceName=arn, Tags=ansible_dict_to_boto3_tag_list(to_set))
        if to_remove:
            self.write("remove_tags_from_resource", ResourceName=arn, TagKeys=to_remove)
        return bool(to_set or to_remove)

    def keep_subnet_group(self) -> bool:
        """Create or change the subnet group."""
        wanted = self.params["subnet_ids"]
        group = self.find_subnet_group()
        if group is None:
            self.write(
                "create_cache_subnet_group",
                CacheSubnetGroupName=self.name,
                CacheSubnetGroupDescription=self.params["description"] or self.name,
                SubnetIds=wanted,
                Tags=ansible_dict_to_boto3_tag_list(self.tags),
            )
            return True
        changed = sorted(wanted) != sorted(each["SubnetIdentifier"] for each in group["Subnets"])
        if changed:
            self.write("modify_cache_subnet_group", CacheSubnetGroupName=self.name, SubnetIds=wanted)
        return self.keep_tags(group["ARN"], self.tags_of(group["ARN"])) or changed

    def password(self) -> str:
        """Read the password the nodes are to ask for."""
        secrets = self.module.client("secretsmanager", retry_decorator=AWSRetry.jittered_backoff())
        text = secrets.get_secret_value(SecretId=self.params["secret"], aws_retry=True)["SecretString"]
        value = str(json.loads(text).get("password", ""))
        self.module.no_log_values.add(value)
        return value

    def create(self) -> None:
        """Create the group."""
        if self.module.check_mode:
            return
        replicas = self.params["replicas"]
        self.client.create_replication_group(
            ReplicationGroupId=self.name,
            ReplicationGroupDescription=self.params["description"] or self.name,
            Engine="valkey",
            EngineVersion=self.params["engine_version"],
            CacheNodeType=self.params["node_type"],
            NumCacheClusters=replicas + 1,
            AutomaticFailoverEnabled=replicas > 0,
            MultiAZEnabled=replicas > 0,
            Port=self.params["port"],
            CacheSubnetGroupName=self.name,
            SecurityGroupIds=self.params["security_group_ids"],
            TransitEncryptionEnabled=True,
            AtRestEncryptionEnabled=True,
            AuthToken=self.password(),
            SnapshotRetentionLimit=self.params["snapshot_days"],
            AutoMinorVersionUpgrade=True,
            Tags=ansible_dict_to_boto3_tag_list(self.tags),
            aws_retry=True,
        )

    def refuse_what_cannot_change(self, group: Group) -> None:
        """Raise ``CacheError`` for what is decided when a group is created."""
        for key in ("TransitEncryptionEnabled", "AtRestEncryptionEnabled", "AuthTokenEnabled"):
            if not group.get(key):
                raise CacheError(f"was made without {key}; delete it, nothing in it lasts, and run again")
        if (port := self.port(group)) and port != self.params["port"]:
            raise CacheError(f"answers on port {port}, which cannot change; delete it and run again")

    def modification(self, group: Group) -> dict[str, Any]:
        """Return the arguments of ModifyReplicationGroup that differ from what is there."""
        params, arguments = self.params, dict[str, Any]()
        if params["node_type"] != group["CacheNodeType"]:
            arguments["CacheNodeType"] = params["node_type"]
        if params["snapshot_days"] != group.get("SnapshotRetentionLimit", 0):
            arguments["SnapshotRetentionLimit"] = params["snapshot_days"]
        if sorted(params["security_group_ids"]) != group["SecurityGroupIds"]:
            arguments["SecurityGroupIds"] = params["security_group_ids"]
        if params["description"] and params["description"] != group["Description"]:
            arguments["ReplicationGroupDescription"] = params["description"]
        wanted = params["engine_version"].split(".")
        # AWS moves the rest of the version by itself.
        if group["EngineVersion"].split(".")[: len(wanted)] != wanted:
            arguments["EngineVersion"] = params["engine_version"]
        return arguments

    def update(self, group: Group) -> bool:
        """Change the group in place, one step after the other. Returns whether there was anything to do."""
        if group["Status"] not in SERVING:
            # One that is being created takes no changes, and has not said everything; the next run makes them.
            return False
        self.refuse_what_cannot_change(group)
        differs = bool(self.steps(group)) or not self.same_tags(group["Tags"])
        if differs and group["Status"] != AVAILABLE and not self.module.check_mode:
            # It takes no change now, and may be getting this one.
            group = self.wait_until(available=True) or group
        steps = self.steps(group)
        if not self.module.check_mode:
            for operation, arguments in steps:
                self.wait_until(available=True)
                self.write(operation, ReplicationGroupId=self.name, **arguments, ApplyImmediately=True)
        if self.same_tags(group["Tags"]):
            return bool(steps)
        if steps and not self.module.check_mode:
            self.wait_until(available=True)
        return self.keep_tags(group["ARN"], group["Tags"]) or bool(steps)

    def steps(self, group: Group) -> list[tuple[str, dict[str, Any]]]:
        """Return the operations that bring the group to what it should be, in their order."""
        steps: list[tuple[str, dict[str, Any]]] = []
        if arguments := self.modification(group):
            steps.append(("modify_replication_group", arguments))
        replicas, there = self.params["replicas"], len(group.get("MemberClusters", [])) - 1
        failover = {"AutomaticFailoverEnabled": replicas > 0, "MultiAZEnabled": replicas > 0}
        differs = (group.get("AutomaticFailover") in ("enabled", "enabling")) != (replicas > 0)
        # There must be somebody to fail over to.
        if differs and replicas == 0:
            steps.append(("modify_replication_group", failover))
        if replicas != there:
            direction = "increase_replica_count" if replicas > there else "decrease_replica_count"
            steps.append((direction, {"NewReplicaCount": replicas}))
        if differs and replicas > 0:
            steps.append(("modify_replication_group", failover))
        return steps

    def ensure_present(self, group: Group | None) -> bool:
        """Create or update both groups. Returns whether there was anything to do."""
        if group is not None and group["Status"] == "deleting":
            group = self.wait_until(available=False) if not self.module.check_mode else None
        changed = self.keep_subnet_group()
        if group is None:
            self.create()
            changed = True
        else:
            changed = self.update(group) or changed
        if self.params["wait"] and not self.module.check_mode:
            self.wait_until(available=True)
        return changed

    def ensure_absent(self, group: Group | None) -> bool:
        """Delete both groups. Returns whether there was anything to do."""
        changed = False
        if group is not None and group["Status"] != "deleting":
            if group["Status"] not in DELETABLE and not self.module.check_mode:
                self.wait_until(available=True)
            self.write("delete_replication_group", ReplicationGroupId=self.name, RetainPrimaryCluster=False)
            changed = True
        if self.params["wait"]:
            if not self.module.check_mode:
                self.wait_until(available=False)
            if self.find_subnet_group() is not None:
                self.write("delete_cache_subnet_group", CacheSubnetGroupName=self.name)
                changed = True
        return changed

    # The result ------------------------------------------------------------------------------------------------------

    @staticmethod
    def endpoint(group: Group) -> dict[str, Any]:
        """Return where the group is written to, empty until it is there."""
        return next(
            (dict(each["PrimaryEndpoint"]) for each in group.get("NodeGroups", []) if each.get("PrimaryEndpoint")), {}
        )

    def port(self, group: Group) -> int:
        """Return the group's port, 0 until it is known."""
        return int(self.endpoint(group).get("Port") or 0)

    def result(self, group: Group | None) -> dict[str, Any]:
        """Return a group in the form modules use."""
        if group is None:
            return {}
        plain: dict[str, Any] = camel_dict_to_snake_dict(normalize_boto3_result(group), ignore_list=["Tags"])
        plain["tags"] = boto3_tag_list_to_ansible_dict(group.get("Tags", []))
        return {**plain, "address": self.endpoint(group).get("Address", ""), "port": self.port(group)}

    def comparable(self, group: Group | None) -> dict[str, Any]:
        """Return what of a group a person may set."""
        if group is None:
            return {}
        return {
            "engine_version": group["EngineVersion"],
            "node_type": group["CacheNodeType"],
            "replicas": len(group.get("MemberClusters", [])) - 1,
            "security_group_ids": group["SecurityGroupIds"],
            "snapshot_days": group.get("SnapshotRetentionLimit", 0),
            "description": group["Description"],
            **({"tags": boto3_tag_list_to_ansible_dict(group["Tags"])} if "Tags" in group else {}),
        }

    def wanted(self, before: dict[str, Any]) -> dict[str, Any]:
        """Return what a check says will be there."""
        after = {key: self.params[key] for key in ("node_type", "replicas", "snapshot_days")}
        after["security_group_ids"] = sorted(self.params["security_group_ids"])
        wanted, found = self.params["engine_version"], before.get("engine_version", "")
        after["engine_version"] = found if f"{found}.".startswith(f"{wanted}.") else wanted
        after["description"] = self.params["description"] or before.get("description", self.name)
        return {**after, "tags": self.tags} if "tags" in before or not before else after

    def run(self) -> dict[str, Any]:
        """Bring the group to the wanted state and return the module's result."""
        before = self.find()
        if self.params["state"] == "available":
            if not self.module.check_mode:
                before = self.wait_until(available=True)
            return {"changed": False, "replication_group": self.result(before)}
        there = self.comparable(before)
        present = self.params["state"] == "present"
        changed = self.ensure_present(before) if present else self.ensure_absent(before)
        after = before
        if changed and self.module.check_mode:
            planned = self.wanted(there) if present else {}
            return {
                "changed": True,
                "replication_group": self.result(before),
                "diff": {"before": there, "after": planned},
            }
        if changed or self.params["wait"]:
            after = self.find()
        return {
            "changed": changed,
            "replication_group": self.result(after),
            "diff": {"before": there, "after": self.comparable(after)},
        }


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "available", "absent"], "default": "present"},
            "description": {"type": "str"},
            "engine_version": {"type": "str", "default": "8.0"},
            "node_type": {"type": "str", "default": "cache.t3.micro"},
            "replicas": {"type": "int", "default": 0},
            "port": {"type": "int", "default": 6379},
            "subnet_ids": {"type": "list", "elements": "str"},
            "security_group_ids": {"type": "list", "elements": "str"},
            "secret": {"type": "str", "no_log": False},
            "snapshot_days": {"type": "int", "default": 0},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 1800},
            "tags": {"type": "dict", "aliases": ["resource_tags"]},
        },
        required_if=[("state", "present", ["subnet_ids", "security_group_ids", "secret"])],
        supports_check_mode=True,
    )
    try:
        outcome = Manager(module).run()
    except CacheError as error:
        module.fail_json(msg=f"The cache {module.params['name']} {error}")
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"Managing the cache {module.params['name']} failed")
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
