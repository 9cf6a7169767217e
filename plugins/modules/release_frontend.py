#!/usr/bin/python
"""Put the front end of a release into the bucket that CloudFront serves."""

from __future__ import annotations

import hashlib
import io
import json
import mimetypes
import tarfile
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from ansible.module_utils.planning import is_planned
from ansible.module_utils.release_artifact import ReleaseBucket, ReleaseError
from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: release_frontend
short_description: Put the front end of a release into the bucket that CloudFront serves
description:
  - Fetches the built front end of a release from the bucket of releases, checks it against the manifest and uploads the
    files that differ. Pages go last, so that nobody gets a page whose assets are not there yet.
  - A release without a front end changes nothing.
  - Files of the release before stay, for the pages that browsers have open; older ones are deleted. Objects that no
    release brought are left alone.
  - What is live is recorded in C(release.json) in the bucket, as the last step. A run that was killed is done again.
  - community.aws.s3_sync has no check mode, no order, one cache setting for all files and does not know the release
    before.
options:
  version:
    description: Name of the release. It must be in I(releases_bucket).
    type: str
    required: true
  releases_bucket:
    description: Bucket of releases.
    type: str
    required: true
  prefix:
    description: Folder of releases in I(releases_bucket).
    type: str
    default: releases
  bucket:
    description: Bucket to serve from, encrypted with SSE-S3 (not with KMS) so that its ETags are MD5 sums.
    type: str
    required: true
  distribution_id:
    description: Distribution whose caches are told what changed. Empty when there is none.
    type: str
    default: ""
author: Vahana
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""

EXAMPLES = r"""
- name: Serve the front end of the release
  release_frontend:
    version: 1.4.0-3f2a91c0b7de
    releases_bucket: cars-prod-releases-123456789012
    bucket: cars-prod-frontend-123456789012
    distribution_id: E2QWRUHAPOMQZL
"""

RETURN = r"""
uploaded:
  description: Keys that were written, or would be in check mode.
  returned: always
  type: list
  elements: str
deleted:
  description: Keys that were deleted, or would be in check mode.
  returned: always
  type: list
  elements: str
invalidated:
  description: Paths that the distribution was told to fetch again, or would be in check mode.
  returned: always
  type: list
  elements: str
"""

RECORD = "release.json"
IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"

# CloudFront counts a wildcard as one path; beyond this many it is the cheaper way.
EVERYTHING = ["/*"]
_MOST_PATHS = 100
_FORMAT = 1
_THREADS = 8
# DeleteObjects takes no more keys at once.
_DELETE_BATCH = 1000

# Python's own table lacks these or differs from what browsers want, and the machine's must not decide.
_TYPES = mimetypes.MimeTypes(filenames=())
for _suffix, _type in {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
    ".avif": "image/avif",
    ".webp": "image/webp",
    ".map": "application/json",
}.items():
    _TYPES.add_type(_type, _suffix)


def content_type(key: str) -> str:
    """Return the Content-Type of a file of a front end."""
    found = _TYPES.guess_type(key)[0] or "application/octet-stream"
    return f"{found}; charset=utf-8" if found.startswith("text/") else found


def cache_control(key: str) -> str:
    """Return how long a file may be cached: names under assets/ carry a hash of the content, others may change."""
    return IMMUTABLE if key.startswith("assets/") else REVALIDATE


def upload_stage(key: str) -> int:
    """Return when a file is uploaded: what pages refer to, then other pages, then the first page."""
    return 2 if key == "index.html" else 1 if key.endswith(".html") else 0


def paths_of(keys: Iterable[str]) -> list[str]:
    """Return the paths under which CloudFront may keep an old version of files that have changed.

    Every page of the application is index.html to the cache: the function rewrites the path before the cache is asked.
    """
    changed = sorted(keys)
    paths = [*(["/"] if "index.html" in changed else []), *(f"/{quote(key)}" for key in changed)]
    return paths if len(paths) <= _MOST_PATHS else EVERYTHING


def unpack(archive: bytes) -> dict[str, bytes]:
    """Return the files of a front end's archive by key."""
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                files[member.name] = content.read()
    if RECORD in files:
        raise ReleaseError(
            f"the front end brings a file {RECORD}, a name that is kept for the record of releases; rename it"
        )
    return files


