"""DynamoDB: global tables. moto knows tables of one region; here a table may have replicas, and what is written in one
region comes to the others a moment later, the last writer winning.

Rules: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html (version
2019.11.21, multi-Region eventual consistency).

And transactions: moto writes one item after the other, and when a condition does not hold it puts a copy of the whole
table in the table's place. Other requests' writes are lost with that, replicas too, or end the copying with an internal
error.

And backups: moto restores a table as it is now, whatever second was asked for, and what it restores is paid by
capacity. Here a table with point-in-time recovery has a history. A restored table is being made for a moment, and has
nothing that AWS does not bring back either
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/PointInTimeRecovery_Howitworks.html).

And speed: moto sorts the whole table to find the items of one partition, and converts every key again for each
comparison, so that a search of a thousand items takes a tenth of a second, during which nobody else is answered; and it
takes as long again to write the answer.
"""

from __future__ import annotations

import copy
import datetime
import functools
import inspect
import json
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.dynamodb.exceptions import (
    MockValidationException,
    PointInTimeRecoveryUnavailable,
    ResourceInUseException,
    SourceTableNotFoundException,
    TableAlreadyExistsException,
)
from moto.dynamodb.models import DynamoDBBackend, Table, dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Backup, RestoredPITTable, RestoredTable, StreamShard
from moto.dynamodb.responses import DynamoHandler, DynamoResult

from lab import regions, times

NEVER = (0.0, "")
VERSION = "2019.11.21"
STREAM = "NEW_AND_OLD_IMAGES"
MOST_CHANGES = 20_000
"""How many writes the history of a table goes back; what is older cannot be restored any more."""
MAKING_SECONDS = 0.5
"""How long a restored table is being made; with `--realistic` longer."""
UPDATING_SECONDS = 0.3
"""How long a table is UPDATING whose deletion protection was changed; with `--realistic` longer."""
NOT_WHILE_UPDATING = frozenset({"DeleteTable", "UpdateTable"})
"""What such a table refuses, in every region that it has."""
NOT_WHILE_MAKING = frozenset(
    {"DeleteTable", "TagResource", "UntagResource", "UpdateContinuousBackups", "UpdateTable", "UpdateTimeToLive"}
)
"""What a table that is being made refuses."""

_add = StreamShard.add
_describe = Table.describe
_update_table = DynamoHandler.update_table
_delete_table = DynamoDBBackend.delete_table
_transact = DynamoDBBackend.transact_write_items
_call_action = DynamoHandler.call_action
_serialized = DynamoHandler.serialized
_query = Table.query
_put_item = Table.put_item
_delete_item = Table.delete_item
_update_item = DynamoDBBackend.update_item
_update_continuous_backups = DynamoDBBackend.update_continuous_backups
_describe_continuous_backups = DynamoDBBackend.describe_continuous_backups
_restore_backup = DynamoDBBackend.restore_table_from_backup
_query_arguments = inspect.signature(_query).bind
_alone = threading.RLock()
"""Held by whoever reads or writes tables."""
_orders: weakref.WeakKeyDictionary[Any, dict[Any, list[Any]]] = weakref.WeakKeyDictionary()
"""Items of each table by index and partition, in order, since its last write."""
_transaction = threading.local()
_delivery = threading.local()


@dataclass(frozen=True)
class Change:
    """A write that has yet to reach another region."""

    written: tuple[float, str]
    """When and in which region: of two at one moment the same one wins everywhere."""
    key: tuple[Any, Any]
    attributes: dict[str, Any] | None
    """The whole item; None when it was deleted."""


