#!/usr/bin/python
"""Keep the route tables of a VPC as one list: their routes, and the subnets that use them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.ec2 import ensure_ec2_tags
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
    changed. This one reads all of a VPC's tables with one call, and waits for nothing.
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
        description: Ids of the subnets that use the table. Others do not any more.
        type: list
        elements: str
        required: true
      routes:
        description:
          - Ids of an internet gateway (C(igw-…)) or a NAT gateway (C(nat-…)) by the address range that it leads to.
            Other routes are removed.
          - Left out, the table's routes are left alone.
        type: dict
  tags:
    description: Tags of the tables beside C(Name). Other tags are removed.
    type: dict
    default: {}
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


def destination(cidr: str) -> dict[str, str]:
    """Return the parameter of an address range."""
    return {"DestinationIpv6CidrBlock" if ":" in cidr else "DestinationCidrBlock": cidr}


class RouteTables:
    """Changes the tables of one VPC, or only says what would change."""

    def __init__(self, module: AnsibleAWSModule, client: Any) -> None:
        """Read what is there."""
        self.module, self.client, self.vpc_id = module, client, module.params["vpc_id"]
        filters = [{"Name": "vpc-id", "Values": [self.vpc_id]}]
        found = [
            table
            for page in client.get_paginator("describe_route_tables").paginate(Filters=filters)
            for table in page["RouteTables"]
        ]
        self.by_name = {boto3_tag_list_to_ansible_dict(table["Tags"]).get("Name"): table for table in found}
        #: Association and table by subnet, as they were found.
        self.used = {
            link["SubnetId"]: (link["RouteTableAssociationId"], table["RouteTableId"])
            for table in found
            for link in table["Associations"]
            if link.get("SubnetId") and link["AssociationState"]["State"] not in ("disassociating", "failed")
        }

    def write(self, operation: str, **parameters: Any) -> Any:
        """Call the API, but not in check mode."""
        return {} if self.module.check_mode else getattr(self.client, operation)(aws_retry=True, **parameters)

    def tags_of(self, name: str) -> dict[str, str]:
        """Return the tags of a table by its own name."""
        return {**self.module.params["tags"], "Name": f"{self.module.params['name']}-{name}"}

    def find(self, name: str) -> Mapping[str, Any] | None:
        """Return a table by its own name, if it is there."""
        return self.by_name.get(self.tags_of(name)["Name"])

    def state_of(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the module keeps of a table."""
        subnets = sorted(subnet for subnet, (_link, used) in self.used.items() if used == table["RouteTableId"])
        return {"subnets": subnets, "routes": routes_of(table)}

    def make(self, name: str) -> str:
        """Make a table and return its id, which is empty in check mode."""
        specifications = boto3_tag_specifications(self.tags_of(name), ["route-table"])
        made = self.write("create_route_table", VpcId=self.vpc_id, TagSpecifications=specifications)
        return str(made["RouteTable"]["RouteTableId"]) if made else ""

    def keep_tags(self, name: str, table_id: str) -> bool:
        """Keep the tags of a table that was there; say whether that changed any."""
        tags = self.tags_of(name)
        return bool(ensure_ec2_tags(self.client, self.module, table_id, resource_type="route-table", tags=tags))

    def keep_routes(self, table_id: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """Bring a table's routes to what is asked."""
        for cidr, target in after.items():
            if before.get(cidr) != target:
                operation = "replace_route" if cidr in before else "create_route"
                self.write(operation, RouteTableId=table_id, **destination(cidr), **{parameter_of(target): target})
        for cidr in before.keys() - after.keys():
            self.write("delete_route", RouteTableId=table_id, **destination(cidr))

    def keep_subnets(self, wanted: Mapping[str, str], ours: Collection[str]) -> None:
        """Have each subnet use its table, and let those go that use one of ours and are wanted in none."""
        for subnet, table_id in wanted.items():
            link, used = self.used.get(subnet, ("", ""))
            if not link:
                self.write("associate_route_table", RouteTableId=table_id, SubnetId=subnet)
            elif used != table_id:
                self.write("replace_route_table_association", AssociationId=link, RouteTableId=table_id)
        for subnet, (link, used) in self.used.items():
            if used in ours and subnet not in wanted:
                self.write("disassociate_route_table", AssociationId=link)


def ensure(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Bring the tables to what is asked.

    Raises:
        ValueError: a route leads to what no route of this module can.
    """
    wanted = {table["name"]: table for table in module.params["tables"]}
    for table in wanted.values():
        for target in (table["routes"] or {}).values():
            parameter_of(target)
    tables, retagged = RouteTables(module, client), False
    ids: dict[str, str] = {}
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for name, table in wanted.items():
        found = tables.find(name)
        if found is None:
            ids[name], was = tables.make(name), {}
        else:
            ids[name], was = found["RouteTableId"], tables.state_of(found)
            retagged |= tables.keep_tags(name, ids[name])
            before[name] = was
        routes = was.get("routes", {}) if table["routes"] is None else table["routes"]
        tables.keep_routes(ids[name], was.get("routes", {}), routes)
        after[name] = {"subnets": sorted(table["subnets"]), "routes": routes}
    tables.keep_subnets(
        {subnet: ids[name] for name, table in wanted.items() for subnet in table["subnets"]}, ids.values()
    )
    return {
        "changed": retagged or before != after,
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
                    "subnets": {"type": "list", "elements": "str", "required": True},
                    "routes": {"type": "dict"},
                },
            },
            "tags": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    # A table that was just made may not be known everywhere yet.
    retries = AWSRetry.jittered_backoff(catch_extra_error_codes=["InvalidRouteTableID.NotFound"])
    try:
        result = ensure(module, module.client("ec2", retry_decorator=retries))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"The route tables of {module.params['vpc_id']} cannot be kept")
    except ValueError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
