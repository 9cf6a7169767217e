"""The microservices tier from nothing to nothing: one story over all five, versions that nobody notices or that go."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.lab.conftest import ROOT, Run, playbook, run, wait_for
from tests.lab.load import load
from tests.lab.test_data import in_use, query
from tests.lab.visitor import CAR, URL, call

pytestmark = pytest.mark.long

TIER = ("-e", "tier=microservices")
NAME = "vahanhelp-prod"
ACCOUNT_ID = "123456789012"
SERVICES = ("auth", "cars", "insurance", "notification", "payment")
PASSWORD = "correct horse battery"
LEAST_REQUESTS = 20_000
ROUNDS = 3
SECONDS_AFTER = 2.0
#: How a service answers for its health, in the sources that all share.
HEALTHY = "return { body: { status: 'ok', version, database: writable ? 'primary' : 'standby' } };"
ILL = "return { status: 500, body: { status: 'ill', version } };"

Aws = Callable[[str], Any]


class Person:
    """Somebody with an account, as the front door sees them."""

    def __init__(self) -> None:
        self.email = f"{uuid4()}@example.com"
        name = {"name": "Asha", "phone": "+919876543210"}
        call("POST", "/api/auth/users", {"email": self.email, "password": PASSWORD, **name})
        self.log_in()

    def log_in(self) -> None:
        """Get a token, good for 15 minutes."""
        made = call("POST", "/api/auth/tokens", {"email": self.email, "password": PASSWORD})
        self.token = made["access_token"]

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None, **headers: str) -> Any:
        """Ask for something as this person."""
        return call(method, path, body, Authorization=f"Bearer {self.token}", **headers)

    def lists_a_car(self) -> dict[str, Any]:
        """List a car."""
        made: dict[str, Any] = self.ask("POST", "/api/cars", CAR)
        return made

    def quote(self, car: dict[str, Any]) -> dict[str, Any]:
        """Ask what insuring it would cost."""
        wish = {"car_id": car["id"], "cover": "comprehensive", "driver_age": 40, "no_claims_years": 2}
        made: dict[str, Any] = self.ask("POST", "/api/insurance/quotes", wish)
        return made

    def pays(self, quote: dict[str, Any]) -> dict[str, Any]:
        """Accept a quote and pay for it."""
        due = self.ask("POST", f"/api/insurance/quotes/{quote['id']}/acceptance")
        key = f"pay-{due['intent_id']}"
        paid: dict[str, Any] = self.ask(
            "POST", due["confirm_at"], {"payment_method": "pm_succeeds"}, Idempotency_Key=key
        )
        return paid

    def told(self) -> set[str]:
        """Of which events an e-mail was sent."""
        found = self.ask("GET", "/api/notification/notifications")["items"]
        return {each["event"] for each in found if (each["channel"], each["status"]) == ("email", "sent")}


def _deploy(*arguments: str, check: bool = True) -> Run:
    return playbook("playbooks/deploy.yml", *arguments, check=check)


def _build(folder: Path, aws: Aws, turn: str) -> tuple[str, dict[str, str]]:
    """Build a release of edited sources, before there is any load: no visitor's database is on who builds.

    Returns its name, and the versions of its services.
    """
    sources = _edited(folder, "cars", HEALTHY, turn)
    playbook("playbooks/build.yml", "-e", f"containers_source={sources}", "-e", f"out={folder / 'release'}")
    release = (folder / "release").read_text()
    key = f"releases/{release}/manifest.json"
    manifest = json.loads(aws("s3").get_object(Bucket=f"{NAME}-releases-{ACCOUNT_ID}", Key=key)["Body"].read())
    return release, manifest["services"]


def _versions() -> dict[str, str]:
    """Version of each service, as it answers itself."""
    return {name: call("GET", f"/api/{name}/version")["version"] for name in SERVICES}


def _tasks(aws: Aws) -> dict[str, set[str]]:
    """The tasks of each service."""
    found = {}
    for name in SERVICES:
        arns = aws("ecs").list_tasks(cluster=NAME, serviceName=name)["taskArns"]
        found[name] = {arn.rpartition("/")[2] for arn in arns}
    return found


def _edited(folder: Path, service: str, text: str, other: str) -> Path:
    """Return a copy of the sources in which one service has other code than before."""
    copy = folder / "services"
    shutil.copytree(ROOT / "examples/services", copy, ignore=shutil.ignore_patterns("node_modules"))
    package = copy / service / "package.json"
    package.write_text(json.dumps({**json.loads(package.read_text()), "version": "9.0.0"}, indent=2))
    file = copy / "shared/src/service.js"
    assert file.read_text().count(text) == 1
    file.write_text(file.read_text().replace(text, other))
    return copy


@pytest.fixture(scope="module")
def microservices(lab: None) -> Iterator[None]:
    run("lab", "base-image")
    playbook("site.yml", *TIER, timeout=1800)
    yield
    gone = playbook("playbooks/destroy.yml", "-e", f"confirm={NAME}", "-e", "keep_snapshot=false")
    assert f"{NAME}: nothing is left" in gone.output


@pytest.mark.usefixtures("microservices")
def test_the_story_of_all_five() -> None:
    asha = Person()
    car = asha.lists_a_car()
    assert [each["id"] for each in call("GET", f"/api/cars?q={CAR['model']}")["items"]] == [car["id"]]
    quote = asha.quote(car)
    assert asha.pays(quote)["amount"] == quote["premium"]
    policies = wait_for(lambda: asha.ask("GET", "/api/insurance/policies")["items"])
    assert [each["quote_id"] for each in policies] == [quote["id"]]
    told = {"user.signed_up", "car.listed", "payment.succeeded", "policy.issued"}
    wait_for(lambda: asha.told() >= told)


@pytest.mark.usefixtures("microservices")
def test_a_second_run_changes_nothing() -> None:
    again = playbook("site.yml", *TIER)
    assert again.recap()["changed"] == 0
    every = playbook("site.yml", *TIER, "-e", "full=true")
    assert every.recap()["changed"] == 0
    assert playbook("playbooks/plan.yml", *TIER, check=False).code == 0
    assert "Nothing to do" in playbook("site.yml", *TIER).output


@pytest.mark.usefixtures("microservices")
def test_nothing_leads_to_what_is_for_services_alone() -> None:
    with urllib.request.urlopen(f"{URL}/internal/cars/1", timeout=15) as page:
        assert b"<html" in page.read()
    with pytest.raises(urllib.error.HTTPError) as refused:
        call("GET", "/api/internal/cars/1")
    assert refused.value.code == 404


@pytest.mark.usefixtures("microservices")
@pytest.mark.parametrize("turn", range(1, ROUNDS + 1))
def test_nobody_notices_a_version_nor_the_way_back(aws: Aws, tmp_path: Path, turn: int) -> None:
    asha, before = Person(), _versions()
    release, versions = _build(tmp_path, aws, f"return {{ body: {{ status: 'ok', version, turn: {turn} }} }};")
    assert versions["cars"].startswith("9.0.0-") and not set(versions.values()) & set(before.values())
    with load(f"microservices/unnoticed-{turn}", path="/api/cars", token=asha.token) as seen:
        _deploy("-e", f"release={release}")
        assert _versions() == versions
        playbook("playbooks/rollback.yml")
        assert _versions() == before
        wait_for(lambda: seen.so_far >= LEAST_REQUESTS, 600)
        time.sleep(SECONDS_AFTER)
    seen.assert_unnoticed(LEAST_REQUESTS)
    kept = call("GET", f"/api/cars/{min(seen.acknowledged())}")
    assert kept["model"] == "Load"


@pytest.mark.usefixtures("microservices")
def test_one_service_is_deployed_alone(aws: Aws) -> None:
    before, tasks = _versions(), _tasks(aws)
    known = aws("ecr").describe_images(repositoryName=f"{NAME}/cars")["imageDetails"]
    [other] = [each["imageTags"][0] for each in known if each["imageTags"] != [before["cars"]]][:1]
    _deploy("-e", "service=cars", "-e", f"release={other}")
    assert _versions() == {**before, "cars": other}
    changed = {name for name, found in _tasks(aws).items() if found != tasks[name]}
    assert changed == {"cars"}
    _deploy("-e", "service=cars")
    assert _versions() == before


@pytest.mark.usefixtures("microservices")
def test_a_version_that_is_ill_does_not_stay(aws: Aws, tmp_path: Path) -> None:
    asha, before = Person(), _versions()
    _release, versions = _build(tmp_path, aws, ILL)
    with load("microservices/ill", path="/api/cars", token=asha.token) as seen:
        failed = _deploy("-e", "service=cars", "-e", f"release={versions['cars']}", check=False)
        time.sleep(SECONDS_AFTER)
    assert failed.code != 0
    assert "cars: deployment" in failed.output and "failed" in failed.output
    assert _versions() == before
    assert seen.failures() == []
    # What failed is forgotten by the next run.
    _deploy("-e", "service=cars")
    assert _versions() == before


def _sessions(aws: Aws) -> set[str]:
    """Who of the application is logged in to the database in use."""
    logins = "usename IN ('vahanhelp', 'vahanhelp_a', 'vahanhelp_b')"
    return set(query(in_use(aws), f"SELECT DISTINCT usename FROM pg_stat_activity WHERE {logins}"))


@pytest.mark.usefixtures("microservices")
def test_nobody_notices_new_passwords_and_keys(aws: Aws) -> None:
    asha, before = Person(), _versions()
    for what, login in (("database", "vahanhelp_a"), ("database", "vahanhelp_b"), ("app", "vahanhelp_b")):
        # A token is good for less than all three take.
        asha.log_in()
        with load(f"microservices/rotate-{what}-{login}", path="/api/cars", token=asha.token) as seen:
            playbook("playbooks/rotate.yml", "-e", f"what={what}")
            time.sleep(SECONDS_AFTER)
        assert (seen.failures(), _sessions(aws)) == ([], {login})
    assert _versions() == before
    # Signed with the former key, and with the new one.
    asha.lists_a_car()
    asha.log_in()
    asha.pays(asha.quote(asha.lists_a_car()))
    assert query(in_use(aws), "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'vahanhelp_a'") == ["f"]
    assert playbook("site.yml", *TIER, "-e", "full=true").recap()["changed"] == 0


@pytest.mark.usefixtures("microservices")
def test_a_backup_brings_a_car_back(aws: Aws) -> None:
    asha = Person()
    car = asha.lists_a_car()
    # Rows that come while the snapshot is taken must not spoil the proof.
    with load("microservices/backup", path="/api/cars", token=asha.token) as seen:
        playbook("playbooks/backup.yml")
        time.sleep(SECONDS_AFTER)
    assert seen.failures() == []
    proven = playbook("playbooks/restore.yml", "-e", "verify_only=true")
    assert "proven: vahanhelp-prod-backup-" in proven.output
    former = in_use(aws)
    query(former, f"DELETE FROM cars.cars WHERE id = '{car['id']}'")
    # An older backup is nothing to a rotation since.
    playbook("playbooks/rotate.yml")
    login = _sessions(aws)
    with load("microservices/restore", path="/api/cars", token=asha.token) as seen:
        playbook("playbooks/restore.yml")
        time.sleep(SECONDS_AFTER)
    assert seen.failures() == []
    assert in_use(aws) != former and _sessions(aws) == login
    assert call("GET", f"/api/cars/{car['id']}")["id"] == car["id"]
    assert query(former, "SELECT 1 AS one FROM cars.cars LIMIT 1") == ["1"]
    assert playbook("site.yml", *TIER, "-e", "full=true").recap()["changed"] == 0


@pytest.mark.usefixtures("microservices")
def test_what_is_away_fails_only_what_needs_it(aws: Aws) -> None:
    """One row of the table in examples/services/README.md, whose own test has them all."""
    asha = Person()
    car = asha.lists_a_car()
    ecs, scaling = aws("ecs"), aws("application-autoscaling")
    of_payment = {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/{NAME}/payment",
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    scaling.register_scalable_target(**of_payment, MinCapacity=0)
    ecs.update_service(cluster=NAME, service="payment", desiredCount=0)
    try:
        wait_for(lambda: not _tasks(aws)["payment"])
        quote = wait_for(lambda: asha.quote(car))
        with pytest.raises(urllib.error.HTTPError) as refused:
            asha.pays(quote)
        assert refused.value.code == 503
        assert call("GET", f"/api/cars/{car['id']}")["id"] == car["id"]
        assert "car.listed" in wait_for(asha.told)
    finally:
        scaling.register_scalable_target(**of_payment, MinCapacity=2)
        ecs.update_service(cluster=NAME, service="payment", desiredCount=2)
    wait_for(lambda: len(_tasks(aws)["payment"]) == 2)
    assert wait_for(lambda: _answers(lambda: asha.pays(quote)))["amount"] == quote["premium"]


def _answers(what: Callable[[], Any]) -> Any:
    """Return what is answered; nothing while it is an error."""
    try:
        return what()
    except urllib.error.HTTPError:
        return None


BLUE_GREEN = ("-e", "containers_strategy=blue_green", "-e", "containers_bake_minutes=1")


@pytest.fixture(scope="module")
def blue_green(microservices: None) -> Iterator[None]:
    """Deploy blue/green from here on, as nobody notices, and rolling again at the end."""
    asha = Person()
    with load("microservices/blue-green", path="/api/cars", token=asha.token) as seen:
        playbook("site.yml", *TIER, *BLUE_GREEN)
        time.sleep(SECONDS_AFTER)
    assert seen.failures() == []
    assert playbook("site.yml", "-e", "full=true").recap()["changed"] == 0
    yield
    asha.log_in()
    with load("microservices/rolling", path="/api/cars", token=asha.token) as seen:
        playbook("site.yml", *TIER, "-e", "containers_strategy=rolling")
        playbook("playbooks/deploy.yml", *TIER)
        time.sleep(SECONDS_AFTER)
    assert seen.failures() == []
    assert playbook("site.yml", "-e", "full=true").recap()["changed"] == 0


def _deployment(aws: Aws) -> dict[str, Any]:
    """How the newest deployment of the cars goes."""
    ecs = aws("ecs")
    arn = ecs.describe_services(cluster=NAME, services=["cars"])["services"][0]["currentServiceDeployment"]
    return dict(ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0])


def _serving(aws: Aws) -> str:
    """The name of the target group that has the requests of the cars."""
    elb = aws("elbv2")
    groups = {each["TargetGroupArn"]: each["TargetGroupName"] for each in elb.describe_target_groups()["TargetGroups"]}
    balancer = elb.describe_load_balancers(Names=[NAME])["LoadBalancers"][0]["LoadBalancerArn"]
    [listener] = elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"]
    for rule in elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]:
        for share in rule["Actions"][0].get("ForwardConfig", {}).get("TargetGroups", []):
            if share["Weight"] and groups[share["TargetGroupArn"]].startswith(f"{NAME}-cars"):
                return str(groups[share["TargetGroupArn"]])
    raise AssertionError("nothing leads to the cars")


@pytest.mark.usefixtures("blue_green")
def test_blue_green_nobody_notices_a_version_nor_the_way_back(aws: Aws, tmp_path: Path) -> None:
    asha, before, serving = Person(), _versions(), _serving(aws)
    release, versions = _build(tmp_path, aws, "return { body: { status: 'ok', version, turn: 'blue-green' } };")
    with load("microservices/blue-green-unnoticed", path="/api/cars", token=asha.token) as seen:
        _deploy("-e", f"release={release}")
        assert _versions() == versions and _serving(aws) != serving
        playbook("playbooks/rollback.yml")
        assert _versions() == before and _serving(aws) == serving
        wait_for(lambda: seen.so_far >= LEAST_REQUESTS, 600)
        time.sleep(SECONDS_AFTER)
    seen.assert_unnoticed(LEAST_REQUESTS)


@pytest.mark.usefixtures("blue_green")
def test_blue_green_a_version_that_is_ill_is_seen_by_nobody(aws: Aws, tmp_path: Path) -> None:
    asha, before, serving = Person(), _versions(), _serving(aws)
    _release, versions = _build(tmp_path, aws, ILL)
    with load("microservices/blue-green-ill", path="/api/cars", token=asha.token) as seen:
        failed = _deploy("-e", "service=cars", "-e", f"release={versions['cars']}", check=False)
        time.sleep(SECONDS_AFTER)
    assert failed.code != 0 and "was taken back" in failed.output and "tasks in a row failed" in failed.output
    assert (_versions(), _serving(aws), seen.failures()) == (before, serving, [])
    assert _deployment(aws)["status"] == "ROLLBACK_SUCCESSFUL"


@pytest.mark.usefixtures("blue_green")
def test_blue_green_an_alarm_takes_a_version_back(aws: Aws) -> None:
    asha, before, serving = Person(), _versions(), _serving(aws)
    known = aws("ecr").describe_images(repositoryName=f"{NAME}/cars")["imageDetails"]
    pushed = {tag: each["imagePushedAt"] for each in known for tag in each["imageTags"] if tag != before["cars"]}
    # The newest one is ill, when the test before has built it.
    other = min(pushed, key=lambda tag: pushed[tag])
    deploying = ["playbooks/deploy.yml", "-e", "service=cars", "-e", f"release={other}"]
    with (
        load("microservices/blue-green-alarm", path="/api/cars", token=asha.token) as seen,
        ThreadPoolExecutor(1) as pool,
    ):
        ending = pool.submit(playbook, *deploying, check=False)
        wait_for(lambda: _deployment(aws)["lifecycleStage"] == "BAKE_TIME" and _serving(aws) != serving, 300)
        wait_for(lambda: call("GET", "/api/cars/version")["version"] == other)
        aws("cloudwatch").set_alarm_state(
            AlarmName=f"{NAME}-services-errors", StateValue="ALARM", StateReason="the test says so"
        )
        began = time.monotonic()
        wait_for(lambda: _serving(aws) == serving)
        assert time.monotonic() - began < 10, "at once"
        failed = ending.result()
        time.sleep(SECONDS_AFTER)
    assert failed.code != 0 and f"Alarm(s) detected: {NAME}-services-errors" in failed.output
    assert (_versions(), seen.failures()) == (before, [])
