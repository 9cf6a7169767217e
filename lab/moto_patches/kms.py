"""KMS: a key's ARN is as good as its id for every call; moto fails at some.

https://docs.aws.amazon.com/kms/latest/APIReference/API_ScheduleKeyDeletion.html, "KeyId".
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from moto.kms.models import KmsBackend


def _by_any_id(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: KmsBackend, key_id: str, *arguments: Any) -> Any:
        return method(self, self.any_id_to_key_id(key_id), *arguments)

    return call


@functools.cache
def apply() -> None:
    """Patch moto.kms."""
    KmsBackend.enable_key = _by_any_id(KmsBackend.enable_key)
    KmsBackend.disable_key = _by_any_id(KmsBackend.disable_key)
    KmsBackend.cancel_key_deletion = _by_any_id(KmsBackend.cancel_key_deletion)
    KmsBackend.schedule_key_deletion = _by_any_id(KmsBackend.schedule_key_deletion)
