"""ECS services: as many tasks as are wanted, rolling deployments, the circuit breaker, and who is told of a task.

Blue/green deployments are led by `lab.reconcilers.blue_green`. It only decides: tasks are started and stopped by
`lab.reconcilers.tasks`, or by what stands in for it. Sources:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html,
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html and, for the replacement of
unhealthy tasks, https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service_definition_parameters.html.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from typing import Any, ClassVar

from moto.elbv2.models import elbv2_backends
from moto.servicediscovery.exceptions import InstanceNotFound, ServiceNotFound
from moto.servicediscovery.models import servicediscovery_backends

from lab import settings
from lab.moto_patches import ecs, elbv2
from lab.moto_patches.ecs import Service, Task
from lab.reconcilers import blue_green
from lab.reconcilers.base import Reconciler

LONGEST_PAUSE = 15.0
"""Seconds between two attempts of a deployment whose tasks fail; AWS waits up to 15 minutes."""
BREAKER_LIMITS = (3, 200)
STEADY = "has reached a steady state."


# Who is told of a task ------------------------------------------------------------------------------------------------


def register(task: Task) -> None:
    """Make a task that runs known to its service's target groups and registries."""
    groups = elbv2_backends[settings.ACCOUNT_ID][task.region_name].target_groups
    for wanted in task.load_balancers:
        if group := groups.get(wanted["targetGroupArn"]):
            group.register([{"Id": task.address, "Port": int(wanted["containerPort"])}])
    cloud_map = servicediscovery_backends[settings.ACCOUNT_ID][task.region_name]
    for registry in task.registries:
        with contextlib.suppress(ServiceNotFound):
            cloud_map.register_instance(_registry_id(registry), task.id, "", _attributes(task))


def deregister(task: Task) -> None:
    """Take a task out of target groups, which drains it, and registries."""
    groups = elbv2_backends[settings.ACCOUNT_ID][task.region_name].target_groups
    for wanted in task.load_balancers:
        if group := groups.get(wanted["targetGroupArn"]):
            group.deregister([{"Id": task.address}])
    cloud_map = servicediscovery_backends[settings.ACCOUNT_ID][task.region_name]
    for registry in task.registries:
        with contextlib.suppress(ServiceNotFound, InstanceNotFound):
            cloud_map.deregister_instance(_registry_id(registry), task.id)


def drained(task: Task) -> bool:
    """Is the deregistration delay of all target groups over?"""
    groups = elbv2_backends[settings.ACCOUNT_ID][task.region_name].target_groups
    found = (groups.get(wanted["targetGroupArn"]) for wanted in task.load_balancers)
    return not any(group and task.address in elbv2.draining_since(group) for group in found)


def _registry_id(registry: dict[str, Any]) -> str:
    return str(registry["registryArn"]).rpartition("/")[2]


def _attributes(task: Task) -> dict[str, str]:
    """https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-discovery.html"""
    return {
        "AWS_INSTANCE_IPV4": task.address,
        "ECS_CLUSTER_NAME": task.cluster_name,
        "ECS_SERVICE_NAME": task.service_name,
        "ECS_TASK_DEFINITION_FAMILY": task.task_definition_arn.rpartition("/")[2].partition(":")[0],
        "REGION": task.region_name,
    }


# Health ---------------------------------------------------------------------------------------------------------------


def _target_states(task: Task) -> Iterator[tuple[str, str]]:
    """(target group's ARN, state of the task in it)."""
    backend = elbv2_backends[settings.ACCOUNT_ID][task.region_name]
    for wanted in task.load_balancers:
        arn = wanted["targetGroupArn"]
        if arn in backend.target_groups:
            (found,) = backend.describe_target_health(arn, [{"Id": task.address}])
            yield arn, found.status


