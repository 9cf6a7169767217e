"""Print the journals of hosts as one, in the controller's own process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.history import moment
from plugins.module_utils.merged_logs import failures, journal_command, read
from plugins.module_utils.remote import targets

DOCUMENTATION = r"""
module: host_logs
short_description: Print the journals of hosts, merged by time
description:
  - Reads all hosts at the same time over SSH, the way the inventory says, and prints the lines in the order of time.
  - Fails at the end when a host could not be read.
options:
  hosts:
    description: Names of the hosts in the inventory.
    type: list
    elements: str
    required: true
  units:
    description: Units of systemd.
    type: list
    elements: str
    required: true
  since:
    description: Leaves out what is older, C(15m), C(2h) or a time in ISO 8601.
    type: str
    required: true
  grep:
    description: Leaves out what does not match, a pattern of journalctl's C(--grep).
    type: str
    default: ""
  follow:
    description:
      - Whether to go on printing what is written, until the run is stopped. A connection that breaks is made anew, and
        what was written meanwhile is printed then.
    type: bool
    default: false
  connect_seconds:
    description: How long to wait for a connection; longer where the inventory says so (C(ansible_ssh_timeout)).
    type: int
    default: 10
"""

RETURN = r"""
hosts:
  description: Whose journals were printed.
  returned: success
  type: list
  elements: str
"""


class ActionModule(ActionBase):  # type: ignore[misc]
    """Run on the controller, whatever the host of the play."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Print them, or fail with a line for each host that could not be read."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "hosts": {"type": "list", "elements": "str", "required": True},
                "units": {"type": "list", "elements": "str", "required": True},
                "since": {"type": "str", "required": True},
                "grep": {"type": "str", "default": ""},
                "follow": {"type": "bool", "default": False},
                "connect_seconds": {"type": "int", "default": 10},
            }
        )
        hosts = targets(arguments["hosts"], task_vars or {}, arguments["connect_seconds"])
        since = moment(str(arguments["since"])).timestamp()
        follow = bool(arguments["follow"])

        def command(after: str | None) -> str:
            return journal_command(arguments["units"], since, str(arguments["grep"]), follow=follow, after=after)

        names = [host.name for host in hosts]
        left_out = [
            f"{name}: not read: the inventory does not have it, or --limit leaves it out"
            for name in arguments["hosts"]
            if name not in names and (task_vars or {}).get("ansible_limit") is None
        ]
        wrong = left_out + failures(read(hosts, command, Display().display, follow=follow))
        if wrong:
            return {"changed": False, "failed": True, "hosts": names, "msg": "\n".join(wrong)}
        return {"changed": False, "hosts": names}
