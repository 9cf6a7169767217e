"""Elastic Load Balancing: attributes from the start, registration rules, target health as HAProxy sees it.

Gaps closed:

- DescribeLoadBalancerAttributes and DescribeTargetGroupAttributes lack most of AWS's defaults, which makes
  `elb_application_lb` fail (idle_timeout) and `elb_target_group` say changed on each run (stickiness).
- Any status code is taken for healthy.
- Every target is healthy, terminated ones too; draining does not exist; targets of any VPC are taken.
- Load balancers are named twice, need no second zone and no internet gateway, can be deleted against their
  protection, and stay known to their target groups afterwards.
- A listener or rule has tags that the tagging API does not list; a pending certificate is taken.
"""

from __future__ import annotations

import functools
import inspect
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from moto.core.resource_tagging import TaggedResource
from moto.elbv2 import models
from moto.elbv2.exceptions import (
    DuplicateLoadBalancerName,
    ELBClientError,
    LoadBalancerNotFoundError,
    SubnetNotFoundError,
    TargetGroupNotFoundError,
)

# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html
LOAD_BALANCER_DEFAULTS = {
    "access_logs.s3.enabled": "false",
    "access_logs.s3.bucket": "",
    "access_logs.s3.prefix": "",
    "client_keep_alive.seconds": "3600",
    "connection_logs.s3.enabled": "false",
    "connection_logs.s3.bucket": "",
    "connection_logs.s3.prefix": "",
    "deletion_protection.enabled": "false",
    "idle_timeout.timeout_seconds": "60",
    "load_balancing.cross_zone.enabled": "true",
    "routing.http.desync_mitigation_mode": "defensive",
    "routing.http.drop_invalid_header_fields.enabled": "false",
    "routing.http.preserve_host_header.enabled": "false",
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
    "routing.http.xff_client_port.enabled": "false",
    "routing.http.xff_header_processing.mode": "append",
    "routing.http2.enabled": "true",
    "waf.fail_open.enabled": "false",
    "zonal_shift.config.enabled": "false",
}

# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html
TARGET_GROUP_DEFAULTS = {
    "load_balancing.algorithm.anomaly_mitigation": "off",
    "stickiness.app_cookie.cookie_name": "",
    "stickiness.app_cookie.duration_seconds": "86400",
    "stickiness.lb_cookie.duration_seconds": "86400",
    "target_group_health.dns_failover.minimum_healthy_targets.count": "1",
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "1",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
}

# Hosted zones of Application Load Balancers: https://docs.aws.amazon.com/general/latest/gr/elb.html
HOSTED_ZONES = {
    "us-east-1": "Z35SXDOTRQ7X7K",
    "us-east-2": "Z3AADJGX6KTTL2",
    "us-west-1": "Z368ELLRRE2KJ0",
    "us-west-2": "Z1H1FL5HABSF5",
    "ap-south-1": "ZP97RAFLXTNZK",
    "ap-southeast-1": "Z1LMS91P8CMLE5",
    "ap-southeast-2": "Z1GM3OXH4ZPM65",
    "ap-northeast-1": "Z14GRHDCWA56QT",
    "ca-central-1": "ZQSVJUPU6J1EY",
    "eu-central-1": "Z215JYRZR1TBD5",
    "eu-west-1": "Z32O12XQLNTSW2",
    "eu-west-2": "ZHURV8PSTC4K8",
    "eu-west-3": "Z3Q77PNBQS71R4",
    "eu-north-1": "Z23TAZ6LKFMNIO",
    "sa-east-1": "Z2P70J7HTTTPLU",
}

Health = tuple[str, str | None, str | None]
"""State, reason code and description of a target, as DescribeTargetHealth words them."""

_measure: Callable[[Any, str], Health | None] | None = None


def follow(measure: Callable[[Any, str], Health | None] | None) -> None:
    """Take target health and load balancer states from the real load balancers.

    Args:
        measure: called with the target group and a target's id; None means "not in a load balancer yet". Without it
            (unit tests, no daemon) load balancers are active at once and registered targets healthy, as in moto.
    """
    global _measure  # noqa: PLW0603 - one lab a process, like moto's own backends
    _measure = measure


def refresh_usage(backend: Any) -> None:
    """Make each target group know exactly the load balancers whose listeners and rules forward to it."""
    used: dict[str, list[str]] = {}
    for balancer in list(backend.load_balancers.values()):
        for listener in list(balancer.listeners.values()):
            for rule in list(listener.rules.values()):
                for action in rule.actions:
                    for arn in backend._get_target_group_arns_from(action_data=action.data):
                        arns = used.setdefault(arn, [])
                        if balancer.arn not in arns:
                            arns.append(balancer.arn)
    for group in list(backend.target_groups.values()):
        group.load_balancer_arns = used.get(group.arn, [])


