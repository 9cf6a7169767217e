#!/usr/bin/python
"""Keep the security groups of a VPC, which name each other in their rules, as one set."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ansible.module_utils.ownership import owned_by
from ansible.module_utils.vpc_parts import VpcParts
from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    boto3_tag_list_to_ansible_dict,
    boto3_tag_specifications,
)
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: ec2_security_groups
short_description: Keep the security groups of a VPC
description:
  - The module amazon.aws.ec2_security_group keeps one group at a time, makes groups that a rule names as a side effect
    with rules that nobody asked for, which a plan cannot show, and sleeps three seconds for each group it makes. This
    one makes all groups first, then their rules, and reads with one call for all of them.
  - A rule that is to go is taken away after the new ones are there, so that what both allow goes on; before, where the
    group has no room for both.
  - Groups that are not listed are left alone.
options:
  vpc_id:
    description: The VPC.
    type: str
    required: true
  name:
    description:
      - The name of a group is this with its key after it, as C(vahanhelp-prod-load-balancer) for C(load_balancer).
    type: str
    required: true
  state:
    description: With C(absent) all groups of the VPC that are ours by their tags are deleted, whatever their names.
    type: str
    choices: [present, absent]
    default: present
  groups:
    description: The groups.
    type: list
    elements: dict
    default: []
    suboptions:
      key:
        description: What rules call the group, as C(load_balancer).
        type: str
        required: true
      enabled:
        description: Whether the group is to be there. One that is not to be is left alone; no rule can name it.
        type: bool
        default: true
      description:
        description: What the group is for. AWS cannot change it afterwards.
        type: str
        required: true
      inbound:
        description: Who may come in. Other rules are removed.
        type: list
        elements: dict
        required: true
        suboptions: &rule
          protocol:
            description: The protocol.
            type: str
            choices: [tcp, udp, icmp, all]
            default: tcp
          ports:
            description: Ports and ranges of ports (C(8000-8010)), for TCP and UDP.
            type: list
            elements: str
            default: []
          cidrs:
            description: Address ranges on the other side.
            type: list
            elements: str
            default: []
          group:
            description: Key of the group on the other side.
            type: str
          prefix_list:
            description: Id of the prefix list on the other side.
            type: str
          description:
            description: What the rule is for.
            type: str
            default: ""
      outbound:
        description: Where to one may go. Other rules are removed, also that of AWS which allows all.
        type: list
        elements: dict
        required: true
        suboptions: *rule
  tags:
    description: Tags of the groups beside C(Name). C(vahana:app) and C(vahana:env) decide whose a group is.
    type: dict
    required: true
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
- name: Let visitors reach the load balancer, and the load balancer the backend
  ec2_security_groups:
    vpc_id: vpc-0a1b2c3d
    name: vahanhelp-prod
    groups:
      - key: load_balancer
        description: Load balancer
        inbound: [{ports: [80, 443], cidrs: [0.0.0.0/0], description: Visitors}]
        outbound: [{ports: [3000], group: backend, description: Requests and health checks}]
      - key: backend
        description: Backend
        inbound: [{ports: [3000], group: load_balancer, description: Load balancer}]
        outbound: []
    tags: {"vahana:app": vahanhelp, "vahana:env": prod}
"""

RETURN = r"""
security_group_ids:
  description: Id of each group by its key. One that would only be made is not among them.
  returned: always
  type: dict
"""

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
PROTOCOLS = {"all": "-1", "icmp": "icmp", "tcp": "tcp", "udp": "udp"}
PEERS = {
    "IpRanges": "CidrIp",
    "Ipv6Ranges": "CidrIpv6",
    "UserIdGroupPairs": "GroupId",
    "PrefixListIds": "PrefixListId",
}
"""Field of the other side by the list of a permission that it stands in."""
DIRECTIONS = {"inbound": ("IpPermissions", "ingress"), "outbound": ("IpPermissionsEgress", "egress")}
"""Field of a group and end of the operations' names by direction."""
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
FULL = "RulesPerSecurityGroupLimitExceeded"
GONE = ("InvalidGroup.NotFound", "InvalidPermission.NotFound")


class Rule(NamedTuple):
    """One port, or range of ports, open to one other side."""

    protocol: str
    first: int
    last: int
    kind: str
    peer: str

    def permission(self, description: str) -> dict[str, Any]:
        """Return the rule as the API takes it."""
        ports = {} if self.protocol == "-1" else {"FromPort": self.first, "ToPort": self.last}
        said = {"Description": description} if description else {}
        return {"IpProtocol": self.protocol, **ports, self.kind: [{PEERS[self.kind]: self.peer, **said}]}

    def line(self, names: Mapping[str, str]) -> str:
        """Write the rule for people: ``tcp 3000 vahanhelp-prod-backend``."""
        ports = (
            [] if self.first == -1 else [str(self.first)] if self.first == self.last else [f"{self.first}-{self.last}"]
        )
        return " ".join([self.protocol.replace("-1", "all"), *ports, names.get(self.peer, self.peer)])


Rules = dict[Rule, str]
"""Descriptions by rule."""


