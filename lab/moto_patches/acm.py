"""ACM: certificates are issued once their validation record really is in a zone, and know who uses them.

Gaps closed:

- moto issues each certificate a minute after it was asked for. Here it waits for its CNAME in a public hosted zone.
- All validation records are the same; the one of a wildcard repeats its domain's; dates of issue are there before it.
- InUseBy names listeners and never forgets; a certificate in use can be deleted. Here one that was issued cannot, and
  with AWS's own times it also counts as in use for a while after its last user is gone, when InUseBy names nobody.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Any

from moto.acm import models
from moto.apigatewayv2.models import apigatewayv2_backends
from moto.cloudfront.models import cloudfront_backends
from moto.core.exceptions import ServiceException
from moto.elbv2.models import elbv2_backends
from moto.route53.models import route53_backends

from lab import times
from lab.moto_patches.route53 import find_records


class ResourceInUseError(ServiceException):  # type: ignore[misc] # moto has no type information
    """The certificate is attached to something."""

    code = "ResourceInUseException"


def validation_record(account_id: str, domain: str) -> dict[str, str]:
    """The CNAME that proves a domain: the same for each request of an account, as on AWS.

    A wildcard is proved by its parent: https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html
    """
    base = domain.removeprefix("*.")
    name = hashlib.sha256(f"{account_id} {base} name".encode()).hexdigest()
    value = hashlib.sha256(f"{account_id} {base} value".encode()).hexdigest()
    return {
        "Name": f"_{name[:32]}.{base}.",
        "Type": "CNAME",
        "Value": f"_{value[:32]}.{value[32:42]}.acm-validations.aws.",
    }


def validated(account_id: str, domain: str) -> bool:
    """Is the domain's validation record in a public hosted zone of the account?"""
    record = validation_record(account_id, domain)
    wanted = record["Value"].rstrip(".").lower()
    found = find_records(route53_backends[account_id]["aws"], record["Name"], "CNAME", private=False)
    return any(value.rstrip(".").lower() == wanted for rrset in found for value in rrset.records)


def domains(certificate: Any) -> list[str]:
    """All names a certificate is for, the main one first."""
    return list(dict.fromkeys([certificate.common_name, *certificate.sans]))


def users(account_id: str, arn: str) -> list[str]:
    """ARNs of the load balancers, distributions and API Gateway's domain names that present a certificate."""
    found = [
        balancer.arn
        for backend in list(elbv2_backends[account_id].values())
        for balancer in list(backend.load_balancers.values())
        if any(arn in listener.certificates for listener in list(balancer.listeners.values()))
    ]
    found += [
        domain.domain_name_arn
        for api_gateway in list(apigatewayv2_backends[account_id].values())
        for domain in list(api_gateway.domain_names.values())
        if any(each.get("certificateArn") == arn for each in domain.domain_name_configurations)
    ]
    distributions = list(cloudfront_backends[account_id]["aws"].distributions.values())
    return found + [
        distribution.arn
        for distribution in distributions
        if distribution.distribution_config["ViewerCertificate"].get("ACMCertificateArn") == arn
    ]


@functools.cache
def apply() -> None:
    """Patch moto.acm."""
    describe_bundle = models.CertBundle.describe
    delete = models.AWSCertificateManagerBackend.delete_certificate

    def check(self: Any) -> None:
        account_id = self.arn.split(":")[4]
        if (
            self.type == "AMAZON_ISSUED"
            and self.status == "PENDING_VALIDATION"
            and all(validated(account_id, domain) for domain in domains(self))
            and times.over("certificate", self.arn)
        ):
            self.status = "ISSUED"

    def describe(self: Any) -> dict[str, Any]:
        account_id = self.arn.split(":")[4]
        described: dict[str, Any] = describe_bundle(self)
        certificate = described["Certificate"]
        certificate["InUseBy"] = users(account_id, self.arn)
        if self.type == "AMAZON_ISSUED":
            certificate["DomainValidationOptions"] = [
                {
                    "DomainName": domain,
                    "ValidationDomain": domain,
                    "ValidationMethod": "DNS",
                    "ValidationStatus": (
                        "SUCCESS" if self.status == "ISSUED" or validated(account_id, domain) else "PENDING_VALIDATION"
                    ),
                    "ResourceRecord": validation_record(account_id, domain),
                }
                for domain in domains(self)
            ]
        if self.status == "PENDING_VALIDATION":
            for name in ("IssuedAt", "NotBefore", "NotAfter", "Serial"):
                certificate.pop(name, None)
        return described

    def set_certificate_in_use_by(self: Any, arn: str, load_balancer_name: str) -> None:
        # Who uses a certificate is looked up when it is asked for: what is written down here would go stale.
        self.get_certificate(arn)

    def delete_certificate(self: Any, arn: str) -> None:
        certificate = self._certificates.get(arn)
        if certificate is not None:
            in_use = users(self.account_id, arn)
            issued = certificate.type == "AMAZON_ISSUED" and certificate.status == "ISSUED"
            # Nobody notes when the last of them has gone: the time begins with the first attempt after that.
            if in_use or (issued and not times.over("certificate release", arn)):
                by = f": {', '.join(in_use)}" if in_use else ""
                raise ResourceInUseError(f"Certificate {arn} in account {self.account_id} is in use{by}")
        delete(self, arn)

    models.CertBundle.check = check
    models.CertBundle.describe = describe
    models.AWSCertificateManagerBackend.set_certificate_in_use_by = set_certificate_in_use_by
    models.AWSCertificateManagerBackend.delete_certificate = delete_certificate
