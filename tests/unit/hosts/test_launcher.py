"""The launcher of the role backend: maintenance answers for the application, and loses no request when it ends."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest

ROOT = Path(__file__).resolve().parents[3]
TEMPLATE = ROOT / "roles/backend/templates/launcher.cjs.j2"
NODE = Path(sys.executable).parent / "node"
SERVER = """
import http from 'node:http';
const server = http.createServer((request, response) => {
  let length = 0;
  request.on('data', (part) => { length += part.length; });
  request.on('end', () => response.end(`the application, ${length}`));
});
server.listen(0, '127.0.0.1', () => {
  process.send('ready');
  console.log(server.address().port);
});
"""


class Backend:
    """A backend that the launcher has started."""

    def __init__(self, port: int, file: Path) -> None:
        self.port = port
        self.file = file

    def ask(self, method: str = "GET", path: str = "/", body: bytes = b"", **headers: str) -> http.client.HTTPResponse:
        """Ask on a connection of its own; the answer's body is in ``text``."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.text = answer.read().decode()  # type: ignore[attr-defined]
        connection.close()
        return answer


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    (tmp_path / "current/src").mkdir(parents=True)
    (tmp_path / "current/src/server.mjs").write_text(SERVER)
    (tmp_path / "env").write_text("")
    values = {
        "ansible_managed": "here",
        "backend_root": str(tmp_path),
        "backend_entry": "src/server.mjs",
        "backend_health_path": "/api/health",
    }
    file = tmp_path / "maintenance.json"
    text = jinja2.Template(TEMPLATE.read_text()).render(values)
    marks = tmp_path / "marks"
    marks.mkdir()
    # Of another process, which it may not see.
    (marks / "ready-1").touch()
    for path, here in (
        ("/run/backend/env", tmp_path / "env"),
        ("/run/backend-pm2", marks),
        ("/etc/vahana/maintenance.json", file),
    ):
        assert path in text
        text = text.replace(path, str(here))
    (tmp_path / "launcher.cjs").write_text(text)
    environment = {"PATH": os.environ["PATH"]}
    node = subprocess.check_output([NODE, "--print", "process.execPath"], text=True).strip()
    # As pm2 starts it: with a channel to its parent.
    (tmp_path / "parent.cjs").write_text("require('child_process').fork(process.argv[2]).on('exit', process.exit)")
    with subprocess.Popen(
        [node, tmp_path / "parent.cjs", tmp_path / "launcher.cjs"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        yield Backend(int(process.stdout.readline()), file)
        os.killpg(process.pid, signal.SIGKILL)


def test_a_worker_that_is_ready_leaves_a_mark(backend: Backend, tmp_path: Path) -> None:
    marks = {int(file.name.removeprefix("ready-")) for file in (tmp_path / "marks").iterdir()}
    assert 1 in marks
    [worker] = marks - {1}
    assert b"launcher.cjs" in Path(f"/proc/{worker}/cmdline").read_bytes()


def test_maintenance_answers_for_the_application(backend: Backend) -> None:
    assert backend.ask().text == "the application, 0"  # type: ignore[attr-defined]
    backend.file.write_text(json.dumps({"message": "Back at <six> & later"}))
    answer = backend.ask(path="/api/listings?page=2")
    assert answer.status == 503
    assert json.loads(answer.text) == {"code": "maintenance", "message": "Back at <six> & later"}  # type: ignore[attr-defined]
    assert (answer.headers["Retry-After"], answer.headers["Connection"]) == ("60", "close")
    page = backend.ask(Accept="text/html,*/*")
    assert page.headers["Content-Type"] == "text/html"
    assert "<p>Back at &lt;six&gt; &amp; later</p>" in page.text  # type: ignore[attr-defined]
    assert backend.ask("HEAD").status == 503
    # A body that nobody wants is taken nevertheless: an answer before its end would break the connection.
    for _turn in range(20):
        assert backend.ask("POST", "/api/listings", b"x" * 5_000_000).status == 503
    for path in ("/api/health", "/api/health?full=1"):
        assert backend.ask(path=path).status == 200
    backend.file.write_text("no JSON")
    assert backend.ask().status == 503
    backend.file.unlink()
    assert backend.ask("POST", "/", b"xyz").text == "the application, 3"  # type: ignore[attr-defined]


def test_no_request_fails_when_it_ends(backend: Backend) -> None:
    """Every request is answered whole, by the message or by the application, and after the end by the application."""
    backend.file.write_text(json.dumps({"message": "x"}))
    statuses: list[list[int]] = [[] for _ in range(4)]
    stop = threading.Event()

    def visit(seen: list[int]) -> None:
        while not stop.is_set():
            seen.append(backend.ask().status)

    visitors = [threading.Thread(target=visit, args=(seen,)) for seen in statuses]
    for visitor in visitors:
        visitor.start()
    for _turn in range(20):
        backend.file.unlink()
        assert backend.ask().status == 200
        backend.file.write_text(json.dumps({"message": "x"}))
        assert backend.ask().status == 503
    backend.file.unlink()
    stop.set()
    for visitor in visitors:
        visitor.join()
    assert set().union(*statuses) <= {200, 503}
    assert all(seen for seen in statuses)
    assert backend.ask().status == 200
