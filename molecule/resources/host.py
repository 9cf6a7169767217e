"""Makes and removes the host of a scenario: Debian 13 with systemd, cloud-init and SSH in a podman container.

The host is what an instance is on AWS, as far as roles see it: cloud-init makes the user `admin` with our key, the host
makes its own host key, which is read through podman and checked by SSH. Each scenario has a network of its own. With
--aws, an AWS emulator listens on the host's gateway, and the host is told so as it is on the lab: by systemd's default
environment.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lab import image, podman, settings

AWS_PORT = 5000
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
BOOT_TIMEOUT = 60
BLACKHOLE_METRIC = "9998"
"""Not the lab's, which takes the routes of its own metric for its own when it starts."""


@dataclass(frozen=True)
class Scenario:
    """One scenario's host.

    Attributes:
        name: of host and network.
        subnet: of the network; the first address is the gateway, the eleventh the host's.
        directory: molecule's for this scenario.
        aws: whether there is an AWS emulator.
    """

    name: str
    subnet: IPv4Network
    directory: Path
    aws: bool

    @property
    def gateway(self) -> str:
        """This machine's address in the network."""
        return str(self.subnet[1])

    @property
    def address(self) -> str:
        """The host's address."""
        return str(self.subnet[11])

    @property
    def environment(self) -> dict[str, str]:
        """What the host's programs find in their environment."""
        certificates = {"NODE_EXTRA_CA_CERTS": BUNDLE, "SSL_CERT_FILE": BUNDLE}
        if not self.aws:
            return certificates
        return certificates | {
            "AWS_ENDPOINT_URL": f"http://{self.gateway}:{AWS_PORT}",
            # There is no instance role here: this is what the metadata service would give.
            "AWS_ACCESS_KEY_ID": "molecule",
            "AWS_SECRET_ACCESS_KEY": "molecule",
        }

    def create(self) -> None:
        """Make the host and wait for its first boot."""
        image.ensure()
        # While the bridge is down, its addresses would otherwise leave by the default route.
        subprocess.run(
            ["ip", "route", "replace", "blackhole", str(self.subnet), "metric", BLACKHOLE_METRIC], check=True
        )
        network = ["--disable-dns", "--subnet", str(self.subnet), "--gateway", self.gateway]
        podman.podman("network", "create", *network, self.name)
        key = self.directory / "id_ed25519"
        key.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "molecule", "-f", str(key)], check=True)
        podman.podman(
            *("run", "--detach", "--name", self.name, "--hostname", self.name, "--systemd=always"),
            # As on a real instance, systemd may set up the sandbox of a service.
            "--cap-add=SYS_ADMIN",
            *("--network", self.name, "--ip", self.address),
            *(f"--volume={source}:{target}:ro" for source, target in self._first_boot(key).items()),
            settings.HOST_IMAGE,
        )
        # Code 2: done, with warnings (the network is not cloud-init's to set up).
        boot = podman.podman("exec", self.name, "cloud-init", "status", "--wait", check=False, timeout=BOOT_TIMEOUT)
        if boot.returncode not in (0, 2):
            raise SystemExit(f"the first boot failed: {boot.stdout}")
        host_key = podman.podman("exec", self.name, "cat", "/etc/ssh/ssh_host_ed25519_key.pub").stdout
        (self.directory / "known_hosts").write_text(f"{self.address} {host_key}")
        if self.aws:
            self._start_aws()
        login = {"instance": self.name, "address": self.address, "user": "admin", "port": 22, "identity_file": str(key)}
        (self.directory / "instance_config.yml").write_text(json.dumps([login]))

    def _first_boot(self, key: Path) -> dict[Path, str]:
        """Write the files that the host has from its first boot on; return where it has them."""
        pairs = self.environment.items()
        quoted = " ".join(f'"{name}={value}"' for name, value in pairs)
        public = key.with_suffix(".pub").read_text()
        files = {
            "/etc/cloud/cloud.cfg.d/99_molecule.cfg": "datasource_list: [NoCloud]\n",
            "/etc/environment": "".join(f"{name}={value}\n" for name, value in pairs),
            "/etc/systemd/system.conf.d/lab.conf": f"[Manager]\nDefaultEnvironment={quoted}\n",
            "/etc/sudoers.d/lab": f'Defaults env_keep += "{" ".join(self.environment)}"\n',
            "/var/lib/cloud/seed/nocloud/meta-data": f"instance-id: {self.name}\n",
            "/var/lib/cloud/seed/nocloud/user-data": f"#cloud-config\nssh_authorized_keys: [{json.dumps(public)}]\n",
        }
        mounts = {}
        for target, text in files.items():
            source = self.directory / Path(target).name
            source.write_text(text)
            mounts[source] = target
        return mounts

    def _start_aws(self) -> None:
        with (self.directory / "aws.log").open("w") as log:
            server = subprocess.Popen(
                ["moto_server", "--host", self.gateway, "--port", str(AWS_PORT)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._aws_pid.write_text(str(server.pid))
        url = f"http://{self.gateway}:{AWS_PORT}/moto-api/data.json"
        deadline = time.monotonic() + BOOT_TIMEOUT
        while True:
            try:
                with urllib.request.urlopen(url, timeout=5):
                    return
            except OSError:
                if time.monotonic() > deadline or server.poll() is not None:
                    raise
                time.sleep(0.2)

    @property
    def _aws_pid(self) -> Path:
        return self.directory / "aws.pid"

    def destroy(self) -> None:
        """Remove all that create made; none of it is fine."""
        if self._aws_pid.exists():
            pid = int(self._aws_pid.read_text())
            command = Path(f"/proc/{pid}/cmdline")
            # The number may be another process's by now.
            if command.exists() and b"moto_server" in command.read_bytes():
                os.kill(pid, signal.SIGTERM)
            self._aws_pid.unlink()
        podman.podman("rm", "--force", "--time", "0", "--ignore", self.name)
        podman.podman("network", "rm", "--force", self.name, check=False)
        route = ["ip", "route", "del", "blackhole", str(self.subnet), "metric", BLACKHOLE_METRIC]
        subprocess.run(route, check=False, stderr=subprocess.DEVNULL)
        (self.directory / "instance_config.yml").unlink(missing_ok=True)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["create", "destroy"])
    parser.add_argument("name")
    parser.add_argument("subnet", type=IPv4Network)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--aws", action="store_true")
    options = parser.parse_args()
    scenario = Scenario(options.name, options.subnet, options.directory, options.aws)
    scenario.destroy()
    if options.verb == "create":
        scenario.create()


if __name__ == "__main__":
    main()
