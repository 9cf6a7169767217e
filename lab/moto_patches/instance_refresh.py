"""Instance refreshes: the API records them; `lab.reconcilers.instance_refresh` carries them out.

moto has none of the four actions. Rules and words follow
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_StartInstanceRefresh.html and, in the user guide,
"instance-refresh-overview" and "instance-refresh-rollback".
"""

from __future__ import annotations

import math
import uuid
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.core.utils import utcnow

from lab.moto_patches import autoscaling

DEPLOYING = ("Pending", "InProgress", "Baking")
"""While it is in one of these, instances are launched with the desired configuration."""
ACTIVE = (*DEPLOYING, "RollbackInProgress", "Cancelling")

DEFAULTS = {
    "MinHealthyPercentage": 90,
    "SkipMatching": False,
    "AutoRollback": False,
    "ScaleInProtectedInstances": "Wait",
    "StandbyInstances": "Wait",
}
CHOICES = {
    "ScaleInProtectedInstances": ("Refresh", "Ignore", "Wait"),
    "StandbyInstances": ("Terminate", "Ignore", "Wait"),
}
HEALTHY_RANGE = range(101)
MAX_HEALTHY_RANGE = range(100, 201)
MAX_DIFFERENCE = 100
KEPT = 50
"""Refreshes of a group that are described."""

DERIVED = ("LaunchTemplate", "LaunchConfigurationName", "MixedInstancesPolicy")
"""Parameters of UpdateAutoScalingGroup that an active refresh with a desired configuration keeps."""
UPDATE_REFUSED = (
    "An active instance refresh with a desired configuration exists. All configuration options derived from the desired"
    " configuration are not available for update while the instance refresh is active."
)
MOVING = ("$latest", "$default")
"""Versions of a launch template that are not the same thing tomorrow: nothing can be rolled back to them."""


class Refresh:
    """One instance refresh, with what the reconciler has to remember of it."""

    def __init__(self, group: Any, preferences: dict[str, Any], desired: dict[str, Any] | None) -> None:
        self.instance_refresh_id = str(uuid.uuid4())
        self.auto_scaling_group_name = group.name
        self.status = "Pending"
        self.status_reason: str | None = None
        self.start_time = utcnow()
        self.end_time: Any = None
        self.percentage_complete = 0
        self.instances_to_update = 0
        self.preferences = preferences
        self.desired_configuration = desired
        self.rollback_details: dict[str, Any] | None = None
        self.strategy = "Rolling"
        self.old: set[str] = set()
        """Ids of the instances that it replaces; at a rollback of those that it launched."""
        self.total = 0
        """How many there were at first."""
        self.launched: set[str] = set()
        """Ids of the instances launched since it began, or since its rollback began."""
        self.progress: Any = None
        """What an advance shows in, and since when it has been the same (seconds since 1970)."""
        self.progress_at = 0.0
        self.bake_until = 0.0

    def picture(self) -> tuple[Any, ...]:
        """What a change in is worth telling."""
        return self.status, self.status_reason, self.percentage_complete, len(self.old), len(self.launched)

    def end(self, status: str, reason: str | None = None) -> None:
        """Note how it ended."""
        self.status, self.status_reason, self.end_time = status, reason, utcnow()

    def roll_back(self, group: Any, reason: str) -> None:
        """Begin to replace what it launched by what the group was before."""
        self.rollback_details = {
            "RollbackReason": reason,
            "RollbackStartTime": utcnow(),
            "PercentageCompleteOnRollback": self.percentage_complete,
            "InstancesToUpdateOnRollback": self.instances_to_update,
        }
        here = {state.instance_id for state in group.instance_states}
        self.status, self.status_reason = "RollbackInProgress", None
        self.old, self.launched, self.progress = self.launched & here, set(), None
        self.total = len(self.old)


def refreshes(group: Any) -> list[Refresh]:
    """A group's refreshes, the oldest first."""
    kept: list[Refresh] = vars(group).setdefault("refreshes", [])
    return kept


def active(group: Any) -> Refresh | None:
    """The group's refresh that is under way, if there is one."""
    return next((each for each in refreshes(group) if each.status in ACTIVE), None)


