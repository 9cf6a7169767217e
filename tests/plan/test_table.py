"""The table of tier serverless: saved, proven, brought back, without a host and without a function that runs."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.plan.conftest import Account, Run
from tests.plan.drifts import NAME, PARAMETERS
from tests.plan.test_plan import plan, prove

pytestmark = pytest.mark.long

BUCKET = f"{NAME}-releases-123456789012"
#: Nobody writes while a backup is made, and IAM knows of a policy at once here.
QUICK = ("-e", json.dumps({"backup_table_margin": 0, "api_move_permission_seconds": 0, "api_move_read_seconds": 0}),
         "-e", "probe=false")  # fmt: skip


@pytest.fixture
def serverless(account: Account) -> Account:
    """The whole tier."""
    account.finish("serverless")
    return account


def play(account: Account, playbook: str, *arguments: str) -> Run:
    return account.play("serverless", *QUICK, *arguments, playbook=f"playbooks/{playbook}.yml")


def put(account: Account, *numbers: int, price: int = 5, table: str = NAME) -> None:
    for number in numbers:
        key = {"pk": {"S": f"LISTING#{number}"}, "sk": {"S": "LISTING"}}
        account.client("dynamodb").put_item(TableName=table, Item={**key, "price": {"N": str(price)}})


def prices(account: Account, table: str) -> dict[str, str]:
    found = account.client("dynamodb").scan(TableName=table)["Items"]
    return {item["pk"]["S"].partition("#")[2]: item["price"]["N"] for item in found}


def tables(account: Account) -> dict[str, dict[str, str]]:
    """Return the tags of every table."""
    dynamodb, found = account.client("dynamodb"), {}
    for name in dynamodb.list_tables()["TableNames"]:
        arn = dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
        found[name] = {tag["Key"]: tag["Value"] for tag in dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"]}
    return found


def told(account: Account) -> str:
    return str(account.client("ssm").get_parameter(Name=f"{PARAMETERS}/api/table")["Parameter"]["Value"])


def may_use(account: Account) -> set[str]:
    """Return which tables the policies of the functions name."""
    iam, found = account.client("iam"), set()
    for name in ("api", "sweep"):
        policy = iam.get_role_policy(RoleName=f"{NAME}-api-{name}", PolicyName="function")["PolicyDocument"]
        for statement in policy["Statement"]:
            resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
            found |= {each.split("/")[1] for each in resources if ":dynamodb:" in each}
    return found


def backup_of(made: Run) -> str:
    return next(word for word in made.output.split() if word.startswith(f"{NAME}-backup-"))


def manifest(account: Account, backup: str) -> dict[str, Any]:
    answer = account.client("s3").get_object(Bucket=BUCKET, Key=f"backups/{backup}/manifest.json")
    found: dict[str, Any] = json.load(answer["Body"])
    return found


def settings(account: Account, table: str) -> tuple[bool, str, str]:
    dynamodb = account.client("dynamodb")
    recovery = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    return (
        dynamodb.describe_table(TableName=table)["Table"]["DeletionProtectionEnabled"],
        recovery["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"],
        dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"].get("AttributeName", ""),
    )


def test_a_backup_is_proven_and_brought_back(serverless: Account) -> None:
    """The whole story, told once: each step needs the one before."""
    account = serverless
    put(account, *range(20))
    would = play(account, "backup", "--check")
    assert (would.code, [w for w in would.writes if w != "PutObject"]) == (0, []), would.output[-3000:]
    made = play(account, "backup")
    assert made.code == 0, made.output[-4000:]
    backup = backup_of(made)
    assert "20 items" in made.output
    assert manifest(account, backup)["before"] == manifest(account, backup)["after"]
    listed = play(account, "backups")
    assert (listed.code, listed.writes) == (0, []), listed.output[-3000:]
    assert backup in listed.output and "and any second from" in listed.output

    # Changed, deleted, new: all of it after the backup.
    put(account, 0, price=6)
    put(account, 100, 101)
    account.client("dynamodb").delete_item(TableName=NAME, Key={"pk": {"S": "LISTING#1"}, "sk": {"S": "LISTING"}})
    proven = play(account, "restore", "-e", "verify_only=true")
    assert proven.code == 0, proven.output[-4000:]
    assert f"proven: {backup}: 20 items; 20 of them item by item as they were saved" in proven.output
    assert (list(tables(account)), told(account)) == ([NAME], NAME)

    would = play(account, "restore", "--check")
    assert would.code == 0, would.output[-4000:]
    assert (list(tables(account)), told(account)) == ([NAME], NAME)
    restored = play(account, "restore", "-e", f"backup={backup}")
    assert restored.code == 0, restored.output[-4000:]
    fresh = told(account)
    assert fresh.startswith(f"{NAME}-restored-")
    assert prices(account, fresh) == {str(n): "5" for n in range(20)}
    assert len(prices(account, NAME)) == 21
    assert may_use(account) == {fresh}
    assert settings(account, fresh) == (True, "ENABLED", "expires_at") == settings(account, NAME)
    assert "vahana:kept" in tables(account)[NAME]
    assert not {"vahana:kept", "vahana:throwaway"} & tables(account)[fresh].keys()
    assert (
        f"in {NAME} alone, written or deleted since then: LISTING: 21 items there, 20 in its place" in restored.output
    )
    assert plan(account, "serverless").changed == set()
    alarms = account.client("cloudwatch").describe_alarms()["MetricAlarms"]
    watched = {d["Value"] for alarm in alarms for d in alarm["Dimensions"] if d["Name"] == "TableName"}
    assert watched == {fresh}

    # And to a second, from there on. What is worked on is the table in use.
    time.sleep(1.1)
    second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    time.sleep(1.1)
    put(account, 200, table=fresh)
    back = play(account, "restore", "-e", f"restore_time={second}")
    assert back.code == 0, back.output[-4000:]
    assert "20 items; nobody counted then, so nothing to compare" in back.output
    newest = told(account)
    assert newest not in (fresh, NAME) and may_use(account) == {newest}
    assert prices(account, newest) == {str(n): "5" for n in range(20)}
    assert "vahana:kept" in tables(account)[fresh]
    prove(account, "serverless", "-e", "table_point_in_time_recovery=false")
    assert [settings(account, name)[1] for name in (NAME, fresh, newest)] == ["ENABLED", "ENABLED", "DISABLED"]

    gone = play(account, "destroy", "-e", f"confirm={NAME}")
    assert gone.code == 0, gone.output[-4000:]
    assert f"{NAME}: nothing is left" in gone.output and f"kept: {backup}" in gone.output
    assert tables(account) == {}
    assert [each["BackupName"] for each in account.client("dynamodb").list_backups()["BackupSummaries"]] == [backup]


def test_a_copy_that_differs_is_found_out_and_deleted(serverless: Account) -> None:
    """Somebody has edited what was counted; and what a killed run left goes at the next."""
    account = serverless
    put(account, *range(5))
    backup = backup_of(play(account, "backup"))
    counted = manifest(account, backup)
    for measure in ("before", "after"):
        parts = counted[measure]["tables"]["LISTING"]["parts"]
        parts[min(parts)] = "1:0000000000000000"
    body = json.dumps(counted).encode()
    account.client("s3").put_object(Bucket=BUCKET, Key=f"backups/{backup}/manifest.json", Body=body)
    left = f"{NAME}-restored-20261101000000"
    [found] = account.client("dynamodb").list_backups()["BackupSummaries"]
    account.client("dynamodb").restore_table_from_backup(TargetTableName=left, BackupArn=found["BackupArn"])
    refused = play(account, "restore")
    assert refused.code == 2, refused.output[-3000:]
    assert f"{backup} is not what was saved: LISTING: where nobody wrote meanwhile" in refused.output
    assert "nothing was switched, and the copy is deleted" in refused.output
    assert (list(tables(account)), told(account), may_use(account)) == ([NAME], NAME, {NAME})


def test_what_cannot_be_brought_back_is_refused_with_the_mend(serverless: Account) -> None:
    """Before anything is made."""
    account = serverless
    for given, words in (
        (("-e", "restore_time=2026-01-01"), "can be brought back to any second from"),
        (("-e", "restore_time=soon"), "'soon' is not a time"),
        (("-e", "restore_time=2h", "-e", "backup=latest"), "leave one of them out"),
        ((), "has no backup that is available; make one"),
    ):
        refused = play(account, "restore", *given)
        assert refused.code != 0 and words in refused.output, refused.output[-3000:]
        assert list(tables(account)) == [NAME]


def test_destroy_takes_the_backups_too_when_it_is_told(serverless: Account) -> None:
    """And the older ones go by themselves."""
    account = serverless
    made = [backup_of(play(account, "backup", "-e", "backup_keep=2")) for _turn in range(3)]
    there = account.client("dynamodb").list_backups()["BackupSummaries"]
    assert [each["BackupName"] for each in there] == made[1:]
    gone = play(account, "destroy", "-e", f"confirm={NAME}", "-e", "keep_snapshot=false")
    assert gone.code == 0, gone.output[-4000:]
    assert account.client("dynamodb").list_backups()["BackupSummaries"] == []
