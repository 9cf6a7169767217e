"""The module apigatewayv2_domain_name: a custom domain name with its certificate and mapping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from lab.moto_patches import acm, apigatewayv2
from plugins.modules import apigatewayv2_domain_name as domain_module

Run = Callable[..., dict[str, Any]]
NAME, TAGS = "api.cars.example.com", {"vahana:app": "cars", "vahana:env": "prod"}


def client(service: Any, region: str = "us-east-1") -> Any:
    return boto3.client(service, region_name=region)


def certificate(name: str = NAME, region: str = "us-east-1") -> str:
    """An issued certificate: its record is in the zone."""
    made = str(client("acm", region).request_certificate(DomainName=name, ValidationMethod="DNS")["CertificateArn"])
    route53 = client("route53")
    if not (zones := route53.list_hosted_zones()["HostedZones"]):
        zones = [route53.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]]
    record = acm.validation_record("123456789012", name)
    wanted = {"Name": record["Name"], "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": record["Value"]}]}
    changes = [{"Action": "UPSERT", "ResourceRecordSet": wanted}]
    route53.change_resource_record_sets(HostedZoneId=zones[0]["Id"], ChangeBatch={"Changes": changes})
    return made


def api() -> str:
    return str(client("apigatewayv2").create_api(Name="cars", ProtocolType="HTTP")["ApiId"])


@pytest.fixture
def keep(run_module: Run) -> Run:
    acm.apply()
    apigatewayv2.apply()
    options = {"name": NAME, "tags": TAGS, "certificate_arn": certificate(), "api_id": api()}

    def run(check: bool = False, **arguments: Any) -> dict[str, Any]:
        return run_module(domain_module, check, **{**options, **arguments})

    return run


def once(keep: Run, **arguments: Any) -> dict[str, Any]:
    """Plan, do it, and see that a second run finds nothing; return what the first said."""
    planned, done = keep(True, **arguments), keep(**arguments)
    assert planned["changed"] and done["changed"]
    assert planned["diff"] == done["diff"]
    again = keep(**arguments)
    assert not again["changed"] and not keep(True, **arguments)["changed"]
    assert (again["arn"], again["regional_domain_name"]) == (done["arn"], done["regional_domain_name"])
    return done


def mapping() -> dict[str, Any]:
    [found] = client("apigatewayv2").get_api_mappings(DomainName=NAME)["Items"]
    return dict(found)


def test_is_made_and_removed(keep: Run) -> None:
    assert keep(True)["regional_domain_name"] == ""
    made = once(keep)
    assert made["arn"] == f"arn:aws:apigateway:us-east-1::/domainnames/{NAME}"
    assert made["regional_domain_name"].endswith(".execute-api.us-east-1.amazonaws.com")
    assert made["hosted_zone_id"] == "Z1UJRXOUMOOFQ8"
    found = client("apigatewayv2").get_domain_name(DomainName=NAME)
    assert found["Tags"] == TAGS
    assert found["DomainNameConfigurations"][0]["SecurityPolicy"] == "TLS_1_2"
    assert mapping()["Stage"] == "$default"
    assert keep(True, state="absent")["changed"]
    gone = keep(state="absent")
    assert gone["changed"] and gone["regional_domain_name"] == ""
    assert not keep(state="absent")["changed"]


def test_is_changed_in_place(keep: Run) -> None:
    before = keep()["regional_domain_name"]
    other = api()
    once(keep, api_id=other)
    assert mapping()["ApiId"] == other
    once(keep, api_id=other, certificate_arn=certificate("*.cars.example.com"))
    tags = {**TAGS, "Name": "cars"}
    once(keep, api_id=other, certificate_arn=certificate("*.cars.example.com"), tags=tags)
    assert client("apigatewayv2").get_domain_name(DomainName=NAME)["Tags"] == tags
    del tags["Name"]
    assert once(keep, tags=tags)["regional_domain_name"] == before


def test_what_is_half_made_is_finished(keep: Run) -> None:
    keep()
    client("apigatewayv2").delete_api_mapping(DomainName=NAME, ApiMappingId=mapping()["ApiMappingId"])
    once(keep)


def test_somebody_elses_is_refused(keep: Run) -> None:
    keep(tags={"vahana:app": "bikes", "vahana:env": "prod"})
    assert "not tagged vahana:app=cars" in keep()["msg"]
    assert not keep(state="absent")["changed"]


def test_a_certificate_is_of_the_region_and_the_name(keep: Run) -> None:
    for arn in (certificate(region="eu-west-1"), certificate("www.example.com")):
        assert "certificate" in keep(certificate_arn=arn)["msg"].lower()
    keep()
    [used] = client("apigatewayv2").get_domain_name(DomainName=NAME)["DomainNameConfigurations"]
    with pytest.raises(client("acm").exceptions.ResourceInUseException):
        client("acm").delete_certificate(CertificateArn=used["CertificateArn"])
