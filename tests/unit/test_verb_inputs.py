"""Arguments of the playbooks: what is refused before anything is asked of AWS, and in which words."""

from __future__ import annotations

import pytest

from plugins.module_utils.inputs import Knowledge
from plugins.module_utils.verb_inputs import check_verb

KNOWN = Knowledge(tiers=["minimal"], regions=["us-east-1"], given=["since"])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("wait", "soon", "'soon' is not a number of seconds to wait; give 0 to 86400"),
        ("since", "yesterday", "'yesterday' is not a time; write it like 90m, 2h, 7d or 2026-11-22T14:00"),
        ("format", "xml", "'xml' is not a format; table or json"),
        ("limit", "0", "'0' is not a number of entries; give 1 to 1000"),
        ("strategy", "swap", "'swap' is not a strategy; in_place or replace"),
        ("probe", "listings", "'listings' is no path; true, false or a path like /api/listings"),
        ("deploy_watch", "long", "'long' is not a number of seconds to look on; give 0 to 86400"),
        ("backup_keep", "0", "'0' is not a number of backups to keep; give 1 to 90"),
        (
            "backup",
            "../x",
            "'../x' is not the name of a backup; write latest, or a name that playbooks/backups.yml lists",
        ),
        ("verify_only", "maybe", "'maybe' is neither yes nor no; true or false"),
        ("what", "everything", "'everything' is nothing that rotates; database or app"),
        ("ref", "-x", "'-x' is no commit; give a branch, a tag, a commit or a folder"),
        ("build_tests", "flase", "'flase' is neither; true or false"),
        ("to", "a/b", "'a/b' is not a release name; e.g. 1.4.0-3f2a91c0b7de"),
        ("deploy_batches", "1,half", "'half' is neither a number of hosts nor a percentage; e.g. 1,25%,50%"),
        ("deploy_healthy_floor", "half", "'half' is neither a number nor a percentage; e.g. 50% or 2"),
        ("deploy_unhealthy", "maybe", "'maybe' is not yes or no; true or false"),
    ],
)
def test_wrong(name: str, value: str, message: str) -> None:
    where = "-e" if name == "since" else "not set"
    variable = {"strategy": "deploy_strategy"}.get(name, name)
    assert list(map(str, check_verb({variable: value}, KNOWN))) == [f"{name} ({where}): {message}"]


def test_right() -> None:
    assert list(check_verb({"wait": "600", "limit": 20, "since": "2h", "format": "json"}, KNOWN)) == []
    rollout = {"deploy_batches": [1, "25%"], "deploy_healthy_floor": "2", "deploy_unhealthy": True}
    assert list(check_verb(rollout, KNOWN)) == []


def test_a_service_is_one_of_the_tiers() -> None:
    services = {"service": "card", "layers": ["containers"], "containers_services": {"auth": {}, "cars": {}}}
    assert list(map(str, check_verb(services, KNOWN))) == [
        "service (not set): there is no service 'card'; there are auth, cars"
    ]
    assert not list(check_verb({**services, "service": "cars"}, KNOWN))
    assert list(map(str, check_verb({"service": "cars", "layers": ["compute"]}, KNOWN))) == [
        "service (not set): there is no service 'cars'; leave it out: this tier has none"
    ]
    # Before the tier is known.
    assert not list(check_verb({"service": "cars"}, KNOWN))


def test_a_single_instance_is_not_replaced() -> None:
    values = {"deploy_strategy": "replace", "tier": "minimal", "compute_kind": "instance"}
    assert list(map(str, check_verb(values, KNOWN))) == [
        "strategy (not set): tier minimal is a single instance whose disk holds the data, so it is not replaced; "
        "leave it out: the release is switched in place"
    ]
    assert not list(check_verb({**values, "compute_kind": "auto_scaling_group"}, KNOWN))
    # Before the deployed tier is known.
    assert not list(check_verb({"deploy_strategy": "replace"}, KNOWN))


def test_a_rollback_does_not_take_the_variable_of_a_deployment() -> None:
    known = Knowledge(tiers=[], regions=[], given=["release"], verb="rollback")
    assert list(map(str, check_verb({"release": "1"}, known))) == [
        "release (-e): rollback finds the release itself; to name one write -e to=<release>"
    ]


def problems(verb: str, given: tuple[str, ...] = (), **values: object) -> list[str]:
    known = Knowledge(tiers=[], regions=[], given=given, verb=verb)
    return list(map(str, check_verb(values, known)))


def test_scale() -> None:
    assert problems("scale", desired="3") == []
    assert problems("scale", desired="") == [
        "desired (not set): how many instances there should be; write -e desired=3"
    ]
    assert problems("scale", desired="0") == ["desired (not set): '0' is not a number of instances; give 1 or more"]
    assert problems("scale", ("max",), desired=3) == [
        "max (-e): the group's limits are not scale's to change; "
        "set compute_max_size (group_vars, or -e) and run site.yml"
    ]


@pytest.mark.parametrize("word", ["on", "off", True, "False"])
def test_maintenance(word: object) -> None:
    assert problems("maintenance", maintenance=word, message="Back at six") == []


def test_maintenance_that_cannot_be() -> None:
    assert problems("maintenance", maintenance="") == [
        "maintenance (not set): on or off; write -e maintenance=on or -e maintenance=off"
    ]
    assert "'soon' is neither on nor off" in problems("maintenance", maintenance="soon")[0]
    assert "has 451 characters; give at most 450" in problems("maintenance", maintenance="on", message="x" * 451)[0]
    assert "write one line" in problems("maintenance", maintenance="on", message="one\ntwo")[0]


def test_exec_and_logs() -> None:
    assert problems("exec", command="uptime", host="i-0123456789abcdef0", as_root="true") == []
    assert "what to run" in problems("exec", command=" ")[0]
    assert "'web1' is not an instance id" in problems("exec", command="uptime", host="web1")[0]
    assert "'web1' is not an instance id" in problems("logs", host="web1")[0]
    assert problems("logs", follow="maybe") == ["follow (not set): 'maybe' is neither yes nor no; true or false"]
    # Arguments of one verb are nobody else's business.
    assert problems("deploy", desired="", maintenance="", command="") == []


def test_what_build_alone_takes() -> None:
    deploy = Knowledge(tiers=[], regions=[], given=["build_tests", "ref"], verb="deploy")
    assert [problem.mend for problem in check_verb({"ref": "v1", "build_tests": "no"}, deploy)] == [
        "build it with build.yml, then name the release with -e release=…",
        "build it with build.yml -e ref=…, then name the release with -e release=…",
    ]
    build = Knowledge(tiers=[], regions=[], given=["build_tests", "ref"], verb="build")
    assert list(check_verb({"ref": "../my shop", "build_tests": "no"}, build)) == []
    named = Knowledge(tiers=[], regions=[], given=["release"], verb="build")
    [problem] = check_verb({"release": "1"}, named)
    assert problem.what == "build names the release after its sources"
