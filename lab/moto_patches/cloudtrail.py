"""CloudTrail: a trail can be deleted by its ARN, as the collections' module does it. moto says yes and keeps it."""

from __future__ import annotations

from typing import Any

from moto.cloudtrail.models import CloudTrailBackend

_delete = CloudTrailBackend.delete_trail


def delete_trail(self: Any, name: str) -> None:
    """DeleteTrail by name or ARN."""
    _delete(self, name.rpartition("/")[2])


def apply() -> None:
    """Put this into moto."""
    CloudTrailBackend.delete_trail = delete_trail
