"""ECS on Fargate: services with deployments, rolling and blue/green, tasks with states, and what the API refuses.

moto's services have no tasks, say that as many run as are wanted, and forget their deployment configuration, grace
period and tags; its tasks stop at once. So the lab has its own services and tasks, of the launch type FARGATE alone;
clusters and task definitions are moto's. What becomes of them is decided by `lab.reconcilers.services`,
`lab.reconcilers.blue_green` and `lab.reconcilers.tasks`.
"""

from __future__ import annotations

import functools
import re
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.resource_tagging import TaggedResource
from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ecs import models
from moto.ecs.exceptions import (
    ClusterNotFoundException,
    EcsClientException,
    ECSException,
    InvalidParameterException,
    ServiceNotFoundException,
    TaskDefinitionNotFoundException,
)
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.elbv2.models import elbv2_backends
from moto.iam.models import iam_backends
from moto.servicediscovery.models import servicediscovery_backends

from lab import settings

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html: CPU units → GiB of memory.
FARGATE_SIZES: dict[int, list[float]] = {
    256: [0.5, 1, 2],
    512: [1, 2, 3, 4],
    1024: list(range(2, 9)),
    2048: list(range(4, 17)),
    4096: list(range(8, 31)),
    8192: list(range(16, 61, 4)),
    16384: list(range(32, 121, 8)),
}
LONGEST_STOP = 120
"""Seconds; containers on Fargate. https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html"""
PLATFORM_VERSION = "1.4.0"
MOST_EVENTS = 100
"""https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages.html"""
STOPPED_SECONDS = 3600
"""How long a stopped task is shown. https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html"""

