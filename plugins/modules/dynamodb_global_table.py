#!/usr/bin/python
"""Keep a DynamoDB table, in one region or in several."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.module_utils.named_resource import Found, NamedResource, run
from ansible.module_utils.patience import when_let
from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
    compare_aws_tags,
)

DOCUMENTATION = r"""
module: dynamodb_global_table
short_description: Keep a DynamoDB table and its replicas in other regions
description:
  - Creates, changes and deletes an on demand table of Amazon DynamoDB whose own keys are strings, with its secondary
    indexes, its expiry, its backups and its replicas (global tables, version 2019.11.21).
  - A table's own key cannot change; neither can that of an index, which is made anew under the same name.
  - M(community.aws.dynamodb_table) has no check mode and knows neither backups nor replicas.
options:
  name:
    description: Name of the table, in every region.
    type: str
    required: true
  state:
    description: Whether the table is to exist.
    type: str
    choices: [present, absent]
    default: present
  partition_key:
    description: Name of the partition key.
    type: str
    default: pk
  sort_key:
    description: Name of the sort key.
    type: str
    default: sk
  indexes:
    description: Global secondary indexes, each with all attributes. Others are deleted.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the index.
        type: str
        required: true
      partition_key:
        description: Name of its partition key.
        type: str
        required: true
      sort_key:
        description: Name of its sort key.
        type: str
        required: true
      sort_key_type:
        description: Whether that is a string or a number. Partition keys are strings.
        type: str
        choices: [S, N]
        default: S
  ttl_attribute:
    description: Attribute with the second (Unix time) after which an item is deleted; empty when nothing expires.
    type: str
    default: ""
  point_in_time_recovery:
    description: Whether every second of the last 35 days can be restored, in every region.
    type: bool
    default: true
  deletion_protection:
    description: Whether the table refuses to be deleted, in every region. O(state=absent) lifts it.
    type: bool
    default: true
  replica_regions:
    description: Other regions that have a replica. Replicas elsewhere are deleted.
    type: list
    elements: str
    default: []
  wait_timeout:
    description: How long to wait for the table, an index or a replica, in seconds.
    type: int
    default: 1800
  tags:
    description: Tags of the table and its replicas. Other tags of the table in the module's region are removed.
    type: dict
    required: true
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author:
  - Vahana
"""

EXAMPLES = r"""
- name: Keep a table in two regions
  dynamodb_global_table:
    name: vahanhelp-prod
    indexes:
      - {name: by-owner, partition_key: owner, sort_key: created}
    ttl_attribute: expires
    replica_regions: [eu-west-1]
    tags: {Name: vahanhelp-prod}

- name: Remove it everywhere
  dynamodb_global_table:
    name: vahanhelp-prod
    state: absent
    tags: {Name: vahanhelp-prod}
"""

RETURN = r"""
name:
  description: Name of the table.
  returned: always
  type: str
arn:
  description: ARN of the table in the module's region; empty when it would only be created.
  returned: for O(state=present)
  type: str
"""

POLL_SECONDS = 2.0
ACTIVE = "ACTIVE"
MISSING = "ResourceNotFoundException"
#: A global table's regions learn from one another by its stream.
STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
#: Of a new table, https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateContinuousBackups.html.
NOT_YET = ["ContinuousBackupsUnavailableException"]
#: A table is UPDATING for half a minute after its deletion protection was changed, in every region that it has, and
#: takes no other change: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html.
IN_USE, IN_USE_SECONDS = ("ResourceInUseException",), 300
#: The stem of the operations for one replica, and of those for one index.
CREATE, DELETE = "Create", "Delete"


def key_schema(partition_key: str, sort_key: str) -> list[dict[str, str]]:
    """Say what the key is, as the API has it."""
    return [
        {"AttributeName": partition_key, "KeyType": "HASH"},
        {"AttributeName": sort_key, "KeyType": "RANGE"},
    ]


def index_definition(index: Mapping[str, str]) -> dict[str, Any]:
    """Say what an index is, as the API has it."""
    return {
        "IndexName": index["name"],
        "KeySchema": key_schema(index["partition_key"], index["sort_key"]),
        "Projection": {"ProjectionType": "ALL"},
    }


def attributes(key: Mapping[str, str], indexes: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Define the attributes of the table's key and its indexes, as the API has it."""
    types = dict.fromkeys((key["partition_key"], key["sort_key"]), "S")
    for index in indexes:
        types |= {index["partition_key"]: "S", index["sort_key"]: index["sort_key_type"]}
    return [{"AttributeName": name, "AttributeType": types[name]} for name in sorted(types)]


