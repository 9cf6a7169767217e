"""AWS APIs for tests: stock moto in a process of its own, and an empty account of the lab in this one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import botocore.loaders
import botocore.session
import pytest
from moto import mock_aws
from moto.ec2.models import ec2_backends

from tests.unit.servers import moto_apart

# Every module makes a session of its own, and each would parse megabytes of services' models anew.
_loader = botocore.loaders.create_loader()
botocore.session.create_loader = lambda search_path_string=None: _loader

HERE = Path(__file__).parent
CHANGING = (
    "test_discover.py",
    "test_autoscaling_maintenance_policy.py",
    "test_ecs_blue_green.py",
    "test_ecs_services.py",
    "test_listener_paths.py",
    "test_service_task.py",
)
"""Tests that apply all of the lab's patches, beside those of the lab itself."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put those last that change moto in this process as the lab does: nothing takes that back."""
    units = [number for number, item in enumerate(items) if item.path.is_relative_to(HERE)]
    ordered = sorted(
        (items[number] for number in units),
        key=lambda item: item.path.is_relative_to(HERE / "lab") or item.path.name in CHANGING,
    )
    for number, item in zip(units, ordered, strict=True):
        items[number] = item


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    """Serve stock moto from a process of its own: other tests of this one change moto as the lab does."""
    with moto_apart("-m", "moto.server") as url:
        yield url


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of nobody, a region, and nothing of the caller's own AWS settings."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "lab")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def lab_account(credentials: None) -> Iterator[None]:
    """An empty account in this process, of moto as the lab has it."""
    from lab import moto_patches

    moto_patches.apply_all()
    # Resetting Auto Scaling makes an EC2 backend again, after EC2's own turn, and the next reset passes it over: one
    # that a test before this left has no images of the lab's.
    ec2_backends.clear()
    with mock_aws():
        yield
