"""One lab for all end-to-end tests: started by the first that needs it, gone without a trace after the last."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from lab import machine, podman

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
ENDPOINT = "http://127.0.0.1:4566"
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "ANSIBLE_NOCOLOR": "1",
    # A user's terminal has none of these; the lab's inventory must set what is needed.
    "AWS_PROFILE": "",
}


@dataclass
class Run:
    """What a command printed and how it ended."""

    command: str
    code: int
    output: str

    def recap(self, host: str = "localhost") -> dict[str, int]:
        """Return the play recap's counters of one host."""
        lines = [line for line in self.output.splitlines() if line.startswith(host) and "changed=" in line]
        assert lines, f"no recap for {host} in:\n{self.output[-3000:]}"
        return {key: int(value) for key, value in (field.split("=") for field in lines[-1].split(":", 1)[1].split())}

    def recaps(self) -> list[dict[str, int]]:
        """Return the play recap's counters of every host."""
        lines = [line for line in self.output.splitlines() if "changed=" in line and "unreachable=" in line]
        return [{k: int(v) for k, v in (f.split("=") for f in line.split(":", 1)[1].split())} for line in lines]


def run(*command: str, timeout: float = 900, check: bool = True) -> Run:
    """Run a command of the project as a user would: from its root, with no standard input."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    result = Run(" ".join(command), done.returncode, done.stdout)
    assert not check or result.code == 0, f"{result.command}: exit code {result.code}\n{result.output[-6000:]}"
    return result


def playbook(name: str, *arguments: str, timeout: float = 900, check: bool = True) -> Run:
    """Run a playbook on the lab."""
    return run("ansible-playbook", "-i", "inventories/lab", name, *arguments, timeout=timeout, check=check)


def wait_for(what: Callable[[], Any], seconds: float = 120) -> Any:
    """Ask again and again until the answer is a true one, and return that."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.5)
    return found


@pytest.fixture(scope="session")
def lab() -> Iterator[None]:
    """Start the lab; stop it at the end and see that nothing of it is left."""
    if os.environ.get("VAHANA_TEST_KEEP_LAB"):
        run("lab", "up", check=False)
        yield
        return
    if run("lab", "status", check=False).code == 0:
        pytest.fail("a lab is running; the tests need one of their own: make down", pytrace=False)
    # One that was killed has left its account, which the next would go on with.
    run("lab", "down")
    run("lab", "up")
    try:
        yield
    finally:
        run("lab", "down")
        assert_nothing_left()


def assert_nothing_left() -> None:
    """See that no host, network, route, address or process of the lab is there any more."""
    assert podman.containers() == {}
    assert podman.networks() == {}
    assert machine.blackholes() == set()
    assert run("pgrep", "-f", r"lab\.cli serve", check=False).output == ""


@pytest.fixture(scope="session")
def aws(lab: None) -> Callable[..., Any]:
    """Return a maker of boto3 clients that talk to the lab: of a service, and of another region than the first."""
    session = boto3.Session(aws_access_key_id="lab", aws_secret_access_key="lab", region_name="us-east-1")
    return lambda service, region=None: session.client(service, region_name=region, endpoint_url=ENDPOINT)
