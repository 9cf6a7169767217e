#!/usr/bin/python
"""Manage a CodeBuild project that is a step of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.named_resource import Found, NamedResource, run
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
)

DOCUMENTATION = r"""
module: codebuild_pipeline_project
short_description: Manage a CodeBuild project that is a step of a pipeline
description:
  - The module community.aws.codebuild_project has no check mode, says changed in every run and cannot say where the
    logs go. This one reads first.
  - Source and artifacts are the pipeline's, on a Linux container.
options:
  name:
    description: Name, unique in the account.
    type: str
    required: true
  description:
    description: What it does.
    type: str
    default: ""
  role_arn:
    description: Role that its commands have.
    type: str
  buildspec:
    description: Path of the build specification in the source.
    type: str
  image:
    description: Image of the container.
    type: str
  compute_type:
    description: Size of the container.
    type: str
    default: BUILD_GENERAL1_SMALL
  privileged:
    description: Whether its commands may build and run containers.
    type: bool
    default: false
  variables:
    description: Environment variables. They can be read by whoever may read the project, so nothing secret.
    type: dict
    default: {}
  log_group:
    description: Log group that its output goes to.
    type: str
  timeout_minutes:
    description: How long it may take.
    type: int
    default: 60
  tags:
    description: Tags. C(vahana:app) and C(vahana:env) decide whose the project is.
    type: dict
    required: true
  state:
    description: Whether it should exist.
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
- name: Build the commits of the pipeline
  codebuild_pipeline_project:
    name: cars-prod-build
    role_arn: "{{ role.iam_role.arn }}"
    buildspec: buildspec.yml
    image: aws/codebuild/standard:7.0
    log_group: /cars/prod/build
    tags: {"vahana:app": cars, "vahana:env": prod}
"""

RETURN = r"""
arn:
  description: ARN. Empty in check mode before it exists.
  returned: I(state=present)
  type: str
"""

KEYS = {"tag_name_key_name": "key", "tag_value_key_name": "value"}


class Project(NamedResource):  # type: ignore[misc]  # Ansible gives it its name when it runs
    """A project."""

    kind = "CodeBuild project"
    service = "codebuild"

    def find(self) -> Found | None:
        """Ask for it by its name."""
        for item in self.client.batch_get_projects(names=[self.name])["projects"]:
            tags = boto3_tag_list_to_ansible_dict(item.get("tags") or [], "key", "value")
            return Found(item["arn"], {"description": "", **item}, tags)
        return None

    def wanted(self) -> dict[str, Any]:
        """Return what UpdateProject takes."""
        given = self.parameters
        return {
            "description": given["description"],
            "source": {"type": "CODEPIPELINE", "buildspec": given["buildspec"]},
            "artifacts": {"type": "CODEPIPELINE"},
            "environment": {
                "type": "LINUX_CONTAINER",
                "image": given["image"],
                "computeType": given["compute_type"],
                "privilegedMode": given["privileged"],
                "environmentVariables": [
                    {"name": name, "value": str(value), "type": "PLAINTEXT"}
                    for name, value in sorted(given["variables"].items())
                ],
            },
            "serviceRole": given["role_arn"],
            "timeoutInMinutes": given["timeout_minutes"],
            "logsConfig": {"cloudWatchLogs": {"status": "ENABLED", "groupName": given["log_group"]}},
        }

    def create(self, wanted: dict[str, Any], tags: Mapping[str, str]) -> str:
        """Make it."""
        pairs = ansible_dict_to_boto3_tag_list(tags, **KEYS)
        return str(self.client.create_project(name=self.name, tags=pairs, **wanted)["project"]["arn"])

    def update(self, found: Found, wanted: dict[str, Any]) -> None:
        """Change it."""
        self.client.update_project(name=self.name, **wanted)

    def tag(self, found: Found, to_set: Mapping[str, str], to_unset: list[str]) -> None:
        """Change its tags, of which UpdateProject takes all or none."""
        self.client.update_project(name=self.name, tags=ansible_dict_to_boto3_tag_list(self.parameters["tags"], **KEYS))

    def delete(self, found: Found) -> None:
        """Delete it."""
        self.client.delete_project(name=self.name)


def main() -> None:
    """Run the module."""
    run(
        Project,
        {
            "description": {"type": "str", "default": ""},
            "role_arn": {"type": "str"},
            "buildspec": {"type": "str"},
            "image": {"type": "str"},
            "compute_type": {"type": "str", "default": "BUILD_GENERAL1_SMALL"},
            "privileged": {"type": "bool", "default": False},
            "variables": {"type": "dict", "default": {}},
            "log_group": {"type": "str"},
            "timeout_minutes": {"type": "int", "default": 60},
        },
        ["role_arn", "buildspec", "image", "log_group"],
    )


if __name__ == "__main__":
    main()
