#!/usr/bin/python
"""Manage a private namespace of Cloud Map with the names of its services."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.ownership import foreign, owned_by
from ansible.module_utils.patience import when_let
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
    compare_aws_tags,
)
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: servicediscovery_namespace
short_description: Manage a private DNS namespace of Cloud Map and its services
description:
  - There is no module for Cloud Map in the collections. This one makes a namespace in which the hosts and tasks of a
    VPC find services by name, as C(auth.cars-prod.internal). ECS registers the tasks of a service by its ARN.
  - Each name has A records of all healthy tasks, in changing order.
options:
  name:
    description: The namespace's domain, as C(cars-prod.internal).
    type: str
    required: true
  state:
    description: C(absent) deletes the namespace of ours with its services, once they have no instances any more.
    type: str
    choices: [present, absent]
    default: present
  vpc_id:
    description: The VPC whose hosts find the names. Needed to make the namespace.
    type: str
  services:
    description: Names of the services. Those of ours that are not listed are deleted.
    type: list
    elements: str
    default: []
  ttl:
    description: Seconds for which an answer may be kept.
    type: int
    default: 10
  wait_timeout:
    description: Seconds to wait until the namespace is there, its services have no instances any more, or it is gone.
    type: int
    default: 600
  tags:
    description: Tags. C(vahana:app) and C(vahana:env) decide whose a namespace is.
    type: dict
    required: true
author: Vahana
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""

EXAMPLES = r"""
- name: Let the services find each other
  servicediscovery_namespace:
    name: cars-prod.internal
    vpc_id: vpc-0123456789abcdef0
    services: [auth, cars]
    tags: {"vahana:app": cars, "vahana:env": prod}
"""

RETURN = r"""
namespace_id:
  description: Id of the namespace; empty where there is none.
  returned: always
  type: str
service_arns:
  description: ARNs of the services by name, without those that check mode would make.
  returned: always
  type: dict
"""

POLL = 2.0
IN_USE = ("ResourceInUse",)
"""https://docs.aws.amazon.com/cloud-map/latest/api/API_DeleteService.html"""
FAILURE_THRESHOLD = 1
"""ECS itself says who is healthy: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-discovery.html."""


def find_namespace(client: Any, name: str) -> dict[str, Any] | None:
    """Return the private namespace of a name, with its tags."""
    for page in client.get_paginator("list_namespaces").paginate():
        for found in page["Namespaces"]:
            if (found["Name"], found["Type"]) == (name, "DNS_PRIVATE"):
                return {**found, "tags": tags_of(client, found["Arn"])}
    return None


def tags_of(client: Any, arn: str) -> dict[str, str]:
    """Return the tags of a namespace or service."""
    found: dict[str, str] = boto3_tag_list_to_ansible_dict(client.list_tags_for_resource(ResourceARN=arn)["Tags"])
    return found


def find_services(client: Any, namespace_id: str) -> dict[str, dict[str, Any]]:
    """Return the services of a namespace by name."""
    pages = client.get_paginator("list_services").paginate(Filters=[{"Name": "NAMESPACE_ID", "Values": [namespace_id]}])
    # A listed service does not say which namespace it is of: only the whole one does.
    whole = [client.get_service(Id=each["Id"])["Service"] for page in pages for each in page["Services"]]
    return {each["Name"]: each for each in whole if each["NamespaceId"] == namespace_id}


def ttl_of(service: Mapping[str, Any]) -> int | None:
    """Return for how long answers about a service may be kept; None if it has no A records."""
    records = (service.get("DnsConfig") or {}).get("DnsRecords") or []
    return next((int(record["TTL"]) for record in records if record["Type"] == "A"), None)


