"""Prowler, in an environment of its own: what it finds in an account, and which of its questions nobody answered.

Its dependencies are pinned to other versions than the project's, so it can be no dependency of the project.
https://docs.prowler.com/projects/prowler-open-source/en/latest/
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plugins.module_utils.discovery import kind_of
from tests.account import LocalAccount

REQUIREMENTS = Path(__file__).with_name("prowler.txt")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vahana"
"""Where scripts/setup keeps what it has downloaded, uv among it."""
REGION = "us-east-1"
SCAN_SECONDS = 1800

SERVICES = {
    "ec2": ["ec2", "vpc"],
    "elasticloadbalancing": ["elbv2"],
    "lambda": ["awslambda"],
    "logs": ["cloudwatch"],
}
"""Services of ARNs that Prowler calls otherwise, or has in more than one."""

SEVERITIES = ("informational", "low", "medium", "high", "critical")


@dataclass(frozen=True)
class Finding:
    """A check that failed for a resource."""

    check: str
    severity: str
    """One of `SEVERITIES`, as Prowler rates the check."""
    arn: str
    tags: frozenset[str]
    """As `key:value`."""
    text: str

    @property
    def kind(self) -> str:
        """Service and type of the resource, as its ARN names them: `ec2:security-group`, `s3:bucket`."""
        return kind_of(self.arn)


@dataclass(frozen=True)
class Scan:
    """What a scan says."""

    verdicts: int
    """How many there were, good ones too."""
    failed: list[Finding]
    unread: set[str]
    """Questions to the API that failed: a check that goes by the answer has said nothing."""


def environment() -> Path:
    """Return Prowler's environment, which is made when it is not there or not as the requirements say."""
    folder = CACHE / "prowler"
    uv = shutil.which("uv") or CACHE / "uv/bin/uv"
    # Prowler does not run on newer ones.
    python = sys.executable if sys.version_info < (3, 14) else "3.13"
    subprocess.run([uv, "venv", "--quiet", "--allow-existing", "--python", python, folder], check=True)
    subprocess.run([uv, "pip", "sync", "--quiet", "--python", folder / "bin/python", REQUIREMENTS], check=True)
    return folder


def environment_of(account: LocalAccount) -> dict[str, str]:
    """Return the variables that send a program of AWS's to an account."""
    return {
        "AWS_ENDPOINT_URL": account.url,
        "AWS_ACCESS_KEY_ID": "test",
        # No word that occurs in what is scanned.
        "AWS_SECRET_ACCESS_KEY": "0-no-secret-0",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def services_of(arns: Iterable[str], prowler: Path) -> list[str]:
    """Return the services that these resources belong to, of those that Prowler knows and as it calls them."""
    known = _part(prowler, "providers/aws/services")
    names = {arn.split(":")[2] for arn in arns}
    wanted = {each for name in names for each in SERVICES.get(name, [name])}
    return sorted(name for name in wanted if (known / name).is_dir())


def benchmark(name: str, prowler: Path) -> set[str]:
    """Return the checks of a published benchmark: `cis_7.0_aws` is the seventh of the Center for Internet Security."""
    requirements = json.loads(_part(prowler, f"compliance/aws/{name}.json").read_text())["Requirements"]
    return {check for requirement in requirements for check in requirement["Checks"]}


def scan(account: LocalAccount, services: list[str], prowler: Path, folder: Path) -> Scan:
    """Scan an account.

    Args:
        account: where to look.
        services: what to look at, as Prowler calls it.
        prowler: its environment.
        folder: for what it leaves.

    Raises:
        AssertionError: it did not come to its end.
    """
    command: list[str | Path] = [prowler / "bin/python", Path(__file__).with_name("run_checks.py"), REGION, *services]
    kept = {
        name: value for name, value in os.environ.items() if not name.upper().startswith(("AWS_", "HTTP", "PROWLER"))
    }
    # Nobody is asked but the account: some checks would look up addresses and repositories on the Internet.
    nobody = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    ended = subprocess.run(
        command,
        env={**kept, **environment_of(account), **nobody, "HOME": str(folder)},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SCAN_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    verdicts = [json.loads(line) for line in ended.stdout.splitlines()]
    return Scan(
        len(verdicts),
        [_finding(verdict) for verdict in verdicts if verdict["status"] == "FAIL"],
        _unread(ended.stderr),
    )


def _part(prowler: Path, path: str) -> Path:
    """Find a file or a folder of Prowler's own package."""
    [found] = prowler.glob(f"lib/python3*/site-packages/prowler/{path}")
    return found


def _finding(verdict: dict[str, Any]) -> Finding:
    tags = frozenset(f"{key}:{value}" for key, value in verdict["tags"].items())
    return Finding(verdict["check"], verdict["severity"], verdict["arn"], tags, verdict["text"])


def _unread(log: str) -> set[str]:
    """Return where in Prowler something went wrong: `ec2_service:558`, or the name of a check that failed.

    Prowler logs `us-east-1 -- ClientError[558]: …`, with the line at which an error was caught.
    """
    found = re.findall(r"^(\w+): (?:[^[\n]*\[(\d+)\]|(\w+))", log, flags=re.MULTILINE)
    return {f"{module}:{line or check}" for module, line, check in found}
