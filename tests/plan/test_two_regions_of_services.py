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


def _cars(account: Account, region: str, cluster: str) -> dict[str, Any]:
    """Return how the container of a service is defined."""
    tasks = account.client("ecs", region)
    [service] = tasks.describe_services(cluster=cluster, services=["cars"])["services"]
    definition = tasks.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    return dict(definition["containerDefinitions"][0])


def _database_of_cars(container: dict[str, Any]) -> str:
    environment = {each["name"]: each["value"] for each in container["environment"]}
    return str(environment["DATABASE_URL"].partition("//")[2].partition(".")[0])


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
    container = _cars(account, ABROAD, THERE)
    assert _database_of_cars(container) == THERE
    assert f"{THERE}/cars@sha256:" in container["image"]


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


def _promote(account: Account, region: str, name: str) -> None:
    account.client("rds", region).promote_read_replica(DBInstanceIdentifier=name)


def _follows(account: Account) -> dict[str, str]:
    """By name, which database each follows; those that nobody uses any more are in brackets."""
    return {
        f"({name})" if any(tag["Key"] == "vahana:kept" for tag in each["TagList"]) else name: each.get(
            "ReadReplicaSourceDBInstanceIdentifier", ""
        ).rpartition(":")[2]
        for name, each in _databases(account).items()
    }


def _leads_to(account: Account) -> str:
    """Return the region that the records lead to while it is healthy."""
    route53 = account.client("route53")
    # The services have private ones.
    [zone] = [each for each in route53.list_hosted_zones()["HostedZones"] if each["Name"] == "cars.example.com."]
    sets = route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    [first] = [each["SetIdentifier"] for each in sets if each.get("Failover") == "PRIMARY"]
    return str(first)


def _snapshots_of_the_end(account: Account) -> int:
    """Destroy the environment, see that nothing is left in either region, and return how many databases were saved."""
    gone = account.play("microservices", "-e", f"confirm={NAME}", playbook="playbooks/destroy.yml")
    assert gone.code == 0, gone.output[-4000:]
    assert f"{THERE}: nothing is left" in gone.output
    assert f"{NAME}: nothing is left" in gone.output
    assert _databases(account) == {}
    saved = 0
    for region in ("us-east-1", ABROAD):
        assert account.client("elbv2", region).describe_load_balancers()["LoadBalancers"] == []
        ecs = account.client("ecs", region)
        clusters = ecs.describe_clusters(clusters=ecs.list_clusters()["clusterArns"])["clusters"]
        assert {each["status"] for each in clusters} <= {"INACTIVE"}
        assert account.client("ecr", region).describe_repositories()["repositories"] == []
        assert account.client("acm", region).list_certificates()["CertificateSummaryList"] == []
        assert account.client("elasticache", region).describe_replication_groups()["ReplicationGroups"] == []
        gateways = account.client("ec2", region).describe_nat_gateways(
            Filters=[{"Name": "state", "Values": ["available"]}]
        )
        assert gateways["NatGateways"] == []
        saved += len(account.client("rds", region).describe_db_snapshots(SnapshotType="manual")["DBSnapshots"])
    return saved


def test_the_way_there_and_back(both: Account) -> None:
    """Whoever is promoted takes the writes; the other region stands by from the next run on, its database is kept."""
    _promote(both, ABROAD, THERE)
    # A part of the run alone leads nobody to the first region's database, and knows nothing of one that is not there.
    for part in ("dns", "containers"):
        assert both.play("microservices", "--tags", part).changed == set(), part
    planned = prove(both, "microservices")
    assert {(role, item.endswith(f" in {ABROAD}")) for role, _task, item in planned.changed} == {
        ("database", True),
        ("database", False),
        ("containers", False),
        ("monitoring", True),
        ("monitoring", False),
        ("dns", False),
    }
    [standby] = set(_databases(both)) - {NAME, THERE}
    assert standby.startswith(f"{NAME}-standby-")
    assert _follows(both) == {f"({NAME})": "", THERE: "", standby: THERE}
    promoted = _databases(both)[THERE]
    assert (promoted["MultiAZ"], promoted["BackupRetentionPeriod"]) == (True, 7)
    assert _leads_to(both) == ABROAD
    assert _database_of_cars(_cars(both, "us-east-1", NAME)) == standby
    assert _database_of_cars(_cars(both, ABROAD, THERE)) == THERE

    _promote(both, "us-east-1", standby)
    prove(both, "microservices")
    [again] = set(_databases(both)) - {NAME, THERE, standby}
    assert again.startswith(f"{THERE}-standby-")
    assert _follows(both) == {f"({NAME})": "", f"({THERE})": "", standby: "", again: standby}
    assert _leads_to(both) == "us-east-1"
    assert _database_of_cars(_cars(both, ABROAD, THERE)) == again
    # What was kept goes with what is in use, and is saved like that.
    assert _snapshots_of_the_end(both) == 3


def test_a_standby_that_was_begun(both: Account) -> None:
    """A run that was killed after it had begun to follow goes on with what it has begun."""
    _promote(both, ABROAD, THERE)
    killed = both.play("microservices", stop_after=2)
    assert [entry["role"] for entry in killed.entries] == ["database", "database"]
    prove(both, "microservices")
    [standby] = set(_databases(both)) - {NAME, THERE}
    assert _follows(both) == {f"({NAME})": "", THERE: "", standby: THERE}
    # The database that takes the writes is saved, so is the one that was kept, and not the one that follows.
    assert _snapshots_of_the_end(both) == 2


def test_all_of_it_goes(both: Account) -> None:
    """In both regions, the replica before what it follows, which is saved: a replica has nothing of its own."""
    assert _snapshots_of_the_end(both) == 1


def test_the_way_of_a_run_that_was_killed(account: Account) -> None:
    """Ended while it made the further region."""
    account.load("empty")
    account.play("microservices", *GIVEN, stop_after=120)
    compare(account, "microservices", *GIVEN)
