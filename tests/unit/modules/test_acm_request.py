"""Certificates validated by DNS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from lab import times
from lab.moto_patches import acm, route53
from plugins.modules import acm_request

DOMAIN = "cars.example.com"
TAGS = {"vahana:app": "cars", "vahana:env": "prod"}

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def request_certificate(run_module: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the module with ACM as it is: it issues a certificate only when its records are really there."""
    acm.apply()
    route53.apply()
    for name in ("POLL_SECONDS", "DELETE_POLL_SECONDS"):
        monkeypatch.setattr(acm_request, name, 0.01)

    def run(**options: Any) -> dict[str, Any]:
        return run_module(acm_request, **{"domain_name": DOMAIN, "tags": TAGS, **options})

    return run


def create_records(records: list[dict[str, str]]) -> None:
    client = boto3.client("route53")
    zone = client.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]
    changes: Any = [
        {
            "Action": "CREATE",
            "ResourceRecordSet": {
                "Name": record["name"],
                "Type": record["type"],
                "TTL": 300,
                "ResourceRecords": [{"Value": record["value"]}],
            },
        }
        for record in records
    ]
    client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


def test_requests_once_and_names_the_records(request_certificate: Run) -> None:
    planned = request_certificate(check=True)
    assert (planned["changed"], planned["arn"]) == (True, "")
    made = request_certificate()
    assert made["changed"]
    assert made["status"] == "PENDING_VALIDATION"
    assert [record["type"] for record in made["validation_records"]] == ["CNAME"]
    assert DOMAIN in made["validation_records"][0]["name"]
    again = request_certificate()
    assert (again["changed"], again["arn"]) == (False, made["arn"])


def test_waits_until_it_is_issued(request_certificate: Run) -> None:
    create_records(request_certificate()["validation_records"])
    issued = request_certificate(wait=True, wait_timeout=30)
    assert (issued["changed"], issued["status"]) == (False, "ISSUED")


def test_says_which_record_is_missing_when_it_is_not_issued(request_certificate: Run) -> None:
    record = request_certificate()["validation_records"][0]
    late = request_certificate(wait=True, wait_timeout=0)
    assert late["failed"]
    assert f"{record['name']} CNAME {record['value']}" in late["msg"]


def test_other_names_are_another_certificate(request_certificate: Run) -> None:
    one = request_certificate()
    two = request_certificate(subject_alternative_names=[f"www.{DOMAIN}"])
    assert two["changed"]
    assert one["arn"] != two["arn"]
    assert len(two["validation_records"]) == 2


def test_somebody_elses_certificate_is_left_alone(request_certificate: Run) -> None:
    foreign = boto3.client("acm").request_certificate(DomainName=DOMAIN, ValidationMethod="DNS")["CertificateArn"]
    made = request_certificate()
    assert made["changed"]
    assert made["arn"] != foreign
    assert request_certificate(state="absent")["changed"]
    assert boto3.client("acm").describe_certificate(CertificateArn=foreign)["Certificate"]["DomainName"] == DOMAIN


def test_tags_follow(request_certificate: Run) -> None:
    made = request_certificate(tags={**TAGS, "old": "1"})
    assert request_certificate(tags={**TAGS, "vahana:tier": "full"})["changed"]
    tags = boto3.client("acm").list_tags_for_certificate(CertificateArn=made["arn"])["Tags"]
    assert {tag["Key"]: tag.get("Value") for tag in tags} == {**TAGS, "vahana:tier": "full"}


def test_deletes_once_and_names_the_records_to_delete(request_certificate: Run) -> None:
    records = request_certificate()["validation_records"]
    assert request_certificate(state="absent", check=True)["changed"]
    gone = request_certificate(state="absent")
    assert (gone["changed"], gone["validation_records"]) == (True, records)
    again = request_certificate(state="absent")
    assert (again["changed"], again["validation_records"]) == (False, [])


def test_waits_until_acm_has_forgotten_who_used_it(request_certificate: Run, calls: list[tuple[str, str, str]]) -> None:
    create_records(request_certificate()["validation_records"])
    request_certificate(wait=True, wait_timeout=30)
    times.follow(0.3 / times.TIMES["certificate release"].seconds)
    try:
        assert request_certificate(state="absent")["changed"]
    finally:
        times.follow(0)
    assert [operation for _region, operation, _key in calls].count("DeleteCertificate") > 1
    assert not request_certificate(state="absent")["changed"]


def test_says_what_uses_it_when_that_stays(request_certificate: Run) -> None:
    made = request_certificate()
    ec2, elb = boto3.client("ec2"), boto3.client("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"]
        for number, zone in enumerate("ab")
    ]
    ids = [subnet["SubnetId"] for subnet in subnets]
    balancer = elb.create_load_balancer(Name="cars", Subnets=ids)["LoadBalancers"][0]["LoadBalancerArn"]
    answer: Any = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
    listener = elb.create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTPS",
        Port=443,
        Certificates=[{"CertificateArn": made["arn"]}],
        DefaultActions=answer,
    )["Listeners"][0]
    late = request_certificate(state="absent", delete_timeout=0)
    assert late["failed"] and late["in_use_by"] == [balancer]
    assert f"give that another certificate: {balancer}" in late["msg"] and "run the same command again" in late["msg"]
    elb.delete_listener(ListenerArn=listener["ListenerArn"])
    assert request_certificate(state="absent", delete_timeout=0)["changed"]


def test_tags_must_name_an_owner(request_certificate: Run) -> None:
    request_certificate()
    refused = request_certificate(tags={"vahana:app": "cars"})
    assert refused["failed"]
    assert "vahana:env missing" in refused["msg"]
