"""Which AWS a run may talk to: the guard of the inventories, and what the lab's inventory groups."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import boto3
import pytest
import yaml

from plugins.inventory import aws_endpoint
from tests.unit.flow import ROOT, counting_server, errors, run


@pytest.mark.parametrize("url", ["http://127.0.0.1:4566", "http://127.8.0.1:1", "http://[::1]:4566"])
def test_loopback_is_the_lab(url: str) -> None:
    assert aws_endpoint.lab_endpoint_problem(url) == ""


@pytest.mark.parametrize(
    "url", ["https://ec2.us-east-1.amazonaws.com", "http://10.0.0.1:4566", "http://lab.example.com", "", "http://"]
)
def test_anything_else_is_not(url: str) -> None:
    assert "the lab inventory talks to this machine only" in aws_endpoint.lab_endpoint_problem(url)


def test_what_people_write_is_the_variable_that_playbooks_know() -> None:
    given = {"strategy": "replace", "version": "2.0.0"}
    aws_endpoint.rename_words(given)
    assert given == {"deploy_strategy": "replace", "release": "2.0.0"}
    # Nobody knows which of them is meant.
    both = {"version": "2.0.0", "release": "1.0.0"}
    aws_endpoint.rename_words(both)
    assert both == {"version": "2.0.0", "release": "1.0.0"}


def test_a_strategy_that_cannot_be_is_refused_before_anything_is_asked() -> None:
    ran = run("ansible-inventory", "--list", "-e", "strategy=replace", "-e", "tier=minimal")
    assert any("strategy (-e): tier minimal is a single instance whose disk" in line for line in errors(ran))
    ran = run("ansible-inventory", "--list", "-e", "strategy=swap")
    assert any("strategy (-e): 'swap' is not a strategy; in_place or replace" in line for line in errors(ran))


def test_a_redirected_aws_is_refused() -> None:
    assert aws_endpoint.aws_environment_problem({"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": ""}) == ""
    problem = aws_endpoint.aws_environment_problem({"AWS_ENDPOINT_URL_S3": "http://x", "AWS_URL": "http://y"})
    assert "AWS_ENDPOINT_URL_S3=http://x, AWS_URL=http://y is set" in problem


def test_the_lab_keeps_nothing_of_the_callers_aws_settings(tmp_path: Path) -> None:
    environment = {
        "VAHANA_LAB_HOME": str(tmp_path),
        "AWS_PROFILE": "production",
        "AWS_SESSION_TOKEN": "real",
        "AWS_ENDPOINT_URL_S3": "https://elsewhere",
        "HOME": "/root",
        "NO_PROXY": "intranet",
    }
    aws_endpoint.enter_lab(environment, "http://127.0.0.1:4566")
    assert environment == {
        "VAHANA_LAB_HOME": str(tmp_path),
        "CONTAINERS_REGISTRIES_CONF": str(ROOT / "lab" / "registries.conf"),
        "HOME": "/root",
        "NO_PROXY": "intranet,127.0.0.1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "AWS_ACCESS_KEY_ID": "lab",
        "AWS_SECRET_ACCESS_KEY": "0-no-secret-0",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def test_images_are_made_where_the_lab_runs_them(tmp_path: Path) -> None:
    (tmp_path / "podman").mkdir()
    for name in ("containers.conf", "storage.conf"):
        (tmp_path / "podman" / name).touch()
    environment = {"VAHANA_LAB_HOME": str(tmp_path)}
    aws_endpoint.enter_lab(environment, "http://127.0.0.1:4566")
    assert environment["CONTAINERS_STORAGE_CONF"] == str(tmp_path / "podman" / "storage.conf")
    assert environment["CONTAINERS_CONF"] == str(tmp_path / "podman" / "containers.conf")


def test_the_lab_may_be_asked_as_a_role() -> None:
    environment = {"AWS_SESSION_TOKEN": "real", "VAHANA_LAB_CREDENTIALS": "key secret token"}
    aws_endpoint.enter_lab(environment, "http://127.0.0.1:4566")
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    assert [environment[name] for name in names] == ["key", "secret", "token"]


def test_every_client_is_patient_with_throttling() -> None:
    with counting_server() as calls:
        ran = run(
            "ansible",
            *("localhost", "-c", "local", "-m", "debug", "-a"),
            "msg={{ lookup('env', 'AWS_RETRY_MODE') }}-{{ lookup('env', 'AWS_MAX_ATTEMPTS') }}",
            inventory="lab/00_endpoint.yml",
            VAHANA_LAB_ENDPOINT=calls.url,
        )
    assert "adaptive-6" in ran.stdout, ran.stdout + ran.stderr


def test_a_lab_endpoint_elsewhere_stops_the_run() -> None:
    ran = run("ansible-inventory", "--graph", VAHANA_LAB_ENDPOINT="http://192.0.2.1:4566")
    assert ran.returncode != 0
    assert errors(ran)[0].startswith("the lab inventory talks to this machine only, not to 'http://192.0.2.1:4566'")


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2", "VAHANA_LAB_ENDPOINT"])
def test_the_aws_inventory_refuses_an_endpoint(name: str) -> None:
    ran = run("ansible-inventory", "--graph", inventory="aws", **{name: "http://127.0.0.1:4566"})
    assert ran.returncode != 0
    assert f"{name}" in errors(ran)[0]
    assert len(errors(ran)) == 1


def test_both_inventories_ask_for_the_same() -> None:
    """They differ in how a host is reached and in nothing else."""
    lab, aws = (yaml.safe_load((ROOT / f"inventories/{name}/aws_ec2.yml").read_text()) for name in ("lab", "aws"))
    assert lab["compose"].pop("ansible_host") == "ec2_private_ip_address"
    assert aws["compose"].pop("ansible_host") == "ec2_instance_id"
    assert lab == aws


@pytest.fixture(scope="module")
def api(moto_url: str) -> str:
    """An API with instances of this environment, of another one, and an ended one."""
    ec2 = boto3.client(
        "ec2", region_name="us-east-1", endpoint_url=moto_url, aws_access_key_id="x", aws_secret_access_key="x"
    )
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    for env, role, zone in (
        ("prod", "backend", "us-east-1a"),
        ("prod", "backend", "us-east-1b"),
        ("prod", "image-builder", "us-east-1a"),
        ("test", "backend", "us-east-1a"),
        ("prod", "ended", "us-east-1a"),
    ):
        tags = {"vahana:app": "vahanhelp", "vahana:env": env, "vahana:tier": "basic", "vahana:role": role}
        instance = ec2.run_instances(
            ImageId=image,
            MinCount=1,
            MaxCount=1,
            Placement={"AvailabilityZone": zone},
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
            ],
        )["Instances"][0]["InstanceId"]
        if role == "ended":
            ec2.terminate_instances(InstanceIds=[instance])
    return moto_url


def groups(ran: subprocess.CompletedProcess[str]) -> dict[str, list[str]]:
    """Return the hosts of each group of an inventory's JSON."""
    assert ran.returncode == 0, ran.stderr
    content = json.loads(ran.stdout)
    return {name: group["hosts"] for name, group in content.items() if "hosts" in group}


