"""Backups, restoring and new passwords, with an API without hosts: what they refuse, and in which order they do what.

The host's tools are replaced by ones that note what they are asked for (host/); what those do is the business of
tests/unit/hosts and, with a real database, of tests/lab/test_data.py.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ops.conftest import BIN, NAME, PARAMETERS, TAGS, Account, Run, WithDatabase

HOST = Path(__file__).parent / "host"
LOGINS = {
    "current": "vahanhelp",
    "next": "vahanhelp_a",
    "master": "vahanhelp",
    "sessions": {"vahanhelp": 4, "vahanhelp_a": 0, "vahanhelp_b": 0},
}
TABLE = {"rows": 3, "checksum": "42", "old_rows": 3, "old_checksum": "42"}
MEASURED = {"snapshot": "7:7:", "schema": "s", "tables": {"public.listings": TABLE}}
ANSWERS: dict[str, Any] = {
    "measure": MEASURED,
    "logins": LOGINS,
    "admit": {"admitted": "vahanhelp_a"},
    "dismiss": {"dismissed": "vahanhelp"},
    "current": {"current": "1.0.0"},
    "activate": {"changed": True, "seconds": {"switch": 0.2, "health": 0.1}},
}


class Environment(WithDatabase):
    """A basic environment that is nothing but its database and one instance, on this machine."""

    def __init__(self, account: Account, folder: Path) -> None:
        super().__init__(account)
        self._folder = folder
        self.answer()

    def answer(self, **answers: Any) -> None:
        """Set what the host's tools answer."""
        (self._folder / "answers.json").write_text(json.dumps({**ANSWERS, **answers}))

    def play(self, playbook: str, *arguments: str) -> Run:
        """Run a playbook with its host."""
        here = {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
        }
        local = ("--limit", "all", "-e", json.dumps(here))
        path = f"{HOST}:{BIN}:{os.environ['PATH']}"
        return self.account.play(playbook, *local, *arguments, PATH=path, VAHANA_TEST_HOST=str(self._folder))

    def asked(self) -> list[str]:
        """Return what the host's tools were asked for since this was called last."""
        file = self._folder / "asked"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines

    def launch(self) -> str:
        """Have one more instance, and return its id."""
        ec2 = self.account.client("ec2")
        image = ec2.register_image(Name="any", RootDeviceName="/dev/xvda", Architecture="x86_64")["ImageId"]
        subnet = ec2.describe_subnets(Filters=[{"Name": "tag:vahana:subnet", "Values": ["database"]}])["Subnets"][0]
        tags = [*TAGS, {"Key": "vahana:tier", "Value": "basic"}, {"Key": "vahana:role", "Value": "backend"}]
        made = ec2.run_instances(
            ImageId=image,
            InstanceType="t3.micro",
            MinCount=1,
            MaxCount=1,
            SubnetId=subnet["SubnetId"],
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )
        return str(made["Instances"][0]["InstanceId"])


@pytest.fixture
def basic(account: Account, tmp_path: Path) -> Environment:
    tags = [*TAGS, {"Key": "vahana:tier", "Value": "basic"}]
    ec2, rds, ssm = (account.client(name) for name in ("ec2", "rds", "ssm"))

    def tagged(kind: str, *more: dict[str, str]) -> list[dict[str, Any]]:
        return [{"ResourceType": kind, "Tags": [*tags, *more]}]

    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tagged("vpc"))["Vpc"]["VpcId"]
    purpose = {"Key": "vahana:subnet", "Value": "database"}
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=block, AvailabilityZone=zone, TagSpecifications=tagged("subnet", purpose)
        )["Subnet"]["SubnetId"]
        for block, zone in (("10.0.5.0/24", "us-east-1a"), ("10.0.6.0/24", "us-east-1b"))
    ]
    group = ec2.create_security_group(
        GroupName=f"{NAME}-database", Description="database", VpcId=vpc, TagSpecifications=tagged("security-group")
    )["GroupId"]
    for name, value in (
        ("database", {"username": "vahanhelp", "password": "the-first-one"}),
        ("backend", {"APP_SECRET": "signed", "MINE": "x"}),
    ):
        secrets = account.client("secretsmanager")
        secrets.create_secret(Name=f"{PARAMETERS}/{name}", SecretString=json.dumps(value), Tags=tags)
    rds.create_db_subnet_group(DBSubnetGroupName=NAME, DBSubnetGroupDescription="d", SubnetIds=subnets, Tags=tags)
    rds.create_db_instance(
        DBInstanceIdentifier=NAME,
        Engine="postgres",
        EngineVersion="17",
        DBInstanceClass="db.t3.micro",
        AllocatedStorage=20,
        StorageType="gp3",
        StorageEncrypted=True,
        MasterUsername="vahanhelp",
        MasterUserPassword="the-first-one",
        DBName="vahanhelp",
        DBSubnetGroupName=NAME,
        VpcSecurityGroupIds=[group],
        MultiAZ=True,
        DeletionProtection=True,
        CopyTagsToSnapshot=True,
        Tags=tags,
    )
    rds.get_waiter("db_instance_available").wait(DBInstanceIdentifier=NAME, WaiterConfig={"Delay": 1})
    endpoint = rds.describe_db_instances(DBInstanceIdentifier=NAME)["DBInstances"][0]["Endpoint"]
    place = {"engine": "postgres", "host": endpoint["Address"], "port": 5432, "name": "vahanhelp"}
    place["secret"] = f"{PARAMETERS}/database"
    for name, text in (("tier", "basic"), ("release", "1.0.0"), ("database", json.dumps(place))):
        ssm.put_parameter(Name=f"{PARAMETERS}/{name}", Value=text, Type="String", Tags=tags)
    environment = Environment(account, tmp_path)
    environment.launch()
    account.writes()
    return environment


