"""Transactions of DynamoDB: all or nothing, and nothing of what others write meanwhile is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from lab.moto_patches import dynamodb as patch

Client = Callable[[str], Any]
WRITERS = 8
WRITES = 80


@pytest.fixture
def dynamodb(client: Client) -> Any:
    """A client, with a table."""
    found = client("dynamodb")
    found.create_table(
        TableName="trial",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    return found


def put(pk: str, **more: Any) -> dict[str, Any]:
    return {"Put": {"TableName": "trial", "Item": {"pk": {"S": pk}}, **more}}


def items(dynamodb: Any) -> dict[str, dict[str, Any]]:
    return {item["pk"]["S"]: item for item in dynamodb.scan(TableName="trial")["Items"]}


def test_a_transaction_is_all_or_nothing(dynamodb: Any) -> None:
    new = {"ConditionExpression": "attribute_not_exists(pk)"}
    dynamodb.transact_write_items(TransactItems=[put("a", **new), put("b", **new)])
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as refused:
        dynamodb.transact_write_items(TransactItems=[put("c", **new), put("b", **new)])
    assert [reason["Code"] for reason in refused.value.response["CancellationReasons"]] == [
        "None",
        "ConditionalCheckFailed",
    ]
    # What only shows when it is written: a text that a number should be added to.
    update = {
        "TableName": "trial",
        "Key": {"pk": {"S": "b"}},
        "UpdateExpression": "SET colour = pk + :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    delete = {"Delete": {"TableName": "trial", "Key": {"pk": {"S": "a"}}}}
    with pytest.raises(dynamodb.exceptions.ClientError):
        dynamodb.transact_write_items(TransactItems=[delete, put("c"), {"Update": update}])
    assert items(dynamodb) == {name: {"pk": {"S": name}} for name in "ab"}


@pytest.mark.usefixtures("restless")
def test_transactions_at_the_same_time_lose_nothing(dynamodb: Any) -> None:
    def write(number: int) -> None:
        # Every fourth is there already: its transaction is taken back, and nobody else's with it.
        wanted = put(str(number - number % 4 // 3), ConditionExpression="attribute_not_exists(pk)")
        try:
            dynamodb.transact_write_items(TransactItems=[wanted])
        except dynamodb.exceptions.TransactionCanceledException as refused:
            assert number % 4 >= 2, refused

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITES)))
    assert len(items(dynamodb)) == WRITES * 3 // 4


@pytest.mark.parametrize("index", [None, "newest"])
@pytest.mark.parametrize("forward", [True, False])
def test_a_query_finds_its_partition_in_order(client: Client, index: str | None, forward: bool) -> None:
    dynamodb = client("dynamodb")
    key = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
    newest = [{"AttributeName": "kind", "KeyType": "HASH"}, {"AttributeName": "made", "KeyType": "RANGE"}]
    dynamodb.create_table(
        TableName="trial",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": kind}
            for name, kind in {"pk": "S", "sk": "S", "kind": "N", "made": "N"}.items()
        ],
        KeySchema=key,
        GlobalSecondaryIndexes=[{"IndexName": "newest", "KeySchema": newest, "Projection": {"ProjectionType": "ALL"}}],
    )
    for number in range(12):
        item = {"pk": {"S": str(number % 2)}, "sk": {"S": f"{number:02}"}, "made": {"N": str(100 - number)}}
        # Only what has the keys of an index is in it.
        kind = {} if number >= 10 else {"kind": {"N": str(number % 2)}}
        dynamodb.put_item(TableName="trial", Item={**item, **kind})

    def found() -> list[str]:
        pages = dynamodb.get_paginator("query").paginate(
            TableName="trial",
            ScanIndexForward=forward,
            Limit=2,
            ExpressionAttributeNames={"#hash": "kind" if index else "pk"},
            KeyConditionExpression="#hash = :hash",
            ExpressionAttributeValues={":hash": {"N": "1"} if index else {"S": "1"}},
            **({"IndexName": index} if index else {}),
        )
        return [item["sk"]["S"] for page in pages for item in page["Items"]]

    wanted = ["09", "07", "05", "03", "01"] if index else ["01", "03", "05", "07", "09", "11"]
    for _ in range(2):
        assert found() == (wanted if forward else wanted[::-1])
    # Written, changed and deleted in between.
    of_item = {"pk": {"S": "1"}, "sk": {"S": "09"}}
    dynamodb.put_item(TableName="trial", Item={**of_item, "kind": {"N": "1"}, "made": {"N": "98"}})
    wanted = ["07", "05", "03", "09", "01"] if index else wanted
    assert found() == (wanted if forward else wanted[::-1])
    changed = {"UpdateExpression": "SET made = :made", "ExpressionAttributeValues": {":made": {"N": "1"}}}
    dynamodb.update_item(TableName="trial", Key=of_item, **changed)
    wanted = ["09", "07", "05", "03", "01"] if index else wanted
    assert found() == (wanted if forward else wanted[::-1])
    dynamodb.delete_item(TableName="trial", Key=of_item)
    wanted = [each for each in wanted if each != "09"]
    assert found() == (wanted if forward else wanted[::-1])
    # Nobody searches: everything that has the keys of the index.
    scanned = dynamodb.scan(TableName="trial", **({"IndexName": index} if index else {}))
    assert scanned["Count"] == (9 if index else 11)


class Clock:
    """The time of the tables, which a test moves: the API knows whole seconds."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(patch, "time", made)
    return made


