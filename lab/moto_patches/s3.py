"""S3: bucket policies whose conditions and principals count, and conditional writes of which one wins.

moto reads the effect, action and resource of a statement only, so a policy that denies plain HTTP denies everything.
It looks whether `If-Match` or `If-None-Match` holds and writes afterwards, so that of several at once many succeed.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response

# The lab's API speaks plain HTTP on loopback, and stands for AWS's, which speaks TLS.
REQUEST = {"aws:securetransport": "true"}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def applies(statement: dict[str, Any]) -> bool:
    """Say whether a statement of a bucket policy is about a request that comes through the API.

    A statement for a service alone (CloudFront) is not: `lab.frontdoor` checks those. Nor is one with a condition on
    something that the API's requests do not carry, for example the ARN of a distribution.
    """
    principal = statement.get("Principal", "*")
    if isinstance(principal, dict) and "AWS" not in principal:
        return False
    return all(
        str(REQUEST.get(key.lower())) in [str(value).lower() for value in _as_list(values)]
        for keys in statement.get("Condition", {}).values()
        for key, values in keys.items()
    )


def get_permission(bucket: Any, action: str, resource: str) -> Any:
    """Say what the bucket's policy thinks of a request through the API."""
    if bucket.policy is None:
        return PermissionResult.NEUTRAL
    document = json.loads(bucket.policy)
    statements = [statement for statement in _as_list(document["Statement"]) if applies(statement)]
    if not statements:
        return PermissionResult.NEUTRAL
    return IAMPolicy(json.dumps({**document, "Statement": statements})).is_action_permitted(action, resource)


_writing = threading.RLock()


def one_at_a_time(write: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Make a write of an object one step with the check of its condition."""

    @functools.wraps(write)
    def in_turn(response: Any) -> Any:
        with _writing:
            return write(response)

    return in_turn


def apply() -> None:
    """Put this into moto."""
    FakeBucket.get_permission = get_permission
    S3Response.put_object = one_at_a_time(S3Response.put_object)
    S3Response.delete_object = one_at_a_time(S3Response.delete_object)
