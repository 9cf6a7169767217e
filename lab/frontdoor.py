"""The front door: everything that the internet could reach of the account, on one loopback port.

A request is routed by its Host header: a distribution (CloudFront), a public address of an instance, an Application
Load Balancer, an HTTP API, or a name of the account's hosted zones. The front door's own name leads to the only public
entry there is, or to a page that lists them.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gzip
import html
import logging
import os
import secrets
import ssl
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp import web
from moto.cloudfront.models import cloudfront_backends
from moto.elbv2.models import elbv2_backends
from moto.s3.models import FakeDeleteMarker, s3_backends
from moto.wafv2.models import GLOBAL_REGION, wafv2_backends
from multidict import CIMultiDict
from yarl import URL

from lab import cloudfront, entries, firewall, http_apis, metrics, names, policies, regions, settings
from lab.cloudfront_functions import FunctionError, Headers, Request, Response, Worker, make_event, read_result
from lab.moto_patches import cloudfront as cloudfront_patch
from lab.reconcilers import load_balancers

TABLE_SECONDS = 0.5
"""Age at which the table of entries is read anew."""
WHOLE = 256 * 1024
"""Bytes up to which a body is passed on in one piece; longer ones are streamed."""
CONNECT_SECONDS = 5.0
"""Seconds to wait for a connection inside the machine; CloudFront waits as its origin says."""
READ_SECONDS = 60.0
ATTEMPTS_METHODS = ("GET", "HEAD")
"""Methods with which CloudFront asks an origin again that does not answer: "Response timeout"."""
INVOCATIONS = 50
"""Requests of HTTP APIs that are worked on at the same time."""
KEEP_ALIVE_SECONDS = 15.0
"""Seconds an idle connection to an origin is kept: less than any origin's own (HAProxy and Node keep 60 and more)."""

_log = logging.getLogger("lab.front_door")


class Unreachable(Exception):  # noqa: N818 - not an error of the lab: an answer
    """The request cannot be carried out; status and text are what the viewer gets."""

    def __init__(self, status: int, text: str, counts_as: int = HTTPStatus.SERVICE_UNAVAILABLE) -> None:
        """Take the status code, what is not reachable and why, and as what an origin group counts it.

        That is 503 for what cannot be connected to, 504 for what does not answer in time ("Optimize high availability
        with CloudFront origin failover").
        """
        super().__init__(text)
        self.status = status
        self.text = text
        self.counts_as = counts_as


class CutOff(Unreachable):
    """Nothing is heard of the region."""

    def __init__(self, region: str) -> None:
        """Take the region."""
        super().__init__(504, f"The region {region} is cut off: no packet comes in or out (`lab fault region`).")


@dataclass(frozen=True)
class Origin:
    """Where a custom origin leads to: an API, or an address, in a region where that is known."""

    region: str
    api: entries.Entry | None = None
    address: str = ""


@dataclass
class Answer:
    """An answer on its way to the viewer; `stream` holds what is not read yet."""

    status: int
    headers: Headers
    body: bytes = b""
    stream: AsyncIterator[bytes] | None = None
    notes: dict[str, str] = field(default_factory=dict)


