"""CodePipeline: executions that are under way until `lab.reconcilers.pipelines` has carried them out, and V2's rules.

Gaps closed:

- An execution has succeeded as soon as it is started; here it goes stage by stage, and GetPipelineState, which moto
  lacks, tells how far it is.
- Triggers are kept without a look: they are V2's, and name a source action.
- Pipelines are not known to the tagging API.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

from moto.codepipeline import models
from moto.codepipeline.exceptions import InvalidStructureException
from moto.codepipeline.models import CodePipelineBackend, PipelineExecution
from moto.codepipeline.responses import CodePipelineResponse
from moto.core.base_backend import BaseBackend
from moto.core.resource_tagging import TaggableResourcesMixin, TaggedResource
from moto.core.utils import iso_8601_datetime_with_milliseconds, utcnow

SOURCE_PROVIDER = "CodeStarSourceConnection"
RUNNING = "InProgress"
#: https://docs.aws.amazon.com/codepipeline/latest/APIReference/API_PipelineDeclaration.html
DEFAULTS = {"pipelineType": "V1", "executionMode": "SUPERSEDED"}


class Execution(PipelineExecution):  # type: ignore[misc]  # moto ships no types
    """One way of a commit through the stages.

    Attributes:
        commit: the commit's hash, "" until the source stage has it.
        message: the commit's message.
        trigger: what started it, `Webhook` for a push.
        stages: by stage and action, what GetPipelineState shows of the action; a stage that was not reached is missing.
    """

    def __init__(self, *arguments: Any, trigger: str = "StartPipelineExecution", **named: Any) -> None:
        """Begin before the first stage."""
        super().__init__(*arguments, **named)
        self.status = RUNNING
        self.commit = self.message = ""
        self.trigger = trigger
        self.stages: dict[str, dict[str, dict[str, Any]]] = {}

    def end(self, status: str) -> None:
        """Come to an end as `Succeeded`, `Failed` or `Superseded`."""
        self.status, self.last_update_time = status, utcnow()

    def act(self, stage: str, action: str, status: str, **state: Any) -> None:
        """Record how an action is (`InProgress`, `Succeeded`, `Failed`), and what else GetPipelineState shows of it."""
        now = self.last_update_time = utcnow()
        actions = self.stages.setdefault(stage, {})
        before = actions.get(action, {})
        actions[action] = {
            **before,
            **state,
            "status": status,
            "lastStatusChange": iso_8601_datetime_with_milliseconds(now),
        }

    def stage_status(self, stage: str) -> str:
        """How a stage is that was reached."""
        states = [action["status"] for action in self.stages[stage].values()]
        return next((each for each in ("Failed", RUNNING) if each in states), "Succeeded")

    def to_dict(self) -> dict[str, Any]:
        """Return what GetPipelineExecution shows."""
        found: dict[str, Any] = super().to_dict()
        found["trigger"]["triggerType"] = self.trigger
        if self.commit:
            found["artifactRevisions"] = [
                {"name": "source", "revisionId": self.commit, "revisionSummary": self.message}
            ]
        return found

    def to_summary_dict(self) -> dict[str, Any]:
        """Return what ListPipelineExecutions shows."""
        found: dict[str, Any] = super().to_summary_dict()
        found["trigger"]["triggerType"] = self.trigger
        if self.commit:
            revision = {"actionName": "source", "revisionId": self.commit, "revisionSummary": self.message}
            found["sourceRevisions"] = [revision]
        return found


def source_of(pipeline: dict[str, Any]) -> dict[str, str] | None:
    """Return the configuration of a pipeline's source action, None where its source is no connection's."""
    for stage in pipeline["stages"]:
        for action in stage["actions"]:
            if action["actionTypeId"]["provider"] == SOURCE_PROVIDER:
                found: dict[str, str] = action["configuration"]
                return found
    return None


def _check(pipeline: dict[str, Any]) -> None:
    for key, value in DEFAULTS.items():
        pipeline.setdefault(key, value)
    if pipeline.get("triggers") and pipeline["pipelineType"] != "V2":
        raise InvalidStructureException("Triggers can be specified for pipelines of type V2 only")
    sources = {
        action["name"]
        for stage in pipeline["stages"]
        for action in stage["actions"]
        if action["actionTypeId"]["provider"] == SOURCE_PROVIDER
    }
    for trigger in pipeline.get("triggers") or []:
        name = trigger["gitConfiguration"]["sourceActionName"]
        if name not in sources:
            raise InvalidStructureException(f"The trigger's source action {name} is no {SOURCE_PROVIDER} action")


def _state(known: Any) -> dict[str, Any]:
    stages = []
    for stage in known.pipeline["stages"]:
        name = stage["name"]
        latest = next((each for each in reversed(known.executions.values()) if name in each.stages), None)
        found: dict[str, Any] = {
            "stageName": name,
            "inboundTransitionState": {"enabled": True},
            "actionStates": [{"actionName": action["name"]} for action in stage["actions"]],
        }
        if latest is not None:
            identity = latest.pipeline_execution_id
            found["latestExecution"] = {"pipelineExecutionId": identity, "status": latest.stage_status(name)}
            for action in found["actionStates"]:
                if action["actionName"] in latest.stages[name]:
                    action["latestExecution"] = latest.stages[name][action["actionName"]]
        stages.append(found)
    return {
        "pipelineName": known.pipeline["name"],
        "pipelineVersion": known.pipeline["version"],
        "stageStates": stages,
        "created": known.metadata["created"],
        "updated": known.metadata["updated"],
    }


@functools.cache
def apply() -> None:
    """Patch moto.codepipeline."""
    create, update = CodePipelineBackend.create_pipeline, CodePipelineBackend.update_pipeline

    def create_pipeline(self: Any, pipeline: dict[str, Any], tags: list[dict[str, str]]) -> Any:
        _check(pipeline)
        return create(self, pipeline, tags)

    def update_pipeline(self: Any, pipeline: dict[str, Any]) -> Any:
        _check(pipeline)
        return update(self, pipeline)

    def get_pipeline_state(self: Any) -> str:
        name = self._get_param("name")
        self.codepipeline_backend.get_pipeline(name)
        return json.dumps(_state(self.codepipeline_backend.pipelines[name]))

    def iter_tagged_resources(self: Any) -> Iterator[TaggedResource]:
        for known in list(self.pipelines.values()):
            yield TaggedResource(known._arn, dict(known.tags), "codepipeline:pipeline")

    def owns_arn(self: Any, arn: str) -> bool:
        # Its own tagging calls take other arguments than the tagging API's.
        return False

    models.PipelineExecution = Execution
    CodePipelineBackend.create_pipeline = create_pipeline
    CodePipelineBackend.update_pipeline = update_pipeline
    CodePipelineResponse.get_pipeline_state = get_pipeline_state
    CodePipelineBackend.__bases__ = (TaggableResourcesMixin, BaseBackend)
    CodePipelineBackend.SERVICE_NAMESPACE = "codepipeline"
    CodePipelineBackend.iter_tagged_resources = iter_tagged_resources
    CodePipelineBackend.owns_arn = owns_arn
