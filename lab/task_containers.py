"""What the container of an ECS task is started with: its variables and secrets, limits, user, log file.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from moto.core.exceptions import ServiceException
from moto.iam.models import iam_backends
from moto.logs.models import logs_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ssm_backends

from lab import permissions, registry, settings
from lab.moto_patches import ecs
from lab.moto_patches.ecs import Task

PRINCIPAL = "ecs-tasks.amazonaws.com"
SECRET_ARN_PARTS = 7
"""arn:aws:secretsmanager:region:account:secret:name; what follows are JSON key, version stage and version id."""
LOG_LINE = re.compile(rb"\S+ (?:stdout|stderr) ([FP]) (.*)")


class StartError(RuntimeError):
    """A task cannot start; the text is the stopped reason, in AWS's words as far as they are known."""


def container_of(task: Task) -> dict[str, Any]:
    """The container's definition with what was overridden for this task."""
    container = dict(ecs.definition_of(task).container_definitions[0])
    for override in task.overrides.get("containerOverrides") or []:
        if override.get("command"):
            container["command"] = override["command"]
        names = {each["name"] for each in override.get("environment") or []}
        kept = [each for each in container.get("environment") or [] if each["name"] not in names]
        container["environment"] = [*kept, *(override.get("environment") or [])]
    return container


def directory_of(task: Task) -> Path:
    """Where a task's output is until its container is removed."""
    return settings.home() / "tasks" / task.id


# Roles ----------------------------------------------------------------------------------------------------------------


def task_role(task: Task) -> Any | None:
    """The role that a task's own calls are made with; None if it has none."""
    return _role(task.overrides.get("taskRoleArn") or getattr(ecs.definition_of(task), "task_role_arn", None))


def _execution_role(task: Task) -> str:
    arn = task.overrides.get("executionRoleArn") or getattr(ecs.definition_of(task), "execution_role_arn", None)
    return str(arn)


def _role(arn: str | None) -> Any | None:
    roles = iam_backends[settings.ACCOUNT_ID]["aws"].roles.values()
    return next((role for role in roles if arn and role.arn == arn), None)


def check_roles(task: Task) -> None:
    """Refuse a task whose roles are not there, or do not trust ECS.

    Raises:
        StartError: with the role's ARN.
    """
    definition = ecs.definition_of(task)
    wanted = (task.overrides.get("taskRoleArn") or getattr(definition, "task_role_arn", None), _execution_role(task))
    for arn in filter(None, wanted):
        found = _role(arn)
        if found is None or PRINCIPAL not in str(found.assume_role_policy_document):
            raise StartError(
                f"ECS was unable to assume the role '{arn}' that was provided for this task. Please verify that the"
                " role being passed has the proper trust relationship and permissions and that your IAM user has"
                " permissions to pass this role."
            )


def require(task: Task, action: str, resource: str, prefix: str) -> None:
    """Refuse a task whose execution role may not do something.

    Raises:
        StartError: the prefix, and what is missing.
    """
    role = _execution_role(task)
    if not permissions.allowed(role, action, resource, task.region_name):
        name = role.rpartition("/")[2]
        raise StartError(
            f"{prefix}: AccessDeniedException: User: arn:aws:sts::{settings.ACCOUNT_ID}:assumed-role/{name}/{task.id}"
            f" is not authorized to perform: {action} on resource: {resource}"
        )


def pull(task: Task) -> tuple[str, str]:
    """Have a task's image in podman's storage; return its name there and its digest.

    Raises:
        StartError: it is not there, or the execution role may not pull it.
    """
    image = str(container_of(task)["image"])
    prefix = "ResourceInitializationError: unable to pull secrets or registry auth"
    require(task, "ecr:GetAuthorizationToken", "*", prefix)
    try:
        repository, _digest = registry.resolve(image)
        for action in registry.PULLING:
            require(task, action, repository.arn, "CannotPullContainerError: pull image manifest has been retried")
        return registry.pull(image)
    except registry.PullError as error:
        raise StartError(str(error)) from error


# Variables ------------------------------------------------------------------------------------------------------------


