"""Deployments to four hosts under load, and what becomes of releases and hosts that fail in the middle of one."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import BIN, ENVIRONMENT, ROOT, Run, playbook, run

pytestmark = pytest.mark.long

Aws = Callable[[str], Any]
GROUP = "vahanhelp-prod-backend"
URL = "http://127.0.0.1:8080"
HOSTS = 4
SIZE = ("-e", "tier=basic", "-e", f"compute_min_size={HOSTS}", "-e", "compute_max_size=6")
#: Times the waiting that nothing can spare (issue: at most 1.3).
MOST_TIMES = 1.3
#: A constant load: each connection asks, waits 40 ms and asks again.
PACE = "function delay() return 40 end\n"
CLOSE = 'wrk.headers["Connection"] = "close"\n'

FAULTS = {
    # File, what to replace and by what; the phase and a part of the cause that the report must name.
    "crash": ("server.js", "main().catch(", "throw new Error('out of cheese');\nmain().catch(", "switching", "cheese"),
    "ill": ("app.js", "sendJson(response, 200, { status: 'ok'", "sendJson(response, 500, { status: 'ill'", "switching",
            "nothing answers 200"),
    "never-ready": ("server.js", "process.send?.('ready')", "await new Promise(() => {})", "switching", "not healthy"),
    "migration": ("migrate.js", "const applied = await migrate(database)", "throw new Error('out of cheese')",
                  "migrating", "cheese"),
}  # fmt: skip


class Fleet:
    """Four hosts in service."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._autoscaling, self._elb = aws("autoscaling"), aws("elbv2")
        self.targets = self._elb.describe_target_groups(Names=[GROUP])["TargetGroups"][0]["TargetGroupArn"]

    @property
    def healthy(self) -> list[str]:
        """Ids of the hosts that get requests, in the order of a deployment."""
        found = self._elb.describe_target_health(TargetGroupArn=self.targets)["TargetHealthDescriptions"]
        return sorted(item["Target"]["Id"] for item in found if item["TargetHealth"]["State"] == "healthy")

    @property
    def approved(self) -> str:
        value = self._aws("ssm").get_parameter(Name="/vahanhelp/prod/release")["Parameter"]["Value"]
        return str(value)

    def wait_whole(self, seconds: float = 240) -> None:
        """Wait until as many are healthy as there should be."""
        deadline = time.monotonic() + seconds
        while len(self.healthy) != self.wanted and time.monotonic() < deadline:
            time.sleep(1)
        assert len(self.healthy) == self.wanted

    @property
    def wanted(self) -> int:
        return int(self._group["DesiredCapacity"])

    @property
    def _group(self) -> Any:
        return self._autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"][0]

    def scale(self, number: int) -> None:
        self._autoscaling.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=number)

    def assert_serves(self, *releases: str) -> None:
        """All hosts are in service with these releases, and nothing is left of the run."""
        self.wait_whole()
        assert {version() for _ in range(6 * HOSTS)} == set(releases)
        assert self._group["SuspendedProcesses"] == []
        parameters = self._aws("ssm").get_parameters_by_path(Path="/vahanhelp/prod")["Parameters"]
        assert "/vahanhelp/prod/suspended" not in {item["Name"] for item in parameters}


def version() -> str:
    with urllib.request.urlopen(f"{URL}/api/version", timeout=15) as answer:
        return str(json.load(answer)["version"])


@pytest.fixture(scope="module")
def fleet(aws: Aws) -> Iterator[Fleet]:
    playbook("site.yml", *SIZE)
    playbook("playbooks/deploy.yml", "-e", "release=good", "-e", "release_build_named=true")
    yield Fleet(aws)
    playbook("playbooks/destroy.yml", "-e", "confirm=vahanhelp-prod", "-e", "keep_snapshot=false")


