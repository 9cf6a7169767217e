"""CodeBuild: projects that a pipeline gives its source, changes of projects, and builds that say what really happened.

Gaps closed:

- A project whose source and artifacts are the pipeline's has no location; moto wants one.
- UpdateProject is missing, and a role that CodeBuild cannot assume is accepted.
- Every build has succeeded as soon as somebody asks. Here they are what `lab.reconcilers.pipelines` has recorded.
- Projects are not known to the tagging API.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

from moto.codebuild import responses
from moto.codebuild.exceptions import InvalidInputException, ResourceNotFoundException
from moto.codebuild.models import CodeBuildBackend
from moto.codebuild.responses import CodeBuildResponse
from moto.core.base_backend import BaseBackend
from moto.core.resource_tagging import TaggableResourcesMixin, TaggedResource
from moto.core.responses import ActionResult
from moto.core.utils import unix_time
from moto.iam.models import iam_backends

#: https://docs.aws.amazon.com/codebuild/latest/APIReference/API_UpdateProject.html
CHANGEABLE = (
    "description",
    "source",
    "sourceVersion",
    "artifacts",
    "cache",
    "environment",
    "serviceRole",
    "timeoutInMinutes",
    "queuedTimeoutInMinutes",
    "tags",
    "vpcConfig",
    "logsConfig",
)
#: What CodeBuild says of a project whoever left it out.
DEFAULTS: dict[str, dict[str, Any]] = {
    "source": {"insecureSsl": False},
    "artifacts": {"packaging": "NONE", "encryptionDisabled": False},
    "environment": {"environmentVariables": [], "privilegedMode": False, "imagePullCredentialsType": "CODEBUILD"},
}
OF_PIPELINE = "CODEPIPELINE"


def _complete(project: dict[str, Any]) -> None:
    for part, defaults in DEFAULTS.items():
        project[part] = {**defaults, **project[part]}
    project["artifacts"].setdefault("name", project["name"])
    project.setdefault("projectVisibility", "PRIVATE")


def _check_role(account_id: str, arn: str) -> None:
    role = next((each for each in iam_backends[account_id]["aws"].roles.values() if each.arn == arn), None)
    if role is None or "codebuild.amazonaws.com" not in str(role.assume_role_policy_document):
        raise InvalidInputException(f"CodeBuild is not authorized to perform: sts:AssumeRole on {arn}")


def _patch_projects() -> None:
    checks = {
        "source": responses._validate_required_params_source,
        "artifacts": responses._validate_required_params_artifacts,
    }

    def unless_of_pipeline(part: str, given: dict[str, Any]) -> None:
        if given["type"] != OF_PIPELINE:
            checks[part](given)
        elif "location" in given:
            raise InvalidInputException(f"Invalid {part}: of type {OF_PIPELINE} it has no location")

    create = CodeBuildBackend.create_project

    def create_project(self: Any, **given: Any) -> dict[str, Any]:
        _check_role(self.account_id, given["service_role"])
        project: dict[str, Any] = create(self, **given)
        project["queuedTimeoutInMinutes"] = project["queuedTimeoutInMinutes"] or 480
        _complete(project)
        return project

    def update_project(self: Any) -> ActionResult:
        given = json.loads(self.body)
        known = self.codebuild_backend.codebuild_projects.get(given["name"])
        if known is None:
            raise ResourceNotFoundException(f"Project cannot be found: {given['name']}")
        for part in ("source", "artifacts"):
            if part in given:
                unless_of_pipeline(part, given[part])
        if "serviceRole" in given:
            _check_role(self.current_account, given["serviceRole"])
            known.service_role = given["serviceRole"]
        project = known.project_metadata
        project.update({key: given[key] for key in CHANGEABLE if key in given})
        project["lastModifiedDate"] = unix_time()
        _complete(project)
        return ActionResult({"project": project})

    responses._validate_required_params_source = functools.partial(unless_of_pipeline, "source")
    responses._validate_required_params_artifacts = functools.partial(unless_of_pipeline, "artifacts")
    CodeBuildBackend.create_project = create_project
    CodeBuildResponse.update_project = update_project


def _patch_builds() -> None:
    start = CodeBuildBackend.start_build

    def start_build(self: Any, project_name: str, *arguments: Any, **named: Any) -> dict[str, Any]:
        if self.codebuild_projects[project_name].project_metadata["source"]["type"] == OF_PIPELINE:
            raise InvalidInputException(f"Build can be started by CodePipeline only: {project_name}")
        build: dict[str, Any] = start(self, project_name, *arguments, **named)
        return build

    def batch_get_builds(self: Any, ids: list[str]) -> list[dict[str, Any]]:
        return [build for builds in self.build_metadata_history.values() for build in builds if build["id"] in ids]

    CodeBuildBackend.start_build = start_build
    CodeBuildBackend.batch_get_builds = batch_get_builds


def record(backend: Any, build: dict[str, Any]) -> None:
    """Let the API show a build.

    Args:
        backend: moto's backend of the region.
        build: as BatchGetBuilds shows it; the lab goes on changing it while the build runs.
    """
    backend.build_history.setdefault(build["projectName"], []).insert(0, build["id"])
    backend.build_metadata_history[build["projectName"]].append(build)


def _patch_tagging() -> None:
    def iter_tagged_resources(self: Any) -> Iterator[TaggedResource]:
        for project in list(self.codebuild_projects.values()):
            tags = {tag["key"]: tag["value"] for tag in project.project_metadata["tags"] or []}
            yield TaggedResource(project.arn, tags, "codebuild:project")

    CodeBuildBackend.__bases__ = (TaggableResourcesMixin, BaseBackend)
    CodeBuildBackend.SERVICE_NAMESPACE = "codebuild"
    CodeBuildBackend.iter_tagged_resources = iter_tagged_resources


@functools.cache
def apply() -> None:
    """Patch moto.codebuild."""
    _patch_projects()
    _patch_builds()
    _patch_tagging()
