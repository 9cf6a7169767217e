"""Measures what a deployment takes of the controller for each host: the same deployment to 2, 10 and 50 hosts.

The hosts are this machine (tests/ops/fleet.py): they do next to nothing, and what they need of the processor is counted
apart. So what is left is the controller's, and what grows faster than the number of hosts is seen.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.emulator import ROOT, Emulator
from bench.programs import measure
from tests.ops.conftest import Account, answering
from tests.ops.fleet import Fleet

SIZES = (2, 10, 50)
HEAD = (
    "| hosts | wall s | a host | each more | CPU s | a host | each more | calls | a host | each more |",
    "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
)
#: A canary, and then all others: as many batches whatever the number of hosts, so that a host's share is seen.
BATCHES = ("-e", '{"deploy_batches": [1, "100%"], "deploy_healthy_floor": "1"}')


@dataclass(frozen=True)
class Deployment:
    """What one deployment took."""

    hosts: int
    wall: float
    """Seconds from start to end."""
    cpu: float
    """Seconds of processor time of the controller, user and system: without what the hosts did."""
    hosts_cpu: float
    """Seconds of processor time of the hosts, which share the machine."""
    actions: Mapping[str, int]
    """API calls by action."""
    writes: int

    @property
    def calls(self) -> int:
        """All API calls."""
        return sum(self.actions.values())


def deploy(size: int, folder: Path, *arguments: str) -> Deployment:
    """Deploy to that many hosts, all of which run another release.

    Args:
        size: how many.
        folder: for what the hosts keep; empty.
        arguments: further ones for ansible-playbook.
    """
    with Emulator() as emulator:
        account = Account(emulator.url, folder)
        account.furnish()
        fleet = Fleet(account, size)
        with answering(account) as url:
            given = ("-e", "release=2.0.0", "-e", f"public_url={url}", *fleet.hosts(folder, light=True), *arguments)
            done = measure(account.command("deploy", *given), emulator, ROOT, {"ANSIBLE_NOCOLOR": "1"})
        of_hosts = fleet.host_seconds(folder)
    actions = {action["action"]: action["count"] for action in done.calls.actions}
    return Deployment(size, done.wall, done.cpu - of_hosts, of_hosts, actions, done.calls.writes)


def measure_all(runs: int, say: Callable[[str], None], sizes: Sequence[int] = SIZES) -> list[Deployment]:
    """Deploy to each number of hosts, as often as asked.

    Args:
        runs: how often; the numbers take turns, so that another load of the machine is shared by all of them.
        say: told what was measured.
        sizes: the numbers of hosts.
    """
    found = []
    for number in range(runs):
        for size in sizes:
            with tempfile.TemporaryDirectory(prefix="vahana-bench-") as folder:
                done = deploy(size, Path(folder), *BATCHES)
            say(f"run {number + 1} of {runs}, {size} hosts: {done.wall:.1f} s, CPU {done.cpu:.1f} s")
            found.append(done)
    return found


def median(found: Sequence[Deployment], size: int, what: Callable[[Deployment], float]) -> float:
    """Return the median of a figure of the deployments to so many hosts."""
    return float(statistics.median(what(each) for each in found if each.hosts == size))


def for_each_more(found: Sequence[Deployment], fewer: int, more: int, what: Callable[[Deployment], float]) -> float:
    """Return by how much a figure grows with each host from one number of them to another."""
    return (median(found, more, what) - median(found, fewer, what)) / (more - fewer)


def table(found: Sequence[Deployment]) -> str:
    """The medians as a Markdown table."""
    lines = [*HEAD]
    sizes = sorted({each.hosts for each in found})
    for fewer, size in zip([0, *sizes], sizes, strict=False):

        def figure(what: Callable[[Deployment], float], size: int = size) -> float:
            return median(found, size, what)

        def growth(what: Callable[[Deployment], float], form: str, fewer: int = fewer, size: int = size) -> str:
            return format(for_each_more(found, fewer, size, what), form) if fewer else ""

        wall, cpu, calls = figure(_wall), figure(_cpu), figure(_calls)
        cells = [
            *(f"{size}", f"{wall:.1f}", f"{wall / size:.2f}", growth(_wall, ".2f")),
            *(f"{cpu:.1f}", f"{cpu / size:.2f}", growth(_cpu, ".2f")),
            *(f"{calls:.0f}", f"{calls / size:.1f}", growth(_calls, ".2f")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _wall(done: Deployment) -> float:
    return done.wall


def _cpu(done: Deployment) -> float:
    return done.cpu


def _calls(done: Deployment) -> float:
    return done.calls
