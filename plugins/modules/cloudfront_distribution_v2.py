#!/usr/bin/python
"""Manage a CloudFront distribution with policies, origin access control and functions."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.cloudfront_tags import ensure_tags, tags_of
from ansible.module_utils.ownership import foreign, owned_by
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.tagging import ansible_dict_to_boto3_tag_list
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: cloudfront_distribution_v2
short_description: Manage a CloudFront distribution
description:
  - The module community.aws.cloudfront_distribution has no check mode, reports a change on every run and knows
    neither origin access controls nor functions. This one compares the fields it sets and leaves all others.
  - It never waits. Creating and changing take CloudFront minutes, and an enabled distribution cannot be deleted, so
    each call with I(state=absent) does what can be done now (disable, then delete) and says in RV(status) how far it
    is. A task repeats it with C(until) for as long as it likes to wait.
options:
  name:
    description:
      - Name of the distribution, kept in its comment. CloudFront has no names of its own.
      - A distribution with this comment or one of the I(aliases) that is not tagged ours is refused.
    type: str
    required: true
  origins:
    description: Where CloudFront fetches from. Needed for I(state=present).
    type: list
    elements: dict
    suboptions:
      id: {description: Name of the origin in this distribution., type: str, required: true}
      domain_name: {description: Host to fetch from. For a bucket its regional domain name., type: str, required: true}
      origin_access_control_id:
        description: Makes the origin a private bucket, read with this origin access control.
        type: str
      protocol_policy:
        description: How CloudFront talks to an origin that is not a bucket.
        type: str
        choices: [http-only, https-only, match-viewer]
        default: https-only
      read_timeout: {description: Seconds to wait for an answer., type: int, default: 30}
      keepalive_timeout: {description: Seconds an idle connection is kept., type: int, default: 5}
      connection_attempts:
        description:
          - How often CloudFront tries to connect, 1 to 3.
          - It is also how often it asks an origin that does not answer, for C(GET) and C(HEAD) alone.
        type: int
        default: 3
      connection_timeout: {description: "Seconds to wait for a connection each time, 1 to 10.", type: int, default: 10}
  origin_groups:
    description:
      - Pairs of origins of which the second is asked when the first fails. A behaviour names a group where it would
        name an origin.
      - Only C(GET), C(HEAD) and C(OPTIONS) fail over, and CloudFront refuses a group in a behaviour that allows any
        other method. So writes cannot go by way of a group at all; for them the name of the origin itself has to lead
        elsewhere (Route 53), or a function chooses groups for the reading requests of a behaviour without one
        (C(createRequestOriginGroup)).
      - The first origin is asked on every request, also while it fails. How long a viewer waits then is the first
        origin's I(connection_attempts) times its I(connection_timeout), 30 seconds unless told otherwise.
      - U(https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/high_availability_origin_failover.html)
    type: list
    elements: dict
    default: []
    suboptions:
      id: {description: Name of the group in this distribution; no origin has it., type: str, required: true}
      origin_ids: {description: The first origin and the second., type: list, elements: str, required: true}
      status_codes:
        description:
          - Answers of the first origin that the second is asked after, of 400, 403, 404, 416, 429, 500, 502, 503, 504.
          - 503 stands also for an origin that cannot be connected to, and 504 for one that does not answer in time.
            Without them CloudFront does not fail over then.
        type: list
        elements: int
        default: [500, 502, 503, 504]
  default_behavior:
    description: What happens to a request that no other behaviour matches. Needed for I(state=present).
    type: dict
    suboptions: &behavior
      origin_id: {description: The origin or the group of origins that answers., type: str, required: true}
      cache_policy_id: {description: Managed or own cache policy., type: str, required: true}
      origin_request_policy_id: {description: What is sent on to the origin., type: str, default: ""}
      response_headers_policy_id: {description: Headers added to answers., type: str, default: ""}
      viewer_protocol_policy:
        description: What viewers may speak.
        type: str
        choices: [allow-all, https-only, redirect-to-https]
        default: redirect-to-https
      allowed_methods:
        description: HTTP methods let through.
        type: list
        elements: str
        default: [GET, HEAD]
      compress: {description: Whether CloudFront compresses., type: bool, default: true}
      viewer_request_function_arn:
        description: CloudFront function run on each request before the cache.
        type: str
        default: ""
  behaviors:
    description: Further behaviours, the first match wins.
    type: list
    elements: dict
    default: []
    suboptions:
      path_pattern: {description: "Which paths, as C(/api/*).", type: str, required: true}
      <<: *behavior
  default_root_object: {description: What answers a request for C(/)., type: str, default: ""}
  aliases:
    description: Own domain names. They need a I(certificate_arn).
    type: list
    elements: str
    default: []
  certificate_arn: {description: ACM certificate in us-east-1 for the aliases., type: str, default: ""}
  minimum_protocol_version:
    description: Oldest TLS policy viewers of the aliases may use.
    type: str
    default: TLSv1.2_2021
  price_class:
    description: In which parts of the world it is served.
    type: str
    choices: [PriceClass_100, PriceClass_200, PriceClass_All]
    default: PriceClass_100
  http_version:
    description: Newest HTTP version offered to viewers.
    type: str
    choices: [http1.1, http2, http3, http2and3]
    default: http2and3
  ipv6: {description: Whether it answers over IPv6., type: bool, default: true}
  web_acl_id: {description: ARN of a WAF web ACL., type: str, default: ""}
  tags:
    description: Tags. C(vahana:app) and C(vahana:env) decide whose the distribution is.
    type: dict
    required: true
  state:
    description: Whether it should exist.
    type: str
    choices: [present, absent]
    default: present
author: Vahana
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""

EXAMPLES = r"""
- name: Serve the bucket, and the API through the load balancer
  cloudfront_distribution_v2:
    name: cars-prod
    origins:
      - {id: frontend, domain_name: cars.s3.eu-west-1.amazonaws.com, origin_access_control_id: E1AAAAAAAAAAAA}
      - {id: backend, domain_name: cars-1.eu-west-1.elb.amazonaws.com, protocol_policy: http-only}
    default_behavior: {origin_id: frontend, cache_policy_id: 658327ea-f89d-4fab-a63d-7e88639e58f6}
    behaviors:
      - path_pattern: /api/*
        origin_id: backend
        cache_policy_id: 4135ea2d-6df8-44a3-9df3-4b5a84be39ad
        allowed_methods: [GET, HEAD, OPTIONS, PUT, POST, PATCH, DELETE]
    tags: {"vahana:app": cars, "vahana:env": prod}

- name: Serve a bucket that is in two regions
  cloudfront_distribution_v2:
    name: cars-prod
    origins:
      - id: home
        domain_name: cars.s3.us-east-1.amazonaws.com
        origin_access_control_id: E1AAAAAAAAAAAA
        connection_attempts: 1
        connection_timeout: 3
      - {id: abroad, domain_name: cars-2.s3.eu-west-1.amazonaws.com, origin_access_control_id: E1AAAAAAAAAAAA}
    origin_groups:
      - {id: frontend, origin_ids: [home, abroad]}
    default_behavior: {origin_id: frontend, cache_policy_id: 658327ea-f89d-4fab-a63d-7e88639e58f6}
    tags: {"vahana:app": cars, "vahana:env": prod}

- name: Take it away
  cloudfront_distribution_v2:
    name: cars-prod
    tags: {"vahana:app": cars, "vahana:env": prod}
    state: absent
  register: distribution
  until: distribution.status == 'absent'
  retries: 60
  delay: 15
"""

RETURN = r"""
status:
  description:
    - V(InProgress) or V(Deployed) for I(state=present).
    - V(disabling) or V(absent) for I(state=absent).
  returned: always
  type: str
id:
  description: Id. Empty in check mode before it exists.
  returned: I(state=present)
  type: str
arn:
  description: ARN, for the bucket's policy.
  returned: I(state=present)
  type: str
domain_name:
  description: The name under cloudfront.net.
  returned: I(state=present)
  type: str
hosted_zone_id:
  description: Route 53 zone of all CloudFront names, for alias records.
  returned: always
  type: str
"""

HOSTED_ZONE_ID = "Z2FDTNDATAQYW2"
"""The Route 53 zone of cloudfront.net names: the same for every distribution (Route 53 API, AliasTarget)."""


GROUP_MEMBERS = 2
FAILOVER_METHODS = {"GET", "HEAD", "OPTIONS"}
FAILOVER_CODES = {400, 403, 404, 416, 429, 500, 502, 503, 504}


def items(values: list[Any]) -> dict[str, Any]:
    """Write a list the way the CloudFront API does: with its length, and without Items when empty."""
    return {"Quantity": len(values), "Items": values} if values else {"Quantity": 0}


def origin_config(origin: Mapping[str, Any]) -> dict[str, Any]:
    """Translate one of the option origins, complete: what is omitted would be reset by UpdateDistribution anyway."""
    config: dict[str, Any] = {
        "Id": origin["id"],
        "DomainName": origin["domain_name"],
        "OriginPath": "",
        "CustomHeaders": items([]),
        "ConnectionAttempts": origin["connection_attempts"],
        "ConnectionTimeout": origin["connection_timeout"],
        "OriginShield": {"Enabled": False},
        "OriginAccessControlId": origin["origin_access_control_id"] or "",
    }
    if origin["origin_access_control_id"]:
        config["S3OriginConfig"] = {"OriginAccessIdentity": ""}
    else:
        config["CustomOriginConfig"] = {
            "HTTPPort": 80,
            "HTTPSPort": 443,
            "OriginProtocolPolicy": origin["protocol_policy"],
            "OriginSslProtocols": items(["TLSv1.2"]),
            "OriginReadTimeout": origin["read_timeout"],
            "OriginKeepaliveTimeout": origin["keepalive_timeout"],
        }
    return config


def group_config(group: Mapping[str, Any]) -> dict[str, Any]:
    """Translate one of the option origin_groups."""
    return {
        "Id": group["id"],
        "FailoverCriteria": {"StatusCodes": items(group["status_codes"])},
        "Members": items([{"OriginId": origin} for origin in group["origin_ids"]]),
    }


def check_origins(params: Mapping[str, Any]) -> None:
    """Refuse what CloudFront would, in check mode too. Raises ``ValueError``."""
    origins = {origin["id"] for origin in params["origins"]}
    for origin in params["origins"]:
        if not 1 <= origin["connection_attempts"] <= 3 or not 1 <= origin["connection_timeout"] <= 10:
            raise ValueError(f"origin {origin['id']}: connection_attempts are 1 to 3, connection_timeout is 1 to 10")
    for group in params["origin_groups"]:
        if len(set(group["origin_ids"])) != GROUP_MEMBERS or not set(group["origin_ids"]) <= origins:
            raise ValueError(f"origin group {group['id']}: origin_ids are two different ones of origins")
        if group["id"] in origins:
            raise ValueError(f"origin group {group['id']} has the name of an origin")
        if wrong := sorted(set(group["status_codes"]) - FAILOVER_CODES) or not group["status_codes"]:
            raise ValueError(f"origin group {group['id']}: status_codes are of {sorted(FAILOVER_CODES)}, not {wrong}")
    groups = {group["id"] for group in params["origin_groups"]}
    for behavior in [params["default_behavior"], *params["behaviors"]]:
        if behavior["origin_id"] not in origins | groups:
            raise ValueError(f"there is no origin or origin group {behavior['origin_id']}")
        if behavior["origin_id"] in groups and (writing := set(behavior["allowed_methods"]) - FAILOVER_METHODS):
            raise ValueError(
                f"the behaviour for {behavior.get('path_pattern', 'everything else')} allows "
                f"{', '.join(sorted(writing))}, which CloudFront refuses for origin group {behavior['origin_id']}"
            )


def behavior_config(behavior: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the default behaviour or one of the others."""
    config: dict[str, Any] = {
        "TargetOriginId": behavior["origin_id"],
        "CachePolicyId": behavior["cache_policy_id"],
        "ViewerProtocolPolicy": behavior["viewer_protocol_policy"],
        "AllowedMethods": {**items(behavior["allowed_methods"]), "CachedMethods": items(["GET", "HEAD"])},
        "Compress": behavior["compress"],
        "SmoothStreaming": False,
        "FieldLevelEncryptionId": "",
        "TrustedSigners": {"Enabled": False, **items([])},
        "TrustedKeyGroups": {"Enabled": False, **items([])},
        "LambdaFunctionAssociations": items([]),
        "FunctionAssociations": items(
            [{"EventType": "viewer-request", "FunctionARN": behavior["viewer_request_function_arn"]}]
            if behavior["viewer_request_function_arn"]
            else []
        ),
    }
    for option, field in (
        ("origin_request_policy_id", "OriginRequestPolicyId"),
        ("response_headers_policy_id", "ResponseHeadersPolicyId"),
    ):
        if behavior[option]:
            config[field] = behavior[option]
    if "path_pattern" in behavior:
        config["PathPattern"] = behavior["path_pattern"]
    return config


def wanted_config(params: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the module's options to the fields of DistributionConfig that it manages."""
    if params["certificate_arn"]:
        certificate = {
            "ACMCertificateArn": params["certificate_arn"],
            "SSLSupportMethod": "sni-only",
            "MinimumProtocolVersion": params["minimum_protocol_version"],
            "CloudFrontDefaultCertificate": False,
        }
    else:
        certificate = {"CloudFrontDefaultCertificate": True}
    return {
        "Comment": params["name"],
        "Enabled": True,
        "Aliases": items(params["aliases"]),
        "DefaultRootObject": params["default_root_object"],
        "Origins": items([origin_config(origin) for origin in params["origins"]]),
        "OriginGroups": items([group_config(group) for group in params["origin_groups"]]),
        "DefaultCacheBehavior": behavior_config(params["default_behavior"]),
        "CacheBehaviors": items([behavior_config(behavior) for behavior in params["behaviors"]]),
        "ViewerCertificate": certificate,
        "PriceClass": params["price_class"],
        "HttpVersion": params["http_version"],
        "IsIPV6Enabled": params["ipv6"],
        "WebACLId": params["web_acl_id"],
    }


def canonical(value: Any) -> Any:
    """Sort what has no order in CloudFront: names, codes, origins. Behaviours and members of groups keep theirs."""
    if isinstance(value, Mapping):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        values = [canonical(item) for item in value]
        if all(isinstance(item, (str, int)) for item in values):
            return sorted(values)
        if all(isinstance(item, dict) and "Id" in item for item in values):
            return sorted(values, key=lambda item: str(item["Id"]))
        return values
    return value


def managed_part(current: Any, wanted: Any) -> Any:
    """Cut ``current`` down to the fields that ``wanted`` has, so that CloudFront's own defaults are no difference."""
    if isinstance(wanted, dict) and isinstance(current, dict):
        return {key: managed_part(current.get(key), value) for key, value in wanted.items()}
    if isinstance(wanted, list) and isinstance(current, list) and len(wanted) == len(current):
        return [managed_part(found, value) for found, value in zip(current, wanted, strict=True)]
    return current


def find(module: AnsibleAWSModule, client: Any) -> tuple[dict[str, Any], dict[str, str]] | None:
    """Return our distribution (as ListDistributions shows it) and its tags, or None. Refuse a foreign one."""
    name, aliases = module.params["name"], set(module.params["aliases"])
    for page in client.get_paginator("list_distributions").paginate():
        for summary in page["DistributionList"].get("Items") or []:
            if summary["Comment"] != name and not aliases & set(summary["Aliases"].get("Items") or []):
                continue
            tags = tags_of(client, summary["ARN"])
            if not owned_by(tags, module.params["tags"]):
                module.fail_json(msg=foreign("CloudFront distribution", summary["Id"], module.params["tags"]))
            return summary, tags
    return None


def describe(distribution: Mapping[str, Any]) -> dict[str, Any]:
    """Return the return values that identify a distribution."""
    return {
        "id": distribution["Id"],
        "arn": distribution["ARN"],
        "domain_name": distribution["DomainName"],
        "status": distribution["Status"],
    }


def ensure_present(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Create the distribution, or change the fields that differ."""
    check_origins(module.params)
    wanted = wanted_config(module.params)
    found = find(module, client)
    if found is None:
        result: dict[str, Any] = {"id": "", "arn": "", "domain_name": "", "status": "absent"}
        if not module.check_mode:
            made = client.create_distribution_with_tags(
                DistributionConfigWithTags={
                    "DistributionConfig": {**wanted, "CallerReference": f"{module.params['name']}-{uuid.uuid4()}"},
                    "Tags": {"Items": ansible_dict_to_boto3_tag_list(module.params["tags"])},
                }
            )
            result = describe(made["Distribution"])
        return {"changed": True, **result, "diff": {"before": {}, "after": wanted}}

    summary, tags = found
    answer = client.get_distribution_config(Id=summary["Id"])
    current = answer["DistributionConfig"]
    after = canonical(wanted)
    before = managed_part(canonical(current), after)
    result = describe(summary)
    if before != after and not module.check_mode:
        updated = client.update_distribution(
            Id=summary["Id"], IfMatch=answer["ETag"], DistributionConfig={**current, **wanted}
        )
        result = describe(updated["Distribution"])
    retagged = ensure_tags(module, client, summary["ARN"], tags)
    return {
        "changed": before != after or retagged,
        **result,
        "diff": {"before": {**before, "Tags": tags}, "after": {**after, "Tags": module.params["tags"]}},
    }


def ensure_absent(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Take the next step towards deletion: disable it, or delete it once that has reached every edge."""
    found = find(module, client)
    if found is None:
        return {"changed": False, "status": "absent"}
    summary, _ = found
    diff = {"before": {"Comment": summary["Comment"], "Id": summary["Id"]}, "after": {}}
    if module.check_mode:
        return {"changed": True, "status": "absent", "diff": diff}
    answer = client.get_distribution(Id=summary["Id"])
    distribution, etag = answer["Distribution"], answer["ETag"]
    if distribution["DistributionConfig"]["Enabled"]:
        client.update_distribution(
            Id=summary["Id"], IfMatch=etag, DistributionConfig={**distribution["DistributionConfig"], "Enabled": False}
        )
        return {"changed": True, "status": "disabling", "diff": diff}
    if distribution["Status"] != "Deployed":
        return {"changed": False, "status": "disabling"}
    client.delete_distribution(Id=summary["Id"], IfMatch=etag)
    return {"changed": True, "status": "absent", "diff": diff}


def main() -> None:
    """Run the module."""
    behavior: dict[str, Any] = {
        "origin_id": {"type": "str", "required": True},
        "cache_policy_id": {"type": "str", "required": True},
        "origin_request_policy_id": {"type": "str", "default": ""},
        "response_headers_policy_id": {"type": "str", "default": ""},
        "viewer_protocol_policy": {
            "type": "str",
            "choices": ["allow-all", "https-only", "redirect-to-https"],
            "default": "redirect-to-https",
        },
        "allowed_methods": {"type": "list", "elements": "str", "default": ["GET", "HEAD"]},
        "compress": {"type": "bool", "default": True},
        "viewer_request_function_arn": {"type": "str", "default": ""},
    }
    origin: dict[str, Any] = {
        "id": {"type": "str", "required": True},
        "domain_name": {"type": "str", "required": True},
        "origin_access_control_id": {"type": "str"},
        "protocol_policy": {
            "type": "str",
            "choices": ["http-only", "https-only", "match-viewer"],
            "default": "https-only",
        },
        "read_timeout": {"type": "int", "default": 30},
        "keepalive_timeout": {"type": "int", "default": 5},
        "connection_attempts": {"type": "int", "default": 3},
        "connection_timeout": {"type": "int", "default": 10},
    }
    group: dict[str, Any] = {
        "id": {"type": "str", "required": True},
        "origin_ids": {"type": "list", "elements": "str", "required": True},
        "status_codes": {"type": "list", "elements": "int", "default": [500, 502, 503, 504]},
    }
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "origins": {"type": "list", "elements": "dict", "options": origin},
            "origin_groups": {"type": "list", "elements": "dict", "default": [], "options": group},
            "default_behavior": {"type": "dict", "options": behavior},
            "behaviors": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"path_pattern": {"type": "str", "required": True}, **behavior},
            },
            "default_root_object": {"type": "str", "default": ""},
            "aliases": {"type": "list", "elements": "str", "default": []},
            "certificate_arn": {"type": "str", "default": ""},
            "minimum_protocol_version": {"type": "str", "default": "TLSv1.2_2021"},
            "price_class": {
                "type": "str",
                "choices": ["PriceClass_100", "PriceClass_200", "PriceClass_All"],
                "default": "PriceClass_100",
            },
            "http_version": {
                "type": "str",
                "choices": ["http1.1", "http2", "http3", "http2and3"],
                "default": "http2and3",
            },
            "ipv6": {"type": "bool", "default": True},
            "web_acl_id": {"type": "str", "default": ""},
            "tags": {"type": "dict", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ["origins", "default_behavior"])],
        supports_check_mode=True,
    )
    if module.params["aliases"] and not module.params["certificate_arn"]:
        module.fail_json(msg="aliases need a certificate: give certificate_arn (ACM, us-east-1)")
    try:
        client = module.client("cloudfront")
        ensure = ensure_present if module.params["state"] == "present" else ensure_absent
        result = ensure(module, client)
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"CloudFront distribution {module.params['name']}")
    except ValueError as error:
        module.fail_json(msg=str(error))
    module.exit_json(hosted_zone_id=HOSTED_ZONE_ID, **result)


if __name__ == "__main__":
    main()
