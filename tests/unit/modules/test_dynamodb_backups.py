"""The modules dynamodb_backup and dynamodb_restored_table: a table is saved, and brought back beside itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from lab.moto_patches import dynamodb as patch
from plugins.modules import dynamodb_backup, dynamodb_restored_table

Run = Callable[..., dict[str, Any]]
NAME, BACKUP, RESTORED = "cars-prod", "cars-prod-backup-20261124120000", "cars-prod-restored-20261124120000"
TAGS = {"vahana:app": "cars", "vahana:env": "prod", "vahana:throwaway": BACKUP}


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client, with a table that has something in it."""
    for module in (dynamodb_backup, dynamodb_restored_table):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(patch, "MAKING_SECONDS", 0.2)
    patch.apply()
    client = boto3.client("dynamodb")
    client.create_table(
        TableName=NAME,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    client.update_continuous_backups(
        TableName=NAME, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    put(client, "a")
    return client


def put(client: Any, name: str) -> None:
    client.put_item(TableName=NAME, Item={"pk": {"S": name}})


def names(client: Any, table: str) -> list[str]:
    return sorted(item["pk"]["S"] for item in client.scan(TableName=table)["Items"])


def tags(client: Any, table: str) -> dict[str, str]:
    arn = client.describe_table(TableName=table)["Table"]["TableArn"]
    return {tag["Key"]: tag["Value"] for tag in client.list_tags_of_resource(ResourceArn=arn)["Tags"]}


def test_a_backup_is_made_once_and_deleted(run_module: Run, dynamodb: Any) -> None:
    asked = {"name": BACKUP, "table_name": NAME}
    planned = run_module(dynamodb_backup, True, **asked)
    assert planned["changed"] and planned["arn"] == "" and dynamodb.list_backups()["BackupSummaries"] == []
    made = run_module(dynamodb_backup, **asked)
    [found] = dynamodb.list_backups(TableName=NAME)["BackupSummaries"]
    assert made["changed"] and made["arn"] == found["BackupArn"] and made["diff"] == planned["diff"]
    again = run_module(dynamodb_backup, **asked)
    assert (again["changed"], again["arn"]) == (False, found["BackupArn"])
    assert run_module(dynamodb_backup, True, name=BACKUP, state="absent")["changed"]
    assert run_module(dynamodb_backup, name=BACKUP, state="absent")["changed"]
    assert dynamodb.list_backups()["BackupSummaries"] == []
    assert not run_module(dynamodb_backup, name=BACKUP, state="absent")["changed"]
    assert "cars-none" in run_module(dynamodb_backup, name=BACKUP, table_name="cars-none")["msg"]


def wait(client: Any, table: str = RESTORED) -> None:
    client.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 5})


def test_a_backup_is_restored_beside_and_gets_its_tags_when_it_is_there(run_module: Run, dynamodb: Any) -> None:
    arn = run_module(dynamodb_backup, name=BACKUP, table_name=NAME)["arn"]
    put(dynamodb, "b")
    asked = {"name": RESTORED, "backup_arn": arn, "tags": TAGS}
    assert run_module(dynamodb_restored_table, True, **asked)["changed"]
    assert RESTORED not in dynamodb.list_tables()["TableNames"]
    begun = run_module(dynamodb_restored_table, **asked)
    assert (begun["changed"], begun["status"]) == (True, "CREATING")
    # It takes no tags yet.
    assert not run_module(dynamodb_restored_table, **asked)["changed"] and tags(dynamodb, RESTORED) == {}
    wait(dynamodb)
    assert run_module(dynamodb_restored_table, True, **asked)["changed"] and tags(dynamodb, RESTORED) == {}
    assert run_module(dynamodb_restored_table, **asked)["changed"]
    assert tags(dynamodb, RESTORED) == TAGS
    assert not run_module(dynamodb_restored_table, **asked)["changed"]
    assert (names(dynamodb, RESTORED), names(dynamodb, NAME)) == (["a"], ["a", "b"])


def test_a_table_is_brought_back_to_a_second(run_module: Run, dynamodb: Any) -> None:
    # The API knows whole seconds.
    time.sleep(1)
    then = datetime.now(UTC)
    time.sleep(1)
    put(dynamodb, "b")
    asked = {"name": RESTORED, "source_table": NAME, "tags": TAGS}
    too_early = run_module(dynamodb_restored_table, **asked, restore_time="2026-01-01T00:00:00")
    assert "Invalid restore time" in too_early["msg"]
    # Without a zone it is UTC.
    run_module(dynamodb_restored_table, **asked, restore_time=then.replace(tzinfo=None).isoformat())
    wait(dynamodb)
    assert names(dynamodb, RESTORED) == ["a"]


def test_only_what_is_ours_is_deleted(run_module: Run, dynamodb: Any) -> None:
    gone = {"state": "absent", "tags": TAGS}
    # Of a table that nobody restored and that has no tags nothing is known.
    assert not run_module(dynamodb_restored_table, name=NAME, **gone)["changed"]
    arn = run_module(dynamodb_backup, name=BACKUP, table_name=NAME)["arn"]
    run_module(dynamodb_restored_table, name=RESTORED, backup_arn=arn, tags=TAGS)
    assert run_module(dynamodb_restored_table, True, name=RESTORED, **gone)["changed"]
    # Without its tags yet: it waits until it is there.
    assert run_module(dynamodb_restored_table, name=RESTORED, **gone)["changed"]
    assert dynamodb.list_tables()["TableNames"] == [NAME]
    run_module(dynamodb_restored_table, name=RESTORED, backup_arn=arn, tags=TAGS)
    wait(dynamodb)
    run_module(dynamodb_restored_table, name=RESTORED, backup_arn=arn, tags=TAGS)
    dynamodb.update_table(TableName=RESTORED, DeletionProtectionEnabled=True)
    others = {**TAGS, "vahana:env": "test"}
    assert not run_module(dynamodb_restored_table, name=RESTORED, state="absent", tags=others)["changed"]
    assert "so it is left alone" in run_module(
        dynamodb_restored_table, name=RESTORED, backup_arn=arn, tags=others
    )["msg"]  # fmt: skip
    assert run_module(dynamodb_restored_table, name=RESTORED, **gone)["changed"]
    assert dynamodb.list_tables()["TableNames"] == [NAME]
