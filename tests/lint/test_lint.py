"""No finding in anything that the project holds, and no skip list anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def _tracked(*patterns: str) -> list[str]:
    out = subprocess.run(["git", "ls-files", "--", *patterns], cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in out.stdout.splitlines() if (ROOT / name).exists()]


def _shell_scripts() -> list[str]:
    shebangs = ("#!/usr/bin/env bash", "#!/bin/bash", "#!/bin/sh")
    files = [ROOT / name for name in _tracked() if (ROOT / name).is_file()]
    return [
        str(f) for f in files if f.read_bytes()[:40].decode(errors="ignore").splitlines()[:1] in [[s] for s in shebangs]
    ]


CHECKS: dict[str, list[str]] = {
    "ruff": ["ruff", "check", "."],
    "ruff-format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "yamllint": ["yamllint", "--strict", "."],
    "ansible-lint": ["ansible-lint"],
    "shellcheck": ["shellcheck", *_shell_scripts()],
    "role-readmes": ["python", "scripts/role_readme.py", "--check"],
}


@pytest.mark.parametrize("check", CHECKS)
def test_no_finding(check: str) -> None:
    # ansible-lint reads the default inventory, which is AWS and wants credentials.
    environment = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "ANSIBLE_INVENTORY": "tests/lint/inventory/hosts.yml",
    }
    run = subprocess.run(
        CHECKS[check], cwd=ROOT, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert run.returncode == 0, f"{' '.join(CHECKS[check])}\n{run.stdout[-6000:]}\n{run.stderr[-3000:]}"