class FrontDoor:
    """The front door's server, in a thread with an event loop of its own."""

    def __init__(
        self,
        addresses: tuple[str, ...] = (settings.LOOPBACK,),
        port: int = settings.FRONT_DOOR_PORT,
        inside: str | None = settings.RESOLVER_ADDRESS,
    ) -> None:
        """Prepare to listen.

        Args:
            addresses: where viewers come in.
            port: the port there.
            inside: address at which hosts reach distributions (port 80), None for none.
        """
        self._addresses = addresses
        self._port = port
        self._inside = inside
        self._cache = cloudfront.Cache()
        self._functions = Worker()
        self._invocations = ThreadPoolExecutor(INVOCATIONS, "http_api")
        self._rates = firewall.Rates()
        self._policies: dict[tuple[str, str], firewall.Policy] = {}
        self._table: list[entries.Entry] = []
        self._table_until = 0.0
        self._origins: dict[tuple[str, int], Origin] = {}
        self._resolved: dict[tuple[str, int], tuple[float, Origin]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="front_door", daemon=True)
        self._ready: threading.Event = threading.Event()
        self._failure: OSError | None = None
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.ServerRunner | None = None
        self._sites: dict[tuple[str, int], web.TCPSite] = {}
        # Origins' certificates are the lab's own, which no authority signed.
        self._tls = ssl.create_default_context()
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE

    # Life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to answer.

        Raises:
            OSError: the port is in use.
        """
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure
        cloudfront_patch.follow(self._cache.purge)

    def close(self) -> None:
        """Stop answering."""
        cloudfront_patch.follow(None)
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._open())
        except OSError as error:
            self._failure = error
            self._ready.set()
            return
        self._ready.set()
        follower = self._loop.create_task(self._follow_addresses())
        self._loop.run_forever()
        follower.cancel()
        self._loop.run_until_complete(self._shut(follower))
        self._loop.close()

    async def _open(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS)
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS),
        )
        # The bare server: no routes, no middlewares, each request comes straight here.
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None, keepalive_timeout=75))
        await self._runner.setup()
        for address in self._addresses:
            await self._listen(address, self._port)
        if self._inside is not None:
            await self._listen(self._inside, entries.HTTP_PORT)

    async def _listen(self, address: str, port: int) -> None:
        assert self._runner is not None
        site = web.TCPSite(self._runner, address, port, reuse_address=True, backlog=1024)
        await site.start()
        self._sites[address, port] = site

    async def _shut(self, follower: asyncio.Task[None]) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await follower
        assert self._runner is not None
        assert self._session is not None
        await self._runner.cleanup()
        await self._session.close()
        await self._functions.close()

    async def _follow_addresses(self) -> None:
        """Listen at the public addresses of instances too: they are loopback addresses of this machine."""
        fixed = set(self._sites)
        while True:
            wanted = {
                (entry.names[0], entries.HTTP_PORT)
                for entry in self._entries()
                if entry.kind == "address" and entry.shown and entry.names[0].startswith("127.")
            }
            for key in set(self._sites) - fixed - wanted:
                with contextlib.suppress(OSError, RuntimeError):
                    await self._sites.pop(key).stop()
            for key in wanted - set(self._sites):
                # Another service of this machine may have the port: the front door's own is still there.
                with contextlib.suppress(OSError):
                    await self._listen(*key)
            await asyncio.sleep(1)

    def _origin(self, domain: str, port: int) -> Origin:
        """Where an origin is: looked up anew with the table of entries, of a name with a routing policy after its TTL.

        Raises:
            Unreachable: it leads nowhere, or its region is cut off.
        """
        table, key = self._entries(), (domain, port)
        until, found = self._resolved.get(key, (0.0, None))
        if found is None or time.monotonic() >= until:
            found = self._origins.get(key)
        if found is None:
            found = self._origins[key] = _find_origin(table, domain, port)
            if ttl := names.routing_ttl(domain):
                # Minutes may be shorter here: `lab metrics`.
                self._resolved[key] = (time.monotonic() + ttl * metrics.pace().period / 60, found)
        if regions.is_cut(found.region):
            raise CutOff(found.region)
        return found

    # Routing -----------------------------------------------------------------------------------------------------

    def _entries(self) -> list[entries.Entry]:
        if time.monotonic() >= self._table_until:
            self._table = entries.find_all()
            self._origins.clear()
            self._table_until = time.monotonic() + TABLE_SECONDS
        return self._table

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        try:
            found = entries.choose(self._entries(), host)
            if isinstance(found, list):
                return self._index(found, host)
            if regions.is_cut(found.region):
                raise CutOff(found.region)
            if found.kind == "distribution":
                return await self._distribution(request, found, host)
            if found.kind == "address":
                return await self._address(request, found, host)
            if found.kind in ("http_api", "api_domain"):
                return await self._http_api(request, found, host)
            return await self._load_balancer(request, found, host)
        except Unreachable as error:
            return _page(error.status, error.text)

    def _index(self, shown: list[entries.Entry], host: str) -> web.Response:
        name, _ = entries.split_host(host)
        if not entries.is_loopback(name):
            known = ", ".join(sorted(name for entry in self._entries() for name in entry.names)) or "none"
            return _page(404, f"The lab has nothing public under the name {name}. Known names: {known}.")
        if not shown:
            return _page(
                503,
                "Nothing public is deployed: no distribution, no elastic IP address, no internet-facing load balancer.",
            )
        words = {
            "distribution": "CloudFront distribution",
            "address": "instance",
            "load_balancer": "load balancer",
            "http_api": "HTTP API",
        }
        rows = "".join(
            f'<li><a href="http://{entry.label}.localhost:{self._port}/">{html.escape(entry.names[-1])}</a> '
            f"({words[entry.kind]}; {html.escape(', '.join(entry.names))})</li>"
            for entry in shown
        )
        text = f"<!doctype html><title>The lab</title><h1>Public entries of the lab</h1><ul>{rows}</ul>"
        return web.Response(text=text, content_type="text/html")

    def _port_of(self, host: str) -> int:
        """The port that a viewer means: the front door's own stands for 80."""
        name, port = entries.split_host(host)
        if port is None or port == self._port or entries.is_loopback(name):
            return entries.HTTP_PORT
        return port

    # Instances and load balancers --------------------------------------------------------------------------------

    async def _address(self, request: web.BaseRequest, entry: entries.Entry, host: str) -> web.StreamResponse:
        instance = entry.target.instance
        port = self._port_of(host)
        if instance.state != "running":
            raise Unreachable(504, f"Instance {instance.id} behind {entry.names[0]} is {instance.state}.")
        if not entries.admits(entry.target.group_set, port):
            raise Unreachable(
                504,
                f"No security group of {instance.id} lets the internet in on TCP {port}: the packet would be dropped.",
            )
        what = f"instance {instance.id} ({entry.names[0]})"
        return await self._pass_through(request, entry.target.private_ip_address, port, host, what)

    async def _load_balancer(self, request: web.BaseRequest, entry: entries.Entry, host: str) -> web.StreamResponse:
        balancer = entry.target
        port = self._port_of(host)
        where = _balancer_address(balancer, port, cloudfront=False)
        secure = any(int(each.port) == port and each.protocol == "HTTPS" for each in list(balancer.listeners.values()))
        scheme = "https" if secure else "http"
        return await self._pass_through(request, where, port, host, f"load balancer {balancer.name}", scheme)

    async def _pass_through(
        self, request: web.BaseRequest, address: str, port: int, host: str, what: str, scheme: str = "http"
    ) -> web.StreamResponse:
        """Send a request on as it is, as the network would."""
        headers = [("host", host), *_headers(request, without={"host"})]
        url = URL(f"{scheme}://{address}:{port}{request.raw_path}", encoded=True)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        answer = await self._fetch(request, request.method, url, headers, what, timeout)
        return await _send(request, answer)

    async def _fetch(
        self,
        request: web.BaseRequest | None,
        method: str,
        url: URL,
        headers: Headers,
        what: str,
        timeout: aiohttp.ClientTimeout,
        attempts: int = 1,
    ) -> Answer:
        """Ask an origin, so many times where it cannot be connected to or does not answer.

        Raises:
            Unreachable: it does not answer; the text says why.
        """
        assert self._session is not None
        body: Any = None
        if request is not None and request.body_exists:
            whole = request.content_length is not None and request.content_length <= WHOLE
            body = await request.read() if whole else request.content
        where = f"{what} at {url.host}:{url.port}"
        while True:
            attempts -= 1
            try:
                response = await self._session.request(
                    method,
                    url,
                    headers=CIMultiDict(headers),
                    data=body,
                    allow_redirects=False,
                    ssl=self._tls,
                    timeout=timeout,
                )
                break
            except aiohttp.ClientConnectorError as error:
                if attempts <= 0:
                    reason = os.strerror(error.os_error.errno) if error.os_error.errno else str(error.os_error)
                    raise Unreachable(502, f"Cannot connect to {where}: {reason}.") from error
            except aiohttp.ConnectionTimeoutError as error:
                if attempts <= 0:
                    raise Unreachable(504, f"No connection to {where} in time.") from error
            except TimeoutError as error:
                if attempts <= 0 or method not in ATTEMPTS_METHODS:
                    raise Unreachable(504, f"No answer from {where} in time.", 504) from error
            except aiohttp.ClientError as error:
                raise Unreachable(502, f"{where} gave no proper answer: {error}.", 502) from error
        kept = [(name, value) for name, value in response.headers.items() if name.lower() not in cloudfront.HOP_BY_HOP]
        answer = Answer(response.status, kept)
        length = response.content_length
        if method == "HEAD" or response.status in {204, 304}:
            response.release()
        elif length is not None and length <= WHOLE:
            try:
                answer.body = await response.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                raise Unreachable(502, f"{what} broke its answer off.", 502) from error
        else:
            answer.stream = _chunks(response)
        return answer

    # HTTP APIs ---------------------------------------------------------------------------------------------------

    async def _http_api(self, request: web.BaseRequest, entry: entries.Entry, host: str) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        domain = _viewer_host(entry, host)
        headers = [("host", domain), *_headers(request, without={"host"})]
        asked = http_apis.Request(request.method, path, query, headers, b"", request.remote or "", domain)
        return await _send(request, await self._ask_api(entry, asked, request))

    async def _ask_api(self, entry: entries.Entry, asked: http_apis.Request, request: web.BaseRequest | None) -> Answer:
        """Let an API answer, or the one that its custom domain is mapped to; the body of the request is read here."""
        mine = entry.names if entry.kind == "http_api" else (entry.target.domain_name,)
        api = entry.target if entry.kind == "http_api" else http_apis.mapped(entry.region, entry.target)
        if api is None or entries.split_host(dict(asked.headers)["host"])[0] not in mine:
            answer = http_apis.forbidden()
        else:
            if request is not None and request.body_exists:
                asked = dataclasses.replace(asked, body=await _body(request))
            answer = await self._loop.run_in_executor(self._invocations, http_apis.handle, api, asked)
            if regions.is_cut(entry.region):
                # It was done, perhaps, and nobody hears of it.
                raise Unreachable(504, f"No answer from {asked.domain} in time: {entry.region} is cut off.", 504)
        return Answer(answer.status, answer.headers, answer.body)

    # CloudFront --------------------------------------------------------------------------------------------------

    async def _distribution(self, request: web.BaseRequest, entry: entries.Entry, host: str) -> web.StreamResponse:
        distribution = entry.target
        config = distribution.distribution_config
        if not config["Enabled"]:
            raise Unreachable(403, f"Distribution {distribution.id} is disabled.")
        visit = _Visit(self, request, distribution, _viewer_host(entry, host))
        answer = await visit.answer()
        if "server" not in {name.lower() for name, _ in answer.headers}:
            answer.headers.append(("Server", "CloudFront"))
        answer.headers += [
            ("X-Cache", answer.notes.get("cache", "Miss from cloudfront")),
            ("Via", f"1.1 {visit.request_id[:16]}.cloudfront.net (CloudFront)"),
            ("X-Amz-Cf-Pop", "LAB50-P1"),
            ("X-Amz-Cf-Id", visit.request_id),
        ]
        return await _send(request, answer)


