"""What an operator does to hosts that serve, again and again under load: no request fails and no write is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.conftest import Run, playbook, run
from tests.lab.fleet.hosts import FLOOR, HOSTS, Fleet
from tests.lab.load import Load, load, rows

pytestmark = pytest.mark.long

CYCLES = 5
LEAST_REQUESTS = 50_000
SECONDS_AFTER = 2.0
#: Each write on full is told to three workers, and each line of a log goes to CloudWatch: answers take longer there.
READERS = {"basic": 3, "full": 5}


class Cycle:
    """One round of verbs, each under a load of its own."""

    def __init__(self, tier: str, name: str) -> None:
        self._name, self._readers = f"{tier}/{name}", READERS[tier]
        self.loads: dict[str, Load] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[Load]:
        """Put load on while a verb is at work, and a moment longer."""
        with load(f"{self._name}/{name}", readers=self._readers) as seen:
            yield seen
            time.sleep(SECONDS_AFTER)
        self.loads[name] = seen

    def verb(self, name: str, book: str, *arguments: str) -> Run:
        """Run a playbook under load, which nobody must notice."""
        with self.step(name) as seen:
            done = playbook(f"playbooks/{book}.yml", *arguments)
        assert (name, seen.failures()) == (name, [])
        return done


@pytest.mark.parametrize("number", range(1, CYCLES + 1))
def test_nobody_notices(fleet: Fleet, number: int) -> None:
    # Each round begins with as little in the database.
    run("lab", "psql", "vahanhelp-prod", "-c", "DELETE FROM listings")
    cycle, release, before = Cycle(fleet.tier, f"unnoticed-{number}"), f"cycle-{number}", fleet.approved
    with fleet.capacity() as capacity:
        cycle.verb("deploy", "deploy", "-e", f"release={release}", "-e", "release_build_named=true")
        fleet.assert_serves(release)
        cycle.verb("rollback", "rollback")
        fleet.assert_serves(before)
        former = fleet.healthy
        cycle.verb("replace", "deploy", "-e", f"release={release}", "-e", "strategy=replace")
        fleet.assert_serves(release)
        assert not set(former) & set(fleet.healthy)
        cycle.verb("scale-out", "scale", "-e", f"desired={HOSTS + 1}")
        assert len(fleet.healthy) == HOSTS + 1
        cycle.verb("scale-in", "scale", "-e", f"desired={HOSTS}")
        assert len(fleet.healthy) == HOSTS
        cycle.verb("rotate", "rotate")
        playbook("playbooks/maintenance.yml", "-e", "maintenance=on")
        with cycle.step("maintenance-off") as seen:
            playbook("playbooks/maintenance.yml", "-e", "maintenance=off")
            ended = time.time()
        during = [line for file in seen.folder.glob("*.noted") for line in file.read_text().splitlines()]
        assert seen.failures(allowed='"maintenance"') == []
        assert during and max(int(line.split()[0]) for line in during) <= ended
    fleet.assert_serves(release)
    assert capacity.least >= FLOOR
    for name, seen in cycle.loads.items():
        print(f"cycle {number} {name}: {seen.requests} requests, {len(seen.acknowledged())} listings made, 0 failed")
    total = sum(seen.requests for seen in cycle.loads.values())
    print(f"cycle {number}: {total} requests")
    made = set().union(*(seen.acknowledged() for seen in cycle.loads.values()))
    assert made and made - rows() == set()
    assert total >= LEAST_REQUESTS
