"""The host roles on real hosts: one test per molecule scenario, in its full sequence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SCENARIOS = sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml"))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str) -> None:
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1"}
    # A run that was killed may have left its host behind.
    for verb in ("destroy", "test"):
        run = subprocess.run(
            ["molecule", verb, "--scenario-name", scenario],
            cwd=ROOT, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert run.returncode == 0, f"molecule {verb} -s {scenario}\n{run.stdout[-8000:]}\n{run.stderr[-3000:]}"