def _named_key(described: Mapping[str, Any]) -> dict[str, str]:
    roles = {"HASH": "partition_key", "RANGE": "sort_key"}
    return {roles[each["KeyType"]]: each["AttributeName"] for each in described["KeySchema"]}


class RegionalTable:
    """A table in one region: the settings that each replica has for itself."""

    def __init__(self, client: Any, name: str) -> None:
        """Take a client of that region."""
        self.client, self.name = client, name

    def describe(self) -> dict[str, Any] | None:
        """Return the table; None when there is none."""
        try:
            return dict(self.client.describe_table(TableName=self.name, aws_retry=True)["Table"])
        except is_boto3_error_code(MISSING):
            return None

    def settings(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """Return what :meth:`keep` brings to what is wanted."""
        backups = self.client.describe_continuous_backups(TableName=self.name, aws_retry=True)
        recovery = backups["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
        return {
            "point_in_time_recovery": recovery.get("PointInTimeRecoveryStatus") == "ENABLED",
            "deletion_protection": bool(table.get("DeletionProtectionEnabled")),
        }

    def tags(self, arn: str) -> dict[str, str]:
        """Return its tags, page by page."""
        pages = self.client.get_paginator("list_tags_of_resource").paginate(ResourceArn=arn)
        found: dict[str, str] = boto3_tag_list_to_ansible_dict([tag for page in pages for tag in page["Tags"]])
        return found

    def keep(self, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        """Bring the settings to what is wanted, one after the other."""
        if wanted["deletion_protection"] != found["deletion_protection"]:
            self.protect(wanted["deletion_protection"])
        if wanted["point_in_time_recovery"] != found["point_in_time_recovery"]:
            self.client.update_continuous_backups(
                TableName=self.name,
                PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": wanted["point_in_time_recovery"]},
                aws_retry=True,
            )

    def protect(self, protected: bool) -> None:
        """Let the table refuse to be deleted, or not."""
        self.change(DeletionProtectionEnabled=protected)

    def change(self, **arguments: Any) -> None:
        """Change the table itself."""
        self.when_ready(self.client.update_table, **arguments)

    def when_ready(self, call: Callable[..., Any], **arguments: Any) -> None:
        """Call as soon as the table takes it: what was changed before, here or elsewhere, may still go on."""
        when_let(lambda: call(TableName=self.name, **arguments, aws_retry=True), IN_USE, IN_USE_SECONDS, POLL_SECONDS)

    def keep_tags(self, arn: str, to_set: Mapping[str, str], to_unset: list[str]) -> None:
        """Set some tags and take others away."""
        if to_set:
            tags = ansible_dict_to_boto3_tag_list(dict(to_set))
            self.client.tag_resource(ResourceArn=arn, Tags=tags, aws_retry=True)
        if to_unset:
            self.client.untag_resource(ResourceArn=arn, TagKeys=to_unset, aws_retry=True)


class GlobalTable(NamedResource):  # type: ignore[misc]
    """A table and its replicas."""

    kind = "table"
    service = "dynamodb"

    def __init__(self, module: AnsibleAWSModule, client: Any) -> None:
        """Take the module, which makes a client for each region."""
        super().__init__(module, client)
        self._module = module
        self.home = self._in(str(module.region))

    def _in(self, region: str) -> RegionalTable:
        retry = AWSRetry.jittered_backoff(catch_extra_error_codes=NOT_YET)
        return RegionalTable(self._module.client("dynamodb", retry_decorator=retry, region=region), self.name)

    # What is there ---------------------------------------------------------------------------------------------------

    def find(self) -> Found | None:
        """Look in every region that the table knows of."""
        table = self.home.describe()
        if table is None or table["TableStatus"] == "DELETING":
            return None
        ttl = self.home.client.describe_time_to_live(TableName=self.name, aws_retry=True)["TimeToLiveDescription"]
        expires = ttl["TimeToLiveStatus"] in ("ENABLED", "ENABLING")
        fields = {
            "key": _named_key(table),
            "indexes": self._indexes(table),
            "ttl_attribute": ttl.get("AttributeName", "") if expires else "",
            **self.home.settings(table),
            "replicas": [self._replica(region) for region in self._regions(table)],
        }
        return Found(str(table["TableArn"]), fields, self.home.tags(table["TableArn"]))

    def _regions(self, table: Mapping[str, Any]) -> list[str]:
        regions = {each["RegionName"] for each in table.get("Replicas", [])} - {self._module.region}
        return sorted(regions)

    def _replica(self, region: str) -> dict[str, Any]:
        there = self._in(region)
        table = there.describe()
        if table is None:
            return {"region": region}
        return {"region": region, **there.settings(table), "tags": there.tags(table["TableArn"])}

    @staticmethod
    def _indexes(table: Mapping[str, Any]) -> list[dict[str, str]]:
        types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
        found = []
        for each in table.get("GlobalSecondaryIndexes", []):
            key = _named_key(each)
            found.append({"name": each["IndexName"], **key, "sort_key_type": types[key["sort_key"]]})
        return sorted(found, key=lambda each: each["name"])

    # What is to be ---------------------------------------------------------------------------------------------------

    def wanted(self) -> dict[str, Any]:
        """Return the fields as the options have them."""
        params = self.parameters
        settings = {key: params[key] for key in ("point_in_time_recovery", "deletion_protection")}
        return {
            "key": {key: params[key] for key in ("partition_key", "sort_key")},
            "indexes": sorted(params["indexes"], key=lambda each: str(each["name"])),
            "ttl_attribute": params["ttl_attribute"],
            **settings,
            "replicas": [
                {"region": region, **settings, "tags": params["tags"]} for region in sorted(params["replica_regions"])
            ],
        }

    def create(self, wanted: dict[str, Any], tags: Mapping[str, str]) -> str:
        """Create the table, and then what can be set only when it is there."""
        self._wait(lambda table: table is None, "gone")
        indexes = [index_definition(index) for index in wanted["indexes"]]
        made = self.home.client.create_table(
            TableName=self.name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=attributes(wanted["key"], wanted["indexes"]),
            KeySchema=key_schema(**wanted["key"]),
            **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
            **({"StreamSpecification": STREAM} if wanted["replicas"] else {}),
            DeletionProtectionEnabled=wanted["deletion_protection"],
            Tags=ansible_dict_to_boto3_tag_list(dict(tags)),
            aws_retry=True,
        )["TableDescription"]
        self._wait_active()
        fresh = {**wanted, "ttl_attribute": "", "point_in_time_recovery": False, "replicas": []}
        self.update(Found(made["TableArn"], fresh, tags), wanted)
        return str(made["TableArn"])

    def update(self, found: Found, wanted: dict[str, Any]) -> None:
        """Change what differs. Raises ``ValueError`` for what DynamoDB does not change."""
        fields = found.fields
        if fields["key"] != wanted["key"]:
            raise ValueError(
                f"table {self.name} was made with the key {fields['key']}, which cannot change: copy its items to a"
                " table of another name"
            )
        if fields["ttl_attribute"] and wanted["ttl_attribute"] and fields["ttl_attribute"] != wanted["ttl_attribute"]:
            raise ValueError(
                f"items of table {self.name} expire by {fields['ttl_attribute']}; DynamoDB takes one change an hour:"
                ' run with ttl_attribute "" first, and an hour later with the new one'
            )
        self._keep_indexes(fields["indexes"], wanted["indexes"])
        if fields["ttl_attribute"] != wanted["ttl_attribute"]:
            attribute, enabled = wanted["ttl_attribute"] or fields["ttl_attribute"], bool(wanted["ttl_attribute"])
            self.home.when_ready(
                self.home.client.update_time_to_live,
                TimeToLiveSpecification={"Enabled": enabled, "AttributeName": attribute},
            )
        self.home.keep(wanted, fields)
        self._keep_replicas(fields["replicas"], wanted["replicas"])

    def _keep_indexes(self, found: list[dict[str, str]], wanted: list[dict[str, str]]) -> None:
        # One at a time: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html.
        for index in found:
            if index not in wanted:
                self._update_table(GlobalSecondaryIndexUpdates=[{DELETE: {"IndexName": index["name"]}}])
        for index in wanted:
            if index not in found:
                self._update_table(
                    AttributeDefinitions=attributes(self.parameters, wanted),
                    GlobalSecondaryIndexUpdates=[{CREATE: index_definition(index)}],
                )

    def _keep_replicas(self, found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
        there = {each["region"]: each for each in found}
        for region in there.keys() - {each["region"] for each in wanted}:
            self._delete_replica(region)
        if wanted and (self.home.describe() or {}).get("StreamSpecification") != STREAM:
            self._update_table(StreamSpecification=STREAM)
        for replica in wanted:
            region = replica["region"]
            if region not in there:
                self._update_table(ReplicaUpdates=[{CREATE: {"RegionName": region}}])
                there[region] = self._replica(region)
            regional = self._in(region)
            regional.keep(replica, there[region])
            table = regional.describe() or {}
            regional.keep_tags(table["TableArn"], *compare_aws_tags(there[region]["tags"], replica["tags"], False))

    def _delete_replica(self, region: str) -> None:
        regional = self._in(region)
        if regional.describe() is not None:
            regional.protect(False)
        self._update_table(ReplicaUpdates=[{DELETE: {"RegionName": region}}])

    def tag(self, found: Found, to_set: Mapping[str, str], to_unset: list[str]) -> None:
        """Change the tags of the table in the module's region."""
        self.home.keep_tags(found.arn, to_set, to_unset)

    def delete(self, found: Found) -> None:
        """Delete the replicas, then the table."""
        for replica in found.fields["replicas"]:
            self._delete_replica(replica["region"])
        if found.fields["deletion_protection"]:
            self.home.protect(False)
        self.home.when_ready(self.home.client.delete_table)
        self._wait(lambda table: table is None, "gone")

    # Waiting ---------------------------------------------------------------------------------------------------------

    def _update_table(self, **arguments: Any) -> None:
        """Change the table and wait: it takes the next change only when it has made the one before."""
        self.home.change(**arguments)
        self._wait_active()

    def _wait_active(self) -> None:
        def active(table: dict[str, Any] | None) -> bool:
            if table is None:
                return False
            states = [
                table["TableStatus"],
                *(each["IndexStatus"] for each in table.get("GlobalSecondaryIndexes", [])),
                *(each["ReplicaStatus"] for each in table.get("Replicas", [])),
            ]
            return set(states) == {ACTIVE}

        self._wait(active, ACTIVE)

    def _wait(self, reached: Callable[[dict[str, Any] | None], bool], what: str) -> None:
        deadline = time.monotonic() + self.parameters["wait_timeout"]
        while not reached(self.home.describe()):
            if time.monotonic() >= deadline:
                seconds = self.parameters["wait_timeout"]
                raise ValueError(f"table {self.name} is not {what} after {seconds} s: run again to go on waiting")
            time.sleep(POLL_SECONDS)


def main() -> None:
    """Run the module."""
    index: dict[str, Any] = {
        **{key: {"type": "str", "required": True, "no_log": False} for key in ("name", "partition_key", "sort_key")},
        "sort_key_type": {"type": "str", "choices": ["S", "N"], "default": "S", "no_log": False},
    }
    run(
        GlobalTable,
        {
            "partition_key": {"type": "str", "default": "pk", "no_log": False},
            "sort_key": {"type": "str", "default": "sk", "no_log": False},
            "indexes": {"type": "list", "elements": "dict", "default": [], "options": index},
            "ttl_attribute": {"type": "str", "default": ""},
            "point_in_time_recovery": {"type": "bool", "default": True},
            "deletion_protection": {"type": "bool", "default": True},
            "replica_regions": {"type": "list", "elements": "str", "default": []},
            "wait_timeout": {"type": "int", "default": 1800},
        },
        required=[],
    )


if __name__ == "__main__":
    main()
