"""Backups, restoring and new passwords on the basic tier's real hosts and database, under requests."""

from __future__ import annotations

import json
import re
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab.conftest import Run, playbook, run
from tests.lab.test_tier_basic import CAR, URL

pytestmark = pytest.mark.long
Aws = Callable[[str], Any]
CARS = 12


def call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Ask the backend over a new connection."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(URL + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=15) as answer:
        return json.loads(answer.read() or b"null")


class Requests:
    """Reads and writes, one after the other, until told to stop."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.failures: list[str] = []
        self.count = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Requests:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._ended.wait(0.05):
            self.count += 1
            try:
                if self.count % 2:
                    call("GET", "/api/listings")
                else:
                    self.written.append(call("POST", "/api/listings", {**CAR, "model": f"M{self.count}"})["id"])
            except OSError as error:
                self.failures.append(f"request {self.count}: {error}")


@pytest.fixture(scope="module")
def basic(aws: Aws) -> Iterator[Run]:
    yield playbook("site.yml", "-e", "tier=basic", timeout=1500)
    playbook("playbooks/destroy.yml", "-e", "confirm=vahanhelp-prod", "-e", "keep_snapshot=false", timeout=1500)
    left = aws("resourcegroupstaggingapi").get_resources(TagFilters=[{"Key": "vahana:app"}])["ResourceTagMappingList"]
    assert [each["ResourceARN"] for each in left] == []
    assert aws("rds").describe_db_instances()["DBInstances"] == []


def in_use(aws: Aws) -> str:
    """Return the identifier of the database that the hosts are told."""
    place = json.loads(aws("ssm").get_parameter(Name="/vahanhelp/prod/database")["Parameter"]["Value"])
    return str(place["host"]).split(".")[0]


def query(database: str, statement: str) -> list[str]:
    """Return the rows that psql prints on the database's own host, without their heading."""
    return run("lab", "psql", database, "-c", statement).output.split()[1:]


def test_a_backup_brings_deleted_rows_back(basic: Run, aws: Aws) -> None:
    cars = {call("POST", "/api/listings", {**CAR, "model": f"Kept {n}"})["id"] for n in range(CARS)}
    # Rows that come while the snapshot is taken must not spoil the proof.
    with Requests() as meanwhile:
        saved = playbook("playbooks/backup.yml")
    assert meanwhile.failures == []
    name = re.search(r"backup: (vahanhelp-prod-backup-\d+) .* rows, release ", saved.output)
    assert name, saved.output
    assert name[1] in playbook("playbooks/backups.yml").output

    proven = playbook("playbooks/restore.yml", "-e", "verify_only=true")
    assert f"proven: {name[1]}: " in proven.output
    assert "2 tables row by row as they were saved" in proven.output
    assert [each["DBInstanceIdentifier"] for each in aws("rds").describe_db_instances()["DBInstances"]] == [
        "vahanhelp-prod"
    ]

    query(in_use(aws), "DELETE FROM listings WHERE model LIKE 'Kept%'")
    # An older backup is nothing to a rotation since.
    playbook("playbooks/rotate.yml")
    with Requests() as meanwhile:
        playbook("playbooks/restore.yml", "-e", f"backup={name[1]}")
    assert (meanwhile.failures, meanwhile.count > 50) == ([], True)
    assert in_use(aws).startswith("vahanhelp-prod-restored-")
    found = set(query(in_use(aws), "SELECT id FROM listings WHERE model LIKE 'Kept%'"))
    assert found == cars
    assert query(in_use(aws), "SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'vahanhelp_a'") == ["t"]
    # The former one is kept as it was.
    assert query("vahanhelp-prod", "SELECT 1 AS one FROM listings LIMIT 1") == ["1"]

    again = playbook("site.yml", "-e", "tier=basic", "-e", "full=true")
    assert in_use(aws).startswith("vahanhelp-prod-restored-")
    assert all(recap["failed"] == 0 for recap in again.recaps())


def test_no_request_fails_while_passwords_change(basic: Run, aws: Aws) -> None:
    secrets = aws("secretsmanager")
    before = json.loads(secrets.get_secret_value(SecretId="/vahanhelp/prod/database-login")["SecretString"])
    with Requests() as meanwhile:
        rotated = playbook("playbooks/rotate.yml")
        playbook("playbooks/rotate.yml", "-e", "what=app")
    assert (meanwhile.failures, meanwhile.count > 50) == ([], True)
    assert set(meanwhile.written) <= set(query(in_use(aws), "SELECT id FROM listings"))
    after = json.loads(secrets.get_secret_value(SecretId="/vahanhelp/prod/database-login")["SecretString"])
    assert {before["username"], after["username"]} == {"vahanhelp_a", "vahanhelp_b"}
    assert query(in_use(aws), f"SELECT rolcanlogin FROM pg_roles WHERE rolname = '{before['username']}'") == ["f"]
    assert query(
        in_use(aws), f"SELECT count(*) FROM pg_stat_activity WHERE usename IN ('vahanhelp', '{before['username']}')"
    ) == ["0"]
    assert not any(value["password"] in rotated.output for value in (before, after))
