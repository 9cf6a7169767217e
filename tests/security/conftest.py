"""The account of tests/plan, which is served with all that a tier needs but hosts, and the scanner."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plan.conftest import account
from tests.security import scanner

__all__ = ["account"]


@pytest.fixture(scope="session")
def prowler() -> Path:
    """Return the scanner's environment."""
    return scanner.environment()