@pytest.mark.long
def test_save_prove_and_restore(basic: Environment) -> None:
    none = basic.play("restore")
    assert none.code != 0
    mend = "ansible-playbook -i inventories/lab playbooks/backup.yml"
    assert f"{NAME} has no backup that is available; make one: {mend}" in none.output

    basic.account.writes()
    trial = basic.play("backup", "--check")
    assert (trial.code, basic.account.writes()) == (0, []), trial.output
    saved = basic.play("backup")
    assert saved.code == 0, saved.output
    assert basic.asked()[-2:] == ["backend-data measure", "backend-data measure --since 7:7:"]
    (manifest,) = basic.account.objects("backups/")
    backup = manifest.split("/")[1]
    listed = basic.play("backups")
    assert f"{backup}  20 GiB, less than a minute old, 3 rows, release 1.0.0" in listed.output

    basic.answer(measure={**MEASURED, "tables": {"public.listings": {**TABLE, "old_rows": 2}}})
    damaged = basic.play("restore", "-e", f"backup={backup}")
    assert damaged.code != 0
    assert f"{backup} is not what was saved: table public.listings: 2 of 3 rows are there" in damaged.output
    assert list(basic.databases()) == [NAME]
    assert basic.published()["host"].startswith(f"{NAME}.")

    basic.answer()
    basic.account.writes()
    proven = basic.play("restore", "-e", "verify_only=true")
    assert proven.code == 0, proven.output
    assert f"proven: {backup}: 1 tables, 3 rows; 1 tables row by row as they were saved" in proven.output
    assert list(basic.databases()) == [NAME]

    basic.asked()
    trial = basic.play("restore", "--check")
    assert trial.code == 0, trial.output
    assert list(basic.databases()) == [NAME]
    restored = basic.play("restore")
    assert restored.code == 0, restored.output
    (fresh,) = set(basic.databases()) - {NAME}
    assert basic.published()["host"].startswith(f"{fresh}.")
    assert basic.published()["secret"] == f"{PARAMETERS}/database"
    assert "vahana:kept" in basic.databases()[NAME]
    assert not {"vahana:kept", "vahana:throwaway"} & basic.databases()[fresh].keys()
    assert basic.asked()[-2:] == ["backend-release current", "backend-release activate 1.0.0 --migrate"]
    assert re.search(
        r"^(i-[0-9a-f]+): reloading\n(.+\n)*\1: reloaded \(0.2 s\), healthy \(0.1 s\)$", restored.output, re.MULTILINE
    )
    assert re.search(
        r"^moved over in \d+ s: i-[0-9a-f]+; \d+ s in all, with the new database", restored.output, re.MULTILINE
    )
    assert [(record["verb"], record["result"]) for record in basic.account.history()][-1] == ("restore", "ok")

    # The next one is of the database that is in use now, and the oldest goes.
    again = basic.play("backup", "-e", "backup_keep=1")
    assert again.code == 0, again.output
    (snapshot,) = basic.account.client("rds").describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    assert snapshot["DBInstanceIdentifier"] == fresh
    assert [key.split("/")[1] for key in basic.account.objects("backups/")] == [snapshot["DBSnapshotIdentifier"]]

    gone = basic.play(
        "destroy", "-e", f"confirm={NAME}", "-e", "keep_snapshot=false", "-e", "teardown_verify_retries=2"
    )
    assert gone.code == 0, gone.output
    assert basic.databases() == {}
    assert basic.account.client("rds").describe_db_snapshots(SnapshotType="manual")["DBSnapshots"] == []


