"""What a web ACL says to a request."""

from __future__ import annotations

import contextlib
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from jinja2 import Environment

from lab import firewall
from lab.firewall import Limit, Rates, Request
from lab.frontdoor import FrontDoor
from plugins.module_utils.project import ROOT

AGENT = {"user-agent": "curl/8"}


def role_rules(scope: str, **variables: Any) -> list[dict[str, Any]]:
    """The rules of roles/firewall as the API has them."""
    from ansible.module_utils.common.dict_transformations import snake_dict_to_camel_dict
    from ansible_collections.community.aws.plugins.module_utils.wafv2 import wafv2_snake_dict_to_camel_dict

    defaults = yaml.safe_load((ROOT / "roles/firewall/defaults/main.yml").read_text())
    text = (ROOT / "roles/firewall/templates/rules.yml.j2").read_text()
    rendered = Environment(trim_blocks=True).from_string(text).render({**defaults, **variables, "item": {"key": scope}})
    return [
        wafv2_snake_dict_to_camel_dict(snake_dict_to_camel_dict(rule, capitalize_first=True))
        for rule in yaml.safe_load(rendered)
    ]


POLICY = firewall.policy(role_rules("cloudfront"))


def ask(path: str = "/", query: str = "", body: bytes = b"", **headers: str) -> str | None:
    """What the role's web ACL says to a request."""
    return firewall.refusal(POLICY, Request("192.0.2.1", path, query, {**AGENT, **headers}, body))


@pytest.mark.parametrize(
    ("request_", "rule"),
    [
        ({"query": "q=1%27+OR+%271%27%3D%271"}, "SQLi_QUERYARGUMENTS"),
        ({"query": "id=1%20UNION%20SELECT%20password%20FROM%20users"}, "SQLi_QUERYARGUMENTS"),
        ({"query": "id=5;+drop+table+cars"}, "SQLi_QUERYARGUMENTS"),
        ({"body": b'{"q": "x\' or 1=1 --"}'}, "SQLi_BODY"),
        ({"cookie": "id=1 or 1=1"}, "SQLi_COOKIE"),
        ({"path": "/api/cars/1%20or%201=1"}, "SQLi_URIPATH"),
        ({"query": "x=${jndi:ldap://evil}"}, "Log4JRCE_QUERYSTRING"),
        ({"query": "file=../../etc/passwd"}, "GenericLFI_QUERYARGUMENTS"),
        ({"body": b"text=<script>alert(1)</script>"}, "CrossSiteScripting_BODY"),
        ({"query": "x=" + "a" * 3000}, "SizeRestrictions_QUERYSTRING"),
    ],
)
def test_attacks_are_refused(request_: dict[str, Any], rule: str) -> None:
    assert ask(**request_) == rule


@pytest.mark.parametrize(
    "request_",
    [
        {"path": "/api/listings", "query": "search=red+or+blue&limit=10"},
        {"query": "q=O%27Connor+and+sons"},
        {"query": "sort=price;desc"},
        {"body": b'{"text": "Select your car from our union of dealers; update soon (sleeps four)"}'},
        # Counted, not refused: a picture is larger than 8 KiB.
        {"body": b"x" * 10_000},
    ],
)
def test_what_people_write_passes(request_: dict[str, Any]) -> None:
    assert ask(**request_) is None


def test_who_says_nothing_of_itself_is_refused() -> None:
    assert firewall.refusal(POLICY, Request("192.0.2.1", "/", "", {})) == "NoUserAgent_HEADER"


def test_what_is_counted_refuses_nothing() -> None:
    rules = role_rules("cloudfront", firewall_counted_rules={"AWSManagedRulesSQLiRuleSet": ["SQLi_QUERYARGUMENTS"]})
    request = Request("192.0.2.1", "/", "id=1+or+1=1", AGENT)
    assert firewall.refusal(firewall.policy(rules), request) is None


def test_the_rate_of_each_address_alone() -> None:
    assert POLICY.limits == (Limit("rate", 2000, 300, forwarded=False),)
    assert firewall.policy(role_rules("load_balancer")).limits == (Limit("rate", 2000, 300, forwarded=True),)
    rates, limit = Rates(), Limit("rate", 100, 300, forwarded=False)
    assert [rates.exceeded("acl", limit, "a", now=10.0 * number) for number in range(3)] == [False] * 3
    assert not any(rates.exceeded("acl", limit, "a", now=30.0) for _ in range(97))
    assert rates.exceeded("acl", limit, "a", now=31.0)
    assert not rates.exceeded("acl", limit, "b", now=31.0)
    # Five minutes later it is forgotten.
    assert not rates.exceeded("acl", limit, "a", now=340.0)


@contextlib.contextmanager
def front_door() -> Iterator[str]:
    """Start one; what is made after it is seen half a second later."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = FrontDoor(("127.0.0.1",), port, None)
    made.start()
    yield f"http://127.0.0.1:{port}"
    made.close()


def distribute(client: Callable[[str], Any], **variables: Any) -> None:
    """Make a distribution behind the role's web ACL; its origin leads nowhere."""
    seen = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "x"}
    rules = [{**rule, "VisibilityConfig": seen} for rule in role_rules("cloudfront", **variables)]
    acl = client("wafv2").create_web_acl(
        Name="a", Scope="CLOUDFRONT", DefaultAction={"Allow": {}}, VisibilityConfig=seen, Rules=rules
    )["Summary"]["ARN"]
    origin = {
        "Id": "o",
        "DomainName": "gone.example.com",
        "CustomOriginConfig": {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"},
    }
    client("cloudfront").create_distribution(
        DistributionConfig={
            "CallerReference": "1",
            "Comment": "",
            "Enabled": True,
            "Origins": {"Quantity": 1, "Items": [origin]},
            "DefaultCacheBehavior": {
                "TargetOriginId": "o",
                "ViewerProtocolPolicy": "allow-all",
                "CachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
                "AllowedMethods": {"Quantity": 3, "Items": ["GET", "HEAD", "POST"]},
            },
            "WebACLId": acl,
        }
    )


def answer(url: str, body: bytes | None = None) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, data=body, timeout=30) as found:
            return int(found.status), found.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.usefixtures("lab_account")
def test_the_front_door_refuses_what_the_web_acl_refuses(client: Callable[[str], Any]) -> None:
    distribute(client)
    with front_door() as door:
        # It passes, and its origin is not there.
        assert answer(f"{door}/api/listings?search=red+or+blue")[0] == 502
        status, page = answer(f"{door}/api/listings?search=%27+or+1%3D1")
        assert status == 403
        assert "SQLi_QUERYARGUMENTS" in page
        assert answer(f"{door}/api/listings", b"title=x%27+or+1%3D1")[0] == 403


@pytest.mark.usefixtures("lab_account")
def test_the_front_door_refuses_who_asks_too_often(client: Callable[[str], Any]) -> None:
    distribute(client, firewall_rate_limit=10)
    with front_door() as door:
        assert [answer(door)[0] for _ in range(12)] == [502] * 10 + [403] * 2
