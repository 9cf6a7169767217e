"""Whether anything is to be done: the record of the last complete run against the inputs and the live state of today.

A run that went through every task to its end leaves a record in the releases bucket: a hash of its inputs, and a
document for each resource of the environment with every field that our tasks set. A later run with the same inputs
that finds the same documents would ask AWS the same questions, task by task, and change nothing: it may stop there.
Whatever is not the same, also what is none of our business, makes the run go through all tasks, which decide as ever.

The record is no state file: it is never a source of ids and nothing is lost with it but the shortcut and the names of
the fields that drifted.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugins.module_utils.discovery import Resource

RECORD_KEY = "converged.json"
"""Key of the record in the releases bucket."""

RECORD_FORMAT = 1
"""Raise it when documents are made in another way: older records are then taken for none."""

VOLATILE: Mapping[str, frozenset[str]] = {
    kind: frozenset(fields.split())
    for kind, fields in {
        "acm:certificate": "InUseBy RenewalSummary RenewalEligibility",
        "autoscaling:autoScalingGroup": "Instances DesiredCapacity PredictedCapacity",
        "budgets:budget": "CalculatedSpend HealthStatus NotificationState",
        "cloudfront:distribution": "Status InProgressInvalidationBatches ETag",
        "cloudfront:function": "Status Stage",
        "codeconnections:connection": "ConnectionStatus",
        "cloudwatch:alarm": "StateValue StateReason StateReasonData EvaluationState",
        "dynamodb:table": (
            "TableSizeBytes ItemCount IndexSizeBytes TableStatus IndexStatus "
            "ReplicaStatus ReplicaStatusDescription ReplicaStatusPercentProgress "
            # What it takes at once grows with the traffic that it had.
            "WarmThroughput"
        ),
        "apigateway:apis": "DeploymentId",
        "apigateway:domainnames": "DomainNameStatus DomainNameStatusMessage",
        "ec2:image": "LastLaunchedTime",
        "ec2:instance": "NetworkInterfaces StateReason StateTransitionReason PublicDnsName AmiLaunchIndex",
        "ec2:instance-connect-endpoint": "State StateMessage",
        "ec2:subnet": "AvailableIpAddressCount",
        "ec2:snapshot": "Progress",
        "ec2:vpc-endpoint": "State",
        "ec2:vpc-flow-log": "DeliverLogsStatus DeliverLogsErrorMessage",
        "ecs:cluster": (
            "activeServicesCount pendingTasksCount registeredContainerInstancesCount runningTasksCount statistics"
        ),
        "ecs:service": (
            "currentServiceDeployment currentServiceRevisions deployments desiredCount events pendingCount runningCount"
        ),
        "elasticloadbalancing:loadbalancer": "State PathRules",
        "elasticloadbalancing:targetgroup": "Targets",
        # Which node is written to changes when another one takes over.
        "elasticache:replicationgroup": "Status CurrentRole PendingModifiedValues",
        "iam:role": "RoleLastUsed",
        "iam:instance-profile": "RoleLastUsed",
        # Renewed once a year.
        "kms:key": "CurrentKeyMaterialId",
        "lambda:function": "LastModified RevisionId State LastUpdateStatus Version",
        "logs:log-group": "storedBytes",
        # The zone of a database with a standby changes when it takes over, a replica may be behind for a while, a disk
        # that was enlarged is optimized for hours, and a reboot puts parameters into force.
        "rds:db": (
            "DBInstanceStatus AvailabilityZone SecondaryAvailabilityZone StatusInfos ParameterApplyStatus "
            "PercentProgress StorageOperationStatus StorageOperationPercentProgress StorageVolumeStatus"
        ),
        "route53:hostedzone": "Records ResourceRecordSetCount",
        "secretsmanager:secret": "SecretVersionsToStages",
        "sns:topic": "SubscriptionsConfirmed SubscriptionsPending SubscriptionsDeleted",
        "sqs:queue": (
            "ApproximateNumberOfMessages ApproximateNumberOfMessagesDelayed ApproximateNumberOfMessagesNotVisible "
            "CreatedTimestamp LastModifiedTimestamp"
        ),
        "ssm:parameter": "Version",
        "wafv2:global": "LockToken",
        "wafv2:regional": "LockToken",
    }.items()
}
"""By kind, the fields that change without anybody changing the resource, at any depth. Times go from every kind."""

ORDERED = frozenset({"cloudfront:distribution", "cloudwatch:dashboard"})
"""Kinds in whose lists the order counts. AWS gives the others' lists in any order."""

RUNTIME = frozenset({"ec2:volume", "rds:snapshot"})
"""Kinds that come and go without a run: volumes with their instances, snapshots with time."""

