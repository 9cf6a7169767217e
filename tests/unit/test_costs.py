"""What a tier costs: the arithmetic, and that every tier's parts have a price with a source and a date."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from plugins.filter.environment import planned_cost
from plugins.module_utils import costs
from plugins.module_utils.discovery import EMPTY
from plugins.module_utils.project import ROOT
from plugins.module_utils.summary import public_url, summary

PRICE_FILE = yaml.safe_load((ROOT / "group_vars/all/prices.yml").read_text())
PRICES = PRICE_FILE["prices"]


def tier(name: str, layers: list[str]) -> dict[str, Any]:
    """Return a tier's data with its layers written out: in the file they are a template."""
    data: dict[str, Any] = yaml.safe_load((ROOT / f"group_vars/tier_{name}.yml").read_text())
    return {**data, "layers": layers}


MINIMAL = tier("minimal", ["identity", "network", "storage", "compute", "monitoring"])
BASIC = tier(
    "basic",
    ["identity", "network", "storage", "database", "load_balancer", "image", "compute", "edge", "monitoring"],
)


def test_every_price_has_a_source_and_a_date() -> None:
    for name, price in PRICES.items():
        assert price["usd"] > 0, name
        assert len(price["source"]) > 10, name
        assert str(price["read"])[:2] == "20", name


def test_the_minimal_tier() -> None:
    lines = costs.bill(costs.tier_demands(MINIMAL), PRICES)
    # t3.micro 7.592 + 8 GB 0.64 + address 3.65 + secret 0.40
    assert costs.total(lines) == pytest.approx(12.282)
    assert costs.unpriced(lines) == []


def test_the_basic_tier() -> None:
    lines = costs.bill(costs.tier_demands(BASIC), PRICES)
    # 2 t3.micro 15.184 + 16 GB 1.28 + load balancer 16.425 + 4 addresses 14.60 + database 26.28 + 20 GB 4.60 + 0.80
    assert costs.total(lines) == pytest.approx(79.169)
    assert costs.unpriced(lines) == []


def test_the_full_tiers_read_replica() -> None:
    full = tier("full", ["identity", "network", "storage", "database"])
    without = costs.bill(costs.tier_demands({**full, "database_read_replica": False}), PRICES)
    lines = costs.bill(costs.tier_demands(full), PRICES)
    # db.t3.small without a standby 26.28 + 100 GB 11.50
    assert costs.total(lines) - costs.total(without) == pytest.approx(37.78)
    stack = copy.deepcopy(EMPTY)
    stack["database"]["replica"].update(identifier="x", instance_class="db.t3.small", allocated_storage=100)
    assert costs.total(costs.bill(costs.stack_demands(stack, 8), PRICES)) == pytest.approx(37.78)


def test_a_cache_costs_its_nodes_and_a_secret() -> None:
    layers = ["identity", "network", "storage", "cache"]
    without = costs.bill(costs.tier_demands(tier("full", layers[:-1])), PRICES)
    lines = costs.bill(costs.tier_demands({**tier("full", layers), "cache_replicas": 1}), PRICES)
    assert costs.total(lines) - costs.total(without) == pytest.approx(2 * 9.928 + 0.40)
    assert costs.unpriced(lines) == []
    stack = copy.deepcopy(EMPTY)
    stack["cache"].update(identifier="x", node_type="cache.t3.micro", nodes=2)
    assert costs.total(costs.bill(costs.stack_demands(stack, 8), PRICES)) == pytest.approx(2 * 9.928)


def test_a_key_of_its_own_costs_a_dollar() -> None:
    full = tier("full", ["identity"])
    lines, without = (
        costs.bill(costs.tier_demands({**full, "identity_encryption_key": on}), PRICES) for on in (True, False)
    )
    assert costs.total(lines) - costs.total(without) == pytest.approx(1) and costs.unpriced(lines) == []
    stack = copy.deepcopy(EMPTY)
    stack["resources"] = [{"service": "kms", "type": "key"}]
    assert costs.total(costs.bill(costs.stack_demands(stack, 8), PRICES)) == pytest.approx(1)


def test_the_full_tier_pays_for_its_way_out() -> None:
    layers = [*BASIC["layers"]]
    lines = {line.name: line for line in costs.bill(costs.tier_demands(tier("full", layers)), PRICES)}
    assert lines["NAT gateway"].usd == pytest.approx(32.85)
    # One of the gateway and two of the load balancer: instances in private subnets have none.
    assert lines["public IPv4"].quantity == 3
    per_zone = {**tier("full", layers), "network_nat_gateways": "per_zone"}
    lines = {line.name: line for line in costs.bill(costs.tier_demands(per_zone), PRICES)}
    assert (lines["NAT gateway"].quantity, lines["public IPv4"].quantity) == (2, 4)


def test_gateways_that_run_are_paid_for() -> None:
    stack = running_basic()
    stack["network"].update(private_subnet_ids=["subnet-3", "subnet-4"], nat_gateway_ids=["nat-1"])
    lines = {line.name: line for line in costs.bill(costs.stack_demands(stack, 8), PRICES)}
    assert (lines["NAT gateway"].quantity, lines["public IPv4"].quantity) == (1, 3)