def rules_of(permissions: list[dict[str, Any]]) -> dict[Rule, dict[str, Any]]:
    """Return the rules of a group in one direction, each with the permission that takes it away.

    Somebody else's rule may have more in it than ours, as the account of a group behind a peering connection.
    """
    return {
        Rule(permission["IpProtocol"], permission.get("FromPort", -1), permission.get("ToPort", -1), kind, peer[key]): {
            **{name: value for name, value in permission.items() if name not in PEERS},
            kind: [peer],
        }
        for permission in permissions
        for kind, key in PEERS.items()
        for peer in permission.get(kind, [])
    }


def descriptions(rules: Mapping[Rule, Mapping[str, Any]]) -> Rules:
    """Return what rules that are there are said to be for."""
    return {rule: permission[rule.kind][0].get("Description", "") for rule, permission in rules.items()}


def said(rules: Rules, names: Mapping[str, str]) -> dict[str, str]:
    """Write rules for people, each with what it is for."""
    return {rule.line(names): rules[rule] or "(no description)" for rule in rules}


def wanted_rules(rules: list[dict[str, Any]], ids: Mapping[str, str], where: str) -> Rules:
    """Return the rules that a group is to have in one direction.

    :param ids: ids of the groups by key.
    :param where: the group and the direction, for messages.

    Raises:
        ValueError: a rule names no other side or a group that is not listed, or its ports are none.
    """
    wanted: Rules = {}
    for rule in rules:
        peers = [_range(cidr, where) for cidr in rule["cidrs"]]
        if rule["group"]:
            if rule["group"] not in ids:
                raise ValueError(
                    f"{where}: a rule names the group {rule['group']!r}, which is none of {', '.join(ids)}"
                )
            peers.append(("UserIdGroupPairs", ids[rule["group"]]))
        if rule["prefix_list"]:
            peers.append(("PrefixListIds", rule["prefix_list"]))
        if not peers:
            raise ValueError(f"{where}: a rule has none of cidrs, group and prefix_list")
        for first, last in _ports(rule, where):
            for kind, peer in peers:
                wanted[Rule(PROTOCOLS[rule["protocol"]], first, last, kind, peer)] = rule["description"]
    return wanted


def _range(cidr: str, where: str) -> tuple[str, str]:
    """Return the list that an address range stands in, and the range as AWS keeps it: without bits of a host."""
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        raise ValueError(f"{where}: {cidr!r} is no address range (198.51.100.0/24, 2001:db8::/32)") from None
    return ("IpRanges" if network.version == 4 else "Ipv6Ranges"), str(network)


def _ports(rule: Mapping[str, Any], where: str) -> Iterator[tuple[int, int]]:
    if rule["protocol"] in ("all", "icmp"):
        yield -1, -1
        return
    if not rule["ports"]:
        raise ValueError(f"{where}: a rule for {rule['protocol']} has no ports")
    for port in rule["ports"]:
        first, _, last = port.partition("-")
        try:
            yield int(first), int(last or first)
        except ValueError:
            raise ValueError(f"{where}: {port!r} is neither a port nor a range of ports (8000-8010)") from None


class SecurityGroups:
    """Changes the groups of one VPC, or only says what would change."""

    def __init__(self, module: AnsibleAWSModule, client: Any) -> None:
        """Read what is there."""
        self.params = module.params
        self.parts = VpcParts(module, client, "security-group", "SecurityGroups", "GroupId")
        self.found = {group["GroupName"]: group for group in self.parts.read("vpc-id", [self.params["vpc_id"]])}

    def name_of(self, key: str) -> str:
        """Return the name of a group."""
        return f"{self.params['name']}-{key.replace('_', '-')}"

    def tags_of(self, key: str) -> dict[str, str]:
        """Return the tags of a group."""
        return {**self.params["tags"], "Name": self.name_of(key)}

    def make(self, key: str, description: str) -> str:
        """Make a group and return its id; in check mode its name stands for it."""
        made = self.parts.write(
            "create_security_group",
            VpcId=self.params["vpc_id"],
            GroupName=self.name_of(key),
            Description=description,
            TagSpecifications=boto3_tag_specifications(self.tags_of(key), ["security-group"]),
        )
        return str(made["GroupId"]) if made else self.name_of(key)

    def settle(self, made: Collection[str]) -> None:
        """Read new groups when the API shows the rule that AWS gives each: only then can it be taken away.

        Raises:
            TimeoutError: that took too long.
        """
        groups = self.parts.settle("group-id", made, lambda group: group["IpPermissionsEgress"])
        self.found |= {group["GroupName"]: group for group in groups}

    def bring(self, group_id: str, direction: str, there: Mapping[Rule, dict[str, Any]], after: Rules) -> None:
        """Bring a group's rules in one direction to what is asked."""
        end, before = DIRECTIONS[direction][1], descriptions(there)
        new = [rule.permission(after[rule]) for rule in after if rule not in before]
        renamed = [rule.permission(after[rule]) for rule in after if rule in before and before[rule] != after[rule]]
        old = [there[rule] for rule in before if rule not in after]
        steps = [
            (f"authorize_security_group_{end}", new),
            (f"update_security_group_rule_descriptions_{end}", renamed),
            (f"revoke_security_group_{end}", old),
        ]
        try:
            self.write_all(group_id, steps)
        except is_boto3_error_code(FULL):
            if not old:
                raise
            self.write_all(group_id, reversed(steps))

    def write_all(self, group_id: str, steps: Iterable[tuple[str, list[dict[str, Any]]]]) -> None:
        """Make those of some writes of a group's rules that have something to write."""
        for operation, permissions in steps:
            if permissions:
                self.parts.write(operation, GroupId=group_id, IpPermissions=permissions)

    def delete(self, group: Mapping[str, Any]) -> None:
        """Delete a group."""
        self.parts.write("delete_security_group", GroupId=group["GroupId"])

    def empty(self, group: Mapping[str, Any]) -> None:
        """Take all rules from a group."""
        for direction, (field, _end) in DIRECTIONS.items():
            self.bring(group["GroupId"], direction, rules_of(group[field]), {})


