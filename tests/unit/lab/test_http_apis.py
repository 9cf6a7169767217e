"""HTTP APIs at the front door: routes, events, answers, versions of the function; alone and as an origin."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import urllib.error
import urllib.request
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab import functions, http_apis, served
from lab.frontdoor import FrontDoor
from lab.moto_patches import apigatewayv2, awslambda
from lab.reconcilers.functions import PollingFunctions, all_functions

Client = Callable[[str], Any]
LOG_GROUP = "/cars/prod/api"
CODE = """
export const handler = async (event) => {
  if (event.rawPath === '/api/fails') throw new Error('out of cheese');
  if (event.rawPath === '/api/plain') return { cheese: true };
  if (event.rawPath === '/api/picture') {
    return { statusCode: 200, headers: { 'Content-Type': 'image/png' }, isBase64Encoded: true, body: 'iVBORw==' };
  }
  const answer = { version: 'RELEASE', event };
  return {
    statusCode: event.body ? 201 : 200,
    headers: { 'Content-Type': 'application/json' },
    cookies: ['a=1', 'b=2'],
    body: JSON.stringify(answer),
  };
};
"""


def archive(release: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr("package.json", '{"type": "module"}')
        packed.writestr("index.js", CODE.replace("RELEASE", release))
    return content.getvalue()


def route(key: str) -> Any:
    return SimpleNamespace(route_key=key)


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("GET", "/api/cars", "GET /api/cars"),
        ("PUT", "/api/cars", "ANY /api/{proxy+}"),
        ("GET", "/api/cars/7", "GET /api/cars/{id}"),
        ("GET", "/api/cars/new", "GET /api/cars/new"),
        ("DELETE", "/api/cars/7", "ANY /api/cars/{id}"),
        ("GET", "/api/cars/7/images", "ANY /api/{proxy+}"),
        ("GET", "/api", "$default"),
        ("GET", "/", "$default"),
    ],
)
def test_the_route_that_says_most_is_taken(method: str, path: str, key: str) -> None:
    keys = ("$default", "ANY /api/{proxy+}", "ANY /api/cars/{id}", "GET /api/cars/{id}", "GET /api/cars/new")
    routes = [route(each) for each in (*keys, "GET /api/cars")]
    found = http_apis.match(routes, method, path)
    assert found is not None and found.route_key == key
    assert http_apis.match([route("GET /api/cars")], "POST", "/api/cars") is None


def test_variables_are_decoded() -> None:
    assert http_apis.variables("/api/cars/{id}", "/api/cars/a%20b") == {"id": "a b"}
    assert http_apis.variables("/api/{proxy+}", "/api/cars/7") == {"proxy": "cars/7"}
    assert http_apis.variables("/api/{proxy+}", "/api/") is None


def test_a_stage_refuses_what_is_too_much() -> None:
    limiter = http_apis.Limiter()
    assert [limiter.admits("a", 2.0, 3.0, 10.0) for _ in range(4)] == [True, True, True, False]
    assert limiter.admits("b", 2.0, 3.0, 10.0)
    assert [limiter.admits("a", 2.0, 3.0, 11.0) for _ in range(3)] == [True, True, False]


def test_durations_are_passed_on_as_they_are_spread() -> None:
    some = served.Served()
    for number in range(1000):
        some.add("us-east-1", "AWS/Lambda", [{"FunctionName": "cars"}], {}, {"Duration": float(number)})
    values = [value for *_, value, _ in some.take()]
    assert (len(values), values[0], values[50]) == (100, 999.0, 499.0)
    assert list(some.take()) == []


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PollingFunctions]:
    """The part of the lab that runs functions."""
    monkeypatch.setenv("VAHANA_LAB_HOME", str(tmp_path / "home"))
    apigatewayv2.apply()
    awslambda.apply()
    polling = PollingFunctions(functions.Functions("http://127.0.0.1:9"))
    yield polling
    polling.close()


@pytest.fixture
def api(lab: PollingFunctions, client: Client) -> str:
    """Id of an API in front of the alias `live` of a function."""
    role = client("iam").create_role(RoleName="cars", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    client("lambda").create_function(
        FunctionName="cars",
        Runtime="nodejs24.x",
        Role=role,
        Handler="index.handler",
        Code={"ZipFile": archive("one")},
        Timeout=30,
        Publish=True,
    )
    alias = client("lambda").create_alias(FunctionName="cars", Name="live", FunctionVersion="1")["AliasArn"]
    gateway = client("apigatewayv2")
    made = gateway.create_api(Name="cars", ProtocolType="HTTP")["ApiId"]
    integration = gateway.create_integration(
        ApiId=made, IntegrationType="AWS_PROXY", IntegrationUri=alias, PayloadFormatVersion="2.0"
    )["IntegrationId"]
    gateway.create_route(ApiId=made, RouteKey="ANY /api/{proxy+}", Target=f"integrations/{integration}")
    client("logs").create_log_group(logGroupName=LOG_GROUP)
    gateway.create_stage(
        ApiId=made,
        StageName="$default",
        AutoDeploy=True,
        AccessLogSettings={
            "DestinationArn": f"arn:aws:logs:us-east-1:123456789012:log-group:{LOG_GROUP}",
            "Format": "$context.httpMethod $context.path $context.status $context.integrationErrorMessage",
        },
    )
    return str(made)


def permit(client: Client, api: str) -> None:
    """Let API Gateway invoke the alias for this API."""
    client("lambda").add_permission(
        FunctionName="cars",
        Qualifier="live",
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:us-east-1:123456789012:{api}/*",
    )


@contextlib.contextmanager
def front_door() -> Iterator[Callable[..., tuple[int, Any, bytes]]]:
    """Start one and ask it; what is made after it is seen half a second later."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = FrontDoor(("127.0.0.1",), port, None)
    made.start()

    def ask(path: str, host: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, bytes]:
        named = {"Host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, named)
        try:
            with urllib.request.urlopen(request, timeout=60) as found:
                return found.status, found.headers, found.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    yield ask
    made.close()


def test_a_request_becomes_an_event_and_its_answer_a_response(client: Client, api: str) -> None:
    host = f"{api}.execute-api.us-east-1.amazonaws.com"
    with front_door() as ask:
        # Nobody has permitted it.
        assert ask("/api/cars", host)[0] == 500
        permit(client, api)
        status, headers, body = ask(
            "/api/cars?q=a+b&q=c&x=", host, b'{"a":1}', Content_Type="application/json", Cookie="s=1; t=2"
        )
        event = json.loads(body)["event"]
        assert (status, headers.get_all("Set-Cookie")) == (201, ["a=1", "b=2"])
        assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "ANY /api/{proxy+}", "/api/cars")
        assert event["queryStringParameters"] == {"q": "a b,c", "x": ""}
        assert (event["cookies"], event["pathParameters"]) == (["s=1", "t=2"], {"proxy": "cars"})
        assert (event["body"], event["isBase64Encoded"]) == ('{"a":1}', False)
        context = event["requestContext"]
        assert (context["apiId"], context["domainName"], context["http"]["method"]) == (api, host, "POST")
        assert context["requestId"] == headers["apigw-requestid"]
        binary = json.loads(ask("/api/cars", host, b"\x00\xff", Content_Type="image/png")[2])["event"]
        assert (binary["body"], binary["isBase64Encoded"]) == ("AP8=", True)
        assert json.loads(ask("/api/plain", host)[2]) == {"cheese": True}
        assert ask("/api/picture", host)[2] == b"\x89PNG"
        assert json.loads(ask("/api/fails", host)[2]) == {"message": "Internal Server Error"}
        assert (ask("/elsewhere", host)[0], ask("/api/cars", f"{api}.localhost")[0]) == (404, 200)
    events = client("logs").filter_log_events(logGroupName=LOG_GROUP)["events"]
    lines = [event["message"] for event in events]
    assert lines[0].startswith("GET /api/cars 500 ") and "does not permit" in lines[0]
    assert "POST /api/cars 201 -" in lines
    assert any(line.startswith("GET /api/fails 500 ") and "out of cheese" in line for line in lines)


