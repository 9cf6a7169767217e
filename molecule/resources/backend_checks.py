"""What the tests of both backend scenarios share."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from testinfra.host import Host

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lab import podman

# Seconds. What goes well never waits for it, and a busy machine is no failure.
PATIENCE = 240


def answer(host: Host, path: str, port: int = 3000) -> dict[str, Any]:
    """What the backend answers on the host itself; {} if it does not."""
    done = host.run(f"curl --silent --max-time 3 http://127.0.0.1:{port}{path}")
    return json.loads(done.stdout) if done.rc == 0 and done.stdout else {}


def wait_for(host: Host, version: str, port: int = 3000) -> None:
    """Wait until the release answers."""
    deadline = time.monotonic() + PATIENCE
    while answer(host, "/api/health", port).get("version") != version:
        assert time.monotonic() < deadline, host.run("sudo journalctl -u backend -u backend-boot -n 40").stdout
        time.sleep(0.3)


def journal(host: Host, unit: str, lines: int = 20) -> str:
    """The last lines of a unit, with their priorities left out."""
    with host.sudo():
        return str(host.check_output(f"journalctl --unit {unit} --output cat --lines {lines}"))


def reboot(host: Host) -> None:
    """Shut the host down and start it again, and wait until it takes SSH."""
    name = host.check_output("hostname")
    podman.podman("restart", "--time", "20", name)
    deadline = time.monotonic() + PATIENCE
    while True:
        # testinfra raises when SSH itself fails.
        with contextlib.suppress(RuntimeError):
            if host.run("true").rc == 0:
                return
        assert time.monotonic() < deadline, f"no SSH after the reboot of {name}"
        time.sleep(0.5)
