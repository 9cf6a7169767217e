#!/usr/bin/python
"""Request an ACM certificate that is validated by DNS."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from ansible.module_utils.ownership import owned_by
from ansible.module_utils.patience import when_let
from ansible.module_utils.planning import KNOWN_AFTER_APPLY
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
    compare_aws_tags,
)
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: acm_request
short_description: Request an ACM certificate validated by DNS
description:
  - The module community.aws.acm_certificate only imports certificates. This one requests them from ACM and returns
    the records by which ACM sees that the domain is ours. Create those in Route 53, then ACM issues the certificate
    and renews it for as long as they stay.
  - A certificate is found again by its names and its tags. Other certificates for the same names are nobody's trouble
    and left alone.
options:
  domain_name:
    description: The name the certificate is for.
    type: str
    required: true
  subject_alternative_names:
    description: Further names.
    type: list
    elements: str
    default: []
  tags:
    description: Tags. C(vahana:app) and C(vahana:env) decide whose the certificate is.
    type: dict
    required: true
  wait:
    description: Whether to wait until ACM has issued it.
    type: bool
    default: false
  wait_timeout:
    description: Longest time to wait, in seconds.
    type: int
    default: 900
  delete_timeout:
    description:
      - Longest time, in seconds, for which a deletion is tried again while ACM says that the certificate is in use.
      - What presented it may be long gone. ACM still counts a deleted distribution, load balancer or domain name of API
        Gateway for 10 to 20 minutes, sometimes longer.
    type: int
    default: 1800
  state:
    description: Whether it should exist.
    type: str
    choices: [present, absent]
    default: present
author: Vahana
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""

EXAMPLES = r"""
- name: Request the certificate that CloudFront will use
  acm_request:
    domain_name: cars.example.com
    region: us-east-1
    tags: {"vahana:app": cars, "vahana:env": prod}
  register: certificate
"""

RETURN = r"""
arn:
  description: ARN. Empty in check mode before it exists.
  returned: I(state=present)
  type: str
status:
  description: Status by ACM, V(PENDING_VALIDATION) or V(ISSUED).
  returned: I(state=present)
  type: str
validation_records:
  description:
    - DNS records that prove the domain, each with RV(validation_records.name), RV(validation_records.type) and
      RV(validation_records.value). For I(state=absent) those that the deleted certificate needed.
  returned: always
  type: list
  elements: dict
