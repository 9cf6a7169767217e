"""Whose a resource is: decided by its tags, never by its name."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

OWNERSHIP_KEYS = ("vahana:app", "vahana:env")
"""The tags that make a resource ours. The others (tier, layer, Name) may change in its life."""


UNLISTED_SECONDS = 20.0
"""How long what was just made may be missing in the Resource Groups Tagging API, which learns of it later."""


def listed_tags(client: Any, arn: str) -> dict[str, str]:
    """Return the tags of a resource as the Resource Groups Tagging API has them, where its own service is silent.

    Empty when it does not know the resource.
    """
    deadline = time.monotonic() + UNLISTED_SECONDS
    while not (known := client.get_resources(ResourceARNList=[arn])["ResourceTagMappingList"]):
        if time.monotonic() >= deadline:
            return {}
        time.sleep(1)
    return {tag["Key"]: tag["Value"] for tag in known[0]["Tags"]}


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
