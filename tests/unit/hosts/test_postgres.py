"""Logging in to PostgreSQL as the master user, whose password may just have been told to RDS."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from backend_host import Aws, Boot, HostError

SECRET = "/carapp/test/database"


class OperationalError(Exception):
    """As psycopg2 calls what a server answers to a wrong password."""


class Server:
    """A database that knows one password.

    Attributes:
        password: the one.
        tried: the passwords that were tried.
    """

    def __init__(self) -> None:
        self.password = "first"
        self.tried: list[str] = []

    def connect(self, *, password: str, **_arguments: Any) -> Server:
        self.tried.append(password)
        if password != self.password:
            raise OperationalError("password authentication failed")
        return self

    def close(self) -> None:
        """Close nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, aws: Aws) -> Iterator[Server]:
    """Put the server in the place of the driver, which is the hosts' own; make the environment's secret."""
    found = Server()
    driver, errors, extensions, sql = (ModuleType(name) for name in ("psycopg2", "errors", "extensions", "sql"))
    vars(driver).update(
        errors=errors, extensions=extensions, sql=sql, connect=found.connect, Error=OperationalError,
        OperationalError=OperationalError,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "psycopg2", driver)
    for module in (errors, extensions, sql):
        monkeypatch.setitem(sys.modules, f"psycopg2.{module.__name__}", module)
    monkeypatch.delitem(sys.modules, "backend_postgres", raising=False)
    place = {"host": "db", "port": 5432, "name": "carapp", "secret": SECRET}
    aws.client("ssm").put_parameter(Name=SECRET, Value=json.dumps(place), Type="String")
    aws.client("secretsmanager").create_secret(Name=SECRET, SecretString=secret("first"))
    yield found
    sys.modules.pop("backend_postgres", None)


def secret(password: str) -> str:
    return json.dumps({"username": "carapp", "password": password})


def pend(aws: Aws, password: str) -> None:
    aws.client("secretsmanager").put_secret_value(
        SecretId=SECRET, SecretString=secret(password), VersionStages=["AWSPENDING"]
    )


def log_in(boot: Boot, aws: Aws, secret_id: str = "") -> None:
    import backend_postgres

    backend_postgres.LOGIN_PATIENCE = 0
    with backend_postgres.Database(boot, aws).session(secret_id):
        pass


def test_the_password_in_force_comes_first(server: Server, boot: Boot, aws: Aws) -> None:
    pend(aws, "second")
    log_in(boot, aws)
    assert server.tried == ["first"]


def test_a_rotation_that_broke_off_after_it_told_rds_locks_nobody_out(server: Server, boot: Boot, aws: Aws) -> None:
    pend(aws, "second")
    server.password = "second"
    log_in(boot, aws)
    assert server.tried == ["first", "second"]


def test_a_secret_that_is_named_is_proven_itself(server: Server, boot: Boot, aws: Aws) -> None:
    pend(aws, "second")
    server.password = "second"
    with pytest.raises(HostError, match="cannot log in to db as carapp: password authentication failed"):
        log_in(boot, aws, SECRET)


def test_no_password_that_works_is_said(server: Server, boot: Boot, aws: Aws) -> None:
    server.password = "another"
    with pytest.raises(HostError, match="cannot log in to db as carapp"):
        log_in(boot, aws)
