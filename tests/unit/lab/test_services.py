"""ECS services: as many tasks as wanted, rolling deployments within their percentages, the circuit breaker, names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab import metrics, names, podman
from lab.moto_patches import ecs, elbv2
from lab.reconcilers import measurements, service_scaling, services, tasks

pytestmark = pytest.mark.usefixtures("lab_account")
Client = Callable[[str], Any]
ROLE = "arn:aws:iam::123456789012:role/execution"


def definition(**more: Any) -> dict[str, Any]:
    """What a task definition of the family `web` is registered with."""
    container = {"name": "web", "image": "web", "portMappings": [{"containerPort": 3000}], **more.pop("container", {})}
    return {
        "family": "web",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": ROLE,
        "containerDefinitions": [container],
        **more,
    }


class World:
    """A cluster with a service, whose tasks do what the test wants."""

    def __init__(self, client: Client) -> None:
        self.client, self.now = client, 1_000_000.0
        self.reconciler = services.Services()
        self.health: dict[str, str] = {}
        """Address → what the load balancer says of a target; healthy where it says nothing."""
        self.fails: set[str] = set()
        """Task definitions whose tasks do not start."""
        self.most = self.fewest_healthy = 0
        self.targets = self.registry = ""
        ec2 = client("ec2")
        self.vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=self.vpc)
        self.subnets = [
            ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")[
                "Subnet"
            ]["SubnetId"]
            for number, zone in ((1, "a"), (2, "b"))
        ]
        client("ecs").create_cluster(clusterName="trial")
        self.register()

    def register(self, **more: Any) -> str:
        found = self.client("ecs").register_task_definition(**definition(**more))
        return str(found["taskDefinition"]["taskDefinitionArn"])

    def balance(self) -> list[dict[str, Any]]:
        """A target group behind a load balancer, as a service names it."""
        api = self.client("elbv2")
        group = api.create_target_group(Name="web", Protocol="HTTP", Port=3000, VpcId=self.vpc, TargetType="ip")
        self.targets = group["TargetGroups"][0]["TargetGroupArn"]
        balancer = api.create_load_balancer(Name="trial", Subnets=self.subnets)["LoadBalancers"][0]["LoadBalancerArn"]
        actions = [{"Type": "forward", "TargetGroupArn": self.targets}]
        api.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=actions)
        return [{"targetGroupArn": self.targets, "containerName": "web", "containerPort": 3000}]

    def discover(self) -> list[dict[str, Any]]:
        """A service of a private namespace, as a service names it."""
        api = self.client("servicediscovery")
        api.create_private_dns_namespace(Name="trial.internal", Vpc=self.vpc)
        namespace = api.list_namespaces()["Namespaces"][0]["Id"]
        dns = {"DnsRecords": [{"Type": "A", "TTL": 10}]}
        found = api.create_service(Name="web", NamespaceId=namespace, DnsConfig=dns)
        self.registry = found["Service"]["Id"]
        return [{"registryArn": found["Service"]["Arn"]}]

    def create(self, desired: int = 2, **more: Any) -> dict[str, Any]:
        made = self.client("ecs").create_service(
            cluster="trial",
            serviceName="web",
            taskDefinition="web",
            desiredCount=desired,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": {"subnets": self.subnets}},
            **more,
        )
        return dict(made["service"])

    def update(self, **more: Any) -> dict[str, Any]:
        return dict(self.client("ecs").update_service(cluster="trial", service="web", **more)["service"])

    @property
    def service(self) -> dict[str, Any]:
        return dict(self.client("ecs").describe_services(cluster="trial", services=["web"])["services"][0])

    @property
    def running(self) -> list[ecs.Task]:
        return [task for task in ecs.tasks() if task.last_status == "RUNNING"]

    @property
    def events(self) -> list[str]:
        return [event["message"] for event in self.service["events"]]

    def measure(self, _group: Any, identifier: str) -> elbv2.Health:
        state = self.health.get(identifier, "healthy")
        return state, None if state == "healthy" else "Target.FailedHealthChecks", None

    def round(self, seconds: float = 1) -> None:
        """Let the service be looked at once, then every task do one step."""
        self.now += seconds
        self.reconciler.reconcile()
        if self.reconciler._last_error:
            raise AssertionError(self.reconciler._last_error)
        found = list(ecs.tasks())
        occupying = [task for task in found if task.last_status in ecs.OCCUPYING]
        self.most = max(self.most, len(occupying))
        self.fewest_healthy = min(self.fewest_healthy, len([task for task in found if task.healthy]))
        for task in found:
            match task.desired_status, task.last_status:
                case "RUNNING", "PROVISIONING":
                    tasks.ensure_interface(task)
                    task.last_status = "PENDING"
                case "RUNNING", "PENDING":
                    if task.task_definition_arn in self.fails:
                        task.stop("TaskFailedToStart", "CannotStartContainerError: trial", failed=True)
                    else:
                        tasks.begin_running(task)
                case "STOPPED", "RUNNING":
                    tasks.begin_stopping(task)
                case "STOPPED", "DEACTIVATING" if not services.drained(task):
                    pass
                case "STOPPED", state if state != "STOPPED":
                    tasks.end(task)

    def rounds(self, number: int = 12) -> None:
        for _ in range(number):
            self.round()

    def watch(self) -> None:
        """Measure from here on how many tasks there are at most and how many are healthy at least."""
        self.most, self.fewest_healthy = 0, 99


@pytest.fixture
def world(client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    found = World(client)
    monkeypatch.setattr(time, "time", lambda: found.now)
    elbv2.follow(found.measure)
    yield found
    elbv2.follow(None)


def test_a_service_gets_the_tasks_it_wants(world: World) -> None:
    made = world.create(3, loadBalancers=world.balance(), serviceRegistries=world.discover())
    assert (made["runningCount"], made["deployments"][0]["rolloutState"]) == (0, "IN_PROGRESS")
    world.rounds(2)
    assert world.service["pendingCount"] == 0 and world.service["runningCount"] == 3
    world.rounds(2)
    shown = world.service
    (deployment,) = shown["deployments"]
    assert (deployment["rolloutState"], deployment["runningCount"], deployment["failedTasks"]) == ("COMPLETED", 3, 0)
    assert shown["events"][0]["message"] == "(service web) has reached a steady state."
    listed = world.client("ecs").list_tasks(cluster="trial", serviceName="web")["taskArns"]
    described = world.client("ecs").describe_tasks(cluster="trial", tasks=listed)["tasks"]
    addresses = sorted(
        each["value"]
        for task in described
        for each in task["attachments"][0]["details"]
        if each["name"] == "privateIPv4Address"
    )
    assert len(set(addresses)) == 3
    assert {address.rpartition(".")[0] for address in addresses} == {"10.9.1", "10.9.2"}, "in both zones"
    health = world.client("elbv2").describe_target_health(TargetGroupArn=world.targets)["TargetHealthDescriptions"]
    assert sorted(each["Target"]["Id"] for each in health) == addresses
    assert sorted(names.addresses("web.trial.internal")) == addresses
    clusters = world.client("ecs").describe_clusters(clusters=["trial"])["clusters"]
    assert (clusters[0]["runningTasksCount"], clusters[0]["activeServicesCount"]) == (3, 1)


@pytest.mark.parametrize(
    ("lowest", "highest", "most", "fewest"), [(100, 200, 8, 4), (100, 150, 6, 4), (50, 100, 4, 2), (0, 100, 4, 0)]
)
def test_a_deployment_stays_within_its_percentages(
    world: World, lowest: int, highest: int, most: int, fewest: int
) -> None:
    world.create(4, deploymentConfiguration={"minimumHealthyPercent": lowest, "maximumPercent": highest})
    world.rounds()
    before = {task.id for task in world.running}
    world.watch()
    deployed = world.update(taskDefinition=world.register())
    assert [each["status"] for each in deployed["deployments"]] == ["PRIMARY", "ACTIVE"]
    world.rounds(30)
    assert (world.most, world.fewest_healthy) == (most, fewest)
    assert len(world.running) == 4 and not before & {task.id for task in world.running}
    (deployment,) = world.service["deployments"]
    assert deployment["rolloutState"] == "COMPLETED" and deployment["taskDefinition"].endswith(":2")


def test_what_does_not_change_the_tasks_is_no_deployment(world: World) -> None:
    world.create(2)
    world.rounds()
    before = world.service["deployments"][0]["id"]
    configuration = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    world.update(desiredCount=3, taskDefinition="web:1", deploymentConfiguration=configuration)
    world.rounds()
    shown = world.service
    assert [each["id"] for each in shown["deployments"]] == [before] and shown["runningCount"] == 3
    assert shown["deploymentConfiguration"]["deploymentCircuitBreaker"] == {
        "enable": True,
        "rollback": True,
        "resetOnHealthyTask": True,
        "thresholdConfiguration": {"type": "BOUNDED_PERCENT", "value": 50},
    }
    assert shown["deploymentConfiguration"]["maximumPercent"] == 200
    world.update(desiredCount=1)
    world.rounds()
    assert len(world.running) == 1
    world.update(forceNewDeployment=True)
    world.rounds()
    assert world.service["deployments"][0]["id"] != before and len(world.running) == 1


def test_the_circuit_breaker_rolls_back(world: World) -> None:
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    world.create(2, loadBalancers=world.balance(), deploymentConfiguration=breaker)
    world.rounds()
    good, kept = world.service["deployments"][0]["id"], {task.id for task in world.running}
    bad = world.register()
    world.fails.add(bad)
    world.watch()
    world.update(taskDefinition=bad)
    seen = []
    for _ in range(60):
        world.round()
        seen.append([(each["status"], each["rolloutState"]) for each in world.service["deployments"]])
    assert [("PRIMARY", "IN_PROGRESS"), ("ACTIVE", "FAILED")] in seen
    shown = world.service
    assert [each["id"] for each in shown["deployments"]] == [good]
    assert shown["taskDefinition"].endswith(":1") and shown["deployments"][0]["rolloutState"] == "COMPLETED"
    assert {task.id for task in world.running} == kept and world.fewest_healthy == 2
    failed = [task for task in ecs.tasks() if task.task_definition_arn == bad]
    # Two are started at once, so that the third failure brings a fourth.
    assert 3 <= len(failed) <= 4 and all(task.stop_code == "TaskFailedToStart" for task in failed)
    assert any("deployment failed: tasks failed to start." in event for event in world.events)


def test_without_rollback_a_failed_deployment_stays_and_the_old_tasks_too(world: World) -> None:
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
    world.create(1, deploymentConfiguration=breaker)
    world.rounds()
    kept = {task.id for task in world.running}
    bad = world.register()
    world.fails.add(bad)
    world.update(taskDefinition=bad)
    world.rounds(60)
    primary = world.service["deployments"][0]
    assert (primary["rolloutState"], primary["failedTasks"]) == ("FAILED", 3)
    assert {task.id for task in world.running} == kept
    assert primary["rolloutStateReason"] == "ECS deployment circuit breaker: tasks failed to start."


def test_without_a_breaker_it_tries_again_and_again_more_slowly(world: World) -> None:
    bad = world.register()
    world.fails.add(bad)
    world.create(1)
    world.rounds(60)
    primary = world.service["deployments"][0]
    assert primary["rolloutState"] == "IN_PROGRESS" and 5 <= primary["failedTasks"] <= 10
    world.fails.clear()
    world.rounds(20)
    assert world.service["deployments"][0]["rolloutState"] == "COMPLETED"
    assert world.service["deployments"][0]["failedTasks"] == 0


@pytest.mark.parametrize(("desired", "failures"), [(1, 3), (6, 3), (7, 4), (25, 13), (400, 200), (800, 200)])
def test_half_of_the_desired_count_trips_the_breaker_within_limits(desired: int, failures: int) -> None:
    assert services.threshold(desired) == failures


def test_a_task_that_dies_is_replaced(world: World) -> None:
    world.create(2)
    world.rounds()
    lost = world.running[0]
    lost.stop("EssentialContainerExited", "Essential container in task exited", failed=True)
    lost.last_status = "DEPROVISIONING"
    world.rounds()
    assert len(world.running) == 2 and lost not in world.running
    shown = world.client("ecs").describe_tasks(cluster="trial", tasks=[lost.task_arn])["tasks"][0]
    assert (shown["lastStatus"], shown["stopCode"]) == ("STOPPED", "EssentialContainerExited")
    assert shown["stoppedReason"] == "Essential container in task exited"
    assert shown["attachments"][0]["status"] == "DELETED"
    found = world.client("ec2").describe_network_interfaces()["NetworkInterfaces"]
    assert len([each for each in found if "attachment" in each["Description"]]) == 2


def test_an_unhealthy_task_stays_until_it_is_replaced(world: World) -> None:
    world.create(2, loadBalancers=world.balance())
    world.rounds()
    ill = world.running[0]
    world.health[ill.address] = "unhealthy"
    world.watch()
    world.rounds(2)
    assert len([task for task in ecs.tasks() if task.last_status in ecs.OCCUPYING]) == 3
    world.rounds()
    assert ill not in world.running and len(world.running) == 2 and world.fewest_healthy == 1
    assert ill.stopped_reason == f"Task failed ELB health checks in (target-group {world.targets})"


def test_the_grace_period_forgives(world: World) -> None:
    world.create(1, loadBalancers=world.balance(), healthCheckGracePeriodSeconds=30)
    world.health = {f"10.9.{zone}.{host}": "unhealthy" for zone in (1, 2) for host in range(4, 30)}
    world.rounds(30)
    assert len(list(ecs.tasks())) == 1 and world.service["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    world.rounds(5)
    first = min(ecs.tasks(), key=lambda task: task.created)
    assert first.desired_status == "STOPPED" and first.stop_code == "ServiceSchedulerInitiated"


def test_a_container_without_health_is_not_counted(world: World) -> None:
    checked = {"healthCheck": {"command": ["CMD", "true"]}}
    world.register(container=checked)
    world.create(1)
    world.rounds()
    (task,) = world.running
    assert world.service["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    task.health_status = "HEALTHY"
    world.rounds()
    assert world.service["deployments"][0]["rolloutState"] == "COMPLETED"
    task.health_status = "UNHEALTHY"
    world.rounds(6)
    assert task.stopped_reason == "Task failed container health checks"


def test_a_stopped_task_drains_first(world: World) -> None:
    world.create(1, loadBalancers=world.balance(), serviceRegistries=world.discover())
    attributes = [{"Key": "deregistration_delay.timeout_seconds", "Value": "20"}]
    world.client("elbv2").modify_target_group_attributes(TargetGroupArn=world.targets, Attributes=attributes)
    world.rounds()
    (task,) = world.running
    stopped = world.client("ecs").stop_task(cluster="trial", task=task.id, reason="trial")["task"]
    assert (stopped["desiredStatus"], stopped["lastStatus"]) == ("STOPPED", "RUNNING")
    world.rounds(3)
    assert task.last_status == "DEACTIVATING" and task.address not in names.addresses("web.trial.internal")
    health = world.client("elbv2").describe_target_health(TargetGroupArn=world.targets)["TargetHealthDescriptions"]
    assert {each["Target"]["Id"]: each["TargetHealth"]["State"] for each in health}[task.address] == "draining"
    world.rounds(20)
    assert task.last_status == "STOPPED" and task.stopped_reason == "trial" and len(world.running) == 1


def test_a_service_is_deleted_when_its_tasks_are_gone(world: World) -> None:
    api = world.client("ecs")
    world.create(2, serviceRegistries=world.discover())
    world.rounds()
    with pytest.raises(ClientError, match="cannot be stopped while it is scaled above 0"):
        api.delete_service(cluster="trial", service="web")
    assert api.delete_service(cluster="trial", service="web", force=True)["service"]["status"] == "DRAINING"
    with pytest.raises(ClientError, match="still Draining"):
        world.create()
    with pytest.raises(ClientError, match="ClusterContainsServicesException"):
        api.delete_cluster(cluster="trial")
    world.rounds(5)
    assert world.service["status"] == "INACTIVE" and api.list_services(cluster="trial")["serviceArns"] == []
    world.client("servicediscovery").delete_service(Id=world.registry)
    assert api.delete_cluster(cluster="trial")["cluster"]["status"] == "INACTIVE"


def test_tags_reach_the_tasks_and_the_tagging_api(world: World) -> None:
    tags = [{"key": "vahana:app", "value": "trial"}]
    world.create(1, tags=tags, propagateTags="SERVICE")
    world.rounds()
    found = world.client("resourcegroupstaggingapi").get_resources(TagFilters=[{"Key": "vahana:app"}])
    kinds = sorted(each["ResourceARN"].split(":")[5].partition("/")[0] for each in found["ResourceTagMappingList"])
    assert kinds == ["service", "task"]
    world.client("ecs").tag_resource(resourceArn=world.running[0].task_arn, tags=[{"key": "more", "value": "1"}])
    shown = world.client("ecs").describe_tasks(cluster="trial", tasks=[world.running[0].id], include=["TAGS"])
    assert {tag["key"] for tag in shown["tasks"][0]["tags"]} == {"vahana:app", "more"}


def test_a_revision_that_is_deleted_is_kept_for_its_tasks(world: World) -> None:
    api = world.client("ecs")
    world.create(1)
    world.rounds()
    arn = world.register()
    assert api.describe_task_definition(taskDefinition="web")["taskDefinition"]["revision"] == 2
    api.deregister_task_definition(taskDefinition=arn)
    assert api.describe_task_definition(taskDefinition="web")["taskDefinition"]["revision"] == 1
    with pytest.raises(ClientError, match="TaskDefinition is inactive"):
        world.update(taskDefinition="web:2")
    api.deregister_task_definition(taskDefinition="web:1")
    api.delete_task_definitions(taskDefinitions=["web:1", "web:2"])
    with pytest.raises(ClientError, match="Unable to describe task definition"):
        api.describe_task_definition(taskDefinition="web")
    world.rounds()
    assert api.describe_tasks(cluster="trial", tasks=[world.running[0].id])["tasks"][0]["lastStatus"] == "RUNNING"
    assert world.register().endswith(":3")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"networkMode": "bridge"}, "network mode"),
        ({"cpu": "300"}, "No Fargate configuration exists"),
        ({"memory": "4096"}, "No Fargate configuration exists"),
        ({"executionRoleArn": ""}, "execution role"),
        ({"container": {"stopTimeout": 121}}, "stopTimeout"),
        ({"container": {"portMappings": [{"containerPort": 3000, "hostPort": 80}]}}, "must match"),
        ({"container": {"logConfiguration": {"logDriver": "syslog"}}}, "log driver"),
        ({"container": {"logConfiguration": {"logDriver": "awslogs", "options": {}}}}, "awslogs-group"),
        (
            {
                "container": {
                    "environment": [{"name": "A", "value": "1"}],
                    "secrets": [{"name": "A", "valueFrom": "a"}],
                }
            },
            "unique",
        ),
    ],
)
def test_task_definitions_that_fargate_refuses(world: World, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        world.register(**more)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"healthCheckGracePeriodSeconds": 30}, "only valid for services configured to use load balancers"),
        ({"deploymentConfiguration": {"maximumPercent": 100}}, "cannot both be 100"),
        ({"deploymentController": {"type": "CODE_DEPLOY"}}, "deployment controller"),
        ({"serviceRegistries": [{"registryArn": "arn:none"}]}, "does not exist"),
        ({"loadBalancers": [{"targetGroupArn": "none", "containerName": "web", "containerPort": 1}]}, "target group"),
        ({"launchType": "EC2"}, "FARGATE"),
        ({"taskDefinition": "none"}, "TaskDefinition not found"),
        ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-none"]}}}, "InvalidSubnetID"),
    ],
)
def test_services_that_ecs_refuses(world: World, more: dict[str, Any], message: str) -> None:
    arguments = {
        "cluster": "trial",
        "serviceName": "web",
        "taskDefinition": "web",
        "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": world.subnets}},
    }
    with pytest.raises(ClientError, match=message):
        world.client("ecs").create_service(**{**arguments, **more})


def test_a_name_and_a_target_group_must_fit(world: World) -> None:
    balancers = world.balance()
    with pytest.raises(ClientError, match="did not have a container port 80 defined"):
        world.create(loadBalancers=[{**balancers[0], "containerPort": 80}])
    with pytest.raises(ClientError, match="does not exist in the task definition"):
        world.create(loadBalancers=[{**balancers[0], "containerName": "other"}])
    alone = world.client("elbv2").create_target_group(
        Name="alone", Protocol="HTTP", Port=3000, VpcId=world.vpc, TargetType="ip"
    )["TargetGroups"][0]["TargetGroupArn"]
    with pytest.raises(ClientError, match="does not have an associated load balancer"):
        world.create(loadBalancers=[{**balancers[0], "targetGroupArn": alone}])
    world.create(loadBalancers=balancers)
    with pytest.raises(ClientError, match="not idempotent"):
        world.create(loadBalancers=balancers)


def test_tasks_that_belong_to_no_service(world: World) -> None:
    api = world.client("ecs")
    network = {"awsvpcConfiguration": {"subnets": world.subnets[:1]}}
    overrides = {"containerOverrides": [{"name": "web", "command": ["node", "src/migrate.js"]}]}
    made = api.run_task(
        cluster="trial",
        taskDefinition="web",
        launchType="FARGATE",
        networkConfiguration=network,
        overrides=overrides,
        startedBy="trial",
    )
    (task,) = made["tasks"]
    assert (task["group"], task["lastStatus"], task["startedBy"]) == ("family:web", "PROVISIONING", "trial")
    world.rounds(3)
    assert api.list_tasks(cluster="trial", startedBy="trial")["taskArns"] == [task["taskArn"]]
    found = api.describe_tasks(cluster="trial", tasks=["0" * 32, task["taskArn"]])
    assert [each["reason"] for each in found["failures"]] == ["MISSING"]
    assert found["tasks"][0]["overrides"]["containerOverrides"][0]["command"] == ["node", "src/migrate.js"]
    with pytest.raises(ClientError, match="Override for container named other"):
        api.run_task(
            cluster="trial",
            taskDefinition="web",
            networkConfiguration=network,
            overrides={"containerOverrides": [{"name": "other"}]},
        )


def test_a_namespace_keeps_its_services_and_its_zone_goes_with_it(world: World) -> None:
    world.discover()
    api = world.client("servicediscovery")
    namespace = api.list_namespaces()["Namespaces"][0]
    zones = world.client("route53").list_hosted_zones()["HostedZones"]
    assert [(zone["Name"], zone["Config"]["PrivateZone"]) for zone in zones] == [("trial.internal.", True)]
    assert names.lookup("web.trial.internal", "A") == names.Answer((), exists=False)
    with pytest.raises(ClientError, match="ResourceInUse"):
        api.delete_namespace(Id=namespace["Id"])
    with pytest.raises(ClientError, match="ServiceAlreadyExists"):
        api.create_service(Name="web", NamespaceId=namespace["Id"])
    api.delete_service(Id=world.registry)
    api.delete_namespace(Id=namespace["Id"])
    assert world.client("route53").list_hosted_zones()["HostedZones"] == []
    assert names.lookup("web.trial.internal", "A") is None


def test_a_service_follows_its_load(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.create(2)
    world.rounds()
    api = world.client("application-autoscaling")
    scalable = {
        "ServiceNamespace": "ecs",
        "ResourceId": "service/trial/web",
        "ScalableDimension": service_scaling.DIMENSION,
    }
    api.register_scalable_target(**scalable, MinCapacity=2, MaxCapacity=5)
    tracking = {
        "TargetValue": 50.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": service_scaling.METRIC},
        "ScaleOutCooldown": 120,
        "ScaleInCooldown": 0,
    }
    api.put_scaling_policy(
        PolicyName="cpu",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=tracking,
        **scalable,
    )
    clock, load = [1000.0], [90.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(metrics, "pace", metrics.Pace)
    monkeypatch.setattr(metrics.CpuMeter, "percent_of", lambda _self, _name, cpus: load[0] if cpus == 0.25 else None)
    reconciler = service_scaling.ServiceScaling()
    counts = []
    for _ in range(6):
        reconciler.reconcile()
        reconciler.reconcile()
        counts.append(world.service["desiredCount"])
        world.rounds()
        clock[0] += 60
    # Three datapoints above; then a cooldown of two minutes.
    assert counts == [2, 2, 4, 4, 5, 5] and len(world.running) == 5
    load[0] = 10
    for _ in range(17):
        reconciler.reconcile()
        world.rounds(3)
        clock[0] += 60
    assert world.service["desiredCount"] == 2, "never below its minimum"


@pytest.mark.parametrize("file", ["memory/libpod/web/memory.usage_in_bytes", "libpod/web/memory.current"])
def test_what_tasks_use_is_measured(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str) -> None:
    world.create(1)
    world.rounds()
    monkeypatch.setattr(metrics, "CGROUPS", tmp_path)
    monkeypatch.setattr(podman, "inspect", lambda _name: {"State": {"CgroupPath": "/libpod/web"}})
    monkeypatch.setattr(metrics.CpuMeter, "percent_of", lambda _self, _name, cpus: 100 * cpus)
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(f"{128 * 2**20}\n")
    found = list(measurements.Measurements()._tasks(metrics.Pace()))
    named = {"ClusterName": "trial", "ServiceName": "web"}
    assert found == [
        ("us-east-1", "AWS/ECS", "CPUUtilization", 25.0, named),
        ("us-east-1", "AWS/ECS", "MemoryUtilization", 25.0, named),
    ]
