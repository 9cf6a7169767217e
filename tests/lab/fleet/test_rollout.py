"""A deployment to four hosts: its order, what it tells, and how long it takes next to what must be waited for."""

from __future__ import annotations

import re

import pytest

from tests.lab.conftest import playbook
from tests.lab.fleet.hosts import Fleet
from tests.lab.load import load

pytestmark = pytest.mark.long

#: Times the waiting that nothing can spare (drain, switch, health, in service).
MOST_TIMES = 1.3
#: Times the pause after each answer. Each write on full has three workers do something, on the two processors that also
#: deploy here: as fast as on basic it is their want that is measured.
SLOWER = {"basic": 1, "full": 3}


def test_batch_by_batch_and_hardly_longer_than_it_must(fleet: Fleet) -> None:
    with load(f"{fleet.tier}/rollout", slower=SLOWER[fleet.tier]) as seen:
        done = playbook("playbooks/deploy.yml", "-e", "release=x1", "-e", "release_build_named=true")
    seen.assert_unnoticed(5000)
    fleet.assert_serves("x1")
    assert fleet.approved == "x1"
    for host in fleet.healthy:
        for phase in (r"drained \(", r"switched to x1 \(", r"in service \("):
            assert len(re.findall(f"^{host}: {phase}", done.output, re.MULTILINE)) == 1, done.output
    # The canary alone, then a quarter, then a half.
    assert re.findall(r"^(\d) +(\d) ", done.output, re.MULTILINE) == [("1", "1"), ("2", "1"), ("3", "2")]
    times = re.search(r"([0-9.]+) times the waiting", done.output)
    (seen.folder / "output").write_text(done.output)
    assert times and float(times[1]) <= MOST_TIMES, done.output
    again = playbook("playbooks/deploy.yml", "-e", "release=x1")
    assert all(recap["changed"] == 0 for recap in again.recaps()), again.output
    assert "drained" not in again.output
