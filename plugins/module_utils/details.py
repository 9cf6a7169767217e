"""What the list calls of :mod:`plugins.module_utils.discovery` leave out: all that a role sets on a resource.

One function a kind, each asked once for each resource of the environment, all at the same time. Together with the
list calls they read every field that a task of a role sets, which is what makes it possible to say that nothing has
to be done (:mod:`plugins.module_utils.convergence`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from plugins.module_utils.discovery import Aws, Resource

Reader = Callable[["Aws", "Resource"], dict[str, Any]]


def _unless(absent: str, call: Callable[..., Any], **arguments: Any) -> Any:
    """Return the answer of ``call``; None when AWS says by the error code ``absent`` that there is no such setting."""
    try:
        answer = call(**arguments)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == absent:
            return None
        raise
    answer.pop("ResponseMetadata", None)
    return answer


def _vpc(aws: Aws, resource: Resource) -> dict[str, Any]:
    ec2 = aws.clients["ec2"]
    # Both come with the VPC and have no tags of ours, but the network role empties the one and narrows the other.
    mine = {"Name": "vpc-id", "Values": [resource.id]}
    filters = [mine, {"Name": "group-name", "Values": ["default"]}]
    acls = ec2.describe_network_acls(Filters=[mine, {"Name": "default", "Values": ["true"]}])["NetworkAcls"]
    return {
        "DnsSupport": ec2.describe_vpc_attribute(VpcId=resource.id, Attribute="enableDnsSupport")["EnableDnsSupport"],
        "DnsHostnames": ec2.describe_vpc_attribute(VpcId=resource.id, Attribute="enableDnsHostnames")[
            "EnableDnsHostnames"
        ],
        "DefaultSecurityGroup": [
            {key: group.get(key, []) for key in ("IpPermissions", "IpPermissionsEgress")}
            for group in ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
        ],
        "DefaultNetworkAcl": [acl["Entries"] for acl in acls],
    }


def _launch_template(aws: Aws, resource: Resource) -> dict[str, Any]:
    versions = aws.clients["ec2"].describe_launch_template_versions(
        LaunchTemplateId=resource.id, Versions=["$Latest", "$Default"]
    )["LaunchTemplateVersions"]
    return {"Versions": [{key: item[key] for key in ("VersionNumber", "LaunchTemplateData")} for item in versions]}


def _instance(aws: Aws, resource: Resource) -> dict[str, Any]:
    attribute = aws.clients["ec2"].describe_instance_attribute(
        InstanceId=resource.id, Attribute="disableApiTermination"
    )
    return {"DisableApiTermination": attribute["DisableApiTermination"]}


def _role(aws: Aws, resource: Resource) -> dict[str, Any]:
    iam = aws.clients["iam"]
    names = iam.list_role_policies(RoleName=resource.id)["PolicyNames"]
    return {
        "Policies": {
            name: iam.get_role_policy(RoleName=resource.id, PolicyName=name)["PolicyDocument"] for name in names
        },
        "AttachedPolicies": iam.list_attached_role_policies(RoleName=resource.id)["AttachedPolicies"],
    }


def _bucket(aws: Aws, resource: Resource) -> dict[str, Any]:
    s3, name = aws.clients["s3"], {"Bucket": resource.id}
    policy = _unless("NoSuchBucketPolicy", s3.get_bucket_policy, **name)
    details: dict[str, Any] = {
        "Versioning": _unless("", s3.get_bucket_versioning, **name),
        "Encryption": _unless("ServerSideEncryptionConfigurationNotFoundError", s3.get_bucket_encryption, **name),
        "PublicAccess": _unless("NoSuchPublicAccessBlockConfiguration", s3.get_public_access_block, **name),
        "Ownership": _unless("OwnershipControlsNotFoundError", s3.get_bucket_ownership_controls, **name),
        "Lifecycle": _unless("NoSuchLifecycleConfiguration", s3.get_bucket_lifecycle_configuration, **name),
        "Policy": json.loads(policy["Policy"]) if policy else None,
    }
    if resource.description["suffix"] == "frontend":
        pages = s3.get_paginator("list_objects_v2").paginate(**name)
        details["Objects"] = {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", [])}
    return details


def _load_balancer(aws: Aws, resource: Resource) -> dict[str, Any]:
    answer = aws.clients["elbv2"].describe_load_balancer_attributes(LoadBalancerArn=resource.arn)
    return {"Attributes": answer["Attributes"]}


def _target_group(aws: Aws, resource: Resource) -> dict[str, Any]:
    answer = aws.clients["elbv2"].describe_target_group_attributes(TargetGroupArn=resource.arn)
    return {"Attributes": answer["Attributes"]}


def _auto_scaling_group(aws: Aws, resource: Resource) -> dict[str, Any]:
    autoscaling, name = aws.clients["autoscaling"], {"AutoScalingGroupName": resource.id}
    policies = [
        # The alarms of a target tracking policy are made by AWS and come and go with it.
        {key: value for key, value in policy.items() if key != "Alarms"}
        for policy in autoscaling.describe_policies(**name)["ScalingPolicies"]
    ]
    return {"LifecycleHooks": autoscaling.describe_lifecycle_hooks(**name)["LifecycleHooks"], "Policies": policies}


def _distribution(aws: Aws, resource: Resource) -> dict[str, Any]:
    return {"Config": aws.clients["cloudfront"].get_distribution_config(Id=resource.id)["DistributionConfig"]}


def _trail(aws: Aws, resource: Resource) -> dict[str, Any]:
    return {"IsLogging": aws.clients["cloudtrail"].get_trail_status(Name=resource.arn)["IsLogging"]}


def _budget(aws: Aws, resource: Resource) -> dict[str, Any]:
    budgets, named = aws.clients["budgets"], {"AccountId": aws.account_id, "BudgetName": resource.id}
    return {
        "Notifications": [
            {
                **told,
                "Subscribers": budgets.describe_subscribers_for_notification(
                    **named, Notification={key: value for key, value in told.items() if key != "NotificationState"}
                )["Subscribers"],
            }
            for told in budgets.describe_notifications_for_budget(**named).get("Notifications", [])
        ]
    }


def _web_acl(aws: Aws, resource: Resource) -> dict[str, Any]:
    # The list says all of the rules, and a distribution names its web ACL itself.
    return {"Protects": aws.clients["wafv2"].list_resources_for_web_acl(WebACLArn=resource.arn)["ResourceArns"]}


def _function(aws: Aws, resource: Resource) -> dict[str, Any]:
    code = _unless("NoSuchFunctionExists", aws.clients["cloudfront"].get_function, Name=resource.id, Stage="LIVE")
    return {"LiveCode": hashlib.sha256(code["FunctionCode"].read()).hexdigest() if code else ""}


def _certificate(aws: Aws, resource: Resource) -> dict[str, Any]:
    region = resource.arn.split(":")[3]
    client = aws.clients["acm" if region == aws.environment.region else "acm global"]
    return dict(client.describe_certificate(CertificateArn=resource.arn)["Certificate"])


def _parameter_group(aws: Aws, resource: Resource) -> dict[str, Any]:
    """What somebody has set: the other parameters are PostgreSQL's and AWS's own."""
    pages = (
        aws.clients["rds"]
        .get_paginator("describe_db_parameters")
        .paginate(DBParameterGroupName=resource.id, Source="user")
    )
    return {
        "Parameters": {
            item["ParameterName"]: item.get("ParameterValue") for page in pages for item in page["Parameters"]
        }
    }


def _key(aws: Aws, resource: Resource) -> dict[str, Any]:
    kms = aws.clients["kms"]
    return {
        "Policy": json.loads(kms.get_key_policy(KeyId=resource.id, PolicyName="default")["Policy"]),
        "KeyRotationEnabled": kms.get_key_rotation_status(KeyId=resource.id)["KeyRotationEnabled"],
    }


def _topic(aws: Aws, resource: Resource) -> dict[str, Any]:
    sns = aws.clients["sns"]
    subscriptions = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=resource.arn)
    return {
        "Attributes": sns.get_topic_attributes(TopicArn=resource.arn)["Attributes"],
        "Subscriptions": [
            {"Protocol": item["Protocol"], "Endpoint": item["Endpoint"]}
            for page in subscriptions
            for item in page["Subscriptions"]
        ],
    }


def _function_mappings(aws: Aws, resource: Resource) -> dict[str, Any]:
    pages = aws.clients["lambda"].get_paginator("list_event_source_mappings").paginate(FunctionName=resource.id)
    # What Lambda did last with a mapping is told too.
    left_out = ("UUID", "EventSourceMappingArn", "LastProcessingResult", "State", "StateTransitionReason")
    return {
        "EventSourceMappings": [
            {
                **{key: value for key, value in mapping.items() if key not in left_out},
                "Enabled": mapping["State"] not in ("Disabling", "Disabled"),
            }
            for page in pages
            for mapping in page["EventSourceMappings"]
            if mapping["State"] != "Deleting"
        ]
    }


def _lambda_function(aws: Aws, resource: Resource) -> dict[str, Any]:
    client, name = aws.clients["lambda"], {"FunctionName": resource.id}
    aliases = resource.description.get("Aliases", [])
    policies = {
        alias["Name"]: _unless("ResourceNotFoundException", client.get_policy, **name, Qualifier=alias["Name"])
        for alias in aliases
    }
    reserved = client.get_function_concurrency(**name) if "Aliases" in resource.description else {}
    return {
        **_function_mappings(aws, resource),
        "Policies": {alias: json.loads(policy["Policy"]) for alias, policy in policies.items() if policy},
        "Reserved": reserved.get("ReservedConcurrentExecutions") or 0,
    }


def _recovery(client: Any, name: str) -> Any:
    backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    return backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")


def _table(aws: Aws, resource: Resource) -> dict[str, Any]:
    client = aws.clients["dynamodb"]
    regions = {each["RegionName"] for each in resource.description.get("Replicas", [])} - {aws.environment.region}
    details = {
        "TimeToLive": client.describe_time_to_live(TableName=resource.id)["TimeToLiveDescription"],
        "PointInTimeRecovery": _recovery(client, resource.id),
    }
    if regions:
        details["ReplicaSettings"] = {region: _replica(aws, resource.id, region) for region in sorted(regions)}
    return details


def _replica(aws: Aws, name: str, region: str) -> dict[str, Any]:
    """What a replica has for itself; its region may be lost, which is no reason not to look at the others."""
    client = aws.clients[f"dynamodb {region}"]
    try:
        table = client.describe_table(TableName=name)["Table"]
        pages = client.get_paginator("list_tags_of_resource").paginate(ResourceArn=table["TableArn"])
        return {
            "DeletionProtectionEnabled": table.get("DeletionProtectionEnabled", False),
            "PointInTimeRecovery": _recovery(client, name),
            "Tags": {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]},
        }
    except BotoCoreError as error:
        return {"Error": type(error).__name__}


def _http_api(aws: Aws, resource: Resource) -> dict[str, Any]:
    client, api = aws.clients["apigatewayv2"], {"ApiId": resource.id}
    return {
        kind: [item for page in client.get_paginator(f"get_{kind}").paginate(**api) for item in page["Items"]]
        for kind in ("integrations", "routes", "stages")
    }


def _domain_name(aws: Aws, resource: Resource) -> dict[str, Any]:
    return {"ApiMappings": aws.clients["apigatewayv2"].get_api_mappings(DomainName=resource.id)["Items"]}


def _schedule(aws: Aws, resource: Resource) -> dict[str, Any]:
    return {"Targets": aws.clients["events"].list_targets_by_rule(Rule=resource.id)["Targets"]}


def _cluster(aws: Aws, resource: Resource) -> dict[str, Any]:
    """What of its services follows the load, and how."""
    client, prefix = aws.clients["application-autoscaling"], f"service/{resource.id}/"
    details: dict[str, Any] = {}
    for kind, key in (
        ("describe_scalable_targets", "ScalableTargets"),
        ("describe_scaling_policies", "ScalingPolicies"),
    ):
        details[key] = [
            # The alarms of a target tracking policy are made by AWS and come and go with it.
            {part: value for part, value in item.items() if part != "Alarms"}
            for page in client.get_paginator(kind).paginate(ServiceNamespace="ecs")
            for item in page[key]
            if item["ResourceId"].startswith(prefix)
        ]
    return details


def _repository(aws: Aws, resource: Resource) -> dict[str, Any]:
    asked = {"repositoryName": resource.id}
    policy = _unless("LifecyclePolicyNotFoundException", aws.clients["ecr"].get_lifecycle_policy, **asked)
    return {"LifecyclePolicy": json.loads(policy["lifecyclePolicyText"]) if policy else None}


def _namespace(aws: Aws, resource: Resource) -> dict[str, Any]:
    client = aws.clients["servicediscovery"]
    filters = [{"Name": "NAMESPACE_ID", "Values": [resource.description["Id"]]}]
    pages = client.get_paginator("list_services").paginate(Filters=filters)
    services = [client.get_service(Id=item["Id"])["Service"] for page in pages for item in page["Services"]]
    return {
        "Services": [
            {**{key: item.get(key) for key in ("Name", "DnsConfig")}, "Tags": _cloud_map_tags(client, item["Arn"])}
            for item in services
            if item["NamespaceId"] == resource.description["Id"]
        ]
    }


def _cloud_map_tags(client: Any, arn: str) -> Any:
    return client.list_tags_for_resource(ResourceARN=arn)["Tags"]


DETAILS: Mapping[str, Reader] = {
    "ec2:vpc": _vpc,
    "ec2:launch-template": _launch_template,
    "ec2:instance": _instance,
    "iam:role": _role,
    "s3:bucket": _bucket,
    "elasticloadbalancing:loadbalancer": _load_balancer,
    "elasticloadbalancing:targetgroup": _target_group,
    "autoscaling:autoScalingGroup": _auto_scaling_group,
    "cloudfront:distribution": _distribution,
    "cloudfront:function": _function,
    "acm:certificate": _certificate,
    "wafv2:regional": _web_acl,
    "cloudtrail:trail": _trail,
    "budgets:budget": _budget,
    "rds:pg": _parameter_group,
    "kms:key": _key,
    "sns:topic": _topic,
    "lambda:function": _lambda_function,
    "dynamodb:table": _table,
    "apigateway:apis": _http_api,
    "apigateway:domainnames": _domain_name,
    "events:rule": _schedule,
    "ecs:cluster": _cluster,
    "ecr:repository": _repository,
    "servicediscovery:namespace": _namespace,
}
"""By kind, what is read besides the list call. The other kinds' list calls say everything."""
