"""ECS tasks on Fargate: each is a container with an address in its subnet, as its task definition says.

A task goes PROVISIONING (address), PENDING (roles, secrets, image), RUNNING, and when it is stopped DEACTIVATING (out
of target groups and names, drained), STOPPING (SIGTERM, later SIGKILL), DEPROVISIONING, STOPPED.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from typing import Any, ClassVar

from moto.ec2.models import ec2_backends

from lab import interfaces, podman, registry, settings, task_containers, times
from lab.moto_patches import ec2, ecs
from lab.moto_patches.ecs import Task
from lab.reconcilers import networks, services
from lab.reconcilers.base import Reconciler
from lab.registry import PullError
from lab.task_containers import StartError

KIND = "task"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


def container_name(task: Task) -> str:
    """Name of a task's container."""
    return settings.task_name(task.id)


def ensure_interface(task: Task) -> None:
    """Give a task its network interface unless it has one."""
    if task.interface_id:
        return
    backend = ec2_backends[settings.ACCOUNT_ID][task.region_name]
    groups = task.network["awsvpcConfiguration"]["securityGroups"]
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-task-networking.html
    description = task.task_arn.replace(":task/", ":attachment/")
    made = interfaces.allocate(backend, backend.get_subnet(task.subnet_id), description, groups, "amazon-ecs")
    task.interface_id, task.address, task.mac_address = made.id, made.private_ip_address, made.mac_address


def release_interface(task: Task) -> None:
    """Delete a task's network interface."""
    backend = ec2_backends[settings.ACCOUNT_ID][task.region_name]
    if found := backend.enis.get(task.interface_id):
        interfaces.release(found)
    task.interface_id = ""


def begin_running(task: Task) -> None:
    """Note that a task runs, and tell those who send it requests."""
    task.started, task.last_status = time.time(), "RUNNING"
    services.register(task)


def begin_stopping(task: Task) -> None:
    """Take a task that runs out of all that sends it requests."""
    services.deregister(task)
    task.last_status = "DEACTIVATING"


def end(task: Task) -> None:
    """Note that a task has stopped."""
    release_interface(task)
    task.stopped, task.last_status = time.time(), "STOPPED"


class HealthCheck:
    """The results of a container's own health check.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html
    """

    def __init__(self, definition: dict[str, Any]) -> None:
        self._definition = definition
        self._failures = 0
        self.due = 0.0

    @property
    def command(self) -> list[str]:
        """What is executed in the container."""
        first, *rest = [str(part) for part in self._definition["command"]]
        return ["/bin/sh", "-c", *rest] if first == "CMD-SHELL" else rest if first == "CMD" else [first, *rest]

    @property
    def timeout(self) -> float:
        """Seconds that it may take."""
        return float(self._definition.get("timeout") or 5)

    def take(self, task: Task, passed: bool) -> None:
        """Make a task healthy, or unhealthy after as many failures in a row as its definition says."""
        self.due = time.monotonic() + float(self._definition.get("interval") or 30)
        if passed:
            self._failures, task.health_status = 0, "HEALTHY"
        elif time.time() - task.started >= float(self._definition.get("startPeriod") or 0):
            self._failures += 1
            if self._failures >= int(self._definition.get("retries") or 3):
                task.health_status = "UNHEALTHY"