BREAKER_DEFAULTS = {
    "resetOnHealthyTask": True,
    "thresholdConfiguration": {"type": "BOUNDED_PERCENT", "value": 50},
}
"""What ECS shows of a circuit breaker that was given without.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentCircuitBreaker.html
"""
STRATEGIES = ("ROLLING", "BLUE_GREEN")
"""Of deployments, that the lab knows."""
LONGEST_BAKE = 1440
"""Minutes. https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deploy-blue-green-service.html"""
STOPPABLE = ("PENDING", "IN_PROGRESS", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")
"""https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stop-service-deployment.html"""
UNDER_WAY = STOPPABLE
"""Of a service deployment that has not ended."""
INFRASTRUCTURE = "ecs.amazonaws.com"
"""Who assumes the role by which load balancers are changed."""

WAITING = ("PROVISIONING", "PENDING", "ACTIVATING")
OCCUPYING = (*WAITING, "RUNNING")
"""States of tasks that count towards the maximum percent."""

LOCK = threading.RLock()
"""Who changes a service's deployments or makes tasks holds it: requests and the reconciler do so at the same time."""


def _moment(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


@dataclass(eq=False)
class Deployment:
    """What a service's tasks are made from, and how far that has come."""

    id: str
    task_definition: str
    network: dict[str, Any]
    load_balancers: list[dict[str, Any]]
    registries: list[dict[str, Any]]
    platform_version: str
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    status: str = "PRIMARY"
    rollout: str = "IN_PROGRESS"
    reason: str = ""
    failed_tasks: int = 0
    """Tasks in a row that never became healthy, or ceased to be."""
    retry_at: float = 0
    """No task is started before, in seconds since 1970."""
    target_group: str = ""
    """In which of two target groups its tasks are; "" where they are in all that are configured."""

    @property
    def used_load_balancers(self) -> list[dict[str, Any]]:
        """The load balancers with the target groups that its tasks are registered with."""
        if not self.target_group:
            return self.load_balancers
        return [{**each, "targetGroupArn": self.target_group} for each in self.load_balancers]

    def set_rollout(self, rollout: str, reason: str) -> None:
        """Change the state of the rollout."""
        self.rollout, self.reason, self.updated = rollout, reason, time.time()

    def shown(self, service: Service) -> dict[str, Any]:
        """As DescribeServices has it."""
        tasks = [task for task in tasks_of(service) if task.deployment_id == self.id]
        wanted = len([task for task in tasks if task.desired_status == "RUNNING"])
        return {
            "id": self.id,
            "status": self.status,
            "taskDefinition": self.task_definition,
            "desiredCount": service.desired_count if self.status == "PRIMARY" else wanted,
            "pendingCount": len([task for task in tasks if task.last_status in WAITING]),
            "runningCount": len([task for task in tasks if task.last_status == "RUNNING"]),
            "failedTasks": self.failed_tasks,
            "createdAt": _moment(self.created),
            "updatedAt": _moment(self.updated),
            "launchType": "FARGATE",
            "platformVersion": self.platform_version,
            "platformFamily": "Linux",
            "networkConfiguration": self.network,
            # "Only returned for services that use the rolling update": API_Deployment.
            **({} if service.blue_green else {"rolloutState": self.rollout, "rolloutStateReason": self.reason}),
        }


@dataclass(eq=False)
class ServiceDeployment:
    """A blue/green deployment from its beginning to its end. The lab keeps none of rolling ones.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceDeployment.html
    """

    arn: str
    target: Deployment
    """Green."""
    source: Deployment | None
    """Blue, which has the requests when it begins; None for a new service."""
    configuration: dict[str, Any]
    watched: tuple[str, ...]
    """Names of the alarms that take it back."""
    status: str = "PENDING"
    reason: str = ""
    stage: str = "PRE_SCALE_UP"
    shifted: bool = False
    """The requests go to green."""
    triggered: tuple[str, ...] = ()
    """Names of the alarms that have taken it back."""
    rollback_started: float = 0
    baking_since: float = 0
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    finished: float = 0

    @property
    def under_way(self) -> bool:
        """It has not ended yet."""
        return self.status in UNDER_WAY

    @property
    def balancer(self) -> dict[str, Any]:
        """Its one load balancer with the advanced configuration."""
        return self.target.load_balancers[0]

    def go(self, *, status: str = "", stage: str = "", reason: str = "") -> None:
        """Go on to a status, a stage or both."""
        self.status, self.stage = status or self.status, stage or self.stage
        self.reason, self.updated = reason or self.reason, time.time()
        if not self.under_way:
            self.finished = self.updated

    def request_rollback(self, reason: str) -> None:
        """Let it be taken back; one that is being taken back goes on with that."""
        if self.status in STOPPABLE[:2]:
            self.rollback_started = time.time()
            self.go(status="ROLLBACK_REQUESTED", reason=reason)

    def brief(self, service: Service) -> dict[str, Any]:
        """As ListServiceDeployments has it."""
        return {
            "serviceDeploymentArn": self.arn,
            "serviceArn": service.arn,
            "clusterArn": service.cluster_arn,
            "createdAt": _moment(self.created),
            "startedAt": _moment(self.created),
            **_given({"finishedAt": _moment(self.finished)}),
            "targetServiceRevisionArn": _revision(service, self.target),
            "status": self.status,
            "statusReason": self.reason,
        }

    def shown(self, service: Service) -> dict[str, Any]:
        """As DescribeServiceDeployments has it."""
        green = 100.0 if self.shifted else 0.0
        alarms = self.configuration.get("alarms") or {}
        state = "TRIGGERED" if self.triggered else "MONITORING" if self.watched else "DISABLED"
        return {
            **self.brief(service),
            "updatedAt": _moment(self.updated),
            "sourceServiceRevisions": [_summary(service, self.source, 100.0 - green)] if self.source else [],
            "targetServiceRevision": _summary(service, self.target, green),
            "lifecycleStage": self.stage,
            "deploymentConfiguration": self.configuration,
            "alarms": {
                "status": state,
                "alarmNames": list(alarms.get("alarmNames") or []),
                "triggeredAlarmNames": list(self.triggered),
            },
            **(
                {
                    "rollback": {
                        "reason": self.reason,
                        "startedAt": _moment(self.rollback_started),
                        "serviceRevisionArn": _revision(service, self.source),
                    }
                }
                if self.rollback_started and self.source
                else {}
            ),
        }


def _revision(service: Service, deployment: Deployment) -> str:
    return service.arn.replace(":service/", ":service-revision/") + f"/{deployment.id.rpartition('/')[2]}"


def _summary(service: Service, deployment: Deployment, share: float) -> dict[str, Any]:
    shown = deployment.shown(service)
    return {
        "arn": _revision(service, deployment),
        "requestedTaskCount": shown["desiredCount"],
        "runningTaskCount": shown["runningCount"],
        "pendingTaskCount": shown["pendingCount"],
        "requestedProductionTrafficWeight": share,
    }


@dataclass(eq=False)
class Service:
    """A service of the launch type FARGATE."""

    name: str
    arn: str
    region: str
    cluster_name: str
    cluster_arn: str
    desired_count: int
    configuration: dict[str, Any]
    """The deployment configuration, with AWS's defaults."""
    grace_seconds: int | None
    tags: list[dict[str, str]]
    propagate_tags: str
    enable_execute_command: bool
    deployments: list[Deployment]
    """The first one is PRIMARY."""
    status: str = "ACTIVE"
    completed: Deployment | None = None
    """What a rollback leads to."""
    events: list[dict[str, Any]] = field(default_factory=list)
    created: float = field(default_factory=time.time)
    history: list[ServiceDeployment] = field(default_factory=list)
    """Its blue/green deployments, the newest first."""

    @property
    def blue_green(self) -> bool:
        """Its next deployment is a blue/green one."""
        return bool(self.configuration["strategy"] == "BLUE_GREEN")

    @property
    def under_way(self) -> ServiceDeployment | None:
        """The blue/green deployment that has not ended."""
        return next((each for each in self.history if each.under_way), None)

    @property
    def physical_resource_id(self) -> str:
        """What moto's tagging calls a service's ARN."""
        return self.arn

    @property
    def primary(self) -> Deployment:
        """The deployment that the service is to have."""
        return self.deployments[0]

    @property
    def breaker(self) -> dict[str, Any]:
        """Settings of the deployment circuit breaker."""
        found: dict[str, Any] = self.configuration["deploymentCircuitBreaker"]
        return found

    def note(self, message: str) -> None:
        """Add an event; the newest is the first."""
        event = {
            "id": str(uuid.uuid4()),
            "createdAt": datetime.now(UTC),
            "message": f"(service {self.name}) {message}",
        }
        self.events = [event, *self.events][:MOST_EVENTS]

    def shown(self) -> dict[str, Any]:
        """As DescribeServices has it."""
        tasks = tasks_of(self)
        return {
            "serviceArn": self.arn,
            "serviceName": self.name,
            "clusterArn": self.cluster_arn,
            "status": self.status,
            "desiredCount": self.desired_count,
            "runningCount": len([task for task in tasks if task.last_status == "RUNNING"]),
            "pendingCount": len([task for task in tasks if task.last_status in WAITING]),
            "launchType": "FARGATE",
            "platformVersion": self.primary.platform_version,
            "platformFamily": "Linux",
            "taskDefinition": self.primary.task_definition,
            "deploymentConfiguration": self.configuration,
            "deploymentController": {"type": "ECS"},
            "deployments": [each.shown(self) for each in self.deployments if self.status != "INACTIVE"],
            **({"currentServiceDeployment": self.history[0].arn} if self.history else {}),
            "loadBalancers": self.primary.load_balancers,
            "serviceRegistries": self.primary.registries,
            "networkConfiguration": self.primary.network,
            **_given({"healthCheckGracePeriodSeconds": self.grace_seconds}),
            "schedulingStrategy": "REPLICA",
            "propagateTags": self.propagate_tags,
            "enableECSManagedTags": False,
            "enableExecuteCommand": self.enable_execute_command,
            "availabilityZoneRebalancing": "DISABLED",
            "placementConstraints": [],
            "placementStrategy": [],
            "events": self.events,
            "createdAt": _moment(self.created),
            "tags": self.tags,
        }


@dataclass(eq=False)
class Task:
    """A task: one container with an address of its own."""

    id: str
    task_arn: str
    region_name: str
    cluster_name: str
    cluster_arn: str
    task_definition_arn: str
    group: str
    network: dict[str, Any]
    subnet_id: str
    """One of the network configuration's."""
    started_by: str = ""
    deployment_id: str = ""
    """Of a service's deployment; "" for one that was run by itself."""
    overrides: dict[str, Any] = field(default_factory=dict)
    tags: list[dict[str, str]] = field(default_factory=list)
    load_balancers: list[dict[str, Any]] = field(default_factory=list)
    registries: list[dict[str, Any]] = field(default_factory=list)
    desired_status: str = "RUNNING"
    last_status: str = "PROVISIONING"
    health_status: str = "UNKNOWN"
    """What the container's own health check says."""
    healthy: bool = False
    """It runs, and no health check has anything against it."""
    proven: bool = False
    """It was healthy once."""
    ailing: bool = False
    """It was healthy, and now a health check has something against it."""
    fault: str = ""
    """What that is."""
    counted: str = ""
    """What its deployment knows of it: healthy, failed."""
    failed: bool = False
    """It stopped, or is stopped, because of a failure."""
    interface_id: str = ""
    address: str = ""
    mac_address: str = ""
    image_digest: str = ""
    exit_code: int | None = None
    stop_code: str = ""
    stopped_reason: str = ""
    container_reason: str = ""
    log_offset: int = 0
    """How much of its output is in CloudWatch Logs, in bytes."""
    created: float = field(default_factory=time.time)
    started: float = 0
    stopping: float = 0
    stopped: float = 0

    def stop(self, code: str, reason: str, *, failed: bool = False) -> None:
        """Let it be stopped; a second reason does not replace the first."""
        if self.desired_status == "STOPPED":
            return
        self.stop_code, self.stopped_reason, self.failed = code, reason, failed
        self.stopping, self.healthy, self.ailing = time.time(), False, False
        self.desired_status = "STOPPED"

    @property
    def service_name(self) -> str:
        """The service it belongs to, "" if to none."""
        return self.group.removeprefix("service:") if self.group.startswith("service:") else ""

    def shown(self) -> dict[str, Any]:
        """As DescribeTasks has it."""
        definition = definition_of(self)
        container = definition.container_definitions[0]
        subnet = ec2_backends[settings.ACCOUNT_ID][self.region_name].subnets
        zone = next((zone for zone, each in subnet.items() if self.subnet_id in each), "")
        details = {
            "subnetId": self.subnet_id,
            "networkInterfaceId": self.interface_id,
            "macAddress": self.mac_address,
            "privateIPv4Address": self.address,
        }
        attached = {"PROVISIONING": "PRECREATED", "STOPPED": "DELETED"}.get(self.last_status, "ATTACHED")
        attachment = str(uuid.uuid5(uuid.NAMESPACE_URL, self.task_arn))
        return {
            "taskArn": self.task_arn,
            "clusterArn": self.cluster_arn,
            "taskDefinitionArn": self.task_definition_arn,
            "group": self.group,
            "startedBy": self.started_by,
            "desiredStatus": self.desired_status,
            "lastStatus": self.last_status,
            "healthStatus": self.health_status,
            "launchType": "FARGATE",
            "platformVersion": PLATFORM_VERSION,
            "platformFamily": "Linux",
            "availabilityZone": zone,
            "connectivity": "CONNECTED",
            "cpu": definition.cpu,
            "memory": definition.memory,
            "overrides": self.overrides,
            "attachments": [
                {
                    "id": attachment,
                    "type": "ElasticNetworkInterface",
                    "status": attached,
                    "details": [{"name": name, "value": value} for name, value in details.items() if value],
                }
            ],
            "containers": [
                {
                    "containerArn": self.task_arn.replace(":task/", ":container/") + f"/{attachment}",
                    "taskArn": self.task_arn,
                    "name": container["name"],
                    "image": container["image"],
                    "lastStatus": "PENDING" if self.last_status in WAITING else self.last_status,
                    "healthStatus": self.health_status,
                    "networkInterfaces": [{"attachmentId": attachment, "privateIpv4Address": self.address}]
                    if self.address
                    else [],
                    **_given(
                        {
                            "imageDigest": self.image_digest or None,
                            "exitCode": self.exit_code,
                            "reason": self.container_reason or None,
                        }
                    ),
                }
            ],
            **_given(
                {
                    "createdAt": _moment(self.created),
                    "startedAt": _moment(self.started),
                    "stoppingAt": _moment(self.stopping),
                    "stoppedAt": _moment(self.stopped),
                    "stopCode": self.stop_code or None,
                    "stoppedReason": self.stopped_reason or None,
                }
            ),
            "tags": self.tags,
            "version": 1,
        }


def backends() -> list[Any]:
    """moto's ECS backends of all regions."""
    return list(models.ecs_backends[settings.ACCOUNT_ID].values())


def services() -> Iterator[Service]:
    """All services, those that are gone too."""
    for backend in backends():
        yield from list(backend.services.values())


def tasks() -> Iterator[Task]:
    """All tasks, stopped ones too."""
    for backend in backends():
        for found in list(backend.tasks.values()):
            yield from list(found.values())


def tasks_of(service: Service) -> list[Task]:
    """The tasks of a service, stopped ones too, the oldest first."""
    found = models.ecs_backends[settings.ACCOUNT_ID][service.region].tasks.get(service.cluster_name, {})
    return [task for task in list(found.values()) if task.service_name == service.name]


def definition_of(task: Task) -> Any:
    """The task definition of a task; moto keeps deregistered ones too."""
    return models.ecs_backends[settings.ACCOUNT_ID][task.region_name].describe_task_definition(task.task_definition_arn)


def forget_stopped() -> None:
    """Drop tasks that stopped long ago."""
    for backend in backends():
        for found in list(backend.tasks.values()):
            for arn, task in list(found.items()):
                if task.stopped and time.time() - task.stopped > STOPPED_SECONDS:
                    found.pop(arn, None)


def new_task(
    backend: Any,
    cluster: Any,
    definition: Any,
    group: str,
    network: dict[str, Any],
    *,
    deployment: Deployment | None = None,
    started_by: str = "",
    overrides: dict[str, Any] | None = None,
    tags: list[dict[str, str]] | None = None,
) -> Task:
    """Make a task, in the subnet that has the fewest of its group."""
    found = backend.tasks.setdefault(cluster.name, {})
    taken = [task.subnet_id for task in list(found.values()) if task.group == group and task.last_status != "STOPPED"]
    identifier = uuid.uuid4().hex
    task = Task(
        id=identifier,
        task_arn=f"arn:aws:ecs:{backend.region_name}:{backend.account_id}:task/{cluster.name}/{identifier}",
        region_name=backend.region_name,
        cluster_name=cluster.name,
        cluster_arn=cluster.arn,
        task_definition_arn=definition.arn,
        group=group,
        network=network,
        subnet_id=min(network["awsvpcConfiguration"]["subnets"], key=taken.count),
        started_by=deployment.id if deployment else started_by,
        deployment_id=deployment.id if deployment else "",
        overrides=overrides or {},
        tags=tags or [],
        load_balancers=deployment.used_load_balancers if deployment else [],
        registries=deployment.registries if deployment else [],
    )
    found[task.task_arn] = task
    return task


def launch(service: Service, deployment: Deployment, number: int) -> bool:
    """Start tasks of a service's deployment; tell whether there were any to start."""
    backend = models.ecs_backends[settings.ACCOUNT_ID][service.region]
    definition = backend.describe_task_definition(deployment.task_definition)
    given = {"SERVICE": service.tags, "TASK_DEFINITION": definition.tags}.get(service.propagate_tags, [])
    started = [
        new_task(
            backend,
            backend.clusters[service.cluster_name],
            definition,
            f"service:{service.name}",
            deployment.network,
            deployment=deployment,
            tags=[dict(tag) for tag in given],
        )
        for _ in range(number)
    ]
    if started:
        service.note(f"has started {len(started)} tasks: {named(started)}.")
    return bool(started)


def named(found: list[Task]) -> str:
    """Tasks as events name them."""
    return " ".join(f"(task {task.id})" for task in found)


def new_deployment(service: Service) -> Deployment:
    """A deployment that differs from the service's present one in nothing but its id."""
    before = service.primary
    return Deployment(
        id=_deployment_id(),
        task_definition=before.task_definition,
        network=before.network,
        load_balancers=before.load_balancers,
        registries=before.registries,
        platform_version=before.platform_version,
        target_group=before.target_group,
    )


def _deployment_id() -> str:
    return f"ecs-svc/{uuid.uuid4().int % 10**19:019d}"


# Task definitions -----------------------------------------------------------------------------------------------------


def _check_definition(given: dict[str, Any]) -> None:
    """Refuse what RegisterTaskDefinition refuses for Fargate.

    Raises:
        ECSException: with AWS's wording, as far as that is known.
    """
    if "FARGATE" not in (given.get("requiresCompatibilities") or []):
        return
    if given.get("networkMode") != "awsvpc":
        raise EcsClientException("Fargate only supports network mode 'awsvpc'.")
    _check_size(given.get("cpu"), given.get("memory"))
    containers = given.get("containerDefinitions") or []
    if len(containers) != 1 or given.get("volumes"):
        raise EcsClientException("The lab runs tasks of one container, without volumes.")
    for container in containers:
        _check_container(container, bool(given.get("executionRoleArn")))


def _check_size(cpu: str | None, memory: str | None) -> None:
    if not cpu:
        raise EcsClientException("Fargate requires that 'cpu' be defined at the task level.")
    if not memory:
        raise EcsClientException("Fargate requires that 'memory' be defined at the task level.")
    if int(memory) / 1024 not in FARGATE_SIZES.get(int(cpu), []):
        raise EcsClientException(f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory.")


def _check_container(container: dict[str, Any], execution_role: bool) -> None:
    name = container.get("name")
    if container.get("essential") is False:
        raise EcsClientException("All containers in the task definition cannot be marked as non-essential.")
    if container.get("privileged"):
        raise EcsClientException("Tasks using the Fargate launch type do not support privileged containers.")
    for mapping in container.get("portMappings") or []:
        if mapping.get("hostPort", mapping["containerPort"]) not in (0, mapping["containerPort"]):
            raise EcsClientException(
                "When networkMode=awsvpc, the host ports and container ports in port mappings must match."
            )
    if int(container.get("stopTimeout") or 0) > LONGEST_STOP:
        raise EcsClientException(f"Invalid stopTimeout for container '{name}': at most {LONGEST_STOP} seconds.")
    driver = (container.get("logConfiguration") or {}).get("logDriver")
    if driver not in (None, "awslogs"):
        raise EcsClientException(f"The lab knows the log driver awslogs, not {driver}.")
    options = (container.get("logConfiguration") or {}).get("options") or {}
    missing = {"awslogs-group", "awslogs-region", "awslogs-stream-prefix"} - options.keys()
    if driver and missing:
        raise EcsClientException(f"Log driver awslogs requires options: {', '.join(sorted(missing))}.")
    if container.get("secrets") and not execution_role:
        raise EcsClientException(
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
        )
    if not execution_role and driver:
        raise EcsClientException(
            "Fargate requires task definition to have execution role ARN to support log driver awslogs."
        )
    if not execution_role:
        raise EcsClientException("Fargate requires task definition to have execution role ARN to support ECR images.")
    names = [each["name"] for each in [*(container.get("environment") or []), *(container.get("secrets") or [])]]
    if twice := {each for each in names if names.count(each) > 1}:
        raise EcsClientException(
            f"The secret name must be unique and not shared with any new or existing environment variables set on the"
            f" container, such as '{min(twice)}'."
        )


# Services -------------------------------------------------------------------------------------------------------------


def _configuration(given: dict[str, Any] | None, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """A deployment configuration with what it leaves out.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html
    """
    defaults = {
        "deploymentCircuitBreaker": {"enable": False, "rollback": False, **BREAKER_DEFAULTS},
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        "strategy": "ROLLING",
        "bakeTimeInMinutes": 0,
    }
    wanted = _given(given or {})
    made = {**(before or defaults), **wanted}
    breaker = made["deploymentCircuitBreaker"] = {**BREAKER_DEFAULTS, **made["deploymentCircuitBreaker"]}
    if any(breaker[key] != value for key, value in BREAKER_DEFAULTS.items()):
        raise InvalidParameterException("The lab's circuit breaker has ECS's default threshold alone.")
    if made["strategy"] not in STRATEGIES:
        raise InvalidParameterException(f"The lab knows the strategies {' and '.join(STRATEGIES)}.")
    if made.get("lifecycleHooks"):
        raise InvalidParameterException("The lab's deployments have no hooks.")
    if made["strategy"] == "BLUE_GREEN":
        _check_blue_green(made, wanted, before)
    else:
        if before and before["strategy"] == "BLUE_GREEN":
            made["bakeTimeInMinutes"] = wanted.get("bakeTimeInMinutes", 0)
        if made["bakeTimeInMinutes"] or (made.get("alarms") or {}).get("enable"):
            raise InvalidParameterException("The lab knows rolling deployments without bake time and alarms.")
    if int(made["maximumPercent"]) < 100:
        raise InvalidParameterException("maximumPercent cannot be less than 100.")
    if int(made["minimumHealthyPercent"]) >= 100 and int(made["maximumPercent"]) == 100:
        raise InvalidParameterException(
            "minimumHealthyPercent and maximumPercent cannot both be 100 as this will block deployments."
        )
    return made


def _check_blue_green(made: dict[str, Any], wanted: dict[str, Any], before: dict[str, Any] | None) -> None:
    first = before is None or before["strategy"] != "BLUE_GREEN"
    if first and "bakeTimeInMinutes" not in wanted:
        raise InvalidParameterException(
            "bakeTimeInMinutes must be provided when the deployment strategy is BLUE_GREEN."
        )
    if not 0 <= int(made["bakeTimeInMinutes"]) <= LONGEST_BAKE:
        raise InvalidParameterException(f"bakeTimeInMinutes must be between 0 and {LONGEST_BAKE}.")
    if made["deploymentCircuitBreaker"].get("enable"):
        # API_DeploymentCircuitBreaker.
        raise InvalidParameterException(
            "The deployment circuit breaker can only be used for services using the rolling update (ECS) deployment"
            " type."
        )


def _check_alarms(backend: Any, configuration: dict[str, Any]) -> None:
    alarms = configuration.get("alarms") or {}
    known = cloudwatch_backends[backend.account_id][backend.region_name].alarms
    missing = sorted(set(alarms.get("alarmNames") or []) - set(known))
    if alarms.get("enable") and (missing or not alarms.get("alarmNames")):
        raise InvalidParameterException(f"Deployment alarms do not exist: {', '.join(missing) or 'none is named'}.")


def _check_advanced(backend: Any, wanted: dict[str, Any]) -> None:
    """Refuse two target groups that no rule leads to, or that nobody may change.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/alb-resources-for-blue-green.html
    """
    given, elbv2 = wanted["advancedConfiguration"], elbv2_backends[backend.account_id][backend.region_name]
    if given.get("testListenerRule"):
        raise InvalidParameterException("The lab's deployments have no test listener.")
    for name in ("alternateTargetGroupArn", "productionListenerRule", "roleArn"):
        if not given.get(name):
            raise InvalidParameterException(f"advancedConfiguration.{name} must be provided.")
    groups = {wanted["targetGroupArn"], given["alternateTargetGroupArn"]}
    if len(groups) == 1:
        raise InvalidParameterException("The alternate target group must be another one than the target group.")
    rules = [
        rule
        for balancer in list(elbv2.load_balancers.values())
        for listener in list(balancer.listeners.values())
        for rule in list(listener.rules.values())
        if rule.arn == given["productionListenerRule"]
    ]
    if not rules:
        raise InvalidParameterException(f"Unable to find listener rule: {given['productionListenerRule']}")
    actions = rules[0].actions
    if any(action.type != "forward" for action in actions):
        raise InvalidParameterException("The production listener rule must have forward actions alone.")
    led = {arn for action in actions for arn in elbv2._get_target_group_arns_from(action_data=action.data)}
    if led != groups:
        raise InvalidParameterException("The production listener rule must forward to both target groups.")
    role = next(
        (each for each in iam_backends[backend.account_id]["aws"].roles.values() if each.arn == given["roleArn"]), None
    )
    if role is None or INFRASTRUCTURE not in str(role.assume_role_policy_document):
        raise InvalidParameterException(f"ECS was unable to assume the role '{given['roleArn']}'.")


def _definition(backend: Any, name: str) -> Any:
    try:
        found = backend.describe_task_definition(name)
    except (ECSException, ValueError) as error:
        raise EcsClientException("TaskDefinition not found.") from error
    if found.status != "ACTIVE":
        raise EcsClientException("TaskDefinition is inactive")
    if "FARGATE" not in (found.requires_compatibilities or []):
        raise InvalidParameterException("Task definition does not support launch_type FARGATE.")
    return found


def _network(backend: Any, given: dict[str, Any] | None) -> dict[str, Any]:
    """A network configuration that can be used: subnets of one VPC, groups that are there."""
    wanted = (given or {}).get("awsvpcConfiguration") or {}
    if not wanted.get("subnets"):
        raise InvalidParameterException(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified."
        )
    ec2 = ec2_backends[backend.account_id][backend.region_name]
    known = {subnet.id: subnet for subnet in ec2.describe_subnets()}
    for subnet in wanted["subnets"]:
        if subnet not in known:
            raise InvalidParameterException(
                f"Error retrieving subnet information for [{subnet}]: The subnet ID '{subnet}' does not exist"
                " (ErrorCode: InvalidSubnetID.NotFound)"
            )
    vpcs = {known[subnet].vpc_id for subnet in wanted["subnets"]}
    if len(vpcs) > 1:
        raise InvalidParameterException("The subnets must all belong to the same VPC.")
    groups = {group.id: group.vpc_id for group in ec2.describe_security_groups()}
    for group in wanted.get("securityGroups") or []:
        if groups.get(group) not in vpcs:
            raise InvalidParameterException(
                f"Error retrieving security group information for [{group}]: The security group '{group}' does not"
                " exist (ErrorCode: InvalidGroup.NotFound)"
            )
    made = {"subnets": [], "securityGroups": [], "assignPublicIp": "DISABLED", **wanted}
    return {"awsvpcConfiguration": made}


def _load_balancers(backend: Any, given: list[dict[str, Any]] | None, definition: Any) -> list[dict[str, Any]]:
    elbv2 = elbv2_backends[backend.account_id][backend.region_name]
    ports = {
        (container["name"], int(mapping["containerPort"]))
        for container in definition.container_definitions
        for mapping in container.get("portMappings") or []
    }
    for wanted in given or []:
        name, port = (wanted.get(key) for key in ("containerName", "containerPort"))
        alternate = (wanted.get("advancedConfiguration") or {}).get("alternateTargetGroupArn")
        for arn in [wanted.get("targetGroupArn"), *([alternate] if alternate else [])]:
            group = elbv2.target_groups.get(arn)
            if group is None:
                raise InvalidParameterException(f"Unable to find target group: {arn}")
            if group.target_type != "ip":
                raise InvalidParameterException(
                    f"The provided target group {arn} has target type {group.target_type}, which is incompatible with"
                    " the awsvpc network mode specified in the task definition."
                )
            elbv2.describe_target_groups([], [arn], None)
            if not group.load_balancer_arns:
                raise InvalidParameterException(
                    f"The target group with targetGroupArn {arn} does not have an associated load balancer."
                )
        if wanted.get("advancedConfiguration"):
            _check_advanced(backend, wanted)
        if name not in {container["name"] for container in definition.container_definitions}:
            raise InvalidParameterException(f"The container {name} does not exist in the task definition.")
        if (name, int(port or 0)) not in ports:
            raise InvalidParameterException(f"The container {name} did not have a container port {port} defined.")
    return list(given or [])


def _registries(backend: Any, given: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    cloud_map = servicediscovery_backends[backend.account_id][backend.region_name]
    known = {service.arn for service in cloud_map.services.values()}
    for wanted in given or []:
        if wanted.get("registryArn") not in known:
            raise InvalidParameterException(f"Service registry {wanted.get('registryArn')} does not exist.")
    return list(given or [])


def _refuse_unknown(given: dict[str, Any]) -> None:
    if (given.get("launchType") or "FARGATE") != "FARGATE" or given.get("capacityProviderStrategy"):
        raise InvalidParameterException("The lab knows the launch type FARGATE alone.")
    if (given.get("deploymentController") or {}).get("type", "ECS") != "ECS":
        raise InvalidParameterException("The lab knows the deployment controller ECS alone.")
    if (given.get("schedulingStrategy") or "REPLICA") != "REPLICA":
        raise InvalidParameterException("The scheduling strategy DAEMON is not supported by Fargate.")
    for name in ("serviceConnectConfiguration", "volumeConfigurations", "placementConstraints", "placementStrategy"):
        value = given.get(name)
        if value and (not isinstance(value, dict) or value.get("enabled")):
            raise InvalidParameterException(f"The lab's services have no {name}.")


def _cluster(backend: Any, name: str | None) -> Any:
    found = backend._get_cluster(name or "default")
    if found.status != "ACTIVE":
        raise ClusterNotFoundException
    return found


def create_service(backend: Any, given: dict[str, Any]) -> Service:
    """Make a service.

    Args:
        backend: moto's ECS backend of the region.
        given: the request's parameters, named as in the API.
    """
    _refuse_unknown(given)
    if given.get("launchType") != "FARGATE":
        raise InvalidParameterException("The lab knows the launch type FARGATE alone.")
    cluster, name = _cluster(backend, given.get("cluster")), given["serviceName"]
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", name):
        raise InvalidParameterException("Service name must be 1 to 255 letters, digits, hyphens and underscores.")
    before = backend.services.get(f"{cluster.name}:{name}")
    if before and before.status == "DRAINING":
        raise InvalidParameterException("Unable to Start a service that is still Draining.")
    if before and before.status == "ACTIVE":
        raise InvalidParameterException("Creation of service was not idempotent.")
    definition = _definition(backend, given.get("taskDefinition") or "")
    balancers = _load_balancers(backend, given.get("loadBalancers"), definition)
    grace = given.get("healthCheckGracePeriodSeconds")
    if grace is not None and not balancers:
        raise InvalidParameterException(
            "Health check grace period is only valid for services configured to use load balancers"
        )
    configuration = _configuration(given.get("deploymentConfiguration"))
    _check_alarms(backend, configuration)
    if configuration["strategy"] == "BLUE_GREEN":
        _check_two_groups(balancers)
    deployment = Deployment(
        id=_deployment_id(),
        task_definition=definition.arn,
        network=_network(backend, given.get("networkConfiguration")),
        load_balancers=balancers,
        registries=_registries(backend, given.get("serviceRegistries")),
        platform_version=_platform(given.get("platformVersion")),
    )
    deployment.reason = f"ECS deployment {deployment.id} in progress."
    service = Service(
        name=name,
        arn=f"arn:aws:ecs:{backend.region_name}:{backend.account_id}:service/{cluster.name}/{name}",
        region=backend.region_name,
        cluster_name=cluster.name,
        cluster_arn=cluster.arn,
        desired_count=int(given.get("desiredCount") or 0),
        configuration=configuration,
        grace_seconds=(int(grace) if grace is not None else 0 if balancers else None),
        tags=list(given.get("tags") or []),
        propagate_tags=given.get("propagateTags") or "NONE",
        enable_execute_command=bool(given.get("enableExecuteCommand")),
        deployments=[deployment],
    )
    if service.blue_green:
        deployment.target_group = balancers[0]["targetGroupArn"]
        _begin_blue_green(backend, service, deployment, None)
    backend.services[f"{cluster.name}:{name}"] = service
    return service


def _check_two_groups(balancers: list[dict[str, Any]]) -> None:
    if len(balancers) != 1 or not balancers[0].get("advancedConfiguration"):
        raise InvalidParameterException(
            "The lab's blue/green deployments need one load balancer with an advancedConfiguration: a service that has"
            " none gets it by a rolling deployment first."
        )


def _begin_blue_green(backend: Any, service: Service, target: Deployment, source: Deployment | None) -> None:
    """Begin a blue/green deployment; one that is under way ends where it is."""
    if before := service.under_way:
        before.go(status="STOPPED", reason="A newer service deployment has begun.")
    alarms = service.configuration.get("alarms") or {}
    states = cloudwatch_backends[backend.account_id][backend.region_name].alarms
    # "…in an ALARM state at the beginning…" is not watched: it may be what the deployment mends.
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-alarm-failure.html
    watched = [name for name in alarms.get("alarmNames") or [] if states[name].state_value != "ALARM"]
    path = service.arn.partition(":service/")[2]
    service.history.insert(
        0,
        ServiceDeployment(
            arn=f"arn:aws:ecs:{service.region}:{backend.account_id}:service-deployment/{path}/{uuid.uuid4().hex[:20]}",
            target=target,
            source=source,
            configuration=dict(service.configuration),
            watched=tuple(watched) if alarms.get("enable") and alarms.get("rollback") else (),
        ),
    )


def service_deployments() -> Iterator[tuple[Service, ServiceDeployment]]:
    """All blue/green deployments with their services."""
    for service in services():
        for each in list(service.history):
            yield service, each


def find_service_deployment(arn: str) -> ServiceDeployment | None:
    """A blue/green deployment by its ARN."""
    return next((each for _service, each in service_deployments() if each.arn == arn), None)


def _platform(version: str | None) -> str:
    if version not in (None, "", "LATEST", PLATFORM_VERSION):
        raise InvalidParameterException(f"The lab has the platform version {PLATFORM_VERSION}.")
    return PLATFORM_VERSION


def find_service(backend: Any, cluster: str | None, name: str) -> Service:
    """A service that is not gone.

    Raises:
        ServiceNotFoundException: there is none.
        ECSException: it is being deleted.
    """
    found: Service | None = backend.services.get(f"{_cluster(backend, cluster).name}:{name.rsplit('/', 1)[-1]}")
    if found is None:
        raise ServiceNotFoundException
    if found.status != "ACTIVE":
        raise ECSException("ServiceNotActiveException", "Service was not ACTIVE.")
    return found


def update_service(backend: Any, given: dict[str, Any]) -> Service:
    """Change a service; what its tasks are made from is changed by a new deployment.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html
    """
    _refuse_unknown(given)
    service = find_service(backend, given.get("cluster"), given["service"])
    deployment = new_deployment(service)
    definition = _definition(backend, given.get("taskDefinition") or deployment.task_definition)
    deployment.task_definition = definition.arn
    if given.get("networkConfiguration"):
        deployment.network = _network(backend, given["networkConfiguration"])
    if given.get("loadBalancers") is not None:
        deployment.load_balancers = _load_balancers(backend, given["loadBalancers"], definition)
    else:
        _load_balancers(backend, deployment.load_balancers, definition)
    if given.get("serviceRegistries") is not None:
        deployment.registries = _registries(backend, given["serviceRegistries"])
    deployment.platform_version = _platform(given.get("platformVersion"))
    grace = given.get("healthCheckGracePeriodSeconds")
    if grace is not None and not deployment.load_balancers:
        raise InvalidParameterException(
            "Health check grace period is only valid for services configured to use load balancers"
        )
    configuration = _configuration(given.get("deploymentConfiguration"), service.configuration)
    _check_alarms(backend, configuration)
    other_strategy = configuration["strategy"] != service.configuration["strategy"]
    if other_strategy and (service.under_way or service.primary.rollout == "IN_PROGRESS"):
        raise InvalidParameterException("The strategy cannot be changed while a deployment is in progress.")
    if configuration["strategy"] == "BLUE_GREEN":
        _check_two_groups(service.primary.load_balancers if other_strategy else deployment.load_balancers)
    service.configuration = configuration
    service.grace_seconds = int(grace) if grace is not None else service.grace_seconds
    if given.get("desiredCount") is not None:
        service.desired_count = int(given["desiredCount"])
    service.propagate_tags = given.get("propagateTags") or service.propagate_tags
    if given.get("enableExecuteCommand") is not None:
        service.enable_execute_command = bool(given["enableExecuteCommand"])
    if given.get("forceNewDeployment") or _differ(deployment, service.primary):
        deployment.reason = f"ECS deployment {deployment.id} in progress."
        source = service.primary
        if deployment.load_balancers and not deployment.load_balancers[0].get("advancedConfiguration"):
            deployment.target_group = ""
        if service.blue_green:
            before = service.under_way
            # Blue is what has the requests.
            source = before.source if before and before.source and not before.shifted else source
            pair = deployment.load_balancers[0]
            both = [pair["targetGroupArn"], pair["advancedConfiguration"]["alternateTargetGroupArn"]]
            used = source.target_group or source.load_balancers[0]["targetGroupArn"]
            source.target_group, deployment.target_group = used, both[1] if used == both[0] else both[0]
            _begin_blue_green(backend, service, deployment, source)
        service.primary.status = source.status = "ACTIVE"
        service.deployments = [deployment, *service.deployments]
    return service


def _differ(one: Deployment, other: Deployment) -> bool:
    return any(
        getattr(one, name) != getattr(other, name)
        for name in ("task_definition", "network", "load_balancers", "registries")
    )


def delete_service(backend: Any, cluster: str | None, name: str, force: bool) -> Service:
    """Let a service drain: its tasks stop, then it is INACTIVE."""
    service = find_service(backend, cluster, name)
    if service.desired_count > 0 and not force:
        raise InvalidParameterException("The service cannot be stopped while it is scaled above 0.")
    service.desired_count, service.status = 0, "DRAINING"
    return service


def run_task(backend: Any, given: dict[str, Any]) -> list[Task]:
    """Start tasks that belong to no service."""
    _refuse_unknown(given)
    cluster = _cluster(backend, given.get("cluster"))
    definition = _definition(backend, given.get("taskDefinition") or "")
    network = _network(backend, given.get("networkConfiguration"))
    known = {container["name"] for container in definition.container_definitions}
    overrides = given.get("overrides") or {}
    for override in overrides.get("containerOverrides") or []:
        if override.get("name") not in known:
            raise InvalidParameterException(
                f"Override for container named {override.get('name')} is not a container in the TaskDefinition."
            )
    count = int(given.get("count") or 1)
    if not 1 <= count <= 10:
        raise InvalidParameterException("count cannot be less than 1 or greater than 10.")
    return [
        new_task(
            backend,
            cluster,
            definition,
            given.get("group") or f"family:{definition.family}",
            network,
            started_by=given.get("startedBy") or "",
            overrides=overrides,
            tags=list(given.get("tags") or (definition.tags if given.get("propagateTags") else [])),
        )
        for _ in range(count)
    ]


def find_task(backend: Any, cluster: str | None, name: str) -> Task | None:
    """A task by id or ARN."""
    found = backend.tasks.get(_cluster(backend, cluster).name, {})
    return next((task for task in list(found.values()) if name in (task.id, task.task_arn)), None)


def listed_tasks(backend: Any, given: dict[str, Any]) -> list[Task]:
    """What ListTasks lists: the tasks that shall run, unless stopped ones are asked for."""
    cluster = _cluster(backend, given.get("cluster"))
    wanted = given.get("desiredStatus") or "RUNNING"
    service = str(given.get("serviceName") or "").rsplit("/", 1)[-1]
    if service:
        find_service(backend, cluster.name, service)
    return [
        task
        for task in list(backend.tasks.get(cluster.name, {}).values())
        if task.desired_status == wanted
        and (not service or task.service_name == service)
        and (not given.get("startedBy") or task.started_by == given["startedBy"])
        and (not given.get("family") or definition_of(task).family == given["family"])
    ]


# The API --------------------------------------------------------------------------------------------------------------


def _patch_responses() -> None:
    register = EC2ContainerServiceResponse.register_task_definition

    def register_task_definition(self: Any) -> ActionResult:
        _check_definition(self._get_params())
        return register(self)

    def made_service(self: Any) -> ActionResult:
        with LOCK:
            return ActionResult({"service": create_service(self.ecs_backend, self._get_params()).shown()})

    def updated_service(self: Any) -> ActionResult:
        with LOCK:
            return ActionResult({"service": update_service(self.ecs_backend, self._get_params()).shown()})

    def deleted_service(self: Any) -> ActionResult:
        given = self._get_params()
        with LOCK:
            service = delete_service(self.ecs_backend, given.get("cluster"), given["service"], bool(given.get("force")))
            return ActionResult({"service": service.shown()})

    def describe_services(self: Any) -> ActionResult:
        given = self._get_params()
        found, failures = self.ecs_backend.describe_services(given.get("cluster") or "default", given["services"])
        shown = [service.shown() for service in found]
        if "TAGS" not in (given.get("include") or []):
            shown = [{key: value for key, value in each.items() if key != "tags"} for each in shown]
        return ActionResult({"services": shown, "failures": failures})

    def list_services(self: Any) -> ActionResult:
        given = self._get_params()
        cluster = _cluster(self.ecs_backend, given.get("cluster"))
        arns = [
            service.arn
            for service in list(self.ecs_backend.services.values())
            # "…no longer visible … in the ListServices API operation" while it is DRAINING: API_DeleteService.
            if service.cluster_name == cluster.name and service.status == "ACTIVE"
        ]
        return ActionResult({"serviceArns": sorted(arns)})

    def list_service_deployments(self: Any) -> ActionResult:
        given = self._get_params()
        service = find_service(self.ecs_backend, given.get("cluster"), given["service"])
        wanted = given.get("status") or []
        found = [each.brief(service) for each in service.history if not wanted or each.status in wanted]
        return ActionResult({"serviceDeployments": found[: int(given.get("maxResults") or 20)]})

    def describe_service_deployments(self: Any) -> ActionResult:
        known = {each.arn: (service, each) for service, each in service_deployments()}
        asked = self._get_params()["serviceDeploymentArns"]
        shown = [each.shown(service) for service, each in (known[arn] for arn in asked if arn in known)]
        failures = [{"arn": arn, "reason": "MISSING"} for arn in asked if arn not in known]
        return ActionResult({"serviceDeployments": shown, "failures": failures})

    def stop_service_deployment(self: Any) -> ActionResult:
        given = self._get_params()
        with LOCK:
            found = find_service_deployment(given["serviceDeploymentArn"])
            if found is None:
                raise ECSException("ServiceDeploymentNotFoundException", "The service deployment was not found.")
            if (given.get("stopType") or "ROLLBACK") != "ROLLBACK":
                raise InvalidParameterException("The lab knows the stop type ROLLBACK alone.")
            if found.status not in STOPPABLE:
                raise ECSException("ConflictException", f"The service deployment is {found.status}.")
            found.request_rollback("Service deployment rolled back because of a StopServiceDeployment request.")
        return ActionResult({"serviceDeploymentArn": found.arn})

    def ran_task(self: Any) -> ActionResult:
        with LOCK:
            made = run_task(self.ecs_backend, self._get_params())
        return ActionResult({"tasks": [task.shown() for task in made], "failures": []})

    def describe_tasks(self: Any) -> ActionResult:
        given = self._get_params()
        if not given.get("tasks"):
            raise InvalidParameterException("Tasks cannot be empty.")
        asked = {name: find_task(self.ecs_backend, given.get("cluster"), name) for name in given["tasks"]}
        shown = [task.shown() for task in asked.values() if task]
        if "TAGS" not in (given.get("include") or []):
            shown = [{key: value for key, value in each.items() if key != "tags"} for each in shown]
        failures = [{"arn": name, "reason": "MISSING"} for name, task in asked.items() if task is None]
        return ActionResult({"tasks": shown, "failures": failures})

    def list_tasks(self: Any) -> ActionResult:
        found = listed_tasks(self.ecs_backend, self._get_params())
        return ActionResult({"taskArns": [task.task_arn for task in found]})

    def stop_task(self: Any) -> ActionResult:
        given = self._get_params()
        task = find_task(self.ecs_backend, given.get("cluster"), given["task"])
        if task is None:
            raise InvalidParameterException("The referenced task was not found.")
        task.stop("UserInitiated", given.get("reason") or "Task stopped by user")
        return ActionResult({"task": task.shown()})

    response = EC2ContainerServiceResponse
    response.register_task_definition = register_task_definition
    response.create_service = made_service
    response.update_service = updated_service
    response.delete_service = deleted_service
    response.describe_services = describe_services
    response.list_services = list_services
    response.list_service_deployments = list_service_deployments
    response.describe_service_deployments = describe_service_deployments
    response.stop_service_deployment = stop_service_deployment
    response.run_task = ran_task
    response.describe_tasks = describe_tasks
    response.list_tasks = list_tasks
    response.stop_task = stop_task


def _patch_backend() -> None:
    backend = models.EC2ContainerServiceBackend
    describe, delete, listed = backend.describe_clusters, backend.delete_cluster, backend.iter_tagged_resources
    describe_definition, delete_definitions = backend.describe_task_definition, backend.delete_task_definitions

    def describe_clusters(self: Any, cluster_names: list[str]) -> Any:
        found, failures = describe(self, cluster_names)
        for cluster in found:
            states = [task.last_status for task in list(self.tasks.get(cluster.name, {}).values())]
            cluster.running_tasks_count = states.count("RUNNING")
            cluster.pending_tasks_count = len([state for state in states if state in WAITING])
            cluster.active_services_count = len(_alive(self, cluster.name))
        return found, failures

    def delete_cluster(self: Any, cluster_str: str) -> Any:
        cluster = self._get_cluster(cluster_str)
        if _alive(self, cluster.name):
            raise ECSException(
                "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."
            )
        if any(task.last_status != "STOPPED" for task in list(self.tasks.get(cluster.name, {}).values())):
            raise ECSException("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
        return delete(self, cluster_str)

    def describe_task_definition(self: Any, task_definition_str: str) -> Any:
        family = task_definition_str.rsplit("/", 1)[-1]
        if ":" in family:
            return describe_definition(self, task_definition_str)
        active = [each for each in self.task_definitions.get(family, {}).values() if each.status == "ACTIVE"]
        if not active:
            raise TaskDefinitionNotFoundException
        return max(active, key=lambda each: each.revision)

    def delete_task_definitions(self: Any, task_definitions: list[str]) -> Any:
        # A task that still runs is shown with its definition, and no revision's number is given out twice.
        kept = {family: dict(revisions) for family, revisions in self.task_definitions.items()}
        answer = delete_definitions(self, task_definitions)
        for family, revisions in kept.items():
            self.task_definitions[family] = {**revisions, **self.task_definitions.get(family, {})}
        return answer

    def list_tasks(self: Any, *_: Any, **__: Any) -> list[Task]:
        # Who tags a task looks it up here.
        return [task for found in list(self.tasks.values()) for task in list(found.values())]

    def iter_tagged_resources(self: Any) -> Iterator[TaggedResource]:
        gone = {service.arn for service in list(self.services.values()) if service.status == "INACTIVE"}
        gone |= {cluster.arn for cluster in list(self.clusters.values()) if cluster.status == "INACTIVE"}
        gone |= {task.task_arn for task in self.list_tasks() if task.last_status == "STOPPED"}
        gone |= {
            each.arn
            for revisions in list(self.task_definitions.values())
            for each in list(revisions.values())
            if each.status == "DELETE_IN_PROGRESS"
        }
        for resource in listed(self):
            if resource.arn not in gone:
                yield resource

    backend.describe_clusters = describe_clusters
    backend.delete_cluster = delete_cluster
    backend.describe_task_definition = describe_task_definition
    backend.delete_task_definitions = delete_task_definitions
    backend.list_tasks = list_tasks
    backend.iter_tagged_resources = iter_tagged_resources


def _alive(backend: Any, cluster: str) -> list[Service]:
    return [
        service
        for service in list(backend.services.values())
        if service.cluster_name == cluster and service.status != "INACTIVE"
    ]


@functools.cache
def apply() -> None:
    """Patch moto.ecs."""
    _patch_responses()
    _patch_backend()
