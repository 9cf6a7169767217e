#!/usr/bin/python
"""Encrypt what is sent to a topic of Amazon SNS."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.planning import is_planned
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: sns_topic_encryption
short_description: Encrypt what is sent to an SNS topic
description:
  - The module community.aws.sns_topic knows no key.
  - A service that sends to the topic, as CloudWatch does for an alarm, must be allowed to use the key by the key's own
    policy, which the key of SNS itself does not do (Amazon SNS Developer Guide, "Enabling compatibility between event
    sources from AWS services and encrypted topics").
options:
  topic_arn:
    description: ARN of the topic.
    type: str
    required: true
  kms_key_id:
    description: ARN of the key; empty for none.
    type: str
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
- name: Encrypt what alarms say
  sns_topic_encryption:
    topic_arn: arn:aws:sns:eu-west-1:123456789012:cars-prod-alarms
    kms_key_id: arn:aws:kms:eu-west-1:123456789012:key/0d990263-018e-4e65-a703-eff731de951e
"""

RETURN = r"""
kms_key_id:
  description: Key that encrypts the topic afterwards, empty for none.
  returned: always
  type: str
"""

ATTRIBUTE = "KmsMasterKeyId"


def encrypt(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Have the topic use the key."""
    topic, wanted = module.params["topic_arn"], module.params["kms_key_id"]
    # What the run will only make has no key.
    attributes = {} if is_planned([topic]) else client.get_topic_attributes(TopicArn=topic, aws_retry=True)
    current = str(attributes.get("Attributes", {}).get(ATTRIBUTE, ""))
    if current != wanted and not module.check_mode:
        client.set_topic_attributes(TopicArn=topic, AttributeName=ATTRIBUTE, AttributeValue=wanted, aws_retry=True)
    return {
        "changed": current != wanted,
        "kms_key_id": wanted,
        "diff": {"before": {"kms_key_id": current}, "after": {"kms_key_id": wanted}},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "topic_arn": {"type": "str", "required": True},
            "kms_key_id": {"type": "str", "required": True, "no_log": False},
        },
        supports_check_mode=True,
    )
    try:
        result = encrypt(module, module.client("sns", retry_decorator=AWSRetry.jittered_backoff()))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"The topic {module.params['topic_arn']} cannot be encrypted")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
