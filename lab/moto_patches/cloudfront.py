"""CloudFront: configurations that come back as sent, function stages, preconditions, invalidations that invalidate.

Gaps closed:

- A distribution drops OriginAccessControlId, function associations and whatever else moto's model does not name:
  configurations are kept whole and completed with AWS's defaults.
- ETags never change and If-Match is not looked at; enabled distributions can be deleted; what is in use can too.
- UpdateFunction, PublishFunction and TestFunction are missing, as are the two stages of a function.
- Unknown managed policies, unissued certificates, unpublished functions, taken host names are accepted.
- Invalidations do nothing and end in a state that AWS does not have (COMPLETED).
"""

from __future__ import annotations

import base64
import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any

from moto.cloudfront import models, urls
from moto.cloudfront.exceptions import CloudFrontException, NoSuchDistribution, NoSuchFunctionExists
from moto.cloudfront.responses import CloudFrontResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.wafv2.models import GLOBAL_REGION, wafv2_backends

from lab import cloudfront, cloudfront_functions, cloudfront_policies

FUNCTION_SIZE = 10 * 1024
"""Bytes a function's code may have:
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html#limits-functions"""

_purge: Callable[[str, list[str]], None] | None = None


def follow(purge: Callable[[str, list[str]], None] | None) -> None:
    """Have invalidations carried out.

    Args:
        purge: called with a distribution id and path patterns; None while there is no front door.
    """
    global _purge  # noqa: PLW0603 - one lab a process, like moto's own backends
    _purge = purge


def follow_states(real: bool) -> None:
    """Let a distribution's status be what somebody sets it to.

    Args:
        real: somebody does. Without it distributions are deployed at once, as in moto.
    """
    if real:
        models.Distribution.status = "InProgress"
    elif "status" in vars(models.Distribution):
        del models.Distribution.status


class Configuration(dict[str, Any]):
    """A distribution's configuration, in the API's own shape.

    moto reads some fields as attributes, so they can be read that way too.
    """

    def __getattr__(self, name: str) -> Any:
        """Return a field of the configuration."""
        if name == "caller_reference":
            name = "CallerReference"
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def _counted(value: dict[str, Any] | None) -> dict[str, Any]:
    """A list in CloudFront's way, with its quantity made right; an empty one has no Items."""
    items = (value or {}).get("Items") or []
    return {**(value or {}), "Quantity": len(items), **({"Items": items} if items else {})}


def _complete_behavior(behavior: dict[str, Any]) -> dict[str, Any]:
    complete = {
        "TrustedSigners": {"Enabled": False, "Quantity": 0},
        "TrustedKeyGroups": {"Enabled": False, "Quantity": 0},
        "SmoothStreaming": False,
        "Compress": False,
        "FieldLevelEncryptionId": "",
        "GrpcConfig": {"Enabled": False},
        **behavior,
    }
    for name in ("LambdaFunctionAssociations", "FunctionAssociations"):
        complete[name] = _counted(complete.get(name))
    methods = _counted(complete.get("AllowedMethods"))
    if not methods["Quantity"]:
        methods = {"Quantity": 2, "Items": ["HEAD", "GET"]}
    cached = _counted(methods.get("CachedMethods"))
    methods["CachedMethods"] = cached if cached["Quantity"] else {"Quantity": 2, "Items": ["HEAD", "GET"]}
    complete["AllowedMethods"] = methods
    return complete


def _complete_origin(origin: dict[str, Any]) -> dict[str, Any]:
    complete = {
        "OriginPath": "",
        "ConnectionAttempts": 3,
        "ConnectionTimeout": 10,
        "OriginShield": {"Enabled": False},
        "OriginAccessControlId": "",
        **origin,
    }
    complete["CustomHeaders"] = _counted(complete.get("CustomHeaders"))
    if "CustomOriginConfig" in complete:
        custom = {"OriginReadTimeout": 30, "OriginKeepaliveTimeout": 5, **complete["CustomOriginConfig"]}
        protocols = _counted(custom.get("OriginSslProtocols"))
        custom["OriginSslProtocols"] = protocols if protocols["Quantity"] else {"Quantity": 1, "Items": ["TLSv1.2"]}
        complete["CustomOriginConfig"] = custom
    return complete


