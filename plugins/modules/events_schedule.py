#!/usr/bin/python
"""Keep a rule of EventBridge that asks a Lambda function at fixed times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.named_resource import Found, NamedResource, run
from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
)

DOCUMENTATION = r"""
module: events_schedule
short_description: Keep a schedule of a Lambda function
description:
  - Creates, changes and deletes a rule on EventBridge's default bus with one target, a Lambda function, which gets the
    event itself.
  - amazon.aws.cloudwatchevent_rule has no check mode and no tags.
options:
  name:
    description: Name of the rule.
    type: str
    required: true
  state:
    description: Whether it is to exist.
    type: str
    choices: [present, absent]
    default: present
  description:
    description: What it is for.
    type: str
    default: ""
  schedule:
    description: When, as C(rate(1 minute)) or C(cron(0 3 * * ? *)); required for O(state=present).
    type: str
  function_arn:
    description: The function, or an alias of it, that is asked; required for O(state=present).
    type: str
  tags:
    description: Tags of the rule. Other tags are removed.
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
- name: Ask it each minute
  events_schedule:
    name: vahanhelp-prod-sweep
    schedule: rate(1 minute)
    function_arn: arn:aws:lambda:us-east-1:123456789012:function:vahanhelp-prod-sweep:live
    tags: {Name: vahanhelp-prod-sweep}
"""

RETURN = r"""
name:
  description: Name of the rule.
  returned: always
  type: str
arn:
  description: ARN of the rule; empty when it would only be created.
  returned: for O(state=present)
  type: str
"""

TARGET = "function"


class Schedule(NamedResource):  # type: ignore[misc]  # Ansible gives it its name when it runs
    """A rule and its target."""

    kind = "rule of EventBridge"
    service = "events"

    def find(self) -> Found | None:
        """Look for the rule."""
        try:
            rule = self.client.describe_rule(Name=self.name)
        except is_boto3_error_code("ResourceNotFoundException"):
            return None
        targets = self.client.list_targets_by_rule(Rule=self.name)["Targets"]
        tags = self.client.list_tags_for_resource(ResourceARN=rule["Arn"])["Tags"]
        fields = {
            "Description": rule.get("Description", ""),
            "ScheduleExpression": rule.get("ScheduleExpression", ""),
            "State": rule.get("State", ""),
            "Targets": {each["Id"]: each["Arn"] for each in targets},
        }
        return Found(rule["Arn"], fields, boto3_tag_list_to_ansible_dict(tags))

    def wanted(self) -> dict[str, Any]:
        """Return what the rule should be."""
        return {
            "Description": self.parameters["description"],
            "ScheduleExpression": self.parameters["schedule"],
            "State": "ENABLED",
            "Targets": {TARGET: self.parameters["function_arn"]},
        }

    def create(self, wanted: dict[str, Any], tags: Mapping[str, str]) -> str:
        """Make the rule, then its target."""
        arn = self._put(wanted, Tags=ansible_dict_to_boto3_tag_list(dict(tags)))
        self._aim(wanted, {})
        return arn

    def update(self, found: Found, wanted: dict[str, Any]) -> None:
        """Change what differs."""
        self._put(wanted)
        self._aim(wanted, found.fields["Targets"])

    def _put(self, wanted: Mapping[str, Any], **tags: Any) -> str:
        fields = {key: wanted[key] for key in ("Description", "ScheduleExpression", "State")}
        return str(self.client.put_rule(Name=self.name, **fields, **tags)["RuleArn"])

    def _aim(self, wanted: Mapping[str, Any], found: Mapping[str, str]) -> None:
        if others := [each for each in found if each != TARGET]:
            self.client.remove_targets(Rule=self.name, Ids=others)
        targets = [{"Id": name, "Arn": arn} for name, arn in wanted["Targets"].items()]
        self.client.put_targets(Rule=self.name, Targets=targets)

    def tag(self, found: Found, to_set: Mapping[str, str], to_unset: list[str]) -> None:
        """Change its tags."""
        if to_unset:
            self.client.untag_resource(ResourceARN=found.arn, TagKeys=to_unset)
        if to_set:
            self.client.tag_resource(ResourceARN=found.arn, Tags=ansible_dict_to_boto3_tag_list(dict(to_set)))

    def delete(self, found: Found) -> None:
        """Delete its targets, then the rule."""
        if targets := list(found.fields["Targets"]):
            self.client.remove_targets(Rule=self.name, Ids=targets)
        self.client.delete_rule(Name=self.name)


def main() -> None:
    """Run the module."""
    arguments = {
        "description": {"type": "str", "default": ""},
        "schedule": {"type": "str"},
        "function_arn": {"type": "str"},
    }
    run(Schedule, arguments, ["schedule", "function_arn"])


if __name__ == "__main__":
    main()
