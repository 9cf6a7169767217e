"""Two regions: what the plan says of both, that nothing is missed in the further one, and that all of it goes again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.plan.conftest import Account
from tests.plan.drifts import NAME
from tests.plan.test_plan import compare, plan, prove

pytestmark = pytest.mark.long

ABROAD = "eu-west-1"
THERE = f"{NAME}-{ABROAD}"
GIVEN = ("-e", f"regions=us-east-1,{ABROAD}", "-e", "domain=cars.example.com", "-e", "dns_zone_create=true")


@pytest.fixture
def both(account: Account) -> Account:
    """Make the tier in both regions, once."""
    account.finish("serverless", *GIVEN, name="both")
    return account


def _records(account: Account) -> list[dict[str, Any]]:
    route53 = account.client("route53")
    [zone] = route53.list_hosted_zones()["HostedZones"]
    records = route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    return [record for record in records if record["Name"] == "api.cars.example.com." and record["Type"] == "CNAME"]


def test_an_empty_account(account: Account) -> None:
    """The plan names every task of the first run, in both regions; later neither they nor the domain need be named."""
    account.load("empty")
    planned = prove(account, "serverless", *GIVEN)
    account.save("both")
    there = {change for change in planned.changed if change[-1].endswith(f" in {ABROAD}")}
    assert len(there) > 30
    assert {role for role, _task, _item in there} > {
        "storage",
        "queue",
        "release",
        "api",
        "functions",
        "monitoring",
        "edge",
    }
    assert plan(account, "serverless").changed == set()
    assert {record["SetIdentifier"]: record["Region"] for record in _records(account)} == {
        "us-east-1": "us-east-1",
        ABROAD: ABROAD,
    }


def test_one_region_becomes_two(account: Account) -> None:
    """What is in the first stays as it is."""
    account.load("empty")
    one = account.play("serverless", *GIVEN[2:])
    assert one.code == 0, one.output[-4000:]
    api = account.client("apigatewayv2").get_apis()["Items"]
    prove(account, "serverless", *GIVEN)
    assert account.client("apigatewayv2").get_apis()["Items"] == api
    assert len(account.client("apigatewayv2", ABROAD).get_apis()["Items"]) == 1


def test_a_drift_in_the_further_region(both: Account) -> None:
    """Somebody edits a function there, takes a record away, and opens the bucket of its front end."""
    functions = both.client("lambda", ABROAD)
    functions.update_function_configuration(FunctionName=f"{THERE}-api", Timeout=3)
    [record] = [each for each in _records(both) if each["SetIdentifier"] == ABROAD]
    route53 = both.client("route53")
    [zone] = route53.list_hosted_zones()["HostedZones"]
    changes = {"Changes": [{"Action": "DELETE", "ResourceRecordSet": record}]}
    route53.change_resource_record_sets(HostedZoneId=zone["Id"], ChangeBatch=changes)
    s3 = both.client("s3", ABROAD)
    s3.delete_bucket_policy(Bucket=f"{THERE}-frontend-123456789012")
    planned = prove(both, "serverless")
    assert {(role, item.endswith(ABROAD)) for role, _task, item in planned.changed} == {
        ("api", True),
        ("dns", False),
        ("edge", True),
    }
    assert functions.get_function_configuration(FunctionName=f"{THERE}-api")["Timeout"] == 10


def test_a_region_is_not_left_behind_nor_changed_alone(both: Account) -> None:
    """Both are refused before anything is written."""
    fewer = both.play("serverless", "-e", "regions=us-east-1")
    assert (fewer.code, fewer.writes) == (2, [])
    assert f"is also in {ABROAD}" in fewer.output
    alone = both.play("serverless", "-e", f"deploy_env=prod-{ABROAD}", "-e", f"aws_region={ABROAD}")
    assert (alone.code, alone.writes) == (2, [])
    assert "-e aws_region=us-east-1 -e deploy_env=prod" in alone.output


def test_a_backup_of_the_table_is_proven_and_not_brought_back(both: Account) -> None:
    """The functions of the other region would go on with their replica."""
    quick = ("-e", '{"backup_table_margin": 0}', "-e", "probe=false")
    key = {"pk": {"S": "LISTING#1"}, "sk": {"S": "LISTING"}}
    both.client("dynamodb").put_item(TableName=NAME, Item=key)
    made = both.play("serverless", *quick, playbook="playbooks/backup.yml")
    assert made.code == 0, made.output[-4000:]
    refused = both.play("serverless", *quick, playbook="playbooks/restore.yml")
    assert refused.code == 2, refused.output[-4000:]
    assert f"{NAME} has replicas in {ABROAD}" in refused.output
    assert "aws dynamodb restore-table-from-backup --backup-arn arn:aws:dynamodb:us-east-1:" in refused.output
    assert both.client("dynamodb").list_tables()["TableNames"] == [NAME]
    proven = both.play("serverless", *quick, "-e", "verify_only=true", playbook="playbooks/restore.yml")
    assert proven.code == 0, proven.output[-4000:]
    assert ": 1 items; 1 of them item by item as they were saved" in proven.output
    assert both.client("dynamodb").list_tables()["TableNames"] == [NAME]


def test_all_of_it_goes(both: Account) -> None:
    """In both regions, with the name's proof and the records."""
    gone = both.play("serverless", "-e", f"confirm={NAME}", playbook="playbooks/destroy.yml")
    assert gone.code == 0, gone.output[-4000:]
    assert f"{THERE}: nothing is left" in gone.output
    assert f"{NAME}: nothing is left" in gone.output
    for region in ("us-east-1", ABROAD):
        assert both.client("dynamodb", region).list_tables()["TableNames"] == []
        assert both.client("apigatewayv2", region).get_apis()["Items"] == []
        assert both.client("apigatewayv2", region).get_domain_names()["Items"] == []
        assert both.client("acm", region).list_certificates()["CertificateSummaryList"] == []
        assert both.client("sqs", region).list_queues().get("QueueUrls", []) == []
    route53 = both.client("route53")
    assert (route53.list_health_checks()["HealthChecks"], route53.list_hosted_zones()["HostedZones"]) == ([], [])
    assert both.client("s3").list_buckets()["Buckets"] == []


def test_the_way_of_a_run_that_was_killed(account: Account) -> None:
    """Ended while it made the further region."""
    account.load("empty")
    account.play("serverless", *GIVEN, stop_after=60)
    compare(account, "serverless", *GIVEN)
