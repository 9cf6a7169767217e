"""DynamoDB: global tables. moto knows tables of one region; here a table may have replicas, and what is written in one
region comes to the others a moment later, the last writer winning.

Rules: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html (version
2019.11.21, multi-Region eventual consistency).

And transactions: moto writes one item after the other, and when a condition does not hold it puts a copy of the whole
table in the table's place. Other requests' writes are lost with that, replicas too, or end the copying with an internal
error.

And speed: moto sorts the whole table to find the items of one partition, and converts every key again for each
comparison, so that a search of a thousand items takes a tenth of a second, during which nobody else is answered; and it
takes as long again to write the answer.
"""

from __future__ import annotations

import copy
import functools
import inspect
import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.dynamodb.exceptions import MockValidationException
from moto.dynamodb.models import DynamoDBBackend, Table, dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import StreamShard
from moto.dynamodb.responses import DynamoHandler, DynamoResult

from lab import regions

NEVER = (0.0, "")
VERSION = "2019.11.21"
STREAM = "NEW_AND_OLD_IMAGES"

_add = StreamShard.add
_describe = Table.describe
_update_table = DynamoHandler.update_table
_delete_table = DynamoDBBackend.delete_table
_transact = DynamoDBBackend.transact_write_items
_call_action = DynamoHandler.call_action
_serialized = DynamoHandler.serialized
_query = Table.query
_query_arguments = inspect.signature(_query).bind
_alone = threading.RLock()
"""Held by whoever reads or writes tables."""
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


def describe(table: Any, base_key: str = "TableDescription") -> dict[str, Any]:
    """Describe a table with its replicas in other regions."""
    found: dict[str, Any] = _describe(table, base_key)
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
    answer: ActionResult = _update_table(response)
    return answer


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


def all_items(table: Any) -> list[Any]:
    """All items in the order of their keys."""
    items = [item for sets in table.items.values() for item in (sets.values() if table.range_key_attr else [sets])]
    return sorted(items, key=lambda item: (plain(item.hash_key), item.range_key and plain(item.range_key)))


def query(table: Any, *arguments: Any, **named: Any) -> Any:
    """Search among the items of the partition alone; the order is made of those that are found."""
    given = _query_arguments(table, *arguments, **named).arguments
    if not given.get("index_name"):
        found = table.items.get(given["hash_key"], {})
        partition = list(found.values()) if table.range_key_attr else [found] if found else []
    else:
        wanted = given.get("hash_key_conditions") or ()
        partition = [
            item
            for sets in table.items.values()
            for item in (sets.values() if table.range_key_attr else [sets])
            if all((value := item.attrs.get(name)) and equal(value, sought) for name, sought in wanted)
        ]
    # Nobody else is answered meanwhile.
    table.all_items = lambda: partition
    try:
        return _query(table, *arguments, **named)
    finally:
        del table.all_items


def sorted_items(table: Any, hash_keys: list[str], range_keys: list[str | None], items: list[Any]) -> list[Any]:
    """Sort items by an index's keys, then by their own."""
    names = table._generate_attr_to_sort_by(hash_keys, range_keys)
    items.sort(key=lambda item: [plain(item.attrs[name]) for name in names])
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
        return _call_action(handler)


def deepcopy_table(table: Any, memo: dict[int, Any]) -> Any:
    """Copy a table for a backup; a transaction does without."""
    if getattr(_transaction, "under_way", False):
        return table
    made = memo[id(table)] = Table.__new__(Table)
    vars(made).update(copy.deepcopy(vars(table), memo))
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
