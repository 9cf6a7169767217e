"""What stands in for the machine where there is none: everything the API wants is so at once, or after AWS's time.

`lab serve --api-only` runs this in place of the reconcilers that make hosts, load balancers and databases.
"""

from __future__ import annotations

import datetime
import threading
from typing import Any, ClassVar

from moto.ec2.models import ec2_backends
from moto.rds.models import rds_backends

from lab import interfaces, settings, times
from lab.moto_patches import autoscaling, ec2, ec2_connect, ecs, elasticache, elbv2, rds
from lab.moto_patches.ec2 import State
from lab.reconcilers import caches, databases, load_balancers, tasks
from lab.reconcilers.autoscaling import AutoScaling
from lab.reconcilers.base import Reconciler
from lab.reconcilers.services import Services
from lab.reconcilers.tables import Tables
from lab.reconcilers.waits import Waits

FAULT_TAG = "vahana-lab:launch"
"""An instance with this tag and the value `abandon` abandons its launch, as one whose release does not start; a task
whose container has it as a label ends as soon as it begins."""
ROUNDS = 50
"""Steps after which it must be settled: a group's launch takes about six."""


class StandIns(Reconciler):
    """Moves every state on as soon as its time is over."""

    name: ClassVar[str] = "stand-ins"
    interval: ClassVar[float] = 0.1

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._groups = AutoScaling()
        self._groups.changed = self._note
        self._services = Services()
        self._services.changed = self._note
        self._tables = Tables()
        self._waits = Waits()
        self._moved = False
        ec2.follow(False)
        rds.follow(True)
        elasticache.follow(True)
        elbv2.follow(self._measure)
        ec2_connect.TRANSITION = datetime.timedelta()

    def close(self) -> None:
        """Stop, and leave moto's own behaviour behind."""
        super().close()
        ec2.follow(True)
        rds.follow(False)
        elasticache.follow(False)
        elbv2.follow(None)
        self._waits.close()

    def reconcile(self) -> None:
        """Move on whatever can move, until nothing does."""
        with self._lock:
            for _ in range(ROUNDS):
                self._moved = False
                for step in (
                    self._instances,
                    self._images,
                    self._load_balancers,
                    self._hooks,
                    self._groups.reconcile,
                    self._databases,
                    self._caches,
                    self._tasks,
                    self._services.reconcile,
                    self._tables.reconcile,
                    self._waits.reconcile,
                ):
                    step()
                if not self._moved:
                    return

    def _note(self) -> None:
        self._moved = True

    # EC2 --------------------------------------------------------------------------------------------------------------

    def _instances(self) -> None:
        for instance in ec2.all_instances():
            match ec2.state_of(instance):
                case State.PENDING if times.over("instance start", instance.id):
                    self._set(instance, State.RUNNING)
                    instance.state_reason.code = instance.state_reason.message = ""
                    instance.reachability = "initializing"
                case State.RUNNING if getattr(instance, "reboot_wanted", False):
                    instance.reboot_wanted = False
                    instance.reachability = "initializing"
                case State.RUNNING if not _booted(instance) and times.over("instance boot", instance.id):
                    instance.reachability = "passed"
                    self._note()
                case State.STOPPING if times.over("instance stop", instance.id):
                    self._set(instance, State.STOPPED)
                case State.SHUTTING_DOWN if times.over("instance terminate", instance.id):
                    self._set(instance, State.TERMINATED)
        ec2.forget_terminated()

    def _set(self, instance: Any, state: State) -> None:
        ec2.set_state(instance, state)
        self._note()

    def _images(self) -> None:
        for backend in ec2.backends():
            for ami in list(backend.amis.values()):
                if ami.state == "pending" and times.over("image", ami.id):
                    ami.state = "available"
                    self._note()

    # Load balancing and groups ----------------------------------------------------------------------------------------

    def _load_balancers(self) -> None:
        alive = {}
        for balancer in load_balancers.load_balancers():
            alive[load_balancers.interface_description(balancer.arn)] = balancer
            load_balancers.ensure_interfaces(balancer)
            if balancer.state == "provisioning" and times.over("load balancer create", balancer.arn):
                balancer.state = "active"
                self._note()
        for backend in list(ec2_backends[settings.ACCOUNT_ID].values()):
            for interface in list(interfaces.find(backend, "ELB app/")):
                if interface.description not in alive and times.over("load balancer delete", interface.id):
                    interfaces.release(interface)

    @staticmethod
    def _measure(group: Any, identifier: str) -> elbv2.Health | None:
        """Targets are healthy: their instance booted, and two checks found it so."""
        instance = group.ec2_backend.get_instance_by_id(identifier)
        known = vars(group).setdefault("healthy", set())
        if identifier not in known:
            booted = instance is None or _booted(instance)
            if not booted or not times.over("target healthy", f"{group.arn} {identifier}"):
                return None
            known.add(identifier)
        return "healthy", None, None

    @staticmethod
    def _hooks() -> None:
        """Complete what instances of groups complete themselves once they have booted."""
        for backend in autoscaling.backends():
            for group in list(backend.autoscaling_groups.values()):
                for state in list(group.instance_states):
                    for action in state.actions.values():
                        if _booted(state.instance) or state.lifecycle_state == "Terminating:Wait":
                            faults = [tag["value"] for tag in state.instance.get_tags() if tag["key"] == FAULT_TAG]
                            action.result = action.result or ("ABANDON" if "abandon" in faults else "CONTINUE")

    # Caches -----------------------------------------------------------------------------------------------------------

    def _caches(self) -> None:
        for backend, group in list(elasticache.groups()):
            before = group.status
            match before:
                case "creating" | "modifying":
                    for number in range(1, group.nodes + 1):
                        caches.ensure_interface(backend, group, number)
                    caches.release(group, beyond=group.nodes)
                    if times.over("cache create" if before == "creating" else "cache modify", group.arn):
                        group.status = "available"
                        self._note()
                case "deleting" if times.over("cache delete", group.arn):
                    caches.release(group)
                    elasticache.forget(backend, group)
                    self._note()

    # Tasks ------------------------------------------------------------------------------------------------------------

    def _tasks(self) -> None:
        for task in ecs.tasks():
            before = task.last_status
            match task.desired_status, before:
                case "RUNNING", "PROVISIONING":
                    tasks.ensure_interface(task)
                    task.last_status = "PENDING"
                case "RUNNING", "PENDING" if times.over("task start", task.id):
                    self._start_task(task)
                case "STOPPED", "RUNNING":
                    tasks.begin_stopping(task)
                case "STOPPED", state if state != "STOPPED" and times.over("task stop", task.id):
                    tasks.end(task)
            if task.last_status != before:
                self._note()
        ecs.forget_stopped()

    @staticmethod
    def _start_task(task: ecs.Task) -> None:
        container = ecs.definition_of(task).container_definitions[0]
        if (container.get("dockerLabels") or {}).get(FAULT_TAG) == "abandon":
            task.stop("EssentialContainerExited", "Essential container in task exited", failed=True)
            return
        tasks.begin_running(task)
        if container.get("healthCheck"):
            task.health_status = "HEALTHY"

    # Databases --------------------------------------------------------------------------------------------------------

    def _databases(self) -> None:
        for backend in list(rds_backends[settings.ACCOUNT_ID].values()):
            for snapshot in list(backend.database_snapshots.values()):
                if snapshot.status == "creating" and times.over("database snapshot", snapshot.db_snapshot_arn):
                    snapshot.status = "available"
            for database in list(backend.databases.values()):
                before = database.status
                self._move_database(backend, database)
                if database.status != before:
                    self._note()

    @staticmethod
    def _move_database(backend: Any, database: Any) -> None:
        identity = database.dbi_resource_id
        match database.status:
            case "creating":
                databases.ensure_interface(database)
                if times.over("database create", identity):
                    database.status = "available"
            case "modifying" if times.over("database modify", identity):
                database.password_pending = False
                database.promotion_pending = False
                database.status = "available"
            case "available" if database.password_pending and times.over("database modify", identity):
                database.password_pending = False
            case "rebooting" | "starting" if times.over("database restart", identity):
                database.status = "available"
            case "stopping" if times.over("database stop", identity):
                database.status = "stopped"
            case "deleting" if times.over("database delete", identity):
                databases.forget(backend, database)


def _booted(instance: Any) -> bool:
    return getattr(instance, "reachability", None) == "passed"
