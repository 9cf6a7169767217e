"""How AWS's services say no: each protocol has a form of its own, and SDKs and Ansible's modules know them by it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, NamedTuple
from uuid import uuid4

REST_XML = ("s3", "cloudfront", "route53")
"""The services that speak REST with XML; all others that speak REST do it with JSON."""

ERROR, THROTTLE, DENIED = "error", "throttle", "denied"
"""The service failed; it gets too many requests; the caller may not."""

StartResponse = Callable[..., Any]


class Form(NamedTuple):
    """How the services of a protocol say that they failed, that there were too many requests, and that one may not."""

    error: tuple[int, str]
    throttle: tuple[int, str]
    denied: tuple[int, str]
    content_type: str
    body: str
    """With the places code, message, id, and fault: whose it was."""


_COMMON = (500, "InternalFailure")
"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonErrors.html, alike in nearly every service."""
_DENIED = (403, "AccessDenied")
_QUERY_BODY = (
    "<ErrorResponse><Error><Type>{fault}</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    "<RequestId>{id}</RequestId></ErrorResponse>"
)
_JSON_BODY = '{{"__type": "{code}", "message": "{message}"}}'

FORMS = {
    # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    "ec2": Form(
        (500, "InternalError"),
        (503, "RequestLimitExceeded"),
        (403, "UnauthorizedOperation"),
        "text/xml;charset=UTF-8",
        "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
        "<RequestID>{id}</RequestID></Response>",
    ),
    # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    "s3": Form(
        (500, "InternalError"),
        (503, "SlowDown"),
        _DENIED,
        "application/xml",
        "<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{id}</RequestId></Error>",
    ),
    "query": Form(_COMMON, (400, "Throttling"), _DENIED, "text/xml", _QUERY_BODY),
    "rest-xml": Form(_COMMON, (400, "Throttling"), _DENIED, "text/xml", _QUERY_BODY),
    "json": Form(
        _COMMON, (400, "ThrottlingException"), (400, "AccessDeniedException"), "application/x-amz-json-1.1", _JSON_BODY
    ),
    "rest-json": Form(
        _COMMON, (429, "TooManyRequestsException"), (403, "AccessDeniedException"), "application/json", _JSON_BODY
    ),
    "cbor": Form(_COMMON, (400, "ThrottlingException"), (400, "AccessDeniedException"), "application/cbor", _JSON_BODY),
}


def form_of(service: str, environ: dict[str, Any]) -> str:
    """The form of the answer to a request: the protocol, but for services that have errors of their own kind."""
    # A service may speak several protocols (CloudWatch three): the request shows which.
    if environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
        return "cbor"
    if "HTTP_X_AMZ_TARGET" in environ:
        return "json"
    if service in ("ec2", "s3"):
        return service
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return "query"
    return "rest-xml" if service in REST_XML else "rest-json"


def answer(
    kind: str, message: str, service: str, environ: dict[str, Any], start_response: StartResponse
) -> Iterable[bytes]:
    """Answer a request with an error.

    Args:
        kind: ERROR, THROTTLE or DENIED.
        message: what is said beside the code; without quotes, which XML and JSON would want escaped.
    """
    name = form_of(service, environ)
    form = FORMS[name]
    number, code = {ERROR: form.error, THROTTLE: form.throttle, DENIED: form.denied}[kind]
    request = str(uuid4())
    if name == "cbor":
        body = _cbor({"__type": code, "message": message})
    else:
        fault = "Receiver" if kind == ERROR else "Sender"
        body = form.body.format(code=code, message=message, id=request, fault=fault).encode()
    headers = [("Content-Type", form.content_type), ("x-amzn-RequestId", request), ("x-amz-request-id", request)]
    if name == "rest-json":
        headers.append(("x-amzn-ErrorType", code))
    if name == "cbor":
        headers.append(("smithy-protocol", "rpc-v2-cbor"))
    start_response(f"{number} {HTTPStatus(number).phrase}", [*headers, ("Content-Length", str(len(body)))])
    # An answer to HEAD has no body: SDKs go by the status.
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


def _cbor(texts: dict[str, str]) -> bytes:
    """A map of texts in CBOR (RFC 8949): each length in the low bits of its type, or in the bytes after it."""
    encoded = bytes([0xA0 + len(texts)])
    for text in (part for pair in texts.items() for part in pair):
        encoded += bytes([0x79]) + len(text.encode()).to_bytes(2, "big") + text.encode()
    return encoded
