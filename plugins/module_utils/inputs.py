"""What a person may set, and what is wrong with what they set.

Pure functions without Ansible and without AWS: the inventory's guard and the action ``validate_inputs`` both call
:func:`check_inputs` before anything is asked of AWS. Every rule is checked, so that one run shows every mistake.

Rules are AWS's own where no other source is named:

* VPC and subnet sizes, five reserved addresses a subnet: "Subnet CIDR blocks", Amazon VPC User Guide.
* A /27 with eight free addresses for a load balancer's subnet: "Application Load Balancers", Elastic Load Balancing.
* Two zones for a load balancer: the same page. For a database: "Working with a DB instance in a VPC", Amazon RDS.
* 32 characters, no leading ``internal-`` for load balancers and target groups: CreateLoadBalancer, CreateTargetGroup.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

IPv4Network = ipaddress.IPv4Network

#: Of a load balancer and of a target group.
LONGEST_NAME = 32
#: The target group of an environment that has a load balancer, or is given one when it grows.
BACKEND = "-backend"
#: How the name of a parameter must not begin (PutParameter, AWS Systems Manager).
RESERVED_NAMES = ("aws", "ssm")
#: Members of an origin group (Amazon CloudFront Developer Guide, "Optimize high availability with CloudFront origin
#: failover").
MOST_REGIONS = 2
LARGEST_NETWORK, SMALLEST_NETWORK = 16, 28
SMALLEST_LOAD_BALANCER_SUBNET = 27
RESERVED_ADDRESSES = 5
LOAD_BALANCER_ADDRESSES = 8
ZONES_NEEDED = 2
NAT_GATEWAYS = ("none", "one", "per_zone")
STRATEGIES = ("rolling", "blue_green")
#: Minutes ("Creating an Amazon ECS blue/green deployment", Amazon ECS Developer Guide).
LONGEST_BAKE = 1440
HIGHEST_PORT = 65535
SSH_PORT = 22
#: PutRetentionPolicy, Amazon CloudWatch Logs API; those that amazon.aws.cloudwatchlogs_log_group takes.
RETENTION_DAYS = frozenset({1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653})
#: What other tools, and people, call our variables.
OTHER_NAMES = {
    "version": "release",
    "app": "app_name",
    "application": "app_name",
    "env": "deploy_env",
    "environment": "deploy_env",
    "region": "aws_region",
    "cidr": "network_vpc_cidr",
    "vpc_cidr": "network_vpc_cidr",
    "min_size": "compute_min_size",
    "max_size": "compute_max_size",
    "desired_capacity": "compute_desired_capacity",
    "instance_type": "compute_instance_type",
    "instance_class": "database_instance_class",
}
#: What Ansible's filter ``bool`` knows; everything else it takes for false.
SWITCH = frozenset(("true", "yes", "on", "1", "false", "no", "off", "0"))
#: How alike a misspelt variable must be to a known one before it is called a mistake (0 to 1).
VARIABLE_LIKENESS = 0.8

_NAME = re.compile(r"[a-z](?:-?[a-z0-9])*")
_DOMAIN_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
RELEASE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_SIZE = r"(?:nano|micro|small|medium|large|(?:\d{1,2})?xlarge|metal(?:-\d{1,2}xl)?)"
_INSTANCE_TYPE = re.compile(rf"[a-z][a-z0-9-]*\d[a-z0-9-]*\.{_SIZE}")
_INSTANCE_CLASS = re.compile(rf"db\.[a-z][a-z0-9-]*\d[a-z0-9-]*\.{_SIZE}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)+")
_BRANCH = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,253}[A-Za-z0-9])?")
_ENGINE_VERSION = re.compile(r"\d{2}(?:\.\d+)?")
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d"
_DAY_TIME = rf"(?:mon|tue|wed|thu|fri|sat|sun):{_TIME}"


@dataclass(frozen=True)
class Problem:
    """One wrong input: the variable, where it was set, what is wrong and how to mend it."""

    name: str
    where: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.name} ({self.where}): {self.what}; {self.mend}"


@dataclass(frozen=True)
class Option:
    """What a variable may be.

    :param type: as in an argument spec, e.g. ``bool``.
    :param choices: the only values, if there are such.
    """

    type: str = "str"
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Knowledge:
    """What the project knows about its own variables.

    :param tiers: every tier by name, in the order people should see them.
    :param regions: AWS regions by id.
    :param variables: every variable that the project reads, and what it may be.
    :param sources: file that sets a variable, by the variable's name.
    :param given: names given on the command line.
    :param verb: name of the playbook that was called, e.g. ``deploy``.
    :param own: words in what the user has written and the run reads, hooks and settings: names of the user's own
        variables are among them. None when that is not known, and every name may be one.
    :param whole: whether every task is to run, and not those of some tags.
    """

    tiers: Sequence[str]
    regions: Collection[str]
    variables: Mapping[str, Option] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    given: Collection[str] = ()
    verb: str = ""
    own: Collection[str] | None = None
    whole: bool = True

    def where(self, name: str) -> str:
        """Say where a person finds the value of ``name``."""
        if name in self.given:
            return "-e"
        return self.sources.get(name, "not set")


def check_inputs(values: Mapping[str, Any], known: Knowledge) -> list[Problem]:
    """Return every problem with ``values``, none when all is well.

    A variable that is missing from ``values`` is not checked: a later stage that needs it says so.
    """
    checks: tuple[Callable[[Mapping[str, Any], Knowledge], Iterable[Problem]], ...] = (
        _unknown_variables,
        _tier,
        _region,
        _regions,
        _names,
        _domain,
        _release,
        _networks,
        _zones,
        _nat_gateways,
        _deployments,
        _capacity,
        _ports,
        _sizes,
        _log_retention,
        _patterns,
    )
    return [problem for check in checks for problem in check(values, known)]


def suggestion(wrong: str, right: Collection[str], likeness: float = 0.5) -> str:
    """Return ``did you mean x? `` when ``wrong`` looks like one of ``right``, otherwise nothing."""
    close = difflib.get_close_matches(wrong, right, n=5, cutoff=likeness)
    # Two letters swapped is the commonest slip, and difflib rates it below a letter replaced.
    close.sort(key=lambda candidate: sorted(candidate) != sorted(wrong))
    return f"did you mean {close[0]}? " if close else ""


def _unknown_variables(_values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    for name in known.given:
        # What scale says of a group's limits is its own.
        if known.verb == "scale" and name in ("min", "max"):
            continue
        if name in known.variables or name.startswith("ansible_"):
            continue
        if name in OTHER_NAMES:
            yield Problem(name, "-e", "playbooks know it by another name", f"write -e {OTHER_NAMES[name]}=…")
            continue
        if name in (known.own or ()):
            continue
        close = difflib.get_close_matches(name, known.variables, n=1, cutoff=VARIABLE_LIKENESS)
        mend = f"did you mean {close[0]}?" if close else "leave it out: no hook of yours names it either"
        if close or known.own is not None:
            yield Problem(name, "-e", "nothing reads a variable of this name", mend)


def _tier(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    if "tier" not in values:
        return
    tier = str(values["tier"])
    if tier not in known.tiers:
        mend = suggestion(tier, known.tiers) + f"one of {', '.join(known.tiers)}"
        yield Problem("tier", known.where("tier"), f"unknown tier '{tier}'", mend)


def _region(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    if "aws_region" not in values:
        return
    region = str(values["aws_region"])
    if region not in known.regions:
        mend = suggestion(region, known.regions) + "`aws ec2 describe-regions` lists them"
        yield Problem("aws_region", known.where("aws_region"), f"unknown region '{region}'", mend)


def _regions(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    """Check the regions of an environment, which most have one of."""
    name, given = "regions", values.get("regions")
    if not given:
        return
    if not isinstance(given, str):
        yield Problem(name, known.where(name), "is not a text", "write -e regions=us-east-1,eu-west-1")
        return
    regions = given.split(",")
    for region in regions:
        if region not in known.regions:
            mend = suggestion(region, known.regions) + "`aws ec2 describe-regions` lists them"
            yield Problem(name, known.where(name), f"unknown region '{region}'", mend)
    if len(set(regions)) != len(regions):
        yield Problem(name, known.where(name), "names a region twice", "name each once")
    if len(regions) > MOST_REGIONS:
        what = f"{len(regions)} regions: a distribution of CloudFront has one origin to fail over to"
        yield Problem(name, known.where(name), what, f"name at most {MOST_REGIONS}")
    home = str(values.get("aws_region", regions[0]))
    if name in known.given and regions[0] != home:
        what = f"begins with {regions[0]}, and the environment is in {home}"
        yield Problem(name, known.where(name), what, f"name {home} first, or write -e aws_region={regions[0]}")
    if len(regions) == 1:
        return
    if "layers" in values and not values.get("region_layers"):
        what = f"tier {values.get('tier')} is built in one region only"
        yield Problem(name, known.where(name), what, "leave it out, or choose -e tier=serverless or microservices")
    if "domain" in values and not values["domain"]:
        what = "several regions, and no domain whose records could lead from one to the other"
        yield Problem("domain", known.where("domain"), what, "write -e domain=cars.example.com")


def _names(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    for name in ("app_name", "deploy_env"):
        value = str(values.get(name, "x"))
        if not _NAME.fullmatch(value):
            yield Problem(
                name,
                known.where(name),
                f"'{value}' cannot be part of AWS names",
                "use a-z, 0-9 and single hyphens, starting with a letter, not ending with a hyphen",
            )
    app, env = str(values.get("app_name", "")), str(values.get("deploy_env", ""))
    if app.startswith(RESERVED_NAMES):
        what = f"'{app}' begins with {' or '.join(RESERVED_NAMES)}, and so would every parameter's name"
        yield Problem("app_name", known.where("app_name"), what, "choose another: Parameter Store keeps these")
    prefix = f"{app}-{env}"
    # The first of several that are as long.
    suffix, what = max(_suffixes(values), key=lambda each: len(each[0]))
    room = LONGEST_NAME - len(suffix)
    if len(prefix) > room:
        yield Problem(
            "app_name",
            known.where("app_name"),
            f"'{prefix}' (app_name and deploy_env) has {len(prefix)} characters",
            f"the name of {what} ends in '{suffix}' and leaves room for {room}: choose shorter ones",
        )
    if prefix.startswith("internal-"):
        yield Problem(
            "app_name", known.where("app_name"), "a load balancer's name may not begin with 'internal-'", "rename it"
        )


def _suffixes(values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield what follows the prefix in names of at most 32 characters, each with whose name that is."""
    yield BACKEND, "a target group"
    paths = values.get("load_balancer_paths") or {}
    for service in paths:
        yield f"-{service}", f"the target group of {service}"
        if values.get("containers_strategy") == "blue_green":
            yield f"-{service}-2", f"the second target group of {service}"
    regions = values.get("regions")
    if isinstance(regions, str) and "load_balancer" in (values.get("region_layers") or ()):
        # The target groups of paths leave the region out of their names.
        for region in regions.split(",")[1:]:
            yield f"-{region}", f"the load balancer in {region}"
            if not paths:
                yield f"-{region}{BACKEND}", f"the target group in {region}"


