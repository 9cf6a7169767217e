#!/usr/bin/python
"""Build a release of what answers and the front end, and keep it in the bucket of releases."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.module_utils.planning import is_planned
from ansible.module_utils.release_artifact import (
    ARCHIVES,
    MANIFEST,
    RELEASE_NAME,
    SERVICES,
    LocalRelease,
    Npm,
    ReleaseBucket,
    ReleaseError,
    build,
    builds_locked,
    check_sources,
    default_version,
    digest_sources,
    identity,
    is_tested,
    manifest_text,
    prune,
    read_local,
    run_tests,
)
from ansible.module_utils.release_sources import Origin, SourceError, find_sources
from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: release_build
short_description: Build a release and keep it in a bucket
description:
  - Builds the archives that hosts, Lambda and buckets take, from the sources of a Node.js backend, of functions and a
    front end, with C(npm ci) in a clean copy. The same sources give the same bytes on every machine.
  - Sources are folders as they are, or as a commit of their git repository has them; the repository is only read.
  - Of services, which run from images (M(ecr_images)), it notes the versions that the sources make.
  - A release is named after its sources, so unchanged sources are neither built nor uploaded again. A release that is
    in the bucket is never rewritten.
  - amazon.aws.s3_object could upload the archives, but neither lets S3 compare them with a SHA-256 nor refuses to
    overwrite a manifest that another run has just written; a release must be all there or not at all.
options:
  version:
    description:
      - Name of the release. A release of this name in the bucket is taken as it is and nothing is built.
      - Empty for a name made of the version of the backend, or of the services, and the digest of all sources.
    type: str
    default: ""
  backend_source:
    description:
      - Folder of the backend. Empty when there is none, or when there are no sources and I(version) names a release
        that exists.
    type: path
    default: ""
  services_source:
    description: Folder of the services, as M(ecr_images) takes it. Empty when there are none.
    type: path
    default: ""
  services:
    description: Names of the services.
    type: list
    elements: str
    default: []
  functions_source:
    description:
      - Folder of Lambda functions; what C(npm run build) leaves in C(dist/) becomes a zip. They may import the sources
        of the backend as C(../backend), beside which they are built. Empty when there are none.
    type: path
    default: ""
  frontend_source:
    description: Folder of the front end. Empty when there is none.
    type: path
    default: ""
  ref:
    description:
      - Branch, tag or commit to take the sources from, in the repository that holds them. It is not fetched.
      - A path that begins with C(/), C(.) or C(~) is a folder that holds the sources in the same places as I(project).
      - Empty takes the folders as they are.
    type: str
    default: ""
  project:
    description: Folder that I(ref) as a folder stands for. Needed with such a one only.
    type: path
    default: ""
  tests:
    description:
      - Whether the sources have to pass C(npm test), of each application that has it, before anything is uploaded.
      - A release that is there and was built without them is tested now, and nothing else happens to it.
    type: bool
    default: false
  start_file:
    description: File of the backend that starts it.
    type: str
    default: src/server.js
  dist:
    description: Folder of builds on this machine.
    type: path
    required: true
  keep_builds:
    description: How many builds to keep in I(dist). Those in the bucket are not deleted.
    type: int
    default: 5
  bucket:
    description: Bucket of releases. Empty to build only.
    type: str
    default: ""
  prefix:
    description: Folder of releases in the bucket.
    type: str
    default: releases
  npm:
    description:
      - The npm to build with. Without it the one beside the Python that runs the module (the project's own), then the
        one on C(PATH).
    type: path
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
- name: Build the release of these sources, unless it is in the bucket
  release_build:
    backend_source: examples/backend
    frontend_source: examples/frontend
    dist: dist
    bucket: cars-prod-releases-123456789012

- name: Build what is tagged, if it passes its tests
  release_build:
    ref: v1.4.0
    tests: true
    backend_source: examples/backend
    frontend_source: examples/frontend
    dist: dist
    bucket: cars-prod-releases-123456789012

- name: Make sure that a release exists
  release_build:
    version: 1.4.0-3f2a91c0b7de
    dist: dist
    bucket: cars-prod-releases-123456789012
"""

RETURN = r"""
version:
  description: Name of the release.
  returned: always
  type: str
manifest:
  description:
    - C(version), C(source) (digest of the sources), C(backend), C(functions) and C(frontend), each with C(sha256) and
      C(size), null when there is none, and C(services), versions by name. These are the same for whoever builds the
      same sources.
    - C(commit) (with C(-dirty) when the sources were not as it has them), C(builder), C(time) (ISO 8601, UTC), C(node)
      and C(npm) (versions), and C(tests) (C(passed), C(none) or C(not run)).
    - Empty in check mode for a release that is not built yet.
  returned: always
  type: dict
built:
  description: Whether it was built, or would be in check mode.
  returned: always
  type: bool
tested:
  description: Whether this run ran tests, of a build or of a release that had none.
  returned: always
  type: bool
uploaded:
  description: Keys that were written, or would be in check mode.
  returned: always
  type: list
  elements: str
pruned:
  description: Older builds that were deleted from I(dist).
  returned: always
  type: list
  elements: str
"""

