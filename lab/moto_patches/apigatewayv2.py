"""API Gateway's HTTP APIs: UpdateStage and DeleteAccessLogSettings, which moto lacks, and custom domain names.

A custom domain has a name of its own in its region that records point to, a certificate that was issued there, and
tags that follow TagResource; UpdateDomainName and UpdateApiMapping are there, and deleting a domain takes its mappings
along.
"""

from __future__ import annotations

import functools
import json
import secrets
import string
from typing import Any
from urllib.parse import unquote

from moto.acm.models import acm_backends
from moto.apigatewayv2.exceptions import BadRequestException, DomainNameNotFound
from moto.apigatewayv2.models import ApiGatewayV2Backend, Stage
from moto.apigatewayv2.responses import ApiGatewayV2Response
from moto.apigatewayv2.urls import url_paths

Answer = tuple[int, dict[str, str], str]

HOSTED_ZONES = {
    "ap-northeast-1": "Z1YSHQZHG15GKL",
    "ap-south-1": "Z3VO1THU9YC4UR",
    "ap-southeast-1": "ZL327KTPIQFUL",
    "ap-southeast-2": "Z2RPCDW04V8134",
    "ca-central-1": "Z19DQILCV0OWEC",
    "eu-central-1": "Z1U9ULNL0V5AJ3",
    "eu-north-1": "Z3UWIKFBOOGXPP",
    "eu-west-1": "ZLY8HYME6SFDD",
    "eu-west-2": "ZJ5UAJN8Y3Z2Q",
    "eu-west-3": "Z3KY65QIEKYHQQ",
    "sa-east-1": "ZCMLWB8V5SYIT",
    "us-east-1": "Z1UJRXOUMOOFQ8",
    "us-east-2": "ZOJJZC49E0EPZ",
    "us-west-1": "Z2MUQ32089INYE",
    "us-west-2": "Z2OJLYMUO9EFXC",
}
"""Route 53's zones of the names that records point to: https://docs.aws.amazon.com/general/latest/gr/apigateway.html"""

_create_domain_name = ApiGatewayV2Backend.create_domain_name
_tag_resource = ApiGatewayV2Backend.tag_resource
_untag_resource = ApiGatewayV2Backend.untag_resource


def _stage(response: Any, position: int) -> tuple[Any, Any]:
    """Return the API and the stage that a path names, the stage at a place counted from its end."""
    parts = [unquote(part) for part in response.path.split("/")]
    api = response.apigatewayv2_backend.get_api(parts[parts.index("apis") + 1])
    return api, api.get_stage(parts[position])


def update_stage(response: Any) -> Answer:
    """UpdateStage: what is not given stays."""
    api, stage = _stage(response, -1)
    changed = Stage(api, {**stage.config, **json.loads(response.body)})
    changed.created = stage.created
    api.stages[stage.name] = changed
    return 200, {}, json.dumps(changed.to_json())


def delete_access_log_settings(response: Any) -> Answer:
    """DeleteAccessLogSettings."""
    _, stage = _stage(response, -2)
    stage.config.pop("accessLogSettings", None)
    stage.access_log_settings = None
    return 204, {}, ""


def _configuration(backend: Any, name: str, given: dict[str, Any], own: str) -> dict[str, Any]:
    """What API Gateway makes of a domain's configuration.

    Raises:
        BadRequestException: the certificate is not one for this name in this region, or the domain is not regional.
    """
    wanted = {"endpointType": "REGIONAL", "securityPolicy": "TLS_1_2", **given}
    if wanted["endpointType"] != "REGIONAL" or wanted["securityPolicy"] not in ("TLS_1_2", "TLS_1_3"):
        raise BadRequestException("A domain name of an HTTP API is REGIONAL, with security policy TLS_1_2 or later")
    arn = str(wanted.get("certificateArn") or "")
    certificate = acm_backends[backend.account_id][backend.region_name]._certificates.get(arn)
    if certificate is not None:
        certificate.check()
    if certificate is None or certificate.status != "ISSUED":
        raise BadRequestException(f"The certificate {arn or 'that is missing'} is not issued in {backend.region_name}")
    if not {name, f"*.{name.partition('.')[2]}"} & {certificate.common_name, *certificate.sans}:
        raise BadRequestException(f"The certificate {arn} is not for {name}")
    zone = HOSTED_ZONES.get(backend.region_name, "")
    return {**wanted, "apiGatewayDomainName": own, "domainNameStatus": "AVAILABLE", "hostedZoneId": zone}


