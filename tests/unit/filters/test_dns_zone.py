"""Which zone a domain belongs to."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.filter.dns_zone import closest_zone


def zone(zone_id: str, name: str, private: bool = False) -> dict[str, Any]:
    return {"id": f"/hostedzone/{zone_id}", "name": name, "config": {"private_zone": private}}


ZONES = [
    zone("Z1", "example.com."),
    zone("Z2", "cars.example.com."),
    zone("Z3", "cars.example.com.", private=True),
    zone("Z4", "com."),
    zone("Z5", "scars.example.com."),
]


@pytest.mark.parametrize(
    ("domain", "zone_name", "expected"),
    [
        ("cars.example.com", "", "Z2"),
        ("www.cars.example.com", "", "Z2"),
        ("Example.com.", "", "Z1"),
        ("bikes.example.com", "", "Z1"),
        ("cars.example.com", "example.com", "Z1"),
        ("cars.example.org", "", None),
        ("cars.example.com", "example.org", None),
    ],
)
def test_closest_public_zone(domain: str, zone_name: str, expected: str | None) -> None:
    assert closest_zone(ZONES, domain, zone_name).get("id") == expected


def test_takes_the_same_of_two_each_time() -> None:
    twins = [zone("Z9", "example.com."), zone("Z8", "example.com.")]
    assert closest_zone(twins, "example.com")["id"] == closest_zone(twins[::-1], "example.com")["id"] == "Z8"
