"""The module sns_topic_encryption."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3

from plugins.module_utils.planning import KNOWN_AFTER_APPLY
from plugins.modules import sns_topic_encryption

Run = Callable[..., dict[str, Any]]
KEY = "arn:aws:kms:us-east-1:123456789012:key/0d990263-018e-4e65-a703-eff731de951e"


def key_of(topic: str) -> str:
    return str(boto3.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"].get("KmsMasterKeyId", ""))


def test_a_topic_gets_its_key_once(run_module: Run) -> None:
    topic = boto3.client("sns").create_topic(Name="cars-prod-alarms")["TopicArn"]

    def run(key: str, check: bool = False) -> dict[str, Any]:
        return run_module(sns_topic_encryption, check=check, topic_arn=topic, kms_key_id=key)

    assert not run("")["changed"]
    planned = run(KEY, check=True)
    assert planned["changed"] and not key_of(topic)
    assert planned["diff"] == {"before": {"kms_key_id": ""}, "after": {"kms_key_id": KEY}}
    assert run(KEY)["changed"] and key_of(topic) == KEY
    assert not run(KEY)["changed"] and not run(KEY, check=True)["changed"]
    assert run("")["changed"] and not key_of(topic)


def test_of_a_topic_that_is_only_planned_nothing_is_asked(run_module: Run, calls: list[tuple[str, str, str]]) -> None:
    calls.clear()
    assert run_module(sns_topic_encryption, check=True, topic_arn=KNOWN_AFTER_APPLY, kms_key_id=KEY)["changed"]
    assert not calls


def test_a_topic_that_is_not_there_is_named(run_module: Run) -> None:
    topic = "arn:aws:sns:us-east-1:123456789012:none"
    result = run_module(sns_topic_encryption, topic_arn=topic, kms_key_id=KEY)
    assert result["failed"] and topic in result["msg"]
