"""Auto Scaling: the API records what is wanted; `lab.reconcilers.autoscaling` launches, checks and terminates.

moto launches inside the call, all in one subnet, in service at once, and knows neither lifecycle actions nor
activities. Rules here follow https://docs.aws.amazon.com/autoscaling/ec2/APIReference/Welcome.html and
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

from moto.autoscaling import autoscaling_backends
from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, FakeScalingPolicy, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow

from lab import settings

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
RESULTS = ("CONTINUE", "ABANDON")
HEARTBEAT_DEFAULT = 3600
HEARTBEAT_RANGE = range(30, 7201)
"""Seconds a lifecycle action may wait between heartbeats (PutLifecycleHook)."""
GLOBAL_TIMEOUT_MAX = 172800
"""Seconds a lifecycle action may wait in all: 48 hours, or 100 heartbeats if that is less."""
ACTIVITIES_KEPT = 1000


class Activity:
    """What Auto Scaling did or does: one line of DescribeScalingActivities."""

    def __init__(self, group: Any, description: str, cause: str) -> None:
        self.activity_id = str(uuid.uuid4())
        self.auto_scaling_group_name = group.name
        self.auto_scaling_group_arn = group.arn
        self.description = description
        self.cause = f"At {_now()} {cause}"
        self.start_time = utcnow()
        self.end_time: Any = None
        self.status_code = "InProgress"
        self.status_message: str | None = None
        self.progress = 0
        self.details = "{}"

    def end(self, status_code: str = "Successful", message: str | None = None) -> None:
        """Note how it ended, once."""
        if self.end_time is None:
            self.status_code, self.status_message = status_code, message
            self.end_time, self.progress = utcnow(), 100


def backends() -> list[Any]:
    """The Auto Scaling backends that exist, one a region."""
    return list(autoscaling_backends[settings.ACCOUNT_ID].values())


def record(backend: Any, activity: Activity) -> Activity:
    """Add an activity to those that are described."""
    kept: list[Activity] = vars(backend).setdefault("activities", [])
    kept.append(activity)
    del kept[:-ACTIVITIES_KEPT]
    return activity


def suspended(group: Any, process: str) -> bool:
    """Is a process of the group suspended?"""
    return process in group._suspended_processes


def hooks(backend: Any, group: Any, transition: str) -> list[Any]:
    """The lifecycle hooks of a group that a transition waits for."""
    return [hook for hook in backend.describe_lifecycle_hooks(group.name) if hook.lifecycle_transition == transition]


def deregister(group: Any, state: Any, arns: set[str]) -> None:
    """Take an instance out of target groups that the group put it in."""
    for arn in arns & state.targets:
        target_group = group.autoscaling_backend.elbv2_backend.target_groups.get(arn)
        if target_group is not None:
            target_group.deregister([{"Id": state.instance_id}])
    state.targets -= arns


def _now() -> str:
    return str(utcnow().strftime("%Y-%m-%dT%H:%M:%SZ"))


def find_group(backend: Any, name: str) -> Any:
    """The group of a name.

    Raises:
        ValidationError: there is none.
    """
    if name not in backend.autoscaling_groups:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    return backend.autoscaling_groups[name]


def _state(backend: Any, instance_id: str) -> Any:
    for state in backend.describe_auto_scaling_instances([instance_id]):
        return state
    raise ValidationError(f"Instance Id not found - No managed instance found for instance ID {instance_id}")


# Groups ---------------------------------------------------------------------------------------------------------------

_state_init = InstanceState.__init__
_update = FakeAutoScalingGroup.update
_create_group = AutoScalingResponse.create_auto_scaling_group
_update_group = AutoScalingResponse.update_auto_scaling_group
_detach_instances = AutoScalingBackend.detach_instances
_enter_standby = AutoScalingBackend.enter_standby_instances


def state_init(state: Any, *args: Any, **kwargs: Any) -> None:
    """Keep with a group's instance what the reconciler has to remember of it."""
    _state_init(state, *args, **kwargs)
    state.targets = set()
    """ARNs of the target groups it was registered with: once only, so that a deregistration by hand stays."""
    state.actions = {}
    """Name of a lifecycle hook → the action that waits for its completion."""
    state.activity = None
    """The activity under way: its launch, later its termination."""
    state.termination = None
    """The activity that TerminateInstanceInAutoScalingGroup answered with."""
    state.doom = None
    """Why it is to be terminated, as the activity's cause says."""
    state.in_service_at = time.time()


