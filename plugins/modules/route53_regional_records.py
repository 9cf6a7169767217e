#!/usr/bin/python
"""Keep the CNAME records of a name that leads to one of several regions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.planning import is_planned
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: route53_regional_records
short_description: Keep the records of a name that leads to one of several regions
description:
  - Keeps one C(CNAME) record a region, each with a health check, and the TXT record C(_vahana.<record>) that says whose
    they are. Records of the name without it are refused.
  - All of it changes in one batch, which Route 53 makes as a whole or not at all. Records of one name must have the
    same routing policy, and only one of them may be the primary. M(amazon.aws.route53) changes one record at a time,
    so it could change these only while the name is without an answer.
options:
  zone_id:
    description: The hosted zone.
    type: str
    required: true
  record:
    description: The name, as C(api.cars.example.com).
    type: str
    required: true
  owner:
    description: Text of the TXT record.
    type: str
    required: true
  targets:
    description: By region, the name that its record leads to. Without any, the records and the TXT record are deleted.
    type: dict
    default: {}
  health_checks:
    description: By region, the id of the health check that decides whether its record is answered.
    type: dict
    default: {}
  primary:
    description:
      - The region that is answered while it is healthy; of the two regions the other is answered when it is not.
      - Empty lets each resolver have the region with the lowest latency of those that are healthy.
    type: str
    default: ""
  ttl:
    description: Seconds resolvers may keep an answer.
    type: int
    default: 10
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author:
  - Vahana
"""

EXAMPLES = r"""
- name: Lead to Ireland while the first region is not healthy
  route53_regional_records:
    zone_id: Z0123456789
    record: api.cars.example.com
    owner: vahana:app=cars vahana:env=prod
    targets:
      us-east-1: d-0123456789.execute-api.us-east-1.amazonaws.com
      eu-west-1: d-9876543210.execute-api.eu-west-1.amazonaws.com
    health_checks:
      us-east-1: 11111111-2222-3333-4444-555555555555
      eu-west-1: 66666666-7777-8888-9999-000000000000
    primary: us-east-1
"""

RETURN = r"""
released:
  description: Ids of the health checks that records asked before, and do not ask any more.
  returned: always
  type: list
  elements: str
"""

OWNER_TTL = 300

RecordSet = dict[str, Any]


def key_of(record_set: Mapping[str, Any]) -> str:
    """Return what tells record sets apart: type, name and region."""
    return " ".join(filter(None, (record_set["Type"], record_set["Name"].rstrip("."), record_set.get("SetIdentifier"))))


def wanted_sets(params: Mapping[str, Any]) -> list[RecordSet]:
    """Return the record sets as the options have them.

    :raises ValueError: when they say what Route 53 does not have.
    """
    targets, primary, name = params["targets"], params["primary"], f"{params['record'].lower().rstrip('.')}."
    if not targets:
        return []
    if primary and (primary not in targets or len(targets) != 2):
        raise ValueError(f"{primary} can be the primary of two regions with itself among them, not of {list(targets)}")
    owner = {
        "Name": f"_vahana.{name}",
        "Type": "TXT",
        "TTL": OWNER_TTL,
        "ResourceRecords": [{"Value": f'"{params["owner"]}"'}],
    }
    return [
        owner,
        *(
            {
                "Name": name,
                "Type": "CNAME",
                "SetIdentifier": region,
                **({"Failover": "PRIMARY" if region == primary else "SECONDARY"} if primary else {"Region": region}),
                "TTL": params["ttl"],
                "ResourceRecords": [{"Value": target}],
                "HealthCheckId": params["health_checks"][region],
            }
            for region, target in targets.items()
        ),
    ]


class RegionalRecords:
    """The records of one name, and the one that says whose they are."""

    def __init__(self, module: AnsibleAWSModule) -> None:
        """Take the module and its options."""
        self.module, self.params = module, module.params
        self.client = module.client("route53", retry_decorator=AWSRetry.jittered_backoff())

    def find(self) -> list[RecordSet]:
        """Return the record sets that are ours.

        :raises ValueError: when the name has others and is to have ours.
        """
        name = self.params["record"].lower().rstrip(".")
        owner = f"_vahana.{name}"
        # A zone that is not there yet has no records.
        listed = [] if is_planned(self.params["zone_id"]) else self._listed()
        found = [each for each in listed if each["Name"].rstrip(".") == name]
        says = [each for each in listed if each["Name"].rstrip(".") == owner and each["Type"] == "TXT"]
        values = {value["Value"] for each in says for value in each.get("ResourceRecords", [])}
        if f'"{self.params["owner"]}"' in values:
            return [*says, *found]
        if found and self.params["targets"]:
            types = ", ".join(sorted({each["Type"] for each in found}))
            raise ValueError(
                f"{name} already has records of type {types} that this environment did not create. Delete them, choose"
                f' another name, or, if they may be replaced, create the TXT record {owner} with the value "'
                f'{self.params["owner"]}".'
            )
        # What another owner has left says nothing any more once the name is ours.
        return says if self.params["targets"] else []

    def _listed(self) -> list[RecordSet]:
        pages = self.client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=self.params["zone_id"])
        return [each for page in pages for each in page["ResourceRecordSets"]]

    def keep(self) -> dict[str, Any]:
        """Bring the records to what is wanted; return the module's results."""
        wanted, found = wanted_sets(self.params), self.find()
        # First away with what differs: a record of another policy is refused while one of the old is there.
        changes = [
            *({"Action": "DELETE", "ResourceRecordSet": each} for each in found if each not in wanted),
            *({"Action": "CREATE", "ResourceRecordSet": each} for each in wanted if each not in found),
        ]
        if changes and not self.module.check_mode:
            self.client.change_resource_record_sets(
                HostedZoneId=self.params["zone_id"], ChangeBatch={"Changes": changes}, aws_retry=True
            )
        asked = {each["HealthCheckId"] for each in wanted if "HealthCheckId" in each}
        before, after = ({key_of(each): shown(each) for each in sets} for sets in (found, wanted))
        return {
            "changed": bool(changes),
            "released": sorted({each["HealthCheckId"] for each in found if "HealthCheckId" in each} - asked),
            "diff": {"before": before, "after": after},
        }


def shown(record_set: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a record set for people."""
    values = [value["Value"] for value in record_set.get("ResourceRecords", [])]
    names = {"TTL": "ttl", "Region": "latency", "Failover": "failover", "HealthCheckId": "health_check"}
    fields = {shown_as: record_set[name] for name, shown_as in names.items() if name in record_set}
    return {"value": ", ".join(values), **fields}


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "zone_id": {"type": "str", "required": True},
            "record": {"type": "str", "required": True},
            "owner": {"type": "str", "required": True},
            "targets": {"type": "dict", "default": {}},
            "health_checks": {"type": "dict", "default": {}},
            "primary": {"type": "str", "default": ""},
            "ttl": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    try:
        results = RegionalRecords(module).keep()
    except ValueError as error:
        module.fail_json(msg=str(error))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"the records of {module.params['record']} cannot be kept")
    module.exit_json(**results)


if __name__ == "__main__":
    main()
