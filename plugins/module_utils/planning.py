"""What a task would change, found out by letting its module run until it wants to write.

In check mode an AWS module runs as in an ordinary run, in a process whose boto3 is watched: what reads goes to the API,
what would write goes nowhere and is noted. So a module decides in a plan with the code it decides with in the run, and
its own check mode, which may be missing or wrong, is not asked. It goes on after a write for as long as it can do
without the answer; then the plan of the task is complete. docs/architecture.md ("Plan") tells the whole of it.

Modules of this project run in their own check mode, under the same watch.
"""

from __future__ import annotations

import functools
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Stands for a value that only the run will know, as the id of what it creates. It never reaches an API.
KNOWN_AFTER_APPLY = "(known after apply)"
#: Stands for a value that is shown to nobody, and for the one it replaces.
HIDDEN = "(hidden)"

#: Modules that write in every run, also what is there already. Of others each write is a change; a write of these is
#: one when a field was read with another value. So that an ordinary run writes nothing either, theirs begins with a
#: plan (plugins/action/normal.py).
ALWAYS_WRITING = ("autoscaling_group",)

#: How the names of operations begin that change nothing; every other one is taken for a write.
_READING = ("batchget", "describe", "filter", "get", "head", "list", "lookup", "query", "search", "simulate")
#: Their calls get credentials for the others.
_CREDENTIAL_SERVICES = ("sts", "sso", "sso-oidc")

#: Operations that make the resource itself, of which rules and listeners are parts, and those that do where there is
#: none yet.
_CREATING = re.compile(
    r"^(Create|Run|Allocate|Request|Import)(?!Tags|Route$|Rule$|Listener$|Invalidation|.*Version$|.*Grant)"
)
_PUTTING = re.compile(
    r"^Put(Parameter|RolePolicy|ScalingPolicy|LifecycleHook|BucketLifecycleConfiguration|MetricAlarm)$"
)
#: Operations that take the resource itself away, and those that take something from it.
_DELETING = re.compile(r"^(Delete|Terminate|Release|Deregister)(?!.*(Tags|Tagging|Policy|Rule|Route|Configuration)$)")
_TAKING = ("Delete", "Detach", "Disable", "Disassociate", "Remove", "Revoke", "Untag", "Deregister")
_VERB = re.compile(r"^[A-Z][a-z]+")

#: Parameters that name what a write is about.
_SUBJECT = re.compile(r"(Id|Ids|Arn|Arns|Name|Identifier|Bucket|Resources)$")
#: Parameters that say how to write, not what.
_MANNER_PARAMETERS = (
    "AllowMajorVersionUpgrade",
    "ApplyImmediately",
    "CallerReference",
    "ChecksumAlgorithm",
    "ClientToken",
    "DryRun",
    "Granularity",
    "IfMatch",
    "Overwrite",
    "SourceVersion",
    "VersionDescription",
)
#: Arguments of modules that say how they work.
_MANNERS = re.compile(
    r"^(access_key|aws_ca_bundle|aws_config|debug_botocore_endpoint_logs|endpoint_url|profile|region|secret_key"
    r"|session_token|validate_certs|state|wait|lookup|.*_timeout|wait_.*|purge_.*|modify_targets|overwrite.*|count)$"
)
#: Fields that an API writes under one name and gives back under another.
_READ_NAMES = {
    "Metrics": ("EnabledMetrics",),
    "Tags": ("Tags", "TagList", "TagSet"),
    "TagSet": ("TagSet", "Tags"),
}

Object = dict[str, Any]


class _PlannedError(BaseException):
    """Ends a module whose next step needs what the run will have made. No module catches it."""


@dataclass
class Change:
    """What a task would do to one resource."""

    #: ``create``, ``change`` or ``delete``.
    action: str
    #: The fields that differ, by path, as they are and as they would be; of a new resource its arguments.
    before: Object = field(default_factory=dict)
    after: Object = field(default_factory=dict)
    #: The resource in words, as ``VPC`` and ``vahanhelp-prod-vpc``; empty where nothing is known of the module.
    kind: str = ""
    name: str = ""


@dataclass
class _Write:
    operation: str
    parameters: Object