class _Visit:
    """One viewer request at a distribution."""

    def __init__(self, door: FrontDoor, request: web.BaseRequest, distribution: Any, viewer_host: str) -> None:
        self.door = door
        self.raw = request
        self.distribution = distribution
        self.config = distribution.distribution_config
        self.viewer_host = viewer_host
        self.request_id = secrets.token_urlsafe(32)
        path, _, query = request.raw_path.partition("?")
        headers = _headers(request, without={"host"})
        self.request = Request(request.method, path, query, [("host", viewer_host), *headers])
        self.number, self.behavior = cloudfront.behavior_for(self.config, path)

    async def answer(self) -> Answer:
        """The answer for the viewer, its policy's headers added."""
        methods = self.behavior["AllowedMethods"]["Items"]
        refused = await self._refused()
        if refused is not None:
            blocked = _error(403, f"Request blocked by the web ACL's rule {refused}.")
            return await self._custom_error(blocked) or blocked
        if self.request.method not in methods:
            text = f"This distribution is not configured to allow the HTTP request method {self.request.method} here."
            answer = _error(403, text)
        else:
            try:
                answer = await self._through_functions()
            except Unreachable as error:
                answer = await self._custom_error(_error(error.status, error.text)) or _error(error.status, error.text)
        policy = cloudfront.response_headers_policy(self.behavior)
        answer.headers = cloudfront.add_policy_headers(policy, answer.headers)
        return answer

    async def _refused(self) -> str | None:
        """The rule of the distribution's web ACL that refuses the request, None when it may pass."""
        arn = self.config["WebACLId"]
        acl = wafv2_backends[settings.ACCOUNT_ID][GLOBAL_REGION].wacls.get(arn) if arn else None
        if acl is None:
            return None
        key = (arn, acl.lock_token)
        if key not in self.door._policies:
            self.door._policies = {key: firewall.policy([rule.to_dict() for rule in acl.rules])}
        policy = self.door._policies[key]
        address = self.raw.remote or settings.LOOPBACK
        headers = dict(self.request.headers)
        for limit in policy.limits:
            first = headers.get("x-forwarded-for", "").partition(",")[0].strip()
            if self.door._rates.exceeded(arn, limit, first if limit.forwarded else address):
                return limit.rule
        body = b""
        if self.raw.body_exists and self.raw.content_length is not None and self.raw.content_length <= WHOLE:
            body = await self.raw.read()
        request = firewall.Request(address, self.request.uri, self.request.query, headers, body)
        return firewall.refusal(policy, request)

    async def _through_functions(self) -> Answer:
        changed = await self._run_function("viewer-request")
        if isinstance(changed, Response):
            return Answer(
                changed.status,
                changed.headers,
                changed.body or b"",
                notes={"cache": "FunctionGeneratedResponse from cloudfront"},
            )
        if changed is not None:
            self.request = changed
        if self.request.uri == "/" and self.config["DefaultRootObject"]:
            self.request.uri = f"/{self.config['DefaultRootObject'].lstrip('/')}"
        answer = await self._from_cache_or_origin()
        if answer.status < HTTPStatus.BAD_REQUEST:
            # Functions do not see answers of origins with an error.
            reply = Response(answer.status, answer.headers)
            final = await self._run_function("viewer-response", reply)
            if isinstance(final, Response):
                keep = [(n, v) for n, v in answer.headers if n.lower() in {"set-cookie", "content-length"}]
                answer.status = final.status
                answer.headers = [*(pair for pair in final.headers if pair[0] != "content-length"), *keep]
        return answer

    async def _run_function(self, event_type: str, reply: Response | None = None) -> Request | Response | None:
        associations = self.behavior["FunctionAssociations"].get("Items", [])
        arn = next((each["FunctionARN"] for each in associations if each["EventType"] == event_type), None)
        if arn is None:
            return None
        functions = cloudfront_backends[settings.ACCOUNT_ID]["aws"].functions
        function = functions.get(arn.rsplit("/", 1)[1])
        viewer = self.raw.remote or settings.LOOPBACK
        event = make_event(
            event_type,
            self.distribution.id,
            self.distribution.domain_name,
            self.request_id,
            viewer,
            self.request,
            reply,
        )
        try:
            if function is None or function.live is None:
                raise FunctionError("The function is not published.")
            result = await self.door._functions.run(function.live.code.decode(), event)
            return read_result(result, self.request)
        except FunctionError as error:
            # CloudFront answers 503 and logs the reason; here the viewer sees it.
            raise Unreachable(503, f"The CloudFront function {arn.rsplit('/', 1)[1]} failed: {error}") from error

    async def _from_cache_or_origin(self) -> Answer:
        policy = cloudfront.cache_policy(self.behavior)
        reading = self.request.method in {"GET", "HEAD"}
        zipped = policy.compress and bool(self.behavior.get("Compress")) and cloudfront.wants_gzip(self.request.headers)
        key = cloudfront.cache_key(
            self.distribution.id,
            self.number,
            policy,
            self.request.uri,
            self.request.query,
            self.request.headers,
            gzip=zipped,
        )
        cacheable = reading and policy.maximum > 0
        cache = self.door._cache
        kept = cache.get(key) if cacheable else None
        if kept is not None:
            headers = [*kept.headers, ("Age", str(kept.age))]
            note = "Hit from cloudfront" if kept.status < HTTPStatus.BAD_REQUEST else "Error from cloudfront"
            return self._for_viewer(Answer(kept.status, headers, kept.body, notes={"cache": note}))
        generation = cache.generation(self.distribution.id)
        # What is kept must be whole, also when it was a HEAD that asked.
        answer = await self._from_origin(policy, "GET" if cacheable else self.request.method)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            answer.notes.setdefault("cache", "Error from cloudfront")
            custom = await self._custom_error(answer)
            if custom is not None:
                answer = custom
        elif zipped and cloudfront.compressible(answer.status, answer.headers, len(answer.body)):
            answer = _compress(answer)
        if cacheable and answer.stream is None and "set-cookie" not in {name.lower() for name, _ in answer.headers}:
            seconds = self._seconds(policy, answer)
            cache.put(key, answer.status, list(answer.headers), answer.body, seconds, generation)
        return self._for_viewer(answer) if reading else answer

    def _seconds(self, policy: Any, answer: Answer) -> int:
        status = int(answer.notes.get("error", answer.status))
        if status >= HTTPStatus.BAD_REQUEST:
            if status not in cloudfront.KEPT_ERRORS:
                return 0
            custom = cloudfront.error_response(self.config, status)
            return (
                int(custom.get("ErrorCachingMinTTL", cloudfront.ERROR_SECONDS)) if custom else cloudfront.ERROR_SECONDS
            )
        return cloudfront.lifetime(policy, answer.headers)

    def _for_viewer(self, answer: Answer) -> Answer:
        """Apply If-None-Match and Range to a whole answer."""
        if answer.status != HTTPStatus.OK or answer.stream is not None:
            return answer
        asked = dict(self.request.headers)
        tags = {value for name, value in answer.headers if name.lower() == "etag"}
        matches = {tag.strip().removeprefix("W/") for tag in asked.get("if-none-match", "").split(",")}
        if tags and (matches & {tag.removeprefix("W/") for tag in tags} or "*" in matches):
            kept = [(name, value) for name, value in answer.headers if not name.lower().startswith("content-")]
            return Answer(304, kept, notes=answer.notes)
        part = _range(asked.get("range", ""), len(answer.body))
        if part is not None:
            first, last = part
            headers = [pair for pair in answer.headers if pair[0].lower() != "content-length"]
            headers.append(("Content-Range", f"bytes {first}-{last}/{len(answer.body)}"))
            return Answer(206, headers, answer.body[first : last + 1], notes=answer.notes)
        return answer

    async def _custom_error(self, answer: Answer) -> Answer | None:
        """The distribution's own page for an error, None if it has none."""
        custom = cloudfront.error_response(self.config, answer.status)
        if custom is None or not custom.get("ResponsePagePath"):
            return None
        number, behavior = cloudfront.behavior_for(self.config, custom["ResponsePagePath"])
        page = _Visit(self.door, self.raw, self.distribution, self.viewer_host)
        page.request = Request("GET", custom["ResponsePagePath"], "", [("host", self.viewer_host)])
        page.number, page.behavior = number, behavior
        try:
            found = await page._from_origin(cloudfront.cache_policy(behavior), "GET")
        except Unreachable:
            return None
        if found.status != HTTPStatus.OK:
            return None
        found.notes = {"cache": "Error from cloudfront", "error": str(answer.status)}
        found.status = int(custom.get("ResponseCode") or answer.status)
        return found

    async def _from_origin(self, policy: Any, method: str) -> Answer:
        """Ask the origin; of a group the second when the first fails, where the viewer only reads."""
        origins = {origin["Id"]: origin for origin in self.config["Origins"]["Items"]}
        group = cloudfront.origin_group(self.config, self.behavior["TargetOriginId"])
        if self.request.origins:
            group = cloudfront.OriginGroup(self.request.origins, self.request.failover)
        if unknown := set(group.members) - origins.keys():
            raise Unreachable(502, f"The function chose {sorted(unknown)[0]}, which is no origin of the distribution.")
        *before, last = group.members
        codes = group.codes if self.request.method in cloudfront.FAILOVER_METHODS else frozenset[int]()
        for member in before:
            try:
                answer = await self._from_member(origins[member], policy, method)
            except Unreachable as error:
                if error.counts_as not in codes:
                    raise
                continue
            if answer.status not in codes:
                return answer
            if answer.stream is not None:
                # Its connection is free again when all is read.
                async for _ in answer.stream:
                    pass
        return await self._from_member(origins[last], policy, method)

    async def _from_member(self, origin: dict[str, Any], policy: Any, method: str) -> Answer:
        """Ask one origin. What is in a region that is cut off is waited for as often and as long as the origin says."""
        attempts = int(origin["ConnectionAttempts"])
        while True:
            attempts -= 1
            try:
                if "CustomOriginConfig" in origin:
                    return await self._from_custom(origin, policy, method)
                path = f"{origin['OriginPath']}{self.request.uri}"
                return _from_bucket(origin, path, method, self.distribution.arn)
            except CutOff:
                await asyncio.sleep(int(origin["ConnectionTimeout"]))
                if attempts <= 0:
                    raise

    async def _from_custom(self, origin: dict[str, Any], policy: Any, method: str) -> Answer:
        custom = origin["CustomOriginConfig"]
        domain = origin["DomainName"]
        secure = {
            "https-only": True,
            "http-only": False,
            # The front door speaks plain HTTP; a behavior that wants TLS is treated as if the viewer used it.
            "match-viewer": self.behavior["ViewerProtocolPolicy"] != "allow-all",
        }[custom["OriginProtocolPolicy"]]
        port = int(custom["HTTPSPort"] if secure else custom["HTTPPort"])
        found = self.door._origin(domain, port)
        if found.api is not None and not secure:
            raise Unreachable(502, f"The origin {domain} speaks HTTPS only.")
        requested = cloudfront.origin_request_policy(self.behavior)
        headers = cloudfront.origin_headers(
            self.request.headers, policy, requested, host=domain, viewer_host=self.viewer_host
        )
        if method == "GET" and policy.maximum > 0:
            # The cache needs the whole; parts and conditions are served from it.
            headers = [pair for pair in headers if pair[0] not in {"range", "if-none-match"}]
        forwarded = next((value for name, value in self.request.headers if name == "x-forwarded-for"), "")
        viewer = self.raw.remote or settings.LOOPBACK
        headers += [
            ("x-forwarded-for", f"{forwarded}, {viewer}" if forwarded else viewer),
            ("via", f"1.1 {self.request_id[:16]}.cloudfront.net (CloudFront)"),
            ("x-amz-cf-id", self.request_id),
        ]
        for each in origin["CustomHeaders"].get("Items", []):
            name = each["HeaderName"].lower()
            headers = [pair for pair in headers if pair[0] != name] + [(name, each["HeaderValue"])]
        query = self.request.query if policy.query or requested.query else ""
        path = f"{origin['OriginPath']}{self.request.uri}"
        body = self.raw if method not in {"GET", "HEAD"} else None
        if found.api is not None:
            asked = http_apis.Request(method, path, query, headers, b"", viewer, domain)
            answer = await self.door._ask_api(found.api, asked, body)
        else:
            whole = f"{path}{f'?{query}' if query else ''}"
            url = URL(f"{'https' if secure else 'http'}://{found.address}:{port}{whole}", encoded=True)
            timeout = aiohttp.ClientTimeout(
                total=None,
                sock_connect=float(origin["ConnectionTimeout"]),
                sock_read=float(custom["OriginReadTimeout"]),
            )
            attempts = int(origin["ConnectionAttempts"])
            answer = await self.door._fetch(body, method, url, headers, f"origin {domain}", timeout, attempts)
        if not (policy.cookies or requested.cookies):
            answer.headers = [pair for pair in answer.headers if pair[0].lower() != "set-cookie"]
        if policy.maximum > 0 and answer.stream is not None and _declared(answer) <= cloudfront.LARGEST_CACHED:
            answer.body = b"".join([chunk async for chunk in answer.stream])
            answer.stream = None
        return answer


