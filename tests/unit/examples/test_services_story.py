"""The five example services together, as `examples/services/README.md` says that they work and fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SERVICES = Path(__file__).resolve().parents[3] / "examples" / "services"
BIN = Path(sys.executable).parent


@pytest.mark.long
def test_story(tmp_path: Path) -> None:
    application = shutil.copytree(SERVICES, tmp_path / "services", ignore=shutil.ignore_patterns("node_modules"))
    # The story starts a database and the lab's API of its own.
    others = ("DATABASE_URL", "AWS_ENDPOINT_URL")
    environment = {key: value for key, value in os.environ.items() if key not in others}
    environment |= {"PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1", "VAHANA_LAB": str(BIN / "lab")}
    for command in (("ci",), ("run", "story")):
        done = subprocess.run(
            [str(BIN / "npm"), *command],
            cwd=application,
            env=environment,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        assert done.returncode == 0, f"npm {' '.join(command)}:\n{done.stdout[-8000:]}{done.stderr[-2000:]}"
