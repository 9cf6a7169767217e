"""A command that runs once beside an environment's services, as a task with the image and the network of one of them.

Where services answer there is no host to log in to, and what their network lets in is let in from there alone. What the
task prints is read from its log, in the numbered lines of plugins/remote/service_data.mjs.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from plugins.module_utils.project import run_playbook

FIRST = 10
"""Most services of one call of DescribeServices; one is enough."""
POLL_SECONDS = 2.0
LOG_SECONDS = 60.0
"""How long CloudWatch may take to show what a task wrote that has stopped."""
OWN_TAGS = ("vahana:app", "vahana:env", "vahana:tier", "vahana:layer")


class TaskError(Exception):
    """The task did not do what it was to do; the text says why."""


class ServiceTask:
    """Runs commands beside the services of a cluster.

    :param ecs: a client of ECS.
    :param logs: a client of CloudWatch Logs.
    :param cluster: name of the cluster.
    :param name: what task and log stream are called; it stands before each line of the answer.
    """

    def __init__(
        self, ecs: Any, logs: Any, cluster: str, name: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._ecs, self._logs, self._cluster, self._name, self._sleep = ecs, logs, cluster, name, sleep

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], secrets: Mapping[str, str], seconds: float
    ) -> Any:
        """Run a command to its end; return its answer.

        :param secrets: variables by what ECS reads them from.
        :param seconds: how long it may take.
        :raises TaskError: it has no answer, or ``error`` is its answer.
        """
        service, beside = self._beside()
        # What a run that was killed has left.
        self._forget(self._ecs.list_task_definitions(familyPrefix=self._family, status="ACTIVE")["taskDefinitionArns"])
        definition = self._register(beside, command, environment, secrets)
        arn = ""
        try:
            arn = self._start(definition, service["networkConfiguration"])
            answer = self._answer(arn, beside["containerDefinitions"][0]["logConfiguration"]["options"], seconds)
            arn = ""
        finally:
            if arn:
                self._ecs.stop_task(cluster=self._cluster, task=arn, reason="nobody waits for its answer any more")
            self._forget([definition])
        if "error" in answer:
            raise TaskError(str(answer["error"]))
        return answer["result"]

    @property
    def _family(self) -> str:
        """Of the task definitions; roles/containers takes away what begins with the cluster's name."""
        return f"{self._cluster}-{self._name}"

    def _forget(self, definitions: Sequence[str]) -> None:
        for arn in definitions:
            self._ecs.deregister_task_definition(taskDefinition=arn)
            self._ecs.delete_task_definitions(taskDefinitions=[arn])

    def _beside(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return one of the services, and what its tasks are made from."""
        arns = sorted(self._ecs.list_services(cluster=self._cluster)["serviceArns"])
        found = self._ecs.describe_services(cluster=self._cluster, services=arns[:FIRST])["services"] if arns else []
        # One that runs has an image that can be pulled.
        active = sorted((each for each in found if each["status"] == "ACTIVE"), key=lambda each: -each["runningCount"])
        if not active:
            raise TaskError(f"no service of {self._cluster} is there to run a task beside; {run_playbook('site.yml')}")
        described = self._ecs.describe_task_definition(taskDefinition=active[0]["taskDefinition"], include=["TAGS"])
        return active[0], {**described["taskDefinition"], "tags": described.get("tags", [])}

    def _register(
        self,
        beside: Mapping[str, Any],
        command: Sequence[str],
        environment: Mapping[str, str],
        secrets: Mapping[str, str],
    ) -> str:
        """Return the ARN of a task definition with another command; it may do nothing but that."""
        container = beside["containerDefinitions"][0]
        log = container["logConfiguration"]
        same = {key: container[key] for key in ("image", "user", "readonlyRootFilesystem") if key in container}
        found = {key: beside[key] for key in ("executionRoleArn", "cpu", "memory", "runtimePlatform") if key in beside}
        tags = [each for each in beside["tags"] if each["key"] in OWN_TAGS]
        made = self._ecs.register_task_definition(
            **found,
            family=self._family,
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            tags=[*tags, {"key": "Name", "value": self._family}],
            containerDefinitions=[
                {
                    **same,
                    "name": self._name,
                    "essential": True,
                    "command": list(command),
                    "environment": [{"name": name, "value": value} for name, value in environment.items()],
                    "secrets": [{"name": name, "valueFrom": value} for name, value in secrets.items()],
                    "logConfiguration": {
                        **log,
                        "options": {**log["options"], "awslogs-stream-prefix": self._name},
                    },
                }
            ],
        )
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def _start(self, definition: str, network: Mapping[str, Any]) -> str:
        answer = self._ecs.run_task(
            cluster=self._cluster,
            taskDefinition=definition,
            launchType="FARGATE",
            networkConfiguration=network,
            startedBy=self._name,
        )
        if not answer["tasks"]:
            raise TaskError(f"ECS starts no task: {answer['failures'][0].get('reason', '')}")
        return str(answer["tasks"][0]["taskArn"])

    def _answer(self, arn: str, log: Mapping[str, str], seconds: float) -> Any:
        """Wait for the answer of a task; it need not have stopped by then."""
        stream = f"{self._name}/{self._name}/{arn.rpartition('/')[2]}"
        deadline = time.monotonic() + seconds
        while True:
            task = self._ecs.describe_tasks(cluster=self._cluster, tasks=[arn])["tasks"][0]
            if task["lastStatus"] == "STOPPED":
                deadline = min(deadline, time.monotonic() + LOG_SECONDS)
            answer = self._read(log["awslogs-group"], stream)
            if answer is not None:
                return answer
            # It began to run, so it says what is wrong; one that never ran says nothing.
            if task.get("stopCode") == "TaskFailedToStart" or time.monotonic() > deadline:
                reasons = [task.get("stoppedReason", ""), *(each.get("reason", "") for each in task["containers"])]
                words = "; ".join(filter(None, reasons)) or f"it is {task['lastStatus']} and has not answered"
                raise TaskError(f"the task {self._name} beside the services of {self._cluster} failed: {words}")
            self._sleep(POLL_SECONDS)

    def _read(self, group: str, stream: str) -> Any:
        """Return the answer when all its lines are there; None before."""
        pieces, total = {}, 0
        for message in self._messages(group, stream):
            if found := re.fullmatch(rf"{re.escape(self._name)} (\d+)/(\d+) (.*)", message.rstrip("\n"), re.DOTALL):
                pieces[int(found[1])], total = found[3], int(found[2])
        return json.loads("".join(pieces[number] for number in sorted(pieces))) if 0 < total == len(pieces) else None

    def _messages(self, group: str, stream: str) -> Iterator[str]:
        more: dict[str, str] = {}
        while True:
            try:
                page = self._logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **more)
            except self._logs.exceptions.ResourceNotFoundException:
                return
            yield from (event["message"] for event in page["events"])
            # The end gives the token back that it was asked with.
            if page["nextForwardToken"] == more.get("nextToken"):
                return
            more = {"nextToken": page["nextForwardToken"]}
