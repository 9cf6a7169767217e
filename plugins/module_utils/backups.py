"""Backups of an environment's database: their names, their list, and the proof that a copy is what was saved.

A backup is named ``<name_prefix>-backup-<UTC time>``. On RDS it is a manual snapshot of that name, of a DynamoDB table
an on-demand backup; of SQLite it is an object in the releases bucket. Beside it, in ``backups/<name>/manifest.json``,
written last, is what the tables held.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from plugins.module_utils.discovery import RETAIN_TAG, THROWAWAY_TAG, Environment, pages, table_names, tags_of
from plugins.module_utils.ownership import owned_by
from plugins.module_utils.project import run_playbook

BACKUP_TAG = "vahana:backup"
FOLDER = "backups/"
MANIFEST = "manifest.json"
STAMP = "%Y%m%d%H%M%S"
LATEST = "latest"

Manifest = Mapping[str, Any]


def backup_name(environment: Environment, now: datetime.datetime) -> str:
    """Return the name of a backup that is made at ``now`` (UTC)."""
    return f"{environment.name_prefix}-backup-{now.strftime(STAMP)}"


@dataclass(frozen=True)
class Backup:
    """One backup.

    :param name: sorts by time, for it ends with it.
    :param engine: ``postgres``, ``sqlite`` or ``dynamodb``.
    :param status: ``available``, or what RDS says; ``incomplete`` is a copy without its manifest.
    :param time: when it was made, ISO 8601, UTC.
    :param bytes: size of the copy; of a snapshot that of the database's whole storage.
    :param arn: by what DynamoDB knows it; empty for the others.
    :param engine_version: of a snapshot that of its database.
    :param manifest: what the tables held; empty when nobody could count.
    :param kept: outlived its environment (``vahana:retain``); backups of DynamoDB have no tags, but those of an
        environment that was destroyed have lost their manifest with its bucket.
    """

    name: str
    engine: str
    status: str
    time: str
    bytes: int
    manifest: Manifest
    kept: bool = False
    arn: str = ""
    engine_version: str = ""

    @property
    def release(self) -> str:
        """Release that was in service, when that is known."""
        return str(self.manifest.get("release", ""))

    @property
    def rows(self) -> int | None:
        """How many rows all tables had; None when nobody counted."""
        if not self.manifest.get("before", self.manifest.get("tables")):
            return None
        tables = self.manifest["before"]["tables"] if "before" in self.manifest else self.manifest["tables"]
        return sum(int(table["rows"]) for table in tables.values())

    def described(self, now: datetime.datetime) -> dict[str, Any]:
        """Return everything as plain data, with a line for people."""
        made = datetime.datetime.fromisoformat(self.time)
        what = "items" if self.engine == "dynamodb" else "rows"
        rows = f"{what} not counted" if self.rows is None else f"{self.rows} {what}"
        facts = [size_words(self.bytes), f"{age_words((now - made).total_seconds())} old", rows]
        facts += [f"release {self.release}"] if self.release else []
        facts += ["kept from before a destroy"] if self.kept else []
        facts += [self.status] if self.status != "available" else []
        return {
            **{name: getattr(self, name) for name in ("name", "arn", "engine", "status", "time", "bytes", "kept")},
            "engine_version": self.engine_version,
            "release": self.release,
            "rows": self.rows,
            "manifest": dict(self.manifest),
            "line": f"{self.name}  {', '.join(facts)}",
        }


def size_words(size: float) -> str:
    """Return a number of bytes as people say it, e.g. ``20 GiB``."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.0f} GiB"