@pytest.mark.long
def test_a_host_that_cannot_be_moved_over_takes_all_back(basic: Environment) -> None:
    basic.launch()
    saved = basic.play("backup")
    assert saved.code == 0, saved.output
    basic.asked()
    activated, ill = {"changed": True}, {"error": "error: release 1.0.0 is not healthy; went back to 1.0.0"}
    moves = ["backend-release current", "backend-release activate 1.0.0 --migrate"] * 2
    back = ["backend-release current", "backend-release activate 1.0.0"] * 2

    basic.answer(activate=[activated, ill, activated])
    failed = basic.play("restore")
    assert failed.code != 0
    (given_up,) = set(basic.databases()) - {NAME}
    assert f"could not be moved over to {given_up}: {NAME} is in use as before, and the next restore deletes" in (
        failed.output
    )
    assert basic.asked()[-8:] == moves + back
    assert basic.published()["host"].startswith(f"{NAME}.")
    assert "vahana:throwaway" in basic.databases()[given_up]
    assert not {"vahana:kept", "vahana:throwaway"} & basic.databases()[NAME].keys()
    assert basic.account.history()[-1]["result"] == "failed"

    # The other one goes back all the same.
    basic.answer(activate=[activated, ill, ill, activated])
    unsure = basic.play("restore")
    assert unsure.code != 0
    (kept,) = set(basic.databases()) - {NAME}
    assert kept != given_up, "the next restore has deleted it"
    assert re.search(rf"error: i-[0-9a-f]+ could not be told and may go on with {kept}: ", unsure.output)
    assert f"{kept} is kept, for they may have written to it" in unsure.output
    assert basic.asked()[-8:] == moves + back
    assert basic.published()["host"].startswith(f"{NAME}.")
    assert "vahana:kept" in basic.databases()[kept] and "vahana:throwaway" not in basic.databases()[kept]

    basic.answer()
    assert basic.play("restore").code == 0
    assert set(basic.databases()) > {NAME, kept}


@pytest.mark.long
def test_rotate_the_database(basic: Environment) -> None:
    trial = basic.play("rotate", "--check")
    assert (trial.code, basic.account.writes()) == (0, []), trial.output
    basic.asked()

    first = basic.play("rotate")
    assert first.code == 0, first.output
    assert basic.asked() == [
        "backend-release current",
        "backend-release activate 1.0.0",
        "backend-data logins",
        f"backend-data admit {PARAMETERS}/database-login --stage AWSCURRENT",
        "backend-release current",
        "backend-release activate 1.0.0",
        "backend-data dismiss vahanhelp",
        "backend-data logins",
    ]
    assert basic.published()["secret"] == f"{PARAMETERS}/database-login"
    login, master = basic.secret("database-login"), basic.secret("database")
    assert login["username"] == "vahanhelp_a" and master["username"] == "vahanhelp"
    assert master["password"] != "the-first-one"
    assert not any(value in first.output for value in (login["password"], master["password"]))

    sessions = {"vahanhelp": 0, "vahanhelp_a": 4, "vahanhelp_b": 1}
    basic.answer(logins={**LOGINS, "current": "vahanhelp_a", "next": "vahanhelp_b", "sessions": sessions})
    left = basic.play("rotate")
    assert left.code != 0
    assert "1 connections still use vahanhelp_b" in left.output
    assert basic.secret("database-login") == login

    basic.answer(
        logins={**LOGINS, "current": "vahanhelp_a", "next": "vahanhelp_b"},
        dismiss={"error": "error: 2 connections of vahanhelp_a are still open, so it stays valid"},
    )
    basic.asked()
    open_still = basic.play("rotate")
    assert open_still.code != 0
    assert "2 connections of vahanhelp_a are still open" in open_still.output
    assert f"backend-data admit {PARAMETERS}/database-login --stage AWSPENDING" in basic.asked()
    assert basic.secret("database-login")["username"] == "vahanhelp_b"
    assert basic.secret("database") == master


@pytest.mark.long
def test_rotate_the_applications_secret(basic: Environment) -> None:
    done = basic.play("rotate", "-e", "what=app")
    assert done.code == 0, done.output
    value = basic.secret("backend")
    assert (value["APP_SECRET_PREVIOUS"], value["MINE"]) == ("signed", "x")
    assert value["APP_SECRET"] not in ("signed", "")
    assert value["APP_SECRET"] not in done.output
    assert basic.asked() == ["backend-release current", "backend-release activate 1.0.0"]
    assert re.search(r"^a new secret of the application in \d+ s: i-[0-9a-f]+$", done.output, re.MULTILINE)


def test_what_has_no_password_is_refused(account: Account) -> None:
    account.client("ssm").put_parameter(Name=f"{PARAMETERS}/tier", Value="minimal", Type="String", Tags=TAGS)
    refused = account.play("rotate")
    assert refused.code != 0
    assert f"{NAME} has no database password" in refused.output and "-e what=app" in refused.output
    nothing = account.play("backup")
    assert nothing.code != 0
    assert "no instance runs, and the database is a file on it" in nothing.output
    assert account.objects("backups/") == []
