"""What the wrapper of podman makes of its failures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lab import podman, settings

PROGRAM = """#!/bin/sh
echo "$@" >> {notes}
[ "$(wc -l < {notes})" -ge {from_then_on} ] && exit 0
echo "Error: cannot remove container x as it could not be stopped" >&2
exit 125
"""


def put(folder: Path, from_then_on: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a podman into the path that fails until it was called so often; return where it notes its calls."""
    notes, program = folder / "notes", folder / "podman"
    program.write_text(PROGRAM.format(notes=notes, from_then_on=from_then_on))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setenv("VAHANA_LAB_HOME", str(folder / "home"))
    monkeypatch.setattr(settings, "runtime", lambda: folder / "run")
    monkeypatch.setattr(podman, "RM_PAUSE", 0)
    assert shutil.which("podman") == str(program)
    return notes


def test_a_container_that_does_not_end_at_once_is_removed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = put(tmp_path, 2, monkeypatch)
    podman.rm("x")
    assert len(notes.read_text().splitlines()) == 2


def test_one_that_never_ends_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = put(tmp_path, 99, monkeypatch)
    with pytest.raises(podman.PodmanError, match="could not be stopped"):
        podman.rm("x")
    assert len(notes.read_text().splitlines()) == podman.RM_ATTEMPTS


def test_an_image_with_two_names_goes_by_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = put(tmp_path, 1, monkeypatch)
    names = ["127.0.0.1:4566/us-east-1/cars/auth:1", "127.0.0.1:4566/us-east-1/cars/auth:2", "localhost/other:1"]
    listed = json.dumps([{"Id": "a", "Names": names}, {"Id": "b", "Names": None}])
    program = tmp_path / "podman"
    program.write_text(f'#!/bin/sh\necho "$@" >> {notes}\n[ "$1" = images ] && echo \'{listed}\'\nexit 0\n')
    for name in podman.images_below("127.0.0.1:4566/"):
        assert podman.image_rm(name)
    assert sorted(notes.read_text().splitlines())[:2] == [f"image rm --ignore {name}" for name in names[:2]]
