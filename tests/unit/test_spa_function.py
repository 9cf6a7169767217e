"""The function that runs at the edge, run by Node."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

FUNCTION = Path(__file__).parents[2] / "roles/edge/files/spa.js"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/", "/index.html"),
        ("/cars/42", "/index.html"),
        ("/cars.old/42", "/index.html"),
        ("/cars/", "/index.html"),
        ("/index.html", "/index.html"),
        ("/assets/app-1a2b.js", "/assets/app-1a2b.js"),
        ("/favicon.ico", "/favicon.ico"),
    ],
)
def test_routes_are_answered_with_the_page_and_files_are_not(uri: str, expected: str) -> None:
    call = f"console.log(JSON.stringify(handler({{request: {{uri: {json.dumps(uri)}}}}})))"
    out = subprocess.run(
        ["node", "-e", FUNCTION.read_text() + call], check=True, capture_output=True, text=True, timeout=60
    )
    assert json.loads(out.stdout) == {"uri": expected}
