"""What Prowler finds in each tier is known, and each known finding has its reason (docs/security.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.account import ROOT
from tests.plan.conftest import Account
from tests.security import known, scanner
from tests.security.ownership import ENVIRONMENT, Owned

TIERS = {
    "minimal": (),
    "basic": (),
    # As it is meant to be run: what a domain and a repository bring is scanned, too.
    "full": ("domain=cars.example.com", "dns_zone_create=true", "pipeline_repository=ann/cars"),
}
BENCHMARKS: dict[str, set[str]] = {
    "cis_5.0_aws": set(),
    "cis_6.0_aws": set(),
    "cis_7.0_aws": set(),
    # Security Hub's own severity of it is medium (Security Hub user guide, SecretsManager.1).
    "aws_foundational_security_best_practices_aws": {"secretsmanager_automatic_rotation_enabled"},
}
"""Published benchmarks, and what Prowler rates high of what they ask and tier full does not do."""
REPORTS = ROOT / "reports/security"


@pytest.mark.long
@pytest.mark.parametrize("tier", TIERS)
def test_every_finding_is_known(account: Account, prowler: Path, tmp_path: Path, tier: str) -> None:
    """known.yml names every finding of ours, as serious as it is, and none that is gone."""
    account.load("empty")
    made = account.play(tier, *(argument for given in TIERS[tier] for argument in ("-e", given)))
    assert made.code == 0, made.output[-4000:]
    owned = Owned(account)
    scan = scanner.scan(account, scanner.services_of(owned.arns, prowler), prowler, tmp_path)
    ours = [finding for finding in scan.failed if finding in owned]
    theirs = [finding for finding in scan.failed if finding not in owned]
    REPORTS.mkdir(parents=True, exist_ok=True)
    (REPORTS / f"{tier}.txt").write_text(report(ours, theirs, scan))

    # What has our name and not our tags would be taken for the account's own.
    assert [finding for finding in theirs if ENVIRONMENT.name_prefix in finding.arn] == []
    assert scan.verdicts > 100
    file = known.read()
    assert scan.unread - set(file.unread) == set()
    found = {(finding.check, finding.kind, finding.severity): finding.text for finding in ours}
    stays = {(one.check, one.kind, one.severity) for one in file.findings if tier in one.tiers}
    assert {key: text for key, text in found.items() if key not in stays} == {}
    assert stays - set(found) == set()


@pytest.mark.long
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_has_no_high_finding_of_tier_full(prowler: Path, name: str) -> None:
    """What stays of the serious ones is Prowler's opinion alone."""
    asked = scanner.benchmark(name, prowler)
    assert len(asked) > 50
    stays = {one.check for one in known.read().findings if "full" in one.tiers and one.severity in known.SERIOUS}
    assert stays & asked == BENCHMARKS[name]


def report(ours: list[scanner.Finding], theirs: list[scanner.Finding], scan: scanner.Scan) -> str:
    """Write for people what a scan says."""
    parts = {"ours": ours, "the account's own": theirs}
    lines = [
        line
        for name, findings in parts.items()
        for line in (
            f"{name}: {len(findings)}",
            *sorted(f"  {one.severity:9}{one.check}  {one.arn}  {one.text}" for one in findings),
        )
    ]
    return "\n".join([*lines, f"not read: {len(scan.unread)}", *(f"  {one}" for one in sorted(scan.unread)), ""])
