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
        ("ref", "-x", "'-x' is no commit; give a branch, a tag, a commit or a folder"),
        ("build_tests", "flase", "'flase' is neither; true or false"),
        ("to", "a/b", "'a/b' is not a release name; e.g. 1.4.0-3f2a91c0b7de"),
    ],
)
def test_wrong(name: str, value: str, message: str) -> None:
    where = "-e" if name == "since" else "not set"
    assert list(map(str, check_verb({name: value}, KNOWN))) == [f"{name} ({where}): {message}"]


def test_right() -> None:
    assert list(check_verb({"wait": "600", "limit": 20, "since": "2h", "format": "json"}, KNOWN)) == []


def test_a_rollback_does_not_take_the_variable_of_a_deployment() -> None:
    known = Knowledge(tiers=[], built=[], regions=[], given=["release"], verb="rollback")
    assert list(map(str, check_verb({"release": "1"}, known))) == [
        "release (-e): rollback finds the release itself; to name one write -e to=<release>"
    ]


def test_what_build_alone_takes() -> None:
    deploy = Knowledge(tiers=[], built=[], regions=[], given=["build_tests", "ref"], verb="deploy")
    assert [problem.mend for problem in check_verb({"ref": "v1", "build_tests": "no"}, deploy)] == [
        "build it with build.yml, then name the release with -e release=…",
        "build it with build.yml -e ref=…, then name the release with -e release=…",
    ]
    build = Knowledge(tiers=[], built=[], regions=[], given=["build_tests", "ref"], verb="build")
    assert list(check_verb({"ref": "../my shop", "build_tests": "no"}, build)) == []
    named = Knowledge(tiers=[], built=[], regions=[], given=["release"], verb="build")
    [problem] = check_verb({"release": "1"}, named)
    assert problem.what == "build names the release after its sources"
