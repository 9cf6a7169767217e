"""How CloudFront treats a request: which behavior, what is sent on, what is kept for how long.

Only decisions; `lab.frontdoor` carries them out. From
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ ("Request and response behavior", "Expiration",
"Serving compressed files").
"""

from __future__ import annotations

import functools
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.cloudfront_functions import Headers
from lab.cloudfront_policies import (
    ALL,
    CACHE_POLICIES,
    NONE,
    ORIGIN_REQUEST_POLICIES,
    RESPONSE_HEADERS_POLICIES,
    CachePolicy,
    OriginRequestPolicy,
    ResponseHeadersPolicy,
)

HOP_BY_HOP = frozenset(
    {
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to one connection: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1"""

ALWAYS_SENT = frozenset({"accept", "content-type", "content-length", "content-encoding", "range", "if-none-match"})
"""Headers that CloudFront passes on (or makes itself) whatever the policies say."""

CACHE_BYTES = 64 * 2**20
LARGEST_CACHED = 4 * 2**20
"""Bytes of an answer that is kept; larger ones are passed on each time."""

SMALLEST_COMPRESSED, LARGEST_COMPRESSED = 1000, 10_000_000
COMPRESSED_TYPES = frozenset(
    {
        "application/javascript",
        "application/json",
        "application/manifest+json",
        "application/x-javascript",
        "application/xhtml+xml",
        "application/xml",
        "font/otf",
        "font/ttf",
        "image/svg+xml",
        "text/css",
        "text/csv",
        "text/html",
        "text/javascript",
        "text/plain",
        "text/xml",
    }
)

FAILOVER_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FAILOVER_CODES = frozenset({400, 403, 404, 416, 429, 500, 502, 503, 504})
GROUP_MEMBERS = 2
"""https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/high_availability_origin_failover.html"""

KEPT_ERRORS = frozenset({400, 403, 404, 405, 414, 500, 501, 502, 503, 504})
ERROR_SECONDS = 10
"""Seconds an origin's error is kept unless the distribution says otherwise; what is not to be cached is not."""


@functools.lru_cache(maxsize=512)
def _pattern(pattern: str) -> re.Pattern[str]:
    # Patterns are meant from the root, with or without their slash; * crosses slashes.
    text = pattern if pattern.startswith(("/", "*")) else f"/{pattern}"
    return re.compile("".join(".*" if each == "*" else "." if each == "?" else re.escape(each) for each in text))


def behavior_for(config: Mapping[str, Any], path: str) -> tuple[int, Mapping[str, Any]]:
    """The first ordered behavior whose pattern matches, else the default one; with its number (-1 = default)."""
    for number, behavior in enumerate(config["CacheBehaviors"].get("Items", [])):
        if _pattern(behavior["PathPattern"]).fullmatch(path):
            return number, behavior
    return -1, config["DefaultCacheBehavior"]


@dataclass(frozen=True)
class OriginGroup:
    """Origins by id, each asked when the one before failed with one of the status codes."""

    members: tuple[str, ...]
    codes: frozenset[int] = frozenset()


def origin_group(config: Mapping[str, Any], target: str) -> OriginGroup:
    """The origin group that a behavior names, or one of the single origin that it names."""
    for group in config["OriginGroups"].get("Items", []):
        if group["Id"] == target:
            members = tuple(member["OriginId"] for member in group["Members"]["Items"])
            return OriginGroup(members, frozenset(group["FailoverCriteria"]["StatusCodes"]["Items"]))
    return OriginGroup((target,))


def cache_policy(behavior: Mapping[str, Any]) -> CachePolicy:
    """The cache policy of a behavior, or what its ForwardedValues of old amount to."""
    if behavior.get("CachePolicyId"):
        return CACHE_POLICIES[behavior["CachePolicyId"]]
    forwarded = behavior.get("ForwardedValues") or {}
    headers = frozenset(name.lower() for name in (forwarded.get("Headers") or {}).get("Items") or [])
    return CachePolicy(
        "ForwardedValues",
        int(behavior.get("MinTTL") or 0),
        int(behavior.get("DefaultTTL", 86400)),
        int(behavior.get("MaxTTL", 31536000)),
        headers=headers,
        cookies=ALL if (forwarded.get("Cookies") or {}).get("Forward") == "all" else NONE,
        query=ALL if forwarded.get("QueryString") else NONE,
        compress=bool(behavior.get("Compress")),
    )


def origin_request_policy(behavior: Mapping[str, Any]) -> OriginRequestPolicy:
    """The origin request policy of a behavior; an empty one if it has none."""
    return ORIGIN_REQUEST_POLICIES.get(behavior.get("OriginRequestPolicyId") or "", OriginRequestPolicy("none"))


def response_headers_policy(behavior: Mapping[str, Any]) -> ResponseHeadersPolicy | None:
    """The response headers policy of a behavior, if it has one."""
    return RESPONSE_HEADERS_POLICIES.get(behavior.get("ResponseHeadersPolicyId") or "")


def wants_gzip(headers: Headers) -> bool:
    """Does the viewer take gzip?"""
    return any("gzip" in value.lower() for name, value in headers if name == "accept-encoding")


def cache_key(
    distribution: str, number: int, policy: CachePolicy, uri: str, query: str, headers: Headers, *, gzip: bool
) -> tuple[Any, ...]:
    """What an answer is kept under."""
    chosen = tuple(sorted((name, value) for name, value in headers if name in policy.headers))
    cookies = tuple(value for name, value in headers if name == "cookie") if policy.cookies else ()
    return distribution, number, uri, query if policy.query else "", chosen, cookies, gzip and policy.compress


def origin_headers(
    viewer: Headers, policy: CachePolicy, request_policy: OriginRequestPolicy, *, host: str, viewer_host: str
) -> Headers:
    """Headers of the request to the origin.

    Args:
        viewer: the viewer's headers, lower-case names.
        policy: the cache policy.
        request_policy: the origin request policy.
        host: the origin's name.
        viewer_host: the host the viewer asked for.
    """
    wanted = policy.headers | request_policy.headers | ALWAYS_SENT
    everything = "*" in wanted
    sent: Headers = []
    for name, value in viewer:
        if name in HOP_BY_HOP or name in {"host", "accept-encoding", "x-forwarded-for", "via"}:
            continue
        if name == "cookie":
            if policy.cookies or request_policy.cookies:
                sent.append((name, value))
        elif everything or name in wanted or (name == "authorization" and not policy.maximum):
            sent.append((name, value))
    if not everything and not any(name == "user-agent" for name, _ in sent):
        sent.append(("user-agent", "Amazon CloudFront"))
    if any(name == "accept-encoding" for name, _ in viewer) and (policy.compress or everything) and wants_gzip(viewer):
        sent.append(("accept-encoding", "gzip"))
    passes_host = "host" in wanted or (everything and "host" not in request_policy.excluded)
    return [("host", viewer_host if passes_host else host), *sent]


def lifetime(policy: CachePolicy, headers: Headers) -> int:
    """Seconds an answer may be kept, from its Cache-Control and the policy's limits."""
    if policy.maximum == 0:
        return 0
    control = ",".join(value for name, value in headers if name.lower() == "cache-control").lower()
    directives = dict(part.strip().partition("=")[::2] for part in control.split(",") if part.strip())
    if {"no-store", "no-cache", "private"} & directives.keys():
        return policy.minimum
    for name in ("s-maxage", "max-age"):
        text = directives.get(name, "").strip('"')
        if text.isdigit():
            return max(policy.minimum, min(policy.maximum, int(text)))
    return max(policy.minimum, policy.default)


def compressible(status: int, headers: Headers, size: int) -> bool:
    """Does CloudFront compress such an answer?"""
    values = {name.lower(): value for name, value in headers}
    kind = values.get("content-type", "").partition(";")[0].strip().lower()
    return (
        status == 200
        and "content-encoding" not in values
        and "no-transform" not in values.get("cache-control", "")
        and kind in COMPRESSED_TYPES
        and SMALLEST_COMPRESSED <= size <= LARGEST_COMPRESSED
    )


def add_policy_headers(policy: ResponseHeadersPolicy | None, headers: Headers) -> Headers:
    """Headers with those of a response headers policy."""
    if policy is None:
        return headers
    override = {name.lower() for name in policy.override}
    kept = [(name, value) for name, value in headers if name.lower() not in override]
    present = {name.lower() for name, _ in kept}
    added = [(name, value) for name, value in policy.fill.items() if name.lower() not in present]
    return [*kept, *policy.override.items(), *added]


def error_response(config: Mapping[str, Any], status: int) -> Mapping[str, Any] | None:
    """The distribution's custom error response for a status, if there is one."""
    items = config["CustomErrorResponses"].get("Items", [])
    return next((item for item in items if int(item["ErrorCode"]) == status), None)


@dataclass(frozen=True)
class Kept:
    """An answer in the cache. Times are seconds on the monotonic clock."""

    status: int
    headers: Headers
    body: bytes
    since: float
    until: float

    @property
    def age(self) -> int:
        """Seconds since the origin gave it."""
        return int(time.monotonic() - self.since)


class Cache:
    """Answers, the least used ones dropped beyond CACHE_BYTES; safe to purge from another thread."""

    def __init__(self, capacity: int = CACHE_BYTES) -> None:
        """Make an empty cache of so many bytes."""
        self._capacity = capacity
        self._bytes = 0
        self._kept: OrderedDict[tuple[Any, ...], Kept] = OrderedDict()
        self._generation: dict[str, int] = {}
        self._lock = threading.Lock()

    def generation(self, distribution: str) -> int:
        """A number that changes with each invalidation: what was fetched before must not be kept after."""
        return self._generation.get(distribution, 0)

    def get(self, key: tuple[Any, ...]) -> Kept | None:
        """An answer that is still fresh."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            if kept.until <= time.monotonic():
                self._drop(key)
                return None
            self._kept.move_to_end(key)
            return kept

    def put(
        self, key: tuple[Any, ...], status: int, headers: Headers, body: bytes, seconds: float, generation: int
    ) -> None:
        """Keep an answer, unless an invalidation came since `generation` was read."""
        if seconds <= 0 or len(body) > LARGEST_CACHED:
            return
        now = time.monotonic()
        with self._lock:
            if self.generation(key[0]) != generation:
                return
            self._drop(key)
            self._kept[key] = Kept(status, headers, body, now, now + seconds)
            self._bytes += len(body)
            while self._bytes > self._capacity:
                self._drop(next(iter(self._kept)))

    def purge(self, distribution: str, paths: list[str]) -> None:
        """Carry an invalidation out; a path may end in a star."""
        with self._lock:
            self._generation[distribution] = self.generation(distribution) + 1
            for key in list(self._kept):
                if key[0] == distribution and any(_invalidates(path, key[2]) for path in paths):
                    self._drop(key)

    def _drop(self, key: tuple[Any, ...]) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= len(kept.body)


def _invalidates(pattern: str, uri: str) -> bool:
    wanted = pattern if pattern.startswith("/") else f"/{pattern}"
    if wanted.endswith("*"):
        return uri.startswith(wanted[:-1])
    return uri == wanted.partition("?")[0]