@dataclass
class GlobalTable:
    """The replicas of a table, and what is on its way to each of them."""

    tables: dict[str, Any]
    waiting: dict[str, deque[Change]] = field(default_factory=dict)
    written: dict[str, dict[tuple[Any, Any], tuple[float, str]]] = field(default_factory=dict)
    """When each item that a region has was written, wherever that was."""

    def note(self, region: str, change: Change) -> None:
        """Send a write in one region on its way to the others."""
        self.written.setdefault(region, {})[change.key] = change.written
        for other in self.tables:
            if other != region:
                self.waiting.setdefault(other, deque()).append(change)

    def deliver(self, region: str) -> int:
        """Bring to a region what waits for it, and return how many writes that were.

        Whatever that region wrote later stays: the last writer wins, item by item. While a region is cut off nothing
        comes to it or from it.
        """
        if regions.is_cut(region):
            return 0
        with _alone:
            table, seen = self.tables[region], self.written.setdefault(region, {})
            waiting, delivered, kept = self.waiting.get(region, deque()), 0, deque[Change]()
            _delivery.under_way = True
            try:
                while waiting:
                    change = waiting.popleft()
                    if regions.is_cut(change.written[1]):
                        kept.append(change)
                        continue
                    delivered += 1
                    if change.written < seen.get(change.key, NEVER):
                        continue
                    seen[change.key] = change.written
                    if change.attributes is None:
                        table.delete_item(*change.key)
                    else:
                        table.put_item(change.attributes, overwrite=True)
            finally:
                _delivery.under_way = False
                waiting.extend(kept)
            return delivered


def global_tables() -> list[GlobalTable]:
    """Every table that has replicas, once."""
    found: dict[int, GlobalTable] = {}
    for of_account in list(dynamodb_backends.values()):
        for backend in list(of_account.values()):
            for table in list(backend.tables.values()):
                if group := vars(table).get("global_table"):
                    found[id(group)] = group
    return list(found.values())


def add(shard: Any, old: Any, new: Any) -> None:
    """Note what is written to a table with replicas; what comes from another region goes no further."""
    _add(shard, old, new)
    group = vars(shard.table).get("global_table")
    if group is None or getattr(_delivery, "under_way", False):
        return
    item = new or old
    attributes = new.to_json()["Attributes"] if new is not None else None
    region = shard.table.region_name
    group.note(region, Change((time.time(), region), (item.hash_key, item.range_key), attributes))


def _key_of(table: Any, attributes: dict[str, Any]) -> str:
    return json.dumps([attributes.get(name) for name in (table.hash_key_attr, table.range_key_attr)], sort_keys=True)


class History:
    """What a table had, write by write, since point-in-time recovery was switched on."""

    def __init__(self, table: Any) -> None:
        """Begin with what the table has now."""
        self.earliest = time.time()
        self._then = {_key_of(table, attributes): attributes for attributes in _items_of(table)}
        self._changes: deque[tuple[float, str, dict[str, Any] | None]] = deque()

    def note(self, key: str, attributes: dict[str, Any] | None) -> None:
        """Add a write; without attributes the item was deleted."""
        self._changes.append((time.time(), key, attributes))
        while len(self._changes) > MOST_CHANGES:
            self.earliest, key, attributes = self._changes.popleft()
            self._apply(self._then, key, attributes)

    def at(self, moment: float) -> list[dict[str, Any]]:
        """Return the items of a moment (Unix time)."""
        items = dict(self._then)
        for when, key, attributes in self._changes:
            if when > moment:
                break
            self._apply(items, key, attributes)
        return list(items.values())

    @staticmethod
    def _apply(items: dict[str, dict[str, Any]], key: str, attributes: dict[str, Any] | None) -> None:
        if attributes is None:
            items.pop(key, None)
        else:
            items[key] = attributes


def _attributes(item: Any) -> dict[str, Any]:
    attributes: dict[str, Any] = copy.deepcopy(item.to_json()["Attributes"])
    return attributes


def _items_of(table: Any) -> list[dict[str, Any]]:
    kept = [item for sets in table.items.values() for item in (sets.values() if table.range_key_attr else [sets])]
    return [_attributes(item) for item in kept]


def put_item(table: Any, *arguments: Any, **named: Any) -> Any:
    """Write an item, and note it."""
    item = _put_item(table, *arguments, **named)
    _orders.pop(table, None)
    if history := vars(table).get("history"):
        attributes = _attributes(item)
        history.note(_key_of(table, attributes), attributes)
    return item


def delete_item(table: Any, *arguments: Any, **named: Any) -> Any:
    """Delete an item, and note it."""
    item = _delete_item(table, *arguments, **named)
    _orders.pop(table, None)
    if item and (history := vars(table).get("history")):
        history.note(_key_of(table, _attributes(item)), None)
    return item


