#!/usr/bin/python
"""Suspend processes of an Auto Scaling group, and resume exactly those that were."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.tagging import ansible_dict_to_boto3_tag_list
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: autoscaling_processes
short_description: Suspend processes of an Auto Scaling group, and resume exactly those
description:
  - The module amazon.aws.autoscaling_group suspends too, but resumes whatever is not listed, and needs to be told all
    the rest of the group. This one writes down in Parameter Store what it is about to suspend and was not suspended
    before. Whoever runs it later, after whatever became of the first run, resumes that and nothing else.
  - The parameter is written first and deleted last, so that a run that is killed leaves nothing suspended that is not
    written down.
options:
  state:
    description:
      - C(suspended) suspends O(processes), C(resumed) resumes what the parameter says and deletes it.
      - C(forgotten) deletes the parameter, for a group that is gone.
    type: str
    choices: [suspended, resumed, forgotten]
    required: true
  name:
    description: The Auto Scaling group. Empty where there is none, and then nothing is suspended or resumed.
    type: str
    default: ""
  processes:
    description: With O(state=suspended), the processes as SuspendProcesses names them.
    type: list
    elements: str
    default: []
  parameter:
    description: Name of the parameter.
    type: str
    required: true
  tags:
    description: Tags of the parameter.
    type: dict
    default: {}
notes:
  - "What the processes do: https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html"
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author:
  - Vahana
"""

EXAMPLES = r"""
- name: Let nothing move instances between zones during a deployment
  autoscaling_processes:
    state: suspended
    name: vahanhelp-prod-backend
    processes: [AZRebalance, ScheduledActions]
    parameter: /vahanhelp/prod/suspended

- name: Let it again
  autoscaling_processes:
    state: resumed
    name: vahanhelp-prod-backend
    parameter: /vahanhelp/prod/suspended
"""

RETURN = r"""
processes:
  description: What was suspended or resumed (or would be).
  returned: success
  type: list
  elements: str
"""


class Processes:
    """The processes of a group, and the parameter that says which of them we suspended."""

    def __init__(self, module: AnsibleAWSModule) -> None:
        self._module = module
        self._autoscaling = module.client("autoscaling")
        self._ssm = module.client("ssm")
        self._group: str = module.params["name"]
        self._parameter: str = module.params["parameter"]

    def ours(self) -> list[str] | None:
        """Return what the parameter says; None where there is none."""
        try:
            value = self._ssm.get_parameter(Name=self._parameter)["Parameter"]["Value"]
        except self._ssm.exceptions.ParameterNotFound:
            return None
        try:
            written = json.loads(value)
        except ValueError:
            written = None
        if not isinstance(written, list):
            self._module.fail_json(
                msg=f"parameter {self._parameter} is not a list of processes: look with `aws autoscaling "
                f"describe-auto-scaling-groups` what is suspended, resume it, and delete the parameter"
            )
        return [str(process) for process in written]

    def suspended(self) -> set[str]:
        """Return what is suspended, whoever did it; nothing where there is no group."""
        if not self._group:
            return set()
        found = self._autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self._group])
        return {item["ProcessName"] for group in found["AutoScalingGroups"] for item in group["SuspendedProcesses"]}

    def suspend(self, wanted: list[str]) -> list[str]:
        """Suspend those that are not; return them."""
        before = self.suspended()
        new = sorted(set(wanted) - before)
        if not new or not self._group or self._module.check_mode:
            return new if self._group else []
        known = self.ours()
        value = json.dumps(sorted({*new, *(known or ())}))
        if known is None:
            tags = ansible_dict_to_boto3_tag_list(self._module.params["tags"])
            self._ssm.put_parameter(
                Name=self._parameter,
                Description="Processes of the Auto Scaling group that a deployment has suspended and will resume",
                Value=value,
                Type="String",
                Tags=tags,
            )
        else:
            self._ssm.put_parameter(Name=self._parameter, Value=value, Overwrite=True)
        self._autoscaling.suspend_processes(AutoScalingGroupName=self._group, ScalingProcesses=new)
        return new

    def resume(self) -> tuple[bool, list[str]]:
        """Resume what the parameter says and delete it; return whether there was one, and what was suspended."""
        written = self.ours()
        if written is None:
            return False, []
        processes = sorted(self.suspended().intersection(written))
        if not self._module.check_mode:
            if processes:
                self._autoscaling.resume_processes(AutoScalingGroupName=self._group, ScalingProcesses=processes)
            self.forget()
        return True, processes

    def forget(self) -> bool:
        """Delete the parameter; return whether there was one."""
        if self.ours() is None:
            return False
        if not self._module.check_mode:
            self._ssm.delete_parameter(Name=self._parameter)
        return True


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "state": {"type": "str", "choices": ["suspended", "resumed", "forgotten"], "required": True},
            "name": {"type": "str", "default": ""},
            "processes": {"type": "list", "elements": "str", "default": []},
            "parameter": {"type": "str", "required": True},
            "tags": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    processes: list[str] = []
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    try:
        group = Processes(module)
        if module.params["state"] == "suspended":
            processes = group.suspend(module.params["processes"])
            changed, after = bool(processes), {"suspended": processes}
            before = {"suspended": []}
        elif module.params["state"] == "resumed":
            changed, processes = group.resume()
            before, after = {"suspended": processes}, {"suspended": []}
        else:
            changed = group.forget()
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"The processes of {module.params['name']} cannot be managed")
    diff = {"before": before, "after": after} if changed else {}
    module.exit_json(changed=changed, processes=processes, **({"diff": diff} if diff else {}))


if __name__ == "__main__":
    main()
