"""Blue/green deployments of ECS services: both revisions side by side, and all requests to the one or the other.

Sources: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/blue-green-deployment-how-it-works.html,
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/alb-resources-for-blue-green.html and, for the way back,
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stop-service-deployment.html.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.elbv2.models import FakeAction, elbv2_backends

from lab import permissions, settings
from lab.moto_patches import ecs
from lab.moto_patches.ecs import Deployment, Service, ServiceDeployment, Task

READING = ("DescribeListeners", "DescribeRules", "DescribeTargetGroups", "DescribeTargetHealth")
REGISTERING = ("RegisterTargets", "DeregisterTargets")
ALL = 100
"""Weight of the target group that has the requests; the other's is 0."""

log = logging.getLogger(__name__)


def lead(service: Service, deployment: ServiceDeployment, tasks: list[Task]) -> bool:
    """Lead a blue/green deployment one step on; tell whether there was one to do."""
    match deployment.status:
        case "PENDING":
            return _begin(service, deployment)
        case "IN_PROGRESS":
            return _watch(service, deployment) or _go_on(service, deployment, tasks)
        case "ROLLBACK_REQUESTED":
            return _turn(service, deployment)
        case _:
            return _go_back(service, deployment, tasks)


def _begin(service: Service, deployment: ServiceDeployment) -> bool:
    pair = _groups(deployment)
    denied = next((text for arn in pair for text in [_denied(service, deployment, REGISTERING, arn)] if text), "")
    if denied := denied or _denied(service, deployment, READING, "*"):
        deployment.request_rollback(denied)
    else:
        deployment.go(status="IN_PROGRESS", stage="SCALE_UP")
    return True


def _watch(service: Service, deployment: ServiceDeployment) -> bool:
    """Take it back when one of its alarms goes off."""
    alarms = cloudwatch_backends[settings.ACCOUNT_ID][service.region].alarms
    since = datetime.fromtimestamp(deployment.created, UTC).replace(tzinfo=None)
    found = tuple(name for name in deployment.watched if name in alarms and _went_off(alarms[name], since))
    if found:
        deployment.triggered = found
        deployment.request_rollback(f"Alarm(s) detected: {', '.join(found)}.")
    return bool(found)


def _went_off(alarm: Any, since: datetime) -> bool:
    """Was an alarm in the state ALARM at any time since, also one that has been evaluated anew meanwhile?"""
    before = [(state, moment) for kind, _reason, _data, state, moment in alarm.history if kind == "StateUpdate"]
    now = (alarm.state_value, alarm.state_updated_timestamp)
    return any(state == "ALARM" and moment >= since for state, moment in [*before, now])


def _go_on(service: Service, deployment: ServiceDeployment, tasks: list[Task]) -> bool:
    green, blue = deployment.target, deployment.source
    moved = _keep(service, green, tasks)
    match deployment.stage:
        case "SCALE_UP":
            moved |= blue is not None and _keep(service, blue, tasks)
            moved |= _stop(service, [task for task in tasks if task.deployment_id not in _revisions(deployment)])
            if len(_good(tasks, green)) < service.desired_count:
                return moved
            deployment.go(stage="PRODUCTION_TRAFFIC_SHIFT")
            if denied := _lead_requests(service, deployment, green):
                deployment.request_rollback(denied)
                return True
            deployment.shifted, deployment.baking_since = True, time.time()
            # There is nothing to go back to, and nothing to wait for, where a service is new.
            deployment.go(stage="BAKE_TIME" if blue else "CLEAN_UP")
            return True
        case "BAKE_TIME":
            moved |= blue is not None and _keep(service, blue, tasks)
            if time.time() - deployment.baking_since < int(deployment.configuration["bakeTimeInMinutes"]) * 60:
                return moved
            deployment.go(stage="CLEAN_UP")
            return True
        case _:
            others = [task for task in tasks if task.deployment_id != green.id]
            moved |= _stop(service, others)
            if any(task.last_status != "STOPPED" for task in others):
                return moved
            _end(service, green, f"ECS deployment {green.id} completed.")
            deployment.go(status="SUCCESSFUL", reason=f"ECS deployment {green.id} completed.")
            service.note(f"(deployment {green.id}) deployment completed.")
            return True


