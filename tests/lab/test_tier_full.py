"""The full tier from nothing to nothing, and what it bears: the cache, the replica and a whole zone are lost."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.lab.conftest import playbook, run, wait_for
from tests.lab.load import Load, load, rows
from tests.lab.visitor import CAR, call

pytestmark = pytest.mark.long

TIER = ("-e", "tier=full")
NAME = "vahanhelp-prod"
PRIVATE = [ip_network("10.0.3.0/24"), ip_network("10.0.4.0/24")]
ZONE_SECONDS = 300
"""Until both hosts are back and in service, one zone being gone: most of it is the boot of a host."""
LOSS_SECONDS = 20
MINUTE = 5.0
"""Seconds of the lab's minute while a group follows its load."""
SCALING_SECONDS = 300
ALARM_SECONDS = 120
"""Until every alarm has a whole datapoint: of five minutes of two seconds each, at busy machines more."""

Aws = Callable[[str], Any]


@pytest.fixture(scope="module")
def full(lab: None) -> Iterator[None]:
    playbook("site.yml", *TIER, timeout=1800)
    yield
    playbook("playbooks/destroy.yml", "-e", f"confirm={NAME}", "-e", "keep_snapshot=false", timeout=1200)


def _healthy(aws: Aws) -> list[str]:
    elbv2 = aws("elbv2")
    [group] = elbv2.describe_target_groups(Names=[f"{NAME}-backend"])["TargetGroups"]
    found = elbv2.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
    return [each["Target"]["Id"] for each in found if each["TargetHealth"]["State"] == "healthy"]


def _hosts(aws: Aws, *ids: str) -> list[dict[str, Any]]:
    found = aws("ec2").describe_instances(InstanceIds=list(ids))["Reservations"]
    return [instance for reservation in found for instance in reservation["Instances"]]


def _replica_has(listing: str) -> bool:
    out = run("lab", "psql", f"{NAME}-replica", "-c", f"SELECT count(*) FROM listings WHERE id = '{listing}'").output
    return out.split()[-1] == "1"


@pytest.mark.usefixtures("full")
def test_it_serves_from_private_subnets(aws: Aws) -> None:
    assert call("GET", "/api/health")["status"] == "ok"
    healthy = _hosts(aws, *_healthy(aws))
    assert len(healthy) >= 2
    assert len({each["Placement"]["AvailabilityZone"] for each in healthy}) == 2
    assert all(any(ip_address(each["PrivateIpAddress"]) in net for net in PRIVATE) for each in healthy)
    assert not any("PublicIpAddress" in each for each in healthy)


@pytest.mark.usefixtures("full")
def test_a_car_is_found_at_once_and_reaches_the_replica() -> None:
    listing = call("POST", "/api/listings", CAR)
    assert listing["id"] in {each["id"] for each in call("GET", "/api/listings?q=thar")["items"]}
    deadline = time.monotonic() + 30
    while not _replica_has(listing["id"]):
        assert time.monotonic() < deadline
        time.sleep(0.5)


@pytest.mark.usefixtures("full")
def test_a_second_run_changes_nothing() -> None:
    for arguments in ((), ("-e", "full=true")):
        again = playbook("site.yml", *TIER, *arguments)
        assert all(recap["changed"] == 0 and recap["failed"] == 0 for recap in again.recaps()), again.output[-6000:]


@pytest.mark.usefixtures("full")
def test_the_plan_of_a_finished_tier_is_empty() -> None:
    planned = playbook("playbooks/plan.yml", "-e", "full=true", check=False)
    assert (planned.code, "nothing to do" in planned.output) == (0, True), planned.output[-6000:]


def _without_data(aws: Aws) -> list[str]:
    """Return the alarms of databases, caches and queues that know nothing of what they watch."""
    alarms = aws("cloudwatch").describe_alarms(AlarmNamePrefix=f"{NAME}-")["MetricAlarms"]
    watched = [each for each in alarms if each["Namespace"] in {"AWS/RDS", "AWS/ElastiCache", "AWS/SQS"}]
    assert {each["Namespace"] for each in watched} == {"AWS/RDS", "AWS/ElastiCache", "AWS/SQS"}
    return [each["AlarmName"] for each in watched if each["StateValue"] == "INSUFFICIENT_DATA"]


@pytest.mark.usefixtures("full")
def test_no_alarm_waits_for_a_metric_that_nobody_measures(aws: Aws) -> None:
    run("lab", "metrics", "--period", "2")
    try:
        deadline = time.monotonic() + ALARM_SECONDS
        while waiting := _without_data(aws):
            assert time.monotonic() < deadline, waiting
            time.sleep(2)
    finally:
        run("lab", "metrics")


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize(("kind", "what"), [("cache", f"{NAME}-001"), ("database", f"{NAME}-replica")])
def test_what_only_makes_it_faster_is_lost_and_nobody_notices(kind: str, what: str) -> None:
    with load(f"full-{kind}") as seen:
        time.sleep(5)
        run("lab", "fault", kind, what, "--for", str(LOSS_SECONDS))
        time.sleep(LOSS_SECONDS + 20)
    seen.assert_unnoticed(500)
    assert seen.acknowledged() - rows() == set()


