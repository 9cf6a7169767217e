"""Caches: created with the password of a secret, changed in place, deleted with their subnet group."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from lab.moto_patches import elasticache
from plugins.modules import elasticache_replication_group as cache_module

NAME, SECRET, PASSWORD = "vahanhelp-prod", "/vahanhelp/prod/cache", "a-password-of-24-letters"
TAGS = {"vahana:app": "vahanhelp"}
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def keep(run_module: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(cache_module, "POLL_SECONDS", 0)
    elasticache.apply()
    ec2 = boto3.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24")["Subnet"]["SubnetId"] for number in (1, 2)]
    boto3.client("secretsmanager").create_secret(Name=SECRET, SecretString=json.dumps({"password": PASSWORD}))
    wanted = {
        "name": NAME,
        "description": "Cache",
        "subnet_ids": subnets,
        "security_group_ids": ["sg-1"],
        "secret": SECRET,
        "tags": TAGS,
    }

    def run(**arguments: Any) -> dict[str, Any]:
        result = run_module(cache_module, **{**wanted, **arguments})
        assert PASSWORD not in json.dumps(result)
        return result

    return run


def groups() -> list[Any]:
    return list(boto3.client("elasticache").describe_replication_groups()["ReplicationGroups"])


def subnet_groups() -> list[Any]:
    return list(boto3.client("elasticache").describe_cache_subnet_groups()["CacheSubnetGroups"])


def test_creates_once(keep: Run) -> None:
    first = keep()
    made = first["replication_group"]
    assert first["changed"] and made["status"] == "available" and made["tags"] == TAGS
    assert (made["address"], made["port"]) == (f"master.{NAME}.lab012.use1.cache.amazonaws.com", 6379)
    assert made["auth_token_enabled"] and made["transit_encryption_enabled"] and made["at_rest_encryption_enabled"]
    assert made["engine_version"].startswith("8.0.")
    assert next(iter(elasticache.groups()))[1].token == PASSWORD
    assert boto3.client("elasticache").describe_cache_clusters()["CacheClusters"][0]["AutoMinorVersionUpgrade"]
    again = keep()
    assert not again["changed"] and again["replication_group"] == made
    assert again["diff"]["before"] == again["diff"]["after"]


def test_is_changed_in_place(keep: Run) -> None:
    keep()
    change = {
        "node_type": "cache.t3.small",
        "snapshot_days": 1,
        "security_group_ids": ["sg-2"],
        "engine_version": "8.1",
    }
    alone: list[dict[str, Any]] = [{key: value} for key, value in change.items()]
    for arguments in (*alone, {"tags": {"a": "b"}}):
        checked = keep(**arguments, check=True)
        assert checked["changed"], arguments
        (differs,) = {key for key, value in checked["diff"]["before"].items() if checked["diff"]["after"][key] != value}
        assert differs in arguments
    changed = keep(**change, tags={"a": "b"})
    assert changed["changed"]
    assert changed["diff"]["after"] == {
        **change,
        "engine_version": "8.1.1",
        "replicas": 0,
        "description": "Cache",
        "tags": {"a": "b"},
    }
    assert not keep(**change, tags={"a": "b"})["changed"]
    assert not keep(**change, tags={"a": "b"}, check=True)["changed"]


def test_replicas_come_with_failover_and_go_after_it(keep: Run) -> None:
    keep()
    more = keep(replicas=1)
    assert more["changed"] and len(more["replication_group"]["member_clusters"]) == 2
    assert more["replication_group"]["automatic_failover"] == "enabled"
    assert not keep(replicas=1)["changed"]
    assert keep(check=True)["changed"]
    fewer = keep()
    assert fewer["replication_group"]["automatic_failover"] == "disabled"
    assert len(fewer["replication_group"]["member_clusters"]) == 1


def test_a_check_changes_nothing(keep: Run) -> None:
    checked = keep(check=True, security_group_ids=["(known after apply)"])
    assert checked["changed"] and checked["replication_group"] == {} and checked["diff"]["before"] == {}
    assert groups() == [] and subnet_groups() == []
    keep()
    assert keep(state="absent", check=True)["diff"]["after"] == {}
    assert len(groups()) == 1


def test_does_not_wait_when_told_not_to(keep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elasticache, "_real", True)
    first = keep(wait=False)
    assert first["changed"] and first["replication_group"]["status"] == "creating"
    assert first["replication_group"]["address"] == ""
    assert not keep(wait=False)["changed"]
    late = keep(wait_timeout=0)
    assert late["failed"] and "is creating, not available, after 0 s" in late["msg"]
    (group,) = (group for _backend, group in elasticache.groups())
    group.status = "available"
    assert keep(state="absent", wait=False)["changed"]
    assert subnet_groups() != [], "it is in use until the group is gone"
    for backend, each in list(elasticache.groups()):
        elasticache.forget(backend, each)
    assert keep(state="absent")["changed"] and subnet_groups() == []
    assert not keep(state="absent")["changed"]


class Clock:
    """Time that passes only while somebody sleeps; the group is available after so many sleeps."""

    def __init__(self, sleeps: int) -> None:
        """Take how often one has to sleep."""
        self.sleeps = sleeps

    def monotonic(self) -> float:
        """Return no time."""
        return 0.0

    def sleep(self, _seconds: float) -> None:
        """Let time pass."""
        self.sleeps -= 1
        if self.sleeps == 0:
            for _backend, group in elasticache.groups():
                group.status = "available"


@pytest.mark.parametrize("status", ["modifying", "snapshotting"])
def test_waits_where_a_change_is_not_taken(keep: Run, monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    keep()
    monkeypatch.setattr(elasticache, "_real", True)
    (group,) = (group for _backend, group in elasticache.groups())
    client = boto3.client("elasticache")
    group.status = status
    refusals: tuple[Callable[[], object], ...] = (
        lambda: client.list_tags_for_resource(ResourceName=group.arn),
        lambda: client.add_tags_to_resource(ResourceName=group.arn, Tags=[{"Key": "a", "Value": "b"}]),
        lambda: client.delete_replication_group(ReplicationGroupId=NAME),
    )
    for refused in refusals:
        with pytest.raises(client.exceptions.InvalidReplicationGroupStateFault):
            refused()

    checked = keep(check=True, tags={"a": "b"})
    assert checked["changed"] and checked["diff"]["after"]["tags"] == {"a": "b"}
    assert not keep(wait=False)["changed"] and group.status == status, "nothing is waited for where nothing differs"
    clock = Clock(2)
    monkeypatch.setattr(cache_module, "time", clock)
    changed = keep(wait=False, tags={"a": "b"})
    assert changed["changed"] and changed["replication_group"]["tags"] == {"a": "b"} and clock.sleeps == 0

    group.status = status
    monkeypatch.setattr(cache_module, "time", Clock(2))
    assert keep(state="absent", wait=False)["changed"] and group.status == "deleting"


def test_tags_are_set_after_the_change(keep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    keep()
    monkeypatch.setattr(elasticache, "_real", True)
    monkeypatch.setattr(cache_module, "time", Clock(1))
    changed = keep(wait=False, node_type="cache.t3.small", tags={"a": "b"})
    assert changed["replication_group"]["status"] == "available", "it was waited for"
    assert changed["replication_group"]["tags"] == {"a": "b"}


def test_one_that_could_not_be_created_can_be_deleted(keep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    keep()
    monkeypatch.setattr(elasticache, "_real", True)
    (group,) = (group for _backend, group in elasticache.groups())
    group.status = "create-failed"
    assert keep(state="absent", wait=False)["changed"] and group.status == "deleting"


def test_what_cannot_be_changed_is_said(keep: Run) -> None:
    keep()
    refused = keep(port=6380)
    assert refused["failed"] and "answers on port 6379, which cannot change" in refused["msg"]
