#!/usr/bin/python
"""Keep the route tables of a VPC as one list: their routes, and the subnets that use them."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from typing import Any

from ansible.module_utils.planning import is_planned
from ansible.module_utils.vpc_parts import TABLE_NOT_YET, VpcParts
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    boto3_tag_list_to_ansible_dict,
    boto3_tag_specifications,
)
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: ec2_route_tables
short_description: Keep the route tables of a VPC
description:
  - The module amazon.aws.ec2_vpc_route_table keeps one table at a time, and sleeps five seconds after each that it has
    changed. This one reads all of a VPC's tables with one call, and waits for those alone that it has made, until the
    API knows them.
  - A table is known by its C(Name) tag within the VPC. Tables that are not listed are left alone.
  - A subnet that uses another table is moved in one step, so that it is never without its routes.
  - Routes of gateway endpoints (the endpoint keeps them) and those that a VPN propagates are left alone.
options:
  vpc_id:
    description: The VPC.
    type: str
    required: true
  name:
    description: The C(Name) tag of a table is this with the table's own name after it, as C(vahanhelp-prod-public).
    type: str
    required: true
  tables:
    description: The tables.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The table's own name, as C(public).
        type: str
        required: true
      subnets:
        description:
          - Ids of the subnets that use the table. Others do not any more.
          - Left out, the subnets are left alone.
        type: list
        elements: str
      routes:
        description:
          - Ids of an internet gateway (C(igw-…)) or a NAT gateway (C(nat-…)) by the address range that it leads to.
            Other routes are removed.
          - Left out, the table's routes are left alone.
        type: dict
  tags:
    description:
      - Tags of the tables beside C(Name). Other tags are removed.
      - Left out, the tags are left alone.
    type: dict
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author:
  - Vahana
"""

EXAMPLES = r"""
- name: Lead the public subnets to the internet, and those of the database nowhere
  ec2_route_tables:
    vpc_id: vpc-0a1b2c3d
    name: vahanhelp-prod
    tables:
      - name: public
        subnets: [subnet-0a1b2c3d, subnet-1a1b2c3d]
        routes: {0.0.0.0/0: igw-0a1b2c3d}
      - name: database
        subnets: [subnet-2a1b2c3d, subnet-3a1b2c3d]
        routes: {}
"""

RETURN = r"""
route_table_ids:
  description: Id of each table by its own name. One that would only be made is not among them.
  returned: always
  type: dict
"""

TARGETS = {"igw": "GatewayId", "nat": "NatGatewayId"}
"""Parameter of a route by what its target's id begins with."""


def parameter_of(target: str) -> str:
    """Return the parameter that takes a route's target.

    Raises:
        ValueError: it is neither an internet gateway nor a NAT gateway.
    """
    try:
        return TARGETS[target.partition("-")[0]]
    except KeyError:
        raise ValueError(
            f"the route target {target!r} is neither an internet gateway (igw-…) nor a NAT gateway (nat-…)"
        ) from None


def routes_of(table: Mapping[str, Any]) -> dict[str, str]:
    """Return the targets of a table's own routes by address range.

    Source: Amazon EC2 API Reference, "Route": only routes of origin C(CreateRoute) were made by somebody.
    """
    return {
        route.get("DestinationCidrBlock") or route["DestinationIpv6CidrBlock"]: next(
            (str(value) for key, value in route.items() if key.endswith(("GatewayId", "InterfaceId", "ConnectionId"))),
            "",
        )
        for route in table["Routes"]
        if route["Origin"] == "CreateRoute" and "DestinationPrefixListId" not in route
    }


def wanted_routes(name: str, routes: Mapping[str, str]) -> dict[str, str]:
    """Return a table's routes as AWS keeps them: address ranges without bits of a host.

    Raises:
        ValueError: a range is none, or a target is one that the module does not know.
    """
    kept = {}
    for cidr, target in routes.items():
        try:
            # In a plan the gateway may be one that the run will make.
            if not is_planned(target):
                parameter_of(target)
            kept[str(ipaddress.ip_network(cidr, strict=False))] = target
        except ValueError as error:
            raise ValueError(f"route table {name}, route {cidr}: {error}") from None
    return kept


def destination(cidr: str) -> dict[str, str]:
    """Return the parameter of an address range."""
    return {"DestinationIpv6CidrBlock" if ":" in cidr else "DestinationCidrBlock": cidr}


