#!/usr/bin/python3
"""Bring this host into service by itself: at the launch of the instance and after every reboot.

Reads the approved release from Parameter Store (or boot.json names the one to launch with), fetches it and the secrets
with the instance's role, migrates, starts the backend and proves its health. At a launch it then tells the Auto Scaling
group: continue, or abandon the instance.
backend-boot.service runs it; no person needs to.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# The role installs the modules there, under no name of Python's own: it holds for every version of Debian's Python.
sys.path.insert(0, "/usr/local/lib/vahana")

import backend_host
from backend_host import (
    BOOT_BEGAN_FILE,
    BOOT_FILE,
    CONFIG_FILE,
    EXIT_FAILED,
    STATE_DIRECTORY,
    Aws,
    Boot,
    Host,
    HostError,
    only_one,
    run_tool,
    say,
)
from backend_releases import Activation, ActivationError, Releases, Service, indent

PATIENCE = 300
"""Seconds to wait for a deployment that is at work on this host."""

BEAT = 20
"""Seconds between two heartbeats of a launch: the least timeout that a hook may have is 30."""

BEATS_FOR = 3600
"""Seconds from the first migration of a boot during which it may prolong its launch: one that still runs then is taken
for one that hangs. The unit's TimeoutStartSec is as long. (The group's own limit is a hundred timeouts of the hook, 48
hours at most.)
"""


class Launch:
    """The launch of this instance by an Auto Scaling group, answered once in the instance's life.

    Args:
        boot: says which group and hook, if any.
        aws: the way to the group.
        state: directory that outlives a reboot. It holds the id of the instance that has answered: an image made from
            this host carries the file, and its instances have other ids.
        began: file that does not outlive a reboot. It holds when the boot was tried first, as the clock of this boot
            has it: that of the day may still be set.
    """

    def __init__(
        self,
        boot: Boot,
        aws: Aws,
        state: Path = STATE_DIRECTORY,
        instance_id: Callable[[], str] = backend_host.instance_id,
        began: Path = BOOT_BEGAN_FILE,
    ) -> None:
        self._boot = boot
        self._aws = aws
        self._answered = state / "launch-answered"
        self._instance_id = instance_id
        self._began = began

    def is_answered(self) -> bool:
        """Say whether the group was told how this instance's launch went: then this is a later boot."""
        return self._answered.exists() and self._answered.read_text().strip() == self._instance_id()

    @contextlib.contextmanager
    def prolonged(self) -> Iterator[None]:
        """Let the group wait while this lasts: a migration may take longer than the hook's timeout."""
        group, hook = self._boot.auto_scaling_group, self._boot.lifecycle_hook
        if not group or not hook or self.is_answered():
            yield
            return
        if not self._began.exists():
            new = self._began.with_suffix(".new")
            new.write_text(str(time.monotonic()))
            new.replace(self._began)
        until = float(self._began.read_text()) + BEATS_FOR
        # Made before there are two threads, for boto3 makes clients in one alone.
        self._aws.client("autoscaling")
        done = threading.Event()
        threading.Thread(target=self._beat, args=(group, hook, until, done), daemon=True).start()
        try:
            yield
        finally:
            done.set()

    def _beat(self, group: str, hook: str, until: float, done: threading.Event) -> None:
        while not done.wait(BEAT) and time.monotonic() < until:
            try:
                if not self._aws.prolong_launch(group, hook, self._instance_id()):
                    return
            except HostError as failure:
                # The next may get through; if none does, the hook's timeout decides.
                say(f"the launch was not prolonged: {failure}")

    def answer(self, *, fit: bool) -> None:
        """Tell the group, unless it was told or does not wait."""
        group, hook = self._boot.auto_scaling_group, self._boot.lifecycle_hook
        if not group or not hook or self.is_answered():
            return
        instance = self._instance_id()
        if self._aws.complete_launch(group, hook, instance, fit=fit):
            say(f"told {group}: {'the instance is fit' if fit else 'abandon the instance'}")
        self._answered.parent.mkdir(parents=True, exist_ok=True)
        self._answered.write_text(instance + "\n")


class LaunchedService(Service):
    """The backend's service, whose migrations the group waits for while they run."""

    def __init__(self, host: Host, launch: Launch) -> None:
        super().__init__(host)
        self._launch = launch

    def migrate(self, release: Path, environment: dict[str, str]) -> None:
        """Run the release's migrations, however long they take: all else has the hook's own timeout."""
        with self._launch.prolonged():
            super().migrate(release, environment)


def boot_up(host: Host, boot: Boot, aws: Aws, service: Service) -> str:
    """Bring the release that boot.json names, or else the approved one, into service and return its name."""
    pointer = f"{boot.parameter_prefix}/release"
    version = boot.release or aws.parameter(
        pointer, f"no release is approved: parameter {pointer} is missing: run playbooks/deploy.yml"
    )
    releases = Releases(host.root)
    releases.install(version, boot, aws)
    Activation(host, boot, aws, releases, service).activate(version, migrate=True)
    return version


def main() -> int:
    """Boot; return the exit code."""
    argparse.ArgumentParser(prog="backend-boot", description=__doc__).parse_args()
    host = Host.load(CONFIG_FILE)
    boot = Boot.load(BOOT_FILE)
    aws = Aws(boot.region)
    launch = Launch(boot, aws)
    try:
        if boot.release and launch.is_answered():
            boot = dataclasses.replace(boot, release=None)
        with only_one("backend-boot", PATIENCE):
            version = boot_up(host, boot, aws, LaunchedService(host, launch))
    except HostError as failure:
        if failure.passing:
            # The unit tries again; the hook's own timeout abandons the instance if that goes on for too long.
            raise
        if isinstance(failure, ActivationError):
            for line in indent(failure.log):
                say(line)
        say(str(failure), error=True)
        launch.answer(fit=False)
        return EXIT_FAILED
    say(f"release {version} answers on port {boot.port}")
    launch.answer(fit=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_tool(main))