def test_an_alias_shares_requests_between_two_versions(client: Client, api: str, lab: PollingFunctions) -> None:
    permit(client, api)
    host = f"{api}.execute-api.us-east-1.amazonaws.com"
    made = client("lambda").update_function_code(FunctionName="cars", ZipFile=archive("two"), Publish=True)["Version"]
    client("lambda").update_alias(
        FunctionName="cars", Name="live", RoutingConfig={"AdditionalVersionWeights": {made: 0.5}}
    )
    # Environments of every version are kept.
    assert {str(function.version) for function in all_functions()} == {"$LATEST", "1", made}
    lab.reconcile()
    list(served.SERVED.take())
    with front_door() as ask:
        seen = Counter(json.loads(ask("/api/cars", host)[2])["version"] for _ in range(39))
        assert ask("/api/fails", host)[0] == 500
        told = {(name, *sorted(dimensions.values())): value for _, _, name, value, dimensions in served.SERVED.take()}
        assert told["Count", api] == told["Invocations", "cars"] == 40
        assert told["5xx", "$default", api] == told["Errors", "cars", "cars:live"] == 1
        by_version = [told["Invocations", version, "cars", "cars:live"] for version in ("1", made)]
        assert sum(by_version) == 40 and min(by_version) >= 5
        assert set(seen) == {"one", "two"} and min(seen.values()) >= 5
        client("lambda").update_alias(FunctionName="cars", Name="live", FunctionVersion=made, RoutingConfig={})
        assert {json.loads(ask("/api/cars", host)[2])["version"] for _ in range(5)} == {"two"}
    answer = client("lambda").invoke(FunctionName="cars", Qualifier="1", Payload=b'{"rawPath":"/"}')
    assert answer["ExecutedVersion"] == "1"


def test_cloudfront_asks_an_api(client: Client, api: str) -> None:
    permit(client, api)
    origin = {
        "Id": "api",
        "DomainName": f"{api}.execute-api.us-east-1.amazonaws.com",
        "CustomOriginConfig": {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"},
    }
    name = client("cloudfront").create_distribution(
        DistributionConfig={
            "CallerReference": "1",
            "Comment": "",
            "Enabled": True,
            "Origins": {"Quantity": 1, "Items": [origin]},
            "DefaultCacheBehavior": {
                "TargetOriginId": "api",
                "ViewerProtocolPolicy": "allow-all",
                "CachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
                "OriginRequestPolicyId": "b689b0a8-53d0-40ab-baf2-68738e2966ac",
                "AllowedMethods": {"Quantity": 3, "Items": ["GET", "HEAD", "POST"]},
            },
        }
    )["Distribution"]["DomainName"]
    with front_door() as ask:
        status, headers, body = ask("/api/cars?q=1", name, b"text", Content_Type="text/plain")
        event = json.loads(body)["event"]
        assert (status, headers["Server"], event["body"]) == (201, "CloudFront", "text")
        assert (event["rawQueryString"], event["headers"]["host"]) == ("q=1", origin["DomainName"])
