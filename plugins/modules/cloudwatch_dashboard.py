#!/usr/bin/python
"""Manage a CloudWatch dashboard."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: cloudwatch_dashboard
short_description: Manage a CloudWatch dashboard
description:
  - No collection has a module for dashboards.
  - A dashboard cannot be tagged. A text widget at its top names its owner, and one without it is refused.
  - What is compared is what the JSON says, not how it is written.
options:
  name:
    description: Name of the dashboard.
    type: str
    required: true
  owner:
    description: Text of the first widget, which says whose the dashboard is.
    type: str
    required: true
  widgets:
    description: The widgets below it, as the dashboard's JSON has them. Needed for I(state=present).
    type: list
    elements: dict
  state:
    description: Whether the dashboard should exist.
    type: str
    choices: [present, absent]
    default: present
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
- name: Show how busy the group is
  cloudwatch_dashboard:
    name: cars-prod
    owner: vahana:app=cars vahana:env=prod
    widgets:
      - type: metric
        width: 12
        height: 6
        properties:
          region: eu-west-1
          stat: Average
          metrics: [[AWS/EC2, CPUUtilization, AutoScalingGroupName, cars-prod-backend]]
"""

RETURN = r"""
name:
  description: Name of the dashboard.
  returned: always
  type: str
"""


def find(client: Any, name: str) -> dict[str, Any] | None:
    """Return what a dashboard's JSON says, or None when there is no such dashboard."""
    try:
        body = client.get_dashboard(DashboardName=name)["DashboardBody"]
    except is_boto3_error_code(["ResourceNotFound", "ResourceNotFoundException", "DashboardNotFoundError"]):
        return None
    return dict(json.loads(body))


def ensure(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Bring the dashboard to what is wanted; return the module's result."""
    name, owner = module.params["name"], {"markdown": module.params["owner"]}
    found = find(client, name)
    if found is not None and owner not in [widget.get("properties") for widget in found.get("widgets", [])]:
        module.fail_json(
            msg=f"the dashboard {name} exists but no text in it says '{owner['markdown']}', so it is left alone. "
            "Delete it, or choose another app_name or deploy_env."
        )
    if module.params["state"] == "absent":
        if found is not None and not module.check_mode:
            client.delete_dashboards(DashboardNames=[name])
        return {"changed": found is not None, "diff": {"before": found or {}, "after": {}}}
    label = {"type": "text", "width": 24, "height": 1, "properties": owner}
    wanted = {"widgets": [label, *module.params["widgets"]]}
    if found != wanted and not module.check_mode:
        client.put_dashboard(DashboardName=name, DashboardBody=json.dumps(wanted))
    return {"changed": found != wanted, "diff": {"before": found or {}, "after": wanted}}


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "owner": {"type": "str", "required": True},
            "widgets": {"type": "list", "elements": "dict"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ["widgets"])],
        supports_check_mode=True,
    )
    try:
        result = ensure(module, module.client("cloudwatch"))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"dashboard {module.params['name']}")
    module.exit_json(name=module.params["name"], **result)


if __name__ == "__main__":
    main()
