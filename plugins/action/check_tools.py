"""Check the tools of the machine that runs Ansible."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_version

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils import tools
from plugins.module_utils.project import ROOT

DOCUMENTATION = r"""
module: check_tools
short_description: Check the tools of the machine that runs Ansible
description:
  - Returns every missing or outdated tool at once, each with the command that installs it.
options:
  build:
    description: Whether the run builds a release, which takes Node.js and npm.
    type: bool
    default: false
  images:
    description: Whether the run builds images of services, which takes podman.
    type: bool
    default: false
  tunnel:
    description: Whether SSH goes through the AWS CLI's tunnel.
    type: bool
    default: false
"""

RETURN = r"""
problems:
  description: One line for each missing or outdated tool.
  returned: always
  type: list
  elements: str
"""

# The first ansible-core whose templating the playbooks are written for.
_LEAST_ANSIBLE = (2, 20)


class ActionModule(ActionBase):  # type: ignore[misc]
    """Run on the controller, whatever the host of the play."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the problems; failed when there is one."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "build": {"type": "bool", "default": False},
                "images": {"type": "bool", "default": False},
                "tunnel": {"type": "bool", "default": False},
            }
        )
        problems = []
        if tools.version_in(ansible_version) < _LEAST_ANSIBLE:
            needed = tools.dotted(_LEAST_ANSIBLE)
            problems.append(f"ansible-core is version {ansible_version}, {needed} is needed; run `uv sync`")
        # Galaxy's directories come first, then what the PyPI package brought: Ansible's own order.
        paths = [Path(path) for path in [*constants.COLLECTIONS_PATHS, *sys.path]]
        problems += tools.collection_problems(
            tools.required_collections(ROOT / "requirements.yml"), tools.installed_collections(paths)
        )
        wanted = [tools.SSH]
        if arguments["build"]:
            wanted += [tools.NODE, tools.NPM]
        if arguments["images"]:
            wanted.append(tools.PODMAN)
        if arguments["tunnel"]:
            wanted.append(tools.AWS_CLI)
        problems += tools.tool_problems(wanted)
        return {"changed": False, "failed": bool(problems), "problems": problems, "msg": "\n".join(problems)}
