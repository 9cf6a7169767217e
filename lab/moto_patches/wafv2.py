"""AWS WAF: what a web ACL protects counts.

Gaps closed:

- ListResourcesForWebACL is missing.
- A resource may have many web ACLs, and keeps them when it is gone; what does not exist can be protected.
- A web ACL that is in use can be deleted.
"""

from __future__ import annotations

import functools
import json
from typing import Any

from moto.cloudfront.models import cloudfront_backends
from moto.core.exceptions import JsonRESTError
from moto.elbv2.models import elbv2_backends
from moto.wafv2.exceptions import WAFNonexistentItemException
from moto.wafv2.models import WAFV2Backend
from moto.wafv2.responses import WAFV2Response
from moto.wafv2.utils import make_arn_for_wacl


def _balancers(backend: Any) -> list[str]:
    return list(elbv2_backends[backend.account_id][backend.region_name].load_balancers)


def _protected(backend: Any, acl: Any) -> list[str]:
    """ARNs of the load balancers behind a web ACL. Those that are gone are no more."""
    acl.associated_resources = [arn for arn in acl.associated_resources if arn in _balancers(backend)]
    return list(acl.associated_resources)


def _patch_backend() -> None:
    delete = WAFV2Backend.delete_web_acl
    disassociate = WAFV2Backend.disassociate_web_acl

    def associate_web_acl(self: Any, web_acl_arn: str, resource_arn: str) -> None:
        if web_acl_arn not in self.wacls or resource_arn not in _balancers(self):
            raise WAFNonexistentItemException
        disassociate(self, resource_arn)
        self.wacls[web_acl_arn].associated_resources.append(resource_arn)

    def delete_web_acl(self: Any, name: str, scope: str, _id: str, lock_token: str) -> None:
        arn = make_arn_for_wacl(
            name=name, account_id=self.account_id, region_name=self.region_name, _id=_id, scope=scope
        )
        distributions = cloudfront_backends[self.account_id]["aws"].distributions.values()
        used = {distribution.distribution_config["WebACLId"] for distribution in list(distributions)}
        if arn in used or (arn in self.wacls and scope == "REGIONAL" and _protected(self, self.wacls[arn])):
            raise JsonRESTError(
                "WAFAssociatedItemException",
                "AWS WAF couldn't perform the operation because your resource is being used by another resource or "
                "it's associated with another resource.",
            )
        delete(self, name, scope, _id, lock_token)

    def list_resources_for_web_acl(self: Any, arn: str) -> list[str]:
        if arn not in self.wacls:
            raise WAFNonexistentItemException
        return _protected(self, self.wacls[arn])

    WAFV2Backend.associate_web_acl = associate_web_acl
    WAFV2Backend.delete_web_acl = delete_web_acl
    WAFV2Backend.list_resources_for_web_acl = list_resources_for_web_acl


def _patch_api() -> None:
    def list_resources_for_web_acl(self: Any) -> Any:
        arns = self.wafv2_backend.list_resources_for_web_acl(self._get_param("WebACLArn"))
        return 200, {"Content-Type": "application/json"}, json.dumps({"ResourceArns": arns})

    WAFV2Response.list_resources_for_web_acl = list_resources_for_web_acl


@functools.cache
def apply() -> None:
    """Patch moto.wafv2."""
    _patch_backend()
    _patch_api()
