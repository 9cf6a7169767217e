"""Application Load Balancers in HAProxy's words."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from lab import firewall, haproxy, podman, settings
from lab.haproxy import Listener, LoadBalancer, Rule, Server, Target, TargetGroup

GROUP = TargetGroup(
    "targetgroup-trial-1",
    "arn:group",
    check_path="/api/health",
    interval=5,
    timeout=2,
    healthy=2,
    unhealthy=2,
    matcher="200-299",
    targets=(Target("i-1", "10.0.1.5", 3000),),
)
OTHER = TargetGroup("targetgroup-other-2", "arn:other")
FORWARD = {"Type": "forward", "TargetGroupArn": "arn:group"}


def balancer(*rules: Rule, port: int = 80, protocol: str = "HTTP") -> LoadBalancer:
    """A load balancer with one listener, whose last rule forwards."""
    listener = Listener(port, protocol, [*rules, Rule([], [FORWARD])])
    return LoadBalancer(listeners=[listener], groups={"arn:group": GROUP, "arn:other": OTHER})


def rule(action: dict[str, Any], *conditions: dict[str, Any]) -> Rule:
    """A rule with one action."""
    return Rule(conditions, [action])


def path(*patterns: str) -> dict[str, Any]:
    """A path condition."""
    return {"Field": "path-pattern", "PathPatternConfig": {"Values": list(patterns)}}


def test_group_and_checks() -> None:
    text = haproxy.render(balancer())
    assert "http-check send meth GET uri '/api/health'" in text
    assert "http-check expect status 200-299" in text
    assert "server i-1_10.0.1.5_3000 10.0.1.5:3000 check inter 5s fall 2 rise 2 weight 0" in text
    assert "use_backend targetgroup-trial-1 if { var(txn.rule) -m str rule0 }" in text


def test_targets_alone_need_no_reload() -> None:
    one = balancer()
    two = LoadBalancer(
        listeners=one.listeners, groups={**one.groups, "arn:group": dataclasses.replace(GROUP, targets=())}
    )
    assert haproxy.render(one, servers=False) == haproxy.render(two, servers=False)
    assert haproxy.render(one) != haproxy.render(two)


def test_path_patterns_are_wildcards_not_expressions() -> None:
    text = haproxy.render(balancer(rule(FORWARD, path("/api/v?.*", "/a+b"))))
    assert "acl r0c0 path -m reg '^/api/v.\\..*$'" in text
    assert "acl r0c0 path -m reg '^/a\\+b$'" in text


def test_a_web_acl_refuses_before_any_rule() -> None:
    limits = (firewall.Limit("rate", 2000, 300, forwarded=True),)
    patterns = (firewall.Pattern("SQLi", "query", r"' or\b"), firewall.Pattern("SQLi", "body", "x"))
    protected = dataclasses.replace(balancer(), firewall=firewall.Policy(limits, patterns, needs_user_agent=True))
    text = haproxy.render(protected)
    assert "http-request track-sc0 req.hdr_ip(x-forwarded-for,1) table rate-0" in text
    assert "http-request deny deny_status 403 if { sc_http_req_rate(0) gt 2000 }" in text
    assert "stick-table type ip size 100k expire 300s store http_req_rate(300s)" in text
    assert "deny_status 403 if { query,url_dec(1) -m reg -i ''\\'' or\\b' }" in text
    assert text.index("track-sc0") < text.index("set-header X-Forwarded-For")
    assert text.count("deny") == 6


def test_weighted_forward() -> None:
    shares = [{"TargetGroupArn": "arn:group", "Weight": 9}, {"TargetGroupArn": "arn:other", "Weight": 1}]
    text = haproxy.render(balancer(rule({"Type": "forward", "ForwardConfig": {"TargetGroups": shares}}, path("/x"))))
    assert "set-var(txn.draw) rand(10)" in text
    assert "use_backend targetgroup-trial-1 if { var(txn.rule) -m str rule0 } { var(txn.draw) -m int lt 9 }" in text
    assert "use_backend targetgroup-other-2 if { var(txn.rule) -m str rule0 }\n" in text


def test_redirect_to_https() -> None:
    config = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    text = haproxy.render(balancer(rule({"Type": "redirect", "RedirectConfig": config})))
    location = "https://%[req.hdr(host),host_only]/%[path,regsub(^/,)]"
    assert (
        f"redirect code 301 location '{location}?%[query]' if {{ var(txn.rule) -m str rule0 }} {{ query -m found }}"
        in text
    )
    assert f"redirect code 301 location '{location}' if {{ var(txn.rule) -m str rule0 }}\n" in text


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(haproxy.UnsupportedError, match="authenticate-oidc"):
        haproxy.render(balancer(rule({"Type": "authenticate-oidc"})))


CONDITIONS = [
    path("/api/*", "/it's"),
    {"Field": "host-header", "HostHeaderConfig": {"Values": ["*.example.com"]}},
    {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Version", "Values": ["2*"]}},
    {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["GET", "HEAD"]}},
    {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/16", "192.0.2.1/32"]}},
    {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "1*"}, {"Value": "beta"}]}},
]
ACTIONS: list[dict[str, Any]] = [
    {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "MessageBody": 'not "here"\n'}},
    {"Type": "redirect", "RedirectConfig": {"Host": "new.example.com", "Query": "", "StatusCode": "HTTP_302"}},
    FORWARD,
]


def test_haproxy_takes_it(tmp_path: Path) -> None:
    inside = haproxy.DIRECTORY
    rules = [rule(action, condition) for action in ACTIONS for condition in CONDITIONS]
    (tmp_path / "haproxy.cfg").write_text(haproxy.render(balancer(*rules)))
    (tmp_path / "servers.state").touch()
    # The one that load balancers run, in its own image.
    container = ("run", "--rm", "--network", "none", "--volume", f"{tmp_path}:{inside}", settings.SERVICE_IMAGE)
    done = podman.podman(*container, "haproxy", "-c", "-f", f"{inside}/haproxy.cfg", check=False)
    assert done.returncode == 0, done.stderr


STAT = """# pxname,svname,status,weight,check_status,check_code,scur,lastchg
targetgroup-trial-1,i-1_10.0.1.5_3000,UP,1,* L7OK,200,0,12
targetgroup-trial-1,i-2_10.0.1.6_3000,DOWN,0,L7STS,503,0,4
targetgroup-trial-1,BACKEND,UP,1,,,0,4
"""


def test_reads_what_haproxy_sees() -> None:
    first, second = haproxy.parse_servers(STAT)
    assert (first.name, first.up, first.passed, first.weight) == ("i-1_10.0.1.5_3000", True, True, 1)
    assert (second.check, second.code, second.up) == ("L7STS", 503, False)


@pytest.mark.parametrize(
    ("status", "weight", "check", "code", "age", "state", "reason"),
    [
        ("UP", 1, "L7OK", 200, 99, "healthy", None),
        ("UP 1/2", 1, "L7STS", 503, 99, "healthy", None),
        ("UP 1/2", 0, "INI", 0, 1, "initial", "Elb.InitialHealthChecking"),
        ("DOWN", 0, "L4CON", 0, 1, "initial", "Elb.InitialHealthChecking"),
        ("DOWN", 0, "L4CON", 0, 99, "unhealthy", "Target.FailedHealthChecks"),
        ("DOWN", 1, "L7STS", 503, 99, "unhealthy", "Target.ResponseCodeMismatch"),
        ("DOWN", 1, "L7TOUT", 0, 99, "unhealthy", "Target.Timeout"),
    ],
)
def test_health(status: str, weight: int, check: str, code: int, age: float, state: str, reason: str | None) -> None:
    server = Server(GROUP.name, "i-1", status, weight, check, code, 0, 0)
    assert haproxy.health(server, GROUP, age)[:2] == (state, reason)