def recover(dynamodb: Any, on: bool = True) -> None:
    recovery = {"PointInTimeRecoveryEnabled": on}
    dynamodb.update_continuous_backups(TableName="trial", PointInTimeRecoverySpecification=recovery)


def bring_back(dynamodb: Any, name: str, moment: float) -> dict[str, dict[str, Any]]:
    dynamodb.restore_table_to_point_in_time(
        SourceTableName="trial", TargetTableName=name, RestoreDateTime=datetime.fromtimestamp(moment, UTC)
    )
    return {item["pk"]["S"]: item for item in dynamodb.scan(TableName=name)["Items"]}


def test_every_kind_of_write_is_in_the_history_of_a_table(dynamodb: Any, clock: Clock) -> None:
    for name in "ab":
        dynamodb.put_item(TableName="trial", Item={"pk": {"S": name}, "n": {"N": "0"}})
    recover(dynamodb)
    update = {
        "UpdateExpression": "SET n = :n",
        "ExpressionAttributeValues": {":n": {"N": "1"}},
    }
    delete = {"Delete": {"TableName": "trial", "Key": {"pk": {"S": "a"}}}}
    states = []
    for write in (
        lambda: None,
        lambda: dynamodb.update_item(TableName="trial", Key={"pk": {"S": "a"}}, **update),
        lambda: dynamodb.update_item(TableName="trial", Key={"pk": {"S": "new"}}, **update),
        lambda: dynamodb.delete_item(TableName="trial", Key={"pk": {"S": "b"}}),
        lambda: dynamodb.transact_write_items(TransactItems=[put("c"), delete]),
        lambda: dynamodb.batch_write_item(RequestItems={"trial": [{"PutRequest": {"Item": {"pk": {"S": "d"}}}}]}),
    ):
        clock.now += 1
        write()
        states.append(items(dynamodb))
    assert len({json.dumps(state, sort_keys=True) for state in states}) == len(states)
    for back in range(len(states)):
        moment = clock.now - back
        assert bring_back(dynamodb, f"back-{back}", moment) == states[-1 - back]


def test_only_what_the_history_has_can_be_brought_back(
    dynamodb: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(dynamodb.exceptions.PointInTimeRecoveryUnavailableException):
        bring_back(dynamodb, "back", clock.now)
    recover(dynamodb)
    for moment in (clock.now - 1, clock.now + 1):
        with pytest.raises(dynamodb.exceptions.InvalidRestoreTimeException):
            bring_back(dynamodb, "back", moment)
    monkeypatch.setattr(patch, "MOST_CHANGES", 2)
    for name in "abcd":
        clock.now += 1
        dynamodb.put_item(TableName="trial", Item={"pk": {"S": name}})
    assert set(bring_back(dynamodb, "back", clock.now)) == set("abcd")
    described = dynamodb.describe_continuous_backups(TableName="trial")["ContinuousBackupsDescription"]
    earliest = described["PointInTimeRecoveryDescription"]["EarliestRestorableDateTime"].timestamp()
    assert earliest == clock.now - 2
    assert set(bring_back(dynamodb, "earliest", earliest)) == set("ab")
    # What was forgotten does not come back.
    recover(dynamodb, False)
    recover(dynamodb)
    with pytest.raises(dynamodb.exceptions.InvalidRestoreTimeException):
        bring_back(dynamodb, "gone", earliest)


def test_what_is_restored_has_nothing_but_its_items(dynamodb: Any) -> None:
    dynamodb.put_item(TableName="trial", Item={"pk": {"S": "a"}})
    recover(dynamodb)
    dynamodb.update_table(TableName="trial", DeletionProtectionEnabled=True)
    made = dynamodb.create_backup(TableName="trial", BackupName="saved")["BackupDetails"]
    assert made["BackupSizeBytes"] > 0
    dynamodb.put_item(TableName="trial", Item={"pk": {"S": "b"}})
    dynamodb.restore_table_from_backup(TargetTableName="back", BackupArn=made["BackupArn"])
    table = dynamodb.describe_table(TableName="back")["Table"]
    assert (table["TableStatus"], table["RestoreSummary"]["RestoreInProgress"]) == ("CREATING", True)
    with pytest.raises(dynamodb.exceptions.ResourceInUseException):
        dynamodb.tag_resource(ResourceArn=table["TableArn"], Tags=[{"Key": "a", "Value": "b"}])
    dynamodb.get_waiter("table_exists").wait(TableName="back", WaiterConfig={"Delay": 1, "MaxAttempts": 5})
    table = dynamodb.describe_table(TableName="back")["Table"]
    assert not table["RestoreSummary"]["RestoreInProgress"] and not table["DeletionProtectionEnabled"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    recovery = dynamodb.describe_continuous_backups(TableName="back")["ContinuousBackupsDescription"]
    assert recovery["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "DISABLED"
    assert [item["pk"]["S"] for item in dynamodb.scan(TableName="back")["Items"]] == ["a"]
    with pytest.raises(dynamodb.exceptions.TableAlreadyExistsException):
        dynamodb.restore_table_from_backup(TargetTableName="back", BackupArn=made["BackupArn"])
