"""The module wafv2_association, and web ACLs as the lab's API has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lab.moto_patches import wafv2
from plugins.module_utils.planning import KNOWN_AFTER_APPLY
from plugins.modules import resource_ownership, wafv2_association

Run = Callable[..., dict[str, Any]]
OURS = {"vahana:app": "cars", "vahana:env": "prod"}


@pytest.fixture
def balancer() -> str:
    wafv2.apply()
    ec2 = boto3.client("ec2")
    subnets = [each["SubnetId"] for each in ec2.describe_subnets()["Subnets"][:2]]
    # Other tests of this process may have made moto ask for a way out.
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=ec2.describe_vpcs()["Vpcs"][0]["VpcId"])
    made = boto3.client("elbv2").create_load_balancer(Name="cars-prod", Subnets=subnets)
    return str(made["LoadBalancers"][0]["LoadBalancerArn"])


def acl(name: str, **tags: str) -> str:
    made = boto3.client("wafv2").create_web_acl(
        Name=name,
        Scope="REGIONAL",
        DefaultAction={"Allow": {}},
        VisibilityConfig={"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": name},
        Tags=[{"Key": key, "Value": value} for key, value in (tags or {"x": "y"}).items()],
    )
    return str(made["Summary"]["ARN"])


def protects(arn: str) -> list[str]:
    return list(boto3.client("wafv2").list_resources_for_web_acl(WebACLArn=arn)["ResourceArns"])


def test_protected_once_and_by_one(run_module: Run, balancer: str) -> None:
    one, two = acl("one"), acl("two")
    assert run_module(wafv2_association, check=True, web_acl_arn=one, resource_arn=balancer)["changed"]
    assert protects(one) == []
    assert run_module(wafv2_association, web_acl_arn=one, resource_arn=balancer)["changed"]
    for check in (True, False):
        assert not run_module(wafv2_association, check=check, web_acl_arn=one, resource_arn=balancer)["changed"]
    moved = run_module(wafv2_association, web_acl_arn=two, resource_arn=balancer)
    assert moved["diff"] == {"before": {"web_acl": one}, "after": {"web_acl": two}}
    assert (protects(one), protects(two)) == ([], [balancer])


def test_what_the_run_will_make_is_planned(run_module: Run, balancer: str) -> None:
    for new in (
        {"web_acl_arn": KNOWN_AFTER_APPLY, "resource_arn": balancer},
        {"web_acl_arn": "arn", "resource_arn": KNOWN_AFTER_APPLY},
    ):
        assert run_module(wafv2_association, check=True, **new)["changed"]


def test_a_load_balancer_that_waf_cannot_see_yet(
    run_module: Run, balancer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto.core.exceptions import JsonRESTError
    from moto.wafv2.models import WAFV2Backend

    associate, attempts = WAFV2Backend.associate_web_acl, []

    def unavailable(self: Any, *arguments: str) -> None:
        attempts.append(arguments)
        if len(attempts) < 3:
            raise JsonRESTError("WAFUnavailableEntityException", "AWS WAF couldn't retrieve a resource.")
        associate(self, *arguments)

    monkeypatch.setattr(wafv2_association, "POLL_SECONDS", 0)
    monkeypatch.setattr(WAFV2Backend, "associate_web_acl", unavailable)
    assert run_module(wafv2_association, web_acl_arn=acl("one"), resource_arn=balancer)["changed"]
    assert len(attempts) == 3
    failed = run_module(
        wafv2_association,
        web_acl_arn="arn:aws:wafv2:us-east-1:123456789012:regional/webacl/gone/1",
        resource_arn=balancer,
    )
    assert "WAFNonexistentItemException" in failed["msg"]


def test_what_is_in_use_cannot_be_deleted(run_module: Run, balancer: str) -> None:
    client, arn = boto3.client("wafv2"), acl("one")
    run_module(wafv2_association, web_acl_arn=arn, resource_arn=balancer)
    [found] = client.list_web_acls(Scope="REGIONAL")["WebACLs"]
    named = {"Name": "one", "Scope": "REGIONAL", "Id": found["Id"], "LockToken": found["LockToken"]}
    with pytest.raises(ClientError, match="WAFAssociatedItemException"):
        client.delete_web_acl(**named)
    boto3.client("elbv2").delete_load_balancer(LoadBalancerArn=balancer)
    client.delete_web_acl(**named)


def test_whose_a_web_acl_is(run_module: Run) -> None:
    acl("cars-prod", **OURS)
    acl("other")
    wanted = [{"type": "web_acl_regional", "name": "cars-prod"}, {"type": "web_acl_cloudfront", "name": "other"}]
    found = run_module(resource_ownership, tags=OURS, resources=wanted)["resources"]
    assert [each["name"] for each in found["web_acl_regional"]] == ["cars-prod"]
    assert found["web_acl_cloudfront"] == []
    refused = run_module(resource_ownership, tags=OURS, resources=[{"type": "web_acl_regional", "name": "other"}])
    assert "aws wafv2 tag-resource" in refused["msg"]
