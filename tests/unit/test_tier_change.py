"""A tier that would leave something behind is refused; one that has a place for everything is not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from plugins.module_utils.discovery import EMPTY
from plugins.module_utils.tier_change import left_behind

SHARED = ["identity", "network", "storage", "compute", "monitoring"]
MINIMAL: dict[str, Any] = {
    "layers": SHARED,
    "compute_kind": "instance",
    "network_private_subnet_cidrs": [],
    "storage_images": False,
    "storage_logs": False,
}
BASIC = {
    **MINIMAL,
    "layers": [*SHARED, "database", "load_balancer", "image", "edge"],
    "compute_kind": "auto_scaling_group",
}
FULL = {
    **BASIC,
    "layers": [*BASIC["layers"], "cache", "firewall", "queue", "functions", "audit"],
    "network_private_subnet_cidrs": ["10.0.3.0/24", "10.0.4.0/24"],
    "storage_images": True,
    "storage_logs": True,
}


def owned(layer: str, kind: str, name: str) -> dict[str, str]:
    return {"arn": f"arn:{name}", "service": "x", "type": kind, "id": name, "layer": layer}


def empty(tier: str) -> dict[str, Any]:
    found: dict[str, Any] = copy.deepcopy(EMPTY)
    found["tier"] = tier
    found["resources"] = [owned("environment", "parameter", "/a/b/tier"), owned("network", "vpc", "vpc-1")]
    return found


def minimal() -> dict[str, Any]:
    found = empty("minimal")
    found["compute"].update(instances=[{"id": "i-1"}], elastic_ip="192.0.2.7")
    found["resources"].append(owned("compute", "instance", "i-1"))
    return found


def basic() -> dict[str, Any]:
    found = empty("basic")
    found["compute"].update(instances=[{"id": "i-1"}, {"id": "i-2"}], auto_scaling_group="a-backend")
    found["resources"].append(owned("database", "db", "a"))
    return found


def full() -> dict[str, Any]:
    found = basic()
    found["tier"] = "full"
    found["network"].update(nat_gateway_ids=["nat-1"], private_subnet_ids=["subnet-3", "subnet-4"])
    found["storage"].update(images_bucket="a-images", logs_bucket="a-logs")
    found["resources"] += [owned("queue", "queue", f"a-{name}") for name in ("b", "c", "d", "e", "f")]
    return found


def test_a_larger_tier_has_a_place_for_everything() -> None:
    assert left_behind(basic(), FULL) == []
    assert left_behind(full(), FULL) == []


def test_a_smaller_tier_leaves_what_only_the_larger_one_has() -> None:
    assert left_behind(full(), BASIC) == [
        "queue: queue a-b, queue a-c, queue a-d and 2 more",
        "network: NAT gateway nat-1, private subnet subnet-3, private subnet subnet-4",
        "storage: bucket a-images",
        "storage: bucket a-logs",
    ]
    assert left_behind(basic(), MINIMAL) == ["database: db a", "compute: Auto Scaling group a-backend"]


def test_the_single_instance_holds_the_data() -> None:
    assert left_behind(minimal(), BASIC) == ["compute: instance i-1 with its disk, 192.0.2.7"]


@pytest.mark.parametrize("part", ["nat_gateway_ids", "private_subnet_ids"])
def test_a_run_that_was_killed_early_counts_too(part: str) -> None:
    found = empty("full")
    found["network"][part] = ["x-1"]
    assert len(left_behind(found, BASIC)) == 1


def test_nothing_there_yet_is_in_nobodys_way() -> None:
    assert left_behind(empty("minimal"), BASIC) == []
