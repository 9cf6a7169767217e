"""Give a set of roles and variables one name, so that a host image is baked only when its definition changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

# What does not end up on a host: documentation, tests, and what editors and Python leave behind.
IGNORED_NAMES = frozenset({"README.md", "molecule", "tests", "__pycache__", ".gitkeep"})


def _files(role: Path) -> Iterator[Path]:
    for path in sorted(role.rglob("*")):
        if path.is_file() and not IGNORED_NAMES.intersection(path.relative_to(role).parts):
            yield path


def host_definition_digest(roles: Iterable[str], variables: Mapping[str, Any], base_image: str) -> str:
    """Return the SHA-256 (64 hexadecimal digits) of what makes a host.

    ``roles`` are paths of role directories; the name, mode (executable or not) and content of each file count, their
    place on the controller and their times do not. ``variables`` are those given to the roles, ``base_image`` the id
    of the image they are applied to.

    Raises AnsibleFilterError when a role does not exist or a variable cannot be written as JSON.
    """
    digest = hashlib.sha256()

    def add(part: bytes) -> None:
        # Each part with its length: otherwise "ab" + "c" and "a" + "bc" would be the same definition.
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)

    for name in roles:
        role = Path(name)
        if not role.is_dir():
            raise AnsibleFilterError(f"host_definition_digest: no role at {role}")
        for path in _files(role):
            add(str(Path(role.name) / path.relative_to(role)).encode())
            add(b"x" if path.stat().st_mode & 0o100 else b"-")
            add(path.read_bytes())
    try:
        add(json.dumps(variables, sort_keys=True).encode())
    except TypeError as error:
        raise AnsibleFilterError(f"host_definition_digest: {error}") from error
    add(base_image.encode())
    return digest.hexdigest()


class FilterModule:
    """Filters on the definition of a host."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"host_definition_digest": host_definition_digest}
