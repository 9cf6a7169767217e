"""The public entries of the account: what a viewer on the internet could reach, and under which names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from moto.cloudfront.models import cloudfront_backends
from moto.ec2.models import ec2_backends
from moto.route53.models import route53_backends

from lab import http_apis, names, routing, settings
from lab.moto_patches.route53 import find_records
from lab.reconcilers import load_balancers

Kind = Literal["distribution", "address", "load_balancer", "http_api", "api_domain"]

HTTP_PORT = 80
CLOUDFRONT_PREFIX_LIST = "com.amazonaws.global.cloudfront.origin-facing"


@dataclass(frozen=True)
class Entry:
    """A public entry.

    Attributes:
        kind: what it is.
        label: one word for it, unique; <label>.localhost leads there.
        names: host names and addresses it answers for, lower case.
        target: moto's object (distribution, network interface, load balancer, API, API Gateway's domain name).
        shown: belongs on the front page.
        region: where it is; "" for what is everywhere.
    """

    kind: Kind
    label: str
    names: tuple[str, ...]
    target: Any
    shown: bool = True
    region: str = ""


def find_all() -> list[Entry]:
    """All public entries: distributions, then addresses of instances, load balancers, HTTP APIs and their domains."""
    return [*_distributions(), *_addresses(), *_load_balancers(), *_http_apis(), *_api_domains()]


def _distributions() -> Iterator[Entry]:
    for distribution in list(cloudfront_backends[settings.ACCOUNT_ID]["aws"].distributions.values()):
        config = distribution.distribution_config
        aliases = [alias.lower() for alias in config["Aliases"].get("Items", [])]
        label = distribution.domain_name.split(".", 1)[0]
        own = (distribution.domain_name, *aliases)
        yield Entry("distribution", label, own, distribution, shown=config["Enabled"])


def _addresses() -> Iterator[Entry]:
    for backend in list(ec2_backends[settings.ACCOUNT_ID].values()):
        elastic = {address.public_ip for address in list(backend.addresses) if address.eni is not None}
        found = {interface.public_ip for interface in list(backend.enis.values()) if interface.public_ip}
        for public in sorted(elastic | found):
            interface = next(names.interfaces_of(public), None)
            if interface is None or interface.instance is None:
                continue
            dashed = public.replace(".", "-")
            zone = "compute-1" if backend.region_name == "us-east-1" else f"{backend.region_name}.compute"
            own = (public, f"ec2-{dashed}.{zone}.amazonaws.com")
            # Instances of an ASG have public addresses too, but nobody means those by "the address of the site".
            shown = public in elastic
            yield Entry("address", f"ip-{dashed}", own, interface, shown, backend.region_name)


def _load_balancers() -> Iterator[Entry]:
    for balancer in load_balancers.load_balancers():
        if balancer.scheme != "internal":
            region = balancer.arn.split(":")[3]
            yield Entry("load_balancer", balancer.name.lower(), (balancer.dns_name.lower(),), balancer, region=region)


def _http_apis() -> Iterator[Entry]:
    for region, api in http_apis.all_apis():
        if own := http_apis.names_of(region, api):
            yield Entry("http_api", api.api_id, own, api, region=region)


def _api_domains() -> Iterator[Entry]:
    # Under the names that records point to: what is asked for is in the Host header.
    for region, domain in http_apis.all_domains():
        name = http_apis.regional_name(domain)
        yield Entry("api_domain", name.partition(".")[0], (name,), domain, shown=False, region=region)


def split_host(host: str) -> tuple[str, int | None]:
    """Host name and port of a Host header."""
    name, separator, port = host.rpartition(":")
    if separator and port.isdigit():
        return name.strip("[]").lower(), int(port)
    return host.strip("[]").lower(), None


def is_loopback(name: str) -> bool:
    """Is this a name of the front door itself?"""
    return name in {"", "localhost", settings.LOOPBACK, settings.RESOLVER_ADDRESS, "::1"}


def choose(entries: Iterable[Entry], host: str) -> Entry | list[Entry]:
    """Find what a Host header means.

    Returns:
        The entry; for the front door's own name the only one of the foremost kind, or, if that is not one, a list of
        all to choose from (empty: nothing answers there).
    """
    known = list(entries)
    name, _ = split_host(host)
    if is_loopback(name):
        shown = [entry for entry in known if entry.shown]
        for kind in get_args(Kind):
            found = [entry for entry in shown if entry.kind == kind]
            if found:
                return found[0] if len(found) == 1 else shown
        return []
    if name.endswith(".localhost"):
        label = name.removesuffix(".localhost")
        return next((entry for entry in known if entry.label == label), [])
    return _by_name(known, name) or _by_zone(known, name) or []


def _by_name(known: list[Entry], name: str) -> Entry | None:
    return next((entry for entry in known if name in entry.names), None)


def _by_zone(known: list[Entry], name: str) -> Entry | None:
    """The entry that a record of the account's hosted zones leads to."""
    found = find_records(route53_backends[settings.ACCOUNT_ID]["aws"], name, private=False)
    for kind in dict.fromkeys(rrset.type for rrset in found):
        rrset = routing.choose([each for each in found if each.type == kind])
        assert rrset is not None
        if rrset.alias_target:
            targets = [rrset.alias_target["DNSName"].lower().rstrip(".").removeprefix("dualstack.")]
        elif rrset.type in {"A", "CNAME"}:
            targets = [value.lower().rstrip(".") for value in rrset.records]
        else:
            continue
        for target in targets:
            if entry := _by_name(known, target):
                return entry
    return None


def admits(groups: Iterable[Any], port: int, *, cloudfront: bool = False) -> bool:
    """Do security groups let the world (or CloudFront) in on a TCP port?

    Args:
        groups: moto's security groups.
        port: TCP port.
        cloudfront: the caller is CloudFront, so a rule with its prefix list counts too.
    """
    for group in groups:
        for rule in list(group.ingress_rules):
            anything = str(rule.ip_protocol) == "-1"
            if not anything and (str(rule.ip_protocol) not in {"tcp", "6"} or not _covers(rule, port)):
                continue
            if rule.ip_range.get("CidrIp") == "0.0.0.0/0" or (cloudfront and _is_cloudfront(group, rule)):
                return True
    return False


def _covers(rule: Any, port: int) -> bool:
    return rule.from_port is None or int(rule.from_port) <= port <= int(rule.to_port)


def _is_cloudfront(group: Any, rule: Any) -> bool:
    known = group.ec2_backend.managed_prefix_lists.get(rule.prefix_list_id)
    return known is not None and known.prefix_list_name == CLOUDFRONT_PREFIX_LIST
