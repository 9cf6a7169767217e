"""A thin wrapper of the podman command, with configuration and storage of the lab's own.

Nothing here touches the containers, images or networks of the machine's ordinary podman: CONTAINERS_CONF and
CONTAINERS_STORAGE_CONF point to private files, which give a private storage, network directory and lock directory.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from lab import settings

CONTAINERS_CONF = """\
# Written by lab.podman.
[containers]
# Explicit limits: podman's defaults need CAP_SYS_RESOURCE, which root may lack inside a container or sandbox.
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
# An /etc/hosts of the host's own (with localhost), none of this machine's names.
base_hosts_file = "none"

[engine]
# crun refuses machines whose cgroups are hybrid; runc takes all.
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
static_dir = "{home}/libpod"
tmp_dir = "{runtime}/libpod"
volume_path = "{home}/volumes"
# The default is one shared-memory segment for every podman of this machine.
lock_type = "file"

[network]
network_backend = "netavark"
network_config_dir = "{home}/networks"
"""

STORAGE_CONF = """\
# Written by lab.podman.
[storage]
driver = "overlay"
graphroot = "{home}/storage"
runroot = "{runtime}/storage"
"""


ALIVE = ("running", "paused")
"""States of containers that have not ended; of one that hangs the health checks tell."""
RM_ATTEMPTS = 3
RM_PAUSE = 1.0
"""Seconds between them."""


class PodmanError(RuntimeError):
    """podman failed; the text is podman's own last line."""


@dataclass(frozen=True)
class Container:
    """One row of `ps`: state is podman's (created, running, exited, paused, …)."""

    name: str
    state: str
    labels: Mapping[str, str]
    image: str
    process: int = 0
    """Its first process on this machine, 0 where it has none."""

    @property
    def lives(self) -> bool:
        """Is its first process still there?"""
        return process_lives(self.process)


def process_lives(number: int) -> bool:
    """Is the first process of a container still there? To look is cheap, to ask podman is dear. 0 stands for none."""
    return bool(number) and Path(f"/proc/{number}").exists()


def configuration() -> Path:
    """Directory of the private configuration files, written if they are absent or out of date."""
    return _configuration(settings.home(), settings.runtime())


@functools.cache
def _configuration(home: Path, runtime: Path) -> Path:
    directory = home / "podman"
    directory.mkdir(parents=True, exist_ok=True)
    for name, template in (("containers.conf", CONTAINERS_CONF), ("storage.conf", STORAGE_CONF)):
        text = template.format(home=directory, runtime=runtime)
        path = directory / name
        if not path.exists() or path.read_text() != text:
            partial = path.with_suffix(f".{os.getpid()}")
            partial.write_text(text)
            partial.replace(path)
    return directory


