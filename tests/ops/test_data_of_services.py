"""Backups, restoring and new passwords where services answer, with an API without containers: what is done, and when.

What a task beside the services answers is said here; what it does with a real database is the business of
tests/unit/examples/test_service_data.py and of tests/lab/test_tier_microservices.py.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.account import ROOT
from tests.ops.conftest import NAME, PARAMETERS, TAGS, Account, Run, WithDatabase, answers_at, publish
from tests.ops.test_data import LOGINS, MEASURED, TABLE

pytestmark = pytest.mark.long

PROVISION_SECONDS = 600
ABROAD = "eu-west-1"
ANSWERS: dict[str, Any] = {
    "measure": {"result": MEASURED},
    "logins": {"result": LOGINS},
    "admit": {"result": {"admitted": "vahanhelp_a"}},
    "dismiss": {"result": {"dismissed": "vahanhelp"}},
}


class Services(WithDatabase):
    """An environment of services without any container: their visitors and their database are answered for here."""

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.answers = dict(ANSWERS)
        self.url = ""
        self.well_with = ""
        """What the address of the database must begin with for the services to answer as they should."""
        self._asked: list[str] = []
        self._answered: set[str] = set()

    def play(self, playbook: str, *arguments: str, seconds: int = 300) -> Run:
        """Run a playbook, without hosts."""
        given = {
            "containers_source": str(ROOT / "tests/plan/services"),
            "public_url": self.url,
            "verify_timeout": 4,
            "verify_interval": 2,
        }
        with self.account.start(playbook, "-e", json.dumps(given), *arguments) as process:
            output, _nothing = process.communicate(timeout=seconds)
            return Run(process.returncode, output)

    def asked(self) -> list[str]:
        """Return what the database was asked for since this was called last: verb, address of a copy, stage."""
        found, self._asked = self._asked, []
        return found

    def definition(self, service: str) -> dict[str, Any]:
        """Return how the container of a service is defined."""
        ecs = self.account.client("ecs")
        [found] = ecs.describe_services(cluster=NAME, services=[service])["services"]
        described = ecs.describe_task_definition(taskDefinition=found["taskDefinition"])["taskDefinition"]
        return dict(described["containerDefinitions"][0])

    def variables(self, service: str) -> dict[str, str]:
        """Return the variables of a service."""
        return {each["name"]: each["value"] for each in self.definition(service)["environment"]}

    def database(self, service: str = "cars") -> str:
        """Return which database a service is told."""
        return self.variables(service)["DATABASE_URL"].partition("//")[2].partition(".")[0]

    def login(self, service: str = "cars") -> str:
        """Return the secret that a service logs in with, without what Secrets Manager adds to its name."""
        [arn] = [each["valueFrom"] for each in self.definition(service)["secrets"] if each["name"] == "PGPASSWORD"]
        return str(arn).split(":")[6].rpartition("-")[0]

    def deployments(self) -> set[str]:
        """Return the ids of the services' deployments."""
        ecs = self.account.client("ecs")
        arns = ecs.list_services(cluster=NAME)["serviceArns"]
        found = ecs.describe_services(cluster=NAME, services=arns)["services"]
        return {each["deployments"][0]["id"] for each in found}

    def answer_tasks(self) -> None:
        """Write the answers of the tasks that run beside the services, and end them."""
        ecs, logs = self.account.client("ecs"), self.account.client("logs")
        if not ecs.list_clusters()["clusterArns"]:
            return
        for arn in ecs.list_tasks(cluster=NAME, family=f"{NAME}-backend-data")["taskArns"]:
            task = ecs.describe_tasks(cluster=NAME, tasks=[arn])["tasks"][0]
            if arn in self._answered or task["lastStatus"] != "RUNNING":
                continue
            self._answered.add(arn)
            described = ecs.describe_task_definition(taskDefinition=task["taskDefinitionArn"])["taskDefinition"]
            container = described["containerDefinitions"][0]
            job = json.loads(container["environment"][0]["value"])
            stages = {
                each["valueFrom"].split(":")[8] for each in container["secrets"] if each["name"] == "LOGIN_PASSWORD"
            }
            copy = "" if job["host"] == self.published()["host"] else job["host"].partition(".")[0]
            self._asked.append(" ".join(filter(None, (job["verb"], copy, job["since"], job["user"], *stages))))
            group, stream = container["logConfiguration"]["options"]["awslogs-group"], arn.rpartition("/")[2]
            stream = f"backend-data/backend-data/{stream}"
            logs.create_log_stream(logGroupName=group, logStreamName=stream)
            line = f"backend-data 1/1 {json.dumps(self.answers[job['verb']])}"
            event = {"timestamp": int(time.time() * 1000), "message": line}
            logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])
            ecs.stop_task(cluster=NAME, task=arn)

    def health(self, service: str) -> dict[str, str]:
        """Return what a service says of itself."""
        well = self.database(service).startswith(self.well_with)
        return {"status": "ok", "version": self.variables(service)["APP_VERSION"] if well else "none"}


