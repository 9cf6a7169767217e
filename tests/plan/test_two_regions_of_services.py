"""Services in two regions: what the plan says of both, what it finds in the further one, and that all of it goes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.plan.conftest import Account
from tests.plan.drifts import NAME
from tests.plan.test_plan import compare, plan, prove
from tests.plan.test_two_regions import ABROAD, GIVEN, THERE

pytestmark = pytest.mark.long


@pytest.fixture
def both(account: Account) -> Account:
    """Make the tier in both regions, once."""
    account.finish("microservices", *GIVEN, name="both-of-services")
    return account


def _databases(account: Account) -> dict[str, Any]:
    found = [account.client("rds", region).describe_db_instances()["DBInstances"] for region in ("us-east-1", ABROAD)]
    return {database["DBInstanceIdentifier"]: database for each in found for database in each}


def test_an_empty_account(account: Account) -> None:
    """The plan names every task of the first run, in both regions; later neither they nor the domain need be named."""
    account.load("empty")
    planned = prove(account, "microservices", *GIVEN)
    account.save("both-of-services")
    there = {role for role, _task, item in planned.changed if item.endswith(f" in {ABROAD}")}
    assert there > {
        "identity",
        "network",
        "queue",
        "database",
        "cache",
        "load_balancer",
        "firewall",
        "containers",
        "monitoring",
    }
    assert plan(account, "microservices").changed == set()

    databases = _databases(account)
    assert databases[THERE]["ReadReplicaSourceDBInstanceIdentifier"] == databases[NAME]["DBInstanceArn"]
    assert databases[NAME]["ReadReplicaDBInstanceIdentifiers"] == [databases[THERE]["DBInstanceArn"]]
    for name in ("database", "services/token_keys", "services/service_secret"):
        values = [
            account.client("secretsmanager", region).get_secret_value(SecretId=f"/vahanhelp/{env}/{name}")[
                "SecretString"
            ]
            for region, env in (("us-east-1", "prod"), (ABROAD, f"prod-{ABROAD}"))
        ]
        assert values[0] == values[1], name
    tasks = account.client("ecs", ABROAD)
    services = tasks.describe_services(cluster=THERE, services=["cars"])["services"]
    definition = tasks.describe_task_definition(taskDefinition=services[0]["taskDefinition"])["taskDefinition"]
    environment = {each["name"]: each["value"] for each in definition["containerDefinitions"][0]["environment"]}
    assert f"//{THERE}." in environment["DATABASE_URL"]
    assert f"{THERE}/cars@sha256:" in definition["containerDefinitions"][0]["image"]


def test_drifts_in_the_further_region(both: Account) -> None:
    """Somebody opens the database there, takes a target group's health path, and a service's tasks."""
    rds, elb = both.client("rds", ABROAD), both.client("elbv2", ABROAD)
    rds.modify_db_instance(DBInstanceIdentifier=THERE, DeletionProtection=False)
    [group] = elb.describe_target_groups(Names=[f"{NAME}-cars"])["TargetGroups"]
    elb.modify_target_group(TargetGroupArn=group["TargetGroupArn"], HealthCheckPath="/")
    both.client("ecs", ABROAD).update_service(cluster=THERE, service="auth", healthCheckGracePeriodSeconds=1)
    planned = prove(both, "microservices")
    assert {(role, item.endswith(ABROAD)) for role, _task, item in planned.changed} == {
        ("database", True),
        ("load_balancer", True),
        ("containers", True),
    }


def test_a_promoted_database(both: Account) -> None:
    """It is one of its own from then on: with a standby and backups, and never made a replica again."""
    rds = both.client("rds", ABROAD)
    rds.promote_read_replica(DBInstanceIdentifier=THERE)
    planned = prove(both, "microservices")
    assert {(role, item.endswith(ABROAD)) for role, _task, item in planned.changed} == {("database", True)}
    promoted = _databases(both)[THERE]
    assert "ReadReplicaSourceDBInstanceIdentifier" not in promoted
    assert (promoted["MultiAZ"], promoted["BackupRetentionPeriod"]) == (True, 7)


def test_all_of_it_goes(both: Account) -> None:
    """In both regions, the replica before what it follows."""
    gone = both.play("microservices", "-e", f"confirm={NAME}", playbook="playbooks/destroy.yml")
    assert gone.code == 0, gone.output[-4000:]
    assert f"{THERE}: nothing is left" in gone.output
    assert f"{NAME}: nothing is left" in gone.output
    assert _databases(both) == {}
    for region in ("us-east-1", ABROAD):
        assert both.client("elbv2", region).describe_load_balancers()["LoadBalancers"] == []
        assert both.client("ecs", region).list_clusters()["clusterArns"] == []
        assert both.client("ecr", region).describe_repositories()["repositories"] == []
        assert both.client("acm", region).list_certificates()["CertificateSummaryList"] == []
        assert both.client("elasticache", region).describe_replication_groups()["ReplicationGroups"] == []
        assert (
            both.client("ec2", region).describe_nat_gateways(Filters=[{"Name": "state", "Values": ["available"]}])[
                "NatGateways"
            ]
            == []
        )
    snapshots = both.client("rds").describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    assert len(snapshots) == 1, "the replica has nothing of its own to save"


def test_the_way_of_a_run_that_was_killed(account: Account) -> None:
    """Ended while it made the further region."""
    account.load("empty")
    account.play("microservices", *GIVEN, stop_after=120)
    compare(account, "microservices", *GIVEN)
