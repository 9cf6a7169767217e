"""A tier comes out the same with the warm worker and without it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.plan.conftest import Account, Run


def _made(account: Account, *, warm_worker: bool) -> list[Run]:
    """Make a tier, then run through all its tasks again; return both runs."""
    account.load("empty")
    runs = [account.play("minimal", "-e", f"full={full}", warm_worker=warm_worker) for full in ("false", "true")]
    assert [run.code for run in runs] == [0, 0], runs[-1].output[-4000:]
    return runs


def _made_once(run: Run) -> list[dict[str, Any]]:
    """Return a run's calls without those that depend on how long it takes: its lock is an object that is renewed."""
    return [call for call in run.calls if call["action"] != "PutObject"]


@pytest.mark.long
def test_a_tier_is_the_same_both_ways(account: Account) -> None:
    """The same tasks change something, and the API gets the same calls, action by action."""
    # The first run of all makes the SSH key, which is on the controller.
    _made(account, warm_worker=True)
    warm, own = _made(account, warm_worker=True), _made(account, warm_worker=False)
    assert [run.changed for run in warm] == [run.changed for run in own]
    for with_worker, without in zip(warm, own, strict=True):
        assert [call for call in _made_once(with_worker) if call not in without.calls] == []
        assert [call for call in _made_once(without) if call not in with_worker.calls] == []
    assert warm[0].changed and not warm[1].changed