def create_domain_name(
    backend: Any,
    domain_name: str,
    domain_name_configurations: list[dict[str, Any]],
    mutual_tls_authentication: dict[str, str],
    tags: dict[str, str],
) -> Any:
    """CreateDomainName."""
    word = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(10))
    own = f"d-{word}.execute-api.{backend.region_name}.amazonaws.com"
    [given] = domain_name_configurations
    configuration = _configuration(backend, domain_name.lower(), given, own)
    return _create_domain_name(backend, domain_name.lower(), [configuration], mutual_tls_authentication, dict(tags))


def delete_domain_name(backend: Any, domain_name: str) -> None:
    """DeleteDomainName, with its mappings."""
    if domain_name not in backend.domain_names:
        raise DomainNameNotFound
    gone = [key for key, mapping in backend.api_mappings.items() if mapping.domain_name == domain_name]
    for key in gone:
        del backend.api_mappings[key]
    del backend.domain_names[domain_name]


def update_domain_name(response: Any) -> Answer:
    """UpdateDomainName: what is not given stays."""
    backend = response.apigatewayv2_backend
    domain = backend.get_domain_name(unquote(response.path.rpartition("/")[2]))
    for given in json.loads(response.body).get("domainNameConfigurations", []):
        before = domain.domain_name_configurations[0]
        changed = _configuration(backend, domain.domain_name, {**before, **given}, before["apiGatewayDomainName"])
        domain.domain_name_configurations = [changed]
    return 200, {}, json.dumps(domain.to_json())


def update_api_mapping(response: Any) -> Answer:
    """UpdateApiMapping: another API or stage."""
    backend, wanted = response.apigatewayv2_backend, json.loads(response.body)
    domain, _, identifier = (unquote(part) for part in response.path.split("/")[-3:])
    mapping = backend.get_api_mapping(identifier, domain)
    if "apiId" in wanted:
        mapping.api_id = backend.get_api(wanted["apiId"]).api_id
    mapping.stage = wanted.get("stage", mapping.stage)
    return 200, {}, json.dumps(mapping.to_json())


def _domain_of(backend: Any, resource_arn: str) -> Any | None:
    return backend.domain_names.get(unquote(resource_arn).partition("::/domainnames/")[2])


def tag_resource(backend: Any, resource_arn: str, tags: dict[str, str]) -> None:
    """TagResource, also of domain names."""
    domain = _domain_of(backend, resource_arn)
    if domain is None:
        _tag_resource(backend, resource_arn, tags)
    else:
        domain.tags.update(tags)


def untag_resource(backend: Any, resource_arn: str, tag_keys: list[str]) -> None:
    """UntagResource, also of domain names."""
    domain = _domain_of(backend, resource_arn)
    if domain is None:
        _untag_resource(backend, resource_arn, tag_keys)
        return
    for key in tag_keys:
        domain.tags.pop(key, None)


@functools.cache
def apply() -> None:
    """Put this into moto."""
    ApiGatewayV2Response.update_stage = update_stage
    ApiGatewayV2Response.delete_access_log_settings = delete_access_log_settings
    ApiGatewayV2Response.update_domain_name = update_domain_name
    ApiGatewayV2Response.update_api_mapping = update_api_mapping
    ApiGatewayV2Backend.create_domain_name = create_domain_name
    ApiGatewayV2Backend.delete_domain_name = delete_domain_name
    ApiGatewayV2Backend.tag_resource = tag_resource
    ApiGatewayV2Backend.untag_resource = untag_resource
    stages = "{0}/v2/apis/(?P<api_id>[^/]+)/stages/(?P<stage_name>[^/]+)"
    url_paths[f"{stages}/accesslogsettings$"] = ApiGatewayV2Response.dispatch
