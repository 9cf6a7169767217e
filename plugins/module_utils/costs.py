"""What an environment costs a month before traffic.

Prices come from ``group_vars/all/prices.yml``, which names the source and the date of each. Traffic, load balancer
capacity units, S3 requests and CloudFront beyond its free terabyte depend on the visitors and are left out, as are
amounts below ten cents (S3 storage of a few releases).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FIREWALL_RULES = 4
"""What roles/firewall sets in a web ACL unless told otherwise: a rate limit and three groups of rules."""


SERVICE_SECRETS = 3
"""What the services of roles/containers keep from each other."""


@dataclass(frozen=True)
class Demand:
    """Something that is paid by the month: a key of the price file, how much of it, and what people call it."""

    price: str
    quantity: float
    name: str


@dataclass(frozen=True)
class Line:
    """One line of a bill in USD a month; ``usd`` is None where the price file has no price."""

    name: str
    price: str
    quantity: float
    usd: float | None


def bill(demands: Iterable[Demand], prices: Mapping[str, Mapping[str, Any]]) -> list[Line]:
    """Price each demand; those with nothing to pay for are left out."""
    lines = []
    for demand in demands:
        if demand.quantity:
            price = prices.get(demand.price)
            usd = None if price is None else float(price["usd"]) * demand.quantity
            lines.append(Line(demand.name, demand.price, demand.quantity, usd))
    return lines


def total(lines: Iterable[Line]) -> float:
    """Add up what has a price."""
    return sum(line.usd for line in lines if line.usd is not None)


def unpriced(lines: Iterable[Line]) -> list[str]:
    """Return the keys that the price file lacks."""
    return [line.price for line in lines if line.usd is None]


def _instances(kind: str, count: int, volume_gb: float) -> list[Demand]:
    return [
        Demand(f"ec2 {kind}", count, f"EC2 {kind}"),
        Demand("ebs gp3", count * volume_gb, "EBS gp3 GB"),
    ]


def _database(instance_class: str, storage_gb: float, multi_az: bool) -> list[Demand]:
    standby = "multi-az" if multi_az else "single"
    return [
        Demand(f"rds {instance_class} {standby}", 1, f"RDS {instance_class} {standby}"),
        Demand(f"rds gp3 {standby}", storage_gb, f"RDS storage GB {standby}"),
    ]


def _firewall(acls: int, rules: int) -> list[Demand]:
    """One web ACL is CloudFront's, the other the load balancer's; a further region has that alone."""
    return [Demand("web acl", acls, "web ACL"), Demand("web acl rule", rules, "web ACL rule")]


def _firewall_acls(layers: Sequence[str]) -> int:
    return ("firewall" in layers) * (1 + ("edge" in layers))


def _cache(node_type: str, nodes: int) -> Demand:
    return Demand(f"valkey {node_type}", nodes, f"Valkey {node_type}")


def _secrets(layers: Sequence[str]) -> int:
    """Return how many secrets there are: one for each store with a password, and the application's own."""
    own = SERVICE_SECRETS if "containers" in layers else int("compute" in layers)
    return own + sum(layer in layers for layer in ("database", "cache"))


def _tasks(count: float, cpu: float, memory: float) -> list[Demand]:
    """Fargate by how many tasks of a size: CPU units and MiB, of which a whole one of each has 1024."""
    return [
        Demand("fargate vcpu", count * cpu / 1024, "Fargate vCPU"),
        Demand("fargate gb", count * memory / 1024, "Fargate GB"),
    ]


def _nat_gateways(tier: Mapping[str, Any]) -> int:
    """Return how many NAT gateways a tier's data asks for."""
    private = tier.get("network_private_subnet_cidrs", [])
    return {"one": min(1, len(private)), "per_zone": len(private)}.get(str(tier.get("network_nat_gateways")), 0)


def _interface_endpoints(tier: Mapping[str, Any]) -> int:
    """Return how many interface endpoints a tier's data asks for; each is in one zone."""
    return len(tier.get("network_interface_endpoints", [])) if "network" in tier["layers"] else 0


