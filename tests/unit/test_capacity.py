"""When an Auto Scaling group is where it should be, and what is in its way."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils.capacity import progress


def group(wanted: int, *states: str, suspended: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "AutoScalingGroupName": "cars",
        "DesiredCapacity": wanted,
        "Instances": [{"LifecycleState": state, "HealthStatus": "Healthy"} for state in states],
        "SuspendedProcesses": [{"ProcessName": name} for name in suspended],
    }


def test_done() -> None:
    found = progress(group(2, "InService", "InService"), ["healthy", "healthy"])
    assert (found.done, found.text) == (True, "2 of 2 in service, 2 healthy behind the load balancer")
    assert progress(group(1, "InService"), None).done


@pytest.mark.parametrize(
    ("states", "health", "text"),
    [
        (["InService", "Pending:Wait"], ["healthy"], "1 of 2 in service, 1 Pending:Wait, 1 healthy behind"),
        (
            ["InService", "InService"],
            ["healthy", "initial"],
            "2 of 2 in service, 1 healthy behind the load balancer, 1 in",
        ),
        (["InService", "InService", "Terminating"], ["healthy", "healthy"], "2 of 2 in service, 1 Terminating"),
        (
            ["InService", "InService"],
            ["healthy", "healthy", "draining"],
            "2 of 2 in service, 2 healthy behind the load",
        ),
        (["InService", "InService", "InService"], ["healthy"] * 3, "3 of 2 in service"),
    ],
)
def test_not_done(states: list[str], health: list[str], text: str) -> None:
    found = progress(group(2, *states), health)
    assert not found.done
    assert found.text.startswith(text)
    assert found.obstacle == ""


def test_an_unhealthy_instance_does_not_count() -> None:
    sick = group(1, "InService")
    sick["Instances"][0]["HealthStatus"] = "Unhealthy"
    assert not progress(sick, None).done


def test_a_suspended_process_that_is_in_the_way() -> None:
    assert "Launch is suspended; resume it with `aws autoscaling resume-processes --auto" in (
        progress(group(2, "InService", suspended=("Launch",)), None).obstacle
    )
    assert progress(group(2, "InService", suspended=("Terminate",)), None).obstacle == ""
    assert "Terminate" in progress(group(0, "InService", suspended=("Terminate",)), None).obstacle