def _domain(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    domain = str(values.get("domain") or "")
    if not domain:
        return
    labels = domain.split(".")
    # What ends in a number is an address.
    full = len(labels) > 1 and len(domain) <= 253 and not labels[-1].isdigit()
    if "://" in domain or "/" in domain or ":" in domain:
        mend = "write the name alone, e.g. cars.example.com"
    elif domain != domain.lower():
        mend = f"write it in lower case: {domain.lower()}"
    elif not full or not all(_DOMAIN_LABEL.fullmatch(label) for label in labels):
        mend = "write a full name of a-z, 0-9 and hyphens, e.g. cars.example.com"
    else:
        return
    yield Problem("domain", known.where("domain"), f"'{domain}' is not a domain name", mend)


def _release(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    given = values.get("release") or ""
    if not isinstance(given, str):
        yield Problem("release", known.where("release"), f"{given} is a number here", f'put it in quotes: "{given}"')
    release = str(given)
    if release and not RELEASE_NAME.fullmatch(release):
        yield Problem(
            "release",
            known.where("release"),
            f"'{release}' is not a release name",
            "use letters, digits and . _ + - (at most 64), e.g. 1.4.0-3f2a91c0b7de",
        )


def _parse_network(name: str, text: Any, known: Knowledge) -> tuple[IPv4Network | None, list[Problem]]:
    """Read one CIDR block; the list holds what is wrong with it."""
    where = known.where(name)
    try:
        network = IPv4Network(str(text))
    except ValueError:
        try:
            aligned = IPv4Network(str(text), strict=False)
        except ValueError:
            return None, [Problem(name, where, f"'{text}' is not an IPv4 network", "write it like 10.0.0.0/16")]
        problem = Problem(name, where, f"'{text}' has bits set after its prefix", f"the network is {aligned}")
        return None, [problem]
    if network.prefixlen < LARGEST_NETWORK:
        problem = Problem(
            name, where, f"{network} is too large", f"AWS takes /{LARGEST_NETWORK} to /{SMALLEST_NETWORK}"
        )
        return None, [problem]
    # "VPC CIDR blocks", Amazon VPC User Guide.
    this_network = network.subnet_of(IPv4Network("0.0.0.0/8"))
    if this_network or network.is_loopback or network.is_link_local or network.is_multicast:
        problem = Problem(name, where, f"{network} is kept for other things", "choose a private one, e.g. 10.0.0.0/16")
        return None, [problem]
    if network.prefixlen > SMALLEST_NETWORK:
        problem = Problem(
            name, where, f"{network} is too small", f"AWS takes /{LARGEST_NETWORK} to /{SMALLEST_NETWORK}"
        )
        return None, [problem]
    return network, []


def _networks(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    vpc: IPv4Network | None = None
    if "network_vpc_cidr" in values:
        vpc, problems = _parse_network("network_vpc_cidr", values["network_vpc_cidr"], known)
        yield from problems
    layers = values.get("layers", ())
    seen: list[tuple[str, IPv4Network]] = []
    for name in ("network_public_subnet_cidrs", "network_private_subnet_cidrs", "network_database_subnet_cidrs"):
        blocks = values.get(name, [])
        if not isinstance(blocks, list):
            example = f"""-e '{{"{name}": ["10.0.1.0/24", "10.0.2.0/24"]}}'"""
            yield Problem(name, known.where(name), "is not a list of networks", f"write it like {example}")
            continue
        for block in blocks:
            network, problems = _parse_network(name, block, known)
            yield from problems
            if network is None:
                continue
            where = known.where(name)
            if vpc is not None and not network.subnet_of(vpc):
                yield Problem(name, where, f"{network} is outside the VPC", f"choose a part of {vpc}")
            for other_name, other in seen:
                if network.overlaps(other):
                    yield Problem(name, where, f"{network} overlaps {other} ({other_name})", "give each its own range")
            too_small = network.prefixlen > SMALLEST_LOAD_BALANCER_SUBNET
            if name == "network_public_subnet_cidrs" and "load_balancer" in layers and too_small:
                yield Problem(
                    name,
                    where,
                    f"{network} is too small for a load balancer",
                    f"it needs {LOAD_BALANCER_ADDRESSES} free addresses: /{SMALLEST_LOAD_BALANCER_SUBNET} or larger",
                )
            seen.append((name, network))


def _zones(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    layers = values.get("layers", ())
    for layer, subnets in (("load_balancer", "public"), ("load_balancer", "private"), ("database", "database")):
        name = f"network_{subnets}_subnet_cidrs"
        blocks = values.get(name)
        # Without private subnets instances are in the public ones.
        wanted = layer in layers and (blocks or subnets != "private")
        if wanted and isinstance(blocks, list) and len(blocks) < ZONES_NEEDED:
            yield Problem(
                name,
                known.where(name),
                f"{len(blocks)} subnet for the {layer.replace('_', ' ')}",
                f"it needs {ZONES_NEEDED} availability zones: give one network for each",
            )
    zones = values.get("network_availability_zones") or []
    where = known.where("network_availability_zones")
    if not isinstance(zones, list):
        yield Problem(
            "network_availability_zones", where, "is not a list", """write -e '{"network_availability_zones": [...]}'"""
        )
        return
    if not zones:
        return
    if len(set(zones)) != len(zones):
        yield Problem("network_availability_zones", where, "names a zone twice", "name each zone once")
        return
    region = str(values.get("aws_region", ""))
    for zone in zones:
        if region in known.regions and not re.fullmatch(re.escape(region) + r"(?:[a-z]|-.+)", str(zone)):
            yield Problem("network_availability_zones", where, f"'{zone}' is not in {region}", f"e.g. {region}a")
    if len(set(zones)) < ZONES_NEEDED and {"load_balancer", "database"} & set(layers):
        yield Problem(
            "network_availability_zones", where, "fewer than two availability zones", f"this tier needs {ZONES_NEEDED}"
        )


def _nat_gateways(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    """Check that instances in private subnets can get out: they start with what AWS's APIs tell them."""
    private, public = (values.get(f"network_{kind}_subnet_cidrs") or [] for kind in ("private", "public"))
    name, choice = "network_nat_gateways", str(values.get("network_nat_gateways", "none"))
    if choice not in NAT_GATEWAYS:
        yield Problem(name, known.where(name), f"unknown '{choice}'", f"one of {', '.join(NAT_GATEWAYS)}")
    if not private or not isinstance(private, list) or not isinstance(public, list):
        return
    # What is there asks AWS alone, and there it has endpoints.
    if choice == "none" and values.get("network_interface_endpoints"):
        return
    if choice == "none":
        what = "instances in private subnets would reach neither AWS's APIs nor package mirrors"
        yield Problem(name, known.where(name), what, "write -e network_nat_gateways=one, or per_zone")
    name = "network_private_subnet_cidrs"
    if len(private) > len(public):
        what = f"{len(private)} private subnets and {len(public)} public ones"
        yield Problem(
            name, known.where(name), what, "each zone needs a public one too, for load balancer and NAT gateway"
        )


def _deployments(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    name, strategy = "containers_strategy", values.get("containers_strategy", "rolling")
    if strategy not in STRATEGIES:
        mend = suggestion(str(strategy), STRATEGIES) + f"one of {', '.join(STRATEGIES)}"
        yield Problem(name, known.where(name), f"unknown strategy '{strategy}'", mend)
    name = "containers_bake_minutes"
    minutes = whole_number(values.get(name, 0))
    if minutes is None or not 0 <= minutes <= LONGEST_BAKE:
        what = f"'{values[name]}' is not a number of minutes to bake for"
        yield Problem(name, known.where(name), what, f"give 0 to {LONGEST_BAKE}")


def whole_number(value: Any) -> int | None:
    """Return a whole number given as such or as the text that ``-e name=value`` makes of it."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    text = str(value)
    return int(text) if re.fullmatch(r"-?\d{1,9}", text) else None


def _capacity(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    numbers: dict[str, int] = {}
    for name in ("compute_min_size", "compute_desired_capacity", "compute_max_size"):
        value = values.get(name, "")
        if value == "" or value is None:
            continue
        number = whole_number(value)
        if number is None or number < 0:
            yield Problem(name, known.where(name), f"'{value}' is not a number of instances", "give 0 or more")
        else:
            numbers[name] = number
    low, wanted, high = (numbers.get(n) for n in ("compute_min_size", "compute_desired_capacity", "compute_max_size"))
    if high is not None and high == 0:
        yield Problem("compute_max_size", known.where("compute_max_size"), "0 leaves no instance", "give 1 or more")
    if low is not None and high is not None and low > high:
        name = "compute_min_size"
        yield Problem(
            name, known.where(name), f"{low} is more than compute_max_size ({high})", "raise the maximum or lower this"
        )
    name = "compute_desired_capacity"
    if wanted is not None and low is not None and wanted < low:
        yield Problem(name, known.where(name), f"{wanted} is less than compute_min_size ({low})", f"give {low} or more")
    if wanted is not None and high is not None and wanted > high:
        yield Problem(
            name, known.where(name), f"{wanted} is more than compute_max_size ({high})", f"give {high} or less"
        )
    yield from _room(values, known, high)


def _room(values: Mapping[str, Any], known: Knowledge, instances: int | None) -> Iterable[Problem]:
    """Check that the instances' subnets have an address for each, besides the load balancer's own in public ones."""
    kind = "private" if values.get("network_private_subnet_cidrs") else "public"
    blocks = values.get(f"network_{kind}_subnet_cidrs")
    if instances is None or not isinstance(blocks, list):
        return
    shared = kind == "public" and "load_balancer" in values.get("layers", ())
    taken = RESERVED_ADDRESSES + (LOAD_BALANCER_ADDRESSES if shared else 0)
    room = 0
    for block in blocks:
        network, problems = _parse_network(f"network_{kind}_subnet_cidrs", block, known)
        if network is None or problems:
            return
        room += max(0, network.num_addresses - taken)
    if instances > room:
        name = "compute_max_size"
        yield Problem(
            name, known.where(name), f"{instances} instances do not fit", f"the {kind} subnets have room for {room}"
        )


def _ports(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    single = [("backend_port", values["backend_port"])] if "backend_port" in values else []
    several = values.get("network_load_balancer_ports", [])
    if not isinstance(several, list):
        name = "network_load_balancer_ports"
        yield Problem(name, known.where(name), "is not a list of ports", f"""write -e '{{"{name}": [80, 443]}}'""")
        several = []
    for name, value in [*single, *(("network_load_balancer_ports", port) for port in several)]:
        number = whole_number(value)
        if number is None or not 1 <= number <= HIGHEST_PORT:
            yield Problem(name, known.where(name), f"'{value}' is not a port", f"give 1 to {HIGHEST_PORT}")
        elif number == SSH_PORT:
            yield Problem(name, known.where(name), "port 22 is SSH's", "choose another, e.g. 3000")


def _sizes(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    # gp3 root volumes and RDS gp3 storage for PostgreSQL: "Amazon EBS volume types", "Amazon RDS DB instance storage".
    # The bake time: RefreshPreferences, Amazon EC2 Auto Scaling API.
    limits = {
        "compute_volume_size": (8, 65536, "GiB"),
        "database_allocated_storage": (20, 65536, "GiB"),
        "database_backup_retention_days": (1, 35, "days"),
        "audit_budget": (0, 10_000_000, "USD a month"),
        # "Rate-based rule high-level settings", AWS WAF Developer Guide.
        "firewall_rate_limit": (10, 2_000_000_000, "requests in 5 minutes"),
        # "Lambda quotas", "Creating an Amazon SQS event source mapping", "Amazon SQS message quotas".
        "functions_timeout": (1, 900, "seconds"),
        "functions_memory": (128, 10240, "MB"),
        "functions_batch_size": (1, 10, "messages"),
        "functions_batching_window": (0, 300, "seconds"),
        "functions_maximum_concurrency": (2, 1000, "batches at the same time"),
        "queue_max_receive_count": (1, 1000, "deliveries"),
        "queue_retention_days": (1, 14, "days"),
        "queue_dead_letter_retention_days": (1, 14, "days"),
        "pipeline_bake_time": (0, 172800, "seconds"),
    }
    for name, (least, most, unit) in limits.items():
        if name not in values:
            continue
        number = whole_number(values[name])
        if number is None or not least <= number <= most:
            yield Problem(
                name, known.where(name), f"'{values[name]}' is not possible", f"give {least} to {most} {unit}"
            )


def _log_retention(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    name = "monitoring_log_retention_days"
    # The module that sets it deletes the log group before it refuses a number.
    if name in values and whole_number(values[name]) not in RETENTION_DAYS:
        days = ", ".join(map(str, sorted(RETENTION_DAYS)))
        yield Problem(name, known.where(name), f"CloudWatch Logs knows no {values[name]} days", f"give one of {days}")


def _patterns(values: Mapping[str, Any], known: Knowledge) -> Iterable[Problem]:
    patterns = {
        "compute_instance_type": (_INSTANCE_TYPE, "an instance type", "write it like t3.micro"),
        "image_instance_type": (_INSTANCE_TYPE, "an instance type", "write it like t3.micro"),
        "database_instance_class": (_INSTANCE_CLASS, "a database instance class", "write it like db.t3.micro"),
        "database_engine_version": (_ENGINE_VERSION, "a PostgreSQL version", "write the major version, e.g. 17"),
        "database_backup_window": (re.compile(rf"{_TIME}-{_TIME}"), "a time of the day", "write it like 03:00-04:00"),
        "database_maintenance_window": (
            re.compile(rf"{_DAY_TIME}-{_DAY_TIME}"),
            "a time of the week",
            "write it like sun:04:00-sun:05:00",
        ),
        "monitoring_email": (_EMAIL, "an e-mail address", "write it like ops@example.com"),
        "pipeline_repository": (_REPOSITORY, "a repository", "write it like owner/name, without https:// and .git"),
        "pipeline_branch": (_BRANCH, "a branch", "write it like main"),
    }
    for name, (pattern, what, mend) in patterns.items():
        value = str(values.get(name) or "")
        if value and not pattern.fullmatch(value):
            yield Problem(name, known.where(name), f"'{value}' is not {what}", mend)


#: Every variable that :func:`check_inputs` reads: what a caller has to template for it.
CHECKED = (
    "tier",
    "layers",
    "aws_region",
    "regions",
    "region_layers",
    "load_balancer_paths",
    "app_name",
    "deploy_env",
    "domain",
    "release",
    "network_vpc_cidr",
    "network_public_subnet_cidrs",
    "network_private_subnet_cidrs",
    "network_database_subnet_cidrs",
    "network_nat_gateways",
    "network_interface_endpoints",
    "network_availability_zones",
    "network_load_balancer_ports",
    "backend_port",
    "compute_min_size",
    "compute_desired_capacity",
    "compute_max_size",
    "compute_instance_type",
    "compute_volume_size",
    "image_instance_type",
    "database_instance_class",
    "database_allocated_storage",
    "database_backup_retention_days",
    "database_engine_version",
    "containers_strategy",
    "containers_bake_minutes",
    "audit_budget",
    "firewall_rate_limit",
    "database_backup_window",
    "database_maintenance_window",
    "monitoring_email",
    "monitoring_log_retention_days",
    "functions_timeout",
    "functions_memory",
    "functions_batch_size",
    "functions_batching_window",
    "functions_maximum_concurrency",
    "queue_max_receive_count",
    "queue_retention_days",
    "queue_dead_letter_retention_days",
    "pipeline_bake_time",
    "pipeline_branch",
    "pipeline_repository",
)
