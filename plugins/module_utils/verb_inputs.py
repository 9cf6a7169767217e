"""What is wrong with what a playbook was asked for with ``-e``, in words that mend it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from plugins.module_utils.history import moment
from plugins.module_utils.inputs import RELEASE_NAME, Knowledge, Problem, whole_number

LONGEST_WAIT_SECONDS = 24 * 3600
MOST_ENTRIES = 1000

VERB_INPUTS = ("wait", "since", "limit", "format", "to", "ref", "build_tests")
"""Every variable that :func:`check_verb` reads."""


def check_verb(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    """Yield every problem with the arguments of the playbook that was called."""
    for check in (_numbers, _since, _choices, _rollback, _build):
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


def _build(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    ref = str(values.get("ref") or "")
    # Commits, branches and tags by git-check-ref-format and gitrevisions; a folder may have anything but these.
    if ref.startswith("-") or re.search(r"[\x00-\x1f\x7f]", ref):
        yield Problem("ref", known.where("ref"), f"{ref!r} is no commit", "give a branch, a tag, a commit or a folder")
    switch = values.get("build_tests", True)
    if str(switch).lower() not in ("true", "false", "yes", "no"):
        yield Problem("build_tests", known.where("build_tests"), f"'{switch}' is neither", "true or false")
    if known.verb != "build":
        mends = {
            "ref": "build it with build.yml -e ref=…, then name the release with -e release=…",
            "build_tests": "build it with build.yml, then name the release with -e release=…",
        }
        for name in sorted(set(mends) & set(known.given)):
            yield Problem(name, "-e", "build.yml alone takes this", mends[name])
    elif "release" in known.given:
        mend = "leave it out: the version in the backend's package.json is its first part"
        yield Problem("release", "-e", "build names the release after its sources", mend)
