"""Route 53: records that must be there to be deleted, zones that keep theirs, tags that the tagging API lists.

Gaps closed:

- moto keeps a journal of changes and compares with that: a record deleted twice, or created again after its deletion,
  is misjudged; DELETE takes other values than the record has.
- Hosted zones and health checks are missing in the tagging API; a deleted zone's tags stay.
- GetHealthCheckStatus says what the lab's checks were answered, not always that all is well.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from typing import Any

from moto.core.resource_tagging import TaggableResourcesMixin, TaggedResource
from moto.core.responses import ActionResult
from moto.route53 import models
from moto.route53.exceptions import InvalidActionValue, Route53ClientError
from moto.route53.responses import Route53
from moto.route53.utils import validate_domain_name

from lab import health


def find_records(backend: Any, name: str, kind: str | None = None, *, private: bool | None = None) -> list[Any]:
    """Record sets of a name, from the zone that matches it best.

    Args:
        backend: moto's Route 53 backend.
        name: with or without the dot at the end.
        kind: record type; None means all.
        private: only private (True) or public (False) zones.
    """
    wanted = name.rstrip(".").lower()
    zones = [
        zone
        for zone in list(backend.zones.values())
        if (private is None or bool(zone.private_zone) == private)
        and f".{wanted}".endswith(f".{zone.name.rstrip('.').lower()}")
    ]
    for zone in sorted(zones, key=lambda zone: len(zone.name), reverse=True):
        found = [
            rrset
            for rrset in list(zone.rrsets)
            if rrset.name.rstrip(".").lower().replace("\\052", "*") == wanted and kind in {None, rrset.type}
        ]
        if found:
            return found
    return []


def owning_zone(backend: Any, name: str) -> Any | None:
    """The most specific zone that a name belongs to, None if there is none."""
    wanted = f".{name.rstrip('.').lower()}"
    zones = [zone for zone in list(backend.zones.values()) if wanted.endswith(f".{zone.name.rstrip('.').lower()}")]
    return max(zones, key=lambda zone: len(zone.name), default=None)


def _same(rrset: Any, wanted: dict[str, Any]) -> bool:
    """Is this the record set, value for value, that a DELETE describes?"""
    if rrset.set_identifier != wanted.get("SetIdentifier"):
        return False
    if rrset.alias_target or wanted.get("AliasTarget"):
        alias, other = dict(rrset.alias_target or {}), dict(wanted.get("AliasTarget") or {})
        return str(alias.get("DNSName", "")).rstrip(".").lower() == str(other.get("DNSName", "")).rstrip(".").lower()
    values = {record["Value"] for record in wanted.get("ResourceRecords") or []}
    return set(rrset.records or []) == values and int(rrset.ttl or 0) == int(wanted.get("TTL") or 0)


@functools.cache
def apply() -> None:
    """Patch moto.route53."""
    delete_zone = models.Route53Backend.delete_hosted_zone

    def refuse(text: str) -> Route53ClientError:
        return Route53ClientError("InvalidChangeBatch", f"[{text}]")

    def change_resource_record_sets(self: Any, zoneid: str, change_list: list[dict[str, Any]]) -> None:
        zone = self.get_hosted_zone(zoneid)
        # The batch happens as a whole or not at all.
        before = list(zone.rrsets)
        try:
            for change in change_list:
                apply_change(zone, change["Action"], copy.deepcopy(change["ResourceRecordSet"]))
        except Exception:
            zone.rrsets = before
            raise

    def apply_change(zone: Any, action: str, wanted: dict[str, Any]) -> None:
        if action not in {"CREATE", "UPSERT", "DELETE"}:
            raise InvalidActionValue(action)
        validate_domain_name(wanted["Name"], code="InvalidChangeBatch")
        name = wanted["Name"].rstrip(".").lower()
        if not f".{name}".endswith(f".{zone.name.rstrip('.').lower()}"):
            raise refuse(f"RRSet with DNS name {name}. is not permitted in zone {zone.name}")
        wanted["Name"] = f"{name}."
        which = f"resource record set [name='{name}.', type='{wanted['Type']}']"
        present = [
            rrset
            for rrset in zone.rrsets
            if rrset.name.rstrip(".").lower() == name
            and rrset.type == wanted["Type"]
            and rrset.set_identifier == wanted.get("SetIdentifier")
        ]
        if action == "DELETE":
            if not present:
                raise refuse(f"Tried to delete {which} but it was not found")
            if not _same(present[0], wanted):
                raise refuse(f"Tried to delete {which} but the values provided do not match the current values")
            zone.rrsets = [rrset for rrset in zone.rrsets if rrset is not present[0]]
            return
        if action == "CREATE" and present:
            raise refuse(f"Tried to create {which} but it already exists")
        others = {rrset.type for rrset in zone.rrsets if rrset.name.rstrip(".").lower() == name} - {wanted["Type"]}
        if (wanted["Type"] == "CNAME" and others) or "CNAME" in others:
            raise refuse(
                f"RRSet of type {wanted['Type']} with DNS name {name}. is not permitted because a conflicting RRSet "
                "of type CNAME with the same DNS name exists in the zone"
            )
        if "ResourceRecords" in wanted:
            wanted["ResourceRecords"] = [record["Value"] for record in wanted["ResourceRecords"]]
        zone.upsert_rrset(wanted)

    def delete_hosted_zone(self: Any, id_: str) -> Any:
        deleted = delete_zone(self, id_)
        self.resource_tags.pop(id_.replace("/hostedzone/", ""), None)
        return deleted

    def iter_tagged_resources(self: Any) -> Iterator[TaggedResource]:
        kinds = {"hostedzone": list(self.zones), "healthcheck": list(self.health_checks)}
        for kind, identifiers in kinds.items():
            for identifier in identifiers:
                yield TaggedResource(
                    arn=f"arn:{self.partition}:route53:::{kind}/{identifier}",
                    tags=dict(self.resource_tags.get(identifier, {})),
                    resource_type=f"route53:{kind}",
                )

    def tag_resource(self: Any, arn: str, tags: dict[str, str]) -> None:
        self.resource_tags[arn.rsplit("/", 1)[1]].update(tags)

    def untag_resource(self: Any, arn: str, tag_keys: list[str]) -> None:
        for key in tag_keys:
            self.resource_tags[arn.rsplit("/", 1)[1]].pop(key, None)

    def get_health_check_status(response: Any) -> ActionResult:
        check = response.backend.get_health_check(response._get_param("HealthCheckId"))
        found = health.finding(check.id)
        report = {"Status": found.said, "CheckedTime": found.at}
        seen = [{"Region": "us-east-1", "StatusReport": report}] if found.said else []
        return ActionResult({"HealthCheckObservations": seen})

    Route53.get_health_check_status = get_health_check_status
    models.Route53Backend.change_resource_record_sets = change_resource_record_sets
    models.Route53Backend.delete_hosted_zone = delete_hosted_zone
    # The tagging API asks each backend class whether it is a TaggableResourcesMixin.
    models.Route53Backend.__bases__ = (*models.Route53Backend.__bases__, TaggableResourcesMixin)
    models.Route53Backend.SERVICE_NAMESPACE = "route53"
    models.Route53Backend.iter_tagged_resources = iter_tagged_resources
    models.Route53Backend.tag_resource = tag_resource
    models.Route53Backend.untag_resource = untag_resource
