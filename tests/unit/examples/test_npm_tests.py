"""The example applications' own tests, run as their authors run them: `npm ci`, `npm test`."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
BIN = Path(sys.executable).parent


def npm(application: Path, *arguments: str, **environment: str) -> None:
    done = subprocess.run(
        [str(BIN / "npm"), *arguments],
        cwd=application,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, f"npm {' '.join(arguments)}:\n{done.stdout[-6000:]}{done.stderr[-2000:]}"


def copy(name: str, target: Path) -> Path:
    """Copy an example without what is installed in it."""
    return Path(shutil.copytree(EXAMPLES / name, target, ignore=shutil.ignore_patterns("node_modules", "dist")))


@pytest.fixture(scope="module")
def postgres() -> Iterator[dict[str, str]]:
    """A PostgreSQL of its own on loopback with a replica; nothing on a machine without one: the lab has them."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        yield {}
        return
    tools = found[-1].parent
    # The server refuses to run as root.
    user = pwd.getpwnam("nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name)
    with tempfile.TemporaryDirectory(prefix="vahana-postgres-") as temporary, ExitStack() as started:
        os.chown(temporary, user.pw_uid, user.pw_gid)
        with socket.socket() as one, socket.socket() as other:
            ports = []
            for probe in (one, other):
                probe.bind(("127.0.0.1", 0))
                ports.append(probe.getsockname()[1])
        database, replica = ports

        def run(*command: str) -> None:
            subprocess.run(
                command, check=True, cwd=temporary, user=user.pw_uid, group=user.pw_gid, stdout=subprocess.DEVNULL
            )

        def start(name: str, port: int) -> None:
            data, log = f"{temporary}/{name}", f"{temporary}/{name}.log"
            options = f"-p {port} -k {temporary} -c listen_addresses=127.0.0.1 -c fsync=off"
            run(f"{tools}/pg_ctl", "-D", data, "-o", options, "-l", log, "-w", "start")
            started.callback(run, f"{tools}/pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")

        data = f"{temporary}/database"
        run(f"{tools}/initdb", "-D", data, "-A", "trust", "-U", "test", "--no-sync", "-E", "UTF8", "--locale=C")
        start("database", database)
        source = f"postgres://test@127.0.0.1:{database}/postgres"
        run(f"{tools}/pg_basebackup", "-d", source, "-D", f"{temporary}/replica", "-R", "-c", "fast", "--no-sync")
        start("replica", replica)
        yield {"DATABASE_URL": source, "DATABASE_READ_URL": f"postgres://test@127.0.0.1:{replica}/postgres"}


def test_backend(tmp_path: Path, postgres: dict[str, str]) -> None:
    application = copy("backend", tmp_path / "backend")
    npm(application, "ci")
    npm(application, "test", **postgres)


@pytest.fixture
def aws() -> Iterator[dict[str, str]]:
    """The lab's API alone, as the environment that leads there."""
    command = [sys.executable, "-m", "lab.cli", "serve", "--api-only", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().removeprefix("ready: ").strip()
            keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
            yield {"AWS_ENDPOINT_URL": url, "AWS_REGION": "us-east-1", **keys}
        finally:
            server.terminate()


def test_functions(tmp_path: Path, aws: dict[str, str]) -> None:
    application = copy("functions", tmp_path / "functions")
    # Its neighbour, as in the repository: they share files.
    copy("backend", tmp_path / "backend")
    npm(application, "ci")
    npm(application, "test", **aws)


def test_worker(tmp_path: Path) -> None:
    application = copy("worker", tmp_path / "worker")
    npm(application, "ci")
    npm(application, "test")


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The five services and what they share, installed."""
    application = copy("services", tmp_path_factory.mktemp("services") / "services")
    npm(application, "ci")
    return application


LONG = [pytest.param(name, marks=pytest.mark.long) for name in ("auth", "insurance", "payment", "notification")]


@pytest.mark.parametrize("name", ["shared", "cars", *LONG])
def test_services(services: Path, postgres: dict[str, str], name: str) -> None:
    npm(services, "test", f"--workspace={name}", **postgres)


@pytest.mark.parametrize("name", ["frontend", "portal"])
def test_frontend(tmp_path: Path, name: str) -> None:
    application = copy(name, tmp_path / name)
    npm(application, "ci")
    npm(application, "test")
    npm(application, "run", "build")
    assert (application / "dist/index.html").is_file()
