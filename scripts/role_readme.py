"""Makes each role's README.md from its meta/argument_specs.yml, so that the two cannot drift apart.

Usage: python scripts/role_readme.py [--check]
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parent.parent / "roles"


def _line(paragraph: Any) -> str:
    """Return a paragraph as one line of Markdown; C(), O(), V() and M() are what Ansible's own docs mark code with."""
    return re.sub(r"\b[COVM]\(([^)]+)\)", r"`\1`", " ".join(str(paragraph).split()))


def _text(value: Any) -> str:
    """Return a description, given as a string or a list of paragraphs, on one table line."""
    paragraphs = value if isinstance(value, list) else [value]
    return " ".join(_line(p) for p in paragraphs if p).replace("|", "\\|")


def _default(option: dict[str, Any], defaults: dict[str, Any], name: str) -> str:
    """Return what the table's default column shows for one option."""
    if option.get("required"):
        return "*required*"
    value = defaults.get(name)
    if isinstance(value, dict | list) and value:
        return "see `defaults/main.yml`"
    return (
        "`"
        + (value if isinstance(value, str) and value else yaml.safe_dump(value, default_flow_style=True))
        .removesuffix("\n")
        .removesuffix("...")
        .strip()
        .replace("|", "\\|")
        .replace("\n", " ")
        + "`"
    )


def render(role: Path) -> str:
    """Return the README text of one role.

    Args:
        role: the role's folder.

    Raises:
        FileNotFoundError: the role has no meta/argument_specs.yml.
    """
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    defaults_file = role / "defaults/main.yml"
    defaults = (yaml.safe_load(defaults_file.read_text()) if defaults_file.exists() else None) or {}
    lines = [f"# {role.name}", ""]
    for entry, spec in specs.items():
        if entry != "main":
            lines += [f"## Entry point `{entry}`", ""]
        lines += [_text(spec.get("short_description", "")).rstrip(".") + ".", ""]
        description = spec.get("description", [])
        for paragraph in description if isinstance(description, list) else [description]:
            lines += [_line(paragraph), ""]
        options = spec.get("options") or {}
        if options:
            lines += ["| variable | type | default | meaning |", "|---|---|---|---|"]
            for name, option in options.items():
                kind = option.get("type", "str")
                if kind == "list" and "elements" in option:
                    kind = f"list of {option['elements']}"
                meaning = _text(option.get("description", ""))
                if "choices" in option:
                    meaning += " One of " + ", ".join(f"`{c}`" for c in option["choices"]) + "."
                lines.append(f"| `{name}` | {kind} | {_default(option, defaults, name)} | {meaning} |")
            lines.append("")
    lines += ["<!-- Made from meta/argument_specs.yml by scripts/role_readme.py; edit that file. -->", ""]
    return "\n".join(lines)


def main() -> int:
    """Write the READMEs, or with --check report the stale ones; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 and name each stale README")
    check = parser.parse_args().check
    stale = []
    for role in sorted(path for path in ROLES.iterdir() if path.is_dir()):
        readme, text = role / "README.md", render(role)
        if not readme.exists() or readme.read_text() != text:
            stale.append(readme)
            if not check:
                readme.write_text(text)
    for readme in stale:
        print(f"{'stale' if check else 'wrote'}: {readme.relative_to(ROLES.parent)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
