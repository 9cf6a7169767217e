"""What an Application Load Balancer is in HAProxy's words: configuration, runtime commands, health.

Only text in and text out; the reconciler (`lab.reconcilers.load_balancers`) reads the API's state and runs HAProxy 3.0.
Rules are those of https://docs.aws.amazon.com/elasticloadbalancing/latest/application/.
"""

from __future__ import annotations

import csv
import io
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import firewall

DIRECTORY = "/load-balancer"
"""Where the container sees configuration, certificates and sockets."""

TICKS = {"L7OK", "L7OKC", "L6OK", "L4OK"}
"""Check results of HAProxy that count as passed."""


@dataclass(frozen=True)
class Target:
    """A registered or draining target.

    Attributes:
        identifier: instance id or address, as registered.
        address: IPv4 address to send to.
        port: port to send to.
        draining: takes no new requests.
    """

    identifier: str
    address: str
    port: int
    draining: bool = False

    @property
    def server(self) -> str:
        """The name HAProxy knows it by; another port or address is another server."""
        return f"{self.identifier}_{self.address}_{self.port}"


@dataclass(frozen=True)
class TargetGroup:
    """A target group: how its targets are reached and checked.

    Attributes:
        name: backend name, unique in the load balancer.
        arn: the target group's ARN.
        protocol: HTTP or HTTPS.
        check_port: fixed port of the health check, 0 = the traffic port.
        interval: seconds between two checks.
        timeout: seconds a check may take.
        healthy: passed checks in a row that make an unhealthy target healthy.
        unhealthy: failed checks in a row that make a target unhealthy.
        matcher: status codes that pass, as ALB writes them ("200-299,404").
        algorithm: load_balancing.algorithm.type.
        cookie_seconds: life of the stickiness cookie, 0 = no stickiness.
    """

    name: str
    arn: str
    protocol: str = "HTTP"
    check_protocol: str = "HTTP"
    check_path: str = "/"
    check_port: int = 0
    interval: int = 30
    timeout: int = 5
    healthy: int = 5
    unhealthy: int = 2
    matcher: str = "200"
    algorithm: str = "round_robin"
    cookie_seconds: int = 0
    targets: tuple[Target, ...] = ()

    def server_options(self) -> str:
        """Options of each `server` line and `add server` command (dynamic servers ignore default-server)."""
        words = ["check", f"inter {self.interval}s", f"fall {self.unhealthy}", f"rise {self.healthy}"]
        if self.check_port:
            words.append(f"port {self.check_port}")
        if self.protocol == "HTTPS":
            # A load balancer does not verify its targets' certificates.
            words.append("ssl verify none")
        if self.check_protocol == "HTTPS" and self.protocol != "HTTPS":
            words.append("check-ssl verify none")
        return " ".join(words)


@dataclass(frozen=True)
class Rule:
    """A listener rule: conditions and actions as the API has them."""

    conditions: Sequence[Mapping[str, Any]]
    actions: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Listener:
    """A listener; the last rule is the default one. `certificates` are file names, the default one first."""

    port: int
    protocol: str
    rules: Sequence[Rule]
    certificates: Sequence[str] = ()


@dataclass(frozen=True)
class LoadBalancer:
    """Everything that HAProxy needs to know of one load balancer."""

    idle_timeout: int = 60
    http2: bool = True
    preserve_host: bool = False
    firewall: firewall.Policy = field(default_factory=firewall.Policy)
    listeners: Sequence[Listener] = ()
    groups: Mapping[str, TargetGroup] = field(default_factory=dict)


class UnsupportedError(ValueError):
    """The API took something that the lab's load balancer cannot do; the text says what."""


