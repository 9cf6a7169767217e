"""What the operations of REST services are called, from botocore's own description of each service."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple
from urllib.parse import parse_qs

import botocore.loaders
from botocore.exceptions import UnknownServiceError


class _Operation(NamedTuple):
    name: str
    method: str
    path: re.Pattern[str]
    query: dict[str, str]
    """Names and values that the query must have; an empty value stands for any."""
    weight: tuple[int, int, bool, int]
    """Of several that fit, the one is meant that says most of the path, is current, and needs nothing else."""


@functools.cache
def _operations(service: str) -> list[_Operation]:
    try:
        model = botocore.loaders.Loader().load_service_model(service, "service-2")
    except UnknownServiceError:
        return []
    found = []
    for name, operation in model["operations"].items():
        uri, _, query = operation["http"]["requestUri"].partition("?")
        parts = re.split(r"\{(\w+)(\+?)\}", uri.rstrip("/") or "/")
        wanted = {key: values[0] for key, values in parse_qs(query, keep_blank_values=True).items()}
        literal = sum(len(part) for part in parts[::3])
        needs = model["shapes"].get(operation.get("input", {}).get("shape", ""), {}).get("required", ())
        weight = (len(wanted), literal, not operation.get("deprecated", False), -len(needs))
        found.append(_Operation(name, operation["http"]["method"], re.compile(_pattern(parts)), wanted, weight))
    return sorted(found, key=lambda each: each.weight, reverse=True)


def _pattern(parts: list[str]) -> str:
    """The regular expression of a path that was split into text, name, "+" or nothing, text, name …"""
    text = re.escape(parts[0])
    for greedy, literal in zip(parts[2::3], parts[3::3], strict=True):
        text += (".+" if greedy else "[^/]+") + re.escape(literal)
    return text + "/?"


def name(service: str, method: str, path: str, query: str) -> str:
    """Name a request as its service does (PutBucketPolicy); method and path where the service is unknown."""
    given = parse_qs(query, keep_blank_values=True)
    for operation in _operations(service):
        if (
            operation.method == method
            and operation.path.fullmatch(path)
            and all(key in given and value in ("", given[key][0]) for key, value in operation.query.items())
        ):
            return operation.name
    return f"{method} {path}"
