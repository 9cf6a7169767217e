"""The module apigatewayv2_http_api: an API with its integration, routes and stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from lab.moto_patches import apigatewayv2
from plugins.modules import apigatewayv2_http_api as api_module

Run = Callable[..., dict[str, Any]]
NAME, TAGS = "cars-prod", {"vahana:app": "cars", "vahana:env": "prod"}
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:cars-prod-api:live"
LOG_GROUP = "arn:aws:logs:us-east-1:123456789012:log-group:/cars/prod/api"


@pytest.fixture
def keep(run_module: Run) -> Run:
    apigatewayv2.apply()

    def run(check: bool = False, **arguments: Any) -> dict[str, Any]:
        return run_module(api_module, check, **{"name": NAME, "tags": TAGS, "function_arn": FUNCTION, **arguments})

    return run


def once(keep: Run, **arguments: Any) -> dict[str, Any]:
    """Plan, do it, and see that a second run finds nothing; return what the first said."""
    planned = keep(True, **arguments)
    done = keep(**arguments)
    assert planned["changed"] and done["changed"]
    assert planned["diff"] == done["diff"]
    again = keep(**arguments)
    assert not again["changed"] and not keep(True, **arguments)["changed"]
    assert (again["api_id"], again["arn"]) == (done["api_id"], done["arn"])
    return done


def there() -> dict[str, Any]:
    """What the API consists of, as the service tells it."""
    client = boto3.client("apigatewayv2")
    [api] = client.get_apis()["Items"]
    of_api = {"ApiId": api["ApiId"]}
    [integration] = client.get_integrations(**of_api)["Items"]
    routes = client.get_routes(**of_api)["Items"]
    assert {route["Target"] for route in routes} == {f"integrations/{integration['IntegrationId']}"}
    [stage] = client.get_stages(**of_api)["Items"]
    return {"api": api, "integration": integration, "routes": {r["RouteKey"] for r in routes}, "stage": stage}


def test_is_made_whole(keep: Run) -> None:
    made = once(keep, routes=["ANY /api/{proxy+}"], access_log_arn=f"{LOG_GROUP}:*")
    found = there()
    assert made["endpoint"] == found["api"]["ApiEndpoint"] and made["arn"].endswith(f"/apis/{made['api_id']}")
    assert found["api"]["Tags"] == TAGS
    integration = found["integration"]
    assert (integration["IntegrationUri"], integration["PayloadFormatVersion"]) == (FUNCTION, "2.0")
    assert (integration["IntegrationType"], integration["TimeoutInMillis"]) == ("AWS_PROXY", 30000)
    assert found["routes"] == {"ANY /api/{proxy+}"}
    stage = found["stage"]
    assert (stage["StageName"], stage["AutoDeploy"]) == ("$default", True)
    assert stage["AccessLogSettings"]["DestinationArn"] == LOG_GROUP
    limits = stage["DefaultRouteSettings"]
    assert (limits["ThrottlingRateLimit"], limits["ThrottlingBurstLimit"]) == (1000.0, 500)


def test_is_changed_in_place(keep: Run) -> None:
    before = keep(access_log_arn=LOG_GROUP)["api_id"]
    once(keep, access_log_arn=LOG_GROUP, function_arn=f"{FUNCTION}2", timeout=5)
    once(keep, access_log_arn=LOG_GROUP, routes=["GET /api/health", "$default"])
    once(keep, access_log_arn=LOG_GROUP, rate_limit=10)
    assert there()["stage"]["AccessLogSettings"]["DestinationArn"] == LOG_GROUP
    once(keep, rate_limit=10)
    assert "AccessLogSettings" not in there()["stage"]
    once(keep, cors={"allow_origins": ["https://cars.example.com"], "allow_methods": ["GET", "POST"]})
    assert there()["api"]["CorsConfiguration"]["AllowMethods"] == ["GET", "POST"]
    once(keep, cors={"allow_origins": ["https://cars.example.com"]})
    once(keep, default_endpoint=False, description="Cars", tags={**TAGS, "Name": NAME})
    assert "CorsConfiguration" not in there()["api"]
    assert keep(default_endpoint=False, description="Cars", tags={**TAGS, "Name": NAME})["api_id"] == before


def test_what_is_half_made_is_finished(keep: Run) -> None:
    boto3.client("apigatewayv2").create_api(Name=NAME, ProtocolType="HTTP", Tags=TAGS)
    once(keep)
    assert there()["routes"] == {"$default"}


def test_others_of_the_same_name_are_left_alone(keep: Run) -> None:
    other = boto3.client("apigatewayv2").create_api(Name=NAME, ProtocolType="HTTP")["ApiId"]
    made = once(keep)["api_id"]
    assert made != other
    assert keep(True, state="absent")["changed"]
    gone = keep(state="absent")
    assert gone["changed"] and gone["api_id"] == ""
    assert [api["ApiId"] for api in boto3.client("apigatewayv2").get_apis()["Items"]] == [other]
    assert not keep(state="absent")["changed"]


def test_no_answer_may_take_longer_than_api_gateway_waits(keep: Run) -> None:
    assert "waits from 1 to 30 seconds" in keep(timeout=31)["msg"]
