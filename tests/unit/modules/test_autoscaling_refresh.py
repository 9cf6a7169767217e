"""The modules of a replacement: the pinned version, the refresh, and following it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from ansible.errors import AnsibleActionFail
from botocore.exceptions import ClientError

from plugins.action import autoscaling_refresh_follow as follow_action
from plugins.action import read_replacement
from plugins.module_utils.planning import KNOWN_AFTER_APPLY
from plugins.module_utils.replacement import ReplacementError, pinned_user_data, pins_of
from plugins.modules import autoscaling_pin, autoscaling_refresh

NAME = "vahanhelp-prod-backend"
USER_DATA = """#!/bin/sh
cat >/etc/vahana/boot.json.new <<'JSON'
{
  "app": "vahanhelp",
  "port": 3000
}
JSON
systemctl start --no-block backend-boot.service
"""
Run = Callable[..., dict[str, Any]]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def boot_of(user_data: str) -> dict[str, Any]:
    """Return what user data (Base64) tells a host."""
    text = base64.b64decode(user_data).decode()
    found: dict[str, Any] = json.loads(text.split("<<'JSON'\n")[1].split("\nJSON\n")[0])
    return found


class Group:
    """A group of two in an account of stock moto, whose refreshes the test plays."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ec2, self.api = boto3.client("ec2"), boto3.client("autoscaling")
        made = self.ec2.create_launch_template(
            LaunchTemplateName=NAME,
            LaunchTemplateData={
                "ImageId": "ami-12c6146b",
                "InstanceType": "t3.micro",
                "UserData": encoded(USER_DATA),
            },
        )
        self.template = made["LaunchTemplate"]["LaunchTemplateId"]
        self.api.create_auto_scaling_group(
            AutoScalingGroupName=NAME,
            MinSize=2,
            MaxSize=4,
            LaunchTemplate={"LaunchTemplateId": self.template, "Version": "1"},
            AvailabilityZones=["us-east-1a"],
        )
        self.refreshes: list[dict[str, Any]] = []
        self.sources: list[str] = []
        self.called: list[tuple[str, dict[str, Any]]] = []
        self.activities: list[dict[str, Any]] = []
        call = type(self.api)._make_api_call

        def answer(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            if operation == "DescribeInstanceRefreshes":
                return {"InstanceRefreshes": list(reversed(self.refreshes))}
            if operation == "DescribeScalingActivities":
                return {"Activities": list(reversed(self.activities))}
            if operation == "CreateLaunchTemplateVersion":
                self.sources.append(parameters["SourceVersion"])
            if "InstanceRefresh" in operation:
                self.called.append((operation, parameters))
                self.play(operation, parameters)
                return {"InstanceRefreshId": self.refreshes[-1]["InstanceRefreshId"]}
            return call(client, operation, parameters)

        monkeypatch.setattr("botocore.client.BaseClient._make_api_call", answer)

    def play(self, operation: str, parameters: dict[str, Any]) -> None:
        """Do what a write asks for."""
        if operation == "StartInstanceRefresh":
            self.add("Pending", parameters["DesiredConfiguration"]["LaunchTemplate"]["Version"])
        else:
            self.refreshes[-1]["Status"] = "Cancelling" if operation.startswith("Cancel") else "RollbackInProgress"

    def add(self, status: str, version: str, **more: Any) -> dict[str, Any]:
        """Let there be a refresh."""
        template = {"LaunchTemplateId": self.template, "Version": version}
        self.refreshes.append(
            {
                "InstanceRefreshId": f"refresh-{len(self.refreshes) + 1}",
                "Status": status,
                "PercentageComplete": 0,
                "StartTime": now(len(self.refreshes)),
                "DesiredConfiguration": {"LaunchTemplate": template},
                **more,
            }
        )
        return self.refreshes[-1]

    def version(self) -> str:
        """The version that the group has."""
        found = self.api.describe_auto_scaling_groups(AutoScalingGroupNames=[NAME])["AutoScalingGroups"][0]
        return str(found["LaunchTemplate"]["Version"])

    def versions(self) -> dict[int, dict[str, Any]]:
        """The template's versions by number."""
        found = self.ec2.describe_launch_template_versions(LaunchTemplateId=self.template)["LaunchTemplateVersions"]
        return {each["VersionNumber"]: dict(each) for each in found}


def now(minutes: int = 0) -> Any:
    import datetime

    return datetime.datetime(2026, 11, 24, 12, minutes, tzinfo=datetime.UTC)


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Group:
    return Group(monkeypatch)


# The pin --------------------------------------------------------------------------------------------------------------


def test_a_pinned_version_differs_by_the_release_alone(group: Group, run_module: Run) -> None:
    planned = run_module(autoscaling_pin, check=True, name=NAME, release="2.0.0")
    assert (planned["changed"], planned["version"]) == (True, KNOWN_AFTER_APPLY)
    assert list(group.versions()) == [1]
    made = run_module(autoscaling_pin, name=NAME, release="2.0.0")
    assert {key: made[key] for key in ("changed", "version", "source_version")} == {
        "changed": True,
        "version": "2",
        "source_version": "1",
    }
    data = {number: item["LaunchTemplateData"] for number, item in group.versions().items()}
    assert boot_of(data[2]["UserData"]) == {"app": "vahanhelp", "port": 3000, "release": "2.0.0"}
    # moto does not follow it; the lab does.
    assert group.sources == ["1"]
    assert [number for number, item in group.versions().items() if item["DefaultVersion"]] == [1]
    assert group.version() == "1"
    again = run_module(autoscaling_pin, name=NAME, release="2.0.0")
    assert (again["changed"], again["version"]) == (False, "2")
    assert pins_of(list(group.versions().values())) == [{"version": "2", "release": "2.0.0", "source": "1"}]


def test_a_pin_is_not_taken_away_from_a_refresh(group: Group, run_module: Run) -> None:
    run_module(autoscaling_pin, name=NAME, release="2.0.0")
    group.add("InProgress", "2", PercentageComplete=50, InstancesToUpdate=1)
    refused = run_module(autoscaling_pin, name=NAME, state="absent")
    assert "still starts instances from version 2 of its launch template (InProgress, 50 %, 1 to go)" in refused["msg"]


def test_nothing_but_a_numbered_version_is_pinned(group: Group, run_module: Run) -> None:
    group.api.update_auto_scaling_group(
        AutoScalingGroupName=NAME, LaunchTemplate={"LaunchTemplateId": group.template, "Version": "$Latest"}
    )
    assert "a version without a number: run site.yml" in run_module(autoscaling_pin, name=NAME, release="2")["msg"]
    assert "there is no Auto Scaling group other" in run_module(autoscaling_pin, name="other", release="2")["msg"]


def test_user_data_of_somebody_else_is_refused() -> None:
    with pytest.raises(ReplacementError, match=r"writes no boot\.json"):
        pinned_user_data(encoded("#!/bin/sh\nexit 0\n"), "2.0.0")
    with pytest.raises(ReplacementError, match=r"writes no boot\.json"):
        pinned_user_data(encoded("cat <<'JSON'\nno json\nJSON\n"), "2.0.0")


# The refresh ----------------------------------------------------------------------------------------------------------


def start(run_module: Run, group: Group, check: bool = False, **arguments: Any) -> dict[str, Any]:
    template = {"launch_template_id": group.template, "launch_template_version": "2"}
    return run_module(autoscaling_refresh, check=check, name=NAME, **{**template, **arguments})


def test_a_refresh_is_started_once(group: Group, run_module: Run) -> None:
    planned = start(run_module, group, check=True)
    assert (planned["changed"], planned["instance_refresh_id"], group.called) == (True, "", [])
    assert planned["diff"]["after"] == {"instances": 2, "launch_template_version": "2"}
    made = start(run_module, group, instance_warmup=20, bake_time=60, alarms=["errors"], standby_instances="Ignore")
    assert (made["changed"], made["instance_refresh_id"]) == (True, "refresh-1")
    assert made["refresh"]["status"] == "Pending"
    [(operation, parameters)] = group.called
    assert operation == "StartInstanceRefresh"
    assert parameters["Preferences"] == {
        "MinHealthyPercentage": 100,
        "MaxHealthyPercentage": 150,
        "InstanceWarmup": 20,
        "BakeTime": 60,
        "AutoRollback": True,
        "SkipMatching": False,
        "ScaleInProtectedInstances": "Refresh",
        "StandbyInstances": "Ignore",
        "AlarmSpecification": {"Alarms": ["errors"]},
    }
    again = start(run_module, group)
    assert (again["changed"], again["instance_refresh_id"]) == (False, "refresh-1")
    assert len(group.called) == 1


def test_another_refresh_is_not_interfered_with(group: Group, run_module: Run) -> None:
    group.add("InProgress", "7", PercentageComplete=25)
    assert (
        "a refresh of vahanhelp-prod-backend to version 7 of its launch template is under way (InProgress, 25 %"
        in (start(run_module, group)["msg"])
    )
    assert group.called == []


@pytest.mark.parametrize("version", ["$Latest", "$Default", "two"])
def test_a_version_must_be_a_number(group: Group, run_module: Run, version: str) -> None:
    assert "must be a number" in start(run_module, group, launch_template_version=version)["msg"]


def test_nothing_is_started_when_all_match_already(group: Group, run_module: Run) -> None:
    result = start(run_module, group, launch_template_version="1", skip_matching=True)
    assert (result["changed"], group.called) == (False, [])
    assert start(run_module, group, launch_template_version="1")["changed"] is True


def test_a_version_that_comes_later_is_planned(group: Group, run_module: Run) -> None:
    assert start(run_module, group, check=True, launch_template_version=KNOWN_AFTER_APPLY)["changed"] is True


@pytest.mark.parametrize(
    ("state", "operation"),
    [("cancelled", "CancelInstanceRefresh"), ("rolled_back", "RollbackInstanceRefresh")],
)
def test_a_refresh_is_ended_once(group: Group, run_module: Run, state: str, operation: str) -> None:
    assert run_module(autoscaling_refresh, name=NAME, state=state)["changed"] is False
    group.add("Successful", "1")
    assert run_module(autoscaling_refresh, name=NAME, state=state)["changed"] is False
    group.add("InProgress", "2")
    assert run_module(autoscaling_refresh, check=True, name=NAME, state=state)["changed"] is True
    assert group.called == []
    assert run_module(autoscaling_refresh, name=NAME, state=state)["changed"] is True
    assert [name for name, _ in group.called] == [operation]
    assert run_module(autoscaling_refresh, name=NAME, state=state)["changed"] is False


# Following it ---------------------------------------------------------------------------------------------------------


class Clock:
    """Time that passes only while somebody sleeps; each sleep changes the refresh."""

    def __init__(self, group: Group, changes: list[dict[str, Any]]) -> None:
        self.now = 0.0
        self._group, self._changes = group, iter(changes)

    def monotonic(self) -> float:
        """Return the seconds passed."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self._group.refreshes[-1].update(next(self._changes, {}))


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(follow_action, "display", SimpleNamespace(display=lines.append))
    return lines


@pytest.fixture
def follow(group: Group, monkeypatch: pytest.MonkeyPatch, said: list[str]) -> Iterator[Run]:
    def run(changes: list[dict[str, Any]], **arguments: Any) -> dict[str, Any]:
        monkeypatch.setattr(follow_action, "time", Clock(group, changes))
        identifier = group.refreshes[-1]["InstanceRefreshId"] if group.refreshes else "none"
        task = SimpleNamespace(
            args={"name": NAME, "instance_refresh_id": identifier, **arguments},
            check_mode=False,
            async_val=0,
            action="autoscaling_refresh_follow",
        )
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
        action = follow_action.ActionModule(task, connection, None, None, None, None)
        result: dict[str, Any] = action.run(task_vars={})
        return result

    yield run


def test_progress_is_told_when_there_is_some(group: Group, follow: Run, said: list[str]) -> None:
    group.add("Pending", "2")
    warm = "Waiting for instances to warm up before continuing."
    result = follow(
        [
            {"Status": "InProgress", "InstancesToUpdate": 2},
            *[{"StatusReason": warm}] * 6,
            {"PercentageComplete": 50, "InstancesToUpdate": 1},
            {"Status": "Successful", "PercentageComplete": 100, "StatusReason": ""},
        ]
    )
    assert (result["succeeded"], result["status"], result["reason"], result["waited_seconds"]) == (
        True,
        "Successful",
        "",
        45,
    )
    assert said == [
        f"refresh {NAME}: Pending, 0 % (0 s)",
        f"refresh {NAME}: InProgress, 0 %, 2 to go (5 s)",
        f"refresh {NAME}: InProgress, 0 %, 2 to go: {warm} (35 s)",
        f"refresh {NAME}: InProgress, 50 %, 1 to go: {warm} (40 s)",
    ]
    assert group.called == []


def launch(number: int, status: str, message: str, minutes: int = 30) -> dict[str, Any]:
    """Return an activity of DescribeScalingActivities."""
    return {
        "ActivityId": str(number),
        "Description": f"Launching a new EC2 instance: i-{number:08x}",
        "StatusCode": status,
        "StatusMessage": message,
        "StartTime": now(minutes),
    }


ABANDONED = "Instance failed to complete user's Lifecycle Action: Lifecycle Action Completed with ABANDON Result"


def test_it_is_rolled_back_after_some_failures(
    group: Group, follow: Run, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    group.add("Successful", "1")
    group.add("InProgress", "2", RollbackDetails={"RollbackReason": "Rollback initiated by user"})
    group.activities = [
        launch(1, "Failed", "before the refresh began", minutes=0),
        launch(2, "Cancelled", "the group was scaled in"),
        launch(3, "Failed", ABANDONED),
        launch(4, "Cancelled", ABANDONED),
    ]
    console = "[  1.0] systemd[1]: up\n\x1b[0m[  9.1] backend-boot[12]: it is ill\n[  9.2] backend-boot[12]: gone\n"
    monkeypatch.setattr(follow_action.Follower, "_console", lambda self, name: follow_action.last_lines(console, 12))
    result = follow([{}, {"Status": "RollbackSuccessful"}])
    assert [name for name, _ in group.called] == ["RollbackInstanceRefresh"]
    assert (result["succeeded"], result["status"]) == (False, "RollbackSuccessful")
    assert result["reason"] == "2 of the new instances failed; Rollback initiated by user"
    assert [(each["instance_id"], each["log"]) for each in result["failed_instances"]] == [
        ("i-00000003", ["it is ill", "gone"]),
        ("i-00000004", ["it is ill", "gone"]),
    ]
    assert f"refresh {NAME}: i-00000003 failed: {ABANDONED}" in said


@pytest.mark.parametrize(
    ("present", "posted", "seen"),
    [
        ("backend-boot[12]: it is ill", "systemd[1]: up", ["it is ill"]),
        # Of another hypervisor, and of an instance that has ended.
        ("UnsupportedOperation", "backend-boot[12]: it was ill", ["it was ill"]),
        ("IncorrectInstanceState", "backend-boot[12]: it was ill", ["it was ill"]),
        ("", "backend-boot[12]: it was ill", ["it was ill"]),
        ("UnsupportedOperation", "InvalidInstanceID.NotFound", []),
    ],
)
def test_the_console_of_this_moment(present: str, posted: str, seen: list[str]) -> None:
    """EC2 posts by itself what a console shows after a start, a reboot or an end, and nothing of what comes later."""

    def get_console_output(InstanceId: str, Latest: bool = False) -> dict[str, str]:  # noqa: N803
        said = present if Latest else posted
        if said.isidentifier() or "NotFound" in said:
            raise ClientError({"Error": {"Code": said}}, "GetConsoleOutput")
        return {"InstanceId": InstanceId, **({"Output": said} if said else {})}

    ec2 = SimpleNamespace(get_console_output=get_console_output)
    follower = follow_action.Follower(None, ec2, {"name": NAME, "log_lines": 12})
    assert follower._console("i-1") == seen


def test_it_is_rolled_back_when_its_time_is_over(group: Group, follow: Run) -> None:
    group.add("InProgress", "2")
    result = follow([{}] * 14 + [{"Status": "RollbackSuccessful"}], timeout=60)
    assert [name for name, _ in group.called] == ["RollbackInstanceRefresh"]
    assert result["reason"].startswith("it was not done after 1 min 00 s")


def test_a_rollback_that_does_not_end_is_told(group: Group, follow: Run) -> None:
    group.add("RollbackInProgress", "2")
    with pytest.raises(AnsibleActionFail, match="has not been rolled back after 1 min 00 s"):
        follow([], timeout=60)


ORPHAN = """
import multiprocessing
from types import SimpleNamespace
from plugins.action import autoscaling_refresh_follow as action

refresh = {"InstanceRefreshes": [{"Status": "RollbackInProgress"}]}
api = SimpleNamespace(describe_instance_refreshes=lambda **_: refresh)
arguments = {"name": "a", "instance_refresh_id": "b", "timeout": 40, "poll_seconds": 0.1, "report_seconds": 600}

def follow():
    print("follows", flush=True)
    action.Follower(api, None, arguments).follow()

# As Ansible starts its workers.
task = multiprocessing.get_context("fork").Process(target=follow)
task.start()
task.join()
"""


def test_it_ends_with_its_playbook() -> None:
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen([sys.executable, "-c", ORPHAN], cwd=root, stdout=subprocess.PIPE, text=True) as playbook:
        assert playbook.stdout
        assert playbook.stdout.readline() == "follows\n"
        time.sleep(0.5)
        playbook.kill()
        killed = time.monotonic()
        # The task holds the other end of it as well.
        playbook.stdout.read()
    assert time.monotonic() - killed < 20


def test_there_must_be_something_to_follow(follow: Run) -> None:
    with pytest.raises(AnsibleActionFail, match="has no instance refresh none"):
        follow([])


# What is left ---------------------------------------------------------------------------------------------------------


def test_what_a_replacement_left_is_read_back(group: Group, run_module: Run) -> None:
    boto3.client("ssm").put_parameter(Name="/approved", Value="1.0.0", Type="String")
    found = read_replacement.read("us-east-1", NAME, "/approved")
    assert (found["approved"], found["version"], found["pins"], found["active"]) == ("1.0.0", "1", [], False)
    assert (found["refresh"], found["outdated"], len(found["instances"])) == ({}, [], 2)
    run_module(autoscaling_pin, name=NAME, release="2.0.0")
    group.add("InProgress", "2")
    found = read_replacement.read("us-east-1", NAME, "/missing")
    assert found["pinned"] == {"version": "2", "release": "2.0.0", "source": "1"}
    assert (found["active"], found["approved"], found["words"]) == (True, "", "InProgress, 0 %")
    group.refreshes[-1]["Status"] = "Failed"
    assert read_replacement.read("us-east-1", NAME, "/missing")["pinned"] == {}
    group.ec2.create_launch_template_version(
        LaunchTemplateId=group.template, SourceVersion="1", LaunchTemplateData={"InstanceType": "t3.small"}
    )
    group.api.update_auto_scaling_group(
        AutoScalingGroupName=NAME, LaunchTemplate={"LaunchTemplateId": group.template, "Version": "3"}
    )
    assert len(read_replacement.read("us-east-1", NAME, "/approved")["outdated"]) == 2
