"""Each Auto Scaling group has the instances it wants: launched, waited for, checked, replaced, terminated.

The lifecycle follows https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from typing import Any

from moto.autoscaling.models import ASG_NAME_TAG, InstanceState
from moto.core.exceptions import ServiceException

from lab.moto_patches import autoscaling as api
from lab.moto_patches import ec2, instance_refresh
from lab.moto_patches.autoscaling import Activity
from lab.moto_patches.ec2 import State
from lab.reconcilers.base import Reconciler
from lab.reconcilers.instance_refresh import COUNTED, LEAVING, Step

RETRY_SECONDS = 15
"""Between launches of a group whose last one failed."""


class AutoScaling(Reconciler):
    """Moves each group's instances through their lifecycle and keeps their number."""

    name = "autoscaling"
    interval = 1.0

    def __init__(self) -> None:
        super().__init__()
        self._retry_at: dict[str, float] = {}

    def reconcile(self) -> None:
        """Move every group on."""
        for backend in api.backends():
            for group in list(backend.autoscaling_groups.values()):
                before = _picture(group)
                for state in list(group.instance_states):
                    self._move(backend, group, state)
                self._refresh(backend, group)
                self._keep_number(backend, group)
                if _picture(group) != before:
                    self.changed()
                if group.status and not group.instance_states:
                    api.remove_group(backend, group)

    def _refresh(self, backend: Any, group: Any) -> None:
        """Move the group's instance refresh on, if there is one."""
        refresh = instance_refresh.active(group)
        if refresh is None or group.status:
            return

        def serves(state: Any) -> bool:
            if group.health_check_type != "ELB":
                return True
            wanted = set(group.target_group_arns)
            found = self._target_states(group, state, wanted)
            return wanted <= state.targets and not found["initial"] and not found["unhealthy"]

        before = refresh.picture()
        Step(group, refresh, serves, lambda: self._launch_now(backend, group)).take()
        if refresh.picture() != before:
            self.log.info("%s: refresh %s %s %%", group.name, refresh.status, refresh.percentage_complete)
            self.changed()

    # One instance -----------------------------------------------------------------------------------------------------

    def _move(self, backend: Any, group: Any, state: Any) -> None:
        if state.lifecycle_state in LEAVING:
            self._leave(backend, group, state)
            return
        self._check_health(group, state)
        if reason := self._why_terminate(group, state):
            self._begin_to_leave(backend, group, state, reason)
        elif state.lifecycle_state == "Pending" and ec2.state_of(state.instance) is State.RUNNING:
            self._wait_or(backend, group, state, api.LAUNCHING, "Pending", "MidLifecycleAction")
        elif state.lifecycle_state == "Pending:Wait":
            self._finish_wait(state, "Pending")
        if state.lifecycle_state == "Pending:Proceed":
            state.lifecycle_state = "InService"
            state.in_service_at = time.time()
            if state.activity:
                state.activity.end()
            self.log.info("%s: %s is in service", group.name, state.instance_id)
        if state.lifecycle_state == "InService":
            self._register(group, state)

    def _check_health(self, group: Any, state: Any) -> None:
        """Find out whether the instance is dead, or unhealthy by its load balancer."""
        if api.suspended(group, "HealthCheck") or state.health_status == "Unhealthy":
            return
        source = None
        died = getattr(state.instance, "reachability", None) == "failed"
        if died or ec2.state_of(state.instance) not in (State.PENDING, State.RUNNING):
            source = "an EC2 health check indicating it has been terminated or stopped"
        elif self._fails_load_balancer(group, state):
            source = "an ELB system health check failure"
        if source:
            state.health_status, state.health_source = "Unhealthy", source
            self.log.warning("%s: %s is unhealthy: %s", group.name, state.instance_id, source)

    def _fails_load_balancer(self, group: Any, state: Any) -> bool:
        checked = group.health_check_type == "ELB" and state.lifecycle_state == "InService" and not api.in_grace(state)
        return checked and bool(self._target_states(group, state, state.targets)["unhealthy"])

    def _why_terminate(self, group: Any, state: Any) -> str | None:
        if group.status:
            return f"a user request deleted the group: instance {state.instance_id} was taken out of service."
        if api.suspended(group, "Terminate"):
            return None
        if state.doom:
            return str(state.doom)
        if _is_replaced(group, state) and not self._serves_on(group):
            return f"an instance was taken out of service in response to {state.health_source}."
        return None

    @staticmethod
    def _serves_on(group: Any) -> bool:
        """Does the maintenance policy keep an unhealthy instance until its successor is in service?

        https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-instance-maintenance-policy.html
        """
        policy = group.instance_maintenance_policy
        if policy is None:
            return False
        serving = [
            s for s in group.instance_states if s.lifecycle_state == "InService" and s.health_status == "Healthy"
        ]
        return len(serving) < math.ceil(int(group.desired_capacity or 0) * int(policy["MinHealthyPercentage"]) / 100)

    def _begin_to_leave(self, backend: Any, group: Any, state: Any, cause: str) -> None:
        if state.activity:
            state.activity.end("Cancelled", f"Instance {state.instance_id} left the group while launching")
        if state.termination is None:
            description = f"Terminating EC2 instance: {state.instance_id}"
            state.termination = api.record(backend, Activity(group, description, cause))
        state.activity = state.termination
        state.lifecycle_state, state.actions = "Terminating", {}
        state.drains = set(state.targets)
        api.deregister(group, state, set(state.targets))
        self.log.info("%s: terminating %s: %s", group.name, state.instance_id, cause)

    def _leave(self, backend: Any, group: Any, state: Any) -> None:
        """Drain, then wait for the lifecycle hooks, then terminate, then forget."""
        alive = ec2.state_of(state.instance) is State.RUNNING and state.instance.reachability != "failed"
        if state.lifecycle_state == "Terminating":
            if alive and not group.status and self._target_states(group, state, state.drains)["draining"]:
                state.activity.status_code = "WaitingForELBConnectionDraining"
                return
            if alive and not group.status:
                self._wait_or(backend, group, state, api.TERMINATING, "Terminating", "MidTerminatingLifecycleAction")
            else:
                state.lifecycle_state = "Terminating:Proceed"
        if state.lifecycle_state == "Terminating:Wait":
            self._finish_wait(state, "Terminating")
        if state.lifecycle_state == "Terminating:Proceed":
            if ec2.state_of(state.instance) not in (State.SHUTTING_DOWN, State.TERMINATED):
                state.instance.disable_api_termination = False
                backend.ec2_backend.terminate_instances([state.instance_id])
                backend.elbv2_backend.notify_terminate_instances([state.instance_id])
            if ec2.state_of(state.instance) is State.TERMINATED:
                state.activity.end()
                group.instance_states = [each for each in group.instance_states if each is not state]

    def _wait_or(self, backend: Any, group: Any, state: Any, transition: str, stage: str, status: str) -> None:
        """Begin to wait for the transition's hooks; without any, go on."""
        hooks = api.hooks(backend, group, transition)
        state.actions = {hook.name: api.Action(hook) for hook in hooks}
        state.lifecycle_state = f"{stage}:Wait" if hooks else f"{stage}:Proceed"
        if hooks and state.activity:
            state.activity.status_code = status

    def _finish_wait(self, state: Any, stage: str) -> None:
        outcomes = [action.outcome() for action in state.actions.values()]
        abandoned = [outcome for outcome in outcomes if outcome and outcome[0] == "ABANDON"]
        if abandoned and stage == "Pending":
            message = f"Instance failed to complete user's Lifecycle Action: {abandoned[0][1]}"
            if state.activity:
                state.activity.end("Failed", message)
                state.activity = None
            state.doom = f"an instance was taken out of service in response to: {message}."
            state.actions = {}
        elif abandoned or all(outcomes):
            state.lifecycle_state, state.actions = f"{stage}:Proceed", {}

    # Load balancing ---------------------------------------------------------------------------------------------------

    def _register(self, group: Any, state: Any) -> None:
        """Register an instance once with each of the group's target groups."""
        wanted = set(group.target_group_arns)
        api.deregister(group, state, state.targets - wanted)
        for arn in wanted - state.targets:
            # What is in service while the process is suspended is never registered, as on AWS.
            state.targets.add(arn)
            target_group = group.autoscaling_backend.elbv2_backend.target_groups.get(arn)
            if target_group is None or api.suspended(group, "AddToLoadBalancer"):
                continue
            try:
                target_group.register([{"Id": state.instance_id, "Port": target_group.port}])
            except ServiceException as error:
                state.targets.discard(arn)
                self.log.warning("%s: %s cannot be registered: %s", group.name, state.instance_id, error)

    def _target_states(self, group: Any, state: Any, arns: set[str]) -> Counter[str]:
        """How many target groups see the instance in which state."""
        elbv2 = group.autoscaling_backend.elbv2_backend
        found: Counter[str] = Counter()
        for arn in arns & elbv2.target_groups.keys():
            found.update(health.status for health in elbv2.describe_target_health(arn, [{"Id": state.instance_id}]))
        return found

    # The number -------------------------------------------------------------------------------------------------------

    def _keep_number(self, backend: Any, group: Any) -> None:
        counted = [state for state in group.instance_states if state.lifecycle_state in COUNTED]
        wanted = group.desired_capacity or 0
        if group.instance_maintenance_policy:
            # Successors come before those that they replace go.
            most = wanted * group.instance_maintenance_policy["MaxHealthyPercentage"] // 100
            wanted = min(wanted + sum(_is_replaced(group, state) for state in counted), most)
        missing = wanted - len(counted)
        refresh = instance_refresh.active(group)
        if missing < 0 and refresh and refresh.status in ("InProgress", "RollbackInProgress"):
            # A refresh launches before it terminates.
            missing = min(0, instance_refresh.bounds(group, refresh)[1] - len(counted))
        if missing > 0 and not group.status:
            for _ in range(missing):
                self._launch_now(backend, group)
        elif missing < 0 and not api.suspended(group, "Terminate"):
            cause = getattr(group, "cause", "the group has more instances than it wants.")
            for state in _surplus(group, counted, -missing):
                state.doom = f"{cause} Instance {state.instance_id} was selected for termination."

    def _launch_now(self, backend: Any, group: Any) -> None:
        """Launch an instance, unless launches are suspended or the last one has just failed."""
        if not api.suspended(group, "Launch") and time.time() >= self._retry_at.get(group.arn, 0):
            self._launch(backend, group)

    def _launch(self, backend: Any, group: Any) -> None:
        cause = getattr(group, "cause", "")
        activity = api.record(
            backend,
            Activity(
                group,
                "Launching a new EC2 instance",
                f"{cause} An instance was started in response to a difference between desired and actual capacity.",
            ),
        )
        try:
            instance = _run_instance(backend, group)
        except ServiceException as error:
            activity.description += ".  Status Reason: launch failed"
            activity.end("Failed", f"{error.message} Launching EC2 instance failed.")
            self._retry_at[group.arn] = time.time() + RETRY_SECONDS
            self.log.warning("%s: launch failed: %s", group.name, error.message)
            return
        activity.description += f": {instance.id}"
        activity.details = json.dumps({"Subnet ID": instance.subnet_id, "Availability Zone": instance.placement.zone})
        activity.status_code = "PreInService"
        state = InstanceState(
            instance,
            lifecycle_state="Pending",
            protected_from_scale_in=group.new_instances_protected_from_scale_in,
            autoscaling_group=group,
        )
        state.activity = activity
        group.instance_states.append(state)
        if refresh := instance_refresh.active(group):
            refresh.launched.add(state.instance_id)


