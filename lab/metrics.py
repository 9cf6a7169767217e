"""What a host's CPU does, read from its control group, and how fast the lab's minutes pass.

EC2 measures each instance once a minute (detailed monitoring). `lab metrics` makes such a minute shorter, so that what
follows a metric can be seen in seconds, and a host smaller than its instance type, so that little load is much.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES

from lab import podman, settings

CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Pace:
    """How metrics are made.

    period: seconds from one datapoint to the next.
    cpus: cores that are 100 % of a host; 0 stands for those of its instance type.
    """

    period: float = 60.0
    cpus: float = 0.0


def _file() -> Path:
    return settings.home() / "metrics.json"


def pace() -> Pace:
    """How metrics are made now."""
    try:
        return Pace(**json.loads(_file().read_text()))
    except FileNotFoundError:
        return Pace()


def set_pace(wanted: Pace) -> None:
    """Make metrics in another way from now on, also after a restart."""
    partial = _file().with_suffix(".new")
    partial.write_text(json.dumps(asdict(wanted)))
    partial.replace(_file())


class CpuMeter:
    """Measures the CPU of hosts between two looks."""

    def __init__(self) -> None:
        self._groups: dict[str, str] = {}
        self._seen: dict[str, tuple[float, float]] = {}

    def percent(self, instance: Any, cpus: float) -> float | None:
        """CPU that the instance's host has used since the last look, None at the first look and without a host.

        Args:
            instance: moto's instance.
            cpus: cores that are 100 %; 0 stands for those of its type.
        """
        whole = cpus or INSTANCE_TYPES[instance.instance_type]["VCpuInfo"]["DefaultVCpus"]
        return self.percent_of(settings.host_name(instance.id), whole)

    def percent_of(self, name: str, cpus: float) -> float | None:
        """The same of any container, by its name."""
        used = self._seconds(name)
        if used is None:
            self._seen.pop(name, None)
            return None
        now = time.monotonic()
        before = self._seen.get(name)
        self._seen[name] = (now, used)
        # A host that was started again counts from nothing.
        if before is None or now <= before[0] or used < before[1]:
            return None
        return min(100.0, (used - before[1]) / (now - before[0]) / cpus * 100)

    def _seconds(self, name: str) -> float | None:
        """CPU seconds of a container since it was started."""
        if name not in self._groups:
            found = podman.inspect(name)
            if found is None or not found["State"].get("CgroupPath"):
                return None
            self._groups[name] = found["State"]["CgroupPath"]
        used = cpu_seconds(self._groups[name])
        if used is None:
            del self._groups[name]
        return used


def memory_bytes(name: str) -> int | None:
    """Bytes of memory that a container holds, whichever version its control group has; None without a container."""
    found = podman.inspect(name)
    group = str(found["State"].get("CgroupPath") or "").lstrip("/") if found else ""
    for file in (CGROUPS / "memory" / group / "memory.usage_in_bytes", CGROUPS / group / "memory.current"):
        if group and file.exists():
            return int(file.read_text())
    return None


def cpu_seconds(group: str) -> float | None:
    """CPU seconds that a control group has used, whichever version this machine has; None when there is none."""
    try:
        return int((CGROUPS / "cpuacct" / group.lstrip("/") / "cpuacct.usage").read_text()) / 1e9
    except OSError:
        pass
    try:
        lines = (CGROUPS / group.lstrip("/") / "cpu.stat").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) / 1e6 for line in lines if line.startswith("usage_usec"))
