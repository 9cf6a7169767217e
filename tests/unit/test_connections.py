"""How often a host is asked for a connection before it is given up. ssh is a program here that never gets one."""

from __future__ import annotations

import configparser
from pathlib import Path
from typing import Any

import pytest
import yaml

from plugins.module_utils import remote
from tests.unit.flow import ROOT, run

HOST = "i-0123456789abcdef0"


class Ssh:
    """An ssh that says that nobody answers, and notes what it was asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "asked"
        program = folder / "ssh"
        program.write_text(
            f'#!/bin/sh\necho "$*" >> {self._log}\necho "timed out during banner exchange" >&2\nexit 255\n'
        )
        program.chmod(0o755)
        hosts = {HOST: {"ansible_ssh_executable": str(program)}}
        (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))

    def play(self, *plays: dict[str, Any], **variables: object) -> list[str]:
        """Run plays with the inventory of AWS; return how ssh was called."""
        self._log.write_text("")
        playbook = self._folder / "playbook.yml"
        playbook.write_text(yaml.safe_dump(list(plays)))
        (self._folder / "variables.yml").write_text(yaml.safe_dump(variables))
        given = ["-i", str(self._folder / "hosts.yml"), "-e", f"@{self._folder / 'variables.yml'}"]
        ran = run("ansible-playbook", *given, str(playbook), inventory="aws/hosts.yml")
        assert "Syntax" not in ran.stderr and "undefined" not in ran.stdout + ran.stderr, ran.stdout + ran.stderr
        return self._log.read_text().splitlines()


@pytest.fixture
def ssh(tmp_path: Path) -> Ssh:
    """Nobody answers."""
    return Ssh(tmp_path)


def test_a_tunnel_may_be_slow_and_fail_now_and_then(ssh: Ssh) -> None:
    asked = ssh.play({"hosts": HOST, "gather_facts": False, "tasks": [{"ansible.builtin.raw": "true"}]})
    assert len(asked) == 4
    assert all("ConnectTimeout=30" in each for each in asked)


def test_a_command_of_the_operator_is_never_run_twice(ssh: Ssh) -> None:
    playbook = yaml.safe_load((ROOT / "playbooks" / "exec.yml").read_text())
    (play,) = (each for each in playbook if each.get("hosts") == "to_exec")
    variables = {
        "ansible_python_interpreter": "/usr/bin/python3",
        "command": "date",
        "as_root": False,
        "backend_app": "cars",
    }
    assert len(ssh.play({**play, "hosts": HOST}, **variables)) == 1


def test_a_database_is_not_exchanged_twice(ssh: Ssh) -> None:
    tasks = yaml.safe_load((ROOT / "roles" / "restore" / "tasks" / "file.yml").read_text())
    (task,) = (each for each in tasks if "backend-data" in str(each))
    variables = {"restore_host": HOST, "restore_verify_only": False, "__restore_chosen": {"name": "a"}}
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [task]}
    assert len(ssh.play(play, ansible_python_interpreter="/usr/bin/python3", **variables)) == 1


@pytest.mark.parametrize(("hosts", "kept"), [(16, True), (17, False)])
def test_no_more_connections_than_the_endpoint_carries(tmp_path: Path, hosts: int, kept: bool) -> None:
    """As many as are worked on at once, and none that is kept beside them."""
    names = [f"i-{number}" for number in range(hosts)]
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"aws_ec2": {"hosts": dict.fromkeys(names)}}))
    ran = run(
        "ansible",
        "-i",
        str(inventory),
        "i-0",
        "-c",
        "local",
        "-m",
        "debug",
        "-a",
        "msg={{ ansible_ssh_args }}",
        inventory="aws/hosts.yml",
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ("ControlPersist=5s" in ran.stdout) == kept
    settings = configparser.ConfigParser()
    settings.read(ROOT / "ansible.cfg")
    assert int(settings["defaults"]["forks"]) == remote.WORKERS == 16
