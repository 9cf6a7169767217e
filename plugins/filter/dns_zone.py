"""Find the DNS zone that a domain name belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def closest_zone(zones: Iterable[Mapping[str, Any]], domain: str, zone_name: str = "") -> dict[str, str]:
    """Return the public zone that answers for ``domain``, as {id, name}, or {} when there is none.

    ``zones`` are hosted zones as amazon.aws.route53_info lists them. Of several the one with the longest name is the
    closest, as in DNS itself; of several with that name the first by id, so that every run takes the same.
    ``zone_name`` accepts only the zone of that name. Names compare without case and without the trailing dot.
    """

    def plain(name: str) -> str:
        return name.rstrip(".").lower()

    wanted, only = plain(domain), plain(zone_name)
    found = [
        {"id": str(zone["id"]).rsplit("/", maxsplit=1)[-1], "name": plain(zone["name"])}
        for zone in zones
        if not zone.get("config", {}).get("private_zone")
        and f".{wanted}".endswith(f".{plain(zone['name'])}")
        and only in ("", plain(zone["name"]))
    ]
    return min(found, key=lambda zone: (-len(zone["name"]), zone["id"]), default={})


class FilterModule:
    """Filters on DNS zones."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"closest_zone": closest_zone}
