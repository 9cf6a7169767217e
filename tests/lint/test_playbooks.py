"""What holds for the playbooks as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


def playbooks(path: Path) -> Iterator[Path]:
    """Yield a playbook and all that it imports."""
    yield path
    for play in yaml.safe_load(path.read_text()):
        if imported := play.get("ansible.builtin.import_playbook"):
            yield from playbooks(path.parent / imported)


def keys(node: Any) -> Iterator[str]:
    """Yield every key of every mapping."""
    if isinstance(node, dict):
        yield from node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from keys(child)


@pytest.mark.parametrize("entry", ["site.yml", "playbooks/destroy.yml"])
def test_a_run_reads_only_the_roles_that_it_needs(entry: str) -> None:
    # An imported role is read before anything is known, also by a run that finds nothing to do and for a layer that the
    # tier does not have, and each of its tasks is started to be skipped: half a no-op's time went that way.
    found = {
        path.name
        for path in playbooks(ROOT / entry)
        if "ansible.builtin.import_role" in keys(yaml.safe_load(path.read_text()))
    }
    assert not found
