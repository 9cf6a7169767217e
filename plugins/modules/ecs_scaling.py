#!/usr/bin/python
"""Manage how the services of an ECS cluster follow their CPU, as one list."""

from __future__ import annotations

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: ecs_scaling
short_description: Let the services of an ECS cluster follow their CPU
description:
  - Keeps for each service a scalable target and one policy of target tracking on the average CPU of its tasks.
  - The module community.aws.application_autoscaling_policy registers targets and cannot take them away again, and takes
    a call for each service.
  - What the cluster has beside the list is taken away. The names of clusters are ours, so these are not asked for tags.
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  services:
    description: Names of the services. None takes all away.
    type: list
    elements: str
    default: []
  minimum: {description: The least number of tasks., type: int, default: 1}
  maximum: {description: The largest number of tasks., type: int, default: 1}
  cpu: {description: Percent of the CPU that tasks should use., type: float, default: 60}
  in_cooldown: {description: Seconds between taking tasks away., type: int, default: 300}
  out_cooldown: {description: Seconds between adding tasks., type: int, default: 60}
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
- name: Let both services have up to six tasks
  ecs_scaling:
    cluster: cars-prod
    services: [auth, cars]
    minimum: 2
    maximum: 6
"""

RETURN = r"""
resources:
  description: What is scaled, as Application Auto Scaling names it.
  returned: always
  type: list
  elements: str
"""

NAMESPACE, DIMENSION, POLICY = "ecs", "ecs:service:DesiredCount", "cpu"


def wanted_state(params: dict[str, Any]) -> dict[str, Any]:
    """Return what a service's scaling should be."""
    return {
        "minimum": params["minimum"],
        "maximum": params["maximum"],
        "policy": {
            "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
            "TargetValue": params["cpu"],
            "ScaleInCooldown": params["in_cooldown"],
            "ScaleOutCooldown": params["out_cooldown"],
        },
    }


def read(client: Any, cluster: str) -> dict[str, dict[str, Any]]:
    """Return what is scaled in a cluster, by resource."""
    prefix = f"service/{cluster}/"
    targets = client.get_paginator("describe_scalable_targets").paginate(ServiceNamespace=NAMESPACE)
    found = {
        each["ResourceId"]: {"minimum": each["MinCapacity"], "maximum": each["MaxCapacity"], "policy": None}
        for page in targets
        for each in page["ScalableTargets"]
        if each["ResourceId"].startswith(prefix) and each["ScalableDimension"] == DIMENSION
    }
    for page in client.get_paginator("describe_scaling_policies").paginate(ServiceNamespace=NAMESPACE):
        for each in page["ScalingPolicies"]:
            if each["ResourceId"] in found and each["PolicyName"] == POLICY:
                settings = each.get("TargetTrackingScalingPolicyConfiguration", {})
                keys = ("PredefinedMetricSpecification", "TargetValue", "ScaleInCooldown", "ScaleOutCooldown")
                found[each["ResourceId"]]["policy"] = {key: settings.get(key) for key in keys}
    return found


def ensure(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Bring a cluster's scaling to the list."""
    found = read(client, module.params["cluster"])
    state = wanted_state(module.params)
    wanted = {f"service/{module.params['cluster']}/{name}": state for name in module.params["services"]}
    before: dict[str, Any] = {key: each for key, each in found.items() if each != wanted.get(key)}
    after = {key: each for key, each in wanted.items() if each != found.get(key)}
    if not module.check_mode:
        for resource, each in after.items():
            named = {"ServiceNamespace": NAMESPACE, "ResourceId": resource, "ScalableDimension": DIMENSION}
            client.register_scalable_target(**named, MinCapacity=each["minimum"], MaxCapacity=each["maximum"])
            client.put_scaling_policy(
                **named,
                PolicyName=POLICY,
                PolicyType="TargetTrackingScaling",
                TargetTrackingScalingPolicyConfiguration=each["policy"],
            )
        for resource in before.keys() - wanted.keys():
            # Its policies go with it.
            client.deregister_scalable_target(
                ServiceNamespace=NAMESPACE, ResourceId=resource, ScalableDimension=DIMENSION
            )
    return {
        "changed": bool(before or after),
        "resources": sorted(wanted),
        "diff": {"before": before, "after": after},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "cluster": {"type": "str", "required": True},
            "services": {"type": "list", "elements": "str", "default": []},
            "minimum": {"type": "int", "default": 1},
            "maximum": {"type": "int", "default": 1},
            "cpu": {"type": "float", "default": 60},
            "in_cooldown": {"type": "int", "default": 300},
            "out_cooldown": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    result: dict[str, Any] = {}
    try:
        result = ensure(module, module.client("application-autoscaling"))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"scaling of the ECS cluster {module.params['cluster']}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
