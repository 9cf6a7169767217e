"""Each VPC is a network of this machine."""

from __future__ import annotations

from ipaddress import IPv4Network

from lab import machine, podman
from lab.moto_patches import ec2
from lab.reconcilers.base import Reconciler


class Networks(Reconciler):
    """Makes a podman network, and a route that keeps its packets inside, for each VPC; removes both with it."""

    name = "networks"

    def __init__(self) -> None:
        """Look at what is there first."""
        super().__init__()
        self._done: dict[str, IPv4Network] | None = None
        """What was wanted when all of it was there and nothing else."""

    def reconcile(self) -> None:
        """Bring networks and routes in line with the VPCs."""
        wanted = wanted_networks()
        # To ask podman is dear.
        if wanted == self._done:
            return
        present = podman.networks()
        for name in present.keys() - wanted.keys():
            podman.network_rm(name)
            machine.remove_blackhole(present[name])
            self.log.info("network %s removed", name)
        for name, cidr in wanted.items():
            if name not in present:
                ensure(name, cidr)
                self.log.info("network %s made over %s", name, cidr)
        self._done = wanted


def ensure(name: str, cidr: IPv4Network) -> None:
    """Have a network now; the reconciler alone would have it within seconds."""
    # First the route: with the bridge down, a packet for a host would leave by the default route.
    machine.add_blackhole(cidr)
    if name not in podman.networks():
        podman.network_create(name, cidr)


def wanted_networks() -> dict[str, IPv4Network]:
    """The VPCs that need a network: each region has a default VPC over the same range, which counts once it is used."""
    wanted = {}
    for backend in ec2.backends():
        used = {eni.vpc_id for eni in backend.enis.values()}
        for vpc in list(backend.vpcs.values()):
            if not vpc.is_default or vpc.id in used:
                wanted[ec2.network_name(vpc.id)] = IPv4Network(vpc.cidr_block, strict=False)
    return wanted