def judge(service: Service, task: Task) -> None:
    """Say whether a task is healthy, and let one be stopped that never came to be it.

    A task that was healthy stays until another has taken its place.
    """
    states = list(_target_states(task))
    container = ecs.definition_of(task).container_definitions[0]
    unhealthy = [arn for arn, state in states if state == "unhealthy"]
    task.healthy = (
        task.last_status == "RUNNING"
        and (not container.get("healthCheck") or task.health_status == "HEALTHY")
        and all(state == "healthy" for _arn, state in states)
    )
    task.proven = task.proven or task.healthy
    grace = time.time() - task.started < (service.grace_seconds or 0)
    faulty = not grace and (task.health_status == "UNHEALTHY" or bool(unhealthy))
    task.ailing = faulty and task.proven
    if faulty:
        task.fault = f"Task {_fault(unhealthy)}"
        if not task.proven:
            task.stop("ServiceSchedulerInitiated", task.fault, failed=True)


def _fault(unhealthy: list[str]) -> str:
    return (
        f"failed ELB health checks in (target-group {unhealthy[0]})" if unhealthy else "failed container health checks"
    )


def threshold(desired: int) -> int:
    """Failures in a row after which the circuit breaker trips: half of the desired count, within limits."""
    lowest, highest = BREAKER_LIMITS
    return min(max(lowest, math.ceil(desired / 2)), highest)


# Deployments ----------------------------------------------------------------------------------------------------------


