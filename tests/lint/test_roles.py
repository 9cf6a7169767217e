"""Every role says what it takes: its argument specs and its defaults agree."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROLES = sorted(path for path in (Path(__file__).resolve().parents[2] / "roles").iterdir() if path.is_dir())


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_argument_specs_equal_defaults(role: Path) -> None:
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    options = [item for spec in specs.values() for item in (spec.get("options") or {}).items()]
    defaults_file = role / "defaults/main.yml"
    defaults = set((yaml.safe_load(defaults_file.read_text()) if defaults_file.exists() else None) or {})
    optional = {name for name, option in options if not option.get("required")}
    assert optional == defaults
    assert all(option.get("description") for _, option in options)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_public_variables_carry_the_roles_name(role: Path) -> None:
    defaults_file = role / "defaults/main.yml"
    defaults = (yaml.safe_load(defaults_file.read_text()) if defaults_file.exists() else None) or {}
    assert [name for name in defaults if not name.startswith(f"{role.name}_")] == []


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_role_knows_neither_the_lab_nor_an_inventory_group(role: Path) -> None:
    texts = [p.read_text(errors="ignore") for p in role.rglob("*") if p.is_file() and p.name != "README.md"]
    assert not any("inventories/lab" in text or "moto" in text or "groups[" in text for text in texts)