def _is_replaced(group: Any, state: Any) -> bool:
    """Is the instance to make room for a successor?"""
    return state.health_status == "Unhealthy" and not api.suspended(group, "ReplaceUnhealthy")


def _picture(group: Any) -> list[tuple[str, str]]:
    """What a change in is worth telling."""
    return [(state.instance_id, state.lifecycle_state) for state in group.instance_states]


def _run_instance(backend: Any, group: Any) -> Any:
    """Launch one instance in the zone that has the fewest."""
    version = instance_refresh.template_version(group)
    template = version.template
    overrides = ((group.mixed_instances_policy or {}).get("LaunchTemplate") or {}).get("Overrides") or [{}]
    instance_type = overrides[0].get("InstanceType") or version.instance_type
    tags = {**group.get_propagated_tags(), ASG_NAME_TAG: group.name}
    reservation = backend.ec2_backend.run_instances(
        "",
        1,
        None,
        [],
        instance_type=instance_type,
        is_instance_type_default=not instance_type,
        region_name=backend.region_name,
        subnet_id=_subnet(backend, group),
        associate_public_ip=None,
        launch_template={"LaunchTemplateId": template.id, "Version": str(version.number)},
        tags={"instance": tags},
    )
    instance = reservation.instances[0]
    instance.launched_from = {
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "Version": str(version.number),
    }
    return instance


