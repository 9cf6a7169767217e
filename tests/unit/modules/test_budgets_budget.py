"""The module budgets_budget, and the trail among the resources that have owners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from lab.moto_patches import budgets, cloudtrail
from plugins.modules import budgets_budget, resource_ownership

Run = Callable[..., dict[str, Any]]
ACCOUNT = "123456789012"
TAGS = {"vahana:app": "cars", "vahana:env": "prod"}


@pytest.fixture
def budget(run_module: Run) -> Run:
    budgets.apply()

    def run(check: bool = False, **arguments: Any) -> dict[str, Any]:
        common = {"name": "cars-prod", "account_id": ACCOUNT, "tags": TAGS}
        return run_module(budgets_budget, check, **{**common, **arguments})

    return run


def there() -> list[str]:
    return [
        each["BudgetLimit"]["Amount"] for each in boto3.client("budgets").describe_budgets(AccountId=ACCOUNT)["Budgets"]
    ]


def told() -> dict[str, list[str]]:
    client, named = boto3.client("budgets"), {"AccountId": ACCOUNT, "BudgetName": "cars-prod"}
    found = client.describe_notifications_for_budget(**named)["Notifications"]
    return {
        each["NotificationType"]: [
            person["Address"]
            for person in client.describe_subscribers_for_notification(**named, Notification=each)["Subscribers"]
        ]
        for each in found
    }


def test_made_once_changed_and_deleted(budget: Run) -> None:
    wanted = {"amount": 300, "emails": ["a@example.com"]}
    assert budget(True, **wanted)["changed"]
    assert there() == []
    assert budget(**wanted)["changed"]
    for check in (True, False):
        assert not budget(check, **wanted)["changed"]
    assert told() == {"FORECASTED": ["a@example.com"], "ACTUAL": ["a@example.com"]}
    changed = budget(**{**wanted, "amount": 400.5})
    assert (changed["diff"]["before"]["amount"], changed["diff"]["after"]["amount"]) == ("300.00", "400.50")
    assert there() == ["400.50"]
    assert budget(amount=400.5, emails=["b@example.com"], tags={**TAGS, "Name": "x"})["changed"]
    assert told() == {"FORECASTED": ["b@example.com"], "ACTUAL": ["b@example.com"]}
    # Who names nobody takes nobody away.
    assert budget(amount=500)["changed"]
    assert told() == {"FORECASTED": ["b@example.com"], "ACTUAL": ["b@example.com"]}
    assert budget(amount=500, emails=[])["changed"]
    assert told() == {}
    assert not budget(amount=500)["changed"]
    assert budget(True, state="absent")["changed"]
    assert budget(state="absent")["changed"]
    assert not budget(state="absent")["changed"]
    assert there() == []


def test_somebody_elses_is_left_alone(budget: Run) -> None:
    budget(amount=1, tags={**TAGS, "vahana:env": "test"})
    assert "is left alone" in budget(amount=2)["msg"]
    assert "is left alone" in budget(state="absent")["msg"]


def test_whose_a_trail_is(run_module: Run) -> None:
    boto3.client("s3").create_bucket(Bucket="trails-of-cars")
    client = boto3.client("cloudtrail")
    for name, tags in (("cars-prod", TAGS), ("other", {"x": "y"})):
        client.create_trail(
            Name=name, S3BucketName="trails-of-cars", TagsList=[{"Key": k, "Value": v} for k, v in tags.items()]
        )
    found = run_module(resource_ownership, tags=TAGS, resources=[{"type": "trail", "name": "cars-prod"}])
    assert [each["name"] for each in found["resources"]["trail"]] == ["cars-prod"]
    refused = run_module(resource_ownership, tags=TAGS, resources=[{"type": "trail", "name": "other"}])
    assert "aws cloudtrail add-tags" in refused["msg"]
    cloudtrail.apply()
    client.delete_trail(Name=found["resources"]["trail"][0]["arn"])
    assert [each["Name"] for each in client.describe_trails()["trailList"]] == ["other"]
    none = run_module(resource_ownership, tags=TAGS, resources=[{"type": "trail", "name": "gone"}])
    assert none["resources"]["trail"] == []
