#!/usr/bin/python
"""Manage an ECS cluster with its Fargate services and their task definitions as one list."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.ownership import foreign, owned_by
from ansible.module_utils.planning import KNOWN_AFTER_APPLY
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
    compare_aws_tags,
)
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: ecs_services
short_description: Manage an ECS cluster with Fargate services
description:
  - The modules community.aws.ecs_cluster and ecs_taskdefinition know no tags, by which this project tells whose
    something is. community.aws.ecs_service does not notice other subnets, groups, percentages and circuit breakers,
    cannot change tags, and does not say what became of a deployment. This one brings a cluster, its task definitions
    and services to a list, all services at the same time, and waits until every deployment has completed or failed.
  - Every deployment has a circuit breaker that rolls back. A failed one fails the task, with the reasons of the tasks
    that stopped.
options:
  cluster:
    description: Name of the cluster. Families of task definitions are called C(<cluster>-<service>).
    type: str
    required: true
  state:
    description: C(absent) deletes the cluster of ours with its services and task definitions.
    type: str
    choices: [present, absent]
    default: present
  container_insights:
    description: Metrics of tasks in CloudWatch, which cost.
    type: str
    choices: [disabled, enabled, enhanced]
    default: disabled
  services:
    description: The services.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Its name., type: str, required: true}
      task_definition:
        description:
          - What RegisterTaskDefinition takes, in the API's names, without the family. Networking is awsvpc on Fargate.
          - Another revision is registered when this differs from what the newest one was made of.
        type: dict
        required: true
      desired_count: {description: How many tasks., type: int, required: true}
      scaled:
        description: The number of tasks is only that of a new service; later it is Application Auto Scaling's.
        type: bool
        default: false
      subnets: {description: Ids of the subnets of its tasks., type: list, elements: str, required: true}
      security_groups: {description: Ids of the groups of its tasks., type: list, elements: str, required: true}
      target_group_arn: {description: The target group of its tasks., type: str}
      container_port: {description: The port of the first container that the target group gets., type: int}
      grace_seconds:
        description: Seconds after the start of a task in which the target group's health checks do not count.
        type: int
        default: 0
      registry_arn: {description: A service of Cloud Map that its tasks are registered with., type: str}
      minimum_healthy_percent: {description: How many tasks stay healthy., type: int, default: 100}
      maximum_percent: {description: How many tasks there are at most while it is deployed., type: int, default: 200}
  purge:
    description: Delete services of ours that are not listed.
    type: bool
    default: true
  renew:
    description: >-
      Replace the tasks of services whose definition is what it was, too, with ones that read their secrets anew. A run
      that does changes something.
    type: bool
    default: false
  wait:
    description: Wait for deployments, also those that an earlier run has begun.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait.
    type: int
    default: 1200
  tags:
    description: Tags of all; tasks get those of their service. C(vahana:app) and C(vahana:env) decide whose they are.
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
- name: Keep the services
  ecs_services:
    cluster: cars-prod
    services:
      - name: auth
        desired_count: 2
        subnets: [subnet-0123456789abcdef0]
        security_groups: [sg-0123456789abcdef0]
        task_definition:
          cpu: "256"
          memory: "512"
          executionRoleArn: arn:aws:iam::123456789012:role/cars-prod-execution
          containerDefinitions:
            - {name: auth, image: "123456789012.dkr.ecr.us-east-1.amazonaws.com/cars-prod/auth@sha256:…"}
    tags: {"vahana:app": cars, "vahana:env": prod}
"""

RETURN = r"""
cluster_arn:
  description: ARN of the cluster; empty where there is none.
  returned: always
  type: str
task_definitions:
  description: ARNs of the services' task definitions by service; empty where check mode would make one.
  returned: always
  type: dict
"""

WORKERS = 8
HASH_TAG = "vahana:definition"
"""Hash of what a task definition was made of: the API gives it back with defaults of its own."""
DESCRIBED = 10
"""Most services, tasks or task definitions of one call."""
POLL = 3.0
ROLE_SECONDS = 60
"""How long the role may take: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-service-linked-roles.html"""


