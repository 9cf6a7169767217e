"""All queues of an environment as one list."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from lab.moto_patches import sqs as sqs_patch
from plugins.modules import sqs_queues

TAGS = {"vahana:app": "cars", "vahana:env": "prod"}
EMAIL, ANALYTICS = "email", "analytics"

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def queues(run_module: Run) -> Run:
    sqs_patch.apply()

    def run(*wanted: str, **options: Any) -> dict[str, Any]:
        defaults = {"prefix": "cars-prod-", "account_id": "123456789012", "queues": list(wanted), "tags": TAGS}
        return run_module(sqs_queues, **{**defaults, **options})

    return run


def sqs() -> Any:
    return boto3.client("sqs", region_name="us-east-1")


def names() -> list[str]:
    return sorted(url.rpartition("/")[2] for url in sqs().list_queues().get("QueueUrls", []))


def attributes(name: str) -> dict[str, str]:
    found = sqs().get_queue_attributes(QueueUrl=sqs().get_queue_url(QueueName=name)["QueueUrl"], AttributeNames=["All"])
    return dict(found["Attributes"])


def test_sets_them_once(queues: Run) -> None:
    planned = queues(EMAIL, ANALYTICS, check=True)
    assert planned["changed"] and names() == []
    made = queues(EMAIL, ANALYTICS)
    assert made["changed"]
    assert (made["urls"], made["arns"]) == (planned["urls"], planned["arns"])
    assert names() == ["cars-prod-analytics", "cars-prod-analytics-dlq", "cars-prod-email", "cars-prod-email-dlq"]
    assert made["urls"]["email"] == "https://sqs.us-east-1.amazonaws.com/123456789012/cars-prod-email"
    assert made["arns"]["email"] == attributes("cars-prod-email")["QueueArn"]
    assert made["dead_letter_arns"]["email"] == attributes("cars-prod-email-dlq")["QueueArn"]
    assert not queues(EMAIL, ANALYTICS)["changed"]
    assert not queues(EMAIL, ANALYTICS, check=True)["changed"]


def test_a_queue_is_what_it_should_be(queues: Run) -> None:
    queues(EMAIL)
    live, dead = attributes("cars-prod-email"), attributes("cars-prod-email-dlq")
    assert (live["VisibilityTimeout"], live["MessageRetentionPeriod"]) == ("180", "345600")
    assert (live["ReceiveMessageWaitTimeSeconds"], live["SqsManagedSseEnabled"]) == ("20", "true")
    assert live["RedrivePolicy"] == f'{{"deadLetterTargetArn":"{dead["QueueArn"]}","maxReceiveCount":5}}'
    assert json.loads(live["Policy"])["Statement"][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert dead["MessageRetentionPeriod"] == "1209600"
    assert json.loads(dead["RedriveAllowPolicy"])["sourceQueueArns"] == [live["QueueArn"]]
    assert "RedrivePolicy" not in dead


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("VisibilityTimeout", "30"),
        ("SqsManagedSseEnabled", "false"),
        ("Policy", ""),
        ("RedrivePolicy", ""),
        ("ReceiveMessageWaitTimeSeconds", "0"),
    ],
)
def test_drift_is_found_and_mended(queues: Run, attribute: str, value: str) -> None:
    queues(EMAIL)
    before = attributes("cars-prod-email")
    url = sqs().get_queue_url(QueueName="cars-prod-email")["QueueUrl"]
    sqs().set_queue_attributes(QueueUrl=url, Attributes={attribute: value})
    planned = queues(EMAIL, check=True)
    assert list(planned["diff"]["after"]) == ["cars-prod-email"]
    assert queues(EMAIL)["changed"]
    assert attributes("cars-prod-email")[attribute] == before[attribute]
    assert not queues(EMAIL)["changed"]


def test_deletes_what_is_no_longer_listed_and_only_ours(queues: Run) -> None:
    queues(EMAIL, ANALYTICS)
    queues(EMAIL, tags={**TAGS, "vahana:env": "prod-2"}, prefix="cars-prod-2-")
    assert queues(EMAIL, check=True)["changed"]
    assert queues(EMAIL)["changed"]
    assert names() == ["cars-prod-2-email", "cars-prod-2-email-dlq", "cars-prod-email", "cars-prod-email-dlq"]
    assert queues()["changed"]
    assert names() == ["cars-prod-2-email", "cars-prod-2-email-dlq"]
    assert not queues()["changed"]


def test_refuses_a_foreign_queue(queues: Run) -> None:
    sqs().create_queue(QueueName="cars-prod-email")
    refused = queues(EMAIL)
    assert refused["failed"]
    assert "cars-prod-email exists but is not tagged vahana:app=cars" in refused["msg"]
    assert names() == ["cars-prod-email"]


def test_tags_follow(queues: Run) -> None:
    queues(EMAIL)
    assert queues(EMAIL, tags={**TAGS, "vahana:tier": "full"})["changed"]
    assert not queues(EMAIL, tags={**TAGS, "vahana:tier": "full"})["changed"]
    assert queues(EMAIL)["changed"]


def test_needs_an_owner(queues: Run) -> None:
    queues(EMAIL)
    assert "vahana:env" in queues(EMAIL, tags={"vahana:app": "cars"})["msg"]
