"""The collections' Route 53 modules against the lab: what two regions need of them, planned, made once and removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from ansible_collections.amazon.aws.plugins.modules import route53, route53_health_check

from lab.moto_patches import route53 as lab_route53

Run = Callable[..., dict[str, Any]]
HOME, ABROAD, DOMAIN = "us-east-1", "eu-west-1", "api.example.com"
ZONES = {HOME: "Z1UJRXOUMOOFQ8", ABROAD: "ZLY8HYME6SFDD"}


@pytest.fixture
def zone() -> str:
    """Id of the zone example.com."""
    lab_route53.apply()
    made = boto3.client("route53").create_hosted_zone(Name="example.com", CallerReference="1")
    return str(made["HostedZone"]["Id"]).removeprefix("/hostedzone/")


def health_check(run_module: Run, region: str, check: bool = False, **options: Any) -> dict[str, Any]:
    asked = {
        "type": "HTTPS",
        "fqdn": f"a1b2c3d4e5.execute-api.{region}.amazonaws.com",
        "port": 443,
        "resource_path": "/api/health",
        "request_interval": 10,
        "failure_threshold": 2,
        "health_check_name": f"cars-prod-{region}",
        "use_unique_names": True,
        "tags": {"vahana:app": "cars", "vahana:env": "prod"},
        "purge_tags": True,
    }
    return run_module(route53_health_check, check, **{**asked, **options})


def record(run_module: Run, place: str, check: bool = False, **options: Any) -> dict[str, Any]:
    wanted = {
        "state": "present",
        "zone": "example.com",
        "record": DOMAIN,
        "type": "A",
        "value": f"d-0123456789.execute-api.{place}.amazonaws.com",
        "alias": True,
        "alias_hosted_zone_id": ZONES[place],
        "alias_evaluate_target_health": False,
        "identifier": place,
        "overwrite": True,
    }
    given = {name: value for name, value in {**wanted, **options}.items() if value is not None}
    return run_module(route53, check, **given)


def records(zone: str) -> dict[str, Any]:
    found = boto3.client("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    return {each["SetIdentifier"]: each for each in found if each["Name"] == f"{DOMAIN}."}


def test_a_health_check_for_each_region(run_module: Run, zone: str) -> None:
    made = {}
    for region in (HOME, ABROAD):
        assert health_check(run_module, region, check=True)["changed"]
        made[region] = health_check(run_module, region)["health_check"]["id"]
        assert not health_check(run_module, region)["changed"]
        assert not health_check(run_module, region, check=True)["changed"]
    assert made[HOME] != made[ABROAD]
    config = boto3.client("route53").get_health_check(HealthCheckId=made[HOME])["HealthCheck"]["HealthCheckConfig"]
    assert (config["RequestInterval"], config["FailureThreshold"]) == (10, 2)
    # Its interval cannot be changed, says AWS's API; the threshold can.
    assert health_check(run_module, HOME, failure_threshold=3)["changed"]
    assert not health_check(run_module, HOME, failure_threshold=3)["changed"]
    assert health_check(run_module, HOME, state="absent")["changed"]
    assert not health_check(run_module, HOME, state="absent")["changed"]


@pytest.mark.parametrize(
    "policies",
    [
        {HOME: {"region": HOME}, ABROAD: {"region": ABROAD}},
        {HOME: {"failover": "PRIMARY"}, ABROAD: {"failover": "SECONDARY"}},
    ],
)
def test_alias_records_with_a_policy(run_module: Run, zone: str, policies: dict[str, dict[str, Any]]) -> None:
    for region, policy in policies.items():
        check_id = health_check(run_module, region)["health_check"]["id"]
        options = {**policy, "health_check": check_id}
        assert record(run_module, region, check=True, **options)["changed"]
        assert record(run_module, region, **options)["changed"]
        assert not record(run_module, region, **options)["changed"]
        assert not record(run_module, region, check=True, **options)["changed"]
        found = records(zone)[region]
        assert found["HealthCheckId"] == check_id
        assert (found.get("Region"), found.get("Failover")) == (policy.get("region"), policy.get("failover"))
        assert found["AliasTarget"]["HostedZoneId"] == ZONES[region]
    assert set(records(zone)) == {HOME, ABROAD}
    assert record(run_module, HOME, state="absent", **policies[HOME])["changed"]
    assert set(records(zone)) == {ABROAD}


def test_names_with_a_policy_and_a_short_ttl(run_module: Run, zone: str) -> None:
    plain = {"type": "CNAME", "alias": None, "alias_hosted_zone_id": None, "alias_evaluate_target_health": None}
    for region, place in ((HOME, "PRIMARY"), (ABROAD, "SECONDARY")):
        check_id = health_check(run_module, region)["health_check"]["id"]
        options = {**plain, "ttl": 10, "failover": place, "health_check": check_id}
        assert record(run_module, region, check=True, **options)["changed"]
        assert record(run_module, region, **options)["changed"]
        assert not record(run_module, region, **options)["changed"]
        assert not record(run_module, region, check=True, **options)["changed"]
    assert {name: each["TTL"] for name, each in records(zone).items()} == {HOME: 10, ABROAD: 10}
