"""The cache of tier serverless, from nothing to nothing, left out, added to what is there, and in two regions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.plan.conftest import Account
from tests.plan.drifts import NAME
from tests.plan.test_plan import compare, plan, prove
from tests.plan.test_two_regions import ABROAD, GIVEN, THERE

pytestmark = pytest.mark.long

WITHOUT = ("-e", "api_cache=false")


@pytest.fixture
def cached(account: Account) -> Account:
    """The tier as it is unless told otherwise, made once."""
    account.finish("serverless")
    return account


def network_of(account: Account, name: str, region: str = "us-east-1") -> dict[str, Any]:
    """Return the network of what is behind a function's alias."""
    client = account.client("lambda", region)
    version = client.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    configuration = client.get_function_configuration(FunctionName=name, Qualifier=version)
    found: dict[str, Any] = configuration.get("VpcConfig") or {}
    return found


def groups(account: Account, region: str = "us-east-1") -> dict[str, dict[str, Any]]:
    found = account.client("ec2", region).describe_security_groups()["SecurityGroups"]
    return {each["GroupName"]: each for each in found if each["GroupName"].startswith(NAME)}


def test_from_nothing(account: Account) -> None:
    """The function that answers is in private subnets, and the cache lets in nobody else."""
    account.load("empty")
    planned = prove(account, "serverless")
    account.save("serverless")
    assert {role for role, _task, _item in planned.changed} >= {"identity", "network", "cache", "api"}
    assert plan(account, "serverless").changed == set()
    again = account.play("serverless", "-e", "full=true")
    assert (again.code, again.changed) == (0, set()), again.output[-3000:]
    made = groups(account)
    inside = network_of(account, f"{NAME}-api")
    assert inside["SecurityGroupIds"] == [made[f"{NAME}-backend"]["GroupId"]]
    subnets = account.client("ec2").describe_subnets(SubnetIds=inside["SubnetIds"])["Subnets"]
    assert sorted(each["CidrBlock"] for each in subnets) == ["10.0.3.0/24", "10.0.4.0/24"]
    assert not network_of(account, f"{NAME}-sweep").get("SubnetIds")
    # Nobody reaches the function through the network, and only it reaches the cache.
    assert made[f"{NAME}-backend"]["IpPermissions"] == []
    [rule] = made[f"{NAME}-cache"]["IpPermissions"]
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [made[f"{NAME}-backend"]["GroupId"]]
    endpoints = account.client("ec2").describe_vpc_endpoints()["VpcEndpoints"]
    kinds = {each["ServiceName"].rpartition(".")[2]: each["VpcEndpointType"] for each in endpoints}
    assert kinds == {
        **dict.fromkeys(("secretsmanager", "sqs", "ssm"), "Interface"),
        **dict.fromkeys(("s3", "dynamodb"), "Gateway"),
    }
    assert account.client("ec2").describe_nat_gateways()["NatGateways"] == []
    variables = account.client("lambda").get_function_configuration(FunctionName=f"{NAME}-api")["Environment"]
    secret = account.client("secretsmanager").get_secret_value(SecretId="/vahanhelp/prod/cache")["SecretString"]
    assert json.loads(secret)["password"] not in json.dumps(variables)


def test_an_environment_without_one_gets_one(account: Account) -> None:
    """In place, when it is told; later runs need not say what there is, and none leaves a cache behind."""
    account.load("empty")
    planned = prove(account, "serverless", *WITHOUT)
    assert {role for role, _task, _item in planned.changed}.isdisjoint({"identity", "network", "cache"})
    assert not network_of(account, f"{NAME}-api").get("SubnetIds")
    assert plan(account, "serverless").changed == set()
    again = account.play("serverless")
    assert (again.code, again.changed) == (0, set()), again.output[-3000:]
    prove(account, "serverless", "-e", "api_cache=true")
    assert network_of(account, f"{NAME}-api")["SubnetIds"]
    assert plan(account, "serverless").changed == set()
    refused = account.play("serverless", *WITHOUT)
    assert (refused.code, refused.writes) == (2, []), refused.output[-3000:]
    assert "has a cache, or the network for one, and api_cache is off" in refused.output


def test_a_restore_of_the_table_leaves_the_function_its_cache(cached: Account) -> None:
    """What its role may do there is as before."""
    quick = {"backup_table_margin": 0, "api_move_permission_seconds": 0, "api_move_read_seconds": 0}
    given = ("-e", json.dumps(quick), "-e", "probe=false")
    for playbook in ("backup", "restore"):
        done = cached.play("serverless", *given, playbook=f"playbooks/{playbook}.yml")
        assert done.code == 0, done.output[-4000:]
    assert plan(cached, "serverless").changed == set()


def test_all_of_it_goes(cached: Account) -> None:
    """Also what Lambda holds on to."""
    gone = cached.play("serverless", "-e", f"confirm={NAME}", playbook="playbooks/destroy.yml")
    assert gone.code == 0, gone.output[-4000:]
    assert f"{NAME}: nothing is left" in gone.output
    ec2 = cached.client("ec2")
    assert [vpc for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]] == []
    assert cached.client("elasticache").describe_replication_groups()["ReplicationGroups"] == []


def test_the_way_of_a_run_that_was_killed(account: Account) -> None:
    """Ended while it made the network, which is not left behind either."""
    account.load("empty")
    account.play("serverless", stop_after=25)
    assert [vpc for vpc in account.client("ec2").describe_vpcs()["Vpcs"] if not vpc["IsDefault"]]
    refused = account.play("serverless", *WITHOUT)
    assert (refused.code, refused.writes) == (2, []), refused.output[-3000:]
    compare(account, "serverless")


def test_each_region_has_its_own(account: Account) -> None:
    """Both functions keep what they have found beside them."""
    account.load("empty")
    prove(account, "serverless", *GIVEN)
    for region, name in (("us-east-1", NAME), (ABROAD, THERE)):
        [found] = account.client("elasticache", region).describe_replication_groups()["ReplicationGroups"]
        assert found["ReplicationGroupId"] == name
        assert network_of(account, f"{name}-api", region)["SubnetIds"]
    gone = account.play("serverless", "-e", f"confirm={NAME}", playbook="playbooks/destroy.yml")
    assert gone.code == 0, gone.output[-4000:]
