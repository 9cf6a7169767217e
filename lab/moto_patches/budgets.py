"""AWS Budgets: UpdateBudget, DescribeSubscribersForNotification and tags, which moto lacks."""

from __future__ import annotations

import functools
import json
from typing import Any

from moto.budgets.exceptions import NotFoundException
from moto.budgets.responses import BudgetsResponse

_create = BudgetsResponse.create_budget


def _budget(response: Any, name: str) -> Any:
    found = response.backend.budgets[response.current_account].get(name)
    if found is None:
        raise NotFoundException(f"Unable to get budget: {name} - the budget doesn't exist.")
    return found


def _of_arn(response: Any) -> Any:
    return _budget(response, str(response._get_param("ResourceARN")).rpartition("/")[2])


def create_budget(self: Any) -> str:
    """CreateBudget with its tags."""
    answer = str(_create(self))
    tags = self._get_param("ResourceTags") or []
    _budget(self, self._get_param("Budget")["BudgetName"]).tags = {tag["Key"]: tag["Value"] for tag in tags}
    return answer


def update_budget(self: Any) -> str:
    """UpdateBudget: what is not given keeps its default, the period its beginning."""
    wanted = self._get_param("NewBudget")
    found = _budget(self, wanted["BudgetName"])
    found.budget = {"TimePeriod": found.budget["TimePeriod"], **wanted}
    return json.dumps({})


def describe_subscribers_for_notification(self: Any) -> str:
    """DescribeSubscribersForNotification."""
    wanted = self._get_param("Notification")
    for each in _budget(self, self._get_param("BudgetName")).notifications:
        if each.details == wanted:
            return json.dumps({"Subscribers": each.subscribers})
    raise NotFoundException("Unable to get subscribers - the notification doesn't exist.")


def list_tags_for_resource(self: Any) -> str:
    """ListTagsForResource."""
    tags = getattr(_of_arn(self), "tags", {})
    return json.dumps({"ResourceTags": [{"Key": key, "Value": value} for key, value in tags.items()]})


def tag_resource(self: Any) -> str:
    """TagResource."""
    found = _of_arn(self)
    new = {tag["Key"]: tag["Value"] for tag in self._get_param("ResourceTags")}
    found.tags = {**getattr(found, "tags", {}), **new}
    return json.dumps({})


def untag_resource(self: Any) -> str:
    """UntagResource."""
    found, gone = _of_arn(self), self._get_param("ResourceTagKeys")
    found.tags = {key: value for key, value in getattr(found, "tags", {}).items() if key not in gone}
    return json.dumps({})


@functools.cache
def apply() -> None:
    """Patch moto.budgets."""
    for action in (
        create_budget,
        update_budget,
        describe_subscribers_for_notification,
        list_tags_for_resource,
        tag_resource,
        untag_resource,
    ):
        setattr(BudgetsResponse, action.__name__, action)
