"""An ECS cluster with its services as one list, and what becomes of their deployments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto.ecs.exceptions import ECSException, InvalidParameterException
from moto.ecs.models import EC2ContainerServiceBackend

from lab import moto_patches
from lab.moto_patches import ecs as ecs_patch
from lab.reconcilers.stand_ins import FAULT_TAG, StandIns
from plugins.modules import ecs_services

TAGS = {"vahana:app": "cars", "vahana:env": "prod"}
ROLE = "arn:aws:iam::123456789012:role/execution"
CLUSTER = "cars-prod"

Run = Callable[..., dict[str, Any]]


def ecs() -> Any:
    return boto3.client("ecs", region_name="us-east-1")


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIns]:
    """What makes tasks run."""
    moto_patches.apply_all()
    monkeypatch.setattr(ecs_services, "POLL", 0.05)
    made = StandIns()
    made.start()
    yield made
    made.close()


@pytest.fixture
def network(stand_ins: StandIns) -> dict[str, Any]:
    """Where tasks run, as a service names it."""
    ec2 = boto3.client("ec2", region_name="us-east-1")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="tasks", Description="tasks", VpcId=vpc)["GroupId"]
    return {"subnets": [subnet], "security_groups": [group]}


@pytest.fixture
def services(run_module: Run, network: dict[str, Any]) -> Run:
    def service(name: str, image: str, options: dict[str, Any]) -> dict[str, Any]:
        container = {"name": name, "image": image, **options.pop("container", {})}
        definition = {"cpu": "256", "memory": "512", "executionRoleArn": ROLE, "containerDefinitions": [container]}
        return {"name": name, "desired_count": 2, "task_definition": definition, **network, **options}

    def run(wanted: dict[str, str], of_service: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """Run the module with services by name and image."""
        listed = [service(name, image, dict(of_service or {})) for name, image in wanted.items()]
        defaults = {"cluster": CLUSTER, "services": listed, "tags": TAGS, "wait_timeout": 30}
        return run_module(ecs_services, **{**defaults, **options})

    return run


def found(name: str) -> dict[str, Any]:
    return dict(ecs().describe_services(cluster=CLUSTER, services=[name], include=["TAGS"])["services"][0])


def breaker(name: str) -> dict[str, Any]:
    return dict(found(name)["deploymentConfiguration"]["deploymentCircuitBreaker"])


def test_sets_them_once(services: Run) -> None:
    wanted = {"auth": "auth@sha256:1", "cars": "cars@sha256:1"}
    planned = services(wanted, check=True)
    assert planned["changed"] and ecs().list_clusters()["clusterArns"] == []
    assert (planned["cluster_arn"], planned["task_definitions"]) == ("", {"auth": "", "cars": ""})
    made = services(wanted)
    assert made["changed"] and set(made["diff"]["after"]) == set(planned["diff"]["after"])
    assert set(made["diff"]["after"]) == {
        CLUSTER,
        *(f"{CLUSTER}-{name}" for name in wanted),
        *(f"{CLUSTER}/{name}" for name in wanted),
    }
    auth = found("auth")
    assert (auth["runningCount"], auth["deployments"][0]["rolloutState"]) == (2, "COMPLETED"), "it has waited"
    assert auth["taskDefinition"] == made["task_definitions"]["auth"]
    assert breaker("auth") == {"enable": True, "rollback": True, **ecs_patch.BREAKER_DEFAULTS}
    assert {"key": "vahana:app", "value": "cars"} in auth["tags"] and auth["propagateTags"] == "SERVICE"
    for check in (False, True):
        again = services(wanted, check=check)
        assert not again["changed"], again["diff"]
        assert again["task_definitions"] == made["task_definitions"]


def test_another_image_is_a_deployment_of_that_service_alone(services: Run) -> None:
    services({"auth": "auth@sha256:1", "cars": "cars@sha256:1"})
    before = found("auth")["deployments"][0]["id"]
    changed = services({"cars": "cars@sha256:2"}, purge=False)
    assert set(changed["diff"]["after"]) == {f"{CLUSTER}-cars", f"{CLUSTER}/cars"}
    assert found("cars")["taskDefinition"].endswith(f"{CLUSTER}-cars:2")
    assert found("auth")["deployments"][0]["id"] == before


@pytest.mark.parametrize(
    ("of_service", "field"),
    [
        ({"minimum_healthy_percent": 50}, "deploymentConfiguration"),
        ({"desired_count": 3}, "desiredCount"),
        ({"container": {"environment": [{"name": "MODE", "value": "b"}]}}, "taskDefinition"),
    ],
)
def test_what_differs_is_changed(services: Run, of_service: dict[str, Any], field: str) -> None:
    services({"auth": "auth"})
    planned = services({"auth": "auth"}, of_service, check=True)
    assert list(planned["diff"]["after"][f"{CLUSTER}/auth"]) == [field]
    assert services({"auth": "auth"}, of_service)["changed"]
    assert not services({"auth": "auth"}, of_service)["changed"]


def test_tasks_are_renewed_where_nothing_differs(services: Run) -> None:
    services({"auth": "auth"})
    before = found("auth")
    planned = services({"auth": "auth"}, renew=True, check=True)
    assert planned["diff"]["after"] == {f"{CLUSTER}/auth": {"tasks": "renewed"}}
    assert found("auth")["deployments"] == before["deployments"]
    assert services({"auth": "auth"}, renew=True)["changed"]
    after = found("auth")
    assert after["taskDefinition"] == before["taskDefinition"]
    assert after["deployments"][0]["id"] != before["deployments"][0]["id"]
    assert after["deployments"][0]["rolloutState"] == "COMPLETED"


def test_other_groups_and_tags_are_noticed(services: Run, network: dict[str, Any]) -> None:
    services({"auth": "auth"})
    ec2 = boto3.client("ec2", region_name="us-east-1")
    vpc = ec2.describe_subnets(SubnetIds=network["subnets"])["Subnets"][0]["VpcId"]
    other = ec2.create_security_group(GroupName="other", Description="other", VpcId=vpc)["GroupId"]
    changed = services({"auth": "auth"}, {"security_groups": [other]})
    assert list(changed["diff"]["after"][f"{CLUSTER}/auth"]) == ["networkConfiguration"]
    tagged = services({"auth": "auth"}, {"security_groups": [other]}, tags={**TAGS, "vahana:tier": "microservices"})
    assert list(tagged["diff"]["after"][f"{CLUSTER}/auth"]) == ["tags"]
    assert {"key": "vahana:tier", "value": "microservices"} in found("auth")["tags"]
    insights = services({"auth": "auth"}, {"security_groups": [other]}, container_insights="enabled")
    assert insights["diff"]["after"][CLUSTER]["containerInsights"] == "enabled"
    assert not services({"auth": "auth"}, {"security_groups": [other]}, container_insights="enabled")["changed"]


def test_a_scaled_service_keeps_its_count(services: Run) -> None:
    services({"auth": "auth"}, {"scaled": True})
    ecs().update_service(cluster=CLUSTER, service="auth", desiredCount=5)
    assert not services({"auth": "auth"}, {"scaled": True})["changed"]
    services({"auth": "auth@sha256:2"}, {"scaled": True})
    assert found("auth")["desiredCount"] == 5
    assert services({"auth": "auth@sha256:2"})["changed"] and found("auth")["desiredCount"] == 2


def test_a_failed_deployment_fails_and_says_why(services: Run, stand_ins: StandIns) -> None:
    services({"auth": "auth@sha256:1"})
    good = found("auth")["taskDefinition"]
    broken = {"container": {"dockerLabels": {FAULT_TAG: "abandon"}}}
    failed = services({"auth": "auth@sha256:2"}, broken)
    assert failed["failed"] and failed["changed"]
    assert (
        "auth: deployment ecs-svc/" in failed["msg"] and "failed: Essential container in task exited" in failed["msg"]
    )
    auth = found("auth")
    assert (auth["taskDefinition"], auth["runningCount"]) == (good, 2), "rolled back"
    # What it went back to is not deployed once more.
    assert not services({"auth": "auth@sha256:1"})["changed"]


def test_one_that_takes_too_long_fails(services: Run, stand_ins: StandIns) -> None:
    stand_ins.close()
    failed = services({"auth": "auth"}, wait_timeout=0)
    assert failed["failed"] and "is still in progress" in failed["msg"]


def test_deletes_what_is_no_longer_listed_and_only_ours(services: Run, network: dict[str, Any]) -> None:
    services({"auth": "auth", "cars": "cars"})
    awsvpc = {"subnets": network["subnets"], "securityGroups": network["security_groups"]}
    ecs().create_service(
        cluster=CLUSTER,
        serviceName="foreign",
        taskDefinition=f"{CLUSTER}-auth",
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": awsvpc},
    )
    planned = services({"auth": "auth"}, check=True)
    assert list(planned["diff"]["before"]) == [f"{CLUSTER}/cars"]
    assert services({"auth": "auth"})["changed"]
    names = sorted(arn.rpartition("/")[2] for arn in ecs().list_services(cluster=CLUSTER)["serviceArns"])
    assert names == ["auth", "foreign"]
    refused = services({"auth": "auth", "foreign": "x"})
    assert refused["failed"] and f"{CLUSTER}/foreign exists but is not tagged" in refused["msg"]


def test_absent_leaves_nothing(services: Run) -> None:
    services({"auth": "auth@sha256:1"})
    services({"auth": "auth@sha256:2"})
    assert services({}, state="absent", check=True)["changed"] and found("auth")["status"] == "ACTIVE"
    gone = services({}, state="absent")
    assert set(gone["diff"]["before"]) == {CLUSTER, f"{CLUSTER}/auth", f"{CLUSTER}-auth:1", f"{CLUSTER}-auth:2"}
    assert ecs().list_task_definitions(familyPrefix=f"{CLUSTER}-auth")["taskDefinitionArns"] == []
    assert ecs().describe_clusters(clusters=[CLUSTER])["clusters"][0]["status"] == "INACTIVE"
    assert not services({}, state="absent")["changed"]
    assert services({"auth": "auth@sha256:3"})["changed"], "and can be made again"


def test_a_cluster_goes_when_its_last_task_has_stopped(services: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    services({"auth": "auth"})
    backend = EC2ContainerServiceBackend
    delete, refusals = backend.delete_cluster, [*ecs_services.IN_USE]

    def refusing(*arguments: Any) -> Any:
        if refusals:
            raise ECSException(refusals.pop(), "The Cluster cannot be deleted yet.")
        return delete(*arguments)

    monkeypatch.setattr(backend, "delete_cluster", refusing)
    assert services({}, state="absent")["changed"] and refusals == []
    assert ecs().describe_clusters(clusters=[CLUSTER])["clusters"][0]["status"] == "INACTIVE"
    services({})
    refusals.append("ClusterContainsTasksException")
    assert "ClusterContainsTasks" in services({}, state="absent", wait_timeout=0)["msg"]


def test_one_that_is_still_being_deleted_is_not_made_again(services: Run, stand_ins: StandIns) -> None:
    services({"auth": "auth"})
    stand_ins.close()
    ecs().delete_service(cluster=CLUSTER, service="auth", force=True)
    # Nobody lists it any more.
    assert found("auth")["status"] == "DRAINING" and ecs().list_services(cluster=CLUSTER)["serviceArns"] == []
    assert "services are still being deleted: auth" in services({"auth": "auth"})["msg"]


def test_a_foreign_cluster_is_left_alone(services: Run) -> None:
    ecs().create_cluster(clusterName=CLUSTER)
    refused = services({"auth": "auth"})
    assert refused["failed"] and f"{CLUSTER} exists but is not tagged" in refused["msg"]
    assert not services({}, state="absent")["changed"]


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let ECS not show what has begun, a new service or another deployment, as often as that."""
    describe, left = ecs_services.Services.describe, [0]

    def shown(self: Any, names: list[str]) -> dict[str, Any]:
        answer = describe(self, names)
        if not self.begun or not left[0]:
            return answer
        left[0] -= 1
        for name, (begun, _former) in self.begun.items():
            service = answer.pop(name)
            if f"{CLUSTER}/{name}" in self.before:
                others = [each for each in service["deployments"] if each["id"] != begun]
                answer[name] = {**service, "deployments": others}
        return answer

    monkeypatch.setattr(ecs_services.Services, "describe", shown)
    return lambda times: left.__setitem__(0, times)


