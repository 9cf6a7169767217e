"""What holds for the playbooks as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

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


def waits(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every task that is tried again until something holds."""
    if isinstance(node, dict) and "until" in node:
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from waits(child)


WAITS = {
    f"{path.relative_to(ROOT)}: {task['name']}": task
    for path in sorted([*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/**/*.yml")])
    for task in waits(yaml.safe_load(path.read_text()))
}


@pytest.mark.parametrize("name", WAITS)
def test_what_is_waited_for_can_be_asked_of_an_answer_that_failed(name: str) -> None:
    # A condition that asks a failed answer for what only a good one has raises, and that ends the task at once.
    task = WAITS[name]
    forgiven = task.get("failed_when") is False
    failed = {"failed": not forgiven, "changed": False, "msg": "An error occurred (Throttling)", "attempts": 1}
    variables = {
        task["register"]: failed,
        # What conditions name beside the answer itself.
        "edge_out": {"distribution_id": "E1"},
        "verify_release": "1.0.0",
    }
    templar = Templar(DataLoader(), variables=variables)
    conditions = task["until"] if isinstance(task["until"], list) else [task["until"]]
    # As ansible-core does: the first that does not hold ends it.
    all(templar.evaluate_conditional(trust_as_template(str(each))) for each in conditions)


def test_the_functions_roles_outlive_the_network() -> None:
    # Lambda takes a function's interfaces out of the network with the function's role, long after the function.
    kept = (ROOT / "roles/api/tasks/absent.yml").read_text()
    assert "iam_role" not in kept
    plays = [
        [task.get("ansible.builtin.include_role", {}) for task in play.get("tasks", [])]
        for play in yaml.safe_load((ROOT / "playbooks/destroy.yml").read_text())
    ]
    destroying = [roles for roles in plays if any(role.get("name") == "api" for role in roles)]
    assert len(destroying) == 2
    for roles in destroying:
        assert roles.index({"name": "network"}) < roles.index({"name": "api", "tasks_from": "roles_absent"})
