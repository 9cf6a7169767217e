"""What a deployment looks at before it touches a host, and what it leaves behind, on an account without hosts."""

from __future__ import annotations

import json

import pytest

from tests.ops.conftest import PARAMETERS, TAGS, Account, approved
from tests.ops.fleet import GROUP, Fleet


@pytest.fixture
def fleet(account: Account) -> Fleet:
    """Two healthy hosts that nobody can log in to."""
    made = Fleet(account)
    account.writes()
    return made


def test_what_a_killed_run_left_is_put_right(account: Account, fleet: Fleet, front_door: str) -> None:
    """Its hosts are back in service and its processes resumed, and nothing that somebody else suspended."""
    wanted = ["AZRebalance", "HealthCheck", "ScheduledActions"]
    fleet.autoscaling.suspend_processes(AutoScalingGroupName=GROUP, ScalingProcesses=wanted)
    ours = json.dumps(["AZRebalance", "ScheduledActions"])
    fleet.ssm.put_parameter(Name=f"{PARAMETERS}/suspended", Value=ours, Type="String", Tags=TAGS)
    [first, _second] = fleet.instances()
    fleet.elb.deregister_targets(TargetGroupArn=fleet.targets, Targets=[{"Id": first}])
    deploy = ("deploy", "-e", "release=2.0.0", "-e", f"public_url={front_door}")

    account.writes()
    tried = account.play(*deploy, "--check")
    assert tried.code == 0, tried.output
    assert account.writes() == []
    for line in ("Resume exactly what a deployment has suspended", "Put back what a run that was killed left"):
        assert line in tried.output

    done = account.play(*deploy)
    assert done.code == 0, done.output
    assert fleet.suspended() == ["HealthCheck"]
    assert fleet.health() == ["healthy", "healthy"]
    assert f"{first}: in service" in done.output
    assert approved(account) == "2.0.0"
    assert not fleet.ssm.get_parameters(Names=[f"{PARAMETERS}/suspended"])["Parameters"]


def test_hosts_that_are_not_healthy_stop_it_unless_it_is_the_cure(
    account: Account, fleet: Fleet, front_door: str
) -> None:
    [first, second] = fleet.instances()
    fleet.elb.delete_listener(ListenerArn=fleet.listener)
    deploy = ("deploy", "-e", "release=2.0.0", "-e", f"public_url={front_door}")
    refused = account.play(*deploy)
    assert refused.code != 0
    assert "error: Nothing was touched, for not every host is healthy:" in refused.output
    for name in (first, second):
        assert f"{name} is unused (Target.NotInUse: " in refused.output
        assert f"`ansible {name} -b -a 'journalctl -u backend -n 50'`" in refused.output
    assert "-e deploy_unhealthy=true" in refused.output
    assert approved(account) == "1.0.0"

    cured = account.play(*deploy, "-e", "deploy_unhealthy=true")
    assert cured.code == 0, cured.output
    assert approved(account) == "2.0.0"