def render(balancer: LoadBalancer, *, servers: bool = True) -> str:
    """Return haproxy.cfg.

    Args:
        balancer: what to render.
        servers: with the servers. Without, the text is the part whose change needs a reload: targets come and go by
            runtime commands.
    """
    lines = [
        "# Written by the lab; a change here is lost at the next reload.",
        "global",
        "    log stdout format raw local0 warning",
        "    user haproxy",
        "    group haproxy",
        f"    stats socket {DIRECTORY}/admin.sock user root group root mode 600 level admin expose-fd listeners",
        f"    server-state-file {DIRECTORY}/servers.state",
        "    nbthread 1",
        "    maxconn 8000",
        "    spread-checks 0",
        # Old workers end when their last request has, at the latest after this.
        "    hard-stop-after 120s",
        "defaults",
        "    mode http",
        "    log global",
        "    option dontlognull",
        "    option http-keep-alive",
        # After a reload a connection that is kept ends with its next answer, so that no request meets its end.
        "    option idle-close-on-response",
        "    retries 0",
        "    timeout connect 10s",
        f"    timeout client {balancer.idle_timeout}s",
        f"    timeout server {balancer.idle_timeout}s",
        f"    timeout http-keep-alive {balancer.idle_timeout}s",
        "    load-server-state-from-file global",
        # HAProxy does not start without any; this one also serves the lab's own look whether it runs.
        "frontend alive",
        "    bind 127.0.0.1:8404",
        "    monitor-uri /",
    ]
    for listener in balancer.listeners:
        lines += _frontend(listener, balancer)
    for group in balancer.groups.values():
        lines += _backend(group, servers=servers)
    for number, limit in enumerate(balancer.firewall.limits):
        lines += [
            f"backend rate-{number}",
            f"    stick-table type ip size 100k expire {limit.seconds}s store http_req_rate({limit.seconds}s)",
        ]
    return "\n".join(lines) + "\n"


def _frontend(listener: Listener, balancer: LoadBalancer) -> Iterator[str]:
    secure = listener.protocol == "HTTPS"
    yield f"frontend listener-{listener.port}"
    if secure:
        files = " ".join(f"crt {DIRECTORY}/certificates/{name}" for name in listener.certificates)
        protocols = "h2,http/1.1" if balancer.http2 else "http/1.1"
        yield f"    bind :{listener.port} ssl {files} alpn {protocols} ssl-min-ver TLSv1.2"
    else:
        yield f"    bind :{listener.port}"
    for line in _firewall(balancer.firewall):
        yield f"    {line}"
    yield "    acl forwarded req.fhdr(x-forwarded-for) -m found"
    yield "    http-request set-header X-Forwarded-For '%[req.fhdr(x-forwarded-for)], %[src]' if forwarded"
    yield "    http-request set-header X-Forwarded-For %[src] if !forwarded"
    yield f"    http-request set-header X-Forwarded-Proto {'https' if secure else 'http'}"
    yield f"    http-request set-header X-Forwarded-Port {listener.port}"
    yield (
        "    http-request set-header X-Amzn-Trace-Id"
        " Root=1-%[date,hex,bytes(8,8),lower]-%[uuid(),regsub(-,,g),bytes(0,24)]"
        " if !{ req.hdr(x-amzn-trace-id) -m found }"
    )
    if not balancer.preserve_host:
        yield f"    http-request set-header Host %[req.hdr(host),regsub(:{listener.port}$,)]"
    # The first rule whose conditions all hold decides; its name is kept, because HAProxy looks at the sections below
    # (answers, then backends) one kind at a time.
    for number, rule in enumerate(listener.rules):
        tests = ["!{ var(txn.rule) -m found }"]
        for index, condition in enumerate(rule.conditions):
            name = f"r{number}c{index}"
            for line in _condition(name, condition):
                yield f"    {line}"
            tests.append(name)
        yield f"    http-request set-var(txn.rule) str(rule{number}) if {' '.join(tests)}"
    for number, rule in enumerate(listener.rules):
        test = f"{{ var(txn.rule) -m str rule{number} }}"
        for line in _action(number, rule, listener, balancer, test):
            yield f"    {line}"


