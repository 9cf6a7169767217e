"""CodeConnections, which moto does not know: connections to repositories elsewhere, and who has approved them.

A new one is pending until a person approves it in the console. On the lab whoever pushes has done so (`lab push`).
https://docs.aws.amazon.com/codeconnections/latest/APIReference/API_CreateConnection.html
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
from moto import backend_index
from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.exceptions import JsonRESTError
from moto.core.resource_tagging import TaggableResourcesMixin, TaggedResource
from moto.core.responses import ActionResult, BaseResponse
from moto.moto_api._internal import mock_random

PROVIDERS = ("Bitbucket", "GitHub", "GitHubEnterpriseServer", "GitLab", "GitLabSelfManaged", "AzureDevOps")


def _not_found(arn: str) -> JsonRESTError:
    return JsonRESTError("ResourceNotFoundException", f"Could not find resource: {arn}")


class CodeConnectionsBackend(TaggableResourcesMixin, BaseBackend):  # type: ignore[misc]  # moto ships no types
    """The connections of a region."""

    SERVICE_NAMESPACE = "codeconnections"

    def __init__(self, region_name: str, account_id: str) -> None:
        """Begin without any."""
        super().__init__(region_name, account_id)
        self.connections: dict[str, dict[str, str]] = {}
        self.tags: dict[str, dict[str, str]] = {}

    @property
    def _url_module(self) -> Any:
        return SimpleNamespace(
            url_bases=[r"https?://codeconnections\.(.+)\.amazonaws\.com"],
            url_paths={
                "{0}/$": CodeConnectionsResponse.dispatch,
                "{0}/service/[^/]+/operation/[^/]+$": CodeConnectionsResponse.dispatch,
            },
        )

    def create(self, name: str, provider: str, tags: dict[str, str]) -> str:
        """Make a connection that nobody has approved yet; return its ARN."""
        if provider not in PROVIDERS:
            raise JsonRESTError("ValidationException", f"ProviderType must be one of {', '.join(PROVIDERS)}")
        if any(each["ConnectionName"] == name for each in self.connections.values()):
            raise JsonRESTError("InvalidInputException", f"A connection named {name} already exists")
        identity = str(mock_random.uuid4())
        arn = f"arn:aws:codeconnections:{self.region_name}:{self.account_id}:connection/{identity}"
        self.connections[arn] = {
            "ConnectionName": name,
            "ConnectionArn": arn,
            "ProviderType": provider,
            "OwnerAccountId": self.account_id,
            "ConnectionStatus": "PENDING",
        }
        self.tags[arn] = tags
        return arn

    def get(self, arn: str) -> dict[str, str]:
        """Return a connection as the API shows it."""
        if arn not in self.connections:
            raise _not_found(arn)
        return self.connections[arn]

    def iter_tagged_resources(self) -> Iterator[TaggedResource]:
        """Yield the connections."""
        for arn, tags in list(self.tags.items()):
            yield TaggedResource(arn, tags, "codeconnections:connection")


class CodeConnectionsResponse(BaseResponse):  # type: ignore[misc]
    """The API."""

    def __init__(self) -> None:
        """Let moto read the parameters by the service's description."""
        super().__init__(service_name="codeconnections")
        self.automated_parameter_parsing = True

    @property
    def _backend(self) -> CodeConnectionsBackend:
        backend: CodeConnectionsBackend = codeconnections_backends[self.current_account][self.region]
        return backend

    def create_connection(self) -> ActionResult:
        """Handle CreateConnection."""
        tags = {tag["Key"]: tag["Value"] for tag in self._get_param("Tags") or []}
        arn = self._backend.create(self._get_param("ConnectionName"), self._get_param("ProviderType"), tags)
        return ActionResult({"ConnectionArn": arn, "Tags": self._get_param("Tags") or []})

    def get_connection(self) -> ActionResult:
        """Handle GetConnection."""
        return ActionResult({"Connection": self._backend.get(self._get_param("ConnectionArn"))})

    def list_connections(self) -> ActionResult:
        """Handle ListConnections."""
        wanted = self._get_param("ProviderTypeFilter")
        found = [each for each in self._backend.connections.values() if wanted in (None, each["ProviderType"])]
        return ActionResult({"Connections": found})

    def delete_connection(self) -> ActionResult:
        """Handle DeleteConnection."""
        arn = self._backend.get(self._get_param("ConnectionArn"))["ConnectionArn"]
        del self._backend.connections[arn], self._backend.tags[arn]
        return ActionResult({})

    def _tags(self) -> dict[str, str]:
        return self._backend.tags[self._backend.get(self._get_param("ResourceArn"))["ConnectionArn"]]

    def list_tags_for_resource(self) -> ActionResult:
        """Handle ListTagsForResource."""
        return ActionResult({"Tags": [{"Key": key, "Value": value} for key, value in self._tags().items()]})

    def tag_resource(self) -> ActionResult:
        """Handle TagResource."""
        self._tags().update({tag["Key"]: tag["Value"] for tag in self._get_param("Tags")})
        return ActionResult({})

    def untag_resource(self) -> ActionResult:
        """Handle UntagResource."""
        for key in self._get_param("TagKeys"):
            self._tags().pop(key, None)
        return ActionResult({})


# boto3 names no regions for it; it is wherever CodePipeline is.
codeconnections_backends = BackendDict(
    CodeConnectionsBackend, "codeconnections", additional_regions=boto3.Session().get_available_regions("codepipeline")
)


def apply() -> None:
    """Make it one of moto's services."""
    # moto imports a service by this name.
    sys.modules.setdefault("moto.codeconnections", sys.modules[__name__])
    pattern = ("codeconnections", re.compile(r"https?://codeconnections\.(.+)\.amazonaws\.com"))
    if pattern not in backend_index.backend_url_patterns:
        backend_index.backend_url_patterns.append(pattern)