def instance_launch_template(state: Any) -> dict[str, Any] | None:
    """The version that the instance was launched from, whatever the group says by now."""
    return getattr(state.instance, "launched_from", None)


def set_desired_capacity(group: Any, new_capacity: int | None) -> None:
    """Record how many instances are wanted."""
    group.desired_capacity = group.min_size if new_capacity is None else new_capacity


def update(group: Any, *, desired_capacity: int | None, **kwargs: Any) -> None:
    """Change a group; new bounds pull the desired capacity along, as on AWS."""
    least = group.min_size if kwargs["min_size"] is None else kwargs["min_size"]
    most = group.max_size if kwargs["max_size"] is None else kwargs["max_size"]
    if desired_capacity is None:
        desired_capacity = min(max(group.desired_capacity, least), most)
    _check_bounds(least, desired_capacity, most)
    _update(group, desired_capacity=desired_capacity, **kwargs)


def _check_bounds(least: int, desired: int | None, most: int) -> None:
    if least > most:
        raise ValidationError(f"Max bound, {most}, must be greater than or equal to min bound, {least}")
    if desired is not None and not least <= desired <= most:
        raise ValidationError(
            f"Desired capacity:{desired} must be between the specified min size:{least} and max size:{most}"
        )


def create_auto_scaling_group(response: Any) -> Any:
    """Handle CreateAutoScalingGroup."""
    name = response._get_param("AutoScalingGroupName")
    if name in response.autoscaling_backend.autoscaling_groups:
        raise AutoscalingClientError(
            "AlreadyExists",
            f"AutoScalingGroup by this name already exists - A group with the name {name} already exists",
        )
    _check_bounds(
        response._get_int_param("MinSize"),
        response._get_int_param("DesiredCapacity"),
        response._get_int_param("MaxSize"),
    )
    result = _create_group(response)
    group = response.autoscaling_backend.autoscaling_groups[name]
    group.created_time = utcnow()
    set_maintenance_policy(group, response._get_param("InstanceMaintenancePolicy"))
    # moto takes 0 for "not given".
    group.health_check_grace_period = response._get_int_param("HealthCheckGracePeriod") or 0
    group.cause = (
        f"a user request created an AutoScalingGroup changing the desired capacity to {group.desired_capacity}."
    )
    return result


