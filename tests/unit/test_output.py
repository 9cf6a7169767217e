"""What a person reads while a run goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from plugins.callback import vahana
from plugins.module_utils.project import ROOT

PLAYS = """
- name: Where nobody is
  hosts: nowhere
  gather_facts: false
  tasks: [{ansible.builtin.debug: {msg: never}}]
- name: What ends at once
  hosts: localhost
  gather_facts: false
  tasks: [{ansible.builtin.meta: end_play}]
- name: What says something
  hosts: localhost
  gather_facts: false
  tasks: [{ansible.builtin.debug: {msg: said}}]
"""


def test_a_long_task_says_what_is_usual_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vahana, "_WAIT_LINE_SECONDS", 0.05)
    said: list[str] = []
    twice = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            twice.set()

    wait = vahana._Wait(say, "Join | Wait for the database", "8 to 15 min")
    assert twice.wait(10)
    wait.end()
    count = len(said)
    time.sleep(0.2)
    assert len(said) == count
    assert said[0] == "waiting: Join | Wait for the database (0 s; usually 8 to 15 min)"


def test_a_failure_that_is_hidden_says_how_to_see_it() -> None:
    hidden = {"censored": "the output has been hidden", "failed": True}
    assert list(vahana.message_lines(hidden)) == [
        "failed; why is hidden, for it may hold a secret: -e <role>_no_log=false shows it, secrets and all"
    ]
    assert list(vahana.message_lines({"failed": True})) == ["failed without a message; run again with -v"]


def test_of_a_loop_each_item_that_failed_says_why() -> None:
    """As ansible-core gives it to callbacks, without `failed`."""
    items = [{"msg": "made", "changed": True}, {"msg": "no room", "exception": "(traceback unavailable)"}]
    assert list(vahana.message_lines({"msg": "One or more items failed", "results": items})) == ["no room"]


def test_a_play_that_does_nothing_is_not_named(tmp_path: Path) -> None:
    (tmp_path / "plays.yml").write_text(PLAYS)
    ran = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local", tmp_path / "plays.yml"],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    said = [line.strip("* ") for line in ran.stdout.split("PLAY RECAP")[0].splitlines() if line.strip()]
    assert said == ["PLAY [What says something]", "said"]
