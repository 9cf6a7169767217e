"""Names, list and proof of backups."""

from __future__ import annotations

import datetime
import json
from typing import Any

import boto3
import pytest

from plugins.module_utils.backups import Backup, backup_name, choose, compare, list_backups, surplus
from plugins.module_utils.discovery import Environment, Resource, current_database

ENVIRONMENT = Environment("vahanhelp", "prod", "us-east-1")
BUCKET = "vahanhelp-prod-releases-123456789012"
NOW = datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.UTC)


def table(rows: int, checksum: str, old_rows: int | None = None, old_checksum: str | None = None) -> dict[str, Any]:
    return {
        "rows": rows,
        "checksum": checksum,
        "old_rows": rows if old_rows is None else old_rows,
        "old_checksum": checksum if old_checksum is None else old_checksum,
    }


def measure(*tables: dict[str, Any], schema: str = "s") -> dict[str, Any]:
    return {"snapshot": "7:7:", "schema": schema, "tables": {f"t{n}": each for n, each in enumerate(tables)}}


def faults(before: dict[str, Any], after: dict[str, Any], copy: dict[str, Any]) -> list[str]:
    found: list[str] = compare({"before": measure(before), "after": measure(after)}, measure(copy))["faults"]
    return found


QUIET = table(3, "a")
GREW = table(5, "c", 3, "a")
CHANGED = table(4, "d", 2, "b")


@pytest.mark.parametrize(
    ("after", "copy"),
    [
        (QUIET, QUIET),
        # Rows that came while the snapshot was taken may be in it or not.
        (GREW, table(3, "a")),
        (GREW, table(4, "x", 3, "a")),
        (GREW, table(5, "c", 3, "a")),
        # Some of them had gone again when it was there, as in a queue.
        (QUIET, table(4, "x", 3, "a")),
        (GREW, table(6, "x", 3, "a")),
        # One of the three was changed in the meantime: the copy has it as it was before or after.
        (CHANGED, table(3, "a")),
        (CHANGED, table(4, "d", 2, "b")),
    ],
)
def test_a_copy_of_any_moment_in_between_is_good(after: dict[str, Any], copy: dict[str, Any]) -> None:
    assert faults(QUIET, after, copy) == []


@pytest.mark.parametrize(
    ("after", "copy", "fault"),
    [
        (QUIET, table(2, "a"), "2 of 3 rows are there"),
        (QUIET, table(3, "z"), "all 3 rows are there, but not with the same content"),
        (GREW, table(5, "c", 3, "z"), "all 3 rows are there, but not with the same content"),
        (CHANGED, table(1, "q"), "1 rows from before the snapshot are there, and there were 2 to 3"),
        (CHANGED, table(3, "z"), "3 rows from before the snapshot are there, but not with the same content"),
        (CHANGED, table(2, "z"), "2 rows from before the snapshot are there, but not with the same content"),
    ],
)
def test_a_copy_that_differs_is_found_out(after: dict[str, Any], copy: dict[str, Any], fault: str) -> None:
    assert faults(QUIET, after, copy) == [f"table t0: {fault}"]


def test_missing_tables_and_other_columns_are_found_out() -> None:
    manifest = {"before": measure(QUIET, QUIET), "after": measure(QUIET, QUIET)}
    found = compare(manifest, measure(QUIET, schema="other"))
    assert found["faults"] == ["the tables have other columns than when the backup was made", "table t1 is missing"]
    good = compare({"before": measure(QUIET, QUIET), "after": measure(QUIET, CHANGED)}, measure(QUIET, QUIET))
    assert (good["faults"], good["exact"], good["bounded"], good["rows"]) == ([], ["t0"], ["t1"], 6)


def backup(stamp: str, status: str = "available", **more: Any) -> Backup:
    return Backup(
        f"vahanhelp-prod-backup-{stamp}", "postgres", status, "2026-11-24T11:00:00+00:00", 1 << 30, {}, **more
    )


def test_the_newest_that_can_be_restored_stay() -> None:
    kept = [backup("5", "creating"), backup("4"), backup("3", kept=True), backup("2"), backup("1")]
    assert [each.name[-1] for each in surplus(kept, 2)] == ["1"]
    assert surplus(kept, 3) == []


