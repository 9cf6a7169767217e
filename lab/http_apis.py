"""API Gateway's HTTP APIs: which route a request takes, and what the function behind it answers.

Requests become events of payload format 2.0 and answers become responses as described in
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html. `lab.frontdoor`
listens; here is what API Gateway decides.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from moto.apigatewayv2.models import apigatewayv2_backends
from moto.awslambda.exceptions import UnknownFunctionException
from moto.awslambda.models import lambda_backends
from moto.logs.models import logs_backends

from lab import policies, regions, served, settings
from lab.cloudfront_functions import Headers
from lab.moto_patches import awslambda

DEFAULT = "$default"
PRINCIPAL = "apigateway.amazonaws.com"
GREEDY = 1
"""Rank of a route that ends in a greedy variable, as /api/{proxy+}: after those that match exactly."""
TEXT = re.compile(r"text/|application/(?:json|xml|javascript)|[^;]*\+(?:json|xml)")
"""Content types whose bodies are text in an event; others are base64."""
LARGEST_BODY = 10 * 2**20
"""https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html"""
RATE, BURST = 10_000.0, 5_000.0
"""An account's limits, where a stage has none."""
LOG_STREAM = "lab"


@dataclass(frozen=True)
class Request:
    """A request as it comes in.

    Attributes:
        method: in capitals.
        path: raw, still encoded.
        query: raw, without its question mark.
        headers: lower case, in their order.
        body: the whole.
        source_ip: whose it is.
        domain: host name it was sent to.
    """

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    source_ip: str
    domain: str


@dataclass
class Answer:
    """What is answered, and what only the access log is told."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    error: str = ""


class Limiter:
    """Token buckets, one a stage: as many requests at once as its burst, refilled at its rate."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}

    def admits(self, stage: str, rate: float, burst: float, now: float) -> bool:
        """Take a token if there is one.

        Args:
            stage: key of the bucket.
            rate: requests a second in the long run.
            burst: most of them at once.
            now: seconds of any clock that only goes forward.
        """
        tokens, then = self._buckets.get(stage, (burst, now))
        tokens = min(burst, tokens + (now - then) * rate)
        admitted = tokens >= 1
        self._buckets[stage] = (tokens - 1 if admitted else tokens, now)
        return admitted


_limiter = Limiter()


def all_apis() -> Iterator[tuple[str, Any]]:
    """Every HTTP API with its region."""
    for region, backend in list(apigatewayv2_backends[settings.ACCOUNT_ID].items()):
        for api in list(backend.apis.values()):
            if api.protocol_type == "HTTP":
                yield region, api


def names_of(region: str, api: Any) -> tuple[str, ...]:
    """Host names of an API itself: one, unless that is off."""
    return () if api.disable_execute_api_endpoint else (f"{api.api_id}.execute-api.{region}.amazonaws.com",)


def all_domains() -> Iterator[tuple[str, Any]]:
    """Every custom domain name with its region; one name may be in several regions."""
    for region, backend in list(apigatewayv2_backends[settings.ACCOUNT_ID].items()):
        for domain in list(backend.domain_names.values()):
            yield region, domain


def regional_name(domain: Any) -> str:
    """The name that records of a custom domain point to in its region."""
    return str(domain.domain_name_configurations[0]["apiGatewayDomainName"])


def mapped(region: str, domain: Any) -> Any | None:
    """The API that a custom domain of a region is mapped to, as a whole."""
    backend = apigatewayv2_backends[settings.ACCOUNT_ID][region]
    mappings = [each for each in list(backend.api_mappings.values()) if each.domain_name == domain.domain_name]
    return next((backend.apis.get(each.api_id) for each in mappings if not each.api_mapping_key), None)


def forbidden() -> Answer:
    """What API Gateway says at a host name that it does not know where it was asked."""
    return _message(403, "Forbidden")


