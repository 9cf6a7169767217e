"""How a command of playbooks/exec.yml runs on a host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "roles/exec/files/run.py"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def run(tmp_path: Path, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as the script does, with this folder in place of the host's."""
    root = tmp_path / "srv"
    (root / "releases/1").mkdir(parents=True)
    (root / "current").symlink_to(root / "releases/1")
    (tmp_path / "backend.json").write_text(json.dumps({"user": "nobody", "root": str(root)}))
    (tmp_path / "env").write_text('DATABASE_URL="postgres://app:hunter2@db/$x"\nPORT="3000"\n')
    tmp_path.chmod(0o755)
    text = SCRIPT.read_text()
    for path, name in (("/run/backend/env", "env"), ("/etc/vahana/backend.json", "backend.json")):
        assert path in text
        text = text.replace(path, str(tmp_path / name))
    return subprocess.run(
        [sys.executable, "-I", "-c", text, *arguments],
        input=command,
        capture_output=True,
        text=True,
        timeout=120,
        env={"SECRET_OF_THE_CALLER": "x"},
        check=False,
    )


def test_as_the_backends_user_with_its_environment(tmp_path: Path) -> None:
    done = run(
        tmp_path, "id -un; basename $PWD; echo $DATABASE_URL $PORT; echo \"'quoted'\"; env | grep -c CALLER; cat"
    )
    # The shell is entered by a link, so PWD is the link or where it leads.
    user, folder, *rest = done.stdout.splitlines()
    assert (user, done.stderr) == ("nobody", "")
    assert folder in ("1", "current")
    assert rest == ["postgres://app:hunter2@db/$x 3000", "'quoted'", "0"]
    assert done.returncode == 0


def test_as_root_and_the_exit_code(tmp_path: Path) -> None:
    done = run(tmp_path, "id -un; exit 3", "--root")
    assert (done.stdout, done.returncode) == ("root\n", 3)


def test_what_the_environment_holds_stands_in_no_argument(tmp_path: Path) -> None:
    done = run(tmp_path, "tr '\\0' ' ' < /proc/$$/cmdline")
    assert "hunter2" not in done.stdout
    assert done.stdout.startswith("sh -c ")
