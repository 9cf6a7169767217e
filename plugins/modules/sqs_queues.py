#!/usr/bin/python
"""Manage all queues of an environment, each with its dead letter queue, as one list."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.listed_resources import run
from ansible.module_utils.ownership import foreign, owned_by
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.tagging import compare_aws_tags

DOCUMENTATION = r"""
module: sqs_queues
short_description: Manage a set of SQS queues with their dead letter queues
description:
  - The module community.aws.sqs_queue makes a queue, then its attributes, then its tags, so that a run that is stopped
    in between leaves a queue that nobody owns; it knows neither encryption by SQS nor who may use a dead letter queue.
    This one makes each queue in one step, all in one run, and deletes those of ours that the list no longer has.
  - Every queue is encrypted with keys of SQS (SSE-SQS), refuses requests without TLS and answers consumers that wait
    (long polling). Its dead letter queue C(<name>-dlq) takes messages of no other.
options:
  prefix:
    description: Names of all queues of the set begin with it. Those of ours that do and are not listed are deleted.
    type: str
    required: true
  account_id:
    description: Number of the AWS account, for the queues' ARNs.
    type: str
    required: true
  queues:
    description: Names after the prefix of the queues that should exist. None deletes all of ours with their messages.
    type: list
    elements: str
    required: true
  visibility_timeout: {description: Seconds for which a received message is hidden., type: int, default: 180}
  retention: {description: Seconds after which a message that nobody took is deleted., type: int, default: 345600}
  dead_letter_retention: {description: The same of the dead letter queues., type: int, default: 1209600}
  max_receive_count:
    description: How often a message is delivered before it goes to the dead letter queue.
    type: int
    default: 5
  tags:
    description: Tags. C(vahana:app) and C(vahana:env) decide whose a queue is.
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
- name: Keep the queues
  sqs_queues:
    prefix: cars-prod-
    account_id: "123456789012"
    queues: [email]
    tags: {"vahana:app": cars, "vahana:env": prod}
"""

RETURN = r"""
urls:
  description: URLs of the queues by name without the prefix.
  returned: always
  type: dict
arns:
  description: The same with their ARNs.
  returned: always
  type: dict
dead_letter_arns:
  description: The ARNs of their dead letter queues.
  returned: always
  type: dict
"""

WORKERS = 8
LONG_POLLING = 20
"""The longest wait for a message (SQS API reference, ReceiveMessageWaitTimeSeconds)."""
DEAD_LETTER = "-dlq"
DELETED_SECONDS = 60
"""For how long a name that was deleted cannot be used again (SQS API reference, DeleteQueue)."""


class Names:
    """ARNs and URLs of queues, which follow from their names."""

    def __init__(self, region: str, account: str) -> None:
        """Take the queues' region and account."""
        self._region, self._account = region, account

    def arn(self, name: str) -> str:
        """Return the ARN of a queue."""
        return f"arn:aws:sqs:{self._region}:{self._account}:{name}"

    def url(self, name: str) -> str:
        """Return the URL by which hosts know a queue: https://docs.aws.amazon.com/general/latest/gr/sqs-service.html."""
        return f"https://sqs.{self._region}.amazonaws.com/{self._account}/{name}"


def wanted_queues(params: Mapping[str, Any], names: Names) -> dict[str, dict[str, Any]]:
    """Return the attributes of every queue by name, as CreateQueue takes them; dead letter queues first."""
    common = {
        "VisibilityTimeout": str(params["visibility_timeout"]),
        "ReceiveMessageWaitTimeSeconds": str(LONG_POLLING),
        "SqsManagedSseEnabled": "true",
    }
    dead: dict[str, dict[str, Any]] = {}
    live: dict[str, dict[str, Any]] = {}
    for name in (params["prefix"] + each for each in params["queues"]):
        dead[name + DEAD_LETTER] = {
            **common,
            "MessageRetentionPeriod": str(params["dead_letter_retention"]),
            "RedriveAllowPolicy": {"redrivePermission": "byQueue", "sourceQueueArns": [names.arn(name)]},
            "Policy": tls_only(names.arn(name + DEAD_LETTER)),
        }
        live[name] = {
            **common,
            "MessageRetentionPeriod": str(params["retention"]),
            "RedrivePolicy": {
                "deadLetterTargetArn": names.arn(name + DEAD_LETTER),
                "maxReceiveCount": params["max_receive_count"],
            },
            "Policy": tls_only(names.arn(name)),
        }
    return {**dead, **live}


