"""Stands in for a host's Python at a fraction of its cost: it does what Ansible sends without unpacking it.

Ansible sends a program with a module in it, and the module's arguments, each in a line of its own. Of the modules this
knows those that a deployment runs on its hosts.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys


def sent() -> dict[str, str]:
    """Return which module Ansible sent, and its arguments."""
    lines = (line.strip().rstrip(",").partition("=") for line in sys.stdin)
    return {name: ast.literal_eval(value) for name, _, value in lines if name in ("ansible_module", "params")}


def main() -> None:
    """Do it, and answer as the module does."""
    asked = sent()
    arguments = json.loads(asked["params"])["ANSIBLE_MODULE_ARGS"]
    # Also by the name that a playbook cannot replace: ansible.legacy.ping.
    match asked["ansible_module"].rpartition(".")[2]:
        case "ping":
            print(json.dumps({"changed": False, "ping": "pong"}))
        case "command":
            # Numbers too, as the module has it: `elements: str`.
            command = [str(each) for each in arguments["argv"]]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            answer = {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
            print(json.dumps({"changed": True, "cmd": command, **answer}))
        case other:
            sys.exit(f"{__file__} knows no {other}")


if __name__ == "__main__":
    main()