class Services(Reconciler):
    """Keeps every service at its desired count and leads its deployments to their end."""

    name: ClassVar[str] = "services"
    interval: ClassVar[float] = 1.0

    def reconcile(self) -> None:
        """Bring every service up to date; a fault in one does not hold the others up."""
        faults = []
        for service in ecs.services():
            if service.status == "INACTIVE":
                continue
            try:
                with ecs.LOCK:
                    if self._converge(service):
                        self.changed()
            except (RuntimeError, ValueError, KeyError) as error:
                faults.append(f"{service.name}: {type(error).__name__} {error}")
        if faults:
            raise RuntimeError("; ".join(faults))

    def _converge(self, service: Service) -> bool:
        """Do what can be done now; tell whether that was anything."""
        tasks = ecs.tasks_of(service)
        if service.status == "DRAINING":
            left = _wanted(tasks)
            for task in left:
                task.stop("ServiceSchedulerInitiated", "Scaling activity initiated by service deletion")
            if any(task.last_status != "STOPPED" for task in tasks):
                return bool(left)
            service.status = "INACTIVE"
            self.log.info("service %s is gone", service.name)
            return True
        for task in tasks:
            if task.desired_status == "RUNNING":
                judge(service, task)
        moved = self._count(service, tasks)
        if deployment := service.under_way:
            return blue_green.lead(service, deployment, tasks) or moved
        if self._broken(service):
            return True
        moved |= self._stop(service, tasks)
        moved |= self._start(service, tasks)
        return self._settle(service, tasks) or moved

    @staticmethod
    def _count(service: Service, tasks: list[Task]) -> bool:
        """Count failures in a row of the deployment; a task that is healthy ends the row."""
        primary, moved = service.primary, False
        for task in tasks:
            if task.deployment_id != primary.id:
                continue
            if task.failed and task.counted != "failed":
                task.counted, moved = "failed", True
                if not task.proven:
                    primary.failed_tasks += 1
                primary.retry_at = time.time() + min(max(1, primary.failed_tasks), LONGEST_PAUSE)
                service.note(f"has stopped 1 running tasks: (task {task.id}). {task.stopped_reason}.")
            elif task.healthy and not task.counted:
                task.counted, moved = "healthy", True
                primary.failed_tasks = 0
        return moved

    def _broken(self, service: Service) -> bool:
        """End a deployment that keeps failing, if the service wants that."""
        primary = service.primary
        if (
            not service.breaker.get("enable")
            or primary.rollout != "IN_PROGRESS"
            or primary.failed_tasks < threshold(service.desired_count)
        ):
            return False
        primary.set_rollout("FAILED", "ECS deployment circuit breaker: tasks failed to start.")
        service.note(f"(deployment {primary.id}) deployment failed: tasks failed to start.")
        self.log.warning("service %s: deployment %s failed", service.name, primary.id)
        before = service.completed
        if service.breaker.get("rollback") and before and before is not primary:
            primary.status, before.status, before.failed_tasks, before.retry_at = "ACTIVE", "PRIMARY", 0, 0
            before.set_rollout(
                "IN_PROGRESS", f"ECS deployment circuit breaker: rolling back to deploymentId {before.id}."
            )
            service.completed = None
            service.deployments = [before, *(each for each in service.deployments if each is not before)]
            service.note(f"rolling back to deployment {before.id}.")
        return True

    @staticmethod
    def _start(service: Service, tasks: list[Task]) -> bool:
        """Start what is missing of the deployment, within the maximum percent."""
        primary = service.primary
        if primary.rollout == "FAILED" or time.time() < primary.retry_at:
            return False
        mine = [task for task in _wanted(tasks) if task.deployment_id == primary.id and not task.ailing]
        return ecs.launch(service, primary, min(service.desired_count - len(mine), _room(service, tasks)))

    @staticmethod
    def _stop(service: Service, tasks: list[Task]) -> bool:
        """Stop what is too much: of the deployment, of those before it, and what has been replaced."""
        primary, desired = service.primary, service.desired_count
        wanted = _wanted(tasks)
        mine = [task for task in wanted if task.deployment_id == primary.id]
        old = [task for task in wanted if task.deployment_id != primary.id]
        good = [task for task in mine if task.healthy]
        ailing = [task for task in mine if task.ailing]
        sound = [task for task in mine if not task.ailing]
        # The maximum leaves no room for a new task: one that shall go anyway makes it.
        crowded = _room(service, tasks) <= 0
        replaced = len(ailing) if crowded else max(0, len(ailing) + len(good) - desired)
        for task in ailing[:replaced]:
            task.stop("ServiceSchedulerInitiated", task.fault, failed=True)
        # Too many: those that are not healthy yet first, then the youngest.
        surplus = sorted(sound, key=lambda task: (task.healthy, -task.created))[: max(0, len(sound) - desired)]
        healthy = [task for task in old if task.healthy]
        lowest = math.ceil(desired * int(service.configuration["minimumHealthyPercent"]) / 100)
        spare = max(0, len(healthy) + len(good) - lowest)
        succeeded = max(0, len(healthy) + len(good) - desired)
        needed = max(succeeded, desired - len(sound) if crowded else 0)
        surplus += healthy[: min(spare, needed)]
        surplus += [task for task in old if task.ailing or not task.proven]
        for task in surplus:
            task.stop("ServiceSchedulerInitiated", f"Scaling activity initiated by deployment {primary.id}")
        if surplus:
            service.note(f"has stopped {len(surplus)} running tasks: {ecs.named(surplus)}.")
        return bool(surplus or replaced)

    def _settle(self, service: Service, tasks: list[Task]) -> bool:
        """End a deployment that has all its tasks healthy and no others beside them."""
        primary = service.primary
        used = {task.deployment_id for task in tasks if task.last_status != "STOPPED"}
        service.deployments = [
            primary, *(each for each in service.deployments[1:] if each.id in used or each.rollout == "FAILED")
        ]  # fmt: skip
        good = [task for task in _wanted(tasks) if task.deployment_id == primary.id and task.healthy]
        others = [task for task in tasks if task.last_status in ecs.OCCUPYING and task not in good]
        if primary.rollout == "FAILED" or len(good) != service.desired_count or others:
            return False
        completed = primary.rollout == "IN_PROGRESS"
        if completed:
            primary.set_rollout("COMPLETED", f"ECS deployment {primary.id} completed.")
            service.deployments, service.completed = [primary], primary
            service.note(f"(deployment {primary.id}) deployment completed.")
            self.log.info("service %s: deployment %s completed", service.name, primary.id)
        if not service.events or not service.events[0]["message"].endswith(STEADY):
            service.note(STEADY)
        return completed


def _wanted(tasks: list[Task]) -> list[Task]:
    return [task for task in tasks if task.desired_status == "RUNNING"]


def _room(service: Service, tasks: list[Task]) -> int:
    """How many tasks more the maximum percent allows."""
    highest = math.floor(service.desired_count * int(service.configuration["maximumPercent"]) / 100)
    return highest - len([task for task in tasks if task.last_status in ecs.OCCUPYING])
