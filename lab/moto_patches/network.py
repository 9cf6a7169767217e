"""Network ACLs and interfaces: what AWS tells of them and moto does not.

- A rule of an ACL about ICMP keeps its type and code. moto asks for them by a name that its parser does not give.
- An interface that a service has made (`lab.interfaces`) is attached to something of that service's.
  https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html
"""

from __future__ import annotations

import functools
from typing import Any

from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.responses.network_acls import NetworkACLs


@functools.cache
def apply() -> None:
    """Patch moto.ec2."""
    ask = NetworkACLs._get_param
    attached = NetworkInterface.attachment.fget
    assert attached

    def parameter(self: Any, name: str, if_none: Any = None) -> Any:
        return ask(self, name.replace("Icmp.", "IcmpTypeCode."), if_none)

    def attachment(self: Any) -> Any:
        if not self.requester_managed:
            return attached(self)
        return {
            "AttachmentId": f"ela-attach-{self.id.removeprefix('eni-')}",
            "DeleteOnTermination": False,
            "DeviceIndex": 1,
            "InstanceOwnerId": self.requester_id,
            "Status": "attached",
        }

    NetworkACLs._get_param = parameter
    NetworkInterface.attachment = property(attachment)
