"""What roles may do: a request with the credentials of a role is refused unless the role's policies allow it.

Whoever asks with other keys is the account's administrator and may do everything, as the operator of the lab does. The
names of actions and the resources that they are for are those of the Service Authorization Reference
(https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html), for the services that roles of
hosts and functions call (:data:`RESOURCES`). Every other action counts as one for all resources ("*"), so that a policy
which names some does not allow it: better a refusal that AWS would not make than a silence where it makes one.
"""

from __future__ import annotations

import io
import json
import re
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from lab import api_errors, keys, policies, settings, signature
from lab.api_errors import StartResponse

PREFIXES = {"monitoring": "cloudwatch", "email": "ses", "tagging": "tag"}
"""How policies call a service, where that is not the name that requests are signed for."""

NEVER_REFUSED = ("sts:GetCallerIdentity",)
"""https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html: no permission is needed."""

S3_ACTIONS = {
    "HeadObject": "GetObject",
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "ListParts": "ListMultipartUploadParts",
    "DeleteObjects": "DeleteObject",
    "ListBuckets": "ListAllMyBuckets",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
}
"""The permissions of operations that are called otherwise."""

RENAMED: Mapping[str, Mapping[str, str]] = {
    "s3": S3_ACTIONS,
    "sqs": {
        "SendMessageBatch": "SendMessage",
        "DeleteMessageBatch": "DeleteMessage",
        "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
    },
    "sns": {"PublishBatch": "Publish"},
    "lambda": {"Invoke": "InvokeFunction"},
    "budgets": dict.fromkeys(
        ("DescribeBudget", "DescribeBudgets", "DescribeNotificationsForBudget", "DescribeSubscribersForNotification"),
        "ViewBudget",
    ),
}
"""By service, what permissions are called where operations are called otherwise."""


class Need(NamedTuple):
    """What a request needs to be allowed."""

    action: str
    resource: str
    context: Mapping[str, str] = MappingProxyType({})
    """Condition keys of this action beside those that every request has, in lower case."""


@dataclass
class Request:
    """What a role asks for."""

    service: str
    action: str
    region: str
    environ: dict[str, Any]
    _parameters: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What stands in the body, for services that put their parameters there: JSON or a form."""
        if self._parameters is None:
            self._parameters = self._read()
        return self._parameters

    def _read(self) -> dict[str, Any]:
        json_body = "HTTP_X_AMZ_TARGET" in self.environ
        if not json_body and "x-www-form-urlencoded" not in self.environ.get("CONTENT_TYPE", ""):
            return {}
        body = self.environ["wsgi.input"].read(int(self.environ.get("CONTENT_LENGTH") or 0))
        self.environ["wsgi.input"] = io.BytesIO(body)
        if json_body:
            found = json.loads(body or b"{}")
            return found if isinstance(found, dict) else {}
        return {name: values[0] for name, values in urllib.parse.parse_qs(body.decode()).items()}

    def arn(self, resource: str) -> str:
        """The ARN of something of the request's service and region."""
        return f"arn:aws:{self.service}:{self.region}:{settings.ACCOUNT_ID}:{resource}"

    @property
    def path(self) -> str:
        """The path that was asked for, as the client meant it."""
        return str(self.environ["PATH_INFO"]).lstrip("/")


def _of_parameters(request: Request) -> list[str]:
    given = request.parameters
    names = given.get("Names") or [given.get("Name") or given.get("Path") or given.get("ResourceId", "")]
    return [request.arn(f"parameter/{str(name).strip('/')}") for name in names]


def _of_secrets(request: Request) -> list[str]:
    from moto.secretsmanager.models import secretsmanager_backends

    wanted = str(request.parameters.get("SecretId", ""))
    if wanted.startswith("arn:"):
        return [wanted]
    for secret in secretsmanager_backends[settings.ACCOUNT_ID][request.region].secrets.values():
        if secret.name == wanted:
            return [str(secret.arn)]
    return [request.arn(f"secret:{wanted}")]


