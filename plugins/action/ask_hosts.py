"""Ask all hosts at the same time how they are, in the controller's own process."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.remote import Answer, as_root, ask, targets

DOCUMENTATION = r"""
module: ask_hosts
short_description: Ask hosts how they are
description:
  - Sends plugins/remote/host_report.py to each over SSH, the way the inventory says, and returns what it answers.
  - A host that does not answer in time is no failure, but said so. One that C(--limit) leaves out is not asked.
  - Changes nothing.
options:
  hosts:
    description: Names of the hosts in the inventory.
    type: list
    elements: str
    required: true
  connect_seconds:
    description: How long to wait for a connection; longer where the inventory says so (C(ansible_ssh_timeout)).
    type: int
    default: 3
  seconds:
    description: How long a host may take beside that.
    type: int
    default: 10
"""

RETURN = r"""
hosts:
  description: By host what it says (plugins/remote/host_report.py), or C(error) alone.
  returned: always
  type: dict
"""

SCRIPT = Path(__file__).resolve().parents[1] / "remote" / "host_report.py"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Run on the controller, whatever the host of the play."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the hosts say."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "hosts": {"type": "list", "elements": "str", "required": True},
                "connect_seconds": {"type": "int", "default": 3},
                "seconds": {"type": "int", "default": 10},
            }
        )
        names = arguments["hosts"]
        hosts = targets(names, task_vars or {}, arguments["connect_seconds"])
        command = as_root(["python3", "-I", "-"])
        answers = ask(hosts, command, SCRIPT.read_text(encoding="utf-8"), arguments["seconds"])
        # It came into being after the run had read its inventory.
        unknown = Answer(1, "", "the inventory does not have it yet")
        if (task_vars or {}).get("ansible_limit") is None:
            answers = {**dict.fromkeys(names, unknown), **answers}
        return {"changed": False, "hosts": {name: report(answer) for name, answer in answers.items()}}


def report(answer: Answer) -> dict[str, Any]:
    """Return what a host said; ``error`` alone when that is no report."""
    try:
        content: dict[str, Any] = json.loads(answer.output)
    except ValueError:
        return {"error": answer.reason}
    # How far its clock is from ours, in seconds: it said the time last, on its way here it grew no older.
    return {**content, "clock_offset": round(content["time"] - answer.ended, 3)}