@contextmanager
def load(folder: Path) -> Iterator[list[str]]:
    """Ask for listings all the time, over connections that are kept and over new ones; append both reports."""
    assert shutil.which("wrk"), "apt-get install wrk"
    reports: list[str] = []
    scripts = {"kept": PACE, "new": PACE + CLOSE}
    running = []
    for name, text in scripts.items():
        (folder / f"{name}.lua").write_text(text)
        command = ["wrk", "-t1", "-c4", "-d3600s", "--timeout", "10s", "-s", f"{folder / name}.lua"]
        running.append(
            subprocess.Popen(
                [*command, f"{URL}/api/listings"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
    try:
        yield reports
    finally:
        for process in running:
            process.send_signal(signal.SIGINT)
            reports.append(process.communicate(timeout=60)[0])


def assert_nothing_failed(reports: list[str], least: int) -> None:
    total = 0
    for report in reports:
        asked = re.search(r"(\d+) requests in", report)
        assert asked, report
        total += int(asked[1])
        assert "Socket errors" not in report, report
        assert "Non-2xx" not in report, report
    assert total >= least, reports


def deploy(*arguments: str, check: bool = True) -> Run:
    return playbook("playbooks/deploy.yml", *arguments, check=check)


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start a deployment, for something to happen in its middle."""
    return subprocess.Popen(
        [str(BIN / "ansible-playbook"), "-i", "inventories/lab", "playbooks/deploy.yml", *arguments],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def until(process: subprocess.Popen[str], pattern: str) -> str:
    """Read what a run prints up to a line; return all of it."""
    assert process.stdout
    seen = ""
    for line in process.stdout:
        seen += line
        if re.search(pattern, line):
            return seen
    raise AssertionError(f"no {pattern!r} in:\n{seen}")


def rest(process: subprocess.Popen[str]) -> str:
    """Wait for the end of a run; return what it printed."""
    assert process.stdout
    output = process.stdout.read()
    process.wait(timeout=600)
    return output


def broken(folder: Path, fault: str) -> tuple[str, ...]:
    """Return the arguments that build and deploy a release with a fault."""
    file, old, new, *_expected = FAULTS[fault]
    source = folder / "backend"
    shutil.copytree(ROOT / "examples/backend", source, ignore=shutil.ignore_patterns("node_modules"))
    text = (source / "src" / file).read_text()
    assert old in text
    (source / "src" / file).write_text(text.replace(old, new))
    return ("-e", f"release={fault}", "-e", "release_build_named=true", "-e", f"release_backend_source={source}")


def test_nobody_notices_a_deployment(fleet: Fleet, tmp_path: Path) -> None:
    with load(tmp_path) as reports:
        done = deploy("-e", "release=x1", "-e", "release_build_named=true")
    assert_nothing_failed(reports, 5000)
    fleet.assert_serves("x1")
    assert fleet.approved == "x1"
    for host in fleet.healthy:
        for phase in (r"drained \(", r"switched to x1 \(", r"in service \("):
            assert len(re.findall(f"^{host}: {phase}", done.output, re.MULTILINE)) == 1, done.output
    # The canary alone, then a quarter, then a half.
    assert re.findall(r"^(\d) +(\d) ", done.output, re.MULTILINE) == [("1", "1"), ("2", "1"), ("3", "2")]
    times = re.search(r"unavoidable waiting: ([0-9.]+) times", done.output)
    assert times and float(times[1]) <= MOST_TIMES, done.output
    again = deploy("-e", "release=x1")
    assert all(recap["changed"] == 0 for recap in again.recaps()), again.output
    assert "drained" not in again.output


def test_and_nobody_notices_its_rollback(fleet: Fleet, tmp_path: Path) -> None:
    with load(tmp_path) as reports:
        playbook("playbooks/rollback.yml")
    assert_nothing_failed(reports, 5000)
    fleet.assert_serves("good")
    assert fleet.approved == "good"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_release_gets_no_further_than_its_canary(fleet: Fleet, tmp_path: Path, fault: str) -> None:
    hosts = fleet.healthy
    with load(tmp_path) as reports:
        failed = deploy(*broken(tmp_path, fault), check=False)
    assert failed.code != 0
    assert_nothing_failed(reports, 1000)
    fleet.assert_serves("good")
    assert fleet.approved == "good"
    assert fleet.healthy == hosts
    *_edit, phase, cause = FAULTS[fault]
    assert f"error: {hosts[0]} failed at {phase}: " in failed.output
    assert cause in failed.output
    assert all(f"{host}: drained" not in failed.output for host in hosts[1:])
    assert failed.recap()["failed"] == 1


def test_a_host_that_is_killed_is_no_failure_of_the_release(fleet: Fleet) -> None:
    victim = fleet.healthy[0]
    with start("-e", "release=x2", "-e", "release_build_named=true") as process:
        output = until(process, f"^{victim}: drained")
        run("lab", "fault", "kill", victim)
        output += rest(process)
    assert process.returncode == 0, output
    assert f"{victim}: terminated meanwhile" in output
    # Its successor came with the release before, and was brought up to date.
    fleet.assert_serves("x2")
    assert fleet.approved == "x2"


def test_a_host_that_hangs_is_given_up_and_replaced(fleet: Fleet) -> None:
    victim = fleet.healthy[0]
    with start("-e", "release=x3", "-e", "release_build_named=true") as process:
        output = until(process, f"^{victim}: drained")
        run("lab", "fault", "pause", victim)
        output += rest(process)
    assert f"unreachable: [{victim}] " in output
    # It was put back all the same, so that its group saw that it does not answer.
    assert process.returncode == 0, output
    assert f"{victim}: terminated meanwhile" in output
    fleet.assert_serves("x3")
    assert victim not in fleet.healthy


def test_hosts_launched_meanwhile_are_brought_up_to_date(fleet: Fleet) -> None:
    with start("-e", "release=x4", "-e", "release_build_named=true") as process:
        output = until(process, r": drained")
        fleet.scale(HOSTS + 1)
        output += rest(process)
    assert process.returncode == 0, output
    fleet.assert_serves("x4")
    assert len(fleet.healthy) == HOSTS + 1
    fleet.scale(HOSTS)
    fleet.wait_whole()


def test_a_run_that_was_killed_is_finished_by_the_next(fleet: Fleet) -> None:
    with start("-e", "release=x5", "-e", "release_build_named=true") as process:
        until(process, r": drained")
        process.kill()
    done = deploy("-e", "release=x5")
    assert "Resume exactly what a deployment has suspended" in done.output
    fleet.assert_serves("x5")
    assert fleet.approved == "x5"
