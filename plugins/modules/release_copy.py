#!/usr/bin/python
"""Bring a release from the bucket of one region to that of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.planning import is_planned
from ansible.module_utils.release_artifact import (
    ARCHIVES,
    MANIFEST,
    RELEASE_NAME,
    ReleaseBucket,
    ReleaseError,
    identity,
)
from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: release_copy
short_description: Bring a release to another region
description:
  - Copies the archives of a release from the bucket of releases of one region to that of another, then its manifest, by
    which a release is there or not. S3 copies by itself; nothing comes through this machine.
  - Lambda takes code from a bucket of its own region only.
  - What is there already, by the checksums in the manifest, is not copied again. A release that is there is never
    replaced by another one of the same name.
  - Archives are copied, images of services are not.
  - amazon.aws.s3_object can copy, but knows neither what belongs to a release nor when it is complete.
options:
  version:
    description: Name of the release.
    type: str
    required: true
  source_bucket:
    description: Bucket of releases that has it.
    type: str
    required: true
  source_region:
    description: Region of O(source_bucket).
    type: str
    required: true
  bucket:
    description: Bucket of releases to bring it to, in the region of the module.
    type: str
    required: true
  folder:
    description: Folder of releases in both.
    type: str
    default: releases
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
- name: Bring the release to Ireland
  release_copy:
    version: 1.4.0-3f2a91c0b7de
    source_bucket: cars-prod-releases-123456789012
    source_region: us-east-1
    bucket: cars-prod-eu-west-1-releases-123456789012
    region: eu-west-1
"""

RETURN = r"""
version:
  description: Name of the release.
  returned: always
  type: str
manifest:
  description: Its manifest, as M(release_build) returns it. Empty in check mode for a release that is not built yet.
  returned: always
  type: dict
copied:
  description:
    - Keys that were written, or would be in check mode. Of a release that is not built yet only the manifest is known.
  returned: always
  type: list
  elements: str
"""


def read(module: AnsibleAWSModule, bucket: ReleaseBucket, name: str) -> dict[str, Any] | None:
    """Return the release's manifest; None when it is not there, or when a plan's run would make the bucket.

    Raises:
        ReleaseError: there is no such bucket.
    """
    if is_planned(name):
        return None
    try:
        manifest: dict[str, Any] | None = bucket.manifest(module.params["version"])
    except is_boto3_error_code("NoSuchBucket") as error:
        if module.check_mode:
            return None
        raise ReleaseError(f"the bucket of releases {name} does not exist; run playbooks/provision.yml") from error
    return manifest


def ensure(module: AnsibleAWSModule, source: ReleaseBucket, target: ReleaseBucket) -> dict[str, Any]:
    """Bring the release to the bucket; return the module's result.

    Raises:
        ReleaseError: it is not there, damaged, or another one of its name is in the way.
    """
    version, here, there = (module.params[name] for name in ("version", "bucket", "source_bucket"))
    if not RELEASE_NAME.fullmatch(version):
        raise ReleaseError(
            f"'{version}' is not a release name; use letters, digits and . _ + - (at most 64), e.g. 1.4.0"
        )
    released, found = read(module, source, there), read(module, target, here)
    if released is None and not module.check_mode:
        raise ReleaseError(f"there is no release '{version}' in s3://{there}; build it with playbooks/build.yml first")
    if released and found and identity(released) != identity(found):
        raise ReleaseError(
            f"release {version} in s3://{here} is another one than that in s3://{there}, and is not overwritten: "
            "deploy another release, or delete its folder there and run again"
        )
    manifest = found or released
    if manifest is None:
        # It would have been built by then.
        return result(version, {}, [target.key(version, MANIFEST)])
    # Whatever is in it, a bucket that a run has yet to make lacks it.
    roles = [role for role in ARCHIVES if manifest.get(role)] if is_planned(here) else target.missing(manifest)
    if module.check_mode:
        names = [*(ARCHIVES[role] for role in roles), *([] if found else [MANIFEST])]
        return result(version, manifest, [target.key(version, name) for name in names])
    if not roles and found:
        return result(version, found, [])
    if damaged := [role for role in source.missing(manifest) if role in roles]:
        raise ReleaseError(
            f"release {version} in s3://{there} is damaged (its {' and '.join(damaged)} archive is missing or not what "
            "its manifest says): build it again with playbooks/build.yml"
        )
    return result(version, manifest, target.copy(source, manifest, roles, with_manifest=found is None))


def result(version: str, manifest: Mapping[str, Any], copied: list[str]) -> dict[str, Any]:
    """Return the module's result."""
    return {
        "changed": bool(copied),
        "version": version,
        "manifest": manifest,
        "copied": copied,
        "diff": {"before": {}, "after": {"release": version, "copied": copied} if copied else {}},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "version": {"type": "str", "required": True},
            "source_bucket": {"type": "str", "required": True},
            "source_region": {"type": "str", "required": True},
            "bucket": {"type": "str", "required": True},
            "folder": {"type": "str", "default": "releases"},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        source, target = (
            ReleaseBucket(module.client("s3", region=region), bucket, params["folder"])
            for bucket, region in (
                (params["source_bucket"], params["source_region"]),
                (params["bucket"], module.region),
            )
        )
        outcome = ensure(module, source, target)
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"release {params['version']} to {params['bucket']}")
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
