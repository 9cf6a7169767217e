"""Messages of tier full: a listing ends in the workers' output; what they cannot take waits, and comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.lab.conftest import playbook, wait_for
from tests.lab.visitor import call

pytestmark = [pytest.mark.lab, pytest.mark.long]

TIER = ("-e", "tier=full")
BUCKET = "vahanhelp-prod-releases-123456789012"
QUEUES = ("analytics", "email", "notifications")
TIMEOUT = 2
"""Seconds for a batch: a message is hidden for six times as long, and delivered five times."""
CAR = {
    "make": "Tata",
    "model": "Nexon",
    "year": 2023,
    "price": 1_450_000,
    "mileage_km": 12_000,
    "fuel": "electric",
    "transmission": "automatic",
    "city": "Pune",
}

Aws = Callable[[str], Any]


@pytest.fixture(scope="module")
def full(lab: None) -> None:
    playbook("site.yml", *TIER, "-e", f"functions_timeout={TIMEOUT}", timeout=1800)


def create(car: dict[str, Any]) -> dict[str, Any]:
    return dict(call("POST", "/api/listings", car))


def output(aws: Aws, queue: str, event: str) -> dict[str, Any] | None:
    """What a worker has made of an event, if it has."""
    s3 = aws("s3")
    try:
        return dict(json.loads(s3.get_object(Bucket=BUCKET, Key=f"worker/{queue}/{event}.json")["Body"].read()))
    except s3.exceptions.NoSuchKey:
        return None


def waiting(aws: Aws, name: str) -> int:
    sqs = aws("sqs")
    url = sqs.get_queue_url(QueueName=f"vahanhelp-prod-{name}")["QueueUrl"]
    counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(
        int(each) for each in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=counts)["Attributes"].values()
    )


@pytest.mark.usefixtures("full")
def test_a_listing_ends_in_the_output_of_every_worker(aws: Aws) -> None:
    listing = create(CAR)
    for queue in QUEUES:
        made = wait_for(partial(output, aws, queue, listing["id"]))
        assert made["queue"] == queue
    assert output(aws, "email", listing["id"])["output"]["subject"] == "New listing: Tata Nexon (2023)"  # type: ignore[index]
    wait_for(lambda: all(waiting(aws, queue) == 0 for queue in QUEUES))
    logs = aws("logs").filter_log_events(logGroupName="/vahanhelp/prod/functions/email", filterPattern="done")
    assert any(listing["id"] in event["message"] for event in logs["events"])


@pytest.mark.usefixtures("full")
def test_a_poison_message_waits_and_comes_back(aws: Aws) -> None:
    sqs = aws("sqs")
    url = sqs.get_queue_url(QueueName="vahanhelp-prod-email")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="no event")
    # Five deliveries, each hidden for six times the function's timeout.
    wait_for(lambda: waiting(aws, "email-dlq") == 1, 5 * 6 * TIMEOUT + 120)
    assert waiting(aws, "email") == 0
    # The worker is not what stands in its way: what comes in meanwhile is worked on.
    listing = create(CAR)
    wait_for(lambda: output(aws, "email", listing["id"]))
    done = playbook("playbooks/redrive.yml", "-e", "queue=email")
    assert "one dead letter is back in email" in done.output
    # It is as bad as before, so it is delivered five times again.
    wait_for(lambda: waiting(aws, "email-dlq") == 1, 5 * 6 * TIMEOUT + 120)