def _of_groups(request: Request) -> list[str]:
    from moto.autoscaling.models import autoscaling_backends

    name = str(request.parameters.get("AutoScalingGroupName", ""))
    if not name:
        return ["*"]
    group = autoscaling_backends[settings.ACCOUNT_ID][request.region].autoscaling_groups.get(name)
    return [str(group.arn) if group else request.arn(f"autoScalingGroup:none:autoScalingGroupName/{name}")]


def _of_queues(request: Request) -> list[str]:
    given = request.parameters
    name = str(given.get("QueueUrl", "")).rpartition("/")[2] or str(given.get("QueueName", ""))
    return [request.arn(name)] if name else ["*"]


def _of_topics(request: Request) -> list[str]:
    return [str(request.parameters.get("TopicArn") or request.parameters.get("TargetArn") or "*")]


def _of_logs(request: Request) -> list[str]:
    given = request.parameters
    group, stream = given.get("logGroupName", ""), given.get("logStreamName", "")
    return [request.arn(f"log-group:{group}:log-stream:{stream}")] if group else ["*"]


def _of_tables(request: Request) -> list[str]:
    given = request.parameters
    names = [given["TableName"]] if "TableName" in given else list(given.get("RequestItems", {}))
    # Who asks an index needs nothing of the table itself.
    index = f"/index/{given['IndexName']}" if "IndexName" in given else ""
    return [request.arn(f"table/{name}{index}") for name in names] or ["*"]


def _of_transaction(request: Request) -> list[Need]:
    """Actions and resources of a transaction, which has no action of its own.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
    """
    actions = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "Get": "GetItem"}
    return [
        Need(f"dynamodb:{actions.get(kind, 'ConditionCheckItem')}", request.arn(f"table/{item['TableName']}"))
        for part in request.parameters.get("TransactItems", [])
        for kind, item in part.items()
    ]


def _of_objects(request: Request) -> list[str]:
    if request.action == "DeleteObjects":
        # Which, says the body alone: whoever may delete all of them may.
        return [f"arn:aws:s3:::{request.path.rstrip('/')}/*"]
    return [f"arn:aws:s3:::{request.path}" if request.path else "*"]


def _of_repositories(request: Request) -> list[str]:
    name = request.parameters.get("repositoryName")
    return [request.arn(f"repository/{name}") if name else "*"]


def _of_services(request: Request) -> list[str]:
    # UpdateService names one, DescribeServices several, by name or ARN; what names nothing counts for all.
    given = request.parameters
    if arn := given.get("resourceArn") or given.get("serviceDeploymentArn"):
        return [str(arn)]
    if "taskDefinitions" in given:
        return [request.arn(f"task-definition/{str(each).rpartition('/')[2]}") for each in given["taskDefinitions"]]
    names = [given["service"]] if "service" in given else given.get("services", [])
    cluster = str(given.get("cluster", "default")).rpartition("/")[2]
    return [request.arn(f"service/{cluster}/{str(name).rpartition('/')[2]}") for name in names] or ["*"]


def _of_templates(request: Request) -> list[str]:
    of_template = request.action in ("CreateLaunchTemplateVersion", "DeleteLaunchTemplateVersions")
    template = request.parameters.get("LaunchTemplateId") if of_template else None
    return [request.arn(f"launch-template/{template}") if template else "*"]


def _of_functions(request: Request) -> list[str]:
    # /<date>/functions/<name>/…; a version, or an alias that is asked, is a resource of its own.
    named = re.match(r"[\d-]+/functions/([^/]+)", request.path)
    if named is None:
        return ["*"]
    qualifier = urllib.parse.parse_qs(str(request.environ.get("QUERY_STRING", ""))).get("Qualifier", [])
    return [request.arn(":".join(["function", named[1], *qualifier]))]


