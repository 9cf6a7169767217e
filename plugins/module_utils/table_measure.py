"""What a DynamoDB table holds, in few words: enough to see that a copy of it is one, and where it is not.

Items are of a kind: what their sort key begins with, as far as that is a word in capitals up to the end or a ``#``
(``LISTING``, ``ORDER#2026-11-30``), which is how the kinds of one table are told apart
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/data-modeling-foundations.html). All others are
``item``. Those of a kind are divided into parts by their keys, so that a write while a table is saved leaves most of
them comparable. A part is ``<items>:<checksum>``, the checksum a sum over its items, in whatever order they are read.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

PARTS = 256
OTHER = "item"
_KIND = re.compile(r"([A-Z][A-Z0-9_]{0,40})(?:#.*)?", re.DOTALL)
_SUM = 1 << 64
_SETS = ("SS", "NS", "BS")


def kind_of(item: Mapping[str, Any], keys: Sequence[str]) -> str:
    """Return the kind of an item (as DynamoDB's API has it), by its sort key, or its only key.

    :param keys: names of the partition key and, where there is one, the sort key.
    """
    named = _KIND.fullmatch(str(item[keys[-1]].get("S", "")))
    return named[1] if named else OTHER


def _canonical(value: Any) -> Any:
    """Return an attribute, or an item, as JSON can have it, sets in one order."""
    if isinstance(value, Mapping):
        return {
            name: sorted(_canonical(each)) if name in _SETS and isinstance(each, list) else _canonical(each)
            for name, each in value.items()
        }
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    return [_canonical(each) for each in value] if isinstance(value, list) else value


def _digest(value: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps(_canonical(value), sort_keys=True).encode()).digest()


def summed(items: Iterable[Mapping[str, Any]], keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return for each kind how many items there are (``rows``) and its ``parts``, by their numbers.

    :param items: as DynamoDB's API has them.
    :param keys: names of the partition key and, where there is one, the sort key.
    """
    counts: dict[tuple[str, int], int] = defaultdict(int)
    sums: dict[tuple[str, int], int] = defaultdict(int)
    for item in items:
        key = _digest({name: item[name] for name in keys})
        part = (kind_of(item, keys), key[0] % PARTS)
        counts[part] += 1
        sums[part] = (sums[part] + int.from_bytes(_digest(item)[:8], "big")) % _SUM
    kinds: dict[str, dict[str, Any]] = {}
    for (kind, number), count in sorted(counts.items()):
        found = kinds.setdefault(kind, {"rows": 0, "parts": {}})
        found["rows"] += count
        found["parts"][str(number)] = f"{count}:{sums[kind, number]:016x}"
    return kinds


def measure(client: Any, table: str, tell: Callable[[int], None]) -> dict[str, Any]:
    """Read a whole table consistently and return what it holds: its ``schema`` and its kinds, as ``tables``.

    Each 4 KB read are a read request unit.

    :param tell: is told after each page how many items were read.
    :raises botocore.exceptions.ClientError: when AWS refuses a call.
    """
    described = client.describe_table(TableName=table)["Table"]
    schema = sorted(described["KeySchema"], key=lambda key: str(key["KeyType"]))
    keys = [key["AttributeName"] for key in schema]

    def items() -> Iterable[Mapping[str, Any]]:
        count = 0
        for page in client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
            yield from page["Items"]
            count += len(page["Items"])
            tell(count)

    return {"schema": " ".join(keys), "tables": summed(items(), keys)}