def _firewall(policy: firewall.Policy) -> Iterator[str]:
    """The lines that refuse what a web ACL refuses; bodies are not looked at."""
    for number, limit in enumerate(policy.limits):
        # The first address of the header is whose AWS counts.
        who = "req.hdr_ip(x-forwarded-for,1)" if limit.forwarded else "src"
        yield f"http-request track-sc{number} {who} table rate-{number}"
        yield f"http-request deny deny_status 403 if {{ sc_http_req_rate({number}) gt {limit.requests} }}"
    if policy.needs_user_agent:
        yield "http-request deny deny_status 403 if !{ req.hdr(user-agent) -m len gt 0 }"
    parts = {
        firewall.QUERY: "query,url_dec(1)",
        firewall.PATH: "path,url_dec",
        firewall.COOKIE: "req.hdr(cookie),url_dec",
    }
    for pattern in policy.patterns:
        if pattern.part in parts:
            test = f"{parts[pattern.part]} -m reg -i {_quote(pattern.expression)}"
            yield f"http-request deny deny_status 403 if {{ {test} }}"


def _quote(text: str) -> str:
    """A word in HAProxy's strong quotes."""
    return "'" + text.replace("'", "'\\''") + "'"


def _glob(pattern: str) -> str:
    """The regular expression of a wildcard pattern (* and ?; a backslash makes the next character ordinary)."""
    parts = []
    characters = iter(pattern)
    for character in characters:
        if character == "*":
            parts.append(".*")
        elif character == "?":
            parts.append(".")
        elif character == "\\":
            parts.append(re.escape(next(characters, "\\")))
        else:
            parts.append(re.escape(character))
    return "^" + "".join(parts) + "$"


def _condition(name: str, condition: Mapping[str, Any]) -> Iterator[str]:
    """The `acl` lines of a condition: lines of one name are alternatives."""
    kind = condition["Field"]

    def values(config: str) -> list[Any]:
        given = condition.get(config) or {}
        return list(given.get("Values") or condition.get("Values") or [])

    if kind == "path-pattern":
        for value in values("PathPatternConfig"):
            yield f"acl {name} path -m reg {_quote(_glob(value))}"
    elif kind == "host-header":
        for value in values("HostHeaderConfig"):
            yield f"acl {name} req.hdr(host),host_only -m reg -i {_quote(_glob(value))}"
    elif kind == "http-header":
        header = condition["HttpHeaderConfig"]["HttpHeaderName"]
        for value in values("HttpHeaderConfig"):
            yield f"acl {name} req.fhdr({header}) -m reg -i {_quote(_glob(value))}"
    elif kind == "http-request-method":
        yield f"acl {name} method {' '.join(values('HttpRequestMethodConfig'))}"
    elif kind == "source-ip":
        yield f"acl {name} src {' '.join(values('SourceIpConfig'))}"
    elif kind == "query-string":
        for pair in values("QueryStringConfig"):
            if pair.get("Key"):
                yield f"acl {name} url_param({pair['Key']}) -m reg -i {_quote(_glob(pair['Value']))}"
            else:
                # Without a key the value may be any parameter's.
                inner = _glob(pair["Value"])[1:-1]
                yield f"acl {name} query -m reg -i {_quote(f'(^|[=&]){inner}(&|$)')}"
    else:
        raise UnsupportedError(f"listener rule condition {kind}")


def _action(number: int, rule: Rule, listener: Listener, balancer: LoadBalancer, test: str) -> Iterator[str]:
    for action in rule.actions:
        kind = action["Type"]
        if kind == "redirect":
            config = action["RedirectConfig"]
            code = "301" if config.get("StatusCode") == "HTTP_301" else "302"
            location, query = _redirect_location(config, listener)
            if query:
                # An empty query must not leave a lone question mark.
                given = " { query -m found }" if query == "%[query]" else ""
                yield f"http-request redirect code {code} location {_quote(f'{location}?{query}')} if {test}{given}"
            yield f"http-request redirect code {code} location {_quote(location)} if {test}"
        elif kind == "fixed-response":
            config = action["FixedResponseConfig"]
            content = config.get("ContentType") or "text/plain"
            body = (config.get("MessageBody") or "").replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            yield (
                f"http-request return status {config['StatusCode']} content-type {_quote(content)} "
                f'string "{body}" if {test}'
            )
        elif kind == "forward":
            yield from _forward(number, action, balancer, test)
        else:
            raise UnsupportedError(f"listener action {kind}")


