"""Application Load Balancers: one HAProxy container each, and target health as that HAProxy sees it."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from moto.acm.models import acm_backends
from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends
from moto.wafv2.models import wafv2_backends

from lab import firewall, haproxy, interfaces, podman, settings, times
from lab.moto_patches import elbv2
from lab.reconcilers.base import Reconciler

SERVICE = "load-balancer"


def container_name(arn: str) -> str:
    """Name of a load balancer's container, from its ARN."""
    return f"{settings.NAME_PREFIX}lb-{arn.rsplit('/', 1)[1]}"


def interface_description(arn: str) -> str:
    """How AWS describes a load balancer's network interfaces: ELB app/<name>/<id>."""
    return f"ELB {arn.split(':loadbalancer/', 1)[1]}"


def load_balancers() -> Iterator[Any]:
    """moto's load balancers of all regions."""
    for backend in list(elbv2_backends[settings.ACCOUNT_ID].values()):
        yield from list(backend.load_balancers.values())


def address(balancer: Any) -> str | None:
    """The address a load balancer answers at, None before it has one.

    AWS has an address in each subnet; the lab's HAProxy is in the first one.
    """
    region = balancer.arn.split(":")[3]
    found = interfaces.find(ec2_backends[settings.ACCOUNT_ID][region], interface_description(balancer.arn))
    by_subnet = {interface.subnet.id: interface.private_ip_address for interface in found}
    return next((by_subnet[subnet.id] for subnet in balancer.subnets if subnet.id in by_subnet), None)


def ensure_interfaces(balancer: Any) -> str:
    """Give a load balancer a network interface in each of its subnets; return the address it answers at."""
    region = balancer.arn.split(":")[3]
    ec2 = ec2_backends[settings.ACCOUNT_ID][region]
    description = interface_description(balancer.arn)
    present = {interface.subnet.id: interface for interface in interfaces.find(ec2, description)}
    wanted = {subnet.id: subnet for subnet in balancer.subnets}
    for subnet_id, subnet in wanted.items():
        if subnet_id not in present:
            interfaces.allocate(ec2, subnet, description, balancer.security_groups, "amazon-elb")
    for subnet_id, interface in present.items():
        if subnet_id not in wanted:
            interfaces.release(interface)
    found = address(balancer)
    assert found is not None
    return found


