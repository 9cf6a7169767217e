"""The releases in a bucket as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from plugins.module_utils.release_artifact import ReleaseBucket, ReleaseError

COLUMNS = ("", "release", "built", "who", "commit", "tests", "node", "size")
CURRENT, PREVIOUS = "current", "previous"

_COMMIT_DIGITS = 12
_WORKERS = 8


def read_releases(bucket: ReleaseBucket, current: str, previous: str, limit: int) -> list[dict[str, Any]]:
    """Return the releases, the newest first, each as its manifest has it with ``state`` and ``size`` (bytes).

    What a manifest does not say, because it is older than the question, is empty; its time is then that of its upload.

    :param current: name of the release in service; it and ``previous`` are returned whatever the limit.
    :param limit: how many of the newest.
    """
    found = bucket.published()
    states = {previous: PREVIOUS, current: CURRENT}
    wanted = [entry for number, entry in enumerate(found) if number < limit or entry[0] in states]

    def read(entry: tuple[str, datetime]) -> dict[str, Any]:
        version, uploaded = entry
        described: dict[str, Any] = {
            "release": version,
            "state": states.get(version, ""),
            "time": uploaded.astimezone(UTC).isoformat(timespec="seconds"),
            "size": None,
            **dict.fromkeys(("builder", "commit", "tests", "node", "npm", "source"), ""),
        }
        try:
            manifest = bucket.manifest(version) or {}
        except ReleaseError:
            return {**described, "tests": "damaged"}
        described |= {name: manifest[name] for name in described if name in manifest}
        sizes = [manifest[role]["size"] for role in ("backend", "frontend") if manifest.get(role)]
        return {**described, "size": sum(sizes) if sizes else None}

    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(read, wanted))


def _row(release: Mapping[str, Any]) -> tuple[str, ...]:
    commit, mark, changed = str(release["commit"]).partition("-")
    return (
        str(release["state"]),
        str(release["release"]),
        str(release["time"]).replace("+00:00", "Z"),
        str(release["builder"]),
        f"{commit[:_COMMIT_DIGITS]}{mark}{changed}",
        str(release["tests"]),
        str(release["node"]),
        "" if release["size"] is None else f"{release['size'] / 1e6:.1f} MB",
    )


def table(releases: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the releases as lines of a table."""
    rows = [COLUMNS, *map(_row, releases)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
