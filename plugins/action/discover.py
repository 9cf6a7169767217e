"""Read the live state of one environment, in the controller's own process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.aws_action import AwsAction
from plugins.module_utils.convergence import differences, digests
from plugins.module_utils.discovery import Environment, connect, discover, observe

DOCUMENTATION = r"""
module: discover
short_description: Read the live state of one environment
description:
  - Asks all services at the same time, in threads of the controller's process, and returns one dict.
  - What belongs to the environment is decided by its tags.
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
    description: The tier of the run, which says what else to look for; empty when it is the one that is deployed.
    type: str
    default: ""
  details:
    description: Whether to read every field that our roles set, and to compare them with the last complete run's.
    type: bool
    default: false
"""

RETURN = r"""
stack:
  description: The state; docs/architecture.md lists its keys, which are always all there.
  returned: success
  type: dict
recorded:
  description: C(inputs) and C(time) of the last complete run; empty when there is no record of one.
  returned: when O(details)
  type: dict
digests:
  description: By layer, a hash of every field that our roles set.
  returned: when O(details)
  type: dict
drift:
  description: What is not as the last complete run left it.
  returned: when O(details)
  type: list
  elements: dict
  contains:
    what: {description: C(gone), C(new) or C(changed)., type: str}
    kind: {description: "Kind, e.g. C(ec2:subnet).", type: str}
    id: {description: What AWS calls it., type: str}
    name: {description: Its tag C(Name)., type: str}
    layer: {description: Layer it belongs to., type: str}
    fields: {description: "Of a changed one, C(field), C(before) and C(after).", type: list}
"""


class ActionModule(AwsAction):
    """Read the live state."""

    takes: ClassVar[dict[str, Any]] = {
        **{name: {"type": "str", "required": True} for name in ("app", "env", "region")},
        "tier": {"type": "str", "default": ""},
        "details": {"type": "bool", "default": False},
    }
    failure = "the environment cannot be read"

    def ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the stack, and what a record of it is compared by."""
        environment = Environment(arguments["app"], arguments["env"], arguments["region"])
        if not arguments["details"]:
            return {"stack": discover(environment, tier=arguments["tier"])}
        seen = observe(connect(environment, tier=arguments["tier"]))
        record = seen.record
        return {
            "stack": seen.stack,
            "recorded": {"inputs": record.inputs, "time": record.time} if record else {},
            "drift": differences(record.documents, seen.documents) if record else [],
            "digests": digests(seen.documents),
        }
