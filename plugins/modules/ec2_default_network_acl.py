#!/usr/bin/python
"""Keep what a VPC's default network ACL lets in."""

from __future__ import annotations

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: ec2_default_network_acl
short_description: Keep what a VPC's default network ACL lets in
description:
  - AWS makes this ACL with the VPC and has it let everything in. It counts for every subnet that has no other, and goes
    with the VPC.
  - Keeps its inbound rules exactly as listed. What goes out is left as it is.
  - The module amazon.aws.ec2_vpc_nacl must be told the ACL's id, and takes its subnets from it unless all are listed.
options:
  vpc_id:
    description: The VPC.
    type: str
    required: true
  inbound:
    description: What is let in, in this order.
    type: list
    elements: dict
    required: true
    suboptions:
      protocol:
        description: V(all) and V(icmp) know no ports.
        type: str
        choices: [all, tcp, udp, icmp]
        required: true
      from_port: {description: First port., type: int}
      to_port: {description: Last port., type: int}
      cidr:
        description: From where.
        type: str
        default: 0.0.0.0/0
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
- name: Let in visitors, and the answers to what goes out
  ec2_default_network_acl:
    vpc_id: vpc-0a1b2c3d
    inbound:
      - {protocol: tcp, from_port: 443, to_port: 443}
      - {protocol: tcp, from_port: 1024, to_port: 65535}
"""

RETURN = r"""
network_acl_id:
  description: Id of the ACL.
  returned: always
  type: str
"""

# https://www.iana.org/assignments/protocol-numbers
PROTOCOLS = {"all": "-1", "icmp": "1", "tcp": "6", "udp": "17"}
FIRST, STEP = 100, 10
"""As AWS numbers rules itself."""
LAST = 32767
"""The rule that refuses the rest and cannot be changed: Amazon VPC User Guide, "Default network ACL"."""

Entry = dict[str, Any]


def wanted_entries(inbound: list[dict[str, Any]]) -> dict[int, Entry]:
    """Return entries by number, as the API takes them."""
    entries: dict[int, Entry] = {}
    for number, rule in enumerate(inbound):
        entry: Entry = {
            "Protocol": PROTOCOLS[rule["protocol"]],
            "RuleAction": "allow",
            "CidrBlock": rule["cidr"],
        }
        if rule["protocol"] in ("tcp", "udp"):
            entry["PortRange"] = {"From": rule["from_port"], "To": rule["to_port"]}
        if rule["protocol"] == "icmp":
            entry["IcmpTypeCode"] = {"Type": -1, "Code": -1}
        entries[FIRST + number * STEP] = entry
    return entries


def ensure(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Bring the rules to what is asked."""
    vpc_id = module.params["vpc_id"]
    filters = [{"Name": "vpc-id", "Values": [vpc_id]}, {"Name": "default", "Values": ["true"]}]
    found = client.describe_network_acls(aws_retry=True, Filters=filters)["NetworkAcls"]
    if not found:
        module.fail_json(msg=f"There is no VPC {vpc_id}, or it has no default network ACL")
    acl = found[0]["NetworkAclId"]
    before = {
        entry["RuleNumber"]: {key: value for key, value in entry.items() if key not in ("Egress", "RuleNumber")}
        for entry in found[0]["Entries"]
        if not entry["Egress"] and entry["RuleNumber"] < LAST
    }
    after = wanted_entries(module.params["inbound"])
    if not module.check_mode:
        for number, entry in after.items():
            if before.get(number) != entry:
                write = client.replace_network_acl_entry if number in before else client.create_network_acl_entry
                write(aws_retry=True, NetworkAclId=acl, RuleNumber=number, Egress=False, **entry)
        # Last, so that nothing is cut off meanwhile.
        for number in before.keys() - after.keys():
            client.delete_network_acl_entry(aws_retry=True, NetworkAclId=acl, RuleNumber=number, Egress=False)
    return {
        "changed": before != after,
        "network_acl_id": acl,
        "diff": {"before": {"inbound": _lines(before)}, "after": {"inbound": _lines(after)}},
    }


def _lines(entries: dict[int, Entry]) -> list[str]:
    """Write rules for people: `tcp 1024-65535 from 0.0.0.0/0`."""
    names = {number: name for name, number in PROTOCOLS.items()}
    lines = []
    for _number, entry in sorted(entries.items()):
        action = "" if entry["RuleAction"] == "allow" else "not "
        ports = entry.get("PortRange")
        what = str(names.get(entry["Protocol"], entry["Protocol"])) + (
            f" {ports['From']}-{ports['To']}" if ports else ""
        )
        lines.append(f"{action}{what} from {entry.get('CidrBlock') or entry.get('Ipv6CidrBlock')}")
    return lines


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "vpc_id": {"type": "str", "required": True},
            "inbound": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "protocol": {"type": "str", "required": True, "choices": list(PROTOCOLS)},
                    "from_port": {"type": "int"},
                    "to_port": {"type": "int"},
                    "cidr": {"type": "str", "default": "0.0.0.0/0"},
                },
                "required_if": [["protocol", each, ("from_port", "to_port")] for each in ("tcp", "udp")],
            },
        },
        supports_check_mode=True,
    )
    try:
        result = ensure(module, module.client("ec2", retry_decorator=AWSRetry.jittered_backoff()))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"The default network ACL of {module.params['vpc_id']} cannot be kept")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
