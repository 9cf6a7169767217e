"""Ask AWS what only a doctor wants to know, in threads of the controller's own process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from ansible.plugins.action import ActionBase
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

DOCUMENTATION = r"""
module: examine_account
short_description: Ask AWS about quotas, certificates, backups and subscriptions
description:
  - Asks everything at the same time. What does not answer is in C(unchecked), with the reason, and fails nothing.
options:
  region:
    description: AWS region.
    type: str
    required: true
  stack:
    description: The live state.
    type: dict
    required: true
  instance_type:
    description: Type of the instances that may be added; empty asks for no quota of them.
    type: str
    default: ""
"""

RETURN = r"""
account:
  description:
    - C(certificates), C(quotas), C(subscriptions), C(backup), C(idle_timeout) and C(unchecked). One that does not apply
      or was not answered is missing.
  returned: always
  type: dict
"""

#: Code of the quota, its service, what it is called, and its kind (plugins/module_utils/diagnosis.py).
QUOTAS = (
    ("L-1216C47A", "ec2", "vCPUs of standard On-Demand instances", "vcpu"),
    ("L-0263D0A3", "ec2", "Elastic IP addresses", "eip"),
    ("L-F678F1CE", "vpc", "VPCs", "vpc"),
)
#: First letters of the instance families that count against the quota of standard instances (its own description).
STANDARD = "acdhimrtz"

_CONFIG = Config(connect_timeout=5, read_timeout=15, retries={"mode": "standard", "total_max_attempts": 3})
_SERVICES = ("ec2", "acm", "sns", "rds", "s3", "elbv2", "service-quotas")
_WORKERS = 12

Clients = Mapping[str, Any]
Asked = dict[str, Any]


def _iso(time: datetime | None) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds") if time else ""


def _quota(clients: Clients, code: str, service: str) -> float:
    """Return the limit that holds; one that was never raised has only a default."""
    quotas = clients["service-quotas"]
    try:
        return float(quotas.get_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]["Value"])
    except quotas.exceptions.NoSuchResourceException:
        pages = quotas.get_paginator("list_aws_default_service_quotas").paginate(ServiceCode=service)
        return {item["QuotaCode"]: float(item["Value"]) for page in pages for item in page["Quotas"]}[code]


def _vcpus_used(clients: Clients) -> int:
    states = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    pages = clients["ec2"].get_paginator("describe_instances").paginate(Filters=states)
    return sum(
        instance["CpuOptions"]["CoreCount"] * instance["CpuOptions"]["ThreadsPerCore"]
        for page in pages
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
        if instance["InstanceType"][0] in STANDARD and instance.get("InstanceLifecycle") != "spot"
    )


def _used(clients: Clients, kind: str) -> int:
    ec2 = clients["ec2"]
    if kind == "eip":
        return len(ec2.describe_addresses()["Addresses"])
    if kind == "vpc":
        return sum(len(page["Vpcs"]) for page in ec2.get_paginator("describe_vpcs").paginate())
    return _vcpus_used(clients)


def _quota_of(clients: Clients, code: str, service: str, name: str, kind: str, instance_type: str) -> Asked:
    each = 1
    if kind == "vcpu":
        types = clients["ec2"].describe_instance_types(InstanceTypes=[instance_type])["InstanceTypes"]
        each = types[0]["VCpuInfo"]["DefaultVCpus"]
    found = {"limit": _quota(clients, code, service), "used": _used(clients, kind), "each": each}
    return {code: {**found, "code": code, "service": service, "name": name, "kind": kind}}


def _certificate(clients: Clients, arn: str) -> list[Asked]:
    region = arn.split(":")[3]
    acm = clients["acm"] if region == clients["acm"].meta.region_name else boto3.client("acm", region, config=_CONFIG)
    found = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    return [
        {
            "arn": arn,
            "domain": found["DomainName"],
            "status": found["Status"],
            "not_after": _iso(found.get("NotAfter")),
            "renewal": found.get("RenewalSummary", {}).get("RenewalStatus", ""),
        }
    ]


def _subscriptions(clients: Clients, topic: str) -> Asked:
    pages = clients["sns"].get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    arns = [item["SubscriptionArn"] for page in pages for item in page["Subscriptions"]]
    # What SNS shows in place of an ARN until somebody has followed the link in its mail.
    pending = arns.count("PendingConfirmation")
    return {"confirmed": len(arns) - pending, "pending": pending}


def _idle_timeout(clients: Clients, arn: str) -> int:
    attributes = clients["elbv2"].describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    return int({item["Key"]: item["Value"] for item in attributes}["idle_timeout.timeout_seconds"])


def _backup(clients: Clients, stack: Mapping[str, Any]) -> Asked:
    """Return when what is in the database could last be had back."""
    name, times, retention, created = stack["database"]["identifier"], [], None, ""
    if name:
        rds = clients["rds"]
        instance = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
        retention, created = instance.get("BackupRetentionPeriod"), _iso(instance.get("InstanceCreateTime"))
        times = [instance["LatestRestorableTime"]] if instance.get("LatestRestorableTime") else []
        pages = rds.get_paginator("describe_db_snapshots").paginate(DBInstanceIdentifier=name)
        snapshots = [item for page in pages for item in page["DBSnapshots"] if item.get("Status") == "available"]
        times += [item["SnapshotCreateTime"] for item in snapshots if item.get("SnapshotCreateTime")]
    elif stack["compute"]["instances"]:
        created = min(instance["launched"] for instance in stack["compute"]["instances"])
    # What playbooks/backup.yml has made: its manifest is written last.
    pages = (
        clients["s3"]
        .get_paginator("list_objects_v2")
        .paginate(Bucket=stack["storage"]["releases_bucket"], Prefix="backups/")
    )
    times += [
        item["LastModified"]
        for page in pages
        for item in page.get("Contents", [])
        if item["Key"].endswith("/manifest.json")
    ]
    newest = _iso(max(times)) if times else ""
    return {"name": name or "on the instance", "newest": newest, "created": created, "retention_days": retention}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Run on the controller, whatever the host of the play."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what was found."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "region": {"type": "str", "required": True},
                "stack": {"type": "dict", "required": True},
                "instance_type": {"type": "str", "default": ""},
            }
        )
        # Ansible's own text types would reach botocore's serialisers.
        region, instance_type = str(arguments["region"]), str(arguments["instance_type"])
        clients = {name: boto3.client(name, region, config=_CONFIG) for name in _SERVICES}  # type: ignore[call-overload]
        return {"changed": False, "account": examine(clients, _plain(arguments["stack"]), instance_type)}


def _plain(value: Any) -> Any:
    """Return a copy whose texts are Python's own."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def examine(clients: Clients, stack: Mapping[str, Any], instance_type: str) -> Asked:
    """Ask everything at the same time.

    :param stack: what plugins/module_utils/discovery.py found.
    :param instance_type: of instances that may be added; empty asks for no quota of them.
    """
    edge, balancer = stack["edge"], stack["load_balancer"]["arn"]
    topic, bucket = stack["monitoring"]["topic_arn"], stack["storage"]["releases_bucket"]
    database = stack["database"]["identifier"] or stack["compute"]["instances"]
    questions: list[tuple[str, str, Callable[[], Any]]] = []

    def question(subject: str, key: str, call: Callable[..., Any], *arguments: Any) -> None:
        questions.append((subject, key, lambda: call(clients, *arguments)))

    for quota in QUOTAS:
        if quota[3] != "vcpu" or instance_type:
            question(f"quota {quota[2]}", "quotas", _quota_of, *quota, instance_type)
    for arn in sorted({edge["certificate_arn"], edge["load_balancer_certificate_arn"]} - {""}):
        question(f"certificate {arn}", "certificates", _certificate, arn)
    if topic:
        question("subscriptions", "subscriptions", _subscriptions, topic)
    if balancer:
        question("idle timeout", "idle_timeout", _idle_timeout, balancer)
    # What follows another region's database has nothing of its own to save.
    if database and bucket and not stack["database"]["source_arn"]:
        question("backup", "backup", _backup, stack)
    return _gather(questions)


def _gather(questions: Iterable[tuple[str, str, Callable[[], Any]]]) -> Asked:
    found: Asked = {"quotas": {}, "certificates": [], "unchecked": {}}

    def answer(call: Callable[[], Any]) -> Any:
        try:
            return call()
        # An answer without what was asked for is none.
        except (BotoCoreError, ClientError, LookupError) as error:
            return error

    asked = list(questions)
    with ThreadPoolExecutor(_WORKERS) as pool:
        answers = list(pool.map(answer, [call for _subject, _key, call in asked]))
    for (subject, key, _call), value in zip(asked, answers, strict=True):
        if isinstance(value, Exception):
            found["unchecked"][subject] = " ".join(str(value).split())
        elif isinstance(found.get(key), dict):
            found[key].update(value)
        elif isinstance(found.get(key), list):
            found[key] += value
        else:
            found[key] = value
    return found
