"""ElastiCache for Valkey: one container with Valkey 8 for each node of a replication group, in the VPC.

As on ElastiCache every connection must use TLS and the group's token, replicas follow the primary, and when it is lost
one of them takes its place if the group has automatic failover; the name that is written to then leads there. Otherwise
the node comes back, empty. Commands that ElastiCache keeps to itself are refused.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from moto.ec2.models import ec2_backends

from lab import interfaces, losses, podman, settings, times
from lab.moto_patches import elasticache
from lab.moto_patches.elasticache import Group, groups
from lab.reconcilers.base import Reconciler
from lab.reconcilers.databases import certificate

SERVICE = "cache"
INSIDE = "/cache"
"""Where the container sees the node's directory."""
START_SECONDS = 30
ANSWER_SECONDS = 2

# https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/SupportedCommands.html ("Restricted")
RESTRICTED = (
    "acl",
    "bgrewriteaof",
    "bgsave",
    "config",
    "debug",
    "migrate",
    "module",
    "replicaof",
    "save",
    "shutdown",
    "slaveof",
)

CONFIGURATION = """\
# Written by the lab at each start.
port 0
tls-port {port}
tls-cert-file {inside}/server.crt
tls-key-file {inside}/server.key
tls-ca-cert-file {inside}/server.crt
tls-auth-clients no
tls-replication yes
protected-mode no
dir {inside}/data
save ""
appendonly no
# A cache.t3.micro has 512 MB; the lab's nodes share one machine. The policy is that of default.valkey8.
maxmemory 64mb
maxmemory-policy volatile-lru
masteruser lab
masterauth {own}
user lab on >{own} ~* &* +@all
user default {default} ~* &* +@all {restricted}
"""

START = """\
#!/bin/sh
set -eu
cd {inside}
install -d -o valkey -g valkey data
chown valkey:valkey server.crt server.key valkey.conf
exec setpriv --reuid=valkey --regid=valkey --init-groups /usr/bin/valkey-server {inside}/valkey.conf
"""


def container_name(group: Group, number: int) -> str:
    """Name of a node's container."""
    return settings.cache_name(group.member(number))


def interface_description(group: Group, number: int) -> str:
    """Description of a node's network interface."""
    return f"ElastiCache {group.member(number)}"


def address(group: Group, number: int) -> str | None:
    """The address a node listens at, None before it has one."""
    ec2 = ec2_backends[settings.ACCOUNT_ID][group.region]
    found = next(interfaces.find(ec2, interface_description(group, number)), None)
    return None if found is None else str(found.private_ip_address)


def directory_of(group: Group, number: int) -> Path:
    """Where a node's files are; number 0 has what is the same for all."""
    return settings.home() / "caches" / group.region / group.name / str(number)


def own_password(group: Group) -> str:
    """Password of the lab's own user at a group's nodes."""
    kept = directory_of(group, 0) / "own"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.touch(mode=0o600)
        kept.write_text(secrets.token_hex(24))
    return kept.read_text()


def ensure_interface(backend: Any, group: Group, number: int) -> None:
    """Give a node its network interface unless it has one."""
    if address(group, number) is not None:
        return
    subnet = elasticache.subnet_of(backend, group, number)
    ec2 = ec2_backends[settings.ACCOUNT_ID][group.region]
    description = interface_description(group, number)
    interfaces.allocate(ec2, subnet, description, group.security_group_ids, "amazon-elasticache")


def release(group: Group, *, beyond: int = 0) -> None:
    """Delete the interfaces of a group's nodes with a higher number."""
    ec2 = ec2_backends[settings.ACCOUNT_ID][group.region]
    for number in range(beyond + 1, elasticache.MOST_REPLICAS + 2):
        for interface in list(interfaces.find(ec2, interface_description(group, number))):
            interfaces.release(interface)


def addresses_of(name: str) -> Iterator[str]:
    """Addresses of an endpoint's name: the one that is written to, the readers', a node's own."""
    for _backend, group in groups():
        if group.status == "creating" or not name.endswith(f"{group.name}.{group.domain}"):
            continue
        replicas = [number for number in range(1, group.nodes + 1) if number != group.primary]
        numbers = {
            group.address: [group.primary],
            f"replica.{group.name}.{group.domain}": replicas or [group.primary],
            **{f"{group.member(number)}.{group.name}.{group.domain}": [number] for number in range(1, group.nodes + 1)},
        }
        yield from filter(None, (address(group, number) for number in numbers.get(name, [])))


def configuration(group: Group, own: str, primary_address: str | None) -> str:
    """Text of a node's configuration.

    Args:
        own: password of the lab's own user, by which replicas follow.
        primary_address: whom a replica follows; None for the primary.
    """
    text = CONFIGURATION.format(
        port=group.port,
        inside=INSIDE,
        own=own,
        default=f"on >{group.token}" if group.token else "on nopass",
        restricted=" ".join(f"-{command}" for command in RESTRICTED),
    )
    return text if primary_address is None else f"{text}replicaof {primary_address} {group.port}\n"


