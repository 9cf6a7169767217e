"""Gateway endpoints: in exactly the route tables that are to have them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from plugins.modules import ec2_gateway_endpoints as endpoints_module

Run = Callable[..., dict[str, Any]]

POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}],
}


class Network:
    """A VPC with three route tables."""

    def __init__(self) -> None:
        """Make them."""
        ec2 = boto3.client("ec2")
        self.vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        self.tables = [ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"] for _ in range(3)]


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def keep(run_module: Run, network: Network) -> Run:
    def run(endpoints: dict[str, list[str]], **arguments: Any) -> dict[str, Any]:
        defaults = {"name": "vahanhelp-prod", "vpc_id": network.vpc, "tags": {"vahana:env": "x"}, "policy": POLICY}
        return run_module(endpoints_module, endpoints=endpoints, **{**defaults, **arguments})

    return run


def tables() -> dict[str, list[str]]:
    """Return the route tables of each endpoint that is there."""
    found = boto3.client("ec2").describe_vpc_endpoints()["VpcEndpoints"]
    return {item["ServiceName"]: sorted(item["RouteTableIds"]) for item in found if item["State"] not in ("deleted",)}


def test_makes_them_once(keep: Run, network: Network) -> None:
    wanted = {"s3": network.tables[:2], "dynamodb": network.tables[:1]}
    assert keep(wanted, check=True)["changed"] and not tables()
    first = keep(wanted)
    assert first["changed"] and set(first["endpoint_ids"]) == {"s3", "dynamodb"}
    assert tables() == {
        "com.amazonaws.us-east-1.s3": sorted(network.tables[:2]),
        "com.amazonaws.us-east-1.dynamodb": network.tables[:1],
    }
    second = keep(wanted)
    assert not second["changed"] and second["endpoint_ids"] == first["endpoint_ids"]


def test_route_tables_come_and_go(keep: Run, network: Network) -> None:
    first = keep({"s3": network.tables[:2]})["endpoint_ids"]
    planned = keep({"s3": network.tables[1:]}, check=True)
    assert planned["changed"] and planned["diff"]["after"]["s3"]["route_tables"] == sorted(network.tables[1:])
    assert tables()["com.amazonaws.us-east-1.s3"] == sorted(network.tables[:2])
    changed = keep({"s3": network.tables[1:]})
    assert changed["changed"] and changed["endpoint_ids"] == first
    assert tables()["com.amazonaws.us-east-1.s3"] == sorted(network.tables[1:])


def test_tags_are_kept(keep: Run, network: Network) -> None:
    endpoint = keep({"s3": network.tables[:1]})["endpoint_ids"]["s3"]
    ec2 = boto3.client("ec2")
    ec2.delete_tags(Resources=[endpoint], Tags=[{"Key": "vahana:env"}])
    assert keep({"s3": network.tables[:1]})["changed"]
    found = ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint])["VpcEndpoints"][0]["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in found} == {"Name": "vahanhelp-prod-s3", "vahana:env": "x"}


def test_one_that_was_deleted_is_made_anew(keep: Run, network: Network) -> None:
    endpoint = keep({"s3": network.tables[:1]})["endpoint_ids"]["s3"]
    boto3.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[endpoint])
    again = keep({"s3": network.tables[:1]})
    assert again["changed"] and again["endpoint_ids"]["s3"] != endpoint


def test_the_policy_is_kept(keep: Run, network: Network) -> None:
    endpoint = keep({"s3": network.tables[:1]})["endpoint_ids"]["s3"]
    ec2 = boto3.client("ec2")

    def policy() -> Any:
        return json.loads(ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint])["VpcEndpoints"][0]["PolicyDocument"])

    assert policy() == POLICY
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, PolicyDocument=json.dumps({**POLICY, "Statement": []}))
    assert keep({"s3": network.tables[:1]}, check=True)["changed"] and policy() != POLICY
    assert keep({"s3": network.tables[:1]})["changed"] and policy() == POLICY
    assert not keep({"s3": network.tables[:1]})["changed"]