def handle(api: Any, request: Request) -> Answer:
    """Answer a request: route it, run the function, keep the access log."""
    began, request_id = time.time(), secrets.token_urlsafe(11)
    stage, route = api.stages.get(DEFAULT), None
    if stage is None:
        answer = _message(404, "Not Found")
    else:
        limits = stage.default_route_settings
        rate = float(limits.get("throttlingRateLimit") or RATE)
        burst = float(limits.get("throttlingBurstLimit") or BURST)
        route = match(list(api.routes.values()), request.method, request.path)
        if not _limiter.admits(api.arn, rate, burst, time.monotonic()):
            answer = _message(429, "Too Many Requests")
        elif route is None:
            answer = _message(404, "Not Found")
        else:
            answer = _invoke(api, route, request, request_id)
        seconds = time.time() - began
        _keep_log(api, stage, route, request, answer, request_id, seconds)
        served.note_request(api.arn.split(":")[3], api.api_id, DEFAULT, status=answer.status, seconds=seconds)
    answer.headers.append(("apigw-requestid", request_id))
    return answer


def match(routes: list[Any], method: str, path: str) -> Any | None:
    """Find the route of a request: the one that says most about it.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html: routes with a full match
    come first, then those with a greedy variable, then $default; of two, the one with the method itself.
    """
    found = []
    for route in routes:
        if route.route_key == DEFAULT:
            found.append(((GREEDY + 1, 0, 0), route))
            continue
        verb, _, pattern = route.route_key.partition(" ")
        if verb in ("ANY", method) and variables(pattern, path) is not None:
            fixed = sum(not part.startswith("{") for part in pattern.split("/"))
            found.append(((GREEDY if pattern.endswith("+}") else 0, -fixed, verb == "ANY"), route))
    return min(found, key=lambda each: each[0])[1] if found else None


def variables(pattern: str, path: str) -> dict[str, str] | None:
    """Values of a route's path variables; None when the path is not of that route."""
    wanted, given = pattern.strip("/").split("/"), path.strip("/").split("/")
    values: dict[str, str] = {}
    for number, part in enumerate(wanted):
        if part.endswith("+}"):
            rest = "/".join(given[number:])
            return {**values, part[1:-2]: unquote(rest)} if rest else None
        if number >= len(given) or not given[number]:
            return values if wanted == given else None
        if part.startswith("{"):
            values[part[1:-1]] = unquote(given[number])
        elif part != given[number]:
            return None
    return values if len(wanted) == len(given) else None