def update_auto_scaling_group(response: Any) -> Any:
    """Handle UpdateAutoScalingGroup, with the fields that moto leaves out."""
    group = find_group(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    before = group.desired_capacity
    result = _update_group(response)
    for parameter, attribute in (
        ("DefaultCooldown", "default_cooldown"),
        ("PlacementGroup", "placement_group"),
        ("TerminationPolicies", "termination_policies"),
        ("CapacityRebalance", "capacity_rebalance"),
    ):
        if (value := response._get_param(parameter)) is not None:
            setattr(group, attribute, value)
    set_maintenance_policy(group, response._get_param("InstanceMaintenancePolicy"))
    if group.desired_capacity != before:
        group.cause = (
            "a user request update of AutoScalingGroup constraints changing the desired capacity"
            f" from {before} to {group.desired_capacity}."
        )
    return result


def set_maintenance_policy(group: Any, wanted: dict[str, Any] | None) -> None:
    """Record how many instances stay healthy while some are replaced; -1 for both ends that.

    https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstanceMaintenancePolicy.html
    """
    if wanted is None:
        return
    least, most = (int(wanted.get(f"{name}HealthyPercentage", -1)) for name in ("Min", "Max"))
    if (least, most) == (-1, -1):
        group.instance_maintenance_policy = None
        return
    if not (0 <= least <= 100 <= most <= 200 and most - least <= 100):
        raise ValidationError(
            "MinHealthyPercentage must be 0 to 100, MaxHealthyPercentage 100 to 200, and they differ by at most 100."
        )
    group.instance_maintenance_policy = {"MinHealthyPercentage": least, "MaxHealthyPercentage": most}


def set_group_capacity(backend: Any, group_name: str, desired_capacity: int | None) -> None:
    """Record a group's desired capacity, which its bounds must allow."""
    group = find_group(backend, group_name)
    _check_bounds(group.min_size, desired_capacity, group.max_size)
    group.cause = (
        "a user request explicitly set group desired capacity changing the desired capacity"
        f" from {group.desired_capacity} to {desired_capacity}."
    )
    group.set_desired_capacity(desired_capacity)


def delete_auto_scaling_group(response: Any) -> EmptyResult:
    """Handle DeleteAutoScalingGroup: with ForceDelete the group goes once its instances are terminated."""
    backend, name = response.autoscaling_backend, response._get_param("AutoScalingGroupName")
    group = find_group(backend, name)
    if group.instance_states and not response._get_bool_param("ForceDelete", False):
        raise AutoscalingClientError(
            "ResourceInUse",
            "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s)"
            " still in the group.",
        )
    group.min_size = group.max_size = group.desired_capacity = 0
    group.status = "Delete in progress"
    if not group.instance_states:
        remove_group(backend, group)
    return EmptyResult()


def remove_group(backend: Any, group: Any) -> None:
    """Forget a group and what belongs to it."""
    backend.autoscaling_groups.pop(group.name, None)
    for kept in (backend.lifecycle_hooks, backend.policies, backend.scheduled_actions):
        for key in [key for key, each in kept.items() if each.auto_scaling_group_name == group.name]:
            del kept[key]


def refuse_launch_configuration(response: Any) -> Any:
    """Handle CreateLaunchConfiguration as AWS does in accounts made since October 2024."""
    raise AutoscalingClientError(
        "UnsupportedOperation",
        "The Launch Configuration creation operation is not available in your account. Use launch templates to create"
        " configuration templates for your Auto Scaling groups.",
    )


def disable_metrics_collection(response: Any) -> EmptyResult:
    """Handle DisableMetricsCollection; without names it ends all."""
    group = find_group(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    ended = response._get_param("Metrics", []) or group.metrics
    group.metrics = [metric for metric in group.metrics if metric not in ended]
    return EmptyResult()


# Instances of groups --------------------------------------------------------------------------------------------------


def terminate_instance(response: Any) -> ActionResult:
    """Handle TerminateInstanceInAutoScalingGroup."""
    backend = response.autoscaling_backend
    state = _state(backend, response._get_param("InstanceId"))
    group = state.auto_scaling_group
    cause = f"instance {state.instance_id} was taken out of service in response to a user request"
    if response._get_bool_param("ShouldDecrementDesiredCapacity", False):
        if group.desired_capacity <= group.min_size:
            raise ValidationError(
                f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance without replacement"
                " will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false"
                " or lower group's min size."
            )
        cause += f", shrinking the capacity from {group.desired_capacity} to {group.desired_capacity - 1}"
        group.desired_capacity -= 1
    state.doom = f"{cause}."
    state.termination = record(backend, Activity(group, f"Terminating EC2 instance: {state.instance_id}", state.doom))
    return ActionResult({"Activity": state.termination})


def set_instance_health(response: Any) -> EmptyResult:
    """Handle SetInstanceHealth; within the grace period it does not make an instance unhealthy, unless told to."""
    status = response._get_param("HealthStatus")
    if status not in ("Healthy", "Unhealthy"):
        raise ValidationError("Valid instance health states are: [Healthy, Unhealthy].")
    state = _state(response.autoscaling_backend, response._get_param("InstanceId"))
    respect = response._get_bool_param("ShouldRespectGracePeriod", True)
    if status == "Healthy" or not (respect and in_grace(state)):
        state.health_status = status
        state.health_source = "a user health-check"
    return EmptyResult()


def in_grace(state: Any) -> bool:
    """Is the instance in service for less than the group's grace period?"""
    grace: int = state.auto_scaling_group.health_check_grace_period or 0
    return time.time() - float(state.in_service_at) < grace


def detach_instances(backend: Any, group_name: str, instance_ids: list[str], should_decrement: bool) -> Any:
    """Detach instances, from the group's target groups too."""
    _leave_targets(backend, group_name, instance_ids)
    return _detach_instances(backend, group_name, instance_ids, should_decrement)


def enter_standby_instances(backend: Any, group_name: str, instance_ids: list[str], should_decrement: bool) -> Any:
    """Put instances on standby, which takes them out of the group's target groups."""
    _leave_targets(backend, group_name, instance_ids)
    return _enter_standby(backend, group_name, instance_ids, should_decrement)


def _leave_targets(backend: Any, group_name: str, instance_ids: list[str]) -> None:
    group = find_group(backend, group_name)
    for state in group.instance_states:
        if state.instance_id in instance_ids:
            deregister(group, state, set(state.targets))


def describe_scaling_activities(response: Any) -> ActionResult:
    """Handle DescribeScalingActivities, newest first."""
    name, wanted = response._get_param("AutoScalingGroupName"), response._get_param("ActivityIds", [])
    found = [
        activity
        for activity in reversed(vars(response.autoscaling_backend).get("activities", []))
        if (not name or activity.auto_scaling_group_name == name) and (not wanted or activity.activity_id in wanted)
    ]
    return ActionResult({"Activities": found[: response._get_int_param("MaxRecords", 100)]})


# Lifecycle hooks ------------------------------------------------------------------------------------------------------


def put_lifecycle_hook(response: Any) -> EmptyResult:
    """Handle PutLifecycleHook; what a call leaves out keeps its value."""
    backend, name = response.autoscaling_backend, response._get_param("LifecycleHookName")
    group = find_group(backend, response._get_param("AutoScalingGroupName"))
    old = next(iter(backend.describe_lifecycle_hooks(group.name, [name])), None)
    transition = response._get_param("LifecycleTransition") or (old and old.lifecycle_transition)
    timeout = response._get_int_param("HeartbeatTimeout") or (old.heartbeat_timeout if old else HEARTBEAT_DEFAULT)
    result = response._get_param("DefaultResult") or (old.default_result if old else "ABANDON")
    if transition not in (LAUNCHING, TERMINATING):
        raise ValidationError("You must specify a valid lifecycle transition.")
    if timeout not in HEARTBEAT_RANGE:
        raise ValidationError(
            f"Heartbeat timeout must be between {HEARTBEAT_RANGE[0]} and {HEARTBEAT_RANGE[-1]} seconds."
        )
    if result not in RESULTS:
        raise ValidationError("Default result must be CONTINUE or ABANDON.")
    hook = backend.create_lifecycle_hook(name, group.name, transition, timeout, result)
    hook.global_timeout = min(100 * timeout, GLOBAL_TIMEOUT_MAX)
    for parameter, attribute in (
        ("RoleARN", "role_arn"),
        ("NotificationTargetARN", "notification_target_arn"),
        ("NotificationMetadata", "notification_metadata"),
    ):
        setattr(hook, attribute, response._get_param(parameter) or getattr(old, attribute, None))
    return EmptyResult()


class Action:
    """A lifecycle action that waits for its completion."""

    def __init__(self, hook: Any) -> None:
        self.token = str(uuid.uuid4())
        self.result: str | None = None
        self._default = hook.default_result
        self._heartbeat = hook.heartbeat_timeout
        self._last = time.time() + hook.global_timeout
        self._deadline = time.time() + hook.heartbeat_timeout

    def beat(self) -> None:
        """Begin to wait anew, as far as the global timeout allows."""
        self._deadline = min(time.time() + self._heartbeat, self._last)

    def outcome(self) -> tuple[str, str] | None:
        """CONTINUE or ABANDON with the reason, None while it waits."""
        if self.result:
            return self.result, f"Lifecycle Action Completed with {self.result} Result"
        return (self._default, "Heartbeat Timeout") if time.time() > self._deadline else None


def complete_lifecycle_action(response: Any) -> EmptyResult:
    """Handle CompleteLifecycleAction."""
    result = response._get_param("LifecycleActionResult")
    if result not in RESULTS:
        raise ValidationError("The lifecycle action result must be either CONTINUE or ABANDON.")
    _waiting(response).result = result
    return EmptyResult()


def record_lifecycle_action_heartbeat(response: Any) -> EmptyResult:
    """Handle RecordLifecycleActionHeartbeat."""
    _waiting(response).beat()
    return EmptyResult()


def _waiting(response: Any) -> Action:
    """The action that a call names by instance or by token."""
    group = find_group(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    hook = response._get_param("LifecycleHookName")
    instance_id, token = response._get_param("InstanceId"), response._get_param("LifecycleActionToken")
    for state in group.instance_states:
        action: Action | None = state.actions.get(hook)
        if action and (state.instance_id == instance_id or action.token == token):
            return action
    raise ValidationError(f"No active Lifecycle Action found with instance ID {instance_id}")


_policy_init = FakeScalingPolicy.__init__


def policy_init(policy: Any, *args: Any, **kwargs: Any) -> None:
    """Make a scaling policy that says what AWS says of each: it is enabled, and predicts nothing unless told to."""
    _policy_init(policy, *args, **kwargs)
    policy.enabled = True
    policy.predictive_scaling_configuration = policy.predictive_scaling_configuration or None


def apply() -> None:
    """Put all of this into moto."""
    InstanceState.__init__ = state_init
    InstanceState.launch_template = property(instance_launch_template)
    FakeAutoScalingGroup.set_desired_capacity = set_desired_capacity
    FakeAutoScalingGroup.update = update
    FakeAutoScalingGroup.status = None
    FakeAutoScalingGroup.instance_maintenance_policy = None
    FakeScalingPolicy.__init__ = policy_init
    AutoScalingBackend.set_desired_capacity = set_group_capacity
    AutoScalingBackend.detach_instances = detach_instances
    AutoScalingBackend.enter_standby_instances = enter_standby_instances
    # Registration, replacement and removal are the reconciler's.
    AutoScalingBackend.update_attached_target_groups = lambda backend, group_name: None
    AutoScalingBackend.notify_terminate_instances = lambda backend, instance_ids: None

    AutoScalingResponse.create_auto_scaling_group = create_auto_scaling_group
    AutoScalingResponse.update_auto_scaling_group = update_auto_scaling_group
    AutoScalingResponse.delete_auto_scaling_group = delete_auto_scaling_group
    AutoScalingResponse.disable_metrics_collection = disable_metrics_collection
    AutoScalingResponse.create_launch_configuration = refuse_launch_configuration
    AutoScalingResponse.terminate_instance_in_auto_scaling_group = terminate_instance
    AutoScalingResponse.set_instance_health = set_instance_health
    AutoScalingResponse.describe_scaling_activities = describe_scaling_activities
    AutoScalingResponse.put_lifecycle_hook = put_lifecycle_hook
    AutoScalingResponse.complete_lifecycle_action = complete_lifecycle_action
    AutoScalingResponse.record_lifecycle_action_heartbeat = record_lifecycle_action_heartbeat
