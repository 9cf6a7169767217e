"""SNS: what is sent to an email address arrives in the lab's mail box. Addresses need no confirmation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.sns.models import Subscription

Deliver = Callable[[str, str, str], None]

_publish = Subscription.publish
_deliver: Deliver | None = None


def follow(deliver: Deliver | None) -> None:
    """Have emails delivered: called with address, subject and text; None while there is no mail box."""
    global _deliver  # noqa: PLW0603 - one lab a process, like moto's own backends
    _deliver = deliver


def publish(
    self: Any,
    message: str,
    message_id: str,
    subject: str | None = None,
    message_structure: str | None = None,
    **more: Any,
) -> None:
    """Publish to a subscription, and to the mail box if it is an email address."""
    _publish(self, message, message_id, subject=subject, message_structure=message_structure, **more)
    matcher = self._filter_policy_matcher
    wanted = matcher is None or matcher.matches(more.get("message_attributes"), message)
    if self.protocol == "email" and _deliver is not None and wanted:
        text = self._parse_message_structure(message, "email") if message_structure == "json" else message
        _deliver(self.endpoint, subject or "AWS Notification Message", text)


def apply() -> None:
    """Put this into moto."""
    Subscription.publish = publish
