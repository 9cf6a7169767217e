"""An account that can be put back to an earlier state, and runs of which it is known what each changed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils.convergence import Document
from plugins.module_utils.discovery import Environment, connect, observe
from tests.account import ROOT, LocalAccount

RUN_SECONDS = 600
HERE = Path(__file__).parent

Change = tuple[str, str, str]
"""Role, task, item; with the region where that is not the first."""


@dataclass
class Run:
    """How a run ended, what it printed and which tasks changed something."""

    code: int
    output: str
    entries: list[dict[str, Any]]
    calls: list[dict[str, Any]]
    """Of each action of the API: service, action, kind (read or write), count."""

    @property
    def writes(self) -> list[str]:
        """The writes that the API got."""
        return [call["action"] for call in self.calls if call["kind"] == "write"]

    @property
    def changed(self) -> set[Change]:
        """The tasks, and items of loops, that reported a change."""
        return {
            (entry["role"], entry["task"], "".join((entry["item"], *elsewhere)))
            for entry in self.entries
            for elsewhere in [() if entry["host"] == "localhost" else (" in ", entry["host"])]
        }


class Account(LocalAccount):
    """An account that can be put back."""

    def __init__(self, server: subprocess.Popen[str], url: str, folder: Path) -> None:
        super().__init__(url, folder)
        self._server = server
        self.saved: set[str] = set()

    def _command(self, line: str) -> None:
        assert self._server.stdin and self._server.stdout
        self._server.stdin.write(f"{line}\n")
        self._server.stdin.flush()
        assert self._server.stdout.readline() == "done\n"

    def save(self, name: str) -> None:
        """Remember the account as it is."""
        self._command(f"save {name}")
        self.saved.add(name)

    def load(self, name: str) -> None:
        """Put the account back to what was saved."""
        self._command(f"load {name}")

    def finish(self, tier: str, *arguments: str, name: str = "") -> None:
        """Bring the account to a whole tier; what has a name (its own, where something is given) is made once."""
        name = name or tier
        if name in self.saved:
            self.load(name)
            return
        self.load("empty")
        made = self.play(tier, *arguments)
        assert made.code == 0, made.output[-4000:]
        self.save(name)

    def play(
        self,
        tier: str,
        *arguments: str,
        playbook: str = "playbooks/provision.yml",
        stop_after: int = 0,
        warm_worker: bool = True,
    ) -> Run:
        """Run a playbook for a tier, without hosts."""
        noted = self._folder / "changed.jsonl"
        noted.unlink(missing_ok=True)
        self.calls()
        given = ("-e", f"tier={tier}", "-e", f"ssh_private_key_file={self._folder / 'key'}", *arguments)
        if tier == "microservices":
            # Their images are built in a second.
            given = (*given, "-e", f"containers_source={HERE / 'services'}")
        with self.begin(
            self.command_of(playbook, *given),
            ANSIBLE_CALLBACK_PLUGINS=f"plugins/callback:{Path(__file__).parent / 'callbacks'}",
            ANSIBLE_CALLBACKS_ENABLED="warm_worker,changed_tasks",
            CHANGED_TASKS=str(noted),
            CHANGED_TASKS_STOP_AFTER=str(stop_after),
            VAHANA_WARM_WORKER=str(warm_worker).lower(),
        ) as process:
            output, _nothing = process.communicate(timeout=RUN_SECONDS)
        lines = noted.read_text().splitlines() if noted.exists() else []
        return Run(process.returncode, output, [json.loads(line) for line in lines], self.calls())


def documents() -> dict[str, Document]:
    """Read the live state as a run does that may end early; of the account that is ``asked``."""
    return observe(connect(Environment("vahanhelp", "prod", "us-east-1"))).documents


@pytest.fixture
def asked(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask the account, as the inventory's guard makes Ansible do."""
    for name, value in {
        "AWS_ENDPOINT_URL": account.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "0-no-secret-0",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Serve an account; ``empty`` is saved."""
    folder = tmp_path_factory.mktemp("account")
    with subprocess.Popen(
        [sys.executable, "-m", "tests.plan.server", str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin and server.stdout
        url = server.stdout.readline().strip().removeprefix("ready: ")
        made = Account(server, url, folder)
        made.save("empty")
        yield made
        server.stdin.close()
