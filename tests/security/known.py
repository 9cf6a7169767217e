"""What is known of scans, and why it stays: known.yml, which docs/security.md shows as tables.

Usage: python -m tests.security.known. Prints the tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("known.yml")
SERIOUS = ("high", "critical")


@dataclass(frozen=True)
class Finding:
    """A finding that stays."""

    check: str
    severity: str
    """As Prowler rates it."""
    kind: str
    """Of the resource, as `service:type`."""
    tiers: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Known:
    """The file."""

    findings: list[Finding]
    unread: dict[str, str]
    """Questions that the lab does not answer: what they are about, by their place in Prowler's source."""

    @property
    def tables(self) -> dict[str, str]:
        """The tables of the document, by their names."""
        return {
            "serious": _table(one for one in self.findings if one.severity in SERIOUS),
            "lower": _table(one for one in self.findings if one.severity not in SERIOUS),
            "unread": "\n".join(
                ["| asked in | about |", "|---|---|", *(f"| `{at}` | {what} |" for at, what in self.unread.items())]
            ),
        }


def read() -> Known:
    """Read the file."""
    content: dict[str, Any] = yaml.safe_load(FILE.read_text())
    findings = [Finding(**{**entry, "tiers": tuple(entry["tiers"])}) for entry in content["findings"]]
    return Known(findings, content["unread"])


def _table(findings: Iterable[Finding]) -> str:
    cells = ((f"`{one.check}`", one.severity, one.kind, ", ".join(one.tiers), one.reason) for one in findings)
    rows = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join(["| check | severity | of | tiers | why it stays |", "|---|---|---|---|---|", *rows])


if __name__ == "__main__":
    print("\n\n".join(read().tables.values()))
