"""ECS services that follow their load: target tracking of Application Auto Scaling on the CPU of a service's tasks.

https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, ClassVar

from moto.applicationautoscaling.models import applicationautoscaling_backends

from lab import metrics, scaling, settings
from lab.moto_patches import ecs
from lab.reconcilers.base import Reconciler
from lab.reconcilers.tasks import container_name

METRIC = "ECSServiceAverageCPUUtilization"
"""The one metric that is measured here."""
DIMENSION = "ecs:service:DesiredCount"
LOW_SHARE = 0.9
"""What AlarmLow of a service's CPU has for a threshold: 67.5 for a target of 75 (observed; AWS documents none)."""
COOLDOWN = 300
"""Seconds, for services: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-autoscaling-targettracking.html"""


class ServiceScaling(Reconciler):
    """Measures each service that has such a policy once a period, and sets its desired count as the policy wants."""

    name: ClassVar[str] = "service scaling"
    interval: ClassVar[float] = 1.0

    def __init__(self) -> None:
        super().__init__()
        self._meter = metrics.CpuMeter()
        self._points: dict[str, deque[float]] = {}
        self._scaled: dict[str, float] = {}
        """Policy → when it changed its service last, seconds on the monotonic clock."""
        self._next = 0.0

    def reconcile(self) -> None:
        """Take a datapoint of every service when it is time for one."""
        pace = metrics.pace()
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + pace.period
        services = {f"service/{each.cluster_name}/{each.name}": each for each in ecs.services()}
        for backend in list(applicationautoscaling_backends[settings.ACCOUNT_ID].values()):
            for policy in list(backend.policies.values()):
                config = policy.target_tracking_scaling_policy_configuration or {}
                metric = (config.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType")
                service = services.get(policy.resource_id)
                target = backend.targets.get(DIMENSION, {}).get(policy.resource_id)
                in_region = service is not None and service.region == backend.region_name
                if service and in_region and target and service.status == "ACTIVE" and metric == METRIC:
                    self._follow(service, policy, target, config, pace)

    def _follow(
        self, service: ecs.Service, policy: Any, target: Any, config: dict[str, Any], pace: metrics.Pace
    ) -> None:
        tasks = [task for task in ecs.tasks_of(service) if task.healthy]
        loads = [
            self._meter.percent_of(container_name(task), int(ecs.definition_of(task).cpu) / 1024) for task in tasks
        ]
        measured = [load for load in loads if load is not None]
        if not measured:
            return
        points = self._points.setdefault(policy.policy_arn, deque(maxlen=scaling.LOW_POINTS))
        points.append(sum(measured) / len(measured))
        before, suspended = service.desired_count, target.suspended_state or {}
        wanted = scaling.wanted_size(
            tuple(points),
            float(config["TargetValue"]),
            before,
            len(measured),
            scale_in=not config.get("DisableScaleIn"),
            low_share=LOW_SHARE,
        )
        wanted = min(max(wanted, int(target.min_capacity)), int(target.max_capacity))
        direction = "Out" if wanted > before else "In"
        # The lab's minute may be shorter than one: so is the time in which nothing is changed again.
        cooldown = float(config.get(f"Scale{direction}Cooldown", COOLDOWN)) * pace.period / 60
        resting = time.monotonic() - self._scaled.get(policy.policy_arn, -cooldown) < cooldown
        if wanted == before or resting or suspended.get(f"DynamicScaling{direction}Suspended"):
            return
        with ecs.LOCK:
            service.desired_count = wanted
        self._scaled[policy.policy_arn] = time.monotonic()
        self.log.info("%s: %.0f %% CPU, %s tasks instead of %s", service.name, points[-1], wanted, before)
        self.changed()
