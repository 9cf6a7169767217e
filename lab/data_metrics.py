"""What databases and caches say of themselves, in the terms of RDS's and ElastiCache's metrics.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html and
https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/CacheMetrics.Redis.html.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

GIB = 1 << 30
WAL_SWITCH_SECONDS = 300
"""How often RDS writes to the log of a database that nobody else writes to: a replica's lag ends there.
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PostgreSQL.Replication.ReadReplicas.html
"""

LAG = """\
SELECT coalesce(extract(epoch FROM now() - pg_last_xact_replay_timestamp()), 0),
       EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')
         AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn();
"""
"""Seconds since the last change that a replica has made too, and whether it follows and has made all it was sent."""

CACHE_COUNTERS: Mapping[str, str] = {
    "CacheHits": "keyspace_hits",
    "CacheMisses": "keyspace_misses",
    "Evictions": "evicted_keys",
}
"""Metrics that say what was added to a counter of INFO."""


def used_bytes(directory: Path) -> int:
    """Return what the files below a directory take, 0 when there is none; what goes meanwhile does not count."""
    total, left = 0, [str(directory)]
    while left:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue
    return total


def replica_lag(answer: str) -> float:
    """Return the ReplicaLag in seconds from psql's answer to :data:`LAG`.

    RDS asks for the time since the last change that was made at the replica too. Where nobody writes, that grows until
    RDS itself writes, so a replica that has all that there is starts again from nothing as often.
    """
    seconds, whole = answer.strip().split("|")
    return float(seconds) % WAL_SWITCH_SECONDS if whole == "t" else float(seconds)


def information(answer: str) -> dict[str, float]:
    """Return the numbers in Valkey's answer to INFO by name."""
    found: dict[str, float] = {}
    for line in answer.splitlines():
        name, _colon, value = line.partition(":")
        if value and value.replace(".", "", 1).isdigit():
            found[name] = float(value)
    return found


def of_cache(values: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics of a node that are no counters."""
    return {
        "BytesUsedForCache": values["used_memory"],
        "DatabaseMemoryUsagePercentage": values["used_memory"] / values["maxmemory"] * 100,
        "CurrConnections": values["connected_clients"],
    }
