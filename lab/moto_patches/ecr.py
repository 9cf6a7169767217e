"""ECR: repositories that images can be pushed to and pulled from (`lab.registry`), and what the API tells of them.

Gaps closed:

- Repository URIs and the token's endpoint lead to AWS; the token expired in 2015 and says nothing of who asked for it.
- Repositories are missing in the tagging API; an image is as large as its configuration file.
- Scans invent findings. The lab looks into no image and says of each what AWS says of one without a package database,
  as the images of `examples/services` are.
"""

from __future__ import annotations

import functools
import json
import time
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from moto.core.base_backend import BaseBackend
from moto.core.resource_tagging import TaggableResourcesMixin, TaggedResource
from moto.core.responses import ActionResult
from moto.ecr import models
from moto.ecr.exceptions import ScanNotFoundException
from moto.ecr.responses import ECRResponse

from lab import registry, settings

UNSUPPORTED = {
    "status": "UNSUPPORTED_IMAGE",
    "description": "UnsupportedImageError: The operating system and/or package manager are not supported.",
}
"""https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning-troubleshooting.html"""


def _scanned(repository: Any, image: Any) -> bool:
    return bool(image.last_scan or repository.image_scanning_configuration.get("scanOnPush"))


def _patch_images() -> None:
    def size(self: Any) -> int:
        manifest = json.loads(self.image_manifest)
        return sum(int(part.get("size", 0)) for part in [manifest.get("config", {}), *manifest.get("layers", [])])

    def uri(self: Any) -> str:
        return f"{registry.endpoint()}/{self.region_name}/{self.name}"

    def keep_uri(self: Any, _value: str) -> None:
        """moto sets it once; where the lab answers is known when it is asked for."""

    def image_scan_status(self: Any) -> dict[str, str] | None:
        # DescribeImages asks a copy, which knows its repository by name alone.
        for backend in list(models.ecr_backends[settings.ACCOUNT_ID].values()):
            repository = backend.repositories.get(self.repository_name)
            if repository and any(image.image_digest == self.image_digest for image in repository.images):
                return UNSUPPORTED if _scanned(repository, self) else None
        return None

    def describe_image_scan_findings(
        self: Any, registry_id: str, repository_name: str, image_id: dict[str, Any]
    ) -> Any:
        repository = self._get_repository(repository_name, registry_id)
        image = repository._get_image(image_id.get("imageTag"), image_id.get("imageDigest"))
        if not _scanned(repository, image):
            raise ScanNotFoundException(
                image_id=str(image_id), repository_name=repository_name, registry_id=repository.registry_id
            )
        return {
            "registryId": repository.registry_id,
            "repositoryName": repository_name,
            "imageId": {**image_id, "imageDigest": image.image_digest},
            "imageScanStatus": UNSUPPORTED,
        }

    models.Image.get_image_size_in_bytes = size
    models.Image.image_scan_status = property(image_scan_status)
    models.Repository.uri = property(uri, keep_uri)
    models.ECRBackend.describe_image_scan_findings = describe_image_scan_findings


def _patch_token() -> None:
    def get_authorization_token(self: Any) -> ActionResult:
        token = b64encode(f"AWS:{registry.issue(self.get_access_key())}".encode()).decode()
        expires = datetime.fromtimestamp(time.time() + registry.TOKEN_SECONDS, UTC)
        found = {
            "authorizationToken": token,
            "expiresAt": expires,
            "proxyEndpoint": f"http://{registry.endpoint()}",
        }
        return ActionResult({"authorizationData": [found]})

    ECRResponse.get_authorization_token = get_authorization_token


def _patch_tagging() -> None:
    def iter_tagged_resources(self: Any) -> Iterator[TaggedResource]:
        for repository in list(self.repositories.values()):
            tags = self.tagger.get_tag_dict_for_resource(repository.arn)
            yield TaggedResource(repository.arn, tags, "ecr:repository")

    models.ECRBackend.__bases__ = (TaggableResourcesMixin, BaseBackend)
    models.ECRBackend.SERVICE_NAMESPACE = "ecr"
    models.ECRBackend.iter_tagged_resources = iter_tagged_resources


@functools.cache
def apply() -> None:
    """Patch moto.ecr."""
    _patch_images()
    _patch_token()
    _patch_tagging()
