#!/usr/bin/python
"""Manage an ECS cluster with its Fargate services and their task definitions as one list."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.named_resource import part_of
from ansible.module_utils.ownership import foreign, owned_by
from ansible.module_utils.patience import when_let
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
  - Every rolling deployment has a circuit breaker that rolls back. A failed one fails the task, with the reasons of the
    tasks that stopped.
  - The circuit breaker is for rolling deployments alone (API_DeploymentCircuitBreaker). A blue/green one is taken back
    by this module, with StopServiceDeployment, when as many tasks in a row failed as make the circuit breaker trip, or
    when I(wait_timeout) is over; the alarms that ECS watches beside that are those of the module ecs_deployment_alarms,
    and this one leaves them as they are.
  - A service that becomes a blue/green one gets its second target group by a rolling deployment, and the strategy when
    that is over ("Update the deployment strategy", Amazon ECS Developer Guide). On the way back its target groups and
    its rule stay as they are, for its tasks may be in the second one.
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
      strategy:
        description: How its tasks are replaced. C(blue_green) needs the four options below it.
        type: str
        choices: [rolling, blue_green]
        default: rolling
      bake_minutes: {description: Minutes for which the former tasks stay beside the new ones that answer., type: int}
      alternate_target_group_arn: {description: The second target group., type: str}
      listener_rule_arn: {description: The rule whose weights share the requests between both groups., type: str}
      infrastructure_role_arn: {description: The role by which ECS changes groups and rule., type: str}
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
    description: Seconds to wait; the minutes that a blue/green deployment bakes for are among them.
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
ROLLBACK_SECONDS = 600
"""How long the way back of a blue/green deployment may take."""
BREAKER_LIMITS = (3, 200)
"""https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html"""
GOING_ON = ("PENDING", "IN_PROGRESS")
GOING_BACK = ("STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")
NO_ALARMS = {"alarmNames": [], "enable": False, "rollback": False}
UNSEEN_SECONDS = 60
"""How long a deployment that has begun may be missing where it is asked for: ECS is eventually consistent."""
IN_USE = ("ClusterContainsServicesException", "ClusterContainsTasksException", "UpdateInProgressException")
"""https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteCluster.html"""
ROLE_SECONDS, ROLE_NOT_YET, ROLE_TEXT = 60, ("InvalidParameterException",), "service linked role"
"""How long ECS's own role may take, and how ECS says that it is not there yet.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-service-linked-roles.html
"""


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


def threshold(desired: int) -> int:
    """Return after how many failed tasks in a row a deployment has failed, as the circuit breaker counts."""
    lowest, highest = BREAKER_LIMITS
    return min(max(lowest, math.ceil(desired / 2)), highest)


def strategy_of(found: Mapping[str, Any]) -> str:
    """Return the deployment strategy of a service of DescribeServices."""
    return str(found["deploymentConfiguration"].get("strategy") or "ROLLING")


def balancers_of(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the load balancers of a service of DescribeServices, cut down to what this module sets."""
    made = []
    for each in found.get("loadBalancers", []):
        kept = {key: each.get(key) for key in ("targetGroupArn", "containerName", "containerPort")}
        if given := each.get("advancedConfiguration"):
            keys = ("alternateTargetGroupArn", "productionListenerRule", "roleArn")
            kept["advancedConfiguration"] = {key: given.get(key) for key in keys}
        made.append(kept)
    return made


