"""What a deployment takes of the controller for each host does not grow with the number of hosts."""

from __future__ import annotations

import pytest

from bench.hosts import Deployment, for_each_more, measure_all

# Fifteen deployments; `python -m bench hosts` prints the figures.
pytestmark = pytest.mark.long

#: Called by the clock, whatever the number of hosts: a look each second or five, and the lock's sign of life.
BY_THE_CLOCK = {"DescribeTargetHealth", "DescribeInstances", "DescribeAutoScalingInstances", "PutObject"}

#: What the tags find comes a hundred to a page, and each host counts with its volume and its network interface.
BY_THE_PAGE = {"GetResources"}


@pytest.fixture(scope="module")
def deployments() -> list[Deployment]:
    """Five deployments each to 2, 10 and 50 hosts, in two batches."""
    return measure_all(5, print)


def test_a_host_of_fifty_takes_what_one_of_ten_does(deployments: list[Deployment]) -> None:
    """Processor time, for others may be using the machine."""
    few = for_each_more(deployments, 2, 10, lambda done: done.cpu)
    many = for_each_more(deployments, 10, 50, lambda done: done.cpu)
    assert many <= 1.2 * few


def test_no_call_is_made_for_each_host(deployments: list[Deployment]) -> None:
    """Two batches are two batches; the pages and lists of AWS's calls here take a hundred hosts or fifty."""
    calls = {
        done.hosts: {name: count for name, count in done.actions.items() if name not in BY_THE_CLOCK | BY_THE_PAGE}
        for done in deployments
    }
    assert calls[50] == calls[10] == calls[2]
    assert calls[50]["DeregisterTargets"] == calls[50]["RegisterTargets"] == 2
