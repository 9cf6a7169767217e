"""What a visitor does: asks the front door, as a browser would."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

URL = "http://127.0.0.1:8080"
CAR = {
    "make": "Mahindra",
    "model": "Thar",
    "year": 2022,
    "price": 1_500_000,
    "mileage_km": 22_000,
    "fuel": "diesel",
    "transmission": "manual",
    "city": "Goa",
}


def call(method: str, path: str, body: dict[str, Any] | None = None, **headers: str) -> Any:
    """Ask for something below the front door's address; return the answer.

    Raises:
        urllib.error.HTTPError: it is no success; a note has what was answered.
    """
    data = json.dumps(body).encode() if body is not None else None
    given = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
    request = urllib.request.Request(URL + path, data, given, method=method)
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        error.add_note(error.read().decode(errors="replace"))
        raise


def version() -> str:
    """Return which release answers."""
    return str(call("GET", "/api/health")["version"])
