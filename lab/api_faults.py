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
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lab import api_errors
from lab.api_errors import ERROR, THROTTLE, StartResponse

FAULTS_PATH = "/vahana-lab/faults"
"""Where this machine reads (GET) and sets (PUT) how much is refused, and reads how much was."""

MESSAGES = {
    ERROR: "An internal error has occurred (of `lab fault api`)",
    THROTTLE: "Rate exceeded (of `lab fault api`)",
}


class BadRequestError(ValueError):
    """What was asked for makes no sense; the text is one line."""


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
        return None if kind is None else api_errors.answer(kind, MESSAGES[kind], service, environ, start_response)

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
