"""What a web ACL of AWS WAF says to a request: rate limits, and of AWS's rule groups the rules of :data:`KNOWN`.

Only decisions; `lab.frontdoor` and `lab.haproxy` carry them out. AWS does not publish its patterns. These here are
coarse: they catch the plainest of attacks and nothing that people write. Names are those of
https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-list.html.
"""

from __future__ import annotations

import functools
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_plus

INSPECTED_BYTES = 16 * 1024
"""How much of a body CloudFront hands to a web ACL unless it is told otherwise."""
LARGEST_BODY, LARGEST_QUERY = 8 * 1024, 2048
BIN_SECONDS = 10
"""AWS counts about every ten seconds."""
MOST_ADDRESSES = 10_000

PATH, QUERY, BODY, COOKIE = "path", "query", "body", "cookie"

_SQL = "|".join(
    (
        r"union\s+(all\s+)?select\s",
        # A quote that ends the application's own, or numbers, compared with themselves.
        r"['\"]\s*(or|and)\s+['\"]?\w+['\"]?\s*(=|like)",
        r"\b(or|and)\s+[0-9]+\s*=\s*[0-9]+",
        r";\s*(drop\s+table|delete\s+from|insert\s+into|update\s+\w+\s+set|alter\s+table|truncate)\s",
        r"\b(pg_sleep|sleep|benchmark)\s*\(",
    )
)
_LOG4J = r"\$\{\s*jndi:"
_SCRIPT = r"<\s*script\b"
_PARENT = r"\.\.[/\\]"
_METADATA = r"169\.254\.169\.254"

#: (rule group, rule, part of the request) and a regular expression that Python and PCRE both know, in any case.
KNOWN: Mapping[tuple[str, str, str], str] = {
    ("AWSManagedRulesSQLiRuleSet", "SQLi_QUERYARGUMENTS", QUERY): _SQL,
    ("AWSManagedRulesSQLiRuleSet", "SQLi_BODY", BODY): _SQL,
    ("AWSManagedRulesSQLiRuleSet", "SQLi_COOKIE", COOKIE): _SQL,
    ("AWSManagedRulesSQLiRuleSet", "SQLi_URIPATH", PATH): _SQL,
    ("AWSManagedRulesKnownBadInputsRuleSet", "Log4JRCE_QUERYSTRING", QUERY): _LOG4J,
    ("AWSManagedRulesKnownBadInputsRuleSet", "Log4JRCE_BODY", BODY): _LOG4J,
    ("AWSManagedRulesKnownBadInputsRuleSet", "Log4JRCE_URIPATH", PATH): _LOG4J,
    ("AWSManagedRulesCommonRuleSet", "CrossSiteScripting_QUERYARGUMENTS", QUERY): _SCRIPT,
    ("AWSManagedRulesCommonRuleSet", "CrossSiteScripting_BODY", BODY): _SCRIPT,
    ("AWSManagedRulesCommonRuleSet", "GenericLFI_QUERYARGUMENTS", QUERY): _PARENT,
    ("AWSManagedRulesCommonRuleSet", "GenericLFI_URIPATH", PATH): _PARENT,
    ("AWSManagedRulesCommonRuleSet", "EC2MetaDataSSRF_QUERYARGUMENTS", QUERY): _METADATA,
    ("AWSManagedRulesCommonRuleSet", "EC2MetaDataSSRF_BODY", BODY): _METADATA,
    # Lengths of what was sent, decoded.
    ("AWSManagedRulesCommonRuleSet", "SizeRestrictions_QUERYSTRING", QUERY): rf"^(?s:.{{{LARGEST_QUERY},}})",
    ("AWSManagedRulesCommonRuleSet", "SizeRestrictions_BODY", BODY): rf"^(?s:.{{{LARGEST_BODY},}})",
}
NO_USER_AGENT = ("AWSManagedRulesCommonRuleSet", "NoUserAgent_HEADER")


@dataclass(frozen=True)
class Limit:
    """A rate limit: requests within so many seconds, by the client's or the first forwarded address."""

    rule: str
    requests: int
    seconds: int
    forwarded: bool


@dataclass(frozen=True)
class Pattern:
    """A rule that refuses a request, one part of which matches."""

    rule: str
    part: str
    expression: str


@dataclass(frozen=True)
class Policy:
    """The part of a web ACL that the lab carries out."""

    limits: tuple[Limit, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    needs_user_agent: bool = False


@dataclass(frozen=True)
class Request:
    """What a web ACL looks at; texts as they were sent."""

    address: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""


def policy(rules: Sequence[Mapping[str, Any]]) -> Policy:
    """Read the rules of a web ACL, as the API has them. What only counts is left out."""
    limits: list[Limit] = []
    patterns: list[Pattern] = []
    needs_user_agent = False
    for rule in sorted(rules, key=lambda each: int(each["Priority"])):
        statement = rule["Statement"]
        rate, group = statement.get("RateBasedStatement"), statement.get("ManagedRuleGroupStatement")
        if rate and "Block" in (rule.get("Action") or {}):
            forwarded = rate["AggregateKeyType"] == "FORWARDED_IP"
            seconds = int(rate.get("EvaluationWindowSec", 300))
            limits.append(Limit(rule["Name"], int(rate["Limit"]), seconds, forwarded))
        if group and "Count" not in (rule.get("OverrideAction") or {}):
            patterns += _group(group)
            needs_user_agent |= group["Name"] == NO_USER_AGENT[0] and NO_USER_AGENT[1] not in _counted(group)
    return Policy(tuple(limits), tuple(patterns), needs_user_agent)


def _counted(group: Mapping[str, Any]) -> set[str]:
    overrides = group.get("RuleActionOverrides") or []
    return {each["Name"] for each in overrides if "Block" not in each["ActionToUse"]}


def _group(group: Mapping[str, Any]) -> Iterator[Pattern]:
    for (name, rule, part), expression in KNOWN.items():
        if name == group["Name"] and rule not in _counted(group):
            yield Pattern(rule, part, expression)


@functools.lru_cache(maxsize=64)
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.IGNORECASE)


def refusal(wanted: Policy, request: Request) -> str | None:
    """Return the name of the rule that refuses a request, rate limits apart; None when it may pass."""
    if wanted.needs_user_agent and not request.headers.get("user-agent"):
        return NO_USER_AGENT[1]
    parts = {
        PATH: unquote(request.path),
        QUERY: unquote_plus(request.query),
        COOKIE: unquote(request.headers.get("cookie", "")),
        BODY: unquote_plus(request.body[:INSPECTED_BYTES].decode("latin-1")),
    }
    for pattern in wanted.patterns:
        if parts[pattern.part] and _compiled(pattern.expression).search(parts[pattern.part]):
            return pattern.rule
    return None


class Rates:
    """How often each address has asked lately."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._bins: dict[tuple[str, str], Counter[int]] = {}

    def exceeded(self, acl: str, limit: Limit, address: str, now: float | None = None) -> bool:
        """Count a request, and say whether the address has sent more than the limit within its time."""
        current = int((time.monotonic() if now is None else now) // BIN_SECONDS)
        if len(self._bins) >= MOST_ADDRESSES:
            self._bins.clear()
        counts = self._bins.setdefault((f"{acl} {limit.rule}", address), Counter())
        for old in [each for each in counts if each <= current - limit.seconds // BIN_SECONDS]:
            del counts[old]
        counts[current] += 1
        return counts.total() > limit.requests
