#!/usr/bin/python
"""Manage all container repositories of an environment as one list."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.listed_resources import run
from ansible.module_utils.ownership import foreign, owned_by
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
    compare_aws_tags,
)

DOCUMENTATION = r"""
module: ecr_repositories
short_description: Manage a set of ECR repositories
description:
  - The module community.aws.ecs_ecr knows no tags, by which this project tells whose a repository is, and fails in
    check mode where there is none yet. This one makes each repository with its tags, all in one run, and deletes those
    of ours that the list no longer has, with their images.
  - Tags of images cannot be moved to another image, and every image is scanned when it is pushed.
options:
  prefix:
    description: Names of all repositories of the set begin with it. Those of ours that are not listed are deleted.
    type: str
    required: true
  repositories:
    description: Names after the prefix of the repositories that should exist. None deletes all of ours.
    type: list
    elements: str
    required: true
  keep_images:
    description: How many images of each repository are kept; older ones expire.
    type: int
    default: 20
  keep_untagged_days:
    description: Days after which an image without a tag expires.
    type: int
    default: 7
  tags:
    description: Tags. C(vahana:app) and C(vahana:env) decide whose a repository is.
    type: dict
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
- name: Keep the repositories
  ecr_repositories:
    prefix: cars-prod/
    repositories: [auth, cars]
    tags: {"vahana:app": cars, "vahana:env": prod}
"""

RETURN = r"""
uris:
  description: What images are pushed to and pulled from, by name without the prefix; empty where there is none yet.
  returned: always
  type: dict
arns:
  description: ARNs of the repositories that are there, by name without the prefix.
  returned: always
  type: dict
"""

WORKERS = 8


def lifecycle_policy(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return which images expire: https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html."""
    untagged = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days"}
    return {
        "rules": [
            {
                "rulePriority": 1,
                "description": "without a tag",
                "selection": {**untagged, "countNumber": params["keep_untagged_days"]},
                "action": {"type": "expire"},
            },
            {
                "rulePriority": 2,
                "description": "the oldest",
                "selection": {
                    "tagStatus": "any",
                    "countType": "imageCountMoreThan",
                    "countNumber": params["keep_images"],
                },
                "action": {"type": "expire"},
            },
        ]
    }


def existing_repositories(client: Any, prefix: str) -> dict[str, dict[str, Any]]:
    """Return the repositories whose names begin with the prefix, with tags and lifecycle policy, by full name."""

    def describe(found: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        name, arn = found["repositoryName"], found["repositoryArn"]
        tags = boto3_tag_list_to_ansible_dict(client.list_tags_for_resource(resourceArn=arn)["tags"])
        try:
            policy = json.loads(client.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"])
        except client.exceptions.LifecyclePolicyNotFoundException:
            policy = None
        return name, {**found, "tags": tags, "policy": policy}

    pages = client.get_paginator("describe_repositories").paginate()
    all_found = [each for page in pages for each in page["repositories"] if each["repositoryName"].startswith(prefix)]
    with ThreadPoolExecutor(WORKERS) as pool:
        return dict(pool.map(describe, all_found))


def shown(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what this module sets of a repository."""
    return {
        "imageTagMutability": found["imageTagMutability"],
        "scanOnPush": found.get("imageScanningConfiguration", {}).get("scanOnPush", False),
        "lifecyclePolicy": found["policy"],
        "tags": found["tags"],
    }


def bring(client: Any, name: str, arn: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Change what differs of a repository."""
    if before["imageTagMutability"] != after["imageTagMutability"]:
        client.put_image_tag_mutability(repositoryName=name, imageTagMutability=after["imageTagMutability"])
    if before["scanOnPush"] != after["scanOnPush"]:
        configuration = {"scanOnPush": after["scanOnPush"]}
        client.put_image_scanning_configuration(repositoryName=name, imageScanningConfiguration=configuration)
    if before["lifecyclePolicy"] != after["lifecyclePolicy"]:
        client.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=json.dumps(after["lifecyclePolicy"]))
    to_set, to_unset = compare_aws_tags(before["tags"], after["tags"], True)
    if to_unset:
        client.untag_resource(resourceArn=arn, tagKeys=to_unset)
    if to_set:
        client.tag_resource(resourceArn=arn, tags=ansible_dict_to_boto3_tag_list(to_set))


def create(client: Any, name: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Make a repository and return it."""
    made: dict[str, Any] = client.create_repository(
        repositoryName=name,
        imageTagMutability=wanted["imageTagMutability"],
        imageScanningConfiguration={"scanOnPush": wanted["scanOnPush"]},
        tags=ansible_dict_to_boto3_tag_list(wanted["tags"]),
    )["repository"]
    client.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=json.dumps(wanted["lifecyclePolicy"]))
    return made


def ensure(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Bring the set of repositories to the list."""
    prefix, tags = module.params["prefix"], module.params["tags"]
    names = {prefix + each: each for each in module.params["repositories"]}
    existing = existing_repositories(client, prefix)
    for name in names.keys() & existing.keys():
        if not owned_by(existing[name]["tags"], tags):
            module.fail_json(msg=foreign("ECR repository", name, tags))
    superfluous = sorted(name for name, each in existing.items() if name not in names and owned_by(each["tags"], tags))
    before: dict[str, Any] = {name: {"repositoryName": name} for name in superfluous}
    after: dict[str, Any] = {}
    for name in names:
        wanted = {
            "imageTagMutability": "IMMUTABLE",
            "scanOnPush": True,
            "lifecyclePolicy": lifecycle_policy(module.params),
            "tags": {**tags, "Name": name},
        }
        found = existing.get(name)
        if found is None:
            after[name] = wanted
            if not module.check_mode:
                existing[name] = create(client, name, wanted)
        elif shown(found) != wanted:
            before[name], after[name] = shown(found), wanted
            if not module.check_mode:
                bring(client, name, found["repositoryArn"], shown(found), wanted)
    if not module.check_mode:
        for name in superfluous:
            client.delete_repository(repositoryName=name, force=True)
    return {
        "changed": bool(before or after),
        "uris": {short: existing[name]["repositoryUri"] if name in existing else "" for name, short in names.items()},
        "arns": {short: existing[name]["repositoryArn"] for name, short in names.items() if name in existing},
        "diff": {"before": before, "after": after},
    }


def main() -> None:
    """Run the module."""
    arguments = {
        "repositories": {"type": "list", "elements": "str", "required": True},
        "keep_images": {"type": "int", "default": 20},
        "keep_untagged_days": {"type": "int", "default": 7},
    }
    run("ecr", "ECR repositories", arguments, ensure)


if __name__ == "__main__":
    main()
