"""The backend that docs/backend-contract.md shows keeps the contract it is in."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from plugins.module_utils.release_artifact import check_sources

ROOT = Path(__file__).resolve().parents[3]
NODE = Path(sys.executable).parent / "node"
"""A script that starts the real one, which would not get our signal."""


def written_as_documented(folder: Path) -> Path:
    """Write the page's files, each a block of code below its name."""
    page = (ROOT / "docs/backend-contract.md").read_text()
    for name, code in re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(code)
    return folder


def test_the_smallest_backend_can_be_released(tmp_path: Path) -> None:
    problems = check_sources({"backend": written_as_documented(tmp_path)}, "src/server.js")
    # `npm install` writes that one.
    assert [problem for problem in problems if "package-lock.json" not in problem] == []


def test_the_smallest_backend_answers_and_stops_in_order(tmp_path: Path) -> None:
    folder = written_as_documented(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api/health"
    node = subprocess.check_output([NODE, "--print", "process.execPath"], text=True).strip()
    environment = {**os.environ, "PORT": str(port), "APP_VERSION": "1.0.0"}
    with subprocess.Popen([node, "src/server.js"], cwd=folder, env=environment) as server:
        try:
            deadline = time.monotonic() + 120
            while True:
                try:
                    with urllib.request.urlopen(url) as answer:
                        assert json.load(answer) == {"status": "ok", "version": "1.0.0"}
                    break
                except OSError:
                    assert time.monotonic() < deadline and server.poll() is None
                    time.sleep(0.1)
            server.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            with urllib.request.urlopen(url) as answer:
                assert (answer.status, answer.headers["Connection"]) == (200, "close")
            assert server.wait(timeout=20) == 0
        finally:
            server.kill()
