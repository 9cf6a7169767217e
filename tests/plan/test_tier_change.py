"""From one tier to another: upwards in place, with everything that is there kept; never downwards."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.plan.conftest import Account
from tests.plan.drifts import ACCOUNT_ID, NAME, PARAMETERS
from tests.plan.test_plan import prove

PLAN = "playbooks/plan.yml"
BUCKET = f"{NAME}-releases-{ACCOUNT_ID}"


def bring(account: Account, tier: str) -> None:
    """Bring the account to a whole tier."""
    if tier in account.saved:
        account.load(tier)
        return
    account.load("empty")
    made = account.play(tier)
    assert made.code == 0, made.output[-4000:]
    account.save(tier)


def kept(account: Account) -> dict[str, Any]:
    """Return what no change of the tier may touch: data, passwords, addresses, hosts."""
    rds, ec2, secrets = (account.client(service) for service in ("rds", "ec2", "secretsmanager"))
    [database] = rds.describe_db_instances(DBInstanceIdentifier=NAME)["DBInstances"]
    instances = [
        instance["InstanceId"]
        for reservation in ec2.describe_instances(
            Filters=[
                {"Name": "tag:vahana:role", "Values": ["backend"]},
                {"Name": "instance-state-name", "Values": ["running"]},
            ]
        )["Reservations"]
        for instance in reservation["Instances"]
    ]
    owned = [{"Name": "tag:vahana:app", "Values": ["vahanhelp"]}]
    return {
        "database": (database["DbiResourceId"], database["Endpoint"]["Address"]),
        "vpc": [each["VpcId"] for each in ec2.describe_vpcs(Filters=owned)["Vpcs"]],
        "load balancer": account.client("elbv2").describe_load_balancers(Names=[NAME])["LoadBalancers"][0]["DNSName"],
        "distribution": account.client("cloudfront").list_distributions()["DistributionList"]["Items"][0]["DomainName"],
        "instances": sorted(instances),
        "passwords": {
            name: secrets.get_secret_value(SecretId=f"{PARAMETERS}/{name}")["VersionId"]
            for name in ("database", "backend")
        },
        "releases": sorted(
            each["Key"] for each in account.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="releases/")["Contents"]
        ),
        "release": account.client("ssm").get_parameter(Name=f"{PARAMETERS}/release")["Parameter"]["Value"],
    }


@pytest.mark.long
def test_from_basic_to_full_in_place(account: Account) -> None:
    """The plan tells all of it, what is there is kept, and what the plan said it costs is what it costs."""
    bring(account, "basic")
    before = kept(account)
    told = account.play("full", "-e", "plan_format=json", playbook=PLAN)
    assert (told.code, told.writes) == (2, []), told.output[-4000:]
    plan = json.loads(told.output[told.output.index("{") :])
    assert {change["layer"] for change in plan["changes"] if change["action"] == "create"} >= {
        *("audit", "cache", "database", "firewall", "functions", "monitoring", "network", "queue", "storage"),
    }
    assert [change for change in plan["changes"] if change["action"] == "delete"] == []
    [database] = [each for each in plan["changes"] if each["kind"] == "database" and each["name"] == NAME]
    assert database["action"] == "change"
    assert {"db_instance_class", "allocated_storage"} <= database["after"].keys()

    prove(account, "full")
    assert kept(account) == before
    again = account.play("full")
    assert again.changed == set()
    now = account.play("full", "-e", "plan_format=json", playbook=PLAN)
    assert json.loads(now.output[now.output.index("{") :])["cost"]["before"] == plan["cost"]["after"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("there", "wanted", "left"), [("full", "basic", "cache: "), ("basic", "minimal", "database: ")]
)
def test_never_to_a_smaller_tier(account: Account, there: str, wanted: str, left: str) -> None:
    """A plan and a run are refused, by name of what would be left, before anything is written."""
    bring(account, there)
    for arguments in ((), ("--check",)):
        refused = account.play(wanted, *arguments)
        assert refused.code != 0
        assert refused.writes == []
        assert f"is of tier {there}, and tier {wanted} has no place for" in refused.output, refused.output
        assert f"  {left}" in refused.output
        assert f"Stay with -e tier={there}" in refused.output


@pytest.mark.long
def test_not_after_a_first_run_that_was_killed_either(account: Account) -> None:
    """What the larger tier has made so far would be left: here the private subnets and the buckets."""
    account.load("empty")
    killed = account.play("full", stop_after=30)
    assert len(killed.entries) == 30
    refused = account.play("basic")
    assert refused.code != 0
    assert refused.writes == []
    assert "has no place for" in refused.output
