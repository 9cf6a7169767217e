"""What backend-data does with PostgreSQL: count and check every row, and let the application's logins in and out.

Everything here logs in as the master user, whose secret is `<parameter prefix>/database`. psycopg2 sends a proof of the
password (SCRAM), and a new one goes to the server as its verifier: no statement, log or argument ever holds one.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import backend_statements as statements
import psycopg2
import psycopg2.errors
import psycopg2.extensions
from backend_host import Aws, Boot, HostError
from botocore.exceptions import BotoCoreError, ClientError
from psycopg2 import sql

LOCK_ATTEMPTS = 10
CONNECT_SECONDS = 10
LOGIN_PATIENCE = 120
"""Seconds in which a password that was just changed may still be refused: RDS sets it a moment after it says so."""


class Database:
    """The environment's database, or a copy of it at another address.

    Args:
        boot: names the parameter that says where it is.
        aws: the way to that parameter and the secrets.
        host: address of the copy.
    """

    def __init__(self, boot: Boot, aws: Aws, host: str | None = None) -> None:
        if boot.database["engine"] != "postgres":
            raise HostError("the database of this host is SQLite: there is no server to log in to")
        self._aws = aws
        parameter = boot.database["parameter"]
        missing = f"parameter {parameter} does not exist: run site.yml, whose layer database writes it"
        place = json.loads(aws.parameter(parameter, missing))
        self._host = host or str(place["host"])
        self._port, self._name = int(place["port"]), str(place["name"])
        self.secret = str(place["secret"])
        """The secret that the application logs in with."""
        self._master_secret = f"{boot.parameter_prefix}/database"

    @property
    def serves_master(self) -> bool:
        """Does the application log in as the master user, as it does until the first rotation?"""
        return self.secret == self._master_secret

    # --- connections -----------------------------------------------------------------------------------------------

    def credentials(self, secret_id: str, stage: str = "AWSCURRENT") -> tuple[str, str]:
        """User and password of a secret.

        Raises:
            HostError: it cannot be read, or is none.
        """
        try:
            answer = self._aws.client("secretsmanager").get_secret_value(SecretId=secret_id, VersionStage=stage)
            value = json.loads(answer["SecretString"])
            return str(value["username"]), str(value["password"])
        except (ClientError, BotoCoreError) as error:
            raise HostError(f"secret {secret_id} ({stage}) cannot be read: {error}") from error
        except (ValueError, KeyError, TypeError) as wrong:
            raise HostError(f"secret {secret_id} ({stage}) holds no username and password") from wrong

    @contextlib.contextmanager
    def session(self, secret_id: str = "", stage: str = "AWSCURRENT") -> Iterator[Any]:
        """Yield a connection, of the master user unless another secret is named; errors become one line.

        A password that RDS was told a moment ago is tried again for a while.
        """
        deadline = time.monotonic() + LOGIN_PATIENCE
        while True:
            user, password = self.credentials(secret_id or self._master_secret, stage)
            try:
                connection = self._connect(user, password)
                break
            except psycopg2.OperationalError as error:
                connection = None if secret_id else self._connect_with_pending()
                if connection:
                    break
                if time.monotonic() > deadline:
                    raise HostError(f"cannot log in to {self._host} as {user}: {_line(error)}") from error
                time.sleep(1)
        try:
            yield connection
        except psycopg2.Error as error:
            raise HostError(f"the database {self._host} refused: {_line(error)}") from error
        finally:
            connection.close()

    def _connect(self, user: str, password: str) -> Any:
        return psycopg2.connect(
            host=self._host,
            port=self._port,
            dbname=self._name,
            user=user,
            password=password,
            sslmode="require",
            connect_timeout=CONNECT_SECONDS,
            application_name=statements.APPLICATION,
        )

    def _connect_with_pending(self) -> Any:
        """Log the master user in with the password that a rotation has told RDS before it broke off; None in vain."""
        try:
            return self._connect(*self.credentials(self._master_secret, "AWSPENDING"))
        except (HostError, psycopg2.OperationalError):
            return None

    # --- proof -----------------------------------------------------------------------------------------------------

    def measure(self, snapshot: str | None = None) -> dict[str, Any]:
        """Count and check the rows of every table, all at one moment.

        Args:
            snapshot: of an earlier measure (`snapshot` there); rows that it saw are also counted by themselves.

        Returns:
            `snapshot`, `schema` (a hash of all columns), and by table `rows`, `checksum`, `old_rows`, `old_checksum`.
        """
        with self.session() as connection:
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            cursor = connection.cursor()
            cursor.execute(statements.SETTINGS)
            cursor.execute(statements.SNAPSHOT)
            seen = str(cursor.fetchone()[0])
            cursor.execute(statements.SCHEMA)
            schema = str(cursor.fetchone()[0])
            cursor.execute(statements.TABLES)
            tables = {}
            for space, table in cursor.fetchall():
                statement = sql.SQL(statements.MEASURE).format(table=sql.Identifier(space, table))
                cursor.execute(statement, {"snapshot": snapshot or seen})
                rows, checksum, old_rows, old_checksum = cursor.fetchone()
                tables[f"{space}.{table}"] = {
                    "rows": rows,
                    "checksum": checksum,
                    "old_rows": old_rows,
                    "old_checksum": old_checksum,
                }
            return {"snapshot": seen, "schema": schema, "tables": tables}

    # --- logins ----------------------------------------------------------------------------------------------------

    def logins(self) -> dict[str, Any]:
        """Which login the application uses, which is the next, and who is logged in as each (`sessions`)."""
        master, _password = self.credentials(self._master_secret)
        used, _password = self.credentials(self.secret)
        first, second = (f"{master}{suffix}" for suffix in statements.LOGIN_SUFFIXES)
        with self.session() as connection:
            sessions = {user: self._sessions(connection, user) for user in (master, first, second)}
        following = second if used == first else first
        return {"current": used, "next": following, "master": master, "sessions": sessions}

    @staticmethod
    def _sessions(connection: Any, user: str) -> int:
        """How many connections of others than this tool the user has."""
        cursor = connection.cursor()
        cursor.execute(statements.SESSIONS, {"user": user})
        return int(cursor.fetchone()[0])

    def admit(self, secret_id: str, stage: str) -> dict[str, Any]:
        """Let the login of a secret in, with the password there, and prove that it gets in.

        What the application makes belongs to a third role, the owner, that nobody logs in as: each login becomes it at
        once, so that either can work with what the other made. What the master user made is handed to it.
        """
        master, _password = self.credentials(self._master_secret)
        user, password = self.credentials(secret_id, stage)
        if user not in [f"{master}{suffix}" for suffix in statements.LOGIN_SUFFIXES]:
            raise HostError(f"secret {secret_id} names the user '{user}', which is none of this environment's logins")
        owner = f"{master}{statements.OWNER_SUFFIX}"
        with self.session() as connection:
            verifier = psycopg2.extensions.encrypt_password(password, user, connection, "scram-sha-256")
            for attempt in range(1, LOCK_ATTEMPTS + 1):
                try:
                    with connection:
                        cursor = connection.cursor()
                        given = {"master": master, "owner": owner, "login": user, "verifier": verifier}
                        cursor.execute(statements.ADMIT_GIVEN, given)
                        cursor.execute(statements.ADMIT)
                    break
                except psycopg2.errors.LockNotAvailable:
                    # Requests wait behind us for a table that somebody else holds: better to step back.
                    if attempt == LOCK_ATTEMPTS:
                        raise
                    time.sleep(1)
        with self.session(secret_id, stage) as connection:
            cursor = connection.cursor()
            cursor.execute(statements.WHO)
            if cursor.fetchone() != (user, owner):
                raise HostError(f"{user} does not act as {owner} when it logs in")
        return {"admitted": user, "owner": owner}

    def dismiss(self, user: str, patience: float) -> dict[str, Any]:
        """Shut a login out once nobody uses it any more. The master user's login is not touched.

        Raises:
            HostError: it is the one in use, or somebody still uses it after `patience` seconds.
        """
        logins = self.logins()
        if user == logins["current"]:
            raise HostError(f"{user} is the login in use")
        deadline = time.monotonic() + patience
        with self.session() as connection:
            connection.autocommit = True
            while (left := self._sessions(connection, user)) > 0:
                if time.monotonic() > deadline:
                    raise HostError(
                        f"{left} connections of {user} are still open, so it stays valid: a host still uses it; run "
                        f"playbooks/rotate.yml again when every instance is healthy"
                    )
                time.sleep(0.5)
            if user != logins["master"]:
                cursor = connection.cursor()
                cursor.execute(statements.EXISTS, {"user": user})
                if cursor.fetchone()[0]:
                    cursor.execute(sql.SQL(statements.DISMISS).format(user=sql.Identifier(user)))
        return {"dismissed": user}


def _line(error: Exception) -> str:
    """The first line of a message; the others show the statement."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
