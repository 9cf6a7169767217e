"""Tags of CloudFront's resources, which its API wraps into Items."""

from __future__ import annotations

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
    compare_aws_tags,
)


def tags_of(client: Any, arn: str) -> dict[str, str]:
    """Return the tags of a resource."""
    answer = client.list_tags_for_resource(Resource=arn)["Tags"].get("Items") or []
    return dict(boto3_tag_list_to_ansible_dict(answer))


def ensure_tags(module: AnsibleAWSModule, client: Any, arn: str, current: dict[str, str]) -> bool:
    """Bring the tags to those asked for; return whether that takes a change."""
    to_set, to_unset = compare_aws_tags(current, module.params["tags"], True)
    if not module.check_mode:
        if to_unset:
            client.untag_resource(Resource=arn, TagKeys={"Items": to_unset})
        if to_set:
            client.tag_resource(Resource=arn, Tags={"Items": ansible_dict_to_boto3_tag_list(to_set)})
    return bool(to_set or to_unset)