def tier_demands(tier: Mapping[str, Any]) -> list[Demand]:
    """Return what a tier's data (``group_vars/tier_<name>.yml``) asks for, at its smallest number of instances."""
    layers = tier["layers"]
    group = tier.get("compute_kind") == "auto_scaling_group"
    count = 0 if "compute" not in layers else int(tier.get("compute_min_size", 1)) if group else 1
    volume = float(tier.get("compute_volume_size", 0))
    demands = _instances(str(tier["compute_instance_type"]), count, volume) if "compute" in layers else []
    # Instances in private subnets have no address of their own; NAT gateways do.
    gateways = _nat_gateways(tier) if "network" in layers else 0
    addresses = gateways + (0 if tier.get("network_private_subnet_cidrs") else count)
    demands.append(Demand("nat gateway", gateways, "NAT gateway"))
    if "load_balancer" in layers:
        demands.append(Demand("alb", 1, "load balancer"))
        # A load balancer has a public address in each of its zones.
        addresses += len(tier["network_public_subnet_cidrs"])
    demands.append(Demand("ipv4", addresses, "public IPv4"))
    demands.append(Demand("interface endpoint", _interface_endpoints(tier), "interface endpoint"))
    if "database" in layers:
        storage = float(tier["database_allocated_storage"])
        demands += _database(str(tier["database_instance_class"]), storage, bool(tier["database_multi_az"]))
        if tier.get("database_read_replica"):
            demands += _database(str(tier["database_instance_class"]), storage, multi_az=False)
    demands += _firewall(_firewall_acls(layers), FIREWALL_RULES * _firewall_acls(layers))
    if "cache" in layers:
        demands.append(_cache(str(tier["cache_node_type"]), 1 + int(tier.get("cache_replicas", 0))))
    demands.append(Demand("secret", _secrets(layers), "secret"))
    demands.append(
        Demand("kms key", int("identity" in layers and bool(tier.get("identity_encryption_key"))), "KMS key")
    )
    containers = "containers" in layers
    if containers:
        count = len(tier["containers_services"]) * int(tier["containers_min_tasks"])
        demands += _tasks(count, float(tier["containers_cpu"]), float(tier["containers_memory"]))
    # Services find each other in a zone of their own.
    demands.append(Demand("hosted zone", ("dns" in layers) + containers, "hosted zone"))
    demands.append(Demand("health check", 1 if "dns" in layers and tier.get("dns_health_check") else 0, "health check"))
    return demands


def stack_demands(stack: Mapping[str, Any], volume_gb: float) -> list[Demand]:
    """Return what is really there.

    :param stack: what :func:`plugins.module_utils.discovery.discover` returned.
    :param volume_gb: size of an instance's volume; volumes are made by launch templates and listed with them.
    """
    kinds: dict[str, int] = {}
    for instance in stack["compute"]["instances"]:
        kinds[instance["type"]] = kinds.get(instance["type"], 0) + 1
    demands = [demand for kind, count in sorted(kinds.items()) for demand in _instances(kind, count, volume_gb)]
    network = stack["network"]
    gateways = len(network["nat_gateway_ids"])
    addresses = gateways + (0 if network["private_subnet_ids"] else sum(kinds.values()))
    demands.append(Demand("nat gateway", gateways, "NAT gateway"))
    if stack["load_balancer"]["arn"]:
        demands.append(Demand("alb", 1, "load balancer"))
        addresses += len(network["public_subnet_ids"])
    demands.append(Demand("ipv4", addresses, "public IPv4"))
    demands.append(Demand("interface endpoint", network["interface_endpoints"], "interface endpoint"))
    database = stack["database"]
    if database["identifier"]:
        storage = float(database["allocated_storage"] or 0)
        demands += _database(str(database["instance_class"]), storage, bool(database["multi_az"]))
    for kept in database["kept"]:
        demands += _database(str(kept["instance_class"]), float(kept["allocated_storage"] or 0), bool(kept["multi_az"]))
    firewall = stack["firewall"]
    acls = [firewall[name] for name in ("cloudfront_acl_arn", "load_balancer_acl_arn") if firewall[name]]
    demands += _firewall(len(acls), firewall["rules"])
    replica = database["replica"]
    if replica["identifier"]:
        demands += _database(str(replica["instance_class"]), float(replica["allocated_storage"] or 0), multi_az=False)
    cache = stack["cache"]
    if cache["identifier"]:
        demands.append(_cache(str(cache["node_type"]), int(cache["nodes"])))
    owned = [f"{entry['service']}:{entry['type']}" for entry in stack["resources"]]
    demands.append(Demand("secret", owned.count("secretsmanager:secret"), "secret"))
    demands.append(Demand("kms key", owned.count("kms:key"), "KMS key"))
    demands.append(Demand("alarm", owned.count("cloudwatch:alarm"), "alarm"))
    services = stack["containers"]["services"]
    if services:
        sizes = [[each["running"] * float(each[name] or 0) for name in ("cpu", "memory")] for each in services]
        demands += _tasks(1, *(sum(size) for size in zip(*sizes, strict=True)))
    demands.append(Demand("hosted zone", bool(stack["dns"]["zone_id"]) + bool(services), "hosted zone"))
    demands.append(Demand("health check", 1 if stack["dns"]["health_check_id"] else 0, "health check"))
    demands.append(Demand("fast health check", len(stack["dns"]["health_checks"]), "health check of a region"))
    return demands


