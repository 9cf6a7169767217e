#!/usr/bin/python
"""Restore a DynamoDB table beside the one in use, from a backup or as it was at a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ansible.module_utils.ownership import OWNERSHIP_KEYS, foreign, owned_by
from ansible.module_utils.patience import when_let
from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
    compare_aws_tags,
)
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: dynamodb_restored_table
short_description: Restore a DynamoDB table beside the one in use
description:
  - Starts a new table from a backup (O(backup_arn)), or from what a table was at a second (O(source_table),
    O(restore_time)), and does not wait for it. When it is there, a second call gives it its tags, which it takes only
    then.
  - A restored table has the key, the indexes and the items, and nothing of tags, expiry, streams, protection and
    recovery; M(dynamodb_global_table) brings these.
  - No collection has a module for this.
options:
  name:
    description: Name of the new table.
    type: str
    required: true
  backup_arn:
    description: ARN of the backup.
    type: str
  source_table:
    description: Name of the table that it is made of, where it is to be as at O(restore_time).
    type: str
  restore_time:
    description: The second, in ISO 8601; UTC unless it says otherwise.
    type: str
  state:
    description: Whether the table is to exist. C(absent) deletes one that has O(tags), or none and was restored.
    type: str
    choices: [present, absent]
    default: present
  wait_timeout:
    description: How long O(state=absent) waits until the table is gone, in seconds.
    type: int
    default: 1800
  tags:
    description: Tags of the table. Others are removed.
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
- name: Restore the table as it was at two o'clock
  dynamodb_restored_table:
    name: vahanhelp-prod-restored-20261124234444
    source_table: vahanhelp-prod
    restore_time: "2026-11-24T14:00:00"
    tags: {"vahana:app": vahanhelp, "vahana:env": prod}
"""

RETURN = r"""
name:
  description: Name of the table.
  returned: always
  type: str
status:
  description: What DynamoDB says of it; empty when it is not there.
  returned: always
  type: str
  sample: CREATING
"""

POLL_SECONDS = 2.0
IN_USE = ("ResourceInUseException",)
ACTIVE, DELETING = "ACTIVE", "DELETING"


class Manager:
    """The restored table."""

    def __init__(self, module: AnsibleAWSModule) -> None:
        """Take the parameters and make the client."""
        self.module = module
        self.params: dict[str, Any] = module.params
        self.name = str(module.params["name"])
        self.client = module.client("dynamodb", retry_decorator=AWSRetry.jittered_backoff())

    def describe(self) -> dict[str, Any]:
        """Return the table; empty when there is none."""
        try:
            return dict(self.client.describe_table(TableName=self.name, aws_retry=True)["Table"])
        except is_boto3_error_code("ResourceNotFoundException"):
            return {}

    def tags(self, table: dict[str, Any]) -> dict[str, str]:
        """Return its tags, page by page."""
        pages = self.client.get_paginator("list_tags_of_resource").paginate(ResourceArn=table["TableArn"])
        found: dict[str, str] = boto3_tag_list_to_ansible_dict([tag for page in pages for tag in page["Tags"]])
        return found

    def is_ours(self, table: dict[str, Any], tags: dict[str, str]) -> bool:
        """Say whether it has our tags, or none yet and was made by a restore."""
        untagged = not any(key in tags for key in OWNERSHIP_KEYS) and "RestoreSummary" in table
        return untagged or owned_by(tags, self.params["tags"])

    def restore(self) -> str:
        """Start to restore it; return its status."""
        if self.params["backup_arn"]:
            made = self.client.restore_table_from_backup(
                TargetTableName=self.name, BackupArn=self.params["backup_arn"], aws_retry=True
            )
        else:
            moment = datetime.fromisoformat(self.params["restore_time"])
            made = self.client.restore_table_to_point_in_time(
                SourceTableName=self.params["source_table"],
                TargetTableName=self.name,
                RestoreDateTime=moment if moment.tzinfo else moment.replace(tzinfo=UTC),
                aws_retry=True,
            )
        return str(made["TableDescription"]["TableStatus"])

    def present(self) -> dict[str, Any]:
        """Start it, or tag what is there. Raises ``ValueError`` for a table of another origin."""
        table, tags = self.describe(), self.params["tags"]
        if not table:
            status = "" if self.module.check_mode else self.restore()
            return {
                "changed": True,
                "status": status,
                "diff": {"before": {}, "after": {"name": self.name, **self.of()}},
            }
        found = self.tags(table)
        if not self.is_ours(table, found):
            raise ValueError(foreign("table", self.name, tags))
        to_set, to_unset = compare_aws_tags(found, tags, True)
        ready = table["TableStatus"] == ACTIVE
        if ready and not self.module.check_mode:
            if to_set:
                wanted = ansible_dict_to_boto3_tag_list(dict(to_set))
                self.client.tag_resource(ResourceArn=table["TableArn"], Tags=wanted, aws_retry=True)
            if to_unset:
                self.client.untag_resource(ResourceArn=table["TableArn"], TagKeys=to_unset, aws_retry=True)
        changed = ready and bool(to_set or to_unset)
        after = tags if changed else found
        diff = {"before": {"tags": found}, "after": {"tags": after}}
        return {"changed": changed, "status": table["TableStatus"], "diff": diff}

    def of(self) -> dict[str, str]:
        """Say what it is made of."""
        if self.params["backup_arn"]:
            return {"backup": self.params["backup_arn"]}
        return {name: self.params[name] for name in ("source_table", "restore_time")}

    def absent(self) -> dict[str, Any]:
        """Delete it, whatever state it is in, and wait until it is gone."""
        table = self.describe()
        if not table or not self.is_ours(table, self.tags(table)):
            return {"changed": False, "status": ""}
        if not self.module.check_mode:
            self.delete()
        return {"changed": True, "status": "", "diff": {"before": {"name": self.name}, "after": {}}}

    def delete(self) -> None:
        """Delete it. One that is being made cannot be, so wait until it is there."""
        deadline, asked = time.monotonic() + self.params["wait_timeout"], False
        while table := self.describe():
            if table["TableStatus"] == ACTIVE and not asked:
                if table.get("DeletionProtectionEnabled"):
                    self.when_ready(self.client.update_table, DeletionProtectionEnabled=False)
                self.when_ready(self.client.delete_table)
                asked = True
            if time.monotonic() >= deadline:
                seconds = self.params["wait_timeout"]
                raise ValueError(f"table {self.name} is still {table['TableStatus']} after {seconds} s: run again")
            time.sleep(POLL_SECONDS)

    def when_ready(self, call: Callable[..., Any], **arguments: Any) -> None:
        """Call as soon as the table takes it: it is UPDATING for half a minute after its protection was lifted."""
        when_let(
            lambda: call(TableName=self.name, **arguments, aws_retry=True),
            IN_USE,
            self.params["wait_timeout"],
            POLL_SECONDS,
        )


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            **{name: {"type": "str"} for name in ("backup_arn", "source_table", "restore_time")},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "wait_timeout": {"type": "int", "default": 1800},
            "tags": {"type": "dict", "required": True},
        },
        required_if=[("state", "present", ["backup_arn", "source_table"], True)],
        mutually_exclusive=[("backup_arn", "source_table")],
        required_together=[("source_table", "restore_time")],
        supports_check_mode=True,
    )
    try:
        manager = Manager(module)
        result = manager.present() if module.params["state"] == "present" else manager.absent()
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"restoring table {module.params['name']}")
    except ValueError as error:
        module.fail_json(msg=str(error))
    module.exit_json(name=module.params["name"], **result)


if __name__ == "__main__":
    main()
