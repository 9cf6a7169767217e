#!/usr/bin/python
"""Keep an HTTP API of API Gateway in front of one Lambda function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.named_resource import Found, TaggedByArn, run
from ansible.module_utils.ownership import owned_by
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry

DOCUMENTATION = r"""
module: apigatewayv2_http_api
short_description: Keep an HTTP API in front of a Lambda function
description:
  - Creates, changes and deletes an HTTP API of Amazon API Gateway with one integration, the routes that lead to it, and
    the stage V($default), which is deployed by itself. The collections know REST APIs only.
  - Names of APIs are not unique; this one is found by its name and its tags. Others of the same name are left alone.
  - That API Gateway may invoke the function is for a permission of that function to say
    (M(community.aws.lambda_policy)).
options:
  name:
    description: Name of the API.
    type: str
    required: true
  state:
    description: Whether the API is to exist.
    type: str
    choices: [present, absent]
    default: present
  description:
    description: What it is for.
    type: str
    default: ""
  function_arn:
    description: The function, or better an alias of it, that answers; required for O(state=present).
    type: str
  routes:
    description: What is answered, as C(GET /api/health), C(ANY /api/{proxy+}) or C($default). Others are deleted.
    type: list
    elements: str
    default: [$default]
  timeout:
    description: Seconds after which an answer comes too late, at most 30.
    type: int
    default: 30
  rate_limit:
    description: Requests a second in the long run; more are refused with 429.
    type: int
    default: 1000
  burst_limit:
    description: Requests at once.
    type: int
    default: 500
  cors:
    description: What pages of other origins may ask for; empty when there are none.
    type: dict
    default: {}
    suboptions:
      allow_origins:
        description: Origins, as C(https://cars.example.com); without one the others mean nothing.
        type: list
        elements: str
        default: []
      allow_methods:
        description: Methods.
        type: list
        elements: str
        default: []
      allow_headers:
        description: Request headers.
        type: list
        elements: str
        default: []
      max_age:
        description: Seconds for which a browser remembers it.
        type: int
        default: 300
  default_endpoint:
    description: Whether it answers at its own name below C(execute-api) too, and not at a domain of yours alone.
    type: bool
    default: true
  access_log_arn:
    description: ARN of the log group that gets a line for each request; empty for none.
    type: str
    default: ""
  access_log_format:
    description: Such a line, with API Gateway's variables.
    type: str
    default: >-
      {"time":"$context.requestTime","id":"$context.requestId","ip":"$context.identity.sourceIp",
      "route":"$context.routeKey","path":"$context.path","status":"$context.status",
      "bytes":"$context.responseLength","ms":"$context.responseLatency","error":"$context.integrationErrorMessage"}
  tags:
    description: Tags of the API. Other tags are removed.
    type: dict
    required: true
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author:
  - Vahana
"""

EXAMPLES = r"""
- name: Keep an API
  apigatewayv2_http_api:
    name: vahanhelp-prod
    function_arn: arn:aws:lambda:us-east-1:123456789012:function:vahanhelp-prod-api:live
    routes: ["ANY /api/{proxy+}"]
    tags: {Name: vahanhelp-prod}

- name: Remove it
  apigatewayv2_http_api:
    name: vahanhelp-prod
    state: absent
    tags: {Name: vahanhelp-prod}
"""

RETURN = r"""
name:
  description: Name of the API.
  returned: always
  type: str
arn:
  description: ARN of the API; empty when it would only be created.
  returned: for O(state=present)
  type: str
api_id:
  description: Id of the API, empty when there is none.
  returned: always
  type: str
endpoint:
  description: Where it answers, as C(https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com); empty when there is none.
  returned: always
  type: str
"""

STAGE = "$default"
#: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
PAYLOAD = "2.0"
#: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
LONGEST_TIMEOUT = 30
CORS = {
    "allow_origins": "AllowOrigins",
    "allow_methods": "AllowMethods",
    "allow_headers": "AllowHeaders",
    "max_age": "MaxAge",
}
LOG_FORMAT = (
    '{"time":"$context.requestTime","id":"$context.requestId","ip":"$context.identity.sourceIp",'
    ' "route":"$context.routeKey","path":"$context.path","status":"$context.status",'
    ' "bytes":"$context.responseLength","ms":"$context.responseLatency","error":"$context.integrationErrorMessage"}'
)


class HttpApi(TaggedByArn):  # type: ignore[misc]  # Ansible gives it its name when it runs
    """An API with its one integration and its one stage."""

    kind = "HTTP API"
    service = "apigatewayv2"

    def __init__(self, module: AnsibleAWSModule, client: Any) -> None:
        """Take the module; the service throttles early, so its client is a patient one."""
        super().__init__(module, module.client(self.service, retry_decorator=AWSRetry.jittered_backoff()))
        self.api: dict[str, Any] = {}
        self._routes: dict[str, str] = {}
        self._integration = ""

    def _all(self, operation: str, **arguments: Any) -> list[dict[str, Any]]:
        pages = self.client.get_paginator(operation).paginate(**arguments)
        return [item for page in pages for item in page["Items"]]

    # What is there ---------------------------------------------------------------------------------------------------

    def find(self) -> Found | None:
        """Look for the API that has the name and the tags."""
        tags = self.parameters["tags"]
        named = [api for api in self._all("get_apis") if api["Name"] == self.name]
        ours = [api for api in named if owned_by(api.get("Tags", {}), tags)]
        if not ours:
            return None
        self.api = ours[0]
        of_api = {"ApiId": self.api["ApiId"]}
        integrations = self._all("get_integrations", **of_api)
        self._integration = integrations[0]["IntegrationId"] if integrations else ""
        routes = self._all("get_routes", **of_api)
        self._routes = {route["RouteKey"]: route["RouteId"] for route in routes}
        stages = {stage["StageName"]: stage for stage in self._all("get_stages", **of_api)}
        fields = {
            **self._of_api(self.api),
            **(self._of_integration(integrations[0]) if integrations else {}),
            "routes": sorted(
                route["RouteKey"] for route in routes if route.get("Target") == f"integrations/{self._integration}"
            ),
            **(self._of_stage(stages[STAGE]) if STAGE in stages else {}),
        }
        region = self.client.meta.region_name
        arn = f"arn:{self.client.meta.partition}:apigateway:{region}::/apis/{self.api['ApiId']}"
        return Found(arn, fields, self.api.get("Tags", {}))

    @staticmethod
    def _of_api(api: Mapping[str, Any]) -> dict[str, Any]:
        cors = api.get("CorsConfiguration") or {}
        return {
            "description": api.get("Description") or "",
            "cors": {ours: cors.get(theirs) or None for ours, theirs in CORS.items()},
            "default_endpoint": not api.get("DisableExecuteApiEndpoint"),
        }

    @staticmethod
    def _of_integration(integration: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "function_arn": integration.get("IntegrationUri", ""),
            "timeout": integration.get("TimeoutInMillis", 1000 * LONGEST_TIMEOUT) // 1000,
            "payload": integration.get("PayloadFormatVersion", ""),
        }

    @staticmethod
    def _of_stage(stage: Mapping[str, Any]) -> dict[str, Any]:
        limits, log = stage.get("DefaultRouteSettings", {}), stage.get("AccessLogSettings") or {}
        return {
            "auto_deploy": bool(stage.get("AutoDeploy")),
            "rate_limit": int(limits.get("ThrottlingRateLimit", 0)),
            "burst_limit": int(limits.get("ThrottlingBurstLimit", 0)),
            "access_log": [log["DestinationArn"], log.get("Format", "")] if log else [],
        }

    # What is to be ---------------------------------------------------------------------------------------------------

    def wanted(self) -> dict[str, Any]:
        """Return the fields as the options have them. Raises ``ValueError`` for what API Gateway refuses."""
        params = self.parameters
        if not 0 < params["timeout"] <= LONGEST_TIMEOUT:
            raise ValueError(f"timeout {params['timeout']}: an HTTP API waits from 1 to {LONGEST_TIMEOUT} seconds")
        # It is what ARNs of log groups end with in most results, and what API Gateway does not take.
        log, cors = params["access_log_arn"].removesuffix(":*"), params["cors"]
        return {
            "description": params["description"],
            "cors": {key: (cors.get(key) if cors.get("allow_origins") else None) or None for key in CORS},
            "default_endpoint": params["default_endpoint"],
            "function_arn": params["function_arn"],
            "timeout": params["timeout"],
            "payload": PAYLOAD,
            "routes": sorted(params["routes"]),
            "auto_deploy": True,
            "rate_limit": params["rate_limit"],
            "burst_limit": params["burst_limit"],
            "access_log": [log, params["access_log_format"]] if log else [],
        }

    def create(self, wanted: dict[str, Any], tags: Mapping[str, str]) -> str:
        """Create the API and all that belongs to it."""
        self.api = self.client.create_api(
            Name=self.name, ProtocolType="HTTP", **self._api_arguments(wanted), Tags=dict(tags), aws_retry=True
        )
        self.update(Found("", self._of_api(self.api), tags), wanted)
        return f"arn:{self.client.meta.partition}:apigateway:{self.client.meta.region_name}::/apis/{self.api['ApiId']}"

    def _api_arguments(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        cors = {theirs: wanted["cors"][ours] for ours, theirs in CORS.items() if wanted["cors"][ours]}
        return {
            "Description": wanted["description"],
            "DisableExecuteApiEndpoint": not wanted["default_endpoint"],
            **({"CorsConfiguration": cors} if cors else {}),
        }

    def update(self, found: Found, wanted: dict[str, Any]) -> None:
        """Change what differs: the API, the integration, the routes to it, the stage."""
        fields, api = found.fields, {"ApiId": self.api["ApiId"]}

        def differs(*names: str) -> bool:
            return any(fields.get(name) != wanted[name] for name in names)

        if differs("description", "default_endpoint", "cors"):
            if any(fields["cors"].values()) and not any(wanted["cors"].values()):
                self.client.delete_cors_configuration(**api, aws_retry=True)
            self.client.update_api(**api, **self._api_arguments(wanted), aws_retry=True)
        if differs("function_arn", "timeout", "payload"):
            self._keep_integration(api, wanted)
        if differs("routes"):
            self._keep_routes(api, wanted["routes"])
        if differs("auto_deploy", "rate_limit", "burst_limit", "access_log"):
            self._keep_stage(api, wanted, there="auto_deploy" in fields)

    def _keep_integration(self, api: dict[str, str], wanted: Mapping[str, Any]) -> None:
        arguments = {
            "IntegrationType": "AWS_PROXY",
            "IntegrationUri": wanted["function_arn"],
            "PayloadFormatVersion": PAYLOAD,
            "TimeoutInMillis": wanted["timeout"] * 1000,
        }
        if self._integration:
            self.client.update_integration(**api, IntegrationId=self._integration, **arguments, aws_retry=True)
        else:
            made = self.client.create_integration(**api, **arguments, aws_retry=True)
            self._integration = made["IntegrationId"]

    def _keep_routes(self, api: dict[str, str], wanted: list[str]) -> None:
        target = f"integrations/{self._integration}"
        for key in wanted:
            if key in self._routes:
                self.client.update_route(**api, RouteId=self._routes[key], Target=target, aws_retry=True)
            else:
                self.client.create_route(**api, RouteKey=key, Target=target, aws_retry=True)
        for key in self._routes.keys() - set(wanted):
            self.client.delete_route(**api, RouteId=self._routes[key], aws_retry=True)

    def _keep_stage(self, api: dict[str, str], wanted: Mapping[str, Any], *, there: bool) -> None:
        log = dict(zip(("DestinationArn", "Format"), wanted["access_log"], strict=False))
        if there and not log:
            self.client.delete_access_log_settings(**api, StageName=STAGE, aws_retry=True)
        arguments = {
            "AutoDeploy": True,
            "DefaultRouteSettings": {
                "DetailedMetricsEnabled": True,
                "ThrottlingRateLimit": wanted["rate_limit"],
                "ThrottlingBurstLimit": wanted["burst_limit"],
            },
            **({"AccessLogSettings": log} if log else {}),
        }
        keep = self.client.update_stage if there else self.client.create_stage
        keep(**api, StageName=STAGE, **arguments, aws_retry=True)

    def delete(self, found: Found) -> None:
        """Delete it; what belongs to it goes along."""
        self.client.delete_api(ApiId=self.api["ApiId"], aws_retry=True)
        self.api = {}

    def where(self) -> dict[str, str]:
        """Say where it answers."""
        return {"api_id": self.api.get("ApiId", ""), "endpoint": self.api.get("ApiEndpoint", "")}


def main() -> None:
    """Run the module."""
    cors = {name: {"type": "list", "elements": "str", "default": []} for name in CORS if name != "max_age"}
    run(
        HttpApi,
        {
            "description": {"type": "str", "default": ""},
            "function_arn": {"type": "str"},
            "routes": {"type": "list", "elements": "str", "default": ["$default"]},
            "timeout": {"type": "int", "default": LONGEST_TIMEOUT},
            "rate_limit": {"type": "int", "default": 1000},
            "burst_limit": {"type": "int", "default": 500},
            "cors": {"type": "dict", "default": {}, "options": {**cors, "max_age": {"type": "int", "default": 300}}},
            "default_endpoint": {"type": "bool", "default": True},
            "access_log_arn": {"type": "str", "default": ""},
            "access_log_format": {"type": "str", "default": LOG_FORMAT},
        },
        required=["function_arn"],
        more=HttpApi.where,
    )


if __name__ == "__main__":
    main()
