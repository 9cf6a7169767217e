"""The module route53_regional_records: a record a region, in one batch, and never somebody else's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from lab.moto_patches import route53 as lab_route53
from plugins.module_utils.planning import KNOWN_AFTER_APPLY
from plugins.modules import route53_regional_records as records_module

Run = Callable[..., dict[str, Any]]
HOME, ABROAD, NAME = "us-east-1", "eu-west-1", "api.example.com"
OWNER = "vahana:app=cars vahana:env=prod"
TARGETS = {region: f"d-0.execute-api.{region}.amazonaws.com" for region in (HOME, ABROAD)}
CHECKS = {HOME: "check-1", ABROAD: "check-2"}


@pytest.fixture
def zone() -> str:
    """Id of the zone example.com."""
    lab_route53.apply()
    made = boto3.client("route53").create_hosted_zone(Name="example.com", CallerReference="1")
    return str(made["HostedZone"]["Id"]).removeprefix("/hostedzone/")


@pytest.fixture
def keep(run_module: Run, zone: str) -> Run:
    options = {"zone_id": zone, "record": NAME, "owner": OWNER, "targets": TARGETS, "health_checks": CHECKS}

    def run(check: bool = False, **arguments: Any) -> dict[str, Any]:
        return run_module(records_module, check, **{**options, **arguments})

    return run


def once(keep: Run, zone: str, **arguments: Any) -> dict[str, Any]:
    """Plan, do it, and see that a second run finds nothing; return what the first said."""
    before = records(zone)
    planned = keep(True, **arguments)
    assert records(zone) == before
    done = keep(**arguments)
    assert planned["changed"] and done["changed"]
    assert (planned["diff"], planned["released"]) == (done["diff"], done["released"])
    assert not keep(**arguments)["changed"] and not keep(True, **arguments)["changed"]
    return done


def records(zone: str) -> dict[str, Any]:
    """Every record set of the zone but its own two, by name and identifier."""
    found = boto3.client("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    return {
        " ".join((each["Name"].rstrip("."), each.get("SetIdentifier", ""))).strip(): each
        for each in found
        if each["Type"] not in ("NS", "SOA")
    }


def put(zone: str, name: str, kind: str, value: str) -> None:
    wanted: Any = {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]}
    changes: Any = [{"Action": "UPSERT", "ResourceRecordSet": wanted}]
    boto3.client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


def test_a_record_for_each_region_by_latency(keep: Run, zone: str) -> None:
    once(keep, zone)
    found = records(zone)
    assert set(found) == {f"{NAME} {HOME}", f"{NAME} {ABROAD}", f"_vahana.{NAME}"}
    assert found[f"{NAME} {ABROAD}"] == {
        "Name": f"{NAME}.",
        "Type": "CNAME",
        "SetIdentifier": ABROAD,
        "Region": ABROAD,
        "TTL": 10,
        "ResourceRecords": [{"Value": TARGETS[ABROAD]}],
        "HealthCheckId": "check-2",
    }
    assert found[f"_vahana.{NAME}"]["ResourceRecords"] == [{"Value": f'"{OWNER}"'}]


def test_the_policy_and_the_primary_change_in_one_batch(keep: Run, zone: str) -> None:
    keep()
    asked: list[Any] = []
    for primary in (HOME, ABROAD, ""):
        said = once(keep, zone, primary=primary)
        asked.append({name.split()[-1]: each.get("Failover") for name, each in records(zone).items() if " " in name})
        fields = said["diff"]["after"][f"CNAME {NAME} {HOME}"]
        assert ("failover" in fields, "latency" in fields) == (bool(primary), not primary)
    assert asked == [
        {HOME: "PRIMARY", ABROAD: "SECONDARY"},
        {HOME: "SECONDARY", ABROAD: "PRIMARY"},
        {HOME: None, ABROAD: None},
    ]


def test_another_target_ttl_or_check(keep: Run, zone: str) -> None:
    keep()
    moved = {**TARGETS, ABROAD: "d-1.execute-api.eu-west-1.amazonaws.com"}
    said = once(keep, zone, targets=moved, ttl=20, health_checks={**CHECKS, ABROAD: "check-3"})
    assert said["released"] == ["check-2"]
    found = records(zone)[f"{NAME} {ABROAD}"]
    assert (found["TTL"], found["ResourceRecords"]) == (20, [{"Value": moved[ABROAD]}])


def test_a_region_and_then_all_are_taken_away(keep: Run, zone: str) -> None:
    keep()
    put(zone, "other.api.example.com", "A", "192.0.2.1")
    assert once(keep, zone, targets={HOME: TARGETS[HOME]})["released"] == ["check-2"]
    assert once(keep, zone, targets={})["released"] == ["check-1"]
    assert set(records(zone)) == {"other.api.example.com"}


def test_somebody_elses_are_refused_and_not_deleted(keep: Run, zone: str) -> None:
    put(zone, NAME, "A", "192.0.2.1")
    put(zone, f"_vahana.{NAME}", "TXT", '"vahana:app=cars vahana:env=test"')
    said = keep()
    assert said["failed"] and "records of type A that this environment did not create" in said["msg"]
    assert not keep(targets={})["changed"]
    put(zone, f"_vahana.{NAME}", "TXT", f'"{OWNER}"')
    once(keep, zone)
    assert set(records(zone)) == {f"{NAME} {HOME}", f"{NAME} {ABROAD}", f"_vahana.{NAME}"}


def test_a_primary_has_one_other(keep: Run) -> None:
    for arguments in ({"primary": "eu-north-1"}, {"primary": HOME, "targets": {HOME: TARGETS[HOME]}}):
        assert "can be the primary of two regions" in keep(**arguments)["msg"]


def test_a_plan_of_what_is_not_there_yet(keep: Run, zone: str) -> None:
    unknown = dict.fromkeys(TARGETS, KNOWN_AFTER_APPLY)
    said = keep(True, zone_id=KNOWN_AFTER_APPLY, targets=unknown, health_checks=unknown)
    assert said["changed"] and said["diff"]["before"] == {}
    assert said["diff"]["after"][f"CNAME {NAME} {HOME}"]["value"] == KNOWN_AFTER_APPLY
    assert records(zone) == {}
