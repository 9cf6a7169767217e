#!/usr/bin/python
"""Keep the gateway endpoints of a VPC in the route tables that are to have them."""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.vpc_parts import TABLE_NOT_YET
from ansible_collections.amazon.aws.plugins.module_utils.ec2 import ensure_ec2_tags
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from ansible_collections.amazon.aws.plugins.module_utils.tagging import boto3_tag_specifications
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: ec2_gateway_endpoints
short_description: Keep the gateway endpoints of a VPC
description:
  - Keeps an endpoint for each service in exactly the route tables that are to have it. Gateway endpoints are free of
    charge.
  - The module amazon.aws.ec2_vpc_endpoint knows an endpoint only by its route tables. When one is added it tries to
    make a second endpoint, which AWS refuses.
  - An endpoint that is made without a policy lets everybody do everything.
  - Endpoints of services that are not named are left alone.
options:
  vpc_id:
    description: The VPC.
    type: str
    required: true
  name:
    description: The C(Name) tag of an endpoint is this with the service after it, as C(vahanhelp-prod-s3).
    type: str
    required: true
  endpoints:
    description: Ids of route tables, by service (C(s3), C(dynamodb)).
    type: dict
    required: true
  policy:
    description: Who may do what by way of the endpoints, as an IAM policy.
    type: dict
    required: true
  tags:
    description: Tags of the endpoints beside C(Name). Other tags are removed.
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
- name: Reach S3 and DynamoDB without leaving AWS's network
  ec2_gateway_endpoints:
    vpc_id: vpc-0a1b2c3d
    name: vahanhelp-prod
    endpoints:
      s3: [rtb-0a1b2c3d, rtb-1a1b2c3d]
      dynamodb: [rtb-0a1b2c3d]
    policy:
      Version: "2012-10-17"
      Statement:
        - Effect: Allow
          Principal: "*"
          Action: "*"
          Resource: "*"
          Condition: {StringEquals: {"aws:PrincipalAccount": "123456789012"}}
"""

RETURN = r"""
endpoint_ids:
  description: Id of the endpoint by service. One that would only be made is not among them.
  returned: always
  type: dict
"""

GONE = ("deleting", "deleted")


def ensure(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Bring the endpoints to what is asked."""
    vpc_id, name = module.params["vpc_id"], module.params["name"]
    filters = [{"Name": "vpc-id", "Values": [vpc_id]}]
    found = {
        item["ServiceName"].rpartition(".")[2]: item
        for page in client.get_paginator("describe_vpc_endpoints").paginate(Filters=filters)
        for item in page["VpcEndpoints"]
        if item["VpcEndpointType"] == "Gateway" and item["State"] not in GONE
    }
    changed, ids, policy = False, {}, module.params["policy"]
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for service, tables in module.params["endpoints"].items():
        tags = {**module.params["tags"], "Name": f"{name}-{service}"}
        after[service], there = {"route_tables": sorted(tables), "policy": policy}, found.get(service)
        if there is None:
            changed = True
            if not module.check_mode:
                ids[service] = client.create_vpc_endpoint(
                    aws_retry=True,
                    VpcId=vpc_id,
                    VpcEndpointType="Gateway",
                    ServiceName=f"com.amazonaws.{module.region}.{service}",
                    RouteTableIds=tables,
                    PolicyDocument=json.dumps(policy),
                    TagSpecifications=boto3_tag_specifications(tags, ["vpc-endpoint"]),
                )["VpcEndpoint"]["VpcEndpointId"]
            continue
        ids[service] = there["VpcEndpointId"]
        tables_there = sorted(there["RouteTableIds"])
        before[service] = {"route_tables": tables_there, "policy": json.loads(there["PolicyDocument"])}
        if before[service] != after[service]:
            changed = True
            if not module.check_mode:
                differences = {
                    "AddRouteTableIds": sorted(set(tables) - set(tables_there)),
                    "RemoveRouteTableIds": sorted(set(tables_there) - set(tables)),
                    "PolicyDocument": json.dumps(policy) if before[service]["policy"] != policy else "",
                }
                client.modify_vpc_endpoint(
                    aws_retry=True,
                    VpcEndpointId=ids[service],
                    **{key: value for key, value in differences.items() if value},
                )
        changed |= ensure_ec2_tags(client, module, ids[service], resource_type="vpc-endpoint", tags=tags)
    return {"changed": changed, "endpoint_ids": ids, "diff": {"before": before, "after": after}}


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "vpc_id": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "endpoints": {"type": "dict", "required": True},
            "policy": {"type": "dict", "required": True},
            "tags": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    retries = AWSRetry.jittered_backoff(catch_extra_error_codes=TABLE_NOT_YET)
    try:
        result = ensure(module, module.client("ec2", retry_decorator=retries))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"The gateway endpoints of {module.params['vpc_id']} cannot be kept")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
