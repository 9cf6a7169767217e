"""Wait for a database instance on the controller, and say how far it is while waiting."""

from __future__ import annotations

import time
from typing import Any

import boto3
from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.dict_transformations import camel_dict_to_snake_dict
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.amazon.aws.plugins.module_utils.transformation import normalize_boto3_result
from botocore.exceptions import BotoCoreError, ClientError

# Statuses that do not become "available" without somebody's help (Amazon RDS User Guide, "DB instance status").
STUCK = (
    "failed",
    "inaccessible-encryption-credentials",
    "insufficient-capacity",
    "restore-error",
    "stopped",
    "storage-full",
)
SECONDS_A_MINUTE = 60
#: How long small instances usually are in a status that one waits in: what operators commonly see.
USUAL = {
    "backing-up": "2 to 4 min",
    "creating": "8 to 15 min",
    "deleting": "4 to 8 min",
    "modifying": "1 to 10 min",
    "rebooting": "30 to 90 s",
}

display = Display()


def elapsed(seconds: float) -> str:
    """Return a duration in seconds as people say it, for example ``4 min 05 s``."""
    minutes, rest = divmod(int(seconds), SECONDS_A_MINUTE)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def is_stuck(status: str) -> bool:
    """Say whether an instance in this status never becomes available by itself."""
    return status in STUCK or status.startswith("incompatible-")


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types, so its base class is Any
    """See plugins/modules/rds_instance_wait.py for the options."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Poll until the instance is available (or gone) and return its description."""
        super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(
            argument_spec={
                "db_instance_identifier": {"type": "str", "required": True},
                "region": {"type": "str"},
                "state": {"type": "str", "choices": ["available", "absent"], "default": "available"},
                "timeout": {"type": "int", "default": 2700},
                "poll_seconds": {"type": "float", "default": 5},
                "report_seconds": {"type": "float", "default": 30},
            }
        )
        try:
            return self._wait(boto3.client("rds", region_name=args["region"]), args)
        except (BotoCoreError, ClientError) as error:
            raise AnsibleActionFail(
                f"Waiting for the database {args['db_instance_identifier']} failed: {error}"
            ) from None

    def _wait(self, client: Any, args: dict[str, Any]) -> dict[str, Any]:
        """Poll with the client until the state is reached; report each change of status and every report_seconds."""
        name, gone = args["db_instance_identifier"], args["state"] == "absent"
        started = time.monotonic()
        reported_at, reported_status = started, ""
        while True:
            instance = self._describe(client, name)
            status = instance["DBInstanceStatus"] if instance else "absent"
            now = time.monotonic()
            if self._task.check_mode or status == args["state"]:
                # Check mode changed nothing that would be worth waiting for.
                return {
                    "changed": False,
                    "waited_seconds": int(now - started),
                    "instance": camel_dict_to_snake_dict(normalize_boto3_result(instance), ignore_list=["TagList"]),
                }
            if not gone and not instance:
                raise AnsibleActionFail(f"There is no database instance {name}. Create it: ansible-playbook site.yml")
            if not gone and is_stuck(status):
                raise AnsibleActionFail(
                    f"The database {name} is {status} and does not become available by itself. See why: "
                    f"aws rds describe-events --source-type db-instance --source-identifier {name} --duration 1440"
                )
            if now - started >= args["timeout"]:
                raise AnsibleActionFail(
                    f"The database {name} is still {status} after {elapsed(now - started)}. "
                    "Run the same command again to go on waiting."
                )
            if status != reported_status or now - reported_at >= args["report_seconds"]:
                usual = f"; usually {USUAL[status]}" if status in USUAL else ""
                display.display(f"database {name}: {status} ({elapsed(now - started)}{usual})")
                reported_at, reported_status = now, status
            time.sleep(args["poll_seconds"])

    @staticmethod
    def _describe(client: Any, name: str) -> dict[str, Any]:
        """Return the instance's description, empty when there is none."""
        try:
            instance: dict[str, Any] = client.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
        except client.exceptions.DBInstanceNotFoundFault:
            return {}
        return instance
