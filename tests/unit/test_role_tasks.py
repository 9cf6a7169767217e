"""Tasks of roles in trouble that the lab does not make: what AWS refuses at first, what a killed run left behind."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import boto3
import pytest
import yaml

from tests.unit.servers import ROOT, moto_apart, serving

REGION, NAME = "us-east-1", "cars-prod"
KEYS: dict[str, Any] = {"aws_access_key_id": "test", "aws_secret_access_key": "0-no-secret-0"}
TAGS = {"vahana:app": "cars", "vahana:env": "prod"}


@dataclass
class Api:
    """An AWS API, and how often it refuses what (an operation of the Query protocol) with which code."""

    url: str
    refusals: dict[str, tuple[str, int]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def client(self, service: Any) -> Any:
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, **KEYS)

    def refusal(self, body: bytes) -> str:
        """Return the code to refuse a request with, or nothing."""
        named = re.search(rb"(?:^|&)Action=(\w+)", body)
        operation = named[1].decode() if named else ""
        code, left = self.refusals.get(operation, ("", 0))
        if left == 0:
            return ""
        self.refusals[operation] = (code, left - 1)
        self.refused.append(operation)
        return code


@contextmanager
def before(url: str) -> Iterator[Api]:
    """Serve what is served there, but refuse what it is told to refuse."""
    api = Api("")

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if code := api.refusal(body):
                error = f"<Code>{code}</Code><Message>not yet</Message>"
                self._send(400, f"<Response><Errors><Error>{error}</Error></Errors></Response>".encode(), "text/xml")
                return
            behind = http.client.HTTPConnection(url.removeprefix("http://"))
            behind.request(self.command, self.path, body, dict(self.headers))
            answer = behind.getresponse()
            self._send(answer.status, answer.read(), answer.getheader("Content-Type", "text/plain"))
            behind.close()

        def _send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - named by the base class

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with serving(Handler) as api.url:
        yield api


@pytest.fixture(scope="module")
def lab_url() -> Iterator[str]:
    """Serve the APIs of the lab, without its hosts, from a process of its own."""
    program = "from lab import moto_patches; moto_patches.apply_all(); from moto.server import main; main()"
    with moto_apart("-c", program) as url:
        yield url


@pytest.fixture
def api(lab_url: str) -> Iterator[Api]:
    """An empty account that can be told what to refuse."""
    urllib.request.urlopen(urllib.request.Request(f"{lab_url}/moto-api/reset", method="POST")).close()
    with before(lab_url) as served:
        yield served


@pytest.fixture
def tasks(api: Api, tmp_path: Path) -> Callable[..., str]:
    """Return how to run one file of a role's tasks, with variables that nothing overrides; it returns the output."""

    def run(role: str, tasks_from: str, fails: bool = False, **variables: Any) -> str:
        shared = {"app_name": "cars", "this_env": "prod", "name_prefix": NAME, "this_region": REGION, "aws_tags": TAGS}
        include = {"ansible.builtin.include_role": {"name": role, "tasks_from": tasks_from}}
        plays = [{"hosts": "localhost", "gather_facts": False, "tasks": [include]}]
        (tmp_path / "plays.yml").write_text(yaml.safe_dump(plays))
        (tmp_path / "variables.json").write_text(json.dumps({**shared, **variables}))
        ran = subprocess.run(
            [
                *(Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local"),
                *("-e", f"@{tmp_path / 'variables.json'}", tmp_path / "plays.yml"),
            ],
            cwd=ROOT,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ANSIBLE_"))},
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_ROLES_PATH": str(ROOT / "roles"),
                "AWS_ENDPOINT_URL": api.url,
                "AWS_REGION": REGION,
                "AWS_ACCESS_KEY_ID": KEYS["aws_access_key_id"],
                "AWS_SECRET_ACCESS_KEY": KEYS["aws_secret_access_key"],
            },
            stdin=DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (ran.returncode != 0) == fails, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    return run


@pytest.fixture
def empty_group(api: Api) -> dict[str, Any]:
    """A group without an instance; what the rollout is to be told."""
    ec2, autoscaling = api.client("ec2"), api.client("autoscaling")
    image = ec2.register_image(Name="any", RootDeviceName="/dev/xvda", Architecture="x86_64")["ImageId"]
    template = {"ImageId": image, "InstanceType": "t3.micro"}
    ec2.create_launch_template(LaunchTemplateName=NAME, LaunchTemplateData=template)
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=NAME,
        LaunchTemplate={"LaunchTemplateName": NAME},
        AvailabilityZones=[f"{REGION}a"],
        MinSize=0,
        MaxSize=2,
        DesiredCapacity=0,
    )
    stack = {
        "compute": {"auto_scaling_group": NAME, "instance_ids": []},
        "load_balancer": {"target_group_arn": ""},
    }
    return {"stack": stack, "backend_port": 3000, "parameter_prefix": "/cars/prod", "deploy_unhealthy": False}


