"""Transactions of DynamoDB: all or nothing, and nothing of what others write meanwhile is lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

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
    pages = dynamodb.get_paginator("query").paginate(
        TableName="trial",
        ScanIndexForward=forward,
        Limit=2,
        ExpressionAttributeNames={"#hash": "kind" if index else "pk"},
        KeyConditionExpression="#hash = :hash",
        ExpressionAttributeValues={":hash": {"N": "1"} if index else {"S": "1"}},
        **({"IndexName": index} if index else {}),
    )
    found = [item["sk"]["S"] for page in pages for item in page["Items"]]
    wanted = ["09", "07", "05", "03", "01"] if index else ["01", "03", "05", "07", "09", "11"]
    assert found == (wanted if forward else wanted[::-1])
