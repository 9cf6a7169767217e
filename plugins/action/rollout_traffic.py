"""Take hosts out of a load balancer's service or put them back, and wait until it is so, on the controller."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from botocore.exceptions import BotoCoreError, ClientError

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.traffic import Clients, Traffic, outcome

DOCUMENTATION = r"""
module: rollout_traffic
short_description: Take hosts out of a load balancer's service or put them back
description:
  - Deregisters or registers all hosts with one call and waits for all of them with one question a second, where
    M(community.aws.elb_target) needs a process and a wait of its own for each. Prints a line a host when it is done.
  - Never fails because of a host; what became of each is in RV(targets). Only AWS that does not answer is a failure.
options:
  state:
    description:
      - C(out) deregisters and waits until the last request is answered, C(in) registers and waits until healthy.
    type: str
    choices: [out, in]
    required: true
  region:
    description: AWS region.
    type: str
    required: true
  target_group_arn:
    description: The target group.
    type: str
    required: true
  targets:
    description: Instance ids.
    type: list
    elements: str
    required: true
  doubtful:
    description: Those of O(targets) that cannot be reached, so that there is little hope and little waiting.
    type: list
    elements: str
    default: []
  port:
    description: Port of the targets.
    type: int
    required: true
  timeout:
    description: Seconds to wait. Where a target drains its group's deregistration delay comes on top.
    type: int
    required: true
"""

RETURN = r"""
targets:
  description: What became of each host.
  returned: success
  type: dict
  contains:
    seconds: {description: How long it took., type: float}
    gone: {description: "Whether the instance is terminated, or will be by its group.", type: bool}
    error: {description: Why it is not as it should be; empty when it is., type: str}
"""


class ActionModule(ActionBase):  # type: ignore[misc]
    """Run on the controller, whatever the host of the play."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Do it, wait for it and tell what became of each host."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "choices": ["out", "in"], "required": True},
                **{name: {"type": "str", "required": True} for name in ("region", "target_group_arn")},
                "targets": {"type": "list", "elements": "str", "required": True},
                "doubtful": {"type": "list", "elements": "str", "default": []},
                **{name: {"type": "int", "required": True} for name in ("port", "timeout")},
            }
        )
        # Ansible's own text types would reach botocore's serialisers.
        names = [str(name) for name in arguments["targets"]]
        clients = Clients(str(arguments["region"]))
        traffic = Traffic(clients, str(arguments["target_group_arn"]), int(arguments["port"]), say=Display().display)
        try:
            if self._task.check_mode:
                wanted = traffic.to_change(str(arguments["state"]), names)
                return {"changed": bool(wanted), "targets": {name: outcome() for name in names}}
            changed, outcomes = traffic.bring(
                str(arguments["state"]), names, int(arguments["timeout"]), set(map(str, arguments["doubtful"]))
            )
        except (BotoCoreError, ClientError) as error:
            detail = " ".join(str(error).split())
            return {"changed": True, "failed": True, "msg": f"the load balancer cannot be told: {detail}"}
        return {"changed": changed, "targets": outcomes}