def wanted_balancers(service: Mapping[str, Any], found: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the load balancers that a service should have."""
    container = service["task_definition"]["containerDefinitions"][0]["name"]
    group, other = service["target_group_arn"], service["alternate_target_group_arn"]
    if not group:
        return []
    balancer = {"targetGroupArn": group, "containerName": container, "containerPort": service["container_port"]}
    before = balancers_of(found) if found else []
    if service["strategy"] == "blue_green":
        if before and before[0]["targetGroupArn"] == other:
            # Which of the two is called the first does not matter, and changing that would be a deployment.
            group, other = other, group
        pair = {
            "alternateTargetGroupArn": other,
            "productionListenerRule": service["listener_rule_arn"],
            "roleArn": service["infrastructure_role_arn"],
        }
        return [{**balancer, "targetGroupArn": group, "advancedConfiguration": pair}]
    pair = before[0].get("advancedConfiguration", {}) if before else {}
    if pair and group in (before[0]["targetGroupArn"], pair["alternateTargetGroupArn"]):
        return before
    return [balancer]


def wanted_configuration(service: Mapping[str, Any], found: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the deployment configuration that a service should have, as far as this module sets it."""
    if service["strategy"] == "blue_green":
        return {
            "strategy": "BLUE_GREEN",
            "bakeTimeInMinutes": service["bake_minutes"],
            "deploymentCircuitBreaker": {"enable": False, "rollback": False},
        }
    rolling = {
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        "minimumHealthyPercent": service["minimum_healthy_percent"],
        "maximumPercent": service["maximum_percent"],
    }
    was_other = found is not None and strategy_of(found) != "ROLLING"
    return {**rolling, "strategy": "ROLLING", "alarms": NO_ALARMS} if was_other else rolling


def wanted_service(
    service: Mapping[str, Any], definition: str, tags: Mapping[str, str], found: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what a service should be, in the names of DescribeServices."""
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
        "loadBalancers": wanted_balancers(service, found),
        "serviceRegistries": [{"registryArn": service["registry_arn"]}] if service["registry_arn"] else [],
        "healthCheckGracePeriodSeconds": service["grace_seconds"] if service["target_group_arn"] else 0,
        "deploymentConfiguration": wanted_configuration(service, found),
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
        "loadBalancers": balancers_of(found),
        "serviceRegistries": [{"registryArn": each["registryArn"]} for each in found.get("serviceRegistries", [])],
        "healthCheckGracePeriodSeconds": found.get("healthCheckGracePeriodSeconds", 0),
        # What ECS adds of its own is nobody's business, within the circuit breaker too.
        "deploymentConfiguration": part_of(found["deploymentConfiguration"], wanted["deploymentConfiguration"]),
        "tags": tags_of(found),
    }


def changes(found: Mapping[str, Any], service: Mapping[str, Any]) -> bool:
    """Say whether a service is to have another strategy."""
    return strategy_of(found) != str(service["strategy"]).upper()


def once_ecs_has_its_role(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Call; again while ECS has not got its own role yet, which an account gets with its first cluster."""
    answer: dict[str, Any] = when_let(call, ROLE_NOT_YET, ROLE_SECONDS, POLL, text=ROLE_TEXT)
    return answer


class Services:
    """Changes a cluster and its services, or only says what would change."""

    def __init__(self, module: AnsibleAWSModule, client: Any) -> None:
        """Take the module's parameters."""
        self.module, self.client, self.params = module, client, module.params
        self.cluster: str = module.params["cluster"]
        self.before: dict[str, Any] = {}
        self.after: dict[str, Any] = {}
        self.strategies: dict[str, dict[str, Any]] = {}
        """Deployment configurations that services get when their deployment is over."""
        self.begun: dict[str, tuple[str, str]] = {}
        """By service, the id of the deployment that this run began and the ARN of the service deployment before it."""
        self.seen: set[str] = set()
        """Ids of the rolling deployments that were shown."""
        self.visible_by = 0.0
        """When what has begun must be shown."""
        self.stopped: dict[str, str] = {}
        """Why this module has taken blue/green deployments back, by their ARNs."""

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

    def find_services(self, more: Collection[str] = ()) -> dict[str, dict[str, Any]]:
        """Return all services of the cluster by name.

        :param more: names to ask for beside: ListServices leaves out what is DRAINING.
        """
        pages = self.client.get_paginator("list_services").paginate(cluster=self.cluster)
        arns = [arn for page in pages for arn in page["serviceArns"]]
        names = {arn.rpartition("/")[2] for arn in arns}
        return self.describe([*arns, *(name for name in more if name not in names)])

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
            made = once_ecs_has_its_role(
                lambda: self.client.create_cluster(clusterName=self.cluster, tags=api_tags(tags), settings=insights)
            )
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
        wanted = wanted_service(service, definition, tags, found)
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
                    given["deploymentConfiguration"] = self.configuration_now(service, found)
                    answer = self.client.update_service(
                        cluster=self.cluster, service=name, forceNewDeployment=renew, **given
                    )
                    self.note_begun(answer["service"], found)
        return definition

    def note_begun(self, service: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
        """Remember which deployment has begun, and the service deployment that it takes the place of."""
        identifier = service["deployments"][0]["id"]
        if before is None or identifier != before["deployments"][0]["id"]:
            former = str((before or {}).get("currentServiceDeployment") or "")
            self.begun[service["serviceName"]] = (identifier, former)

    def configuration_now(self, service: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
        """Return the deployment configuration of an update; remember the one that has to wait for its end."""
        wanted = wanted_configuration(service, found)
        if service["strategy"] == "rolling":
            return wanted
        if strategy_of(found) == "ROLLING" and not any("advancedConfiguration" in each for each in balancers_of(found)):
            self.strategies[service["name"]] = wanted
            return wanted_configuration({**service, "strategy": "rolling"}, found)
        alarms = found["deploymentConfiguration"].get("alarms")
        return {**wanted, "alarms": alarms} if alarms else wanted

    def create_service(self, **given: Any) -> None:
        """Make a service."""
        answer = once_ecs_has_its_role(
            lambda: self.client.create_service(
                cluster=self.cluster, launchType="FARGATE", propagateTags="SERVICE", **given
            )
        )
        self.note_begun(answer["service"], None)

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
        listed = {service["name"]: service for service in self.params["services"]}
        existing = self.find_services(listed) if arn else {}
        draining = [name for name in listed if existing.get(name, {}).get("status") == "DRAINING"]
        if draining:
            raise ValueError(f"services are still being deleted: {', '.join(draining)}; run it again in a minute")
        if self.writing:
            # ECS changes no strategy while a deployment goes on, however that ends.
            self.follow([name for name, each in existing.items() if name in listed and changes(each, listed[name])])
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
        """Wait until the deployments of services are over, and bring the strategies of those that waited for that.

        Raises:
            ValueError: some failed, or took too long; the text has the reasons of their tasks.
        """
        faults = self.follow(names)
        if faults:
            raise ValueError("; ".join(faults))
        for name, configuration in self.strategies.items():
            self.client.update_service(cluster=self.cluster, service=name, deploymentConfiguration=configuration)

    def follow(self, names: list[str]) -> list[str]:
        """Follow the deployments of services to their end; return what is wrong with them."""
        deadline = time.monotonic() + self.params["wait_timeout"]
        self.visible_by = min(deadline, time.monotonic() + UNSEEN_SECONDS)
        found = {name: each for name, each in self.describe(names).items() if self.is_open(each)}
        awaited = {name: each["deployments"][0]["id"] for name, each in found.items() if name not in self.begun}
        awaited |= {name: self.begun[name][0] for name in names if name in self.begun}
        faults = []
        while awaited:
            services = self.describe(list(awaited))
            for name, identifier in list(awaited.items()):
                fault = self.look(services.get(name), identifier, deadline)
                if fault is None:
                    continue
                awaited.pop(name)
                if fault:
                    reasons = self.reasons(name, identifier) if name in services else ""
                    faults.append(f"{name}: deployment {identifier} {fault}{reasons}")
            if awaited:
                time.sleep(POLL)
        return faults

    def look(self, service: Mapping[str, Any] | None, identifier: str, deadline: float) -> str | None:
        """Return what is wrong with a deployment, nothing where it has completed; None while it goes on."""
        if service is None:
            return self.unseen("is of a service that is gone")
        if strategy_of(service) == "BLUE_GREEN":
            return self.look_blue_green(service, deadline)
        return self.look_rolling(service, identifier, deadline)

    def unseen(self, text: str) -> str | None:
        """Return what is wrong with what is not shown; None while it may not be shown yet."""
        return text if time.monotonic() >= self.visible_by else None

    def is_open(self, service: Mapping[str, Any]) -> bool:
        """Say whether a deployment goes on, or has ended and nobody has looked yet how."""
        if strategy_of(service) != "BLUE_GREEN" or service["serviceName"] in self.begun:
            return True
        return self.service_deployment(service).get("status") in (*GOING_ON, *GOING_BACK)

    def service_deployment(self, service: Mapping[str, Any]) -> dict[str, Any]:
        """Return a service's newest blue/green deployment; nothing where there is none."""
        arn = service.get("currentServiceDeployment")
        if not arn:
            return {}
        found = self.client.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
        return dict(found[0]) if found else {}

    def look_rolling(self, service: Mapping[str, Any], identifier: str, deadline: float) -> str | None:
        """Look at a rolling deployment. One that was seen and is not any more has failed."""
        found = {each["id"]: each for each in service["deployments"]}.get(identifier)
        if found is None:
            return "failed" if identifier in self.seen else self.unseen("failed")
        self.seen.add(identifier)
        rollout = found.get("rolloutState") or "IN_PROGRESS"
        if rollout == "IN_PROGRESS" and time.monotonic() < deadline:
            return None
        return {"COMPLETED": "", "FAILED": "failed"}.get(rollout, "is still in progress")

    def look_blue_green(self, service: Mapping[str, Any], deadline: float) -> str | None:
        """Look at a blue/green deployment, and take back one that fails."""
        found, late = self.service_deployment(service), time.monotonic() >= deadline
        arn, status = found.get("serviceDeploymentArn", ""), found.get("status", "")
        if arn == self.begun.get(service["serviceName"], ("", None))[1]:
            return "has not begun" if late else None
        if not status:
            return self.unseen("has not begun")
        if status == "SUCCESSFUL":
            return ""
        if status not in (*GOING_ON, *GOING_BACK):
            text = self.stopped.get(arn) or found.get("statusReason", "")
            return f"{'was taken back' if status == 'ROLLBACK_SUCCESSFUL' else f'is {status}'}: {text}"
        if time.monotonic() > deadline + ROLLBACK_SECONDS:
            return f"is still {status}"
        failed, limit = service["deployments"][0].get("failedTasks", 0), threshold(service["desiredCount"])
        if status in GOING_ON and arn not in self.stopped and (late or failed >= limit):
            self.stopped[arn] = f"{failed} tasks in a row failed" if failed >= limit else "it took too long"
            # It may have ended meanwhile.
            with contextlib.suppress(self.client.exceptions.ConflictException):
                self.client.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
        return None

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
                # A service that is INACTIVE, or no longer listed, may still have tasks that stop.
                when_let(
                    lambda: self.client.delete_cluster(cluster=self.cluster),
                    IN_USE,
                    self.params["wait_timeout"],
                    POLL,
                )
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


BLUE_GREEN_NEEDS = (
    "bake_minutes",
    "alternate_target_group_arn",
    "listener_rule_arn",
    "infrastructure_role_arn",
    "target_group_arn",
)
SERVICE_SPEC: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "task_definition": {"type": "dict", "required": True},
    "desired_count": {"type": "int", "required": True},
    "scaled": {"type": "bool", "default": False},
    "subnets": {"type": "list", "elements": "str", "required": True},
    "security_groups": {"type": "list", "elements": "str", "required": True},
    "strategy": {"type": "str", "choices": ["rolling", "blue_green"], "default": "rolling"},
    "bake_minutes": {"type": "int"},
    "alternate_target_group_arn": {"type": "str"},
    "listener_rule_arn": {"type": "str"},
    "infrastructure_role_arn": {"type": "str"},
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
                "required_if": [("strategy", "blue_green", BLUE_GREEN_NEEDS)],
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