def draining_since(group: Any) -> dict[str, float]:
    """Targets that are being deregistered, with the time (seconds since 1970) it began; ended ones are dropped.

    A target stays `draining` for the whole deregistration delay, even when its last request has ended:
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
    """
    if not hasattr(group, "draining"):
        group.draining = {}
    delay = float(group.attributes["deregistration_delay.timeout_seconds"])
    for target, (since, _) in list(group.draining.items()):
        if time.time() - since >= delay:
            group.draining.pop(target, None)
    return {target: since for target, (since, _) in list(group.draining.items())}


def draining_port(group: Any, target: str) -> int:
    """The port a draining target was registered with."""
    _, port = group.draining[target]
    return int(port)


def _patch_load_balancers() -> None:
    balancer_init = models.FakeLoadBalancer.__init__
    create = models.ELBv2Backend.create_load_balancer
    delete = models.ELBv2Backend.delete_load_balancer

    def init_balancer(self: Any, *args: Any, **kwargs: Any) -> None:
        balancer_init(self, *args, **kwargs)
        self.attrs = dict(LOAD_BALANCER_DEFAULTS)
        region = self.arn.split(":")[3]
        self.canonical_hosted_zone_id = HOSTED_ZONES.get(region, self.canonical_hosted_zone_id)
        # AWS ends the name with a number, so that a successor of the same name has another address.
        self.dns_name = f"{self.name}-{int(self.arn.rsplit('/', 1)[1][:8], 16)}.{region}.elb.amazonaws.com"

    def activate(self: Any) -> None:
        if self.state == "provisioning" and _measure is None:
            self.state = "active"

    def create_load_balancer(
        self: Any, name: str, security_groups: list[str], subnet_ids: list[str], *args: Any, **kwargs: Any
    ) -> Any:
        if any(balancer.name == name for balancer in self.load_balancers.values()):
            raise DuplicateLoadBalancerName
        if _measure is not None and kwargs.get("loadbalancer_type") not in {None, "application"}:
            raise ELBClientError("OperationNotPermitted", "The lab runs Application Load Balancers only")
        mappings = kwargs.get("subnet_mappings") or (args[0] if args else None) or []
        ids = [*subnet_ids, *(mapping["SubnetId"] for mapping in mappings)]
        try:
            subnets = [self.ec2_backend.get_subnet(subnet_id) for subnet_id in ids]
        except Exception as error:
            raise SubnetNotFoundError from error
        if len({subnet.availability_zone for subnet in subnets}) < 2:
            raise ELBClientError(
                "ValidationError", "At least two subnets in two different Availability Zones must be specified"
            )
        if (kwargs.get("scheme") or "internet-facing") == "internet-facing":
            vpc_id = subnets[0].vpc_id
            gateways = self.ec2_backend.internet_gateways.values()
            if not any(gateway.vpc and gateway.vpc.id == vpc_id for gateway in gateways):
                raise ELBClientError("InvalidSubnet", f"VPC {vpc_id} has no internet gateway")
        return create(self, name, security_groups, subnet_ids, *args, **kwargs)

    def delete_load_balancer(self: Any, arn: str) -> None:
        balancer = self.load_balancers.get(arn)
        if balancer is None:
            return
        if balancer.attrs.get("deletion_protection.enabled") == "true":
            raise ELBClientError(
                "OperationNotPermitted",
                f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
            )
        for listener in balancer.listeners.values():
            for rule in listener.rules.values():
                self.tagging_service.delete_all_tags_for_resource(rule.arn)
            self.tagging_service.delete_all_tags_for_resource(listener.arn)
        self.tagging_service.delete_all_tags_for_resource(arn)
        delete(self, arn)

    models.FakeLoadBalancer.__init__ = init_balancer
    models.FakeLoadBalancer.activate = activate
    models.ELBv2Backend.create_load_balancer = create_load_balancer
    models.ELBv2Backend.delete_load_balancer = delete_load_balancer


