"""Pushed commits on their way through a pipeline: real repositories and shells, no hosts."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.codepipeline.models import codepipeline_backends

from lab import repositories, settings
from lab.reconcilers.pipelines import Pipelines

Client = Callable[[str], Any]
BUILD = """
version: 0.2
env:
  exported-variables: [RELEASE]
phases:
  build:
    commands:
      - echo "$WORD for $VAHANA_LAB_ENDPOINT with $ANSIBLE_INVENTORY"
      - test "$VAHANA_LAB_CREDENTIALS" = "$AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY $AWS_SESSION_TOKEN"
      - export RELEASE="1.0-$(git rev-parse HEAD)"
"""
DEPLOY = """
version: 0.2
phases:
  build:
    commands:
      - echo "deploy $RELEASE of $CODEBUILD_RESOLVED_SOURCE_VERSION"
      - sh deploy.sh
"""
WAIT_SECONDS = 60


class Trial:
    """A pipeline with two projects, and a working copy that is pushed."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client, self.folder = client, folder
        self.reconciler = Pipelines()
        git = ("git", "-C", str(folder), "-c", "user.name=Ann", "-c", "user.email=ann@example.com")
        self._git = git
        folder.mkdir()
        subprocess.run([*git, "init", "--quiet"], check=True)
        self.arn = client("codeconnections").create_connection(ConnectionName="cars", ProviderType="GitHub")[
            "ConnectionArn"
        ]
        for stage in ("build", "deploy"):
            client("logs").create_log_group(logGroupName=f"/cars/{stage}")
            client("codebuild").create_project(
                name=stage,
                source={"type": "CODEPIPELINE", "buildspec": f"{stage}.yml"},
                artifacts={"type": "CODEPIPELINE"},
                environment={
                    "type": "LINUX_CONTAINER",
                    "image": "x",
                    "computeType": "BUILD_GENERAL1_SMALL",
                    "environmentVariables": [{"name": "WORD", "value": f"{stage} it", "type": "PLAINTEXT"}],
                },
                serviceRole=self.role(stage, "codebuild", "logs:PutLogEvents"),
                logsConfig={"cloudWatchLogs": {"status": "ENABLED", "groupName": f"/cars/{stage}"}},
                timeoutInMinutes=5,
            )
        self.pipeline = {
            "name": "cars",
            "roleArn": self.role("pipeline", "codepipeline", "codeconnections:UseConnection", "codebuild:StartBuild"),
            "artifactStore": {"type": "S3", "location": "cars"},
            "pipelineType": "V2",
            "stages": [
                self.stage(
                    "source",
                    "CodeStarSourceConnection",
                    ConnectionArn=self.arn,
                    FullRepositoryId="ann/cars",
                    BranchName="main",
                    DetectChanges="false",
                ),
                self.stage("build", "CodeBuild", ProjectName="build"),
                self.stage(
                    "deploy",
                    "CodeBuild",
                    ProjectName="deploy",
                    EnvironmentVariables=json.dumps([{"name": "RELEASE", "value": "#{build.RELEASE}"}]),
                ),
            ],
            "triggers": [
                {
                    "providerType": "CodeStarSourceConnection",
                    "gitConfiguration": {"sourceActionName": "source", "push": [{"branches": {"includes": ["ma*"]}}]},
                }
            ],
        }
        client("codepipeline").create_pipeline(pipeline=self.pipeline)

    def role(self, name: str, service: str, *actions: str) -> str:
        """Make a role of a service that may do some things; return its ARN."""
        principal = {"Service": f"{service}.amazonaws.com"}
        trust = {"Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]}
        made = self.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
        self.client("iam").put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=json.dumps(policy))
        return str(made["Role"]["Arn"])

    @staticmethod
    def stage(name: str, provider: str, **configuration: str) -> dict[str, Any]:
        """Return a stage of one action."""
        kind = {"category": "Build", "owner": "AWS", "provider": provider, "version": "1"}
        action = {"name": name, "namespace": name, "actionTypeId": kind, "configuration": configuration}
        return {"name": name, "actions": [action]}

    def push(self, deploy: str = "echo done", branch: str = "main", **files: str) -> str:
        """Commit and push; return the commit's hash."""
        for name, text in {"build.yml": BUILD, "deploy.yml": DEPLOY, "deploy.sh": deploy, **files}.items():
            (self.folder / name).write_text(text)
        subprocess.run([*self._git, "add", "--all"], check=True)
        subprocess.run([*self._git, "commit", "--quiet", "--allow-empty", "-m", "Cheaper cars"], check=True)
        return repositories.push(self.folder, "ann/cars", branch)

    def finish(self) -> list[dict[str, Any]]:
        """Let the lab work until nothing is under way; return the executions, the newest first."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            self.reconciler.reconcile()
            found = self.executions()
            if all(each["status"] != "InProgress" for each in found):
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.05)

    def executions(self) -> list[dict[str, Any]]:
        """Return the executions, the newest first."""
        answer = self.client("codepipeline").list_pipeline_executions(pipelineName="cars")
        return list(answer["pipelineExecutionSummaries"])

    def states(self) -> dict[str, str]:
        """Return how the stages are that were reached."""
        stages = self.client("codepipeline").get_pipeline_state(name="cars")["stageStates"]
        return {each["stageName"]: each["latestExecution"]["status"] for each in stages if "latestExecution" in each}

    def error(self, stage: str) -> str:
        """Return why an action failed."""
        stages = self.client("codepipeline").get_pipeline_state(name="cars")["stageStates"]
        [action] = [each["actionStates"][0] for each in stages if each["stageName"] == stage]
        return str(action["latestExecution"]["errorDetails"]["message"])

    def build(self, project: str) -> tuple[dict[str, Any], list[str]]:
        """Return the newest build of a project and its output."""
        api = self.client("codebuild")
        [found] = api.batch_get_builds(ids=api.list_builds_for_project(projectName=project)["ids"][:1])["builds"]
        where = {"logGroupName": found["logs"]["groupName"], "logStreamName": found["logs"]["streamName"]}
        events = self.client("logs").get_log_events(**where)["events"]
        return found, [event["message"] for event in events if not event["message"].startswith("[Container]")]


@pytest.fixture
def trial(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trial]:
    monkeypatch.setenv("VAHANA_LAB_HOME", str(tmp_path / "lab"))
    made = Trial(client, tmp_path / "cars")
    yield made
    made.reconciler.close()


def test_a_pushed_commit_goes_through_all_stages_once(trial: Trial) -> None:
    assert trial.finish() == []
    commit = trial.push()
    [found] = trial.finish()
    assert (found["status"], found["trigger"]["triggerType"]) == ("Succeeded", "WebhookV2")
    assert found["sourceRevisions"][0]["revisionId"] == commit
    assert trial.states() == {"source": "Succeeded", "build": "Succeeded", "deploy": "Succeeded"}
    build, said = trial.build("build")
    assert said == [f"build it for {settings.API_URL} with inventories/lab"]
    assert build["exportedEnvironmentVariables"] == [{"name": "RELEASE", "value": f"1.0-{commit}"}]
    assert [(each["phaseType"], each["phaseStatus"]) for each in build["phases"]] == [("BUILD", "SUCCEEDED")]
    assert (build["buildStatus"], build["resolvedSourceVersion"]) == ("SUCCEEDED", commit)
    assert trial.build("deploy")[1] == [f"deploy 1.0-{commit} of {commit}", "done"]
    assert len(trial.finish()) == 1
    assert not list((settings.home() / "builds").iterdir())


def test_a_failing_command_stops_it(trial: Trial) -> None:
    trial.push(**{"build.yml": BUILD + "      - echo broken; exit 7\n"})
    assert [each["status"] for each in trial.finish()] == ["Failed"]
    assert trial.states() == {"source": "Succeeded", "build": "Failed"}
    assert "exit status 7" in trial.error("build")
    assert trial.build("build")[0]["buildStatus"] == "FAILED"
    trial.push()
    assert [each["status"] for each in trial.finish()] == ["Succeeded", "Failed"]


def test_a_specification_that_is_missing(trial: Trial) -> None:
    trial.client("codebuild").update_project(name="build", source={"type": "CODEPIPELINE", "buildspec": "other.yml"})
    trial.push()
    trial.finish()
    assert "other.yml does not exist in the source" in trial.error("build")
    assert trial.build("build")[1] == ["YAML_FILE_ERROR: other.yml does not exist in the source"]


def test_nobody_has_approved_the_connection(trial: Trial) -> None:
    trial.client("codepipeline").start_pipeline_execution(name="cars")
    assert [each["status"] for each in trial.finish()] == ["Failed"]
    assert trial.error("source") == f"[GitHub] Connection {trial.arn} is not available"
    trial.push()
    trial.finish()
    found = trial.client("codeconnections").get_connection(ConnectionArn=trial.arn)["Connection"]
    assert found["ConnectionStatus"] == "AVAILABLE"


@pytest.mark.parametrize(
    ("role", "stage", "missing"),
    [
        ("pipeline", "source", "codeconnections:UseConnection"),
        ("build", "build", "logs:PutLogEvents"),
    ],
)
def test_a_role_that_may_not(trial: Trial, role: str, stage: str, missing: str) -> None:
    trial.client("iam").delete_role_policy(RoleName=role, PolicyName=role)
    trial.push()
    trial.finish()
    assert missing in trial.error(stage)


def test_other_branches_are_none_of_its_business(trial: Trial) -> None:
    trial.push(branch="next")
    assert trial.finish() == []


def test_of_those_that_wait_the_newest_goes_on(trial: Trial) -> None:
    trial.push(deploy="sleep 1")
    trial.reconciler.reconcile()
    for number in (1, 2):
        trial.push(note=str(number))
        trial.reconciler.reconcile()
    assert [each["status"] for each in trial.finish()] == ["Succeeded", "Superseded", "Succeeded"]


def test_what_the_lab_left_when_it_ended_has_failed(trial: Trial) -> None:
    trial.push(deploy="sleep 300")
    trial.reconciler.reconcile()
    deadline = time.monotonic() + WAIT_SECONDS
    while "deploy" not in trial.states() and time.monotonic() < deadline:
        time.sleep(0.05)
    trial.reconciler.close()
    # The thread of the build notes its end when its processes have gone.
    deadline = time.monotonic() + WAIT_SECONDS
    while trial.executions()[0]["status"] == "InProgress" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert trial.executions()[0]["status"] == "Failed"
    assert "STOPPED" in trial.error("deploy")
    known = codepipeline_backends[settings.ACCOUNT_ID][settings.DEFAULT_REGION].pipelines["cars"]
    [execution] = known.executions.values()
    # As a lab that was killed leaves it.
    execution.status = "InProgress"
    trial.reconciler = Pipelines()
    assert [each["status"] for each in trial.finish()] == ["Failed"]
