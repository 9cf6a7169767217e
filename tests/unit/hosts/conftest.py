"""Makes the host tools importable, and an AWS in this process for them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "roles/backend/files"))

import backend_releases
from backend_host import Aws, Boot, Host

BOOT: dict[str, Any] = {
    "app": "carapp",
    "env": "test",
    "region": "us-east-1",
    "port": 3000,
    "releases_bucket": "releases",
    "parameter_prefix": "/carapp/test",
    "secrets": ["/carapp/test/backend"],
    "database": {"engine": "postgres", "parameter": "/carapp/test/database"},
    "auto_scaling_group": "carapp-test",
    "lifecycle_hook": "carapp-test-launch",
}


@pytest.fixture(scope="session")
def aws() -> Aws:
    """The host's way to AWS; one for all tests, because a client takes long to make."""
    return Aws("us-east-1")


@pytest.fixture(autouse=True)
def aws_in_process(monkeypatch: pytest.MonkeyPatch, aws: Aws) -> Iterator[None]:
    """An empty AWS that never leaves this process."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        aws.client("s3").create_bucket(Bucket="releases")
        yield


@pytest.fixture
def boot_file(tmp_path: Path) -> Path:
    """A complete boot.json."""
    path = tmp_path / "boot.json"
    path.write_text(json.dumps(BOOT))
    return path


@pytest.fixture
def boot(boot_file: Path) -> Boot:
    """The environment the host belongs to."""
    return Boot.load(boot_file)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """The service's configuration; it belongs to the user who runs the tests."""
    root = tmp_path / "srv"
    (root / "releases").mkdir(parents=True)
    return Host(
        app="carapp",
        user="root",
        root=root,
        entry="src/server.js",
        unit="backend.service",
        keep_releases=3,
        health_path="/api/health",
        health_timeout=0.3,
        depends_on=(),
    )


@pytest.fixture(autouse=True)
def node_24(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Node that tells its version."""
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho v24.21.0\n")
    node.chmod(0o755)
    monkeypatch.setattr(backend_releases, "NODE", str(node))
