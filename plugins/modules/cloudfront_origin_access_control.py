#!/usr/bin/python
"""Manage the identity with which CloudFront reads a private bucket."""

from __future__ import annotations

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: cloudfront_origin_access_control
short_description: Manage a CloudFront origin access control
description:
  - The community.aws collection has no module for origin access controls, the successor of origin access identities.
  - An origin access control cannot be tagged. Its description says whose it is; one of the same name with another
    description is refused.
options:
  name:
    description: Name, unique in the account.
    type: str
    required: true
  owner:
    description: Text that marks the control as ours. Kept in its description.
    type: str
    required: true
  origin_type:
    description: What kind of origin the requests are signed for.
    type: str
    choices: [s3, lambda, mediastore, mediapackagev2]
    default: s3
  signing_behavior:
    description: When CloudFront signs.
    type: str
    choices: [always, never, no-override]
    default: always
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
- name: Let CloudFront sign its requests to the bucket
  cloudfront_origin_access_control:
    name: cars-prod-frontend
    owner: vahana:app=cars vahana:env=prod
"""

RETURN = r"""
id:
  description: Id, for the origin of a distribution. Empty in check mode before it exists.
  returned: I(state=present)
  type: str
name:
  description: The name.
  returned: always
  type: str
"""


def find(client: Any, name: str) -> dict[str, Any] | None:
    """Return the control of this name as {Id, Name, Description, …}, or None."""
    marker: dict[str, str] = {}
    while True:
        page = client.list_origin_access_controls(**marker)["OriginAccessControlList"]
        for item in page.get("Items") or []:
            if item["Name"] == name:
                return dict(item)
        if not page.get("IsTruncated"):
            return None
        marker = {"Marker": page["NextMarker"]}


def ensure_present(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Create the control, or bring its signing to what is asked."""
    wanted = {
        "Name": module.params["name"],
        "Description": module.params["owner"],
        "SigningProtocol": "sigv4",
        "SigningBehavior": module.params["signing_behavior"],
        "OriginAccessControlOriginType": module.params["origin_type"],
    }
    found = find(client, wanted["Name"])
    if found is None:
        control_id = ""
        if not module.check_mode:
            made = client.create_origin_access_control(OriginAccessControlConfig=wanted)
            control_id = made["OriginAccessControl"]["Id"]
        return {"changed": True, "id": control_id, "diff": {"before": {}, "after": wanted}}
    refuse_foreign(module, found)
    before = {key: found[key] for key in wanted}
    changed = before != wanted
    if changed and not module.check_mode:
        etag = client.get_origin_access_control(Id=found["Id"])["ETag"]
        client.update_origin_access_control(Id=found["Id"], IfMatch=etag, OriginAccessControlConfig=wanted)
    return {"changed": changed, "id": found["Id"], "diff": {"before": before, "after": wanted}}


def ensure_absent(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Delete the control. Fails while a distribution still uses it."""
    found = find(client, module.params["name"])
    if found is None:
        return {"changed": False}
    refuse_foreign(module, found)
    if not module.check_mode:
        etag = client.get_origin_access_control(Id=found["Id"])["ETag"]
        client.delete_origin_access_control(Id=found["Id"], IfMatch=etag)
    return {"changed": True, "diff": {"before": {"Name": found["Name"], "Id": found["Id"]}, "after": {}}}


def refuse_foreign(module: AnsibleAWSModule, found: dict[str, Any]) -> None:
    """Fail when the control found was made by somebody else."""
    if found.get("Description") != module.params["owner"]:
        module.fail_json(
            msg=f"the origin access control {found['Name']} exists but its description is not "
            f"'{module.params['owner']}', so it is left alone. Delete it, or choose another app_name or deploy_env."
        )


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "owner": {"type": "str", "required": True},
            "origin_type": {
                "type": "str",
                "choices": ["s3", "lambda", "mediastore", "mediapackagev2"],
                "default": "s3",
            },
            "signing_behavior": {"type": "str", "choices": ["always", "never", "no-override"], "default": "always"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    try:
        client = module.client("cloudfront")
        ensure = ensure_present if module.params["state"] == "present" else ensure_absent
        result = ensure(module, client)
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"origin access control {module.params['name']}")
    module.exit_json(name=module.params["name"], **result)


if __name__ == "__main__":
    main()