class Frontend:
    """The bucket that is served and what a release changes in it."""

    def __init__(self, client: Any, bucket: str) -> None:
        """Take a boto3 S3 client and the bucket's name."""
        self._client = client
        self._bucket = bucket

    def record(self) -> dict[str, Any]:
        """Return {format, version, files[], previous[]} of what is live; empty values when nothing is."""
        nothing: dict[str, Any] = {"format": _FORMAT, "version": "", "files": [], "previous": []}
        try:
            text = self._client.get_object(Bucket=self._bucket, Key=RECORD)["Body"].read()
        except self._client.exceptions.NoSuchKey:
            return nothing
        try:
            record = json.loads(text)
            return {key: type(value)(record[key]) for key, value in nothing.items()}
        except (ValueError, KeyError, TypeError):
            # Not ours or damaged: as if nothing were live; everything is compared and written again.
            return nothing

    def etags(self) -> dict[str, str]:
        """Return the ETag of each object by key."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket)
        return {item["Key"]: item["ETag"].strip('"') for page in pages for item in page.get("Contents", [])}

    def write(self, files: Mapping[str, bytes]) -> None:
        """Upload files in their order, those of one stage at once."""
        with ThreadPoolExecutor(max_workers=_THREADS) as pool:
            for stage in (0, 1, 2):
                keys = [key for key in files if upload_stage(key) == stage]
                for done in [pool.submit(self._put, key, files[key]) for key in keys]:
                    done.result()

    def _put(self, key: str, body: bytes) -> None:
        self._client.put_object(
            Bucket=self._bucket, Key=key, Body=body, ContentType=content_type(key), CacheControl=cache_control(key)
        )

    def delete(self, keys: list[str]) -> None:
        """Delete objects.

        Raises:
            ReleaseError: S3 refused one.
        """
        for start in range(0, len(keys), _DELETE_BATCH):
            batch = [{"Key": key} for key in keys[start : start + _DELETE_BATCH]]
            answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": batch, "Quiet": True})
            for error in answer.get("Errors", []):
                raise ReleaseError(f"s3://{self._bucket}/{error['Key']} cannot be deleted: {error['Message']}")

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Record what is live now."""
        body = json.dumps(record, indent=2, sort_keys=True).encode() + b"\n"
        self._client.put_object(
            Bucket=self._bucket, Key=RECORD, Body=body, ContentType="application/json", CacheControl=REVALIDATE
        )


def invalidate(client: Any, distribution_id: str, paths: list[str]) -> None:
    """Tell a distribution to fetch paths again; it does so within minutes and is not waited for."""
    client.create_invalidation(
        DistributionId=distribution_id,
        InvalidationBatch={"Paths": {"Quantity": len(paths), "Items": paths}, "CallerReference": str(uuid.uuid4())},
    )


def ensure(module: AnsibleAWSModule, releases: ReleaseBucket, frontend: Frontend) -> dict[str, Any]:
    """Bring the bucket to the front end of the release; return the module's result.

    Raises:
        ReleaseError: the release is not there or damaged.
    """
    params = module.params
    version = params["version"]
    nothing: dict[str, Any] = {"version": "", "files": [], "previous": []}
    try:
        if is_planned([params["releases_bucket"], params["bucket"]]):
            # Neither bucket is asked before the run has made both.
            return result(version, nothing, ["index.html", RECORD], [], [])
        manifest = releases.manifest(version)
        live = frontend.record()
        etags = frontend.etags()
    except is_boto3_error_code("NoSuchBucket") as error:
        if not module.check_mode:
            raise ReleaseError(f"{error}; run playbooks/provision.yml, which makes the buckets") from error
        manifest, live, etags = None, nothing, {}
    if manifest is None:
        if not module.check_mode:
            raise ReleaseError(f"there is no release '{version}' in s3://{params['releases_bucket']}; build it first")
        # It would have been built by then; which files it has is not known before.
        new = ["index.html", RECORD]
        return result(version, live, new, [], paths_of(set(new) & etags.keys()) if params["distribution_id"] else [])
    if not manifest.get("frontend"):
        return result(version, live, [], [], [])
    files = unpack(releases.archive(manifest, "frontend"))

    rewrite = live["format"] != _FORMAT
    differing = {
        key: body
        for key, body in files.items()
        if rewrite or etags.get(key) != hashlib.md5(body, usedforsecurity=False).hexdigest()
    }
    previous = live["previous"] if live["version"] in ("", version) else live["files"]
    kept = {*files, *previous}
    stale = sorted(key for key in {*live["files"], *live["previous"]} - kept if key in etags)
    record = {"format": _FORMAT, "version": version, "files": sorted(files), "previous": sorted(previous)}
    unrecorded = record != live
    # Of a release that is not recorded all files that keep their names: a run that was killed may have uploaded some
    # and told nobody.
    renewed = [*stale, *([*files, RECORD] if unrecorded else [])]
    changed = {*differing, *(key for key in renewed if cache_control(key) == REVALIDATE)} & etags.keys()
    paths = paths_of(changed) if params["distribution_id"] else []
    if not module.check_mode:
        frontend.write(differing)
        if paths:
            invalidate(module.client("cloudfront"), params["distribution_id"], paths)
        frontend.delete(stale)
        if unrecorded:
            frontend.write_record(record)
    return result(version, live, [*sorted(differing), *([RECORD] if unrecorded else [])], stale, paths)


def result(
    version: str, live: Mapping[str, Any], uploaded: list[str], deleted: list[str], invalidated: list[str]
) -> dict[str, Any]:
    """Return the module's result."""
    changed = bool(uploaded or deleted)
    before = {"version": live["version"]}
    after = {"version": version, "uploaded": uploaded, "deleted": deleted} if changed else before
    return {
        "changed": changed,
        "uploaded": uploaded,
        "deleted": deleted,
        "invalidated": invalidated,
        "diff": {"before": before, "after": after},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "version": {"type": "str", "required": True},
            "releases_bucket": {"type": "str", "required": True},
            "prefix": {"type": "str", "default": "releases"},
            "bucket": {"type": "str", "required": True},
            "distribution_id": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        client = module.client("s3")
        releases = ReleaseBucket(client, module.params["releases_bucket"], module.params["prefix"])
        outcome = ensure(module, releases, Frontend(client, module.params["bucket"]))
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"front end in {module.params['bucket']}")
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
