#!/usr/bin/python
"""Set how many instances an Auto Scaling group wants, and nothing else of it."""

from __future__ import annotations

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: autoscaling_capacity
short_description: Set the desired capacity of an Auto Scaling group
description:
  - The module amazon.aws.autoscaling_group manages the whole group. It resumes suspended processes that it is not told
    of, and in check mode always says changed. This one sets the one number.
  - Does not wait for the instances.
options:
  name:
    description: Name of the group.
    type: str
    required: true
  desired_capacity:
    description: How many instances the group should have. Must lie within the group's limits.
    type: int
    required: true
author: Vahana
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""

EXAMPLES = r"""
- name: Have three instances
  autoscaling_capacity:
    name: vahanhelp-prod-backend
    desired_capacity: 3
"""

RETURN = r"""
previous:
  description: How many instances the group wanted before.
  returned: always
  type: int
"""


def ensure(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Bring the number to what is asked."""
    name, wanted = module.params["name"], module.params["desired_capacity"]
    groups = client.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    if not groups:
        module.fail_json(msg=f"there is no Auto Scaling group {name}; site.yml makes it")
    group = groups[0]
    least, most, previous = group["MinSize"], group["MaxSize"], group["DesiredCapacity"]
    if not least <= wanted <= most:
        module.fail_json(msg=f"{name} takes {least} to {most} instances, not {wanted}")
    if wanted != previous and not module.check_mode:
        # A cooldown delays scaling by policies; a person does not have to wait for it (SetDesiredCapacity).
        client.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=wanted, HonorCooldown=False)
    return {
        "changed": wanted != previous,
        "previous": previous,
        "diff": {"before": {"desired_capacity": previous}, "after": {"desired_capacity": wanted}},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "desired_capacity": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        result = ensure(module, module.client("autoscaling"))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"The desired capacity of {module.params['name']} cannot be set")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
