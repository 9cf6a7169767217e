"""Each instance is a host: a container that runs systemd and meets its instance metadata at boot."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from typing import Any

from lab import podman, settings, times
from lab.moto_patches import ec2
from lab.moto_patches.ec2 import State
from lab.reconcilers import networks
from lab.reconcilers.base import Reconciler

REBOOT_EXIT_CODE = 133
"""What systemd exits with in a container on `reboot`."""
SHUTDOWN_SECONDS = 10
"""How long a host may take to shut down before it is killed."""

held: set[str] = set()
"""Instances whose host is down for a moment because an image is made of it: not a death."""


class Instances(Reconciler):
    """Starts, stops, restarts and removes hosts as the API asks, and tells the API when one died or halted."""

    name = "instances"
    interval = 1.0

    def __init__(self) -> None:
        super().__init__()
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix=self.name)
        self._busy: set[str] = set()
        self._hosts: dict[str, podman.Container] | None = None
        """The containers as podman last said; None once they may be others."""

    def close(self) -> None:
        """Stop after what is under way."""
        super().close()
        self._pool.shutdown()

    def reconcile(self) -> None:
        """Compare each instance with its container."""
        instances = {settings.host_name(instance.id): instance for instance in ec2.all_instances()}
        # Of what was under way as the containers were listed, the list may be wrong by now.
        busy = self._busy | held
        hosts = self._listed(instances)
        for name, instance in instances.items():
            host = hosts.get(name)
            if instance.id in busy | self._busy | held or (host is None and ec2.state_of(instance) is State.TERMINATED):
                continue
            self._step(instance, host.state if host else None)
        for name in hosts.keys() - instances.keys():
            self._hosts = None
            podman.rm(name)
        ec2.forget_terminated()

    def _listed(self, instances: Mapping[str, Any]) -> dict[str, podman.Container]:
        """Return the containers, for which podman is asked unless each lives that shall live."""
        hosts = self._hosts
        if hosts is not None:
            alive = {name for name, host in hosts.items() if host.state in podman.ALIVE}
            awaited = {name for name, instance in instances.items() if ec2.state_of(instance) is State.RUNNING}
            if awaited <= alive and all(hosts[name].lives for name in alive):
                return hosts
        # What is under way may end after the list was made: it serves this once.
        lasting = not self._busy
        hosts = podman.containers({"vahana.kind": "host"})
        self._hosts = hosts if lasting else None
        return hosts

    def _step(self, instance: Any, found: str | None) -> None:
        """Do what brings one instance nearer to its state; long acts go to a thread of their own."""
        match ec2.state_of(instance):
            case State.PENDING if times.over("instance start", instance.id):
                self._begin(instance, self._start, found)
            case State.STOPPING if times.over("instance stop", instance.id):
                self._begin(instance, self._stop, found)
            case State.SHUTTING_DOWN | State.TERMINATED if times.over("instance terminate", instance.id):
                self._begin(instance, self._remove)
            case State.RUNNING if found not in podman.ALIVE:
                self._died(instance, found)
            case State.RUNNING if getattr(instance, "reboot_wanted", False):
                instance.reboot_wanted = False
                self._begin(instance, self._restart)
            case State.RUNNING if getattr(instance, "reachability", None) != "passed":
                if _answers(instance.private_ip):
                    instance.reachability = "passed"
                    self.changed()

    def _begin(self, instance: Any, act: Any, *arguments: Any) -> None:
        def work() -> None:
            try:
                act(instance, *arguments)
            except Exception as error:
                self.log.warning("%s: %s", instance.id, error)
            finally:
                self._hosts = None
                self._busy.discard(instance.id)
                self.changed()

        self._hosts = None
        self._busy.add(instance.id)
        self._pool.submit(work)

    def _start(self, instance: Any, found: str | None) -> None:
        name = settings.host_name(instance.id)
        instance.reachability = "initializing"
        if found is None:
            vpc = instance.ec2_backend.get_vpc(instance.vpc_id)
            networks.ensure(ec2.network_name(vpc.id), IPv4Network(vpc.cidr_block, strict=False))
            # What a failed attempt left would hold the name.
            podman.rm(name)
            podman.run(
                name,
                instance.host_image,
                network=ec2.network_name(vpc.id),
                address=instance.private_ip,
                hostname=f"ip-{instance.private_ip.replace('.', '-')}",
                labels={"vahana.kind": "host", "vahana.instance": instance.id},
                systemd=True,
                # A terminal makes /dev/console exist: what EC2 gives as console output. Without the capability systemd
                # cannot put a service into a sandbox of its own, as it can on a real machine.
                options=("--tty", "--cap-add=SYS_ADMIN"),
            )
        elif found not in podman.ALIVE:
            podman.start(name)
        if ec2.state_of(instance) is State.PENDING:
            ec2.set_state(instance, State.RUNNING)
            instance.state_reason.code = instance.state_reason.message = ""
            self.log.info("%s runs at %s", instance.id, instance.private_ip)

    def _stop(self, instance: Any, found: str | None) -> None:
        if found in podman.ALIVE:
            podman.stop(settings.host_name(instance.id), SHUTDOWN_SECONDS)
        if ec2.state_of(instance) is State.STOPPING:
            ec2.set_state(instance, State.STOPPED)
            self.log.info("%s stopped", instance.id)

    def _restart(self, instance: Any) -> None:
        instance.reachability = "initializing"
        podman.restart(settings.host_name(instance.id), SHUTDOWN_SECONDS)

    def _remove(self, instance: Any) -> None:
        name = settings.host_name(instance.id)
        if podman.inspect(name):
            # EC2 shows the console of a terminated instance for another hour.
            instance.last_console = podman.logs(name)[-ec2.CONSOLE_BYTES :]
        podman.rm(name)
        ec2.set_state(instance, State.TERMINATED)
        self.log.info("%s terminated", instance.id)

    def _died(self, instance: Any, found: str | None) -> None:
        """Tell a restart and a shutdown from inside from a host that was killed."""
        details = podman.inspect(settings.host_name(instance.id)) if found else None
        code = details["State"]["ExitCode"] if details else None
        if code == REBOOT_EXIT_CODE:
            self._begin(instance, self._restart)
        elif code == 0 and instance.instance_initiated_shutdown_behavior == "terminate":
            instance.terminate()
        elif code == 0:
            instance.stop()
            instance.state_reason.code = "Client.InstanceInitiatedShutdown"
            instance.state_reason.message = "Client.InstanceInitiatedShutdown: Instance initiated shutdown"
        elif getattr(instance, "reachability", None) != "failed":
            instance.reachability = "failed"
            self.changed()
            self.log.warning("%s: its host died (exit code %s)", instance.id, code)


def _answers(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=0.3):
            return True
    except OSError:
        return False
