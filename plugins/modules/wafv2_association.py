#!/usr/bin/python
"""Protect a load balancer with a web ACL of AWS WAF."""

from __future__ import annotations

import time
from typing import Any

from ansible.module_utils.planning import is_planned
from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: wafv2_association
short_description: Protect a load balancer with a web ACL
description:
  - The module community.aws.wafv2_resources says in check mode that nothing changes as long as the web ACL is not there
    yet, and does not wait for a load balancer that AWS WAF cannot see yet.
  - A load balancer has one web ACL at most; another one is replaced.
  - A distribution names its web ACL itself (module C(cloudfront_distribution_v2)).
options:
  web_acl_arn: {description: ARN of a web ACL of scope C(REGIONAL)., type: str, required: true}
  resource_arn: {description: ARN of the load balancer., type: str, required: true}
  wait_timeout:
    description: Seconds to go on trying while AWS WAF cannot see one of the two, which are new.
    type: int
    default: 300
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
- name: Protect the load balancer
  wafv2_association:
    web_acl_arn: arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/cars-prod/a1b2c3d4
    resource_arn: arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/cars-prod/50dc6c495c0c9188
"""

RETURN = r"""
web_acl_arn:
  description: Web ACL that protects the load balancer afterwards.
  returned: always
  type: str
"""

POLL_SECONDS = 5


def associate(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Bring the load balancer behind the web ACL."""
    wanted, resource = module.params["web_acl_arn"], module.params["resource_arn"]
    # What the run will only make has no web ACL.
    known = not is_planned([resource])
    current = (
        (client.get_web_acl_for_resource(ResourceArn=resource).get("WebACL") or {}).get("ARN", "") if known else ""
    )
    result = {"web_acl_arn": wanted, "diff": {"before": {"web_acl": current}, "after": {"web_acl": wanted}}}
    if current == wanted:
        return {"changed": False, **result}
    if not module.check_mode:
        deadline = time.monotonic() + module.params["wait_timeout"]
        while True:
            try:
                client.associate_web_acl(WebACLArn=wanted, ResourceArn=resource)
                break
            # "AWS WAF couldn't retrieve a resource that you requested. Retry your request." (AssociateWebACL)
            except is_boto3_error_code("WAFUnavailableEntityException"):
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)
    return {"changed": True, **result}


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "web_acl_arn": {"type": "str", "required": True},
            "resource_arn": {"type": "str", "required": True},
            "wait_timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    try:
        result = associate(module, module.client("wafv2"))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"web ACL of {module.params['resource_arn']}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
