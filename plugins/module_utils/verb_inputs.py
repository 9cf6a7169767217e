"""What is wrong with what a playbook was asked for with ``-e``, in words that mend it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from plugins.module_utils.history import moment
from plugins.module_utils.inputs import RELEASE_NAME, SWITCH, Knowledge, Problem, whole_number
from plugins.module_utils.rollout import batches, least_healthy

LONGEST_WAIT_SECONDS = 24 * 3600
MOST_ENTRIES = 1000
MOST_BACKUPS = 90
"""An account has room for 100 manual snapshots ("Quotas in Amazon RDS", Amazon RDS User Guide)."""
_BACKUP_NAME = re.compile(r"[a-z0-9](-?[a-z0-9])*")

STRATEGIES = ("in_place", "replace")

LONGEST_MESSAGE = 450
"""A fixed response has room for 1024 characters (FixedResponseActionConfig, Elastic Load Balancing API), and as JSON
quotes take two."""

_INSTANCE = re.compile(r"i-[0-9a-f]{8,17}")

VERB_INPUTS = (
    *("wait", "since", "limit", "format", "to", "deploy_strategy", "compute_kind"),
    *("service", "containers_services", "layers"),
    *("queue", "probe", "backup", "backup_keep", "restore_time", "verify_only", "what"),
    *("desired", "maintenance", "message", "follow", "command", "host", "as_root"),
    *("ref", "build_tests", "deploy_batches", "deploy_healthy_floor", "deploy_unhealthy", "deploy_watch"),
)
"""Every variable that :func:`check_verb` reads."""


def check_verb(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    """Yield every problem with the arguments of the playbook that was called."""
    of_releases = (_build, _strategy, _rollout, _rollback, _service)
    for check in (_numbers, _times, _choices, *of_releases, _data, _redrive, _scale, _maintenance, _hosts, _probe):
        yield from check(values, known)


def _numbers(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    limits = {
        "wait": (0, LONGEST_WAIT_SECONDS, "is not a number of seconds to wait"),
        "limit": (1, MOST_ENTRIES, "is not a number of entries"),
        "deploy_watch": (0, LONGEST_WAIT_SECONDS, "is not a number of seconds to look on"),
        "backup_keep": (1, MOST_BACKUPS, "is not a number of backups to keep"),
    }
    for name, (least, most, what) in limits.items():
        number = whole_number(values.get(name, least))
        if number is None or not least <= number <= most:
            yield Problem(name, known.where(name), f"'{values[name]}' {what}", f"give {least} to {most}")


def _times(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    for name in ("since", "restore_time"):
        text = str(values.get(name) or "")
        try:
            if text:
                moment(text)
        except ValueError:
            mend = "write it like 90m, 2h, 7d or 2026-11-22T14:00"
            yield Problem(name, known.where(name), f"'{text}' is not a time", mend)
    if {"backup", "restore_time"} <= set(known.given) and values.get("restore_time"):
        yield Problem("restore_time", "-e", "it is a backup or a time that is brought back", "leave one of them out")


def _choices(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    form = str(values.get("format", "table"))
    if form not in ("table", "json"):
        yield Problem("format", known.where("format"), f"'{form}' is not a format", "table or json")
    for name in ("follow", "as_root", "verify_only"):
        if str(values.get(name, False)).lower() not in SWITCH:
            yield Problem(name, known.where(name), f"'{values[name]}' is neither yes nor no", "true or false")


def _service(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    service, services = str(values.get("service") or ""), values.get("containers_services") or {}
    # Before the tier's data is loaded nobody knows.
    if not service or "layers" not in values or service in services:
        return
    mend = f"there are {', '.join(services)}" if services else "leave it out: this tier has none"
    yield Problem("service", known.where("service"), f"there is no service '{service}'", mend)


def _strategy(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    strategy = str(values.get("deploy_strategy", STRATEGIES[0]))
    where = known.where("deploy_strategy")
    if strategy not in STRATEGIES:
        yield Problem("strategy", where, f"'{strategy}' is not a strategy", " or ".join(STRATEGIES))
    elif strategy == "replace" and values.get("compute_kind", "auto_scaling_group") != "auto_scaling_group":
        what = f"tier {values.get('tier')} is a single instance whose disk holds the data, so it is not replaced"
        yield Problem("strategy", where, what, "leave it out: the release is switched in place")


def _rollback(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    to = str(values.get("to") or "")
    if to and not RELEASE_NAME.fullmatch(to):
        yield Problem("to", known.where("to"), f"'{to}' is not a release name", "e.g. 1.4.0-3f2a91c0b7de")
    if known.verb == "rollback" and "release" in known.given:
        yield Problem("release", "-e", "rollback finds the release itself", "to name one write -e to=<release>")


def _data(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    backup = str(values.get("backup", "latest"))
    if not _BACKUP_NAME.fullmatch(backup):
        mend = "write latest, or a name that playbooks/backups.yml lists"
        yield Problem("backup", known.where("backup"), f"'{backup}' is not the name of a backup", mend)
    what = str(values.get("what", "database"))
    if what not in ("database", "app"):
        yield Problem("what", known.where("what"), f"'{what}' is nothing that rotates", "database or app")


def _redrive(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    if known.verb == "redrive" and not str(values.get("queue") or ""):
        yield Problem("queue", known.where("queue"), "which queue's dead letters go back", "write -e queue=email")


def _scale(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    if known.verb != "scale":
        return
    desired = values.get("desired", "")
    number = whole_number(desired)
    if desired in ("", None):
        yield Problem("desired", known.where("desired"), "how many instances there should be", "write -e desired=3")
    elif number is None or number < 1:
        yield Problem("desired", known.where("desired"), f"'{desired}' is not a number of instances", "give 1 or more")
    # The limits are what site.yml keeps: a verb that changed them would be undone by the next run.
    for name, variable in (("min", "compute_min_size"), ("max", "compute_max_size")):
        if name in known.given:
            mend = f"set {variable} (group_vars, or -e) and run site.yml"
            yield Problem(name, "-e", "the group's limits are not scale's to change", mend)


def _maintenance(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    if known.verb != "maintenance":
        return
    state = str(values.get("maintenance", "")).lower()
    if state not in SWITCH:
        what = f"'{state}' is neither on nor off" if state else "on or off"
        yield Problem("maintenance", known.where("maintenance"), what, "write -e maintenance=on or -e maintenance=off")
    message = str(values.get("message", ""))
    if len(message) > LONGEST_MESSAGE:
        what = f"has {len(message)} characters"
        yield Problem("message", known.where("message"), what, f"give at most {LONGEST_MESSAGE}")
    if any(ord(character) < ord(" ") for character in message):
        yield Problem("message", known.where("message"), "has line breaks or control characters", "write one line")


def _hosts(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    if known.verb == "exec" and not str(values.get("command") or "").strip():
        yield Problem("command", known.where("command"), "what to run", "write -e command=\"'uptime'\"")
    host = str(values.get("host") or "")
    if known.verb in ("exec", "logs") and host and not _INSTANCE.fullmatch(host):
        mend = "playbooks/status.yml lists the instances"
        yield Problem("host", known.where("host"), f"'{host}' is not an instance id", mend)


def _probe(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    probe = str(values.get("probe", False))
    if not probe.startswith("/") and probe.lower() not in SWITCH:
        yield Problem(
            "probe", known.where("probe"), f"'{probe}' is no path", "true, false or a path like /api/listings"
        )


def _build(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    ref = str(values.get("ref") or "")
    # Commits, branches and tags by git-check-ref-format and gitrevisions; a folder may have anything but these.
    if ref.startswith("-") or re.search(r"[\x00-\x1f\x7f]", ref):
        yield Problem("ref", known.where("ref"), f"{ref!r} is no commit", "give a branch, a tag, a commit or a folder")
    switch = values.get("build_tests", True)
    if str(switch).lower() not in SWITCH:
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
    if switch not in SWITCH:
        yield Problem(
            "deploy_unhealthy", known.where("deploy_unhealthy"), f"'{switch}' is not yes or no", "true or false"
        )
