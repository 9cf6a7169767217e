"""What a replacement of a group's instances leaves in AWS, and how it is read back.

A replacement starts the new instances from a version of the group's launch template that pins the release: its
user data says with which one to start (``release`` in boot.json), whatever is approved. Nothing but AWS remembers
it: the version's description names the release and the version it was made from.
"""

from __future__ import annotations

import base64
import datetime
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

ACTIVE = ("Pending", "InProgress", "Baking", "RollbackInProgress", "Cancelling")
"""Statuses of a refresh that goes on (InstanceRefresh, Amazon EC2 Auto Scaling API Reference)."""

DESCRIPTION = re.compile(r"vahana: starts with release (?P<release>\S+), otherwise version (?P<source>\d+)")
_BOOT = re.compile(r"(?P<before><<'JSON'\n)(?P<json>.*?)(?P<after>\nJSON\n)", re.DOTALL)
_NUMBER = re.compile(r"[0-9]+")


class ReplacementError(Exception):
    """The group cannot be replaced as it is. The message is one line that says how to mend it."""


def description(release: str, source: str) -> str:
    """Return what a pinned version is called."""
    return f"vahana: starts with release {release}, otherwise version {source}"


def pins_of(versions: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the pinned ones of a template's versions: ``version``, ``release``, ``source``; the oldest first."""
    found = []
    for item in sorted(versions, key=lambda item: int(item["VersionNumber"])):
        match = DESCRIPTION.fullmatch(item.get("VersionDescription") or "")
        if match:
            found.append({"version": str(item["VersionNumber"]), **match.groupdict()})
    return found


def pinned_user_data(encoded: str, release: str) -> str:
    """Return user data (Base64) that is the same but for the release that boot.json names.

    :param encoded: Base64, as roles/compute makes it.
    :raises ReplacementError: it writes no boot.json.
    """
    text = base64.b64decode(encoded).decode()
    match = _BOOT.search(text)
    try:
        boot = json.loads(match["json"]) if match else None
    except ValueError:
        boot = None
    if match is None or not isinstance(boot, dict):
        raise ReplacementError(
            "the user data of the launch template writes no boot.json, so it is not this project's: run site.yml, "
            "which makes a version of its own"
        )
    boot["release"] = release
    changed = text[: match.start("json")] + json.dumps(boot, indent=2) + text[match.end("json") :]
    return base64.b64encode(changed.encode()).decode()


def numbered(group: Mapping[str, Any]) -> tuple[str, str]:
    """Return id and version number of a group's launch template.

    :raises ReplacementError: it has none, or a version that moves, to which no refresh can be rolled back.
    """
    template = group.get("LaunchTemplate") or {}
    version = str(template.get("Version") or "$Default")
    if not template.get("LaunchTemplateId") or not _NUMBER.fullmatch(version):
        raise ReplacementError(
            f"the group {group['AutoScalingGroupName']} starts instances from version {version} of its launch "
            "template; nothing can be rolled back to a version without a number: run site.yml, which gives it one"
        )
    return template["LaunchTemplateId"], version


def describe_group(autoscaling: Any, name: str) -> dict[str, Any]:
    """Return the group as DescribeAutoScalingGroups does.

    :raises ReplacementError: there is none.
    """
    groups = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    if not groups:
        raise ReplacementError(f"there is no Auto Scaling group {name}: run site.yml, which makes it")
    return dict(groups[0])


def describe_versions(ec2: Any, template_id: str) -> list[dict[str, Any]]:
    """Return every version of a launch template."""
    pages = ec2.get_paginator("describe_launch_template_versions").paginate(LaunchTemplateId=template_id)
    return [item for page in pages for item in page["LaunchTemplateVersions"]]


def last_refresh(autoscaling: Any, name: str) -> dict[str, Any]:
    """Return the group's refresh that goes on, else the newest; empty when it had none in the last six weeks."""
    found = autoscaling.describe_instance_refreshes(AutoScalingGroupName=name)["InstanceRefreshes"]
    # One that is pending has no time yet.
    never = datetime.datetime.min.replace(tzinfo=datetime.UTC)
    return dict(max(found, key=lambda item: (item["Status"] in ACTIVE, item.get("StartTime", never)), default={}))


def desired_version(refresh: Mapping[str, Any]) -> str:
    """Return the version of the launch template that a refresh leads to; empty where it names none."""
    template = (refresh.get("DesiredConfiguration") or {}).get("LaunchTemplate") or {}
    return str(template.get("Version") or "")


def words(refresh: Mapping[str, Any]) -> str:
    """Return in words how far a refresh is, as ``InProgress, 50 %, 1 to go: Waiting …``."""
    parts = [str(refresh.get("Status")), f"{refresh.get('PercentageComplete', 0)} %"]
    if refresh.get("InstancesToUpdate"):
        parts.append(f"{refresh['InstancesToUpdate']} to go")
    return ", ".join(parts) + (f": {refresh['StatusReason']}" if refresh.get("StatusReason") else "")


def why(refresh: Mapping[str, Any]) -> str:
    """Return why a refresh did not succeed, in AWS's words."""
    details = refresh.get("RollbackDetails") or {}
    reasons = [details.get("RollbackReason"), refresh.get("StatusReason")]
    return "; ".join(dict.fromkeys(str(reason) for reason in reasons if reason)) or "AWS gives no reason"
