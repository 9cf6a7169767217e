"""Each AMI made from an instance is that host's file system."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from lab import podman, settings, times
from lab.moto_patches import ec2
from lab.moto_patches.ec2 import State
from lab.reconcilers.base import Reconciler
from lab.reconcilers.instances import held

FIRST_BOOT = (
    "var/lib/cloud",
    "var/log/cloud-init.log",
    "var/log/cloud-init-output.log",
    "var/log/journal",
)
"""What makes a boot a later boot; and below, files of a host's own identity."""


class Images(Reconciler):
    """Saves the hosts that CreateImage names, and removes images whose AMI and hosts are gone."""

    name = "images"

    def __init__(self) -> None:
        """See to the images that are left from before."""
        super().__init__()
        self._tidied: set[str] | None = None
        """The AMIs of which there are images, and no others, as of the last look."""

    def reconcile(self) -> None:
        """Make the pending images, drop the needless ones."""
        known = {ami.id: ami for backend in ec2.backends() for ami in list(backend.amis.values())}
        for ami in known.values():
            if ami.state == "pending" and times.over("image", ami.id):
                try:
                    self._save(ami)
                except Exception as error:
                    ami.state = "failed"
                    ami.state_reason = {"Code": "Server.InternalError", "Message": str(error)}
                    self.log.warning("%s: %s", ami.id, error)
                else:
                    ami.state = "available"
                    self.log.info("%s made from %s", ami.id, ami.instance_id)
                self.changed()
        # To ask podman is dear, and an image is needless only after its AMI went.
        if self._tidied is None or self._tidied - set(known):
            images = podman.images(settings.AMI_REPOSITORY)
            needless = [image for image in images if image.removeprefix(f"{settings.AMI_REPOSITORY}:") not in known]
            # One that a host uses stays, and is asked for again.
            if [image for image in needless if not podman.image_rm(image)]:
                return
        self._tidied = set(known)

    def _save(self, ami: Any) -> None:
        host = settings.host_name(ami.instance.id)
        running = ec2.state_of(ami.instance) is State.RUNNING
        restart = running and not ami.creation["no_reboot"]
        raw, image = f"{settings.AMI_REPOSITORY}:{ami.id}-raw", ec2.host_image(ami)
        held.add(ami.instance_id)
        try:
            if restart:
                ami.instance.reachability = "initializing"
                podman.stop(host)
            podman.commit(host, raw)
        finally:
            if restart:
                podman.start(host)
            held.discard(ami.instance_id)
        _make_first_boot(raw, image, f"{settings.NAME_PREFIX}{ami.id}")


def _make_first_boot(raw: str, image: str, scratch: str) -> None:
    """Take from a saved file system what made that host itself: cloud-init's memory, host keys, machine id."""
    # The saved file system has its host's labels too: with them this container would be taken for a host to be removed.
    labels = (f"--label={settings.LABEL}=1", "--label=vahana.kind=image", "--label=vahana.instance=")
    podman.podman("create", "--name", scratch, *labels, "--network", "none", raw)
    try:
        root = Path(podman.podman("mount", scratch).stdout.strip())
        for name in FIRST_BOOT:
            path = root / name
            if path.is_dir():
                shutil.rmtree(path)
                path.mkdir()
            else:
                path.unlink(missing_ok=True)
        for key in (root / "etc/ssh").glob("ssh_host_*"):
            key.unlink()
        (root / "etc/machine-id").write_text("")
        podman.podman("umount", scratch)
        podman.commit(scratch, image)
    finally:
        podman.rm(scratch)
        podman.image_rm(raw)