class Tasks(Reconciler):
    """Starts and stops the containers of tasks, checks their health, keeps their output."""

    name: ClassVar[str] = "tasks"
    interval: ClassVar[float] = 1.0

    def __init__(self) -> None:
        super().__init__()
        self._pool = ThreadPoolExecutor(max_workers=6, thread_name_prefix=self.name)
        self._busy: set[str] = set()
        self._checks: dict[str, HealthCheck] = {}
        self._processes: dict[str, int] = {}
        """Task → the first process of its container; 0 where it has none."""
        self._swept = False
        """Were containers without a task (of a lab that was killed) looked for? Once is enough."""

    def close(self) -> None:
        """Stop after what is under way; the containers keep running for the lab's next start."""
        super().close()
        self._pool.shutdown()

    def reconcile(self) -> None:
        """Compare each task with its container."""
        ecs.forget_stopped()
        present = [task for task in ecs.tasks() if task.last_status != "STOPPED"]
        if not present and self._swept:
            return
        # Of what was under way as the containers were listed, the list may be wrong by now.
        busy = set(self._busy)
        # To ask podman is dear, and while all tasks run as they shall there is no need to.
        settled = all(task.desired_status == task.last_status == "RUNNING" and self._lives(task) for task in present)
        running = {task.id for task in present} if self._swept and settled else self._listed(present)
        for task in present:
            if task.id not in busy | self._busy:
                self._step(task, task.id in running)
        here = {task.id for task in present}
        self._checks = {key: check for key, check in self._checks.items() if key in here}
        self._processes = {key: number for key, number in self._processes.items() if key in here}

    def _listed(self, present: list[Task]) -> set[str]:
        """Ids of the tasks whose containers run, as podman says; the first time, containers of no task are removed."""
        found = podman.containers({"vahana.kind": KIND})
        if not self._swept:
            for name in found.keys() - {container_name(task) for task in present}:
                podman.rm(name)
            self._swept = True
        names = {name for name, container in found.items() if container.state in podman.ALIVE}
        return {task.id for task in present if container_name(task) in names}

    def _lives(self, task: Task) -> bool:
        """Is the first process of a task's container still there?"""
        number = self._processes.get(task.id, 0)
        if not number and (details := podman.inspect(container_name(task))):
            number = self._processes[task.id] = int(details["State"].get("Pid") or 0)
        return podman.process_lives(number)

    def _step(self, task: Task, running: bool) -> None:
        """Do what brings one task nearer to its state; long acts go to a thread of their own."""
        match task.desired_status, task.last_status:
            case "RUNNING", "RUNNING":
                if running:
                    task_containers.keep_output(task)
                    self._check(task)
                else:
                    self._died(task)
            case "RUNNING", _:
                if times.over("task start", task.id):
                    self._begin(task.id, self._start, task)
            case _, "RUNNING":
                begin_stopping(task)
                self.changed()
            case _, "DEACTIVATING":
                task_containers.keep_output(task)
                if (not running or services.drained(task)) and times.over("task stop", task.id):
                    self._begin(task.id, self._stop, task, running)
            case _ if times.over("task stop", task.id):
                self._begin(task.id, self._stop, task, running)

    def _begin(self, key: str, act: Callable[..., None], *arguments: Any) -> None:
        def work() -> None:
            try:
                act(*arguments)
            except Exception as error:
                self.log.warning("task %s: %s: %s", key, type(error).__name__, error)
            finally:
                self._busy.discard(key)
                if act != self._examine:
                    self.changed()

        self._busy.add(key)
        self._pool.submit(work)

    # Start ------------------------------------------------------------------------------------------------------------

    def _start(self, task: Task) -> None:
        ensure_interface(task)
        task.last_status = "PENDING"
        try:
            task_containers.check_roles(task)
            secret = task_containers.secrets(task)
            task_containers.open_log(task)
            image, task.image_digest = task_containers.pull(task)
            self._run(task, image, secret)
        except StartError as error:
            task.stop("TaskFailedToStart", str(error), failed=True)
            self.log.warning("task %s of %s: %s", task.id, task.group, error)
            return
        if task.desired_status == "RUNNING":
            begin_running(task)
            self.log.info("task %s of %s runs at %s", task.id, task.group, task.address)

    @staticmethod
    def _run(task: Task, image: str, secret: dict[str, str]) -> None:
        subnet = ec2_backends[settings.ACCOUNT_ID][task.region_name].get_subnet(task.subnet_id)
        vpc = subnet.vpc_id
        network = ec2.network_name(vpc)
        cidr = ec2_backends[settings.ACCOUNT_ID][task.region_name].get_vpc(vpc).cidr_block
        networks.ensure(network, IPv4Network(cidr, strict=False))
        task_containers.directory_of(task).mkdir(parents=True, exist_ok=True)
        options, command = task_containers.options(task, task_containers.variables(task))
        # What a failed attempt left would hold the name.
        podman.rm(container_name(task))
        try:
            podman.run(
                container_name(task),
                image,
                *command,
                network=network,
                address=task.address,
                hostname=f"ip-{task.address.replace('.', '-')}",
                labels={"vahana.kind": KIND, "vahana.zone": subnet.availability_zone, "vahana-vpc": vpc},
                secrets=secret,
                options=options,
            )
        except podman.PodmanError as error:
            raise StartError(f"CannotStartContainerError: {error}") from error

    # Life -------------------------------------------------------------------------------------------------------------

    def _check(self, task: Task) -> None:
        definition = task_containers.container_of(task).get("healthCheck")
        if not definition or definition["command"] == ["NONE"]:
            return
        check = self._checks.setdefault(task.id, HealthCheck(definition))
        if time.monotonic() >= check.due and f"{task.id} check" not in self._busy:
            self._begin(f"{task.id} check", self._examine, task, check)

    def _examine(self, task: Task, check: HealthCheck) -> None:
        before = task.health_status
        try:
            done = podman.execute(container_name(task), *check.command, check=False, timeout=check.timeout)
            passed = done.returncode == 0
        except podman.PodmanError:
            passed = False
        check.take(task, passed)
        if task.health_status != before:
            self.changed()

    def _died(self, task: Task) -> None:
        task.stop("EssentialContainerExited", "Essential container in task exited", failed=True)
        # Requests shall not go there for another second.
        services.deregister(task)
        task.last_status = "DEPROVISIONING"
        self.log.warning("task %s of %s: its container ended", task.id, task.group)
        self.changed()

    # Stop -------------------------------------------------------------------------------------------------------------

    def _stop(self, task: Task, running: bool) -> None:
        name = container_name(task)
        if running:
            task.last_status = "STOPPING"
            podman.stop(name, task_containers.stop_seconds(task))
        if details := podman.inspect(name):
            task.exit_code = int(details["State"]["ExitCode"])
            if details["State"].get("OOMKilled"):
                task.container_reason = OUT_OF_MEMORY
        task.last_status = "DEPROVISIONING"
        task_containers.keep_output(task)
        podman.rm(name)
        shutil.rmtree(task_containers.directory_of(task), ignore_errors=True)
        end(task)
        self._forget_image(task)
        self.log.info("task %s of %s stopped: %s", task.id, task.group, task.stopped_reason)

    @staticmethod
    def _forget_image(task: Task) -> None:
        """Remove an image that no other task needs; the registry keeps it."""
        image = task_containers.container_of(task)["image"]
        others = (each for each in ecs.tasks() if each.last_status != "STOPPED")
        if not any(task_containers.container_of(each)["image"] == image for each in others):
            with contextlib.suppress(PullError):
                repository, digest = registry.resolve(image)
                podman.image_rm(f"{repository.uri}@{digest}")
