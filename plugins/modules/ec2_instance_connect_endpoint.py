#!/usr/bin/python
"""Keep an EC2 Instance Connect Endpoint, the way to SSH without an open port 22."""

from __future__ import annotations

import time
from typing import Any

from ansible.module_utils.common.dict_transformations import camel_dict_to_snake_dict
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
    boto3_tag_specifications,
    compare_aws_tags,
)
from ansible_collections.amazon.aws.plugins.module_utils.transformation import normalize_boto3_result
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: ec2_instance_connect_endpoint
short_description: Keep an EC2 Instance Connect Endpoint
description:
  - Creates, changes and deletes an EC2 Instance Connect Endpoint, through which C(aws ec2-instance-connect open-tunnel)
    reaches instances that have no public address and no open port 22.
  - An endpoint is found by its C(Name) tag. It is free of charge; AWS allows one per VPC and subnet.
options:
  name:
    description: The C(Name) tag of the endpoint.
    type: str
    required: true
  state:
    description: Whether the endpoint is to exist.
    type: str
    choices: [present, absent]
    default: present
  subnet_id:
    description:
      - Subnet of the endpoint; required for O(state=present).
      - An endpoint cannot be moved. When it is in another subnet it is deleted and made anew.
    type: str
  security_group_ids:
    description:
      - Security groups of the endpoint. They must let it reach port 22 of the instances.
      - Without them AWS uses the default security group of the VPC.
    type: list
    elements: str
  preserve_client_ip:
    description: Whether instances see the address of the client instead of the endpoint's.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until the endpoint can be used (some minutes on AWS), or is gone.
      - A failed endpoint, and one in another subnet, is always waited for until it is gone.
    type: bool
    default: true
  wait_timeout:
    description: How long to wait, in seconds.
    type: int
    default: 600
  tags:
    description: Tags of the endpoint beside C(Name). Other tags are removed.
    type: dict
    aliases: [resource_tags]
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author:
  - Vahana
"""

EXAMPLES = r"""
- name: Keep an endpoint in the first public subnet
  ec2_instance_connect_endpoint:
    name: vahanhelp-prod-connect
    subnet_id: subnet-0a1b2c3d
    security_group_ids: [sg-0a1b2c3d]
    wait: false

- name: Remove it
  ec2_instance_connect_endpoint:
    name: vahanhelp-prod-connect
    state: absent
"""

RETURN = r"""
endpoint:
  description:
    - The endpoint as DescribeInstanceConnectEndpoints gives it, in snake case, with C(tags) as a map.
    - Empty when it is absent or would only be created.
  returned: always
  type: dict
  sample: {"instance_connect_endpoint_id": "eice-0123456789abcdef0", "state": "create-complete"}
