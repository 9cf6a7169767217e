"""The tools of the machine that runs Ansible: what a run needs, and which version at least."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

Version = tuple[int, ...]

_TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class Tool:
    """A program that must be found.

    :param arguments: what makes it print its version (to stdout or stderr).
    :param least: the lowest version that does what we need.
    :param mend: how to get it.
    """

    program: str
    arguments: tuple[str, ...]
    least: Version
    mend: str


SSH = Tool(
    "ssh",
    ("-V",),
    # KnownHostsCommand, which host key checking rests on: release notes of OpenSSH 8.5.
    (8, 5),
    "install OpenSSH 8.5 or newer (apt-get install openssh-client)",
)
NODE = Tool("node", ("--version",), (24,), "run `uv sync`, which brings Node.js 24, or install it from nodejs.org")
NPM = Tool("npm", ("--version",), (10,), "run `uv sync`, which brings npm, or install it with Node.js")
# Builds images without a daemon; --platform came with podman 2.2, and CodeBuild's Ubuntu has 3.4.
PODMAN = Tool("podman", ("--version",), (3, 4), "install podman 3.4 or newer (apt-get install podman)")
# `ec2-instance-connect open-tunnel` came with AWS CLI 2.12.
AWS_CLI = Tool("aws", ("--version",), (2, 12), "install AWS CLI 2.12 or newer: SSH goes through its tunnel")


def version_in(text: str) -> Version:
    """Return the first version number in ``text``, an empty tuple when there is none.

    >>> version_in("OpenSSH_9.2p1 Debian-2+deb12u6")
    (9, 2)
    """
    match = re.search(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def dotted(version: Version) -> str:
    """Return a version the way people write it."""
    return ".".join(map(str, version))


def tool_problems(tools: Iterable[Tool]) -> list[str]:
    """Return one line for every tool that is missing or too old."""
    with ThreadPoolExecutor() as pool:
        return [problem for problem in pool.map(_tool_problem, tools) if problem]


def find_program(program: str) -> str | None:
    """Find a program beside the Python that runs this, or on PATH: a virtual environment need not be activated."""
    return shutil.which(program, path=str(Path(sys.executable).parent)) or shutil.which(program)


def _tool_problem(tool: Tool) -> str:
    path = find_program(tool.program)
    if path is None:
        return f"{tool.program} is not installed; {tool.mend}"
    try:
        answer = subprocess.run(
            [path, *tool.arguments], capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{path} does not run: {error}; {tool.mend}"
    found = version_in(answer.stdout or answer.stderr)
    if found < tool.least:
        return f"{path} is version {dotted(found) or 'unknown'}, {dotted(tool.least)} is needed; {tool.mend}"
    return ""


def required_collections(requirements: Path) -> dict[str, Version]:
    """Read the collections and their versions from a requirements.yml."""
    content = yaml.safe_load(requirements.read_text(encoding="utf-8"))
    return {entry["name"]: version_in(str(entry["version"])) for entry in content["collections"]}


def installed_collections(paths: Iterable[Path]) -> dict[str, Version]:
    """Return the version of every collection below ``paths`` (directories that hold ``ansible_collections``).

    Ansible takes the first that it finds, so an earlier path wins.
    """
    found: dict[str, Version] = {}
    for path in paths:
        for manifest in sorted(path.glob("ansible_collections/*/*/MANIFEST.json")):
            name = ".".join(manifest.parent.parts[-2:])
            if name not in found:
                info = json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]
                found[name] = version_in(str(info["version"]))
    return found


def collection_problems(required: Mapping[str, Version], installed: Mapping[str, Version]) -> list[str]:
    """Return one line for every collection that is missing, too old, or a major version ahead."""
    mend = "run `uv sync` or `ansible-galaxy collection install -r requirements.yml`"
    problems = []
    for name, least in required.items():
        found = installed.get(name)
        if found is None:
            problems.append(f"the collection {name} is not installed; {mend}")
        elif found < least or found[0] != least[0]:
            problems.append(f"the collection {name} is version {dotted(found)}, {dotted(least)} is needed; {mend}")
    return problems