GROUP_TAG = "aws:autoscaling:groupName"
"""What Auto Scaling puts on the instances it starts and ends by itself."""

MAINTENANCE_TAG = "vahana:maintenance"
"""What playbooks/maintenance.yml puts up and takes away. No run of site.yml makes it or takes it for drift."""

PROJECT = ("site.yml", "ansible.cfg", "uv.lock", "group_vars", "playbooks", "plugins", "roles")
"""The parts of the project that decide what a run does."""

SETTLED_CACHE = frozenset({"available", "snapshotting"})
"""States in which a cache serves: DescribeReplicationGroups, "Status"."""

SETTLED_DATABASE = frozenset(
    {"available", "backing-up", "storage-optimization", "configuring-log-exports", "configuring-enhanced-monitoring"}
)
"""States in which a database serves, by "Viewing DB instance status" (Amazon RDS User Guide)."""

LINE_CHARACTERS = 400
"""How much of a field's value is shown: a policy may be pages long."""

Document = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """What a complete run found at its end.

    :param inputs: :func:`fingerprint` of what the run was given.
    :param time: when it ended, ISO 8601, UTC.
    :param documents: by ARN, what :func:`documents` made of the live state.
    """

    inputs: str
    time: str
    documents: dict[str, Document]
    format: int = RECORD_FORMAT


def fingerprint(value: Any) -> str:
    """Return a sha256 (hex) of anything that JSON can say."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def lasts(resource: Resource) -> bool:
    """Say whether a resource stays as a run left it: what comes and goes by itself has no document."""
    return resource.kind not in RUNTIME and not {GROUP_TAG, MAINTENANCE_TAG} & set(resource.tags)


def documents(found: Iterable[tuple[Resource, Mapping[str, Any]]]) -> dict[str, Document]:
    """Make a document of each resource of the environment, by ARN.

    :param found: resources with what :mod:`plugins.module_utils.details` says of them.
    """
    made: dict[str, Document] = {}
    for resource, details in found:
        if not lasts(resource):
            continue
        fields = {**resource.description, **details, "Tags": dict(resource.tags)}
        made[resource.arn] = {
            "kind": resource.kind,
            "id": resource.id,
            "layer": resource.tags.get("vahana:layer", ""),
            "fields": _normal(fields, VOLATILE.get(resource.kind, frozenset()), resource.kind in ORDERED),
        }
    return made


def digests(live: Mapping[str, Document]) -> dict[str, str]:
    """Return a sha256 (hex) of what :func:`documents` found, by layer."""
    layers: dict[str, dict[str, Document]] = {}
    for arn, document in live.items():
        layers.setdefault(document["layer"], {})[arn] = document
    return {layer: fingerprint(found) for layer, found in sorted(layers.items())}


def _normal(value: Any, volatile: frozenset[str], ordered: bool) -> Any:
    """Return ``value`` without what changes by itself and, unless their order counts, with sorted lists."""
    if isinstance(value, Mapping):
        return {
            key: _normal(inner, volatile, ordered)
            for key, inner in sorted(value.items())
            # AWS's word for everything that it has a time for: no role sets one.
            if key not in volatile and key != "ResponseMetadata" and not isinstance(inner, datetime.datetime)
        }
    if isinstance(value, list):
        items = [_normal(item, volatile, ordered) for item in value]
        return items if ordered else sorted(items, key=lambda item: json.dumps(item, sort_keys=True, default=str))
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def differences(recorded: Mapping[str, Document], live: Mapping[str, Document]) -> list[dict[str, Any]]:
    """Return what is not as it was recorded, one entry a resource.

    Each has ``what`` (``gone``, ``new`` or ``changed``), ``kind``, ``id``, ``name``, ``layer``, and for a changed one
    ``fields``: entries with ``field``, ``before`` and ``after``.
    """
    found: list[dict[str, Any]] = []
    for arn in sorted({*recorded, *live}):
        old, new = recorded.get(arn), live.get(arn)
        either: Document = new or old or {}
        entry = {key: either[key] for key in ("kind", "id", "layer")}
        entry["name"] = either["fields"].get("Tags", {}).get("Name", "")
        if old is None or new is None:
            found.append({"what": "new" if old is None else "gone", **entry, "fields": []})
        elif fields := list(_field_differences("", old["fields"], new["fields"])):
            found.append({"what": "changed", **entry, "fields": fields})
    return found


def _field_differences(path: str, old: Any, new: Any) -> Iterator[dict[str, Any]]:
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from _field_differences(f"{path}.{key}" if path else key, old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list):
        # What both have says nothing about the change.
        yield {
            "field": path,
            "before": [item for item in old if item not in new] or None,
            "after": [item for item in new if item not in old] or None,
        }
    else:
        yield {"field": path, "before": old, "after": new}


def drift_lines(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what :func:`differences` found as text: a line a resource, and below a changed one a line a field."""
    signs = {"new": "+", "changed": "~", "gone": "-"}
    lines: list[str] = []
    for entry in found:
        named = f" ({entry['name']})" if entry["name"] and entry["name"] != entry["id"] else ""
        what, layer = entry["what"], entry["layer"] or "other"
        lines.append(f"{signs[what]} {layer}  {entry['kind']} {entry['id']}{named} is {what}")
        for field in entry["fields"]:
            old, new = (_short(field[side]) for side in ("before", "after"))
            lines.append(f"    {field['field']}: {old} → {new}")
    return lines


