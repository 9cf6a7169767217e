"""EC2 Instance Connect Endpoints, which moto does not know: recorded, with the states of real ones.

No tunnel goes through them: on the lab SSH reaches the private addresses straight.
"""

from __future__ import annotations

import datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ec2 import utils as ec2_utils
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.responses.general import General
from moto.ec2.utils import generic_filter, random_resource_id

from lab import times

PREFIX = "eice"
TRANSITION = datetime.timedelta(seconds=2)
"""How long an endpoint is at least being created, changed or deleted. AWS takes some minutes (`lab.times`)."""


class InstanceConnectEndpoint(TaggedEC2Resource):  # type: ignore[misc]  # moto ships no types, so its base class is Any
    """One endpoint. Its state follows from what was asked last and how long ago that was."""

    def __init__(self, backend: Any, subnet: Any, groups: list[str], preserve_client_ip: bool) -> None:
        """Record an endpoint that is being created in a subnet."""
        self.ec2_backend = backend
        self.id = f"{PREFIX}-{random_resource_id(17)}"
        self.subnet = subnet
        self.security_group_ids = groups
        self.preserve_client_ip = preserve_client_ip
        self.created_at = utcnow()
        self.transition("create")

    def transition(self, verb: str) -> None:
        """Begin to ``create``, ``update`` or ``delete`` the endpoint."""
        self.verb, self.since = verb, utcnow()

    @property
    def state(self) -> str:
        """The state's name in the API, for example ``create-in-progress``."""
        what = "connect endpoint delete" if self.verb == "delete" else "connect endpoint create"
        done = utcnow() - self.since >= TRANSITION and times.elapsed(what, self.since)
        return f"{self.verb}-{'complete' if done else 'in-progress'}"

    @property
    def vpc_id(self) -> str:
        """The VPC of the endpoint's subnet; filters ask for it."""
        return str(self.subnet.vpc_id)

    @property
    def subnet_id(self) -> str:
        """The endpoint's subnet; filters ask for it."""
        return str(self.subnet.id)

    def describe(self) -> dict[str, Any]:
        """Return the endpoint as the API shows it."""
        backend = self.ec2_backend
        arn = f"arn:aws:ec2:{backend.region_name}:{backend.account_id}:instance-connect-endpoint/{self.id}"
        return {
            "OwnerId": backend.account_id,
            "InstanceConnectEndpointId": self.id,
            "InstanceConnectEndpointArn": arn,
            "State": self.state,
            "StateMessage": "",
            "DnsName": f"{self.id}.ec2-instance-connect-endpoint.{backend.region_name}.amazonaws.com",
            "NetworkInterfaceIds": [],
            "VpcId": self.vpc_id,
            "AvailabilityZone": self.subnet.availability_zone,
            "CreatedAt": self.created_at,
            "SubnetId": self.subnet_id,
            "PreserveClientIp": self.preserve_client_ip,
            "SecurityGroupIds": self.security_group_ids,
            "Tags": [{"Key": tag["key"], "Value": tag["value"]} for tag in self.get_tags()],
            "IpAddressType": "ipv4",
        }


def endpoints_of(backend: Any) -> dict[str, InstanceConnectEndpoint]:
    """Return a region's endpoints by id, without those that are gone by now."""
    endpoints: dict[str, InstanceConnectEndpoint] = backend.__dict__.setdefault("instance_connect_endpoints", {})
    for endpoint_id in [key for key, endpoint in endpoints.items() if endpoint.state == "delete-complete"]:
        backend.tags.pop(endpoint_id, None)
        endpoints.pop(endpoint_id, None)
    return endpoints


def _get(response: Any) -> InstanceConnectEndpoint:
    endpoint_id = response._get_param("InstanceConnectEndpointId")
    endpoint = endpoints_of(response.ec2_backend).get(endpoint_id)
    if endpoint is None:
        raise EC2ClientError(
            "InvalidInstanceConnectEndpointId.NotFound",
            f"The instance connect endpoint ID '{endpoint_id}' does not exist",
        )
    return endpoint


def create_instance_connect_endpoint(response: Any) -> ActionResult:
    """Handle CreateInstanceConnectEndpoint; AWS allows one per VPC."""
    backend = response.ec2_backend
    subnet = backend.get_subnet(response._get_param("SubnetId"))
    groups = response._get_param("SecurityGroupIds", [])
    for group in groups:
        if backend.get_security_group_from_id(group) is None:
            raise EC2ClientError("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
    endpoints = endpoints_of(backend)
    if any(endpoint.vpc_id == subnet.vpc_id for endpoint in endpoints.values()):
        raise EC2ClientError(
            "InstanceConnectEndpointLimitExceeded",
            f"The VPC {subnet.vpc_id} has an instance connect endpoint already",
        )
    response.error_on_dryrun()
    endpoint = InstanceConnectEndpoint(backend, subnet, groups, response._get_bool_param("PreserveClientIp", False))
    endpoints[endpoint.id] = endpoint
    endpoint.add_tags(response._parse_tag_specification().get("instance-connect-endpoint", {}))
    return ActionResult({"InstanceConnectEndpoint": endpoint.describe()})


def describe_instance_connect_endpoints(response: Any) -> ActionResult:
    """Handle DescribeInstanceConnectEndpoints, by ids or filters."""
    found = list(endpoints_of(response.ec2_backend).values())
    if ids := response._get_param("InstanceConnectEndpointIds", []):
        found = [endpoint for endpoint in found if endpoint.id in ids]
    found = generic_filter(response._filters_from_querystring(), found)
    return ActionResult({"InstanceConnectEndpoints": [endpoint.describe() for endpoint in found]})


def modify_instance_connect_endpoint(response: Any) -> ActionResult:
    """Handle ModifyInstanceConnectEndpoint; one that is under way cannot be changed."""
    endpoint = _get(response)
    if endpoint.state not in ("create-complete", "update-complete"):
        raise EC2ClientError("IncorrectState", f"The endpoint {endpoint.id} is {endpoint.state}")
    response.error_on_dryrun()
    endpoint.security_group_ids = response._get_param("SecurityGroupIds", endpoint.security_group_ids)
    endpoint.preserve_client_ip = response._get_bool_param("PreserveClientIp", endpoint.preserve_client_ip)
    endpoint.transition("update")
    return ActionResult({"Return": True})


def delete_instance_connect_endpoint(response: Any) -> ActionResult:
    """Handle DeleteInstanceConnectEndpoint."""
    endpoint = _get(response)
    response.error_on_dryrun()
    if endpoint.verb != "delete":
        endpoint.transition("delete")
    return ActionResult({"InstanceConnectEndpoint": endpoint.describe()})


def apply() -> None:
    """Teach moto's EC2 the endpoints and their ids."""
    ec2_utils.EC2_RESOURCE_TO_PREFIX["instance-connect-endpoint"] = PREFIX
    ec2_utils.EC2_PREFIX_TO_RESOURCE[PREFIX] = "instance-connect-endpoint"
    for action in (
        create_instance_connect_endpoint,
        describe_instance_connect_endpoints,
        modify_instance_connect_endpoint,
        delete_instance_connect_endpoint,
    ):
        setattr(General, action.__name__, action)
