"""Hosts that cannot be reached when their secrets have changed."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.ops.conftest import Account
from tests.ops.stage import make_instance

PLAYBOOK = """
- hosts: hosts
  gather_facts: false
  vars: {this_region: us-east-1, run_playbook: ansible-playbook}
  tasks:
    - ansible.builtin.include_role: {name: reload}
      vars: {reload_connect_timeout: 2}
"""


def play(book: str, account: Account, folder: Path) -> tuple[int, str]:
    """Run a playbook for the hosts in the folder's inventory; return its exit code and what it printed."""
    (folder / "reload.yml").write_text(book)
    command = account.command_of(str(folder / "reload.yml"), "-i", str(folder / "hosts.ini"), "--limit", "hosts")
    with account.begin(command) as process:
        output, _nothing = process.communicate(timeout=120)
        return process.returncode, output


def test_only_a_host_that_is_no_more_is_passed_over(account: Account, tmp_path: Path) -> None:
    gone, silent = "i-00000000000000000", make_instance(account)
    # Nobody listens there.
    (tmp_path / "hosts.ini").write_text(
        f"[hosts]\n{gone}\n{silent}\n[hosts:vars]\nansible_host=127.0.0.1\nansible_port=1\n"
    )
    code, output = play(PLAYBOOK, account, tmp_path)
    assert code == 2, output
    assert f"{silent} is running and does not answer within 2 s" in output.replace("\n", " ")
    assert f"{gone} is" not in output
    recap = dict(line.split(":", 1) for line in output.partition("PLAY RECAP")[2].splitlines() if ":" in line)
    recap = {name.strip(): counts for name, counts in recap.items()}
    assert "failed=0" in recap[gone] and "failed=1" in recap[silent], output


#: Runs what would run on the host, until the connection is broken.
SSH = """#!/bin/bash
[ -e {folder}/broken ] && exit 255
PATH={folder}:$PATH exec bash -c "${{@: -1}}"
"""
#: Which release runs is the last that one hears of the host.
TOOL = """#!/bin/sh
touch {folder}/broken
echo '{{"current": "1.0.0"}}'
"""
CALLER = """
- hosts: hosts
  gather_facts: false
  vars: {this_region: us-east-1, run_playbook: ansible-playbook}
  tasks:
    - block:
        - ansible.builtin.include_role: {name: reload}
      rescue:
        - ansible.builtin.debug: {msg: "its caller goes on, {{ ansible_failed_result.msg }}"}
"""


def test_a_connection_that_breaks_is_a_failure_that_the_caller_hears_of(account: Account, tmp_path: Path) -> None:
    for name, text in (("ssh", SSH), ("backend-release", TOOL)):
        program = tmp_path / name
        program.write_text(text.format(folder=tmp_path))
        program.chmod(0o755)
    (tmp_path / "hosts.ini").write_text(
        "[hosts]\nmine\n[hosts:vars]\nansible_become=false\nansible_ssh_retries=0\n"
        f"ansible_ssh_executable={tmp_path}/ssh\nansible_python_interpreter={sys.executable}\n"
    )
    code, output = play(CALLER, account, tmp_path)
    assert code == 0, output
    said = output.replace("\n", " ")
    assert "its caller goes on, the connection to mine broke, and it may have the former secrets" in said
