"""The probe: what it counts, and that it ends with its run."""

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

ROOT = Path(__file__).resolve().parents[2]


class Server(ThreadingHTTPServer):
    """Answers with what it is told to, and notes over how many connections it was asked."""

    daemon_threads = True
    status = 200
    enough = 20

    def __init__(self) -> None:
        self.asked = 0
        self.connections: set[Any] = set()
        self.reached = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """Answer."""
        self.server.asked += 1
        self.server.connections.add(self.client_address)
        if self.server.status == 0:
            self.close_connection = True
        else:
            self.send_response(self.server.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")
        if self.server.asked >= self.server.enough:
            self.server.reached.set()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def probe(server: Server) -> dict[str, Any]:
    """Let the probe ask often enough; return what it saw."""
    order = {"url": f"http://127.0.0.1:{server.server_port}/api/health?deep=1", "interval": 0.01}
    with subprocess.Popen(
        [sys.executable, "-m", "plugins.probe"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        assert server.reached.wait(120)
        output, _nothing = process.communicate(timeout=120)
    assert process.returncode == 0
    seen: dict[str, Any] = json.loads(output)
    return seen


@pytest.mark.parametrize("status", [200, 302])
def test_what_is_answered_counts_as_served(server: Server, status: int) -> None:
    server.status = status
    seen = probe(server)
    assert (seen["failed"], seen["causes"]) == (0, [])
    assert seen["served"] == server.asked >= server.enough
    # One connection was kept, the others were new.
    assert 2 < len(server.connections) < server.asked


@pytest.mark.parametrize(
    ("status", "cause"),
    [(503, "503 Service Unavailable"), (404, "404 Not Found"), (401, "401 Unauthorized"), (0, "RemoteDisconnected")],
)
def test_what_is_not_counts_as_failed(server: Server, status: int, cause: str) -> None:
    server.status = status
    seen = probe(server)
    # A connection that was just closed may be noticed before the request goes out.
    assert seen["served"] == 0 and seen["failed"] >= server.enough
    assert len(seen["causes"]) == 3 and all(cause in text for text in seen["causes"])