async def _body(request: web.BaseRequest) -> bytes:
    """Read a body for an HTTP API.

    Raises:
        Unreachable: it is larger than API Gateway takes.
    """
    if request.content_length is not None and request.content_length <= WHOLE:
        return await request.read()
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > http_apis.LARGEST_BODY:
            raise Unreachable(413, "The body is larger than the 10 MB that an HTTP API takes.")
    return bytes(body)


def _declared(answer: Answer) -> int:
    """Content-Length of an answer; beyond every limit if it tells none."""
    text = next((value for name, value in answer.headers if name.lower() == "content-length"), "")
    return int(text) if text.isdigit() else cloudfront.LARGEST_CACHED + 1


def _headers(request: web.BaseRequest, without: set[str]) -> Headers:
    """Headers of a request, lower-case, without those of the connection."""
    drop = cloudfront.HOP_BY_HOP | without
    return [(low, value) for name, value in request.headers.items() if (low := name.lower()) not in drop]


def _viewer_host(entry: entries.Entry, host: str) -> str:
    """The host name that the viewer means, in the words of the internet."""
    name, _ = entries.split_host(host)
    if entries.is_loopback(name) or name.endswith(".localhost"):
        return entry.names[-1]
    return name


def _balancer_address(balancer: Any, port: int, *, cloudfront: bool) -> str:
    """Address of a load balancer that listens on a port and lets the caller in.

    Raises:
        Unreachable: it does not.
    """
    if balancer.state != "active":
        raise Unreachable(503, f"Load balancer {balancer.name} is {balancer.state}.")
    if all(int(listener.port) != port for listener in list(balancer.listeners.values())):
        raise Unreachable(504, f"Load balancer {balancer.name} has no listener on port {port}.")
    ec2 = elbv2_backends[settings.ACCOUNT_ID][balancer.arn.split(":")[3]].ec2_backend
    groups = [group for each in balancer.security_groups if (group := ec2.get_security_group_from_id(each))]
    # A load balancer without groups has its VPC's default one, which lets nobody in; moto gives it none at all.
    if groups and not entries.admits(groups, port, cloudfront=cloudfront):
        who = "CloudFront" if cloudfront else "the internet"
        raise Unreachable(504, f"No security group of load balancer {balancer.name} lets {who} in on TCP {port}.")
    address = load_balancers.address(balancer)
    if address is None:
        raise Unreachable(503, f"Load balancer {balancer.name} has no address yet.")
    return address