def age_words(seconds: float) -> str:
    """Return a duration in seconds as people say it, e.g. ``3 hours``."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'s' if number > 1 else ''}"
    return "less than a minute"


def list_backups(rds: Any, s3: Any, environment: Environment, bucket: str) -> list[Backup]:
    """Return every backup of the environment, the newest first.

    :raises botocore.exceptions.ClientError: when AWS refuses a call.
    """
    found: dict[str, Backup] = {}
    manifests, copies = _objects(s3, environment, bucket)
    for item in pages(rds, "describe_db_snapshots", "DBSnapshots", SnapshotType="manual"):
        name, tags = item["DBSnapshotIdentifier"], tags_of(item.get("TagList"))
        if owned_by(tags, environment.tags) and tags.get(BACKUP_TAG):
            made = item.get("SnapshotCreateTime")
            found[name] = Backup(
                name=name,
                engine="postgres",
                status=item["Status"],
                time=_iso(made) if made else _time_of(name),
                bytes=int(item.get("AllocatedStorage", 0)) << 30,
                manifest=manifests.get(name, {}),
                kept=tags.get(RETAIN_TAG) == "true",
                engine_version=str(item.get("EngineVersion", "")),
            )
    for name, (size, made) in copies.items():
        manifest = manifests.get(name, {})
        status = "available" if manifest else "incomplete"
        found[name] = Backup(name, "sqlite", status, str(manifest.get("time") or _iso(made)), size, manifest)
    return sorted(found.values(), key=lambda backup: backup.name, reverse=True)


def list_table_backups(dynamodb: Any, s3: Any, environment: Environment, bucket: str) -> list[Backup]:
    """Return every on-demand backup of the environment's tables, the newest first.

    Backups that DynamoDB makes itself have no tags. Their names say whose they are, and so do those of their tables.

    :raises botocore.exceptions.ClientError: when AWS refuses a call.
    """
    manifests, _copies = _objects(s3, environment, bucket)
    prefix = environment.name_prefix
    ours = re.compile(rf"{re.escape(prefix)}-backup-\d{{14}}")
    found = [
        Backup(
            name=item["BackupName"],
            engine="dynamodb",
            status=str(item["BackupStatus"]).lower(),
            time=_iso(item["BackupCreationDateTime"]),
            bytes=int(item.get("BackupSizeBytes", 0)),
            manifest=manifests.get(item["BackupName"], {}),
            kept=item["BackupName"] not in manifests,
            arn=item["BackupArn"],
        )
        for item in pages(dynamodb, "list_backups", "BackupSummaries")
        if ours.fullmatch(item["BackupName"]) and table_names(prefix, [item["TableName"]])
    ]
    return sorted(found, key=lambda backup: backup.name, reverse=True)


def leftover_tables(dynamodb: Any, environment: Environment, in_use: str) -> list[str]:
    """Return the names of the tables that a restore has begun to make and nobody will ever use.

    :param in_use: name of the table that the functions use.
    :raises botocore.exceptions.ClientError: when AWS refuses a call.
    """
    prefix, found = environment.name_prefix, []
    listed: Iterator[Any] = pages(dynamodb, "list_tables", "TableNames")
    for name in table_names(prefix, listed):
        if name in (prefix, in_use):
            continue
        table = dynamodb.describe_table(TableName=name)["Table"]
        tags = tags_of(pages(dynamodb, "list_tags_of_resource", "Tags", ResourceArn=table["TableArn"]))
        # It gets its tags when it is there: one without any was not finished.
        unfinished = not tags and "RestoreSummary" in table
        if table["TableStatus"] != "DELETING" and (
            unfinished or (owned_by(tags, environment.tags) and THROWAWAY_TAG in tags)
        ):
            found.append(name)
    return found


def restorable(dynamodb: Any, table: str) -> dict[str, str]:
    """Return the ``earliest`` and the ``latest`` second that a table can be brought back to; empty when to none.

    :raises botocore.exceptions.ClientError: when AWS refuses a call.
    """
    try:
        found = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "TableNotFoundException":
            raise
        return {}
    window = found.get("PointInTimeRecoveryDescription", {})
    if window.get("PointInTimeRecoveryStatus") != "ENABLED":
        return {}
    return {end: _iso(window[f"{end.title()}RestorableDateTime"]) for end in ("earliest", "latest")}


def _objects(
    s3: Any, environment: Environment, bucket: str
) -> tuple[dict[str, Manifest], dict[str, tuple[int, datetime.datetime]]]:
    """Return the manifests and the copies (bytes, time) in the bucket, if there is one, each by the backup's name."""
    manifests: dict[str, Manifest] = {}
    copies: dict[str, tuple[int, datetime.datetime]] = {}
    if not bucket:
        return manifests, copies
    try:
        prefix = f"{FOLDER}{environment.name_prefix}-backup-"
        for item in pages(s3, "list_objects_v2", "Contents", Bucket=bucket, Prefix=prefix):
            name, _slash, file = item["Key"].removeprefix(FOLDER).partition("/")
            if file == MANIFEST:
                manifests[name] = json.loads(s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read())
            else:
                copies[name] = (int(item["Size"]), item["LastModified"])
    except s3.exceptions.NoSuchBucket:
        pass
    return manifests, copies


