#!/usr/bin/python
"""Keep the flow log of a VPC: who talked to whom, written to a bucket."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.common.dict_transformations import camel_dict_to_snake_dict
from ansible_collections.amazon.aws.plugins.module_utils.ec2 import ensure_ec2_tags
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    boto3_tag_list_to_ansible_dict,
    boto3_tag_specifications,
)
from ansible_collections.amazon.aws.plugins.module_utils.transformation import normalize_boto3_result
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: ec2_flow_log
short_description: Keep the flow log of a VPC
description:
  - Keeps a flow log that writes to an S3 bucket. It is found by its C(Name) tag.
  - AWS changes nothing of a flow log but its tags. One that is not as it should be is deleted and made anew.
options:
  name:
    description: The C(Name) tag of the flow log.
    type: str
    required: true
  state:
    description: Whether the flow log is to exist.
    type: str
    choices: [present, absent]
    default: present
  vpc_id:
    description: The VPC whose traffic is logged; required for O(state=present).
    type: str
  destination:
    description:
      - ARN of the bucket, with a folder in it if it is to have one; required for O(state=present).
      - The bucket's policy must let C(delivery.logs.amazonaws.com) write there.
    type: str
  traffic_type:
    description: Which traffic is logged.
    type: str
    choices: [ALL, ACCEPT, REJECT]
    default: ALL
  max_aggregation_interval:
    description: Seconds that one line of the log stands for at most.
    type: int
    choices: [60, 600]
    default: 600
  tags:
    description: Tags of the flow log beside C(Name). Other tags are removed.
    type: dict
    default: {}
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author:
  - Vahana
"""

EXAMPLES = r"""
- name: Log who talks to whom
  ec2_flow_log:
    name: vahanhelp-prod-flow-log
    vpc_id: vpc-0a1b2c3d
    destination: arn:aws:s3:::vahanhelp-prod-logs-123456789012/flow-logs

- name: Log nothing any more
  ec2_flow_log:
    name: vahanhelp-prod-flow-log
    state: absent
"""

RETURN = r"""
flow_log:
  description:
    - The flow log as DescribeFlowLogs gives it, in snake case, with C(tags) as a map.
    - Empty when it is absent or would only be made.
  returned: always
  type: dict
  sample: {"flow_log_id": "fl-0123456789abcdef0", "flow_log_status": "ACTIVE"}
"""


class RefusedError(Exception):
    """AWS answered without an error, and has not done it."""


def find(client: Any, name: str) -> list[dict[str, Any]]:
    """Return the flow logs with this Name tag."""
    pages = client.get_paginator("describe_flow_logs").paginate(Filters=[{"Name": "tag:Name", "Values": [name]}])
    return [item for page in pages for item in page["FlowLogs"]]


def fields(params: dict[str, Any]) -> dict[str, Any]:
    """Return what a flow log is to be, as AWS calls it."""
    return {
        "ResourceId": params["vpc_id"],
        "LogDestination": params["destination"],
        "TrafficType": params["traffic_type"],
        "MaxAggregationInterval": params["max_aggregation_interval"],
    }


def done(answer: dict[str, Any]) -> None:
    """Raise what AWS could not do."""
    for item in answer.get("Unsuccessful", []):
        raise RefusedError(f"{item.get('ResourceId', '')}: {item['Error']['Message']}")


def create(client: Any, wanted: dict[str, Any], tags: dict[str, str]) -> None:
    """Make the flow log, tagged from its first moment."""
    rest = {key: value for key, value in wanted.items() if key != "ResourceId"}
    done(
        client.create_flow_logs(
            aws_retry=True,
            ResourceType="VPC",
            ResourceIds=[wanted["ResourceId"]],
            LogDestinationType="s3",
            TagSpecifications=boto3_tag_specifications(tags, ["vpc-flow-log"]),
            **rest,
        )
    )


def ensure(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Bring the flow log to what is asked."""
    name, present = module.params["name"], module.params["state"] == "present"
    wanted, tags = fields(module.params), {**module.params["tags"], "Name": name}
    found = find(client, name)
    kept = next((item for item in found if present and wanted.items() <= item.items()), None)
    surplus = [item["FlowLogId"] for item in found if item is not kept]
    changed = bool(surplus) or (present and kept is None)
    if surplus and not module.check_mode:
        done(client.delete_flow_logs(aws_retry=True, FlowLogIds=surplus))
    if kept:
        changed |= ensure_ec2_tags(client, module, kept["FlowLogId"], tags=tags)
    elif present and not module.check_mode:
        create(client, wanted, tags)
    after = found if module.check_mode or not changed else find(client, name)
    shown = (kept or {}) if module.check_mode else next(iter(after), {})
    flow_log = camel_dict_to_snake_dict(normalize_boto3_result(shown), ignore_list=["Tags"])
    return {
        "changed": changed,
        "flow_log": {**flow_log, "tags": boto3_tag_list_to_ansible_dict(shown.get("Tags", []))} if shown else {},
        "diff": {
            "before": {key: found[0].get(key) for key in wanted} if found else {},
            "after": wanted if present else {},
        },
    }


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "vpc_id": {"type": "str"},
            "destination": {"type": "str"},
            "traffic_type": {"type": "str", "choices": ["ALL", "ACCEPT", "REJECT"], "default": "ALL"},
            "max_aggregation_interval": {"type": "int", "choices": [60, 600], "default": 600},
            "tags": {"type": "dict", "default": {}},
        },
        required_if=[("state", "present", ["vpc_id", "destination"])],
        supports_check_mode=True,
    )
    try:
        result = ensure(module, module.client("ec2", retry_decorator=AWSRetry.jittered_backoff()))
    except RefusedError as error:
        module.fail_json(msg=f"The flow log {module.params['name']} cannot be kept: {error}")
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"The flow log {module.params['name']} cannot be kept")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
