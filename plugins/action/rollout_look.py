"""Look at the hosts of an environment before they are touched, in the controller's own process."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ansible.utils.display import Display

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.aws_action import AwsAction
from plugins.module_utils.rollout import Sight, below_floor, may_change, obstacles, unhealthy
from plugins.module_utils.traffic import Clients, look

DOCUMENTATION = r"""
module: rollout_look
short_description: Look at the hosts of an environment before they are touched
description:
  - Asks the Auto Scaling group, its instance refreshes and the load balancer at the same time. Only reads.
options:
  region:
    description: AWS region.
    type: str
    required: true
  group:
    description: Auto Scaling group. Empty where there is none.
    type: str
    default: ""
  target_group_arn:
    description: Target group of the hosts. Empty where there is no load balancer.
    type: str
    default: ""
  instances:
    description: The hosts where there is no group.
    type: list
    elements: str
    default: []
  settle:
    description: Seconds to wait for the first checks of targets that were just registered.
    type: int
    default: 0
  start:
    description: Seconds to wait for instances that the group has launched before.
    type: int
    default: 0
  patience:
    description:
      - Seconds to wait for as many hosts as it takes, while more are to come. Without O(batch) that is one in service,
        with it as many healthy ones as let O(batch) go.
    type: int
    default: 0
  batch:
    description: Hosts that are about to be taken out of service.
    type: list
    elements: str
    default: []
  floor:
    description: How many hosts must stay healthy, a number or a percentage.
    type: str
    default: "0"
"""

RETURN = r"""
hosts: {description: Instances that serve or should., returned: success, type: list}
healthy: {description: Those that do., returned: success, type: list}
out: {description: Those that the load balancer was told to leave alone., returned: success, type: list}
starting: {description: Instances that are not in service yet., returned: success, type: list}
obstacles: {description: What must be over before a deployment can begin., returned: success, type: list}
unhealthy: {description: "What is wrong with which host, and what to do.", returned: success, type: list}
refusal: {description: Why O(batch) cannot be taken out of service; empty when it can., returned: success, type: str}
"""

_POLL_SECONDS = 2
_LINE_SECONDS = 30


class ActionModule(AwsAction):
    """Look at the hosts."""

    takes: ClassVar[dict[str, Any]] = {
        "region": {"type": "str", "required": True},
        "group": {"type": "str", "default": ""},
        "target_group_arn": {"type": "str", "default": ""},
        "instances": {"type": "list", "elements": "str", "default": []},
        "settle": {"type": "int", "default": 0},
        "start": {"type": "int", "default": 0},
        "patience": {"type": "int", "default": 0},
        "batch": {"type": "list", "elements": "str", "default": []},
        "floor": {"type": "str", "default": "0"},
    }
    failure = "the hosts cannot be looked at"

    def ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return what is seen."""
        sight, refusal = self._wait(arguments)
        return {
            "hosts": sight.hosts,
            "healthy": sight.healthy,
            "out": sight.out,
            "starting": sight.starting,
            "obstacles": obstacles(sight),
            "unhealthy": unhealthy(sight),
            "refusal": refusal,
        }

    def _wait(self, arguments: Mapping[str, Any]) -> tuple[Sight, str]:
        """Look until what may take a moment is over, or has taken too long; also say why the batch cannot go."""
        group, arn, floor = arguments["group"], arguments["target_group_arn"], arguments["floor"]
        batch = [str(name) for name in arguments["batch"]]
        clients = Clients(arguments["region"])
        began = said = time.monotonic()
        launched: set[str] | None = None
        while True:
            sight = look(clients, group, arn, [str(name) for name in arguments["instances"]])
            waited = time.monotonic() - began
            settling = sight.settling and waited < arguments["settle"]
            # What is launched while this waits is not waited for: it is not what the caller meant.
            launched = set(sight.starting) if launched is None else launched.intersection(sight.starting)
            starting = bool(launched) and waited < arguments["start"]
            refusal = below_floor(sight, batch, floor) if batch else ""
            # What was lost and has no successor yet is neither starting nor settling.
            nobody = bool(sight.starting) and not sight.hosts and not sight.refresh
            short = may_change(sight, batch, floor) if refusal else nobody
            if self._task.check_mode or not (settling or starting or (short and waited < arguments["patience"])):
                return sight, f"{refusal} (waited {waited:.0f} s)" if refusal and waited >= 1 else refusal
            if time.monotonic() - said >= _LINE_SECONDS:
                said = time.monotonic()
                who = ", ".join(sight.starting) or ("new targets" if sight.settling else "enough hosts")
                Display().display(f"waiting: {who} to be in service ({waited:.0f} s)")
            time.sleep(_POLL_SECONDS)
