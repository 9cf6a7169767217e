"""Everything that is checked of what a person has set: by the inventory's guard, and by ``validate_inputs``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from plugins.module_utils.hooks import check_hooks
from plugins.module_utils.inputs import CHECKED, Knowledge, Problem, check_inputs
from plugins.module_utils.kinds import check_kinds
from plugins.module_utils.project import ROOT
from plugins.module_utils.source_inputs import SOURCE_INPUTS, check_release_sources
from plugins.module_utils.verb_inputs import VERB_INPUTS, check_verb

HOOKS = "hooks_directory"

ALL_INPUTS = (*CHECKED, *VERB_INPUTS, *SOURCE_INPUTS, HOOKS)
"""Every variable that :func:`check_all` reads: what a caller has to template for it."""


def check_all(
    values: Mapping[str, Any], written: Mapping[str, Any], known: Knowledge, load: Callable[[str], Any]
) -> Iterator[Problem]:
    """Yield every problem.

    :param values: of :data:`ALL_INPUTS`, as far as they are known.
    :param written: all that is set on the command line and in files, templates and all.
    :param load: reads one YAML file (:func:`plugins.module_utils.hooks.check_hooks`).
    """
    yield from check_inputs(values, known)
    yield from check_verb(values, known)
    yield from check_kinds(written, known)
    yield from check_release_sources(values, known, ROOT)
    yield from check_hooks(str(values.get(HOOKS) or ""), ROOT, known.where(HOOKS), load)
