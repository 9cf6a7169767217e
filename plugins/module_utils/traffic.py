"""The hosts of an environment at AWS: what the group and the load balancer say of them, and who gets requests."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from plugins.module_utils.aws_session import aws_session
from plugins.module_utils.orphans import orphaned
from plugins.module_utils.rollout import ABSENT, OUT, REFRESHING, Sight, Target

POLL_SECONDS = 1.0
GONE_SECONDS = 5.0
"""Seconds between two questions whether the instances are there still."""
DOUBT_SECONDS = 60.0
"""Seconds within which a group finds out that an instance is dead or hangs; longer is not worth waiting."""
MOST_INSTANCES = 50
"""As many DescribeAutoScalingInstances takes at once (API reference, Amazon EC2 Auto Scaling)."""
#: AWS's throttling must not end a deployment in its middle.
_CONFIG = Config(retries={"mode": "adaptive", "total_max_attempts": 10})
_ALIVE = ("pending", "running")
_DELAY = "deregistration_delay.timeout_seconds"
_WORDS = {"out": "drained", "in": "in service"}

Outcome = dict[str, Any]


class OrphanError(RuntimeError):
    """Nobody is there any more who waits for this."""


class Clients(dict[str, Any]):
    """The clients that the functions here take, by service.

    Each is made when it is first asked for: it costs 10 to 190 ms, and a deployment asks in every batch.
    """

    def __init__(self, region: str) -> None:
        super().__init__()
        self._session: Any = aws_session(region)

    def __missing__(self, service: str) -> Any:
        """Make one."""
        self[service] = self._session.client(service, config=_CONFIG)
        return self[service]


def look(clients: Mapping[str, Any], group: str, arn: str, instances: Sequence[str]) -> Sight:
    """Return what AWS says of the group and its targets now."""
    with ThreadPoolExecutor(3) as pool:
        described = pool.submit(_described, clients["autoscaling"], group) if group else None
        refresh = pool.submit(_refresh, clients["autoscaling"], group) if group else None
        targets = pool.submit(targets_of, clients["elbv2"], arn) if arn else None
        found = described.result() if described else {}
        members = {item["InstanceId"]: item["LifecycleState"] for item in found.get("Instances", [])}
        return Sight(
            group=group,
            balanced=bool(arn),
            instances=members if group else dict.fromkeys(instances, ""),
            targets=targets.result() if targets else {},
            refresh=refresh.result() if refresh else None,
            desired=found.get("DesiredCapacity", 0),
        )


def targets_of(elbv2: Any, arn: str) -> dict[str, Target]:
    """Return what a load balancer says of each target."""
    found = elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    return {
        item["Target"]["Id"]: Target(
            item["TargetHealth"]["State"],
            ": ".join(filter(None, (item["TargetHealth"].get("Reason"), item["TargetHealth"].get("Description")))),
        )
        for item in found
    }


def _described(autoscaling: Any, group: str) -> dict[str, Any]:
    found = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]
    return dict(found[0]) if found else {}


def _refresh(autoscaling: Any, group: str) -> tuple[str, str] | None:
    try:
        # The newest come first, and one at most is at work.
        found = autoscaling.describe_instance_refreshes(AutoScalingGroupName=group, MaxRecords=1)["InstanceRefreshes"]
    except ClientError as error:
        # A group that is gone is refreshed by nobody; the caller sees that it has no instances.
        if error.response.get("Error", {}).get("Code") == "ValidationError":
            return None
        raise
    at_work = [(item["InstanceRefreshId"], item["Status"]) for item in found if item["Status"] in REFRESHING]
    return at_work[0] if at_work else None


class Traffic:
    """The targets of one target group.

    :param clients: boto3 clients of ``elbv2``, ``ec2`` and ``autoscaling``.
    :param arn: the target group.
    :param port: port of the targets.
    :param say: told a line for each host that is as it should be.
    :param poll: seconds between two questions.
    """

    def __init__(
        self,
        clients: Mapping[str, Any],
        arn: str,
        port: int,
        say: Callable[[str], object] = print,
        poll: float = POLL_SECONDS,
    ) -> None:
        self._clients = clients
        self._arn = arn
        self._port = port
        self._say = say
        self._poll = poll

    def to_change(self, state: str, names: Iterable[str]) -> list[str]:
        """Return those of the hosts that the load balancer must be told about."""
        return _to_change(state, names, targets_of(self._clients["elbv2"], self._arn))

    def bring(
        self, state: str, names: Iterable[str], timeout: float, doubtful: Collection[str] = ()
    ) -> tuple[bool, dict[str, Outcome]]:
        """Tell the load balancer, wait, and return whether it had to be told and what became of each host.

        :param timeout: seconds to wait; for those that are ``doubtful`` at most :data:`DOUBT_SECONDS`. Where a target
            drains its group's deregistration delay comes on top.
        :raises OrphanError: the run that asked for it is gone.
        """
        began = looked = time.monotonic()
        drains = False
        changed = False
        outcomes: dict[str, Outcome] = {}
        waiting = list(names)
        refused: set[str] = set()
        while waiting:
            # Again in each round: a target that is registered while it drains may be gone at the end of that.
            seen = targets_of(self._clients["elbv2"], self._arn)
            wanted = [name for name in _to_change(state, waiting, seen) if name not in refused]
            gone: list[str] = []
            if wanted and state == "in":
                # Its group has deregistered one that it terminates, and would not do so again.
                looked = time.monotonic()
                gone = self.gone(waiting, doubtful)
                wanted = [name for name in wanted if name not in gone]
            if orphaned():
                # The next run puts back what this one takes out.
                raise OrphanError("the run that asked for it is gone")
            if wanted:
                refused |= self._tell(state, wanted)
                changed = changed or not refused.issuperset(wanted)
                seen = targets_of(self._clients["elbv2"], self._arn)
            seconds = round(time.monotonic() - began, 1)
            late = _late(waiting, seconds, timeout, doubtful)
            if not drains and any(seen.get(name, Target()).state == "draining" for name in late):
                drains, timeout = True, timeout + self._delay()
                late = _late(waiting, seconds, timeout, doubtful)
            if late or refused.intersection(waiting) or time.monotonic() - looked >= GONE_SECONDS:
                looked = time.monotonic()
                gone = self.gone(waiting, doubtful)
            # A doubtful one stays: its group is to see that it is not healthy.
            if state == "in" and (left := _to_change("out", (name for name in gone if name not in doubtful), seen)):
                self._tell("out", left)
            for name in waiting:
                target = seen.get(name, Target())
                if name in gone:
                    outcomes[name] = outcome(seconds, gone=True)
                elif target.state == "healthy" if state == "in" else target.state in OUT:
                    outcomes[name] = outcome(seconds)
                    if changed:
                        self._say(f"{name}: {_WORDS[state]} ({seconds:.1f} s)")
                elif name in late:
                    why = f" ({target.reason})" if target.reason else ""
                    error = f"the load balancer says {target.state}{why} after {seconds:.0f} s"
                    outcomes[name] = outcome(seconds, error=error)
            waiting = [name for name in waiting if name not in outcomes]
            if waiting:
                time.sleep(self._poll)
        return changed, outcomes

    def _delay(self) -> float:
        """Return for how many seconds at most a target drains."""
        elbv2 = self._clients["elbv2"]
        attributes = elbv2.describe_target_group_attributes(TargetGroupArn=self._arn)["Attributes"]
        return next((float(item["Value"]) for item in attributes if item["Key"] == _DELAY), 0.0)

    def _tell(self, state: str, names: list[str]) -> set[str]:
        """Register or deregister; return those that AWS refuses because their instance does not run."""
        elbv2 = self._clients["elbv2"]
        call = elbv2.deregister_targets if state == "out" else elbv2.register_targets
        try:
            call(TargetGroupArn=self._arn, Targets=[{"Id": name, "Port": self._port} for name in names])
        except elbv2.exceptions.InvalidTargetException:
            if len(names) == 1:
                return set(names)
            # One that is refused makes AWS refuse them all.
            return {refused for name in names for refused in self._tell(state, [name])}
        return set()

    def gone(self, names: Iterable[str], doubtful: Collection[str] = ()) -> list[str]:
        """Return those whose instance is terminated, or is being terminated by its group.

        Of those that are ``doubtful`` also whom the group has found unhealthy: it replaces them, but may have them stay
        until their successors are in service (Amazon EC2 Auto Scaling User Guide, Instance maintenance policies).
        """
        return [name for some in itertools.batched(names, MOST_INSTANCES) for name in self._gone(some, doubtful)]

    def _gone(self, asked: Sequence[str], doubtful: Collection[str]) -> list[str]:
        filters = [{"Name": "instance-id", "Values": list(asked)}]
        reservations = self._clients["ec2"].describe_instances(Filters=filters)["Reservations"]
        alive = {
            item["InstanceId"]
            for reservation in reservations
            for item in reservation["Instances"]
            if item["State"]["Name"] in _ALIVE
        }
        members = self._clients["autoscaling"].describe_auto_scaling_instances(InstanceIds=list(asked))
        leaving = {
            item["InstanceId"]
            for item in members["AutoScalingInstances"]
            if item["LifecycleState"].startswith("Terminat")
            or (item["InstanceId"] in doubtful and item["HealthStatus"].upper() == "UNHEALTHY")
        }
        return [name for name in asked if name not in alive or name in leaving]


def _late(waiting: Iterable[str], seconds: float, timeout: float, doubtful: Collection[str]) -> list[str]:
    return [name for name in waiting if seconds >= (min(timeout, DOUBT_SECONDS) if name in doubtful else timeout)]


def _to_change(state: str, names: Iterable[str], seen: Mapping[str, Target]) -> list[str]:
    if state == "out":
        return [name for name in names if seen.get(name, Target()).state not in (*OUT, "draining")]
    return [name for name in names if seen.get(name, Target()).state in (ABSENT, "draining")]


def outcome(seconds: float = 0.0, *, gone: bool = False, error: str = "") -> Outcome:
    """Return what became of a host: how long it took, whether it is terminated, and what is wrong with it."""
    return {"seconds": seconds, "gone": gone, "error": error}
