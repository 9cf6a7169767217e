#!/usr/bin/python
"""Have the images of several services in their ECR repositories, built from one folder of sources where need be."""

from __future__ import annotations

import base64
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.planning import KNOWN_AFTER_APPLY
from ansible.module_utils.release_artifact import RELEASE_NAME, SERVICES, ReleaseError, service_version
from ansible.module_utils.release_sources import SourceError, find_sources
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: ecr_images
short_description: Have images of services in ECR
description:
  - Builds the images of services with podman, without a daemon, and pushes them, both only when the repository does not
    have them. The collections have no module that does either without Docker.
  - An image's tag is its version, made of the version in the service's package.json and the digest of what goes into
    it, so a service that has not changed keeps its image. Tags cannot be moved (M(ecr_repositories)), so they are the
    record of which digest a version is.
options:
  prefix:
    description: What the names of the repositories begin with.
    type: str
    required: true
  services:
    description: Names of the services, which are those of the repositories after the prefix and of the folders.
    type: list
    elements: str
    required: true
  source:
    description:
      - Folder with a Containerfile, which takes the build argument C(SERVICE), a folder for each service with its
        package.json, and what they share. Of other services' folders nothing goes into an image.
      - Empty when all services have a version.
    type: path
    default: ""
  versions:
    description:
      - Versions by service; otherwise they are what the sources make.
      - One that is not in its repository is built if the sources make it, and an error if they make another.
    type: dict
    default: {}
  ref:
    description: Branch, tag or commit to take the sources from, or a folder, as of M(release_build).
    type: str
    default: ""
  project:
    description: Folder that I(ref) as a folder stands for. Needed with such a one only.
    type: path
    default: ""
  platform:
    description: What the images run on.
    type: str
    default: linux/amd64
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
- name: Have the images of two services, one as it was before
  ecr_images:
    prefix: cars-prod/
    services: [auth, cars]
    source: examples/services
    versions: {auth: 1.0.0-3f2a91c0b7de}
"""

RETURN = r"""
images:
  description:
    - By service C(version), C(digest) and C(image), the name by which it is pulled. The last two come later where check
      mode would build it.
  returned: always
  type: dict
"""

USER = "AWS"
"""https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html"""
SHOWN_LINES = 20
"""How much of podman's output an error has."""


