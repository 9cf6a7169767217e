"""Cloud Map: private namespaces that names are looked up in, and what keeps them from being deleted.

Gaps closed:

- A private namespace's hosted zone has another name than the namespace, no VPC, and outlives it.
- Namespaces with services and services with instances can be deleted; two services of a namespace may have one name.
- Nothing is listed by the tagging API; a description that is not changed is taken away by UpdateService.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from typing import Any

from moto.core.base_backend import BaseBackend
from moto.core.exceptions import JsonRESTError
from moto.core.resource_tagging import TaggableResourcesMixin, TaggedResource
from moto.route53.models import route53_backends
from moto.servicediscovery import models

from lab import settings

MOST_ADDRESSES = 8
"""Of an answer, in any order, so that callers spread over them."""


def _zones() -> dict[str, Any]:
    found: dict[str, Any] = route53_backends[settings.ACCOUNT_ID]["aws"].zones
    return found


def addresses(name: str) -> list[str] | None:
    """Addresses that a name has in the private namespaces of the account.

    Returns:
        Those of the service's healthy instances, of all where none is healthy, as Route 53 answers it; None where the
        name belongs to no namespace.
        https://docs.aws.amazon.com/cloud-map/latest/dg/services-route53.html
    """
    for backend in list(models.servicediscovery_backends[settings.ACCOUNT_ID].values()):
        for namespace in list(backend.namespaces.values()):
            zone = str(namespace.name).rstrip(".").lower()
            if namespace.type != "DNS_PRIVATE" or not f".{name}".endswith(f".{zone}"):
                continue
            label = name.removesuffix(zone).rstrip(".")
            found = [
                instance
                for service in list(backend.services.values())
                if service.namespace_id == namespace.id and service.name.lower() == label
                for instance in list(service.instances)
                if "AWS_INSTANCE_IPV4" in instance.attributes
            ]
            healthy = [each for each in found if each.health_status == "HEALTHY"] or found
            chosen = random.sample(healthy, min(len(healthy), MOST_ADDRESSES))
            return [each.attributes["AWS_INSTANCE_IPV4"] for each in chosen]
    return None


@functools.cache
def apply() -> None:
    """Patch moto.servicediscovery."""
    backend = models.ServiceDiscoveryBackend
    create_namespace, delete_namespace = backend.create_private_dns_namespace, backend.delete_namespace
    create_service, delete_service = backend.create_service, backend.delete_service

    def create_private_dns_namespace(self: Any, name: str, *args: Any, vpc: str, **kwargs: Any) -> str:
        operation: str = create_namespace(self, name, *args, vpc=vpc, **kwargs)
        namespace = self.namespaces[self.operations[operation].targets["NAMESPACE"]]
        zone = _zones()[namespace.dns_properties["HostedZoneId"].rpartition("/")[2]]
        zone.name = f"{name}."
        zone.vpcs.append({"vpc_id": vpc, "vpc_region": self.region_name})
        return operation

    def delete_whole_namespace(self: Any, namespace_id: str) -> str:
        namespace = self.get_namespace(namespace_id)
        if any(service.namespace_id == namespace_id for service in self.services.values()):
            raise JsonRESTError("ResourceInUse", f"Namespace {namespace_id} has services")
        operation: str = delete_namespace(self, namespace_id)
        # moto drops operations of namespaces that are gone only when they are listed: GetOperation still finds it.
        _zones().pop(namespace.dns_properties.get("HostedZoneId", "").rpartition("/")[2], None)
        self.tagger.delete_all_tags_for_resource(namespace.arn)
        return operation

    def create_named_service(self: Any, name: str, namespace_id: str, *args: Any, **kwargs: Any) -> Any:
        namespace_id = namespace_id or (kwargs.get("dns_config") or {}).get("NamespaceId", "")
        self.get_namespace(namespace_id)
        if any(each.name == name and each.namespace_id == namespace_id for each in self.services.values()):
            raise JsonRESTError("ServiceAlreadyExists", f"Service {name} already exists")
        return create_service(self, name, namespace_id, *args, **kwargs)

    def delete_unused_service(self: Any, service_id: str) -> None:
        service = self.get_service(service_id)
        if service.instances:
            raise JsonRESTError("ResourceInUse", f"Service {service_id} has registered instances")
        delete_service(self, service_id)
        self.tagger.delete_all_tags_for_resource(service.arn)

    def update(self: Any, details: dict[str, Any]) -> None:
        # UpdateService: what is left out of Description stays, what is left out of DnsConfig goes.
        self.description = details.get("Description", self.description)
        self.dns_config = {**(self.dns_config or {}), **details["DnsConfig"]} if "DnsConfig" in details else None
        self.health_check_config = details.get("HealthCheckConfig", self.health_check_config)

    def iter_tagged_resources(self: Any) -> Iterator[TaggedResource]:
        for kind, found in (("namespace", self.namespaces), ("service", self.services)):
            for each in list(found.values()):
                tags = self.tagger.get_tag_dict_for_resource(each.arn)
                yield TaggedResource(each.arn, tags, f"servicediscovery:{kind}")

    backend.create_private_dns_namespace = create_private_dns_namespace
    backend.delete_namespace = delete_whole_namespace
    backend.create_service = create_named_service
    backend.delete_service = delete_unused_service
    models.Service.update = update
    backend.__bases__ = (TaggableResourcesMixin, BaseBackend)
    backend.SERVICE_NAMESPACE = "servicediscovery"
    backend.iter_tagged_resources = iter_tagged_resources
