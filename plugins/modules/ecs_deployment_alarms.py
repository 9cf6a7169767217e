#!/usr/bin/python
"""Let alarms take back the blue/green deployments of an ECS cluster's services."""

from __future__ import annotations

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: ecs_deployment_alarms
short_description: Let alarms take back the blue/green deployments of an ECS cluster's services
description:
  - Has ECS watch alarms while it deploys, and take a deployment back when one goes off. This changes no tasks.
  - It is no part of the module ecs_services because alarms are made after the services that they are about.
  - Services of the cluster that do not deploy blue/green are left alone, and so are ones that are not there. Check mode
    takes both for ones that will, for the run makes them so before.
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  services:
    description: Names of the services.
    type: list
    elements: str
    required: true
  alarms:
    description: Names of the alarms. None has ECS watch none.
    type: list
    elements: str
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
- name: Take deployments back that make the services answer with errors
  ecs_deployment_alarms:
    cluster: cars-prod
    services: [auth, cars]
    alarms: [cars-prod-services-errors]
"""

RETURN = r"""
services:
  description: Names of the services whose deployments are watched now.
  returned: always
  type: list
  elements: str
"""

DESCRIBED = 10
"""Most services of one call."""
KEPT = (
    "strategy",
    "bakeTimeInMinutes",
    "deploymentCircuitBreaker",
    "minimumHealthyPercent",
    "maximumPercent",
)
"""What of a deployment configuration is given back as it is."""


def wanted_alarms(names: list[str]) -> dict[str, Any]:
    """Return the alarms of a deployment configuration."""
    return {"alarmNames": sorted(names), "enable": bool(names), "rollback": bool(names)}


def ensure(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Bring the alarms of all services."""
    cluster, names = module.params["cluster"], module.params["services"]
    wanted = wanted_alarms(module.params["alarms"])
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    watched = []
    found: dict[str, dict[str, Any]] = {}
    if client.describe_clusters(clusters=[cluster])["clusters"]:
        for start in range(0, len(names), DESCRIBED):
            part = names[start : start + DESCRIBED]
            services = client.describe_services(cluster=cluster, services=part)["services"]
            found |= {each["serviceName"]: each for each in services if each["status"] == "ACTIVE"}
    for name in names:
        configuration = found.get(name, {}).get("deploymentConfiguration", {})
        if configuration.get("strategy") == "BLUE_GREEN":
            watched.append(name)
        elif not module.check_mode:
            continue
        given = configuration.get("alarms") or wanted_alarms([])
        current = {**given, "alarmNames": sorted(given.get("alarmNames", []))}
        if current == wanted:
            continue
        before[f"{cluster}/{name}"], after[f"{cluster}/{name}"] = {"alarms": current}, {"alarms": wanted}
        if not module.check_mode:
            kept = {key: configuration[key] for key in KEPT if key in configuration}
            client.update_service(cluster=cluster, service=name, deploymentConfiguration={**kept, "alarms": wanted})
    return {
        "changed": bool(before),
        "services": sorted(watched) if wanted["enable"] else [],
        "diff": {"before": before, "after": after},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "cluster": {"type": "str", "required": True},
            "services": {"type": "list", "elements": "str", "required": True},
            "alarms": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    result: dict[str, Any] = {}
    try:
        result = ensure(module, module.client("ecs"))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"deployment alarms of the ECS cluster {module.params['cluster']}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
