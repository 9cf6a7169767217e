"""The table of medians, on the screen and in bench/README.md."""

from __future__ import annotations

import datetime
import os
import platform
import re
import statistics
from pathlib import Path
from typing import Any

README = Path(__file__).parent / "README.md"

HEAD = (
    "| tier | step | wall s | Terraform | ratio | CPU s | Terraform | ratio | reads + writes | Terraform |",
    "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
)
TERRAFORM_STEPS = {"converge": "apply", "no-op": "plan", "plan": "plan", "destroy": "destroy"}


def day() -> str:
    """Today."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def summary(found: dict[str, Any], runs: int) -> dict[str, Any]:
    """Add what the figures belong to: machine, day, number of runs."""
    return {
        "day": day(),
        "machine": machine(),
        "runs": runs,
        "tiers": found,
    }


def machine() -> str:
    """This machine in a few words: processor, cores, memory, system."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    cores = len(os.sched_getaffinity(0))
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{processor}, {cores} cores, {memory:.0f} GiB, {platform.system()} {kernel}"


def _median(measurements: list[dict[str, Any]], what: str) -> float:
    values = [each["calls"][what] if what in ("reads", "writes") else each[what] for each in measurements]
    return float(statistics.median(values))


def _row(tier: str, step: str, measured: dict[str, Any]) -> str:
    def figures(name: str) -> dict[str, float]:
        runs = measured.get(name, {}).get(step, [])
        return {what: _median(runs, what) for what in ("wall", "cpu", "reads", "writes")} if runs else {}

    ours, theirs = figures("ansible"), figures("terraform")
    cells = [tier, f"{step} (`{TERRAFORM_STEPS[step]}`)"]
    for what in ("wall", "cpu"):
        cells.append(f"{ours[what]:.1f}")
        cells.append(f"{theirs[what]:.1f}" if theirs else "")
        cells.append(f"{ours[what] / theirs[what]:.2f}" if theirs else "")
    cells.extend(f"{each['reads']:.0f} + {each['writes']:.0f}" if each else "" for each in (ours, theirs))
    return f"| {' | '.join(cells)} |"


def table(found: dict[str, Any]) -> str:
    """The medians as a Markdown table, with what they belong to."""
    lines = [f"{found['day']}, {found['machine']}; median of {found['runs']}.", "", *HEAD]
    for tier, each in found["tiers"].items():
        lines.extend(_row(tier, step, each["measured"]) for step in TERRAFORM_STEPS)
    for tier, each in found["tiers"].items():
        if "terraform" not in each["measured"]:
            continue
        total = sum(each["census"].values())
        apart = "; ".join(f"{kind} {ours} to {theirs}" for kind, (ours, theirs) in each["differences"].items())
        lines.extend(["", f"{tier}: {total} resources counted; Terraform's are {apart or 'the same, kind by kind'}."])
    return "\n".join(lines)


def write(name: str, text: str) -> None:
    """Replace a table in bench/README.md.

    Args:
        name: of the table, as the comments around it say.
        text: the new one.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    marked = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    README.write_text(marked.sub(lambda _: f"{begin}\n{text}\n{end}", README.read_text()))
