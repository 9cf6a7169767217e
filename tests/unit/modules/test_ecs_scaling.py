"""How the services of a cluster follow their CPU, as one list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from plugins.modules import ecs_scaling

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def scaling(run_module: Run) -> Run:
    ecs = boto3.client("ecs", region_name="us-east-1")
    ecs.create_cluster(clusterName="cars-prod")
    containers = [{"name": "app", "image": "app", "memory": 128}]
    ecs.register_task_definition(family="app", containerDefinitions=containers)
    for name in ("auth", "cars"):
        ecs.create_service(cluster="cars-prod", serviceName=name, taskDefinition="app", desiredCount=1)

    def run(*services: str, **options: Any) -> dict[str, Any]:
        defaults = {"cluster": "cars-prod", "services": list(services), "minimum": 2, "maximum": 6}
        return run_module(ecs_scaling, **{**defaults, **options})

    return run


def client() -> Any:
    return boto3.client("application-autoscaling", region_name="us-east-1")


def targets() -> dict[str, tuple[int, int]]:
    found = client().describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    return {each["ResourceId"]: (each["MinCapacity"], each["MaxCapacity"]) for each in found}


def test_is_made_once(scaling: Run) -> None:
    planned = scaling("auth", "cars", check=True)
    assert planned["changed"] and targets() == {}
    made = scaling("auth", "cars")
    assert made["changed"] and made["diff"] == planned["diff"]
    assert targets() == {"service/cars-prod/auth": (2, 6), "service/cars-prod/cars": (2, 6)}
    policies = client().describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    assert {each["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] for each in policies} == {60.0}
    for check in (False, True):
        assert not scaling("auth", "cars", check=check)["changed"]


def test_what_differs_is_put_right_and_the_rest_goes(scaling: Run) -> None:
    scaling("auth", "cars")
    changed = scaling("auth", "cars", maximum=8)
    assert changed["diff"]["before"]["service/cars-prod/auth"]["maximum"] == 6
    assert targets()["service/cars-prod/auth"] == (2, 8)
    assert scaling("auth", maximum=8)["diff"]["before"].keys() == {"service/cars-prod/cars"}
    assert targets() == {"service/cars-prod/auth": (2, 8)}


def test_another_cluster_is_let_alone(scaling: Run) -> None:
    boto3.client("ecs", region_name="us-east-1").create_cluster(clusterName="cars-prod-2")
    scaling("auth")
    assert not scaling(cluster="cars-prod-2")["changed"]
    assert scaling()["changed"] and targets() == {}
