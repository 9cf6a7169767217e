"""What the tests of the flow share: an API server that counts its calls, and running Ansible against it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.unit.servers import ROOT, serving

__all__ = ["ROOT", "Calls", "counting_server", "errors", "run"]

BIN = Path(sys.executable).parent


@dataclass
class Calls:
    """The requests that reached the server: ``METHOD path``."""

    url: str
    made: list[str] = field(default_factory=list)

    @property
    def api(self) -> list[str]:
        """Those that are AWS calls, not the question whether the lab is there."""
        return [call for call in self.made if call != "GET /moto-api/"]


@contextmanager
def counting_server() -> Iterator[Calls]:
    """Serve on loopback: 200 to the question whether the lab is there, 400 to everything else; note every request."""
    calls = Calls("")

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            calls.made.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200 if self.path == "/moto-api/" else 400)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def __getattr__(self, name: str) -> Callable[[], None]:
            # The base class calls do_<METHOD>: every method is answered the same way.
            if name.startswith("do_"):
                return self._answer
            raise AttributeError(name)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with serving(Handler) as calls.url:
        yield calls


def run(program: str, *arguments: str, inventory: str = "lab", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one of Ansible's programs in the project with nothing of the caller's AWS settings but ``environment``."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "VAHANA_", "ANSIBLE_")) and name != "PATH"
    }
    return subprocess.run(
        [str(BIN / program), "-i", f"inventories/{inventory}", *arguments],
        cwd=ROOT,
        env={
            **inherited,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "AWS_EC2_METADATA_DISABLED": "true",
            "ANSIBLE_NOCOLOR": "1",
            "HOME": "/nonexistent-home" if inventory == "aws" else os.environ.get("HOME", "/root"),
            "ANSIBLE_HOME": "/tmp/vahana-unit-ansible",
            **environment,
        },
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )


def errors(ran: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the error lines of a run without their marks."""
    marks = ("[ERROR]: ", "error: ")
    output = ran.stderr.splitlines() + ran.stdout.splitlines()
    return [line.removeprefix(mark) for line in output for mark in marks if line.startswith(mark)]
