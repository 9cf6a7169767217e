"""Four hosts for all tests of this folder, made by the first that needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab.conftest import playbook
from tests.lab.fleet.hosts import SIZE, TIERS, Fleet


@pytest.fixture(scope="package", params=TIERS)
def fleet(request: pytest.FixtureRequest, aws: Callable[[str], Any]) -> Iterator[Fleet]:
    """Four hosts of one tier after the other with the release `good`, gone at the end."""
    release = ("-e", "release=good", "-e", "release_build_named=true")
    playbook("site.yml", "-e", f"tier={request.param}", *SIZE, *release, timeout=1500)
    yield Fleet(aws, request.param)
    playbook("playbooks/destroy.yml", "-e", "confirm=vahanhelp-prod", "-e", "keep_snapshot=false", timeout=1500)