def test_choosing_says_what_there_is() -> None:
    there = [backup("3", "creating"), backup("2"), backup("1")]
    assert choose(there, "latest", "vahanhelp-prod").name.endswith("-2")
    assert choose(there, there[2].name, "vahanhelp-prod") == there[2]
    with pytest.raises(LookupError, match="backup-3 is creating; take vahanhelp-prod-backup-2 or another"):
        choose(there, there[0].name, "vahanhelp-prod")
    with pytest.raises(LookupError, match="there is no backup 'x'; there are vahanhelp-prod-backup-2, "):
        choose(there, "x", "vahanhelp-prod")
    with pytest.raises(LookupError, match="vahanhelp-prod has no backup that is available"):
        choose([], "latest", "vahanhelp-prod")


def test_the_list_is_of_this_environment_alone(lab_account: None) -> None:
    rds, s3 = boto3.client("rds"), boto3.client("s3")
    assert list_backups(rds, s3, ENVIRONMENT, BUCKET) == []
    s3.create_bucket(Bucket=BUCKET)
    rds.create_db_instance(DBInstanceIdentifier="db", Engine="postgres", DBInstanceClass="db.t3.micro",
                           AllocatedStorage=20, MasterUsername="u", MasterUserPassword="p" * 9)  # fmt: skip
    tags: list[Any] = [{"Key": "vahana:app", "Value": "vahanhelp"}, {"Key": "vahana:env", "Value": "prod"}]
    made = backup_name(ENVIRONMENT, NOW)
    for name, more in ((made, [*tags, {"Key": "vahana:backup", "Value": made}]), ("final", tags), ("other", [])):
        rds.create_db_snapshot(DBSnapshotIdentifier=name, DBInstanceIdentifier="db", Tags=more)
    manifest = {"release": "1.0.0", "before": measure(QUIET)}
    s3.put_object(Bucket=BUCKET, Key=f"backups/{made}/manifest.json", Body=json.dumps(manifest).encode())
    lone = f"{ENVIRONMENT.name_prefix}-backup-20261124110000"
    s3.put_object(Bucket=BUCKET, Key=f"backups/{lone}/database.sqlite3.gz", Body=b"x" * 2048)
    s3.put_object(Bucket=BUCKET, Key="backups/vahanhelp-prod2-backup-1/manifest.json", Body=b"{}")
    found = list_backups(rds, s3, ENVIRONMENT, BUCKET)
    assert [(each.name, each.status, each.rows) for each in found] == [
        (made, "available", 3),
        (lone, "incomplete", None),
    ]
    described = found[0].described(datetime.datetime.now(datetime.UTC))
    assert described["engine_version"] == "17.7"
    assert described["line"] == f"{made}  20 GiB, less than a minute old, 3 rows, release 1.0.0"


def test_without_a_bucket_none_is_asked() -> None:
    """A name without the account's number may be anybody's bucket, and AWS refuses to list it."""

    class Rds:
        def can_paginate(self, _operation: str) -> bool:
            return False

        def describe_db_snapshots(self, **_arguments: Any) -> dict[str, Any]:
            return {"DBSnapshots": []}

    assert list_backups(Rds(), None, ENVIRONMENT, "") == []


def test_the_database_in_use_is_the_one_the_hosts_are_told() -> None:
    def database(name: str, **tags: str) -> Resource:
        return Resource("rds:db", name, name, tags, False, {})

    ours = {
        "rds:db": [
            database("vahanhelp-prod"),
            database("vahanhelp-prod-proof-1", **{"vahana:throwaway": "b"}),
            database("vahanhelp-prod-restored-1"),
            database("vahanhelp-prod-restored-0", **{"vahana:kept": "x"}),
        ]
    }
    found = current_database(ours, ENVIRONMENT)
    assert found and found.id == "vahanhelp-prod"
    place = {"Value": json.dumps({"engine": "postgres", "host": "vahanhelp-prod-restored-1.abc.rds.amazonaws.com"})}
    ours["ssm:parameter"] = [Resource("ssm:parameter", "/vahanhelp/prod/database", "p", {}, True, place)]
    found = current_database(ours, ENVIRONMENT)
    assert found and found.id == "vahanhelp-prod-restored-1"
    # A restore was killed before it took its mark off.
    ours["rds:db"][2] = database("vahanhelp-prod-restored-1", **{"vahana:throwaway": "b"})
    found = current_database(ours, ENVIRONMENT)
    assert found and found.id == "vahanhelp-prod-restored-1"
    assert current_database({}, ENVIRONMENT) is None
