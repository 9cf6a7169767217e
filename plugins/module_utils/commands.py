"""What came of a command that ran on several hosts, as lines that a person can read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def command_lines(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a headline for each host, and below it what the command printed there.

    :param results: by host, what Ansible registered.
    """
    lines: list[str] = []
    for host, result in results.items():
        lines.append(f"{host}: {_how(result)}")
        for stream in ("stdout", "stderr", "module_stdout", "module_stderr"):
            lines += [f"  {line}" for line in str(result.get(stream) or "").splitlines()]
    return lines


def command_failures(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what failed where, e.g. ``i-0abc (exit code 1)``."""
    return [f"{host} ({_how(result)})" for host, result in results.items() if "cmd" not in result or result["rc"] != 0]


def _how(result: Mapping[str, Any]) -> str:
    if result.get("unreachable"):
        # SSH's own reason is in the line that Ansible has printed.
        return "cannot be reached"
    # Ansible itself has an exit code when it could not even run the command, but then there is none of the command's.
    if "cmd" not in result:
        return " ".join(str(result.get("msg") or "was not run").split())
    return f"exit code {result['rc']}"
