"""CodePipeline and CodeBuild: what is pushed goes through the stages of its pipelines, whose commands really run.

A pushed commit (`lab push`) starts the pipelines whose source it is. Every stage is carried out here, with the rights
of the roles that it names: the source is cloned, a build specification runs as processes of this machine. Its
output is in CloudWatch Logs, its states are what the API shows.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import threading
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from moto.codebuild.models import codebuild_backends
from moto.codepipeline.models import codepipeline_backends
from moto.core.utils import utcnow
from moto.logs.models import logs_backends
from moto.sts.models import sts_backends

from lab import buildspec, permissions, repositories, settings
from lab.moto_patches import codebuild, codepipeline
from lab.moto_patches.codeconnections import codeconnections_backends
from lab.moto_patches.codepipeline import RUNNING, Execution
from lab.reconcilers.base import Reconciler

LOG_SECONDS = 1.0
"""How often output is handed to CloudWatch Logs."""
FOREIGN = ("AWS_", "ANSIBLE_", "VAHANA_", "CODEBUILD_", "PYTEST_")
"""How variables of the lab's own process begin that no build gets."""


class ActionError(RuntimeError):
    """Why an action failed, as GetPipelineState says it."""


class Pipelines(Reconciler):
    """Starts executions and carries them out, of each pipeline one at a time."""

    name: ClassVar[str] = "pipelines"

    def __init__(self) -> None:
        super().__init__()
        self._runs: dict[str, _Run] = {}

    def close(self) -> None:
        """Stop what runs; it has failed then."""
        super().close()
        for run in list(self._runs.values()):
            run.stop()

    def reconcile(self) -> None:
        """Notice what was pushed and begin with what waits."""
        for backend in list(codepipeline_backends[settings.ACCOUNT_ID].values()):
            for known in list(backend.pipelines.values()):
                self._notice(backend, known)
                self._begin(backend, known)

    def _notice(self, backend: Any, known: Any) -> None:
        source = codepipeline.source_of(known.pipeline)
        head = repositories.head(source["FullRepositoryId"], source["BranchName"]) if source else None
        if source is None or head is None or head.hash == getattr(known, "noticed", ""):
            return
        known.noticed = head.hash
        connection = codeconnections_backends[settings.ACCOUNT_ID][backend.region_name].connections.get(
            source["ConnectionArn"]
        )
        if connection is not None:
            # Whoever pushes has approved it in the console.
            connection["ConnectionStatus"] = "AVAILABLE"
        if _triggered(known.pipeline, source["BranchName"]):
            started = Execution(known.pipeline["name"], known.pipeline["version"], None, trigger="WebhookV2")
            known.executions[started.pipeline_execution_id] = started
            self.changed()

    def _begin(self, backend: Any, known: Any) -> None:
        run = self._runs.get(known._arn)
        if run is not None and run.is_alive():
            return
        open_ones = [each for each in list(known.executions.values()) if each.status == RUNNING]
        for each in [each for each in open_ones if each.stages]:
            # Its thread is gone: the lab was restarted meanwhile.
            each.end("Failed")
            open_ones.remove(each)
            self.changed()
        if not open_ones or self.closing:
            return
        chosen = open_ones[0] if known.pipeline["executionMode"] == "QUEUED" else open_ones[-1]
        if known.pipeline["executionMode"] == "SUPERSEDED":
            for each in open_ones[:-1]:
                each.end("Superseded")
        self._runs[known._arn] = run = _Run(self, backend.region_name, known, chosen)
        run.start()


def _triggered(pipeline: Mapping[str, Any], branch: str) -> bool:
    """Say whether a push to a branch starts a pipeline."""
    if not pipeline.get("triggers"):
        source = codepipeline.source_of(dict(pipeline)) or {}
        return source.get("DetectChanges", "true") != "false"
    pushes = [push for each in pipeline["triggers"] for push in each["gitConfiguration"].get("push") or []]
    included = [pattern for push in pushes for pattern in (push.get("branches") or {}).get("includes") or []]
    return any(fnmatch.fnmatchcase(branch, pattern) for pattern in included)


