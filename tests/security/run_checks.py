"""Runs Prowler's checks of AWS services against an account. Runs with Prowler's own interpreter, not the project's.

Usage: run_checks.py REGION SERVICE... Prints a line of JSON for each verdict: check, severity, status, arn, tags, text.
What went wrong is on standard error.

Prowler is used as a library: its command needs the clients of every cloud that it knows.
https://docs.prowler.com/developer-guide/checks says what a check is.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
from pathlib import Path
from typing import Any

import prowler.providers.aws.services
from prowler.lib.outputs.utils import unroll_tags
from prowler.providers.aws.aws_provider import AwsProvider
from prowler.providers.common.models import Audit_Metadata
from prowler.providers.common.provider import Provider

# The first look for attackers in the events of a trail, the second asks a service on the Internet.
LEFT_OUT = ("cloudtrail_threat_detection_", "ec2_elastic_ip_shodan")


def checks(service: str) -> list[str]:
    """Return the names of a service's checks: each has a folder and a file of its name."""
    folder = Path(prowler.providers.aws.services.__file__).with_name(service)
    names = (path.parent.name for path in folder.glob("*/*.metadata.json"))
    return sorted(name for name in names if not name.startswith(LEFT_OUT))


def verdicts(service: str, check: str) -> list[dict[str, Any]]:
    """Run a check."""
    module = importlib.import_module(f"prowler.providers.aws.services.{service}.{check}.{check}")
    return [
        {
            "check": report.check_metadata.CheckID,
            "severity": report.check_metadata.Severity.value,
            "status": report.status,
            "arn": report.resource_arn,
            "tags": unroll_tags(report.resource_tags),
            "text": report.status_extended,
        }
        for report in getattr(module, check)().execute()
    ]


def main(region: str, *services: str) -> None:
    """Run the checks of services."""
    logging.basicConfig(level=logging.ERROR, format="%(module)s: %(message)s")
    provider = AwsProvider(regions={region}, retries_max_attempts=1)
    wanted = [(service, check) for service in services for check in checks(service)]
    names = [check for _service, check in wanted]
    provider.audit_metadata = Audit_Metadata(
        services_scanned=0, expected_checks=names, completed_checks=0, audit_progress=0
    )
    Provider.set_global_provider(provider)
    for service, check in wanted:
        try:
            for verdict in verdicts(service, check):
                print(json.dumps(verdict))
        except Exception as error:  # One that fails is a question without an answer, as any other.
            logging.error("%s: %s", check, error)


if __name__ == "__main__":
    main(*sys.argv[1:])
