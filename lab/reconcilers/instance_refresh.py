"""Carries out instance refreshes: launches, waits until what is new is ready, terminates what is old, rolls back.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-refresh-overview.html
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends

from lab import settings
from lab.moto_patches import autoscaling, instance_refresh
from lab.moto_patches.instance_refresh import Refresh

PATIENCE_SECONDS = 3600
"""How long it tries without an advance before it fails ("One-hour timeout")."""

LEAVING = ("Terminating", "Terminating:Wait", "Terminating:Proceed")
COUNTED = ("Pending", "Pending:Wait", "Pending:Proceed", "InService")
UNAVAILABLE = "Waiting for remaining instances to be available. For example: {} is not healthy yet."
WARMING = "Waiting for instances to warm up before continuing. For example: {} is warming up."


class Step:
    """One look at a group whose refresh is under way, and what follows from it."""

    def __init__(
        self,
        group: Any,
        refresh: Refresh,
        serves: Callable[[Any], bool],
        launch: Callable[[], Any],
    ) -> None:
        """Take the group, and from its reconciler: whether an instance passes its health checks, and how to launch.

        Args:
            group: moto's group.
            refresh: its active refresh.
            serves: tells of an instance in service whether its health checks pass.
            launch: launches one instance from what the group is to be.
        """
        self.group = group
        self.refresh = refresh
        self._serves = serves
        self._launch = launch

    def take(self) -> None:
        """Bring the refresh one step on."""
        refresh = self.refresh
        if refresh.status in instance_refresh.DEPLOYING and (alarm := self._alarm()):
            self._fail(f"CloudWatch alarm {alarm} is in the ALARM state")
        elif autoscaling.suspended(self.group, "InstanceRefresh"):
            refresh.status_reason = "The InstanceRefresh process is suspended."
        elif refresh.status == "Pending":
            self._begin()
        elif refresh.status in ("InProgress", "RollbackInProgress"):
            self._replace()
        elif refresh.status == "Baking" and time.time() >= refresh.bake_until:
            self._succeed()
        elif refresh.status == "Cancelling" and not self._transitioning():
            refresh.end("Cancelled", refresh.status_reason)

    def _alarm(self) -> str | None:
        names = (self.refresh.preferences.get("AlarmSpecification") or {}).get("Alarms", [])
        alarms = cloudwatch_backends[settings.ACCOUNT_ID][self.group.region].alarms
        return next((name for name in names if name in alarms and alarms[name].state_value == "ALARM"), None)

    def _transitioning(self) -> bool:
        return any(state.lifecycle_state not in ("InService", "Standby") for state in self.group.instance_states)

    def _begin(self) -> None:
        """Choose what is replaced."""
        refresh = self.refresh
        wanted = instance_refresh.template_version(self.group)
        for state in self.group.instance_states:
            from_template = state.launch_template or {}
            matches = (from_template.get("LaunchTemplateId"), from_template.get("Version")) == (
                wanted.template.id,
                str(wanted.number),
            )
            ignored = (
                (refresh.preferences["SkipMatching"] and matches)
                or (self._protected(state) and refresh.preferences["ScaleInProtectedInstances"] == "Ignore")
                or (state.lifecycle_state == "Standby" and refresh.preferences["StandbyInstances"] == "Ignore")
            )
            if state.lifecycle_state not in LEAVING and not ignored:
                refresh.old.add(state.instance_id)
        refresh.total = refresh.instances_to_update = len(refresh.old)
        refresh.status, refresh.progress_at = "InProgress", time.time()

    @staticmethod
    def _protected(state: Any) -> bool:
        return bool(state.protected_from_scale_in)

    def _replace(self) -> None:
        refresh = self.refresh
        here = {state.instance_id for state in self.group.instance_states}
        refresh.old &= here
        members = [s for s in self.group.instance_states if s.lifecycle_state in COUNTED and not s.doom]
        fresh = [state for state in members if state.instance_id not in refresh.old]
        ready = [state for state in members if self._ready(state)]
        ready_fresh = [state for state in fresh if state in ready]
        self._count(ready_fresh)
        desired = self.group.desired_capacity or 0
        if not refresh.old and len(ready_fresh) >= desired:
            self._done()
            return
        self._explain(fresh, ready)
        least, most = instance_refresh.bounds(self.group, refresh)
        for _ in range(min(desired - len(fresh), most - len(members))):
            self._launch()
        self._retire(members, ready, len(ready) - least)
        if time.time() - refresh.progress_at > PATIENCE_SECONDS:
            self._fail(refresh.status_reason or "The instances could not be replaced within an hour.")

    def _ready(self, state: Any) -> bool:
        """In service, healthy, and what was launched since the refresh began has warmed up, too."""
        if state.lifecycle_state != "InService" or state.health_status != "Healthy" or not self._serves(state):
            return False
        new = state.instance_id in self.refresh.launched
        return not new or time.time() - float(state.in_service_at) >= self._warmup()

    def _warmup(self) -> float:
        given = self.refresh.preferences.get("InstanceWarmup")
        return float(self.group.health_check_grace_period or 0 if given is None else given)

    def _count(self, ready_fresh: list[Any]) -> None:
        """Say how far it is, and remember since when it has not come further."""
        refresh = self.refresh
        updated = min(refresh.total, sum(state.instance_id in refresh.launched for state in ready_fresh))
        if refresh.status == "InProgress":
            refresh.instances_to_update = refresh.total - updated
            refresh.percentage_complete = 100 * updated // refresh.total if refresh.total else 0
        elif refresh.rollback_details and refresh.total:
            before = refresh.rollback_details["PercentageCompleteOnRollback"]
            refresh.percentage_complete = before * (refresh.total - updated) // refresh.total
        progress = (len(refresh.old), updated)
        if progress != refresh.progress:
            refresh.progress, refresh.progress_at = progress, time.time()

    def _explain(self, fresh: list[Any], ready: list[Any]) -> None:
        """Say what it waits for."""
        refresh = self.refresh
        old = [state for state in self.group.instance_states if state.instance_id in refresh.old]
        standby = [state.instance_id for state in old if state.lifecycle_state == "Standby"]
        protected = [state.instance_id for state in old if self._protected(state)]
        behind = next((state for state in fresh if state not in ready), None)
        if standby and refresh.preferences["StandbyInstances"] == "Wait":
            refresh.status_reason = f"Waiting for instances in Standby to return to service: {', '.join(standby)}"
        elif protected and refresh.preferences["ScaleInProtectedInstances"] == "Wait":
            refresh.status_reason = f"Waiting for instances protected from scale in: {', '.join(protected)}"
        elif behind and behind.lifecycle_state == "InService" and self._serves(behind):
            refresh.status_reason = WARMING.format(behind.instance_id)
        elif behind:
            refresh.status_reason = UNAVAILABLE.format(behind.instance_id)
        else:
            refresh.status_reason = None

    def _retire(self, members: list[Any], ready: list[Any], spare: int) -> None:
        """Terminate old instances: those that do not serve at once, of the others as many as can be spared."""
        refresh = self.refresh
        if autoscaling.suspended(self.group, "Terminate"):
            return
        held = refresh.preferences["ScaleInProtectedInstances"] == "Wait" and refresh.status == "InProgress"
        old = [s for s in members if s.instance_id in refresh.old and not (held and self._protected(s))]
        # At a rollback also those that the load balancer has not found healthy.
        chosen = [
            state
            for state in old
            if state.lifecycle_state != "InService"
            or state.health_status != "Healthy"
            or (refresh.status == "RollbackInProgress" and state not in ready)
        ]
        chosen += [state for state in old if state in ready][: max(0, spare)]
        if refresh.preferences["StandbyInstances"] == "Terminate":
            chosen += [
                state
                for state in self.group.instance_states
                if state.instance_id in refresh.old and state.lifecycle_state == "Standby"
            ]
        for state in chosen:
            state.doom = (
                f"an instance was taken out of service in response to an instance refresh: {state.instance_id}."
            )

    def _done(self) -> None:
        """All is replaced."""
        refresh = self.refresh
        bake = refresh.preferences.get("BakeTime") or 0
        if refresh.status == "RollbackInProgress":
            refresh.percentage_complete = 0
            refresh.end("RollbackSuccessful", (refresh.rollback_details or {}).get("RollbackReason"))
        elif bake:
            refresh.status, refresh.status_reason = "Baking", None
            refresh.percentage_complete, refresh.instances_to_update = 100, 0
            refresh.bake_until = time.time() + bake
        else:
            self._succeed()

    def _succeed(self) -> None:
        """Make the desired configuration the group's own."""
        refresh, group = self.refresh, self.group
        if refresh.desired_configuration:
            template = refresh.desired_configuration["LaunchTemplate"]
            wanted = {"LaunchTemplateId": template["LaunchTemplateId"], "Version": template["Version"]}
            group._set_launch_configuration("", wanted, None)
        refresh.percentage_complete, refresh.instances_to_update = 100, 0
        refresh.end("Successful")

    def _fail(self, reason: str) -> None:
        """Roll back if that was asked for."""
        refresh = self.refresh
        if refresh.status == "RollbackInProgress":
            refresh.end("RollbackFailed", reason)
        elif refresh.preferences["AutoRollback"]:
            refresh.roll_back(self.group, f"Auto rollback was initiated because the instance refresh failed: {reason}")
        else:
            refresh.end("Failed", reason)
