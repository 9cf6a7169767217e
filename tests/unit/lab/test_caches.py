"""Caches: nodes that run, a lost primary whose place is taken, names that lead to who is written to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lab import losses, names, settings
from lab.moto_patches import elasticache
from lab.reconcilers import caches

pytestmark = pytest.mark.usefixtures("lab_account")
TOKEN = "0123456789abcdef"
NAME = "trial"


class Nodes:
    """What runs, in place of podman and of Valkey."""

    def __init__(self) -> None:
        self.running: dict[str, str] = {}
        self.told: list[tuple[str, ...]] = []

    def run(self, name: str, *_: Any, address: str, **__: Any) -> None:
        self.running[name] = address

    def rm(self, name: str) -> None:
        self.running.pop(name, None)

    def ask(self, where: str, _port: int, _password: str, *words: str) -> bytes:
        if where not in self.running.values():
            raise ConnectionRefusedError
        if words != ("PING",):
            self.told.append((where, *words))
        return b"+PONG"


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Nodes:
    found = Nodes()
    monkeypatch.setenv("VAHANA_LAB_HOME", str(tmp_path))
    monkeypatch.setattr(settings, "runtime", lambda: tmp_path / "run")
    for name in ("run", "rm"):
        monkeypatch.setattr(caches.podman, name, getattr(found, name))
    monkeypatch.setattr(caches.podman, "containers", lambda _labels: list(found.running))
    monkeypatch.setattr(caches, "ask", found.ask)
    return found


@pytest.fixture
def reconciler(nodes: Nodes) -> Any:
    made = caches.Caches()
    yield made
    made.close()


def create(**more: Any) -> dict[str, Any]:
    """A replication group in a subnet group of its own."""
    ec2, cache = boto3.client("ec2"), boto3.client("elasticache")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24")["Subnet"]["SubnetId"] for number in (1, 2)]
    cache.create_cache_subnet_group(CacheSubnetGroupName=NAME, CacheSubnetGroupDescription="trial", SubnetIds=subnets)
    arguments = {
        "ReplicationGroupId": NAME,
        "ReplicationGroupDescription": "trial",
        "Engine": "valkey",
        "CacheNodeType": "cache.t3.micro",
        "CacheSubnetGroupName": NAME,
        "TransitEncryptionEnabled": True,
        "AuthToken": TOKEN,
        **more,
    }
    return dict(cache.create_replication_group(**arguments)["ReplicationGroup"])


def found() -> dict[str, Any]:
    return dict(
        boto3.client("elasticache").describe_replication_groups(ReplicationGroupId=NAME)["ReplicationGroups"][0]
    )


def addresses() -> dict[str, str]:
    """Address of each endpoint."""
    (shard,) = found()["NodeGroups"]
    names_of = {"primary": shard["PrimaryEndpoint"], "readers": shard["ReaderEndpoint"]}
    return {kind: " ".join(names.addresses(endpoint["Address"])) for kind, endpoint in names_of.items()}


def test_a_group_is_available_when_its_nodes_answer(nodes: Nodes, reconciler: Any) -> None:
    assert create(NumCacheClusters=2, AutomaticFailoverEnabled=True)["Status"] == "creating"
    assert not found()["NodeGroups"][0].get("PrimaryEndpoint")
    reconciler.reconcile()
    assert found()["Status"] == "available" and len(nodes.running) == 2
    first, second = (nodes.running[settings.cache_name(f"{NAME}-00{number}")] for number in (1, 2))
    assert addresses() == {"primary": first, "readers": second}
    assert (first.rpartition(".")[0], second.rpartition(".")[0]) == ("10.9.1", "10.9.2"), "one in each zone"
    assert nodes.told == [(first, "REPLICAOF", "NO", "ONE"), (second, "REPLICAOF", first, "6379")]


def test_a_replica_takes_the_place_of_a_lost_primary(nodes: Nodes, reconciler: Any) -> None:
    create(NumCacheClusters=2, AutomaticFailoverEnabled=True)
    reconciler.reconcile()
    lost = settings.cache_name(f"{NAME}-001")
    second = nodes.running[settings.cache_name(f"{NAME}-002")]
    losses.hold(lost, 60)
    first = nodes.running.pop(lost)
    nodes.told.clear()
    reconciler.reconcile()
    assert nodes.told == [(second, "REPLICAOF", "NO", "ONE")]
    assert addresses()["primary"] == second and lost not in nodes.running
    losses.hold(lost, -1)
    reconciler.reconcile()
    assert nodes.running[lost] == first
    text = (settings.home() / "caches" / "us-east-1" / NAME / "1" / "valkey.conf").read_text()
    assert f"replicaof {second} 6379" in text, "it comes back as a replica"


def test_without_failover_the_node_comes_back(nodes: Nodes, reconciler: Any) -> None:
    create()
    reconciler.reconcile()
    before = dict(nodes.running)
    nodes.running.clear()
    reconciler.reconcile()
    assert nodes.running == before


def test_what_is_deleted_is_gone(nodes: Nodes, reconciler: Any) -> None:
    create()
    reconciler.reconcile()
    cache = boto3.client("elasticache")
    cache.delete_replication_group(ReplicationGroupId=NAME)
    with pytest.raises(ClientError, match="currently in use"):
        cache.delete_cache_subnet_group(CacheSubnetGroupName=NAME)
    reconciler.reconcile()
    assert nodes.running == {} and not (settings.home() / "caches" / "us-east-1" / NAME).exists()
    cache.delete_cache_subnet_group(CacheSubnetGroupName=NAME)
    assert boto3.client("ec2").describe_network_interfaces()["NetworkInterfaces"] == []
    with pytest.raises(ClientError, match="not found"):
        found()


def test_the_configuration_asks_for_tls_and_the_token() -> None:
    create()
    (group,) = (group for _backend, group in elasticache.groups())
    text = caches.configuration(group, "own", None)
    assert "port 0\n" in text and "tls-port 6379" in text and "replicaof" not in text.split("user default")[0]
    assert f"user default on >{TOKEN} ~* &* +@all -acl" in text and "-config" in text


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"AuthToken": "short"}, "InvalidParameterValue"),
        ({"AuthToken": "0123456789_abcdef"}, "InvalidParameterValue"),
        ({"TransitEncryptionEnabled": False}, "InvalidParameterCombination"),
        ({"EngineVersion": "9.0"}, "InvalidParameterValue"),
        ({"AutomaticFailoverEnabled": True}, "InvalidParameterValue"),
        ({"CacheSubnetGroupName": "none"}, "CacheSubnetGroupNotFoundFault"),
    ],
)
def test_what_aws_refuses_is_refused(arguments: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as refused:
        create(**arguments)
    assert refused.value.response["Error"]["Code"] == code