def test_what_is_not_shown_yet_has_not_failed(
    services: Run, hide: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # At first not even the service is.
    for number in (1, 2):
        hide(3)
        assert not services({"auth": f"auth@sha256:{number}"}).get("failed")
        assert found("auth")["deployments"][0]["rolloutState"] == "COMPLETED", "it has waited"
    monkeypatch.setattr(ecs_services, "UNSEEN_SECONDS", 0)
    hide(3)
    assert "failed" in services({"auth": "auth@sha256:3"})["msg"]
    hide(3)
    assert "is of a service that is gone" in services({"cars": "cars"}, purge=False)["msg"]


def test_the_first_cluster_of_an_account_waits_for_ecs_role(services: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = EC2ContainerServiceBackend
    create, refusals = backend.create_cluster, ["Unable to assume the service linked role."]

    def refusing(*arguments: Any, **named: Any) -> Any:
        if refusals:
            raise InvalidParameterException(refusals.pop())
        return create(*arguments, **named)

    monkeypatch.setattr(backend, "create_cluster", refusing)
    assert services({})["changed"] and refusals == []


def test_the_first_service_of_an_account_waits_for_ecs_role(services: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    create, refusals = ecs_patch.create_service, ["Unable to assume the service linked role."]

    def refusing(*arguments: Any) -> Any:
        if refusals:
            raise InvalidParameterException(refusals.pop())
        return create(*arguments)

    monkeypatch.setattr(ecs_patch, "create_service", refusing)
    assert not services({"auth": "auth"}).get("failed") and found("auth")["runningCount"] == 2
    refusals.append("Something else.")
    assert "Something else." in services({"auth": "auth", "cars": "cars"})["msg"]
