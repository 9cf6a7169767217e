#!/usr/bin/python
"""Make or delete an on-demand backup of a DynamoDB table."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: dynamodb_backup
short_description: Make or delete an on-demand backup of a DynamoDB table
description:
  - Backups outlive their table and are charged for until they are deleted. They have no tags; the name is what tells
    one from another, and this module makes no second one of a name.
  - No collection has a module for them.
options:
  name:
    description: Name of the backup.
    type: str
    required: true
  table_name:
    description: The table that is saved; needed by O(state=present).
    type: str
  state:
    description: Whether there is to be a backup of this name.
    type: str
    choices: [present, absent]
    default: present
  wait_timeout:
    description: How long to wait until it is available, in seconds.
    type: int
    default: 3600
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author:
  - Vahana
"""

EXAMPLES = r"""
- name: Save the table
  dynamodb_backup:
    name: vahanhelp-prod-backup-20261124234444
    table_name: vahanhelp-prod
"""

RETURN = r"""
name:
  description: Name of the backup.
  returned: always
  type: str
arn:
  description: Its ARN; empty when there is none, and in a plan that would make it.
  returned: always
  type: str
"""

POLL_SECONDS = 2.0
AVAILABLE = "AVAILABLE"


class Manager:
    """The backups of an account that have the name."""

    def __init__(self, module: AnsibleAWSModule) -> None:
        """Take the parameters and make the client."""
        self.module = module
        self.name = str(module.params["name"])
        retry = AWSRetry.jittered_backoff(catch_extra_error_codes=["BackupInUseException", "LimitExceededException"])
        self.client = module.client("dynamodb", retry_decorator=retry)

    def find(self) -> list[dict[str, Any]]:
        """Return them, page by page."""
        pages = self.client.get_paginator("list_backups").paginate(BackupType="USER")
        found = (each for page in pages for each in page["BackupSummaries"])
        return [each for each in found if each["BackupName"] == self.name and each["BackupStatus"] != "DELETED"]

    def make(self) -> str:
        """Make it, wait for it and return its ARN."""
        made = self.client.create_backup(
            TableName=self.module.params["table_name"], BackupName=self.name, aws_retry=True
        )
        arn = str(made["BackupDetails"]["BackupArn"])
        self.wait(arn)
        return arn

    def wait(self, arn: str) -> None:
        """Wait until it is available. Raises ``ValueError`` when that takes too long."""
        deadline = time.monotonic() + self.module.params["wait_timeout"]
        while True:
            described = self.client.describe_backup(BackupArn=arn, aws_retry=True)["BackupDescription"]
            status = described["BackupDetails"]["BackupStatus"]
            if status == AVAILABLE:
                return
            if time.monotonic() >= deadline:
                seconds = self.module.params["wait_timeout"]
                raise ValueError(f"backup {self.name} is still {status} after {seconds} s; it goes on by itself")
            time.sleep(POLL_SECONDS)

    def delete(self, arn: str) -> None:
        """Delete it; somebody else may have."""
        try:
            self.client.delete_backup(BackupArn=arn, aws_retry=True)
        except is_boto3_error_code("BackupNotFoundException"):
            return

    def run(self) -> dict[str, Any]:
        """Bring it to the wanted state and return the module's result."""
        found, present = self.find(), self.module.params["state"] == "present"
        arn = str(found[0]["BackupArn"]) if found else ""
        changed = present != bool(found)
        if not self.module.check_mode:
            if present and not found:
                arn = self.make()
            elif present:
                self.wait(arn)
            else:
                for each in found:
                    self.delete(each["BackupArn"])
        wanted = {"name": self.name, "table": self.module.params["table_name"]} if present else {}
        before = {"name": self.name, "table": found[0]["TableName"]} if found else {}
        return {
            "changed": changed,
            "name": self.name,
            "arn": arn if present else "",
            "diff": {"before": before, "after": wanted if changed else before},
        }


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "table_name": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "wait_timeout": {"type": "int", "default": 3600},
        },
        required_if=[("state", "present", ["table_name"])],
        supports_check_mode=True,
    )
    try:
        result = Manager(module).run()
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"backup {module.params['name']}")
    except ValueError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