def _of_distributions(request: Request) -> list[str]:
    # /2020-05-31/distribution/<id>/…
    parts = request.path.split("/")
    known = len(parts) > 2 and parts[1] == "distribution"
    return [f"arn:aws:cloudfront::{settings.ACCOUNT_ID}:distribution/{parts[2]}" if known else "*"]


def _of_all(_request: Request) -> list[str]:
    return ["*"]


NAMING_TEMPLATES = ("CreateAutoScalingGroup", "StartInstanceRefresh", "UpdateAutoScalingGroup")


def _of_launches(request: Request) -> list[Need]:
    """What whoever gives a launch template to Auto Scaling must be allowed beside that: to launch from it.

    Each action has condition keys of its own; what tells of the template is none of CreateTags':
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-launch-template-permissions.html and
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
    """
    if request.action not in NAMING_TEMPLATES:
        return []
    from moto.core.exceptions import ServiceException
    from moto.ec2.models import ec2_backends

    named = [(key.rpartition("LaunchTemplate."), value) for key, value in request.parameters.items()]
    given = {key: value for (_before, found, key), value in named if found}
    backend = ec2_backends[settings.ACCOUNT_ID][request.region]
    try:
        if "LaunchTemplateId" in given:
            template = backend.get_launch_template(given["LaunchTemplateId"])
        elif "LaunchTemplateName" in given:
            template = backend.get_launch_template_by_name(given["LaunchTemplateName"])
        else:
            return []
        version = template.get_version(given.get("Version") or "$Default")
    except (ServiceException, ValueError):
        # The service itself says that it is missing.
        return []
    ec2 = f"arn:aws:ec2:{request.region}:{settings.ACCOUNT_ID}"
    needed = [
        Need("ec2:RunInstances", f"{ec2}:instance/*", {"ec2:launchtemplate": f"{ec2}:launch-template/{template.id}"})
    ]
    for each in version.data.get("TagSpecifications", []):
        kind = f"{ec2}:{each['ResourceType']}/*"
        needed.append(Need("ec2:CreateTags", kind, {"ec2:createaction": "RunInstances"}))
    if role := _role_of_profile(version.data.get("IamInstanceProfile") or {}):
        needed.append(Need("iam:PassRole", role, {"iam:passedtoservice": "ec2.amazonaws.com"}))
    return needed


def _role_of_profile(named: Mapping[str, str]) -> str:
    """The ARN of the role in an instance profile that a launch template names; nothing where there is none."""
    from moto.iam.models import iam_backends

    for profile in iam_backends[settings.ACCOUNT_ID]["aws"].instance_profiles.values():
        if profile.roles and (profile.name == named.get("Name") or profile.arn == named.get("Arn")):
            return str(profile.roles[0].arn)
    return ""


RESOURCES: dict[str, Callable[[Request], list[str]]] = {
    "autoscaling": _of_groups,
    "cloudfront": _of_distributions,
    "dynamodb": _of_tables,
    "ec2": _of_templates,
    "ecr": _of_repositories,
    "ecs": _of_services,
    "lambda": _of_functions,
    "logs": _of_logs,
    "s3": _of_objects,
    "secretsmanager": _of_secrets,
    "sns": _of_topics,
    "sqs": _of_queues,
    "ssm": _of_parameters,
}
"""ARNs of what a request of a service is for; it must be allowed for each."""


def refuse(service: str, action: str, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes] | None:
    """Answer a signed request of a role that may not; None where nothing is to be said against it.

    Raises:
        ValueError: a policy has a condition that the lab does not know.
    """
    signed = signature.of(environ)
    assumed = _assumed(signed.key)
    if assumed is None:
        return None
    region = signed.region
    if service == "apigateway":
        # Its permissions are named by HTTP's methods: Service Authorization Reference, "API Gateway Management V2".
        action = str(environ["REQUEST_METHOD"])
    request = Request(service, action, region, environ)
    name = f"{PREFIXES.get(service, service)}:{RENAMED.get(service, {}).get(action, action)}"
    if name in NEVER_REFUSED:
        return None
    needed = [Need(name, resource) for resource in RESOURCES.get(service, _of_all)(request)]
    if name in ("dynamodb:TransactWriteItems", "dynamodb:TransactGetItems"):
        needed = _of_transaction(request)
    elif service == "autoscaling":
        needed += _of_launches(request)
    for needs, resource, context in needed:
        if not allowed(assumed.role_arn, needs, resource, region, context) or _is_hidden(
            assumed.role_arn, needs, request
        ):
            message = f"User: {assumed.arn} is not authorized to perform: {needs} on resource: {resource}"
            return api_errors.answer(api_errors.DENIED, message, service, environ, start_response)
    return None


