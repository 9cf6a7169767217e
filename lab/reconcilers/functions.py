"""SQS to Lambda: the pollers of event source mappings.

Each enabled mapping has a thread that receives batches and lets its function work on them, as AWS describes it in
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html: what the function is done with is deleted;
what it failed on, and after an error or a timeout the whole batch, becomes visible again when the queue's visibility
timeout is over, until the queue has it delivered often enough for the dead letter queue.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar

from moto.awslambda.models import lambda_backends
from moto.sqs.exceptions import QueueDoesNotExist, ReceiptHandleIsInvalid
from moto.sqs.models import sqs_backends

from lab import regions, settings
from lab.functions import Functions, identity
from lab.moto_patches import awslambda
from lab.reconcilers.base import Reconciler

CONCURRENCY = 2
"""Most batches of a mapping at the same time on this machine, also where the mapping allows more."""
RECEIVE = 10
"""What SQS gives at once."""
POLL_SECONDS = 1


def mappings() -> Iterator[tuple[Any, Any]]:
    """Every mapping of a queue that is there, with its function."""
    for backend in list(lambda_backends[settings.ACCOUNT_ID].values()):
        for mapping in list(backend._event_source_mappings.values()):
            function = backend.get_function_by_arn(mapping.function_arn)
            if function is not None and ":sqs:" in mapping.event_source_arn:
                yield mapping, function


def all_functions() -> Iterator[Any]:
    """Every function in each of its versions."""
    for backend in list(lambda_backends[settings.ACCOUNT_ID].values()):
        for versions in list(backend._lambdas._functions.values()):
            yield from [versions["latest"], *versions["versions"]]


def event_of(messages: list[Any], arn: str) -> dict[str, Any]:
    """The event of a batch: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html."""
    return {
        "Records": [
            {
                "messageId": message.id,
                "receiptHandle": message.receipt_handle,
                "body": message.body,
                "attributes": {
                    "ApproximateReceiveCount": str(message.approximate_receive_count),
                    "SentTimestamp": str(message.sent_timestamp),
                    "SenderId": message.sender_id,
                    "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
                },
                "messageAttributes": {},
                "md5OfBody": message.body_md5,
                "eventSource": "aws:sqs",
                "eventSourceARN": arn,
                "awsRegion": arn.split(":")[3],
            }
            for message in messages
        ]
    }


def failures(answer: Any, ids: set[str], reports: bool) -> set[str]:
    """Say which messages of a batch failed by what the function answered without an error.

    An answer that names no message of the batch, or is none, counts as a failure of all, as AWS says.
    """
    if not reports or answer is None or answer == "" or answer == {}:
        return set()
    if not isinstance(answer, dict):
        return ids
    named = answer.get("batchItemFailures", [])
    if named is None:
        return set()
    if not isinstance(named, list):
        return ids
    found = {str(item.get("itemIdentifier")) if isinstance(item, dict) else "" for item in named}
    return found if found <= ids else ids


class Poller(threading.Thread):
    """Delivers the messages of one queue to one function."""

    def __init__(self, owner: PollingFunctions, mapping: Any) -> None:
        super().__init__(name=f"poll-{mapping.uuid[:8]}", daemon=True)
        self._owner, self._mapping = owner, mapping
        limit = (mapping.scaling_config or {}).get("MaximumConcurrency", CONCURRENCY)
        self._free = threading.BoundedSemaphore(min(CONCURRENCY, int(limit)))
        self._closing = threading.Event()

    def run(self) -> None:
        """Receive and deliver until the mapping is gone or disabled."""
        while not self._closing.is_set():
            self._free.acquire()
            batch: list[Any] = []
            try:
                if regions.is_cut(self._mapping.region):
                    self._closing.wait(POLL_SECONDS)
                else:
                    batch = self._gather()
            except QueueDoesNotExist:
                # It may come back under its name.
                self._closing.wait(POLL_SECONDS)
            except Exception:
                # Nothing that one look at the queue can meet may end the polling.
                self._owner.log.exception("polling %s", self._mapping.event_source_arn)
                self._closing.wait(POLL_SECONDS)
            if batch:
                threading.Thread(target=self._deliver, args=(batch,), name=f"{self.name}-batch", daemon=True).start()
            else:
                self._free.release()

    def _queue(self) -> tuple[Any, str]:
        _arn, _partition, _service, region, _account, name = self._mapping.event_source_arn.split(":")
        return sqs_backends[settings.ACCOUNT_ID][region], name

    def _gather(self) -> list[Any]:
        """Collect a batch: what is there, and with a batching window what comes while it lasts."""
        sqs, name = self._queue()
        size, window = int(self._mapping.batch_size), int(self._mapping.max_batch_window or 0)
        batch: list[Any] = []
        end = 0.0
        while len(batch) < size and not self._closing.is_set():
            visibility = int(sqs.get_queue(name).visibility_timeout)
            # Without anything yet there is no hurry; the window begins with the first message.
            wait = POLL_SECONDS if not batch else max(0, min(POLL_SECONDS, end - time.monotonic()))
            batch += sqs.receive_message(name, min(RECEIVE, size - len(batch)), wait, visibility, ["All"])
            end = end or (time.monotonic() + window if batch else 0.0)
            if not batch or time.monotonic() >= end:
                break
        return batch

    def _deliver(self, batch: list[Any]) -> None:
        try:
            sqs, name = self._queue()
            function = self._owner.function_of(self._mapping)
            if function is None:
                return
            outcome = self._owner.functions.invoke(function, event_of(batch, self._mapping.event_source_arn))
            if regions.is_cut(self._mapping.region):
                # Nothing is deleted: they are delivered again when the region is back.
                return
            ids = {message.id for message in batch}
            reports = "ReportBatchItemFailures" in (self._mapping.function_response_types or [])
            failed = ids if outcome.error else failures(outcome.answer, ids, reports)
            for message in batch:
                if message.id not in failed:
                    try:
                        sqs.delete_message(name, message.receipt_handle)
                    except (ReceiptHandleIsInvalid, QueueDoesNotExist):
                        # Somebody has emptied or deleted the queue meanwhile.
                        continue
            if failed:
                said = json.dumps(outcome.answer)[:200] if outcome.error else "named by the function"
                self._owner.log.info("%s: %s of %s messages failed (%s)", name, len(failed), len(batch), said)
            self._owner.written()
        except Exception:
            self._owner.log.exception("a batch for %s", self._mapping.function_arn)
        finally:
            self._free.release()

    def close(self) -> None:
        """Receive no more; what is at work finishes."""
        self._closing.set()


class PollingFunctions(Reconciler):
    """Keeps a poller for each mapping, and only the execution environments that are needed."""

    name: ClassVar[str] = "functions"
    interval: ClassVar[float] = 5.0

    def __init__(self, functions: Functions | None = None) -> None:
        super().__init__()
        self.functions = functions or Functions()
        self._pollers: dict[str, Poller] = {}
        awslambda.follow(self.functions.answer)

    @staticmethod
    def function_of(mapping: Any) -> Any | None:
        """The function of a mapping as it is now."""
        return lambda_backends[settings.ACCOUNT_ID][mapping.region].get_function_by_arn(mapping.function_arn)

    def reconcile(self) -> None:
        """Start and stop pollers."""
        wanted: dict[str, Any] = {}
        for mapping, _ in mappings():
            if mapping.enabled:
                # Another limit is another poller.
                wanted[f"{mapping.uuid} {mapping.scaling_config}"] = mapping
        for key in self._pollers.keys() - wanted.keys():
            self._pollers.pop(key).close()
        for key in wanted.keys() - self._pollers.keys():
            self._pollers[key] = Poller(self, wanted[key])
            self._pollers[key].start()
        self.functions.sweep({identity(function) for function in all_functions()})

    def close(self) -> None:
        """Stop polling and end the functions' processes."""
        super().close()
        awslambda.follow(None)
        for poller in self._pollers.values():
            poller.close()
        self.functions.close()
