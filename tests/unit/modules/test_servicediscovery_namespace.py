"""A private namespace and the names in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from lab.moto_patches import servicediscovery as cloud_map_patch
from plugins.module_utils import patience
from plugins.modules import servicediscovery_namespace

TAGS = {"vahana:app": "cars", "vahana:env": "prod"}
NAME = "cars-prod.internal"

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def namespace(run_module: Run) -> Run:
    cloud_map_patch.apply()
    vpc = boto3.client("ec2", region_name="us-east-1").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]

    def run(*services: str, **options: Any) -> dict[str, Any]:
        defaults = {"name": NAME, "vpc_id": vpc, "services": list(services), "tags": TAGS}
        return run_module(servicediscovery_namespace, **{**defaults, **options})

    return run


def cloud_map() -> Any:
    return boto3.client("servicediscovery", region_name="us-east-1")


def services() -> dict[str, dict[str, Any]]:
    return {each["Name"]: each for each in cloud_map().list_services()["Services"]}


def zones() -> list[str]:
    return [zone["Name"] for zone in boto3.client("route53").list_hosted_zones()["HostedZones"]]


def test_sets_it_once(namespace: Run) -> None:
    planned = namespace("auth", "cars", check=True)
    assert planned["changed"] and (planned["namespace_id"], planned["service_arns"]) == ("", {})
    assert cloud_map().list_namespaces()["Namespaces"] == []
    made = namespace("auth", "cars")
    assert made["changed"] and made["diff"] == planned["diff"]
    assert made["namespace_id"] == cloud_map().list_namespaces()["Namespaces"][0]["Id"]
    assert made["service_arns"] == {name: each["Arn"] for name, each in services().items()}
    assert zones() == [f"{NAME}."]
    (record,) = services()["auth"]["DnsConfig"]["DnsRecords"]
    assert record == {"Type": "A", "TTL": 10}
    for check in (False, True):
        again = namespace("auth", "cars", check=check)
        assert not again["changed"] and again["service_arns"] == made["service_arns"]


def test_changes_what_differs(namespace: Run) -> None:
    namespace("auth", "cars")
    planned = namespace("auth", ttl=30, tags={**TAGS, "vahana:tier": "microservices"}, check=True)
    assert f"cars.{NAME}" in planned["diff"]["before"] and f"cars.{NAME}" not in planned["diff"]["after"]
    changed = namespace("auth", ttl=30, tags={**TAGS, "vahana:tier": "microservices"})
    assert changed["diff"] == planned["diff"] and list(services()) == ["auth"]
    assert services()["auth"]["DnsConfig"]["DnsRecords"][0]["TTL"] == 30
    assert not namespace("auth", ttl=30, tags={**TAGS, "vahana:tier": "microservices"})["changed"]


def test_absent_deletes_ours_with_its_services_and_zone(namespace: Run) -> None:
    namespace("auth")
    assert namespace(state="absent", check=True)["changed"] and list(services()) == ["auth"]
    assert namespace(state="absent")["changed"]
    assert services() == {} and zones() == [] and cloud_map().list_namespaces()["Namespaces"] == []
    assert not namespace(state="absent")["changed"]


def test_leaves_a_foreign_one_alone(namespace: Run) -> None:
    namespace("auth", tags={**TAGS, "vahana:env": "other"})
    refused = namespace("auth")
    assert refused["failed"] and f"{NAME} exists but is not tagged" in refused["msg"]
    assert not namespace(state="absent")["changed"] and list(services()) == ["auth"]


def test_a_service_with_instances_goes_when_they_have(namespace: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    namespace("auth")
    attributes, service = {"AWS_INSTANCE_IPV4": "10.9.1.4"}, services()["auth"]["Id"]
    cloud_map().register_instance(ServiceId=service, InstanceId="one", CreatorRequestId="1", Attributes=attributes)
    assert "ResourceInUse" in namespace(state="absent", wait_timeout=0)["msg"]
    assert list(services()) == ["auth"]

    def stop(_seconds: float) -> None:
        cloud_map().deregister_instance(ServiceId=service, InstanceId="one")

    monkeypatch.setattr(patience.time, "sleep", stop)
    assert namespace(state="absent")["changed"] and services() == {}
