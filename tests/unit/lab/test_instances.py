"""Hosts of instances: what a look at them must not mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab import podman
from lab.moto_patches import ec2
from lab.moto_patches.ec2 import State
from lab.reconcilers.instances import Instances


def test_a_host_that_came_up_while_it_was_looked_for_has_not_died(
    client: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = client("ssm").get_parameter(Name=ec2.DEBIAN_PARAMETER)["Parameter"]["Value"]
    client("ec2").run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    [instance] = ec2.all_instances()
    reconciler = Instances()
    reconciler._busy.add(instance.id)

    def containers(_labels: dict[str, str]) -> dict[str, Any]:
        # Listed before the start, and the start ends before the list is gone through.
        ec2.set_state(instance, State.RUNNING)
        reconciler._busy.discard(instance.id)
        return {}

    monkeypatch.setattr(podman, "containers", containers)
    reconciler.reconcile()
    reconciler.close()
    assert getattr(instance, "reachability", None) != "failed"