def present(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Have the groups with their rules.

    Raises:
        ValueError: a rule cannot be made.
        TimeoutError: AWS does not show what it has made.
    """
    wanted = {group["key"]: group for group in module.params["groups"] if group["enabled"]}
    for key, group in wanted.items():
        for direction in DIRECTIONS:
            wanted_rules(group[direction], dict.fromkeys(wanted, ""), f"{key}, {direction}")
    groups = SecurityGroups(module, client)
    there = {key: groups.found[groups.name_of(key)] for key in wanted if groups.name_of(key) in groups.found}
    ids = {
        key: there[key]["GroupId"] if key in there else groups.make(key, group["description"])
        for key, group in wanted.items()
    }
    if len(there) < len(wanted) and not module.check_mode:
        groups.settle([ids[key] for key in wanted.keys() - there.keys()])
    names = {group["GroupId"]: name for name, group in groups.found.items()}
    before: dict[str, Any] = {key: {} for key in there}
    after: dict[str, Any] = {key: {} for key in wanted}
    for key, group in wanted.items():
        found = groups.found.get(groups.name_of(key), {})
        if key in there:
            had, has = groups.parts.keep_tags(found, groups.tags_of(key))
            if had:
                before[key]["tags"] = had
            if has:
                after[key]["tags"] = has
            if found["Description"] != group["description"]:
                module.warn(f"{found['GroupName']}: AWS cannot change a group's description ({found['Description']})")
        for direction, (field, _end) in DIRECTIONS.items():
            was = rules_of(found.get(field, []))
            would = wanted_rules(group[direction], ids, f"{key}, {direction}")
            groups.bring(ids[key], direction, was, would)
            after[key][direction] = said(would, names)
            if key in there:
                before[key][direction] = said(descriptions(was), names)
    made = ids if not module.check_mode else {key: ids[key] for key in there}
    return {
        "changed": before != after,
        "security_group_ids": made,
        "diff": {"before": before, "after": after},
    }


def absent(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Delete all groups of ours, which name each other: a group that is named cannot be deleted."""
    groups = SecurityGroups(module, client)
    ours = [
        group
        for group in groups.found.values()
        if owned_by(boto3_tag_list_to_ansible_dict(group.get("Tags", [])), module.params["tags"])
    ]
    for step in (groups.empty, groups.delete):
        for group in ours:
            try:
                step(group)
            except is_boto3_error_code(GONE):
                # The API may go on listing for a little while what is gone already.
                continue
    return {
        "changed": bool(ours),
        "security_group_ids": {},
        "diff": {"before": {group["GroupName"]: group["Description"] for group in ours}, "after": {}},
    }


def main() -> None:
    """Run the module."""
    rule = {
        "protocol": {"type": "str", "choices": list(PROTOCOLS), "default": "tcp"},
        "ports": {"type": "list", "elements": "str", "default": []},
        "cidrs": {"type": "list", "elements": "str", "default": []},
        "group": {"type": "str"},
        "prefix_list": {"type": "str"},
        "description": {"type": "str", "default": ""},
    }
    rules = {"type": "list", "elements": "dict", "required": True, "options": rule}
    group = {
        "key": {"type": "str", "required": True},
        "enabled": {"type": "bool", "default": True},
        "description": {"type": "str", "required": True},
        "inbound": rules,
        "outbound": rules,
    }
    module = AnsibleAWSModule(
        argument_spec={
            "vpc_id": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "groups": {"type": "list", "elements": "dict", "default": [], "options": group},
            "tags": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    ensure = {"present": present, "absent": absent}[module.params["state"]]
    # A group that was just made may not be known everywhere yet; one that was just deleted is gone.
    retries = AWSRetry.jittered_backoff(catch_extra_error_codes=[GONE[0]] if ensure is present else [])
    try:
        result = ensure(module, module.client("ec2", retry_decorator=retries))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"The security groups of {module.params['vpc_id']} cannot be kept")
    except (ValueError, TimeoutError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