def in_region(wanted: Mapping[str, Any], number: int, writing: int) -> dict[str, Any]:
    """Return what a tier's data asks for in one of its regions.

    :param wanted: as for :func:`planned_demands`, with the ``region_layers`` of further regions.
    :param number: which region it is; the first has what is there once.
    :param writing: the one whose database has a standby; those of the others follow it.
    """
    once = {} if number == 0 else {"layers": wanted["region_layers"], "regions": []}
    return {**wanted, **once, "database_follows": number != writing}


def planned_demands(stack: Mapping[str, Any], wanted: Mapping[str, Any], volume_gb: float) -> list[Demand]:
    """Return what will be there when what is there has become what the tier's data asks for.

    A group that scaling or a person has set keeps its size as far as the limits allow. Alarms are those that are there.

    :param stack: as for :func:`stack_demands`.
    :param wanted: the tier's data, as for :func:`tier_demands`, with the group's largest size, the ``regions``, and
        whether the database follows that of another region: one that is there and does not is replaced and kept.
    """
    layers, follows = wanted["layers"], wanted["database_follows"]
    group = wanted["compute_kind"] == "auto_scaling_group"
    least, most = (int(wanted["compute_min_size"]), int(wanted["compute_max_size"])) if group else (1, 1)
    count = min(max(len(stack["compute"]["instances"]), least), most) if "compute" in layers else 0
    owned = [entry for entry in stack["resources"] if entry["service"] not in ("secretsmanager", "kms")]
    asked = "identity" in layers and bool(wanted.get("identity_encryption_key"))
    key = asked or any(entry["service"] == "kms" for entry in stack["resources"])
    cache = {
        "identifier": "planned",
        "node_type": wanted["cache_node_type"],
        "nodes": 1 + int(wanted["cache_replicas"]),
    }
    there = stack["database"]
    replaced = [there] if follows and there["identifier"] and not there["source_arn"] else []
    database = {
        "identifier": "planned",
        "instance_class": wanted["database_instance_class"],
        "allocated_storage": wanted["database_allocated_storage"],
        "multi_az": wanted["database_multi_az"] and not follows,
        "kept": [*there["kept"], *replaced],
        "replica": {
            "identifier": "planned" if wanted.get("database_read_replica") else "",
            "instance_class": wanted["database_instance_class"],
            "allocated_storage": wanted["database_allocated_storage"],
        },
    }
    firewall = {
        "load_balancer_acl_arn": "planned",
        "cloudfront_acl_arn": "planned" if "edge" in layers else "",
        "rules": stack["firewall"]["rules"] or FIREWALL_RULES * _firewall_acls(layers),
    }
    running = {each["name"]: each["running"] for each in stack["containers"]["services"]}
    services = [
        {
            "running": max(running.get(name, 0), int(wanted["containers_min_tasks"])),
            "cpu": wanted["containers_cpu"],
            "memory": wanted["containers_memory"],
        }
        for name in (wanted["containers_services"] if "containers" in layers else [])
    ]
    return stack_demands(
        {
            **stack,
            "containers": {"services": services or stack["containers"]["services"]},
            "compute": {"instances": [{"type": wanted["compute_instance_type"]}] * count},
            "load_balancer": {"arn": "planned" if "load_balancer" in layers else stack["load_balancer"]["arn"]},
            "network": {
                "public_subnet_ids": wanted["network_public_subnet_cidrs"],
                "private_subnet_ids": wanted.get("network_private_subnet_cidrs", []),
                "nat_gateway_ids": ["planned"] * _nat_gateways(wanted),
                "interface_endpoints": _interface_endpoints(wanted),
            },
            "database": database if "database" in layers else stack["database"],
            "firewall": firewall if "firewall" in layers else stack["firewall"],
            "cache": cache if "cache" in layers else stack["cache"],
            "dns": {
                "zone_id": "planned" if "dns" in layers else stack["dns"]["zone_id"],
                "health_check_id": "planned" if "dns" in layers and wanted["dns_health_check"] else "",
                "health_checks": wanted["regions"] if len(wanted["regions"]) > 1 else [],
            },
            "resources": [
                *owned,
                *[{"service": "secretsmanager", "type": "secret"}] * _secrets(layers),
                *[{"service": "kms", "type": "key"}] * key,
            ],
        },
        volume_gb,
    )
