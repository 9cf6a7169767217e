"""Look on at a version of a Lambda function that some of the requests go to, and say whether it may have all."""

from __future__ import annotations

import base64
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import boto3
from ansible.utils.display import Display

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.aws_action import AwsAction

DOCUMENTATION = r"""
module: watch_release
short_description: Look on at a version of a Lambda function
description:
  - Asks the version itself for its health, as API Gateway would, and again every O(interval) for as long as O(seconds).
    Meanwhile it must make no error (the function's metric C(Errors) of this version behind the alias), and no alarm of
    O(alarms) may go off that had not before.
  - Ends well either way; C(succeeded) says how it went.
options:
  region:
    description: AWS region.
    type: str
    required: true
  function:
    description: Name of the function.
    type: str
    required: true
  alias:
    description: The alias that is asked by visitors.
    type: str
    required: true
  version:
    description: Number of the version.
    type: str
    required: true
  release:
    description: The release that it must say it is.
    type: str
    required: true
  path:
    description: What is asked; the answer must be 200 with the release as C(version).
    type: str
    default: /api/health
  alarms:
    description: Names of alarms that must not go off.
    type: list
    elements: str
    default: []
  seconds:
    description: How long; 0 asks once.
    type: int
    default: 0
  interval:
    description: Seconds between two looks.
    type: float
    default: 10
"""

RETURN = r"""
succeeded:
  description: Whether nothing was wrong.
  returned: success
  type: bool
reason:
  description: What was wrong; empty when nothing was.
  returned: success
  type: str
log:
  description: The last lines of the version's log, when it did not answer well.
  returned: success
  type: list
  elements: str
requests:
  description: How many requests of visitors it has answered meanwhile, as far as CloudWatch knows already.
  returned: success
  type: int
"""

OK = 200
#: Lambda gives a metric for each minute: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
PERIOD = 60
REPORT_SECONDS = 30

display = Display()


def event_of(path: str) -> dict[str, Any]:
    """Return a request as an HTTP API gives it to a function.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html, format 2.0.
    """
    http = {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "vahana"}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"accept": "application/json"},
        "requestContext": {"http": http, "requestId": "vahana", "stage": "$default"},
        "isBase64Encoded": False,
    }


class Watcher:
    """Looks on at one version."""

    def __init__(self, clients: dict[str, Any], arguments: dict[str, Any]) -> None:
        """Take clients of C(lambda) and C(cloudwatch), and the options."""
        self._lambda, self._cloudwatch = clients["lambda"], clients["cloudwatch"]
        self._args = arguments
        self._began = datetime.now(UTC)
        self._log: list[str] = []

    def watch(self) -> dict[str, Any]:
        """Return the module's results."""
        known = set(self._alarms())
        until = time.monotonic() + self._args["seconds"]
        reported = time.monotonic()
        while True:
            reason = self._health() or self._errors() or self._gone_off(known)
            left = until - time.monotonic()
            if reason or left <= 0:
                requests = self._sum("Invocations")
                return {"succeeded": not reason, "reason": reason, "log": self._log, "requests": requests}
            if time.monotonic() - reported >= REPORT_SECONDS:
                display.display(f"release {self._args['release']}: well so far, {int(left)} s to go")
                reported = time.monotonic()
            time.sleep(min(self._args["interval"], left))

    def _health(self) -> str:
        """Return what is wrong with the answer of the version itself; empty when nothing is."""
        path, release = self._args["path"], self._args["release"]
        answer = self._lambda.invoke(
            FunctionName=self._args["function"],
            Qualifier=self._args["version"],
            LogType="Tail",
            Payload=json.dumps(event_of(path)).encode(),
        )
        said = answer["Payload"].read().decode(errors="replace")
        reason = ""
        if answer.get("FunctionError"):
            reason = f"it fails: {_message(said)}"
        else:
            result = _object(said)
            version = _object(result.get("body")).get("version")
            if result.get("statusCode") != OK:
                reason = f"it answers {path} with {result.get('statusCode')}"
            elif version != release:
                reason = f"{path} of it says that it is {version}"
        if reason:
            tail = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
            self._log = tail.strip().splitlines()[-50:]
        return reason

    def _errors(self) -> str:
        number = self._sum("Errors")
        return f"{number} of {self._sum('Invocations')} requests of visitors ended in an error" if number else ""

    def _sum(self, metric: str) -> int:
        """Return how many of something CloudWatch has of the version since this began."""
        names = {
            "FunctionName": self._args["function"],
            "Resource": f"{self._args['function']}:{self._args['alias']}",
            "ExecutedVersion": self._args["version"],
        }
        points = self._cloudwatch.get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in names.items()],
            # A point has the time at which its minute begins.
            StartTime=self._began - timedelta(seconds=PERIOD),
            EndTime=datetime.now(UTC) + timedelta(seconds=PERIOD),
            Period=PERIOD,
            Statistics=["Sum"],
        )["Datapoints"]
        return int(sum(point["Sum"] for point in points))

    def _alarms(self) -> list[str]:
        """Return which of the alarms have gone off."""
        if not self._args["alarms"]:
            return []
        pages = self._cloudwatch.get_paginator("describe_alarms").paginate(AlarmNames=self._args["alarms"])
        alarms = (alarm for page in pages for alarm in page["MetricAlarms"])
        return [alarm["AlarmName"] for alarm in alarms if alarm["StateValue"] == "ALARM"]

    def _gone_off(self, known: set[str]) -> str:
        new = sorted(set(self._alarms()) - known)
        return f"the alarm {', '.join(new)} has gone off" if new else ""


def _object(text: Any) -> dict[str, Any]:
    """Return the object that a text is as JSON; an empty one when it is none."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _message(text: str) -> str:
    """Return what a function's error says."""
    found = _object(text)
    return ": ".join(str(found[key]) for key in ("errorType", "errorMessage") if found.get(key)) or text


class ActionModule(AwsAction):
    """Look on, on the controller."""

    takes: ClassVar[dict[str, Any]] = {
        **{name: {"type": "str", "required": True} for name in ("region", "function", "alias", "version", "release")},
        "path": {"type": "str", "default": "/api/health"},
        "alarms": {"type": "list", "elements": "str", "default": []},
        "seconds": {"type": "int", "default": 0},
        "interval": {"type": "float", "default": 10},
    }
    failure = "the new version cannot be watched"

    def ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return how it went."""
        region = arguments["region"]
        clients = {name: boto3.client(name, region_name=region) for name in ("lambda", "cloudwatch")}
        return Watcher(clients, arguments).watch()
