"""The digest that names a host image."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError

from plugins.filter.host_definition import host_definition_digest


@pytest.fixture
def role(tmp_path: Path) -> Path:
    (tmp_path / "host/tasks").mkdir(parents=True)
    (tmp_path / "host/tasks/main.yml").write_text("- one\n")
    (tmp_path / "host/files").mkdir()
    (tmp_path / "host/files/start.sh").write_text("#!/bin/sh\n")
    return tmp_path / "host"


def digest(role: Path, **variables: object) -> str:
    return host_definition_digest([str(role)], variables, "ami-1")


def test_is_the_same_for_the_same_definition_elsewhere(role: Path, tmp_path: Path) -> None:
    before = digest(role, port=3000)
    moved = tmp_path / "other/host"
    moved.parent.mkdir()
    role.rename(moved)
    assert digest(moved, port=3000) == before
    assert len(before) == 64


def test_changes_with_content_name_mode_variables_and_base(role: Path) -> None:
    digests = [digest(role, port=3000), digest(role, port=80), host_definition_digest([str(role)], {}, "ami-2")]
    (role / "tasks/main.yml").write_text("- two\n")
    digests.append(digest(role, port=3000))
    (role / "tasks/main.yml").rename(role / "tasks/first.yml")
    digests.append(digest(role, port=3000))
    (role / "files/start.sh").chmod(0o755)
    digests.append(digest(role, port=3000))
    assert len(set(digests)) == len(digests)


def test_content_cannot_move_between_files_unnoticed(role: Path) -> None:
    (role / "tasks/main.yml").write_text("- onex")
    (role / "tasks/next.yml").write_text("y")
    before = digest(role)
    (role / "tasks/main.yml").write_text("- one")
    (role / "tasks/next.yml").write_text("xy")
    assert digest(role) != before


def test_ignores_what_does_not_reach_a_host(role: Path) -> None:
    before = digest(role)
    (role / "README.md").write_text("read me")
    (role / "molecule/default").mkdir(parents=True)
    (role / "molecule/default/verify.yml").write_text("- verify\n")
    assert digest(role) == before


def test_order_of_variables_does_not_matter(role: Path) -> None:
    assert digest(role, a=1, b=2) == digest(role, b=2, a=1)


def test_says_what_is_wrong(role: Path) -> None:
    with pytest.raises(AnsibleFilterError, match="no role at"):
        digest(role / "missing")
    with pytest.raises(AnsibleFilterError, match="not JSON serializable"):
        digest(role, value=object())
