"""What backend-data does with a SQLite file: save a consistent copy of it in S3, prove one, and bring one back."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import itertools
import json
import os
import pwd
import re
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend_host import Aws, Boot, Host, HostError, compose_environment
from backend_releases import Releases, Service
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

FORMAT = 1
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,200}")
SCRATCH = Path("/var/tmp")
CHUNK = 1 << 20
KEPT_FILES = 3
"""How many former databases stay beside the one in use."""


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Yield a directory that nobody else can read and that goes with all in it."""
    with tempfile.TemporaryDirectory(prefix="backend-data-", dir=SCRATCH) as folder:
        yield Path(folder)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def measure(connection: sqlite3.Connection) -> dict[str, Any]:
    """Count and check the rows of every table.

    A row's hash is 64 bits of the sha256 of its values; their sum does not depend on the order.
    """
    names = (
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1"
    )
    found = connection.execute(names).fetchall()
    schema = hashlib.sha256(json.dumps(found).encode()).hexdigest()
    tables = {}
    for name, _sql in found:
        rows = total = 0
        quoted = '"' + name.replace('"', '""') + '"'
        for row in connection.execute(f"SELECT * FROM {quoted}"):
            rows += 1
            total += int.from_bytes(hashlib.sha256(repr(row).encode()).digest()[:8], "big")
        tables[name] = {"rows": rows, "checksum": str(total)}
    return {"schema": schema, "tables": tables}


