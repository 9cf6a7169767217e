"""Finds the sources of a release: the working folders, the same folders elsewhere, or as a commit has them.

A commit is taken from its repository without touching it: no work tree, no index, no lock and no network. The files are
those of a checkout of that commit, so that a release has the same name and bytes whichever way it was built.
"""

from __future__ import annotations

import difflib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

DIRTY = "-dirty"
"""After the commit of sources with changes that are not in it."""

_SUBMODULE = "160000"


class SourceError(Exception):
    """The sources cannot be found; the text says what to do."""


@dataclass(frozen=True)
class Origin:
    """Sources, and where they come from.

    Attributes:
        sources: folder by role ("backend", "functions", "frontend", "services").
        commit: of the repository of the first of them, in full; with "-dirty" when the sources are not as it has them;
            empty when they are in no repository.
    """

    sources: Mapping[str, Path] = field(default_factory=dict)
    commit: str = ""

    def folder(self, role: str) -> Path | None:
        """Return the folder of a role, None when it has none."""
        return self.sources.get(role)


def is_folder(ref: str) -> bool:
    """Say whether this names a folder: no git ref begins with a slash, a dot or a tilde (git-check-ref-format)."""
    return ref.startswith(("/", ".", "~"))


@contextmanager
def find_sources(ref: str, sources: Mapping[str, Path], project: Path) -> Iterator[Origin]:
    """Give the sources for as long as the context lasts.

    Args:
        ref: empty takes the folders as they are; a folder (see :func:`is_folder`, relative to ``project``) stands for
            ``project``, or for the repository of sources outside of it; anything else is what git calls a commit.
        sources: folder by role.
        project: folder that relative paths start from.

    Raises:
        SourceError: there are no such sources.
    """
    if not ref or not sources:
        yield Origin(sources, _commit(sources))
    elif is_folder(ref):
        elsewhere = project / Path(ref).expanduser()
        if not elsewhere.is_dir():
            raise SourceError(f"{elsewhere} is no folder; give -e ref=… a folder, or a branch, tag or commit")
        moved = {role: elsewhere / _place(folder, project) for role, folder in sources.items()}
        yield Origin(moved, _commit(moved))
    else:
        tops = {_required_top(folder) for folder in sources.values()}
        if len(tops) > 1:
            both = " and ".join(map(str, sorted(tops)))
            raise SourceError(f"'{ref}' would be of two repositories, {both}; check it out in both and leave out ref")
        [top] = tops
        places = {role: _below(folder, top) for role, folder in sources.items()}
        with tempfile.TemporaryDirectory(prefix="vahana-ref-") as temporary:
            commit = _resolve(top, ref)
            _check_out(top, ref, commit, places, Path(temporary))
            yield Origin({role: Path(temporary) / "tree" / place for role, place in places.items()}, commit)


def _place(folder: Path, project: Path) -> str:
    """Return where a folder of sources is in the project, or in its own repository when it is outside."""
    root = project.resolve()
    if folder.resolve().is_relative_to(root):
        return _below(folder, root)
    top = _top(folder)
    if top is None:
        raise SourceError(
            f"{folder} is neither in {project} nor in a git repository, so its place in another folder is not known; "
            "leave out ref and set release_backend_source and release_frontend_source"
        )
    return _below(folder, top)


def _below(folder: Path, top: Path) -> str:
    return folder.resolve().relative_to(top).as_posix()


def _git(folder: Path, *arguments: str, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run git in a folder.

    Raises:
        SourceError: there is no git.
    """
    # A hook of git's has variables that name its own repository.
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        return subprocess.run(
            ["git", "--no-optional-locks", "--literal-pathspecs", "-C", str(folder), *arguments],
            env={**own, "LC_ALL": "C.UTF-8", **environment},
            input=given,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
        )
    except FileNotFoundError as error:
        raise SourceError("git is not installed; install it, or leave out ref") from error


def _checked(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise SourceError(f"git {done.args[5]} in {done.args[4]}: {said[-1]}")
    return done.stdout


def _top(folder: Path) -> Path | None:
    """Return the top of the work tree that a folder is in, None when it is in none. The folder need not exist."""
    start = next(path for path in (folder, *folder.parents) if path.is_dir())
    done = _git(start, "rev-parse", "--show-toplevel")
    return Path(done.stdout.removesuffix("\n")).resolve() if done.returncode == 0 else None


def _required_top(folder: Path) -> Path:
    top = _top(folder)
    if top is None:
        raise SourceError(
            f"{folder} is in no git repository, so ref can only be a folder; write it like /path or ./path"
        )
    return top


def _commit(sources: Mapping[str, Path]) -> str:
    """Return the commit of folders that are built as they are, empty when that is not known."""
    first = next(iter(sources.values()), None)
    if first is None or not first.is_dir():
        return ""
    try:
        top = _top(first)
        if top is None:
            return ""
        found = _git(top, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").stdout.strip()
        paths = [str(path) for path in sources.values() if path.is_dir() and _top(path) == top]
        changed = bool(_git(top, "status", "--porcelain", "--", *paths).stdout)
    except SourceError:
        # What is built is the folder; git only has to say more about it.
        return ""
    return f"{found}{DIRTY}" if found and changed else found


def _resolve(top: Path, ref: str) -> str:
    """Return the commit that a ref names."""
    done = _git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if done.returncode == 0:
        return done.stdout.strip()
    names = _git(top, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags", "refs/remotes").stdout
    close = difflib.get_close_matches(ref, names.splitlines(), n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise SourceError(f"{top} has no commit '{ref}'; {hint}`git fetch --tags` there brings what is new")


def _check_out(top: Path, ref: str, commit: str, places: Mapping[str, str], temporary: Path) -> None:
    """Write the files of a commit below some folders into ``temporary/tree``."""
    index = {"GIT_INDEX_FILE": str(temporary / "index")}
    _checked(_git(top, "read-tree", commit, **index))
    wanted: list[str] = []
    for place in places.values():
        listed = _checked(_git(top, "ls-files", "-z", "--stage", "--", place, **index)).split("\0")[:-1]
        if not listed:
            raise SourceError(
                f"'{ref}' ({commit[:12]}) of {top} has no {place}; "
                "set release_backend_source and release_frontend_source to where it has them"
            )
        for entry in listed:
            mode, name = entry.split(" ", 1)[0], entry.split("\t", 1)[1]
            if mode == _SUBMODULE:
                raise SourceError(f"{name} in '{ref}' is a submodule, kept elsewhere; check it out and give the folder")
            wanted.append(name)
    # Unlike `git archive`, which changes files by their attributes, this writes what a checkout has.
    names = "".join(f"{name}\0" for name in wanted)
    _checked(_git(top, "checkout-index", "-z", "--stdin", f"--prefix={temporary / 'tree'}/", given=names, **index))