def _complete_group(group: dict[str, Any]) -> dict[str, Any]:
    codes = _counted(group["FailoverCriteria"].get("StatusCodes"))
    return {
        "SelectionCriteria": "default",
        **group,
        "FailoverCriteria": {"StatusCodes": {**codes, "Items": [int(code) for code in codes.get("Items", [])]}},
        "Members": _counted(group["Members"]),
    }


def complete(config: dict[str, Any]) -> Configuration:
    """Add what CloudFront adds to a configuration, in the order-free shape that it gives back."""
    done = Configuration(
        {
            "DefaultRootObject": "",
            "Comment": "",
            "PriceClass": "PriceClass_All",
            "Enabled": True,
            "WebACLId": "",
            "HttpVersion": "http2",
            "IsIPV6Enabled": True,
            "ContinuousDeploymentPolicyId": "",
            "Staging": False,
            **copy.deepcopy(config),
        }
    )
    for name in ("Aliases", "OriginGroups", "CustomErrorResponses", "CacheBehaviors", "Origins"):
        done[name] = _counted(done.get(name))
    done["Origins"]["Items"] = [_complete_origin(origin) for origin in done["Origins"].get("Items", [])]
    if done["OriginGroups"]["Quantity"]:
        done["OriginGroups"]["Items"] = [_complete_group(group) for group in done["OriginGroups"]["Items"]]
    done["DefaultCacheBehavior"] = _complete_behavior(done["DefaultCacheBehavior"])
    if done["CacheBehaviors"]["Quantity"]:
        done["CacheBehaviors"]["Items"] = [_complete_behavior(each) for each in done["CacheBehaviors"]["Items"]]
    done["Logging"] = {"Enabled": False, "IncludeCookies": False, "Bucket": "", "Prefix": "", **done.get("Logging", {})}
    restriction = _counted(done.get("Restrictions", {}).get("GeoRestriction"))
    done["Restrictions"] = {"GeoRestriction": {"RestrictionType": "none", **restriction}}
    certificate = done.get("ViewerCertificate") or {"CloudFrontDefaultCertificate": True}
    if certificate.get("CloudFrontDefaultCertificate"):
        # With its own certificate CloudFront ignores what protocol is asked for.
        defaults = {"SSLSupportMethod": "vip", "MinimumProtocolVersion": "TLSv1", "CertificateSource": "cloudfront"}
        certificate = {**certificate, **defaults}
    else:
        certificate = {"CloudFrontDefaultCertificate": False, **certificate}
        if certificate.get("ACMCertificateArn"):
            certificate |= {"Certificate": certificate["ACMCertificateArn"], "CertificateSource": "acm"}
    done["ViewerCertificate"] = certificate
    return done


