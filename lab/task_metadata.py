"""What ECS tasks ask at 169.254.170.2: their metadata (version 4) and the credentials of their role.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate-response.html,
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html. Tasks are told apart by their source
address, as hosts are: none gets another's credentials, whichever path it asks for.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

from lab import settings, task_containers
from lab.imds import Credentials
from lab.metadata_server import MetadataServer
from lab.moto_patches import ecs
from lab.moto_patches.ecs import Task

_log = logging.getLogger("lab.task_metadata")


def find_task(address: str) -> Task | None:
    """The task that has an address and may still ask."""
    for task in ecs.tasks():
        if task.address == address and task.last_status != "STOPPED" and task.interface_id:
            return task
    return None


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def container_metadata(task: Task) -> dict[str, Any]:
    """What the container's own path answers."""
    definition, container = ecs.definition_of(task), task_containers.container_of(task)
    return {
        "DockerId": f"{task.id}-0",
        "Name": container["name"],
        "DockerName": container["name"],
        "Image": container["image"],
        "ImageID": task.image_digest,
        "Labels": {
            "com.amazonaws.ecs.cluster": task.cluster_arn,
            "com.amazonaws.ecs.container-name": container["name"],
            "com.amazonaws.ecs.task-arn": task.task_arn,
            "com.amazonaws.ecs.task-definition-family": definition.family,
            "com.amazonaws.ecs.task-definition-version": str(definition.revision),
        },
        "DesiredStatus": task.desired_status,
        "KnownStatus": task.last_status,
        "CreatedAt": _stamp(task.created),
        **({"StartedAt": _stamp(task.started)} if task.started else {}),
        "Type": "NORMAL",
        "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": [task.address], "MACAddress": task.mac_address}],
    }


def task_metadata(task: Task) -> dict[str, Any]:
    """What …/task answers."""
    definition = ecs.definition_of(task)
    return {
        "Cluster": task.cluster_arn,
        "TaskARN": task.task_arn,
        "Family": definition.family,
        "Revision": str(definition.revision),
        "DesiredStatus": task.desired_status,
        "KnownStatus": task.last_status,
        "Limits": {"CPU": int(definition.cpu) / 1024, "Memory": int(definition.memory)},
        "AvailabilityZone": task.shown()["availabilityZone"],
        "LaunchType": "FARGATE",
        **({"ServiceName": task.service_name} if task.service_name else {}),
        "Containers": [container_metadata(task)],
    }


def document(task: Task, path: str, credentials: Credentials) -> dict[str, Any] | None:
    """Answer a path; None where there is nothing."""
    role = task_containers.task_role(task)
    if path == f"/v2/credentials/{task.id}" and role:
        issued = credentials.of(task, role)
        names = ("AccessKeyId", "SecretAccessKey", "Token", "Expiration")
        return {"RoleArn": role.arn, **{name: issued[name] for name in names}}
    if path == f"/v4/{task.id}":
        return container_metadata(task)
    if path == f"/v4/{task.id}/task":
        return task_metadata(task)
    return None


class Handler(BaseHTTPRequestHandler):
    """Answers one request of a task."""

    sys_version = ""
    protocol_version = "HTTP/1.1"
    credentials: ClassVar[Credentials]

    def do_GET(self) -> None:
        """Give out metadata or credentials."""
        task = find_task(self.client_address[0])
        found = document(task, self.path.split("?")[0].rstrip("/"), self.credentials) if task else None
        body = json.dumps(found if found is not None else {"message": "not found"}).encode()
        self.send_response(HTTPStatus.NOT_FOUND if found is None else HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep requests out of the log, unless it is asked for in full."""
        _log.debug("%s %s", self.client_address[0], format % args)


class TaskMetadataService(MetadataServer):
    """The metadata server of all tasks."""

    def __init__(self, address: str = settings.TASK_METADATA_ADDRESS, port: int = settings.METADATA_PORT) -> None:
        handler = type("Handler", (Handler,), {"credentials": Credentials()})
        super().__init__("task-metadata", (address, port), handler)
