"""What breaks in the middle of a deployment to four hosts, and what docs/faults.md says happens then."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.broken import BROKEN, break_backend
from tests.lab.conftest import BIN, ENVIRONMENT, ROOT, playbook, run
from tests.lab.fleet.hosts import BUCKET, FLOOR, HOSTS, Capacity, Fleet
from tests.lab.load import Load, load, rows

pytestmark = pytest.mark.long

BOOK = ("ansible-playbook", "-i", "inventories/lab")
#: As another machine, which cannot see whether a process of this one lives.
ELSEWHERE = ("unshare", "--pid", "--fork", "--mount-proc")
#: At most so many of a hundred requests fail in the cases where some must.
MOST_FAILED = 15.0

#: What is tested here is not how long a deployment takes, and only one of the releases needs to be watched.
SHORTLY = ("-e", "deploy_watch=0")
DRAIN_SECONDS = 10
#: In the table, of a fault that a deployment does not notice.
NOTHING = "—"


@dataclass(frozen=True)
class Row:
    """A line of the table in docs/faults.md."""

    what: str
    run: str
    release: str
    requests: str
    report: str

    @property
    def pattern(self) -> str:
        """The report as a regular expression: … stands for anything. Nothing is found in anything."""
        if self.report == NOTHING:
            return ""
        return ".*".join(re.escape(part.strip()) for part in self.report.strip("`").split("…"))


def _rows() -> dict[str, Row]:
    lines = (ROOT / "docs/faults.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {first.strip("`"): Row(*others) for first, *others in cells}


ROWS = _rows()


class Trial:
    """One fault under load."""

    def __init__(self, fault: str, fleet: Fleet, seen: Load, capacity: Capacity) -> None:
        self._row, self._fleet, self._seen, self._capacity = ROWS[fault], fleet, seen, capacity
        self._old, self._new = fleet.approved, fault
        self.hosts = fleet.healthy
        self.output = ""
        self.code: int | None = None

    def deploy(self, *arguments: str) -> None:
        """Deploy the release with the fault's name from beginning to end."""
        done = playbook("playbooks/deploy.yml", *arguments, "-e", f"release={self._new}", check=False)
        self.output, self.code = self.output + done.output, done.code

    def start(self) -> subprocess.Popen[str]:
        """Start a deployment, for something to happen in its middle."""
        release = ("-e", f"release={self._new}", "-e", "release_build_named=true", *SHORTLY)
        return subprocess.Popen(
            [str(BIN / BOOK[0]), *BOOK[1:], "playbooks/deploy.yml", *release],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def until(self, process: subprocess.Popen[str], pattern: str) -> None:
        """Read what a run prints up to a line."""
        assert process.stdout
        for line in process.stdout:
            self.output += line
            if re.search(pattern, line):
                return
        raise AssertionError(f"no {pattern!r} in:\n{self.output}")

    def finish(self, process: subprocess.Popen[str]) -> None:
        """Wait for the end of a run."""
        assert process.stdout
        self.output += process.stdout.read()
        self.code = process.wait(timeout=600)

    def assert_as_told(self) -> None:
        """Compare everything with the table."""
        row, seen = self._row, self._seen
        assert (self.code == 0) == (row.run == "succeeds"), self.output
        assert re.search(row.pattern, self.output, re.DOTALL), f"no {row.pattern}\n{self.output}"
        release = {"the new one": self._new, "the old one": self._old}[row.release]
        self._fleet.assert_serves(release)
        assert self._fleet.approved == release
        assert seen.requests > 1000, seen.reports()
        if row.requests == "none fails":
            assert seen.failures() == []
        else:
            assert len(seen.failures()) < seen.requests * MOST_FAILED / 100, seen.failures()
        assert seen.acknowledged() - rows() == set()
        assert self._capacity.least >= FLOOR, self._capacity.seen


@contextmanager
def trial(fault: str, fleet: Fleet) -> Iterator[Trial]:
    """Put load on, let something break, and hold what became of it against the table."""
    fleet.wait_whole()
    with load(f"{fleet.tier}/faults/{fault}") as seen, fleet.capacity() as capacity:
        attempt = Trial(fault, fleet, seen, capacity)
        yield attempt
        fleet.wait_whole()
    (seen.folder / "output").write_text(attempt.output)
    attempt.assert_as_told()


@pytest.fixture(autouse=True, scope="module")
def quickly(fleet: Fleet) -> Iterator[None]:
    """Let hosts be drained within seconds."""
    elb = fleet.aws("elbv2")

    def drain(seconds: int) -> None:
        attribute = {"Key": "deregistration_delay.timeout_seconds", "Value": str(seconds)}
        elb.modify_target_group_attributes(TargetGroupArn=fleet.targets, Attributes=[attribute])

    drain(DRAIN_SECONDS)
    yield
    drain(30)


def publish(fleet: Fleet, name: str, archive: bytes | None) -> None:
    """Put the release `good` into the bucket under another name, with another archive or none."""
    s3 = fleet.aws("s3")
    manifest = json.loads(s3.get_object(Bucket=BUCKET, Key="releases/good/manifest.json")["Body"].read())
    body = json.dumps({**manifest, "version": name}).encode()
    s3.put_object(Bucket=BUCKET, Key=f"releases/{name}/manifest.json", Body=body)
    frontend = {"Bucket": BUCKET, "Key": "releases/good/frontend.tar.gz"}
    s3.copy_object(Bucket=BUCKET, Key=f"releases/{name}/frontend.tar.gz", CopySource=frontend)
    if archive is not None:
        s3.put_object(Bucket=BUCKET, Key=f"releases/{name}/backend.tar.gz", Body=archive)


def test_the_table_and_the_tests_are_about_the_same() -> None:
    tested = set(re.findall(r'trial\("([a-z-]+)"', Path(__file__).read_text())) | set(BROKEN) | set(HOST_FAULTS)
    assert set(ROWS) == tested


@pytest.mark.parametrize("fault", BROKEN)
def test_a_bad_release_gets_no_further_than_its_canary(fleet: Fleet, tmp_path: Path, fault: str) -> None:
    source = break_backend(fault, tmp_path / "backend")
    with trial(fault, fleet) as attempt:
        attempt.deploy("-e", "release_build_named=true", "-e", f"release_backend_source={source}")
    assert f"error: {attempt.hosts[0]} failed at " in attempt.output
    assert all(f"{host}: drained" not in attempt.output for host in attempt.hosts[1:])
    assert fleet.healthy == attempt.hosts


def test_an_archive_that_is_not_what_its_manifest_says(fleet: Fleet) -> None:
    archive = fleet.aws("s3").get_object(Bucket=BUCKET, Key="releases/good/backend.tar.gz")["Body"].read()
    publish(fleet, "checksum", archive[:-1] + bytes([archive[-1] ^ 1]))
    with trial("checksum", fleet) as attempt:
        attempt.deploy()
        time.sleep(10)
    assert ": drained" not in attempt.output


def test_an_archive_that_is_missing(fleet: Fleet) -> None:
    publish(fleet, "artifact", None)
    with trial("artifact", fleet) as attempt:
        attempt.deploy()
        time.sleep(10)
    assert ": drained" not in attempt.output


HOST_FAULTS = {"host-killed": "kill", "host-hangs": "pause", "host-cut-off": "cut"}


@pytest.mark.parametrize("fault", HOST_FAULTS)
def test_a_host_that_is_lost_is_no_failure_of_the_release(fleet: Fleet, fault: str) -> None:
    # Before that the group does not notice who hangs, and the deployment fails (docs/faults.md).
    fleet.wait_past_grace()
    with trial(fault, fleet) as attempt:
        victim = attempt.hosts[0]
        with attempt.start() as process:
            attempt.until(process, f"^{victim}: drained")
            run("lab", "fault", HOST_FAULTS[fault], victim)
            attempt.finish(process)
    # Its successor came with the release before, and was brought up to date.
    assert victim not in fleet.healthy
    assert f"{victim}: replaced by its group" in attempt.output


def test_hosts_launched_meanwhile_are_brought_up_to_date(fleet: Fleet) -> None:
    with trial("scaling-out", fleet) as attempt, attempt.start() as process:
        attempt.until(process, ": drained")
        fleet.scale(HOSTS + 1)
        attempt.finish(process)
    assert len(fleet.healthy) == HOSTS + 1
    fleet.scale(HOSTS)
    fleet.wait_whole()


def test_a_database_that_restarts(fleet: Fleet) -> None:
    with trial("database-restarted", fleet) as attempt, attempt.start() as process:
        attempt.until(process, ": drained")
        run("lab", "fault", "database", "vahanhelp-prod")
        attempt.finish(process)


def kill(attempt: Trial, process: subprocess.Popen[str]) -> None:
    """Let the controller's machine lose its power in the middle of a deployment."""
    attempt.until(process, ": drained")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_controller_that_dies_and_comes_back(fleet: Fleet) -> None:
    with trial("controller-killed", fleet) as attempt:
        with attempt.start() as process:
            kill(attempt, process)
        attempt.deploy(*SHORTLY)


def test_a_controller_that_dies_and_another_operator(fleet: Fleet) -> None:
    with trial("operator-gone", fleet) as attempt:
        with attempt.start() as process:
            kill(attempt, process)
        again = (*ELSEWHERE, *BOOK, "playbooks/deploy.yml", "-e", "release=operator-gone", *SHORTLY)
        refused = run(*again, check=False)
        assert refused.code != 0
        assert fleet.lock is not None
        run(*ELSEWHERE, *BOOK, "playbooks/unlock.yml", "-e", "confirm=vahanhelp-prod")
        done = run(*again)
        attempt.output, attempt.code = attempt.output + refused.output + done.output, done.code


def test_a_lock_that_nobody_holds_any_more_expires(fleet: Fleet) -> None:
    with trial("operator-silent", fleet) as attempt:
        with attempt.start() as process:
            kill(attempt, process)
        done = run(
            *ELSEWHERE, *BOOK, "playbooks/deploy.yml", "-e", "release=operator-silent", "-e", "wait=180", *SHORTLY
        )
        attempt.output, attempt.code = attempt.output + done.output, done.code


def test_an_api_that_fails_and_throttles(fleet: Fleet) -> None:
    with trial("api-trouble", fleet) as attempt:
        run("lab", "fault", "api", "--errors", "5", "--throttles", "10", "--seed", "1")
        try:
            attempt.deploy("-e", "release_build_named=true", *SHORTLY)
        finally:
            refused = run("lab", "fault", "api")
    counted = re.search(r"(\d+) had failed and (\d+) were throttled", refused.output)
    assert counted and int(counted[1]) > 5 and int(counted[2]) > 10, refused.output