def _iso(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).isoformat(timespec="seconds")


def _time_of(name: str) -> str:
    """Return the time in a backup's name: RDS gives none before the snapshot is there."""
    stamp = name.rpartition("-")[2]
    return datetime.datetime.strptime(stamp, STAMP).replace(tzinfo=datetime.UTC).isoformat()


def choose(backups: Sequence[Backup], wanted: str, name_prefix: str) -> Backup:
    """Return the backup that was asked for: its name, or ``latest``.

    :raises LookupError: there is none that could be restored; the text says what there is.
    """
    usable = [backup for backup in backups if backup.status == "available"]
    if not usable:
        raise LookupError(
            f"{name_prefix} has no backup that is available; make one: {run_playbook('playbooks/backup.yml')}"
        )
    if wanted == LATEST:
        return usable[0]
    for backup in backups:
        if backup.name == wanted:
            if backup.status != "available":
                raise LookupError(f"backup {wanted} is {backup.status}; take {usable[0].name} or another one")
            return backup
    raise LookupError(f"there is no backup '{wanted}'; there are {', '.join(backup.name for backup in usable)}")


def surplus(backups: Iterable[Backup], keep: int) -> list[Backup]:
    """Return those beyond the newest ``keep`` that can be restored; what failed does not count and stays for a look.

    One that outlived its environment is not this environment's to delete.
    """
    return [backup for backup in backups if backup.status == "available" and not backup.kept][keep:]


# --- proof ----------------------------------------------------------------------------------------------------------


def compare(manifest: Manifest, restored: Manifest) -> dict[str, Any]:
    """Say whether a restored PostgreSQL database is what was saved.

    A snapshot of a database that serves is taken at a moment nobody can name, so its tables were counted just before it
    (``before``) and just after (``after``). Rows that the first count saw are counted by themselves the second time and
    in the copy (``old_rows``, ``old_checksum``): PostgreSQL keeps with each row the transaction that wrote it.

    * Where none of those rows was changed or deleted in between, the copy must have exactly them. Rows that came
      afterwards may be in it or not, also such as had gone again at the second count: in a queue of jobs all do.
    * Where some were, the copy must have at least those that the second count still saw and at most those that the
      first saw; when it has as many as either, they must be the same ones.

    :param manifest: with ``before`` and ``after``.
    :param restored: the measure of the copy with the snapshot of ``before``.
    :returns: ``faults`` (a line each), ``exact`` and ``bounded`` (names of tables), ``rows`` of the copy.
    """
    before, after, copy = manifest["before"], manifest["after"], restored["tables"]
    faults: list[str] = []
    exact: list[str] = []
    bounded: list[str] = []
    if restored["schema"] not in (before["schema"], after["schema"]):
        faults.append("the tables have other columns than when the backup was made")
    for name, first in before["tables"].items():
        second, found = after["tables"].get(name), copy.get(name)
        if second is None:
            # Dropped while the snapshot was taken: the copy may have it or not.
            bounded.append(name)
            continue
        if found is None:
            faults.append(f"table {name} is missing")
            continue
        fault = _fault(first, second, found)
        if fault:
            faults.append(f"table {name}: {fault}")
        else:
            (exact if _untouched(first, second) else bounded).append(name)
    rows = sum(int(table["rows"]) for table in copy.values())
    return {"faults": faults, "exact": exact, "bounded": bounded, "rows": rows}