def _find_origin(table: list[entries.Entry], domain: str, port: int) -> Origin:
    """Find a custom origin: an API, a load balancer, or a name of the account.

    Raises:
        Unreachable: it leads nowhere in the lab.
    """
    entry = entries.choose(table, domain)
    if isinstance(entry, entries.Entry) and entry.kind in ("http_api", "api_domain"):
        return Origin(entry.region, api=entry)
    by_name = {names.normal(balancer.dns_name): balancer for balancer in load_balancers.load_balancers()}
    by_address = {load_balancers.address(balancer): balancer for balancer in by_name.values()}
    for address in names.addresses(domain):
        balancer = by_name.get(names.normal(domain)) or by_address.get(address)
        if balancer is not None:
            where = _balancer_address(balancer, port, cloudfront=True)
            return Origin(balancer.arn.split(":")[3], address=where)
        if private := names.private_addresses(address):
            region = next(interface.ec2_backend.region_name for interface in names.interfaces_of(address))
            return Origin(region, address=private[0])
    if balancer := by_name.get(names.normal(domain)):
        # One without an address: why it has none.
        return Origin("", address=_balancer_address(balancer, port, cloudfront=True))
    raise Unreachable(502, f"The origin {domain} is no name of this account, and the lab sends nothing outside.")


