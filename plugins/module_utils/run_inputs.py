"""What a run is given: everything but the live state that decides what it does."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.release import __version__ as ansible_version

from plugins.module_utils.convergence import fingerprint, project_fingerprint
from plugins.module_utils.project import ROOT, known_variables, verb_variables
from plugins.module_utils.release_artifact import digest_sources

NO_INPUTS = frozenset(
    (
        "stack",
        "region_hosts",
        "environment_hosts",
        "environment_databases",
        "writing_host",
        "writing_stack",
        "database_source_arn",
        # The bucket of the releases is in it.
        "backend_boot_config",
        # What it leads to is in the layers.
        "api_cache",
        "settled",
        "full",
        "confirm",
        "public_url",
        # How the run was begun.
        "run_playbook",
        "out",
        "plan",
        "plan_file",
        "plan_format",
        "plan_out",
    )
)
"""Variables that say what is there, or how to look, and not what is wanted."""


ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "project": {"type": "path", "required": True},
    "sources": {"type": "list", "elements": "str", "required": True},
    "files": {"type": "list", "elements": "str", "required": True},
}
"""What an action that calls :func:`run_inputs` takes for it."""


def run_inputs(task_vars: Mapping[str, Any] | None, arguments: Mapping[str, Any]) -> str:
    """Return a sha256 (hex) of the variables of localhost, the project's files, the release's sources and some files.

    :param task_vars: of the action. Taken are C(hostvars): what roles set for themselves is not among them.
    :param arguments: ``project``, the folder that relative paths start from; ``sources``, folders that a release is
        built from; ``files`` of this machine that the run reads. What is not there counts as such.
    """
    host = (task_vars or {})["hostvars"]["localhost"]
    folders = [Path(arguments["project"]) / Path(path).expanduser() for path in arguments["sources"]]
    return fingerprint(
        {
            "project": project_fingerprint(ROOT),
            "ansible": ansible_version,
            "variables": _variables(host),
            "sources": [digest_sources({"": path}) if path.is_dir() else "" for path in folders],
            "files": [_digest(Path(path).expanduser()) for path in arguments["files"]],
        }
    )


def _variables(host: Mapping[str, Any]) -> dict[str, Any]:
    """Return the project's variables; one that cannot be resolved yet stands for itself."""
    found: dict[str, Any] = {}
    for name in sorted((known_variables(ROOT).keys() - NO_INPUTS - verb_variables(ROOT)) & set(host)):
        try:
            found[name] = host[name]
        except AnsibleError as error:
            found[name] = type(error).__name__
    return found


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