def _redirect_location(config: Mapping[str, Any], listener: Listener) -> tuple[str, str]:
    """The log-format strings of a redirect, up to the query and the query; #{…} are AWS's placeholders."""
    scheme = (config.get("Protocol") or "#{protocol}").replace("#{protocol}", listener.protocol).lower()
    port = (config.get("Port") or "#{port}").replace("#{port}", str(listener.port))
    words = {
        "#{protocol}": scheme,
        "#{host}": "%[req.hdr(host),host_only]",
        "#{port}": port,
        "#{path}": "%[path,regsub(^/,)]",
        "#{query}": "%[query]",
    }

    def fill(text: str) -> str:
        for placeholder, value in words.items():
            text = text.replace(placeholder, value)
        return text

    host = fill(config.get("Host") or "#{host}")
    path = fill(config.get("Path") or "/#{path}")
    asked = config.get("Query")
    query = fill("#{query}" if asked is None else str(asked))
    standard = (scheme, port) in {("http", "80"), ("https", "443")}
    return f"{scheme}://{host}{'' if standard else f':{port}'}{path}", query


def _forward(number: int, action: Mapping[str, Any], balancer: LoadBalancer, test: str) -> Iterator[str]:
    config = action.get("ForwardConfig") or {}
    weighted = [
        (group["TargetGroupArn"], int(group.get("Weight", 1))) for group in config.get("TargetGroups") or []
    ] or [(action["TargetGroupArn"], 1)]
    weighted = [(arn, weight) for arn, weight in weighted if weight > 0 and arn in balancer.groups]
    total = sum(weight for _, weight in weighted)
    if not weighted:
        yield f"http-request return status 503 if {test}"
        return
    if len(weighted) > 1:
        yield f"http-request set-var(txn.draw) rand({total}) if {test}"
    upper = 0
    for index, (arn, weight) in enumerate(weighted):
        upper += weight
        last = index == len(weighted) - 1
        share = "" if last else f" {{ var(txn.draw) -m int lt {upper} }}"
        yield f"use_backend {balancer.groups[arn].name} if {test}{share}"


def _backend(group: TargetGroup, *, servers: bool) -> Iterator[str]:
    yield f"backend {group.name}"
    balance = {"least_outstanding_requests": "leastconn", "weighted_random": "random"}.get(
        group.algorithm, "roundrobin"
    )
    yield f"    balance {balance}"
    if group.check_protocol in {"HTTP", "HTTPS"}:
        yield "    option httpchk"
        yield (
            f"    http-check send meth GET uri {_quote(group.check_path or '/')} ver HTTP/1.1 "
            "hdr Host localhost hdr User-Agent ELB-HealthChecker/2.0"
        )
        yield f"    http-check expect status {group.matcher}"
    yield f"    timeout check {group.timeout}s"
    if group.cookie_seconds:
        yield f"    cookie AWSALB insert indirect nocache dynamic maxlife {group.cookie_seconds}s"
        yield f"    dynamic-cookie-key {group.name}"
    yield f"    # targets: {group.server_options()}"
    if servers:
        for target in group.targets:
            yield f"    server {target.server} {target.address}:{target.port} {group.server_options()} weight 0"


@dataclass(frozen=True)
class Server:
    """One server as HAProxy sees it (`show stat`).

    Attributes:
        status: UP, DOWN, MAINT, DRAIN, "UP 1/2", "no check" …
        weight: 0 = no new requests.
        check: result of the last check (L7OK, L7STS, L4CON …, INI = none yet); "* " marks a running one.
        code: status code of the last check, 0 = none.
        sessions: requests in flight.
        changed: seconds since the status last changed.
    """

    backend: str
    name: str
    status: str
    weight: int
    check: str
    code: int
    sessions: int
    changed: int

    @property
    def passed(self) -> bool:
        """Did the last check pass?"""
        return self.check in TICKS

    @property
    def up(self) -> bool:
        """Would it get requests, were its weight not 0?"""
        return self.status.startswith("UP")


def parse_stat(text: str) -> list[dict[str, str]]:
    """Read the answer to `show stat`: rows of listeners, servers and backends, by the names of the columns."""
    return list(csv.DictReader(io.StringIO(text.removeprefix("# ").strip())))


