"""playbooks/plan.yml: what it prints, how it ends, and that a kept plan binds the run."""

from __future__ import annotations

import json
from pathlib import Path

from tests.plan.conftest import Account

PLAN = "playbooks/plan.yml"


def test_a_plan_of_an_empty_account_binds_one_run(account: Account, tmp_path: Path) -> None:
    """Code 2 for changes; the run that carries the plan out begins once, and not again."""
    account.load("empty")
    kept = tmp_path / "plan.json"
    # A key that no test before this has made.
    key = ("-e", f"ssh_private_key_file={tmp_path / 'key'}")
    planned = account.play("minimal", *key, "-e", f"out={kept}", playbook=PLAN)
    assert planned.code == 2, planned.output
    assert planned.writes == []
    assert "+ create  network      VPC vahanhelp-prod-vpc" in planned.output
    assert "0 to change, 0 to delete\ncost: $0.00 → $12." in planned.output
    data = json.loads(kept.read_text())
    assert data["counts"]["create"] == len(data["changes"])

    ran = account.play("minimal", *key, "-e", f"plan={kept}")
    assert ran.code == 0, ran.output[-3000:]
    again = account.play("minimal", *key, "-e", f"plan={kept}")
    assert again.code != 0
    # The lock, taken and given back, and nothing else.
    assert again.writes == ["DeleteObject", "PutObject"]
    # The run has made the SSH key, which is an input, and every layer.
    assert "was not made from what is there now: the inputs (variables, code, sources or keys), " in again.output
    assert "the layer compute, " in again.output

    settled = account.play("minimal", *key, "--tags", "network", "-e", "plan_format=json", playbook=PLAN)
    assert settled.code == 0, settled.output
    assert json.loads(settled.output[settled.output.index("{") :])["changes"] == []


def test_a_plan_that_cannot_be_made_is_an_error(account: Account) -> None:
    """Code 1."""
    account.load("empty")
    assert account.play("immense", playbook=PLAN).code == 1
