"""What is wrong with what a playbook was asked for with ``-e``, in words that mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from plugins.module_utils.history import moment
from plugins.module_utils.inputs import RELEASE_NAME, Knowledge, Problem, whole_number
from plugins.module_utils.rollout import batches, least_healthy

LONGEST_WAIT_SECONDS = 24 * 3600
MOST_ENTRIES = 1000

VERB_INPUTS = ("wait", "since", "limit", "format", "to", "deploy_batches", "deploy_healthy_floor", "deploy_unhealthy")
"""Every variable that :func:`check_verb` reads."""


def check_verb(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    """Yield every problem with the arguments of the playbook that was called."""
    for check in (_numbers, _since, _choices, _rollback, _rollout):
        yield from check(values, known)


def _numbers(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    limits = {
        "wait": (0, LONGEST_WAIT_SECONDS, "is not a number of seconds to wait"),
        "limit": (1, MOST_ENTRIES, "is not a number of entries"),
    }
    for name, (least, most, what) in limits.items():
        number = whole_number(values.get(name, least))
        if number is None or not least <= number <= most:
            yield Problem(name, known.where(name), f"'{values[name]}' {what}", f"give {least} to {most}")


def _since(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    text = str(values.get("since") or "")
    try:
        if text:
            moment(text)
    except ValueError:
        mend = "write it like 90m, 2h, 7d or 2026-11-22T14:00"
        yield Problem("since", known.where("since"), f"'{text}' is not a time", mend)


def _choices(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    form = str(values.get("format", "table"))
    if form not in ("table", "json"):
        yield Problem("format", known.where("format"), f"'{form}' is not a format", "table or json")


def _rollback(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    to = str(values.get("to") or "")
    if to and not RELEASE_NAME.fullmatch(to):
        yield Problem("to", known.where("to"), f"'{to}' is not a release name", "e.g. 1.4.0-3f2a91c0b7de")
    if known.verb == "rollback" and "release" in known.given:
        yield Problem("release", "-e", "rollback finds the release itself", "to name one write -e to=<release>")


def _rollout(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    checks: tuple[tuple[str, Callable[[Any], object], str], ...] = (
        ("deploy_batches", batches, "e.g. 1,25%,50%"),
        ("deploy_healthy_floor", lambda value: least_healthy(str(value), 1), "e.g. 50% or 2"),
    )
    for name, read, mend in checks:
        try:
            if name in values:
                read(values[name])
        except ValueError as error:
            yield Problem(name, known.where(name), str(error), mend)
    switch = str(values.get("deploy_unhealthy", False)).lower()
    if switch not in ("true", "false", "yes", "no", "1", "0"):
        yield Problem(
            "deploy_unhealthy", known.where("deploy_unhealthy"), f"'{switch}' is not yes or no", "true or false"
        )
