"""EC2 Instance Connect Endpoints."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from lab.moto_patches import ec2_connect
from plugins.modules import ec2_instance_connect_endpoint as endpoint_module

NAME = "vahanhelp-prod-connect"
TAGS = {"vahana:app": "vahanhelp"}
Run = Callable[..., dict[str, Any]]


class Network:
    """A VPC with two subnets and two security groups."""

    def __init__(self) -> None:
        """Make them."""
        ec2 = boto3.client("ec2")
        self.vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.9.{number}.0/24")["Subnet"]["SubnetId"]
            for number in (1, 2)
        ]
        self.groups = [
            ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"] for name in "ab"
        ]


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def keep(run_module: Run, network: Network, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(endpoint_module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(ec2_connect, "TRANSITION", datetime.timedelta(milliseconds=50))

    def run(**arguments: Any) -> dict[str, Any]:
        defaults = {
            "name": NAME,
            "subnet_id": network.subnets[0],
            "security_group_ids": [network.groups[0]],
            "tags": TAGS,
        }
        return run_module(endpoint_module, **{**defaults, **arguments})

    return run


def endpoints() -> list[Any]:
    return boto3.client("ec2").describe_instance_connect_endpoints()["InstanceConnectEndpoints"]


def test_creates_once(keep: Run) -> None:
    first = keep()
    assert first["changed"] and first["endpoint"]["state"] == "create-complete"
    assert first["endpoint"]["tags"] == {**TAGS, "Name": NAME}
    second = keep()
    assert not second["changed"] and second["endpoint"] == first["endpoint"] and len(endpoints()) == 1


def test_does_not_wait_when_told_not_to(keep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ec2_connect, "TRANSITION", datetime.timedelta(hours=1))
    first = keep(wait=False)
    assert first["changed"] and first["endpoint"]["state"] == "create-in-progress"
    assert not keep(wait=False)["changed"]
    late = keep(wait_timeout=0)
    assert late["failed"] and "create-in-progress, not usable, after 0 s" in late["msg"]


def test_changes_groups_and_tags_in_place(keep: Run, network: Network) -> None:
    first = keep()["endpoint"]
    changed = keep(security_group_ids=[network.groups[1]], tags={"vahana:tier": "full"})
    assert changed["changed"]
    assert changed["endpoint"]["instance_connect_endpoint_id"] == first["instance_connect_endpoint_id"]
    assert changed["endpoint"]["security_group_ids"] == [network.groups[1]]
    assert changed["endpoint"]["tags"] == {"vahana:tier": "full", "Name": NAME}
    assert not keep(security_group_ids=[network.groups[1]], tags={"vahana:tier": "full"})["changed"]


def test_moves_by_making_a_new_one(keep: Run, network: Network) -> None:
    first = keep()["endpoint"]
    moved = keep(subnet_id=network.subnets[1])
    assert moved["changed"] and moved["endpoint"]["subnet_id"] == network.subnets[1]
    assert moved["endpoint"]["instance_connect_endpoint_id"] != first["instance_connect_endpoint_id"]
    assert len(endpoints()) == 1


def test_replaces_a_failed_one(keep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = keep()["endpoint"]["instance_connect_endpoint_id"]
    real = vars(ec2_connect.InstanceConnectEndpoint)["state"].fget
    monkeypatch.setattr(
        ec2_connect.InstanceConnectEndpoint,
        "state",
        property(lambda self: "create-failed" if self.id == first and self.verb == "create" else real(self)),
    )
    again = keep()
    assert again["changed"] and again["endpoint"]["instance_connect_endpoint_id"] != first


def test_is_gone_when_it_says_so(keep: Run) -> None:
    keep()
    assert keep(state="absent")["changed"] and endpoints() == []
    assert not keep(state="absent")["changed"]


def test_made_anew_while_the_old_one_goes(keep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    keep()
    monkeypatch.setattr(ec2_connect, "TRANSITION", datetime.timedelta(hours=1))
    assert keep(state="absent", wait=False)["endpoint"]["state"] == "delete-in-progress"
    monkeypatch.setattr(ec2_connect, "TRANSITION", datetime.timedelta(milliseconds=50))
    assert keep()["endpoint"]["state"] == "create-complete" and len(endpoints()) == 1


def test_check_mode_says_the_same_and_does_nothing(keep: Run, network: Network) -> None:
    assert keep(check=True)["changed"] and endpoints() == []
    made = keep()["endpoint"]
    assert not keep(check=True)["changed"]
    assert keep(check=True, security_group_ids=[network.groups[1]])["changed"]
    assert keep(check=True, tags={})["changed"]
    assert keep(check=True, state="absent")["diff"]["after"] == {}
    assert keep()["endpoint"] == made
