"""CloudFront's decisions, functions and the bucket policies it meets."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from lab import cloudfront, cloudfront_functions, policies
from lab.cloudfront_functions import FunctionError, Request, Response
from lab.cloudfront_policies import CACHE_POLICIES, ORIGIN_REQUEST_POLICIES, RESPONSE_HEADERS_POLICIES, CachePolicy

OPTIMIZED = CACHE_POLICIES["658327ea-f89d-4fab-a63d-7e88639e58f6"]
DISABLED = CACHE_POLICIES["4135ea2d-6df8-44a3-9df3-4b5a84be39ad"]
ALL_VIEWER = ORIGIN_REQUEST_POLICIES["216adef6-5c7f-47e4-b989-5492eafa07d3"]
EXCEPT_HOST = ORIGIN_REQUEST_POLICIES["b689b0a8-53d0-40ab-baf2-68738e2966ac"]
SECURITY = RESPONSE_HEADERS_POLICIES["67f7725c-6f97-4210-82d7-5512b31e9d03"]

DISTRIBUTION = "arn:aws:cloudfront::123456789012:distribution/E1"
CONTEXT = {"aws:sourcearn": DISTRIBUTION, "aws:securetransport": "true"}
CLOUDFRONT = "cloudfront.amazonaws.com"


class TestBehaviors:
    """Which behavior, which headers, how long."""

    @pytest.mark.parametrize(
        ("path", "number"),
        [("/api/cars", 0), ("/api/", 0), ("/api", -1), ("/images/a.png", 1), ("/x/y.jpg", 2), ("/", -1)],
    )
    def test_first_pattern_wins(self, path: str, number: int) -> None:
        patterns = ["/api/*", "images/*.png", "*.jp?"]
        items = [{"PathPattern": pattern} for pattern in patterns]
        config = {"CacheBehaviors": {"Items": items}, "DefaultCacheBehavior": {}}
        assert cloudfront.behavior_for(config, path)[0] == number

    @pytest.mark.parametrize(
        ("policy", "control", "seconds"),
        [
            (OPTIMIZED, "", 86400),
            (OPTIMIZED, "max-age=60", 60),
            (OPTIMIZED, "public, max-age=60, s-maxage=120", 120),
            (OPTIMIZED, "max-age=99999999999", 31536000),
            # A minimum above 0 wins over no-cache.
            (OPTIMIZED, "no-cache", 1),
            (DISABLED, "max-age=60", 0),
        ],
    )
    def test_lifetime(self, policy: CachePolicy, control: str, seconds: int) -> None:
        assert cloudfront.lifetime(policy, [("Cache-Control", control)] if control else []) == seconds

    def test_headers_to_the_origin(self) -> None:
        viewer = [("cookie", "a=1"), ("x-mine", "1"), ("user-agent", "curl"), ("connection", "close")]
        host = {"host": "origin.example", "viewer_host": "www.example"}
        plain = dict(cloudfront.origin_headers(viewer, OPTIMIZED, cloudfront.origin_request_policy({}), **host))
        assert plain == {"host": "origin.example", "user-agent": "Amazon CloudFront"}
        everything = dict(cloudfront.origin_headers(viewer, DISABLED, ALL_VIEWER, **host))
        assert everything == {"host": "www.example", "cookie": "a=1", "x-mine": "1", "user-agent": "curl"}
        assert dict(cloudfront.origin_headers(viewer, DISABLED, EXCEPT_HOST, **host))["host"] == "origin.example"

    def test_security_headers_fill_in_and_override(self) -> None:
        origin = [("X-Frame-Options", "DENY"), ("X-Content-Type-Options", "sniff")]
        headers = dict(cloudfront.add_policy_headers(SECURITY, origin))
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Strict-Transport-Security"] == "max-age=31536000"

    def test_what_is_compressed(self) -> None:
        html = [("Content-Type", "text/html; charset=utf-8")]
        assert cloudfront.compressible(200, html, 5000)
        assert not cloudfront.compressible(200, html, 500)
        assert not cloudfront.compressible(404, html, 5000)
        assert not cloudfront.compressible(200, [*html, ("Content-Encoding", "br")], 5000)
        assert not cloudfront.compressible(200, [("Content-Type", "image/png")], 5000)


class TestCache:
    """What is kept, and what an invalidation leaves."""

    @staticmethod
    def key(path: str, distribution: str = "E1") -> tuple[Any, ...]:
        """A key of the cache."""
        return cloudfront.cache_key(distribution, -1, OPTIMIZED, path, "", [], gzip=False)

    def test_keeps_until_its_time(self) -> None:
        cache = cloudfront.Cache()
        cache.put(self.key("/a"), 200, [], b"a", 0.05, 0)
        kept = cache.get(self.key("/a"))
        assert kept is not None
        assert kept.body == b"a"
        time.sleep(0.06)
        assert cache.get(self.key("/a")) is None

    def test_invalidation(self) -> None:
        cache = cloudfront.Cache()
        for path in ("/index.html", "/assets/a.js", "/assets/b.js"):
            cache.put(self.key(path), 200, [], b"x", 60, 0)
        cache.put(self.key("/index.html", "E2"), 200, [], b"x", 60, 0)
        cache.purge("E1", ["/assets/*"])
        assert cache.get(self.key("/assets/a.js")) is None
        assert cache.get(self.key("/index.html")) is not None
        cache.purge("E1", ["/*"])
        assert cache.get(self.key("/index.html")) is None
        assert cache.get(self.key("/index.html", "E2")) is not None

    def test_an_answer_from_before_an_invalidation_is_not_kept_after(self) -> None:
        cache = cloudfront.Cache()
        before = cache.generation("E1")
        cache.purge("E1", ["/*"])
        cache.put(self.key("/a"), 200, [], b"old", 60, before)
        assert cache.get(self.key("/a")) is None

    def test_drops_the_least_used(self) -> None:
        cache = cloudfront.Cache(capacity=25)
        for path in ("/a", "/b"):
            cache.put(self.key(path), 200, [], b"x" * 10, 60, 0)
        cache.get(self.key("/a"))
        cache.put(self.key("/c"), 200, [], b"x" * 10, 60, 0)
        assert [cache.get(self.key(path)) is not None for path in ("/a", "/b", "/c")] == [True, False, True]


class TestFunctions:
    """CloudFront Functions in Node."""

    REQUEST = Request(
        "GET", "/cars/1", "a=1&b", [("host", "x"), ("cookie", "k=v; l=w"), ("x-two", "1"), ("x-two", "2")]
    )

    def run(self, *sources: str) -> list[Request | Response | str]:
        """Run functions one after the other on one worker; errors as text."""

        async def work() -> list[Request | Response | str]:
            worker = cloudfront_functions.Worker()
            results: list[Request | Response | str] = []
            event = cloudfront_functions.make_event(
                "viewer-request", "E1", "d.cloudfront.net", "r", "192.0.2.1", self.REQUEST
            )
            for source in sources:
                try:
                    result = await worker.run(source, event)
                    results.append(cloudfront_functions.read_result(result, self.REQUEST))
                except FunctionError as error:
                    results.append(str(error))
            await worker.close()
            return results

        return asyncio.run(work())

    def test_an_unchanged_request_stays_as_it_was(self) -> None:
        (request,) = self.run("function handler(event) { return event.request; }")
        assert isinstance(request, Request)
        assert (request.uri, request.query) == (self.REQUEST.uri, self.REQUEST.query)
        assert sorted(request.headers) == sorted(self.REQUEST.headers)

    def test_requests_responses_and_errors(self) -> None:
        changed, redirected, thrown, endless, sealed, after = self.run(
            "async function handler(event) { event.request.uri = '/index.html'; return event.request; }",
            "function handler() { return { statusCode: 302, headers: { location: { value: '/new' } } }; }",
            "function handler() { throw new Error('broken'); }",
            "function handler() { while (true) {} }",
            "function handler() { return process.env; }",
            "function handler(event) { return event.request; }",
        )
        assert isinstance(changed, Request)
        assert changed.uri == "/index.html"
        assert redirected == Response(302, [("location", "/new")], None)
        assert "broken" in str(thrown)
        assert "timed out" in str(endless)
        assert "process is not defined" in str(sealed)
        assert isinstance(after, Request)

    def test_a_function_chooses_origins(self) -> None:
        head = "import cf from 'cloudfront';\n"
        group = "{ originIds: [{ originId: 'a' }, { originId: 'b' }], failoverCriteria: { statusCodes: [503, 504] } }"
        both, one, none, wrong = self.run(
            f"{head}function handler(event) {{ cf.createRequestOriginGroup({group}); return event.request; }}",
            f"{head}function handler(event) {{ cf.selectRequestOriginById('b'); return event.request; }}",
            f"{head}function handler(event) {{ return event.request; }}",
            f"{head}function handler(event) {{ cf.createRequestOriginGroup({{ originIds: ['a'] }}); }}",
        )
        assert isinstance(both, Request) and isinstance(one, Request) and isinstance(none, Request)
        assert (both.origins, both.failover) == (("a", "b"), frozenset({503, 504}))
        assert (one.origins, one.failover, none.origins) == (("b",), frozenset(), ())
        assert "originIds must have two origins" in str(wrong)

    def test_a_uri_without_its_slash_is_an_error(self) -> None:
        (result,) = self.run("function handler(event) { event.request.uri = 'index.html'; return event.request; }")
        assert "slash" in str(result)


class TestBucketPolicy:
    """Statements as S3 reads them."""

    @staticmethod
    def permits(*statements: dict[str, Any], principal: str = CLOUDFRONT, context: dict[str, str] = CONTEXT) -> bool:
        """Ask a policy for an object."""
        defaults = {"Effect": "Allow", "Principal": {"Service": CLOUDFRONT}, "Action": "s3:GetObject"}
        document = {"Statement": [{**defaults, "Resource": "arn:aws:s3:::b/*", **each} for each in statements]}
        return policies.permits(json.dumps(document), principal, "s3:GetObject", "arn:aws:s3:::b/a.js", context)

    def test_no_policy_permits_nothing(self) -> None:
        assert not policies.permits(None, CLOUDFRONT, "s3:GetObject", "arn:aws:s3:::b/a", CONTEXT)

    def test_the_distribution_named(self) -> None:
        condition = {"StringEquals": {"AWS:SourceArn": DISTRIBUTION}}
        assert self.permits({"Condition": condition})
        assert not self.permits({"Condition": condition}, context={"aws:sourcearn": f"{DISTRIBUTION}2"})
        assert not self.permits({"Condition": condition}, context={})
        assert not self.permits({"Condition": condition}, principal=policies.PUBLIC)

    def test_a_deny_wins(self) -> None:
        insecure = {"Bool": {"aws:SecureTransport": "false"}}
        deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Condition": insecure}
        assert self.permits({}, deny)
        assert not self.permits({}, deny, context={**CONTEXT, "aws:securetransport": "false"})

    def test_other_actions_and_resources(self) -> None:
        assert not self.permits({"Action": "s3:PutObject"})
        assert not self.permits({"Resource": "arn:aws:s3:::b"})
        assert self.permits({"Action": ["s3:Get*"], "Resource": ["arn:aws:s3:::other/*", "arn:aws:s3:::b/*.js"]})

    def test_an_unknown_operator_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="IpAddress"):
            self.permits({"Condition": {"IpAddress": {"aws:SourceArn": "x"}}})