def pieces(found: list[str]) -> Iterator[list[str]]:
    """Cut a list into parts that one call takes."""
    for start in range(0, len(found), DESCRIBED):
        yield found[start : start + DESCRIBED]


def api_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as ECS takes them."""
    found: list[dict[str, str]] = ansible_dict_to_boto3_tag_list(tags, "key", "value")
    return found


def tags_of(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of what ECS gave back."""
    tags: dict[str, str] = boto3_tag_list_to_ansible_dict(found.get("tags", []), "key", "value")
    return tags


def definition_hash(definition: Mapping[str, Any]) -> str:
    """Return what tells a task definition from another."""
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:16]


def wanted_service(service: Mapping[str, Any], definition: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return what a service should be, in the names of DescribeServices."""
    container = service["task_definition"]["containerDefinitions"][0]["name"]
    group, port = service["target_group_arn"], service["container_port"]
    balancer = {"targetGroupArn": group, "containerName": container, "containerPort": port}
    return {
        "taskDefinition": definition,
        "desiredCount": service["desired_count"],
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": sorted(service["subnets"]),
                "securityGroups": sorted(service["security_groups"]),
                "assignPublicIp": "DISABLED",
            }
        },
        "loadBalancers": [balancer] if group else [],
        "serviceRegistries": [{"registryArn": service["registry_arn"]}] if service["registry_arn"] else [],
        "healthCheckGracePeriodSeconds": service["grace_seconds"] if group else 0,
        "deploymentConfiguration": {
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
            "minimumHealthyPercent": service["minimum_healthy_percent"],
            "maximumPercent": service["maximum_percent"],
        },
        "tags": dict(tags),
    }


def shown(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Cut a service down to what this module sets, in the same form."""
    network = found.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
    return {
        "taskDefinition": found["taskDefinition"],
        "desiredCount": found["desiredCount"],
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": sorted(network.get("subnets", [])),
                "securityGroups": sorted(network.get("securityGroups", [])),
                "assignPublicIp": network.get("assignPublicIp", "DISABLED"),
            }
        },
        "loadBalancers": found.get("loadBalancers", []),
        "serviceRegistries": [{"registryArn": each["registryArn"]} for each in found.get("serviceRegistries", [])],
        "healthCheckGracePeriodSeconds": found.get("healthCheckGracePeriodSeconds", 0),
        "deploymentConfiguration": {
            key: found["deploymentConfiguration"].get(key) for key in wanted["deploymentConfiguration"]
        },
        "tags": tags_of(found),
    }


