"""Wrong input to the real ansible-playbook: the message, the exit code, and that AWS was not asked anything."""

from __future__ import annotations

import pytest

from tests.unit.flow import counting_server, errors, run

WRONG = {
    "tier": "bsic",
    "aws_region": "us-esat-1",
    "app_name": "My_App",
    "domain": "http://x",
    "release": "a/b",
    "compute_min_sise": "1",
}


@pytest.mark.parametrize("playbook", ["site.yml", "playbooks/deploy.yml", "playbooks/destroy.yml"])
def test_every_mistake_at_once_and_no_api_call(playbook: str) -> None:
    with counting_server() as calls:
        ran = run(
            "ansible-playbook",
            playbook,
            *(f"-e{name}={value}" for name, value in WRONG.items()),
            VAHANA_LAB_ENDPOINT=calls.url,
        )
    assert ran.returncode != 0
    found = errors(ran)
    assert len(found) == 6, ran.stdout + ran.stderr
    expected = (
        "compute_min_sise (-e): nothing reads a variable of this name; did you mean compute_min_size?",
        "tier (-e): unknown tier 'bsic'; did you mean basic? one of minimal, basic, full, serverless, microservices",
        "aws_region (-e): unknown region 'us-esat-1'; did you mean us-east-1?",
        "app_name (-e): 'My_App' cannot be part of AWS names",
        "domain (-e): 'http://x' is not a domain name; write the name alone",
        "release (-e): 'a/b' is not a release name",
    )
    for line, start in zip(found, expected, strict=True):
        assert line.startswith(start), line
    assert calls.made == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["-e", "tier=microservices", "-e", "service=card"],
            "service (-e): there is no service 'card'; there are auth, cars, insurance, payment, notification",
        ),
        (
            ["-e", "tier=basic", "-e", "compute_min_size=9"],
            "compute_min_size (-e): 9 is more than compute_max_size (4)",
        ),
        (
            ["-e", "tier=basic", "-e", '{"network_public_subnet_cidrs": ["10.0.1.0/24"]}'],
            "network_public_subnet_cidrs (-e): 1 subnet for the load balancer; it needs 2 availability zones",
        ),
        (
            ["-e", "tier=basic", "-e", "release_backend_source=/no/such"],
            "release_backend_source (-e): the folder of the backend, /no/such, does not exist",
        ),
        (
            ["-e", "tier=basic", "-e", "database_multi_az=maybe"],
            "database_multi_az (-e): 'maybe' is neither yes nor no; true or false",
        ),
        (
            ["-e", "tier=basic", "-e", "network_vpc_cidr=10.0.0.0/30"],
            "network_vpc_cidr (-e): 10.0.0.0/30 is too small; AWS takes /16 to /28",
        ),
    ],
)
def test_a_tiers_own_data_is_checked_before_any_call(arguments: list[str], message: str) -> None:
    with counting_server() as calls:
        ran = run("ansible-playbook", "site.yml", *arguments, VAHANA_LAB_ENDPOINT=calls.url)
    assert ran.returncode != 0
    found = errors(ran)
    assert len(found) == 1, ran.stdout + ran.stderr
    assert found[0].startswith(message)
    assert calls.made == []


def test_a_lab_that_does_not_run() -> None:
    with counting_server() as calls:
        pass
    ran = run("ansible-playbook", "site.yml", "-e", "tier=minimal", VAHANA_LAB_ENDPOINT=calls.url)
    assert ran.returncode != 0
    assert errors(ran) == ["the lab is not running: start it with `make demo` or `.venv/bin/lab up`"]


def test_aws_without_credentials() -> None:
    ran = run("ansible-playbook", "site.yml", "-e", "tier=minimal", inventory="aws")
    assert ran.returncode != 0
    found = errors(ran)
    assert len(found) == 1, ran.stdout + ran.stderr
    assert found[0].startswith("no AWS credentials; run `aws configure` or `aws sso login`")