def ask(where: str, port: int, password: str, *words: str) -> bytes:
    """Send one command to a node as the lab's own user, and return its answer: a line, or the text that it announces.

    Raises:
        OSError: it does not answer.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Its certificate is the lab's own.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((where, port), timeout=ANSWER_SECONDS) as plain,
        context.wrap_socket(plain) as connection,
        connection.makefile("rb") as answers,
    ):
        for command in (("AUTH", "lab", password), words):
            parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in command)
            connection.sendall(f"*{len(command)}\r\n{parts}".encode())
            answer = answers.readline()
        if answer.startswith(b"$"):
            answer = answers.read(max(0, int(answer[1:])))
    return answer.strip()


class Caches(Reconciler):
    """Runs Valkey for each node of each replication group."""

    name: ClassVar[str] = "caches"
    interval: ClassVar[float] = 2.0

    def __init__(self) -> None:
        super().__init__()
        self._swept = False
        """Were containers without a group (of a lab that was killed) looked for? Once is enough."""
        elasticache.follow(True)

    def reconcile(self) -> None:
        """Bring every group up to date; a fault in one does not hold the others up."""
        faults = []
        for backend, group in list(groups()):
            try:
                self._converge(backend, group)
            except (podman.PodmanError, OSError, RuntimeError) as error:
                faults.append(f"{group.name}: {error}")
        if not self._swept:
            names = {container_name(group, n) for _, group in groups() for n in range(1, group.nodes + 1)}
            for name in podman.containers({"vahana-service": SERVICE}):
                if name not in names:
                    podman.rm(name)
            self._swept = True
        if faults:
            raise RuntimeError("; ".join(faults))

    def _converge(self, backend: Any, group: Group) -> None:
        match group.status:
            case "creating" | "modifying" if times.over(
                "cache create" if group.status == "creating" else "cache modify", group.arn
            ):
                for number in range(1, group.nodes + 1):
                    ensure_interface(backend, group, number)
                    if not self._answers(group, number):
                        self._run(backend, group, number)
                self._remove(group, beyond=group.nodes)
                self._let_follow(group)
                group.status = "available"
                self.log.info("cache %s answers at %s", group.name, address(group, group.primary))
                self.changed()
            case "deleting" if times.over("cache delete", group.arn):
                self._remove(group)
                elasticache.forget(backend, group)
                self.log.info("cache %s is gone", group.name)
                self.changed()
            case "available":
                self._mend(backend, group)

    def _mend(self, backend: Any, group: Group) -> None:
        """Bring lost nodes back; a lost primary's place is taken first."""
        lost = [number for number in range(1, group.nodes + 1) if not self._answers(group, number)]
        living = [number for number in range(1, group.nodes + 1) if number not in lost]
        if group.primary in lost and group.failover and living:
            group.primary = living[0]
            self.log.warning("cache %s: %s takes over", group.name, group.member(group.primary))
            for number in living:
                self._tell_role(group, number)
            self.changed()
        for number in lost:
            if not losses.holds(container_name(group, number)):
                self.log.warning("cache node %s does not answer: starting it again", group.member(number))
                self._run(backend, group, number)

    def _let_follow(self, group: Group) -> None:
        for number in range(1, group.nodes + 1):
            self._tell_role(group, number)

    def _tell_role(self, group: Group, number: int) -> None:
        """Let a node be the primary, or follow it."""
        primary = address(group, group.primary)
        where = ("NO", "ONE") if number == group.primary else (str(primary), str(group.port))
        ask(str(address(group, number)), group.port, own_password(group), "REPLICAOF", *where)

    def _certificate(self, group: Group) -> dict[str, bytes]:
        """Files of the group's certificate: one for all nodes, for a replica checks whom it follows."""
        public, private = (directory_of(group, 0) / name for name in ("server.crt", "server.key"))
        if not private.exists():
            private.parent.mkdir(parents=True, exist_ok=True)
            made, key = certificate(group.address)
            public.write_bytes(made)
            private.touch(mode=0o600)
            private.write_bytes(key)
        return {path.name: path.read_bytes() for path in (public, private)}

    def _answers(self, group: Group, number: int) -> bool:
        where = address(group, number)
        if where is None:
            return False
        try:
            # One that still loads what it follows answers, too.
            return ask(where, group.port, own_password(group), "PING").startswith(
                (b"+PONG", b"-LOADING", b"-MASTERDOWN")
            )
        except OSError:
            return False

    def _run(self, backend: Any, group: Group, number: int) -> None:
        """Start a node's container anew and wait until it answers. What was in it is lost, as on ElastiCache."""
        name, directory = container_name(group, number), directory_of(group, number)
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)
        for file, text in self._certificate(group).items():
            (directory / file).touch(mode=0o600)
            (directory / file).write_bytes(text)
        primary = None if number == group.primary else address(group, group.primary)
        (directory / "valkey.conf").touch(mode=0o600)
        (directory / "valkey.conf").write_text(configuration(group, own_password(group), primary))
        (directory / "start").write_text(START.format(inside=INSIDE))
        vpc_id = elasticache.subnet_of(backend, group, number).vpc_id
        podman.rm(name)
        podman.run(
            name,
            settings.SERVICE_IMAGE,
            *("sh", f"{INSIDE}/start"),
            network=f"{settings.NAME_PREFIX}{vpc_id}",
            address=address(group, number),
            hostname=group.member(number),
            labels={"vahana-service": SERVICE, "vahana-vpc": vpc_id},
            options=("--volume", f"{directory}:{INSIDE}"),
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers(group, number):
            if time.monotonic() > deadline or self.closing:
                last = podman.logs(name).strip().splitlines()[-1:]
                raise RuntimeError(f"Valkey did not start: {' '.join(last)}")
            time.sleep(0.2)

    def _remove(self, group: Group, *, beyond: int = 0) -> None:
        """Remove the nodes with a higher number, and with the first one everything."""
        for number in range(beyond + 1, elasticache.MOST_REPLICAS + 2):
            if address(group, number) is not None:
                podman.rm(container_name(group, number))
            shutil.rmtree(directory_of(group, number), ignore_errors=True)
        release(group, beyond=beyond)
        if beyond == 0:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(directory_of(group, 0).parent)

    def close(self) -> None:
        """Stop following; the containers keep running for the lab's next start."""
        super().close()
        elasticache.follow(False)
