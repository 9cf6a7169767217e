"""This project with the examples in it, as somebody has it at GitHub, and what its pipeline makes of a push."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab.conftest import ROOT, playbook, run

Aws = Callable[[str], Any]
NAME = "vahanhelp-prod"
#: Two builds of the environment, and the longest of the deployments: an instance refresh.
EXECUTION_SECONDS = 2400


class Repository:
    """The working copy and its pipeline."""

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

    def fail_a_test_of(self, part: str) -> None:
        """Have a test that fails in a part of the application; its message is "they are not"."""
        (self.folder / f"examples/{part}/test/never.test.js").write_text(
            "import test from 'node:test';\ntest('cars are free', () => { throw new Error('they are not'); });\n"
        )

    def drop_tests(self) -> None:
        """Let nobody notice before it is deployed."""
        for part in ("backend", "functions", "frontend"):
            package = self.folder / f"examples/{part}/package.json"
            content = json.loads(package.read_text())
            content.get("scripts", {}).pop("test", None)
            package.write_text(json.dumps(content))

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


def last_of_history() -> dict[str, Any]:
    """Return the newest line of the environment's history."""
    printed = playbook("playbooks/history.yml", "-e", "format=json", "-e", "limit=1").output.splitlines()
    return dict(json.loads(next(line for line in printed if line.startswith("{"))))


def approved(aws: Aws) -> str:
    """Return the release of the environment."""
    return str(aws("ssm").get_parameter(Name="/vahanhelp/prod/release")["Parameter"]["Value"])