def _longest_gap(seen: Load) -> float:
    """Seconds from the first answer that was a failure to the last."""
    noted = [line for file in seen.folder.glob("*.noted") for line in file.read_text().splitlines()]
    times = [int(line.split()[0]) for line in noted]
    return max(times) - min(times) if times else 0


def _desired(aws: Aws) -> int:
    [group] = aws("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[f"{NAME}-backend"])[
        "AutoScalingGroups"
    ]
    return int(group["DesiredCapacity"])


def _cpu_percent(aws: Aws, seconds: float) -> float:
    """The group's CPU of the last seconds, as CloudWatch has it."""
    now = datetime.datetime.now(datetime.UTC)
    [point] = aws("cloudwatch").get_metric_statistics(
        Namespace="AWS/EC2",
        MetricName="CPUUtilization",
        Dimensions=[{"Name": "AutoScalingGroupName", "Value": f"{NAME}-backend"}],
        StartTime=now - datetime.timedelta(seconds=seconds),
        EndTime=now,
        Period=int(seconds),
        Statistics=["Average"],
    )["Datapoints"]
    return float(point["Average"])


@pytest.mark.usefixtures("full")
def test_the_group_follows_its_load_by_itself(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    run("lab", "metrics", "--period", str(MINUTE))
    assert (_desired(aws), len(_healthy(aws))) == (2, 2)
    try:
        with load("full-scaling/much", slower=0.2) as much:
            time.sleep(20)
            cores = 2 * _cpu_percent(aws, 10) / 100
            # What this load takes of two hosts is all that they have.
            run("lab", "metrics", "--period", str(MINUTE), "--cpus", f"{cores:.4f}")
            began = time.monotonic()
            wait_for(lambda: _desired(aws) > 2, SCALING_SECONDS)
            wait_for(lambda: len(_healthy(aws)) == _desired(aws), SCALING_SECONDS)
            most, grown = _desired(aws), time.monotonic() - began
        with load("full-scaling/little", slower=20) as little:
            began = time.monotonic()
            wait_for(lambda: _desired(aws) == 2, SCALING_SECONDS)
            wait_for(lambda: len(_healthy(aws)) == 2, SCALING_SECONDS)
            shrunk = time.monotonic() - began
            time.sleep(5)
    finally:
        run("lab", "metrics")
    with capsys.disabled():
        print(f"\n2 to {most} hosts in service after {grown:.0f} s, 2 again after {shrunk:.0f} s")
    # The sooner there are more hosts, the fewer there were until then.
    much.assert_unnoticed(1000)
    little.assert_unnoticed(100)
    assert (much.acknowledged() | little.acknowledged()) - rows() == set()


@pytest.mark.usefixtures("full")
def test_a_zone_is_lost_and_the_service_comes_back_by_itself(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    zones = {each["InstanceId"]: each["Placement"]["AvailabilityZone"] for each in _hosts(aws, *_healthy(aws))}
    [database] = aws("rds").describe_db_instances(DBInstanceIdentifier=NAME)["DBInstances"]
    lost = database["AvailabilityZone"]
    gone = {host for host, zone in zones.items() if zone == lost}
    assert gone and gone != set(zones)
    with load("full-zone") as seen:
        time.sleep(5)
        began = time.monotonic()
        run("lab", "fault", "zone", lost)
        while len(set(_healthy(aws)) - gone) < 2:
            assert time.monotonic() < began + ZONE_SECONDS
            time.sleep(1)
        whole = time.monotonic() - began
        time.sleep(5)
    with capsys.disabled():
        print(f"\nzone {lost} lost: failures for {_longest_gap(seen):.0f} s, all hosts back after {whole:.0f} s")
    assert seen.acknowledged()
    assert seen.acknowledged() - rows() == set()
    assert call("GET", "/api/health")["status"] == "ok"
    [after] = aws("rds").describe_db_instances(DBInstanceIdentifier=NAME)["DBInstances"]
    assert after["AvailabilityZone"] != lost


@pytest.mark.usefixtures("full")
def test_destroy_leaves_nothing(aws: Aws) -> None:
    gone = playbook("playbooks/destroy.yml", "-e", f"confirm={NAME}", "-e", "keep_snapshot=false", timeout=1200)
    assert "nothing is left" in gone.output
    left = aws("resourcegroupstaggingapi").get_resources(TagFilters=[{"Key": "vahana:app"}])["ResourceTagMappingList"]
    keys = [each for each in left if each["ResourceARN"].split(":")[2] == "kms"]
    states = [aws("kms").describe_key(KeyId=key["ResourceARN"])["KeyMetadata"]["KeyState"] for key in keys]
    assert (left, states) == (keys, ["PendingDeletion"])
