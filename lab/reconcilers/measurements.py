"""What AWS's services report of themselves to CloudWatch, measured at what stands for them here.

Under AWS's names: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/aws-services-cloudwatch-metrics.html.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import ClassVar

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.utils import utcnow
from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends
from moto.rds.models import rds_backends
from moto.route53.models import route53_backends
from moto.sqs.models import sqs_backends

from lab import data_metrics, haproxy, health, metrics, podman, served, settings
from lab.moto_patches import ecs, elasticache
from lab.reconcilers import caches, databases, load_balancers, tasks
from lab.reconcilers.base import Reconciler

SAMPLES = 6
"""Values that make a datapoint of one (the lab's) minute."""
SMALL_CPUS = 2
"""Cores of db.t3, db.t4g and cache.t3 classes, micro to large."""
POSTGRES = f":{5432:04X}"
ESTABLISHED = "01"
GROUP_TAG = "aws:autoscaling:groupName"


class Counters:
    """What has been added to counters since the last look."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, float] = {}

    def added(self, key: Hashable, value: float) -> float:
        """Return what was added; nothing at the first look. A counter that was reset counts from nothing."""
        before = self._seen.get(key, value)
        self._seen[key] = value
        return value - before if value >= before else value


def connections(table: str) -> int:
    """Count the clients of PostgreSQL in what Linux shows as /proc/<pid>/net/tcp."""
    rows = (line.split() for line in table.splitlines()[1:])
    return sum(row[1].endswith(POSTGRES) and row[3] == ESTABLISHED for row in rows)


class Measurements(Reconciler):
    """Measures everything some times a minute and gives it to CloudWatch."""

    name: ClassVar[str] = "measurements"
    interval: ClassVar[float] = 1.0

    def __init__(self) -> None:
        super().__init__()
        self._meter = metrics.CpuMeter()
        self._counters = Counters()
        self._processes: dict[str, int] = {}
        self._next = 0.0
        self._looks = 0

    def reconcile(self) -> None:
        """Measure when it is time; a fault of one service does not hold the others up."""
        pace = metrics.pace()
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + pace.period / SAMPLES
        faults = []
        measures = [self._hosts, self._load_balancers, self._databases, self._queues, self._served, self._tasks]
        # Dearer to ask for, and slow to change: one value is a datapoint.
        measures += [self._storage, self._replicas, self._caches, self._domains] if self._looks % SAMPLES == 0 else []
        self._looks += 1
        for measure in measures:
            try:
                for region, namespace, name, value, dimensions in measure(pace):
                    named = [{"Name": key, "Value": given} for key, given in dimensions.items()]
                    datum = {"MetricName": name, "Value": value, "Dimensions": named, "Timestamp": utcnow()}
                    cloudwatch_backends[settings.ACCOUNT_ID][region].put_metric_data(namespace, [datum])
            except (OSError, RuntimeError, ValueError) as error:
                faults.append(f"{measure.__name__.strip('_')}: {error}")
        if faults:
            raise RuntimeError("; ".join(faults))

    def _served(self, _pace: metrics.Pace) -> Iterator[served.Value]:
        yield from served.SERVED.take()

    def _hosts(self, pace: metrics.Pace) -> Iterator[tuple[str, str, str, float, dict[str, str]]]:
        for region, backend in list(ec2_backends[settings.ACCOUNT_ID].items()):
            for instance in list(backend.all_instances()):
                percent = self._meter.percent(instance, pace.cpus) if instance.state == "running" else None
                if percent is None:
                    continue
                group = next((tag["value"] for tag in instance.get_tags() if tag["key"] == GROUP_TAG), "")
                named = [{"InstanceId": instance.id}, *([{"AutoScalingGroupName": group}] if group else [])]
                for dimensions in named:
                    yield region, "AWS/EC2", "CPUUtilization", percent, dimensions
                    for check in ("StatusCheckFailed", "StatusCheckFailed_Instance", "StatusCheckFailed_System"):
                        yield region, "AWS/EC2", check, 0, dimensions

    def _tasks(self, _pace: metrics.Pace) -> Iterator[tuple[str, str, str, float, dict[str, str]]]:
        """What tasks use of what their definition gives them; a service's metric is that of all its tasks."""
        for task in ecs.tasks():
            if task.last_status != "RUNNING" or not task.service_name:
                continue
            container, definition = tasks.container_name(task), ecs.definition_of(task)
            named = {"ClusterName": task.cluster_name, "ServiceName": task.service_name}
            percent = self._meter.percent_of(container, int(definition.cpu) / 1024)
            if percent is not None:
                yield task.region_name, "AWS/ECS", "CPUUtilization", percent, named
            held = metrics.memory_bytes(container)
            if held is not None:
                share = held / (int(definition.memory) * 2**20) * 100
                yield task.region_name, "AWS/ECS", "MemoryUtilization", share, named

    def _load_balancers(self, _pace: metrics.Pace) -> Iterator[tuple[str, str, str, float, dict[str, str]]]:
        for balancer in load_balancers.load_balancers():
            region, short = balancer.arn.split(":")[3], balancer.arn.split(":loadbalancer/")[1]
            named = {"LoadBalancer": short}
            for name, value in self._traffic(load_balancers.container_name(balancer.arn)):
                yield region, "AWS/ApplicationELB", name, value, named
            backend = elbv2_backends[settings.ACCOUNT_ID][region]
            for group in list(backend.target_groups.values()):
                if balancer.arn not in group.load_balancer_arns:
                    continue
                states = [group.health_for(target, group.ec2_backend).status for target in list(group.targets.values())]
                hosts = {**named, "TargetGroup": group.arn.rpartition(":")[2]}
                yield region, "AWS/ApplicationELB", "HealthyHostCount", states.count("healthy"), hosts
                yield region, "AWS/ApplicationELB", "UnHealthyHostCount", states.count("unhealthy"), hosts

    def _traffic(self, container: str) -> Iterator[tuple[str, float]]:
        """Metrics of the requests since the last look. What did not happen is not reported, as on AWS."""
        directory = settings.runtime() / container
        if not (directory / "admin.sock").exists():
            return
        rows = haproxy.parse_stat(haproxy.Runtime(directory).command("show stat"))
        of_targets = dict.fromkeys("2345", 0.0)
        requests, failed = 0.0, 0.0
        for row in rows:
            key = (container, row["pxname"], row["svname"])
            if row["svname"] == "FRONTEND" and row["pxname"].startswith("listener-"):
                requests += self._counters.added((*key, "requests"), float(row["req_tot"] or 0))
                failed += self._counters.added((*key, "5"), float(row["hrsp_5xx"] or 0))
            elif row["svname"] not in ("FRONTEND", "BACKEND"):
                for digit in of_targets:
                    of_targets[digit] += self._counters.added((*key, digit), float(row[f"hrsp_{digit}xx"] or 0))
        counted = {f"HTTPCode_Target_{digit}XX_Count": count for digit, count in of_targets.items()}
        counted |= {"RequestCount": requests, "HTTPCode_ELB_5XX_Count": max(0.0, failed - of_targets["5"])}
        yield from ((name, count) for name, count in counted.items() if count)
        if sum(of_targets.values()):
            # HAProxy's average of the last 1024 requests, in milliseconds.
            times = [float(row["rtime"]) for row in rows if row["svname"] == "BACKEND" and row["rtime"]]
            if times:
                yield "TargetResponseTime", max(times) / 1000

    def _databases(self, pace: metrics.Pace) -> Iterator[tuple[str, str, str, float, dict[str, str]]]:
        for region, backend in list(rds_backends[settings.ACCOUNT_ID].items()):
            for identifier in list(backend.databases):
                name, named = settings.database_name(identifier), {"DBInstanceIdentifier": identifier}
                percent = self._meter.percent_of(name, pace.cpus or SMALL_CPUS)
                if percent is not None:
                    yield region, "AWS/RDS", "CPUUtilization", percent, named
                clients = self._clients(name)
                if clients is not None:
                    yield region, "AWS/RDS", "DatabaseConnections", clients, named

    def _storage(self, _pace: metrics.Pace) -> Iterator[tuple[str, str, str, float, dict[str, str]]]:
        for backend, database in databases.databases():
            used = data_metrics.used_bytes(databases.directory_of(database) / "data")
            if used:
                free = max(0, int(database.allocated_storage) * data_metrics.GIB - used)
                named = {"DBInstanceIdentifier": database.db_instance_identifier}
                yield backend.region_name, "AWS/RDS", "FreeStorageSpace", free, named

    def _replicas(self, _pace: metrics.Pace) -> Iterator[tuple[str, str, str, float, dict[str, str]]]:
        for backend, database in databases.databases():
            if not database.is_replica or database.status != "available":
                continue
            answer = databases.run_sql(
                databases.container_name(database), data_metrics.LAG, "--no-align", "--tuples-only"
            )
            if answer.returncode == 0:
                named = {"DBInstanceIdentifier": database.db_instance_identifier}
                yield backend.region_name, "AWS/RDS", "ReplicaLag", data_metrics.replica_lag(answer.stdout), named

    def _caches(self, pace: metrics.Pace) -> Iterator[tuple[str, str, str, float, dict[str, str]]]:
        for _backend, group in elasticache.groups():
            for number in range(1, group.nodes + 1) if group.status == "available" else ():
                named = {"CacheClusterId": group.member(number)}
                percent = self._meter.percent_of(caches.container_name(group, number), pace.cpus or SMALL_CPUS)
                if percent is not None:
                    yield group.region, "AWS/ElastiCache", "CPUUtilization", percent, named
                try:
                    where = str(caches.address(group, number))
                    told = caches.ask(where, group.port, caches.own_password(group), "INFO")
                except OSError:
                    # Of a node that does not answer there are no metrics.
                    continue
                values = data_metrics.information(told.decode())
                yield from (
                    (group.region, "AWS/ElastiCache", name, value, named)
                    for name, value in data_metrics.of_cache(values).items()
                )
                for name, statistic in data_metrics.CACHE_COUNTERS.items():
                    added = self._counters.added((group.member(number), name), values[statistic])
                    yield group.region, "AWS/ElastiCache", name, added, named

    def _domains(self, _pace: metrics.Pace) -> Iterator[tuple[str, str, str, float, dict[str, str]]]:
        for check in list(route53_backends[settings.ACCOUNT_ID]["aws"].health_checks.values()):
            healthy, named = float(health.is_healthy(check.id)), {"HealthCheckId": check.id}
            # Wherever the endpoint is, Route 53 tells in this region.
            yield "us-east-1", "AWS/Route53", "HealthCheckStatus", healthy, named

    def _clients(self, container: str) -> int | None:
        """Clients of a database, counted in its network; None while it does not run."""
        if container not in self._processes:
            found = podman.inspect(container)
            if found is None or not found["State"]["Pid"]:
                return None
            self._processes[container] = int(found["State"]["Pid"])
        network = Path("/proc") / str(self._processes[container]) / "net"
        try:
            return sum(connections((network / table).read_text()) for table in ("tcp", "tcp6"))
        except OSError:
            del self._processes[container]
            return None

    def _queues(self, _pace: metrics.Pace) -> Iterator[tuple[str, str, str, float, dict[str, str]]]:
        now = time.time()
        for region, backend in list(sqs_backends[settings.ACCOUNT_ID].items()):
            for queue in list(backend.queues.values()):
                waiting, named = queue.messages, {"QueueName": queue.name}
                oldest = min((message.sent_timestamp / 1000 for message in waiting), default=now)
                yield region, "AWS/SQS", "ApproximateNumberOfMessagesVisible", len(waiting), named
                yield region, "AWS/SQS", "ApproximateAgeOfOldestMessage", max(0.0, now - oldest), named