"""

USABLE = ["PENDING_VALIDATION", "ISSUED"]
"""Certificates in another status are dead (failed, expired, revoked): a new one is requested instead."""

POLL_SECONDS = 2.0
DELETE_POLL_SECONDS = 15.0
STILL_USED = ("ResourceInUseException", "ConflictException")
"""The other one: ACM is still at work on it, as when what used it has just gone."""
RECORDS_TIMEOUT_SECONDS = 60.0
"""ACM knows the validation records some seconds after the request (RequestCertificate, API reference)."""


def find(client: Any, names: set[str], tags: dict[str, str]) -> list[dict[str, Any]]:
    """Return our usable certificates for exactly these names, as DescribeCertificate shows them plus their Tags."""
    found = []
    for page in client.get_paginator("list_certificates").paginate(CertificateStatuses=USABLE):
        for summary in page["CertificateSummaryList"]:
            if summary["DomainName"] not in names:
                continue
            arn = summary["CertificateArn"]
            answer = client.list_tags_for_certificate(CertificateArn=arn)["Tags"]
            current = boto3_tag_list_to_ansible_dict(answer)
            if not owned_by(current, tags):
                continue
            certificate = client.describe_certificate(CertificateArn=arn)["Certificate"]
            if {certificate["DomainName"], *certificate.get("SubjectAlternativeNames", [])} == names:
                found.append({**certificate, "Tags": current})
    return found


def validation_records(certificate: dict[str, Any]) -> list[dict[str, str]]:
    """Return the records ACM looks for, each once (a wildcard and its parent share one)."""
    records = {
        option["ResourceRecord"]["Name"]: {
            "name": option["ResourceRecord"]["Name"],
            "type": option["ResourceRecord"]["Type"],
            "value": option["ResourceRecord"]["Value"],
        }
        for option in certificate.get("DomainValidationOptions", [])
        if "ResourceRecord" in option
    }
    return list(records.values())


def wait_for_records(module: AnsibleAWSModule, client: Any, arn: str) -> dict[str, Any]:
    """Return the certificate once ACM has said by which records every name is validated."""
    deadline = time.monotonic() + RECORDS_TIMEOUT_SECONDS
    while True:
        certificate: dict[str, Any] = client.describe_certificate(CertificateArn=arn)["Certificate"]
        options = certificate.get("DomainValidationOptions", [])
        if options and all("ResourceRecord" in option for option in options):
            return certificate
        if time.monotonic() > deadline:
            module.fail_json(
                msg=f"ACM has named no validation records for {arn} in {RECORDS_TIMEOUT_SECONDS:.0f} s; run it again"
            )
        time.sleep(POLL_SECONDS)


def wait_until_issued(module: AnsibleAWSModule, client: Any, arn: str) -> dict[str, Any]:
    """Return the certificate once it is issued; fail with the records to check when it is not in time."""
    deadline = time.monotonic() + module.params["wait_timeout"]
    while True:
        certificate: dict[str, Any] = client.describe_certificate(CertificateArn=arn)["Certificate"]
        if certificate["Status"] == "ISSUED":
            return certificate
        if certificate["Status"] not in USABLE or time.monotonic() > deadline:
            records = ", ".join(f"{r['name']} {r['type']} {r['value']}" for r in validation_records(certificate))
            module.fail_json(
                msg=f"the certificate for {certificate['DomainName']} is {certificate['Status']}"
                f" ({certificate.get('FailureReason', 'ACM does not see the validation records')})."
                f" Check that the world can resolve: {records}",
                arn=arn,
                status=certificate["Status"],
                validation_records=validation_records(certificate),
            )
        time.sleep(POLL_SECONDS)


def ensure_present(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Request the certificate unless we have one for these names."""
    domain, tags = module.params["domain_name"], module.params["tags"]
    names = {domain, *module.params["subject_alternative_names"]}
    found = find(client, names, tags)
    if not found:
        diff = {"before": {}, "after": {"names": sorted(names), "validation": "DNS"}}
        if module.check_mode:
            # One for each name, of which only the run will know what they say.
            records = [{"name": KNOWN_AFTER_APPLY, "type": "CNAME", "value": KNOWN_AFTER_APPLY}] * len(names)
            return {"changed": True, "arn": "", "status": "absent", "validation_records": records, "diff": diff}
        arn = client.request_certificate(
            DomainName=domain,
            ValidationMethod="DNS",
            SubjectAlternativeNames=sorted(names),
            # A run killed right here and repeated within the hour gets the same certificate, not a second one.
            IdempotencyToken=hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:32],
            Tags=ansible_dict_to_boto3_tag_list(tags),
        )["CertificateArn"]
        changed = True
    else:
        # The issued one first: the other is a leftover that nobody has validated.
        certificate = min(found, key=lambda each: each["Status"] != "ISSUED")
        arn = certificate["CertificateArn"]
        to_set, to_unset = compare_aws_tags(certificate["Tags"], tags, True)
        changed = bool(to_set or to_unset)
        diff = {"before": {"Tags": certificate["Tags"]}, "after": {"Tags": tags}}
        if not module.check_mode:
            if to_unset:
                client.remove_tags_from_certificate(
                    CertificateArn=arn,
                    Tags=ansible_dict_to_boto3_tag_list({key: certificate["Tags"][key] for key in to_unset}),
                )
            if to_set:
                client.add_tags_to_certificate(CertificateArn=arn, Tags=ansible_dict_to_boto3_tag_list(to_set))
    certificate = wait_for_records(module, client, arn)
    if module.params["wait"] and not module.check_mode:
        certificate = wait_until_issued(module, client, arn)
    return {
        "changed": changed,
        "arn": arn,
        "status": certificate["Status"],
        "validation_records": validation_records(certificate),
        "diff": diff,
    }


def delete(module: AnsibleAWSModule, client: Any, arn: str) -> None:
    """Delete a certificate once nothing uses it any more; fail with what does when that takes too long."""
    timeout = module.params["delete_timeout"]
    try:
        when_let(lambda: client.delete_certificate(CertificateArn=arn), STILL_USED, timeout, DELETE_POLL_SECONDS)
    except client.exceptions.ResourceNotFoundException:
        return
    except ClientError as error:
        if error.response["Error"]["Code"] not in STILL_USED:
            raise
        users = client.describe_certificate(CertificateArn=arn)["Certificate"].get("InUseBy", [])
        module.fail_json(
            msg=f"the certificate {arn} could not be deleted in {timeout} s: {error.response['Error']['Message']}."
            + (f" Delete what uses it, or give that another certificate: {', '.join(users)}." if users else "")
            + " ACM counts what is gone for some time; then run the same command again",
            arn=arn,
            in_use_by=users,
        )


def ensure_absent(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Delete our certificates for these names, when no load balancer, distribution or API uses them any more."""
    names = {module.params["domain_name"], *module.params["subject_alternative_names"]}
    found = find(client, names, module.params["tags"])
    if not module.check_mode:
        for certificate in found:
            delete(module, client, certificate["CertificateArn"])
    records = {record["name"]: record for certificate in found for record in validation_records(certificate)}
    return {
        "changed": bool(found),
        "validation_records": list(records.values()),
        "diff": {"before": {"arns": [each["CertificateArn"] for each in found]}, "after": {}},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "domain_name": {"type": "str", "required": True},
            "subject_alternative_names": {"type": "list", "elements": "str", "default": []},
            "tags": {"type": "dict", "required": True},
            "wait": {"type": "bool", "default": False},
            "wait_timeout": {"type": "int", "default": 900},
            "delete_timeout": {"type": "int", "default": 1800},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    try:
        client = module.client("acm")
        ensure = ensure_present if module.params["state"] == "present" else ensure_absent
        result = ensure(module, client)
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"certificate for {module.params['domain_name']}")
    except ValueError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
