"""Work with the environment's database from where it lets somebody in: a host, or a task beside the services."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from ansible.plugins.action import ActionBase
from botocore.exceptions import BotoCoreError, ClientError

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "roles/backend/files"))
import backend_statements

from plugins.module_utils.service_task import ServiceTask, TaskError

DOCUMENTATION = r"""
module: backend_data
short_description: Measure the database, and let its logins in and out
description:
  - Without a cluster it runs C(backend-data) (roles/backend) on the host that the task is delegated to.
  - With one there are no hosts. Then plugins/remote/service_data.mjs does the same as a task with the image and the
    network of a service, whose image has Node.js and the package C(pg). ECS reads the passwords from Secrets Manager;
    they never come here.
  - Prints one JSON object. In check mode nothing is asked.
options:
  verb:
    description: >-
      C(measure) counts and checks the rows of every table, C(logins) shows who is logged in, C(admit) lets a login in,
      C(dismiss) shuts one out that nobody uses any more.
    type: str
    choices: [measure, logins, admit, dismiss]
    required: true
  since:
    description: Of C(measure), the C(snapshot) of an earlier one, whose rows are counted by themselves.
    type: str
    default: ""
  secret:
    description: Of C(admit), the secret with the login; C(current) is the one that the application uses.
    type: str
    default: ""
  stage:
    description: Of C(admit), the version of the secret.
    type: str
    default: AWSCURRENT
  user:
    description: Of C(dismiss), the login.
    type: str
    default: ""
  address:
    description: Address of a copy of the database. Empty for the one in use.
    type: str
    default: ""
  cluster:
    description: ECS cluster of the services. Empty where there are hosts.
    type: str
    default: ""
  prefix:
    description: >-
      What the names of the environment's parameters and secrets begin with: C(database) says where the database is, and
      the secret of that name opens it for the master user.
    type: str
    required: true
  timeout:
    description: Seconds that a task may take. Counting reads every row.
    type: int
    default: 3600
"""

RETURN = r"""
stdout:
  description: What the tool prints; empty in check mode.
  returned: always
  type: str
"""

SCRIPT = Path(__file__).resolve().parents[1] / "remote" / "service_data.mjs"
CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"
LOGIN_PATIENCE = 120
"""Seconds in which a password that was just changed may still be refused."""
DISMISS_PATIENCE = 90
"""Seconds for those who still use a login to go."""
STATEMENTS = {name: value for name, value in vars(backend_statements).items() if name.isupper()}
TAKES: dict[str, dict[str, Any]] = {
    "verb": {"type": "str", "choices": ["measure", "logins", "admit", "dismiss"], "required": True},
    "since": {"type": "str", "default": ""},
    "secret": {"type": "str", "default": "", "no_log": False},
    "stage": {"type": "str", "default": CURRENT},
    "user": {"type": "str", "default": ""},
    "address": {"type": "str", "default": ""},
    "cluster": {"type": "str", "default": ""},
    "prefix": {"type": "str", "required": True},
    "timeout": {"type": "int", "default": 3600},
}


def command(given: Mapping[str, Any]) -> list[str]:
    """Return the command line of the host's tool."""
    words = {
        "measure": [],
        "logins": [],
        "admit": [given["secret"], "--stage", given["stage"]],
        "dismiss": [given["user"]],
    }
    options = [("--host", given["address"]), ("--since", given["since"])]
    return [
        backend_statements.APPLICATION,
        given["verb"],
        *words[given["verb"]],
        *(part for name, value in options if value for part in (name, value)),
    ]


class Secrets:
    """Where ECS reads the values of secrets from."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def key(self, name: str, key: str, stage: str = "") -> str:
        """Return what a task definition calls a key of a secret, of the version in force unless another is named."""
        return f"{self._client.describe_secret(SecretId=name)['ARN']}:{key}:{stage}:"

    def pending(self, name: str) -> bool:
        """Has a rotation that broke off left a version that may be in force already?"""
        stages = self._client.describe_secret(SecretId=name)["VersionIdsToStages"].values()
        return any(PENDING in each and CURRENT not in each for each in stages)


def beside(given: Mapping[str, Any], ssm: Any, secrets: Secrets, task: ServiceTask) -> Any:
    """Let a task do it; return its answer."""
    master = f"{given['prefix']}/database"
    place = json.loads(ssm.get_parameter(Name=master)["Parameter"]["Value"])
    named = place["secret"] if given["secret"] == "current" else given["secret"]
    if given["verb"] == "admit" and named == master:
        # RDS itself keeps the master user's password.
        return {"admitted": ""}
    read = {
        "MASTER_USER": secrets.key(master, "username"),
        "MASTER_PASSWORD": secrets.key(master, "password"),
        "USED_USER": secrets.key(place["secret"], "username"),
    }
    if secrets.pending(master):
        read["MASTER_PENDING"] = secrets.key(master, "password", PENDING)
    if given["verb"] == "admit":
        read["LOGIN_USER"] = secrets.key(named, "username", given["stage"])
        read["LOGIN_PASSWORD"] = secrets.key(named, "password", given["stage"])
    job = {
        "verb": given["verb"],
        "host": given["address"] or place["host"],
        "port": int(place["port"]),
        "database": place["name"],
        "since": given["since"],
        "user": given["user"],
        "wait": DISMISS_PATIENCE,
        "patience": LOGIN_PATIENCE,
        "statements": STATEMENTS,
    }
    words = ["node", "--input-type=module", "--eval", SCRIPT.read_text()]
    return task.run(words, {"JOB": json.dumps(job)}, read, given["timeout"])


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types, so its base class is Any
    """Run the tool where the database lets it in."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what it prints, or fail with one line."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=TAKES)
        # Ansible's own text types would reach botocore's serialisers.
        given = {name: str(value) if isinstance(value, str) else value for name, value in arguments.items()}
        if not given["cluster"]:
            result: dict[str, Any] = self._execute_module(
                module_name="ansible.legacy.command", module_args={"argv": command(given)}, task_vars=task_vars
            )
            return result
        if self._task.check_mode:
            return {"changed": False, "skipped": True, "stdout": ""}
        task = ServiceTask(boto3.client("ecs"), boto3.client("logs"), given["cluster"], backend_statements.APPLICATION)
        try:
            answer = beside(given, boto3.client("ssm"), Secrets(boto3.client("secretsmanager")), task)
        except (BotoCoreError, ClientError, TaskError) as error:
            return {"changed": False, "failed": True, "msg": " ".join(str(error).split())}
        return {"changed": False, "stdout": json.dumps(answer)}
