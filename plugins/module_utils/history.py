"""What was changed in an environment, when and by whom: one small JSON object a run, in the bucket of releases.

An object of its own for each record needs no read before the write, so that no record is lost to another.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

PREFIX = "audit/"

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d{1,6})([smhdw])")
_SECRET = re.compile(r"secret|password|token|credential|private_key", re.IGNORECASE)
_WORD = r"secret|password|passwd|token|credential|private_key|api[_-]?key"
_NAMED = re.compile(rf"([\w-]*(?:{_WORD})[\w-]*['\"]?\s*[=:\s]\s*)(?:\"[^\"]*\"|'[^']*'|[^\s'\"]+)", re.IGNORECASE)
_IN_URL = re.compile(r"(\w+://[^\s:/@]*:)[^\s@]+@")
_COLUMNS = ("when", "who", "verb", "from → to", "result", "took", "changed", "what")
_WIDEST = 60
_WORKERS = 8


def moment(text: str, at: datetime | None = None) -> datetime:
    """Read a point in time: ``90m``, ``2h``, ``7d`` ago, or ISO 8601 (UTC unless it says otherwise).

    :raises ValueError: when ``text`` is neither.
    """
    span = _SPAN.fullmatch(text)
    if span:
        return (at or datetime.now(UTC)) - timedelta(**{_UNITS[span[2]]: int(span[1])})
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def given(variables: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Return what of ``-e`` may be kept: variables of the project whose name does not speak of a secret."""
    kept = {name: variables[name] for name in sorted(set(known) & set(variables)) if not _SECRET.search(name)}
    return {name: redacted(value) if isinstance(value, str) else value for name, value in kept.items()}


def redacted(text: str) -> str:
    """Return a command without what follows a word like ``password`` and without passwords in URLs.

    >>> redacted("psql postgres://app:hunter2@db/app --token=abc")
    'psql postgres://app:…@db/app --token=…'
    """
    return _NAMED.sub(r"\1…", _IN_URL.sub(r"\1…@", text))


def write_entry(s3: Any, bucket: str, entry: Mapping[str, Any], **condition: str) -> str:
    """Add a record, which has at least ``time`` (ISO 8601) and ``id``, or replace it; return its key.

    :param condition: what S3 is to check, as ``IfNoneMatch="*"``, with which it replaces none.
    """
    time = moment(entry["time"]).astimezone(UTC)
    key = f"{PREFIX}{time:%Y%m%dT%H%M%SZ}-{entry['id'][:12]}.json"
    body = json.dumps(entry, sort_keys=True, default=str).encode()
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json", **condition)
    return key


def read_entries(s3: Any, bucket: str, since: datetime | None, limit: int) -> list[dict[str, Any]]:
    """Return the records, the oldest first.

    :param since: leave out those before.
    :param limit: how many of the newest to return.
    """
    keys = _keys(s3, bucket, since)[-limit:]
    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(partial(_read, s3, bucket), keys))


def last_deployment(s3: Any, bucket: str) -> dict[str, Any] | None:
    """Return the record of the last run that brought a release into service, however long ago; None without one."""
    newest_first = reversed(_keys(s3, bucket, None))
    with ThreadPoolExecutor(_WORKERS) as pool:
        # As many as are read at the same time; one of the newest is as a rule what is looked for.
        for keys in itertools.batched(newest_first, _WORKERS):
            for entry in pool.map(partial(_read, s3, bucket), keys):
                if is_deployment(entry):
                    return entry
    return None


def is_deployment(entry: Mapping[str, Any]) -> bool:
    """Return whether a run brought a release into service."""
    verb, moved = entry.get("verb"), entry.get("from") != entry.get("to")
    return entry.get("result") == "ok" and (verb in ("deploy", "rollback") or (verb == "site" and moved))


def _keys(s3: Any, bucket: str, since: datetime | None) -> list[str]:
    """Return the keys of the records, the oldest first."""
    arguments = {"Bucket": bucket, "Prefix": PREFIX}
    if since:
        # Keys begin with the time, so S3 itself can leave out the older ones.
        arguments["StartAfter"] = f"{PREFIX}{since.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    pages = s3.get_paginator("list_objects_v2").paginate(**arguments)
    return sorted(str(item["Key"]) for page in pages for item in page.get("Contents", []))


def _read(s3: Any, bucket: str, key: str) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    return entry


def _row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    old, new = str(entry.get("from") or ""), str(entry.get("to") or "")
    arguments = " ".join(f"{name}={value}" for name, value in (entry.get("arguments") or {}).items())
    attempted = f"attempted={entry['attempted']}" if entry.get("attempted") else ""
    what = " ".join(part for part in (entry.get("reason"), arguments, attempted, entry.get("error")) if part)
    return (
        str(entry.get("time", "")).replace("+00:00", "Z"),
        str(entry.get("who", "")),
        str(entry.get("verb", "")),
        new if old == new else f"{old or '-'} → {new or '-'}",
        str(entry.get("result", "")),
        "" if entry.get("seconds") is None else f"{entry['seconds']:.0f} s",
        "" if entry.get("changed") is None else str(entry["changed"]),
        " ".join(what.split()),
    )


def table(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the records as lines of a table."""
    rows = [_COLUMNS, *map(_row, entries)]
    cut = [[cell if len(cell) <= _WIDEST else f"{cell[: _WIDEST - 1]}…" for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cut) for column in range(len(_COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cut]


def before_last(values: Sequence[str]) -> str:
    """Return the last value that is not the last one's; empty when there is none."""
    return next((value for value in reversed(values) if value != values[-1]), "")
