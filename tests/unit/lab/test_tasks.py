"""ECS tasks: what a container is started with, how it lives and ends, what it may ask for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.ecs.models import ecs_backends

from lab import podman, registry, settings, task_containers, task_metadata, times
from lab.imds import Credentials
from lab.moto_patches import ecs, elbv2
from lab.reconcilers import networks, tasks

pytestmark = pytest.mark.usefixtures("lab_account")
Client = Callable[[str], Any]
TRUST = json.dumps({"Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}}]})
LOGS = {"awslogs-group": "/trial", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "web"}


class Machine:
    """Containers that run, in place of podman."""

    def __init__(self) -> None:
        self.running: dict[str, dict[str, Any]] = {}
        self.ended: dict[str, int] = {}
        """Containers that ended, with their exit code."""
        self.stopped: list[tuple[str, int]] = []
        self.listings = 0
        """How often podman was asked what runs."""
        self.check = 0
        """What a health check exits with."""
        self.checks: list[tuple[str, ...]] = []
        self.pulled: list[str] = []

    def containers(self, _labels: Any) -> dict[str, podman.Container]:
        self.listings += 1
        states = {**dict.fromkeys(self.running, "running"), **dict.fromkeys(self.ended, "exited")}
        return {name: podman.Container(name, state, {}, "") for name, state in states.items()}

    def run(self, name: str, image: str, *command: str, **more: Any) -> None:
        self.running[name] = {"image": image, "command": command, **more, "options": list(more["options"])}

    def stop(self, name: str, seconds: int) -> None:
        self.running.pop(name)
        self.ended[name] = 0
        self.stopped.append((name, seconds))

    def die(self, name: str, code: int) -> None:
        self.running.pop(name)
        self.ended[name] = code

    def inspect(self, name: str) -> dict[str, Any] | None:
        if name in self.running:
            return {"State": {"Pid": os.getpid()}}
        return {"State": {"ExitCode": self.ended[name], "OOMKilled": False, "Pid": 0}} if name in self.ended else None

    def rm(self, name: str) -> None:
        self.running.pop(name, None)
        self.ended.pop(name, None)

    def execute(self, _name: str, *command: str, **_: Any) -> subprocess.CompletedProcess[str]:
        self.checks.append(command)
        return subprocess.CompletedProcess(command, self.check, "", "")

    def pull(self, image: str) -> tuple[str, str]:
        self.pulled.append(image)
        return f"{image}@sha256:1", "sha256:1"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    found = Machine()
    monkeypatch.setenv("VAHANA_LAB_HOME", str(tmp_path))
    for name in ("containers", "run", "stop", "inspect", "rm", "execute"):
        monkeypatch.setattr(tasks.podman, name, getattr(found, name))
    monkeypatch.setattr(tasks.podman, "image_rm", lambda _image: True)
    monkeypatch.setattr(networks, "ensure", lambda *_: None)
    monkeypatch.setattr(registry, "pull", found.pull)
    return found


@pytest.fixture
def reconciler(machine: Machine) -> Iterator[tasks.Tasks]:
    made = tasks.Tasks()
    yield made
    made.close()


class Account:
    """An account in which a task can run."""

    def __init__(self, client: Client) -> None:
        self.client = client
        vpc = client("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        self.subnet = client("ec2").create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
        client("ecs").create_cluster(clusterName="trial")
        client("logs").create_log_group(logGroupName="/trial")
        self.execution = self.role("execution", "ecr:*", "logs:*", "secretsmanager:GetSecretValue", "ssm:GetParameters")
        self.own = self.role("own", "sqs:SendMessage")
        client("ecr").create_repository(repositoryName="web")
        self.image = f"{registry.endpoint()}/us-east-1/web"
        repository = client("ecr").describe_repositories()["repositories"][0]
        assert repository["repositoryUri"] == self.image
        manifest = json.dumps({"mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []})
        client("ecr").put_image(repositoryName="web", imageManifest=manifest, imageTag="v1")

    def role(self, name: str, *actions: str) -> str:
        api = self.client("iam")
        arn = str(api.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"])
        allowed = {
            "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}],
            "Version": "2012-10-17",
        }
        api.put_role_policy(RoleName=name, PolicyName="trial", PolicyDocument=json.dumps(allowed))
        return arn

    def run(self, overrides: dict[str, Any] | None = None, **container: Any) -> ecs.Task:
        self.client("ecs").register_task_definition(
            family="web",
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="512",
            memory="1024",
            executionRoleArn=self.execution,
            taskRoleArn=self.own,
            containerDefinitions=[
                {
                    "name": "web",
                    "image": f"{self.image}:v1",
                    "logConfiguration": {"logDriver": "awslogs", "options": LOGS},
                    **container,
                }
            ],
        )
        made = self.client("ecs").run_task(
            cluster="trial",
            taskDefinition="web",
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": {"subnets": [self.subnet]}},
            overrides=overrides or {},
        )["tasks"][0]
        found: ecs.Task = ecs_backends[settings.ACCOUNT_ID]["us-east-1"].tasks["trial"][made["taskArn"]]
        return found


@pytest.fixture
def account_with_roles(client: Client) -> Account:
    return Account(client)


def rounds(reconciler: tasks.Tasks, until: Callable[[], bool]) -> None:
    """Reconcile until something is so."""
    deadline = time.monotonic() + 20
    while not until():
        assert time.monotonic() < deadline
        reconciler.reconcile()
        time.sleep(0.01)


def started(reconciler: tasks.Tasks, task: ecs.Task) -> None:
    rounds(reconciler, lambda: task.last_status != "PROVISIONING" and task.id not in reconciler._busy)


def test_a_container_is_as_its_definition_says(
    account_with_roles: Account, machine: Machine, reconciler: tasks.Tasks, client: Client
) -> None:
    value = json.dumps({"key": "two\nlines", "number": 5})
    arn = client("secretsmanager").create_secret(Name="trial", SecretString=value)["ARN"]
    client("ssm").put_parameter(Name="/trial/url", Value="postgres://", Type="SecureString")
    task = account_with_roles.run(
        {"containerOverrides": [{"name": "web", "environment": [{"name": "MODE", "value": "b"}]}]},
        command=["node", "src/main.js"],
        environment=[{"name": "MODE", "value": "a"}, {"name": "PLAIN", "value": "x y"}],
        secrets=[
            {"name": "KEY", "valueFrom": f"{arn}:key::"},
            {"name": "NUMBER", "valueFrom": f"{arn}:number:AWSCURRENT:"},
            {"name": "URL", "valueFrom": "arn:aws:ssm:us-east-1:123456789012:parameter/trial/url"},
            {"name": "SAME", "valueFrom": "/trial/url"},
        ],
        readonlyRootFilesystem=True,
        user="10001:10001",
        ulimits=[{"name": "nofile", "softLimit": 1024, "hardLimit": 2048}],
    )
    started(reconciler, task)
    made = machine.running[tasks.container_name(task)]
    assert task.last_status == "RUNNING" and task.stopped_reason == ""
    assert (made["image"], made["command"], made["address"]) == (
        f"{account_with_roles.image}:v1@sha256:1",
        ("node", "src/main.js"),
        task.address,
    )
    assert made["secrets"] == {"KEY": "two\nlines", "NUMBER": "5", "URL": "postgres://", "SAME": "postgres://"}
    options = " ".join(made["options"])
    for wanted in (
        "--cpus 0.5 --memory 1024m",
        "--read-only --read-only-tmpfs=false",
        "--user 10001:10001",
        "--ulimit=nofile=1024:2048",
        "--env MODE=b",
        "--env PLAIN=x y",
        f"--env AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/{task.id}",
        f"--env AWS_ENDPOINT_URL={settings.HOST_API_URL}",
    ):
        assert wanted in options
    assert "MODE=a" not in options and "postgres://" not in options
    shown = client("ecs").describe_tasks(cluster="trial", tasks=[task.id])["tasks"][0]
    assert shown["containers"][0]["networkInterfaces"][0]["privateIpv4Address"] == task.address
    assert shown["containers"][0]["imageDigest"] == "sha256:1"


@pytest.mark.parametrize(
    ("denied", "container", "reason"),
    [
        ("ecr:*", {}, "pull secrets or registry auth.*ecr:GetAuthorizationToken"),
        ("ecr:BatchGetImage", {}, "CannotPullContainerError.*ecr:BatchGetImage"),
        ("logs:*", {}, "failed to create Cloudwatch log stream.*logs:CreateLogStream"),
        ("ssm:*", {"secrets": [{"name": "A", "valueFrom": "/a"}]}, "retrieve secrets from ssm.*ssm:GetParameters"),
        ("none:*", {"secrets": [{"name": "A", "valueFrom": "/a"}]}, "invalid ssm parameters: /a"),
        ("none:*", {"image": "web:latest"}, "CannotPullContainerError.*web:latest: not found"),
        (
            "none:*",
            {"logConfiguration": {"logDriver": "awslogs", "options": {**LOGS, "awslogs-group": "/none"}}},
            "The specified log group does not exist",
        ),
    ],
)
def test_what_keeps_a_task_from_starting(
    account_with_roles: Account,
    machine: Machine,
    reconciler: tasks.Tasks,
    client: Client,
    denied: str,
    container: dict[str, Any],
    reason: str,
) -> None:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": denied, "Resource": "*"}]}
    client("iam").put_role_policy(RoleName="execution", PolicyName="deny", PolicyDocument=json.dumps(policy))
    task = account_with_roles.run(**container)
    rounds(reconciler, lambda: task.last_status == "STOPPED")
    assert task.stop_code == "TaskFailedToStart"
    assert re.search(reason, task.stopped_reason), task.stopped_reason
    assert machine.running == {}
    found = client("ec2").describe_network_interfaces()["NetworkInterfaces"]
    assert not [each for each in found if each["PrivateIpAddress"] == task.address]


def test_a_role_must_trust_tasks(
    account_with_roles: Account, machine: Machine, reconciler: tasks.Tasks, client: Client
) -> None:
    statement = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    other = {"Version": "2012-10-17", "Statement": [statement]}
    client("iam").update_assume_role_policy(RoleName="own", PolicyDocument=json.dumps(other))
    task = account_with_roles.run()
    rounds(reconciler, lambda: task.last_status == "STOPPED")
    assert "unable to assume the role 'arn:aws:iam::123456789012:role/own'" in task.stopped_reason


def test_a_task_that_is_stopped_gets_its_time(
    account_with_roles: Account, machine: Machine, reconciler: tasks.Tasks
) -> None:
    task = account_with_roles.run(stopTimeout=7)
    started(reconciler, task)
    task.stop("UserInitiated", "trial")
    rounds(reconciler, lambda: task.last_status == "STOPPED")
    assert machine.stopped == [(tasks.container_name(task), 7)]
    assert (task.exit_code, task.stopped_reason) == (0, "trial") and machine.ended == {}


def test_realistic_takes_its_time(account_with_roles: Account, machine: Machine, reconciler: tasks.Tasks) -> None:
    times.follow(1)
    task = account_with_roles.run()
    for _ in range(3):
        reconciler.reconcile()
    assert task.last_status == "PROVISIONING" and machine.running == {}
    times.follow(0)
    started(reconciler, task)
    assert task.last_status == "RUNNING"


def test_a_container_that_ends_takes_its_task_along(
    account_with_roles: Account, machine: Machine, reconciler: tasks.Tasks
) -> None:
    task = account_with_roles.run()
    started(reconciler, task)
    listings = machine.listings
    reconciler.reconcile()
    assert task.last_status == "RUNNING" and machine.listings == listings, "nothing to ask while all is well"
    machine.die(tasks.container_name(task), 3)
    reconciler._processes.clear()
    rounds(reconciler, lambda: task.last_status == "STOPPED")
    assert (task.stop_code, task.exit_code) == ("EssentialContainerExited", 3) and machine.stopped == []


def test_a_lab_that_was_restarted_goes_on(
    account_with_roles: Account, machine: Machine, reconciler: tasks.Tasks
) -> None:
    task = account_with_roles.run()
    started(reconciler, task)
    machine.running["vahana-task-unknown"] = {}
    again = tasks.Tasks()
    again.reconcile()
    assert list(machine.running) == [tasks.container_name(task)] and task.last_status == "RUNNING"
    again.close()


def test_health_is_what_the_check_says(
    account_with_roles: Account, machine: Machine, reconciler: tasks.Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = {"command": ["CMD-SHELL", "curl -f localhost"], "interval": 5, "retries": 2, "startPeriod": 10}
    task = account_with_roles.run(healthCheck=definition)
    started(reconciler, task)
    check = tasks.HealthCheck(definition)
    assert check.command == ["/bin/sh", "-c", "curl -f localhost"]
    task.health_status = "UNKNOWN"
    check.take(task, False)
    check.take(task, False)
    assert task.health_status == "UNKNOWN", "it has time to start"
    task.started -= 11
    check.take(task, False)
    assert task.health_status == "UNKNOWN"
    check.take(task, False)
    assert task.health_status == "UNHEALTHY"
    check.take(task, True)
    assert task.health_status == "HEALTHY"
    check.take(task, False)
    check.take(task, True)
    check.take(task, False)
    assert task.health_status == "HEALTHY", "only failures in a row count"
    reconciler._checks.clear()
    before = len(machine.checks)
    rounds(reconciler, lambda: len(machine.checks) > before)
    assert machine.checks[-1] == ("/bin/sh", "-c", "curl -f localhost")


def test_output_is_in_the_log_group(
    account_with_roles: Account, machine: Machine, reconciler: tasks.Tasks, client: Client
) -> None:
    task = account_with_roles.run()
    started(reconciler, task)
    path = task_containers.directory_of(task) / "output.log"
    stream = f"web/web/{task.id}"

    def messages() -> list[str]:
        found = client("logs").get_log_events(logGroupName="/trial", logStreamName=stream, startFromHead=True)
        return [event["message"] for event in found["events"]]

    path.write_bytes(b"2026-11-28T19:00:00.1+00:00 stdout F one\n2026-11-28T19:00:00.2+00:00 stderr P tw")
    task_containers.keep_output(task)
    assert messages() == ["one"]
    with path.open("ab") as file:
        file.write(b"o, \n2026-11-28T19:00:00.3+00:00 stderr F three\n2026-11-28T19:00:00.3+00:00 stdout F \n")
    task_containers.keep_output(task)
    task_containers.keep_output(task)
    assert messages() == ["one", "two, three"]


def test_a_task_asks_for_its_own_credentials_alone(
    account_with_roles: Account, machine: Machine, reconciler: tasks.Tasks, client: Client
) -> None:
    task, other = account_with_roles.run(), account_with_roles.run()
    started(reconciler, task)
    started(reconciler, other)
    assert task_metadata.find_task(task.address) is task
    credentials = Credentials()
    found = task_metadata.document(task, f"/v2/credentials/{task.id}", credentials)
    assert found and found["RoleArn"] == account_with_roles.own and found["AccessKeyId"].startswith("ASIA")
    assert set(found) == {"RoleArn", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
    assert task_metadata.document(task, f"/v2/credentials/{other.id}", credentials) is None
    shown = task_metadata.document(task, f"/v4/{task.id}/task", credentials)
    assert shown and shown["TaskARN"] == task.task_arn and shown["Limits"] == {"CPU": 0.5, "Memory": 1024}
    service = task_metadata.TaskMetadataService("127.0.0.1", 0)
    service.start()
    task.address = "127.0.0.1"
    url = "http://{}:{}".format(*service.address)
    with urllib.request.urlopen(f"{url}/v4/{task.id}") as answer:
        assert json.load(answer)["Networks"][0]["IPv4Addresses"] == ["127.0.0.1"]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{url}/v2/credentials/{other.id}")
    service.close()


def test_a_service_is_registered_while_it_runs(
    account_with_roles: Account, machine: Machine, reconciler: tasks.Tasks
) -> None:
    task = account_with_roles.run()
    elbv2.follow(None)
    seen: list[str] = []

    class Group:
        arn = "arn:group"
        attributes = {"deregistration_delay.timeout_seconds": "0"}  # noqa: RUF012
        draining: dict[str, Any] = {}  # noqa: RUF012

        def register(self, targets: list[dict[str, Any]]) -> None:
            seen.extend(f"in {target['Id']}:{target['Port']}" for target in targets)

        def deregister(self, targets: list[dict[str, Any]]) -> None:
            seen.extend(f"out {target['Id']}" for target in targets)

    from moto.elbv2.models import elbv2_backends

    elbv2_backends[settings.ACCOUNT_ID]["us-east-1"].target_groups["arn:group"] = Group()
    task.load_balancers = [{"targetGroupArn": "arn:group", "containerPort": 3000}]
    started(reconciler, task)
    assert seen == [f"in {task.address}:3000"]
    task.stop("UserInitiated", "trial")
    rounds(reconciler, lambda: task.last_status == "STOPPED")
    assert seen == [f"in {task.address}:3000", f"out {task.address}"]
    elbv2_backends[settings.ACCOUNT_ID]["us-east-1"].target_groups.clear()