def behaviors(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All cache behaviors: the ordered ones, the default one last."""
    yield from config["CacheBehaviors"].get("Items", [])
    yield config["DefaultCacheBehavior"]


def function_arns(config: dict[str, Any]) -> set[str]:
    """ARNs of the functions that a configuration runs."""
    return {
        association["FunctionARN"]
        for behavior in behaviors(config)
        for association in behavior["FunctionAssociations"].get("Items", [])
    }


def _check(backend: Any, config: Configuration, own_id: str | None) -> None:
    """Refuse what CloudFront refuses.

    Raises:
        CloudFrontException: the configuration is not acceptable.
    """
    origins = {origin["Id"] for origin in config["Origins"]["Items"]}
    controls = {origin["OriginAccessControlId"] for origin in config["Origins"]["Items"]} - {""}
    for control in controls - set(backend.origin_access_controls):
        raise CloudFrontException("InvalidOriginAccessControl", f"The origin access control {control} does not exist.")
    policies = (
        ("CachePolicyId", cloudfront_policies.CACHE_POLICIES, "NoSuchCachePolicy", "cache policy"),
        (
            "OriginRequestPolicyId",
            cloudfront_policies.ORIGIN_REQUEST_POLICIES,
            "NoSuchOriginRequestPolicy",
            "origin request policy",
        ),
        (
            "ResponseHeadersPolicyId",
            cloudfront_policies.RESPONSE_HEADERS_POLICIES,
            "NoSuchResponseHeadersPolicy",
            "response headers policy",
        ),
    )
    groups = _check_groups(config, origins)
    for behavior in behaviors(config):
        writing = set(behavior["AllowedMethods"]["Items"]) - cloudfront.FAILOVER_METHODS
        if behavior["TargetOriginId"] in groups and writing:
            raise CloudFrontException(
                "InvalidArgument",
                "The parameter AllowedMethods cannot include POST, PUT, PATCH, or DELETE for a cached behavior "
                "associated with an origin group.",
            )
        if behavior["TargetOriginId"] not in origins | groups:
            raise CloudFrontException("NoSuchOrigin", "One or more of your origins or origin groups do not exist.")
        for field, known, code, words in policies:
            if behavior.get(field) and behavior[field] not in known:
                raise CloudFrontException(
                    code, f"The specified {words} does not exist: {behavior[field]} (the lab has the managed ones)."
                )
    for arn in function_arns(config):
        function = backend.functions.get(arn.rsplit("/", 1)[-1])
        if function is None or function.live is None:
            raise CloudFrontException(
                "InvalidFunctionAssociation", f"The function {arn} does not exist or is not published."
            )
    acl = config["WebACLId"]
    if acl and acl not in wafv2_backends[backend.account_id][GLOBAL_REGION].wacls:
        raise CloudFrontException(
            "InvalidWebACLId", f"The web ACL {acl} does not exist, or is not one of scope CLOUDFRONT."
        )
    _check_aliases(backend, config, own_id)


def _check_groups(config: Configuration, origins: set[str]) -> set[str]:
    """Refuse origin groups that CloudFront refuses, and return the ids of all.

    https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_OriginGroup.html
    """
    found = set[str]()
    for group in config["OriginGroups"].get("Items", []):
        members = [member["OriginId"] for member in group["Members"].get("Items", [])]
        codes = group["FailoverCriteria"]["StatusCodes"]["Items"]
        if not set(members) <= origins:
            raise CloudFrontException("NoSuchOrigin", "One or more of your origins or origin groups do not exist.")
        if len(set(members)) != cloudfront.GROUP_MEMBERS or len(members) != cloudfront.GROUP_MEMBERS:
            raise CloudFrontException("InvalidArgument", "An origin group has exactly two different members.")
        if not codes or set(codes) - cloudfront.FAILOVER_CODES:
            raise CloudFrontException("InvalidArgument", f"These are no status codes to fail over at: {codes}")
        if group["Id"] in origins | found:
            raise CloudFrontException("InvalidArgument", f"The id {group['Id']} is used twice.")
        found.add(group["Id"])
    return found


def _check_aliases(backend: Any, config: Configuration, own_id: str | None) -> None:
    aliases = config["Aliases"].get("Items", [])
    taken = {
        alias
        for distribution in backend.distributions.values()
        if distribution.distribution_id != own_id
        for alias in distribution.distribution_config["Aliases"].get("Items", [])
    }
    for alias in aliases:
        if alias in taken:
            raise CloudFrontException(
                "CNAMEAlreadyExists",
                "One or more of the CNAMEs you provided are already associated with a different resource.",
            )
    arn = config["ViewerCertificate"].get("ACMCertificateArn")
    if aliases and not arn:
        raise CloudFrontException(
            "InvalidViewerCertificate",
            "To add an alternate domain name (CNAME) to a CloudFront distribution, you must attach a trusted "
            "certificate that validates your authorization to use the domain name.",
        )
    if arn:
        from moto.acm.models import acm_backends

        certificate = acm_backends[backend.account_id]["us-east-1"]._certificates.get(arn)
        if certificate is not None:
            certificate.check()
        if certificate is None or certificate.status != "ISSUED":
            raise CloudFrontException(
                "InvalidViewerCertificate",
                "The specified SSL certificate doesn't exist, isn't in us-east-1 region, isn't valid, or doesn't "
                "include a valid certificate chain.",
            )
        for alias in aliases:
            wildcard = f"*.{alias.split('.', 1)[-1]}"
            if not {alias, wildcard} & {certificate.common_name, *certificate.sans}:
                raise CloudFrontException(
                    "InvalidViewerCertificate",
                    "The certificate that is attached to your distribution doesn't cover the alternate domain name "
                    f"(CNAME) that you're trying to add: {alias}",
                )


def _precondition(etag: str, if_match: str | None) -> None:
    if not if_match:
        raise CloudFrontException(
            "InvalidIfMatchVersion", "The If-Match version is missing or not valid for the resource."
        )
    if if_match != etag:
        raise CloudFrontException(
            "PreconditionFailed",
            "The request failed because it didn't meet the preconditions in one or more request-header fields.",
        )


def _patch_distributions() -> None:
    init = models.Distribution.__init__
    create = models.CloudFrontBackend.create_distribution_with_tags

    def init_distribution(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self.last_modified_time = utcnow()

    def create_distribution_with_tags(
        self: Any, distribution_config: dict[str, Any], tags: list[dict[str, str]]
    ) -> Any:
        _check(self, complete(distribution_config), None)
        return create(self, distribution_config, tags or [])

    def update_distribution(self: Any, dist_config: dict[str, Any], _id: str, if_match: str) -> Any:
        distribution = self.distributions.get(_id)
        if distribution is None:
            raise NoSuchDistribution
        _precondition(distribution.etag, if_match)
        config = complete(dist_config)
        if config["CallerReference"] != distribution.distribution_config["CallerReference"]:
            raise CloudFrontException("IllegalUpdate", "The update contains modifications that are not allowed.")
        _check(self, config, _id)
        distribution.distribution_config = config
        distribution.etag = models.random_id()
        distribution.last_modified_time = utcnow()
        return distribution, distribution.location, distribution.etag

    def delete_distribution(self: Any, distribution_id: str, if_match: str) -> None:
        distribution = self.distributions.get(distribution_id)
        if distribution is None:
            raise NoSuchDistribution
        _precondition(distribution.etag, if_match)
        if distribution.distribution_config["Enabled"]:
            raise CloudFrontException(
                "DistributionNotDisabled", "The distribution you are trying to delete has not been disabled."
            )
        del self.distributions[distribution_id]
        self.invalidations.pop(distribution_id, None)
        self.tagger.delete_all_tags_for_resource(distribution.arn)

    # moto builds its own partial model of the configuration; this is the whole one.
    models.DistributionConfig = complete
    models.DISTRIBUTION_CONFIG_FIELDS.extend(["Staging", "DefaultRootObject", "CustomErrorResponses"])
    models.Distribution.__init__ = init_distribution
    models.CloudFrontBackend.create_distribution_with_tags = create_distribution_with_tags
    models.CloudFrontBackend.update_distribution = update_distribution
    models.CloudFrontBackend.delete_distribution = delete_distribution


def _patch_invalidations() -> None:
    init = models.Invalidation.__init__
    create = models.CloudFrontBackend.create_invalidation

    def init_invalidation(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self.status = "Completed"

    def create_invalidation(self: Any, dist_id: str, paths: list[str], caller_ref: str) -> Any:
        for known in self.invalidations.get(dist_id, []):
            if known.caller_ref == caller_ref:
                if known.paths == paths:
                    return known
                raise CloudFrontException("InvalidArgument", "The caller reference was used with other paths.")
        invalidation = create(self, dist_id, paths, caller_ref)
        if _purge is not None:
            _purge(dist_id, paths)
        return invalidation

    models.Invalidation.__init__ = init_invalidation
    models.CloudFrontBackend.create_invalidation = create_invalidation


def _patch_access_controls() -> None:
    create = models.CloudFrontBackend.create_origin_access_control
    update = models.CloudFrontBackend.update_origin_access_control

    def create_origin_access_control(self: Any, config_dict: dict[str, str]) -> Any:
        if any(control.name == config_dict["Name"] for control in self.origin_access_controls.values()):
            raise CloudFrontException(
                "OriginAccessControlAlreadyExists",
                "An origin access control with the specified parameters already exists.",
            )
        return create(self, config_dict)

    def update_origin_access_control(self: Any, control_id: str, config: dict[str, str]) -> Any:
        control = update(self, control_id, config)
        control.etag = models.random_id()
        return control

    def delete_origin_access_control(self: Any, control_id: str) -> None:
        self.get_origin_access_control(control_id)
        for distribution in self.distributions.values():
            for origin in distribution.distribution_config["Origins"]["Items"]:
                if origin["OriginAccessControlId"] == control_id:
                    raise CloudFrontException(
                        "OriginAccessControlInUse", "The origin access control is in use by one or more distributions."
                    )
        del self.origin_access_controls[control_id]

    models.CloudFrontBackend.create_origin_access_control = create_origin_access_control
    models.CloudFrontBackend.update_origin_access_control = update_origin_access_control
    models.CloudFrontBackend.delete_origin_access_control = delete_origin_access_control


def _code(value: Any) -> bytes:
    """Function code as bytes: moto hands it over as it came, base64 in the request's XML."""
    if isinstance(value, bytes):
        return value
    return base64.b64decode(value)


def _patch_functions() -> None:
    init = models.CloudFrontFunction.__init__
    create = models.CloudFrontBackend.create_function

    def init_function(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self.code = _code(self.code)
        self.live = None

    def check_code(code: Any) -> None:
        if len(_code(code)) > FUNCTION_SIZE:
            raise CloudFrontException(
                "FunctionSizeLimitExceeded", "The function is too large. The maximum size is 10 KB."
            )

    def create_function(
        self: Any, name: str, function_config: dict[str, Any], function_code: Any, tags: list[dict[str, str]]
    ) -> Any:
        check_code(function_code)
        return create(self, name, function_config, function_code, tags)

    def stage(self: Any, name: str, wanted: str | None) -> Any:
        """A function at a stage; DEVELOPMENT unless told otherwise."""
        function = self.functions.get(name)
        found = function.live if function is not None and wanted == "LIVE" else function
        if found is None:
            raise NoSuchFunctionExists(name)
        if wanted == "LIVE":
            used = any(
                found.arn in function_arns(distribution.distribution_config)
                for distribution in self.distributions.values()
            )
            found.status = "DEPLOYED" if used else "UNASSOCIATED"
        return found

    def describe_function(response: Any) -> ActionResult:
        function = response.backend.function_at(response._get_param("Name"), response._get_param("Stage"))
        return ActionResult({"FunctionSummary": function.function_summary, "ETag": function.etag})

    def get_function(response: Any) -> ActionResult:
        function = response.backend.function_at(response._get_param("Name"), response._get_param("Stage"))
        return ActionResult(
            {"FunctionCode": function.code, "ETag": function.etag, "ContentType": "application/octet-stream"}
        )

    def update_function(response: Any) -> ActionResult:
        function = response.backend.function_at(response._get_param("Name"), None)
        _precondition(function.etag, response._get_param("IfMatch"))
        check_code(response._get_param("FunctionCode"))
        function.config = response._get_param("FunctionConfig", {})
        function.code = _code(response._get_param("FunctionCode"))
        function.etag = models.random_id()
        function.last_modified_time = utcnow()
        return ActionResult({"FunctionSummary": function.function_summary, "ETag": function.etag})

    def publish_function(response: Any) -> ActionResult:
        function = response.backend.function_at(response._get_param("Name"), None)
        _precondition(function.etag, response._get_param("IfMatch"))
        live = copy.copy(function)
        live.stage = "LIVE"
        live.etag = models.random_id()
        live.live = None
        live.last_modified_time = utcnow()
        function.live = live
        published = response.backend.function_at(function.name, "LIVE")
        return ActionResult({"FunctionSummary": published.function_summary})

    def test_function(response: Any) -> ActionResult:
        function = response.backend.function_at(response._get_param("Name"), response._get_param("Stage"))
        event = _code(response._get_param("EventObject"))
        result = cloudfront_functions.test(function.code.decode(), event.decode())
        return ActionResult(
            {
                "TestResult": {
                    "FunctionSummary": function.function_summary,
                    "ComputeUtilization": str(result.utilization),
                    "FunctionExecutionLogs": result.logs,
                    "FunctionErrorMessage": result.error,
                    "FunctionOutput": result.output,
                }
            }
        )

    def delete_function(self: Any, name: str, if_match: str) -> None:
        function = self.describe_function(name)
        _precondition(function.etag, if_match)
        for distribution in self.distributions.values():
            if function.arn in function_arns(distribution.distribution_config):
                raise CloudFrontException("FunctionInUse", "Cannot delete function, it is in use by distributions.")
        del self.functions[name]
        self.tagger.delete_all_tags_for_resource(function.arn)

    models.CloudFrontFunction.__init__ = init_function
    models.CloudFrontBackend.create_function = create_function
    models.CloudFrontBackend.function_at = stage
    models.CloudFrontBackend.delete_function = delete_function
    CloudFrontResponse.describe_function = describe_function
    CloudFrontResponse.get_function = get_function
    CloudFrontResponse.update_function = update_function
    CloudFrontResponse.publish_function = publish_function
    CloudFrontResponse.test_function = test_function
    for verb in ("publish", "test"):
        urls.url_paths[f"{{0}}/2020-05-31/function/(?P<function_name>[^/]+)/{verb}$"] = CloudFrontResponse.dispatch


def _patch_responses() -> None:
    def get_origin_access_control_config(response: Any) -> ActionResult:
        control = response.backend.get_origin_access_control(response._get_param("Id"))
        return ActionResult({"OriginAccessControlConfig": control, "ETag": control.etag})

    def delete_origin_access_control(response: Any) -> EmptyResult:
        control = response.backend.get_origin_access_control(response._get_param("Id"))
        _precondition(control.etag, response._get_param("IfMatch"))
        response.backend.delete_origin_access_control(control.id)
        return EmptyResult()

    def update_origin_access_control(response: Any) -> ActionResult:
        control = response.backend.get_origin_access_control(response._get_param("Id"))
        _precondition(control.etag, response._get_param("IfMatch"))
        config = response._get_param("OriginAccessControlConfig", {})
        control = response.backend.update_origin_access_control(control.id, config)
        return ActionResult(
            {"OriginAccessControl": {"Id": control.id, "OriginAccessControlConfig": control}, "ETag": control.etag}
        )

    CloudFrontResponse.get_origin_access_control_config = get_origin_access_control_config
    CloudFrontResponse.delete_origin_access_control = delete_origin_access_control
    CloudFrontResponse.update_origin_access_control = update_origin_access_control


@functools.cache
def apply() -> None:
    """Patch moto.cloudfront."""
    _patch_distributions()
    _patch_invalidations()
    _patch_access_controls()
    _patch_functions()
    _patch_responses()
