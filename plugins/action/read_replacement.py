"""Read what a replacement of a group's instances has left, in the controller's own process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import boto3
from ansible.module_utils.common.dict_transformations import camel_dict_to_snake_dict
from ansible_collections.amazon.aws.plugins.module_utils.transformation import normalize_boto3_result

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.aws_action import AwsAction
from plugins.module_utils.replacement import (
    ACTIVE,
    ReplacementError,
    describe_group,
    describe_versions,
    desired_version,
    last_refresh,
    pins_of,
    words,
)

DOCUMENTATION = r"""
module: read_replacement
short_description: Read what a replacement of a group's instances has left
description:
  - Reads the group, the pinned versions of its launch template, its last instance refresh and the approved release.
options:
  region:
    description: AWS region.
    type: str
    required: true
  name:
    description: Name of the Auto Scaling group.
    type: str
    required: true
  parameter:
    description: Name of the parameter with the approved release.
    type: str
    required: true
"""

RETURN = r"""
approved:
  description: The approved release; empty when there is none.
  returned: success
  type: str
launch_template_id:
  description: Id of the group's launch template.
  returned: success
  type: str
version:
  description: Version of its launch template that the group has.
  returned: success
  type: str
instances:
  description: Instances of the group, each with C(id), C(lifecycle), C(health), C(version) and C(protected).
  returned: success
  type: list
  elements: dict
outdated:
  description: Ids of instances with another image or instance type than the group's launch template.
  returned: success
  type: list
  elements: str
suspended:
  description: Processes of the group that are suspended.
  returned: success
  type: list
  elements: str
pins:
  description: Pinned versions, each with C(version), C(release) and C(source); the oldest first.
  returned: success
  type: list
  elements: dict
active:
  description: Whether a refresh goes on.
  returned: success
  type: bool
pinned:
  description: The pin that the refresh which goes on leads to, or else the one that the group is on; empty without.
  returned: success
  type: dict
refresh:
  description: The last refresh as DescribeInstanceRefreshes gives it, in snake case; empty without.
  returned: success
  type: dict
words:
  description: How far that is.
  returned: success
  type: str
"""

#: What an instance shares with the launch template it was launched from.
TRAITS = ("ImageId", "InstanceType")


class ActionModule(AwsAction):
    """Read the group."""

    takes: ClassVar[dict[str, Any]] = {
        name: {"type": "str", "required": True} for name in ("region", "name", "parameter")
    }

    def ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return what the group, its template and its last refresh say."""
        self.failure = f"the group {arguments['name']} cannot be read"
        try:
            return read(**arguments)
        except ReplacementError as error:
            return {"failed": True, "msg": str(error)}


def read(region: str, name: str, parameter: str) -> dict[str, Any]:
    """Return the module's results.

    :raises ReplacementError: the group is not there, or has no launch template.
    """
    autoscaling = boto3.client("autoscaling", region_name=region)
    ec2, ssm = boto3.client("ec2", region_name=region), boto3.client("ssm", region_name=region)
    group = describe_group(autoscaling, name)
    specification = group.get("LaunchTemplate") or {}
    template, version = specification.get("LaunchTemplateId", ""), str(specification.get("Version") or "$Default")
    if not template:
        raise ReplacementError(f"the group {name} has no launch template: run site.yml, which gives it one")
    versions = describe_versions(ec2, template)
    refresh = last_refresh(autoscaling, name)
    active = refresh.get("Status") in ACTIVE
    pins = pins_of(versions)
    leads_to = desired_version(refresh) if active else version
    try:
        approved = str(ssm.get_parameter(Name=parameter)["Parameter"]["Value"])
    except ssm.exceptions.ParameterNotFound:
        approved = ""
    data: dict[str, Any] = next(
        (item["LaunchTemplateData"] for item in versions if str(item["VersionNumber"]) == version), {}
    )
    return {
        "approved": approved,
        "launch_template_id": template,
        "version": version,
        "instances": [
            {
                "id": each["InstanceId"],
                "lifecycle": each["LifecycleState"],
                "health": each["HealthStatus"],
                "version": (each.get("LaunchTemplate") or {}).get("Version", ""),
                "protected": each["ProtectedFromScaleIn"],
            }
            for each in group["Instances"]
        ],
        "outdated": outdated(ec2, [each["InstanceId"] for each in group["Instances"]], data),
        "suspended": sorted(each["ProcessName"] for each in group["SuspendedProcesses"]),
        "pins": pins,
        "active": active,
        "pinned": next((pin for pin in pins if pin["version"] == leads_to), {}),
        "refresh": camel_dict_to_snake_dict(normalize_boto3_result(refresh)),
        "words": words(refresh) if refresh else "",
    }


def outdated(ec2: Any, instance_ids: list[str], data: dict[str, Any]) -> list[str]:
    """Return those of the instances that are not what the launch template's data would make."""
    if not instance_ids:
        return []
    filters = [{"Name": "instance-id", "Values": instance_ids}]
    pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
    found = [item for page in pages for reservation in page["Reservations"] for item in reservation["Instances"]]
    return sorted(
        item["InstanceId"] for item in found if any(data.get(trait) not in (None, item[trait]) for trait in TRAITS)
    )
