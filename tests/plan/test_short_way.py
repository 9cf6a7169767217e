"""A run may end early only when nothing changed: each drift that a plan must find is seen by one look."""

from __future__ import annotations

import json

import pytest

from plugins.module_utils.convergence import Document, differences
from tests.plan.conftest import Account, documents
from tests.plan.drifts import DRIFTS, EDITED, Drift

pytestmark = pytest.mark.usefixtures("asked")


def finish(account: Account, tier: str) -> dict[str, Document]:
    """Bring the account to a whole tier; return its documents."""
    account.finish(tier)
    return documents()


def test_looking_twice_shows_no_difference(account: Account) -> None:
    assert differences(finish(account, "basic"), documents()) == []


@pytest.mark.parametrize(
    ("tier", "drift"),
    [
        pytest.param(tier, drift, marks=[pytest.mark.long] if tier in ("full", "serverless", "microservices") else [])
        for tier, drifts in DRIFTS.items()
        for drift in drifts
    ],
)
def test_no_drift_is_missed(account: Account, tier: str, drift: Drift) -> None:
    before = finish(account, tier)
    drift(account)
    found = differences(before, documents())
    gone = drift.__name__.startswith("lose_") and found
    # What is gone is seen in what refers to it, too.
    assert gone or [entry["what"] for entry in found] == ["changed"], found
    assert all(entry["fields"] for entry in found if entry["what"] == "changed")


@pytest.mark.long
@pytest.mark.parametrize(("tier", "name"), [(tier, name) for tier, names in EDITED.items() for name in names])
def test_what_a_run_changes_is_seen(account: Account, tier: str, name: str) -> None:
    """Whatever our own tasks write is among what is looked at: nobody else could change it unseen."""
    before = finish(account, tier)
    ran = account.play(tier, "-e", json.dumps({name: EDITED[tier][name]}))
    assert ran.changed
    assert differences(before, documents())