def _from_bucket(origin: dict[str, Any], path: str, method: str, arn: str) -> Answer:
    """Read an object as CloudFront reads it: signed as the service if the origin has an access control."""
    name, separator, rest = origin["DomainName"].partition(".s3")
    if not separator or rest.startswith("-website"):
        raise Unreachable(502, f"The origin {origin['DomainName']} is no S3 bucket (the lab has no website endpoints).")
    if method not in {"GET", "HEAD"}:
        return _s3_error(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
    bucket = s3_backends[settings.ACCOUNT_ID]["aws"].buckets.get(name)
    if bucket is not None and regions.is_cut(bucket.region_name):
        raise CutOff(bucket.region_name)
    if bucket is None:
        return _s3_error(404, "NoSuchBucket", f"The specified bucket does not exist: {name}")
    controls = cloudfront_backends[settings.ACCOUNT_ID]["aws"].origin_access_controls
    control = controls.get(origin["OriginAccessControlId"])
    signed = control is not None and control.signing_behavior != "never"
    principal = "cloudfront.amazonaws.com" if signed else policies.PUBLIC
    policy = bucket.policy
    blocked = bucket.public_access_block
    if not signed and blocked is not None and str(blocked.restrict_public_buckets).lower() == "true":
        policy = None
    context = {"aws:securetransport": "true"}
    if signed:
        context |= {"aws:sourcearn": arn, "aws:sourceaccount": settings.ACCOUNT_ID}
    key = URL(path, encoded=True).path.lstrip("/")

    def may(action: str, resource: str) -> bool:
        return policies.permits(policy, principal, action, resource, context)

    found = bucket.keys.get(key)
    if not may("s3:GetObject", f"{bucket.arn}/{key}"):
        return _s3_error(403, "AccessDenied", "Access Denied")
    if found is None or isinstance(found, FakeDeleteMarker):
        # Without the right to list, S3 does not tell that an object is missing.
        if may("s3:ListBucket", bucket.arn):
            return _s3_error(404, "NoSuchKey", f"The specified key does not exist: {key}")
        return _s3_error(403, "AccessDenied", "Access Denied")
    metadata = {key.lower(): value for key, value in dict(found.metadata or {}).items()}
    headers: Headers = [
        ("Content-Type", metadata.get("content-type", "binary/octet-stream")),
        ("ETag", found.etag),
        ("Last-Modified", formatdate(found.last_modified.timestamp(), usegmt=True)),
        ("Server", "AmazonS3"),
        ("Accept-Ranges", "bytes"),
    ]
    for header in ("Cache-Control", "Content-Encoding", "Content-Disposition", "Content-Language", "Expires"):
        if header.lower() in metadata:
            headers.append((header, metadata[header.lower()]))
    headers += [(name, value) for name, value in metadata.items() if name.startswith("x-amz-meta-")]
    return Answer(200, headers, b"" if method == "HEAD" else found.value)


def _s3_error(status: int, code: str, text: str) -> Answer:
    error = f"<Error><Code>{code}</Code><Message>{html.escape(text)}</Message></Error>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{error}'
    return Answer(status, [("Content-Type", "application/xml"), ("Server", "AmazonS3")], body.encode())


def _compress(answer: Answer) -> Answer:
    headers = [pair for pair in answer.headers if pair[0].lower() not in {"content-length", "etag", "accept-ranges"}]
    etag = next((value for name, value in answer.headers if name.lower() == "etag"), "")
    if etag:
        headers.append(("ETag", etag if etag.startswith("W/") else f"W/{etag}"))
    headers += [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
    return Answer(answer.status, headers, gzip.compress(answer.body, 6, mtime=0), notes=answer.notes)


def _range(text: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a Range header with one part; None for anything else."""
    unit, _, span = text.partition("=")
    first, dash, last = span.partition("-")
    if unit != "bytes" or not dash or "," in span or size == 0:
        return None
    try:
        begin, end = (int(first), int(last) if last else size - 1) if first else (max(0, size - int(last)), size - 1)
    except ValueError:
        return None
    return (begin, min(end, size - 1)) if begin <= end and begin < size else None


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.content.iter_any():
            yield chunk
    finally:
        response.release()


async def _send(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    headers = CIMultiDict(answer.headers)
    if answer.stream is None:
        # A HEAD's answer keeps the length that the body would have.
        if request.method != "HEAD" and answer.status not in {204, 304}:
            headers.popall("Content-Length", None)
        return web.Response(status=answer.status, headers=headers, body=answer.body)
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    async for chunk in answer.stream:
        await response.write(chunk)
    await response.write_eof()
    return response


def _error(status: int, text: str) -> Answer:
    page = _page(status, text)
    assert isinstance(page.body, bytes)
    return Answer(
        status, [("Content-Type", "text/html; charset=utf-8")], page.body, notes={"cache": "Error from cloudfront"}
    )


def _page(status: int, text: str) -> web.Response:
    """A page that says what is not reachable and why."""
    title = f"{status} {HTTPStatus(status).phrase}"
    words = f"<h1>{title}</h1><p>{html.escape(text)}</p><hr><p>the lab's front door</p>"
    body = f"<!doctype html><title>{title}</title>{words}\n"
    return web.Response(status=status, body=body.encode(), content_type="text/html", charset="utf-8")
