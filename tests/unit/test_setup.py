"""scripts/setup installs what the lab and its image are made with."""

from __future__ import annotations

import re

from lab import image, machine
from plugins.module_utils.project import ROOT

SETUP = (ROOT / "scripts/setup").read_text()


def listed(name: str) -> set[str]:
    """Return what a list of the script holds."""
    found = re.search(rf"^{name}=\((.*)\)$", SETUP, re.MULTILINE)
    assert found, name
    return set(found[1].split())


def test_every_tool_of_the_image_is_installed_and_asked_for() -> None:
    assert set(image.TOOLS.values()) <= listed("demo_packages")
    assert set(image.TOOLS) <= listed("demo_commands")


def test_everything_that_the_lab_asks_for_is_installed() -> None:
    assert set(machine.TOOLS.values()) | {"netavark"} <= listed("demo_packages")
    assert set(machine.TOOLS) <= listed("demo_commands")
