"""The batches of a rolling deployment when something breaks, on hosts that are nothing but what they are asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.servers import ROOT

HOSTS = ["i-1", "i-2", "i-3"]

#: In place of what asks AWS: answers what the file beside it has for this question, and notes the question.
ACTION = """
import json
from pathlib import Path
from ansible.plugins.action import ActionBase

FOLDER = Path({folder!r})

class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        arguments = self._task.args
        names = [str(name) for name in arguments.get("targets") or arguments.get("batch") or []]
        doubt = ["doubtful"] if arguments.get("doubtful") else []
        question = " ".join([str(arguments.get("state", "look")), *names, *doubt])
        with (FOLDER / "told").open("a") as told:
            told.write(question + "\\n")
        answers = json.loads((FOLDER / "answers.json").read_text())
        answer = answers.get(question, {{}})
        if "raises" in answer:
            raise RuntimeError(answer["raises"])
        well = {{"seconds": 1.0, "gone": False, "error": ""}}
        return {{"refusal": "", "targets": dict.fromkeys(names, well), **answer}}
"""

#: In place of OpenSSH: runs everything here, and reaches nobody who is dead.
SSH = """#!/bin/bash
host="${{@: -2:1}}"
[ -e {folder}/dead-$host ] && exit 255
HOST=$host PATH={folder}/bin:$PATH sh -c "${{@: -1}}"
code=$?
[ -e {folder}/dead-$host ] && exit 255
exit $code
"""

#: In place of the host's tool: a host dies at what it has a file for.
TOOL = """#!/bin/sh
echo "$HOST $1" >> {folder}/told
[ -e {folder}/dies-at-$1-$HOST ] && touch {folder}/dead-$HOST
echo '{{"changed": true, "previous": "1.0.0", "seconds": {{"switch": 0.1, "health": 0.1, "watch": 0.1}}}}'
"""


class Trial:
    """Three hosts, in batches of one unless told otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        (folder / "actions").mkdir()
        for name in ("rollout_look", "rollout_traffic", "autoscaling_processes"):
            (folder / "actions" / f"{name}.py").write_text(ACTION.format(folder=str(folder)))
        for file, text in (("ssh", SSH), ("bin/backend-release", TOOL)):
            (folder / file).write_text(text.format(folder=folder))
            (folder / file).chmod(0o755)

    def run(
        self,
        answers: dict[str, Any],
        batches: list[int] | None = None,
        entry: str = "main",
        names: Sequence[str] = HOSTS,
    ) -> dict[str, dict[str, Any]]:
        """Deploy; return the facts of each host as they are at the end, which a later play finds."""
        (self.folder / "answers.json").write_text(json.dumps(answers))
        facts = "{{ hostvars | dict2items | items2dict | to_json }}"
        role = {"name": "rollout", "tasks_from": entry, "rolespec_validate": False}
        plays = [
            {
                "hosts": "localhost",
                "gather_facts": False,
                "tasks": [
                    {"ansible.builtin.set_fact": {"rollout_sight": {"hosts": list(names), "healthy": list(names)}}}
                ],
            },
            {
                "hosts": "hosts",
                "gather_facts": False,
                "ignore_unreachable": True,
                "serial": batches or [1] if entry == "main" else 0,
                "tasks": [{"ansible.builtin.include_role": role}],
            },
            {
                "hosts": "localhost",
                "gather_facts": False,
                "tasks": [{"ansible.builtin.copy": {"content": facts, "dest": f"{self.folder}/facts", "mode": "0644"}}],
            },
        ]
        variables = {
            "rollout_release": "2.0.0",
            "rollout_region": "us-east-1",
            "rollout_group": "cars",
            "rollout_instances": [],
            "rollout_target_group_arn": "arn",
            "rollout_port": 3000,
            "rollout_healthy_floor": "50%",
            "rollout_watch": 1,
            "rollout_turn_group": "in_turn",
            # No migration, whose hooks would need more than hosts.
            "rollout_late": entry == "prepare",
            "aws_tags": {},
            "parameter_prefix": "/cars/prod",
        }
        hosts = {
            "ansible_connection": "ssh",
            "ansible_ssh_executable": f"{self.folder}/ssh",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
        }
        inventory = {
            "all": {
                "hosts": {"localhost": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}},
                "children": {"hosts": {"hosts": dict.fromkeys(names, hosts)}},
            }
        }
        for name, content in (("plays", plays), ("inventory", inventory), ("variables", variables)):
            (self.folder / f"{name}.yml").write_text(yaml.safe_dump(content))
        ran = subprocess.run(
            [
                *(Path(sys.executable).parent / "ansible-playbook", "-i", self.folder / "inventory.yml"),
                *("-e", f"@{self.folder / 'variables.yml'}", self.folder / "plays.yml"),
            ],
            cwd=ROOT,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ANSIBLE_"))},
                "ANSIBLE_ACTION_PLUGINS": f"{self.folder / 'actions'}:{ROOT / 'plugins/action'}",
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_ROLES_PATH": str(ROOT / "roles"),
                "ANSIBLE_SSH_RETRIES": "0",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (self.folder / "facts").exists(), ran.stdout + ran.stderr
        found: dict[str, dict[str, Any]] = json.loads((self.folder / "facts").read_text())
        return found

    def told(self) -> list[str]:
        """Return who was asked or told what, in order."""
        return (self.folder / "told").read_text().splitlines()


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path)


