"""Whose a resource is: decided by its tags, never by its name."""

from __future__ import annotations

from collections.abc import Mapping

OWNERSHIP_KEYS = ("vahana:app", "vahana:env")
"""The tags that make a resource ours. The others (tier, layer, Name) may change in its life."""


def owned_by(found: Mapping[str, str], ours: Mapping[str, str]) -> bool:
    """Tell whether a resource tagged ``found`` belongs to the environment whose tags are ``ours``.

    Raises ValueError when ``ours`` itself names no owner: everything untagged would be ours.
    """
    missing = [key for key in OWNERSHIP_KEYS if not ours.get(key)]
    if missing:
        raise ValueError(f"the tags name no owner: {', '.join(missing)} missing")
    return all(found.get(key) == ours[key] for key in OWNERSHIP_KEYS)


def foreign(kind: str, name: str, ours: Mapping[str, str]) -> str:
    """Say that the resource of this name is somebody else's, and what to do about it."""
    owner = ", ".join(f"{key}={ours[key]}" for key in OWNERSHIP_KEYS)
    return (
        f"the {kind} {name} exists but is not tagged {owner}, so it is left alone. "
        f"Delete or rename it, tag it so to hand it over, or choose another app_name or deploy_env."
    )
