"""Record a complete run in the releases bucket, in the controller's own process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from botocore.exceptions import BotoCoreError, ClientError

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.convergence import write_record
from plugins.module_utils.discovery import Environment, connect, observe
from plugins.module_utils.run_inputs import ARGUMENTS, run_inputs

DOCUMENTATION = r"""
module: record_converged
short_description: Record a complete run
description:
  - Reads the live state with every field that our roles set, and keeps it beside the hash of the run's inputs.
  - Bookkeeping that says nothing about the environment, so it never counts as a change.
options:
  app:
    description: Application, the tag C(vahana:app).
    type: str
    required: true
  env:
    description: Environment, the tag C(vahana:env).
    type: str
    required: true
  region:
    description: AWS region.
    type: str
    required: true
  project:
    description: Folder that relative paths in O(sources) start from.
    type: path
    required: true
  sources:
    description: Folders that a release is built from.
    type: list
    elements: str
    required: true
  files:
    description: Files of this machine that the run reads, or has made.
    type: list
    elements: str
    required: true
  write:
    description: Whether the run was complete.
    type: bool
    required: true
"""

RETURN = r"""
stack:
  description: The live state; docs/architecture.md lists its keys, which are always all there.
  returned: success
  type: dict
"""


class ActionModule(ActionBase):  # type: ignore[misc]
    """Run on the controller, whatever the host of the play."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the stack, or fail with one line."""
        super().run(tmp, task_vars)
        names = ("app", "env", "region")
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                **{name: {"type": "str", "required": True} for name in names},
                **ARGUMENTS,
                "write": {"type": "bool", "required": True},
            }
        )
        # Ansible's own text types would reach botocore's serialisers.
        app, env, region = (str(arguments[name]) for name in names)
        # Now, not as the run began: what it made since, as buckets and keys, is among the inputs of the next one.
        inputs = run_inputs(task_vars, arguments)
        try:
            aws = connect(Environment(app, env, region))
            seen = observe(aws)
            if arguments["write"]:
                write_record(aws.clients["s3"], aws.releases_bucket, inputs, seen.documents)
        except (BotoCoreError, ClientError) as error:
            detail = " ".join(str(error).split())
            return {"changed": False, "failed": True, "msg": f"the run cannot be recorded: {detail}"}
        return {"changed": False, "stack": seen.stack}
