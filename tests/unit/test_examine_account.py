"""What a doctor asks AWS, against moto; a question that AWS does not answer stops no other."""

from __future__ import annotations

import copy
from typing import Any

import boto3
import pytest

from plugins.action.examine_account import examine
from plugins.module_utils.discovery import EMPTY

pytestmark = pytest.mark.usefixtures("lab_account")
SERVICES = ("ec2", "acm", "sns", "rds", "s3", "elbv2", "service-quotas")


@pytest.fixture
def clients() -> dict[str, Any]:
    return {name: boto3.client(name, region_name="us-east-1") for name in SERVICES}  # type: ignore[call-overload]


def stack(**changes: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = copy.deepcopy(EMPTY)
    for layer, values in changes.items():
        made[layer].update(values)
    return made


def test_quotas(clients: dict[str, Any]) -> None:
    before = examine(clients, stack(), "t3.micro")
    clients["ec2"].create_vpc(CidrBlock="10.9.0.0/16")
    found = examine(clients, stack(), "t3.micro")
    vpcs = found["quotas"]["L-F678F1CE"]
    assert (vpcs["kind"], vpcs["limit"]) == ("vpc", 5)
    assert vpcs["used"] == before["quotas"]["L-F678F1CE"]["used"] + 1
    # moto knows no quota of EC2: said, and no reason to stop.
    assert "quota vCPUs of standard On-Demand instances" in found["unchecked"]
    assert found["certificates"] == []


def test_backup_of_a_database(clients: dict[str, Any]) -> None:
    clients["s3"].create_bucket(Bucket="releases")
    clients["rds"].create_db_instance(
        DBInstanceIdentifier="cars-prod", DBInstanceClass="db.t3.micro", Engine="postgres", BackupRetentionPeriod=0
    )
    storage = {"releases_bucket": "releases"}
    of_database = stack(database={"identifier": "cars-prod"}, storage=storage)
    found = examine(clients, of_database, "")["backup"]
    assert (found["name"], found["retention_days"]) == ("cars-prod", 0)
    assert found["created"]
    follows = {"identifier": "cars-prod", "source_arn": "arn:aws:rds:eu-west-1:1:db:cars"}
    assert "backup" not in examine(clients, stack(database=follows, storage=storage), "")
    of_file = stack(compute={"instances": [{"id": "i-1", "launched": "2026-11-20T00:00:00+00:00"}]}, storage=storage)
    assert examine(clients, of_file, "")["backup"] == {
        "name": "on the instance",
        "newest": "",
        "created": "2026-11-20T00:00:00+00:00",
        "retention_days": None,
    }
    clients["s3"].put_object(Bucket="releases", Key="backups/one/data.gz", Body=b"x")
    assert examine(clients, of_file, "")["backup"]["newest"] == ""
    clients["s3"].put_object(Bucket="releases", Key="backups/one/manifest.json", Body=b"{}")
    assert examine(clients, of_file, "")["backup"]["newest"]


def test_subscriptions_and_certificates(clients: dict[str, Any]) -> None:
    topic = clients["sns"].create_topic(Name="alarms")["TopicArn"]
    arn = clients["acm"].request_certificate(DomainName="cars.example")["CertificateArn"]
    monitored = stack(
        monitoring={"topic_arn": topic}, edge={"certificate_arn": arn, "load_balancer_certificate_arn": arn}
    )
    found = examine(clients, monitored, "")
    assert found["subscriptions"] == {"confirmed": 0, "pending": 0}
    [certificate] = found["certificates"]
    assert (certificate["domain"], certificate["arn"]) == ("cars.example", arn)
    gone = examine(clients, stack(edge={"certificate_arn": f"{arn}x"}), "")
    assert "ResourceNotFound" in gone["unchecked"][f"certificate {arn}x"]