def _patch_listeners() -> None:
    create = models.ELBv2Backend.create_listener
    validate = models.ELBv2Backend._validate_actions
    modify = models.ELBv2Backend.modify_listener

    def check_certificate(backend: Any, arn: str | None) -> None:
        if not arn or ":acm:" not in arn:
            return
        from moto.acm.models import acm_backends

        certificate = acm_backends[backend.account_id][backend.region_name]._certificates.get(arn)
        if certificate is not None:
            certificate.check()
        if certificate is None:
            raise ELBClientError("CertificateNotFound", f"Certificate '{arn}' not found")
        if certificate.status != "ISSUED":
            # AWS's own wording for a certificate that is still pending.
            raise ELBClientError(
                "UnsupportedCertificate",
                f"The certificate '{arn}' must have a fully-qualified domain name, a supported signature, "
                "and a supported key size.",
            )

    def create_listener(self: Any, load_balancer_arn: str, protocol: str, port: Any, *args: Any, **kwargs: Any) -> Any:
        balancer = self.load_balancers.get(load_balancer_arn)
        if balancer is None:
            raise LoadBalancerNotFoundError
        if any(str(listener.port) == str(port) for listener in balancer.listeners.values()):
            raise ELBClientError("DuplicateListener", "A listener already exists on this port for this load balancer")
        check_certificate(self, kwargs.get("certificate"))
        if protocol == "HTTPS" and not kwargs.get("certificate"):
            raise ELBClientError("ValidationError", "A certificate must be specified for HTTPS listeners")
        return create(self, load_balancer_arn, protocol, port, *args, **kwargs)

    def modify_listener(self: Any, arn: str, *args: Any, **kwargs: Any) -> Any:
        for certificate in kwargs.get("certificates") or []:
            check_certificate(self, certificate["CertificateArn"])
        return modify(self, arn, *args, **kwargs)

    def _validate_actions(self: Any, actions: list[Any]) -> None:
        validate(self, actions)
        for action in actions:
            if _measure is not None and str(action.type).startswith("authenticate-"):
                raise ELBClientError("InvalidLoadBalancerAction", "The lab's load balancers do not authenticate")

    models.ELBv2Backend._validate_actions = _validate_actions
    models.ELBv2Backend.create_listener = create_listener
    models.ELBv2Backend.modify_listener = modify_listener


def _demand_codes(codes: str) -> None:
    """Refuse what counts as healthy on no Application Load Balancer.

    :raises ELBClientError: unless all are from 200 to 499 (API_Matcher).
    """
    if not all(200 <= int(code) <= 499 for code in re.findall(r"\d+", codes)):
        raise ELBClientError("ValidationError", f"Health check matcher HTTP code '{codes}' must be within 200-499")


