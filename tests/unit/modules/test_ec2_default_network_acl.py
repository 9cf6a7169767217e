"""The default network ACL: what it lets in is exactly what is listed, and what goes out is left alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from lab.moto_patches import network as patches
from plugins.modules import ec2_default_network_acl as acl_module

Run = Callable[..., dict[str, Any]]

WANTED = [
    {"protocol": "all", "cidr": "10.9.0.0/16"},
    {"protocol": "tcp", "from_port": 443, "to_port": 443},
    {"protocol": "tcp", "from_port": 1024, "to_port": 65535},
    {"protocol": "icmp"},
]


class Network:
    """A VPC."""

    def __init__(self) -> None:
        """Make it."""
        self.vpc = boto3.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]

    def acl(self) -> dict[str, Any]:
        """Return its default ACL."""
        filters: Any = [{"Name": "vpc-id", "Values": [self.vpc]}, {"Name": "default", "Values": ["true"]}]
        return dict(boto3.client("ec2").describe_network_acls(Filters=filters)["NetworkAcls"][0])

    def rules(self, *, egress: bool) -> list[tuple[int, str, str]]:
        """Return number, protocol and source of the rules that can be changed."""
        return sorted(
            (entry["RuleNumber"], entry["Protocol"], entry["CidrBlock"])
            for entry in self.acl()["Entries"]
            if entry["Egress"] is egress and entry["RuleNumber"] < 32767
        )


@pytest.fixture
def network() -> Network:
    patches.apply()
    return Network()


@pytest.fixture
def keep(run_module: Run, network: Network) -> Run:
    def run(inbound: list[dict[str, Any]], **arguments: Any) -> dict[str, Any]:
        return run_module(acl_module, inbound=inbound, vpc_id=network.vpc, **arguments)

    return run


def test_everything_is_let_in_until_it_is_kept(keep: Run, network: Network) -> None:
    assert network.rules(egress=False) == [(100, "-1", "0.0.0.0/0")]
    planned = keep(WANTED, check=True)
    assert planned["changed"] and network.rules(egress=False) == [(100, "-1", "0.0.0.0/0")]
    assert planned["diff"]["before"] == {"inbound": ["all from 0.0.0.0/0"]}
    assert planned["diff"]["after"] == {
        "inbound": [
            "all from 10.9.0.0/16",
            "tcp 443-443 from 0.0.0.0/0",
            "tcp 1024-65535 from 0.0.0.0/0",
            "icmp from 0.0.0.0/0",
        ]
    }
    changed = keep(WANTED)
    assert changed["changed"] and changed["network_acl_id"] == network.acl()["NetworkAclId"]
    assert network.rules(egress=False) == [
        (100, "-1", "10.9.0.0/16"),
        (110, "6", "0.0.0.0/0"),
        (120, "6", "0.0.0.0/0"),
        (130, "1", "0.0.0.0/0"),
    ]
    assert not keep(WANTED)["changed"]
    assert network.rules(egress=True) == [(100, "-1", "0.0.0.0/0")]


def test_rules_that_somebody_added_or_changed_go(keep: Run, network: Network) -> None:
    keep(WANTED)
    ec2, before = boto3.client("ec2"), network.rules(egress=False)
    everywhere = {"NetworkAclId": network.acl()["NetworkAclId"], "Egress": False, "CidrBlock": "0.0.0.0/0"}
    ec2.create_network_acl_entry(**everywhere, RuleNumber=50, Protocol="-1", RuleAction="allow")
    ec2.replace_network_acl_entry(
        **everywhere, RuleNumber=110, Protocol="6", RuleAction="allow", PortRange={"From": 1, "To": 443}
    )
    assert keep(WANTED)["changed"]
    assert network.rules(egress=False) == before
    assert not keep(WANTED)["changed"]


def test_a_vpc_that_is_not_there(run_module: Run) -> None:
    failed = run_module(acl_module, inbound=WANTED, vpc_id="vpc-00000000")
    assert "There is no VPC vpc-00000000" in failed["msg"]


def test_ports_are_asked_for(keep: Run) -> None:
    assert "from_port" in keep([{"protocol": "tcp"}])["msg"]