def gone(name: str) -> dict[str, Any]:
    return {"targets": {name: {"seconds": 1.0, "gone": True, "error": ""}}}


def test_one_after_the_other_and_the_first_is_watched(trial: Trial) -> None:
    facts = trial.run({})
    assert [line for line in trial.told() if line.startswith(("look", "out", "in"))] == [
        f"{what} {name}" for name in HOSTS for what in ("look", "out", "in")
    ]
    assert [line for line in trial.told() if line.endswith("watch")] == ["i-1 watch"]
    assert all("rollout_times" in facts[name] and "rollout_failure" not in facts[name] for name in HOSTS)


def test_a_look_that_fails_ends_the_batches_and_not_the_run(trial: Trial) -> None:
    """What comes after them resumes what was suspended."""
    facts = trial.run({"look i-2 i-3": {"raises": "no answer"}}, batches=[1, 2])
    assert "rollout_failure" not in facts["i-1"]
    assert all("no answer" in facts[name]["rollout_failure"]["cause"] for name in ("i-2", "i-3"))
    assert trial.told()[-1] == "look i-2 i-3"


def test_a_batch_that_cannot_be_put_back_ends_the_batches_and_not_the_run(trial: Trial) -> None:
    facts = trial.run({"in i-1 i-2": {"raises": "no answer"}}, batches=[2, 1])
    for name in ("i-1", "i-2"):
        failure = facts[name]["rollout_failure"]
        assert failure["phase"] == "coming into service"
        assert "no answer; it went back to the release before" in failure["cause"]
    # Once more, for the release before.
    assert {"in i-1", "in i-2"} <= set(trial.told())
    assert "look i-3" not in trial.told()


def test_a_batch_that_cannot_be_taken_out_is_put_back(trial: Trial) -> None:
    facts = trial.run({"out i-1 i-2": {"raises": "no answer"}}, batches=[2, 1])
    assert all("no answer" in facts[name]["rollout_failure"]["cause"] for name in ("i-1", "i-2"))
    assert trial.told() == ["look i-1 i-2", "out i-1 i-2", "in i-1 i-2"]


def test_after_a_canary_that_is_lost_the_next_is_watched(trial: Trial) -> None:
    (trial.folder / "dies-at-activate-i-1").touch()
    facts = trial.run({"in i-1 doubtful": gone("i-1")})
    assert facts["i-1"]["rollout_gone"] is True
    assert [line for line in trial.told() if line.endswith("watch")] == ["i-2 watch"]
    assert not any("rollout_failure" in facts[name] for name in HOSTS)
    assert "rollout_times" in facts["i-3"]


def test_of_one_that_is_alone_nobody_tried_the_release(trial: Trial) -> None:
    (trial.folder / "dies-at-activate-i-1").touch()
    facts = trial.run({"in i-1 doubtful": gone("i-1")}, names=["i-1"])
    assert facts["i-1"]["rollout_failure"]["phase"] == "switching"


@pytest.mark.parametrize("lost", [True, False])
def test_a_host_that_is_lost_while_it_is_watched(trial: Trial, lost: bool) -> None:
    (trial.folder / "dies-at-watch-i-1").touch()
    facts = trial.run({"in i-1 doubtful": gone("i-1")} if lost else {})
    assert trial.told()[:6] == ["look i-1", "out i-1", "i-1 activate", "in i-1", "i-1 watch", "out i-1"]
    assert ("rollout_gone" in facts["i-1"]) is lost
    watched = [line for line in trial.told() if line.endswith("watch")]
    if lost:
        assert watched == ["i-1 watch", "i-2 watch"]
        assert "rollout_times" in facts["i-3"] and "rollout_times" not in facts["i-1"]
    else:
        assert watched == ["i-1 watch"]
        assert facts["i-1"]["rollout_failure"]["phase"] == "watching"


def test_one_that_its_group_terminates_after_the_switch_is_a_failure(trial: Trial) -> None:
    """The release may be why; the next must not get it."""
    facts = trial.run({"in i-1": gone("i-1")})
    assert facts["i-1"]["rollout_gone"] is False
    assert facts["i-1"]["rollout_failure"]["cause"] == "its group terminated it"
    assert "i-2 activate" not in trial.told()


def test_processes_that_cannot_be_suspended_end_it_before_a_batch_and_not_the_run(trial: Trial) -> None:
    facts = trial.run({"suspended": {"raises": "no answer"}}, entry="prepare")
    failure = facts["i-3"]["rollout_failure"]
    assert (failure["host"], failure["phase"], failure["cause"]) == ("cars", "suspending its processes", "no answer")
    assert "in_turn" not in facts["localhost"]["groups"]
