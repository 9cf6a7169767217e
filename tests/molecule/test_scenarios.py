"""The host roles on real hosts: one test per molecule scenario, in its full sequence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SCENARIOS = sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml"))
AT_ONCE = 2
"""Scenarios share nothing, and each waits a good part of its time for its host."""

Outcome = tuple[int, str]


def run(scenario: str) -> Outcome:
    """Run a scenario; return molecule's exit code and what it printed last."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1"}
    done: subprocess.CompletedProcess[str]
    # A run that was killed may have left its host behind.
    for verb in ("destroy", "test"):
        done = subprocess.run(
            ["molecule", verb, "--scenario-name", scenario],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            break
    return done.returncode, f"molecule {verb} -s {scenario}\n{done.stdout[-8000:]}"


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Outcome]]]:
    """The selected scenarios, under way."""
    selected = [item.callspec.params.get("scenario") for item in request.session.items if hasattr(item, "callspec")]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {scenario: pool.submit(run, scenario) for scenario in SCENARIOS if scenario in selected}
        # After a failure with -x, or Ctrl-C, the rest is not started.
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize(
    "scenario",
    [pytest.param(name, marks=pytest.mark.long if name.endswith("_alternative") else ()) for name in SCENARIOS],
)
def test_scenario(scenario: str, outcomes: dict[str, Future[Outcome]]) -> None:
    code, output = outcomes[scenario].result()
    assert code == 0, output
