"""Which releases a Lambda function's alias stands for, and how many of the requests each gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ALL = 100
"""All requests, in percent."""


def weights(alias: Mapping[str, Any]) -> dict[str, float]:
    """Return the shares of an alias's further versions, as Lambda has them: parts of one."""
    return dict((alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {})


def shares(alias: Mapping[str, Any], releases: Mapping[str, str]) -> dict[str, int]:
    """Return percent of the requests by release.

    :param releases: names of the releases by the number of their version; a version without one goes by its number.
    """
    percent = {version: round(weight * ALL) for version, weight in weights(alias).items()}
    found: dict[str, int] = {}
    for version, share in {alias["FunctionVersion"]: ALL - sum(percent.values()), **percent}.items():
        name = releases.get(version) or version
        found[name] = found.get(name, 0) + share
    return found
