"""Where the lab lives: paths, addresses, ports and the account it plays.

One lab runs on a machine, because the addresses below exist once on a machine: AWS fixes 169.254.169.254 (instance
metadata) and 169.254.169.253 (the resolver of a VPC), and the inventories name the API and the front door.
"""

from __future__ import annotations

import os
from pathlib import Path

ACCOUNT_ID = "123456789012"
"""The account every call is made in, whatever the credentials (moto's default account)."""

DEFAULT_REGION = "us-east-1"

LOOPBACK = "127.0.0.1"
METADATA_ADDRESS = "169.254.169.254"
"""Instance metadata service: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html"""
TASK_METADATA_ADDRESS = "169.254.170.2"
"""Metadata and credentials of ECS tasks:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html"""
RESOLVER_ADDRESS = "169.254.169.253"
"""Resolver of a VPC: https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html"""

API_PORT = 4566
METADATA_PORT = 80
DNS_PORT = 53
FRONT_DOOR_PORT = 8080

API_URL = f"http://{LOOPBACK}:{API_PORT}"
"""What AWS_ENDPOINT_URL is on the controller."""
HOST_API_URL = f"http://{METADATA_ADDRESS}:{API_PORT}"
"""What AWS_ENDPOINT_URL is on a host: loopback is the host's own there."""
FRONT_DOOR_URL = f"http://{LOOPBACK}:{FRONT_DOOR_PORT}"

LABEL = "vahana-lab"
"""Label (value 1) on each container and network of the lab, so that `lab down` finds exactly its own."""
NAME_PREFIX = "vahana-"
"""Containers are named vahana-<instance id>, networks vahana-<vpc id>."""

HOST_IMAGE = "localhost/vahana-lab/debian:13"
"""What Debian's AMI is to EC2: systemd, sshd, cloud-init, the user admin."""
SERVICE_IMAGE = "localhost/vahana-lab/service:13"
"""HOST_IMAGE with PostgreSQL 17, Valkey 8 and HAProxy, for what AWS runs as a service."""

NODE_IMAGE = "public.ecr.aws/docker/library/node:24-slim"
"""The base image of services, as `lab base-image` makes it: what builds name by default is then there already."""

AMI_REPOSITORY = "localhost/vahana-lab/ami"
"""Images made from instances, tagged with their AMI's id."""


def host_name(instance_id: str) -> str:
    """Name of an instance's container."""
    return f"{NAME_PREFIX}{instance_id}"


def database_name(identifier: str) -> str:
    """Name of a database instance's container."""
    return f"{NAME_PREFIX}db-{identifier}"


def cache_name(node: str) -> str:
    """Name of a cache node's container."""
    return f"{NAME_PREFIX}cache-{node}"


def task_name(identifier: str) -> str:
    """Name of an ECS task's container."""
    return f"{NAME_PREFIX}task-{identifier}"


def home() -> Path:
    """Directory of everything the lab keeps: state, log, podman's storage (VAHANA_LAB_HOME overrides it)."""
    return Path(os.environ.get("VAHANA_LAB_HOME") or "/var/lib/vahana-lab")


def runtime() -> Path:
    """Directory of what does not outlive the machine's uptime: process id, podman's run state."""
    return Path("/run/vahana-lab")


def cache() -> Path:
    """Directory of what can be made again but takes time: the saved host images."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vahana"


def state_file() -> Path:
    """The saved state of the API, as `lab.state` writes it."""
    return home() / "state.pickle"


def log_file() -> Path:
    """The daemon's log, as `lab logs` shows it."""
    return home() / "lab.log"


def pid_file() -> Path:
    """The daemon's process id; the daemon holds a lock on this file as long as it lives."""
    return runtime() / "lab.pid"