def _subnet(backend: Any, group: Any) -> str:
    """The subnet, of those the group may use, in whose zone the group has the fewest instances."""
    if group.vpc_zone_identifier:
        subnets = [backend.ec2_backend.get_subnet(each) for each in group.vpc_zone_identifier.split(",")]
    else:
        defaults = backend.ec2_backend.get_default_subnets()
        subnets = [defaults[zone] for zone in group.availability_zones]
    taken = Counter(state.availability_zone for state in group.instance_states if state.lifecycle_state not in LEAVING)
    return str(min(subnets, key=lambda subnet: (taken[subnet.availability_zone], subnet.availability_zone)).id)


def _surplus(group: Any, counted: list[Any], number: int) -> list[Any]:
    """Choose whom to terminate: from the zone with the most, then by the group's termination policy.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-termination-policies.html
    """
    doomed = [state for state in counted if state.doom]
    chosen: list[Any] = []
    left = [state for state in counted if not state.doom]
    policy = (group.termination_policies or ["Default"])[0]
    while len(doomed) + len(chosen) < number:
        zones = Counter(state.availability_zone for state in left)
        candidates = [
            state
            for state in left
            if not state.protected_from_scale_in and zones[state.availability_zone] == max(zones.values())
        ] or [state for state in left if not state.protected_from_scale_in]
        if not candidates:
            break
        candidates.sort(key=lambda state: state.instance.launch_time, reverse=policy == "NewestInstance")
        if policy in ("Default", "OldestLaunchTemplate"):
            candidates.sort(key=lambda state: int((state.launch_template or {"Version": 0})["Version"]))
        chosen.append(candidates[0])
        left.remove(candidates[0])
    return chosen
