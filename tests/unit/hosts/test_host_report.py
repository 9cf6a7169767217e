"""What a host says of itself: the script runs here as it does there, and asks a server that stands for the backend."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from plugins.action.ask_hosts import report as read_answer
from plugins.module_utils.remote import Answer
from plugins.remote import host_report

SCRIPT = Path(host_report.__file__)


@pytest.fixture
def backend() -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = json.dumps({"status": "ok", "version": "2.0.0"}).encode()
            self.send_response(200)
            self.send_header("Keep-Alive", "timeout=65")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def host(tmp_path: Path, backend: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    release = tmp_path / "srv/releases/2.0.0"
    release.mkdir(parents=True)
    (tmp_path / "srv/current").symlink_to(release)
    (tmp_path / "backend.json").write_text(json.dumps({"root": str(tmp_path / "srv"), "health_path": "/api/health"}))
    (tmp_path / "boot.json").write_text(json.dumps({"port": backend}))
    monkeypatch.setattr(host_report, "BACKEND", tmp_path / "backend.json")
    monkeypatch.setattr(host_report, "BOOT", tmp_path / "boot.json")
    return tmp_path


def test_all_of_it(host: Path) -> None:
    said = host_report.report()
    assert said["health"] == {"status": 200, "release": "2.0.0", "keep_alive": 65}
    assert (said["release"], said["configured"]) == ("2.0.0", True)
    assert 0 <= said["cpu_percent"] <= 100
    assert 0 < said["memory"]["used"] < said["memory"]["total"]
    assert {"/"} <= {disk["path"] for disk in said["disks"]}
    assert all(0 <= disk["percent"] <= 100 for disk in said["disks"])


def test_a_backend_that_is_gone(host: Path) -> None:
    (host / "boot.json").write_text(json.dumps({"port": 1}))
    health = host_report.report()["health"]
    assert (health["status"], health["keep_alive"]) == (0, None)
    assert "refused" in health["error"]


def test_it_runs_from_standard_input_on_any_host() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-"], input=SCRIPT.read_text(), capture_output=True, text=True, timeout=60, check=True
    )
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["configured"] is False
    assert read_answer(Answer(0, done.stdout, "", said["time"] + 0.25))["clock_offset"] == -0.25


def test_no_answer_is_said_so() -> None:
    assert read_answer(Answer(255, "", "Warning: x\nssh: connect to host 10.0.0.5 port 22: refused\n")) == {
        "error": "ssh: connect to host 10.0.0.5 port 22: refused"
    }
