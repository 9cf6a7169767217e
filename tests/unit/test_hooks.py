"""Names and contents of hooks: what is refused before a run, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from plugins.module_utils.hooks import POINTS, check_hooks

ROOT = Path(__file__).resolve().parents[2]


def load(path: str) -> object:
    return yaml.safe_load(Path(path).read_text())


def lines(folder: Path, directory: str = "hooks") -> list[str]:
    return list(map(str, check_hooks(directory, folder, "-e", load)))


def test_the_points_are_those_of_the_role() -> None:
    specs = yaml.safe_load((ROOT / "roles/hooks/meta/argument_specs.yml").read_text())["argument_specs"]["main"]
    assert specs["options"]["hooks_point"]["choices"] == list(POINTS)


def test_the_examples_are_hooks() -> None:
    assert lines(ROOT, "examples/hooks") == []
    assert {path.stem for path in (ROOT / "examples/hooks").glob("*.yml")} < set(POINTS)


def test_a_folder_need_not_be_there_unless_somebody_says_so(tmp_path: Path) -> None:
    assert lines(tmp_path) == lines(tmp_path, "") == []
    assert lines(tmp_path, "mine") == [
        f"hooks_directory (-e): {tmp_path}/mine is no folder; make it, or leave this out"
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("after_deploy.yml", "- name: a task", ""),
        ("after_deploy.yml", "", ""),
        ("README.md", "", ""),
        ("tasks/after_depoly.yml", "", ""),
        ("after_depoly.yml", "", "so it would never run; did you mean after_deploy? one of before_build, "),
        ("notify.yml", "", "so it would never run; one of before_build, "),
        ("after_deploy.yaml", "", "would never run; rename it to after_deploy.yml"),
        ("after_deploy.yml", "- {", "cannot be read (while parsing a flow"),
        ("after_deploy.yml", "name: a task", "is no list of tasks; write it like roles/*/tasks/main.yml"),
        ("after_deploy.yml", "- hosts: all", "holds a play; write its tasks alone; they run on localhost"),
    ],
)
def test_each_mistake_names_its_mend(tmp_path: Path, name: str, text: str, message: str) -> None:
    file = tmp_path / "hooks" / name
    file.parent.mkdir(parents=True)
    file.write_text(text)
    found = lines(tmp_path)
    if not message:
        assert found == []
        return
    [line] = found
    assert line.startswith(f"hooks/{name} (hooks_directory): ") and message in line