def _turn(service: Service, deployment: ServiceDeployment) -> bool:
    green, blue = deployment.target, deployment.source
    service.note(f"(deployment {green.id}) deployment failed: {deployment.reason}")
    log.warning("service %s: deployment %s is taken back: %s", service.name, green.id, deployment.reason)
    green.set_rollout("FAILED", deployment.reason)
    if blue is None:
        deployment.go(status="ROLLBACK_FAILED")
        return True
    green.status, blue.status, blue.failed_tasks, blue.retry_at = "ACTIVE", "PRIMARY", 0, 0
    service.deployments = [blue, *(each for each in service.deployments if each is not blue)]
    deployment.go(status="ROLLBACK_IN_PROGRESS")
    return True


def _go_back(service: Service, deployment: ServiceDeployment, tasks: list[Task]) -> bool:
    blue = deployment.source
    assert blue is not None
    moved = _keep(service, blue, tasks)
    if deployment.shifted:
        if len(_good(tasks, blue)) < service.desired_count or _lead_requests(service, deployment, blue):
            return moved
        deployment.shifted, moved = False, True
    others = [task for task in tasks if task.deployment_id != blue.id]
    moved |= _stop(service, others)
    if any(task.last_status != "STOPPED" for task in others):
        return moved
    _end(service, blue, f"ECS deployment {blue.id} completed.")
    deployment.go(status="ROLLBACK_SUCCESSFUL")
    service.note(f"rolled back to deployment {blue.id}.")
    return True


def _end(service: Service, deployment: Deployment, reason: str) -> None:
    deployment.set_rollout("COMPLETED", reason)
    service.deployments, service.completed = [deployment], deployment


# Tasks ----------------------------------------------------------------------------------------------------------------


def _revisions(deployment: ServiceDeployment) -> set[str]:
    return {each.id for each in (deployment.target, deployment.source) if each}


def _good(tasks: list[Task], deployment: Deployment) -> list[Task]:
    return [
        task
        for task in tasks
        if task.deployment_id == deployment.id and task.desired_status == "RUNNING" and task.healthy
    ]


def _keep(service: Service, deployment: Deployment, tasks: list[Task]) -> bool:
    """Have the desired number of tasks of a revision, in place of those that are ill too."""
    mine = [task for task in tasks if task.deployment_id == deployment.id and task.desired_status == "RUNNING"]
    sound = [task for task in mine if not task.ailing]
    missing = service.desired_count - len(sound)
    replaced = [task for task in mine if task.ailing] if len(_good(tasks, deployment)) >= service.desired_count else []
    moved = _stop(service, sorted(sound, key=lambda task: task.healthy)[: max(0, -missing)] + replaced)
    if missing > 0 and time.time() >= deployment.retry_at:
        moved |= ecs.launch(service, deployment, missing)
    return moved


def _stop(service: Service, tasks: list[Task]) -> bool:
    found = [task for task in tasks if task.desired_status == "RUNNING"]
    for task in found:
        reason = f"Scaling activity initiated by deployment {service.primary.id}"
        task.stop("ServiceSchedulerInitiated", task.fault if task.ailing else reason)
    if found:
        service.note(f"has stopped {len(found)} running tasks: {ecs.named(found)}.")
    return bool(found)


# The load balancer ----------------------------------------------------------------------------------------------------


def _groups(deployment: ServiceDeployment) -> list[str]:
    balancer = deployment.balancer
    return [balancer["targetGroupArn"], balancer["advancedConfiguration"]["alternateTargetGroupArn"]]


def _denied(service: Service, deployment: ServiceDeployment, actions: tuple[str, ...], resource: str) -> str:
    """What the infrastructure role may not do; "" where it may."""
    role = deployment.balancer["advancedConfiguration"]["roleArn"]
    for action in (f"elasticloadbalancing:{each}" for each in actions):
        if not permissions.allowed(role, action, resource, service.region):
            return f"The role {role} is not authorized to perform {action} on {resource}."
    return ""


def _lead_requests(service: Service, deployment: ServiceDeployment, revision: Deployment) -> str:
    """Lead all requests to a revision's target group by the weights of the rule; return why that cannot be."""
    wanted = deployment.balancer["advancedConfiguration"]["productionListenerRule"]
    if denied := _denied(service, deployment, ("ModifyRule",), wanted):
        return denied
    backend = elbv2_backends[settings.ACCOUNT_ID][service.region]
    for balancer in list(backend.load_balancers.values()):
        for listener in list(balancer.listeners.values()):
            for rule in list(listener.rules.values()):
                if rule.arn == wanted:
                    shares = [
                        {"TargetGroupArn": arn, "Weight": ALL if arn == revision.target_group else 0}
                        for arn in _groups(deployment)
                    ]
                    rule.actions = [FakeAction({"Type": "forward", "ForwardConfig": {"TargetGroups": shares}})]
                    return ""
    return f"The listener rule {wanted} is not there."
