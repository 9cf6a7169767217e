"""Security groups: the set of a VPC, whose rules name each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from plugins.modules import ec2_security_groups as groups_module

Run = Callable[..., dict[str, Any]]
Calls = list[tuple[str, str, str]]

TAGS = {"vahana:app": "cars", "vahana:env": "prod"}
EVERYBODY = "0.0.0.0/0"


def rule(*ports: int | str, **peer: Any) -> dict[str, Any]:
    return {"ports": list(ports), **peer}


def balancer(**changes: Any) -> dict[str, Any]:
    return {
        "key": "load_balancer",
        "description": "Load balancer",
        "inbound": [rule(80, 443, cidrs=[EVERYBODY], description="Visitors")],
        "outbound": [rule(3000, group="backend", description="Requests")],
        **changes,
    }


def backend(**changes: Any) -> dict[str, Any]:
    return {
        "key": "backend",
        "description": "Backend",
        "inbound": [rule(3000, group="load_balancer", description="Load balancer")],
        "outbound": [],
        **changes,
    }


@pytest.fixture
def vpc() -> str:
    return str(boto3.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"])


@pytest.fixture
def keep(run_module: Run, vpc: str) -> Run:
    def run(*groups: dict[str, Any], **arguments: Any) -> dict[str, Any]:
        defaults = {"name": "cars-prod", "vpc_id": vpc, "tags": TAGS}
        return run_module(groups_module, groups=list(groups), **{**defaults, **arguments})

    return run


def names(vpc: str) -> list[str]:
    found = boto3.client("ec2").describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    return sorted(item["GroupName"] for item in found["SecurityGroups"])


def group(group_id: str) -> dict[str, Any]:
    return dict(boto3.client("ec2").describe_security_groups(GroupIds=[group_id])["SecurityGroups"][0])


def test_makes_groups_that_name_each_other(keep: Run, vpc: str) -> None:
    planned = keep(balancer(), backend(), check=True)
    assert planned["changed"] and not planned["security_group_ids"] and names(vpc) == ["default"]
    assert planned["diff"]["after"]["backend"] == {
        "inbound": {"tcp 3000 cars-prod-load-balancer": "Load balancer"},
        "outbound": {},
    }
    made = keep(balancer(), backend())
    assert names(vpc) == ["cars-prod-backend", "cars-prod-load-balancer", "default"]
    ids = made["security_group_ids"]
    there = group(ids["load_balancer"])
    assert {permission["FromPort"] for permission in there["IpPermissions"]} == {80, 443}
    [out] = there["IpPermissionsEgress"]
    assert out["UserIdGroupPairs"][0]["GroupId"] == ids["backend"] and not out["IpRanges"]
    # AWS gives each new group a rule that lets everything out.
    assert group(ids["backend"])["IpPermissionsEgress"] == []
    assert {tag["Key"]: tag["Value"] for tag in there["Tags"]} == {**TAGS, "Name": "cars-prod-load-balancer"}


def test_a_second_run_reads_once_and_changes_nothing(keep: Run, calls: Calls) -> None:
    first = keep(balancer(), backend())
    calls.clear()
    second = keep(balancer(), backend())
    assert not second["changed"] and second["security_group_ids"] == first["security_group_ids"]
    assert [operation for _region, operation, _key in calls] == ["DescribeSecurityGroups"]


def test_new_rules_come_before_old_ones_go(keep: Run, calls: Calls) -> None:
    ids = keep(balancer(), backend())["security_group_ids"]
    calls.clear()
    wider = balancer(inbound=[rule(443, "8000-8010", cidrs=["198.51.100.0/24", "2001:db8::/32"])])
    assert keep(wider, backend())["changed"] and not keep(wider, backend())["changed"]
    there = {
        (permission["FromPort"], permission["ToPort"], *(peer["CidrIp"] for peer in permission["IpRanges"]))
        for permission in group(ids["load_balancer"])["IpPermissions"]
    }
    assert there == {(443, 443, "198.51.100.0/24"), (8000, 8010, "198.51.100.0/24")}
    operations = [operation for _region, operation, _key in calls]
    assert operations.index("AuthorizeSecurityGroupIngress") < operations.index("RevokeSecurityGroupIngress")


def test_a_range_is_asked_for_as_aws_keeps_it(keep: Run) -> None:
    office = balancer(inbound=[rule(443, cidrs=["198.51.100.7/24", "198.51.100.0/24"])])
    group_id = keep(office, backend())["security_group_ids"]["load_balancer"]
    [permission] = group(group_id)["IpPermissions"]
    assert [peer["CidrIp"] for peer in permission["IpRanges"]] == ["198.51.100.0/24"]
    assert not keep(office, backend())["changed"]


def refuse(monkeypatch: pytest.MonkeyPatch, refused: str, code: str, times: int = 1) -> None:
    """Let the API refuse an operation for some times."""
    client_class: Any = BaseClient
    call, asked = client_class._make_api_call, []

    def refusing(client: Any, operation: str, parameters: Any) -> Any:
        if operation == refused:
            asked.append(operation)
            if len(asked) <= times:
                raise ClientError({"Error": {"Code": code, "Message": code}}, operation)
        return call(client, operation, parameters)

    monkeypatch.setattr(client_class, "_make_api_call", refusing)


def test_without_room_for_both_old_rules_go_first(keep: Run, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    group_id = keep(balancer(), backend())["security_group_ids"]["load_balancer"]
    refuse(monkeypatch, "AuthorizeSecurityGroupIngress", "RulesPerSecurityGroupLimitExceeded")
    calls.clear()
    other = balancer(inbound=[rule(443, cidrs=["198.51.100.0/24"])])
    assert keep(other, backend())["changed"]
    operations = [operation for _region, operation, _key in calls]
    assert operations.index("RevokeSecurityGroupIngress") < operations.index("AuthorizeSecurityGroupIngress")
    assert [each["FromPort"] for each in group(group_id)["IpPermissions"]] == [443]


def test_more_rules_than_a_group_may_have_fail(keep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(balancer(inbound=[]), backend())
    refuse(monkeypatch, "AuthorizeSecurityGroupIngress", "RulesPerSecurityGroupLimitExceeded", times=9)
    assert "RulesPerSecurityGroupLimitExceeded" in keep(balancer(), backend())["msg"]


def test_absent_takes_what_is_gone_for_done(keep: Run, vpc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(balancer(), backend())
    refuse(monkeypatch, "DeleteSecurityGroup", "InvalidGroup.NotFound")
    assert keep(state="absent")["changed"]
    assert len(names(vpc)) == 2


def test_a_rule_that_somebody_added_or_took_is_undone(keep: Run) -> None:
    ids = keep(balancer(), backend())["security_group_ids"]
    ec2 = boto3.client("ec2")
    ec2.authorize_security_group_ingress(
        GroupId=ids["backend"], IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp=EVERYBODY
    )
    ec2.revoke_security_group_egress(
        GroupId=ids["load_balancer"], IpPermissions=group(ids["load_balancer"])["IpPermissionsEgress"]
    )
    planned = keep(balancer(), backend(), check=True)
    assert planned["diff"]["before"]["backend"]["inbound"][f"tcp 22 {EVERYBODY}"] == "(no description)"
    assert keep(balancer(), backend())["changed"] and not keep(balancer(), backend())["changed"]
    assert [permission["FromPort"] for permission in group(ids["backend"])["IpPermissions"]] == [3000]
    assert group(ids["load_balancer"])["IpPermissionsEgress"][0]["FromPort"] == 3000


def test_a_description_is_changed_without_taking_the_rule_away(keep: Run, calls: Calls) -> None:
    ids = keep(balancer(), backend())["security_group_ids"]
    calls.clear()
    visitors = balancer(inbound=[rule(80, 443, cidrs=[EVERYBODY], description="The world")])
    assert keep(visitors, backend())["changed"]
    assert not [operation for _region, operation, _key in calls if operation.startswith(("Revoke", "Authorize"))]
    said = {peer["Description"] for each in group(ids["load_balancer"])["IpPermissions"] for peer in each["IpRanges"]}
    assert said == {"The world"}


def test_tags_are_kept(keep: Run) -> None:
    backend_id = keep(balancer(), backend())["security_group_ids"]["backend"]
    boto3.client("ec2").delete_tags(Resources=[backend_id], Tags=[{"Key": "vahana:env"}])
    assert keep(balancer(), backend())["changed"]
    assert {tag["Key"]: tag["Value"] for tag in group(backend_id)["Tags"]} == {**TAGS, "Name": "cars-prod-backend"}


def test_a_group_that_is_off_is_neither_made_nor_deleted(keep: Run, vpc: str) -> None:
    cache = {"key": "cache", "description": "Cache", "inbound": [rule(6379, group="backend")], "outbound": []}
    keep(balancer(), backend(), {**cache, "enabled": False})
    assert "cars-prod-cache" not in names(vpc)
    keep(balancer(), backend(), cache)
    result = keep(balancer(), backend(), {**cache, "enabled": False})
    assert not result["changed"] and "cache" not in result["security_group_ids"] and "cars-prod-cache" in names(vpc)


def test_what_a_run_left_half_made_is_completed(keep: Run, vpc: str) -> None:
    boto3.client("ec2").create_security_group(VpcId=vpc, GroupName="cars-prod-backend", Description="Backend")
    planned = keep(balancer(), backend(), check=True)
    assert set(planned["security_group_ids"]) == {"backend"}
    assert planned["diff"]["before"] == {
        "backend": {
            "inbound": {},
            "outbound": {f"all {EVERYBODY}": "(no description)"},
        }
    }
    ids = keep(balancer(), backend())["security_group_ids"]
    assert group(ids["backend"])["IpPermissions"][0]["UserIdGroupPairs"][0]["GroupId"] == ids["load_balancer"]
    assert not keep(balancer(), backend())["changed"]


def test_absent_deletes_ours_and_nobody_else_s(keep: Run, vpc: str, calls: Calls) -> None:
    ec2 = boto3.client("ec2")
    ec2.create_security_group(VpcId=vpc, GroupName="cars-prod-theirs", Description="Theirs")
    keep(balancer(), backend())
    planned = keep(state="absent", check=True)
    assert planned["changed"] and len(names(vpc)) == 4
    assert keep(state="absent")["changed"]
    assert names(vpc) == ["cars-prod-theirs", "default"]
    assert not keep(state="absent")["changed"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (rule(80, group="bastion"), "backend, inbound: a rule names the group 'bastion', which is none of"),
        (rule(80), "backend, inbound: a rule has none of cidrs, group and prefix_list"),
        (rule(cidrs=[EVERYBODY]), "backend, inbound: a rule for tcp has no ports"),
        (rule(80, cidrs=["198.51.100.0/33"]), "backend, inbound: '198.51.100.0/33' is no address range"),
        (rule("http", cidrs=[EVERYBODY]), "backend, inbound: 'http' is neither a port nor a range"),
    ],
)
def test_bad_rules_are_refused_before_the_first_call(keep: Run, calls: Calls, wrong: dict[str, Any], said: str) -> None:
    calls.clear()
    result = keep(balancer(), backend(inbound=[wrong]))
    assert result["failed"] and said in result["msg"] and not calls


def test_a_group_that_aws_does_not_show_yet_is_waited_for(keep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    read, looks = groups_module.VpcParts.read, []

    def late(groups: Any, field: str, values: list[str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = read(groups, field, values)
        looks.append(field)
        if looks.count("group-id") == 1:
            return [{**each, "IpPermissionsEgress": []} for each in found]
        return found

    monkeypatch.setattr(groups_module.VpcParts, "read", late)
    monkeypatch.setattr(groups_module.VpcParts, "poll", 0.01)
    ids = keep(balancer(), backend())["security_group_ids"]
    assert looks == ["vpc-id", "group-id", "group-id"]
    assert group(ids["backend"])["IpPermissionsEgress"] == []


def test_a_group_that_aws_never_shows_fails_with_what_to_do(keep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    read = groups_module.VpcParts.read
    monkeypatch.setattr(
        groups_module.VpcParts,
        "read",
        lambda groups, field, values: read(groups, field, values) if field == "vpc-id" else [],
    )
    monkeypatch.setattr(groups_module.VpcParts, "propagation", 0.05)
    monkeypatch.setattr(groups_module.VpcParts, "poll", 0.01)
    result = keep(balancer(), backend())
    assert result["failed"] and "Run it again" in result["msg"]
