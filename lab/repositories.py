"""Repositories that stand for those at GitHub: `lab push` pushes into them, pipelines clone from them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from lab import settings


class GitError(RuntimeError):
    """What git said."""


class Commit(NamedTuple):
    """A commit: its hash and the first line of its message."""

    hash: str
    message: str


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise GitError(f"git {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


def _path(repository: str) -> Path:
    return settings.home() / "repositories" / f"{repository}.git"


def push(folder: Path, repository: str, branch: str) -> str:
    """Push what a working copy has checked out, whatever the branch had before; return the commit's hash.

    Raises:
        GitError: the folder is no repository, or has no commit.
    """
    if not _path(repository).exists():
        _git("init", "--quiet", "--bare", str(_path(repository)))
    _git("-C", str(folder), "push", "--quiet", "--force", str(_path(repository)), f"HEAD:refs/heads/{branch}")
    return _git("-C", str(folder), "rev-parse", "HEAD")


def head(repository: str, branch: str) -> Commit | None:
    """Return the newest commit of a branch, None where nobody has pushed one."""
    # A branch is a file as long as nobody packs the repository, which nobody does here.
    if not (_path(repository) / "refs" / "heads" / branch).exists():
        return None
    identity, _, message = _git(
        f"--git-dir={_path(repository)}", "log", "-1", "--format=%H %s", f"refs/heads/{branch}"
    ).partition(" ")
    return Commit(identity, message)


def check_out(repository: str, commit: str, folder: Path) -> None:
    """Clone a repository at a commit into a folder that is not there yet.

    Raises:
        GitError: the repository has no such commit.
    """
    _git("clone", "--quiet", "--no-checkout", str(_path(repository)), str(folder))
    _git("-C", str(folder), "checkout", "--quiet", "--detach", commit)
