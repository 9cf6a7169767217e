"""Names and public entries of an account in this process."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from dnslib import QTYPE, RCODE, DNSRecord
from moto.ec2.models import ec2_backends

from lab import dns, entries, interfaces, names, settings
from lab.reconcilers import load_balancers

REGION = "us-east-1"


def client(service: str) -> Any:
    """A boto3 client of the account."""
    return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]


def zone(**records: str) -> str:
    """A zone example.com with A records; its id."""
    route53 = client("route53")
    made = str(route53.create_hosted_zone(Name="example.com", CallerReference="x")["HostedZone"]["Id"])
    for name, value in records.items():
        kind = "A" if value[0].isdigit() else "CNAME"
        change(made, {"Name": f"{name}.example.com", "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]})
    return made


def change(zone_id: str, record: dict[str, Any]) -> None:
    """Create a record set."""
    changes = [{"Action": "CREATE", "ResourceRecordSet": record}]
    client("route53").change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch={"Changes": changes})


def balancer() -> tuple[dict[str, Any], str]:
    """A load balancer and its address, without the HAProxy."""
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.93.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.93.{number}.0/24", AvailabilityZone=f"{REGION}{letter}")["Subnet"][
            "SubnetId"
        ]
        for number, letter in enumerate("ab")
    ]
    made = client("elbv2").create_load_balancer(Name="trial", Subnets=subnets)["LoadBalancers"][0]
    backend = ec2_backends[settings.ACCOUNT_ID][REGION]
    description = load_balancers.interface_description(made["LoadBalancerArn"])
    interface = interfaces.allocate(backend, backend.get_subnet(subnets[0]), description, [], "amazon-elb")
    return made, interface.private_ip_address


def ask(name: str, kind: str = "A") -> tuple[int, list[str]] | None:
    """Ask the resolver: response code and values, None if it would forward."""
    made = dns.reply(DNSRecord.question(name, kind))
    return None if made is None else (made.header.rcode, [str(record.rdata) for record in made.rr])


def test_what_is_not_the_labs_is_forwarded() -> None:
    assert ask("deb.debian.org") is None


def test_names_of_aws_never_leave() -> None:
    assert ask("s3.us-east-1.amazonaws.com") == (RCODE.NXDOMAIN, [])
    assert ask("d111.cloudfront.net") == (RCODE.NXDOMAIN, [])


def test_private_names() -> None:
    assert ask("ip-10-0-1-5.ec2.internal") == (RCODE.NOERROR, ["10.0.1.5"])
    assert ask("ip-10-0-1-5.eu-west-1.compute.internal") == (RCODE.NOERROR, ["10.0.1.5"])


def test_load_balancer_by_its_name_and_by_an_alias() -> None:
    made, address = balancer()
    assert ask(made["DNSName"]) == (RCODE.NOERROR, [address])
    assert ask(made["DNSName"], "AAAA") == (RCODE.NOERROR, [])
    target = {
        "HostedZoneId": made["CanonicalHostedZoneId"],
        "DNSName": f"dualstack.{made['DNSName']}.",
        "EvaluateTargetHealth": False,
    }
    change(zone(), {"Name": "api.example.com", "Type": "A", "AliasTarget": target})
    assert ask("API.example.com") == (RCODE.NOERROR, [address])


def test_zone_records() -> None:
    zone_id = zone(www="192.0.2.1", old="www.example.com", out="elsewhere.test")
    text = {"Name": "example.com", "Type": "TXT", "TTL": 60, "ResourceRecords": [{"Value": '"v=1"'}]}
    change(zone_id, text)
    change(zone_id, {"Name": "*.any.example.com", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.9"}]})
    assert ask("www.example.com") == (RCODE.NOERROR, ["192.0.2.1"])
    assert ask("old.example.com") == (RCODE.NOERROR, ["www.example.com.", "192.0.2.1"])
    assert ask("out.example.com") == (RCODE.NOERROR, ["elsewhere.test."])
    assert ask("a.b.any.example.com") == (RCODE.NOERROR, ["192.0.2.9"])
    assert ask("example.com", "TXT") == (RCODE.NOERROR, ['"v=1"'])
    assert ask("www.example.com", "MX") == (RCODE.NOERROR, [])
    assert ask("none.example.com") == (RCODE.NXDOMAIN, [])
    assert QTYPE.A == 1


def test_name_servers_without_the_labs_own() -> None:
    text = "search lan\nnameserver 169.254.169.253\nnameserver 192.0.2.53\n# nameserver 1.1.1.1\n"
    assert dns.name_servers(text, "169.254.169.253") == ["192.0.2.53"]


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [("a.example:8080", "a.example", 8080), ("A.example", "a.example", None), ("[::1]:80", "::1", 80), ("", "", None)],
)
def test_host_header(host: str, name: str, port: int | None) -> None:
    assert entries.split_host(host) == (name, port)


def test_entries_by_host() -> None:
    made, _ = balancer()
    known = entries.find_all()
    assert [entry.kind for entry in known] == ["load_balancer"]
    for host in ("127.0.0.1:8080", "localhost", made["DNSName"], "trial.localhost:8080"):
        found = entries.choose(known, host)
        assert isinstance(found, entries.Entry), host
    zone(www=made["DNSName"])
    assert isinstance(entries.choose(known, "www.example.com"), entries.Entry)
    assert entries.choose(known, "unknown.example") == []


def test_several_entries_are_listed() -> None:
    one, two = (entries.Entry("load_balancer", label, (f"{label}.test",), None) for label in ("one", "two"))
    assert entries.choose([one, two], "localhost") == [one, two]
    site = entries.Entry("distribution", "site", ("site.test",), None)
    assert entries.choose([one, two, site], "localhost") is site
    off = entries.Entry("distribution", "off", ("off.test",), None, shown=False)
    assert entries.choose([off, one], "localhost") is one


def test_security_groups_decide_who_comes_in() -> None:
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.93.0.0/16")["Vpc"]["VpcId"]
    group_id = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
    groups = [ec2_backends[settings.ACCOUNT_ID][REGION].get_security_group_from_id(group_id)]

    def allow(port: int, **source: Any) -> None:
        rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **source}
        ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[rule])

    assert not entries.admits(groups, 80)
    allow(80, IpRanges=[{"CidrIp": "10.0.0.0/8"}])
    assert not entries.admits(groups, 80)
    lists = ec2.describe_managed_prefix_lists()["PrefixLists"]
    prefix_list = next(each for each in lists if each["PrefixListName"] == entries.CLOUDFRONT_PREFIX_LIST)
    allow(80, PrefixListIds=[{"PrefixListId": prefix_list["PrefixListId"]}])
    assert not entries.admits(groups, 80)
    assert entries.admits(groups, 80, cloudfront=True)
    allow(443, IpRanges=[{"CidrIp": "0.0.0.0/0"}])
    assert entries.admits(groups, 443)


def test_public_addresses_cannot_leave_the_machine() -> None:
    address = client("ec2").allocate_address(Domain="vpc")["PublicIp"]
    assert address.startswith("127.")
    assert 64 <= int(address.split(".")[1]) <= 127
    assert names.private_addresses(address) == []