class RouteTables:
    """Changes the tables of one VPC, or only says what would change."""

    def __init__(self, module: AnsibleAWSModule, client: Any) -> None:
        """Read what is there.

        Raises:
            ValueError: two tables have a name that is asked for, so that nothing says which of them is meant.
        """
        self.module, self.vpc_id = module, module.params["vpc_id"]
        asked = {self.tags_of(table["name"])["Name"] for table in module.params["tables"]}
        self.parts = VpcParts(module, client, "route-table", "RouteTables", "RouteTableId")
        found = self.parts.read("vpc-id", [self.vpc_id])
        self.by_name: dict[str, dict[str, Any]] = {}
        for table in found:
            name = boto3_tag_list_to_ansible_dict(table["Tags"]).get("Name", "")
            if name in asked and name in self.by_name:
                ids = ", ".join(sorted([table["RouteTableId"], self.by_name[name]["RouteTableId"]]))
                raise ValueError(
                    f"{self.vpc_id} has two route tables of the name {name} ({ids}): delete the one that is unused"
                )
            self.by_name[name] = table
        #: Association and table by subnet, as they were found.
        self.used = {
            link["SubnetId"]: (link["RouteTableAssociationId"], table["RouteTableId"])
            for table in found
            for link in table["Associations"]
            if link.get("SubnetId") and link["AssociationState"]["State"] not in ("disassociating", "failed")
        }

    def tags_of(self, name: str) -> dict[str, str]:
        """Return the tags of a table by its own name."""
        return {**(self.module.params["tags"] or {}), "Name": f"{self.module.params['name']}-{name}"}

    def find(self, name: str) -> Mapping[str, Any] | None:
        """Return a table by its own name, if it is there."""
        return self.by_name.get(self.tags_of(name)["Name"])

    def subnets_of(self, table_id: str) -> list[str]:
        """Return the subnets that use a table."""
        return sorted(subnet for subnet, (_link, used) in self.used.items() if used == table_id)

    def make(self, name: str) -> str:
        """Make a table and return its id, which is empty in check mode."""
        specifications = boto3_tag_specifications(self.tags_of(name), ["route-table"])
        made = self.parts.write("create_route_table", VpcId=self.vpc_id, TagSpecifications=specifications)
        return str(made["RouteTable"]["RouteTableId"]) if made else ""

    def keep_tags(self, name: str, table: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
        """Keep a table's tags; return those that differ, as they were and as they are to be."""
        if self.module.params["tags"] is None:
            return {}, {}
        had, has = self.parts.keep_tags(table, self.tags_of(name))
        return had, has

    def keep_routes(self, table_id: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """Bring a table's routes to what is asked."""
        if self.module.check_mode:
            return
        for cidr, target in after.items():
            if before.get(cidr) != target:
                operation = "replace_route" if cidr in before else "create_route"
                self.parts.write(
                    operation, RouteTableId=table_id, **destination(cidr), **{parameter_of(target): target}
                )
        for cidr in before.keys() - after.keys():
            self.parts.write("delete_route", RouteTableId=table_id, **destination(cidr))

    def keep_subnets(self, wanted: Mapping[str, str], ours: Collection[str]) -> None:
        """Have each subnet use its table, and let those go that use one of ours and are wanted in none."""
        for subnet, table_id in wanted.items():
            link, used = self.used.get(subnet, ("", ""))
            if not link:
                self.parts.write("associate_route_table", RouteTableId=table_id, SubnetId=subnet)
            elif used != table_id:
                self.parts.write("replace_route_table_association", AssociationId=link, RouteTableId=table_id)
        for subnet, (link, used) in self.used.items():
            if used in ours and subnet not in wanted:
                self.parts.write("disassociate_route_table", AssociationId=link)


def ensure(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Bring the tables to what is asked.

    Raises:
        ValueError: a route cannot be made, or a table is there twice.
        TimeoutError: AWS does not show what it has made.
    """
    wanted = {table["name"]: table for table in module.params["tables"]}
    routes = {
        name: wanted_routes(name, table["routes"]) for name, table in wanted.items() if table["routes"] is not None
    }
    tables = RouteTables(module, client)
    there = {name: found for name in wanted if (found := tables.find(name))}
    ids = {name: there[name]["RouteTableId"] if name in there else tables.make(name) for name in wanted}
    made = [ids[name] for name in wanted if name not in there and ids[name]]
    if made:
        tables.parts.settle("route-table-id", made)
    before: dict[str, Any] = {name: {} for name in there}
    after: dict[str, Any] = {name: {} for name in wanted}
    for name, found in there.items():
        had, has = tables.keep_tags(name, found)
        if had:
            before[name]["tags"] = had
        if has:
            after[name]["tags"] = has
    for name in routes:
        was = routes_of(there[name]) if name in there else {}
        tables.keep_routes(ids[name], was, routes[name])
        after[name]["routes"] = routes[name]
        if name in there:
            before[name]["routes"] = was
    users = {name: table["subnets"] for name, table in wanted.items() if table["subnets"] is not None}
    for name in users:
        after[name]["subnets"] = sorted(users[name])
        if name in there:
            before[name]["subnets"] = tables.subnets_of(ids[name])
    tables.keep_subnets({subnet: ids[name] for name in users for subnet in users[name]}, [ids[name] for name in users])
    return {
        "changed": before != after,
        "route_table_ids": {name: table_id for name, table_id in ids.items() if table_id},
        "diff": {"before": before, "after": after},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "vpc_id": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "tables": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "subnets": {"type": "list", "elements": "str"},
                    "routes": {"type": "dict"},
                },
            },
            "tags": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    retries = AWSRetry.jittered_backoff(catch_extra_error_codes=TABLE_NOT_YET)
    try:
        result = ensure(module, module.client("ec2", retry_decorator=retries))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"The route tables of {module.params['vpc_id']} cannot be kept")
    except (ValueError, TimeoutError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
