"""How many instances there are."""

from __future__ import annotations

import re

import pytest

from tests.ops.conftest import NAME, Account
from tests.ops.stage import make_group, make_instance, take_one_out


def sizes(account: Account) -> tuple[int, int]:
    """Return how many instances the group wants, and how many it has in service."""
    [group] = account.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    serving = [item for item in group["Instances"] if item["LifecycleState"] == "InService"]
    return group["DesiredCapacity"], len(serving)


def test_out(account: Account) -> None:
    make_group(account, 2)
    done = account.play("scale", "-e", "desired=4")
    assert done.code == 0, done.output
    assert re.search(
        rf"^{NAME}: 2 → 4 instances; 4 of 4 in service, 4 healthy behind the load balancer \(\d+ s\)$",
        done.output,
        re.MULTILINE,
    )
    assert sizes(account) == (4, 4)
    [entry] = account.history()
    assert (entry["verb"], entry["from"], entry["to"]) == ("scale", "2 instances", "4 instances")
    account.writes()

    again = account.play("scale", "-e", "desired=4")
    assert again.code == 0, again.output
    assert "changed=0" in again.output
    # The lock, and nothing of the history.
    assert account.writes() == ["DeleteObject", "PutObject"]
    assert len(account.history()) == 1


@pytest.mark.long
def test_in_and_a_check_before_it(account: Account) -> None:
    make_group(account, 3)
    would = account.play("scale", "-e", "desired=1", "--check")
    assert would.code == 0, would.output
    assert "changed: [localhost] scale : Set how many there should be" in would.output
    assert sizes(account) == (3, 3)
    back = account.play("scale", "-e", "desired=1")
    assert back.code == 0, back.output
    assert sizes(account) == (1, 1)


def test_beyond_the_limits(account: Account) -> None:
    make_group(account, 2)
    refused = account.play("scale", "-e", "desired=9")
    assert refused.code == 2
    assert f"error: {NAME} takes 1 to 4 instances, not 9. To change the limits set compute_max_size" in refused.output
    assert "site.yml -e compute_max_size=9" in refused.output
    assert sizes(account) == (2, 2)


@pytest.mark.long
def test_one_instance_stays_one(account: Account) -> None:
    make_instance(account)
    refused = account.play("scale", "-e", "desired=2")
    assert refused.code == 2
    assert "The tier minimal has one instance, whose disk holds the data" in refused.output
    assert "site.yml -e tier=basic" in refused.output


@pytest.mark.long
def test_whom_a_killed_deployment_left_out_of_service_is_put_back(account: Account) -> None:
    targets = make_group(account, 2)["target_group"]
    take_one_out(account, targets)
    done = account.play("scale", "-e", "desired=3", "-e", "scale_wait_timeout=60")
    assert done.code == 0, done.output
    assert "3 of 3 in service, 3 healthy behind the load balancer" in done.output


@pytest.mark.long
def test_a_suspended_process_is_named_and_not_waited_for(account: Account) -> None:
    make_group(account, 2)
    account.client("autoscaling").suspend_processes(AutoScalingGroupName=f"{NAME}-backend", ScalingProcesses=["Launch"])
    stuck = account.play("scale", "-e", "desired=3")
    assert stuck.code == 2
    assert "2 of 3 in service" in stuck.output
    assert "the group's process Launch is suspended; resume it with `aws autoscaling resume-processes" in stuck.output