def test_a_release_that_nobody_would_try_is_refused(empty_group: dict[str, Any], tasks: Callable[..., str]) -> None:
    """New instances would start with it."""
    output = tasks("rollout", "preflight", fails=True, **empty_group)
    assert f"Nothing was touched, for no instance of {NAME} is in service: see why with" in output
    assert "If the release is the cure: -e deploy_unhealthy=true" in output
    tasks("rollout", "preflight", **{**empty_group, "deploy_unhealthy": True})


def test_the_certificate_of_an_api_goes_when_its_name_has_gone_before(api: Api, tasks: Callable[..., str]) -> None:
    """Whoever was killed between the two has left the certificate, and the record that validated it."""
    acm, route53 = api.client("acm"), api.client("route53")
    name = "api.cars.example.com"
    arn = acm.request_certificate(
        DomainName=name,
        ValidationMethod="DNS",
        Tags=[{"Key": key, "Value": value} for key, value in {**TAGS, "vahana:layer": "api"}.items()],
    )["CertificateArn"]
    zone = route53.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]
    [option] = acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"]
    record = option["ResourceRecord"]
    wanted = {
        **{key: record[key] for key in ("Name", "Type")},
        "TTL": 300,
        "ResourceRecords": [{"Value": record["Value"]}],
    }
    changes = [{"Action": "CREATE", "ResourceRecordSet": wanted}]
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    listed = {"arn": arn, "service": "acm", "type": "certificate", "id": name, "layer": "api"}
    other = {**listed, "id": "cars.example.com", "layer": "edge"}
    tasks("api", "certificate_absent", stack={"resources": [other, listed]}, api_zone_id=zone.rpartition("/")[2])
    assert acm.list_certificates()["CertificateSummaryList"] == []
    left = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    assert {each["Type"] for each in left} == {"NS", "SOA"}


LOOKING = {"stack": {"tier": "basic"}, "teardown_verify_retries": 1, "teardown_verify_delay": 0}


def test_what_a_destroy_leaves_is_named_also_when_the_first_look_failed(api: Api, tasks: Callable[..., str]) -> None:
    name, tags = "/cars/prod/left", [{"Key": key, "Value": value} for key, value in TAGS.items()]
    api.client("ssm").put_parameter(Name=name, Value="x", Type="String", Tags=tags)
    api.refusals["DescribeVpcs"] = ("UnauthorizedOperation", 1)
    said = tasks("teardown", "verify", fails=True, **LOOKING)
    assert api.refused == ["DescribeVpcs"]
    assert "1 resources of cars-prod are left" in said and f"ssm parameter {name}" in said


def test_a_destroy_says_when_nobody_could_look_at_what_it_leaves(api: Api, tasks: Callable[..., str]) -> None:
    api.refusals["DescribeVpcs"] = ("UnauthorizedOperation", 2)
    said = tasks("teardown", "verify", fails=True, **LOOKING)
    assert "could not be seen" in said and "UnauthorizedOperation" in said


def test_an_address_that_ec2_does_not_let_go_at_once_is_released(api: Api, tasks: Callable[..., str]) -> None:
    """Of one NAT gateway where there were two, the run before having ended when the gateway was gone."""
    ec2, tags = api.client("ec2"), {**TAGS, "vahana:layer": "network"}

    def address(layer: str) -> str:
        pairs = [{"Key": key, "Value": value} for key, value in {**tags, "vahana:layer": layer}.items()]
        asked = [{"ResourceType": "elastic-ip", "Tags": pairs}]
        return str(ec2.allocate_address(Domain="vpc", TagSpecifications=asked)["PublicIp"])

    kept, left, other = address("network"), address("network"), address("compute")
    layers = {kept: "network", left: "network", other: "compute"}
    existing = [{"public_ip": ip, "tags": {"vahana:layer": layer}} for ip, layer in layers.items()]
    api.refusals["ReleaseAddress"] = ("AuthFailure", 1)
    tasks(
        "network",
        "join",
        stack={"network": {}},
        network_private_subnet_cidrs=[],
        __network_nat_gateway_results={"results": []},
        __network_nat_addresses={"results": [{"public_ip": kept}]},
        __network_existing={"resources": {"nat_gateway": [], "elastic_ip": existing}},
        __network_nat_delay=0,
        ansible_check_mode=False,
    )
    assert api.refused == ["ReleaseAddress"]
    assert {each["PublicIp"] for each in ec2.describe_addresses()["Addresses"]} == {kept, other}