def is_planned(value: Any) -> bool:
    """Say whether a value has a part that only the run will know."""
    if isinstance(value, str):
        return KNOWN_AFTER_APPLY in value
    if isinstance(value, Mapping):
        return any(is_planned(part) for part in (*value.keys(), *value.values()))
    return isinstance(value, Sequence) and not isinstance(value, bytes) and any(is_planned(part) for part in value)


class Planner:
    """Watches one module in a process of its own."""

    def __init__(self, module: str) -> None:
        """Prepare for a module by its last name, as ``ec2_vpc_net``."""
        self.module = module
        self.writes: list[_Write] = []
        self._read: list[tuple[str, Any]] = []
        #: It asked for something by a value that only the run will know, so there is no such thing yet.
        self._asked_for_planned = False
        self._ansible_module: Any = None

    @property
    def found_changes(self) -> bool:
        """Whether the module wanted to write, or asked for what is not there yet."""
        return bool(self.writes or self._asked_for_planned)

    def install(self) -> None:
        """Begin to watch. The process is the module's own and ends with it, so nothing is put back."""
        from ansible.module_utils import basic
        from botocore.client import BaseClient

        client_class: Any = BaseClient
        call, start, answer = (
            client_class._make_api_call,
            basic.AnsibleModule.__init__,
            basic.AnsibleModule._return_formatted,
        )
        sleep = time.sleep

        def watched_call(client: Any, operation: str, parameters: Object) -> Any:
            return self._call(client, operation, parameters, call)

        def remember(module: Any, *args: Any, **kwargs: Any) -> None:
            start(module, *args, **kwargs)
            self._ansible_module = module

        def complete(module: Any, results: Object) -> None:
            answer(module, self.results(module.params, results))

        def pause(seconds: Any) -> None:
            if self.found_changes:
                # It waits for what it thinks it has done.
                raise _PlannedError
            sleep(seconds)

        client_class._make_api_call = watched_call
        basic.AnsibleModule.__init__ = remember
        basic.AnsibleModule._return_formatted = complete
        time.sleep = pause

    def report(self) -> bool:
        """Answer for a module that could not go on without what the run will have made; say whether that was why."""
        if not self._cannot_know():
            return False
        self._ansible_module._return_formatted({})
        return True

    def _cannot_know(self) -> bool:
        """Say whether a module's failure may come of what only the run will know."""
        if self._ansible_module and is_planned(self._ansible_module.params):
            self._asked_for_planned = True
        return self.found_changes

    def _call(self, client: Any, operation: str, parameters: Object, call: Callable[..., Any]) -> Any:
        service = client.meta.service_model.service_name
        if service in _CREDENTIAL_SERVICES:
            return call(client, operation, parameters)
        if not operation.lower().startswith(_READING):
            self.writes.append(_Write(operation, parameters))
            return {"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}}
        if is_planned(parameters):
            self._asked_for_planned = True
            raise _PlannedError
        answer = call(client, operation, parameters)
        self._read.append((operation, answer))
        return answer

    # The result ------------------------------------------------------------------------------------------------------

    def results(self, arguments: Mapping[str, Any], results: Object) -> Object:
        """Return what the task should register: the module's results with what the plan knows of them."""
        if results.get("failed"):
            if not self._cannot_know():
                return results
            results = {}
        if self._asked_for_planned and not self.writes and self._asks(arguments):
            return {"changed": False, **results}
        changes = [(write, *self._difference(write)) for write in self.writes]
        effective = [
            change
            for change in changes
            if change[1] or change[2] or self.module not in ALWAYS_WRITING or _of_itself(change[0].operation)
        ]
        results["changed"] = bool(effective or self._asked_for_planned or results.get("changed"))
        if not results["changed"]:
            return results
        plan = self._plan(arguments, effective, results)
        plan.kind, plan.name = KINDS.get(self.module, ""), name_of(arguments, results)
        results["plan"] = vars(plan)
        results.setdefault("diff", {"before": plan.before, "after": plan.after})
        if self.module in RESULTS and plan.action != "delete":
            known = functools.partial(self._field, resource=plan.name) if plan.action == "change" else None
            _complete(results, RESULTS[self.module](arguments, Known(known)))
        return results

    def _asks(self, arguments: Mapping[str, Any]) -> bool:
        """Say whether the task only asks."""
        return self.module.endswith("_info") or arguments.get("state") == "get"

    def _plan(
        self, arguments: Mapping[str, Any], changes: list[tuple[_Write, Object, Object]], results: Object
    ) -> Change:
        wanted = {
            key: value for key, value in arguments.items() if value not in (None, [], {}) and not _MANNERS.match(key)
        }
        if not self.found_changes:
            return _own_plan(results)
        operations = [write.operation for write, _, _ in changes]
        before: Object = {}
        after: Object = {}
        for _, old, new in changes:
            before |= old
            after |= new
        secrets = self._ansible_module.no_log_values
        for path in [path for path, value in after.items() if str(value) in secrets]:
            after[path] = HIDDEN
            if path in before:
                before[path] = HIDDEN
        if any(map(_DELETING.match, operations)):
            return Change("delete", before=wanted)
        made = any(map(_CREATING.match, operations)) or (not before and any(map(_PUTTING.match, operations)))
        if made or (self._asked_for_planned and not operations):
            # What is not there yet, or a later step of the same run with it.
            return Change(
                {"absent": "delete", "stopped": "change"}.get(str(arguments.get("state")), "create"), after=wanted
            )
        return Change("change", before, after)

    def _difference(self, write: _Write) -> tuple[Object, Object]:
        """Return the fields that a write changes, by path: as they were read, and as they would be."""
        before: Object = {}
        after: Object = {}
        taken = (_VERB.match(write.operation) or [""])[0] in _TAKING
        compared = False
        for name, wanted in write.parameters.items():
            if name in _MANNER_PARAMETERS:
                continue
            found, old = self._find(write, name)
            compared = compared or found
            if _SUBJECT.search(name) and not found and self.module not in ALWAYS_WRITING:
                continue
            if taken and _SUBJECT.search(name):
                continue
            if taken and self.module in ALWAYS_WRITING and not _overlap(old, _plain(wanted)):
                continue
            if taken:
                before |= dict(_leaves(_snake(name), _plain(wanted)))
            else:
                for path, was, would in _unequal(_snake(name), old, _plain(wanted)):
                    if was is not None:
                        before[path] = was
                    after[path] = would
        if not before and not after and not compared and not (taken and self.module in ALWAYS_WRITING):
            # Nothing but the name of a resource: the operation itself is the change.
            after[_snake(write.operation)] = True
        return before, after

    def _field(self, name: str, resource: str) -> Any:
        """Return a field of the task's resource from what was written or read of it, or that it comes later."""
        for write in self.writes:
            if name in write.parameters:
                return write.parameters[name]
            found, value = self._find(write, name)
            if found:
                return value
        # What is written may be a part of it that does not say whose it is, as a listener's rule.
        for _operation, answer in reversed(self._read):
            for _depth, read in _objects(answer):
                if resource and name in read and resource in read.values():
                    return _plain(read[name])
        return KNOWN_AFTER_APPLY

    def _find(self, write: _Write, name: str) -> tuple[bool, Any]:
        """Look for a field of what is written in what was read: whether it is there, and its value."""
        names = _READ_NAMES.get(name, (name,))
        noun = _VERB.sub("", write.operation)
        subjects = {key: value for key, value in write.parameters.items() if _SUBJECT.search(key)}
        ids = {each for value in subjects.values() for each in (value if isinstance(value, list) else [value]) if each}
        best, found = (0, 0), (False, None)
        for operation, answer in self._read:
            for depth, read in _objects(answer):
                key = next((each for each in names if each in read), None)
                if key is None:
                    continue
                score = 2 * len(ids & {value for value in read.values() if isinstance(value, str)})
                score += depth == 0 and _VERB.sub("", operation) == noun
                # Of versions the newest, otherwise what was read last.
                rank = score, int(read.get("VersionNumber", 0))
                if score and rank >= best:
                    best, found = rank, (True, _plain(read[key]))
        return found


def _objects(value: Any, depth: int = 0) -> Iterator[tuple[int, Object]]:
    """Yield every object in an answer with how deep it is."""
    if isinstance(value, dict):
        yield depth, value
        for part in value.values():
            yield from _objects(part, depth + 1)
    elif isinstance(value, list):
        for part in value:
            yield from _objects(part, depth + 1)


def _plain(value: Any) -> Any:
    """Return a value in the form that is compared: lists of keys and values as dicts, JSON texts as what they say."""
    if isinstance(value, list):
        if value and all(isinstance(part, dict) and "Key" in part and len(part) <= 2 for part in value):
            return {part["Key"]: part.get("Value") for part in value}
        if value and all(isinstance(part, dict) and part.keys() == {"TagKey", "TagValue"} for part in value):
            return {part["TagKey"]: part["TagValue"] for part in value}
        if value and all(isinstance(part, dict) and "Metric" in part for part in value):
            return [part["Metric"] for part in value]
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _same(old: Any, new: Any) -> bool:
    """Say whether a written value is there already; of a mapping only what is written counts."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in old and _same(old[key], value) for key, value in new.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(any(_same(was, value) for was in old) for value in new)
    return str(old) == str(new)


def _overlap(old: Any, taken: Any) -> bool:
    """Say whether anything of what is taken away is there."""
    return bool(old) and (not isinstance(old, list) or any(each in old for each in taken))


def _unequal(path: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield path, old and new of each field that a write changes."""
    if _same(old, new):
        return
    if isinstance(new, dict) and isinstance(old, (dict, type(None))) and new:
        for key, value in new.items():
            yield from _unequal(f"{path}.{_snake(key)}", (old or {}).get(key), value)
    else:
        yield path, old, new


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _leaves(f"{path}.{_snake(key)}", part)
    else:
        yield path, value


def _snake(name: str) -> str:
    """Return a parameter's name as modules write it: ``HealthCheckPath`` is ``health_check_path``."""
    if not name[:1].isupper() or not name.isalnum():
        return name
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _of_itself(operation: str) -> bool:
    """Say whether an operation makes or ends the resource: then it is a change whatever was read."""
    return bool(_CREATING.match(operation) or _DELETING.match(operation))


def _own_plan(results: Mapping[str, Any]) -> Change:
    """Read the plan of a module that planned by itself from its diff."""
    return change_of(results.get("diff"))


def change_of(diff: Any) -> Change:
    """Return what a result's ``diff`` says: nothing before is a creation, nothing after a deletion."""
    before: Object = {}
    after: Object = {}
    for part in diff if isinstance(diff, list) else [diff or {}]:
        for side, said in ((before, part.get("before")), (after, part.get("after"))):
            if isinstance(said, dict):
                side |= dict(leaf for key, value in said.items() for leaf in _leaves(key, value))
            elif said:
                side["content"] = str(said).strip()
    if before and not any(before.values()):
        before = {}
    if not before or not after:
        return Change("change" if not before and not after else "create" if after else "delete", before, after)
    shown = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return Change(
        "change",
        {key: before[key] for key in shown if key in before},
        {key: after[key] for key in shown if key in after},
    )


def _complete(results: Object, shape: Mapping[str, Any]) -> None:
    """Add to a module's results what they lack of a shape."""
    for key, value in shape.items():
        if isinstance(value, Mapping):
            if not isinstance(results.get(key), dict):
                results[key] = {}
            _complete(results[key], value)
        elif results.get(key) in (None, ""):
            results[key] = value


def name_of(arguments: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    """Return what a task's arguments call its resource; a release may be named by its result alone."""
    tags = arguments.get("tags")
    named = [arguments.get(key) for key in _NAMES] + [tags.get("Name") if isinstance(tags, dict) else None]
    named += [results.get("version")] + [arguments.get(key) for key in _OTHER_NAMES]
    first = next((name for name in named if name), "")
    return ", ".join(map(str, first)) if isinstance(first, list) else str(first)


#: Arguments that name a resource, the most telling first; tags come between.
_NAMES = (
    "policy_name",
    "lifecycle_hook_name",
    "template_name",
    "function_name",
    "db_instance_identifier",
    "record",
    "domain_name",
    "name",
)
_OTHER_NAMES = ("zone", "version", "prefix", "service", "instance_ids", "image_id", "log_group_name")

#: What people call what a module keeps.
KINDS = {
    "acm_request": "certificate",
    "apigatewayv2_domain_name": "domain name",
    "apigatewayv2_http_api": "HTTP API",
    "autoscaling_group": "Auto Scaling group",
    "autoscaling_lifecycle_hook": "lifecycle hook",
    "autoscaling_maintenance_policy": "maintenance policy",
    "autoscaling_pin": "pinned release",
    "autoscaling_policy": "scaling policy",
    "autoscaling_refresh": "instances of group",
    "budgets_budget": "budget",
    "cloudfront_distribution_v2": "distribution",
    "cloudfront_function": "CloudFront function",
    "cloudfront_origin_access_control": "origin access control",
    "cloudtrail": "trail",
    "cloudwatch_alarms": "alarm",
    "cloudwatch_dashboard": "dashboard",
    "cloudwatchlogs_log_group": "log group",
    "codebuild_pipeline_project": "CodeBuild project",
    "codeconnections_connection": "connection",
    "codepipeline_v2": "pipeline",
    "dynamodb_global_table": "table",
    "ecr_images": "image",
    "ecr_repositories": "repository",
    "ecs_deployment_alarms": "alarms of deployments",
    "ecs_scaling": "scaling of services",
    "ecs_services": "service",
    "ec2_ami": "image",
    "ec2_default_network_acl": "default network ACL",
    "ec2_eip": "elastic IP",
    "ec2_flow_log": "flow log",
    "ec2_gateway_endpoints": "gateway endpoints",
    "ec2_instance": "instance",
    "ec2_instance_connect_endpoint": "Instance Connect Endpoint",
    "ec2_key": "key pair",
    "ec2_launch_template": "launch template",
    "ec2_route_tables": "route tables",
    "ec2_security_group": "security group",
    "ec2_security_groups": "security groups",
    "ec2_vpc_endpoint": "VPC endpoint",
    "ec2_vpc_igw": "internet gateway",
    "ec2_vpc_nat_gateway": "NAT gateway",
    "ec2_vpc_net": "VPC",
    "ec2_vpc_route_table": "route table",
    "ec2_vpc_subnet": "subnet",
    "elb_application_lb": "load balancer",
    "elb_target": "target",
    "elb_target_group": "target group",
    "elasticache_replication_group": "cache",
    "events_schedule": "schedule",
    "iam_instance_profile": "instance profile",
    "iam_policy": "policy",
    "iam_role": "role",
    "kms_key": "encryption key",
    "lambda_functions": "function",
    "lambda_release": "release on function",
    "listener_paths": "paths of load balancer",
    "rds_instance": "database",
    "rds_instance_param_group": "parameter group",
    "rds_subnet_group": "subnet group",
    "release_build": "release",
    "release_copy": "copy of release",
    "release_frontend": "front end",
    "route53": "record",
    "route53_health_check": "health check",
    "route53_regional_records": "records",
    "route53_zone": "zone",
    "s3_bucket": "bucket",
    "s3_lifecycle": "lifecycle of bucket",
    "secretsmanager_password": "secret",
    "sns_topic": "topic",
    "sns_topic_encryption": "encryption of topic",
    "servicediscovery_namespace": "namespace",
    "sqs_queues": "queue",
    "ssm_parameter": "parameter",
    "wafv2_association": "web ACL of load balancer",
    "wafv2_web_acl": "web ACL",
}

Arguments = Mapping[str, Any]


class Known:
    """What is known of the resource of a task."""

    def __init__(self, find: Callable[[str], Any] | None) -> None:
        """Take how to look up a field by the API's own name; None for a resource that is not there yet."""
        self._find = find

    def field(self, name: str) -> Any:
        """Return a field of the resource, or that it comes later."""
        return KNOWN_AFTER_APPLY if self._find is None else self._find(name)

    def name(self, name: str) -> str:
        """Return the resource's name. Of one that is not there yet nothing can be asked by it."""
        return f"{name} {KNOWN_AFTER_APPLY}" if self._find is None and not is_planned(name) else name


#: What roles read of a module's results, for when the module could not say it.
RESULTS: dict[str, Callable[[Arguments, Known], Object]] = {
    "acm_request": lambda a, known: {"arn": known.field("CertificateArn")},
    "apigatewayv2_domain_name": lambda a, known: {"regional_domain_name": known.field("ApiGatewayDomainName")},
    "apigatewayv2_http_api": lambda a, known: {
        "api_id": known.field("ApiId"),
        "arn": known.field("Arn"),
        "endpoint": known.field("ApiEndpoint"),
    },
    "autoscaling_group": lambda a, known: {"auto_scaling_group_name": known.name(a["name"]), "instances": []},
    "cloudfront_distribution_v2": lambda a, known: {
        "id": known.field("Id"),
        "arn": known.field("ARN"),
        "domain_name": known.field("DomainName"),
    },
    "cloudfront_function": lambda a, known: {"name": a["name"], "arn": known.field("FunctionARN")},
    "cloudfront_origin_access_control": lambda a, known: {"id": known.field("Id")},
    "codeconnections_connection": lambda a, known: {"arn": known.field("ConnectionArn"), "status": ""},
    "dynamodb_global_table": lambda a, known: {"name": known.name(a["name"]), "arn": known.field("TableArn")},
    "ec2_ami": lambda a, known: {"image_id": known.field("ImageId")},
    "ec2_eip": lambda a, known: {"public_ip": known.field("PublicIp"), "allocation_id": known.field("AllocationId")},
    "ec2_instance": lambda a, known: {"instance_ids": [known.field("InstanceId")]},
    "ec2_instance_connect_endpoint": lambda a, known: {
        "endpoint": {"instance_connect_endpoint_id": known.field("InstanceConnectEndpointId")}
    },
    "ec2_key": lambda a, known: {"key": {"name": known.name(a["name"])}},
    "ec2_launch_template": lambda a, known: {
        "template": {"launch_template_id": known.field("LaunchTemplateId")},
        "latest_version": KNOWN_AFTER_APPLY,
    },
    "ec2_route_tables": lambda a, known: {
        "route_table_ids": {table["name"]: KNOWN_AFTER_APPLY for table in a["tables"]}
    },
    "ec2_security_groups": lambda a, known: {
        "security_group_ids": {group["key"]: KNOWN_AFTER_APPLY for group in a["groups"] if group["enabled"]}
    },
    "ec2_vpc_igw": lambda a, known: {"gateway_id": known.field("InternetGatewayId")},
    "ec2_vpc_nat_gateway": lambda a, known: {"nat_gateway_id": known.field("NatGatewayId"), "state": "pending"},
    "ec2_vpc_net": lambda a, known: {"vpc": {"id": known.field("VpcId"), "cidr_block": a["cidr_block"][0]}},
    "ec2_vpc_subnet": lambda a, known: {"subnet": {"id": known.field("SubnetId")}},
    "elb_application_lb": lambda a, known: {
        "load_balancer_arn": known.field("LoadBalancerArn"),
        "load_balancer_name": known.name(a["name"]),
        "dns_name": known.field("DNSName"),
        "canonical_hosted_zone_id": known.field("CanonicalHostedZoneId"),
    },
    "elb_target_group": lambda a, known: {"target_group_arn": known.field("TargetGroupArn")},
    "elasticache_replication_group": lambda a, known: {
        "replication_group": {
            "replication_group_id": known.name(a["name"]),
            "address": known.field("Address"),
            "arn": known.field("ARN"),
        }
    },
    "iam_instance_profile": lambda a, known: {
        "iam_instance_profile": {"instance_profile_name": known.name(a["name"]), "arn": known.field("Arn")}
    },
    "iam_role": lambda a, known: {"iam_role": {"role_name": known.name(a["name"]), "arn": known.field("Arn")}},
    "kms_key": lambda a, known: {"key_arn": known.field("Arn")},
    "rds_instance": lambda a, known: {
        "db_instance_identifier": known.name(a["db_instance_identifier"]),
        "db_instance_arn": known.field("DBInstanceArn"),
        "db_instance_status": known.field("DBInstanceStatus"),
        "endpoint": {"address": known.field("Address")},
    },
    "route53_health_check": lambda a, known: {"health_check": {"id": known.field("Id")}},
    "route53_zone": lambda a, known: {"zone_id": known.field("Id"), "zone_name": a["zone"]},
    "s3_bucket": lambda a, known: {"name": known.name(a["name"])},
    "secretsmanager_password": lambda a, known: {"secret": {"arn": known.field("ARN")}},
    "sns_topic": lambda a, known: {"sns_arn": known.field("TopicArn")},
    "wafv2_web_acl": lambda a, known: {"arn": known.field("ARN")},
}
