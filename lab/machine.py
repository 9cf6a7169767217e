"""What the lab needs of this machine besides containers: addresses on loopback, routes, who holds a port."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from lab import settings

BLACKHOLE_METRIC = 9999
"""Worse than any other route: the bridge's own route wins while the bridge is up."""

ADDRESSES = (settings.METADATA_ADDRESS, settings.TASK_METADATA_ADDRESS, settings.RESOLVER_ADDRESS)
"""What is put on the loopback interface."""

TOOLS = {"podman": "podman", "runc": "runc", "ip": "iproute2", "iptables": "iptables"}
"""Commands that the lab runs, with the Debian package each comes from."""

LISTENING = "0A"
"""State of a listening socket in /proc/net/tcp."""


class MachineError(RuntimeError):
    """The machine refused; the text is one line."""


def missing_tools() -> list[str]:
    """Debian packages of the commands that the lab runs and this machine lacks."""
    missing = [package for command, package in TOOLS.items() if shutil.which(command) is None]
    netavark = ("/usr/lib/podman/netavark", "/usr/libexec/podman/netavark", "/usr/local/lib/podman/netavark")
    if not any(Path(path).exists() for path in netavark):
        missing.append("netavark")
    return missing


def add_addresses() -> None:
    """Put the metadata services' and the resolver's address on the loopback interface."""
    for address in ADDRESSES:
        _ip("address", "replace", f"{address}/32", "dev", "lo")


def remove_addresses() -> None:
    """Take them off again; absent ones are fine."""
    present = _ip("-json", "address", "show", "dev", "lo")
    for interface in json.loads(present or "[]"):
        for address in interface["addr_info"]:
            if address["local"] in ADDRESSES:
                _ip("address", "del", f"{address['local']}/32", "dev", "lo")


def networks() -> dict[IPv4Network, str]:
    """Where this machine already sends packets: each routed network with its device, the lab's own left out.

    The name servers count too: whoever took their addresses would cut the machine off.
    """
    found: dict[IPv4Network, str] = {}
    for route in json.loads(_ip("-json", "-4", "route", "show", "table", "main") or "[]"):
        ours = route.get("type") == "blackhole" and route.get("metric") == BLACKHOLE_METRIC
        if route["dst"] != "default" and not ours and not route.get("dev", "").startswith("podman"):
            found[IPv4Network(route["dst"])] = f"route to {route['dst']} dev {route.get('dev', '?')}"
    for line in Path("/etc/resolv.conf").read_text().splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver" and ":" not in words[1]:
            found[IPv4Network(words[1])] = f"name server {words[1]}"
    return found


def add_blackhole(network: IPv4Network) -> None:
    """Drop what is sent to a network while its bridge is down, instead of sending it to the default route."""
    _ip("route", "replace", "blackhole", str(network), "metric", str(BLACKHOLE_METRIC))


def remove_blackhole(network: IPv4Network) -> None:
    """Remove such a route; none is fine."""
    if network in blackholes():
        _ip("route", "del", "blackhole", str(network), "metric", str(BLACKHOLE_METRIC))


def blackholes() -> set[IPv4Network]:
    """The networks that have such a route."""
    routes = json.loads(_ip("-json", "-4", "route", "show", "type", "blackhole") or "[]")
    return {IPv4Network(route["dst"]) for route in routes if route.get("metric") == BLACKHOLE_METRIC}


def cable_of(process_id: int) -> str:
    """The machine's end of the cable (veth) that a container hangs on.

    Args:
        process_id: any process of the container.

    Raises:
        MachineError: it has no network of its own.
    """
    # Through the container's own /sys, which shows its network: nothing need run in it, which may hang or be full.
    try:
        index = int(Path(f"/proc/{process_id}/root/sys/class/net/eth0/iflink").read_text())
        return socket.if_indextoname(index)
    except OSError as error:
        raise MachineError(f"no cable leads to process {process_id}: {error}") from error


def set_cable(name: str, *, plugged: bool) -> None:
    """Pull a cable out or plug it in; what is at its other end keeps its address and routes."""
    _ip("link", "set", "dev", name, "up" if plugged else "down")


def holder_of_port(address: str, port: int) -> str | None:
    """Who listens on a TCP port at an address (or at all addresses): "name (pid n)", None if nobody does."""
    wanted = {f"{int.from_bytes(IPv4Address(text).packed, 'little'):08X}:{port:04X}" for text in (address, "0.0.0.0")}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if row[1] in wanted and row[3] == LISTENING}
    if not inodes:
        return None
    targets = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(descriptor.readlink()) in targets for descriptor in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue
    return "another process"


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MachineError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
