"""The two programs that are measured: ansible-playbook and terraform, each in an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.emulator import ROOT, Calls, Emulator

PROVIDER_FOLDERS = (
    Path.home() / ".terraform.d/plugins",
    Path("/usr/local/share/terraform/plugins"),
    Path("/usr/share/terraform/plugins"),
    Path("/opt/tf-plugins"),
)
"""Where providers usually lie on a machine that installs them from files; the first that has AWS's is taken.

The first three are Terraform's own implied mirrors:
https://developer.hashicorp.com/terraform/cli/config/config-file#implied-local-mirror-directories
"""
PROVIDER = "registry.terraform.io/hashicorp/aws"

NO_HOSTS = ("-e", "ansible_host=127.0.0.1", "-e", "ansible_port=1")
"""Instances have addresses here and no hosts: what would be sent there by mistake stays on this machine."""
SERVICES = ROOT / "tests/plan/services"
"""Sources of services whose images are built in a second: no task runs here."""

CLI_CONFIG = """\
provider_installation {{
  filesystem_mirror {{
    path = "{folder}"
  }}
}}
disable_checkpoint = true
"""


@dataclass(frozen=True)
class Measurement:
    """What one command took."""

    wall: float
    """Seconds from start to end."""
    cpu: float
    """Seconds of processor time, of the program and everything it started, user and system."""
    calls: Calls


class ProgramError(RuntimeError):
    """A measured program failed; the text is its output."""


def measure(command: list[str], emulator: Emulator, cwd: Path, environment: dict[str, str]) -> Measurement:
    """Run a command to its end.

    Raises:
        ProgramError: it failed.
    """
    emulator.take_calls()
    began = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=cwd,
        env={**emulator.environment(), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        # The usage of the child and of all its children that it waited for.
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise ProgramError(f"{' '.join(command)} (exit code {process.returncode}):\n{output}")
    return Measurement(wall, usage.ru_utime + usage.ru_stime, emulator.take_calls())


@dataclass
class Ansible:
    """This project's playbooks."""

    tier: str
    work: Path
    """A folder for what a run leaves on the controller."""
    playbooks: list[str]
    """What converges, in one run."""
    again: list[str] = field(default_factory=list)
    """What runs where nothing is to be done."""

    @property
    def _key(self) -> Path:
        return self.work / "ssh" / "key"

    def public_key(self) -> str:
        """Public half of the SSH key that a run made; empty in a tier without hosts."""
        public = self._key.with_suffix(".pub")
        return public.read_text().strip() if public.exists() else ""

    def _play(self, emulator: Emulator, playbooks: list[str], *options: str) -> Measurement:
        command = ["ansible-playbook", "-i", "inventories/lab", *playbooks]
        command += [
            "-e",
            f"ssh_private_key_file={self._key}",
            "-e",
            f"containers_source={SERVICES}",
            *NO_HOSTS,
            *options,
        ]
        return measure(command, emulator, ROOT, {"ANSIBLE_NOCOLOR": "1"})

    def converge(self, emulator: Emulator, *, baked: bool = True) -> Measurement:
        """Make the tier from nothing.

        Args:
            emulator: its API.
            baked: the image is there. Otherwise one is made without the tasks on its builder, for there are no hosts.
        """
        options = () if baked else ("--limit", "localhost")
        return self._play(emulator, self.playbooks, "-e", f"tier={self.tier}", *options)

    def no_op(self, emulator: Emulator) -> Measurement:
        """Run again when there is nothing to do."""
        return self._play(emulator, self.again, "-e", f"tier={self.tier}", "--limit", "localhost")

    def plan(self, emulator: Emulator) -> Measurement:
        """Say what a run would change."""
        if (ROOT / "playbooks/plan.yml").exists():
            return self._play(emulator, ["playbooks/plan.yml"], "-e", f"tier={self.tier}")
        return self._play(emulator, self.playbooks, "-e", f"tier={self.tier}", "--check", "--diff")

    def destroy(self, emulator: Emulator) -> Measurement:
        """Delete everything."""
        return self._play(emulator, ["playbooks/destroy.yml"], "-e", "confirm=vahanhelp-prod")