def parse_servers(text: str) -> list[Server]:
    """Read the answer to `show stat -1 4 -1`."""
    return [
        Server(
            backend=row["pxname"],
            name=row["svname"],
            status=row["status"],
            weight=int(row["weight"] or 0),
            check=row["check_status"].removeprefix("* "),
            code=int(row["check_code"] or 0),
            sessions=int(row["scur"] or 0),
            changed=int(row["lastchg"] or 0),
        )
        for row in parse_stat(text)
        if row["svname"] not in {"FRONTEND", "BACKEND"}
    ]


def health(server: Server, group: TargetGroup, age: float) -> tuple[str, str | None, str | None]:
    """State, reason code and description of a registered target.

    Args:
        server: what HAProxy sees of it.
        group: its target group.
        age: seconds since it was registered.
    """
    if server.up and server.weight > 0:
        return "healthy", None, None
    # A new target is not unhealthy before it failed as many checks as any other.
    if server.up or server.check == "INI" or age < group.interval * group.unhealthy:
        return "initial", "Elb.InitialHealthChecking", "Initial health checks in progress"
    if server.check in {"L7STS", "L7OKC"}:
        return "unhealthy", "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{server.code}]"
    if server.check.endswith("TOUT"):
        return "unhealthy", "Target.Timeout", "Request timed out"
    return "unhealthy", "Target.FailedHealthChecks", "Health checks failed"


class Runtime:
    """HAProxy's command sockets."""

    def __init__(self, directory: Path) -> None:
        """Talk to the HAProxy whose sockets are in `directory` (this machine's path of DIRECTORY)."""
        self.directory = directory

    def command(self, text: str, *, master: bool = False, timeout: float = 10) -> str:
        """Run commands (separated by ;) and return their answer.

        Raises:
            OSError: HAProxy does not run or does not answer.
        """
        path = self.directory / ("master.sock" if master else "admin.sock")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(str(path))
            connection.sendall(text.encode() + b"\n")
            chunks = []
            while chunk := connection.recv(65536):
                chunks.append(chunk)
        return b"".join(chunks).decode(errors="replace").strip()

    def servers(self) -> list[Server]:
        """All servers of all backends."""
        return parse_servers(self.command("show stat -1 4 -1"))

    def save_state(self) -> None:
        """Write what is known of each server, for the worker that a reload starts."""
        (self.directory / "servers.state").write_text(self.command("show servers state") + "\n")

    def reload(self) -> None:
        """Take the new configuration without losing a connection.

        Raises:
            RuntimeError: HAProxy refused it and goes on with the old one; the text is its complaint.
        """
        self.save_state()
        answer = self.command("reload", master=True, timeout=30)
        if "Success=1" not in answer:
            raise RuntimeError(f"HAProxy refused its configuration: {answer}")
        self.wait()

    def wait(self, seconds: float = 10) -> None:
        """Wait until the worker answers.

        Raises:
            TimeoutError: it did not in time.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.command("show info")
            except OSError as error:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"HAProxy does not answer in {self.directory}") from error
                time.sleep(0.05)
            else:
                return

    def add(self, group: TargetGroup, target: Target) -> str:
        """Add a target; it gets requests after its first passed check (weight 0 until then)."""
        name = f"{group.name}/{target.server}"
        return self.command(
            f"add server {name} {target.address}:{target.port} {group.server_options()} weight 0; "
            f"enable health {name}; enable server {name}"
        )

    def remove(self, backend: str, server: str) -> str:
        """End a target's connections and forget it."""
        name = f"{backend}/{server}"
        return self.command(
            f"set server {name} state maint; shutdown sessions server {name}; disable health {name}; del server {name}"
        )

    def set_weight(self, backend: str, server: str, weight: int) -> str:
        """Let a target take its share of new requests (1) or none (0)."""
        return self.command(f"set server {backend}/{server} weight {weight}")

    def set_state(self, backend: str, server: str, state: str) -> str:
        """Set the administrative state: ready or drain."""
        return self.command(f"set server {backend}/{server} state {state}")
