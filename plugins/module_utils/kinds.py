"""Whether what a person has set is of the kind that it must be: what no rule of its own says more about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from plugins.module_utils.inputs import CHECKED, SWITCH, Knowledge, Option, Problem, suggestion, whole_number
from plugins.module_utils.verb_inputs import VERB_INPUTS

_RULED = frozenset((*CHECKED, *VERB_INPUTS))


def check_kinds(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    """Yield what is not of the kind that its role's argument spec asks for: the role itself would be late to say so.

    :param values: as they were given on the command line and in files, templates and all.
    """
    for name in sorted({*known.given, *known.sources} & set(known.variables) & set(values) - _RULED):
        value, option = values[name], known.variables[name]
        # A template is what the run makes of it; what is empty is left to the default.
        if value is None or value == "" or (isinstance(value, str) and "{{" in value):
            continue
        if wrong := _wrong_kind(name, value, option):
            yield Problem(name, known.where(name), f"'{value}' {wrong[0]}", wrong[1])


def _wrong_kind(name: str, value: Any, option: Option) -> tuple[str, str] | None:
    """Return what is wrong with ``value`` and how to mend it; None when it is what it should be."""
    if option.choices:
        choices = [str(choice) for choice in option.choices]
        given = value if isinstance(value, list) else [value]
        if all(str(each) in choices for each in given):
            return None
        return "is none of the choices", suggestion(str(value), choices) + f"one of {', '.join(choices)}"
    if option.type == "bool" and str(value).lower() not in SWITCH:
        return "is neither yes nor no", "true or false"
    if option.type == "int" and whole_number(value) is None:
        return "is not a whole number", "e.g. 3"
    if option.type == "list" and not isinstance(value, list):
        return "is not a list", f"""write -e '{{"{name}": [...]}}'"""
    if option.type == "dict" and not isinstance(value, dict):
        return "has no keys", f"""write -e '{{"{name}": {{...}}}}'"""
    return None