class LoadBalancers(Reconciler):
    """Runs HAProxy for each load balancer and tells moto what it sees."""

    name: ClassVar[str] = "load_balancers"
    interval: ClassVar[float] = 1.0

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, str] | None = None
        """Container name → address, of the containers that run."""
        self._registered: dict[tuple[str, str], float] = {}
        """(group ARN, server) → when this process first saw the target, seconds on the monotonic clock."""
        self._health: dict[tuple[str, str], elbv2.Health] = {}
        """(group ARN, target id) → what HAProxy sees."""
        elbv2.follow(self._measure)

    def _measure(self, group: Any, identifier: str) -> elbv2.Health | None:
        return self._health.get((group.arn, identifier))

    def reconcile(self) -> None:
        """Bring every load balancer up to date; a fault in one does not hold the others up."""
        if self._known is None:
            found = podman.containers({"vahana-service": SERVICE})
            self._known = {name: container.labels.get("vahana-address", "") for name, container in found.items()}
        wanted = {container_name(balancer.arn): balancer for balancer in load_balancers()}
        for name in set(self._known) - set(wanted):
            self._remove(name)
        self._release_interfaces()
        faults = []
        health: dict[tuple[str, str], elbv2.Health] = {}
        for name, balancer in wanted.items():
            try:
                self._converge(name, balancer, health)
            except (podman.PodmanError, OSError, RuntimeError, ValueError) as error:
                faults.append(f"{balancer.name}: {error}")
        self._health = health
        if faults:
            raise RuntimeError("; ".join(faults))

    def _directory(self, name: str) -> Path:
        return settings.runtime() / name

    def _remove(self, name: str) -> None:
        podman.rm(name)
        shutil.rmtree(self._directory(name), ignore_errors=True)
        assert self._known is not None
        self._known.pop(name, None)

    def _release_interfaces(self) -> None:
        alive = {interface_description(balancer.arn) for balancer in load_balancers()}
        for ec2 in list(ec2_backends[settings.ACCOUNT_ID].values()):
            for interface in interfaces.find(ec2, "ELB app/"):
                if interface.description not in alive:
                    interfaces.release(interface)

    def _converge(self, name: str, balancer: Any, health: dict[tuple[str, str], elbv2.Health]) -> None:
        assert self._known is not None
        where = ensure_interfaces(balancer)
        directory = self._directory(name)
        model, certificates = self._model(balancer)
        skeleton = haproxy.render(model, servers=False)
        digest = hashlib.sha256(skeleton.encode() + b"".join(certificates.values())).hexdigest()
        runtime = haproxy.Runtime(directory)
        loaded = directory / "loaded"
        if self._known.get(name) != where or not self._answers(runtime):
            self._remove(name)
            self._write(directory, model, certificates)
            self._start(name, balancer, where, directory)
            runtime.wait()
            self._known[name] = where
            loaded.write_text(digest)
            self.log.info("load balancer %s answers at %s", balancer.name, where)
        elif not loaded.exists() or loaded.read_text() != digest:
            self._write(directory, model, certificates)
            runtime.reload()
            loaded.write_text(digest)
            self.log.info("load balancer %s took its new listeners", balancer.name)
        if balancer.state != "active" and times.over("load balancer create", balancer.arn):
            balancer.state = "active"
        self._converge_targets(runtime, model, health)

    @staticmethod
    def _answers(runtime: haproxy.Runtime) -> bool:
        try:
            runtime.command("show info")
        except OSError:
            return False
        return True

    @staticmethod
    def _write(directory: Path, model: haproxy.LoadBalancer, certificates: dict[str, bytes]) -> None:
        folder = directory / "certificates"
        folder.mkdir(parents=True, exist_ok=True)
        # HAProxy reads them as root, before it gives root up; nobody else may.
        folder.chmod(0o700)
        for old in {path.name for path in folder.iterdir()} - set(certificates):
            (folder / old).unlink()
        for file, pem in certificates.items():
            (folder / file).write_bytes(pem)
        (directory / "servers.state").touch()
        (directory / "haproxy.cfg").write_text(haproxy.render(model))

    @staticmethod
    def _start(name: str, balancer: Any, where: str, directory: Path) -> None:
        inside = haproxy.DIRECTORY
        podman.run(
            name,
            settings.SERVICE_IMAGE,
            *("haproxy", "-W", "-db", "-S", f"{inside}/master.sock", "-f", f"{inside}/haproxy.cfg"),
            network=f"{settings.NAME_PREFIX}{balancer.vpc_id}",
            address=where,
            hostname=balancer.name,
            labels={"vahana-service": SERVICE, "vahana-address": where, "vahana-vpc": balancer.vpc_id},
            options=("--volume", f"{directory}:{inside}"),
        )

    def _model(self, balancer: Any) -> tuple[haproxy.LoadBalancer, dict[str, bytes]]:
        """What HAProxy needs to know, and the certificate files."""
        backend = elbv2_backends[settings.ACCOUNT_ID][balancer.arn.split(":")[3]]
        groups: dict[str, haproxy.TargetGroup] = {}
        certificates: dict[str, bytes] = {}
        listeners = []
        for listener in list(balancer.listeners.values()):
            files = []
            for arn in listener.certificates:
                pem = self._certificate(arn)
                if pem:
                    file = f"{arn.rsplit('/', 1)[1]}.pem"
                    certificates[file] = pem
                    files.append(file)
            if listener.protocol == "HTTPS" and not files:
                self.log.warning("listener %s of %s has no usable certificate", listener.port, balancer.name)
                continue
            ordered = sorted(
                listener.rules.values(),
                key=lambda rule: (rule.is_default, 0 if rule.is_default else int(rule.priority)),
            )
            rules = [haproxy.Rule(rule.conditions, [action.data for action in rule.actions]) for rule in ordered]
            listeners.append(haproxy.Listener(int(listener.port), listener.protocol, rules, files))
            for rule in ordered:
                for action in rule.actions:
                    for arn in backend._get_target_group_arns_from(action_data=action.data):
                        if arn in backend.target_groups:
                            groups[arn] = self._group(backend.target_groups[arn])
        attributes = balancer.attrs
        model = haproxy.LoadBalancer(
            idle_timeout=int(attributes.get("idle_timeout.timeout_seconds", 60)),
            http2=attributes.get("routing.http2.enabled") != "false",
            firewall=self._firewall(balancer.arn),
            preserve_host=attributes.get("routing.http.preserve_host_header.enabled") == "true",
            listeners=sorted(listeners, key=lambda listener: listener.port),
            groups=dict(sorted(groups.items())),
        )
        return model, certificates

    @staticmethod
    def _firewall(arn: str) -> firewall.Policy:
        acl = wafv2_backends[settings.ACCOUNT_ID][arn.split(":")[3]].get_web_acl_for_resource(arn)
        return firewall.policy([rule.to_dict() for rule in acl.rules]) if acl else firewall.Policy()

    @staticmethod
    def _certificate(arn: str) -> bytes | None:
        certificate = acm_backends[settings.ACCOUNT_ID][arn.split(":")[3]]._certificates.get(arn)
        if certificate is None or certificate.status != "ISSUED":
            return None
        return bytes(certificate.cert.strip() + b"\n" + certificate.key.strip() + b"\n")

    def _group(self, group: Any) -> haproxy.TargetGroup:
        attributes = group.attributes
        sticky = attributes.get("stickiness.enabled") == "true" and attributes.get("stickiness.type") == "lb_cookie"
        port = str(group.health_check_port)
        return haproxy.TargetGroup(
            name=group.arn.rsplit(":", 1)[1].replace("/", "-"),
            arn=group.arn,
            protocol=group.protocol,
            check_protocol=group.health_check_protocol,
            check_path=group.health_check_path or "/",
            check_port=int(port) if port.isdigit() else 0,
            interval=int(group.health_check_interval_seconds),
            timeout=int(group.health_check_timeout_seconds),
            healthy=int(group.healthy_threshold_count),
            unhealthy=int(group.unhealthy_threshold_count),
            matcher=(group.matcher or {}).get("HttpCode", "200"),
            algorithm=attributes.get("load_balancing.algorithm.type", "round_robin"),
            cookie_seconds=int(attributes["stickiness.lb_cookie.duration_seconds"]) if sticky else 0,
            targets=tuple(self._targets(group)),
        )

    @staticmethod
    def _targets(group: Any) -> Iterator[haproxy.Target]:
        wanted = [(target["Id"], int(target["Port"]), False) for target in list(group.targets.values())]
        wanted += [(target, elbv2.draining_port(group, target), True) for target in elbv2.draining_since(group)]
        for identifier, port, draining in wanted:
            where = identifier
            if group.target_type == "instance":
                instance = group.ec2_backend.get_instance_by_id(identifier)
                # Without this, a machine that took the address of a terminated one would get its requests.
                if instance is None or instance.state in {"terminated", "stopped", "pending"}:
                    continue
                where = instance.private_ip
            yield haproxy.Target(identifier, where, port, draining)

    def _converge_targets(
        self, runtime: haproxy.Runtime, model: haproxy.LoadBalancer, health: dict[tuple[str, str], elbv2.Health]
    ) -> None:
        present = {(server.backend, server.name): server for server in runtime.servers()}
        wanted = {
            (group.name, target.server): (group, target) for group in model.groups.values() for target in group.targets
        }
        for backend, name in set(present) - set(wanted):
            # Connections may take a moment to end: what is still there is removed in the next round.
            runtime.remove(backend, name)
        for (backend, name), (group, target) in wanted.items():
            server = present.get((backend, name))
            since = self._registered.setdefault((group.arn, name), time.monotonic() if server is None else 0.0)
            if server is None:
                if not target.draining:
                    answer = runtime.add(group, target)
                    if "New server registered" not in answer:
                        raise RuntimeError(f"target {target.identifier}: {answer}")
                    health[group.arn, target.identifier] = (
                        "initial",
                        "Elb.RegistrationInProgress",
                        "Target registration is in progress",
                    )
                continue
            if target.draining:
                if server.status != "DRAIN":
                    runtime.set_state(backend, name, "drain")
                continue
            if server.status == "DRAIN":
                # Registered again before the drain was over: it starts anew, with a check.
                runtime.set_weight(backend, name, 0)
                runtime.set_state(backend, name, "ready")
                self._registered[group.arn, name] = time.monotonic()
                server = replace(server, weight=0)
            elif server.up and server.passed and server.weight == 0:
                runtime.set_weight(backend, name, 1)
                server = replace(server, weight=1)
            health[group.arn, target.identifier] = haproxy.health(server, group, time.monotonic() - since)
        for key in set(self._registered) - {(group.arn, name) for (_, name), (group, _) in wanted.items()}:
            self._registered.pop(key)

    def close(self) -> None:
        """Stop following; the containers keep running for the lab's next start."""
        super().close()
        elbv2.follow(None)
