"""Distributions, origin access controls and functions, from nothing to nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from lab.moto_patches import cloudfront
from plugins.module_utils.planning import KNOWN_AFTER_APPLY
from plugins.modules import cloudfront_distribution_v2, cloudfront_function, cloudfront_origin_access_control

TAGS = {"vahana:app": "cars", "vahana:env": "prod", "vahana:layer": "edge"}
OTHERS = {"vahana:app": "bikes", "vahana:env": "prod"}
OWNER = "vahana:app=cars vahana:env=prod"
CODE = "function handler(event) { return event.request; }"
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"

Run = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def patched() -> None:
    """The parts of CloudFront that moto lacks."""
    cloudfront.apply()


@pytest.fixture
def distribution(run_module: Run) -> Run:
    def run(**options: Any) -> dict[str, Any]:
        arguments = {
            "name": "cars-prod",
            "origins": [
                {
                    "id": "frontend",
                    "domain_name": "cars.s3.us-east-1.amazonaws.com",
                    "origin_access_control_id": access_control_id(),
                },
                {"id": "backend", "domain_name": "cars.us-east-1.elb.amazonaws.com", "protocol_policy": "http-only"},
            ],
            "default_behavior": {"origin_id": "frontend", "cache_policy_id": CACHING_OPTIMIZED},
            "behaviors": [
                {
                    "path_pattern": "/api/*",
                    "origin_id": "backend",
                    "cache_policy_id": CACHING_DISABLED,
                    "allowed_methods": ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"],
                }
            ],
            "default_root_object": "index.html",
            "tags": TAGS,
        }
        return run_module(cloudfront_distribution_v2, **{**arguments, **options})

    return run


def access_control_id() -> str:
    """Return the id of an origin access control, made when there is none."""
    client = boto3.client("cloudfront")
    for item in client.list_origin_access_controls()["OriginAccessControlList"].get("Items") or []:
        return str(item["Id"])
    config: Any = {
        "Name": "x",
        "SigningProtocol": "sigv4",
        "SigningBehavior": "always",
        "OriginAccessControlOriginType": "s3",
    }
    made = client.create_origin_access_control(OriginAccessControlConfig=config)
    return str(made["OriginAccessControl"]["Id"])


def config_of(distribution_id: str) -> Any:
    return boto3.client("cloudfront").get_distribution_config(Id=distribution_id)["DistributionConfig"]


def test_distribution_is_created_once(distribution: Run) -> None:
    planned = distribution(check=True)
    assert planned["changed"]
    assert planned["id"] == ""
    assert boto3.client("cloudfront").list_distributions()["DistributionList"]["Quantity"] == 0

    made = distribution()
    assert made["changed"]
    assert made["domain_name"].endswith(".cloudfront.net")
    config = config_of(made["id"])
    origins = {origin["Id"]: origin for origin in config["Origins"]["Items"]}
    assert origins["frontend"]["OriginAccessControlId"] == access_control_id()
    assert origins["backend"]["CustomOriginConfig"]["OriginProtocolPolicy"] == "http-only"
    assert config["CacheBehaviors"]["Items"][0]["AllowedMethods"]["Quantity"] == 7
    assert config["HttpVersion"] == "http2and3"

    again = distribution()
    assert not again["changed"]
    assert again["id"] == made["id"]
    assert not distribution(check=True)["changed"]


def test_distribution_says_and_makes_only_the_change(distribution: Run) -> None:
    made = distribution()
    planned = distribution(price_class="PriceClass_All", check=True)
    assert planned["changed"]
    assert config_of(made["id"])["PriceClass"] == "PriceClass_100"

    changed = distribution(price_class="PriceClass_All")
    before, after = changed["diff"]["before"], changed["diff"]["after"]
    assert {key for key in after if before[key] != after[key]} == {"PriceClass"}
    assert config_of(made["id"])["PriceClass"] == "PriceClass_All"
    assert not distribution(price_class="PriceClass_All")["changed"]


def test_distribution_keeps_what_it_does_not_manage(distribution: Run) -> None:
    made = distribution()
    client = boto3.client("cloudfront")
    answer = client.get_distribution_config(Id=made["id"])
    config: Any = answer["DistributionConfig"]
    config["CustomErrorResponses"] = {"Quantity": 1, "Items": [{"ErrorCode": 503, "ErrorCachingMinTTL": 0}]}
    client.update_distribution(Id=made["id"], IfMatch=answer["ETag"], DistributionConfig=config)
    assert not distribution()["changed"]
    assert distribution(ipv6=False)["changed"]
    assert config_of(made["id"])["CustomErrorResponses"]["Quantity"] == 1


def test_distribution_tags_follow(distribution: Run) -> None:
    made = distribution()
    assert distribution(tags={**TAGS, "vahana:tier": "full"})["changed"]
    tags = boto3.client("cloudfront").list_tags_for_resource(Resource=made["arn"])["Tags"]["Items"]
    assert {"Key": "vahana:tier", "Value": "full"} in tags
    assert not distribution(tags={**TAGS, "vahana:tier": "full"})["changed"]


def test_foreign_distribution_is_refused(distribution: Run) -> None:
    made = distribution()
    for options in ({}, {"state": "absent"}):
        refused = distribution(tags=OTHERS, **options)
        assert refused["failed"]
        assert "not tagged vahana:app=bikes" in refused["msg"]
    assert config_of(made["id"])["Enabled"]


def test_distribution_is_disabled_then_deleted(distribution: Run) -> None:
    distribution()
    assert distribution(state="absent", check=True)["changed"]
    first = distribution(state="absent")
    assert (first["changed"], first["status"]) == (True, "disabling")
    for _ in range(20):
        last = distribution(state="absent")
        if last["status"] == "absent":
            break
    assert (last["changed"], last["status"]) == (True, "absent")
    gone = distribution(state="absent")
    assert (gone["changed"], gone["status"]) == (False, "absent")


def test_a_disabled_distribution_is_enabled_again(distribution: Run) -> None:
    made = distribution()
    distribution(state="absent")
    assert distribution()["changed"]
    assert config_of(made["id"])["Enabled"]


def test_aliases_need_a_certificate(distribution: Run) -> None:
    refused = distribution(aliases=["cars.example.com"])
    assert refused["failed"]
    assert "certificate_arn" in refused["msg"]


READING = {"origin_id": "both", "cache_policy_id": CACHING_OPTIMIZED, "allowed_methods": ["GET", "HEAD", "OPTIONS"]}


def groups(*members: str, codes: list[int] | None = None) -> dict[str, Any]:
    """Options of a distribution whose first behaviour has a group of origins."""
    names = members or ("backend", "frontend")
    return {
        "origin_groups": [{"id": "both", "origin_ids": list(names), **({"status_codes": codes} if codes else {})}],
        "default_behavior": READING,
    }


def test_a_group_of_origins_is_made_changed_and_removed(distribution: Run) -> None:
    made = distribution()
    planned, done = distribution(check=True, **groups()), distribution(**groups())
    assert planned["changed"] and planned["diff"] == done["diff"]
    config = config_of(made["id"])
    [group] = config["OriginGroups"]["Items"]
    assert [member["OriginId"] for member in group["Members"]["Items"]] == ["backend", "frontend"]
    assert group["FailoverCriteria"]["StatusCodes"]["Items"] == [500, 502, 503, 504]
    assert config["DefaultCacheBehavior"]["TargetOriginId"] == "both"
    # Codes have no order, members have.
    assert not distribution(**groups(codes=[504, 503, 502, 500]))["changed"]
    assert distribution(**groups("frontend", "backend"))["changed"]
    assert distribution()["changed"] and config_of(made["id"])["OriginGroups"]["Quantity"] == 0
    assert not distribution()["changed"]


def test_a_plan_shows_what_only_the_run_will_know(distribution: Run) -> None:
    """Origins and functions that a plan could only name, as :mod:`plugins.module_utils.planning` has them."""
    config = config_of(distribution()["id"])
    abroad = {"id": "abroad", "domain_name": KNOWN_AFTER_APPLY, "origin_access_control_id": KNOWN_AFTER_APPLY}
    backend = {"id": "backend", "domain_name": KNOWN_AFTER_APPLY, "connection_attempts": 1, "connection_timeout": 1}
    planned = distribution(
        check=True,
        origins=[backend, abroad],
        origin_groups=[{"id": "both", "origin_ids": ["backend", "abroad"]}],
        default_behavior={**READING, "viewer_request_function_arn": KNOWN_AFTER_APPLY},
        behaviors=[],
    )
    assert planned["changed"] and config_of(planned["id"]) == config
    after = planned["diff"]["after"]
    origins = {each["Id"]: each for each in after["Origins"]["Items"]}
    assert [each["DomainName"] for each in origins.values()] == [KNOWN_AFTER_APPLY] * 2
    assert "S3OriginConfig" in origins["abroad"] and origins["backend"]["ConnectionTimeout"] == 1
    [function] = after["DefaultCacheBehavior"]["FunctionAssociations"]["Items"]
    assert function["FunctionARN"] == KNOWN_AFTER_APPLY
    assert after["OriginGroups"]["Quantity"] == 1


def test_how_an_origin_is_connected_to(distribution: Run) -> None:
    made = distribution()
    origin = {"id": "frontend", "domain_name": "cars.example.com", "connection_attempts": 1, "connection_timeout": 3}
    assert distribution(origins=[origin], behaviors=[])["changed"]
    assert not distribution(origins=[origin], behaviors=[])["changed"]
    [found] = config_of(made["id"])["Origins"]["Items"]
    assert (found["ConnectionAttempts"], found["ConnectionTimeout"]) == (1, 3)
    refused = distribution(origins=[{**origin, "connection_timeout": 11}], behaviors=[], check=True)
    assert "connection_timeout is 1 to 10" in refused["msg"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (groups("backend", "backend"), "two different ones"),
        (groups("backend", "elsewhere"), "two different ones"),
        (groups(codes=[404, 200]), "not [200]"),
        (
            {**groups(), "default_behavior": {**READING, "origin_id": "elsewhere"}},
            "no origin or origin group else",
        ),
        (
            {**groups(), "default_behavior": {**READING, "allowed_methods": ["GET", "HEAD", "POST"]}},
            "everything else allows POST, which CloudFront refuses for origin group both",
        ),
    ],
)
def test_a_plan_refuses_what_cloudfront_would(distribution: Run, options: dict[str, Any], message: str) -> None:
    refused = distribution(check=True, **options)
    assert refused["failed"] and message in refused["msg"]


def test_order_matters_only_where_cloudfront_says() -> None:
    wanted = {"Methods": ["HEAD", "GET"], "Origins": [{"Id": "b"}, {"Id": "a"}], "Behaviors": [{"P": "b"}, {"P": "a"}]}
    assert cloudfront_distribution_v2.canonical(wanted) == {
        "Methods": ["GET", "HEAD"],
        "Origins": [{"Id": "a"}, {"Id": "b"}],
        "Behaviors": [{"P": "b"}, {"P": "a"}],
    }


@pytest.fixture
def access_control(run_module: Run) -> Run:
    def run(**options: Any) -> dict[str, Any]:
        return run_module(cloudfront_origin_access_control, **{"name": "cars-prod-frontend", "owner": OWNER, **options})

    return run


def test_access_control_from_nothing_to_nothing(access_control: Run) -> None:
    assert access_control(check=True)["id"] == ""
    made = access_control()
    assert made["changed"]
    again = access_control()
    assert (again["changed"], again["id"]) == (False, made["id"])
    assert access_control(signing_behavior="never")["changed"]
    assert not access_control(signing_behavior="never")["changed"]
    assert access_control(state="absent", check=True)["changed"]
    assert access_control(state="absent")["changed"]
    assert not access_control(state="absent")["changed"]


def test_foreign_access_control_is_refused(access_control: Run) -> None:
    access_control(owner="somebody")
    for state in ("present", "absent"):
        assert "left alone" in access_control(state=state)["msg"]


@pytest.fixture
def function(run_module: Run) -> Run:
    def run(**options: Any) -> dict[str, Any]:
        return run_module(cloudfront_function, **{"name": "cars-prod-spa", "code": CODE, "tags": TAGS, **options})

    return run


def live_code() -> str:
    answer = boto3.client("cloudfront").get_function(Name="cars-prod-spa", Stage="LIVE")
    return str(answer["FunctionCode"].read().decode())


def test_function_is_published_and_republished_only_on_change(function: Run) -> None:
    assert function(check=True)["changed"]
    made = function()
    assert made["changed"]
    assert live_code() == CODE
    assert not function()["changed"]

    other = CODE.replace("return", "return /* new */")
    assert function(code=other, check=True)["changed"]
    assert live_code() == CODE
    changed = function(code=other)
    assert changed["diff"]["before"]["code"] == CODE
    assert live_code() == other
    assert not function(code=other)["changed"]


def test_function_that_was_never_published_is(function: Run) -> None:
    boto3.client("cloudfront").create_function(
        Name="cars-prod-spa",
        FunctionConfig={"Comment": "", "Runtime": "cloudfront-js-2.0"},
        FunctionCode=CODE.encode(),
        Tags={"Items": [{"Key": key, "Value": value} for key, value in TAGS.items()]},
    )
    assert function()["changed"]
    assert live_code() == CODE
    assert not function()["changed"]


def test_foreign_function_is_refused(function: Run) -> None:
    function()
    for state in ("present", "absent"):
        assert "not tagged vahana:app=bikes" in function(tags=OTHERS, state=state)["msg"]


def test_function_is_deleted_once(function: Run) -> None:
    function()
    assert function(state="absent", check=True)["changed"]
    assert function(state="absent")["changed"]
    assert not function(state="absent")["changed"]