def test_instances_are_grouped_by_tier_role_and_zone(api: str) -> None:
    ran = run("ansible-inventory", "--list", VAHANA_LAB_ENDPOINT=api, AWS_PROFILE="does-not-exist")
    found = groups(ran)
    assert {name: len(hosts) for name, hosts in found.items() if name != "ungrouped"} == {
        "aws_ec2": 3,
        "tier_basic": 3,
        "env_prod": 3,
        "app_vahanhelp": 3,
        "role_backend": 2,
        "role_image_builder": 1,
        "az_us_east_1a": 2,
        "az_us_east_1b": 1,
    }
    assert all(name.startswith("i-") for name in found["tier_basic"])
    assert ran.stderr == "", "no warning"


def test_another_environment_is_chosen_by_its_name(api: str) -> None:
    ran = run("ansible-inventory", "--list", "-e", "deploy_env=test", VAHANA_LAB_ENDPOINT=api)
    assert len(groups(ran)["env_test"]) == 1
    assert "env_prod" not in groups(ran)


def test_another_region_has_none(api: str) -> None:
    ran = run("ansible-inventory", "--list", "-e", "aws_region=eu-central-1", VAHANA_LAB_ENDPOINT=api)
    assert "aws_ec2" not in groups(ran)


def test_host_keys_are_checked_by_instance_id(api: str, tmp_path: Path) -> None:
    backend = groups(run("ansible-inventory", "--list", VAHANA_LAB_ENDPOINT=api))["role_backend"][0]
    ran = run(
        "ansible", backend, "-c", "local", "-m", "debug", "-a", "msg={{ ansible_ssh_common_args }}",
        VAHANA_LAB_ENDPOINT=api,
    )  # fmt: skip
    said = " ".join(ran.stdout.split())
    assert f"-o HostKeyAlias={backend}" in said
    assert f"plugins/ssh/instance_host_keys {backend}" in said
    assert "-o StrictHostKeyChecking=yes" in said


def test_a_command_begins_like_the_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(aws_endpoint.ROOT)
    lab = {"inventory": (str(aws_endpoint.ROOT / "inventories/lab"),)}
    given = {"app_name": "shop", "deploy_env": "test", "release": "1"}
    begins = "ansible-playbook -i inventories/lab -e app_name=shop -e deploy_env=test"
    assert aws_endpoint.command_line(lab, given) == begins
    default = {"inventory": (str(aws_endpoint.ROOT / "inventories/aws"),)}
    assert aws_endpoint.command_line(default, {}) == "ansible-playbook"
