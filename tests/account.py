"""An AWS account in a process of its own, and playbooks that run in it without hosts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import boto3

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


class LocalAccount:
    """An AWS account in a process of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self._folder = folder

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """Return a client of the account: somebody who does not use this project."""
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id="test",
            aws_secret_access_key="0-no-secret-0",
        )

    def calls(self) -> list[dict[str, Any]]:
        """Return which calls the API got since it was asked last."""
        request = urllib.request.Request(f"{self.url}/vahana-lab/calls", method="DELETE")
        with urllib.request.urlopen(request, timeout=30) as answer:
            actions: list[dict[str, Any]] = json.load(answer)["actions"]
        return actions

    def command_of(self, playbook: str, *arguments: str) -> list[str]:
        """Return what runs the playbook of a file, without hosts unless the arguments bring some."""
        return [
            str(BIN / "ansible-playbook"),
            "-i",
            "inventories/lab",
            playbook,
            "--limit",
            "localhost,regions",
            *arguments,
        ]

    def begin(self, command: list[str], **environment: str) -> subprocess.Popen[str]:
        """Start a command in the account."""
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "VAHANA_", "ANSIBLE_"))
        }
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env={
                **clean,
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "VAHANA_LAB_ENDPOINT": self.url,
                "ANSIBLE_NOCOLOR": "1",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