def environment() -> dict[str, str]:
    """The environment that makes any podman client use the lab's storage and networks."""
    directory = configuration()
    return {
        **os.environ,
        "CONTAINERS_CONF": str(directory / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(directory / "storage.conf"),
        # From Debian 13 on it would be nftables, and the lab's own rules are iptables'.
        "NETAVARK_FW": "iptables",
    }


def podman(
    *arguments: str,
    check: bool = True,
    stdin: str | None = None,
    timeout: float | None = 300,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run podman and return what it printed.

    Args:
        arguments: podman's arguments.
        check: raise when it exits with another code than 0.
        stdin: text for its standard input.
        timeout: seconds.
        variables: more variables of podman's own environment.

    Raises:
        PodmanError: it failed, hung, or is not installed.
    """
    if shutil.which("podman") is None:
        raise PodmanError("podman is not installed: apt install podman runc netavark")
    try:
        done = subprocess.run(
            ["podman", *arguments],
            env={**environment(), **(variables or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as hung:
        raise PodmanError(f"podman {arguments[0]} took more than {hung.timeout:.0f} s") from hung
    if check and done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        raise PodmanError(f"podman {arguments[0]}: {lines[-1]}")
    return done


def run(
    name: str,
    image: str,
    *command: str,
    network: str | None = None,
    address: str | None = None,
    hostname: str | None = None,
    labels: Mapping[str, str] | None = None,
    systemd: bool = False,
    secrets: Mapping[str, str] | None = None,
    options: Iterable[str] = (),
) -> str:
    """Start a container in the background and return its id.

    Args:
        name: the container's name.
        image: the image's name.
        command: instead of the image's own command.
        network: the podman network to attach to.
        address: the fixed IPv4 address in it.
        hostname: the name it knows itself by.
        labels: labels besides vahana-lab=1.
        systemd: prepare /run, /tmp and the cgroup tree for systemd as process 1.
        secrets: variables of the container that no list of processes shows, not even for a moment.
        options: more options of `podman run`.
    """
    arguments = ["run", "--detach", "--name", name, "--label", f"{settings.LABEL}=1"]
    for key, value in (labels or {}).items():
        arguments += ["--label", f"{key}={value}"]
    if network:
        arguments += ["--network", network, "--dns", settings.RESOLVER_ADDRESS]
    if address:
        arguments += ["--ip", address]
    if hostname:
        arguments += ["--hostname", hostname]
    if systemd:
        arguments += ["--systemd=always"]
    # Podman takes what is named without a value from its own environment.
    arguments += [part for key in secrets or {} for part in ("--env", key)]
    return podman(*arguments, *options, image, *command, variables=secrets).stdout.strip()


def start(name: str) -> None:
    """Start a stopped container."""
    podman("start", name)


def stop(name: str, seconds: int = 10) -> None:
    """Shut a container down in order, one that hangs too; kill it after the given time."""
    _wake(name)
    podman("stop", "--time", str(seconds), name)


def restart(name: str, seconds: int = 10) -> None:
    """Shut a container down in order, one that hangs too, and start it again."""
    _wake(name)
    podman("restart", "--time", str(seconds), name)


def _wake(name: str) -> None:
    """Let a paused container go on: podman stops none that is paused."""
    podman("unpause", name, check=False)


def rm(name: str) -> None:
    """Kill and remove a container; none of that name is fine.

    On a busy machine a killed process may not be gone when podman looks for the last time: then once more.
    """
    for left in range(RM_ATTEMPTS - 1, -1, -1):
        try:
            podman("rm", "--force", "--time", "0", "--volumes", "--ignore", name)
            return
        except PodmanError:
            if left == 0:
                raise
            time.sleep(RM_PAUSE)


def execute(
    name: str, *command: str, check: bool = True, stdin: str | None = None, timeout: float | None = 120
) -> subprocess.CompletedProcess[str]:
    """Run a command in a running container."""
    interactive = ["--interactive"] if stdin is not None else []
    return podman("exec", *interactive, name, *command, check=check, stdin=stdin, timeout=timeout)


def inspect(name: str) -> dict[str, Any] | None:
    """What podman knows of a container, None if there is none of that name."""
    done = podman("container", "inspect", name, check=False)
    if done.returncode != 0:
        return None
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found[0]


def containers(labels: Mapping[str, str] | None = None) -> dict[str, Container]:
    """The lab's containers by name, stopped ones too; `labels` restricts them."""
    filters = [f"label={settings.LABEL}=1", *(f"label={key}={value}" for key, value in (labels or {}).items())]
    arguments = [part for text in filters for part in ("--filter", text)]
    rows = json.loads(podman("ps", "--all", "--format", "json", *arguments).stdout or "[]")
    found = (
        Container(row["Names"][0], row["State"], row.get("Labels") or {}, row["Image"], int(row.get("Pid") or 0))
        for row in rows
    )
    return {container.name: container for container in found}


def logs(name: str) -> str:
    """Everything that a container wrote to its console."""
    done = podman("logs", name, check=False)
    return done.stdout + done.stderr


def commit(name: str, image: str, changes: Sequence[str] = ()) -> str:
    """Save a container's file system as an image and return the image's id."""
    arguments = [part for change in changes for part in ("--change", change)]
    return podman("commit", "--quiet", *arguments, name, image).stdout.strip()


def image_exists(image: str) -> bool:
    """Is there an image of that name in the lab's storage?"""
    return podman("image", "exists", image, check=False).returncode == 0


def images(repository: str) -> list[str]:
    """The images of a repository, as repository:tag."""
    shown = podman("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={repository}").stdout
    return shown.split()


def images_below(prefix: str) -> set[str]:
    """Names of images that begin so, such as all of one registry: an image has as many as versions are the same."""
    rows = json.loads(podman("images", "--format", "json").stdout or "[]")
    return {name for row in rows for name in row.get("Names") or [] if name.startswith(prefix)}


def image_rm(image: str) -> bool:
    """Remove an image; say whether it is gone: one that containers use stays (force would remove them too)."""
    done = podman("image", "rm", "--ignore", image, check=False)
    if done.returncode != 0 and "in use" not in done.stderr:
        raise PodmanError(f"podman image rm: {done.stderr.strip()}")
    return done.returncode == 0


def networks() -> dict[str, IPv4Network]:
    """The lab's networks by name, with their range."""
    rows = json.loads(podman("network", "ls", "--format", "json", "--filter", f"label={settings.LABEL}=1").stdout)
    return {row["name"]: IPv4Network(row["subnets"][0]["subnet"]) for row in rows}


def network_create(name: str, cidr: IPv4Network) -> None:
    """Make a bridged network over a range; its first address is the gateway, as in a VPC."""
    podman(
        *("network", "create", "--label", f"{settings.LABEL}=1"),
        # Without aardvark-dns a DNS-enabled network times out at each look-up; names are the lab's resolver's.
        "--disable-dns",
        *("--subnet", str(cidr), "--gateway", str(cidr[1])),
        name,
    )


def network_rm(name: str) -> None:
    """Remove a network and what is attached to it; none of that name is fine."""
    done = podman("network", "rm", "--force", name, check=False)
    if done.returncode != 0 and "not found" not in done.stderr:
        raise PodmanError(f"podman network rm: {done.stderr.strip()}")
