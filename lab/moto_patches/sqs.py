"""SQS: attributes that last, messages that several consumers do not lose, moving them out of a dead letter queue.

moto drops a queue's policy when any other attribute is set, gives nobody's redrive allow policy back, writes a redrive
policy with spaces, rebuilds the list of messages at each deletion (a message that comes in at that moment is gone), and
has no message move tasks. It also delivers to functions by itself, in the request that sends a message: here
`lab.reconcilers.functions` polls instead.
"""

from __future__ import annotations

import functools
import json
import threading
import time
import uuid
from typing import Any

from moto.core.responses import ActionResult
from moto.sqs.exceptions import ReceiptHandleIsInvalid, SQSException
from moto.sqs.models import Message, Queue, SQSBackend
from moto.sqs.responses import SQSResponse

TASK_SECONDS = 0.2
"""How long a move takes at least, so that it is seen under way as on AWS."""

_attributes = Queue.attributes.fget
_set_attributes = Queue._set_attributes
_receive_message = SQSBackend.receive_message
_receiving = threading.RLock()


class UnknownSourceError(SQSException):  # type: ignore[misc]
    """The source of a move is not there or no dead letter queue."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)


def set_attributes(queue: Any, attributes: dict[str, Any], now: float | None = None) -> None:
    """Set some attributes and leave the others, the policy too, as they are."""
    kept = getattr(queue, "_policy_json", None)
    _set_attributes(queue, attributes, now)
    if "Policy" not in attributes and kept is not None:
        queue._policy_json = kept
    # moto sets neither for an empty text, which takes the setting away.
    if attributes.get("RedrivePolicy") == "":
        queue.redrive_policy = queue.dead_letter_queue = None
    if str(attributes.get("SqsManagedSseEnabled", "")).lower() in ("true", "false"):
        queue.sqs_managed_sse_enabled = str(attributes["SqsManagedSseEnabled"]).lower() == "true"


def attributes(queue: Any) -> dict[str, Any]:
    """Show a queue's attributes. Who compares its redrive policy as text, as Terraform does, finds AWS's own."""
    found = dict(_attributes(queue))
    if queue.redrive_policy:
        found["RedrivePolicy"] = json.dumps(queue.redrive_policy, separators=(",", ":"))
    return found


def delete_message(queue: Any, receipt_handle: str) -> None:
    """Delete a message in place: one that another request adds meanwhile stays."""
    if receipt_handle in queue.deleted_messages:
        return
    for message in list(queue._messages):
        if message.had_receipt_handle(receipt_handle):
            queue.pending_messages.discard(message)
            queue.deleted_messages.update(message.all_receipt_handles)
            queue._messages.remove(message)
            return
    raise ReceiptHandleIsInvalid()


def receive_message(
    backend: Any,
    queue_name: str,
    count: int,
    wait_seconds_timeout: int,
    visibility_timeout: int,
    message_attribute_names: list[str] | None = None,
) -> list[Any]:
    """Give each message to one of the consumers that ask at the same time."""
    deadline = time.monotonic() + (wait_seconds_timeout or 0)
    while True:
        with _receiving:
            found: list[Any] = _receive_message(
                backend, queue_name, count, 0, visibility_timeout, message_attribute_names
            )
        remaining = deadline - time.monotonic()
        if found or remaining <= 0:
            return found
        backend.get_queue(queue_name).wait_for_messages(min(1.0, remaining))


class MoveTask:
    """A move of all messages of a dead letter queue.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
    """

    def __init__(self, source: Any, target: Any | None, per_second: int | None) -> None:
        self.handle = str(uuid.uuid4())
        self.source, self.target, self.per_second = source, target, per_second
        self.to_move = source.approximate_number_of_messages
        self.moved = 0
        self.started = time.time()
        self.status = "RUNNING"

    def run(self, backend: Any) -> None:
        """Move what is there; messages become new ones, with a new id and nothing received yet."""
        pause = 1 / self.per_second if self.per_second else 0.0
        for message in list(self.source.messages):
            if self.status != "RUNNING":
                break
            target = self.target or _source_of(backend, self.source, message)
            if target is None:
                self.status = "FAILED"
                return
            fresh = Message(str(uuid.uuid4()), message.body, message.system_attributes)
            fresh.message_attributes = message.message_attributes
            fresh.mark_sent()
            self.source._messages.remove(message)
            target.add_message(fresh)
            self.moved += 1
            time.sleep(pause)
        time.sleep(max(0.0, self.started + TASK_SECONDS - time.time()))
        self.status = "COMPLETED" if self.status == "RUNNING" else "CANCELLED"

    def description(self) -> dict[str, Any]:
        """Return the task as ListMessageMoveTasks has it."""
        return {
            **({"TaskHandle": self.handle} if self.status == "RUNNING" else {}),
            "Status": self.status,
            "SourceArn": self.source.queue_arn,
            **({"DestinationArn": self.target.queue_arn} if self.target else {}),
            **({"MaxNumberOfMessagesPerSecond": self.per_second} if self.per_second else {}),
            "ApproximateNumberOfMessagesMoved": self.moved,
            "ApproximateNumberOfMessagesToMove": self.to_move,
            "StartedTimestamp": int(self.started * 1000),
        }


def _source_of(backend: Any, dead: Any, message: Any) -> Any | None:
    """Return the queue that a message came from; the lab knows it where only one has this dead letter queue."""
    sources = [queue for queue in list(backend.queues.values()) if queue.dead_letter_queue is dead]
    return sources[0] if sources else None


def _named(backend: Any, arn: str) -> Any:
    for queue in list(backend.queues.values()):
        if queue.queue_arn == arn:
            return queue
    raise UnknownSourceError("ResourceNotFoundException", "The resource that you specified does not exist.")


def _tasks(queue: Any) -> list[MoveTask]:
    tasks: list[MoveTask] = vars(queue).setdefault("move_tasks", [])
    return tasks


def start_message_move_task(response: Any) -> ActionResult:
    """Answer StartMessageMoveTask."""
    backend = response.sqs_backend
    source = _named(backend, response._get_param("SourceArn"))
    target = response._get_param("DestinationArn")
    if not any(queue.dead_letter_queue is source for queue in list(backend.queues.values())):
        raise UnknownSourceError("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")
    if any(task.status == "RUNNING" for task in _tasks(source)):
        raise UnknownSourceError(
            "AWS.SimpleQueueService.UnsupportedOperation",
            "There is already a task running. Only one active task is allowed.",
        )
    rate = response._get_param("MaxNumberOfMessagesPerSecond")
    task = MoveTask(source, _named(backend, target) if target else None, int(rate) if rate else None)
    # The ten most recent are kept.
    vars(source)["move_tasks"] = [task, *_tasks(source)][:10]
    threading.Thread(target=task.run, args=(backend,), name="move-messages", daemon=True).start()
    return ActionResult({"TaskHandle": task.handle})


def list_message_move_tasks(response: Any) -> ActionResult:
    """Answer ListMessageMoveTasks."""
    source = _named(response.sqs_backend, response._get_param("SourceArn"))
    count = int(response._get_param("MaxResults") or 1)
    return ActionResult({"Results": [task.description() for task in _tasks(source)[:count]]})


def cancel_message_move_task(response: Any) -> ActionResult:
    """Answer CancelMessageMoveTask."""
    handle = response._get_param("TaskHandle")
    for queue in list(response.sqs_backend.queues.values()):
        for task in _tasks(queue):
            if task.handle == handle and task.status == "RUNNING":
                task.status = "CANCELLING"
                return ActionResult({"ApproximateNumberOfMessagesMoved": task.moved})
    raise UnknownSourceError("ResourceNotFoundException", "The resource that you specified does not exist.")


@functools.cache
def apply() -> None:
    """Put this into moto."""
    Queue.BASE_ATTRIBUTES = [*Queue.BASE_ATTRIBUTES, "RedriveAllowPolicy"]
    Queue.redrive_allow_policy = None
    Queue.attributes = property(attributes)
    Queue._set_attributes = set_attributes
    Queue.delete_message = delete_message
    # Nothing is delivered while a message is sent, whatever moto notes here.
    Queue.lambda_event_source_mappings = property(lambda queue: {}, lambda queue, value: None)
    SQSBackend.receive_message = receive_message
    SQSResponse.start_message_move_task = start_message_move_task
    SQSResponse.list_message_move_tasks = list_message_move_tasks
    SQSResponse.cancel_message_move_task = cancel_message_move_task
