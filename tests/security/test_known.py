"""The document says what the file says, and the file says why."""

from __future__ import annotations

from tests.account import ROOT
from tests.security import known, scanner

DOCUMENT = (ROOT / "docs/security.md").read_text()
FILE = known.read()


def test_the_document_shows_the_file() -> None:
    """All that is known is in the document, and nothing else."""
    for name, table in FILE.tables.items():
        assert f"\n\n{table}\n" in DOCUMENT, f"{name}: python -m tests.security.known"
    assert DOCUMENT.count("\n| `") == len(FILE.findings) + len(FILE.unread)


def test_each_finding_is_there_once_and_has_a_reason() -> None:
    """A sentence, not a word."""
    assert len({(one.check, one.kind) for one in FILE.findings}) == len(FILE.findings)
    for one in FILE.findings:
        assert one.severity in scanner.SEVERITIES
        assert len(one.reason.split()) > 4, one
