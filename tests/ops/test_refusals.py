"""What only the account can tell to be wrong is found out before anything is made of a tier."""

from __future__ import annotations

import pytest

from tests.ops.conftest import Account

NO_ZONE = "The account has no public Route 53 zone for cars.example.com. Create it, or let it be created with"
NO_RELEASE = "Nothing is deployed as vahanhelp-test in us-east-1, so there is no release '1.0.0' yet; leave -e release"
NO_ZONES = "The subnets need 3 Availability Zones, and there are only 2 (us-east-1a, us-east-1b)."
THREE = '{"network_availability_zones": ["us-east-1a", "us-east-1b"], "network_public_subnet_cidrs": %s}'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-e", "domain=cars.example.com"), NO_ZONE),
        (("-e", "release=1.0.0"), NO_RELEASE),
        (("-e", THREE % '["10.0.1.0/24", "10.0.2.0/24", "10.0.9.0/24"]'), NO_ZONES),
    ],
)
def test_a_tier_that_cannot_be_is_not_begun(account: Account, arguments: tuple[str, ...], message: str) -> None:
    # Another environment than the one that the account has already.
    stopped = account.play("provision", "-e", "tier=basic", "-e", "deploy_env=test", *arguments)
    assert stopped.code != 0
    assert f"error: {message}" in " ".join(stopped.output.split()), stopped.output
    assert account.writes() == []