@pytest.fixture
def services(account: Account) -> Iterator[Services]:
    found = Services(account)
    ended = threading.Event()

    def answer() -> None:
        while not ended.wait(0.5):
            found.answer_tasks()

    tasks = threading.Thread(target=answer, daemon=True)
    with answers_at(lambda path: found.health(path.split("/")[2])) as found.url:
        # The front end is not built here.
        publish(account, "1.0.0")
        made = found.play("provision", "-e", "tier=microservices", "-e", "release=1.0.0", seconds=PROVISION_SECONDS)
        assert made.code == 0, made.output[-4000:]
        tasks.start()
        yield found
        ended.set()
        tasks.join()


def test_save_rotate_and_restore(services: Services) -> None:
    account = services.account
    account.writes()
    trial = services.play("backup", "--check")
    assert (trial.code, account.writes()) == (0, []), trial.output
    saved = services.play("backup")
    assert saved.code == 0, saved.output
    assert services.asked() == ["measure", "measure 7:7:"]
    (manifest,) = account.objects("backups/")
    backup = manifest.split("/")[1]
    assert [(each["verb"], each["result"]) for each in account.history()][-1] == ("backup", "ok")
    listed = services.play("backups")
    assert f"{backup}  100 GiB, less than a minute old, 3 rows, release 1.0.0" in listed.output

    _rotates(services)
    _proves(services, backup)
    _restores(services)

    # What is in use is what site.yml keeps.
    again = services.play("provision", "-e", "full=true", "-e", "release=1.0.0", seconds=PROVISION_SECONDS)
    assert again.code == 0 and "changed=0" in again.output, again.output[-4000:]
    _renews_keys(services)
    _refuses_what_another_region_follows(services)


def _rotates(services: Services) -> None:
    services.account.writes()
    trial = services.play("rotate", "--check")
    assert (trial.code, services.account.writes()) == (0, []), trial.output
    assert services.asked() == []

    before, former = services.deployments(), services.secret("database")
    assert services.login() == f"{PARAMETERS}/database"
    first = services.play("rotate")
    assert first.code == 0, first.output
    assert services.asked() == ["logins", "admit AWSCURRENT", "dismiss vahanhelp", "logins"]
    assert services.published()["secret"] == f"{PARAMETERS}/database-login"
    assert services.login() == f"{PARAMETERS}/database-login"
    login, master = services.secret("database-login"), services.secret("database")
    assert login["username"] == "vahanhelp_a" and master["password"] != former["password"]
    assert not any(value in first.output for value in (login["password"], master["password"]))
    assert not before & services.deployments(), "all are renewed"

    # The definitions stay as they are, and the tasks read the other login.
    services.answers["logins"] = {"result": {**LOGINS, "current": "vahanhelp_a", "next": "vahanhelp_b"}}
    services.answers["dismiss"] = {"error": "2 connections of vahanhelp_a are still open, so it stays valid"}
    before = services.deployments()
    open_still = services.play("rotate")
    assert open_still.code != 0
    assert "2 connections of vahanhelp_a are still open" in open_still.output
    assert "admit AWSPENDING" in services.asked()
    assert services.secret("database-login")["username"] == "vahanhelp_b"
    assert services.secret("database") == master
    assert not before & services.deployments()

    sessions = {"vahanhelp": 0, "vahanhelp_a": 1, "vahanhelp_b": 4}
    logins = {**LOGINS, "current": "vahanhelp_b", "next": "vahanhelp_a", "sessions": sessions}
    services.answers |= {"logins": {"result": logins}, "dismiss": ANSWERS["dismiss"]}
    left = services.play("rotate")
    assert left.code != 0 and "1 connections still use vahanhelp_a" in left.output
    assert services.secret("database-login")["username"] == "vahanhelp_b"


