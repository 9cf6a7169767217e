"""What a deployment looks at before it touches a host, and what it leaves behind, on an account without hosts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ops.conftest import PARAMETERS, TAGS, Account, answers_at, approved
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


def test_a_replacement_that_was_killed_comes_to_its_end_first(account: Account, fleet: Fleet, front_door: str) -> None:
    """Its refresh has replaced all instances, and the group is on the version that pins the release."""
    ec2, name = account.client("ec2"), {"LaunchTemplateName": GROUP}
    ec2.create_launch_template_version(
        **name,
        SourceVersion="1",
        VersionDescription="vahana: starts with release 2.0.0, otherwise version 1",
        LaunchTemplateData={},
    )
    fleet.autoscaling.update_auto_scaling_group(AutoScalingGroupName=GROUP, LaunchTemplate={**name, "Version": "2"})
    arguments = ("-e", f"public_url={front_door}")
    fleet.ssm.put_parameter(Name=f"{PARAMETERS}/release", Value="3.0.0-leak", Overwrite=True)
    back = account.play("rollback", *arguments)
    assert back.code != 0
    assert "an earlier replacement was interrupted (release 2.0.0; " in back.output
    # What was seen before is not what it would go back from.
    assert "error: 2.0.0 is in service by now, and 3.0.0-leak was when this run began" in back.output
    assert approved(account) == "2.0.0"

    done = account.play("deploy", "-e", "release=1.0.0", *arguments)
    assert done.code == 0, done.output
    assert approved(account) == "1.0.0"
    [group] = fleet.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"]
    assert group["LaunchTemplate"]["Version"] == "1"
    assert len(ec2.describe_launch_template_versions(**name)["LaunchTemplateVersions"]) == 1


def test_a_failure_before_the_first_host_is_told_once(
    account: Account, fleet: Fleet, front_door: str, tmp_path: Path
) -> None:
    for point in ("before", "failed", "after"):
        task = {"ansible.builtin.debug": {"msg": "told: {{ hooks_point }} {{ hooks_release }} {{ hooks_previous }}"}}
        (tmp_path / f"{point}_deploy.yml").write_text(json.dumps([task]))
    arguments = ("-e", "release=2.0.0", "-e", f"public_url={front_door}", "-e", f"hooks_directory={tmp_path}")
    fleet.elb.delete_listener(ListenerArn=fleet.listener)
    refused = account.play("deploy", *arguments)
    assert refused.code != 0
    assert "error: Nothing was touched, for not every host is healthy:" in refused.output
    told = [line.split("told: ")[1] for line in refused.output.splitlines() if "told: " in line]
    assert told == ["before_deploy 2.0.0 1.0.0", "failed_deploy 2.0.0 1.0.0"]
    assert "error: release 2.0.0 is not the environment's: see above" in refused.output


def test_a_failure_after_the_approval_does_not_deny_it(
    account: Account, fleet: Fleet, front_door: str, tmp_path: Path
) -> None:
    task = {"ansible.builtin.debug": {"msg": "told: {{ hooks_point }} {{ hooks_error }}"}}
    (tmp_path / "failed_deploy.yml").write_text(json.dumps([task]))
    with answers_at(lambda _path: {"status": "ok", "release": "1.0.0", "version": "1.0.0"}) as url:
        patience = json.dumps({"verify_timeout": 1, "verify_interval": 1})
        arguments = ("-e", f"public_url={url}", "-e", f"hooks_directory={tmp_path}", "-e", patience)
        failed = account.play("deploy", "-e", "release=2.0.0", *arguments)
    assert failed.code != 0
    assert failed.output.count("told: failed_deploy ") == 1, failed.output
    assert approved(account) == "2.0.0"
    assert "error: release 2.0.0 is in service, and the rest of this run was not done: see above" in failed.output


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
