"""Four hosts behind a load balancer, and what must hold of them whatever happens."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from tests.lab.visitor import URL

Aws = Callable[[str], Any]
GROUP = "vahanhelp-prod-backend"
BUCKET = "vahanhelp-prod-releases-123456789012"
HOSTS = 4
#: As deploy_healthy_floor has it: half of them.
FLOOR = 2
SIZE = ("-e", f"compute_min_size={HOSTS}", "-e", "compute_max_size=6")
TIERS = ("basic", "full")


@dataclass
class Capacity:
    """How many hosts got requests, at the least, and when that was."""

    least: int = 99
    seen: list[tuple[float, int]] = field(default_factory=list)


class Fleet:
    """Four hosts in service."""

    def __init__(self, aws: Aws, tier: str) -> None:
        self.aws, self.tier = aws, tier
        self._autoscaling, self._elb = aws("autoscaling"), aws("elbv2")
        self.targets = self._elb.describe_target_groups(Names=[GROUP])["TargetGroups"][0]["TargetGroupArn"]

    @property
    def healthy(self) -> list[str]:
        """Ids of the hosts that get requests, in the order of a deployment."""
        found = self._elb.describe_target_health(TargetGroupArn=self.targets)["TargetHealthDescriptions"]
        return sorted(item["Target"]["Id"] for item in found if item["TargetHealth"]["State"] == "healthy")

    @property
    def approved(self) -> str:
        """The release that new instances start with."""
        value = self.aws("ssm").get_parameter(Name="/vahanhelp/prod/release")["Parameter"]["Value"]
        return str(value)

    @property
    def wanted(self) -> int:
        """How many there should be."""
        return int(self._group["DesiredCapacity"])

    @property
    def _group(self) -> Any:
        return self._autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"][0]

    @property
    def lock(self) -> Any:
        """Who holds the environment's lock; None when nobody does."""
        try:
            return json.loads(self.aws("s3").get_object(Bucket=BUCKET, Key="lock.json")["Body"].read())
        except ClientError as error:
            assert error.response["Error"]["Code"] == "NoSuchKey"
            return None

    def scale(self, number: int) -> None:
        """Set how many there should be, as an alarm does."""
        self._autoscaling.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=number)

    def wait_whole(self, seconds: float = 240) -> None:
        """Wait until as many are healthy as there should be."""
        deadline = time.monotonic() + seconds
        while len(self.healthy) != self.wanted and time.monotonic() < deadline:
            time.sleep(1)
        assert len(self.healthy) == self.wanted

    def wait_past_grace(self) -> None:
        """Wait until the group goes by the load balancer's checks of every host: not for a while after its launch."""
        activities = self._autoscaling.describe_scaling_activities(AutoScalingGroupName=GROUP)["Activities"]
        # Also of those that are no launches: what ended later only has it wait longer.
        last = max(activity["EndTime"].timestamp() for activity in activities if "EndTime" in activity)
        time.sleep(max(0.0, last + float(self._group["HealthCheckGracePeriod"]) + 1 - time.time()))

    def assert_serves(self, *releases: str) -> None:
        """All hosts are in service with these releases, and nothing is left of the run."""
        self.wait_whole()
        assert {version() for _ in range(6 * HOSTS)} == set(releases)
        assert self._group["SuspendedProcesses"] == []
        parameters = self.aws("ssm").get_parameters_by_path(Path="/vahanhelp/prod")["Parameters"]
        assert "/vahanhelp/prod/suspended" not in {item["Name"] for item in parameters}
        assert self.lock is None

    @contextmanager
    def capacity(self) -> Iterator[Capacity]:
        """Count all the time how many hosts get requests."""
        found, ended = Capacity(), threading.Event()

        def count() -> None:
            while not ended.wait(0.5):
                found.seen.append((time.time(), len(self.healthy)))

        thread = threading.Thread(target=count, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            ended.set()
            thread.join()
            found.least = min(number for _time, number in found.seen)


def version() -> str:
    """Return the release that a new connection gets."""
    with urllib.request.urlopen(f"{URL}/api/version", timeout=15) as answer:
        return str(json.load(answer)["version"])
