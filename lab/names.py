"""What a name of the lab's AWS stands for: the names AWS gives, and the hosted zones of the account."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moto.cloudfront.models import cloudfront_backends
from moto.ec2.models import ec2_backends
from moto.route53.models import route53_backends

from lab import routing, settings
from lab.moto_patches import servicediscovery
from lab.moto_patches.route53 import find_records, owning_zone
from lab.reconcilers import caches, databases, load_balancers

AWS_SUFFIXES = (".amazonaws.com", ".cloudfront.net", ".ec2.internal", ".compute.internal")
"""Names under these are the lab's to answer, known or not: none of them may lead out of the machine."""

TTL = 60
DISCOVERY_TTL = 10
"""Of names of tasks, which come and go."""
LONGEST_CHAIN = 8
PRIVATE_NAME = re.compile(r"ip-(\d+)-(\d+)-(\d+)-(\d+)\.(?:ec2|[a-z0-9-]+\.compute)\.internal")
PUBLIC_NAME = re.compile(r"ec2-(\d+)-(\d+)-(\d+)-(\d+)\.(?:compute-1|[a-z0-9-]+\.compute)\.amazonaws\.com")


@dataclass(frozen=True)
class Record:
    """One record of an answer; `value` is in a zone file's notation."""

    name: str
    kind: str
    ttl: int
    value: str


@dataclass(frozen=True)
class Answer:
    """Records of a name; none and `exists` is NODATA, none and not `exists` is NXDOMAIN."""

    records: tuple[Record, ...]
    exists: bool


def normal(name: str) -> str:
    """A name in lower case without the dot at the end."""
    return name.rstrip(".").lower()


def lookup(name: str, kind: str) -> Answer | None:
    """Answer a question about a name.

    Args:
        name: the name asked for.
        kind: record type (A, CNAME, TXT …).

    Returns:
        The answer, or None if the name is not the lab's to answer.
    """
    records: list[Record] = []
    asked = normal(name)
    for _ in range(LONGEST_CHAIN):
        found = _step(asked, kind)
        if found is None:
            # A CNAME that leads out of the lab: the asker resolves the rest.
            return Answer(tuple(records), exists=True) if records else None
        records += [Record(asked, record.kind, record.ttl, record.value) for record in found.records]
        if found.records and found.records[0].kind == "CNAME" and kind != "CNAME":
            asked = normal(found.records[0].value)
            continue
        return Answer(tuple(records), found.exists or len(records) > 0)
    return Answer((), exists=True)


def addresses(name: str) -> list[str]:
    """IPv4 addresses of a name, as a host in a VPC would get them; none if it is unknown."""
    answer = lookup(name, "A")
    return [] if answer is None else [record.value for record in answer.records if record.kind == "A"]


def _step(name: str, kind: str) -> Answer | None:
    if (instances := servicediscovery.addresses(name)) is not None:
        return Answer(
            tuple(Record(name, "A", DISCOVERY_TTL, address) for address in instances) if kind == "A" else (),
            exists=bool(instances),
        )
    backend = route53_backends[settings.ACCOUNT_ID]["aws"]
    if owning_zone(backend, name) is not None:
        return _from_zone(backend, name, kind)
    if not f".{name}".endswith(AWS_SUFFIXES):
        return None
    found = list(_of_aws(name))
    records = tuple(Record(name, "A", TTL, address) for address in found) if kind == "A" else ()
    return Answer(records, exists=bool(found))


def _of_aws(name: str) -> Iterator[str]:
    """Addresses of a name that AWS gives to a resource."""
    for balancer in load_balancers.load_balancers():
        if normal(balancer.dns_name) == name and (found := load_balancers.address(balancer)):
            yield found
    for _, database in databases.databases():
        if (
            normal(database.address) == name
            and database.status != "creating"
            and (found := databases.address(database))
        ):
            yield found
    if name.endswith(".cache.amazonaws.com"):
        yield from caches.addresses_of(name)
    if name.endswith(".cloudfront.net"):
        for distribution in list(cloudfront_backends[settings.ACCOUNT_ID]["aws"].distributions.values()):
            if distribution.domain_name == name:
                # The front door listens there for hosts: its loopback address is this machine's alone.
                yield settings.RESOLVER_ADDRESS
    if match := PRIVATE_NAME.fullmatch(name):
        yield ".".join(match.groups())
    if match := PUBLIC_NAME.fullmatch(name):
        yield from private_addresses(".".join(match.groups()))


def interfaces_of(public: str) -> Iterator[Any]:
    """Network interfaces that have a public address."""
    for backend in list(ec2_backends[settings.ACCOUNT_ID].values()):
        for interface in list(backend.enis.values()):
            if interface.public_ip == public:
                yield interface
        for address in list(backend.addresses):
            if address.public_ip == public and address.eni is not None:
                yield address.eni


def private_addresses(public: str) -> list[str]:
    """Private addresses behind a public one: inside a VPC public names lead there."""
    return list(dict.fromkeys(interface.private_ip_address for interface in interfaces_of(public)))


def _from_zone(backend: Any, name: str, kind: str) -> Answer:
    candidates = find_records(backend, name)
    if not candidates:
        # A wildcard stands for any number of labels.
        parent = name
        while not candidates and "." in parent:
            parent = parent.split(".", 1)[1]
            candidates = find_records(backend, f"*.{parent}")
    for wanted in (kind, "CNAME"):
        rrset = routing.choose([each for each in candidates if each.type == wanted])
        if rrset is None:
            continue
        if rrset.alias_target:
            return _alias(rrset, kind)
        ttl = int(rrset.ttl or TTL)
        values = rrset.records if wanted != "CNAME" else rrset.records[:1]
        return Answer(tuple(Record(name, wanted, ttl, value) for value in values), exists=True)
    return Answer((), exists=bool(candidates))


def routing_ttl(name: str) -> int:
    """Seconds for which resolvers keep the answer for a name whose records have a routing policy; 0 for all others."""
    found = find_records(route53_backends[settings.ACCOUNT_ID]["aws"], name, private=False)
    return max((int(each.ttl or TTL) for each in found if each.set_identifier), default=0)


def _alias(rrset: Any, kind: str) -> Answer:
    """Records of an alias: those of its target, under its own name."""
    target = normal(rrset.alias_target["DNSName"]).removeprefix("dualstack.")
    found = lookup(target, kind)
    records = () if found is None else tuple(record for record in found.records if record.kind == kind)
    return Answer(records, exists=True)