def test_a_domain_adds_its_zone() -> None:
    with_zone = {**MINIMAL, "layers": [*MINIMAL["layers"], "dns"]}
    more = costs.total(costs.bill(costs.tier_demands(with_zone), PRICES))
    assert more - costs.total(costs.bill(costs.tier_demands(MINIMAL), PRICES)) == pytest.approx(0.5)


def test_a_domain_of_the_full_tier_is_asked_from_outside() -> None:
    full = tier("full", BASIC["layers"])
    with_domain = {**full, "layers": [*full["layers"], "dns"]}
    more = costs.total(costs.bill(costs.tier_demands(with_domain), PRICES))
    assert more - costs.total(costs.bill(costs.tier_demands(full), PRICES)) == pytest.approx(0.5 + 1.5)
    stack = running_basic()
    stack["dns"].update(zone_id="Z1", health_check_id="x")
    live = costs.total(costs.bill(costs.stack_demands(stack, 8), PRICES))
    assert live - costs.total(costs.bill(costs.stack_demands(running_basic(), 8), PRICES)) == pytest.approx(2)


def test_regions_are_asked_often() -> None:
    stack = running_basic()
    stack["dns"].update(zone_id="Z1", health_checks={"us-east-1": "x", "eu-west-1": "y"})
    live = costs.total(costs.bill(costs.stack_demands(stack, 8), PRICES))
    assert live - costs.total(costs.bill(costs.stack_demands(running_basic(), 8), PRICES)) == pytest.approx(
        0.5 + 2 * 2.5
    )


def test_the_full_tier_pays_for_its_firewall() -> None:
    without = tier("full", BASIC["layers"])
    with_it = {**without, "layers": [*BASIC["layers"], "firewall"]}
    more = costs.total(costs.bill(costs.tier_demands(with_it), PRICES))
    # Two web ACLs of 5.00 with four rules of 1.00 each.
    assert more - costs.total(costs.bill(costs.tier_demands(without), PRICES)) == pytest.approx(18)
    stack = running_basic()
    stack["firewall"].update(rules=8, cloudfront_acl_arn="arn:1", load_balancer_acl_arn="arn:2")
    live = costs.total(costs.bill(costs.stack_demands(stack, 8), PRICES))
    assert live - costs.total(costs.bill(costs.stack_demands(running_basic(), 8), PRICES)) == pytest.approx(18)


def test_tasks_are_paid_for_by_their_size() -> None:
    layers = [each for each in BASIC["layers"] if each not in ("compute", "image")]
    full = tier("full", layers)
    services: dict[str, Any] = {"auth": {}, "cars": {}}
    sizes = {"containers_min_tasks": 2, "containers_cpu": 256, "containers_memory": 512}
    wanted = {**full, "layers": [*layers, "containers"], "containers_services": services, **sizes}
    more = costs.total(costs.bill(costs.tier_demands(wanted), PRICES))
    # Four tasks of a quarter of a vCPU and half a GB, their zone, and three secrets; the backend has none here.
    added = 29.5504 + 2 * 3.24485 + 0.50 + 3 * 0.40
    assert more - costs.total(costs.bill(costs.tier_demands(full), PRICES)) == pytest.approx(added)
    stack = copy.deepcopy(EMPTY)
    task = {"name": "auth", "version": "1", "running": 4, "desired": 4, "deployment": "COMPLETED"}
    stack["containers"]["services"] = [{**task, "cpu": "256", "memory": "512"}]
    live = costs.total(costs.bill(costs.stack_demands(stack, 0), PRICES))
    assert live == pytest.approx(29.5504 + 2 * 3.24485 + 0.50)


def test_the_microservices_tier() -> None:
    layers = ["identity", "network", "storage", "queue", "database", "cache", "load_balancer", "firewall", "containers"]
    lines = costs.bill(costs.tier_demands(tier("microservices", [*layers, "edge", "monitoring", "audit"])), PRICES)
    # NAT gateway 32.85 + load balancer 16.425 + 3 addresses 10.95 + database 52.56 + 100 GB 23.00 + web ACLs 18.00 +
    # cache 9.928 + 5 secrets 2.00 + 10 tasks 73.876 and 16.224 + private zone 0.50
    assert costs.total(lines) == pytest.approx(256.313, abs=0.001)
    assert costs.unpriced(lines) == []


