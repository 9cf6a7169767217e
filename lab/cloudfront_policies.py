"""CloudFront's managed policies: what is cached for how long, what goes to the origin, what headers are added.

Ids and contents are AWS's, from the developer guide's pages "Use managed cache policies", "Use managed origin request
policies" and "Use managed response headers policies" under
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/. The lab has no custom policies.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ALL = frozenset({"*"})
NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class CachePolicy:
    """What an answer is cached under, and for how long.

    Attributes:
        minimum: seconds an answer is kept at least, whatever it says.
        default: seconds when it says nothing.
        maximum: seconds at most.
        headers: request headers in the cache key (lower case; also sent to the origin).
        cookies: cookies in the key, ALL or NONE.
        query: query parameters in the key, ALL or NONE.
        compress: normalize Accept-Encoding and compress what can be compressed.
    """

    name: str
    minimum: int = 0
    default: int = 0
    maximum: int = 0
    headers: frozenset[str] = NONE
    cookies: frozenset[str] = NONE
    query: frozenset[str] = NONE
    compress: bool = False


@dataclass(frozen=True)
class OriginRequestPolicy:
    """What of the viewer's request goes to the origin besides what is in the cache key."""

    name: str
    headers: frozenset[str] = NONE
    excluded: frozenset[str] = NONE
    cookies: frozenset[str] = NONE
    query: frozenset[str] = NONE


@dataclass(frozen=True)
class ResponseHeadersPolicy:
    """Headers added to answers: those in `override` replace the origin's, the others only fill in."""

    name: str
    override: dict[str, str] = field(default_factory=dict)
    fill: dict[str, str] = field(default_factory=dict)


DAY = 86400
YEAR = 31536000

CACHE_POLICIES = {
    "658327ea-f89d-4fab-a63d-7e88639e58f6": CachePolicy("Managed-CachingOptimized", 1, DAY, YEAR, compress=True),
    "b2884449-e4de-46a7-ac36-70bc7f1ddd6d": CachePolicy("Managed-CachingOptimizedForUncompressedObjects", 1, DAY, YEAR),
    "4135ea2d-6df8-44a3-9df3-4b5a84be39ad": CachePolicy("Managed-CachingDisabled"),
    "83da9c7e-98b4-4e11-a168-04f0df8e2c65": CachePolicy(
        "UseOriginCacheControlHeaders",
        0,
        0,
        YEAR,
        headers=frozenset({"host", "origin", "x-http-method-override", "x-http-method", "x-method-override"}),
        cookies=ALL,
        compress=True,
    ),
    "4cc15a8a-d715-48a4-82b8-cc0b614638fe": CachePolicy(
        "UseOriginCacheControlHeaders-QueryStrings",
        0,
        0,
        YEAR,
        headers=frozenset({"host", "origin", "x-http-method-override", "x-http-method", "x-method-override"}),
        cookies=ALL,
        query=ALL,
        compress=True,
    ),
}

_CORS_S3 = frozenset({"origin", "access-control-request-headers", "access-control-request-method"})

ORIGIN_REQUEST_POLICIES = {
    "216adef6-5c7f-47e4-b989-5492eafa07d3": OriginRequestPolicy("Managed-AllViewer", ALL, NONE, ALL, ALL),
    "b689b0a8-53d0-40ab-baf2-68738e2966ac": OriginRequestPolicy(
        "Managed-AllViewerExceptHostHeader", ALL, frozenset({"host"}), ALL, ALL
    ),
    "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf": OriginRequestPolicy("Managed-CORS-S3Origin", _CORS_S3),
    "59781a5b-3903-41f3-afcb-af62929ccde1": OriginRequestPolicy("Managed-CORS-CustomOrigin", frozenset({"origin"})),
    "acba4595-bd28-49b8-b9fe-13317c0390fa": OriginRequestPolicy(
        "Managed-UserAgentRefererHeaders", frozenset({"user-agent", "referer"})
    ),
}

_SECURITY_FILL = {
    "Strict-Transport-Security": "max-age=31536000",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-XSS-Protection": "1; mode=block",
}
_SECURITY_OVERRIDE = {"X-Content-Type-Options": "nosniff"}
_CORS = {"Access-Control-Allow-Origin": "*"}
_PREFLIGHT = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS",
    "Access-Control-Expose-Headers": "*",
}

RESPONSE_HEADERS_POLICIES = {
    "67f7725c-6f97-4210-82d7-5512b31e9d03": ResponseHeadersPolicy(
        "Managed-SecurityHeadersPolicy", _SECURITY_OVERRIDE, _SECURITY_FILL
    ),
    "60669652-455b-4ae9-85a4-c4c02393f86c": ResponseHeadersPolicy("Managed-SimpleCORS", fill=_CORS),
    "5cc3b908-e619-4b99-88e5-2cf7f45965bd": ResponseHeadersPolicy("Managed-CORS-With-Preflight", fill=_PREFLIGHT),
    "e61eb60c-9c35-4d20-a928-2b84e02af89c": ResponseHeadersPolicy(
        "Managed-CORS-and-SecurityHeadersPolicy", _SECURITY_OVERRIDE, {**_SECURITY_FILL, **_CORS}
    ),
    "eaab4381-ed33-4a86-88ca-d9558dc6cd63": ResponseHeadersPolicy(
        "Managed-CORS-with-preflight-and-SecurityHeadersPolicy", _SECURITY_OVERRIDE, {**_SECURITY_FILL, **_PREFLIGHT}
    ),
}
