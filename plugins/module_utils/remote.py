"""Asking hosts over SSH from the controller, all at the same time, the way the inventory says they are reached.

For verbs that only read: Ansible's own connection takes several round trips and a task for each question, and a host
that does not answer would hold up the others.
"""

from __future__ import annotations

import fnmatch
import re
import shlex
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

WORKERS = 16
"""How many hosts are asked at once: as many as Ansible's forks (ansible.cfg says why)."""

NO_ANSWER = 255
"""What ssh itself ends with when it has no connection (ssh(1), EXIT STATUS)."""


@dataclass(frozen=True)
class Target:
    """A host, and the command line that leads there.

    :param ssh: the command and its arguments up to the host; what follows is run there.
    :param connect_seconds: how long it waits for a connection.
    """

    name: str
    ssh: tuple[str, ...]
    connect_seconds: int = 0


@dataclass(frozen=True)
class Answer:
    """What a host said.

    :param code: exit code; :data:`NO_ANSWER` when it could not be reached.
    :param ended: when it had ended, in seconds since 1970 by the clock of this machine.
    """

    code: int
    output: str
    error: str
    ended: float = 0.0

    @property
    def reason(self) -> str:
        """Why there is no output, in one line: the last that was said."""
        lines = [line.strip() for line in self.error.splitlines() if line.strip()]
        return lines[-1] if lines else f"ended with {self.code}"


def target(name: str, variables: Mapping[str, Any], connect_seconds: int) -> Target:
    """Return how a host is reached.

    :param variables: of the host, as the inventory and group_vars give them (``ansible_host``, ``ansible_user``, …).
    :param connect_seconds: how long to wait for a connection. An inventory whose connections take longer says so
        (``ansible_ssh_timeout``).
    """
    patience = max(connect_seconds, int(variables.get("ansible_ssh_timeout") or 0))
    command = ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={patience}"]
    # Each is a connection of its own that ends with its command, whatever keeps Ansible's open.
    command += ["-o", "ControlPath=none"]
    # A server that is silent for as long is gone (ssh_config(5)).
    command += ["-o", f"ServerAliveInterval={connect_seconds}", "-o", "ServerAliveCountMax=3"]
    for key in ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"):
        command += shlex.split(str(variables.get(key) or ""))
    if variables.get("ansible_ssh_private_key_file"):
        command += ["-i", str(variables["ansible_ssh_private_key_file"])]
    if variables.get("ansible_port"):
        command += ["-p", str(variables["ansible_port"])]
    if variables.get("ansible_user"):
        command += ["-l", str(variables["ansible_user"])]
    return Target(name, (*command, str(variables.get("ansible_host") or name)), patience)


def targets(names: Iterable[str], task_vars: Mapping[str, Any], connect_seconds: int) -> list[Target]:
    """Return how hosts are reached; one that the inventory does not know or ``--limit`` leaves out is not there.

    :param task_vars: of an action.
    """
    hostvars, limit, groups = task_vars["hostvars"], task_vars.get("ansible_limit"), task_vars.get("groups", {})
    return [
        target(name, hostvars[name], connect_seconds)
        for name in names
        if name in hostvars and (limit is None or within(str(limit), name, groups))
    ]


def within(limit: str, name: str, groups: Mapping[str, Sequence[str]]) -> bool:
    """Say whether ``--limit`` lets a host in ("Patterns: targeting hosts and groups", Ansible's documentation).

    Names, groups and wildcards count, also with ``!`` and ``&``; other patterns let nothing in.
    """
    patterns = [pattern for pattern in re.split(r"[,:]", limit) if pattern]

    def matches(pattern: str) -> bool:
        among = [host for group, hosts in groups.items() if fnmatch.fnmatchcase(group, pattern) for host in hosts]
        return fnmatch.fnmatchcase(name, pattern) or name in among

    plain = [pattern for pattern in patterns if pattern[0] not in "!&"]
    return (
        (not plain or any(map(matches, plain)))
        and all(matches(pattern[1:]) for pattern in patterns if pattern[0] == "&")
        and not any(matches(pattern[1:]) for pattern in patterns if pattern[0] == "!")
    )


def as_root(command: Sequence[str]) -> str:
    """Return a command for the remote shell that runs as root and asks for no password."""
    return shlex.join(["sudo", "-n", *command])


def ask(hosts: Sequence[Target], command: str, stdin: str, seconds: float) -> dict[str, Answer]:
    """Run a command on all hosts at the same time; return what each said.

    :param command: for the remote shell.
    :param stdin: what it reads, so that nothing of it stands in an argument.
    :param seconds: how long a host may take beside what it waits for a connection.
    """

    def one(host: Target) -> Answer:
        longest = host.connect_seconds + seconds
        try:
            done = subprocess.run(
                [*host.ssh, command], input=stdin, capture_output=True, text=True, timeout=longest, check=False
            )
        except subprocess.TimeoutExpired:
            return Answer(NO_ANSWER, "", f"no answer within {longest:g} s")
        return Answer(done.returncode, done.stdout, done.stderr, time.time())

    with ThreadPoolExecutor(WORKERS) as pool:
        return dict(zip((host.name for host in hosts), pool.map(one, hosts), strict=True))
