"""What a doctor finds: nothing where all is well, and each thing that is wrong with its mend."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plugins.module_utils.diagnosis import diagnose, unchecked
from plugins.module_utils.discovery import EMPTY

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ARN = "arn:aws:acm:us-east-1:1:certificate/x"


def ago(**span: float) -> str:
    return (NOW - timedelta(**span)).isoformat()


def well() -> dict[str, Any]:
    """Return the facts of an environment without a fault."""
    stack: dict[str, Any] = copy.deepcopy(EMPTY)
    stack.update(account_id="1", region="us-east-1", tier="basic", release="2.0.0")
    stack["resources"] = [{"arn": "a"}]
    stack["compute"].update(auto_scaling_group="cars-prod-backend", desired_capacity=1)
    instance = {"id": "i-1", "state": "running", "health": "healthy", "lifecycle": "InService", "launched": ago(days=3)}
    stack["compute"]["instances"] = [instance]
    stack["load_balancer"]["target_group_arn"] = "arn:tg"
    stack["network"]["vpc_id"] = "vpc-1"
    stack["database"].update(identifier="cars-prod", status="available")
    stack["monitoring"]["alarm_names"] = ["cars-prod-cpu"]
    host = {
        "release": "2.0.0",
        "configured": True,
        "health": {"status": 200, "release": "2.0.0", "keep_alive": 65},
        "disks": [{"path": "/", "percent": 40, "inodes_percent": 5}],
        "container": False,
        "time_synchronized": "yes",
        "clock_offset": 0.2,
        "updates": {"installed": True, "timer": "active", "reboot": False, "reboot_for": []},
    }
    quota = {"limit": 32, "used": 2, "each": 2, "code": "L-1", "service": "ec2", "name": "vCPUs", "kind": "vcpu"}
    return {
        "stack": stack,
        "hosts": {"i-1": host},
        "account": {
            "certificates": [
                {"arn": ARN, "domain": "cars.example", "status": "ISSUED", "not_after": ago(days=-300), "renewal": ""}
            ],
            "quotas": {"L-1": quota},
            "subscriptions": {"confirmed": 1, "pending": 0},
            "backup": {"name": "cars-prod", "newest": ago(hours=5), "created": ago(days=9), "retention_days": 7},
            "idle_timeout": 60,
            "unchecked": {},
        },
        "identity": "arn:aws:sts::1:assumed-role/ops/ann",
        "lock": {"held": False, "alive": False, "who": "nobody holds the lock"},
        "drift": [],
        "max_size": 4,
        "nat_gateways": 0,
        "now": NOW.isoformat(),
    }


def test_all_is_well() -> None:
    assert diagnose(well()) == []
    assert unchecked(well()) == []


def test_nothing_is_there_yet() -> None:
    facts = {**well(), "stack": {**copy.deepcopy(EMPTY)}, "hosts": {}, "account": {}, "lock": {}, "drift": None}
    assert diagnose(facts) == []
    assert unchecked(facts) == ["drift: no complete run of site.yml is recorded"]


def test_a_gateway_that_is_to_come_needs_an_address() -> None:
    facts = well()
    quota = {"limit": 5, "used": 4, "each": 1, "code": "L-2", "service": "ec2", "name": "addresses", "kind": "eip"}
    facts["account"]["quotas"] = {"L-2": quota}
    facts["nat_gateways"] = 2
    [finding] = diagnose(facts)
    assert "4 of 5 are used, and 2 more may be needed" in str(finding)
    # One of the used ones is a gateway's already.
    facts["stack"]["network"]["nat_allocation_ids"] = ["eipalloc-1"]
    assert diagnose(facts) == []


HOST = ("hosts", "i-1")
STACK = ("stack",)
ACCOUNT = ("account",)


@pytest.mark.parametrize(
    ("place", "value", "about", "said", "mend"),
    [
        (("identity",), "arn:aws:iam::1:root", "credentials", "root user", "aws configure sso"),
        ((*STACK, "compute", "desired_capacity"), 2, "environment", "1 of 2 instances run", "playbooks/status.yml"),
        ((*STACK, "database", "status"), "storage-full", "database cars-prod", "it is storage-full", "describe-events"),
        (
            (*STACK, "database", "parameters"),
            "pending-reboot",
            "database cars-prod",
            "parameters are not in force before it is rebooted",
            "aws rds reboot-db-instance --db-instance-identifier cars-prod",
        ),
        (
            (*ACCOUNT, "backup", "newest"),
            ago(days=2),
            "database cars-prod",
            "the newest backup is of 2026",
            "backup.yml",
        ),
        ((*ACCOUNT, "backup", "newest"), "", "database cars-prod", "there is no backup", "backup.yml"),
        ((*ACCOUNT, "backup", "retention_days"), 0, "database cars-prod", "no backups by itself", "retention_days"),
        ((*HOST, "configured"), False, "host i-1", "not the project's configuration", "configure.yml"),
        ((*HOST, "health", "status"), 503, "host i-1", "health check answers 503", "logs.yml -e host=i-1"),
        ((*HOST, "release"), "1.0.0", "host i-1", "it has release 1.0.0, and 2.0.0 is", "deploy.yml -e release=2.0.0"),
        ((*HOST, "disks", 0, "percent"), 91, "disk of i-1", "/ is 91 % full", "du -xh /"),
        ((*HOST, "disks", 0, "inodes_percent"), 91, "disk of i-1", "91 % of its inodes", "du -xh /"),
        ((*HOST, "clock_offset"), -12.4, "clock of i-1", "it is 12 s behind", "chronyc makestep"),
        ((*HOST, "time_synchronized"), "no", "clock of i-1", "nothing keeps it right", "chrony"),
        ((*HOST, "updates", "timer"), "inactive", "updates of i-1", "not installed by themselves", "configure.yml"),
        (
            (*HOST, "updates", "reboot"),
            True,
            "updates of i-1",
            "waits for a reboot",
            "terminate-instance-in-auto-scaling",
        ),
        (
            (*HOST, "health", "keep_alive"),
            5,
            "keep-alive of i-1",
            "after 5 s, the load balancer after 60 s",
            "above 60 s",
        ),
        ((*ACCOUNT, "certificates", 0, "not_after"), ago(days=-10), "certificate cars.example", "ends in 10 days", ARN),
        ((*ACCOUNT, "certificates", 0, "status"), "EXPIRED", "certificate cars.example", "it is EXPIRED", ARN),
        (
            (*ACCOUNT, "certificates", 0, "renewal"),
            "FAILED",
            "certificate cars.example",
            "renewal is FAILED",
            "site.yml",
        ),
        ((*ACCOUNT, "subscriptions"), {"confirmed": 0, "pending": 1}, "alarms", "is not confirmed", "AWS's mail"),
        ((*ACCOUNT, "subscriptions"), {"confirmed": 0, "pending": 0}, "alarms", "nobody gets them", "monitoring_email"),
        (
            (*STACK, "monitoring", "alarms"),
            [{"name": "cars-prod-cpu", "since": "", "reason": "above 80"}],
            "alarm cars-prod-cpu",
            "above 80",
            "status.yml",
        ),
        (
            (*STACK, "pipeline"),
            {"name": "cars-prod", "connection_arn": ARN, "connection_status": "PENDING"},
            "pipeline cars-prod",
            "is PENDING: no push arrives",
            "/codesuite/settings/connections?region=us-east-1",
        ),
        ((*ACCOUNT, "quotas", "L-1", "used"), 30, "quota vCPUs", "30 of 32 are used, and 6 more", "--desired-value 36"),
        (
            (*STACK, "compute", "suspended_processes"),
            ["Launch"],
            "group cars-prod-backend",
            "Launch",
            "resume-processes",
        ),
        (("lock",), {"held": True, "alive": False, "who": "ann has it"}, "lock", "dead: ann has it", "unlock.yml"),
        ((*STACK, "maintenance"), {"on": True, "since": "noon", "message": ""}, "maintenance", "since noon", "=off"),
        (
            (*STACK, "queue", "messages"),
            {"email": 5, "email-dlq": 2},
            "queue email",
            "2 messages that its worker could not take",
            "redrive.yml -e queue=email",
        ),
        (("drift",), [{}, {}], "drift", "2 resources", "playbooks/drift.yml"),
    ],
)
def test_each_finding(place: tuple[Any, ...], value: Any, about: str, said: str, mend: str) -> None:
    facts = well()
    inner: Any = facts
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    [found] = diagnose(facts)
    assert found.about == about
    assert said in found.what
    assert mend in found.mend
    assert str(found) == f"{found.about}: {found.what}; {found.mend}"


def test_a_host_that_does_not_answer() -> None:
    facts = {**well(), "hosts": {"i-1": {"error": "Connection timed out"}}}
    assert [str(found) for found in diagnose(facts)] == [
        "host i-1: SSH has no answer: Connection timed out; try: ansible i-1 -m ping -vvv"
    ]


def test_what_is_no_fault() -> None:
    facts = well()
    # A container's clock is its machine's; a backend that keeps idle connections for ever never closes one.
    facts["hosts"]["i-1"].update(container=True, time_synchronized="no")
    facts["hosts"]["i-1"]["health"]["keep_alive"] = None
    facts["lock"] = {"held": True, "alive": True, "who": "ann is at work"}
    # A database of this morning has no backup yet.
    facts["account"]["backup"].update(newest="", created=ago(hours=2))
    facts["account"]["unchecked"] = {"quota VPCs": "not allowed"}
    assert diagnose(facts) == []
    assert unchecked(facts) == ["quota VPCs: not allowed"]
