#!/usr/bin/python
"""Set how many instances of an Auto Scaling group stay healthy while some are replaced, and nothing else of it."""

from __future__ import annotations

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: autoscaling_maintenance_policy
short_description: Set the instance maintenance policy of an Auto Scaling group
description:
  - With 100 and 200 an instance that has to be replaced serves until its successor does (launch before terminate).
  - The module amazon.aws.autoscaling_group knows no maintenance policy. It leaves one as it is.
options:
  name:
    description: Name of the group.
    type: str
    required: true
  min_healthy_percentage:
    description: Share of the desired capacity that must stay healthy. C(-1), with the other one too, for no policy.
    type: int
    required: true
  max_healthy_percentage:
    description: Share of the desired capacity that there may be, 100 to 200, at most 100 more than the other one.
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
- name: Launch before terminate
  autoscaling_maintenance_policy:
    name: vahanhelp-prod-backend
    min_healthy_percentage: 100
    max_healthy_percentage: 200
"""

RETURN = r"""
previous:
  description: The policy that the group had; empty when it had none.
  returned: always
  type: dict
"""

NONE = {"MinHealthyPercentage": -1, "MaxHealthyPercentage": -1}
"""What stands for no policy: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstanceMaintenancePolicy.html"""


def ensure(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Bring the policy to what is asked."""
    name = module.params["name"]
    wanted = {
        "MinHealthyPercentage": module.params["min_healthy_percentage"],
        "MaxHealthyPercentage": module.params["max_healthy_percentage"],
    }
    groups = client.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    if not groups:
        module.fail_json(msg=f"there is no Auto Scaling group {name}; site.yml makes it")
    previous = groups[0].get("InstanceMaintenancePolicy") or {}
    changed = wanted != (previous or NONE)
    if changed and not module.check_mode:
        client.update_auto_scaling_group(AutoScalingGroupName=name, InstanceMaintenancePolicy=wanted)
    after = {} if wanted == NONE else wanted
    return {"changed": changed, "previous": previous, "diff": {"before": previous, "after": after}}


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "min_healthy_percentage": {"type": "int", "required": True},
            "max_healthy_percentage": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        result = ensure(module, module.client("autoscaling"))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"The maintenance policy of {module.params['name']} cannot be set")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