class _Run(threading.Thread):
    """One execution on its way."""

    def __init__(self, owner: Pipelines, region: str, known: Any, execution: Execution) -> None:
        super().__init__(name=f"pipeline {known.pipeline['name']}", daemon=True)
        self._owner, self._region, self._execution = owner, region, execution
        # As it is now: a change of the pipeline counts for the next execution.
        self._pipeline: dict[str, Any] = json.loads(json.dumps(known.pipeline))
        self._exported: dict[str, dict[str, str]] = {}
        self._build: buildspec.Build | None = None
        self._stopped = False

    def stop(self) -> None:
        """End the execution and wait until it has."""
        self._stopped = True
        if self._build:
            self._build.stop()
        if self.is_alive():
            self.join(timeout=30)

    def run(self) -> None:
        """Go through the stages until one fails."""
        log, name = self._owner.log, self._pipeline["name"]
        for stage in self._pipeline["stages"]:
            for action in stage["actions"]:
                log.info("%s: %s/%s begins", name, stage["name"], action["name"])
                self._act(stage, action, RUNNING)
                try:
                    state = self._carry_out(stage, action)
                except Exception as error:
                    if not isinstance(error, ActionError):
                        log.exception("%s: %s/%s", name, stage["name"], action["name"])
                    log.info("%s: %s/%s failed: %s", name, stage["name"], action["name"], error)
                    self._act(stage, action, "Failed", errorDetails={"code": "JobFailed", "message": str(error)})
                    self._execution.end("Failed")
                    self._owner.changed()
                    return
                self._act(stage, action, "Succeeded", **state)
        log.info("%s: succeeded", name)
        self._execution.end("Succeeded")
        self._owner.changed()

    def _act(self, stage: Mapping[str, Any], action: Mapping[str, Any], status: str, **state: Any) -> None:
        self._execution.act(stage["name"], action["name"], status, **state)
        self._owner.changed()

    def _carry_out(self, stage: Mapping[str, Any], action: Mapping[str, Any]) -> dict[str, Any]:
        if self._stopped:
            raise ActionError("The lab was stopped")
        match action["actionTypeId"]["provider"]:
            case codepipeline.SOURCE_PROVIDER:
                return self._source(action["configuration"])
            case "CodeBuild":
                return self._run_project(stage, action)
            case other:
                raise ActionError(f"the lab does not know actions of {other}")

    def _require(self, role: str, action: str, resource: str) -> None:
        if not permissions.allowed(role, action, resource, self._region):
            raise ActionError(f"The role {role} is not authorized to perform: {action} on resource: {resource}")

    def _source(self, source: Mapping[str, str]) -> dict[str, Any]:
        arn = source["ConnectionArn"]
        self._require(self._pipeline["roleArn"], "codeconnections:UseConnection", arn)
        connection = codeconnections_backends[settings.ACCOUNT_ID][self._region].connections.get(arn)
        if connection is None or connection["ConnectionStatus"] != "AVAILABLE":
            raise ActionError(f"[GitHub] Connection {arn} is not available")
        head = repositories.head(source["FullRepositoryId"], source["BranchName"])
        if head is None:
            raise ActionError(
                f"No Branch [{source['BranchName']}] found for FullRepositoryName [{source['FullRepositoryId']}]"
            )
        self._execution.commit, self._execution.message = head
        return {"externalExecutionId": head.hash, "summary": head.message}

    def _run_project(self, stage: Mapping[str, Any], action: Mapping[str, Any]) -> dict[str, Any]:
        backend = codebuild_backends[settings.ACCOUNT_ID][self._region]
        configuration = action["configuration"]
        known = backend.codebuild_projects.get(configuration["ProjectName"])
        if known is None:
            raise ActionError(f"Error calling startBuild: Project cannot be found: {configuration['ProjectName']}")
        self._require(self._pipeline["roleArn"], "codebuild:StartBuild", known.arn)
        source = codepipeline.source_of(self._pipeline) or {}
        if source.get("OutputArtifactFormat") == "CODEBUILD_CLONE_REF":
            self._require(known.service_role, "codeconnections:UseConnection", source["ConnectionArn"])
        project = known.project_metadata
        build = _BuildRecord(project, self._region, self._execution, self._pipeline["name"])
        self._require(known.service_role, "logs:PutLogEvents", build.stream_arn)
        codebuild.record(backend, build.shown)
        self._act(stage, action, RUNNING, externalExecutionId=build.shown["id"])
        folder = settings.home() / "builds" / build.stream
        try:
            folder.mkdir(parents=True)
            repositories.check_out(source["FullRepositoryId"], self._execution.commit, folder / "src")
            environment = self._environment(project, configuration, build, folder / "src")
            self._build = buildspec.Build(folder / "src", environment, project["timeoutInMinutes"] * 60, build.say)
            if self._stopped:
                self._build.stop()
            specification = buildspec.read(folder / "src" / (project["source"].get("buildspec") or "buildspec.yml"))
            outcome = self._build.run(specification, build.enter)
        except (buildspec.SpecificationError, repositories.GitError) as error:
            build.say(str(error))
            build.end("FAILED")
            raise ActionError(str(error)) from error
        finally:
            build.flush()
            shutil.rmtree(folder, ignore_errors=True)
        failed = outcome.failure
        build.phases(outcome)
        build.end(failed.status if failed else "SUCCEEDED")
        if failed:
            raise ActionError(
                f"Build terminated with state: {failed.status}. Phase: {failed.name.upper()}, {failed.message}"
            )
        build.shown["exportedEnvironmentVariables"] = [
            {"name": name, "value": value} for name, value in outcome.exported.items()
        ]
        self._exported[action.get("namespace", "")] = outcome.exported
        return {}

    def _environment(
        self, project: Mapping[str, Any], configuration: Mapping[str, str], build: _BuildRecord, source: Path
    ) -> dict[str, str]:
        """What the commands get: CodeBuild's own variables, the project's, the action's, and how the lab is reached."""
        role = sts_backends[settings.ACCOUNT_ID]["aws"].assume_role(
            self._region, f"AWSCodeBuild-{build.stream}", project["serviceRole"], "", 3600, ""
        )
        keys = (role.access_key_id, role.secret_access_key, role.session_token)
        variables = list(project["environment"].get("environmentVariables") or [])
        variables += json.loads(configuration.get("EnvironmentVariables") or "[]")
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)},
            "CODEBUILD_BUILD_ID": build.shown["id"],
            "CODEBUILD_BUILD_ARN": build.shown["arn"],
            "CODEBUILD_INITIATOR": build.shown["initiator"],
            "CODEBUILD_RESOLVED_SOURCE_VERSION": self._execution.commit,
            "CODEBUILD_SRC_DIR": str(source),
            "AWS_REGION": self._region,
            "AWS_DEFAULT_REGION": self._region,
            "AWS_ACCESS_KEY_ID": keys[0],
            "AWS_SECRET_ACCESS_KEY": keys[1],
            "AWS_SESSION_TOKEN": keys[2],
            # On AWS nothing of this is set, and the commands cannot tell: SDKs and Ansible read it by themselves.
            "AWS_ENDPOINT_URL": settings.API_URL,
            "ANSIBLE_INVENTORY": "inventories/lab",
            "VAHANA_LAB_ENDPOINT": settings.API_URL,
            "VAHANA_LAB_CREDENTIALS": " ".join(keys),
            **{each["name"]: self._resolved(each["value"]) for each in variables},
        }

    def _resolved(self, value: str) -> str:
        """Put in what an earlier action has exported: #{namespace.NAME}."""

        def exported(found: re.Match[str]) -> str:
            namespace, _, name = found[1].partition(".")
            if name not in self._exported.get(namespace, {}):
                raise ActionError(f"The variable #{{{found[1]}}} could not be resolved")
            return self._exported[namespace][name]

        return re.sub(r"#\{([\w.]+)\}", exported, value)