"""

POLL_SECONDS = 3
GONE = "delete-complete"
DELETING = "delete-in-progress"
# The endpoint works, or is about to, in these states; a failed update leaves it working as it was.
USABLE = ("create-complete", "update-complete", "update-failed")
UNDER_WAY = ("create-in-progress", "update-in-progress")

Endpoint = dict[str, Any]


class EndpointFailedError(Exception):
    """The endpoint went into a failed state, or did not get where it should in time."""


def find(client: Any, name: str) -> Endpoint | None:
    """Return the endpoint with this Name tag; one that lives is preferred to one that is being deleted."""
    pages = client.get_paginator("describe_instance_connect_endpoints").paginate(
        Filters=[{"Name": "tag:Name", "Values": [name]}]
    )
    endpoints: list[Endpoint] = [
        item for page in pages for item in page["InstanceConnectEndpoints"] if item["State"] != GONE
    ]
    endpoints.sort(key=lambda item: item["State"] == DELETING)
    return endpoints[0] if endpoints else None


def result(endpoint: Endpoint | None) -> Endpoint:
    """Return an endpoint in the form modules use."""
    if endpoint is None:
        return {}
    plain: Endpoint = camel_dict_to_snake_dict(normalize_boto3_result(endpoint), ignore_list=["Tags"])
    plain["tags"] = boto3_tag_list_to_ansible_dict(endpoint.get("Tags", []))
    return plain


class Manager:
    """Brings one endpoint, found by its name, to the state the module was asked for."""

    def __init__(self, module: Any) -> None:
        """Take the parameters and make the EC2 client."""
        self.module = module
        self.params = module.params
        self.client = module.client("ec2", retry_decorator=AWSRetry.jittered_backoff())
        self.tags = {**(self.params["tags"] or {}), "Name": self.params["name"]}

    def wait_until(self, usable: bool) -> Endpoint | None:
        """Wait until the endpoint is usable, or gone. Raises ``EndpointFailedError`` when that cannot be."""
        deadline = time.monotonic() + self.params["wait_timeout"]
        while True:
            endpoint = find(self.client, self.params["name"])
            state = endpoint["State"] if endpoint else "absent"
            if endpoint is None and not usable:
                return None
            if endpoint is not None and usable and state in USABLE:
                return endpoint
            if state in ("create-failed", "delete-failed") and (usable or state == "delete-failed"):
                message = (endpoint or {}).get("StateMessage", "AWS gives no reason")
                raise EndpointFailedError(f"is in state {state}: {message}")
            if time.monotonic() >= deadline:
                wanted = "usable" if usable else "gone"
                raise EndpointFailedError(f"is {state}, not {wanted}, after {self.params['wait_timeout']} s")
            time.sleep(POLL_SECONDS)

    def delete(self, endpoint: Endpoint, wait: bool) -> None:
        """Delete the endpoint unless that is under way, and wait until it is gone if asked to."""
        if endpoint["State"] != DELETING:
            self.client.delete_instance_connect_endpoint(
                InstanceConnectEndpointId=endpoint["InstanceConnectEndpointId"], aws_retry=True
            )
        if wait:
            self.wait_until(usable=False)

    def create(self) -> None:
        """Create the endpoint, tagged from its first moment."""
        arguments: dict[str, Any] = {
            "SubnetId": self.params["subnet_id"],
            "PreserveClientIp": self.params["preserve_client_ip"],
            "TagSpecifications": boto3_tag_specifications(self.tags, ["instance-connect-endpoint"]),
        }
        if self.params["security_group_ids"]:
            arguments["SecurityGroupIds"] = self.params["security_group_ids"]
        self.client.create_instance_connect_endpoint(**arguments, aws_retry=True)

    def modification(self, endpoint: Endpoint) -> dict[str, Any]:
        """Return the arguments of ModifyInstanceConnectEndpoint that differ from what is there."""
        arguments: dict[str, Any] = {}
        groups = self.params["security_group_ids"]
        if groups and sorted(groups) != sorted(endpoint.get("SecurityGroupIds", [])):
            arguments["SecurityGroupIds"] = groups
        if self.params["preserve_client_ip"] != endpoint.get("PreserveClientIp", False):
            arguments["PreserveClientIp"] = self.params["preserve_client_ip"]
        return arguments

    def update(self, endpoint: Endpoint) -> bool:
        """Change groups, client address and tags in place. Returns whether there was anything to do."""
        check_mode, endpoint_id = self.module.check_mode, endpoint["InstanceConnectEndpointId"]
        arguments = self.modification(endpoint)
        if arguments and not check_mode:
            if endpoint["State"] in UNDER_WAY:
                self.wait_until(usable=True)
            self.client.modify_instance_connect_endpoint(
                InstanceConnectEndpointId=endpoint_id, **arguments, aws_retry=True
            )
        current = boto3_tag_list_to_ansible_dict(endpoint.get("Tags", []))
        to_set, to_remove = compare_aws_tags(current, self.tags, purge_tags=True)
        if to_set and not check_mode:
            tags = ansible_dict_to_boto3_tag_list(to_set)
            self.client.create_tags(Resources=[endpoint_id], Tags=tags, aws_retry=True)
        if to_remove and not check_mode:
            tags = [{"Key": key} for key in to_remove]
            self.client.delete_tags(Resources=[endpoint_id], Tags=tags, aws_retry=True)
        return bool(arguments or to_set or to_remove)

    def ensure_present(self, endpoint: Endpoint | None) -> bool:
        """Create, replace or update the endpoint. Returns whether there was anything to do."""
        usable = endpoint is not None and endpoint["State"] in (*USABLE, *UNDER_WAY)
        if endpoint is not None and usable and endpoint["SubnetId"] == self.params["subnet_id"]:
            changed = self.update(endpoint)
        else:
            changed = True
            if not self.module.check_mode:
                if endpoint is not None:
                    self.delete(endpoint, wait=True)
                self.create()
        if self.params["wait"] and not self.module.check_mode:
            self.wait_until(usable=True)
        return changed

    def ensure_absent(self, endpoint: Endpoint | None) -> bool:
        """Delete the endpoint. Returns whether there was anything to do."""
        if endpoint is None:
            return False
        if not self.module.check_mode:
            self.delete(endpoint, wait=self.params["wait"])
        return True

    def run(self) -> dict[str, Any]:
        """Bring the endpoint to the wanted state and return the module's result."""
        before = find(self.client, self.params["name"])
        present = self.params["state"] == "present"
        changed = self.ensure_present(before) if present else self.ensure_absent(before)
        if self.module.check_mode:
            wanted = {"subnet_id": self.params["subnet_id"], **result(before), "tags": self.tags}
            if self.params["security_group_ids"]:
                wanted["security_group_ids"] = self.params["security_group_ids"]
            after: Endpoint = (wanted if present else {}) if changed else result(before)
            return {"changed": changed, "endpoint": result(before), "diff": {"before": result(before), "after": after}}
        after = result(find(self.client, self.params["name"])) if changed else result(before)
        return {"changed": changed, "endpoint": after, "diff": {"before": result(before), "after": after}}


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "subnet_id": {"type": "str"},
            "security_group_ids": {"type": "list", "elements": "str"},
            "preserve_client_ip": {"type": "bool", "default": False},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 600},
            "tags": {"type": "dict", "aliases": ["resource_tags"]},
        },
        required_if=[("state", "present", ["subnet_id"])],
        supports_check_mode=True,
    )
    try:
        outcome = Manager(module).run()
    except EndpointFailedError as error:
        module.fail_json(
            msg=f"The EC2 Instance Connect Endpoint {module.params['name']} {error}. Run again to replace a failed one."
        )
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"Managing the EC2 Instance Connect Endpoint {module.params['name']} failed")
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