_LISTED = 10


def find_npm(explicit: str | None) -> Npm:
    """Return the npm to build with.

    Raises:
        ReleaseError: there is none.
    """
    beside = Path(sys.executable).parent
    folders = [str(beside), *os.get_exec_path()]
    candidates = [Path(explicit)] if explicit else [Path(folder) / "npm" for folder in folders]
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return Npm(candidate)
    where = explicit or f"{beside} or on PATH"
    raise ReleaseError(
        f"npm is not in {where}; run `make demo` once, or install Node.js 24 with npm, or set release_npm"
    )


class Release:
    """One run of the module: what is wanted, what is there, and the difference."""

    def __init__(self, module: AnsibleAWSModule, bucket: ReleaseBucket | None, origin: Origin) -> None:
        """Read the parameters; the bucket is None when the release is only to be built."""
        params = module.params
        self._check = module.check_mode
        self._bucket = bucket
        self._bucket_name = params["bucket"]
        self._dist = Path(params["dist"])
        # What a release without a name is named after.
        self._first: Path | None = origin.folder("backend") or origin.folder(SERVICES)
        self._origin = origin.sources
        self._commit = origin.commit
        self._services = params["services"]
        self._tests = params["tests"]
        self._start_file = params["start_file"]
        self._npm = params["npm"]
        self._keep = params["keep_builds"]
        self._version = params["version"]

    def ensure(self) -> dict[str, Any]:
        """Make the release exist; return the module's result.

        Raises:
            ReleaseError: it cannot.
        """
        if self._version and not RELEASE_NAME.fullmatch(self._version):
            raise ReleaseError(
                f"'{self._version}' is not a release name; use letters, digits and . _ + - (at most 64), e.g. 1.4.0"
            )
        version = self._version or self._version_of_sources()
        published = self._published(version)
        if published is not None and not self._missing(published):
            return self._result(version, published, tested=self._test(published))
        digest = self._digest() if self._first else ""
        local = self._local(version, digest)
        if local is None and self._first is None:
            raise ReleaseError(self._unknown(version) if published is None else self._damaged(published))
        return self._make(version, digest, published, local)

    def _version_of_sources(self) -> str:
        version: str = default_version(self._required(), self._digest())
        return version

    def _digest(self) -> str:
        """Return the digest of the sources once they are known to be buildable."""
        if problems := check_sources(self._sources(), self._start_file):
            raise ReleaseError("; ".join(problems))
        digest: str = digest_sources(self._sources())
        return digest

    def _make(
        self, version: str, digest: str, published: dict[str, Any] | None, local: LocalRelease | None
    ) -> dict[str, Any]:
        npm = None if local else find_npm(self._npm)
        if self._check:
            return self._plan(version, published, local)
        pruned: list[str] = []
        built = tested = False
        with builds_locked(self._dist):
            # Another run may have built it while this one waited.
            local = local or self._local(version, digest)
            if local is None and npm is not None:
                local = build(
                    self._dist,
                    version,
                    digest,
                    self._sources(),
                    npm,
                    services=self._services,
                    tests=self._tests,
                    commit=self._commit,
                )
                built, tested = True, self._tests
            if local is None:
                raise ReleaseError(f"the build {self._dist / version} has just been deleted; run again")
            if not built and self._must_test(local.manifest):
                tested, local = True, self._tested(local)
            pruned = prune(self._dist, self._keep, version) if built else []
        uploaded: list[str] = []
        if self._bucket is not None:
            if published is not None and identity(published) != identity(local.manifest):
                raise ReleaseError(f"{self._damaged(published)}; these sources do not make it")
            uploaded = self._bucket.upload(local, self._bucket.missing(local.manifest), with_manifest=published is None)
            # That of whoever was first.
            published = published or self._bucket.manifest(version)
        manifest = published or local.manifest
        return self._result(version, manifest, built=built, tested=tested, uploaded=uploaded, pruned=pruned)

    def _damaged(self, published: dict[str, Any]) -> str:
        damaged = " and ".join(self._missing(published))
        return (
            f"release {published['version']} in s3://{self._bucket_name} is damaged (its {damaged} archive is missing "
            "or not what its manifest says): deploy another release, or delete its folder there and build it again"
        )

    def _must_test(self, manifest: dict[str, Any]) -> bool:
        """Say whether tests are wanted that were not run when the release was built; only its sources can tell."""
        return bool(
            self._tests and not is_tested(manifest) and self._first and manifest.get("source") == self._digest()
        )

    def _test(self, published: dict[str, Any]) -> bool:
        """Test the sources of a release that was built without; a manifest is never rewritten, so this is not kept."""
        if self._check or not self._must_test(published):
            return False
        with builds_locked(self._dist):
            run_tests(self._dist, self._sources(), find_npm(self._npm))
        return True

    def _tested(self, local: LocalRelease) -> LocalRelease:
        """Return a build of this machine with the result of its tests in its manifest."""
        result = run_tests(self._dist, self._sources(), find_npm(self._npm))
        tested = replace(local, manifest={**local.manifest, "tests": result})
        partial = local.directory / f".{MANIFEST}"
        partial.write_text(manifest_text(tested.manifest))
        partial.replace(local.directory / MANIFEST)
        return tested

    def _plan(self, version: str, published: dict[str, Any] | None, local: LocalRelease | None) -> dict[str, Any]:
        """Say which files a run would write; what would be in them is not known without building."""
        uploaded: list[str] = []
        if self._bucket is not None:
            roles = self._missing(local.manifest) if local else self._archived()
            names = [ARCHIVES[role] for role in roles] + ([] if published else [MANIFEST])
            uploaded = [self._bucket.key(version, name) for name in names]
        return self._result(version, local.manifest if local else {}, built=local is None, uploaded=uploaded)

    def _result(
        self,
        version: str,
        manifest: dict[str, Any],
        *,
        built: bool = False,
        tested: bool = False,
        uploaded: list[str] | None = None,
        pruned: list[str] | None = None,
    ) -> dict[str, Any]:
        uploaded = uploaded or []
        changed = built or bool(uploaded)
        after = {"release": version, "built": built, "uploaded": uploaded}
        return {
            "changed": changed,
            "version": version,
            "manifest": manifest,
            "built": built,
            "tested": tested,
            "uploaded": uploaded,
            "pruned": pruned or [],
            "diff": {"before": {}, "after": after if changed else {}},
        }

    def _required(self) -> Path:
        if self._first is None:
            raise ReleaseError(
                "there is nothing to build; set release_backend_source, or name a release with -e release=…"
            )
        return self._first

    def _sources(self) -> dict[str, Path]:
        self._required()
        return dict(self._origin)

    def _archived(self) -> list[str]:
        """Return the roles of the sources that become archives."""
        return sorted(set(self._sources()) & set(ARCHIVES))

    def _local(self, version: str, digest: str) -> LocalRelease | None:
        """Return the build of this machine, unless it was made of other sources than those given."""
        local = read_local(self._dist, version)
        return None if local and digest and local.manifest.get("source") != digest else local

    def _published(self, version: str) -> dict[str, Any] | None:
        if self._bucket is None or is_planned(self._bucket_name):
            return None
        try:
            manifest: dict[str, Any] | None = self._bucket.manifest(version)
        except is_boto3_error_code("NoSuchBucket") as error:
            # In check mode the run that would have made the bucket made nothing.
            if self._check:
                return None
            raise ReleaseError(
                f"the bucket of releases {self._bucket_name} does not exist; run playbooks/provision.yml"
            ) from error
        return manifest

    def _missing(self, manifest: dict[str, Any]) -> list[str]:
        if is_planned(self._bucket_name):
            return self._archived()
        return self._bucket.missing(manifest) if self._bucket else []

    def _unknown(self, version: str) -> str:
        try:
            versions = self._bucket.versions() if self._bucket else []
        except is_boto3_error_code("NoSuchBucket"):
            versions = []
        if not versions:
            return (
                f"there is no release '{version}', nor any other; leave out -e release=… to build one from the sources"
            )
        more = f" and {len(versions) - _LISTED} older" if len(versions) > _LISTED else ""
        return f"there is no release '{version}'; there are {', '.join(versions[:_LISTED])}{more}"


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "version": {"type": "str", "default": ""},
            "backend_source": {"type": "path", "default": ""},
            "services_source": {"type": "path", "default": ""},
            "services": {"type": "list", "elements": "str", "default": []},
            "functions_source": {"type": "path", "default": ""},
            "frontend_source": {"type": "path", "default": ""},
            "ref": {"type": "str", "default": ""},
            "project": {"type": "path", "default": ""},
            "tests": {"type": "bool", "default": False},
            "start_file": {"type": "str", "default": "src/server.js"},
            "dist": {"type": "path", "required": True},
            "keep_builds": {"type": "int", "default": 5},
            "bucket": {"type": "str", "default": ""},
            "prefix": {"type": "str", "default": "releases"},
            "npm": {"type": "path"},
        },
        supports_check_mode=True,
    )
    params = module.params
    roles = [role for role in ("backend", SERVICES, "functions", "frontend") if params[f"{role}_source"]]
    sources = {role: Path(params[f"{role}_source"]) for role in roles}
    try:
        name = params["bucket"]
        bucket = ReleaseBucket(module.client("s3"), name, params["prefix"]) if name else None
        with find_sources(params["ref"], sources, Path(params["project"] or ".")) as origin:
            result = Release(module, bucket, origin).ensure()
    except (ReleaseError, SourceError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or module.params['dist']}: {error.strerror or error}")
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"releases in {module.params['bucket']}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
