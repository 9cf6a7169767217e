"""What a task beside the services does with a real PostgreSQL, from the services' own folder: passwords, TLS, rows."""

from __future__ import annotations

import json
import os
import pwd
import runpy
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
SUPERUSER = "test"
MASTER = "cars"
STATEMENTS = ROOT / "roles/backend/files/backend_statements.py"

pytestmark = pytest.mark.long


class Server:
    """A PostgreSQL that takes nothing but passwords, over TLS."""

    def __init__(self, port: int) -> None:
        self.port = port

    def query(self, statement: str, user: str = SUPERUSER, password: str = SUPERUSER, database: str = MASTER) -> str:
        """Return what psql prints."""
        return subprocess.run(
            ["psql", "-qAtX", "-h", "127.0.0.1", "-p", str(self.port), "-U", user, "-c", statement, database],
            env={**os.environ, "PGPASSWORD": password, "PGSSLMODE": "require"},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service's folder with what is installed for it."""
    folder = tmp_path_factory.mktemp("data") / "services"
    shutil.copytree(ROOT / "examples/services", folder, ignore=shutil.ignore_patterns("node_modules"))
    path = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    given = ("ci", "--omit=dev", "--workspace=auth", "--ignore-scripts", "--no-audit", "--no-fund")
    subprocess.run([str(BIN / "npm"), *given], cwd=folder, env=path, check=True, capture_output=True)
    return folder / "auth"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL is installed")
    # The server refuses to run as root.
    user = pwd.getpwnam("nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name)
    with tempfile.TemporaryDirectory(prefix="vahana-postgres-") as temporary:
        os.chown(temporary, user.pw_uid, user.pw_gid)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]

        def run(*command: str) -> None:
            given: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "stdout": subprocess.DEVNULL}
            subprocess.run(command, check=True, cwd=temporary, stderr=subprocess.DEVNULL, **given)

        data, tools, password = f"{temporary}/data", found[-1].parent, Path(temporary) / "password"
        password.write_text(SUPERUSER)
        password.chmod(0o644)
        run(
            f"{tools}/initdb",
            "-D",
            data,
            "-A",
            "scram-sha-256",
            "--pwfile",
            str(password),
            "-U",
            SUPERUSER,
            "--no-sync",
        )
        key, certificate = f"{data}/server.key", f"{data}/server.crt"
        names = ("-subj", "/CN=localhost", "-keyout", key, "-out", certificate)
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *names)
        options = f"-p {port} -k {temporary} -c listen_addresses=127.0.0.1 -c fsync=off -c ssl=on"
        run(f"{tools}/pg_ctl", "-D", data, "-o", options, "-l", f"{temporary}/log", "-w", "start")
        made = Server(port)
        try:
            made.query(f"CREATE ROLE {MASTER} LOGIN CREATEROLE CREATEDB PASSWORD 'first'", database="postgres")
            made.query(f"CREATE DATABASE {MASTER} OWNER {MASTER}", database="postgres")
            made.query('CREATE SCHEMA "odd ""one"; CREATE TABLE "odd ""one".t AS SELECT 1 AS n', MASTER, "first")
            yield made
        finally:
            run(f"{tools}/pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


class Task:
    """The task's container: a process."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server, self._folder = server, folder
        self._statements = {name: value for name, value in runpy.run_path(str(STATEMENTS)).items() if name.isupper()}
        self.variables = {"MASTER_USER": MASTER, "MASTER_PASSWORD": "first", "USED_USER": MASTER}

    def answer(self, verb: str, **job: Any) -> dict[str, Any]:
        """Return ``result`` or ``error``."""
        given = {"verb": verb, "host": "127.0.0.1", "port": self._server.port, "database": MASTER, "wait": 1}
        script = (ROOT / "plugins/remote/service_data.mjs").read_text()
        done = subprocess.run(
            [str(BIN / "node"), "--input-type=module", "--eval", script],
            cwd=self._folder,
            env={**self.variables, "JOB": json.dumps({**given, "patience": 0, "statements": self._statements, **job})},
            check=True,
            capture_output=True,
            text=True,
        )
        found: dict[str, Any] = json.loads("".join(line.split(" ", 2)[2] for line in done.stdout.splitlines()))
        return found


@pytest.fixture
def task(server: Server, services: Path) -> Task:
    return Task(server, services)


def test_rows_are_counted(server: Server, task: Task) -> None:
    first = task.answer("measure")["result"]
    table = first["tables"]['odd "one.t']
    assert (table["rows"], table["old_rows"]) == (1, 1)
    server.query('INSERT INTO "odd ""one".t VALUES (2)', MASTER, "first")
    second = task.answer("measure", since=first["snapshot"])["result"]["tables"]['odd "one.t']
    assert (second["rows"], second["old_rows"]) == (2, 1)
    assert second["old_checksum"] == table["checksum"] != second["checksum"]
    many = "; ".join(f"CREATE TABLE many_{number} (n int)" for number in range(100))
    server.query(many, MASTER, "first")
    assert len(task.answer("measure")["result"]["tables"]) == 101, "more than a line of a log has room for"


def test_logins_come_and_go(server: Server, task: Task) -> None:
    said = task.answer("logins")["result"]
    assert (said["current"], said["next"], said["master"]) == (MASTER, "cars_a", MASTER)

    task.variables |= {"LOGIN_USER": "cars_a", "LOGIN_PASSWORD": "sesame"}
    assert task.answer("admit")["result"] == {"admitted": "cars_a", "owner": "cars_owner"}
    assert server.query("SELECT session_user, current_user", "cars_a", "sesame") == "cars_a|cars_owner"
    assert server.query("SELECT tableowner FROM pg_tables WHERE tablename = 't'") == "cars_owner"
    kept = server.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'cars_a'")
    assert kept.startswith("SCRAM-SHA-256$4096:")
    # What the one makes, the other works with.
    server.query("CREATE TABLE public.made (n int)", "cars_a", "sesame")
    task.variables |= {"LOGIN_USER": "cars_b"}
    task.answer("admit")
    server.query("ALTER TABLE public.made ADD COLUMN m int", "cars_b", "sesame")

    task.variables["USED_USER"] = "cars_b"
    open_still = subprocess.Popen(
        ["psql", "-qX", "-h", "127.0.0.1", "-p", str(server.port), "-U", "cars_a", "-c", "SELECT pg_sleep(60)", MASTER],
        env={**os.environ, "PGPASSWORD": "sesame"},
    )
    try:
        while server.query("SELECT count(*) FROM pg_stat_activity WHERE usename = 'cars_a'") == "0":
            pass
        assert "1 connections of cars_a are still open" in task.answer("dismiss", user="cars_a")["error"]
    finally:
        open_still.terminate()
        open_still.wait()
    server.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'cars_a'")
    assert task.answer("dismiss", user="cars_b")["error"] == "cars_b is the login in use"
    assert task.answer("dismiss", user="cars_a")["result"] == {"dismissed": "cars_a"}
    assert server.query("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'cars_a'") == "f"


def test_a_password_that_does_not_open(task: Task) -> None:
    task.variables["MASTER_PASSWORD"] = "former"
    assert "cannot log in to 127.0.0.1 as cars: password authentication failed" in task.answer("logins")["error"]
    # A rotation broke off after it had told RDS.
    task.variables["MASTER_PENDING"] = "first"
    assert task.answer("logins")["result"]["master"] == MASTER


def test_a_login_of_somebody_else_is_refused(task: Task) -> None:
    task.variables |= {"LOGIN_USER": "somebody", "LOGIN_PASSWORD": "sesame"}
    assert "names the user 'somebody'" in task.answer("admit")["error"]