def _untouched(first: Manifest, second: Manifest) -> bool:
    return bool((first["rows"], first["checksum"]) == (second["old_rows"], second["old_checksum"]))


def _fault(first: Manifest, second: Manifest, found: Manifest) -> str:
    """Return what is wrong with one table of a copy, nothing when all is well."""
    old = int(found["old_rows"])
    most, least = int(first["rows"]), int(second["old_rows"])
    if _untouched(first, second):
        if old != most:
            return f"{old} of {most} rows are there"
        if found["old_checksum"] != first["checksum"]:
            return f"all {most} rows are there, but not with the same content"
        return ""
    if not least <= old <= most:
        return f"{old} rows from before the snapshot are there, and there were {least} to {most}"
    same = [(most, first["checksum"]), (least, second["old_checksum"])]
    if old in (most, least) and (old, found["old_checksum"]) not in same:
        return f"{old} rows from before the snapshot are there, but not with the same content"
    return ""


def compare_parts(manifest: Manifest, restored: Manifest) -> dict[str, Any]:
    """Say whether a restored DynamoDB table is what was saved.

    A backup has everything that was written until a minute before it was asked for, may have what was written in the
    minute before and after, and has nothing later
    (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateBackup.html). The table was measured
    before and after that time, kind by kind and in parts (:mod:`plugins.module_utils.table_measure`). What was the same
    both times must be the same in the copy; of a part that was written to nothing can be said.

    :param manifest: with ``before`` and ``after``.
    :param restored: the measure of the copy.
    :returns: ``faults`` (a line each), ``rows`` (items of the copy), ``exact`` and ``bounded`` (how many items of the
        copy are in parts of which all, or nothing, can be said).
    """
    before, after, copy = manifest["before"], manifest["after"], restored
    faults = [] if restored["schema"] == before["schema"] else ["the table has another key"]
    exact = bounded = 0
    for kind in sorted({*before["tables"], *after["tables"], *copy["tables"]}):
        first, second, found = (_parts(measure, kind) for measure in (before, after, copy))
        quiet = {part for part in {*first, *second, *found} if first.get(part) == second.get(part)}
        wrong = [part for part in quiet if first.get(part) != found.get(part)]
        if wrong:
            saved, there = (sum(_items(parts.get(part)) for part in wrong) for parts in (first, found))
            content = "but not with the same content" if saved == there else f"and there were {saved}"
            faults.append(f"{kind}: where nobody wrote meanwhile, {there} items are there, {content}")
        exact += sum(_items(found.get(part)) for part in quiet)
        bounded += sum(_items(value) for part, value in found.items() if part not in quiet)
    return {"faults": faults, "exact": exact, "bounded": bounded, "rows": exact + bounded}


def differences(one: Manifest, other: Manifest) -> list[str]:
    """Say in which kinds of items two measures of tables differ, a line each; items of a part are not told apart.

    :param one: of the table that was replaced.
    :param other: of the one in its place.
    """
    lines = []
    for kind in sorted({*one["tables"], *other["tables"]}):
        first, second = _parts(one, kind), _parts(other, kind)
        parts = [part for part in {*first, *second} if first.get(part) != second.get(part)]
        if parts:
            had, has = (sum(map(_items, found.values())) for found in (first, second))
            lines.append(f"{kind}: {had} items there, {has} in its place, at least {len(parts)} of them not the same")
    return lines


def _parts(measure: Manifest, kind: str) -> Mapping[str, str]:
    parts: Mapping[str, str] = measure["tables"].get(kind, {}).get("parts", {})
    return parts


def _items(part: str | None) -> int:
    """Return how many items a part has (``<items>:<checksum>``)."""
    return int(part.partition(":")[0]) if part else 0
