#!/usr/bin/python
"""Manage a pipeline of type V2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.named_resource import Found, NamedResource, run
from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
)

DOCUMENTATION = r"""
module: codepipeline_v2
short_description: Manage a CodePipeline pipeline of type V2
description:
  - The module community.aws.codepipeline knows neither V2 nor its triggers, has no check mode, cannot tag and updates
    the pipeline in every run. This one reads first.
options:
  name:
    description: Name, unique in the account.
    type: str
    required: true
  role_arn:
    description: Role of the pipeline itself.
    type: str
  bucket:
    description: Bucket of its artifacts, in its region.
    type: str
  stages:
    description: Stages as CreatePipeline takes them.
    type: list
    elements: dict
  triggers:
    description: Triggers as CreatePipeline takes them.
    type: list
    elements: dict
  execution_mode:
    description: What becomes of an execution that waits for another one.
    type: str
    choices: [QUEUED, SUPERSEDED, PARALLEL]
    default: SUPERSEDED
  tags:
    description: Tags. C(vahana:app) and C(vahana:env) decide whose the pipeline is.
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
- name: Do with each commit what has to be done
  codepipeline_v2:
    name: cars-prod
    role_arn: "{{ role.iam_role.arn }}"
    bucket: cars-prod-releases-123456789012
    stages: "{{ stages }}"
    triggers: "{{ triggers }}"
    tags: {"vahana:app": cars, "vahana:env": prod}
"""

RETURN = r"""
arn:
  description: ARN. Empty in check mode before it exists.
  returned: I(state=present)
  type: str
"""

KEYS = {"tag_name_key_name": "key", "tag_value_key_name": "value"}


class Pipeline(NamedResource):  # type: ignore[misc]  # Ansible gives it its name when it runs
    """A pipeline."""

    kind = "pipeline"
    service = "codepipeline"

    def find(self) -> Found | None:
        """Ask for it by its name."""
        try:
            found = self.client.get_pipeline(name=self.name)
        except is_boto3_error_code("PipelineNotFoundException"):
            return None
        arn = found["metadata"]["pipelineArn"]
        # ListTagsForResource gives 100 to a page, and a resource has 50 at most.
        tags = self.client.list_tags_for_resource(resourceArn=arn)["tags"]
        return Found(arn, found["pipeline"], boto3_tag_list_to_ansible_dict(tags, "key", "value"))

    def wanted(self) -> dict[str, Any]:
        """Return the pipeline's structure."""
        given = self.parameters
        return {
            "roleArn": given["role_arn"],
            "artifactStore": {"type": "S3", "location": given["bucket"]},
            "stages": given["stages"],
            "pipelineType": "V2",
            "executionMode": given["execution_mode"],
            "triggers": given["triggers"],
        }

    def create(self, wanted: dict[str, Any], tags: Mapping[str, str]) -> str:
        """Make it; this starts it."""
        pairs = ansible_dict_to_boto3_tag_list(tags, **KEYS)
        self.client.create_pipeline(pipeline={"name": self.name, **wanted}, tags=pairs)
        return str(self.client.get_pipeline(name=self.name)["metadata"]["pipelineArn"])

    def update(self, found: Found, wanted: dict[str, Any]) -> None:
        """Change it; what is under way goes on as it began."""
        self.client.update_pipeline(pipeline={"name": self.name, **wanted})

    def tag(self, found: Found, to_set: Mapping[str, str], to_unset: list[str]) -> None:
        """Change its tags."""
        if to_unset:
            self.client.untag_resource(resourceArn=found.arn, tagKeys=to_unset)
        if to_set:
            self.client.tag_resource(resourceArn=found.arn, tags=ansible_dict_to_boto3_tag_list(to_set, **KEYS))

    def delete(self, found: Found) -> None:
        """Delete it."""
        self.client.delete_pipeline(name=self.name)


def main() -> None:
    """Run the module."""
    run(
        Pipeline,
        {
            "role_arn": {"type": "str"},
            "bucket": {"type": "str"},
            "stages": {"type": "list", "elements": "dict"},
            "triggers": {"type": "list", "elements": "dict"},
            "execution_mode": {"type": "str", "choices": ["QUEUED", "SUPERSEDED", "PARALLEL"], "default": "SUPERSEDED"},
        },
        ["role_arn", "bucket", "stages", "triggers"],
    )


if __name__ == "__main__":
    main()
