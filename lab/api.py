"""The AWS API: moto's server on two addresses, one for the controller, one for the hosts."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from lab import settings

READING = ("describe", "list", "get", "batchget", "head", "lookup", "search", "simulate", "filter", "verify", "query")
"""How the names of actions begin that change nothing."""
READING_METHODS = ("GET", "HEAD", "OPTIONS")

Changed = Callable[[], None]
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
    """WSGI middleware that tells of each request that may have changed something."""

    def __init__(self, application: Callable[..., Any], changed: Changed) -> None:
        self._application = application
        self._changed = changed

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, then tell."""
        reading = reads_only(environ)
        answer: Iterable[bytes] = self._application(environ, start_response)
        if not reading:
            self._changed()
        return answer


def reads_only(environ: dict[str, Any]) -> bool:
    """Does a request only read, as far as its action's name or its method tells?"""
    action: str = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    if not action and "/operation/" in environ.get("PATH_INFO", ""):
        action = str(environ["PATH_INFO"]).rpartition("/")[2]
    if not action and environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        action = parse_qs(body.decode(errors="replace")).get("Action", [""])[0]
    if action:
        return action.lower().startswith(READING)
    return str(environ["REQUEST_METHOD"]) in READING_METHODS


class Api:
    """moto's application, served on the loopback address and on the one that hosts reach."""

    def __init__(
        self,
        changed: Changed,
        addresses: tuple[str, ...] = (settings.LOOPBACK, settings.METADATA_ADDRESS),
        port: int = settings.API_PORT,
    ) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
        from werkzeug.serving import make_server

        class QuietHandler(MotoRequestHandler):  # type: ignore[misc]
            """moto's handler, without a log line for each request."""

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                """Log nothing: the log is for what the lab does."""

        application = Watch(DomainDispatcherApplication(create_backend_app), changed)
        self._servers = [
            make_server(address, port, application, threaded=True, request_handler=QuietHandler)
            for address in addresses
        ]
        self._threads = [
            threading.Thread(target=server.serve_forever, name="api", daemon=True) for server in self._servers
        ]

    def start(self) -> None:
        """Begin to answer."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop answering."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
