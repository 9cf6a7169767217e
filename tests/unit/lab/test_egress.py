"""NAT gateways and flow logs: found by their tags, and gone when they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab import times

TAGS = [{"Key": "vahana:app", "Value": "trial"}]
Client = Callable[[str], Any]


@pytest.fixture
def subnet(client: Client) -> str:
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.91.0.0/16")["Vpc"]["VpcId"]
    return str(ec2.create_subnet(VpcId=vpc, CidrBlock="10.91.0.0/24")["Subnet"]["SubnetId"])


def make(ec2: Any, subnet: str, tags: list[dict[str, str]]) -> tuple[str, str]:
    """Make a NAT gateway; return its id and that of its address."""
    allocation = ec2.allocate_address(Domain="vpc")["AllocationId"]
    gateway = ec2.create_nat_gateway(
        SubnetId=subnet, AllocationId=allocation, TagSpecifications=[{"ResourceType": "natgateway", "Tags": tags}]
    )
    return gateway["NatGateway"]["NatGatewayId"], allocation


def test_a_nat_gateway_is_found_by_its_tags(client: Client, subnet: str) -> None:
    ec2 = client("ec2")
    ours, _ = make(ec2, subnet, TAGS)
    make(ec2, subnet, [{"Key": "vahana:app", "Value": "other"}])
    found = ec2.describe_nat_gateways(Filters=[{"Name": "tag:vahana:app", "Values": ["trial"]}])["NatGateways"]
    assert [item["NatGatewayId"] for item in found] == [ours]
    assert found[0]["State"] == "available"


def test_its_address_is_free_only_when_it_is_gone(client: Client, subnet: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ec2 = client("ec2")
    gateway, allocation = make(ec2, subnet, TAGS)
    with pytest.raises(ClientError, match="in use"):
        ec2.release_address(AllocationId=allocation)
    interfaces = len(ec2.describe_network_interfaces()["NetworkInterfaces"])
    monkeypatch.setattr(times, "_scale", 1.0)
    ec2.delete_nat_gateway(NatGatewayId=gateway)
    assert ec2.describe_nat_gateways(NatGatewayIds=[gateway])["NatGateways"][0]["State"] == "deleting"
    with pytest.raises(ClientError, match="in use"):
        ec2.release_address(AllocationId=allocation)
    monkeypatch.setitem(times.TIMES, "NAT gateway delete", times.Duration(0, "at once"))
    assert ec2.describe_nat_gateways(NatGatewayIds=[gateway])["NatGateways"][0]["State"] == "deleted"
    with pytest.raises(ClientError, match="AuthFailure"):
        ec2.release_address(AllocationId=allocation)
    monkeypatch.setattr(times, "_scale", 0.0)
    ec2.release_address(AllocationId=allocation)
    assert len(ec2.describe_network_interfaces()["NetworkInterfaces"]) == interfaces - 1


def test_the_tagging_api_names_what_is_there_as_arns_do(client: Client, subnet: str) -> None:
    ec2 = client("ec2")
    vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    gateway, _ = make(ec2, subnet, TAGS)
    client("s3").create_bucket(Bucket="trial-logs")
    [flow_log] = ec2.create_flow_logs(
        ResourceType="VPC",
        ResourceIds=[vpc],
        TrafficType="ALL",
        LogDestinationType="s3",
        LogDestination="arn:aws:s3:::trial-logs/flow-logs",
        TagSpecifications=[{"ResourceType": "vpc-flow-log", "Tags": TAGS}],
    )["FlowLogIds"]

    def named() -> set[str]:
        asked = [{"Key": "vahana:app", "Values": ["trial"]}]
        found = client("resourcegroupstaggingapi").get_resources(TagFilters=asked)["ResourceTagMappingList"]
        return {item["ResourceARN"].partition("123456789012:")[2] for item in found}

    assert named() == {f"natgateway/{gateway}", f"vpc-flow-log/{flow_log}"}
    ec2.delete_nat_gateway(NatGatewayId=gateway)
    assert named() == {f"vpc-flow-log/{flow_log}"}
