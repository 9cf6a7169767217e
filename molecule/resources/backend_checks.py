"""What the tests of both backend scenarios share."""

from __future__ import annotations

import json
import time
from typing import Any

from testinfra.host import Host


def answer(host: Host, path: str, port: int = 3000) -> dict[str, Any]:
    """What the backend answers on the host itself; {} if it does not."""
    done = host.run(f"curl --silent --max-time 3 http://127.0.0.1:{port}{path}")
    return json.loads(done.stdout) if done.rc == 0 and done.stdout else {}


def wait_for(host: Host, version: str, port: int = 3000, seconds: float = 40) -> None:
    """Wait until the release answers."""
    deadline = time.monotonic() + seconds
    while answer(host, "/api/health", port).get("version") != version:
        assert time.monotonic() < deadline, host.run("sudo journalctl -u backend -u backend-boot -n 40").stdout
        time.sleep(0.3)


def journal(host: Host, unit: str, lines: int = 20) -> str:
    """The last lines of a unit, with their priorities left out."""
    with host.sudo():
        return host.check_output(f"journalctl --unit {unit} --output cat --lines {lines}")
