"""Record a complete run in the releases bucket, in the controller's own process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.aws_action import AwsAction
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
  tier:
    description: Tier of the run.
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


class ActionModule(AwsAction):
    """Record the run."""

    takes: ClassVar[dict[str, Any]] = {
        **{name: {"type": "str", "required": True} for name in ("app", "env", "region", "tier")},
        **ARGUMENTS,
        "write": {"type": "bool", "required": True},
    }
    failure = "the run cannot be recorded"

    def ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Write the record and return the stack."""
        # Now, not as the run began: what it made since, as buckets and keys, is among the inputs of the next one.
        inputs = run_inputs(task_vars, arguments)
        aws = connect(Environment(arguments["app"], arguments["env"], arguments["region"]), tier=arguments["tier"])
        seen = observe(aws)
        if arguments["write"]:
            write_record(aws.clients["s3"], aws.releases_bucket, inputs, seen.documents)
        return {"stack": seen.stack}
