"""Releases on the one host of tier minimal under load: no request fails and no write is lost."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.broken import break_backend
from tests.lab.conftest import playbook, run
from tests.lab.load import load
from tests.lab.visitor import version

pytestmark = pytest.mark.long

LEAST_REQUESTS = 20_000
SECONDS_AFTER = 2.0
#: Releases that never come into service, and why not.
UNFIT = {
    "crash": r"release crash does not run: it ended with code \d+ at its start",
    "ill": r"release ill is not healthy after \d+ s: nothing answers 200 on /api/health",
    "never-ready": r"release never-ready is not ready after \d+ s: it did not say process.send\('ready'\)",
}
IDS = "import sqlite3; [print(*row) for row in sqlite3.connect('{}').execute('SELECT id FROM listings')]"


@pytest.fixture(scope="module")
def minimal(lab: None) -> Iterator[None]:
    playbook("site.yml", "-e", "tier=minimal", "-e", "release=good", "-e", "release_build_named=true")
    yield
    playbook("playbooks/destroy.yml", "-e", "confirm=vahanhelp-prod")


def rows() -> set[str]:
    """Ids of all listings in the host's own file."""
    script = IDS.format("/srv/vahanhelp/shared/vahanhelp.sqlite3")
    done = run(
        "ansible", "-i", "inventories/lab", "tier_minimal", "-b", "-m", "command", "-a", f'python3 -c "{script}"'
    )
    return set(done.output.split())


def test_nobody_notices(minimal: None) -> None:
    with load("unnoticed-minimal") as seen:
        playbook("playbooks/deploy.yml", "-e", "release=next", "-e", "release_build_named=true")
        # As often as it takes: there and back.
        for _ in range(20):
            if seen.so_far >= LEAST_REQUESTS:
                break
            playbook("playbooks/rollback.yml")
        playbook("playbooks/rotate.yml", "-e", "what=app")
        time.sleep(SECONDS_AFTER)
    seen.assert_unnoticed(LEAST_REQUESTS)
    assert seen.acknowledged() - rows() == set()


def test_nobody_notices_the_end_of_maintenance(minimal: None) -> None:
    playbook("playbooks/maintenance.yml", "-e", "maintenance=on")
    with load("unnoticed-minimal-maintenance") as seen:
        playbook("playbooks/maintenance.yml", "-e", "maintenance=off")
        time.sleep(SECONDS_AFTER)
    seen.assert_unnoticed(100, allowed='"maintenance"')


@pytest.mark.parametrize("fault", UNFIT)
def test_nobody_notices_a_bad_release(minimal: None, tmp_path: Path, fault: str) -> None:
    source = break_backend(fault, tmp_path / "backend")
    release = ("-e", f"release={fault}", "-e", "release_build_named=true", "-e", f"release_backend_source={source}")
    before = version()
    with load(f"unnoticed-minimal-{fault}") as seen:
        done = playbook("playbooks/deploy.yml", *release, check=False)
        time.sleep(SECONDS_AFTER)
    assert done.code != 0
    told = rf"failed at switching: {UNFIT[fault]}; release {re.escape(before)} goes on as it was"
    assert re.search(told, done.output), done.output
    assert version() == before
    seen.assert_unnoticed(100)
    assert seen.acknowledged() - rows() == set()
