#!/usr/bin/python
"""Keep a custom domain name of API Gateway that leads to an HTTP API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.named_resource import Found, TaggedByArn, run
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from botocore.exceptions import ClientError

DOCUMENTATION = r"""
module: apigatewayv2_domain_name
short_description: Keep a custom domain name of an HTTP API
description:
  - Creates, changes and deletes a regional custom domain name of Amazon API Gateway, and its mapping to one stage of an
    HTTP API. M(community.aws.api_gateway_domain) maps REST APIs only.
  - One name may be in several regions, each with its own certificate and API. Which of them answers is for the records
    of the name to say. They point to RV(regional_domain_name), as a C(CNAME) with a short TTL or as an alias in the
    zone RV(hosted_zone_id), by latency or failover and with a health check for each region. Such a check asks the API
    at its own endpoint (C(<api>.execute-api.<region>.amazonaws.com)), for at the name itself every region's check would
    ask the same one.
  - API Gateway goes by the C(Host) header. CloudFront has to send the name of the origin on, not that of the viewer.
  - A name belongs to one account in a region. One that is not tagged ours is refused.
options:
  name:
    description: The domain name, as C(api.cars.example.com).
    type: str
    required: true
  state:
    description: Whether it is to exist.
    type: str
    choices: [present, absent]
    default: present
  certificate_arn:
    description: Issued ACM certificate for the name, in the region; required for O(state=present).
    type: str
  api_id:
    description: The HTTP API that answers at the name; required for O(state=present).
    type: str
  stage:
    description: Its stage.
    type: str
    default: $default
  tags:
    description: Tags of the domain name. Other tags are removed.
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
- name: Let the API of this region answer at the domain
  apigatewayv2_domain_name:
    name: api.cars.example.com
    certificate_arn: arn:aws:acm:eu-west-1:123456789012:certificate/1
    api_id: a1b2c3d4e5
    tags: {Name: cars-prod}
  register: domain

- name: Lead there while the first region is not healthy
  amazon.aws.route53:
    state: present
    zone: cars.example.com
    record: api.cars.example.com
    type: CNAME
    value: "{{ domain.regional_domain_name }}"
    ttl: 10
    identifier: eu-west-1
    failover: SECONDARY
    health_check: 11111111-2222-3333-4444-555555555555
    overwrite: true
"""

RETURN = r"""
name:
  description: The domain name.
  returned: always
  type: str
arn:
  description: ARN of the domain name; empty when it would only be created.
  returned: for O(state=present)
  type: str
regional_domain_name:
  description: What records of the name point to; empty when there is none.
  returned: always
  type: str
hosted_zone_id:
  description: The zone of RV(regional_domain_name), for alias records; empty when there is none.
  returned: always
  type: str
"""

SECURITY_POLICY = "TLS_1_2"


class DomainName(TaggedByArn):  # type: ignore[misc]  # Ansible gives it its name when it runs
    """A domain name with its one configuration and its one mapping."""

    kind = "API Gateway domain name"
    service = "apigatewayv2"

    def __init__(self, module: AnsibleAWSModule, client: Any) -> None:
        """Take the module; the service throttles early, so its client is a patient one."""
        super().__init__(module, module.client(self.service, retry_decorator=AWSRetry.jittered_backoff()))
        self._configuration: dict[str, Any] = {}
        self._mapping = ""

    def find(self) -> Found | None:
        """Look for the domain name and what all of it is mapped to."""
        try:
            domain = self.client.get_domain_name(DomainName=self.name, aws_retry=True)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NotFoundException":
                return None
            raise
        [self._configuration] = domain["DomainNameConfigurations"]
        listed = self.client.get_api_mappings(DomainName=self.name, aws_retry=True)["Items"]
        mappings = [item for item in listed if not item.get("ApiMappingKey")]
        self._mapping = mappings[0]["ApiMappingId"] if mappings else ""
        fields = {
            "certificate_arn": self._configuration.get("CertificateArn", ""),
            "security_policy": self._configuration.get("SecurityPolicy", ""),
            **({"api_id": mappings[0]["ApiId"], "stage": mappings[0]["Stage"]} if mappings else {}),
        }
        return Found(self._arn(), fields, domain.get("Tags", {}))

    def _arn(self) -> str:
        return f"arn:{self.client.meta.partition}:apigateway:{self.client.meta.region_name}::/domainnames/{self.name}"

    def wanted(self) -> dict[str, Any]:
        """Return the fields as the options have them."""
        options = ("certificate_arn", "api_id", "stage")
        return {**{option: self.parameters[option] for option in options}, "security_policy": SECURITY_POLICY}

    @staticmethod
    def _configured(wanted: Mapping[str, Any]) -> list[dict[str, str]]:
        return [
            {
                "CertificateArn": wanted["certificate_arn"],
                "EndpointType": "REGIONAL",
                "SecurityPolicy": wanted["security_policy"],
            }
        ]

    def create(self, wanted: dict[str, Any], tags: Mapping[str, str]) -> str:
        """Create the domain name and its mapping."""
        made = self.client.create_domain_name(
            DomainName=self.name,
            DomainNameConfigurations=self._configured(wanted),
            Tags=dict(tags),
            aws_retry=True,
        )
        [self._configuration] = made["DomainNameConfigurations"]
        self._map(wanted)
        return self._arn()

    def _map(self, wanted: Mapping[str, Any]) -> None:
        target = {"DomainName": self.name, "ApiId": wanted["api_id"], "Stage": wanted["stage"]}
        if self._mapping:
            self.client.update_api_mapping(ApiMappingId=self._mapping, **target, aws_retry=True)
        else:
            self.client.create_api_mapping(**target, aws_retry=True)

    def update(self, found: Found, wanted: dict[str, Any]) -> None:
        """Change what differs: the certificate, the mapping."""
        if any(found.fields[name] != wanted[name] for name in ("certificate_arn", "security_policy")):
            changed = self.client.update_domain_name(
                DomainName=self.name, DomainNameConfigurations=self._configured(wanted), aws_retry=True
            )
            [self._configuration] = changed["DomainNameConfigurations"]
        if any(found.fields.get(name) != wanted[name] for name in ("api_id", "stage")):
            self._map(wanted)

    def delete(self, found: Found) -> None:
        """Delete it; its mapping goes along."""
        self.client.delete_domain_name(DomainName=self.name, aws_retry=True)
        self._configuration = {}

    def where(self) -> dict[str, str]:
        """Say what records of it point to."""
        return {
            "regional_domain_name": self._configuration.get("ApiGatewayDomainName", ""),
            "hosted_zone_id": self._configuration.get("HostedZoneId", ""),
        }


def main() -> None:
    """Run the module."""
    run(
        DomainName,
        {
            "certificate_arn": {"type": "str"},
            "api_id": {"type": "str"},
            "stage": {"type": "str", "default": "$default"},
        },
        required=["certificate_arn", "api_id"],
        more=DomainName.where,
    )


if __name__ == "__main__":
    main()
