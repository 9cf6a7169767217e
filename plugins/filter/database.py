"""Filters of the verbs that work with the database."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.backups import compare, compare_parts, differences
from plugins.module_utils.discovery import UNUSED_TAGS, beside_its_source
from plugins.module_utils.history import moment
from plugins.module_utils.ownership import owned_by


def serving_host(stack: Mapping[str, Any]) -> str:
    """Return the id of a running instance, a healthy one if there is one; empty when none runs."""
    running = [each for each in stack["compute"]["instances"] if each["state"] == "running"]
    running.sort(key=lambda each: (each["health"] not in ("healthy", ""), each["id"]))
    return str(running[0]["id"]) if running else ""


def writing_database(databases: Sequence[Mapping[str, Any]]) -> int:
    """Return the place of the database that takes the writes, among one of each region that follow each other.

    It is the one that follows nobody. A region that was lost comes back with one that follows nobody either; whoever
    was promoted in its place was made later, as its replica. So of several it is the one that was created last.

    :param databases: of each region ``identifier``, ``source_arn`` and ``created`` (ISO 8601), as discovery has them.
    :returns: 0 when there is none at all: the first one is made first.
    """
    leading = [number for number, each in enumerate(databases) if each["identifier"] and not each["source_arn"]]
    return max(leading, key=lambda number: str(databases[number]["created"]), default=0)


def in_use(instances: Sequence[Mapping[str, Any]], owner: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the database of an owner among all of a region, as rds_instance_info describes them; empty without one.

    Not one that another one has replaced, not a copy that a restore makes, and not a replica beside its source.

    :param owner: tags that it has.
    """
    return next(
        (
            each
            for each in instances
            if owned_by(each["tags"], owner)
            and not UNUSED_TAGS & each["tags"].keys()
            and not beside_its_source(each.get("read_replica_source_db_instance_identifier"))
        ),
        {},
    )


def second(text: str) -> str:
    """Return a point in time (``90m`` ago, or ISO 8601) to the second, as ISO 8601 in UTC.

    :raises ValueError: when it is neither.
    """
    return moment(text).astimezone(UTC).isoformat(timespec="seconds")


class FilterModule:
    """Make the filters known to Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "compare_backup": compare,
            "compare_table": compare_parts,
            "database_in_use": in_use,
            "second": second,
            "serving_host": serving_host,
            "table_differences": differences,
            "writing_database": writing_database,
        }
