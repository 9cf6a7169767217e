#!/usr/bin/python
"""Manage a monthly budget of an account."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ansible.module_utils.ownership import foreign, owned_by
from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
    compare_aws_tags,
)
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: budgets_budget
short_description: Manage a monthly budget of an account
description:
  - No collection has a module for AWS Budgets.
  - People are told by email when the month's cost is forecast to exceed the budget, and when it has.
options:
  name: {description: Name of the budget., type: str, required: true}
  account_id: {description: Number of the account whose cost it is., type: str, required: true}
  amount: {description: USD a month. Needed for I(state=present)., type: float}
  emails:
    description: Who is told, ten at most; nobody by an empty list. Without it those who are told still are.
    type: list
    elements: str
  tags:
    description: Tags. C(vahana:app) and C(vahana:env) decide whose the budget is.
    type: dict
    required: true
  state:
    description: Whether the budget should exist.
    type: str
    choices: [present, absent]
    default: present
author: Vahana
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""

EXAMPLES = r"""
- name: Tell us when the month becomes expensive
  budgets_budget:
    name: cars-prod
    account_id: "123456789012"
    amount: 300
    emails: [ops@example.com]
    tags: {"vahana:app": cars, "vahana:env": prod}
"""

RETURN = r"""
name:
  description: Name of the budget.
  returned: always
  type: str
"""

NOTIFICATIONS = [
    {"NotificationType": kind, "ComparisonOperator": "GREATER_THAN", "Threshold": 100.0, "ThresholdType": "PERCENTAGE"}
    for kind in ("FORECASTED", "ACTUAL")
]
"""When people are told: https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_Notification.html"""

Notified = list[dict[str, Any]]


class Budget:
    """The budget of this name, as it is and as it should be."""

    def __init__(self, module: AnsibleAWSModule, client: Any) -> None:
        """Take the module for its options and a client of AWS Budgets."""
        self.params, self.client = module.params, client
        self.ids = {"AccountId": module.params["account_id"], "BudgetName": module.params["name"]}
        self.arn = f"arn:aws:budgets::{module.params['account_id']}:budget/{module.params['name']}"

    def find(self) -> dict[str, Any] | None:
        """Return {amount, notifications, tags} as it is, or None."""
        try:
            found = self.client.describe_budget(**self.ids)["Budget"]
        except is_boto3_error_code("NotFoundException"):
            return None
        tags = self.client.list_tags_for_resource(ResourceARN=self.arn)["ResourceTags"]
        return {
            "amount": self._amount(found["BudgetLimit"]["Amount"]),
            "notifications": self._notified(),
            "tags": boto3_tag_list_to_ansible_dict(tags),
        }

    def wanted(self, found: dict[str, Any] | None) -> dict[str, Any]:
        """Return the same as it should be, where it is like `found`."""
        if self.params["emails"] is None:
            notifications = found["notifications"] if found else []
        else:
            emails = sorted(self.params["emails"])
            notifications = [{**each, "Emails": emails} for each in NOTIFICATIONS] if emails else []
        return {
            "amount": self._amount(self.params["amount"]),
            "notifications": sorted(notifications, key=lambda each: str(each["NotificationType"])),
            "tags": self.params["tags"],
        }

    @staticmethod
    def _amount(value: Any) -> str:
        return f"{Decimal(str(value)):.2f}"

    def _notified(self) -> Notified:
        notified = []
        for page in self.client.get_paginator("describe_notifications_for_budget").paginate(**self.ids):
            for found in page.get("Notifications", []):
                told = {key: value for key, value in found.items() if key != "NotificationState"}
                pages = self.client.get_paginator("describe_subscribers_for_notification").paginate(
                    **self.ids, Notification=told
                )
                addresses = sorted(each["Address"] for page in pages for each in page.get("Subscribers", []))
                notified.append({**told, "Emails": addresses})
        return sorted(notified, key=lambda each: str(each["NotificationType"]))

    def _budget(self) -> dict[str, Any]:
        return {
            "BudgetName": self.params["name"],
            "BudgetLimit": {"Amount": self._amount(self.params["amount"]), "Unit": "USD"},
            "TimeUnit": "MONTHLY",
            "BudgetType": "COST",
        }

    @staticmethod
    def _split(notification: dict[str, Any]) -> dict[str, Any]:
        told = {key: value for key, value in notification.items() if key != "Emails"}
        people = [{"SubscriptionType": "EMAIL", "Address": address} for address in notification["Emails"]]
        return {"Notification": told, "Subscribers": people}

    def create(self, wanted: dict[str, Any]) -> None:
        """Make it."""
        self.client.create_budget(
            AccountId=self.ids["AccountId"],
            Budget=self._budget(),
            NotificationsWithSubscribers=[self._split(each) for each in wanted["notifications"]],
            ResourceTags=ansible_dict_to_boto3_tag_list(wanted["tags"]),
        )

    def update(self, found: dict[str, Any], wanted: dict[str, Any]) -> None:
        """Change what differs."""
        if found["amount"] != wanted["amount"]:
            self.client.update_budget(AccountId=self.ids["AccountId"], NewBudget=self._budget())
        for each in found["notifications"]:
            if each not in wanted["notifications"]:
                self.client.delete_notification(**self.ids, Notification=self._split(each)["Notification"])
        for each in wanted["notifications"]:
            if each not in found["notifications"]:
                self.client.create_notification(**self.ids, **self._split(each))
        to_set, to_unset = compare_aws_tags(found["tags"], wanted["tags"], True)
        if to_unset:
            self.client.untag_resource(ResourceARN=self.arn, ResourceTagKeys=to_unset)
        if to_set:
            self.client.tag_resource(ResourceARN=self.arn, ResourceTags=ansible_dict_to_boto3_tag_list(to_set))


def ensure(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Bring the budget to what is wanted; return the module's result."""
    budget, absent = Budget(module, client), module.params["state"] == "absent"
    found = budget.find()
    if found is not None and not owned_by(found["tags"], module.params["tags"]):
        module.fail_json(msg=foreign("budget", module.params["name"], module.params["tags"]))
    wanted: dict[str, Any] = {} if absent else budget.wanted(found)
    changed = (found or {}) != wanted
    if changed and not module.check_mode:
        if absent:
            client.delete_budget(**budget.ids)
        elif found is None:
            budget.create(wanted)
        else:
            budget.update(found, wanted)
    return {"changed": changed, "diff": {"before": found or {}, "after": wanted}}


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "account_id": {"type": "str", "required": True},
            "amount": {"type": "float"},
            "emails": {"type": "list", "elements": "str"},
            "tags": {"type": "dict", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ["amount"])],
        supports_check_mode=True,
    )
    try:
        result = ensure(module, module.client("budgets"))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"budget {module.params['name']}")
    except ValueError as error:
        module.fail_json(msg=str(error))
    module.exit_json(name=module.params["name"], **result)


if __name__ == "__main__":
    main()