class Services:
    """Changes a cluster and its services, or only says what would change."""

    def __init__(self, module: AnsibleAWSModule, client: Any) -> None:
        """Take the module's parameters."""
        self.module, self.client, self.params = module, client, module.params
        self.cluster: str = module.params["cluster"]
        self.before: dict[str, Any] = {}
        self.after: dict[str, Any] = {}

    @property
    def writing(self) -> bool:
        """Is this more than a look at what would change?"""
        return not self.module.check_mode

    # What is there ----------------------------------------------------------------------------------------------------

    def find_cluster(self) -> dict[str, Any] | None:
        """Return the cluster."""
        found = self.client.describe_clusters(clusters=[self.cluster], include=["TAGS", "SETTINGS"])["clusters"]
        return next((each for each in found if each["status"] == "ACTIVE"), None)

    def describe(self, names: list[str]) -> dict[str, dict[str, Any]]:
        """Return services by name, those that are gone left out."""
        found: dict[str, dict[str, Any]] = {}
        for part in pieces(names):
            answer = self.client.describe_services(cluster=self.cluster, services=part, include=["TAGS"])
            found |= {each["serviceName"]: each for each in answer["services"] if each["status"] != "INACTIVE"}
        return found

    def find_services(self) -> dict[str, dict[str, Any]]:
        """Return all services of the cluster by name."""
        pages = self.client.get_paginator("list_services").paginate(cluster=self.cluster)
        return self.describe([arn for page in pages for arn in page["serviceArns"]])

    # Changes ----------------------------------------------------------------------------------------------------------

    def bring_tags(self, arn: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """Change the tags that differ."""
        to_set, to_unset = compare_aws_tags(before, after, True)
        if to_unset:
            self.client.untag_resource(resourceArn=arn, tagKeys=to_unset)
        if to_set:
            self.client.tag_resource(resourceArn=arn, tags=api_tags(to_set))

    def ensure_cluster(self) -> str:
        """Have the cluster; return its ARN, empty where check mode would make it."""
        tags = {**self.params["tags"], "Name": self.cluster}
        insights = [{"name": "containerInsights", "value": self.params["container_insights"]}]
        wanted = {"containerInsights": self.params["container_insights"], "tags": tags}
        found = self.find_cluster()
        if found is None:
            self.after[self.cluster] = wanted
            if not self.writing:
                return ""
            made = self.client.create_cluster(clusterName=self.cluster, tags=api_tags(tags), settings=insights)
            return str(made["cluster"]["clusterArn"])
        if not owned_by(tags_of(found), tags):
            self.module.fail_json(msg=foreign("ECS cluster", self.cluster, tags))
        settings = {each["name"]: each["value"] for each in found.get("settings", [])}
        current = {"containerInsights": settings.get("containerInsights", "disabled"), "tags": tags_of(found)}
        if current != wanted:
            self.before[self.cluster], self.after[self.cluster] = current, wanted
            if self.writing:
                self.bring_tags(found["clusterArn"], current["tags"], tags)
                if current["containerInsights"] != wanted["containerInsights"]:
                    self.client.update_cluster(cluster=self.cluster, settings=insights)
        return str(found["clusterArn"])

    def find_definition(self, name: str) -> dict[str, Any] | None:
        """Return a task definition with its tags, by its ARN or as the newest of a family; None where there is none."""
        try:
            found: dict[str, Any] = self.client.describe_task_definition(taskDefinition=name, include=["TAGS"])
        except self.client.exceptions.ClientException:
            return None
        return found

    def ensure_definition(self, service: Mapping[str, Any], in_service: str) -> str:
        """Have the task definition of a service, of which one may be in service already; return its ARN."""
        family = f"{self.cluster}-{service['name']}"
        wanted = {"requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", **service["task_definition"]}
        digest = definition_hash(wanted)
        newest = self.find_definition(family)
        candidates = [newest]
        if newest and in_service and newest["taskDefinition"]["taskDefinitionArn"] != in_service:
            # A deployment that failed has left its own as the newest.
            candidates.append(self.find_definition(in_service))
        for each in candidates:
            if each and each["taskDefinition"]["status"] == "ACTIVE" and tags_of(each).get(HASH_TAG) == digest:
                return str(each["taskDefinition"]["taskDefinitionArn"])
        if newest:
            self.before[family] = {key: newest["taskDefinition"].get(key) for key in wanted}
        self.after[family] = wanted
        if not self.writing:
            return str(KNOWN_AFTER_APPLY)
        tags = {**self.params["tags"], "Name": family, HASH_TAG: digest}
        made = self.client.register_task_definition(family=family, tags=api_tags(tags), **wanted)
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def ensure_service(self, service: Mapping[str, Any], found: dict[str, Any] | None) -> str:
        """Have a service; return the ARN of its task definition."""
        name, tags = service["name"], {**self.params["tags"], "Name": f"{self.cluster}-{service['name']}"}
        if found and not owned_by(tags_of(found), tags):
            self.module.fail_json(msg=foreign("ECS service", f"{self.cluster}/{name}", tags))
        definition = self.ensure_definition(service, found["taskDefinition"] if found else "")
        wanted = wanted_service(service, definition, tags)
        given = {key: value for key, value in wanted.items() if key != "tags"}
        if not service["target_group_arn"]:
            # ECS takes it for services with a load balancer alone.
            del given["healthCheckGracePeriodSeconds"]
        if found is None:
            self.after[f"{self.cluster}/{name}"] = wanted
            if self.writing:
                self.create_service(serviceName=name, tags=api_tags(tags), **given)
            return definition
        if service["scaled"]:
            wanted["desiredCount"] = found["desiredCount"]
            del given["desiredCount"]
        current = shown(found, wanted)
        renew = self.params["renew"]
        if current != wanted or renew:
            key = f"{self.cluster}/{name}"
            differing = [each for each in wanted if current[each] != wanted[each]]
            self.before[key] = {each: current[each] for each in differing}
            self.after[key] = {each: wanted[each] for each in differing} | ({"tasks": "renewed"} if renew else {})
            if self.writing:
                self.bring_tags(found["serviceArn"], current["tags"], tags)
                if differing != ["tags"] or renew:
                    self.client.update_service(cluster=self.cluster, service=name, forceNewDeployment=renew, **given)
        return definition

    def create_service(self, **given: Any) -> None:
        """Make a service; waits for ECS's own role, which an account gets with its first cluster."""
        deadline = time.monotonic() + ROLE_SECONDS
        while True:
            try:
                self.client.create_service(cluster=self.cluster, launchType="FARGATE", propagateTags="SERVICE", **given)
                return
            except self.client.exceptions.InvalidParameterException as error:
                if "service linked role" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(POLL)

    def delete_services(self, services: list[dict[str, Any]]) -> None:
        """Delete services and wait until they are gone."""
        for service in services:
            self.before[f"{self.cluster}/{service['serviceName']}"] = {"taskDefinition": service["taskDefinition"]}
            if self.writing and service["status"] == "ACTIVE":
                self.client.delete_service(cluster=self.cluster, service=service["serviceName"], force=True)
        names = [service["serviceName"] for service in services]
        deadline = time.monotonic() + self.params["wait_timeout"]
        while self.writing and names and (left := self.describe(names)):
            if time.monotonic() > deadline:
                raise ValueError(f"services are still draining: {', '.join(sorted(left))}")
            time.sleep(POLL)

    # The whole --------------------------------------------------------------------------------------------------------

    def ensure(self) -> tuple[str, dict[str, str]]:
        """Bring cluster and services to the list; return the cluster's ARN and the services' task definitions."""
        arn = self.ensure_cluster()
        existing = self.find_services() if arn else {}
        listed = {service["name"]: service for service in self.params["services"]}
        draining = [name for name in listed if existing.get(name, {}).get("status") == "DRAINING"]
        if draining:
            raise ValueError(f"services are still being deleted: {', '.join(draining)}; run it again in a minute")
        with ThreadPoolExecutor(WORKERS) as pool:
            definitions = list(
                pool.map(lambda service: self.ensure_service(service, existing.get(service["name"])), listed.values())
            )
        if self.params["purge"]:
            ours = [each for each in existing.values() if owned_by(tags_of(each), self.params["tags"])]
            self.delete_services([each for each in ours if each["serviceName"] not in listed])
        if self.writing and self.params["wait"] and listed:
            self.wait(list(listed))
        known = ("" if each == KNOWN_AFTER_APPLY else each for each in definitions)
        return arn, dict(zip(listed, known, strict=True))

    def wait(self, names: list[str]) -> None:
        """Wait until the deployments of services are over.

        Raises:
            ValueError: some failed, or took too long; the text has the reasons of their tasks.
        """
        deadline = time.monotonic() + self.params["wait_timeout"]
        awaited = {name: each["deployments"][0]["id"] for name, each in self.describe(names).items()}
        faults = []
        while awaited:
            for name, service in self.describe(list(awaited)).items():
                found = {each["id"]: each for each in service["deployments"]}.get(awaited[name])
                rollout = found["rolloutState"] if found else "FAILED"
                if rollout == "IN_PROGRESS" and time.monotonic() < deadline:
                    continue
                identifier = awaited.pop(name)
                if rollout != "COMPLETED":
                    what = "failed" if rollout == "FAILED" else "is still in progress"
                    faults.append(f"{name}: deployment {identifier} {what}{self.reasons(name, identifier)}")
            if awaited:
                time.sleep(POLL)
        if faults:
            raise ValueError("; ".join(faults))

    def reasons(self, name: str, deployment: str) -> str:
        """Say why tasks of a deployment stopped."""
        arns = self.client.list_tasks(cluster=self.cluster, serviceName=name, desiredStatus="STOPPED")["taskArns"]
        found = [
            task
            for part in pieces(arns)
            for task in self.client.describe_tasks(cluster=self.cluster, tasks=part)["tasks"]
            if task.get("startedBy") == deployment
        ]
        texts = []
        for task in found:
            codes = [each["exitCode"] for each in task["containers"] if "exitCode" in each]
            code = f" (exit code {codes[0]})" if codes else ""
            texts.append(f"{task.get('stoppedReason', '')}{code}")
        return f": {'; '.join(dict.fromkeys(texts))}" if texts else ""

    def delete(self) -> None:
        """Delete the cluster of ours with its services and task definitions."""
        tags, cluster = self.params["tags"], self.find_cluster()
        if cluster and owned_by(tags_of(cluster), tags):
            self.delete_services(list(self.find_services().values()))
            self.before[self.cluster] = {"tags": tags_of(cluster)}
            if self.writing:
                self.client.delete_cluster(cluster=self.cluster)
        definitions = self.definitions()
        for arn in definitions:
            self.before[arn.rpartition("/")[2]] = {"taskDefinitionArn": arn}
            if self.writing:
                self.client.deregister_task_definition(taskDefinition=arn)
        for part in pieces(definitions) if self.writing else []:
            self.client.delete_task_definitions(taskDefinitions=part)

    def definitions(self) -> list[str]:
        """Return the ARNs of all active task definitions of ours."""
        pages = self.client.get_paginator("list_task_definition_families").paginate(
            familyPrefix=f"{self.cluster}-", status="ACTIVE"
        )
        found = []
        for family in [each for page in pages for each in page["families"]]:
            listing = self.client.get_paginator("list_task_definitions").paginate(familyPrefix=family, status="ACTIVE")
            arns = [arn for page in listing for arn in page["taskDefinitionArns"]]
            for arn in arns:
                described = self.client.describe_task_definition(taskDefinition=arn, include=["TAGS"])
                if owned_by(tags_of(described), self.params["tags"]):
                    found.append(arn)
        return found


SERVICE_SPEC: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "task_definition": {"type": "dict", "required": True},
    "desired_count": {"type": "int", "required": True},
    "scaled": {"type": "bool", "default": False},
    "subnets": {"type": "list", "elements": "str", "required": True},
    "security_groups": {"type": "list", "elements": "str", "required": True},
    "target_group_arn": {"type": "str"},
    "container_port": {"type": "int"},
    "grace_seconds": {"type": "int", "default": 0},
    "registry_arn": {"type": "str"},
    "minimum_healthy_percent": {"type": "int", "default": 100},
    "maximum_percent": {"type": "int", "default": 200},
}


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "cluster": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "container_insights": {
                "type": "str",
                "choices": ["disabled", "enabled", "enhanced"],
                "default": "disabled",
            },
            "services": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": SERVICE_SPEC,
                "required_together": [("target_group_arn", "container_port")],
            },
            "purge": {"type": "bool", "default": True},
            "renew": {"type": "bool", "default": False},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 1200},
            "tags": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    services = Services(module, module.client("ecs"))
    arn = ""
    definitions: dict[str, str] = {}
    result: dict[str, Any] = {}
    try:
        if module.params["state"] == "present":
            arn, definitions = services.ensure()
        else:
            services.delete()
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"ECS cluster {module.params['cluster']}")
    except ValueError as error:
        result = {"failed": True, "msg": str(error)}
    result |= {
        "changed": bool(services.before or services.after),
        "cluster_arn": arn,
        "task_definitions": definitions,
        "diff": {"before": services.before, "after": services.after},
    }
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