class _BuildRecord:
    """A build as the API shows it, and its output."""

    def __init__(self, project: Mapping[str, Any], region: str, execution: Execution, pipeline: str) -> None:
        self.stream = str(uuid.uuid4())
        name = project["name"]
        identity, place = f"{name}:{self.stream}", f"{region}:{settings.ACCOUNT_ID}"
        wanted = (project.get("logsConfig") or {}).get("cloudWatchLogs") or {}
        self._group = wanted.get("groupName") or f"/aws/codebuild/{name}"
        self.stream_arn = f"arn:aws:logs:{place}:log-group:{self._group}:log-stream:{self.stream}"
        self._region, self._lines, self._flushed = region, list[dict[str, Any]](), 0.0
        self.shown: dict[str, Any] = {
            "id": identity,
            "arn": f"arn:aws:codebuild:{place}:build/{identity}",
            "projectName": name,
            "startTime": utcnow(),
            "currentPhase": "DOWNLOAD_SOURCE",
            "buildStatus": "IN_PROGRESS",
            "buildComplete": False,
            "sourceVersion": execution.commit,
            "resolvedSourceVersion": execution.commit,
            "initiator": f"codepipeline/{pipeline}",
            "phases": [],
            "logs": {"groupName": self._group, "streamName": self.stream, "cloudWatchLogsArn": self.stream_arn},
            **{key: project[key] for key in ("source", "artifacts", "environment", "serviceRole", "timeoutInMinutes")},
        }

    def say(self, line: str) -> None:
        """Take a line of output."""
        # CloudWatch Logs takes no empty message.
        self._lines.append({"timestamp": int(time.time() * 1000), "message": line or " "})
        if time.monotonic() - self._flushed > LOG_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Hand over what was said since the last time."""
        logs = logs_backends[settings.ACCOUNT_ID][self._region]
        if self._group not in logs.groups:
            raise ActionError(f"The log group {self._group} does not exist")
        logs.ensure_log_stream(self._group, self.stream)
        lines, self._lines = self._lines, []
        if lines:
            logs.put_log_events(self._group, self.stream, lines)
        self._flushed = time.monotonic()

    def enter(self, phase: str) -> None:
        """Note which phase it is in."""
        self.shown["currentPhase"] = phase.upper()

    def phases(self, outcome: buildspec.Outcome) -> None:
        """Show how the phases went."""
        self.shown["phases"] = [
            {
                "phaseType": each.name.upper(),
                "phaseStatus": each.status,
                "startTime": datetime.fromtimestamp(each.began, UTC),
                "endTime": datetime.fromtimestamp(each.ended, UTC),
                "durationInSeconds": round(each.ended - each.began),
                "contexts": [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": each.message}]
                if each.message
                else [],
            }
            for each in outcome.phases
        ]

    def end(self, status: str) -> None:
        """Come to an end."""
        self.shown.update(buildStatus=status, buildComplete=True, currentPhase="COMPLETED", endTime=utcnow())