def tls_only(arn: str) -> dict[str, Any]:
    """Return a policy that refuses requests without TLS; who else may do what is said by IAM alone."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "DenyPlainHttp",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "sqs:*",
                "Resource": arn,
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }


def written(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Return attributes as the API takes them."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in attributes.items()}


def read(attributes: Mapping[str, str], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Cut a queue's attributes down to those we set, in our form."""
    part: dict[str, Any] = {}
    for key, value in wanted.items():
        found = attributes.get(key)
        part[key] = found if isinstance(value, str) or not found else json.loads(found)
        if key == "RedrivePolicy" and part[key]:
            part[key]["maxReceiveCount"] = int(part[key]["maxReceiveCount"])
    return part


def existing_queues(client: Any, prefix: str) -> dict[str, dict[str, Any]]:
    """Return the queues whose names begin with the prefix, each with its url, attributes and tags, by name."""

    def describe(url: str) -> tuple[str, dict[str, Any]] | None:
        try:
            attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            tags = client.list_queue_tags(QueueUrl=url).get("Tags", {})
        except client.exceptions.QueueDoesNotExist:
            # A deleted queue is listed for up to a minute.
            return None
        return url.rpartition("/")[2], {"url": url, "attributes": attributes, "tags": tags}

    pages = client.get_paginator("list_queues").paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 1000})
    urls = [url for page in pages for url in page.get("QueueUrls", [])]
    with ThreadPoolExecutor(WORKERS) as pool:
        return dict(found for found in pool.map(describe, urls) if found)


def create(client: Any, name: str, attributes: Mapping[str, Any], tags: Mapping[str, str]) -> None:
    """Make a queue; waits while its name cannot be used yet because a queue of that name has just been deleted."""
    deadline = time.monotonic() + DELETED_SECONDS + 10
    while True:
        try:
            client.create_queue(QueueName=name, Attributes=written(attributes), tags=tags)
            return
        except client.exceptions.QueueDeletedRecently:
            if time.monotonic() > deadline:
                raise
            time.sleep(5)


def update(client: Any, url: str, changed: Mapping[str, Any], to_set: Mapping[str, str], to_unset: list[str]) -> None:
    """Bring what differs of a queue to what is wanted."""
    if changed:
        client.set_queue_attributes(QueueUrl=url, Attributes=written(changed))
    if to_unset:
        client.untag_queue(QueueUrl=url, TagKeys=to_unset)
    if to_set:
        client.tag_queue(QueueUrl=url, Tags=to_set)


def ensure(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Bring the set of queues to the list."""
    prefix, tags = module.params["prefix"], module.params["tags"]
    names = Names(client.meta.region_name, module.params["account_id"])
    wanted = wanted_queues(module.params, names)
    existing = existing_queues(client, prefix)
    for name in wanted.keys() & existing.keys():
        if not owned_by(existing[name]["tags"], tags):
            module.fail_json(msg=foreign("SQS queue", name, tags))
    superfluous = sorted(
        name for name, queue in existing.items() if name not in wanted and owned_by(queue["tags"], tags)
    )
    before: dict[str, Any] = {name: {"QueueName": name} for name in superfluous}
    after: dict[str, Any] = {}
    # In order: a queue can name only a dead letter queue that is there.
    for name, attributes in wanted.items():
        own_tags = {**tags, "Name": name}
        found = existing.get(name)
        if found is None:
            after[name] = {**attributes, "Tags": own_tags}
            if not module.check_mode:
                create(client, name, attributes, own_tags)
            continue
        current = read(found["attributes"], attributes)
        to_set, to_unset = compare_aws_tags(found["tags"], own_tags, True)
        changed = {key: value for key, value in attributes.items() if current[key] != value}
        if changed or to_set or to_unset:
            before[name] = {**current, "Tags": found["tags"]}
            after[name] = {**attributes, "Tags": own_tags}
            if not module.check_mode:
                update(client, found["url"], changed, to_set, to_unset)
    if not module.check_mode:
        for name in superfluous:
            client.delete_queue(QueueUrl=existing[name]["url"])
    return {
        "changed": bool(before or after),
        "urls": {name: names.url(prefix + name) for name in module.params["queues"]},
        "arns": {name: names.arn(prefix + name) for name in module.params["queues"]},
        "dead_letter_arns": {name: names.arn(prefix + name + DEAD_LETTER) for name in module.params["queues"]},
        "diff": {"before": before, "after": after},
    }


def main() -> None:
    """Run the module."""
    arguments = {
        "account_id": {"type": "str", "required": True},
        "queues": {"type": "list", "elements": "str", "required": True},
        "visibility_timeout": {"type": "int", "default": 180},
        "retention": {"type": "int", "default": 345600},
        "dead_letter_retention": {"type": "int", "default": 1209600},
        "max_receive_count": {"type": "int", "default": 5},
    }
    run("sqs", "SQS queues", arguments, ensure)


if __name__ == "__main__":
    main()
