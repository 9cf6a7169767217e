"""Network interfaces that AWS's services make in a customer's subnets.

A load balancer or database has an address in a subnet, and AWS shows it as a "requester-managed" network interface:
it keeps subnet and security groups from being deleted until the service has really gone. The lab does the same, which
also keeps the addresses apart from those moto gives to instances.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


def allocate(backend: Any, subnet: Any, description: str, group_ids: Sequence[str], requester: str) -> Any:
    """Make an interface at a free address of the subnet and return it.

    Args:
        backend: moto's EC2 backend of the region.
        subnet: moto's subnet.
        description: AWS's wording, by which `find` finds it again ("ELB app/name/0123456789abcdef").
        group_ids: security groups; none means the VPC's default group.
        requester: the service that owns it ("amazon-elb").
    """
    # moto's NetworkInterface would draw an address at random, taken or not.
    address = subnet.get_available_subnet_ip(description)
    interface = backend.create_network_interface(
        subnet, address, group_ids=list(group_ids), description=description, delete_on_termination=False
    )
    interface.requester_managed = True
    interface.requester_id = requester
    interface.status = "in-use"
    return interface


def find(backend: Any, description: str) -> Iterator[Any]:
    """Yield the requester-managed interfaces whose description begins so."""
    for interface in list(backend.enis.values()):
        if interface.requester_managed and interface.description.startswith(description):
            yield interface


def release(interface: Any) -> None:
    """Delete the interface and free its address."""
    interface.delete()
