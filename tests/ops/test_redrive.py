"""What a worker could not take comes back, with a line in the history."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.ops.conftest import NAME, TAGS, Account

QUEUE_TAGS = {tag["Key"]: tag["Value"] for tag in TAGS} | {"vahana:tier": "full", "vahana:layer": "queue"}


def make_queue(account: Account) -> tuple[Any, str, str]:
    """Make a queue and its dead letter queue; return a client and both URLs."""
    sqs: Any = account.client("sqs")
    dead = sqs.create_queue(QueueName=f"{NAME}-email-dlq", tags=QUEUE_TAGS)["QueueUrl"]
    asked = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
    policy = {"deadLetterTargetArn": asked["Attributes"]["QueueArn"], "maxReceiveCount": 5}
    attributes = {"RedrivePolicy": json.dumps(policy)}
    live = sqs.create_queue(QueueName=f"{NAME}-email", Attributes=attributes, tags=QUEUE_TAGS)["QueueUrl"]
    return sqs, live, dead


def bodies(sqs: Any, url: str) -> list[str]:
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])
    return sorted(message["Body"] for message in found)


def test_dead_letters_go_back(account: Account) -> None:
    sqs, live, dead = make_queue(account)
    for body in ("a", "b"):
        sqs.send_message(QueueUrl=dead, MessageBody=body)
    done = account.play("redrive", "-e", "queue=email")
    assert done.code == 0, done.output
    assert f"{NAME}: 2 dead letters are back in email" in done.output
    assert (bodies(sqs, live), bodies(sqs, dead)) == (["a", "b"], [])
    [entry] = account.history()
    assert (entry["verb"], entry["from"], entry["to"]) == ("redrive", "2 dead letters", "queue email")
    again = account.play("redrive", "-e", "queue=email")
    assert "changed=0" in again.output, again.output


@pytest.mark.long
def test_a_check_moves_nothing(account: Account) -> None:
    sqs, _live, dead = make_queue(account)
    sqs.send_message(QueueUrl=dead, MessageBody="a")
    account.writes()
    would = account.play("redrive", "-e", "queue=email", "--check")
    assert would.code == 0 and "changed=1" in would.output, would.output
    assert account.writes() == []
    assert bodies(sqs, dead) == ["a"]


@pytest.mark.long
def test_says_which_queues_there_are(account: Account) -> None:
    make_queue(account)
    assert "has no queue 'emial'; there are email" in account.play("redrive", "-e", "queue=emial").output
    assert "which queue's dead letters go back; write -e queue=email" in account.play("redrive").output