def _renews_keys(services: Services) -> None:
    names = ("services/token_keys", "services/service_secret", "services/webhook_secret")
    former, before = {name: services.secret(name)["value"] for name in names}, services.deployments()
    services.asked()
    done = services.play("rotate", "-e", "what=app")
    assert done.code == 0, done.output
    for name in names[:2]:
        fresh, kept = services.secret(name)["value"].split(",")
        assert kept == former[name] and len(fresh) == len(kept) == 48
        assert fresh not in done.output
    assert services.secret(names[2])["value"] == former[names[2]], "it is the provider's"
    assert not before & services.deployments()
    assert services.asked() == []


def _proves(services: Services, backup: str) -> None:
    services.asked()
    fewer = {**MEASURED, "tables": {"public.listings": {**TABLE, "old_rows": 2}}}
    services.answers["measure"] = {"result": fewer}
    damaged = services.play("restore", "-e", f"backup={backup}")
    assert damaged.code != 0
    assert f"{backup} is not what was saved: table public.listings: 2 of 3 rows are there" in damaged.output
    services.answers["measure"] = {"error": "cannot log in to the copy"}
    shut = services.play("restore", "-e", f"backup={backup}")
    assert shut.code != 0 and "cannot log in to the copy" in shut.output
    services.answers["measure"] = ANSWERS["measure"]
    proven = services.play("restore", "-e", "verify_only=true")
    assert proven.code == 0, proven.output
    assert f"proven: {backup}: 1 tables, 3 rows; 1 tables row by row as they were saved" in proven.output
    assert list(services.databases()) == [NAME]
    assert services.database() == NAME


def _restores(services: Services) -> None:
    before = services.deployments()
    assert services.play("restore", "--check").code == 0
    assert (services.deployments(), list(services.databases())) == (before, [NAME])

    services.asked()
    restored = services.play("restore")
    assert restored.code == 0, restored.output
    (fresh,) = set(services.databases()) - {NAME}
    assert services.asked() == [f"measure {fresh} 7:7:", f"admit {fresh} AWSCURRENT"]
    assert services.published()["host"].startswith(f"{fresh}.")
    assert services.published()["secret"] == f"{PARAMETERS}/database-login"
    assert {services.database(name) for name in ("auth", "cars", "payment")} == {fresh}
    assert "vahana:kept" in services.databases()[NAME]
    assert not {"vahana:kept", "vahana:throwaway"} & services.databases()[fresh].keys()
    assert [(each["verb"], each["result"]) for each in services.account.history()][-1] == ("restore", "ok")

    # What does not become well with the restored database goes back to the former one.
    services.well_with = fresh
    back = services.play("restore")
    assert back.code != 0
    (given_up,) = set(services.databases()) - {NAME, fresh}
    assert f"nothing could be moved over to {given_up}: {fresh} is in use as before" in back.output
    assert {services.database(name) for name in ("auth", "cars", "payment")} == {fresh}
    assert services.published()["host"].startswith(f"{fresh}.")
    assert "vahana:throwaway" in services.databases()[given_up]
    assert "vahana:kept" not in services.databases()[fresh]


def _refuses_what_another_region_follows(services: Services) -> None:
    ssm = services.account.client("ssm")
    for name, value in (("regions", f"us-east-1,{ABROAD}"), ("domain", "cars.example.com")):
        ssm.put_parameter(Name=f"{PARAMETERS}/{name}", Value=value, Type="String", Tags=TAGS)
    refused = services.play("restore")
    assert refused.code != 0 and f"the databases of {ABROAD} follow" in refused.output
    refused = services.play("rotate")
    assert refused.code != 0 and f"{ABROAD} log in to what follows" in refused.output