def update_item(backend: Any, table_name: str, *arguments: Any, **named: Any) -> Any:
    """Change an item, and note it."""
    item = _update_item(backend, table_name, *arguments, **named)
    table = backend.get_table(table_name)
    _orders.pop(table, None)
    if history := vars(table).get("history"):
        attributes = _attributes(item)
        history.note(_key_of(table, attributes), attributes)
    return item


def update_continuous_backups(backend: Any, table_name: str, point_in_time_spec: dict[str, Any]) -> dict[str, Any]:
    """Begin a table's history, or forget it."""
    _update_continuous_backups(backend, table_name, point_in_time_spec)
    table = backend.get_table(table_name)
    if not point_in_time_spec["PointInTimeRecoveryEnabled"]:
        vars(table).pop("history", None)
    elif not vars(table).get("history"):
        table.history = History(table)
    return describe_continuous_backups(backend, table_name)


def describe_continuous_backups(backend: Any, table_name: str) -> dict[str, Any]:
    """Say from when to when a table can be restored."""
    found: dict[str, Any] = copy.deepcopy(_describe_continuous_backups(backend, table_name))
    if history := vars(backend.get_table(table_name)).get("history"):
        found["PointInTimeRecoveryDescription"].update(
            EarliestRestorableDateTime=history.earliest, LatestRestorableDateTime=time.time()
        )
    return found


def _finish_restored(table: Any, source: Any) -> Any:
    """Give a restored table what AWS gives it, and let it be made for a moment."""
    table.billing_mode = source.billing_mode
    table.made_from = time.time()
    return table


def is_being_made(table: Any) -> bool:
    """Say whether a restored table cannot be used yet."""
    since = vars(table).get("made_from")
    if since is None:
        return False
    return bool(time.time() - since < max(MAKING_SECONDS, times.length("table restore")))


def restore_from_backup(backend: Any, target_table_name: str, backup_arn: str) -> Any:
    """RestoreTableFromBackup: the items of the backup, and nothing of the settings."""
    table = _restore_backup(backend, target_table_name, backup_arn)
    return _finish_restored(table, backend.get_backup(backup_arn).table)


def restore_to_point_in_time(response: Any) -> DynamoResult:
    """RestoreTableToPointInTime: the items of that second."""
    body, backend = response.body, response.dynamodb_backend
    name = body.get("SourceTableName") or body["SourceTableArn"].rpartition("/")[2]
    target = body["TargetTableName"]
    if name not in backend.tables:
        raise SourceTableNotFoundException(name)
    if target in backend.tables:
        raise TableAlreadyExistsException(target)
    source = backend.get_table(name)
    history: History | None = vars(source).get("history")
    if history is None:
        raise PointInTimeRecoveryUnavailable(name)
    now = time.time()
    # What clients send is in whole seconds, UTC.
    asked = body.get("RestoreDateTime")
    moment = now if asked is None else asked.replace(tzinfo=asked.tzinfo or datetime.UTC).timestamp()
    if not history.earliest <= moment <= now:
        raise JsonRESTError("InvalidRestoreTimeException", f"Invalid restore time {moment} for table {name}")
    table = RestoredPITTable(target, account_id=backend.account_id, region=backend.region_name, source=source)
    table.items.clear()
    table.restore_date_time = datetime.datetime.fromtimestamp(moment, datetime.UTC).replace(tzinfo=None)
    for attributes in history.at(moment):
        table.put_item(copy.deepcopy(attributes), overwrite=True)
    backend.tables[target] = _finish_restored(table, source)
    return DynamoResult(table.describe())


