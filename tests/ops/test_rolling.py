"""A deployment from host to host, on hosts of which nothing is there but what they are asked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.ops.conftest import PARAMETERS, Account, Run, approved
from tests.ops.fleet import Fleet

# A minute each; tests/lab deploys to real hosts in `make test`.
pytestmark = pytest.mark.long


class Trial:
    """Four hosts, and deployments to them."""

    def __init__(self, account: Account, folder: Path, front_door: str) -> None:
        self.account, self.folder = account, folder
        self.fleet = Fleet(account, 4)
        self.names = self.fleet.instances()
        self._arguments = (*self.fleet.hosts(folder), "-e", f"public_url={front_door}")

    def deploy(self, release: str, *arguments: str) -> Run:
        return self.account.play("deploy", *self._arguments, "-e", f"release={release}", *arguments)

    def running(self) -> list[str]:
        """Return which release each host runs, in their order."""
        files = [self.folder / name / "current" for name in self.fleet.instances()]
        return [file.read_text() if file.exists() else "1.0.0" for file in files]

    def told(self, verb: str) -> list[str]:
        """Return which hosts were told to do something, in order, and forget it."""
        file = self.folder / "told"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line.split()[0] for line in lines if line.split()[1] == verb]

    def assert_whole(self) -> None:
        """All hosts are in service and nothing is suspended."""
        assert self.fleet.health() == ["healthy"] * 4
        assert self.fleet.suspended() == []
        assert not self.fleet.ssm.get_parameters(Names=[f"{PARAMETERS}/suspended"])["Parameters"]


@pytest.fixture
def trial(account: Account, tmp_path: Path, front_door: str) -> Trial:
    """Four healthy hosts with release 1.0.0."""
    return Trial(account, tmp_path, front_door)


def test_batch_by_batch_and_the_second_time_nothing(trial: Trial) -> None:
    first, second, *others = trial.names
    planned = trial.deploy("2.0.0", "--check")
    assert planned.code == 0, planned.output
    assert trial.running() == ["1.0.0"] * 4
    assert all(f"{name}: release 2.0.0 would be brought into service" in planned.output for name in trial.names)
    assert trial.told("install") == []

    done = trial.deploy("2.0.0")
    assert done.code == 0, done.output
    assert trial.running() == ["2.0.0"] * 4
    assert approved(trial.account) == "2.0.0"
    trial.assert_whole()
    assert sorted(trial.told("install")) == trial.names
    assert trial.told("migrate") == [first]
    switched = trial.told("activate")
    assert switched[:2] == [first, second]
    assert sorted(switched[2:]) == others
    for name in trial.names:
        lines = [line.split(" (")[0] for line in done.output.splitlines() if line.startswith(f"{name}: ")]
        assert lines == [f"{name}: {what}" for what in ("drained", "switched to 2.0.0", "in service")]
    assert re.findall(r"^(\d) +(\d) ", done.output, re.MULTILINE) == [("1", "1"), ("2", "1"), ("3", "2")]
    assert trial.told("watch") == [first]
    assert "times the waiting" in done.output
    assert trial.account.history()[-1]["result"] == "ok"

    trial.account.writes()
    again = trial.deploy("2.0.0")
    assert again.code == 0, again.output
    assert "changed=0" in again.output and not re.search(r"changed=[1-9]", again.output)
    # The lock, there and away again.
    assert sorted(trial.account.writes()) == ["DeleteObject", "PutObject"]


@pytest.mark.parametrize(
    ("release", "phase", "cause", "log", "switched"),
    [
        ("3.0.0-crash", "switching", "is not healthy; went back to 1.0.0", "out of cheese", 1),
        ("3.0.0-leak", "watching", "did not last; it went back to the release before", "heap out of memory", 2),
        ("3.0.0-migration", "migrating", "the migrations failed", "ERROR: relation does not exist", 0),
        ("3.0.0-damaged", "having the release", "is damaged", "", 0),
    ],
)
def test_a_bad_release_gets_no_further_than_its_canary(
    trial: Trial, release: str, phase: str, cause: str, log: str, switched: int
) -> None:
    first = trial.names[0]
    failed = trial.deploy(release)
    assert failed.code != 0
    assert re.search(f"^error: {first} failed at {phase}: .*{re.escape(cause)}", failed.output, re.MULTILINE)
    assert not log or f"error:   | {log}" in failed.output
    assert f"No host runs {release}; new instances start with 1.0.0" in failed.output
    assert len(trial.told("activate")) == switched
    assert (": drained" in failed.output) is bool(switched)
    assert trial.running() == ["1.0.0"] * 4
    assert approved(trial.account) == "1.0.0"
    trial.assert_whole()
    assert trial.account.history()[-1]["result"] == "failed"


def test_the_floor_ends_it_between_two_batches(trial: Trial) -> None:
    failed = trial.deploy("2.0.0", "-e", "deploy_healthy_floor=3")
    assert failed.code != 0
    one, two, three, four = trial.names
    assert (
        f"error: The next batch failed at its beginning: taking {three}, {four} out of service would leave 2 healthy "
        f"of 4 hosts, and 3 must stay (deploy_healthy_floor=3)"
    ) in failed.output
    assert trial.running() == ["2.0.0", "2.0.0", "1.0.0", "1.0.0"]
    assert f"{one}, {two} run 2.0.0" in failed.output
    assert approved(trial.account) == "1.0.0"
    trial.assert_whole()

    finished = trial.deploy("2.0.0")
    assert finished.code == 0, finished.output
    assert trial.told("activate") == trial.names
    trial.assert_whole()
