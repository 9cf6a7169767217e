"""Whether the sources that a run would build a release from can be built at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from plugins.module_utils.inputs import Knowledge, Problem
from plugins.module_utils.release_artifact import check_sources

_BUILDS = frozenset(("site", "provision", "deploy", "plan", "build"))
"""Playbooks that build a release where none is named."""

START_FILE = "src/server.js"
"""The default of the role release, which a test compares."""

SOURCE_INPUTS = (
    *("release_backend_source", "release_functions_source", "release_frontend_source", "release_services_source"),
    *("release_start_file", "release_build_named"),
)
"""Every variable that :func:`check_release_sources` reads besides those that have rules of their own."""


def check_release_sources(values: Mapping[str, Any], known: Knowledge, project: Path) -> Iterable[Problem]:
    """Yield what keeps a release from being built, which would otherwise be seen when half of a tier is there.

    :param project: the folder that relative paths start from.
    """
    named = values.get("release") and str(values.get("release_build_named", False)).lower() not in ("true", "yes")
    builds = known.verb in _BUILDS and known.whole and not named and not values.get("service")
    # What a commit holds is looked at when it has been taken out; before the tier's data is loaded nobody knows.
    if not builds or values.get("ref") or "layers" not in values:
        return
    folders = {name.split("_")[1]: str(values.get(name) or "") for name in SOURCE_INPUTS if name.endswith("_source")}
    sources = {role: project / Path(folder).expanduser() for role, folder in folders.items() if folder}
    for problem in check_sources(sources, str(values.get("release_start_file") or START_FILE)):
        what, _, mend = problem.partition("; ")
        # One may be in the other's folder.
        told_of = [role for role in sources if str(sources[role]) in problem]
        role = max(told_of, key=lambda each: len(str(sources[each])), default="backend")
        name = f"release_{role}_source"
        yield Problem(name, known.where(name), what, mend)
