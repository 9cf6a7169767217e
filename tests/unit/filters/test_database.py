"""Filters that tell databases apart."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.filter.database import in_use, writing_database

HOME, ABROAD = "arn:aws:rds:us-east-1:1:db:cars", "arn:aws:rds:eu-west-1:1:db:cars-eu"
OWNER = {"vahana:app": "cars", "vahana:env": "prod"}


def database(created: str, source: str = "") -> dict[str, str]:
    return {"identifier": "one", "source_arn": source, "created": created}


NOTHING = {"identifier": "", "source_arn": "", "created": ""}


@pytest.mark.parametrize(
    ("databases", "writes"),
    [
        pytest.param([NOTHING, NOTHING], 0, id="nothing-yet"),
        pytest.param([database(""), NOTHING], 0, id="being-created"),
        pytest.param([database("2026-01-01"), database("2026-01-02", HOME)], 0, id="followed"),
        pytest.param([database("2026-01-01"), database("2026-01-02")], 1, id="promoted"),
        pytest.param([database("2026-01-03", ABROAD), database("2026-01-02")], 1, id="stands-by"),
        pytest.param([database("2026-01-03"), database("2026-01-02")], 0, id="promoted-back"),
        pytest.param([NOTHING, database("2026-01-02")], 1, id="the-first-is-gone"),
        pytest.param([database("2026-01-01", ABROAD), NOTHING], 0, id="whom-it-followed-is-gone"),
    ],
)
def test_who_takes_the_writes(databases: list[dict[str, str]], writes: int) -> None:
    assert writing_database(databases) == writes


def instance(name: str, source: str = "", **tags: str) -> dict[str, Any]:
    marks = {f"vahana:{mark}": value for mark, value in tags.items()}
    following = {"read_replica_source_db_instance_identifier": source} if source else {}
    return {"db_instance_identifier": name, "tags": {**OWNER, **marks}, **following}


@pytest.mark.parametrize(
    ("instances", "name"),
    [
        ([instance("cars", env="staging")], None),
        ([instance("cars", kept="2026-01-01"), instance("cars-standby", ABROAD)], "cars-standby"),
        ([instance("cars-proof", throwaway="true"), instance("cars")], "cars"),
        # Beside its source, which is named and not by an ARN.
        ([instance("cars-replica", "cars"), instance("cars")], "cars"),
    ],
)
def test_which_is_in_use(instances: list[dict[str, Any]], name: str | None) -> None:
    assert in_use(instances, OWNER).get("db_instance_identifier") == name
