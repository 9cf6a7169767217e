"""What the project's own files say: which variables exist, what they are set to, which tiers have data."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from plugins.module_utils.inputs import Knowledge

ROOT = Path(__file__).resolve().parents[2]


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
def known_variables(root: Path) -> frozenset[str]:
    """Return the name of every variable that a group_vars file sets or a role takes."""
    names: set[str] = set()
    for path in (root / "group_vars").rglob("*.yml"):
        names.update(_read(path))
    for path in (root / "roles").glob("*/meta/argument_specs.yml"):
        for entry in _read(path).get("argument_specs", {}).values():
            names.update(entry.get("options", {}))
    return frozenset(names)


def verb_variables(root: Path) -> frozenset[str]:
    """Return the name of every variable that asks a single playbook for something, e.g. how long to wait."""
    return frozenset(_read(root / "group_vars" / "all" / "verbs.yml"))


def _read(path: Path) -> dict[str, Any]:
    # The C parser reads all argument specs in a tenth of the time; not every PyYAML has it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
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
    root: Path, sources: dict[str, str], tiers: Collection[str], given: Collection[str], verb: str = ""
) -> Knowledge:
    """Gather what :func:`plugins.module_utils.inputs.check_inputs` has to know."""
    variables = known_variables(root) if given else frozenset[str]()
    return Knowledge(
        tiers=list(tiers),
        regions=region_names(),
        variables=variables,
        sources=sources,
        given=sorted(given),
        verb=verb,
    )


def verb_of(arguments: Mapping[str, Any]) -> str:
    """Return the name of the playbook that was called, e.g. ``deploy``.

    :param arguments: Ansible's command line (``ansible.context.CLIARGS``).
    """
    with contextlib.suppress(KeyError, IndexError, TypeError):
        return Path(arguments["args"][0]).stem
    return "ansible"
