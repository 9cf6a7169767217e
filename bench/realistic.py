"""A first converge at AWS's own waiting times, against the longest chain of things that wait for one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.emulator import Emulator
from bench.programs import Ansible, Measurement
from lab.times import TIMES


@dataclass(frozen=True)
class Wait:
    """Something that a first converge waits for."""

    time: str
    """Name of how long it takes in `lab.times.TIMES`."""
    after: tuple[str, ...] = ()
    """What must be over before it can begin."""


# A distribution needs the load balancer's name, which is there at once. The connect endpoint is waited for by the first
# SSH connection only, and there are no hosts here; for the same reason no time passes between builder and its stop.
WAITS: Mapping[str, Mapping[str, Wait]] = {
    "minimal": {"instance": Wait("instance start")},
    "basic": {
        "database": Wait("database create"),
        "load balancer": Wait("load balancer create"),
        "distribution": Wait("distribution deploy"),
        "builder": Wait("instance start"),
        "builder's stop": Wait("instance stop", ("builder",)),
        "image": Wait("image", ("builder's stop",)),
        # Instances of the group read where the database is when they boot.
        "instances": Wait("instance start", ("database", "image")),
        "instances' boot": Wait("instance boot", ("instances",)),
        "targets": Wait("target healthy", ("instances' boot", "load balancer")),
    },
    "full": {
        "database": Wait("database create"),
        # Made from the database's first backup, as long as any other instance.
        "read replica": Wait("database create", ("database",)),
        "cache": Wait("cache create"),
        "load balancer": Wait("load balancer create"),
        "distribution": Wait("distribution deploy"),
        # The builder is in a private subnet, which has no other way out.
        "NAT gateway": Wait("NAT gateway create"),
        "builder": Wait("instance start", ("NAT gateway",)),
        "builder's stop": Wait("instance stop", ("builder",)),
        "image": Wait("image", ("builder's stop",)),
        "instances": Wait("instance start", ("database", "cache", "image")),
        "instances' boot": Wait("instance boot", ("instances",)),
        "targets": Wait("target healthy", ("instances' boot", "load balancer")),
    },
    "serverless": {"distribution": Wait("distribution deploy")},
    "microservices": {
        "database": Wait("database create"),
        "cache": Wait("cache create"),
        "load balancer": Wait("load balancer create"),
        "distribution": Wait("distribution deploy"),
        "NAT gateway": Wait("NAT gateway create"),
        # They are told where database and cache are, and pull their images from private subnets.
        "tasks": Wait("task start", ("database", "cache", "NAT gateway")),
        "targets": Wait("target healthy", ("tasks", "load balancer")),
    },
}


def longest_chain(waits: Mapping[str, Wait]) -> list[tuple[str, float]]:
    """Find the chain of waits that takes longest: (name, seconds at AWS's pace), in their order."""

    def ending_in(name: str) -> list[tuple[str, float]]:
        before = max((ending_in(each) for each in waits[name].after), key=length, default=[])
        return [*before, (name, TIMES[waits[name].time].seconds)]

    return max((ending_in(name) for name in waits), key=length)


def length(chain: list[tuple[str, float]]) -> float:
    """Seconds of a chain."""
    return sum(seconds for _, seconds in chain)


@dataclass(frozen=True)
class Result:
    """What a first converge took, and what it could not be faster than."""

    tier: str
    scale: float
    chain: list[tuple[str, float]]
    measurement: Measurement

    @property
    def ratio(self) -> float:
        """The run's time by the chain's; 1 is the best there is."""
        return self.measurement.wall / (length(self.chain) * self.scale)

    def __str__(self) -> str:
        """Say it in two lines."""
        links = " → ".join(f"{name} {seconds * self.scale:.0f}" for name, seconds in self.chain)
        return (
            f"{self.tier}, AWS's times by {self.scale:g}: {self.measurement.wall:.0f} s, "
            f"{self.ratio:.2f} of the longest chain of waits\n"
            f"  {links} = {length(self.chain) * self.scale:.0f} s"
        )


def first_converge(tier: str, work: Path, playbooks: list[str], scale: float) -> Result:
    """Measure a first converge with the emulator at AWS's pace, times the scale; the image is baked, without SSH."""
    ansible = Ansible(tier, work, playbooks)
    with Emulator("--realistic", "--scale", str(scale)) as emulator:
        return Result(tier, scale, longest_chain(WAITS[tier]), ansible.converge(emulator, baked=False))