def allowed(
    role_arn: str, action: str, resource: str, region: str, more: Mapping[str, str] = MappingProxyType({})
) -> bool:
    """Do the policies of a role, and for objects the one of their bucket, allow an action on a resource?

    :param more: condition keys of this action beside those that every request has, in lower case.
    """
    # The lab speaks HTTP where AWS would speak HTTPS.
    context = {"aws:securetransport": "true", "aws:principalarn": role_arn, "aws:requestedregion": region, **more}
    found = {
        effect for policy in _policies_of(role_arn) for effect in policies.effects(policy, action, resource, context)
    }
    if action.startswith("s3:") and resource != "*":
        found |= policies.effects(_bucket_policy(resource), action, resource, context, role_arn)
    may = policies.ALLOW in found and policies.DENY not in found
    return may and (action != "secretsmanager:GetSecretValue" or _opens(role_arn, resource, region))


def _opens(role_arn: str, secret_arn: str, region: str) -> bool:
    """May a role use the key that encrypts a secret? One without a key of its own asks for nothing."""
    from moto.secretsmanager.models import secretsmanager_backends

    secrets = secretsmanager_backends[settings.ACCOUNT_ID][region].secrets
    found = next((secret for secret in list(secrets.values()) if secret.arn == secret_arn), None)
    key = keys.find(str(found.kms_key_id or ""), region) if found else None
    return key is None or keys.serves_role(key, role_arn, "secretsmanager", region, _policies_of(role_arn))


def permitted(key: str, action: str, resource: str, region: str) -> bool:
    """May whoever has an access key do something? Keys of no role may everything."""
    assumed = _assumed(key)
    return assumed is None or allowed(assumed.role_arn, action, resource, region)


def _is_hidden(role_arn: str, action: str, request: Request) -> bool:
    """Is an object missing that the role would be told of as forbidden, because it may not list the bucket?

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, "Permissions".
    """
    bucket, _, key = request.path.partition("/")
    if action != "s3:GetObject" or not key:
        return False
    from moto.s3.models import FakeDeleteMarker, s3_backends

    found = s3_backends[settings.ACCOUNT_ID]["aws"].buckets.get(bucket)
    keys: Any = found.keys if found else {}
    newest = keys.get(key)
    missing = newest is None or isinstance(newest, FakeDeleteMarker)
    return missing and not allowed(role_arn, "s3:ListBucket", f"arn:aws:s3:::{bucket}", request.region)


def _assumed(key: str) -> Any | None:
    from moto.sts.models import sts_backends

    return sts_backends[settings.ACCOUNT_ID]["aws"].get_assumed_role_from_access_key(key) if key else None


def _policies_of(role_arn: str) -> list[str]:
    """The documents of a role's policies; none when the role is gone."""
    from moto.iam.models import iam_backends

    for role in iam_backends[settings.ACCOUNT_ID]["aws"].roles.values():
        if role.arn == role_arn:
            return [*role.policies.values(), *(policy.document for policy in role.managed_policies.values())]
    return []


def _bucket_policy(resource: str) -> str | bytes | None:
    from moto.s3.models import s3_backends

    name = resource.removeprefix("arn:aws:s3:::").partition("/")[0]
    bucket = s3_backends[settings.ACCOUNT_ID]["aws"].buckets.get(name)
    found: str | bytes | None = bucket.policy if bucket else None
    return found