def test_a_flow_log_leaves_the_policy_of_its_bucket(api: Api, tasks: Callable[..., str]) -> None:
    """AWS overwrites one that does not let flow logs in as AWS says it; what the role puts there stays."""
    ec2, s3 = api.client("ec2"), api.client("s3")
    bucket, account = f"{NAME}-logs-123456789012", {"storage_account_id": "123456789012"}
    s3.create_bucket(Bucket=bucket)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]

    def statements() -> list[str]:
        return [each["Sid"] for each in json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]]

    def log(traffic: str) -> None:
        made = ec2.create_flow_logs(
            ResourceType="VPC",
            ResourceIds=[vpc],
            TrafficType=traffic,
            LogDestinationType="s3",
            LogDestination=f"arn:aws:s3:::{bucket}/flow-logs",
        )
        assert not made["Unsuccessful"]

    written = ["AWSLogDeliveryWrite", "AWSLogDeliveryAclCheck"]
    log("ALL")
    assert statements() == written
    said = tasks("storage", "logs_policy", **account)
    assert statements() == ["DenyPlainHttp", "LoadBalancer", *written]
    assert "changed=0" in said
    log("REJECT")
    assert statements() == ["DenyPlainHttp", "LoadBalancer", *written]


@pytest.mark.parametrize("late", [False, True])
def test_a_rollout_that_failed_says_with_which_release_new_instances_start(
    api: Api, tasks: Callable[..., str], late: bool
) -> None:
    """A second pass comes when the release is approved, and what was read before says otherwise."""
    said = tasks(
        "rollout",
        "finish",
        fails=True,
        rollout_release="2.0.0",
        rollout_hosts=["localhost"],
        rollout_late=late,
        rollout_started=0,
        rollout_failure={"host": "i-1", "phase": "switching", "cause": "it is not healthy", "log": []},
        parameter_prefix="/cars/prod",
        run_playbook="ansible-playbook",
        backend_port=3000,
        stack={"release": "1.0.0", "compute": {"auto_scaling_group": ""}},
    )
    assert "i-1 failed at switching: it is not healthy" in said
    assert ("new instances start with 1.0.0" in said) is not late
    assert ("2.0.0 is approved, and new instances start with it" in said) is late
    assert f"playbooks/deploy.yml -e release={'2.0.0' if late else '1.0.0'}`" in said


def test_migrations_that_hang_are_ended_on_their_host(
    tasks: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all their processes, also those that do not listen to a signal."""
    tool = tmp_path / "backend-release"
    tool.write_text(f"#!/bin/sh\ntrap '' TERM\nsleep 600 &\necho $! > {tmp_path}/child\nwait\n")
    tool.chmod(0o755)
    (tmp_path / "failed_migrate.yml").write_text(json.dumps([{"ansible.builtin.debug": {"msg": "{{ hooks_error }}"}}]))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    said = tasks(
        "rollout",
        "migrate",
        rollout_release="2.0.0",
        rollout_migrate_timeout=1,
        hooks_directory=str(tmp_path),
        ansible_become=False,
        ansible_python_interpreter=sys.executable,
        parameter_prefix="/cars/prod",
        backend_port=3000,
        public_url="",
        reason="",
        stack={"release": "1.0.0", "compute": {"auto_scaling_group": ""}},
    )
    assert "the migrations did not end within 1 s (rollout_migrate_timeout) and were killed" in said, said
    # Where nobody asks for what became of it, its entry stays.
    status = Path("/proc", (tmp_path / "child").read_text().strip(), "status")
    assert not status.exists() or "State:\tZ" in status.read_text()
