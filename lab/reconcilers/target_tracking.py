"""Groups that follow their load: target tracking on the CPU of the group's hosts."""

from __future__ import annotations

import time
from typing import Any

from lab import metrics, scaling
from lab.moto_patches import autoscaling as api
from lab.reconcilers.load_following import LoadFollowing

METRIC = "ASGAverageCPUUtilization"
"""The one metric that is measured here."""


class TargetTracking(LoadFollowing):
    """Measures each group once a period, and sets its desired capacity as its policy wants."""

    name = "target tracking"

    def follow_all(self, pace: metrics.Pace) -> None:
        """Take a datapoint of every group."""
        for backend in api.backends():
            for policy in list(backend.policies.values()):
                config = vars(policy.target_tracking_configuration) if policy.target_tracking_configuration else {}
                group = backend.autoscaling_groups.get(policy.auto_scaling_group_name)
                metric = config.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
                if group and not group.status and metric == METRIC:
                    self._follow(group, policy, config, pace)

    def _follow(self, group: Any, policy: Any, config: dict[str, Any], pace: metrics.Pace) -> None:
        # The lab's minute may be shorter than one: so is the time to warm up.
        warmup = float(policy.estimated_instance_warmup or 0) * pace.period / 60
        loads = [
            self.meter.percent(state.instance, pace.cpus)
            for state in group.instance_states
            if state.lifecycle_state == "InService" and time.time() - state.in_service_at >= warmup
        ]
        points, measured = self.datapoints(policy.arn, loads)
        if not measured or api.suspended(group, "AlarmNotification"):
            return
        before, scale_in = group.desired_capacity, not config.get("DisableScaleIn")
        wanted = scaling.wanted_size(points, float(config["TargetValue"]), before, measured, scale_in=scale_in)
        wanted = min(max(wanted, group.min_size), group.max_size)
        if wanted != before:
            alarm = "AlarmHigh" if wanted > before else "AlarmLow"
            group.set_desired_capacity(wanted)
            group.cause = (
                f"a monitor alarm TargetTracking-{group.name}-{alarm} in state ALARM triggered policy"
                f" {policy.name} changing the desired capacity from {before} to {wanted}."
            )
            self.log.info("%s: %.0f %% CPU, %s instances instead of %s", group.name, points[-1], wanted, before)
            self.changed()
