"""A task beside the services that works with the database: what it is started with, and what becomes of its answer."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest

from lab import moto_patches
from lab.reconcilers.stand_ins import StandIns
from plugins.module_utils import service_task
from plugins.module_utils.service_task import ServiceTask, TaskError

pytestmark = pytest.mark.usefixtures("lab_account")

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = "cars-prod"
GROUP = "/cars/prod/services/auth"
TAGS = [{"key": "vahana:app", "value": "cars"}, {"key": "vahana:definition", "value": "hash"}]
LOGS = {"awslogs-group": GROUP, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "task"}
ROLE = "arn:aws:iam::123456789012:role/execution"


@pytest.fixture(scope="module")
def action() -> ModuleType:
    """The action plugin, which Ansible finds by its path."""
    spec = importlib.util.spec_from_file_location("backend_data_action", ROOT / "plugins/action/backend_data.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def services(lab_account: None) -> Iterator[None]:
    """One service with a task, in an account whose tasks run."""
    moto_patches.apply_all()
    made = StandIns()
    made.start()
    ec2, ecs = boto3.client("ec2"), boto3.client("ecs")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    boto3.client("logs").create_log_group(logGroupName=GROUP)
    ecs.create_cluster(clusterName=CLUSTER)
    definition: Any = {
        "name": "auth",
        "image": "auth@sha256:1",
        "user": "10001:10001",
        "readonlyRootFilesystem": True,
        "command": ["node", "src/main.js"],
        "environment": [{"name": "PORT", "value": "3000"}],
        "secrets": [{"name": "TOKEN_KEYS", "valueFrom": "arn:aws:secretsmanager:us-east-1:123456789012:secret:keys"}],
        "portMappings": [{"containerPort": 3000}],
        "logConfiguration": {"logDriver": "awslogs", "options": LOGS},
    }
    ecs.register_task_definition(
        family=f"{CLUSTER}-auth",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        executionRoleArn=ROLE,
        taskRoleArn=ROLE,
        containerDefinitions=[definition],
        tags=TAGS,
    )
    ecs.create_service(
        cluster=CLUSTER,
        serviceName="auth",
        taskDefinition=f"{CLUSTER}-auth",
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet]}},
    )
    yield
    made.close()


class Container:
    """In the place of the task's container, as often as somebody looks at it."""

    def __init__(self, *rounds: Callable[[Container], None]) -> None:
        self._rounds, self.arn = list(rounds), ""
        self.definition: dict[str, Any] = {}

    def look(self, _seconds: float) -> None:
        """Do what comes next."""
        time.sleep(0.05)
        ecs = boto3.client("ecs")
        [self.arn] = ecs.list_tasks(cluster=CLUSTER, family=f"{CLUSTER}-backend-data")["taskArns"] or [self.arn]
        task = ecs.describe_tasks(cluster=CLUSTER, tasks=[self.arn])["tasks"][0]
        described: Any = ecs.describe_task_definition(taskDefinition=task["taskDefinitionArn"], include=["TAGS"])
        self.definition = {**described["taskDefinition"], "tags": described["tags"]}
        if self._rounds:
            self._rounds.pop(0)(self)

    def write(self, *lines: str) -> None:
        """Write lines to its log."""
        logs, stream = boto3.client("logs"), f"backend-data/backend-data/{self.arn.rpartition('/')[2]}"
        if not logs.describe_log_streams(logGroupName=GROUP)["logStreams"]:
            logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
        events: Any = [{"timestamp": int(time.time() * 1000), "message": line} for line in lines]
        logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)

    def end(self) -> None:
        """Stop."""
        boto3.client("ecs").stop_task(cluster=CLUSTER, task=self.arn, reason="it was killed")


def run(container: Container) -> Any:
    task = ServiceTask(boto3.client("ecs"), boto3.client("logs"), CLUSTER, "backend-data", sleep=container.look)
    return task.run(["node", "--eval", "1"], {"JOB": "{}"}, {"PASSWORD": "arn:x:password::"}, 5)


def left() -> list[str]:
    found: list[str] = boto3.client("ecs").list_task_definitions(familyPrefix=f"{CLUSTER}-backend-data")[
        "taskDefinitionArns"
    ]
    return found


@pytest.mark.usefixtures("services")
def test_the_answer_is_put_together() -> None:
    container = Container(
        lambda its: its.write("(node:1) a warning"),
        lambda its: its.write('backend-data 1/2 {"result": {"ro'),
        lambda its: its.write('backend-data 2/2 ws": 3}}'),
    )
    assert run(container) == {"rows": 3}
    its = container.definition["containerDefinitions"][0]
    assert (its["image"], its["user"], its["readonlyRootFilesystem"]) == ("auth@sha256:1", "10001:10001", True)
    assert its["command"] == ["node", "--eval", "1"]
    assert its["environment"] == [{"name": "JOB", "value": "{}"}]
    assert its["secrets"] == [{"name": "PASSWORD", "valueFrom": "arn:x:password::"}]
    assert container.definition["executionRoleArn"] == ROLE
    assert "taskRoleArn" not in container.definition, "it asks nobody for anything"
    assert {"key": "vahana:app", "value": "cars"} in container.definition["tags"]
    assert "vahana:definition" not in [each["key"] for each in container.definition["tags"]]
    assert left() == []


