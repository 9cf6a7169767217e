"""What a table holds, in few words; the list and the proof of its backups."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from lab.moto_patches import dynamodb as patch
from plugins.module_utils.backups import (
    choose,
    compare_parts,
    differences,
    leftover_tables,
    list_table_backups,
    restorable,
    surplus,
)
from plugins.module_utils.discovery import Environment, Resource, current_table
from plugins.module_utils.table_measure import PARTS, kind_of, measure, summed

ENVIRONMENT = Environment("vahanhelp", "prod", "us-east-1")
NAME, BUCKET = "vahanhelp-prod", "vahanhelp-prod-releases-123456789012"
KEYS = ("pk", "sk")


def listing(number: int, **more: Any) -> dict[str, Any]:
    return {"pk": {"S": f"LISTING#{number}"}, "sk": {"S": "LISTING"}, **more}


def measured(*items: dict[str, Any]) -> dict[str, Any]:
    return {"schema": "pk sk", "tables": summed(items, KEYS)}


@pytest.mark.parametrize(
    ("sort_key", "kind"),
    [("LISTING", "LISTING"), ("ORDER#2026-11-30", "ORDER"), ("2026-11-30", "item"), ("Rome", "item"), ("", "item")],
)
def test_the_kind_of_an_item_is_what_its_sort_key_begins_with(sort_key: str, kind: str) -> None:
    assert kind_of({"pk": {"S": "a"}, "sk": {"S": sort_key}}, KEYS) == kind


def test_a_number_is_no_kind() -> None:
    assert kind_of({"pk": {"S": "A"}, "sk": {"N": "7"}}, KEYS) == "item"


def test_the_order_does_not_count_and_every_value_does() -> None:
    items = [
        listing(n, tags={"SS": ["b", "a"]}, picture={"B": b"\x00\xff"}, m={"M": {"x": {"NULL": True}}})
        for n in range(50)
    ]
    shuffled = random.Random(1).sample(items, len(items))
    shuffled[0] = {**shuffled[0], "tags": {"SS": ["a", "b"]}}
    assert summed(items, KEYS) == summed(shuffled, KEYS)
    assert summed(items, KEYS)["LISTING"]["rows"] == 50
    other = [{**items[0], "picture": {"B": b"\x00\xfe"}}, *items[1:]]
    assert summed(items, KEYS) != summed(other, KEYS)
    # A number is not the text of the same digits.
    assert summed([listing(1, a={"N": "1"})], KEYS) != summed([listing(1, a={"S": "1"})], KEYS)


QUIET = [listing(n, price={"N": str(n)}) for n in range(1000)]


def compared(before: list[Any], after: list[Any], copy: list[Any]) -> dict[str, Any]:
    return compare_parts({"before": measured(*before), "after": measured(*after)}, measured(*copy))


def test_a_copy_of_a_quiet_table_is_proven_item_by_item() -> None:
    assert compared(QUIET, QUIET, QUIET) == {"faults": [], "exact": 1000, "bounded": 0, "rows": 1000}


@pytest.mark.parametrize(
    ("copy", "words"),
    [
        (QUIET[1:], "and there were"),
        ([*QUIET, listing(2000)], "and there were"),
        ([{**QUIET[0], "price": {"N": "9"}}, *QUIET[1:]], "but not with the same content"),
        ([*QUIET, {"pk": {"S": "a"}, "sk": {"S": "ORDER"}}], "ORDER: where nobody wrote meanwhile, 1 items are there"),
    ],
)
def test_a_copy_that_differs_is_found_out(copy: list[Any], words: str) -> None:
    [fault] = compared(QUIET, QUIET, copy)["faults"]
    assert words in fault


def test_what_was_written_meanwhile_leaves_the_rest_comparable() -> None:
    after = [*QUIET, listing(5000)]
    for copy in (QUIET, after):
        found = compared(QUIET, after, copy)
        assert found["faults"] == []
        # One part of many has the new item: what is in the others is proven.
        assert 0 < found["bounded"] < 1000 * 5 / PARTS + 10
        assert found["exact"] + found["bounded"] == found["rows"] == len(copy)
    in_another_part = [{**each, "price": {"N": "0"}} for each in QUIET]
    assert compared(QUIET, after, in_another_part)["faults"]


def test_another_key_is_found_out() -> None:
    manifest = {"before": measured(*QUIET), "after": measured(*QUIET)}
    assert compare_parts(manifest, {**measured(*QUIET), "schema": "id"})["faults"] == ["the table has another key"]


def test_what_the_former_table_has_alone_is_told() -> None:
    assert differences(measured(*QUIET), measured(*QUIET)) == []
    [line] = differences(measured(*QUIET, listing(5000)), measured(*QUIET))
    assert line == "LISTING: 1001 items there, 1000 in its place, at least 1 of them not the same"


@pytest.fixture
def dynamodb(lab_account: None) -> Any:
    patch.apply()
    return boto3.client("dynamodb")


def make(dynamodb: Any, name: str, tags: dict[str, str]) -> None:
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in KEYS],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )


def test_a_table_is_read_whole(dynamodb: Any) -> None:
    make(dynamodb, NAME, {})
    for number in range(30):
        dynamodb.put_item(TableName=NAME, Item=listing(number, text={"S": "x" * 100_000}))
    told: list[int] = []
    found = measure(dynamodb, NAME, told.append)
    assert (found["schema"], found["tables"]["LISTING"]["rows"]) == ("pk sk", 30)
    assert len(told) > 1 and told[-1] == 30
    assert found == measured(*[listing(number, text={"S": "x" * 100_000}) for number in range(30)])


def test_backups_of_a_table_are_listed_and_pruned_by_their_names(dynamodb: Any) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for name in (NAME, f"{NAME}-2", "other"):
        make(dynamodb, name, ENVIRONMENT.tags)
    made = f"{NAME}-backup-20261124120000"
    older = f"{NAME}-backup-20261123120000"
    for name in (made, older, "by-hand", f"{NAME}-2-backup-20261124120000"):
        dynamodb.create_backup(TableName=NAME, BackupName=name)
    dynamodb.create_backup(TableName="other", BackupName=f"{NAME}-backup-20261125120000")
    body = b'{"release": "1.0.0", "before": {"tables": {"LISTING": {"rows": 3}}}}'
    s3.put_object(Bucket=BUCKET, Key=f"backups/{made}/manifest.json", Body=body)
    found = list_table_backups(dynamodb, s3, ENVIRONMENT, BUCKET)
    assert [(each.name, each.rows, each.kept, each.status) for each in found] == [
        (made, 3, False, "available"),
        (older, None, True, "available"),
    ]
    line = found[0].described(datetime.now(UTC))["line"]
    assert line == f"{made}  0 bytes, less than a minute old, 3 items, release 1.0.0"
    assert found[0].described(datetime.now(UTC))["arn"].startswith("arn:aws:dynamodb:us-east-1:")
    assert choose(found, "latest", NAME).name == made
    # What is left of an environment that was destroyed is not this one's to delete.
    assert surplus(found, 1) == []


def test_the_seconds_that_a_table_can_be_brought_back_to(dynamodb: Any) -> None:
    assert restorable(dynamodb, NAME) == {}
    make(dynamodb, NAME, {})
    assert restorable(dynamodb, NAME) == {}
    recovery = {"PointInTimeRecoveryEnabled": True}
    dynamodb.update_continuous_backups(TableName=NAME, PointInTimeRecoverySpecification=recovery)
    window = restorable(dynamodb, NAME)
    assert window["earliest"] <= window["latest"] <= datetime.now(UTC).isoformat(timespec="seconds")


def test_what_a_restore_has_left_is_known(dynamodb: Any) -> None:
    recovery = {"PointInTimeRecoveryEnabled": True}
    make(dynamodb, NAME, ENVIRONMENT.tags)
    make(dynamodb, f"{NAME}-restored-20261101000000", {**ENVIRONMENT.tags, "vahana:kept": "x"})
    make(dynamodb, f"{NAME}-restored-20261102000000", ENVIRONMENT.tags)
    make(dynamodb, f"{NAME}-proof-20261103000000", {**ENVIRONMENT.tags, "vahana:throwaway": "x"})
    # Somebody else's, with a name like ours; nobody has restored it.
    make(dynamodb, f"{NAME}-proof-20261105000000", {})
    dynamodb.update_continuous_backups(TableName=NAME, PointInTimeRecoverySpecification=recovery)
    unfinished = f"{NAME}-restored-20261104000000"
    dynamodb.restore_table_to_point_in_time(
        SourceTableName=NAME, TargetTableName=unfinished, UseLatestRestorableTime=True
    )
    assert leftover_tables(dynamodb, ENVIRONMENT, f"{NAME}-restored-20261102000000") == [
        f"{NAME}-proof-20261103000000",
        unfinished,
    ]


def test_the_table_in_use_is_the_one_the_functions_are_told() -> None:
    def table(name: str, **tags: str) -> Resource:
        return Resource("dynamodb:table", name, name, tags, False, {})

    restored = f"{NAME}-restored-20261124120000"
    ours = {"dynamodb:table": [table(restored, **{"vahana:throwaway": "b"}), table(NAME)]}
    found = current_table(ours, ENVIRONMENT)
    assert found and found.id == NAME
    told = Resource("ssm:parameter", "/vahanhelp/prod/api/table", "p", {}, True, {"Value": restored})
    ours["ssm:parameter"] = [told]
    # A restore was killed before it took its mark off.
    found = current_table(ours, ENVIRONMENT)
    assert found and found.id == restored
    ours["dynamodb:table"] = [table(restored), table(NAME, **{"vahana:kept": "x"})]
    ours["ssm:parameter"] = [Resource(told.kind, told.id, told.arn, {}, True, {"Value": "elsewhere"})]
    found = current_table(ours, ENVIRONMENT)
    assert found and found.id == restored
    assert current_table({}, ENVIRONMENT) is None
