"""Route tables: all of a VPC as one list, and no subnet without its routes meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from plugins.module_utils.planning import KNOWN_AFTER_APPLY
from plugins.modules import ec2_route_tables as tables_module

Run = Callable[..., dict[str, Any]]

ANYWHERE = "0.0.0.0/0"


class Network:
    """A VPC with three subnets, an internet gateway and a NAT gateway."""

    def __init__(self) -> None:
        """Make them."""
        self.ec2 = boto3.client("ec2")
        self.vpc = self.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.9.{number}.0/24")["Subnet"]["SubnetId"]
            for number in range(3)
        ]
        self.internet = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(VpcId=self.vpc, InternetGatewayId=self.internet)
        address = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
        gateway = self.ec2.create_nat_gateway(SubnetId=self.subnets[0], AllocationId=address)
        self.nat = gateway["NatGateway"]["NatGatewayId"]

    def tables(self) -> dict[str, dict[str, Any]]:
        """Return the tables that have a name."""
        found = self.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])["RouteTables"]
        named = {tag["Value"]: table for table in found for tag in table["Tags"] if tag["Key"] == "Name"}
        return {
            name: {
                "subnets": sorted(link["SubnetId"] for link in table["Associations"]),
                "routes": {
                    route["DestinationCidrBlock"]: route.get("GatewayId") or route["NatGatewayId"]
                    for route in table["Routes"]
                    if route["Origin"] == "CreateRoute"
                },
            }
            for name, table in named.items()
        }


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def keep(run_module: Run, network: Network) -> Run:
    def run(*tables: dict[str, Any], **arguments: Any) -> dict[str, Any]:
        defaults = {"name": "cars-prod", "vpc_id": network.vpc, "tags": {"vahana:env": "prod"}}
        return run_module(tables_module, tables=list(tables), **{**defaults, **arguments})

    return run


def table(name: str, subnets: list[str] | None, routes: dict[str, str] | None) -> dict[str, Any]:
    return {"name": name, "subnets": subnets, "routes": routes}


def test_makes_them_once(keep: Run, network: Network) -> None:
    wanted = [
        table("public", network.subnets[:2], {ANYWHERE: network.internet}),
        table("database", network.subnets[2:], {}),
    ]
    planned = keep(*wanted, check=True)
    assert planned["changed"] and not planned["route_table_ids"] and not network.tables()
    first = keep(*wanted)
    assert first["changed"] and set(first["route_table_ids"]) == {"public", "database"}
    assert network.tables() == {
        "cars-prod-public": {"subnets": sorted(network.subnets[:2]), "routes": {ANYWHERE: network.internet}},
        "cars-prod-database": {"subnets": network.subnets[2:], "routes": {}},
    }
    second = keep(*wanted)
    assert not second["changed"] and second["route_table_ids"] == first["route_table_ids"]


def test_a_second_run_reads_once(keep: Run, network: Network, calls: list[tuple[str, str, str]]) -> None:
    wanted = [table(name, [subnet], {}) for name, subnet in zip("abc", network.subnets, strict=True)]
    keep(*wanted)
    calls.clear()
    assert not keep(*wanted)["changed"]
    assert [operation for _region, operation, _key in calls] == ["DescribeRouteTables"]


def test_routes_that_are_not_said_are_left_alone(keep: Run, network: Network) -> None:
    keep(table("private-1", network.subnets[:1], None))
    assert network.tables()["cars-prod-private-1"]["routes"] == {}
    keep(table("private-1", network.subnets[:1], {ANYWHERE: network.nat}))
    assert not keep(table("private-1", network.subnets[:1], None))["changed"]
    assert network.tables()["cars-prod-private-1"]["routes"] == {ANYWHERE: network.nat}


def test_subnets_and_tags_that_are_not_said_are_left_alone(keep: Run, network: Network) -> None:
    table_id = keep(table("private-1", network.subnets[:1], {}))["route_table_ids"]["private-1"]
    network.ec2.delete_tags(Resources=[table_id], Tags=[{"Key": "vahana:env"}])
    ways_out = table("private-1", None, {ANYWHERE: network.nat})
    assert keep(ways_out, tags=None)["changed"] and not keep(ways_out, tags=None)["changed"]
    assert network.tables()["cars-prod-private-1"] == {
        "subnets": network.subnets[:1],
        "routes": {ANYWHERE: network.nat},
    }
    [found] = network.ec2.describe_route_tables(RouteTableIds=[table_id])["RouteTables"]
    assert [tag["Key"] for tag in found["Tags"]] == ["Name"]


def test_a_gateway_that_the_run_will_make_is_planned(keep: Run, network: Network) -> None:
    keep(table("private-1", network.subnets[:1], {ANYWHERE: network.nat}))
    planned = keep(table("private-1", None, {ANYWHERE: KNOWN_AFTER_APPLY}), check=True)
    assert planned["changed"] and planned["diff"]["before"]["private-1"]["routes"] == {ANYWHERE: network.nat}
    assert planned["diff"]["after"]["private-1"]["routes"] == {ANYWHERE: KNOWN_AFTER_APPLY}


def test_a_range_is_asked_for_as_aws_keeps_it(keep: Run, network: Network) -> None:
    wanted = table("a", network.subnets[:1], {"192.0.2.7/24": network.nat})
    keep(wanted)
    assert network.tables()["cars-prod-a"]["routes"] == {"192.0.2.0/24": network.nat}
    assert not keep(wanted)["changed"]


def test_two_tables_of_one_name_are_refused(keep: Run, network: Network) -> None:
    first = keep(table("a", network.subnets[:1], {}))["route_table_ids"]["a"]
    second = network.ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    network.ec2.create_tags(Resources=[second], Tags=[{"Key": "Name", "Value": "cars-prod-a"}])
    result = keep(table("a", network.subnets[:1], {}))
    assert result["failed"] and first in result["msg"] and second in result["msg"]


def test_a_table_that_aws_does_not_show_yet_is_waited_for(
    keep: Run, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, looks = tables_module.VpcParts.read, []

    def late(tables: Any, field: str, values: list[str]) -> list[dict[str, Any]]:
        looks.append(field)
        return [] if looks.count("route-table-id") == 1 else read(tables, field, values)

    monkeypatch.setattr(tables_module.VpcParts, "read", late)
    monkeypatch.setattr(tables_module.VpcParts, "poll", 0.01)
    assert keep(table("a", network.subnets[:1], {}))["changed"]
    assert looks == ["vpc-id", "route-table-id", "route-table-id"]


def test_a_route_that_was_lost_edited_or_added_is_brought_back(keep: Run, network: Network) -> None:
    wanted = table("public", network.subnets[:1], {ANYWHERE: network.internet})
    table_id = keep(wanted)["route_table_ids"]["public"]
    network.ec2.replace_route(RouteTableId=table_id, DestinationCidrBlock=ANYWHERE, NatGatewayId=network.nat)
    network.ec2.create_route(RouteTableId=table_id, DestinationCidrBlock="192.0.2.0/24", NatGatewayId=network.nat)
    planned = keep(wanted, check=True)
    assert planned["diff"]["before"]["public"]["routes"] == {ANYWHERE: network.nat, "192.0.2.0/24": network.nat}
    assert keep(wanted)["changed"] and not keep(wanted)["changed"]
    assert network.tables()["cars-prod-public"]["routes"] == {ANYWHERE: network.internet}
    network.ec2.delete_route(RouteTableId=table_id, DestinationCidrBlock=ANYWHERE)
    assert keep(wanted)["changed"]
    assert network.tables()["cars-prod-public"]["routes"] == {ANYWHERE: network.internet}


def test_a_subnet_is_moved_in_one_step(keep: Run, network: Network, calls: list[tuple[str, str, str]]) -> None:
    keep(table("a", network.subnets[:2], {}), table("b", network.subnets[2:], {}))
    calls.clear()
    # Out of the first table of the list and into the second.
    assert keep(table("a", network.subnets[:1], {}), table("b", network.subnets[1:], {}))["changed"]
    assert network.tables()["cars-prod-b"]["subnets"] == sorted(network.subnets[1:])
    operations = [operation for _region, operation, _key in calls]
    assert "ReplaceRouteTableAssociation" in operations and "DisassociateRouteTable" not in operations


def test_a_subnet_that_is_not_wanted_goes_back_to_the_main_table(keep: Run, network: Network) -> None:
    keep(table("a", network.subnets, {}))
    assert keep(table("a", network.subnets[:1], {}))["changed"]
    assert network.tables()["cars-prod-a"]["subnets"] == network.subnets[:1]


def test_tables_that_are_not_listed_are_left_alone(keep: Run, network: Network) -> None:
    keep(table("a", network.subnets[:1], {ANYWHERE: network.internet}), table("b", network.subnets[1:], {}))
    before = network.tables()
    assert not keep(table("b", network.subnets[1:], {}))["changed"]
    assert network.tables() == before


def test_tags_are_kept(keep: Run, network: Network) -> None:
    table_id = keep(table("a", network.subnets[:1], {}))["route_table_ids"]["a"]
    network.ec2.delete_tags(Resources=[table_id], Tags=[{"Key": "vahana:env"}])
    assert keep(table("a", network.subnets[:1], {}), check=True)["changed"]
    assert keep(table("a", network.subnets[:1], {}))["changed"]
    [found] = network.ec2.describe_route_tables(RouteTableIds=[table_id])["RouteTables"]
    assert {tag["Key"]: tag["Value"] for tag in found["Tags"]} == {"Name": "cars-prod-a", "vahana:env": "prod"}


def test_the_routes_of_gateway_endpoints_are_left_alone(keep: Run, network: Network) -> None:
    wanted = table("a", network.subnets[:1], {})
    table_id = keep(wanted)["route_table_ids"]["a"]
    network.ec2.create_vpc_endpoint(
        VpcId=network.vpc, ServiceName="com.amazonaws.us-east-1.s3", RouteTableIds=[table_id]
    )
    assert not keep(wanted)["changed"]


def test_refuses_a_target_it_does_not_know(keep: Run, network: Network, calls: list[tuple[str, str, str]]) -> None:
    calls.clear()
    result = keep(table("a", network.subnets[:1], {ANYWHERE: "eni-0a1b2c3d"}))
    assert result["failed"] and "'eni-0a1b2c3d' is neither" in result["msg"] and not calls
    assert "route table a" in result["msg"]


def test_refuses_a_range_that_is_none(keep: Run, network: Network) -> None:
    result = keep(table("a", network.subnets[:1], {"10.0.0/8": network.internet}))
    assert result["failed"] and "route table a, route 10.0.0/8: " in result["msg"] and not network.tables()


def test_minds_two_tables_of_one_name_only_where_the_name_is_asked_for(keep: Run, network: Network) -> None:
    for _twin in range(2):
        made = network.ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
        network.ec2.create_tags(Resources=[made], Tags=[{"Key": "Name", "Value": "cars-prod-b"}])
    assert keep(table("a", network.subnets[:1], {}))["changed"]
    result = keep(table("b", network.subnets[1:], {}))
    assert result["failed"] and "two route tables of the name cars-prod-b" in result["msg"]