def tells_its_state(original: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """Make a description of restored tables that says whether they are still being made."""

    def described(table: Any, base_key: str = "TableDescription") -> dict[str, Any]:
        found: dict[str, Any] = original(table, base_key)
        found[base_key]["RestoreSummary"]["RestoreInProgress"] = is_being_made(table)
        return found

    return described


def sized(original: property) -> property:
    """Make a property that says of a backup how large it is."""

    def described(backup: Any) -> dict[str, Any]:
        found: dict[str, Any] = original.__get__(backup)
        if "size" not in vars(backup):
            backup.size = sum(len(json.dumps(attributes)) for attributes in _items_of(backup.table))
        return {**found, "BackupSizeBytes": backup.size}

    return property(described)


def describe(table: Any, base_key: str = "TableDescription") -> dict[str, Any]:
    """Describe a table with its replicas in other regions."""
    found: dict[str, Any] = _describe(table, base_key)
    if is_being_made(table):
        found[base_key]["TableStatus"] = "CREATING"
    elif is_being_updated(table):
        found[base_key]["TableStatus"] = "UPDATING"
    group = vars(table).get("global_table")
    if group is not None:
        others = [region for region in group.tables if region != table.region_name]
        found[base_key]["GlobalTableVersion"] = VERSION
        found[base_key]["Replicas"] = [{"RegionName": region, "ReplicaStatus": "ACTIVE"} for region in others]
    return found


def update_table(response: Any) -> ActionResult:
    """UpdateTable, replicas too."""
    if updates := response.body.get("ReplicaUpdates"):
        if len(updates) > 1:
            raise MockValidationException("Only one replica can be created or deleted at a time")
        table = response.dynamodb_backend.get_table(response.body["TableName"])
        for what, replica in updates[0].items():
            {"Create": _create_replica, "Delete": _delete_replica}[what](table, replica["RegionName"])
    table = response.dynamodb_backend.tables.get(response.body["TableName"])
    before = table is not None and table.deletion_protection_enabled
    answer: ActionResult = _update_table(response)
    if table is not None and table.deletion_protection_enabled != before:
        group: GlobalTable | None = vars(table).get("global_table")
        for each in group.tables.values() if group else [table]:
            each.updated_from = time.time()
    return answer


def is_being_updated(table: Any) -> bool:
    """Say whether the table, here or in another region, is still getting or losing its deletion protection."""
    since = vars(table).get("updated_from")
    return since is not None and bool(time.time() - since < max(UPDATING_SECONDS, times.length("table update")))


def _backend(table: Any, region: str) -> Any:
    return dynamodb_backends[table.account_id][region]


def _create_replica(table: Any, region: str) -> None:
    if (table.stream_specification or {}).get("StreamViewType") != STREAM:
        raise MockValidationException(
            f"Table must have stream enabled with {STREAM} to create a replica (table: {table.name})"
        )
    group: GlobalTable = vars(table).setdefault("global_table", GlobalTable({table.region_name: table}))
    if region in group.tables:
        raise MockValidationException(f"Failed to create a replica of table {table.name}: it exists in {region}")
    replica = _backend(table, region).create_table(
        name=table.name,
        schema=table.schema,
        throughput=None,
        attr=table.attr,
        global_indexes=[index.describe() for index in table.global_indexes],
        indexes=None,
        streams={"StreamEnabled": True, "StreamViewType": STREAM},
        billing_mode=table.billing_mode,
        sse_specification=None,
        tags=[],
        deletion_protection_enabled=False,
        warm_throughput=None,
    )
    # The attribute that says when an item expires is that of all replicas.
    replica.ttl = table.ttl
    replica.global_table, group.tables[region] = group, replica
    seen = group.written.get(table.region_name, {})
    keyed = [((item.hash_key, item.range_key), item) for item in list(table.all_items())]
    group.waiting[region] = deque(
        Change(seen.get(key, (0.0, table.region_name)), key, item.to_json()["Attributes"]) for key, item in keyed
    )
    group.deliver(region)


def _leave(table: Any) -> None:
    group: GlobalTable | None = vars(table).pop("global_table", None)
    if group is None:
        return
    for of_region in (group.tables, group.waiting, group.written):
        of_region.pop(table.region_name, None)
    if len(group.tables) == 1:
        [last] = group.tables.values()
        del last.global_table


def _delete_replica(table: Any, region: str) -> None:
    group: GlobalTable | None = vars(table).get("global_table")
    if group is None or region not in group.tables or region == table.region_name:
        raise MockValidationException(f"Replica not found in {region} for table {table.name}")
    _backend(table, region).delete_table(table.name)


def delete_table(backend: Any, name: str) -> Any:
    """DeleteTable, in the one region: its replicas go on."""
    table = _delete_table(backend, name)
    _leave(table)
    return table


def update_time_to_live(backend: Any, table_name: str, ttl_spec: dict[str, Any]) -> None:
    """UpdateTimeToLive, which refuses what is so already and does not confuse one attribute with another."""
    table = backend.get_table(table_name)
    enabled = table.ttl["TimeToLiveStatus"] == "ENABLED"
    if ttl_spec["Enabled"] == enabled:
        state = "enabled" if enabled else "disabled"
        raise JsonRESTError("ValidationException", f"TimeToLive is already {state}")
    if enabled and table.ttl["AttributeName"] != ttl_spec["AttributeName"]:
        active = table.ttl["AttributeName"]
        raise JsonRESTError("ValidationException", f"TimeToLive is active on a different AttributeName: {active}")
    # In place: replicas have the same.
    table.ttl.clear()
    table.ttl["TimeToLiveStatus"] = "ENABLED" if ttl_spec["Enabled"] else "DISABLED"
    if ttl_spec["Enabled"]:
        table.ttl["AttributeName"] = ttl_spec["AttributeName"]


def plain(value: DynamoType) -> Any:
    """Return what a value is compared by; a string is that already."""
    return value.value if value.type == "S" else value.cast_value


def equal(one: DynamoType, other: DynamoType) -> bool:
    """Compare two values."""
    return bool(one.type == other.type and plain(one) == plain(other))


def unequal(one: DynamoType, other: DynamoType) -> bool:
    """Compare two values."""
    return not equal(one, other)


class _Search(threading.local):
    """The search that this thread is at, if it is at one."""

    items: list[Any] | None = None
    """Those of its partition."""
    ordered = False
    """Whether these are in order."""
    asked: tuple[Any, ...] = ()
    """By what their order is known (:func:`_asked`)."""


_search = _Search()


def all_items(table: Any) -> list[Any]:
    """All items in the order of their keys; for a search those of its partition."""
    if _search.items is not None:
        return _search.items
    items = [item for sets in table.items.values() for item in (sets.values() if table.range_key_attr else [sets])]
    return sorted(items, key=lambda item: (plain(item.hash_key), item.range_key and plain(item.range_key)))


def query(table: Any, *arguments: Any, **named: Any) -> Any:
    """Search among the items of the partition alone, whose order stays known until something is written."""
    given = _query_arguments(table, *arguments, **named).arguments
    asked = _asked(given)
    ordered = _orders.setdefault(table, {}).get(asked)
    _search.items = _partition(table, given) if ordered is None else _first_page(ordered, given)
    _search.asked, _search.ordered = asked, ordered is not None
    try:
        return _query(table, *arguments, **named)
    finally:
        vars(_search).clear()


def _asked(given: dict[str, Any]) -> tuple[Any, ...]:
    """Return by what the order of a search's items is known: its index and partition; empty where it is not kept."""
    # Of several conditions on a range moto takes all but the last as parts of the partition.
    if not (index := given.get("index_name")) or len(given.get("range_key_conditions") or ()) > 1:
        return ()
    wanted = given.get("hash_key_conditions") or ()
    return index, *((name, sought.type, plain(sought)) for name, sought in wanted)


def _partition(table: Any, given: dict[str, Any]) -> list[Any]:
    if not given.get("index_name"):
        found = table.items.get(given["hash_key"], {})
        return list(found.values()) if table.range_key_attr else [found] if found else []
    wanted = given.get("hash_key_conditions") or ()
    return [
        item
        for sets in table.items.values()
        for item in (sets.values() if table.range_key_attr else [sets])
        if all((value := item.attrs.get(name)) and equal(value, sought) for name, sought in wanted)
    ]


def _first_page(items: list[Any], given: dict[str, Any]) -> list[Any]:
    """Return what a first page shows and one more, by which moto knows that there is a next; all for other pages."""
    limit = given.get("limit")
    if not limit or given.get("exclusive_start_key") or given.get("range_comparison") or given.get("filter_kwargs"):
        return items
    return items[-limit - 1 :] if given.get("scan_index_forward") is False else items[: limit + 1]


def sorted_items(table: Any, hash_keys: list[str], range_keys: list[str | None], items: list[Any]) -> list[Any]:
    """Sort items by an index's keys, then by their own."""
    if _search.ordered:
        return items
    names = table._generate_attr_to_sort_by(hash_keys, range_keys)
    items.sort(key=lambda item: [plain(item.attrs[name]) for name in names])
    if _search.asked:
        # A copy: moto turns the list round.
        _orders.setdefault(table, {})[_search.asked] = list(items)
    return items


def serialized(handler: Any, result: ActionResult) -> Any:
    """Write an answer; items are in the shape of the API already, which moto would go through value by value."""
    if isinstance(result, DynamoResult) and handler._get_action() in ("GetItem", "Query", "Scan"):
        headers = {**handler.response_headers, "Content-Type": "application/x-amz-json-1.0"}
        return 200, headers, json.dumps(result.result)
    return _serialized(handler, result)


def call_action(handler: Any) -> Any:
    """Answer a request while no other is answered."""
    with _alone:
        action = handler._get_action()
        if action in NOT_WHILE_MAKING:
            asked = json.loads(handler.body)
            name = str(asked.get("TableName") or asked["ResourceArn"]).rpartition("/")[2]
            table = handler.dynamodb_backend.tables.get(name)
            updated = table is not None and action in NOT_WHILE_UPDATING and is_being_updated(table)
            if updated or (table is not None and is_being_made(table)):
                raise ResourceInUseException
        return _call_action(handler)


def deepcopy_table(table: Any, memo: dict[int, Any]) -> Any:
    """Copy a table for a backup; a transaction does without."""
    if getattr(_transaction, "under_way", False):
        return table
    made = memo[id(table)] = Table.__new__(Table)
    kept = {name: value for name, value in vars(table).items() if name not in ("global_table", "history")}
    vars(made).update(copy.deepcopy(kept, memo))
    return made


def transact_write_items(backend: Any, transact_items: list[dict[str, Any]]) -> None:
    """Check all conditions, then write; what cannot be written takes back what was."""
    operations = [next(iter(item.items())) for item in transact_items]
    keyed = [{**operation, "Key": _key(backend, kind, operation)} for kind, operation in operations]
    _transaction.under_way = True
    try:
        _transact(backend, [{"ConditionCheck": operation} for operation in keyed])
        before = [copy.deepcopy(backend.get_item(each["TableName"], each["Key"])) for each in keyed]
        try:
            _transact(backend, transact_items)
        except Exception:
            for each, item in zip(keyed, before, strict=True):
                if item is None:
                    backend.delete_item(each["TableName"], each["Key"])
                else:
                    backend.put_item(each["TableName"], item.to_json()["Attributes"])
            raise
    finally:
        _transaction.under_way = False


def _key(backend: Any, kind: str, operation: dict[str, Any]) -> dict[str, Any]:
    if kind != "Put":
        key: dict[str, Any] = operation["Key"]
        return key
    table = backend.get_table(operation["TableName"])
    return {name: operation["Item"][name] for name in (table.hash_key_attr, table.range_key_attr) if name}


@functools.cache
def apply() -> None:
    """Put this into moto."""
    StreamShard.add = add
    Table.describe = describe
    DynamoHandler.update_table = update_table
    DynamoDBBackend.delete_table = delete_table
    DynamoDBBackend.transact_write_items = transact_write_items
    DynamoHandler.call_action = call_action
    Table.__deepcopy__ = deepcopy_table
    Table.all_items = all_items
    Table.sorted_items = sorted_items
    Table.query = query
    DynamoType.__eq__ = equal
    DynamoType.__ne__ = unequal
    DynamoHandler.serialized = serialized
    DynamoDBBackend.update_time_to_live = update_time_to_live
    Table.put_item = put_item
    Table.delete_item = delete_item
    DynamoDBBackend.update_item = update_item
    DynamoDBBackend.update_continuous_backups = update_continuous_backups
    DynamoDBBackend.describe_continuous_backups = describe_continuous_backups
    DynamoDBBackend.restore_table_from_backup = restore_from_backup
    DynamoHandler.restore_table_to_point_in_time = restore_to_point_in_time
    Backup.details, Backup.summary = sized(Backup.details), sized(Backup.summary)
    for kind in (RestoredTable, RestoredPITTable):
        kind.describe = tells_its_state(kind.describe)