def _patch_target_groups() -> None:
    group_init = models.FakeTargetGroup.__init__
    create, modify = models.ELBv2Backend.create_target_group, models.ELBv2Backend.modify_target_group
    describe = models.ELBv2Backend.describe_target_groups
    remove = models.ELBv2Backend.delete_target_group

    def init_group(self: Any, *args: Any, **kwargs: Any) -> None:
        group_init(self, *args, **kwargs)
        self.draining = {}
        if self.protocol in {"HTTP", "HTTPS"}:
            self.attributes = {**TARGET_GROUP_DEFAULTS, **self.attributes}

    def create_target_group(self: Any, name: str, **kwargs: Any) -> Any:
        _demand_codes((kwargs.get("matcher") or {}).get("HttpCode") or "200")
        return create(self, name, **kwargs)

    def modify_target_group(*args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(modify).bind(*args, **kwargs).arguments
        _demand_codes(given.get("http_codes") or "200")
        return modify(*args, **kwargs)

    def register(self: Any, targets: list[dict[str, Any]]) -> None:
        for target in targets:
            identifier = target["Id"]
            if self.target_type == "instance":
                instance = self.ec2_backend.get_instance_by_id(identifier)
                if instance is None or instance.state != "running":
                    raise ELBClientError(
                        "InvalidTarget",
                        f"The following targets are not in a running state and cannot be registered: '{identifier}'",
                    )
                if instance.vpc_id != self.vpc_id:
                    raise ELBClientError(
                        "InvalidTarget",
                        f"The following targets are not in the target group VPC '{self.vpc_id}': '{identifier}'",
                    )
            self.targets[identifier] = {"Id": identifier, "Port": int(target.get("Port") or self.port)}
            self.draining.pop(identifier, None)

    def deregister(self: Any, targets: list[dict[str, Any]]) -> None:
        # "If the specified target does not exist, the action returns successfully" (API_DeregisterTargets).
        for target in targets:
            known = self.targets.pop(target["Id"], None)
            if known:
                self.draining[target["Id"]] = (time.time(), int(known["Port"]))

    def deregister_terminated_instances(self: Any, instance_ids: list[str]) -> None:
        self.deregister([{"Id": identifier} for identifier in instance_ids])

    def health_for(self: Any, target: dict[str, Any], ec2_backend: Any) -> Any:
        identifier = target["Id"]
        known = self.targets.get(identifier)
        if known is None and identifier in draining_since(self):
            known = {"Id": identifier, "Port": draining_port(self, identifier)}
            health: Health = (
                "draining",
                "Target.DeregistrationInProgress",
                "Target deregistration is in progress",
            )
        elif known is None:
            known = {"Id": identifier, "Port": int(target.get("Port") or self.port)}
            health = ("unused", "Target.NotRegistered", "Target is not registered to the target group")
        else:
            health = _registered_health(self, identifier, ec2_backend)
        check_port = self.health_check_port if self.health_check_port != "traffic-port" else str(known["Port"])
        return models.FakeHealthStatus(identifier, known["Port"], check_port, *health)

    def describe_target_groups(self: Any, *args: Any, **kwargs: Any) -> Any:
        refresh_usage(self)
        return describe(self, *args, **kwargs)

    def describe_target_health(self: Any, target_group_arn: str, targets: list[dict[str, Any]]) -> list[Any]:
        group = self.target_groups.get(target_group_arn)
        if group is None:
            raise TargetGroupNotFoundError
        refresh_usage(self)
        wanted = targets or [{"Id": identifier} for identifier in [*group.targets, *draining_since(group)]]
        return [group.health_for(target, self.ec2_backend) for target in wanted]

    def delete_target_group(self: Any, target_group_arn: str) -> Any:
        deleted = remove(self, target_group_arn)
        self.tagging_service.delete_all_tags_for_resource(target_group_arn)
        return deleted

    models.FakeTargetGroup.__init__ = init_group
    models.FakeTargetGroup.register = register
    models.FakeTargetGroup.deregister = deregister
    models.FakeTargetGroup.deregister_terminated_instances = deregister_terminated_instances
    models.FakeTargetGroup.health_for = health_for
    models.ELBv2Backend.create_target_group = create_target_group
    models.ELBv2Backend.modify_target_group = modify_target_group
    models.ELBv2Backend.describe_target_groups = describe_target_groups
    models.ELBv2Backend.describe_target_health = describe_target_health
    models.ELBv2Backend.delete_target_group = delete_target_group


def _registered_health(group: Any, identifier: str, ec2_backend: Any) -> Health:
    """Health of a registered target, reason codes of API_TargetHealth."""
    instance = ec2_backend.get_instance_by_id(identifier) if group.target_type == "instance" else None
    if instance is not None and instance.state != "running":
        return "unused", "Target.InvalidState", f"Target is in the {instance.state} state"
    if not group.load_balancer_arns:
        return (
            "unused",
            "Target.NotInUse",
            "Target group is not configured to receive traffic from the load balancer",
        )
    backend = models.elbv2_backends[group.account_id][group.region_name]
    balancers = [backend.load_balancers[arn] for arn in group.load_balancer_arns if arn in backend.load_balancers]
    zones = {subnet.availability_zone for balancer in balancers for subnet in balancer.subnets}
    if instance is not None and instance.placement.zone not in zones:
        return (
            "unused",
            "Target.NotInUse",
            "Target is in an Availability Zone that is not enabled for the load balancer",
        )
    if _measure is None:
        return "healthy", None, None
    return _measure(group, identifier) or (
        "initial",
        "Elb.RegistrationInProgress",
        "Target registration is in progress",
    )


def _patch_tagging() -> None:
    listed = models.ELBv2Backend.iter_tagged_resources

    def iter_tagged_resources(self: Any) -> Iterator[TaggedResource]:
        for resource in listed(self):
            # moto lists load balancers that were never tagged; AWS lists "tagged or previously tagged" ones.
            resource.extra.pop("include_untagged", None)
            yield resource
        for balancer in list(self.load_balancers.values()):
            for listener in list(balancer.listeners.values()):
                tagged = {listener.arn: "listener"}
                tagged |= {rule.arn: "listener-rule" for rule in listener.rules.values() if not rule.is_default}
                for arn, kind in tagged.items():
                    yield TaggedResource(
                        arn=arn,
                        tags=self.tagging_service.get_tag_dict_for_resource(arn),
                        resource_type=f"elasticloadbalancing:{kind}",
                    )

    def tag_resource(self: Any, arn: str, tags: dict[str, str]) -> None:
        self.add_tags([arn], [{"Key": key, "Value": value} for key, value in tags.items()])

    def untag_resource(self: Any, arn: str, tag_keys: list[str]) -> None:
        self.remove_tags([arn], tag_keys)

    models.ELBv2Backend.iter_tagged_resources = iter_tagged_resources
    models.ELBv2Backend.tag_resource = tag_resource
    models.ELBv2Backend.untag_resource = untag_resource


@functools.cache
def apply() -> None:
    """Patch moto.elbv2."""
    _patch_load_balancers()
    _patch_listeners()
    _patch_target_groups()
    _patch_tagging()
