"""An empty account in this process for every test of the lab."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from typing import Any

import boto3
import pytest

from lab import machine

REGION = "us-east-1"


@pytest.fixture(autouse=True)
def account(lab_account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty account on a machine that has one network."""
    monkeypatch.setattr(machine, "networks", lambda: {IPv4Network("192.0.2.0/24"): "route to 192.0.2.0/24 dev eth0"})


@pytest.fixture
def client() -> Callable[[str], Any]:
    """Makes boto3 clients of the account, one a service: each reads a large model."""
    return functools.cache(lambda service: boto3.client(service, region_name=REGION))


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads change so often that each place where they could is met."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
