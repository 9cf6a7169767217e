"""Four hosts for all tests of this folder, made by the first that needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab.conftest import playbook
from tests.lab.fleet.hosts import SIZE, Fleet


@pytest.fixture(scope="package")
def fleet(aws: Callable[[str], Any]) -> Iterator[Fleet]:
    """Four hosts with the release `good`, gone at the end."""
    playbook("site.yml", *SIZE, "-e", "release=good", "-e", "release_build_named=true", timeout=1500)
    yield Fleet(aws)
    playbook("playbooks/destroy.yml", "-e", "confirm=vahanhelp-prod", "-e", "keep_snapshot=false", timeout=1500)
