"""Arguments of the playbooks: what is refused before anything is asked of AWS, and in which words."""

from __future__ import annotations

import pytest

from plugins.module_utils.inputs import Knowledge
from plugins.module_utils.verb_inputs import check_verb

KNOWN = Knowledge(tiers=["minimal"], built=["minimal"], regions=["us-east-1"], given=["since"])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("wait", "soon", "'soon' is not a number of seconds to wait; give 0 to 86400"),
        ("since", "yesterday", "'yesterday' is not a time; write it like 90m, 2h, 7d or 2026-11-22T14:00"),
        ("format", "xml", "'xml' is not a format; table or json"),
        ("limit", "0", "'0' is not a number of entries; give 1 to 1000"),
        ("to", "a/b", "'a/b' is not a release name; e.g. 1.4.0-3f2a91c0b7de"),
        ("deploy_batches", "1,half", "'half' is neither a number of hosts nor a percentage; e.g. 1,25%,50%"),
        ("deploy_healthy_floor", "half", "'half' is neither a number nor a percentage; e.g. 50% or 2"),
        ("deploy_unhealthy", "maybe", "'maybe' is not yes or no; true or false"),
    ],
)
def test_wrong(name: str, value: str, message: str) -> None:
    where = "-e" if name == "since" else "not set"
    assert list(map(str, check_verb({name: value}, KNOWN))) == [f"{name} ({where}): {message}"]


def test_right() -> None:
    assert list(check_verb({"wait": "600", "limit": 20, "since": "2h", "format": "json"}, KNOWN)) == []
    rollout = {"deploy_batches": [1, "25%"], "deploy_healthy_floor": "2", "deploy_unhealthy": True}
    assert list(check_verb(rollout, KNOWN)) == []


def test_a_rollback_does_not_take_the_variable_of_a_deployment() -> None:
    known = Knowledge(tiers=[], built=[], regions=[], given=["release"], verb="rollback")
    assert list(map(str, check_verb({"release": "1"}, known))) == [
        "release (-e): rollback finds the release itself; to name one write -e to=<release>"
    ]
