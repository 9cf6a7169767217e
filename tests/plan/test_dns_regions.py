"""The records of several regions: planned, made, changed in every way, and taken away again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plugins.module_utils.planning import KNOWN_AFTER_APPLY
from tests.plan.conftest import Account, Run

pytestmark = pytest.mark.long

HOME, ABROAD = "us-east-1", "eu-west-1"
PLAYBOOK = "tests/plan/dns_regions.yml"
LEAD = "Regions | Lead to the regions"
ASK = "Regions | Ask the API of each region"
DELETE = "Regions | Delete health checks that no record asks any more"


def region(name: str, api: str = "a1", target: str = "d-0") -> dict[str, str]:
    endpoint, regional = (f"{word}.execute-api.{name}.amazonaws.com" for word in (api, target))
    return {"region": name, "endpoint": endpoint, "target": regional}


def play(account: Account, *arguments: str, **variables: Any) -> Run:
    return account.play("serverless", *arguments, "-e", json.dumps(variables), playbook=PLAYBOOK)


def tasks(run: Run) -> set[str]:
    """Return the tasks that changed something."""
    return {task for _role, task, _item in run.changed}


def prove(account: Account, **variables: Any) -> Run:
    """Plan, run, see that the plan has named what changed, and plan again; return the run."""
    planned = play(account, "--check", "--diff", **variables)
    # Tags of many are asked for by POST.
    assert planned.code == 0 and set(planned.writes) <= {"ListTagsForResources"}, planned.output[-4000:]
    ran = play(account, **variables)
    assert ran.code == 0, ran.output[-4000:]
    assert ran.changed == planned.changed
    again = play(account, "--check", **variables)
    assert (again.code, again.changed) == (0, set()), again.output[-4000:]
    return ran


def records(account: Account) -> dict[str, Any]:
    """Return the record sets of all zones that are no zone's own, by name and identifier."""
    route53 = account.client("route53")
    return {
        " ".join([each["Name"].rstrip("."), *filter(None, [each.get("SetIdentifier")])]): each
        for zone in route53.list_hosted_zones()["HostedZones"]
        for each in route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
        if each["Type"] not in ("NS", "SOA")
    }


def checks(account: Account) -> dict[str, dict[str, Any]]:
    """Return every health check with its tags, by what it asks."""
    route53 = account.client("route53")
    found = {}
    for each in route53.list_health_checks()["HealthChecks"]:
        tags = route53.list_tags_for_resource(ResourceType="healthcheck", ResourceId=each["Id"])
        named = {tag["Key"]: tag["Value"] for tag in tags["ResourceTagSet"]["Tags"]}
        found[each["HealthCheckConfig"]["FullyQualifiedDomainName"]] = {**each, "Tags": named}
    return found


def test_the_records_of_several_regions(account: Account) -> None:
    """A second region comes and changes in every way; the domain's own records stay; all of it goes."""
    account.load("empty")
    route53 = account.client("route53")
    both = [region(HOME), region(ABROAD)]

    # From nothing, when not even the APIs are there: everything is known after apply.
    unknown = [{**each, "endpoint": KNOWN_AFTER_APPLY, "target": KNOWN_AFTER_APPLY} for each in both]
    planned = play(account, "--check", "--diff", dns_regions=unknown, dns_health_check=True)
    assert (planned.code, planned.writes) == (0, []), planned.output[-4000:]
    assert {LEAD, ASK} < tasks(planned)

    alone = play(account, dns_health_check=True)
    assert alone.code == 0 and not {task for task in tasks(alone) if task.startswith("Regions")}, alone.output[-4000:]
    one, [own] = records(account), checks(account).values()

    ran = prove(account, dns_health_check=True, dns_regions=both)
    assert tasks(ran) == {ASK, LEAD}
    asked = checks(account)
    for each in both:
        found = asked[each["endpoint"]]
        config = found["HealthCheckConfig"]
        assert (config["Type"], config["ResourcePath"]) == ("HTTPS", "/api/health")
        assert (config["RequestInterval"], config["FailureThreshold"]) == (10, 2)
        assert found["Tags"]["Name"] == f"api.cars.example.com {each['region']}"
        assert (found["Tags"]["vahana:env"], found["Tags"]["vahana:layer"]) == ("prod", "dns")
        record = records(account)[f"api.cars.example.com {each['region']}"]
        assert (record["Region"], record["HealthCheckId"], record["TTL"]) == (each["region"], found["Id"], 10)
        assert record["ResourceRecords"] == [{"Value": each["target"]}]
    ids = {each["region"]: asked[each["endpoint"]]["Id"] for each in both}
    said = ran.output.replace("\n", " ")
    assert f"own {own['Id']}" in said and all(f'"{name}": "{check}"' in said for name, check in ids.items())

    # The second API was made anew, checks ask less often, and a killed run has left a check.
    config = {"Type": "HTTPS", "FullyQualifiedDomainName": f"a0.execute-api.{ABROAD}.amazonaws.com"}
    left = route53.create_health_check(CallerReference="left", HealthCheckConfig={**config, "RequestInterval": 30})
    tags = [{"Key": key, "Value": value} for key, value in asked[both[0]["endpoint"]]["Tags"].items()]
    route53.change_tags_for_resource(ResourceType="healthcheck", ResourceId=left["HealthCheck"]["Id"], AddTags=tags)
    both[1] = region(ABROAD, "a2", "d-2")
    options = {"dns_routing": "failover", "dns_region_check_interval": 30}
    assert tasks(prove(account, dns_health_check=True, dns_regions=both, **options)) == {ASK, LEAD, DELETE}
    assert set(checks(account)) == {"cars.example.com", *(each["endpoint"] for each in both)}
    found = records(account)
    places = {each["region"]: found[f"api.cars.example.com {each['region']}"] for each in both}
    assert {name: each["Failover"] for name, each in places.items()} == {HOME: "PRIMARY", ABROAD: "SECONDARY"}
    assert places[ABROAD]["ResourceRecords"] == [{"Value": both[1]["target"]}]

    assert {name: each for name, each in found.items() if "api." not in name} == one
    assert checks(account)["cars.example.com"]["Id"] == own["Id"]

    prove(account, dns_state="absent")
    assert (records(account), checks(account)) == ({}, {})
    assert route53.list_hosted_zones()["HostedZones"] == []


def test_somebody_elses_stay(account: Account) -> None:
    """Records of the API's name, and a health check of its endpoint, that others have made."""
    account.load("empty")
    route53 = account.client("route53")
    zone = route53.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]
    theirs = {"Name": "api.cars.example.com", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.9"}]}
    changes = [{"Action": "CREATE", "ResourceRecordSet": theirs}]
    route53.change_resource_record_sets(HostedZoneId=zone["Id"], ChangeBatch={"Changes": changes})
    refused = play(account, dns_regions=[region(HOME), region(ABROAD)])
    assert refused.code != 0
    assert "records of type A that this environment did not create" in refused.output.replace("\n", " ")
    gone = play(account, dns_state="absent")
    assert gone.code == 0, gone.output[-4000:]
    assert set(records(account)) == {"api.cars.example.com"}