def variables(task: Task) -> dict[str, str]:
    """The environment of a container without its secrets.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html
    """
    given = {each["name"]: each["value"] for each in container_of(task).get("environment") or []}
    made = {
        "AWS_ENDPOINT_URL": settings.HOST_API_URL,
        "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
        "AWS_REGION": task.region_name,
        "AWS_DEFAULT_REGION": task.region_name,
        "ECS_CONTAINER_METADATA_URI_V4": f"http://{settings.TASK_METADATA_ADDRESS}/v4/{task.id}",
    }
    if task_role(task):
        made["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = f"/v2/credentials/{task.id}"
    return {**made, **given}


def secrets(task: Task) -> dict[str, str]:
    """The secrets of a container by the name of their variable, as the execution role reads them.

    Raises:
        StartError: one is not there, or the role may not read it.
    """
    wanted = container_of(task).get("secrets") or []
    return {each["name"]: _secret(task, str(each["valueFrom"])) for each in wanted}


def _secret(task: Task, where: str) -> str:
    if where.startswith("arn:aws:secretsmanager:"):
        return _of_secrets_manager(task, where)
    return _of_parameter_store(task, where)


def _of_secrets_manager(task: Task, where: str) -> str:
    prefix = (
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed:"
        " unable to retrieve secret from asm: service call has been retried 1 time(s)"
    )
    parts = where.split(":")
    arn = ":".join(parts[:SECRET_ARN_PARTS])
    key, stage, version = ([*parts[SECRET_ARN_PARTS:], "", "", ""])[:3]
    require(task, "secretsmanager:GetSecretValue", arn, prefix)
    backend = secretsmanager_backends[settings.ACCOUNT_ID][parts[3]]
    try:
        text = str(backend.get_secret_value(arn, version or None, stage or None)["SecretString"])
        return text if not key else _text(json.loads(text)[key])
    except (ServiceException, ClientError) as error:
        raise StartError(f"{prefix}: failed to fetch secret {arn} from secrets manager: {error}") from error
    except (KeyError, ValueError, TypeError) as error:
        raise StartError(
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval"
            f" failed: unable to retrieve secret from asm: retrieved secret from Secrets Manager did not contain json"
            f" key {key}"
        ) from error


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _of_parameter_store(task: Task, where: str) -> str:
    prefix = (
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed:"
        " unable to retrieve secrets from ssm: service call has been retried 1 time(s)"
    )
    region = where.split(":")[3] if where.startswith("arn:") else task.region_name
    name = where.partition(":parameter/")[2] if where.startswith("arn:") else where.strip("/")
    arn = f"arn:aws:ssm:{region}:{settings.ACCOUNT_ID}:parameter/{name}"
    require(task, "ssm:GetParameters", arn, prefix)
    backend = ssm_backends[settings.ACCOUNT_ID][region]
    found = backend.get_parameters([f"/{name}", name])
    if not found:
        raise StartError(f"{prefix}: invalid ssm parameters: {where}")
    return str(next(iter(found.values())).response_object(decrypt=True)["Value"])


# podman ---------------------------------------------------------------------------------------------------------------


def options(task: Task, names: dict[str, str]) -> tuple[list[str], list[str]]:
    """Options of `podman run`, and what follows the image.

    Args:
        task: the task.
        names: its variables without secrets.
    """
    container, definition = container_of(task), ecs.definition_of(task)
    made = [
        *(part for name, value in names.items() for part in ("--env", f"{name}={value}")),
        *("--cpus", str(int(definition.cpu) / 1024)),
        *("--memory", f"{container.get('memory') or definition.memory}m"),
        *("--log-driver", "k8s-file", "--log-opt", f"path={directory_of(task) / 'output.log'}"),
        # On Fargate there is no SYS_PTRACE and the like to add: it is Docker's default set, or less.
        *(
            f"--cap-drop={name}"
            for name in ((container.get("linuxParameters") or {}).get("capabilities") or {}).get("drop") or []
        ),
        *(
            f"--ulimit={each['name']}={each['softLimit']}:{each['hardLimit']}"
            for each in container.get("ulimits") or []
        ),
    ]
    if container.get("readonlyRootFilesystem"):
        made += ["--read-only", "--read-only-tmpfs=false"]
    if container.get("user"):
        made += ["--user", str(container["user"])]
    if container.get("workingDirectory"):
        made += ["--workdir", str(container["workingDirectory"])]
    if container.get("entryPoint"):
        made += ["--entrypoint", json.dumps(container["entryPoint"])]
    return made, [str(part) for part in container.get("command") or []]


def stop_seconds(task: Task) -> int:
    """How long after SIGTERM a container is killed: 30 s unless its definition says otherwise."""
    found = container_of(task).get("stopTimeout")
    return 30 if found is None else int(found)


# Output ---------------------------------------------------------------------------------------------------------------


def log_stream(task: Task) -> tuple[str, str, str] | None:
    """Region, log group and stream of a container's output; None where it goes nowhere."""
    container = container_of(task)
    found = (container.get("logConfiguration") or {}).get("options")
    if not found:
        return None
    return (
        found["awslogs-region"],
        found["awslogs-group"],
        f"{found['awslogs-stream-prefix']}/{container['name']}/{task.id}",
    )


def open_log(task: Task) -> None:
    """Make a task's log stream.

    Raises:
        StartError: its group is not there, or the execution role may not write to it.
    """
    where = log_stream(task)
    if where is None:
        return
    region, group, stream = where
    backend = logs_backends[settings.ACCOUNT_ID][region]
    arn = f"arn:aws:logs:{region}:{settings.ACCOUNT_ID}:log-group:{group}"
    prefix = (
        "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed"
        " to create Cloudwatch log stream"
    )
    wanted = container_of(task)["logConfiguration"]["options"].get("awslogs-create-group")
    if group not in backend.groups and wanted == "true":
        require(task, "logs:CreateLogGroup", arn, prefix)
        backend.create_log_group(group, {})
    require(task, "logs:CreateLogStream", f"{arn}:log-stream:{stream}", prefix)
    if group not in backend.groups:
        raise StartError(f"{prefix}: ResourceNotFoundException: The specified log group does not exist.")
    if stream not in backend.groups[group].streams:
        backend.create_log_stream(group, stream)


def lines(data: bytes) -> Iterator[tuple[str, int]]:
    """Whole lines of podman's log file, each with the number of bytes up to its end; parts are put together."""
    text, end = b"", 0
    for raw in data.splitlines(keepends=True):
        if not raw.endswith(b"\n"):
            return
        end += len(raw)
        if match := LOG_LINE.match(raw):
            text += match.group(2)
            if match.group(1) == b"F":
                yield text.decode(errors="replace"), end
                text = b""


def keep_output(task: Task) -> None:
    """Write what a container has written since to its log stream."""
    where, path = log_stream(task), directory_of(task) / "output.log"
    if where is None or not path.exists():
        return
    region, group, stream = where
    backend = logs_backends[settings.ACCOUNT_ID][region]
    with path.open("rb") as file:
        file.seek(task.log_offset)
        found = list(lines(file.read()))
    if not found:
        return
    if group in backend.groups and stream in backend.groups[group].streams:
        now = int(time.time() * 1000)
        # CloudWatch Logs takes no empty event.
        events = [{"timestamp": now, "message": text} for text, _end in found if text]
        if events:
            backend.put_log_events(group, stream, events)
    task.log_offset += found[-1][1]