@dataclass(frozen=True)
class Backups:
    """The copies of this host's database.

    Attributes:
        host, boot: the host's configuration.
        aws: the way to the bucket.
        service: is stopped while a file is exchanged.
    """

    host: Host
    boot: Boot
    aws: Aws
    service: Service

    @property
    def path(self) -> Path:
        """The database in use.

        Raises:
            HostError: it is none of this host's files.
        """
        if self.boot.database["engine"] != "sqlite":
            raise HostError("the database of this host is a server: RDS makes its snapshots")
        return Path(self.boot.database["path"])

    def save(self, name: str) -> dict[str, Any]:
        """Copy the database as it is at one moment, prove the copy, and upload it with the host's own role.

        The application goes on reading and writing meanwhile. Rows are counted in the transaction that the copy is made
        in, then again in the copy.

        Returns:
            The manifest.

        Raises:
            HostError: there is no database, no space, or the copy is not the same.
        """
        key = _key(name)
        if not self.path.is_file():
            raise HostError(f"{self.path} does not exist: no release has made it yet")
        self._require_space(2 * self.path.stat().st_size)
        with _scratch() as folder:
            copy, archive = folder / "copy.sqlite3", folder / "copy.gz"
            began = time.time()
            with contextlib.closing(_open(self.path)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
                source.execute("BEGIN")
                counted = measure(source)
                source.backup(target)
                target.execute("PRAGMA journal_mode = DELETE")
                _prove(target, counted, "the copy")
            # No time in it: the same database gives the same bytes.
            with copy.open("rb") as plain, archive.open("wb") as file, gzip.GzipFile("", "wb", 6, file, 0) as packed:
                shutil.copyfileobj(plain, packed, CHUNK)
            digest = _digest(archive)
            with self._explained(f"s3://{self.boot.releases_bucket}/{key}", "s3:PutObject"):
                self.aws.client("s3").upload_file(str(archive), self.boot.releases_bucket, key)
            return {
                "format": FORMAT,
                "backup": name,
                "engine": "sqlite",
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
                "release": Releases(self.host.root).current or "",
                "size": archive.stat().st_size,
                "sha256": digest,
                **counted,
            }

    @contextlib.contextmanager
    def _fetched(self, name: str) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yield a backup, unpacked and proven to be what its manifest says, and the manifest."""
        bucket, key = self.boot.releases_bucket, _key(name)
        manifest_key = f"backups/{name}/manifest.json"
        missing = f"backup {name} is not in s3://{bucket}: playbooks/backups.yml lists those that are"
        manifest = json.loads(self.aws.read_object(bucket, manifest_key, missing))
        self._require_space(int(manifest["size"]) + self.path.stat().st_size if self.path.is_file() else 0)
        with _scratch() as folder:
            archive, copy = folder / "copy.gz", folder / "copy.sqlite3"
            found = self.aws.download(bucket, key, archive, missing)
            if found != manifest["sha256"]:
                raise HostError(f"s3://{bucket}/{key} is damaged: its sha256 is {found}, not {manifest['sha256']}")
            with gzip.open(archive, "rb") as packed, copy.open("wb") as plain:
                shutil.copyfileobj(packed, plain, CHUNK)
            with contextlib.closing(_open(copy)) as connection:
                _prove(connection, manifest, f"backup {name}")
            yield copy, manifest

    def verify(self, name: str) -> dict[str, Any]:
        """Bring a backup back into a file of its own, check every row, and remove it."""
        with self._fetched(name) as (_copy, manifest):
            return {"backup": name, "tables": manifest["tables"]}

    def restore(self, name: str) -> dict[str, Any]:
        """Exchange the database for a backup; the former stays beside it. Goes back if the application does not answer.

        Raises:
            HostError: the backup is not good (nothing was changed), or the application does not answer with it.
        """
        version = Releases(self.host.root).current
        if version is None:
            raise HostError("no release is in use on this host: run playbooks/deploy.yml first")
        with self._fetched(name) as (copy, manifest):
            staged = self.path.with_name(f".{self.path.name}.restored")
            # The folder is the application's: root must not follow a link that it has put there.
            staged.unlink(missing_ok=True)
            staged.touch(mode=0o600, exist_ok=False)
            shutil.copyfile(copy, staged)
            user = pwd.getpwnam(self.host.user)
            os.chown(staged, user.pw_uid, user.pw_gid)
            staged.chmod(0o640)
        kept = self._free_name(f"{self.path.name}.before-{time.strftime('%Y%m%d%H%M%S', time.gmtime())}")
        self.service.stop()
        try:
            self._settle()
            # A second name, then one exchange: killed in between, a start would find no database and make an empty one.
            if self.path.exists():
                os.link(self.path, kept)
            staged.replace(self.path)
            # The release in service may be newer than the backup.
            self.service.migrate(Releases(self.host.root).path(version), compose_environment(self.boot, self.aws))
            self.service.start_or_reload()
            self.service.wait_healthy(version, self.boot.port)
        except (HostError, OSError, sqlite3.Error) as failure:
            # The application that does not answer may still be writing.
            self.service.stop()
            if kept.exists():
                # Of the restored one, which may be why it failed: nothing of it is read any more.
                self._drop_log()
                kept.replace(self.path)
            self.service.start_or_reload()
            self.service.wait_healthy(version, self.boot.port)
            raise HostError(f"backup {name}: {failure}; the former database is in use again") from failure
        for old in sorted(self.path.parent.glob(f"{self.path.name}.before-*"))[:-KEPT_FILES]:
            old.unlink()
        return {"backup": name, "tables": manifest["tables"], "kept": str(kept) if kept.exists() else ""}

    def _settle(self) -> None:
        """Bring what is still in the write-ahead log into the file, so that the file alone is the database."""
        if self.path.exists():
            with contextlib.closing(sqlite3.connect(self.path, timeout=10)) as connection:
                busy, _log, _done = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if busy:
                    raise HostError(f"{self.path} is still in use")
        self._drop_log()

    def _free_name(self, name: str) -> Path:
        """Beside the database, a name that nothing has: one restore may follow another within a second."""
        numbered = (self.path.with_name(f"{name}-{number}") for number in itertools.count(2))
        return next(path for path in itertools.chain([self.path.with_name(name)], numbered) if not path.exists())

    def _drop_log(self) -> None:
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def _require_space(self, needed: int) -> None:
        for folder in (SCRATCH, self.path.parent):
            free = shutil.disk_usage(folder).free
            if free < needed:
                raise HostError(f"{folder} has {free >> 20} MiB free and {needed >> 20} MiB are needed: free some")

    @staticmethod
    @contextlib.contextmanager
    def _explained(subject: str, permission: str) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError, Boto3Error) as error:
            raise HostError(f"{subject}: {error}; the instance role needs {permission} there (site.yml)") from error
        except OSError as error:
            raise HostError(f"{subject}: {error}") from error


def _key(name: str) -> str:
    if not NAME.fullmatch(name):
        raise HostError(f"'{name}' is no name of a backup: a-z, 0-9 and - only")
    return f"backups/{name}/database.sqlite3.gz"


def _open(path: Path) -> sqlite3.Connection:
    """Open a file that somebody may be writing to."""
    return sqlite3.connect(path, timeout=30, isolation_level=None)


def _prove(connection: sqlite3.Connection, expected: dict[str, Any], what: str) -> None:
    """Check the file's structure and every row.

    Raises:
        HostError: they are not as expected; the text names the first table that differs.
    """
    state = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if state != "ok":
        raise HostError(f"{what} is damaged: {state}")
    found = measure(connection)
    if found["schema"] != expected["schema"]:
        raise HostError(f"{what} has other tables than it should")
    for table, wanted in expected["tables"].items():
        rows = found["tables"][table]["rows"]
        if found["tables"][table] != wanted:
            raise HostError(f"{what}: table {table} has {rows} rows, expected {wanted['rows']} with another checksum")
