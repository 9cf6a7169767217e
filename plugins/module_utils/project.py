"""What the project's own files say: which variables exist, what they are set to, which tiers have data."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from plugins.module_utils.inputs import Knowledge, Option

ROOT = Path(__file__).resolve().parents[2]

COMMAND = "VAHANA_COMMAND"
"""Variable of the environment: how a command about the run's own environment begins (the inventory's guard sets it)."""


def run_playbook(playbook: str) -> str:
    """Return the command that runs a playbook for the environment that this run is about."""
    return f"{os.environ.get(COMMAND, 'ansible-playbook')} {playbook}"


def variable_files(root: Path, tier: str = "") -> Iterator[Path]:
    """Yield the files whose variables hold for ``tier``, the strongest last."""
    yield from sorted((root / "group_vars" / "all").glob("*.yml"))
    tier_file = root / "group_vars" / f"tier_{tier}.yml"
    if tier and tier_file.is_file():
        yield tier_file


def read_variables(root: Path, tier: str, load: Callable[[str], Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the variables of ``tier`` and the file that sets each.

    :param load: reads one YAML file; a parameter because inside Ansible its loader must do it (templates, vault).
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for path in variable_files(root, tier):
        content = load(str(path)) or {}
        values.update(content)
        sources.update(dict.fromkeys(content, str(path.relative_to(root))))
    return values, sources


# Kept, like region_names, because Ansible's tasks are forks of the process in which the inventory's guard asked first.
@functools.cache
def known_variables(root: Path) -> Mapping[str, Option]:
    """Return every variable that a group_vars file sets or a role takes, and what it may be.

    What group_vars sets is of the kind that it is set to there, unless a role says more.
    """
    known: dict[str, Option] = {}
    for path in (root / "group_vars").rglob("*.yml"):
        known.update({name: Option(_KINDS.get(type(value), "str")) for name, value in _read(path).items()})
    for path in (root / "roles").glob("*/meta/argument_specs.yml"):
        for entry in _read(path).get("argument_specs", {}).values():
            for name, spec in entry.get("options", {}).items():
                known[name] = Option(spec.get("type", "str"), tuple(spec.get("choices", ())))
    return known


_KINDS = {bool: "bool", int: "int", list: "list", dict: "dict"}
"""Python's types in the words of argument specs."""


def words_of(*paths: Path, text: str = "") -> frozenset[str]:
    """Return everything that could be the name of a variable in these files, those of these folders, and a text."""
    words = set(_WORD.findall(text))
    for path in paths:
        for file in [path] if path.is_file() else path.rglob("*"):
            # What is not to be read, or too large to be settings, is none.
            with contextlib.suppress(OSError):
                if file.is_file() and file.stat().st_size <= _LARGEST_SETTINGS:
                    words.update(_WORD.findall(file.read_text(encoding="utf-8", errors="ignore")))
    return frozenset(words)


_WORD = re.compile(r"[A-Za-z_]\w*")
_LARGEST_SETTINGS = 2**20
"""Bytes."""


def verb_variables(root: Path) -> frozenset[str]:
    """Return the name of every variable that asks a single playbook for something, e.g. how long to wait."""
    return frozenset(_read(root / "group_vars" / "all" / "verbs.yml"))


# The C parser reads all argument specs in a tenth of the time; not every PyYAML has it.
class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads what is there, and None for what only Ansible can read (``!vault``)."""


_Loader.add_multi_constructor("!", lambda _loader, _tag, _node: None)


def _read(path: Path) -> dict[str, Any]:
    content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    return content if isinstance(content, dict) else {}


@functools.cache
def region_names() -> frozenset[str]:
    """Return the id of every AWS region, from botocore's own data, which needs no network."""
    import botocore.session

    # botocore reads its settings anew here: a profile that does not exist must not break a list of regions.
    session = botocore.session.Session(profile=None)
    session.set_config_variable("profile", None)
    partitions = session.get_data("endpoints")["partitions"]
    return frozenset(region for partition in partitions for region in partition["regions"])


def knowledge(
    root: Path,
    sources: dict[str, str],
    tiers: Collection[str],
    given: Mapping[str, Any],
    arguments: Mapping[str, Any] | None = None,
    hooks: str = "",
) -> Knowledge:
    """Gather what :func:`plugins.module_utils.inputs.check_inputs` has to know.

    :param given: variables that were given on the command line.
    :param arguments: Ansible's command line (``ansible.context.CLIARGS``).
    :param hooks: the user's folder of hooks, relative to ``root``.
    """
    arguments = arguments or {}
    # Of `ansible` it is a pattern, of `ansible-inventory` nothing.
    called = arguments.get("args")
    playbooks = [Path(path).resolve() for path in called] if isinstance(called, list | tuple) else []
    ours = bool(playbooks) and all(path.parent in (root, root / "playbooks") for path in playbooks)
    variables = known_variables(root)
    own: Collection[str] | None = None
    # A playbook of the user's own, with all that it includes, may read what it likes.
    if ours and not set(variables).issuperset(given):
        folders = [root / "group_vars"]
        if hooks:
            folders.append(root / Path(hooks).expanduser())
        inventories = [Path(source) for source in arguments.get("inventory") or () if "," not in str(source)]
        own = words_of(*folders, *inventories, text=" ".join(map(str, given.values())))
    return Knowledge(
        tiers=list(tiers),
        regions=region_names(),
        variables=variables,
        sources=sources,
        given=sorted(given),
        verb=verb_of(arguments),
        own=own,
        whole=set(arguments.get("tags") or ()) <= {"all"} and not arguments.get("skip_tags"),
    )


def verb_of(arguments: Mapping[str, Any]) -> str:
    """Return the name of the playbook that was called, e.g. ``deploy``.

    :param arguments: Ansible's command line (``ansible.context.CLIARGS``).
    """
    with contextlib.suppress(KeyError, IndexError, TypeError):
        return Path(arguments["args"][0]).stem
    return "ansible"