class Terraform:
    """The same resources in bench/terraform."""

    def __init__(self, tier: str, work: Path, provider_folder: Path | None, variables: Mapping[str, str]) -> None:
        """Prepare a working folder: what `terraform init` does is done once and not measured.

        Args:
            tier: the stack.
            work: a folder for it and its state.
            provider_folder: see `terraform_missing`.
            variables: what an earlier run of the playbooks made, by the names of the stacks' variables.
        """
        self._folder = work / f"terraform-{tier}"
        shutil.copytree(ROOT / "bench/terraform" / tier, self._folder)
        # Where the stacks look for them: ../modules.
        shutil.copytree(ROOT / "bench/terraform/modules", work / "modules")
        self._environment = {
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            **{f"TF_VAR_{name}": value for name, value in variables.items()},
            "TF_VAR_page_function_file": str(ROOT / "roles/edge/files/spa.js"),
            "TF_VAR_table_file": str(ROOT / "examples/functions/table.json"),
            "TF_VAR_worker_archive": str(work / "worker.zip"),
            "TF_VAR_services_folder": str(SERVICES),
        }
        pack(ROOT / "examples/worker", work / "worker.zip")
        if provider_folder is None:
            self._environment["TF_CLI_CONFIG_FILE"] = os.environ["TF_CLI_CONFIG_FILE"]
        else:
            config = work / "terraform.rc"
            config.write_text(CLI_CONFIG.format(folder=provider_folder))
            self._environment["TF_CLI_CONFIG_FILE"] = str(config)

    def init(self, emulator: Emulator) -> None:
        """Install the provider into the working folder."""
        self._run(emulator, "init", "-no-color")

    def forget(self) -> None:
        """Drop the state: the next apply begins with an empty account."""
        for path in self._folder.glob("terraform.tfstate*"):
            path.unlink()

    def _run(self, emulator: Emulator, *arguments: str) -> Measurement:
        return measure(["terraform", *arguments], emulator, self._folder, self._environment)

    def converge(self, emulator: Emulator) -> Measurement:
        """Apply."""
        return self._run(emulator, "apply", "-auto-approve", "-no-color")

    def no_op(self, emulator: Emulator) -> Measurement:
        """Find out that there is nothing to do, which is Terraform's plan."""
        return self.plan(emulator)

    def plan(self, emulator: Emulator) -> Measurement:
        """Plan; it fails when there is anything to change (exit code 2)."""
        return self._run(emulator, "plan", "-detailed-exitcode", "-no-color")

    def destroy(self, emulator: Emulator) -> Measurement:
        """Destroy."""
        return self._run(emulator, "destroy", "-auto-approve", "-no-color")


def pack(source: Path, archive: Path) -> None:
    """Pack the sources of functions into a zip, which Terraform needs another provider for.

    Args:
        source: their folder.
        archive: the file to write.
    """
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in (source / "package.json", *sorted((source / "src").rglob("*.js"))):
            packed.write(path, path.relative_to(source))


def terraform_missing(given: Path | None) -> tuple[str, Path | None]:
    """Say why Terraform cannot be measured ("" when it can), and the folder of its provider.

    No folder means that the caller's own TF_CLI_CONFIG_FILE says where it is.

    Args:
        given: folder that has the provider, as `--plugin-dir` names it; None to look where it usually is.
    """
    if shutil.which("terraform") is None:
        return "there is no terraform in PATH", None
    configured = os.environ.get("TF_CLI_CONFIG_FILE", "")
    if given is None and Path(configured).is_file():
        return "", None
    folders = [given] if given is not None else list(PROVIDER_FOLDERS)
    for folder in folders:
        if (folder / PROVIDER).is_dir():
            return "", folder
    return f"the provider {PROVIDER} is in none of {', '.join(map(str, folders))} (name its folder: --plugin-dir)", None
