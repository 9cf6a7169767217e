#!/usr/bin/python
"""Start, cancel or roll back an instance refresh of an Auto Scaling group."""

from __future__ import annotations

import re
from typing import Any

from ansible.module_utils.common.dict_transformations import camel_dict_to_snake_dict
from ansible.module_utils.planning import is_planned
from ansible.module_utils.replacement import (
    ACTIVE,
    ReplacementError,
    describe_group,
    desired_version,
    last_refresh,
    numbered,
    words,
)
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from ansible_collections.amazon.aws.plugins.module_utils.transformation import normalize_boto3_result
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: autoscaling_refresh
short_description: Start, cancel or roll back an instance refresh
description:
  - Replaces the instances of an Auto Scaling group by new ones that start from a numbered version of its launch
    template, by an instance refresh. The group itself gets that version when all are replaced.
  - A refresh that leads to the same version and is under way is followed, not started twice. One that leads elsewhere
    is never interfered with.
  - Waits for nothing; M(autoscaling_refresh_follow) does.
  - M(community.aws.autoscaling_instance_refresh) has no desired configuration, automatic rollback, alarms or bake time,
    and never says that it changed something.
options:
  name:
    description: Name of the Auto Scaling group.
    type: str
    required: true
  state:
    description:
      - What should be. C(cancelled) ends a refresh and leaves what it has replaced, C(rolled_back) ends it and replaces
        that again; both do nothing when no refresh is under way.
    type: str
    choices: [started, cancelled, rolled_back]
    default: started
  launch_template_id:
    description: Launch template of the new instances; required for O(state=started).
    type: str
  launch_template_version:
    description: Number of its version; required for O(state=started). Nothing can be rolled back to C($Latest).
    type: str
  min_healthy_percentage:
    description: Part of the desired capacity that stays in service, in percent.
    type: int
    default: 100
  max_healthy_percentage:
    description: Part of the desired capacity that there may be meanwhile, in percent.
    type: int
    default: 150
  instance_warmup:
    description: Seconds that an instance is in service before it counts. Without it the group's own warm-up holds.
    type: int
  bake_time:
    description: Seconds to wait at the end, during which alarms still roll back.
    type: int
    default: 0
  auto_rollback:
    description: Whether Auto Scaling rolls back by itself when the refresh fails or an alarm goes off.
    type: bool
    default: true
  skip_matching:
    description: Whether instances that were launched from that version already stay.
    type: bool
    default: false
  scale_in_protected_instances:
    description: What happens to instances protected from scale in.
    type: str
    choices: [Refresh, Ignore, Wait]
    default: Refresh
  standby_instances:
    description: What happens to instances on standby.
    type: str
    choices: [Terminate, Ignore, Wait]
    default: Wait
  alarms:
    description: Names of CloudWatch alarms, at most 10, that end the refresh when they go off.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author:
  - Vahana
"""

EXAMPLES = r"""
- name: Replace the instances
  autoscaling_refresh:
    name: vahanhelp-prod-backend
    launch_template_id: lt-0123456789abcdef0
    launch_template_version: "7"
    instance_warmup: 20
  register: refresh

- name: Take it back
  autoscaling_refresh:
    name: vahanhelp-prod-backend
    state: rolled_back
"""

RETURN = r"""
instance_refresh_id:
  description: Id of the refresh; empty when there is none, and in check mode of one that would be started.
  returned: always
  type: str
refresh:
  description: The refresh as DescribeInstanceRefreshes gives it, in snake case. Empty when there is none.
  returned: always
  type: dict
