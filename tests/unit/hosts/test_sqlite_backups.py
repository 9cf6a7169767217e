"""Copies of a SQLite database: saved while it is written to, proven, and brought back."""

from __future__ import annotations

import contextlib
import gzip
import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from backend_host import Aws, Boot, Host, HostError
from backend_releases import Releases
from backend_sqlite import Backups
from boto3.exceptions import S3UploadFailedError

from tests.unit.hosts.builders import set_up_environment, upload

NAME = "carapp-test-backup-20261124120000"


class Service:
    """The service, as far as the copies concern it."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.healthy = [True]

    def stop(self) -> None:
        self.did.append("stop")

    def start_or_reload(self) -> None:
        self.did.append("start")

    def migrate(self, release: Path, environment: dict[str, str]) -> None:
        assert environment["DATABASE_URL"].startswith("sqlite:")
        self.did.append(f"migrate {release.name}")

    def wait_healthy(self, version: str, port: int) -> None:
        if not self.healthy.pop(0):
            raise HostError(f"release {version} is not healthy")


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def backups(host: Host, boot: Boot, aws: Aws, service: Service, tmp_path: Path) -> Backups:
    set_up_environment()
    path = host.root / "shared" / "carapp.sqlite3"
    path.parent.mkdir()
    here = replace(boot, database={"engine": "sqlite", "path": str(path)})
    upload("1.0.0")
    releases = Releases(host.root)
    releases.install("1.0.0", here, aws)
    releases.point("1.0.0", None)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "PRAGMA journal_mode = WAL; CREATE TABLE listings (id INTEGER PRIMARY KEY, model TEXT)"
        )
        connection.executemany("INSERT INTO listings (model) VALUES (?)", [("Nexon",), ("Thar",), (None,)])
        connection.commit()
    return Backups(host, here, aws, service)  # type: ignore[arg-type]


def save(backups: Backups) -> dict[str, Any]:
    """Save as the playbook does: the manifest goes beside the copy, last."""
    manifest = backups.save(NAME)
    key = f"backups/{NAME}/manifest.json"
    backups.aws.client("s3").put_object(Bucket="releases", Key=key, Body=json.dumps(manifest).encode())
    return manifest


def models(backups: Backups) -> list[str | None]:
    with contextlib.closing(sqlite3.connect(backups.path)) as connection:
        return [model for (model,) in connection.execute("SELECT model FROM listings ORDER BY id")]


def change(backups: Backups, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(backups.path)) as connection:
        connection.execute(statement)
        connection.commit()


def test_a_copy_is_made_while_a_writer_is_in_the_middle_of_something(backups: Backups) -> None:
    with contextlib.closing(sqlite3.connect(backups.path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO listings (model) VALUES ('not committed')")
        manifest = save(backups)
        writer.execute("COMMIT")
    assert manifest["tables"]["listings"]["rows"] == 3 and manifest["release"] == "1.0.0"
    assert backups.verify(NAME)["tables"]["listings"]["rows"] == 3


def test_deleted_rows_come_back_and_the_former_file_stays(backups: Backups, service: Service) -> None:
    save(backups)
    change(backups, "DELETE FROM listings WHERE model = 'Thar'")
    done = backups.restore(NAME)
    assert models(backups) == ["Nexon", "Thar", None]
    assert service.did == ["stop", "migrate 1.0.0", "start"]
    with contextlib.closing(sqlite3.connect(done["kept"])) as former:
        assert former.execute("SELECT count(*) FROM listings").fetchone() == (2,)
    assert [path.name for path in backups.path.parent.iterdir() if path.suffix in (".restored", ".sqlite3-wal")] == []


def test_a_release_that_does_not_answer_gets_its_database_back(backups: Backups, service: Service) -> None:
    save(backups)
    change(backups, "UPDATE listings SET model = 'Punch' WHERE id = 1")
    service.healthy = [False, True]
    with pytest.raises(HostError, match="the former database is in use again"):
        backups.restore(NAME)
    assert models(backups) == ["Punch", "Thar", None]
    assert service.did[-1] == "start"


def test_there_is_no_moment_without_a_database(
    backups: Backups, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(backups)
    change(backups, "DELETE FROM listings WHERE model = 'Thar'")

    def killed(self: Path, target: Path) -> Path:
        assert target == backups.path
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        backups.restore(NAME)
    monkeypatch.undo()
    assert models(backups) == ["Nexon", None]
    assert backups.restore(NAME)["kept"] and models(backups) == ["Nexon", "Thar", None]


def test_what_spoiled_the_restored_file_is_gone_with_it(
    backups: Backups, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(backups)
    change(backups, "DELETE FROM listings WHERE model = 'Thar'")

    def spoil(release: Path, environment: dict[str, str]) -> None:
        backups.path.write_bytes(b"no database")
        raise HostError("the migrations failed")

    monkeypatch.setattr(service, "migrate", spoil)
    with pytest.raises(HostError, match="the migrations failed; the former database is in use again"):
        backups.restore(NAME)
    assert models(backups) == ["Nexon", None] and service.did[-1] == "start"


def test_no_link_of_the_applications_is_followed(backups: Backups, tmp_path: Path) -> None:
    save(backups)
    (tmp_path / "precious").write_text("root's")
    backups.path.with_name(f".{backups.path.name}.restored").symlink_to(tmp_path / "precious")
    backups.restore(NAME)
    assert (tmp_path / "precious").read_text() == "root's" and len(models(backups)) == 3


def test_an_upload_that_is_refused_says_what_is_missing(backups: Backups, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: Any) -> None:
        raise S3UploadFailedError("Failed to upload: AccessDenied")

    monkeypatch.setattr(backups.aws.client("s3"), "upload_file", refused)
    with pytest.raises(HostError, match="AccessDenied; the instance role needs s3:PutObject there"):
        backups.save(NAME)


def test_a_damaged_copy_changes_nothing(backups: Backups, service: Service) -> None:
    save(backups)
    key = f"backups/{NAME}/database.sqlite3.gz"
    backups.aws.client("s3").put_object(Bucket="releases", Key=key, Body=b"x")
    with pytest.raises(HostError, match="is damaged: its sha256 is"):
        backups.restore(NAME)
    assert service.did == [] and len(models(backups)) == 3


def test_a_copy_with_another_row_is_found_out(backups: Backups) -> None:
    manifest = save(backups)
    s3, key = backups.aws.client("s3"), f"backups/{NAME}/manifest.json"
    manifest["tables"]["listings"]["checksum"] = "1"
    s3.put_object(Bucket="releases", Key=key, Body=json.dumps(manifest).encode())
    with pytest.raises(HostError, match="table listings has 3 rows, expected 3 with another checksum"):
        backups.verify(NAME)


def test_what_is_not_there_is_named(backups: Backups) -> None:
    with pytest.raises(HostError, match=f"backup {NAME} is not in s3://releases"):
        backups.verify(NAME)
    with pytest.raises(HostError, match="is no name of a backup"):
        backups.save("../x")


def test_the_same_database_gives_the_same_bytes(backups: Backups) -> None:
    first, second = backups.save(NAME), backups.save(NAME)
    assert first["sha256"] == second["sha256"]
    body = backups.aws.client("s3").get_object(Bucket="releases", Key=f"backups/{NAME}/database.sqlite3.gz")["Body"]
    assert gzip.decompress(body.read()).startswith(b"SQLite format 3")
