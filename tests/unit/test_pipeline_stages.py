"""The commands of the pipeline's stages as the shell and Ansible read them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml
from ansible.parsing.splitter import parse_kv

STAGES = Path(__file__).resolve().parents[2] / "roles/pipeline/files"


@pytest.mark.parametrize("stage", ["build", "deploy"])
def test_the_history_is_told_which_commit_it_was(stage: str) -> None:
    commands = yaml.safe_load((STAGES / f"{stage}.yml").read_text())["phases"]["build"]["commands"]
    [words] = [shlex.split(each) for each in commands if "ansible-playbook" in each]
    given = [words[number + 1] for number, word in enumerate(words) if word == "-e"]
    [reason] = [parse_kv(each) for each in given if each.startswith("reason=")]
    # Ansible ends a value at a blank, unless it is in quotes of its own.
    assert reason == {"reason": "commit $CODEBUILD_RESOLVED_SOURCE_VERSION"}