def run_podman(*arguments: str, given: str = "") -> None:
    """Run podman.

    Raises:
        ReleaseError: it fails; the text has the end of its output.
    """
    podman = shutil.which("podman")
    if podman is None:
        raise ReleaseError("podman is not on PATH, which images are built with; install it: apt install podman")
    command = [podman, *arguments]
    done = subprocess.run(
        command, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        end = "\n".join(done.stdout.strip().splitlines()[-SHOWN_LINES:])
        raise ReleaseError(f"podman {arguments[0]} failed:\n{end}")


class Images:
    """Brings images into repositories, or only says which would come."""

    def __init__(self, module: AnsibleAWSModule, client: Any, source: Path | None) -> None:
        """Take the module's parameters, and where the sources are."""
        self.params, self.check, self.client, self.source = module.params, module.check_mode, client, source
        self.built: dict[str, Any] = {}

    def version(self, service: str) -> str:
        """Return which version of a service is wanted.

        Raises:
            ReleaseError: it is no name of a version, or there are no sources to make one from.
        """
        given = str(self.params["versions"].get(service) or "")
        if given and not RELEASE_NAME.fullmatch(given):
            raise ReleaseError(f"'{given}' is not a version of {service}; write one like 1.4.0-3f2a91c0b7de")
        if given:
            return given
        if self.source is None:
            raise ReleaseError(f"{service} has neither a version nor sources")
        return self.made(service)

    def made(self, service: str) -> str:
        """Return the version that the sources make, empty where there are none."""
        version: str = service_version(self.source, service, self.params["services"]) if self.source else ""
        return version

    def find(self, service: str, version: str) -> str:
        """Return the digest of a version; empty where the repository does not have it, or is not there yet."""
        name = self.params["prefix"] + service
        try:
            found = self.client.describe_images(repositoryName=name, imageIds=[{"imageTag": version}])
        except self.client.exceptions.ImageNotFoundException:
            return ""
        except self.client.exceptions.RepositoryNotFoundException:
            if self.check:
                return ""
            raise
        return str(found["imageDetails"][0]["imageDigest"])

    def repository_uri(self, service: str) -> str:
        """Return what images of a service are pushed to; it comes later where there is no repository yet."""
        try:
            found = self.client.describe_repositories(repositoryNames=[self.params["prefix"] + service])
        except self.client.exceptions.RepositoryNotFoundException:
            return str(KNOWN_AFTER_APPLY)
        return str(found["repositories"][0]["repositoryUri"])

    def versions_of(self, service: str) -> list[str]:
        """Return the versions that a repository has."""
        pages = self.client.get_paginator("describe_images").paginate(repositoryName=self.params["prefix"] + service)
        return sorted(tag for page in pages for each in page["imageDetails"] for tag in each.get("imageTags", []))

    def ensure(self) -> dict[str, dict[str, str]]:
        """Have all images; return them by service.

        Raises:
            ReleaseError: one cannot be had.
        """
        images, missing = {}, {}
        for service in self.params["services"]:
            version = self.version(service)
            digest = self.find(service, version)
            uri = self.repository_uri(service)
            if not digest and self.params["versions"].get(service) and version != self.made(service):
                there = ", ".join(self.versions_of(service)) or "none"
                raise ReleaseError(f"there is no version {version} of {service}; there are: {there}")
            if not digest:
                missing[service] = uri
                self.built[f"{self.params['prefix']}{service}:{version}"] = {"platform": self.params["platform"]}
            image = f"{uri}@{digest}" if digest else KNOWN_AFTER_APPLY
            images[service] = {"version": version, "digest": digest or KNOWN_AFTER_APPLY, "image": image}
        if missing and not self.check:
            with tempfile.TemporaryDirectory(prefix="vahana-images-") as folder:
                self.make(missing, images, Path(folder))
        return images

    def make(self, missing: dict[str, str], images: dict[str, dict[str, str]], folder: Path) -> None:
        """Build what is missing, push it, and note the digests that the repositories have got."""
        registry = self.client.get_authorization_token()["authorizationData"][0]
        password = base64.b64decode(registry["authorizationToken"]).decode().partition(":")[2]
        access = ["--authfile", str(folder / "auth.json")]
        # ECR's own address is one of https.
        access.append(f"--tls-verify={str(registry['proxyEndpoint'].startswith('https:')).lower()}")
        host = registry["proxyEndpoint"].partition("//")[2]
        run_podman("login", *access, "--username", USER, "--password-stdin", host, given=password)
        for service, uri in missing.items():
            name = f"{uri}:{images[service]['version']}"
            run_podman(
                *("build", "--quiet", "--platform", self.params["platform"], "--build-arg", f"SERVICE={service}"),
                *("--file", f"{self.source}/Containerfile", "--tag", name, str(self.source)),
            )
            run_podman("push", "--quiet", *access, name)
            digest = self.find(service, images[service]["version"])
            if not digest:
                raise ReleaseError(f"{name} was pushed, and the repository does not have it")
            images[service] |= {"digest": digest, "image": f"{uri}@{digest}"}


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "prefix": {"type": "str", "required": True},
            "services": {"type": "list", "elements": "str", "required": True},
            "source": {"type": "path", "default": ""},
            "versions": {"type": "dict", "default": {}},
            "ref": {"type": "str", "default": ""},
            "project": {"type": "path", "default": ""},
            "platform": {"type": "str", "default": "linux/amd64"},
        },
        supports_check_mode=True,
    )
    params = module.params
    sources = {SERVICES: Path(params["source"])} if params["source"] else {}
    found: dict[str, dict[str, str]] = {}
    built: dict[str, Any] = {}
    try:
        with find_sources(params["ref"], sources, Path(params["project"] or ".")) as origin:
            images = Images(module, module.client("ecr"), origin.folder(SERVICES))
            found, built = images.ensure(), images.built
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"images of {module.params['prefix']}*")
    except (ReleaseError, SourceError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(built), images=found, diff={"before": {}, "after": built})


if __name__ == "__main__":
    main()