def test_services_in_a_further_region() -> None:
    """All that answers there, and a replica for a database: no standby, one web ACL, no address in front of all."""
    layers = ["identity", "network", "storage", "queue", "database", "cache", "load_balancer", "firewall", "containers"]
    wanted = {
        **tier("microservices", [*layers, "edge", "dns"]),
        "compute_kind": "",
        "compute_instance_type": "",
        "compute_volume_size": 0,
        "cache_replicas": 0,
    }
    first = planned_cost([EMPTY], {**wanted, "regions": ["us-east-1"]}, PRICES)["after"]
    two = {**wanted, "regions": ["us-east-1", "eu-west-1"]}
    both = planned_cost([EMPTY, EMPTY], two, PRICES)["after"]
    # Of the first region's 256.313: no standby (26.28 and 11.50 less), no web ACL of CloudFront (9.00); two checks.
    assert both - first == pytest.approx(256.31 - 26.28 - 11.50 - 9.00 + 2 * 2.50, abs=0.02)
    assert planned_cost([EMPTY, EMPTY], two, PRICES, writing=1)["after"] == pytest.approx(both)

    # The first was lost and is back: its database is kept beside the new one that follows, and paid for.
    size = {"instance_class": "db.t3.small", "allocated_storage": 100, "multi_az": True}
    former = {**EMPTY, "database": {**EMPTY["database"], **size, "identifier": "cars"}}
    back = planned_cost([former, EMPTY], two, PRICES, writing=1)
    assert back == {"before": 75.56, "after": pytest.approx(both + 75.56), "alarm": 0.1}
    kept = {**EMPTY, "database": {**EMPTY["database"], "kept": [{**size, "identifier": "cars"}]}}
    assert costs.total(costs.bill(costs.stack_demands(kept, 0), PRICES)) == pytest.approx(75.56)


def test_what_has_no_price_is_named_and_not_added() -> None:
    lines = costs.bill(costs.tier_demands({**MINIMAL, "compute_instance_type": "u-24tb1.metal"}), PRICES)
    assert costs.unpriced(lines) == ["ec2 u-24tb1.metal"]


def running_basic() -> dict[str, Any]:
    """Return a stack with what tier basic has when it runs."""
    stack: dict[str, Any] = copy.deepcopy(EMPTY)
    stack.update(account_id="123456789012", region="us-east-1", tier="basic", release="1.0.0-abc")
    stack["compute"]["instances"] = [
        {
            "id": f"i-0000000000000000{number}",
            "type": "t3.micro",
            "state": "running",
            "availability_zone": f"us-east-1{'ab'[number]}",
            "private_address": f"10.0.{number}.10",
            "image_id": "ami-1",
            "launched": "2026-11-22T12:00:00+00:00",
            "health": "healthy",
            "lifecycle": "InService",
        }
        for number in range(2)
    ]
    stack["load_balancer"].update(arn="arn:lb", dns_name="lb.example", target_group_arn="arn:tg", listener_arns={})
    stack["network"]["public_subnet_ids"] = ["subnet-1", "subnet-2"]
    stack["database"].update(
        identifier="vahanhelp-prod",
        instance_class="db.t3.micro",
        allocated_storage=20,
        multi_az=True,
        engine_version="17.7",
        status="available",
    )
    secret = {"arn": "arn:s", "service": "secretsmanager", "type": "secret", "id": "s", "layer": "identity"}
    stack["resources"] = [secret, {**secret, "id": "t"}]
    return stack


def test_the_live_bill_is_the_tiers() -> None:
    live = costs.bill(costs.stack_demands(running_basic(), 8), PRICES)
    planned = costs.bill(costs.tier_demands(BASIC), PRICES)
    assert costs.total(live) == pytest.approx(costs.total(planned))


def test_the_summary_can_be_read() -> None:
    text = "\n".join(summary(running_basic(), "vahanhelp-prod", "http://127.0.0.1:8080", PRICES, "us-east-1", 8))
    assert "vahanhelp-prod: tier basic in us-east-1, account 123456789012" in text
    assert "http://127.0.0.1:8080" in text
    assert "1.0.0-abc" in text
    assert "i-00000000000000001  t3.micro  us-east-1b  10.0.1.10  healthy" in text
    assert "PostgreSQL 17.7 db.t3.micro with a standby, 20 GB, available" in text
    assert "$79.17 a month before traffic (us-east-1 prices, oldest of 2024-07)" in text


def test_the_summary_of_nothing() -> None:
    stack = copy.deepcopy(EMPTY)
    stack.update(account_id="123456789012", region="us-east-1")
    stack["retained"] = [{"arn": "a", "service": "rds", "type": "snapshot", "id": "x-final-1", "layer": "database"}]
    assert summary(stack, "vahanhelp-prod", "", PRICES, "us-east-1", 8) == [
        "vahanhelp-prod: nothing exists in us-east-1 (account 123456789012)",
        "  kept        rds snapshot x-final-1",
    ]


def test_where_an_environment_answers() -> None:
    stack = copy.deepcopy(EMPTY)
    assert public_url(stack) == ""
    stack["compute"]["elastic_ip"] = "192.0.2.7"
    assert public_url(stack) == "http://192.0.2.7"
    assert public_url(stack, "cars.example.com") == "http://cars.example.com"
    stack["load_balancer"].update(dns_name="lb.example", listener_arns={"http": "a"})
    assert public_url(stack) == "http://lb.example"
    stack["edge"]["domain_name"] = "d1.cloudfront.net"
    assert public_url(stack) == "https://d1.cloudfront.net"
    assert public_url(stack, "cars.example.com") == "https://cars.example.com"
