"""Which images expire."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from lab import lifecycle

NOW = 100 * lifecycle.DAY


def image(age: float, *tags: str) -> Any:
    """An image that was pushed so many days ago."""
    return SimpleNamespace(image_pushed_at=NOW - age * lifecycle.DAY, image_tags=list(tags), age=age)


def rule(priority: int, count: int, **selection: Any) -> dict[str, Any]:
    kind = {"countType": "imageCountMoreThan", **selection}
    return {"rulePriority": priority, "selection": {**kind, "countNumber": count}, "action": {"type": "expire"}}


OLD = {"countType": "sinceImagePushed", "countUnit": "days"}
IMAGES = [image(1, "v3"), image(2), image(3, "v2", "keep"), image(8), image(9, "v1"), image(10, "test-1")]


@pytest.mark.parametrize(
    ("rules", "ages"),
    [
        ([rule(1, 7, tagStatus="untagged", **OLD)], [8]),
        ([rule(1, 4, tagStatus="any")], [9, 10]),
        ([rule(1, 2, tagStatus="tagged", tagPrefixList=["v"])], [9]),
        ([rule(1, 0, tagStatus="tagged", tagPrefixList=["v", "keep"])], [3]),
        ([rule(1, 0, tagStatus="tagged", tagPatternList=["test-?"])], [10]),
        # What an earlier rule has matched is none of the later ones', whether it expired or not.
        ([rule(2, 1, tagStatus="any"), rule(1, 9, tagStatus="tagged", tagPrefixList=["v"])], [8, 10]),
        ([rule(1, 10, tagStatus="any")], []),
    ],
)
def test_what_expires(rules: list[dict[str, Any]], ages: list[int]) -> None:
    found = lifecycle.expired(json.dumps({"rules": rules}), list(IMAGES), NOW)
    assert sorted(each.age for each in found) == ages
