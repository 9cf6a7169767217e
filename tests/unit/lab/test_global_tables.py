"""Tables in two regions: what is written in one comes to the other, and the last writer wins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from lab.moto_patches import dynamodb

HOME, ABROAD, NAME = "us-east-1", "eu-west-1", "cars"


@pytest.fixture
def regions(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """A client of each region that has the table."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    dynamodb.apply()
    with mock_aws():
        home, abroad = (boto3.client("dynamodb", region_name=region) for region in (HOME, ABROAD))
        home.create_table(
            TableName=NAME,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        home.update_table(TableName=NAME, ReplicaUpdates=[{"Create": {"RegionName": ABROAD}}])
        yield home, abroad


def key(number: int) -> dict[str, Any]:
    return {"pk": {"S": f"car#{number}"}, "sk": {"S": "car"}}


def put(client: Any, number: int, price: int) -> None:
    client.put_item(TableName=NAME, Item={**key(number), "price": {"N": str(price)}})


def price(client: Any, number: int) -> str | None:
    found = client.get_item(TableName=NAME, Key=key(number)).get("Item")
    return str(found["price"]["N"]) if found else None


def deliver(*regions: str) -> int:
    [table] = dynamodb.global_tables()
    return sum(table.deliver(region) for region in regions)


def test_writes_of_every_kind_arrive_and_go_no_further(regions: tuple[Any, Any]) -> None:
    home, abroad = regions
    put(home, 1, 5)
    put(abroad, 2, 7)
    assert (price(abroad, 1), price(home, 2)) == (None, None)
    assert deliver(HOME, ABROAD) == 2
    assert (price(abroad, 1), price(home, 2)) == ("5", "7")
    home.update_item(
        TableName=NAME,
        Key=key(1),
        UpdateExpression="SET price = :price",
        ExpressionAttributeValues={":price": {"N": "6"}},
    )
    home.delete_item(TableName=NAME, Key=key(2))
    deliver(ABROAD)
    assert (price(abroad, 1), price(abroad, 2)) == ("6", None)
    assert deliver(HOME, ABROAD) == 0


def test_the_last_writer_wins_in_both_regions(regions: tuple[Any, Any]) -> None:
    home, abroad = regions
    put(home, 1, 5)
    put(abroad, 1, 7)
    put(abroad, 2, 1)
    home.delete_item(TableName=NAME, Key=key(2))
    put(home, 2, 2)
    home.delete_item(TableName=NAME, Key=key(2))
    deliver(HOME, ABROAD)
    assert (price(home, 1), price(abroad, 1)) == ("7", "7")
    assert (price(home, 2), price(abroad, 2)) == (None, None)


def test_a_replica_knows_its_others_and_leaves_alone(regions: tuple[Any, Any]) -> None:
    home, abroad = regions
    put(home, 1, 5)
    deliver(ABROAD)
    replicas = {client: client.describe_table(TableName=NAME)["Table"]["Replicas"] for client in regions}
    assert replicas[home] == [{"RegionName": ABROAD, "ReplicaStatus": "ACTIVE"}]
    assert replicas[abroad] == [{"RegionName": HOME, "ReplicaStatus": "ACTIVE"}]
    home.delete_table(TableName=NAME)
    assert price(abroad, 1) == "5"
    assert "Replicas" not in abroad.describe_table(TableName=NAME)["Table"]
    assert dynamodb.global_tables() == []


def test_a_table_without_a_stream_has_no_replica(regions: tuple[Any, Any]) -> None:
    home, _ = regions
    home.create_table(
        TableName="plain",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    with pytest.raises(home.exceptions.ClientError, match="must have stream enabled"):
        home.update_table(TableName="plain", ReplicaUpdates=[{"Create": {"RegionName": ABROAD}}])


def test_a_transaction_that_is_refused_reaches_nobody(regions: tuple[Any, Any]) -> None:
    home, abroad = regions
    put(home, 1, 10)
    table = dynamodb.global_tables()[0]
    table.deliver(ABROAD)
    item = {**key(2), "price": {"N": "20"}}
    new = {"Put": {"TableName": NAME, "Item": item}}
    there = {"Delete": {"TableName": NAME, "Key": key(3), "ConditionExpression": "attribute_exists(pk)"}}
    with pytest.raises(home.exceptions.TransactionCanceledException):
        home.transact_write_items(TransactItems=[new, there])
    assert (table.deliver(ABROAD), price(home, 2), price(abroad, 2)) == (0, None, None)
    # The table is the same one still: its replica goes on.
    home.transact_write_items(TransactItems=[new])
    assert dynamodb.global_tables()[0].deliver(ABROAD) == 1
    assert price(abroad, 2) == "20"
