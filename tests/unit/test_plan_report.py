"""The plan in words: a line a resource, numbers, cost."""

from __future__ import annotations

from typing import Any

from plugins.filter.environment import plan_mismatch, planned_cost
from plugins.module_utils.plan_report import Line, as_data, as_text, lines_of, merged
from plugins.module_utils.planning import KNOWN_AFTER_APPLY

BASIS = {
    "environment": "shop-prod",
    "tier": "basic",
    "region": "us-east-1",
    "fingerprint": {"inputs": "i", "state": {}},
    "cost": {"before": 10.0, "after": 10.0, "alarm": 0.1},
}


def plan(action: str, kind: str, name: str, before: Any = None, after: Any = None) -> dict[str, Any]:
    return {"action": action, "kind": kind, "name": name, "before": before or {}, "after": after or {}}


def lines(*plans: dict[str, Any], task: str = "Present | Keep it") -> list[Line]:
    return merged(line for each in plans for line in lines_of("network", task, "", "localhost", each))


def test_each_kind_of_change_reads_like_a_sentence() -> None:
    found = lines(
        plan("create", "VPC", "shop-prod-vpc", after={"cidr_block": "10.0.0.0/16"}),
        plan("change", "target group", "shop", {"health_check_path": "/"}, {"health_check_path": "/api/health"}),
        plan("delete", "topic", "old"),
    )
    assert [text for text, _ in as_text(found, BASIS)] == [
        "+ create  network  VPC shop-prod-vpc",
        "~ change  network  target group shop",
        "    health_check_path: / → /api/health",
        "- delete  network  topic old",
        "",
        "shop-prod, tier basic in us-east-1: 1 to create, 1 to change, 1 to delete",
        "cost: $10.00 a month before traffic, as now",
    ]


def test_nothing_to_do_is_said() -> None:
    assert "shop-prod, tier basic in us-east-1: nothing to do" in [text for text, _ in as_text([], BASIS)]


def test_later_steps_with_what_is_created_belong_to_its_creation() -> None:
    found = lines(
        plan("create", "Auto Scaling group", "shop"),
        plan("create", "Auto Scaling group", f"shop {KNOWN_AFTER_APPLY}"),
        plan("create", "instance", "builder"),
        plan("change", "instance", KNOWN_AFTER_APPLY),
        plan("delete", "instance", KNOWN_AFTER_APPLY),
    )
    assert [(line.action, line.name) for line in found] == [("create", "shop"), ("create", "builder")]


def test_changes_of_one_resource_are_one() -> None:
    found = lines(
        plan("change", "bucket", "b", {"a": 1}, {"a": 2}),
        plan("change", "bucket", "b", {"c": 1}, {"c": 2}),
    )
    assert [(line.before, line.after) for line in found] == [({"a": 1, "c": 1}, {"a": 2, "c": 2})]


def test_alarms_are_told_one_by_one_and_cost() -> None:
    found = lines(
        plan(
            "change", "alarm", "shop-", {"cpu.threshold": 80, "old.name": "old"}, {"cpu.threshold": 70, "new.name": "n"}
        )
    )
    assert [(line.action, line.name) for line in found] == [("change", "cpu"), ("create", "new"), ("delete", "old")]
    more = lines(plan("create", "alarm", "shop-", after={"a.name": "a", "b.name": "b"}))
    assert as_data(more, BASIS)["cost"] == {"before": 10.0, "after": 10.2}
    assert as_data(more, BASIS)["counts"] == {"create": 2, "change": 0, "delete": 0}


def test_a_task_of_an_ordinary_module_is_told_by_its_name() -> None:
    found = lines(plan("create", "", ""), task="Present | Make the SSH key")
    assert next(as_text(found, BASIS))[0] == "+ create  network  Make the SSH key"


def test_rules_of_security_groups_are_words() -> None:
    world = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    found = lines(plan("change", "security group", "g", {"ip_permissions": world}))
    assert "    ip_permissions: tcp 22 0.0.0.0/0 → nothing" in [text for text, _ in as_text(found, BASIS)]


def test_a_plan_names_what_has_changed_since() -> None:
    then = {"inputs": "a", "state": {"network": "1", "edge": "2"}}
    assert plan_mismatch(then, then) == []
    now = {"inputs": "b", "state": {"network": "1", "dns": "3"}}
    assert plan_mismatch(now, then) == [
        "the inputs (variables, code, sources or keys)",
        "the layer dns",
        "the layer edge",
    ]


def test_the_cost_after_is_that_of_what_is_wanted() -> None:
    empty: dict[str, Any] = {
        "compute": {"instances": []},
        "load_balancer": {"arn": ""},
        "network": {"public_subnet_ids": [], "private_subnet_ids": [], "nat_gateway_ids": [], "interface_endpoints": 0},
        "database": {"identifier": "", "kept": [], "replica": {"identifier": ""}},
        "cache": {"identifier": ""},
        "firewall": {"rules": 0, "cloudfront_acl_arn": "", "load_balancer_acl_arn": ""},
        "containers": {"services": []},
        "resources": [],
        "dns": {"zone_id": "", "health_check_id": "", "health_checks": {}},
    }
    wanted = {
        "layers": ["identity", "compute"],
        "compute_kind": "auto_scaling_group",
        "compute_instance_type": "t3.micro",
        "compute_volume_size": 10,
        "compute_min_size": 2,
        "compute_max_size": 4,
        "network_public_subnet_cidrs": ["10.0.1.0/24"],
        "database_instance_class": "",
        "database_allocated_storage": 0,
        "database_multi_az": False,
        "cache_node_type": "",
        "cache_replicas": 0,
        "dns_health_check": False,
        "regions": ["us-east-1"],
    }
    prices: dict[str, dict[str, Any]] = {
        "ec2 t3.micro": {"usd": 7},
        "ebs gp3": {"usd": 0.1},
        "ipv4": {"usd": 3},
        "secret": {"usd": 0.4},
        "alarm": {"usd": 0.1},
    }
    # Two instances with a volume and an address each, and one secret.
    assert planned_cost([empty], wanted, prices) == {"before": 0.0, "after": 22.4, "alarm": 0.1}
