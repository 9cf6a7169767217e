"""Whose a resource is that a scan speaks of: the environment's, by its tags, or the account's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plugins.module_utils.discovery import Environment, discover
from tests.account import LocalAccount
from tests.security.scanner import REGION, Finding, environment_of

ENVIRONMENT = Environment("vahanhelp", "prod", REGION)


class Owned:
    """What an account has of the environment's."""

    def __init__(self, account: LocalAccount) -> None:
        """Look."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment_of(account).items():
                patch.setenv(name, value)
            stack = discover(ENVIRONMENT)
        self.arns = {resource["arn"] for resource in stack["resources"]}
        place = f"arn:aws:ec2:{REGION}:{stack['account_id']}"
        self.arns |= {f"{place}:{resource}" for resource in _untagged(account, stack["network"]["vpc_id"])}

    def __contains__(self, finding: Finding) -> bool:
        """Tell whether a finding is about a resource of ours or a part of one: a listener, a subscription, a policy."""
        if finding.tags >= {f"{key}:{value}" for key, value in ENVIRONMENT.tags.items()}:
            return True
        parts = [finding.arn[:end] for end, mark in enumerate(finding.arn) if mark in ":/"]
        return not self.arns.isdisjoint([finding.arn, *parts])


def _untagged(account: LocalAccount, vpc: str) -> Iterator[str]:
    """Name what comes with a VPC and has no tags: its default security group and its network ACL."""
    ec2 = account.client("ec2")
    mine = [{"Name": "vpc-id", "Values": [vpc]}]
    for group in ec2.describe_security_groups(Filters=mine)["SecurityGroups"]:
        yield f"security-group/{group['GroupId']}"
    for acl in ec2.describe_network_acls(Filters=mine)["NetworkAcls"]:
        yield f"network-acl/{acl['NetworkAclId']}"
