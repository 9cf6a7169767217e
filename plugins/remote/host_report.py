"""Says how a host of the backend is, as JSON on standard output. Sent over SSH and run there as root; changes nothing.

Needs nothing but Python: it must also work on a host on which the project's own files are missing or broken.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

BACKEND = Path("/etc/vahana/backend.json")
BOOT = Path("/etc/vahana/boot.json")
CPU_SAMPLE_SECONDS = 0.4
ASK_SECONDS = 3
COMMAND_SECONDS = 5


def _output(*command: str) -> str:
    """Return what a command prints; empty when it is not there, fails to start or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _cpu_times() -> tuple[int, int]:
    """Return idle and all jiffies of all processors (proc_stat(5))."""
    values = [int(value) for value in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return values[3] + values[4], sum(values)


def _cpu_percent() -> int:
    idle, total = _cpu_times()
    time.sleep(CPU_SAMPLE_SECONDS)
    later_idle, later_total = _cpu_times()
    passed = later_total - total
    return round(100 * (1 - (later_idle - idle) / passed)) if passed else 0


def _memory() -> dict[str, int]:
    """Return total and used memory in bytes; used is what is not available to a new program (proc_meminfo(5))."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    values = {name: int(rest.split()[0]) * 1024 for name, _colon, rest in (line.partition(":") for line in lines)}
    return {"total": values["MemTotal"], "used": values["MemTotal"] - values["MemAvailable"]}


def _disk(path: str) -> dict[str, Any]:
    """Return how much of a file system is used, in percent of what an application can have."""
    found = os.statvfs(path)
    room = found.f_blocks - found.f_bfree + found.f_bavail
    inodes = found.f_files
    return {
        "path": path,
        "percent": round(100 * (1 - found.f_bavail / room)) if room else 0,
        "free_bytes": found.f_bavail * found.f_frsize,
        "inodes_percent": round(100 * (1 - found.f_favail / inodes)) if inodes else 0,
    }


def _disks(root: str) -> list[dict[str, Any]]:
    seen: dict[int, dict[str, Any]] = {}
    for path in ("/", "/var", root):
        if Path(path).is_dir():
            seen.setdefault(Path(path).stat().st_dev, _disk(path))
    return list(seen.values())


def _health(port: int, path: str) -> dict[str, Any]:
    """Ask the application itself: status, release, and how long it keeps an idle connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ASK_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        # What Node.js says about itself: "Keep-Alive: timeout=65" (http.Server keepAliveTimeout).
        keep = re.search(r"timeout=(\d+)", answer.headers.get("Keep-Alive") or "")
        try:
            version = str(json.loads(body).get("version", ""))
        except (ValueError, AttributeError):
            version = ""
        return {"status": answer.status, "release": version, "keep_alive": int(keep[1]) if keep else None}
    except (OSError, http.client.HTTPException) as error:
        return {"status": 0, "release": "", "keep_alive": None, "error": str(error)}
    finally:
        connection.close()


def _updates() -> dict[str, Any]:
    packages = Path("/run/reboot-required.pkgs")
    return {
        "installed": os.access("/usr/bin/unattended-upgrade", os.X_OK),
        "timer": _output("systemctl", "is-active", "apt-daily-upgrade.timer"),
        "reboot": Path("/run/reboot-required").exists(),
        "reboot_for": sorted(set(packages.read_text().split())) if packages.exists() else [],
    }


def report() -> dict[str, Any]:
    """Gather all of it."""
    backend, boot = _json(BACKEND), _json(BOOT)
    root = str(backend.get("root") or "/srv")
    current = Path(root, "current")
    return {
        "release": current.resolve().name if current.exists() else "",
        "configured": bool(backend),
        "health": _health(int(boot.get("port") or 3000), str(backend.get("health_path") or "/api/health")),
        "uptime": float(Path("/proc/uptime").read_text().split()[0]),
        "cpu_percent": _cpu_percent(),
        "memory": _memory(),
        "disks": _disks(root),
        "container": _output("systemd-detect-virt", "--container") not in ("", "none"),
        "time_synchronized": _output("timedatectl", "show", "-p", "NTPSynchronized", "--value"),
        "updates": _updates(),
        "units": {name: _output("systemctl", "is-active", name) for name in ("backend", "backend-boot")},
        "time": time.time(),
    }


if __name__ == "__main__":
    print(json.dumps(report()), flush=True)
