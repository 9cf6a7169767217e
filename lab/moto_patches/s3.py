"""S3: bucket policies whose conditions and principals count, and conditional writes of which one wins.

moto reads the effect, action and resource of a statement only, so a policy that denies plain HTTP denies everything.
It looks whether `If-Match` or `If-None-Match` holds and writes afterwards, so that of several at once many succeed.
A page of versions begins after the last one of the page before, which moto does not find once it was deleted: whoever
empties a bucket page by page would be done after the first. And it copies all versions for each page.
"""

from __future__ import annotations

import bisect
import functools
import json
import threading
from collections.abc import Callable
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket, FakeKey, S3Backend
from moto.s3.responses import S3Response

# The lab's API speaks plain HTTP on loopback, and stands for AWS's, which speaks TLS.
REQUEST = {"aws:securetransport": "true"}
UNVERSIONED = "null"
"""Id of the version of an object that was written before its bucket had versions."""


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


_list_object_versions = S3Backend.list_object_versions


def list_object_versions(
    backend: Any,
    bucket_name: str,
    delimiter: str | None = None,
    key_marker: str | None = None,
    max_keys: int | None = 1000,
    prefix: str = "",
    version_id_marker: str | None = None,
) -> Any:
    """Return a page of a bucket's versions; what was deleted since the page before does not end the list.

    Source: Amazon S3 API Reference, "ListObjectVersions": the markers say where to start, not what has to be there.
    """
    if delimiter or max_keys is None:
        return _list_object_versions(backend, bucket_name, delimiter, key_marker, max_keys, prefix, version_id_marker)
    keys = backend.get_bucket(bucket_name).keys
    names = sorted(name for name in list(keys) if name.startswith(prefix))
    page: list[Any] = []
    for name in names[bisect.bisect_left(names, key_marker or "") :]:
        versions = sorted(keys.getlist(name), key=lambda version: version.last_modified, reverse=True)
        for version in versions:
            # Nothing else reads it: moto's own list sets it on copies, contents and all.
            version.is_latest = version is versions[0]
        if name == key_marker:
            ids = [version.version_id or UNVERSIONED for version in versions]
            # Without the id all of them were on the page before; the one that is gone was the last of those that are.
            gone = 0 if version_id_marker else len(versions)
            versions = versions[ids.index(version_id_marker) + 1 if version_id_marker in ids else gone :]
        for version in versions:
            if len(page) == max_keys:
                return *_parts(page), page[-1].name, page[-1].version_id or UNVERSIONED
            page.append(version)
    return *_parts(page), None, None


def _parts(page: list[Any]) -> tuple[list[Any], list[str], list[Any]]:
    """Return the objects of a page, its common prefixes (none without a delimiter), and its delete markers."""
    objects = [version for version in page if isinstance(version, FakeKey)]
    return objects, [], [version for version in page if not isinstance(version, FakeKey)]


def apply() -> None:
    """Put this into moto."""
    S3Backend.list_object_versions = list_object_versions
    FakeBucket.get_permission = get_permission
    S3Response.put_object = one_at_a_time(S3Response.put_object)
    S3Response.delete_object = one_at_a_time(S3Response.delete_object)