def _short(value: Any) -> str:
    text = "nothing" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LINE_CHARACTERS else f"{text[:LINE_CHARACTERS]}…"


def unsettled(stack: Mapping[str, Any]) -> list[str]:
    """Return what is under way or broken though nobody changed a resource: a run has to wait for it or to say so."""
    reasons: list[str] = []
    database, compute, balancer = stack["database"], stack["compute"], stack["load_balancer"]
    if database["status"] and database["status"] not in SETTLED_DATABASE:
        reasons.append(f"the database {database['identifier']} is {database['status']}")
    replica = database["replica"]
    if replica["status"] and replica["status"] not in SETTLED_DATABASE:
        reasons.append(f"the read replica {replica['identifier']} is {replica['status']}")
    cache = stack["cache"]
    if cache["status"] and cache["status"] not in SETTLED_CACHE:
        reasons.append(f"the cache {cache['identifier']} is {cache['status']}")
    # Where functions or containers answer there is no instance.
    wanted = int(compute["desired_capacity"] or not (stack["api"]["function_names"] or stack["containers"]["services"]))
    if len(compute["instances"]) < wanted:
        reasons.append(f"{len(compute['instances'])} of {wanted} instances run")
    releases = stack["api"]["releases"]
    if len(releases) > 1:
        reasons.append(f"the requests are shared: {', '.join(f'{share} % {name}' for name, share in releases.items())}")
    for service in stack["containers"]["services"]:
        if service["deployment"] != "COMPLETED":
            reasons.append(f"the deployment of {service['name']} is {service['deployment']}")
        elif service["running"] < service["desired"]:
            reasons.append(f"{service['running']} of {service['desired']} tasks of {service['name']} run")
    for instance in compute["instances"]:
        if instance["state"] != "running":
            reasons.append(f"{instance['id']} is {instance['state']}")
        elif compute["auto_scaling_group"] and instance["lifecycle"] != "InService":
            reasons.append(f"{instance['id']} is {instance['lifecycle'] or 'no member of its group'}")
        elif balancer["target_group_arn"] and instance["health"] != "healthy":
            reasons.append(f"{instance['id']} is {instance['health'] or 'not registered with the load balancer'}")
    reasons += [f"{builder} is baking an image" for builder in stack["image"]["builder_instance_ids"]]
    reasons += [entry["message"] for entry in stack["foreign"]]
    return reasons


def project_fingerprint(root: Path) -> str:
    """Return a sha256 (hex) of the project's own code, which decides what a run does."""
    digest = hashlib.sha256()
    for start in (root / name for name in PROJECT):
        for path in sorted(start.rglob("*")) if start.is_dir() else [start]:
            if path.is_file() and "__pycache__" not in path.parts:
                name = path.relative_to(start.parent).as_posix()
                digest.update(f"{name}\0{path.stat().st_mode & 0o100}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def read_record(s3: Any, bucket: str) -> Record | None:
    """Return the last complete run's record; None when there is none that this version understands."""
    try:
        content = json.loads(s3.get_object(Bucket=bucket, Key=RECORD_KEY)["Body"].read())
        return Record(**content) if content.get("format") == RECORD_FORMAT else None
    except (s3.exceptions.NoSuchKey, s3.exceptions.NoSuchBucket, ValueError, TypeError, AttributeError):
        return None
    except s3.exceptions.ClientError as error:
        # Without the right to list a bucket a missing key is a forbidden one; a foreign bucket is forbidden too.
        if error.response.get("Error", {}).get("Code") in ("403", "AccessDenied"):
            return None
        raise


def write_record(s3: Any, bucket: str, inputs: str, live: Mapping[str, Document]) -> None:
    """Record that a run with ``inputs`` was complete and left ``live`` behind."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    record = Record(inputs, now, dict(live))
    s3.put_object(
        Bucket=bucket,
        Key=RECORD_KEY,
        Body=json.dumps(asdict(record), sort_keys=True).encode(),
        ContentType="application/json",
    )
