#!/usr/bin/python
"""Manage a CloudFront Function and publish it."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.cloudfront_tags import ensure_tags, tags_of
from ansible.module_utils.ownership import foreign, owned_by
from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.tagging import ansible_dict_to_boto3_tag_list
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: cloudfront_function
short_description: Manage a CloudFront Function and publish it to the LIVE stage
description:
  - The collections have no module for CloudFront Functions.
  - What runs at the edge is the LIVE stage. The module compares with it, so a function that was updated but never
    published (a run killed between the two) is published by the next run.
options:
  name:
    description: Name, unique in the account.
    type: str
    required: true
  code:
    description: Source of the function. Needed for I(state=present).
    type: str
  comment:
    description: What the function is for.
    type: str
    default: ""
  runtime:
    description: JavaScript runtime.
    type: str
    choices: [cloudfront-js-1.0, cloudfront-js-2.0]
    default: cloudfront-js-2.0
  tags:
    description: Tags. C(vahana:app) and C(vahana:env) decide whose the function is.
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
- name: Serve the single page for every route of the front end
  cloudfront_function:
    name: cars-prod-spa
    code: "{{ lookup('ansible.builtin.file', 'spa.js') }}"
    tags: {"vahana:app": cars, "vahana:env": prod}
"""

RETURN = r"""
arn:
  description: ARN, for the function association of a behaviour. Empty in check mode before it exists.
  returned: I(state=present)
  type: str
name:
  description: The name.
  returned: always
  type: str
"""


def describe(client: Any, name: str, stage: str) -> dict[str, Any] | None:
    """Return {arn, etag, code, comment, runtime} of a stage, or None when there is no such function or stage."""
    try:
        described = client.describe_function(Name=name, Stage=stage)
        code = client.get_function(Name=name, Stage=stage)["FunctionCode"].read().decode()
    except is_boto3_error_code("NoSuchFunctionExists"):
        return None
    summary = described["FunctionSummary"]
    return {
        "arn": summary["FunctionMetadata"]["FunctionARN"],
        "etag": described["ETag"],
        "code": code,
        "comment": summary["FunctionConfig"].get("Comment", ""),
        "runtime": summary["FunctionConfig"]["Runtime"],
    }


def ensure_present(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Create, update and publish, as far as the LIVE stage differs from what is asked."""
    name = module.params["name"]
    wanted = {key: module.params[key] for key in ("code", "comment", "runtime")}
    config = {"Comment": wanted["comment"], "Runtime": wanted["runtime"]}
    development = describe(client, name, "DEVELOPMENT")
    if development is None:
        if module.check_mode:
            return {"changed": True, "arn": "", "diff": {"before": {}, "after": wanted}}
        made = client.create_function(
            Name=name,
            FunctionConfig=config,
            FunctionCode=wanted["code"].encode(),
            Tags={"Items": ansible_dict_to_boto3_tag_list(module.params["tags"])},
        )
        client.publish_function(Name=name, IfMatch=made["ETag"])
        arn = made["FunctionSummary"]["FunctionMetadata"]["FunctionARN"]
        return {"changed": True, "arn": arn, "diff": {"before": {}, "after": wanted}}

    arn = development["arn"]
    tags = tags_of(client, arn)
    if not owned_by(tags, module.params["tags"]):
        module.fail_json(msg=foreign("CloudFront function", name, module.params["tags"]))
    live = describe(client, name, "LIVE")
    before = {key: live[key] for key in wanted} if live else {}
    etag = development["etag"]
    if before != wanted and not module.check_mode:
        if {key: development[key] for key in wanted} != wanted:
            etag = client.update_function(
                Name=name, IfMatch=etag, FunctionConfig=config, FunctionCode=wanted["code"].encode()
            )["ETag"]
        client.publish_function(Name=name, IfMatch=etag)
    retagged = ensure_tags(module, client, arn, tags)
    return {"changed": before != wanted or retagged, "arn": arn, "diff": {"before": before, "after": wanted}}


def ensure_absent(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Delete the function. Fails while a distribution still uses it."""
    name = module.params["name"]
    found = describe(client, name, "DEVELOPMENT")
    if found is None:
        return {"changed": False}
    if not owned_by(tags_of(client, found["arn"]), module.params["tags"]):
        module.fail_json(msg=foreign("CloudFront function", name, module.params["tags"]))
    if not module.check_mode:
        client.delete_function(Name=name, IfMatch=found["etag"])
    return {"changed": True, "diff": {"before": {"name": name}, "after": {}}}


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "code": {"type": "str"},
            "comment": {"type": "str", "default": ""},
            "runtime": {
                "type": "str",
                "choices": ["cloudfront-js-1.0", "cloudfront-js-2.0"],
                "default": "cloudfront-js-2.0",
            },
            "tags": {"type": "dict", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ["code"])],
        supports_check_mode=True,
    )
    try:
        client = module.client("cloudfront")
        ensure = ensure_present if module.params["state"] == "present" else ensure_absent
        result = ensure(module, client)
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"CloudFront function {module.params['name']}")
    except ValueError as error:
        module.fail_json(msg=str(error))
    module.exit_json(name=module.params["name"], **result)


if __name__ == "__main__":
    main()
