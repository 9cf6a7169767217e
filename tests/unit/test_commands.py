"""Commands on hosts: what is said of them, and what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils.commands import command_failures, command_lines
from plugins.module_utils.history import given, redacted

RESULTS: dict[str, dict[str, Any]] = {
    "i-1": {"cmd": [], "rc": 0, "stdout": "one\ntwo", "stderr": ""},
    "i-2": {"cmd": [], "rc": 3, "stdout": "", "stderr": "no such file"},
    "i-3": {"unreachable": True, "msg": "ssh: connect"},
    "i-4": {"msg": "python3 is missing", "rc": 127, "module_stderr": "sh: python3: not found"},
}


def test_every_host_has_its_lines() -> None:
    assert command_lines(RESULTS) == [
        *("i-1: exit code 0", "  one", "  two"),
        *("i-2: exit code 3", "  no such file"),
        "i-3: cannot be reached",
        *("i-4: python3 is missing", "  sh: python3: not found"),
    ]
    assert command_failures(RESULTS) == ["i-2 (exit code 3)", "i-3 (cannot be reached)", "i-4 (python3 is missing)"]


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        ("npm run report", "npm run report"),
        ("psql postgres://app:hunter2@db:5432/app -c 'select 1'", "psql postgres://app:…@db:5432/app -c 'select 1'"),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=… psql"),
        ("tool --api-key 'hunter two' run", "tool --api-key … run"),
        ('curl -d \'{"password": "hunter2"}\' http://127.0.0.1', "curl -d '{\"password\": …}' http://127.0.0.1"),
        ("psql $DATABASE_URL", "psql $DATABASE_URL"),
    ],
)
def test_what_the_history_keeps_of_a_command(command: str, kept: str) -> None:
    assert redacted(command) == kept
    assert given({"command": command, "as_root": True}, ["command", "as_root"]) == {"command": kept, "as_root": True}
