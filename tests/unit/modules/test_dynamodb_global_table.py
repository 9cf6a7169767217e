"""The module dynamodb_global_table: a table with everything about it, in one region and in two."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lab.moto_patches import dynamodb
from plugins.modules import dynamodb_global_table as table_module

Run = Callable[..., dict[str, Any]]
NAME, TAGS = "cars-prod", {"vahana:app": "cars", "vahana:env": "prod"}
OWNER = {"name": "by-owner", "partition_key": "owner", "sort_key": "created"}
CITY = {"name": "by-city", "partition_key": "city", "sort_key": "created"}
ABROAD = "eu-west-1"


@pytest.fixture
def keep(run_module: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(table_module, "POLL_SECONDS", 0)
    dynamodb.apply()

    def run(check: bool = False, **arguments: Any) -> dict[str, Any]:
        return run_module(table_module, check, **{"name": NAME, "tags": TAGS, **arguments})

    return run


def once(keep: Run, **arguments: Any) -> dict[str, Any]:
    """Plan, do it, and see that a second run finds nothing; return what the first said."""
    planned = keep(True, **arguments)
    done = keep(**arguments)
    assert planned["changed"] and done["changed"]
    assert planned["diff"] == done["diff"]
    assert not keep(**arguments)["changed"] and not keep(True, **arguments)["changed"]
    return done


def described(region: str = "us-east-1") -> dict[str, Any]:
    return dict(boto3.client("dynamodb", region_name=region).describe_table(TableName=NAME)["Table"])


def lift_protection(region: str) -> None:
    client = boto3.client("dynamodb", region_name=region)
    while described(region)["TableStatus"] != "ACTIVE":
        time.sleep(0.05)
    client.update_table(TableName=NAME, DeletionProtectionEnabled=False)


def recovery(region: str = "us-east-1") -> str:
    found = boto3.client("dynamodb", region_name=region).describe_continuous_backups(TableName=NAME)
    return str(found["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"])


def test_is_made_with_all_that_protects_it(keep: Run) -> None:
    made = once(keep, indexes=[OWNER], ttl_attribute="expires")
    table = described()
    assert made["arn"] == table["TableArn"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert [each["AttributeName"] for each in table["KeySchema"]] == ["pk", "sk"]
    assert [each["IndexName"] for each in table["GlobalSecondaryIndexes"]] == ["by-owner"]
    assert table["DeletionProtectionEnabled"] and recovery() == "ENABLED"
    ttl = boto3.client("dynamodb").describe_time_to_live(TableName=NAME)["TimeToLiveDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
    assert "StreamSpecification" not in table


def test_is_changed_in_place(keep: Run) -> None:
    keep(indexes=[OWNER], ttl_attribute="expires")
    once(keep, indexes=[CITY], ttl_attribute="expires")
    assert [each["IndexName"] for each in described()["GlobalSecondaryIndexes"]] == ["by-city"]
    once(keep, indexes=[{**CITY, "sort_key": "price"}], ttl_attribute="expires")
    assert {each["AttributeName"] for each in described()["AttributeDefinitions"]} == {"pk", "sk", "city", "price"}
    once(keep, point_in_time_recovery=False, deletion_protection=False)
    assert not described()["DeletionProtectionEnabled"] and recovery() == "DISABLED"
    once(keep, point_in_time_recovery=False, deletion_protection=False, tags={**TAGS, "Name": NAME})


def test_what_cannot_change_is_refused(keep: Run) -> None:
    keep(ttl_attribute="expires")
    assert "which cannot change: copy its items" in keep(partition_key="id", ttl_attribute="expires")["msg"]
    assert "one change an hour" in keep(ttl_attribute="gone")["msg"]


def test_has_replicas_that_are_as_well_protected(keep: Run) -> None:
    keep(indexes=[OWNER])
    client = boto3.client("dynamodb")
    client.put_item(TableName=NAME, Item={"pk": {"S": "car#1"}, "sk": {"S": "car"}, "price": {"N": "5"}})
    once(keep, indexes=[OWNER], replica_regions=[ABROAD])
    there = described(ABROAD)
    assert there["DeletionProtectionEnabled"] and recovery(ABROAD) == "ENABLED"
    assert [each["IndexName"] for each in there["GlobalSecondaryIndexes"]] == ["by-owner"]
    abroad = boto3.client("dynamodb", region_name=ABROAD)
    tags = abroad.list_tags_of_resource(ResourceArn=there["TableArn"])["Tags"]
    assert {each["Key"]: each["Value"] for each in tags} == TAGS
    assert abroad.scan(TableName=NAME)["Items"] == client.scan(TableName=NAME)["Items"]
    # Somebody lifts the protection of the replica alone.
    lift_protection(ABROAD)
    once(keep, indexes=[OWNER], replica_regions=[ABROAD])
    assert described(ABROAD)["DeletionProtectionEnabled"]
    once(keep, indexes=[OWNER])
    assert boto3.client("dynamodb", region_name=ABROAD).list_tables()["TableNames"] == []
    assert described()["ItemCount"] == 1


def test_is_deleted_everywhere_and_only_when_it_is_ours(keep: Run) -> None:
    keep(replica_regions=[ABROAD])
    assert not keep(state="absent", tags={**TAGS, "vahana:env": "test"})["changed"]
    assert "so it is left alone" in keep(tags={**TAGS, "vahana:env": "test"})["msg"]
    assert keep(True, state="absent")["changed"] and described()
    assert keep(state="absent")["changed"]
    for region in ("us-east-1", ABROAD):
        assert boto3.client("dynamodb", region_name=region).list_tables()["TableNames"] == []
    assert not keep(state="absent")["changed"]


def test_a_table_that_is_being_updated_is_waited_for(keep: Run) -> None:
    keep(replica_regions=[ABROAD])
    home, abroad = (boto3.client("dynamodb", region_name=region) for region in ("us-east-1", ABROAD))
    lift_protection(ABROAD)
    for client in (home, abroad):
        assert client.describe_table(TableName=NAME)["Table"]["TableStatus"] == "UPDATING"
        with pytest.raises(ClientError, match="ResourceInUse"):
            client.update_table(TableName=NAME, DeletionProtectionEnabled=True)
    # The protection, and an index after it; then both tables go right after theirs were lifted.
    assert not keep(replica_regions=[ABROAD], indexes=[OWNER], deletion_protection=False).get("failed")
    assert not keep(replica_regions=[ABROAD], indexes=[CITY]).get("failed")
    assert keep(state="absent")["changed"] and home.list_tables()["TableNames"] == []
