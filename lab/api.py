"""The AWS API: moto's server on two addresses, one for the controller, one for the hosts."""

from __future__ import annotations

import io
import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from lab import api_faults, operations, permissions, regions, registry, settings, signature

READING = (
    "describe",
    "list",
    "get",
    "batchget",
    "head",
    "lookup",
    "search",
    "simulate",
    "filter",
    "verify",
    "query",
    "scan",
)
"""How the names of actions begin that change nothing."""
ACTION = "vahana_lab.action"
"""Where a request's environment keeps the action that was read from it: several ask."""
READING_METHODS = ("GET", "HEAD", "OPTIONS")

CALLS_PATH = "/vahana-lab/calls"
"""Where this machine reads (GET) and resets (DELETE) what was counted."""

Changed = Callable[[], None]
DATA = frozenset(
    {
        *("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"),
        *("SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch"),
        *("PutLogEvents", "CreateLogStream", "PutMetricData"),
    }
)
"""What writes into what is there: the state changes, and no machine has to follow."""
"""Is called when the API changed something."""


def configure() -> None:
    """Set what moto reads from the environment; call before moto is imported."""
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
    os.environ["MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION"] = "true"
    # Seconds until a certificate could be issued at the earliest.
    os.environ["MOTO_ACM_VALIDATION_WAIT"] = "2"
    # Nothing in this process may call AWS itself; with these it would fail at once.
    os.environ["AWS_ACCESS_KEY_ID"] = os.environ["AWS_SECRET_ACCESS_KEY"] = "lab"
    os.environ["AWS_DEFAULT_REGION"] = settings.DEFAULT_REGION
    os.environ.pop("AWS_PROFILE", None)


class Watch:
    """WSGI middleware that counts requests, refuses what may or shall not be, and tells of what may have changed."""

    def __init__(self, application: Callable[..., Any], changed: Changed, written: Changed) -> None:
        self._application = application
        self._changed, self._written = changed, written
        self._calls = Calls()
        self._faults = api_faults.Faults()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, then tell."""
        # The lab's hosts ask from their own addresses: what they do is their business.
        from_here = str(environ.get("REMOTE_ADDR", "")).startswith("127.")
        if from_here and environ["PATH_INFO"] == CALLS_PATH:
            return self._calls.answer(str(environ["REQUEST_METHOD"]), start_response)
        if from_here and environ["PATH_INFO"] == api_faults.FAULTS_PATH:
            return self._faults.answer(environ, start_response)
        if from_here and environ["PATH_INFO"] == regions.REGIONS_PATH:
            return self._answer_regions(environ, start_response)
        region = regions.of_request(environ)
        if regions.is_cut(region):
            regions.drop(environ)
        if registry.concerns(environ):
            pushed = registry.answer(environ, start_response)
            if environ["REQUEST_METHOD"] == "PUT":
                self._changed()
            return pushed
        reading, tell = reads_only(environ), self._written if action_of(environ) in DATA else self._changed
        if "HTTP_AUTHORIZATION" in environ:
            service, action = signature.of(environ).service, name_of(environ)
            if from_here:
                self._calls.count(service, action, reading)
            refusal = self._faults.refuse(service, action, environ, start_response)
            if refusal is None:
                refusal = permissions.refuse(service, action, environ, start_response)
            if refusal is not None:
                return refusal
        answer: Iterable[bytes] = self._application(environ, start_response)
        if not reading:
            tell()
        if regions.is_cut(region):
            # It was done, and the caller does not hear of it.
            regions.drop(environ)
        return answer

    def _answer_regions(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Cut a region off or heal it, and tell."""
        answer = regions.answer(environ, start_response)
        self._changed()
        return answer


def action_of(environ: dict[str, Any]) -> str:
    """The action that a request names; "" where only method and path tell it (S3, CloudFront, Route 53)."""
    if ACTION in environ:
        return str(environ[ACTION])
    action: str = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    if not action and "/operation/" in environ.get("PATH_INFO", ""):
        action = str(environ["PATH_INFO"]).rpartition("/")[2]
    if not action and environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        action = parse_qs(body.decode(errors="replace")).get("Action", [""])[0]
    environ[ACTION] = action
    return action


def reads_only(environ: dict[str, Any]) -> bool:
    """Does a request only read, as far as its action's name or its method tells?"""
    if action := action_of(environ):
        return action.lower().startswith(READING)
    return str(environ["REQUEST_METHOD"]) in READING_METHODS


def name_of(environ: dict[str, Any]) -> str:
    """The action of a request by name, where only method and path tell it too."""
    return action_of(environ) or operations.name(
        signature.of(environ).service, environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("QUERY_STRING", "")
    )


class Calls:
    """How often which action was called, of requests that came signed from this machine."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, bool]] = Counter()

    def count(self, service: str, action: str, reading: bool) -> None:
        """Count one request."""
        with self._lock:
            self._counts[service, action, reading] += 1

    def summary(self) -> dict[str, Any]:
        """The counts: in all, and of each action."""
        with self._lock:
            counts = dict(self._counts)
        reads = sum(count for (_, _, reading), count in counts.items() if reading)
        return {
            "calls": sum(counts.values()),
            "reads": reads,
            "writes": sum(counts.values()) - reads,
            "actions": [
                {"service": service, "action": action, "kind": "read" if reading else "write", "count": count}
                for (service, action, reading), count in sorted(counts.items())
            ],
        }

    def answer(self, method: str, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer GET with what was counted, DELETE with that too and by starting anew."""
        if method not in ("GET", "DELETE"):
            start_response("405 Method Not Allowed", [("Allow", "GET, DELETE")])
            return [b""]
        body = json.dumps(self.summary(), indent=1).encode()
        if method == "DELETE":
            with self._lock:
                self._counts.clear()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


class Api:
    """moto's application, served on the loopback address and on the one that hosts reach."""

    def __init__(
        self,
        changed: Changed,
        addresses: tuple[str, ...] = (settings.LOOPBACK, settings.METADATA_ADDRESS),
        port: int = settings.API_PORT,
        *,
        written: Changed | None = None,
    ) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
        from werkzeug.serving import make_server

        class QuietHandler(MotoRequestHandler):  # type: ignore[misc]
            """moto's handler, without a log line for each request."""

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                """Log nothing: the log is for what the lab does."""

        application = Watch(DomainDispatcherApplication(create_backend_app), changed, written or changed)
        self._servers = [
            make_server(address, port, application, threaded=True, request_handler=QuietHandler)
            for address in addresses
        ]
        self._threads = [
            threading.Thread(target=server.serve_forever, name="api", daemon=True) for server in self._servers
        ]

    @property
    def port(self) -> int:
        """The port it answers at: a free one where 0 was asked for."""
        return int(self._servers[0].port)

    def start(self) -> None:
        """Begin to answer."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop answering."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