class Namespaces:
    """Changes namespaces, or only says what would change."""

    def __init__(self, module: AnsibleAWSModule, client: Any) -> None:
        """Take the module's parameters."""
        self.module, self.client, self.params = module, client, module.params
        self.before: dict[str, Any] = {}
        self.after: dict[str, Any] = {}

    def note(self, name: str, before: Any, after: Any) -> bool:
        """Note a difference; say whether it is to be made."""
        if before is not None:
            self.before[name] = before
        if after is not None:
            self.after[name] = after
        return not self.module.check_mode

    def wait(self, operation: str) -> str:
        """Wait for an operation and return the id of the namespace that it was about.

        Raises:
            ValueError: it failed, or took too long.
        """
        deadline = time.monotonic() + self.params["wait_timeout"]
        while True:
            found = self.client.get_operation(OperationId=operation)["Operation"]
            if found["Status"] == "SUCCESS":
                return str(found["Targets"]["NAMESPACE"])
            if found["Status"] == "FAIL" or time.monotonic() > deadline:
                raise ValueError(f"namespace {self.params['name']}: {found.get('ErrorMessage', 'took too long')}")
            time.sleep(POLL)

    def when_unused(self, call: Callable[[], Any]) -> Any:
        """Delete something as soon as nothing is in it any more."""
        return when_let(call, IN_USE, self.params["wait_timeout"], POLL)

    def ensure(self) -> tuple[str, dict[str, str]]:
        """Have the namespace with its services; return its id and their ARNs."""
        name, tags = self.params["name"], self.params["tags"]
        own_tags = {**tags, "Name": name}
        found = find_namespace(self.client, name)
        if found is None:
            if not self.note(name, None, {"vpc": self.params["vpc_id"], "tags": own_tags}):
                for each in self.params["services"]:
                    self.note(f"{each}.{name}", None, self.wanted_service(f"{each}.{name}"))
                return "", {}
            operation = self.client.create_private_dns_namespace(
                Name=name, Vpc=self.params["vpc_id"], Tags=ansible_dict_to_boto3_tag_list(own_tags)
            )
            namespace_id = self.wait(operation["OperationId"])
        else:
            if not owned_by(found["tags"], tags):
                self.module.fail_json(msg=foreign("Cloud Map namespace", name, tags))
            namespace_id = found["Id"]
            self.bring_tags(name, found["Arn"], found["tags"], own_tags)
        return namespace_id, self.ensure_services(namespace_id)

    def wanted_service(self, full: str) -> dict[str, Any]:
        """Return what a service of a full name should be."""
        return {"ttl": self.params["ttl"], "tags": {**self.params["tags"], "Name": full}}

    def ensure_services(self, namespace_id: str) -> dict[str, str]:
        """Have the services that are listed, and no others."""
        existing = find_services(self.client, namespace_id)
        arns = {}
        records = {"DnsRecords": [{"Type": "A", "TTL": self.params["ttl"]}]}
        for name in self.params["services"]:
            full, found = f"{name}.{self.params['name']}", existing.get(name)
            wanted = self.wanted_service(full)
            if found is None:
                if self.note(full, None, wanted):
                    made = self.client.create_service(
                        Name=name,
                        NamespaceId=namespace_id,
                        DnsConfig={"RoutingPolicy": "MULTIVALUE", **records},
                        HealthCheckCustomConfig={"FailureThreshold": FAILURE_THRESHOLD},
                        Tags=ansible_dict_to_boto3_tag_list(wanted["tags"]),
                    )
                    arns[name] = made["Service"]["Arn"]
                continue
            arns[name] = found["Arn"]
            if ttl_of(found) != wanted["ttl"] and self.note(full, {"ttl": ttl_of(found)}, {"ttl": wanted["ttl"]}):
                self.client.update_service(Id=found["Id"], Service={"DnsConfig": records})
            self.bring_tags(f"{full} tags", found["Arn"], tags_of(self.client, found["Arn"]), wanted["tags"])
        for name in sorted(existing.keys() - set(self.params["services"])):
            self.delete_service(existing[name])
        return arns

    def bring_tags(self, name: str, arn: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """Change the tags that differ."""
        to_set, to_unset = compare_aws_tags(before, after, True)
        if not (to_set or to_unset) or not self.note(name, dict(before), dict(after)):
            return
        if to_unset:
            self.client.untag_resource(ResourceARN=arn, TagKeys=to_unset)
        if to_set:
            self.client.tag_resource(ResourceARN=arn, Tags=ansible_dict_to_boto3_tag_list(to_set))

    def delete_service(self, service: Mapping[str, Any]) -> None:
        """Delete a service."""
        full = f"{service['Name']}.{self.params['name']}"
        if self.note(full, {"ttl": ttl_of(service)}, None):
            # Tasks that stop are among its instances until they have.
            self.when_unused(lambda: self.client.delete_service(Id=service["Id"]))

    def delete(self) -> None:
        """Delete the namespace of ours with its services."""
        found = find_namespace(self.client, self.params["name"])
        if found is None or not owned_by(found["tags"], self.params["tags"]):
            return
        for service in find_services(self.client, found["Id"]).values():
            self.delete_service(service)
        if self.note(self.params["name"], {"tags": found["tags"]}, None):
            begun = self.when_unused(lambda: self.client.delete_namespace(Id=found["Id"]))
            self.wait(begun["OperationId"])


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "vpc_id": {"type": "str"},
            "services": {"type": "list", "elements": "str", "default": []},
            "ttl": {"type": "int", "default": 10},
            "wait_timeout": {"type": "int", "default": 600},
            "tags": {"type": "dict", "required": True},
        },
        required_if=[("state", "present", ("vpc_id",))],
        supports_check_mode=True,
    )
    namespaces = Namespaces(module, module.client("servicediscovery"))
    namespace_id = ""
    arns: dict[str, str] = {}
    try:
        if module.params["state"] == "present":
            namespace_id, arns = namespaces.ensure()
        else:
            namespaces.delete()
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"Cloud Map namespace {module.params['name']}")
    except ValueError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(namespaces.before or namespaces.after),
        namespace_id=namespace_id,
        service_arns=arns,
        diff={"before": namespaces.before, "after": namespaces.after},
    )


if __name__ == "__main__":
    main()
