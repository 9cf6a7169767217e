"""Task files of the user's that run before and after what changes something."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from plugins.module_utils.inputs import Problem, suggestion

DIRECTORY = "hooks"
"""The folder that need not be there: what ``hooks_directory`` is set to when nobody sets it."""

POINTS = tuple(
    f"{moment}_{verb}"
    for verb in ("build", "migrate", "deploy", "rollback")
    for moment in ("before", "after", "failed")
)
"""Every moment that a hook may be for; its file is ``<point>.yml``."""

_SUFFIXES = (".yml", ".yaml")


def check_hooks(directory: str, project: Path, where: str, load: Callable[[str], Any]) -> Iterable[Problem]:
    """Yield what is wrong with the hooks: a name that no moment has would never run, and nobody would know.

    Files that are no YAML, and folders, are the user's own.

    :param directory: of the hooks, relative to ``project``; empty when there are none.
    :param where: says where that was set.
    :param load: reads one YAML file and raises an exception with a readable text; Ansible's own, for its tags.
    """
    if not directory:
        return
    folder = project / Path(directory).expanduser()
    if not folder.is_dir():
        if directory != DIRECTORY:
            yield Problem("hooks_directory", where, f"{folder} is no folder", "make it, or leave this out")
        return
    for file in sorted(folder.iterdir()):
        if file.suffix not in _SUFFIXES or not file.is_file():
            continue
        name = f"{directory}/{file.name}"
        if file.stem not in POINTS:
            mend = suggestion(file.stem, POINTS) + f"one of {', '.join(POINTS)}; other files go into a folder below"
            yield Problem(name, "hooks_directory", "no hook has this name, so it would never run", mend)
        elif file.suffix != ".yml":
            yield Problem(name, "hooks_directory", "would never run", f"rename it to {file.stem}.yml")
        else:
            yield from _unreadable(name, file, load)


def _unreadable(name: str, file: Path, load: Callable[[str], Any]) -> Iterable[Problem]:
    try:
        content = load(str(file))
    except Exception as error:
        said = " ".join(str(error).split())
        yield Problem(name, "hooks_directory", f"cannot be read ({said})", "mend it")
        return
    if content is not None and not (isinstance(content, list) and all(isinstance(task, dict) for task in content)):
        yield Problem(name, "hooks_directory", "is no list of tasks", "write it like roles/*/tasks/main.yml")
    elif content and any("hosts" in task for task in content):
        yield Problem(name, "hooks_directory", "holds a play", "write its tasks alone; they run on localhost")
