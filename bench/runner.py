"""Measures both ways of making a tier, or a deployment to ever more hosts, run by run, and prints the medians."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import hosts, realistic, report
from bench.census import census, differences
from bench.emulator import ROOT, Emulator, Image
from bench.programs import Ansible, Measurement, ProgramError, Terraform, terraform_missing

TIERS = ("minimal", "basic", "full", "serverless", "microservices")
PLAYBOOKS = ["playbooks/provision.yml", "playbooks/record.yml"]
AGAIN = ["site.yml"]
STEPS = ("converge", "no-op", "plan", "destroy")


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark and return the exit code."""
    options = _parser().parse_args(arguments)
    if options.what == "hosts":
        return _hosts(options)
    if options.realistic:
        return _realistic(options)
    missing, provider_folder = terraform_missing(options.plugin_dir)
    if missing:
        _say(f"Terraform is left out: {missing}")
    found: dict[str, Any] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="vahana-bench-") as folder:
            for tier in options.tier or TIERS:
                found[tier] = _tier(tier, Path(folder), options, provider_folder, with_terraform=not missing)
    except ProgramError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    summary = report.summary(found, options.runs)
    if options.json:
        print(json.dumps(summary, indent=1))
    else:
        print(report.table(summary))
    if options.write:
        report.write("figures", report.table(summary))
    return 0


def _hosts(options: argparse.Namespace) -> int:
    try:
        found = hosts.measure_all(options.runs, _say)
    except ProgramError as error:
        print(error, file=sys.stderr)
        return 1
    table = f"{report.day()}, {report.machine()}; median of {options.runs}.\n\n{hosts.table(found)}"
    print(json.dumps([asdict(each) for each in found], indent=1) if options.json else table)
    if options.write:
        report.write("hosts", table)
    return 0


def _realistic(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="vahana-bench-") as folder:
        for tier in options.tier or TIERS:
            work = Path(folder) / tier
            work.mkdir()
            try:
                result = realistic.first_converge(tier, work, options.playbook or PLAYBOOKS, options.scale)
            except ProgramError as error:
                print(error, file=sys.stderr)
                return 1
            print(json.dumps(asdict(result)) if options.json else result, flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        choices=("tiers", "hosts"),
        default="tiers",
        help="making tiers, or deploying to 2, 10 and 50 hosts (default: %(default)s)",
    )
    parser.add_argument("--tier", action="append", choices=TIERS, help="only this tier (may be repeated)")
    parser.add_argument("--runs", type=int, default=5, help="how often; the figures are medians (default: %(default)s)")
    parser.add_argument(
        "--playbook",
        action="append",
        help=f"what converges (may be repeated): site.yml needs hosts, which there are none (default: {PLAYBOOKS})",
    )
    parser.add_argument(
        "--again", action="append", help=f"what runs when nothing is to be done (may be repeated; default: {AGAIN})"
    )
    parser.add_argument(
        "--realistic", action="store_true", help="one first converge of each tier at AWS's waiting times instead"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="with --realistic: AWS's times by this factor (default: %(default)s)"
    )
    parser.add_argument("--plugin-dir", type=Path, help="folder that has Terraform's provider, where it is elsewhere")
    parser.add_argument("--json", action="store_true", help="print every measurement as JSON instead of the table")
    parser.add_argument("--write", action="store_true", help="put the table into bench/README.md")
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _tier(
    tier: str, folder: Path, options: argparse.Namespace, provider_folder: Path | None, *, with_terraform: bool
) -> dict[str, Any]:
    """Measure one tier: {program: {step: [measurement of each run]}}, and what the censuses differ in."""
    work = folder / tier
    work.mkdir()
    ansible = Ansible(tier, work, options.playbook or PLAYBOOKS, options.again or AGAIN)
    _say(f"{tier}: a first run, not measured, that builds the release and the image's name")
    with Emulator() as emulator:
        ansible.converge(emulator, baked=False)
        image = emulator.image()
        variables = {
            "public_key": ansible.public_key(),
            "release_folder": str(ROOT / "dist" / emulator.release()),
            "service_versions": json.dumps(emulator.service_versions()),
        }
    terraform = None
    if with_terraform:
        terraform = Terraform(tier, work, provider_folder, variables)
        with Emulator() as emulator:
            terraform.init(emulator)
    programs: dict[str, Ansible | Terraform] = {"ansible": ansible}
    if terraform:
        programs["terraform"] = terraform
    measured: dict[str, Any] = {name: {step: [] for step in STEPS} for name in programs}
    counted = {}
    for number in range(options.runs):
        # Whoever comes second may find warmer caches: they take turns.
        for name in sorted(programs, reverse=bool(number % 2)):
            _say(f"{tier}: run {number + 1} of {options.runs}, {name}")
            steps, counted[name] = _run(programs[name], image)
            for step, measurement in steps.items():
                measured[name][step].append(asdict(measurement))
                _say(f"  {step:10}{measurement.wall:7.1f} s")
    apart = differences(counted["ansible"], counted["terraform"]) if terraform else {}
    return {"measured": measured, "census": dict(counted["ansible"]), "differences": apart}


def _run(program: Ansible | Terraform, image: Image | None) -> tuple[dict[str, Measurement], Any]:
    """Measure the steps of one program in an account of its own, and count what it made."""
    if isinstance(program, Terraform):
        program.forget()
    with Emulator() as emulator:
        if image is not None:
            emulator.put_image(image)
        steps = {"converge": program.converge(emulator)}
        counted = census(emulator)
        steps["no-op"] = program.no_op(emulator)
        steps["plan"] = program.plan(emulator)
        steps["destroy"] = program.destroy(emulator)
    return steps, counted
