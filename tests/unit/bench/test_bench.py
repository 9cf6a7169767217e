"""The benchmark's own parts: what it finds on a machine, how it counts, what it prints."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench import hosts, programs, realistic, report, runner
from bench.census import census, differences
from bench.emulator import ROOT, Calls, Emulator, Image
from lab.times import TIMES


def test_terraform_is_skipped_with_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TF_CLI_CONFIG_FILE", raising=False)
    monkeypatch.setattr(programs.shutil, "which", lambda name: None)
    assert programs.terraform_missing(None) == ("there is no terraform in PATH", None)
    monkeypatch.setattr(programs.shutil, "which", lambda name: f"/usr/bin/{name}")
    reason, folder = programs.terraform_missing(tmp_path)
    assert "--plugin-dir" in reason
    assert str(tmp_path) in reason
    assert folder is None


def test_the_provider_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs.shutil, "which", lambda name: f"/usr/bin/{name}")
    (tmp_path / "mirror" / programs.PROVIDER).mkdir(parents=True)
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(tmp_path / "missing.rc"))
    monkeypatch.setattr(programs, "PROVIDER_FOLDERS", (tmp_path / "none", tmp_path / "mirror"))
    assert programs.terraform_missing(None) == ("", tmp_path / "mirror")
    # The caller's own configuration counts when it is there, and a named folder counts most.
    (tmp_path / "missing.rc").touch()
    assert programs.terraform_missing(None) == ("", None)
    assert programs.terraform_missing(tmp_path / "mirror") == ("", tmp_path / "mirror")


def measurement(wall: float, reads: int) -> dict[str, Any]:
    """One measurement as the runner keeps it."""
    return {"wall": wall, "cpu": wall / 2, "calls": {"reads": reads, "writes": 1, "actions": []}}


def test_the_table_has_medians_and_ratios(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ours = {step: [measurement(wall, 10) for wall in (1.0, 9.0, 2.0)] for step in runner.STEPS}
    theirs = {step: [measurement(wall, 20) for wall in (4.0, 4.0, 5.0)] for step in runner.STEPS}
    found = {
        "measured": {"ansible": ours, "terraform": theirs},
        "census": {"a": 2, "b": 1},
        "differences": {"b": (1, 2)},
    }
    summary = report.summary({"basic": found}, 3)
    text = report.table(summary)
    assert "| basic | no-op (`plan`) | 2.0 | 4.0 | 0.50 | 1.0 | 2.0 | 0.50 | 10 + 1 | 20 + 1 |" in text
    assert "basic: 3 resources counted; Terraform's are b 1 to 2." in text
    readme = tmp_path / "README.md"
    others = "<!-- hosts: begin -->\nold\n<!-- hosts: end -->"
    begin, end = "<!-- figures: begin -->", "<!-- figures: end -->"
    readme.write_text(f"before\n{begin}\nold\n{end}\nafter\n{others}\n")
    monkeypatch.setattr(report, "README", readme)
    report.write("figures", text)
    assert readme.read_text() == f"before\n{begin}\n{text}\n{end}\nafter\n{others}\n"


def test_without_terraform_its_columns_are_empty() -> None:
    ours = {step: [measurement(1.0, 10)] for step in runner.STEPS}
    found = {"measured": {"ansible": ours}, "census": {}, "differences": {}}
    text = report.table(report.summary({"minimal": found}, 1))
    assert "| minimal | plan (`plan`) | 1.0 |  |  | 0.5 |  |  | 10 + 1 |  |" in text


def test_what_grows_with_the_hosts_is_told_from_what_does_not() -> None:
    found = [
        hosts.Deployment(size, wall=10 + size, cpu=20 + size / 2 + noise, hosts_cpu=0, actions={"A": 90}, writes=1)
        for size in (2, 10)
        for noise in (0, 0, 9)
    ]
    assert hosts.table(found).splitlines()[2:] == [
        "| 2 | 12.0 | 6.00 |  | 21.0 | 10.50 |  | 90 | 45.0 |  |",
        "| 10 | 20.0 | 2.00 | 1.00 | 25.0 | 2.50 | 0.50 | 90 | 9.0 | 0.00 |",
    ]


def test_differences_are_listed_both_ways() -> None:
    assert differences(Counter(a=1, b=2), Counter(b=3, c=1)) == {"a": (1, 0), "b": (2, 3), "c": (0, 1)}


def test_an_emulator_is_measured_and_counted(tmp_path: Path) -> None:
    image = Image("trial-0123456789ab", {"vahana:image": "0123456789ab"})
    with Emulator() as emulator:
        assert emulator.image() is None
        emulator.put_image(image)
        assert emulator.image() == image
        assert census(emulator) == {"ec2 image": 1}
        program = "import boto3; boto3.client('sns').create_topic(Name='trial')"
        measured = programs.measure([sys.executable, "-c", program], emulator, tmp_path, {})
        assert (measured.calls.reads, measured.calls.writes) == (0, 1)
        assert measured.cpu > 0
        assert census(emulator) == {"ec2 image": 1, "sns topic": 1}
        with pytest.raises(programs.ProgramError, match="exit code 3"):
            programs.measure([sys.executable, "-c", "raise SystemExit(3)"], emulator, tmp_path, {})


def test_the_longest_chain_of_waits() -> None:
    assert realistic.longest_chain(realistic.WAITS["basic"]) == [
        ("database", TIMES["database create"].seconds),
        ("instances", TIMES["instance start"].seconds),
        ("instances' boot", TIMES["instance boot"].seconds),
        ("targets", TIMES["target healthy"].seconds),
    ]
    waits = {
        "a": realistic.Wait("instance boot"),
        "b": realistic.Wait("instance start"),
        "c": realistic.Wait("instance stop", ("a", "b")),
    }
    assert [name for name, _ in realistic.longest_chain(waits)] == ["a", "c"]


def test_a_realistic_result_says_what_it_could_not_be_faster_than(tmp_path: Path) -> None:
    measured = programs.Measurement(wall=8.0, cpu=1.0, calls=Calls(1, 1, []))
    result = realistic.Result("basic", 0.1, [("database", 60.0), ("instances", 20.0)], measured)
    assert result.ratio == pytest.approx(1.0)
    assert str(result) == (
        "basic, AWS's times by 0.1: 8 s, 1.00 of the longest chain of waits\n  database 6 → instances 2 = 8 s"
    )


@pytest.mark.skipif(shutil.which("terraform") is None, reason="there is no terraform in PATH")
def test_the_stacks_are_formatted() -> None:
    command = ["terraform", "fmt", "-check", "-diff", "-recursive", str(ROOT / "bench/terraform")]
    assert subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout == ""
