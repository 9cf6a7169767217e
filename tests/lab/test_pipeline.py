"""What is pushed is tested, built and deployed to new hosts; what fails on the way changes nothing that serves."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import ROOT, playbook, run

Aws = Callable[[str], Any]
NAME = "vahanhelp-prod"
#: A short watch at the end, and a stage's time: two builds of the environment and an instance refresh.
TIER = ("-e", "tier=full", "-e", "pipeline_repository=ann/cars", "-e", "pipeline_bake_time=10")
EXECUTION_SECONDS = 2400

pytestmark = pytest.mark.long


class Repository:
    """This project with the examples in it, as somebody has it at GitHub."""

    def __init__(self, folder: Path, aws: Aws) -> None:
        self.folder, self._aws = folder, aws
        folder.mkdir()
        self._git("init", "--quiet")
        files = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-z"], check=True, capture_output=True, text=True
        ).stdout
        archive = subprocess.run(
            ["tar", "-C", str(ROOT), "-c", "--null", "-T", "-"], input=files.encode(), check=True, capture_output=True
        ).stdout
        subprocess.run(["tar", "-C", str(folder), "-x"], input=archive, check=True)

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.folder), "-c", "user.name=Ann", "-c", "user.email=ann@example.com", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def push(self, message: str) -> str:
        """Commit everything and push it; return the commit's hash."""
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", message)
        run("lab", "push", str(self.folder))
        return self._git("rev-parse", "HEAD")

    def undo(self) -> None:
        """Take the last commit back, in the working copy alone."""
        self._git("reset", "--hard", "--quiet", "HEAD~1")

    def execution(self, commit: str) -> dict[str, Any]:
        """Wait until the execution of a commit has ended and return its summary."""
        deadline = time.monotonic() + EXECUTION_SECONDS
        api = self._aws("codepipeline")
        while time.monotonic() < deadline:
            for each in api.list_pipeline_executions(pipelineName=NAME)["pipelineExecutionSummaries"]:
                revisions = [revision["revisionId"] for revision in each.get("sourceRevisions", [])]
                if commit in revisions and each["status"] != "InProgress":
                    return dict(each)
            time.sleep(3)
        raise AssertionError(f"{commit} has not ended: {self.stages()}\n{self.log('build')}\n{self.log('deploy')}")

    def stages(self) -> dict[str, str]:
        """Return how each stage's newest execution is."""
        states = self._aws("codepipeline").get_pipeline_state(name=NAME)["stageStates"]
        return {each["stageName"]: each["latestExecution"]["status"] for each in states if "latestExecution" in each}

    def log(self, stage: str) -> str:
        """Return the output of a stage's newest build."""
        builds, logs = self._aws("codebuild"), self._aws("logs")
        ids = builds.list_builds_for_project(projectName=f"{NAME}-pipeline-{stage}")["ids"]
        if not ids:
            return ""
        [build] = builds.batch_get_builds(ids=ids[:1])["builds"]
        where = {"logGroupName": build["logs"]["groupName"], "logStreamName": build["logs"]["streamName"]}
        events = logs.get_log_events(**where, limit=10000, startFromHead=True)["events"]
        return "\n".join(event["message"] for event in events)


def _version() -> str:
    with urllib.request.urlopen("http://127.0.0.1:8080/api/health", timeout=15) as answer:
        return str(json.loads(answer.read())["version"])


def _hosts(aws: Aws) -> set[str]:
    [group] = aws("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[f"{NAME}-backend"])[
        "AutoScalingGroups"
    ]
    return {each["InstanceId"] for each in group["Instances"] if each["LifecycleState"] == "InService"}


def _approved(aws: Aws) -> str:
    return str(aws("ssm").get_parameter(Name="/vahanhelp/prod/release")["Parameter"]["Value"])


@pytest.fixture(scope="module")
def repository(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """The tier with its pipeline, and the repository."""
    made = playbook("site.yml", *TIER, timeout=2400)
    assert "approve the connection" in made.output
    yield Repository(tmp_path_factory.mktemp("repository") / "cars", aws)
    playbook("playbooks/destroy.yml", "-e", f"confirm={NAME}", "-e", "keep_snapshot=false", timeout=1800)


def test_a_push_is_tested_built_and_deployed_to_new_hosts(repository: Repository, aws: Aws) -> None:
    before, hosts = _version(), _hosts(aws)
    page = repository.folder / "examples/backend/src/server.js"
    page.write_text(page.read_text() + "\n// Cheaper cars.\n")
    commit = repository.push("Cheaper cars")
    ended = repository.execution(commit)
    assert ended["status"] == "Succeeded", repository.log("build") + repository.log("deploy")
    assert repository.stages() == {"source": "Succeeded", "build": "Succeeded", "deploy": "Succeeded"}
    after = _version()
    assert after != before
    assert after == _approved(aws)
    assert not _hosts(aws) & hosts
    printed = playbook("playbooks/history.yml", "-e", "format=json", "-e", "limit=1").output.splitlines()
    told = json.loads(next(line for line in printed if line.startswith("{")))
    assert (told["verb"], told["to"], told["result"], told["reason"]) == ("deploy", after, "ok", f"commit {commit}")


def test_a_failing_test_stops_it(repository: Repository, aws: Aws) -> None:
    before, hosts = _version(), _hosts(aws)
    test = repository.folder / "examples/backend/test/never.test.js"
    test.write_text(
        "import test from 'node:test';\ntest('cars are free', () => { throw new Error('they are not'); });\n"
    )
    commit = repository.push("Free cars")
    assert repository.execution(commit)["status"] == "Failed"
    assert repository.stages()["build"] == "Failed"
    assert "they are not" in repository.log("build")
    assert (_version(), _approved(aws), _hosts(aws)) == (before, before, hosts)
    repository.undo()


def test_what_is_not_healthy_is_rolled_back(repository: Repository, aws: Aws) -> None:
    before = _version()
    server = repository.folder / "examples/backend/src/server.js"
    # Its tests require the parts; the server itself starts on hosts only.
    server.write_text("process.exit(1);\n" + server.read_text())
    for name in ("backend", "frontend"):
        package = repository.folder / f"examples/{name}/package.json"
        content = json.loads(package.read_text())
        content.get("scripts", {}).pop("test", None)
        package.write_text(json.dumps(content))
    commit = repository.push("Cars that do not start")
    assert repository.execution(commit)["status"] == "Failed"
    assert repository.stages()["deploy"] == "Failed"
    assert f"{before} serves" in repository.log("deploy")
    assert (_version(), _approved(aws)) == (before, before)
    assert len(_hosts(aws)) >= 2
