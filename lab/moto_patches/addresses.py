"""Public addresses: loopback ones, so that nothing sent to one can leave this machine.

moto draws the public address of an instance from a range that belongs to AWS, and elastic IPs from all of 127.0.0.0/8.
Here both come from the upper part of loopback, where the front door answers for them and no other service is.
"""

from __future__ import annotations

import functools
import random

from moto.ec2.models import elastic_ip_addresses, elastic_network_interfaces


def random_public_address() -> str:
    """A random address of 127.64.0.0/10, without those that end in 0 or 255."""
    # Not for secrets: only unlikely to meet another one.
    draw = random.randint
    return f"127.{draw(64, 127)}.{draw(0, 255)}.{draw(1, 254)}"


@functools.cache
def apply() -> None:
    """Patch moto.ec2's sources of public addresses."""
    elastic_ip_addresses.random_ip = random_public_address
    elastic_network_interfaces.random_public_ip = random_public_address
