"""ECS services that follow their load: target tracking of Application Auto Scaling on the CPU of a service's tasks.

https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

from moto.applicationautoscaling.models import applicationautoscaling_backends

from lab import metrics, scaling, settings
from lab.moto_patches import ecs
from lab.reconcilers.load_following import LoadFollowing
from lab.reconcilers.tasks import container_name

METRIC = "ECSServiceAverageCPUUtilization"
"""The one metric that is measured here."""
DIMENSION = "ecs:service:DesiredCount"
LOW_SHARE = 0.9
"""What AlarmLow of a service's CPU has for a threshold: 67.5 for a target of 75 (observed; AWS documents none)."""
COOLDOWN = 300
"""Seconds, for services: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-autoscaling-targettracking.html"""


class ServiceScaling(LoadFollowing):
    """Measures each service that has such a policy once a period, and sets its desired count as the policy wants."""

    name: ClassVar[str] = "service scaling"

    def __init__(self) -> None:
        super().__init__()
        self._scaled: dict[str, float] = {}
        """Policy → when it changed its service last, seconds on the monotonic clock."""

    def follow_all(self, pace: metrics.Pace) -> None:
        """Take a datapoint of every service."""
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
        loads = [self.meter.percent_of(container_name(task), int(ecs.definition_of(task).cpu) / 1024) for task in tasks]
        points, measured = self.datapoints(policy.policy_arn, loads)
        if not measured:
            return
        before, suspended = service.desired_count, target.suspended_state or {}
        wanted = scaling.wanted_size(
            points,
            float(config["TargetValue"]),
            before,
            measured,
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
