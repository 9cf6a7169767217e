"""Wait for a database instance on the controller, and say how far it is while waiting."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import boto3
from ansible.module_utils.common.dict_transformations import camel_dict_to_snake_dict
from ansible_collections.amazon.aws.plugins.module_utils.transformation import normalize_boto3_result

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.aws_wait import AwsWait, Progress, waits
from plugins.module_utils.project import run_playbook

# Statuses that do not become "available" without somebody's help (Amazon RDS User Guide, "DB instance status").
STUCK = (
    "failed",
    "inaccessible-encryption-credentials",
    "insufficient-capacity",
    "restore-error",
    "stopped",
    "storage-full",
)
#: In these an instance works and takes changes. After its disk was enlarged it is in the second for hours, now and then
#: for a day, and cannot have its storage changed again (Amazon RDS User Guide, "Scaling up DB instance storage").
AVAILABLE = ("available", "storage-optimization")
#: How long small instances usually are in a status that one waits in: what operators commonly see.
USUAL = {
    "backing-up": "2 to 4 min",
    "creating": "8 to 15 min",
    "deleting": "4 to 8 min",
    "modifying": "1 to 10 min",
    "rebooting": "30 to 90 s",
}


def is_stuck(status: str) -> bool:
    """Say whether an instance in this status never becomes available by itself."""
    return status in STUCK or status.startswith("incompatible-")


class ActionModule(AwsWait):
    """See plugins/modules/rds_instance_wait.py for the options."""

    takes: ClassVar[dict[str, Any]] = {
        "db_instance_identifier": {"type": "str", "required": True},
        "region": {"type": "str"},
        "state": {"type": "str", "choices": ["available", "promoted", "absent"], "default": "available"},
        **waits(timeout=2700, poll=5, report=30),
    }
    failure = "the database cannot be waited for"

    def ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Wait; in check mode say what there is."""
        found = self.looks(arguments)().results if self._task.check_mode else {}
        return {**super().ask(arguments, task_vars), **found}

    def looks(self, arguments: dict[str, Any]) -> Callable[[], Progress]:
        """Look at the instance."""
        client = boto3.client("rds", region_name=arguments["region"])
        return partial(_look, client, arguments["db_instance_identifier"], arguments["state"])


def _look(client: Any, name: str, wanted: str) -> Progress:
    instance = _describe(client, name)
    status = instance["DBInstanceStatus"] if instance else "absent"
    obstacle = ""
    unfinished = _unfinished(instance, wanted)
    if wanted != "absent" and not instance:
        obstacle = f"create it: {run_playbook('site.yml')}"
    elif wanted != "absent" and is_stuck(status):
        obstacle = (
            "it does not become available by itself. See why: "
            f"aws rds describe-events --source-type db-instance --source-identifier {name} --duration 1440"
        )
    return Progress(
        done=status == wanted if wanted == "absent" else status in AVAILABLE and not unfinished,
        text=", ".join(filter(None, (f"database {name}: {status}", unfinished))),
        obstacle=obstacle,
        detail=f"usually {USUAL[status]}" if status in USUAL else "",
        results={"instance": camel_dict_to_snake_dict(normalize_boto3_result(instance), ignore_list=["TagList"])},
    )


def _unfinished(instance: Mapping[str, Any], wanted: str) -> str:
    """Return what is still to come of an instance that may have the status of before the change; empty when nothing.

    RDS takes a change and goes on saying "available" for a while.
    """
    # There from the request until the password is in force (API reference, ModifyDBInstance, MasterUserPassword).
    if instance.get("PendingModifiedValues", {}).get("MasterUserPassword"):
        return "its new password is not in force yet"
    if wanted == "promoted" and instance.get("ReadReplicaSourceDBInstanceIdentifier"):
        return f"it follows {instance['ReadReplicaSourceDBInstanceIdentifier']}"
    if wanted == "promoted" and instance.get("StatusInfos"):
        return f"its replication is {instance['StatusInfos'][0].get('Status', 'not over')}"
    return ""


def _describe(client: Any, name: str) -> dict[str, Any]:
    """Return the instance's description, empty when there is none."""
    try:
        instance: dict[str, Any] = client.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    except client.exceptions.DBInstanceNotFoundFault:
        return {}
    return instance
