"""The ways out of a VPC: NAT gateways that give back what they used, flow logs under AWS's names.

Gaps closed:

- A NAT gateway is never seen being deleted, and keeps its network interface and its address for ever.
- DescribeNatGateways knows no filter by tags.
- An address that a NAT gateway uses can be released. With AWS's own times it cannot for a moment after that is gone.
- A flow log into a folder of a bucket looks for a bucket of that whole name.
- A bucket whose policy lacks AWS's own statements for flow logs is not given them, in place of what the policy was.
- The tagging API calls flow logs "flow-logs" and goes on naming NAT gateways that were deleted.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

from moto.core.resource_tagging import TaggedResource
from moto.core.utils import utcnow
from moto.ec2 import utils as ec2_utils
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.models.elastic_ip_addresses import ElasticAddressBackend
from moto.ec2.models.flow_logs import FlowLogsBackend
from moto.ec2.models.nat_gateways import NatGateway, NatGatewayBackend
from moto.s3.models import s3_backends

from lab import times

_describe = NatGatewayBackend.describe_nat_gateways
_create_flow_logs = FlowLogsBackend.create_flow_logs
_release_address = ElasticAddressBackend.release_address
_tagged = EC2Backend.iter_tagged_resources


def describe_nat_gateways(backend: Any, filters: Any, nat_gateway_ids: list[str] | None) -> list[Any]:
    """Describe NAT gateways, also by their tags."""
    tags = {name.removeprefix("tag:"): values for name, values in (filters or {}).items() if name.startswith("tag:")}
    return [
        gateway
        for gateway in _describe(backend, filters, nat_gateway_ids)
        if all(_tags(gateway).get(key) in values for key, values in tags.items())
    ]


def _tags(resource: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in resource.get_tags()}


def state(gateway: Any) -> str:
    """Return where it is on its way; `lab.reconcilers.waits` sees to the beginning of it."""
    left = getattr(gateway, "deleted_at", None)
    if left is None:
        return str(vars(gateway).get("found_state", "available"))
    return "deleted" if times.elapsed("NAT gateway delete", left) else "deleting"


def _set_state(gateway: Any, value: str) -> None:
    vars(gateway)["found_state"] = value


def delete_nat_gateway(backend: Any, nat_gateway_id: str) -> Any:
    """Begin to delete one: its interface goes, and its address is free for something else."""
    gateway = backend.nat_gateways.get(nat_gateway_id)
    if gateway is None:
        raise EC2ClientError("NatGatewayNotFound", f"NAT gateway {nat_gateway_id} was not found")
    if getattr(gateway, "deleted_at", None) is None:
        gateway.deleted_at = utcnow()
        for used in gateway.address_set:
            for address in backend.addresses:
                if address.allocation_id == used.get("allocationId"):
                    backend.disassociate_address(address=address.public_ip)
        backend.delete_network_interface(gateway._eni.id)
    return gateway


def release_address(backend: Any, address: str | None = None, allocation_id: str | None = None) -> None:
    """Release an address that nothing uses."""
    for gateway in backend.nat_gateways.values():
        if gateway.state != "deleted" and allocation_id in {used.get("allocationId") for used in gateway.address_set}:
            raise EC2ClientError("InvalidIPAddress.InUse", f"The address with allocation id {allocation_id} is in use")
    for gateway in backend.nat_gateways.values():
        used_before = allocation_id in {used.get("allocationId") for used in gateway.address_set}
        if used_before and not times.over("address release", str(allocation_id)):
            message = "You do not have permission to access the specified resource."
            raise EC2ClientError("AuthFailure", message)
    _release_address(backend, address, allocation_id)


def create_flow_logs(backend: Any, *, log_destination: str | None, **kwargs: Any) -> Any:
    """Create flow logs; behind the bucket in the destination there may be a folder."""
    bucket = log_destination and log_destination.partition("/")[0]
    made, refused = _create_flow_logs(backend, log_destination=bucket, **kwargs)
    for flow_log in made:
        flow_log.log_destination = log_destination
    if made and log_destination and kwargs.get("log_destination_type") == "s3":
        _let_in(backend, log_destination)
    return made, refused


def _let_in(backend: Any, destination: str) -> None:
    """Overwrite the policy of a bucket that does not let flow logs in with AWS's own words.

    https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-permissions.html
    """
    name, _slash, folder = destination.rpartition(":::")[2].partition("/")
    bucket = s3_backends[backend.account_id]["aws"].get_bucket(name)
    common = {"Effect": "Allow", "Principal": {"Service": "delivery.logs.amazonaws.com"}}
    account = {"aws:SourceAccount": backend.account_id}
    source = {"ArnLike": {"aws:SourceArn": f"arn:aws:logs:{backend.region_name}:{backend.account_id}:*"}}
    path = "/".join(filter(None, [name, folder.strip("/"), "AWSLogs", backend.account_id, "*"]))
    wanted = [
        {
            **common,
            "Sid": "AWSLogDeliveryWrite",
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{path}",
            "Condition": {"StringEquals": {**account, "s3:x-amz-acl": "bucket-owner-full-control"}, **source},
        },
        {
            **common,
            "Sid": "AWSLogDeliveryAclCheck",
            "Action": "s3:GetBucketAcl",
            "Resource": f"arn:aws:s3:::{name}",
            "Condition": {"StringEquals": account, **source},
        },
    ]
    there = json.loads(bucket.policy)["Statement"] if bucket.policy else []
    if any(statement not in there for statement in wanted):
        bucket.policy = json.dumps({"Version": "2012-10-17", "Statement": wanted}).encode()


def iter_tagged_resources(backend: Any) -> Iterator[TaggedResource]:
    """Name what the tagging API would: flow logs by the name they have in ARNs, and nothing that is gone."""
    gone = {gateway.id for gateway in backend.nat_gateways.values() if gateway.state == "deleted"}
    for resource in _tagged(backend):
        if resource.resource_type == "ec2:flow-logs":
            resource.resource_type = "ec2:vpc-flow-log"
            resource.arn = resource.arn.replace(":flow-logs/", ":vpc-flow-log/")
        if resource.arn.rpartition("/")[2] not in gone:
            yield resource


@functools.cache
def apply() -> None:
    """Put all of this into moto."""
    NatGateway.state = property(state, _set_state)
    NatGatewayBackend.describe_nat_gateways = describe_nat_gateways
    NatGatewayBackend.delete_nat_gateway = delete_nat_gateway
    FlowLogsBackend.create_flow_logs = create_flow_logs
    ElasticAddressBackend.release_address = release_address
    EC2Backend.iter_tagged_resources = iter_tagged_resources
    # The names of resource types in tag specifications and filters.
    ec2_utils.EC2_PREFIX_TO_RESOURCE["fl"] = "vpc-flow-log"
