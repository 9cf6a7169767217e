"""An empty account in this process for every test of the lab."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from typing import Any

import boto3
import pytest
from moto import mock_aws

from lab import machine, moto_patches

REGION = "us-east-1"


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """moto as the lab has it, with nothing in it, on a machine that has one network."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "lab")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(machine, "networks", lambda: {IPv4Network("192.0.2.0/24"): "route to 192.0.2.0/24 dev eth0"})
    moto_patches.apply_all()
    with mock_aws():
        yield


@pytest.fixture
def client() -> Callable[[str], Any]:
    """Makes boto3 clients of the account, one a service: each reads a large model."""
    return functools.cache(lambda service: boto3.client(service, region_name=REGION))
