"""Print log groups of CloudWatch as one, in the controller's own process."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import boto3
from ansible.utils.display import Display

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.aws_action import AwsAction
from plugins.module_utils.history import moment
from plugins.module_utils.merged_logs import Line

DOCUMENTATION = r"""
module: group_logs
short_description: Print log groups of CloudWatch, merged by time
description:
  - Reads all groups and prints their lines in the order of time, each with the last part of its group's name and, of a
    Lambda function, the version that wrote it.
options:
  region:
    description: AWS region.
    type: str
    required: true
  groups:
    description: Names of the log groups.
    type: list
    elements: str
    required: true
  since:
    description: Leaves out what is older, C(15m), C(2h) or a time in ISO 8601.
    type: str
    required: true
  grep:
    description: Leaves out what does not match, a pattern of Python's. In lower case it matches both cases.
    type: str
    default: ""
  follow:
    description: Whether to go on printing what is written, until the run is stopped.
    type: bool
    default: false
"""

RETURN = r"""
groups:
  description: Which were printed.
  returned: success
  type: list
  elements: str
"""

MILLISECOND = 1000
POLL_SECONDS = 2.0
#: How long CloudWatch may take to show a line that is older than others it has shown.
LATE_MILLISECONDS = 10_000
#: Streams of functions: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html
VERSION = re.compile(r"\[(?P<version>[^\]]+)\]")


class Groups:
    """Reads log groups, and again what came since."""

    def __init__(self, logs: Any, names: list[str], grep: str) -> None:
        """Take a client of CloudWatch Logs."""
        self._logs, self._names = logs, names
        self._pattern = re.compile(grep, re.IGNORECASE if grep == grep.lower() else 0)
        self._seen: dict[str, int] = {}

    def read(self, since: int) -> list[Line]:
        """Return what was written since then (milliseconds since 1970) and was not returned before."""
        lines = [line for name in self._names for line in self._lines(name, since)]
        # Those of one message stay as they are.
        found = sorted(lines, key=lambda line: line.time)
        self._seen = {key: at for key, at in self._seen.items() if at >= since}
        return found

    def _lines(self, name: str, since: int) -> Iterator[Line]:
        pages = self._logs.get_paginator("filter_log_events").paginate(logGroupName=name, startTime=since)
        for event in (event for page in pages for event in page["events"]):
            if event["eventId"] in self._seen:
                continue
            self._seen[event["eventId"]] = event["timestamp"]
            version = VERSION.search(event["logStreamName"])
            for text in event["message"].splitlines():
                if self._pattern.search(text):
                    source = version["version"] if version else event["logStreamName"]
                    yield Line(event["timestamp"] * MILLISECOND, name.rpartition("/")[2], source, text)


class ActionModule(AwsAction):
    """Run on the controller, whatever the host of the play."""

    takes: ClassVar[dict[str, Any]] = {
        "region": {"type": "str", "required": True},
        "groups": {"type": "list", "elements": "str", "required": True},
        "since": {"type": "str", "required": True},
        "grep": {"type": "str", "default": ""},
        "follow": {"type": "bool", "default": False},
    }
    failure = "the logs cannot be read"

    def ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Print them."""
        try:
            groups = Groups(
                boto3.client("logs", region_name=arguments["region"]), arguments["groups"], arguments["grep"]
            )
        except re.error as error:
            return {"failed": True, "msg": f"grep: '{arguments['grep']}' is no pattern: {error}"}
        since = int(moment(arguments["since"]).timestamp() * MILLISECOND)
        while True:
            lines = groups.read(since)
            if lines:
                Display().display("\n".join(map(str, lines)))
                since = max(since, lines[-1].time // MILLISECOND - LATE_MILLISECONDS)
            if not arguments["follow"]:
                return {"groups": arguments["groups"]}
            time.sleep(POLL_SECONDS)
