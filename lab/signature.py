"""What the signature of a request says of it: by whose key, for which region and service."""

from __future__ import annotations

from typing import Any, NamedTuple

from lab import settings


class Signature(NamedTuple):
    """The scope of the credential that a request was signed with."""

    key: str
    """Access key; "" where the request is not signed."""
    region: str
    service: str
    """As requests are signed for it: ec2, elasticloadbalancing, s3 …"""


def of(environ: dict[str, Any]) -> Signature:
    """Read the signature of a request.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-authentication-methods.html
    """
    # AWS4-HMAC-SHA256 Credential=<key>/<date>/<region>/<service>/aws4_request, …
    scope = str(environ.get("HTTP_AUTHORIZATION", "")).partition("Credential=")[2].partition(",")[0].split("/")
    if len(scope) < 5:
        return Signature("", settings.DEFAULT_REGION, "unknown")
    return Signature("/".join(scope[:-4]), scope[-3], scope[-2])
