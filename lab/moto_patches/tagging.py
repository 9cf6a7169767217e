"""Resource Groups Tagging API: everything that is tagged and that AWS would list, in the region where it would.

Gaps closed:

- EC2: elastic IPs, key pairs, launch templates and connect endpoints are missing, terminated instances are listed.
- Log groups are called loggroup; their ARN ends in a star; SSM parameters cannot be tagged through this API.
- Global services (CloudFront, Route 53) show in every region, S3 buckets in regions they are not in.
- Secrets that are scheduled for deletion are listed.
- A request that comes while resources are being added fails (a dictionary changed its size).

IAM is left out as on AWS: GetResources lists no roles.
https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/supported-services.html
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from moto.core.resource_tagging import TaggedResource
from moto.ec2.models import EC2Backend
from moto.logs.models import LogsBackend
from moto.resourcegroupstaggingapi import models
from moto.s3.models import S3Backend
from moto.secretsmanager.models import SecretsManagerBackend
from moto.ssm.models import SimpleSystemManagerBackend

GLOBAL_REGION = "us-east-1"
"""Where global services' resources are listed."""
GLOBAL_SERVICES = {"cloudfront", "route53"}
ATTEMPTS = 20


def _listed(resources: Callable[[], Iterator[TaggedResource]]) -> list[TaggedResource]:
    """All resources of a backend, although requests and reconcilers add and remove some meanwhile."""
    for _ in range(ATTEMPTS):
        try:
            return list(resources())
        except RuntimeError as error:
            if "changed size" not in str(error) and "mutated" not in str(error):
                raise
            last = error
    raise last


def _patch_ec2() -> None:
    listed = EC2Backend.iter_tagged_resources

    def iter_tagged_resources(self: Any) -> Iterator[TaggedResource]:
        gone = {
            instance.id
            for reservation in list(self.reservations.values())
            for instance in reservation.instances
            if instance.state == "terminated"
        }
        for resource in listed(self):
            if resource.arn.rsplit("/", 1)[1] not in gone:
                yield resource
        more = {
            "elastic-ip": [address.allocation_id for address in list(self.addresses)],
            "key-pair": [pair.id for pair in list(self.key_pairs.values())],
            "launch-template": list(self.launch_templates),
            "instance-connect-endpoint": list(getattr(self, "instance_connect_endpoints", {})),
        }
        for kind, identifiers in more.items():
            for identifier in identifiers:
                if identifier:
                    yield TaggedResource(
                        arn=f"arn:{self.partition}:ec2:{self.region_name}:{self.account_id}:{kind}/{identifier}",
                        tags=dict(self.tags.get(identifier, {})),
                        resource_type=f"ec2:{kind}",
                    )

    EC2Backend.iter_tagged_resources = iter_tagged_resources


def _patch_others() -> None:
    logs = LogsBackend.iter_tagged_resources
    buckets = S3Backend.iter_tagged_resources
    secrets = SecretsManagerBackend.iter_tagged_resources

    def log_groups(self: Any) -> Iterator[TaggedResource]:
        for group in logs(self):
            group.resource_type = "logs:log-group"
            group.arn = group.arn.removesuffix(":*")
            yield group

    def live_secrets(self: Any) -> Iterator[TaggedResource]:
        alive = {secret.arn for secret in list(self.secrets.values()) if not secret.is_deleted()}
        for secret in secrets(self):
            if secret.arn in alive:
                yield secret

    def all_buckets(self: Any) -> Iterator[TaggedResource]:
        regions = {bucket.arn: bucket.region_name for bucket in list(self.buckets.values())}
        for bucket in buckets(self):
            bucket.extra["region"] = regions.get(bucket.arn)
            yield bucket

    def tag_parameter(self: Any, arn: str, tags: dict[str, str]) -> None:
        self.add_tags_to_resource(*_parameter(self, arn), tags)

    def untag_parameter(self: Any, arn: str, tag_keys: list[str]) -> None:
        self.remove_tags_from_resource(*_parameter(self, arn), tag_keys)

    LogsBackend.iter_tagged_resources = log_groups
    S3Backend.iter_tagged_resources = all_buckets
    SecretsManagerBackend.iter_tagged_resources = live_secrets
    SimpleSystemManagerBackend.tag_resource = tag_parameter
    SimpleSystemManagerBackend.untag_resource = untag_parameter


def _parameter(backend: Any, arn: str) -> tuple[str, str]:
    """Resource type and id by which SSM's own tagging calls know what an ARN names."""
    kind, _, name = arn.split(":", 5)[5].partition("/")
    if kind == "parameter":
        # The ARN of /a/b is …:parameter/a/b, that of plain is …:parameter/plain.
        return "Parameter", name if name in backend._parameters else f"/{name}"
    return "Document", name


def _patch_api() -> None:
    def resources(self: Any) -> list[TaggedResource]:
        found = []
        for backend in models.iter_taggable_backends(self.account_id, self.region_name):
            if backend.SERVICE_NAMESPACE in GLOBAL_SERVICES and self.region_name != GLOBAL_REGION:
                continue
            for resource in _listed(backend.iter_tagged_resources):
                if resource.tags and resource.extra.get("region", self.region_name) == self.region_name:
                    found.append(resource)
        return found

    def _get_resources_generator(
        self: Any,
        tag_filters: list[dict[str, Any]] | None = None,
        resource_type_filters: list[str] | None = None,
        resource_arn_list: list[str] | None = None,
    ) -> Iterator[TaggedResource]:
        matches = models.make_tag_matcher(tag_filters)
        # Not a generator: moto keeps what is left for the next page, and the lab's state must be picklable.
        return iter(
            [
                resource
                for resource in resources(self)
                if models.match_resource_type(resource.resource_type, resource_type_filters)
                and matches(resource.tags)
                and (not resource_arn_list or resource.arn in resource_arn_list)
            ]
        )

    def _get_tag_keys_generator(self: Any) -> Iterator[str]:
        return iter(sorted({key for resource in resources(self) for key in resource.tags}))

    def _get_tag_values_generator(self: Any, tag_key: str) -> Iterator[str]:
        return iter(sorted({resource.tags[tag_key] for resource in resources(self) if tag_key in resource.tags}))

    backend = models.ResourceGroupsTaggingAPIBackend
    backend._get_resources_generator = _get_resources_generator
    backend._get_tag_keys_generator = _get_tag_keys_generator
    backend._get_tag_values_generator = _get_tag_values_generator


@functools.cache
def apply() -> None:
    """Patch moto.resourcegroupstaggingapi and what it reads."""
    _patch_ec2()
    _patch_others()
    _patch_api()
