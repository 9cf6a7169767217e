"""An API of its own for each measurement: `lab serve --api-only` in a process that ends with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3

ROOT = Path(__file__).resolve().parents[1]

# No word that occurs in results: modules blank their secret out of all they return.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "0-no-secret-0",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@dataclass(frozen=True)
class Image:
    """A baked image as an earlier run left it."""

    name: str
    tags: dict[str, str]


@dataclass(frozen=True)
class Calls:
    """API calls since the last time."""

    reads: int
    writes: int
    actions: list[dict[str, Any]]


class Emulator:
    """The running emulator, empty at first."""

    def __init__(self, *arguments: str) -> None:
        """Start it.

        Args:
            arguments: further ones for `lab serve --api-only`.
        """
        command = [sys.executable, "-m", "lab.cli", "serve", "--api-only", "--port", "0", *arguments]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("ready: "):
            self._process.wait()
            raise RuntimeError(f"the emulator did not start: {line.strip() or 'it said nothing'}")
        self.url = line.removeprefix("ready: ").strip()

    def __enter__(self) -> Self:
        """Take it; it ends with the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process and forget everything."""
        self._process.terminate()
        self._process.wait()

    def client(self, service: str) -> Any:
        """A boto3 client of it."""
        # The stubs know each service by its literal name only.
        make: Any = boto3.client
        return make(
            service,
            endpoint_url=self.url,
            region_name=CREDENTIALS["AWS_REGION"],
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def environment(self) -> dict[str, str]:
        """Environment for a program that shall talk to it, with nothing of the caller's AWS settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ANSIBLE_", "TF_"))}
        return {
            **kept,
            **CREDENTIALS,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_ENDPOINT_URL": self.url,
            "VAHANA_LAB_ENDPOINT": self.url,
            "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY", ""), "127.0.0.1"])),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    def take_calls(self) -> Calls:
        """What was called since the last time, and begin anew."""
        request = urllib.request.Request(f"{self.url}/vahana-lab/calls", method="DELETE")
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = json.load(answer)
        return Calls(found["reads"], found["writes"], found["actions"])

    def release(self) -> str:
        """Name of the release in service."""
        parameter = self.client("ssm").get_parameter(Name="/vahanhelp/prod/release")
        return str(parameter["Parameter"]["Value"])

    def service_versions(self) -> dict[str, str]:
        """Versions of the images of services, by service."""
        ecr = self.client("ecr")
        repositories = [each["repositoryName"] for each in ecr.describe_repositories()["repositories"]]
        return {
            name.rpartition("/")[2]: str(ecr.list_images(repositoryName=name)["imageIds"][0]["imageTag"])
            for name in repositories
        }

    def image(self) -> Image | None:
        """The newest image of the account's own."""
        found = self.client("ec2").describe_images(Owners=["self"])["Images"]
        if not found:
            return None
        newest = max(found, key=lambda each: str(each["CreationDate"]))
        return Image(newest["Name"], {tag["Key"]: tag["Value"] for tag in newest["Tags"]})

    def put_image(self, image: Image) -> None:
        """Have an image that was baked before, and nothing else of its baking."""
        ec2 = self.client("ec2")
        tags = [{"Key": key, "Value": value} for key, value in image.tags.items()]
        base = self.client("ssm").get_parameter(Name="/aws/service/debian/release/13/latest/amd64")
        made = ec2.run_instances(ImageId=base["Parameter"]["Value"], MinCount=1, MaxCount=1, InstanceType="t3.micro")
        builder = made["Instances"][0]["InstanceId"]
        ec2.create_image(
            InstanceId=builder,
            Name=image.name,
            TagSpecifications=[{"ResourceType": kind, "Tags": tags} for kind in ("image", "snapshot")],
        )
        ec2.terminate_instances(InstanceIds=[builder])