def event_of(api: Any, route: Any, request: Request, request_id: str) -> dict[str, Any]:
    """The event of a request, payload format 2.0."""
    headers: dict[str, str] = {}
    for name, value in request.headers:
        if name != "cookie":
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    cookies = [part.strip() for name, value in request.headers if name == "cookie" for part in value.split(";")]
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    now = datetime.now(UTC)
    text = TEXT.match(headers.get("content-type", "text/plain")) is not None
    found = variables(route.route_key.partition(" ")[2], request.path) if route.route_key != DEFAULT else None
    return {
        "version": "2.0",
        "routeKey": route.route_key,
        "rawPath": unquote(request.path),
        "rawQueryString": request.query,
        **({"cookies": cookies} if cookies else {}),
        "headers": headers,
        **({"queryStringParameters": parameters} if parameters else {}),
        **({"pathParameters": found} if found else {}),
        "requestContext": {
            "accountId": settings.ACCOUNT_ID,
            "apiId": api.api_id,
            "domainName": request.domain,
            "domainPrefix": request.domain.partition(".")[0],
            "http": {
                "method": request.method,
                "path": unquote(request.path),
                "protocol": "HTTP/1.1",
                "sourceIp": request.source_ip,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": request_id,
            "routeKey": route.route_key,
            "stage": DEFAULT,
            "time": f"{now:%d/%b/%Y:%H:%M:%S +0000}",
            "timeEpoch": int(now.timestamp() * 1000),
        },
        **({"body": request.body.decode(errors="replace")} if request.body and text else {}),
        **({"body": base64.b64encode(request.body).decode()} if request.body and not text else {}),
        "isBase64Encoded": bool(request.body) and not text,
    }


def answer_of(result: Any) -> Answer:
    """Make a response of what a function returned: with a status code it describes one, otherwise it is the body."""
    if not isinstance(result, dict) or "statusCode" not in result:
        text = result if isinstance(result, str) else json.dumps(result)
        return Answer(200, [("content-type", "application/json")], text.encode())
    headers = [(str(name).lower(), _text(value)) for name, value in (result.get("headers") or {}).items()]
    if "content-type" not in dict(headers):
        headers.append(("content-type", "text/plain;charset=UTF-8"))
    headers += [("set-cookie", str(cookie)) for cookie in result.get("cookies") or []]
    body = result.get("body") or ""
    try:
        status = int(result["statusCode"])
        content = base64.b64decode(body, validate=True) if result.get("isBase64Encoded") else str(body).encode()
    except (ValueError, TypeError, binascii.Error) as error:
        return _message(500, "Internal Server Error", f"the function's answer is no response: {error}")
    return Answer(status, headers, content)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _message(status: int, text: str, error: str = "") -> Answer:
    return Answer(status, [("content-type", "application/json")], json.dumps({"message": text}).encode(), error)


def _invoke(api: Any, route: Any, request: Request, request_id: str) -> Answer:
    integration = api.integrations.get((route.target or "").rpartition("/")[2])
    if integration is None or integration.integration_type != "AWS_PROXY":
        return _message(500, "Internal Server Error", "the route has no function (the lab knows no other integration)")
    arn = str(integration.integration_uri)
    region = arn.split(":")[3]
    if regions.is_cut(region):
        return _message(503, "Service Unavailable", f"{region} is cut off, where the function is")
    backend = lambda_backends[settings.ACCOUNT_ID][region]
    try:
        function, alias = awslambda.chosen(backend, arn)
    except UnknownFunctionException as unknown:
        return _message(500, "Internal Server Error", str(unknown))
    source = f"arn:aws:execute-api:{api.arn.split(':')[3]}:{settings.ACCOUNT_ID}:{api.api_id}/{DEFAULT}"
    if not policies.permits_service(function, PRINCIPAL, arn, f"{source}/{request.method}{request.path}"):
        return _message(500, "Internal Server Error", f"{arn} does not permit API Gateway to invoke it")
    event = json.dumps(event_of(api, route, request, request_id)).encode()
    began = time.monotonic()
    result, error, _ = awslambda.run(function, event, alias)
    if time.monotonic() - began > float(integration.timeout_in_millis or 30_000) / 1000:
        return _message(503, "Service Unavailable", "the function took longer than the integration waits")
    if error:
        return _message(500, "Internal Server Error", result.decode(errors="replace")[:500])
    return answer_of(json.loads(result))


def _keep_log(
    api: Any, stage: Any, route: Any | None, request: Request, answer: Answer, request_id: str, seconds: float
) -> None:
    """Write a line to the stage's access log, if it has one."""
    wanted: Mapping[str, str] = stage.access_log_settings or {}
    region = api.arn.split(":")[3]
    group, logs = (
        wanted.get("destinationArn", "").partition(":log-group:")[2],
        logs_backends[settings.ACCOUNT_ID][region],
    )
    if group not in logs.groups:
        return
    values = {
        "requestId": request_id,
        "requestTime": f"{datetime.now(UTC):%d/%b/%Y:%H:%M:%S +0000}",
        "httpMethod": request.method,
        "path": request.path,
        "routeKey": route.route_key if route else "-",
        "stage": DEFAULT,
        "status": str(answer.status),
        "protocol": "HTTP/1.1",
        "responseLength": str(len(answer.body)),
        "responseLatency": str(round(seconds * 1000)),
        "identity.sourceIp": request.source_ip,
        "integrationErrorMessage": json.dumps(answer.error)[1:-1] or "-",
    }
    line = re.sub(r"\$context\.([A-Za-z.]*[A-Za-z])", lambda name: values.get(name[1], "-"), wanted.get("format", ""))
    if LOG_STREAM not in logs.groups[group].streams:
        logs.create_log_stream(group, LOG_STREAM)
    logs.put_log_events(group, LOG_STREAM, [{"timestamp": int(time.time() * 1000), "message": line}])
