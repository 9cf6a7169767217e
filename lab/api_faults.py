"""An API that has bad days: a share of the requests is refused, as AWS refuses when it is busy or broken.

A refused request is not carried out. The answer has the form of its service's protocol and the code that AWS gives, so
that SDKs and Ansible's modules know it and try again: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html.
"""

from __future__ import annotations

import json
import random
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple
from uuid import uuid4

FAULTS_PATH = "/vahana-lab/faults"
"""Where this machine reads (GET) and sets (PUT) how much is refused, and reads how much was."""

REST_XML = ("s3", "cloudfront", "route53")
"""The services that speak REST with XML; all others that speak REST do it with JSON."""

ERROR, THROTTLE = "error", "throttle"
MESSAGES = {
    ERROR: "An internal error has occurred (of `lab fault api`)",
    THROTTLE: "Rate exceeded (of `lab fault api`)",
}

StartResponse = Callable[..., Any]


class BadRequestError(ValueError):
    """What was asked for makes no sense; the text is one line."""


class Form(NamedTuple):
    """How the services of a protocol say that they failed, and that there were too many requests."""

    error: tuple[int, str]
    throttle: tuple[int, str]
    content_type: str
    body: str
    """With the places code, message, id, and fault: whose it was."""


_COMMON = (500, "InternalFailure")
"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonErrors.html, alike in nearly every service."""
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
        "text/xml;charset=UTF-8",
        "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
        "<RequestID>{id}</RequestID></Response>",
    ),
    # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    "s3": Form(
        (500, "InternalError"),
        (503, "SlowDown"),
        "application/xml",
        "<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{id}</RequestId></Error>",
    ),
    "query": Form(_COMMON, (400, "Throttling"), "text/xml", _QUERY_BODY),
    "rest-xml": Form(_COMMON, (400, "Throttling"), "text/xml", _QUERY_BODY),
    "json": Form(_COMMON, (400, "ThrottlingException"), "application/x-amz-json-1.1", _JSON_BODY),
    "rest-json": Form(_COMMON, (429, "TooManyRequestsException"), "application/json", _JSON_BODY),
    "cbor": Form(_COMMON, (400, "ThrottlingException"), "application/cbor", _JSON_BODY),
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


@dataclass
class Faults:
    """What is refused, and what was since that was last turned on."""

    errors: float = 0
    """Per cent of the requests that fail."""
    throttles: float = 0
    """Per cent of the requests that are too many."""
    seed: int = 0
    requests: int = 0
    refused: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """How often each (service, action, ERROR or THROTTLE)."""
    _fates: dict[tuple[str, str, str], random.Random] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def on(self) -> bool:
        """Is anything to be refused?"""
        return self.errors + self.throttles > 0

    def set(self, errors: float, throttles: float, seed: int | None) -> None:
        """Refuse so many per cent from now on, and count anew; both 0: nothing more, and what was counted stays.

        Raises:
            BadRequestError: these are no shares of a hundred.
        """
        if not (errors >= 0 and throttles >= 0 and errors + throttles <= 100):
            raise BadRequestError("errors and throttles are per cent: neither below 0, together at most 100")
        with self._lock:
            self.errors, self.throttles = errors, throttles
            if self.on:
                self.seed = secrets.randbelow(2**32) if seed is None else seed
                self.requests = 0
                self.refused.clear()
                self._fates.clear()

    def refuse(
        self, service: str, action: str, environ: dict[str, Any], start_response: StartResponse
    ) -> Iterable[bytes] | None:
        """Answer a signed request with an error if it is its fate; None if it is to be carried out."""
        kind = self._fate(str(environ.get("REMOTE_ADDR", "")), service, action)
        return None if kind is None else _answer(kind, service, environ, start_response)

    def _fate(self, caller: str, service: str, action: str) -> str | None:
        with self._lock:
            if not self.on:
                return None
            # With one seed the same caller's n-th call of an action meets the same fate each time: how often others
            # ask meanwhile, or how long something is waited for, does not shift it.
            key = (caller, service, action)
            if key not in self._fates:
                self._fates[key] = random.Random(f"{self.seed} {key}")
            number = self._fates[key].random() * 100
            self.requests += 1
            if number >= self.errors + self.throttles:
                return None
            kind = ERROR if number < self.errors else THROTTLE
            self.refused[service, action, kind] += 1
            return kind

    def summary(self) -> dict[str, Any]:
        """What is set, and what was refused since faults were last turned on: in all, and of each action."""
        with self._lock:
            refused = dict(self.refused)
            found: dict[str, Any] = {
                "errors": self.errors,
                "throttles": self.throttles,
                "seed": self.seed,
                "requests": self.requests,
            }
        found["refused"] = {
            f"{kind}s": sum(count for (_, _, each), count in refused.items() if each == kind)
            for kind in (ERROR, THROTTLE)
        }
        found["actions"] = [
            {"service": service, "action": action, "kind": kind, "count": count}
            for (service, action, kind), count in sorted(refused.items())
        ]
        return found

    def answer(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer GET with the summary; PUT sets errors, throttles and seed (JSON, all optional) and answers it too."""
        method = environ["REQUEST_METHOD"]
        if method not in ("GET", "PUT"):
            start_response("405 Method Not Allowed", [("Allow", "GET, PUT")])
            return [b""]
        try:
            if method == "PUT":
                self.set(**_wanted(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))))
            status, found = "200 OK", self.summary()
        except BadRequestError as error:
            status, found = "400 Bad Request", {"error": str(error)}
        body = json.dumps(found, indent=1).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


def _wanted(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
        seed = given.get("seed")
        return {
            "errors": float(given.get("errors", 0)),
            "throttles": float(given.get("throttles", 0)),
            "seed": None if seed is None else int(seed),
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise BadRequestError('not understood; for example: {"errors": 5, "throttles": 10, "seed": 1}') from error


def _answer(kind: str, service: str, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    name = form_of(service, environ)
    form = FORMS[name]
    number, code = form.error if kind == ERROR else form.throttle
    request = str(uuid4())
    if name == "cbor":
        body = _cbor({"__type": code, "message": MESSAGES[kind]})
    else:
        fault = "Receiver" if kind == ERROR else "Sender"
        body = form.body.format(code=code, message=MESSAGES[kind], id=request, fault=fault).encode()
    headers = [("Content-Type", form.content_type), ("x-amzn-RequestId", request), ("x-amz-request-id", request)]
    if name == "rest-json":
        headers.append(("x-amzn-ErrorType", code))
    if name == "cbor":
        headers.append(("smithy-protocol", "rpc-v2-cbor"))
    start_response(f"{number} {HTTPStatus(number).phrase}", [*headers, ("Content-Length", str(len(body)))])
    # An answer to HEAD has no body: SDKs go by the status.
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


def _cbor(texts: dict[str, str]) -> bytes:
    """A map of short texts in CBOR (RFC 8949): each length in the low bits of its type, or in the byte after it."""
    encoded = bytes([0xA0 + len(texts)])
    for text in (part for pair in texts.items() for part in pair):
        encoded += bytes([0x78, len(text)]) + text.encode()
    return encoded