def template_version(group: Any) -> Any:
    """The launch template's version that the group's next instance is made from."""
    refresh = active(group)
    if refresh and refresh.status in DEPLOYING and refresh.desired_configuration:
        return _version(group, refresh.desired_configuration["LaunchTemplate"])
    return group.ec2_launch_template.get_version(group.launch_template_version)


def bounds(group: Any, refresh: Refresh) -> tuple[int, int]:
    """The least instances that must be ready, and the most that there may be, while instances are replaced.

    A percentage that leaves no room replaces one at a time: with MaxHealthyPercentage given it launches first,
    otherwise it terminates first (RefreshPreferences).
    """
    desired = group.desired_capacity or 0
    most_percent = refresh.preferences.get("MaxHealthyPercentage")
    least = math.ceil(desired * refresh.preferences["MinHealthyPercentage"] / 100)
    most = max(desired, desired * (most_percent or 100) // 100)
    if most <= least and most_percent:
        most = least + 1
    elif most <= least:
        least = max(0, most - 1)
    return least, most


def _version(group: Any, specification: dict[str, Any]) -> Any:
    """The version of a launch template that a LaunchTemplateSpecification names."""
    backend = group.ec2_backend
    if identifier := specification.get("LaunchTemplateId"):
        template = backend.get_launch_template(identifier)
    else:
        template = backend.get_launch_template_by_name(specification.get("LaunchTemplateName"))
    return template.get_version(specification.get("Version") or "$Default")


def _moving(version: Any) -> bool:
    return str(version or "$Default").lower() in MOVING


def _irreversible(group: Any) -> str | None:
    """Why the group's configuration is nothing to roll back to."""
    if group.ec2_launch_template is None or _moving(group.launch_template_version):
        return "the Auto Scaling group uses the $Latest or $Default version of its launch template"
    image = group.ec2_launch_template.get_version(group.launch_template_version).image_id
    if str(image).startswith("resolve:ssm:"):
        return "the Auto Scaling group's launch template uses a Systems Manager parameter instead of an AMI ID"
    return None


def _in_range(preferences: dict[str, Any], name: str, allowed: range) -> None:
    if name in preferences and preferences[name] not in allowed:
        raise ValidationError(f"{name} must be between {allowed[0]} and {allowed[-1]}.")


def _preferences(given: dict[str, Any]) -> dict[str, Any]:
    """Check the preferences and add the defaults."""
    for name in ("CheckpointPercentages", "CheckpointDelay"):
        if given.get(name):
            raise AutoscalingClientError("UnsupportedOperation", f"The lab's instance refresh has no {name}.")
    preferences = {**DEFAULTS, **{name: value for name, value in given.items() if value is not None}}
    for name in ("MinHealthyPercentage", "MaxHealthyPercentage", "InstanceWarmup", "BakeTime"):
        if name in preferences:
            preferences[name] = int(preferences[name])
    for name in ("SkipMatching", "AutoRollback"):
        preferences[name] = str(preferences[name]).lower() == "true"
    _in_range(preferences, "MinHealthyPercentage", HEALTHY_RANGE)
    _in_range(preferences, "MaxHealthyPercentage", MAX_HEALTHY_RANGE)
    if "MaxHealthyPercentage" in preferences:
        if "MinHealthyPercentage" not in given:
            raise ValidationError("You must specify MinHealthyPercentage if you specify MaxHealthyPercentage.")
        if preferences["MaxHealthyPercentage"] - preferences["MinHealthyPercentage"] > MAX_DIFFERENCE:
            raise ValidationError(
                "The difference between MaxHealthyPercentage and MinHealthyPercentage cannot be greater than 100."
            )
    for name, choices in CHOICES.items():
        if preferences[name] not in choices:
            raise ValidationError(f"Valid values for {name} are: [{', '.join(choices)}].")
    return preferences


def _desired(group: Any, given: dict[str, Any] | None) -> dict[str, Any] | None:
    """Check the desired configuration; its launch template and version must exist."""
    if not given:
        return None
    specification = given.get("LaunchTemplate")
    if given.get("MixedInstancesPolicy") or not specification:
        raise AutoscalingClientError(
            "UnsupportedOperation", "The lab's instance refresh takes a LaunchTemplate as desired configuration only."
        )
    try:
        version = _version(group, specification)
    except ServiceException as error:
        raise ValidationError(f"You must use a valid fully-formed launch template. {error.message}") from error
    template = {"LaunchTemplateId": version.template.id, "LaunchTemplateName": version.template.name}
    return {"LaunchTemplate": {**template, "Version": str(specification.get("Version") or "$Default")}}


def start_instance_refresh(response: Any) -> ActionResult:
    """Handle StartInstanceRefresh."""
    group = autoscaling.find_group(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    if response._get_param("Strategy") not in (None, "Rolling"):
        raise AutoscalingClientError("UnsupportedOperation", "The lab's instance refresh is always Rolling.")
    if active(group):
        raise AutoscalingClientError(
            "InstanceRefreshInProgress",
            "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.",
        )
    preferences = _preferences(response._get_param("Preferences") or {})
    desired = _desired(group, response._get_param("DesiredConfiguration"))
    if preferences["AutoRollback"] and desired is None:
        raise ValidationError(
            "The AutoRollback parameter cannot be set to true when the DesiredConfiguration parameter is empty."
            " Set AutoRollback to false or specify a desired configuration and try again."
        )
    if preferences["AutoRollback"] and (why := _irreversible(group)):
        raise ValidationError(f"The AutoRollback parameter cannot be set to true when {why}.")
    refresh = Refresh(group, preferences, desired)
    kept = refreshes(group)
    kept.append(refresh)
    del kept[:-KEPT]
    return ActionResult({"InstanceRefreshId": refresh.instance_refresh_id})


def describe_instance_refreshes(response: Any) -> ActionResult:
    """Handle DescribeInstanceRefreshes, newest first."""
    group = autoscaling.find_group(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    wanted = response._get_param("InstanceRefreshIds", [])
    found = [each for each in reversed(refreshes(group)) if not wanted or each.instance_refresh_id in wanted]
    return ActionResult({"InstanceRefreshes": found[: response._get_int_param("MaxRecords", KEPT)]})


def _active(response: Any) -> tuple[Any, Refresh]:
    group = autoscaling.find_group(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    refresh = active(group)
    if refresh is None or refresh.status == "Cancelling":
        raise AutoscalingClientError(
            "ActiveInstanceRefreshNotFound",
            f"No in progress or pending Instance Refresh found for Auto Scaling group {group.name}",
        )
    return group, refresh


def cancel_instance_refresh(response: Any) -> ActionResult:
    """Handle CancelInstanceRefresh: what was replaced stays."""
    _, refresh = _active(response)
    refresh.status, refresh.status_reason = "Cancelling", "Cancelled by user"
    if not response._get_bool_param("WaitForTransitioningInstances", True):
        refresh.end("Cancelled", "Cancelled by user")
    return ActionResult({"InstanceRefreshId": refresh.instance_refresh_id})


def rollback_instance_refresh(response: Any) -> ActionResult:
    """Handle RollbackInstanceRefresh."""
    group, refresh = _active(response)
    if refresh.status == "RollbackInProgress":
        raise AutoscalingClientError(
            "ActiveInstanceRefreshNotFound", f"The Instance Refresh of {group.name} is being rolled back already"
        )
    why = "no desired configuration was specified" if refresh.desired_configuration is None else _irreversible(group)
    if why:
        raise AutoscalingClientError(
            "IrreversibleInstanceRefresh", f"The Instance Refresh cannot be rolled back, because {why}."
        )
    refresh.roll_back(group, "Rollback initiated by user")
    return ActionResult({"InstanceRefreshId": refresh.instance_refresh_id})


def update_auto_scaling_group(response: Any) -> Any:
    """Handle UpdateAutoScalingGroup, which leaves alone what a refresh is about to set."""
    group = autoscaling.find_group(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    refresh = active(group)
    if refresh and refresh.desired_configuration and any(response._get_param(name) for name in DERIVED):
        raise ValidationError(UPDATE_REFUSED)
    return autoscaling.update_auto_scaling_group(response)


def apply() -> None:
    """Put all of this into moto."""
    # After lab.moto_patches.autoscaling, whose own is called by it: modules are applied in the order of their names.
    AutoScalingResponse.update_auto_scaling_group = update_auto_scaling_group
    AutoScalingResponse.start_instance_refresh = start_instance_refresh
    AutoScalingResponse.describe_instance_refreshes = describe_instance_refreshes
    AutoScalingResponse.cancel_instance_refresh = cancel_instance_refresh
    AutoScalingResponse.rollback_instance_refresh = rollback_instance_refresh
