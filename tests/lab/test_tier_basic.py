"""The basic tier from nothing to nothing, as a user and an operator meet it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as expected
from selenium.webdriver.support.ui import WebDriverWait

from tests.lab.census import census
from tests.lab.conftest import ROOT, Run, playbook, run

TIER = ("-e", "tier=basic")
CAR = {
    "make": "Tata",
    "model": "Nexon",
    "year": 2023,
    "price": 1_450_000,
    "mileage_km": 12_000,
    "fuel": "electric",
    "transmission": "automatic",
    "city": "Pune",
}
URL = "http://127.0.0.1:8080"

Aws = Callable[[str], Any]


@pytest.fixture(scope="module")
def before(aws: Aws) -> dict[str, list[str]]:
    """What the account holds before the tier is made."""
    return census(aws)


@pytest.fixture(scope="module")
def basic(before: dict[str, list[str]]) -> Run:
    return playbook("site.yml", *TIER)


def _call(method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(URL + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=15) as answer:
        return answer.status, json.loads(answer.read() or b"null")


def _healthy_targets(aws: Aws) -> list[str]:
    elbv2 = aws("elbv2")
    groups = elbv2.describe_target_groups(Names=["vahanhelp-prod-backend"])["TargetGroups"]
    health = elbv2.describe_target_health(TargetGroupArn=groups[0]["TargetGroupArn"])["TargetHealthDescriptions"]
    return [h["Target"]["Id"] for h in health if h["TargetHealth"]["State"] == "healthy"]


def _wait_for_two_healthy(aws: Aws, without: str, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        healthy = _healthy_targets(aws)
        if len(healthy) == 2 and without not in healthy:
            return
        time.sleep(1)
    raise AssertionError(f"after {seconds} s the healthy targets are {_healthy_targets(aws)}")


def _in_database(query: str) -> str:
    """Return what psql prints on the database's own host."""
    out = run("lab", "psql", "vahanhelp-prod", "-c", query)
    return out.output


def test_the_run_ends_with_the_url(basic: Run) -> None:
    assert URL in basic.output.rsplit("PLAY RECAP", 1)[0][-4000:] + basic.output[-2000:]


def test_health_is_ok_and_two_targets_are_healthy(basic: Run, aws: Aws) -> None:
    status, body = _call("GET", "/api/health")
    assert (status, body["status"]) == (200, "ok")
    assert len(_healthy_targets(aws)) == 2


def test_a_car_added_through_the_url_is_a_row_in_postgresql(basic: Run) -> None:
    status, car = _call("POST", "/api/listings", CAR)
    assert status == 201
    assert _in_database(f"SELECT model FROM listings WHERE id = '{uuid.UUID(car['id'])}'").split() == ["model", "Nexon"]


@pytest.fixture
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1200,900",
    ):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


def test_a_person_adds_a_car_sees_it_and_finds_it(basic: Run, browser: webdriver.Chrome) -> None:
    wait = WebDriverWait(browser, 20)
    browser.get(URL)
    model = f"Elise {uuid.uuid4().hex[:8]}"
    wait.until(expected.element_to_be_clickable((By.CSS_SELECTOR, "button.accent"))).click()
    for label, value in (
        ("Make", "Lotus"),
        ("Model", model),
        ("Year", "2004"),
        ("Price", "3100000"),
        ("Mileage", "61000"),
        ("City", "Pune"),
    ):
        wait.until(expected.visibility_of_element_located((By.XPATH, _labelled(label)))).send_keys(value)
    browser.find_element(By.CSS_SELECTOR, "dialog button[type=submit]").click()
    wait.until(expected.presence_of_element_located((By.XPATH, f"//li[@data-listing][contains(., '{model}')]")))

    browser.get(f"{URL}/a/deep/link")
    wait.until(expected.element_to_be_clickable((By.ID, "search"))).send_keys(model)
    wait.until(
        lambda page: [model in card.text for card in page.find_elements(By.CSS_SELECTOR, "li[data-listing]")] == [True]
    )


def _labelled(label: str) -> str:
    return f"//dialog//*[@id=//dialog//label[normalize-space(.)='{label}']/@for]"


def _readme_commands() -> list[str]:
    """Return the commands that the README shows for the running tier, in its order."""
    shown = (ROOT / "README.md").read_text().split("## What runs", 1)[1].split("```sh\n", 1)[1].split("```", 1)[0]
    return [line.replace(".venv/bin/", "") for line in shown.splitlines()]


def test_a_second_run_changes_nothing(basic: Run) -> None:
    for arguments in ((), ("-e", "full=true")):
        again = playbook("site.yml", *TIER, *arguments)
        # The first of the two finds out by one look that there is nothing to do, the second task by task.
        assert ("Nothing to do" in again.output) is (not arguments), again.output[-6000:]
        assert all(recap["changed"] == 0 and recap["failed"] == 0 for recap in again.recaps()), again.output[-6000:]


