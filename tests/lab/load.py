"""A steady load from wrk: reads and writes, over connections that are kept and over new ones. Its reports are kept."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from tests.lab.conftest import ROOT, run
from tests.lab.visitor import URL

REPORTS = ROOT / "reports"
#: Each connection asks, waits so many milliseconds after the answer, and asks again.
PACE = {"read": 50, "write": 200}
CONNECTIONS = {"read": 3, "write": 1}
SCRIPT = Path(__file__).with_suffix(".lua")


@dataclass(frozen=True)
class Load:
    """What a load has seen. Files: ``<connections>-<kind>.report`` is wrk's own, ``.noted`` every unusual answer."""

    folder: Path

    @property
    def requests(self) -> int:
        """How many were answered."""
        return sum(int(each) for report in self.reports() for each in re.findall(r"(\d+) requests in", report))

    @property
    def so_far(self) -> int:
        """At least so many were answered already; wrk itself tells the number at its end only."""
        return sum(int(file.read_text() or 0) for file in self.folder.glob("*.answered"))

    def reports(self) -> list[str]:
        """What wrk printed, one of each kind."""
        return [file.read_text() for file in sorted(self.folder.glob("*.report"))]

    def failures(self, allowed: str = "nothing") -> list[str]:
        """Every connection that broke, as wrk counts them, and every answer that was none of 200 and 201.

        :param allowed: part of the answers that do not count.
        """
        broken = [line.strip() for report in self.reports() for line in report.splitlines() if "Socket errors" in line]
        noted = [line for file in sorted(self.folder.glob("*.noted")) for line in file.read_text().splitlines()]
        return broken + [line for line in noted if allowed not in line]

    def acknowledged(self) -> set[str]:
        """Ids of the listings that were created, as far as the client was told."""
        return {line for file in self.folder.glob("*.acknowledged") for line in file.read_text().splitlines()}

    def assert_unnoticed(self, least: int, allowed: str = "nothing") -> None:
        """No request failed, and there were enough of them."""
        assert self.failures(allowed) == []
        assert self.requests >= least, self.reports()
        assert self.acknowledged()


def rows(database: str = "vahanhelp-prod") -> set[str]:
    """Ids of all listings, as the database's own host has them."""
    return set(run("lab", "psql", database, "-c", "SELECT id FROM listings").output.split()[1:])


def items(dynamodb: Any, table: str = "vahanhelp-prod") -> set[str]:
    """Ids of all listings, as a region's table itself has them."""
    pages = dynamodb.get_paginator("scan").paginate(TableName=table, ProjectionExpression="pk, sk")
    found = [item for page in pages for item in page["Items"]]
    return {item["pk"]["S"].removeprefix("LISTING#") for item in found if item["sk"]["S"] == "LISTING"}


@contextmanager
def load(
    name: str,
    slower: float = 1,
    path: str = "/api/listings",
    token: str = "",
    seldom: float = 1,
    readers: int = CONNECTIONS["read"],
) -> Iterator[Load]:
    """Ask from beginning to end of a ``with``; the reports stay in ``reports/<name>``.

    :param slower: times the pause after each answer.
    :param seldom: times the pause after each write, in addition.
    :param path: where listings are searched and created.
    :param token: of who may create them, where not everybody may.
    :param readers: how many connections read, of those that are kept and of new ones.
    """
    assert shutil.which("wrk"), "apt-get install wrk"
    seen = Load(REPORTS / name)
    shutil.rmtree(seen.folder, ignore_errors=True)
    seen.folder.mkdir(parents=True)
    running = {}
    numbers = {**CONNECTIONS, "read": readers}
    for connections, kind in product(("kept", "new"), numbers):
        options = ["-t1", f"-c{numbers[kind]}", "-d86400s", "--timeout", "15s", "--latency", "-s", str(SCRIPT)]
        # Whoever kills the tests ends the load too: wrk that finds no server any more takes all of a processor.
        ended = ["setpriv", "--pdeathsig", "TERM"]
        wrk = [
            "wrk",
            *options,
            f"{URL}{path}",
            "--",
            str(PACE[kind] * slower * (seldom if kind == "write" else 1)),
            connections,
            kind,
            str(seen.folder),
            *([token] if token else []),
        ]
        with (seen.folder / f"{connections}-{kind}.report").open("w") as report:
            running[connections, kind] = subprocess.Popen([*ended, *wrk], stdout=report, stderr=subprocess.STDOUT)
    try:
        yield seen
    finally:
        for process in running.values():
            process.send_signal(signal.SIGINT)
        for process in running.values():
            process.wait(timeout=60)
