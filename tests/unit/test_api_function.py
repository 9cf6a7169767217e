"""The function that lets reads of the API fail over, run by the lab as CloudFront would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jinja2 import Environment

from lab import cloudfront_functions

ROLE = Path(__file__).parents[2] / "roles/edge"
READING = ("GET", "HEAD", "OPTIONS")
WRITING = ("PUT", "POST", "PATCH", "DELETE")


@pytest.fixture(scope="module")
def code() -> str:
    """The function of an environment whose second region is eu-west-1."""
    templates = Environment(autoescape=False)
    templates.filters["to_json"] = json.dumps
    known = yaml.safe_load((ROLE / "vars/main.yml").read_text())
    second = {"region": "eu-west-1"}
    return templates.from_string((ROLE / "templates/api.js.j2").read_text()).render(known | {"__edge_second": second})


@pytest.mark.parametrize("method", READING + WRITING)
def test_what_reads_has_both_origins_and_what_writes_has_one(code: str, method: str) -> None:
    request = cloudfront_functions.Request(method, "/api/cars", "page=2")
    event = cloudfront_functions.make_event("viewer-request", "E1", "d.cloudfront.net", "r", "192.0.2.1", request)
    result = cloudfront_functions.test(code, json.dumps(event))
    assert result.error == ""
    sent = cloudfront_functions.read_result(json.loads(result.output), request)
    assert isinstance(sent, cloudfront_functions.Request)
    assert (sent.method, sent.uri, sent.query) == (method, "/api/cars", "page=2")
    both = ("backend", "backend-eu-west-1"), frozenset({500, 502, 503, 504})
    assert (sent.origins, sent.failover) == (both if method in READING else ((), frozenset()))
