"""What databases and caches say of themselves becomes RDS's and ElastiCache's metrics."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from moto.cloudwatch.models import cloudwatch_backends
from moto.route53.models import route53_backends

from lab import data_metrics, health, settings
from lab.moto_patches import elasticache
from lab.reconcilers import caches, databases, measurements

INFO = """# Memory
used_memory:{used}
used_memory_human:16.00M
maxmemory:67108864
# Clients
connected_clients:3
# Stats
keyspace_hits:{hits}
keyspace_misses:2
evicted_keys:{evicted}
mem_fragmentation_ratio:1.25
db0:keys=7,expires=7,avg_ttl=1000
"""


def test_what_a_database_takes(tmp_path: Path) -> None:
    assert data_metrics.used_bytes(tmp_path / "none") == 0
    (tmp_path / "base/1").mkdir(parents=True)
    (tmp_path / "base/1/a").write_bytes(b"x" * 1000)
    (tmp_path / "b").write_bytes(b"x" * 24)
    (tmp_path / "c").symlink_to(tmp_path / "base/1/a")
    taken = (tmp_path / "c").lstat().st_size
    assert data_metrics.used_bytes(tmp_path) == 1024 + taken


@pytest.mark.parametrize(
    ("answer", "lag"),
    [("12.5|t\n", 12.5), ("0|t\n", 0), ("301.5|t\n", 1.5), ("301.5|f\n", 301.5), ("86400|f\n", 86400)],
)
def test_a_replica_that_has_everything_is_never_far_behind(answer: str, lag: float) -> None:
    assert data_metrics.replica_lag(answer) == lag


def test_what_a_cache_says() -> None:
    values = data_metrics.information(INFO.format(used=16777216, hits=5, evicted=0))
    assert values["mem_fragmentation_ratio"] == 1.25
    assert "db0" not in values
    assert data_metrics.of_cache(values) == {
        "BytesUsedForCache": 16777216,
        "DatabaseMemoryUsagePercentage": 25,
        "CurrConnections": 3,
    }


@pytest.fixture
def data(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database with a replica and a cache of two nodes, as the API knows them; nothing of them runs."""
    monkeypatch.setenv("VAHANA_LAB_HOME", str(tmp_path))
    ec2, rds, cache = (client(name) for name in ("ec2", "rds", "elasticache"))
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for n, zone in enumerate("ab")
    ]
    rds.create_db_subnet_group(DBSubnetGroupName="d", DBSubnetGroupDescription="d", SubnetIds=subnets)
    rds.create_db_instance(
        DBInstanceIdentifier="d",
        DBInstanceClass="db.t3.small",
        Engine="postgres",
        EngineVersion="17",
        AllocatedStorage=20,
        MasterUsername="a",
        MasterUserPassword="a-password-of-some-length",
        DBSubnetGroupName="d",
        BackupRetentionPeriod=1,
    )
    [(_, source)] = databases.databases()
    source.status = "available"
    rds.create_db_instance_read_replica(DBInstanceIdentifier="r", SourceDBInstanceIdentifier="d")
    for _, each in databases.databases():
        each.status = "available"
    cache.create_cache_subnet_group(CacheSubnetGroupName="c", CacheSubnetGroupDescription="c", SubnetIds=subnets)
    cache.create_replication_group(
        ReplicationGroupId="c",
        ReplicationGroupDescription="c",
        Engine="valkey",
        EngineVersion="8.0",
        CacheNodeType="cache.t3.micro",
        NumCacheClusters=2,
        AutomaticFailoverEnabled=True,
        CacheSubnetGroupName="c",
        TransitEncryptionEnabled=True,
        AtRestEncryptionEnabled=True,
        AuthToken="0123456789abcdef",
    )
    for backend, group in elasticache.groups():
        for number in (1, 2):
            caches.ensure_interface(backend, group, number)
        group.status = "available"
    monkeypatch.setattr(measurements.metrics.CpuMeter, "percent_of", lambda *_: None)
    monkeypatch.setattr(measurements.Measurements, "_clients", lambda *_: None)


def values(name: str) -> dict[tuple[str, ...], float]:
    """Return the newest value of a metric by its dimensions' values."""
    data = cloudwatch_backends[settings.ACCOUNT_ID]["us-east-1"].metric_data
    return {tuple(each.value for each in datum.dimensions): datum.value for datum in data if datum.name == name}


def test_metrics_of_databases_and_caches(data: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for _, database in databases.databases():
        folder = databases.directory_of(database) / "data"
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"x" * 4096)
    told = {"used": 33554432, "hits": 5, "evicted": 10}
    asked: list[str] = []

    def run_sql(name: str, statements: str, *_options: str) -> subprocess.CompletedProcess[str]:
        asked.append(name)
        assert statements == data_metrics.LAG
        return subprocess.CompletedProcess([], 0, "42.0|f\n", "")

    monkeypatch.setattr(databases, "run_sql", run_sql)
    monkeypatch.setattr(caches, "ask", lambda *_: INFO.format(**told).encode())
    measured = measurements.Measurements()
    measured.reconcile()
    free = 20 * data_metrics.GIB - 4096
    assert values("FreeStorageSpace") == {("d",): free, ("r",): free}
    assert (values("ReplicaLag"), asked) == ({("r",): 42.0}, [settings.database_name("r")])
    assert values("DatabaseMemoryUsagePercentage") == {("c-001",): 50, ("c-002",): 50}
    # What the counters were at the first look says nothing.
    assert values("Evictions") == {("c-001",): 0, ("c-002",): 0}
    told["evicted"] = 25
    for _ in range(measurements.SAMPLES):
        measured._next = 0
        measured.reconcile()
    assert values("Evictions") == {("c-001",): 15, ("c-002",): 15}
    # Once a minute, however often the rest is looked at.
    assert len(asked) == 2


def test_what_does_not_run_reports_nothing(data: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> bytes:
        raise ConnectionRefusedError

    monkeypatch.setattr(caches, "ask", refuse)
    monkeypatch.setattr(databases, "run_sql", lambda *_: subprocess.CompletedProcess([], 125, "", "no such container"))
    measurements.Measurements().reconcile()
    for name in ("FreeStorageSpace", "ReplicaLag", "Evictions", "CurrConnections"):
        assert values(name) == {}


def test_what_health_checks_have_found_is_a_metric(client: Any) -> None:
    config = {"Type": "HTTPS", "Port": 443, "FullyQualifiedDomainName": "cars.example.com", "ResourcePath": "/"}
    made = [
        client("route53").create_health_check(CallerReference=name, HealthCheckConfig=config)["HealthCheck"]["Id"]
        for name in ("well", "ill")
    ]
    checks = route53_backends[settings.ACCOUNT_ID]["aws"].health_checks
    for _ in range(3):
        health.note(checks[made[1]], passed=False, said="Failure")
    measurements.Measurements().reconcile()
    assert values("HealthCheckStatus") == {(made[0],): 1.0, (made[1],): 0.0}
