"""Build specifications: real shells, phase by phase."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import buildspec


class Trial:
    """A source folder and what its build said."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "src"
        self.source.mkdir()
        self.said: list[str] = []

    def build(self, timeout: float = 60, **variables: str) -> buildspec.Build:
        """Prepare a build."""
        environment = {"PATH": os.environ["PATH"], **variables}
        return buildspec.Build(self.source, environment, timeout, self.said.append)

    def run(self, phases: dict[str, Any], env: dict[str, Any] | None = None, **options: Any) -> buildspec.Outcome:
        """Run phases."""
        path = self.source / "buildspec.yml"
        path.write_text(yaml.safe_dump({"version": 0.2, "env": env or {}, "phases": phases}))
        return self.build(**options).run(buildspec.read(path))

    @property
    def output(self) -> list[str]:
        """What the commands themselves said."""
        return [line for line in self.said if not line.startswith("[Container]")]


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path)


def phases(outcome: buildspec.Outcome) -> list[tuple[str, str]]:
    return [(phase.name, phase.status) for phase in outcome.phases]


def test_all_commands_share_a_shell_and_phases_what_it_exports(trial: Trial) -> None:
    (trial.source / "part").mkdir()
    outcome = trial.run(
        {
            "install": {"commands": ["cd part", "here=1", "export WORD='two words'"]},
            "build": {"commands": ["pwd", 'echo "$WORD" $here.', "false || echo goes on\necho in lines"]},
        },
        env={"exported-variables": ["WORD", "NOT_SET"], "variables": {"PROJECT": "specification", "ONLY": "here"}},
        PROJECT="project",
    )
    assert phases(outcome) == [("install", "SUCCEEDED"), ("build", "SUCCEEDED")]
    assert trial.output == [str(trial.source / "part"), "two words .", "goes on", "in lines"]
    assert outcome.exported == {"WORD": "two words"}
    trial.said.clear()
    trial.run({"build": {"commands": ["echo $PROJECT $ONLY $CODEBUILD_BUILD_SUCCEEDING"]}}, PROJECT="project")
    assert trial.output == ["project 1"]


def test_a_failing_command_ends_its_phase_and_the_build(trial: Trial) -> None:
    outcome = trial.run(
        {
            "pre_build": {"commands": ["echo one", "exit 3", "echo two"], "finally": ["echo tidy"]},
            "build": {"commands": ["echo three"]},
            "post_build": {"commands": ["echo four"]},
        }
    )
    assert phases(outcome) == [("pre_build", "FAILED")]
    assert trial.output == ["one", "tidy"]
    assert outcome.failure is not None
    assert outcome.failure.message == "Error while executing command: exit 3. Reason: exit status 3"


def test_what_comes_after_the_build_comes_also_when_it_failed(trial: Trial) -> None:
    failing = {
        "build": {"commands": ["false"]},
        "post_build": {"commands": ['echo "$CODEBUILD_BUILD_SUCCEEDING"']},
    }
    assert phases(trial.run(failing)) == [("build", "FAILED"), ("post_build", "SUCCEEDED")]
    assert trial.output == ["0"]
    failing["build"]["on-failure"] = "ABORT"  # type: ignore[assignment]
    assert phases(trial.run(failing)) == [("build", "FAILED")]
    failing["build"]["on-failure"] = "CONTINUE"  # type: ignore[assignment]
    assert phases(trial.run(failing)) == [("build", "SUCCEEDED"), ("post_build", "SUCCEEDED")]


def test_one_that_takes_too_long_is_ended_with_all_it_started(trial: Trial) -> None:
    outcome = trial.run({"build": {"commands": ["sleep 300 & sleep 300"]}, "post_build": {"commands": []}}, timeout=0.3)
    assert phases(outcome) == [("build", "TIMED_OUT")]


def test_one_that_is_stopped(trial: Trial) -> None:
    build = trial.build()
    threading.Timer(0.3, build.stop).start()
    began = time.monotonic()
    outcome = build.run({"phases": {"install": {"commands": ["sleep 300"]}, "build": {"commands": ["echo no"]}}})
    assert phases(outcome) == [("install", "STOPPED")]
    assert time.monotonic() - began < 60


def test_one_that_is_stopped_while_its_shell_starts(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    build, start = trial.build(), subprocess.Popen

    def stopped(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
        process = start(*arguments, **options)
        build.stop()
        return process

    monkeypatch.setattr(buildspec.subprocess, "Popen", stopped)
    began = time.monotonic()
    assert phases(build.run({"phases": {"build": {"commands": ["sleep 300"]}}})) == [("build", "STOPPED")]
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "does not exist"),
        ("version: 0.1", "of version 0.2"),
        ("{", "YAML_FILE_ERROR"),
        ("{version: 0.2, env: {parameter-store: {A: /a}}}", "parameter-store of a env"),
        ("{version: 0.2, batch: {}}", "batch of a specification"),
        ("{version: 0.2, phases: {test: {}}}", "test of a phases"),
        ("{version: 0.2, phases: {build: {runtime-versions: {}}}}", "runtime-versions of a phase"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "buildspec.yml"
    if text:
        path.write_text(text)
    with pytest.raises(buildspec.SpecificationError, match=said):
        buildspec.read(path)