"""


class Manager:
    """Brings the refresh of one group to the state the module was asked for."""

    def __init__(self, module: Any) -> None:
        """Take the parameters and make the client."""
        self.module = module
        self.params = module.params
        self.name = module.params["name"]
        self.client = module.client("autoscaling", retry_decorator=AWSRetry.jittered_backoff())

    def run(self) -> dict[str, Any]:
        """Do what is to be done and return the module's result."""
        group = describe_group(self.client, self.name)
        before = last_refresh(self.client, self.name)
        running = before.get("Status") in ACTIVE
        if self.params["state"] == "started":
            changed = self.start(group, before if running else {})
        else:
            changed = self.end(before if running else {})
        made = changed and not self.module.check_mode
        after = last_refresh(self.client, self.name) if made else before
        if self.params["state"] == "started" and changed and not made:
            after = {}
        return {
            "changed": changed,
            "instance_refresh_id": after.get("InstanceRefreshId", ""),
            "refresh": camel_dict_to_snake_dict(normalize_boto3_result(after)),
            "diff": self.diff(group, before) if changed else {"before": {}, "after": {}},
        }

    def start(self, group: dict[str, Any], running: dict[str, Any]) -> bool:
        """Start the refresh unless it is under way. Returns whether there was anything to do."""
        version = str(self.params["launch_template_version"])
        if is_planned(version):
            return True
        if not re.fullmatch("[0-9]+", version):
            raise ReplacementError(
                f"launch_template_version is {version}, and must be a number: that can be rolled back"
            )
        if running:
            template = running.get("DesiredConfiguration", {}).get("LaunchTemplate", {}).get("LaunchTemplateId")
            going = running["Status"] in ("Pending", "InProgress", "Baking")
            if going and (template, desired_version(running)) == (self.params["launch_template_id"], version):
                return False
            raise ReplacementError(self.in_the_way(running))
        wanted = (self.params["launch_template_id"], version)
        if self.params["skip_matching"] and all(launched_from(each) == wanted for each in [group, *group["Instances"]]):
            return False
        if self.params["auto_rollback"]:
            numbered(group)
        if not self.module.check_mode:
            self.call_start(version)
        return True

    def call_start(self, version: str) -> None:
        """Call StartInstanceRefresh."""
        template = {"LaunchTemplateId": self.params["launch_template_id"], "Version": version}
        try:
            self.client.start_instance_refresh(
                AutoScalingGroupName=self.name,
                Strategy="Rolling",
                DesiredConfiguration={"LaunchTemplate": template},
                Preferences=self.preferences(),
                aws_retry=True,
            )
        except self.client.exceptions.InstanceRefreshInProgressFault:
            # Somebody was quicker, or the answer to a first try of ours was lost.
            running = last_refresh(self.client, self.name)
            if desired_version(running) != version:
                raise ReplacementError(self.in_the_way(running)) from None

    def preferences(self) -> dict[str, Any]:
        """Return the preferences as the API takes them."""
        params = self.params
        preferences = {
            "MinHealthyPercentage": params["min_healthy_percentage"],
            "MaxHealthyPercentage": params["max_healthy_percentage"],
            "AutoRollback": params["auto_rollback"],
            "SkipMatching": params["skip_matching"],
            "ScaleInProtectedInstances": params["scale_in_protected_instances"],
            "StandbyInstances": params["standby_instances"],
        }
        if params["instance_warmup"] is not None:
            preferences["InstanceWarmup"] = params["instance_warmup"]
        if params["bake_time"]:
            preferences["BakeTime"] = params["bake_time"]
        if params["alarms"]:
            preferences["AlarmSpecification"] = {"Alarms": params["alarms"]}
        return preferences

    def end(self, running: dict[str, Any]) -> bool:
        """Cancel or roll back what is under way. Returns whether there was anything to do."""
        back = self.params["state"] == "rolled_back"
        if not running or running["Status"] == "Cancelling" or (back and running["Status"] == "RollbackInProgress"):
            return False
        call = self.client.rollback_instance_refresh if back else self.client.cancel_instance_refresh
        if not self.module.check_mode:
            try:
                call(AutoScalingGroupName=self.name, aws_retry=True)
            except self.client.exceptions.ActiveInstanceRefreshNotFoundFault:
                # It ended a moment ago.
                return False
        return True

    def in_the_way(self, running: dict[str, Any]) -> str:
        """Say which refresh is under way, and how to end it."""
        return (
            f"a refresh of {self.name} to version {desired_version(running) or 'its own'} of its launch template is "
            f"under way ({words(running)}). Wait for it, or end it: "
            f"aws autoscaling rollback-instance-refresh --auto-scaling-group-name {self.name}"
        )

    def diff(self, group: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
        """Return what changes: which version the instances are of, or what becomes of the refresh."""
        if self.params["state"] != "started":
            return {"before": {"refresh": before.get("Status")}, "after": {"refresh": self.params["state"]}}
        versions = sorted({launched_from(each)[1] for each in group["Instances"]})
        return {
            "before": {"instances": len(group["Instances"]), "launch_template_version": ", ".join(versions)},
            "after": {
                "instances": len(group["Instances"]),
                "launch_template_version": str(self.params["launch_template_version"]),
            },
        }


def launched_from(described: dict[str, Any]) -> tuple[str, str]:
    """Return id and version of the launch template of a group or of one of its instances."""
    template = described.get("LaunchTemplate") or {}
    return template.get("LaunchTemplateId", ""), template.get("Version", "")


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["started", "cancelled", "rolled_back"], "default": "started"},
            "launch_template_id": {"type": "str"},
            "launch_template_version": {"type": "str"},
            "min_healthy_percentage": {"type": "int", "default": 100},
            "max_healthy_percentage": {"type": "int", "default": 150},
            "instance_warmup": {"type": "int"},
            "bake_time": {"type": "int", "default": 0},
            "auto_rollback": {"type": "bool", "default": True},
            "skip_matching": {"type": "bool", "default": False},
            "scale_in_protected_instances": {
                "type": "str",
                "choices": ["Refresh", "Ignore", "Wait"],
                "default": "Refresh",
            },
            "standby_instances": {"type": "str", "choices": ["Terminate", "Ignore", "Wait"], "default": "Wait"},
            "alarms": {"type": "list", "elements": "str", "default": []},
        },
        required_if=[("state", "started", ["launch_template_id", "launch_template_version"])],
        supports_check_mode=True,
    )
    try:
        outcome = Manager(module).run()
    except ReplacementError as error:
        module.fail_json(msg=str(error))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"The instance refresh of {module.params['name']} failed")
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