def test_the_plan_of_a_finished_tier_is_empty(basic: Run) -> None:
    planned = playbook("playbooks/plan.yml", check=False)
    assert (planned.code, "nothing to do" in planned.output) == (0, True), planned.output[-6000:]
    drift = playbook("playbooks/drift.yml", check=False)
    assert drift.code == 0, drift.output


def test_the_readmes_commands_answer(basic: Run) -> None:
    health, graph, ping, status = (run(*shlex.split(command)).output for command in _readme_commands()[:4])
    assert '"status":"ok"' in health.replace(" ", "")
    for group in ("@tier_basic:", "@az_us_east_1a:", "@az_us_east_1b:", "@env_prod:", "@role_backend:"):
        assert group in graph
    assert ping.count("SUCCESS") == 2
    assert URL in status
    assert len(set(re.findall(r"\bi-[0-9a-f]{8,}", status))) == 2
    assert "$" in status


def test_no_secret_leaks(basic: Run, aws: Aws) -> None:
    """The database password and the app's secret are nowhere but in Secrets Manager and the host's tmpfs."""
    secrets = aws("secretsmanager")
    names = ["/vahanhelp/prod/database", "/vahanhelp/prod/backend"]
    values = [json.loads(secrets.get_secret_value(SecretId=name)["SecretString"]) for name in names]
    canaries = [v[key] for v in values for key in ("password", "APP_SECRET") if key in v]
    assert len(canaries) == 2

    ec2 = aws("ec2")
    haystack = basic.output
    for template in ec2.describe_launch_templates()["LaunchTemplates"]:
        versions = ec2.describe_launch_template_versions(LaunchTemplateId=template["LaunchTemplateId"])
        haystack += json.dumps(versions, default=str)
    command = (
        "cd /proc && for p in [0-9]*; do tr '\\0' ' ' <$p/cmdline; done 2>/dev/null; journalctl --no-pager; "
        "cat /var/log/cloud-init*.log; find / -xdev -name dump.pm2 -exec cat {} +; "
        "cat /var/lib/cloud/instance/user-data.txt; cat /etc/vahana/boot.json; systemctl show backend.service"
    )
    dumped = run(
        "ansible", "-i", "inventories/lab", "tier_basic", "-b", "-m", "ansible.builtin.shell", "-a", command
    ).output
    assert "backend-boot" in dumped
    tracked = subprocess.run(["git", "grep", "-l", "-e", canaries[0], "-e", canaries[1]], cwd=ROOT, check=False)
    assert tracked.returncode == 1
    assert not any(canary in haystack + dumped for canary in canaries)


def test_a_terminated_instance_is_replaced_unaided(basic: Run, aws: Aws) -> None:
    victim = _healthy_targets(aws)[0]
    aws("ec2").terminate_instances(InstanceIds=[victim])
    _wait_for_two_healthy(aws, without=victim)


def test_a_killed_host_is_replaced_unaided(basic: Run, aws: Aws) -> None:
    victim = _healthy_targets(aws)[0]
    run("lab", "fault", "kill", victim)
    _wait_for_two_healthy(aws, without=victim)
    assert _call("GET", "/api/health")[0] == 200


def test_a_new_release_is_deployed(basic: Run, aws: Aws) -> None:
    before = _call("GET", "/api/version")[1]["version"]
    run(*shlex.split(_readme_commands()[4]))
    assert before != "my-second-release"
    assert {_call("GET", "/api/version")[1]["version"] for _ in range(8)} == {"my-second-release"}
    pointer = aws("ssm").get_parameter(Name="/vahanhelp/prod/release")["Parameter"]["Value"]
    assert pointer == "my-second-release"
    # Not what the last complete run of site.yml left behind.
    drift = playbook("playbooks/drift.yml", check=False)
    assert drift.code == 2
    assert "Value: " in drift.output and "→ my-second-release" in drift.output


def test_destroy_keeps_a_final_snapshot_and_nothing_else(basic: Run, aws: Aws, before: dict[str, list[str]]) -> None:
    run(*shlex.split(_readme_commands()[5]))
    snapshots = aws("rds").describe_db_snapshots(SnapshotType="manual", DBInstanceIdentifier="vahanhelp-prod")[
        "DBSnapshots"
    ]
    assert [s["Status"] for s in snapshots] == ["available"]
    left = aws("resourcegroupstaggingapi").get_resources(TagFilters=[{"Key": "vahana:app"}])["ResourceTagMappingList"]
    assert [r["ResourceARN"] for r in left] == [s["DBSnapshotArn"] for s in snapshots]

    assert census(aws) == before
