"""Follow an instance refresh on the controller, say how far it is, and end one that leads nowhere."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

import boto3
from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.dict_transformations import camel_dict_to_snake_dict
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.amazon.aws.plugins.module_utils.transformation import normalize_boto3_result
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.aws_wait import elapsed
from plugins.module_utils.orphans import orphaned
from plugins.module_utils.replacement import ACTIVE, desired_version, why, words

DEPLOYING = ("Pending", "InProgress", "Baking")
#: What the host's own log lines look like on its console, and what colours them.
OUR_LINES = re.compile(r"\b(backend-boot|backend)\[\d+\]: (?P<text>.*)")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

display = Display()


def last_lines(console: str, number: int) -> list[str]:
    """Return the last lines that the backend wrote to a console; of a console without such the last there are."""
    lines = [line.rstrip() for line in ESCAPES.sub("", console).splitlines() if line.strip()]
    ours = [match["text"] for match in map(OUR_LINES.search, lines) if match]
    return (ours or lines)[-number:] if number else []


def failed_launch(activity: dict[str, Any]) -> bool:
    """Say whether an activity is a launch that failed: not one that scaling in called off."""
    message = activity.get("StatusMessage") or ""
    ended = activity["StatusCode"] == "Failed" or (
        activity["StatusCode"] == "Cancelled" and "Lifecycle Action" in message
    )
    return ended and activity["Description"].startswith("Launching")


class Follower:
    """Follows one refresh."""

    def __init__(self, autoscaling: Any, ec2: Any, args: dict[str, Any]) -> None:
        """Take the clients and the options of the module."""
        self._autoscaling = autoscaling
        self._ec2 = ec2
        self._args = args
        self._name = args["name"]
        self._failed: dict[str, dict[str, Any]] = {}
        self._ended = ""

    def follow(self) -> dict[str, Any]:
        """Return how it ended, as the module's results.

        :raises AnsibleActionFail: there is no such refresh, its rollback does not end either, or the playbook is dead.
        """
        started = since = time.monotonic()
        reported_at, reported = started, ""
        while True:
            # A task outlives a playbook that is killed, and would roll back what somebody else has begun to follow.
            if orphaned():
                raise AnsibleActionFail(f"The run that followed the refresh of {self._name} has ended.")
            refresh = self._describe()
            now = time.monotonic()
            if refresh["Status"] not in ACTIVE:
                return self._result(refresh, now - started)
            if refresh["Status"] in DEPLOYING:
                self._look_for_failures(refresh)
                if not self._ended and (reason := self._why_end(now - since)):
                    self._ended, since = reason, now
                    self._roll_back()
                    continue
            elif now - since >= self._args["timeout"]:
                raise AnsibleActionFail(
                    f"The refresh of {self._name} has not been rolled back after {elapsed(now - since)} "
                    f"({words(refresh)}). Run the same command again to go on waiting."
                )
            state = f"{refresh['Status']} {refresh.get('PercentageComplete')}"
            if state != reported or now - reported_at >= self._args["report_seconds"]:
                display.display(f"refresh {self._name}: {words(refresh)} ({elapsed(now - started)})")
                reported_at, reported = now, state
            time.sleep(self._args["poll_seconds"])

    def _describe(self) -> dict[str, Any]:
        found = self._autoscaling.describe_instance_refreshes(
            AutoScalingGroupName=self._name, InstanceRefreshIds=[self._args["instance_refresh_id"]]
        )["InstanceRefreshes"]
        if not found:
            raise AnsibleActionFail(
                f"The group {self._name} has no instance refresh {self._args['instance_refresh_id']}. "
                f"See what it had: aws autoscaling describe-instance-refreshes --auto-scaling-group-name {self._name}"
            )
        return dict(found[0])

    def _look_for_failures(self, refresh: dict[str, Any]) -> None:
        """Note launches that failed since it began, and new instances that became unhealthy."""
        began = refresh.get("StartTime")
        activities = self._autoscaling.describe_scaling_activities(AutoScalingGroupName=self._name, MaxRecords=100)
        for activity in reversed(activities["Activities"]):
            if failed_launch(activity) and began and activity["StartTime"] >= began:
                instance = re.search(r"\bi-[0-9a-f]+\b", activity["Description"])
                self._note(instance[0] if instance else "", activity["ActivityId"], activity.get("StatusMessage", ""))
        groups = self._autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self._name])["AutoScalingGroups"]
        for instance in groups[0]["Instances"] if groups else []:
            new = (instance.get("LaunchTemplate") or {}).get("Version") == desired_version(refresh)
            if new and instance["HealthStatus"] == "Unhealthy" and instance["InstanceId"] not in self._failed:
                self._note(instance["InstanceId"], instance["InstanceId"], "it became unhealthy")

    def _note(self, instance_id: str, key: str, reason: str) -> None:
        # A launch is known by its instance where it has one, so that it counts once.
        key = instance_id or key
        if key in self._failed:
            return
        log = self._console(instance_id) if instance_id else []
        self._failed[key] = {"instance_id": instance_id, "reason": " ".join(reason.split()), "log": log}
        display.display(f"refresh {self._name}: {instance_id or 'a launch'} failed: {' '.join(reason.split())}")

    def _console(self, instance_id: str) -> list[str]:
        """Return the last lines of an instance's console; none when EC2 has none of it any more."""
        # What EC2 posts by itself is from the last start, reboot or end. The present one comes on demand, from Nitro
        # instances that have not ended.
        for options in ({"Latest": True}, {}):
            try:
                console = self._ec2.get_console_output(InstanceId=instance_id, **options).get("Output", "")
            except (BotoCoreError, ClientError):
                continue
            if console:
                return last_lines(console, self._args["log_lines"])
        return []

    def _why_end(self, seconds: float) -> str:
        """Return why it is ended before Auto Scaling does; empty while it may go on."""
        if len(self._failed) >= self._args["failed_launches"]:
            return f"{len(self._failed)} of the new instances failed"
        if seconds >= self._args["timeout"]:
            return f"it was not done after {elapsed(seconds)}"
        return ""

    def _roll_back(self) -> None:
        display.display(f"refresh {self._name}: rolling back, for {self._ended}")
        try:
            self._autoscaling.rollback_instance_refresh(AutoScalingGroupName=self._name)
        except self._autoscaling.exceptions.ActiveInstanceRefreshNotFoundFault:
            # It ended by itself in this moment; the next look says how.
            return

    def _result(self, refresh: dict[str, Any], seconds: float) -> dict[str, Any]:
        succeeded = refresh["Status"] == "Successful"
        return {
            "changed": False,
            "succeeded": succeeded,
            "status": refresh["Status"],
            "reason": "" if succeeded else "; ".join(filter(None, [self._ended, why(refresh)])),
            "failed_instances": list(self._failed.values()),
            "refresh": camel_dict_to_snake_dict(normalize_boto3_result(refresh)),
            "waited_seconds": int(seconds),
        }


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types, so its base class is Any
    """See plugins/modules/autoscaling_refresh_follow.py for the options."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Follow the refresh to its end."""
        super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(
            argument_spec={
                "name": {"type": "str", "required": True},
                "instance_refresh_id": {"type": "str", "required": True},
                "failed_launches": {"type": "int", "default": 2},
                "timeout": {"type": "int", "default": 3600},
                "poll_seconds": {"type": "float", "default": 5},
                "report_seconds": {"type": "float", "default": 30},
                "log_lines": {"type": "int", "default": 12},
            }
        )
        patient = Config(retries={"mode": "standard", "total_max_attempts": 10})
        autoscaling, ec2 = (boto3.client(service, config=patient) for service in ("autoscaling", "ec2"))
        try:
            return Follower(autoscaling, ec2, args).follow()
        except (BotoCoreError, ClientError) as error:
            detail = " ".join(str(error).split())
            raise AnsibleActionFail(
                f"Following the refresh of {args['name']} failed: {detail}. It goes on by itself: run the same command "
                "again, which finds it."
            ) from None