@pytest.mark.usefixtures("services")
def test_an_error_is_the_tasks_own_words() -> None:
    container = Container(lambda its: its.write('backend-data 1/1 {"error": "the password is wrong"}'))
    with pytest.raises(TaskError, match=r"^the password is wrong$"):
        run(container)
    assert left() == []


@pytest.mark.usefixtures("services")
def test_a_task_that_ends_without_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_task, "LOG_SECONDS", 0.3)
    container = Container(Container.end)
    with pytest.raises(TaskError, match="backend-data beside the services of cars-prod failed: it was killed"):
        run(container)
    assert left() == []


def test_without_services_there_is_nowhere_to_run() -> None:
    boto3.client("ecs").create_cluster(clusterName=CLUSTER)
    with pytest.raises(TaskError, match="no service of cars-prod is there"):
        run(Container())


# What is asked for ----------------------------------------------------------------------------------------------------

NOTHING = {"since": "", "secret": "", "stage": "AWSCURRENT", "user": "", "address": "", "prefix": "/cars/prod"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"verb": "measure", "address": "db.copy", "since": "7:7:"}, "measure --host db.copy --since 7:7:"),
        ({"verb": "logins"}, "logins"),
        ({"verb": "admit", "secret": "current", "address": "db"}, "admit current --stage AWSCURRENT --host db"),
        ({"verb": "dismiss", "user": "cars_a"}, "dismiss cars_a"),
    ],
)
def test_the_command_of_a_host(action: ModuleType, given: dict[str, str], words: str) -> None:
    assert action.command({**NOTHING, **given}) == ["backend-data", *words.split()]


class Asked:
    """In the place of the task: what it would be run with."""

    def run(self, command: list[str], environment: dict[str, str], secrets: dict[str, str], seconds: float) -> str:
        self.command, self.job, self.secrets = command, json.loads(environment["JOB"]), secrets
        return "done"


def ask(action: ModuleType, asked: Asked, **given: Any) -> Any:
    secrets = action.Secrets(boto3.client("secretsmanager"))
    return action.beside({**NOTHING, "timeout": 60, **given}, boto3.client("ssm"), secrets, asked)


def test_what_a_task_reads(action: ModuleType) -> None:
    api, asked = boto3.client("secretsmanager"), Asked()
    arns = {
        name: api.create_secret(Name=f"/cars/prod/{name}", SecretString="{}")["ARN"]
        for name in ("database", "database-login")
    }
    place = {"host": "db", "port": 5432, "name": "cars", "secret": "/cars/prod/database"}
    ssm = boto3.client("ssm")
    ssm.put_parameter(Name="/cars/prod/database", Value=json.dumps(place), Type="String")

    assert ask(action, asked, verb="admit", secret="current") == {"admitted": ""}, "the master user's is RDS's own"
    assert ask(action, asked, verb="logins") == "done"
    master = arns["database"]
    assert asked.secrets == {
        "MASTER_USER": f"{master}:username::",
        "MASTER_PASSWORD": f"{master}:password::",
        "USED_USER": f"{master}:username::",
    }
    assert (asked.job["host"], asked.job["port"], asked.job["database"]) == ("db", 5432, "cars")
    assert "vahana_row" in asked.job["statements"]["MEASURE"]
    assert not any("password" in word.lower() and "arn:" in word for word in asked.command)

    # A rotation broke off after it had told RDS; the application has a login of its own.
    api.put_secret_value(SecretId=master, SecretString="{}", VersionStages=["AWSPENDING"])
    place["secret"] = "/cars/prod/database-login"
    ssm.put_parameter(Name="/cars/prod/database", Value=json.dumps(place), Type="String", Overwrite=True)
    ask(action, asked, verb="admit", secret="/cars/prod/database-login", stage="AWSPENDING", address="db.copy")
    login = arns["database-login"]
    assert asked.secrets["MASTER_PENDING"] == f"{master}:password:AWSPENDING:"
    assert asked.secrets["USED_USER"] == f"{login}:username::"
    assert asked.secrets["LOGIN_PASSWORD"] == f"{login}:password:AWSPENDING:"
    assert asked.job["host"] == "db.copy"
    ask(action, asked, verb="admit", secret="current", address="db.copy")
    assert asked.secrets["LOGIN_USER"] == f"{login}:username:AWSCURRENT:"
