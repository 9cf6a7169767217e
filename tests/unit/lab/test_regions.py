"""A region that is cut off: what does not answer, what goes on in the other, and what both have when it is back."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import secrets
import socket
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import aiohttp
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from moto.sqs.models import sqs_backends
from yarl import URL

from lab import api, cli, functions, health, metrics, regions, settings
from lab.frontdoor import FrontDoor, Unreachable
from lab.moto_patches import acm, awslambda, dynamodb
from lab.reconcilers.base import Reconciler
from lab.reconcilers.functions import PollingFunctions
from lab.reconcilers.health_checks import HealthChecks
from lab.reconcilers.tables import Tables

HOME, ABROAD = "us-east-1", "eu-west-1"
TABLE, DOMAIN = "cars", "api.cars.example.com"
INTERVAL, THRESHOLD = 10, 2
"""What Route 53 is told: seconds between checks, failures in a row."""
ALIAS_TTL, SHORT_TTL = 60, 10
PERIOD = 6.0
"""Seconds of a minute here: Route 53 is ten times as fast."""
CONNECT = 1
"""Seconds that CloudFront waits for a connection, once."""
SLOW = 20
"""Seconds that a busy machine may need in addition."""

CODE = """
import { DynamoDBClient, PutItemCommand, GetItemCommand } from '@aws-sdk/client-dynamodb';
const client = new DynamoDBClient({ maxAttempts: 1 });
const TableName = 'cars';
export const handler = async (event) => {
  const region = process.env.AWS_REGION;
  const answer = (statusCode, body) => ({ statusCode, body: JSON.stringify({ region, ...body }) });
  if (event.rawPath === '/api/health') return answer(200, {});
  const pk = event.rawPath;
  if (event.requestContext.http.method === 'PUT') {
    await client.send(new PutItemCommand({ TableName, Item: { pk: { S: pk }, price: { N: event.body } } }));
    return answer(201, {});
  }
  const { Item } = await client.send(new GetItemCommand({ TableName, Key: { pk: { S: pk } } }));
  return Item ? answer(200, { price: Number(Item.price.N) }) : answer(404, {});
};
"""
EDGE = """import cf from 'cloudfront';
function handler(event) {
  if (['GET', 'HEAD', 'OPTIONS'].includes(event.request.method)) {
    cf.createRequestOriginGroup({
      originIds: [{ originId: 'home' }, { originId: 'abroad' }],
      failoverCriteria: { statusCodes: [500, 502, 503, 504] },
    });
  }
  return event.request;
}
"""
DISABLED, EXCEPT_HOST = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad", "b689b0a8-53d0-40ab-baf2-68738e2966ac"
READING = ["GET", "HEAD", "OPTIONS"]
ALL = [*READING, "PUT", "POST", "PATCH", "DELETE"]


def client(service: Any, region: str = HOME, url: str | None = None) -> Any:
    quick = Config(retries={"total_max_attempts": 1})
    return boto3.client(service, region_name=region, endpoint_url=url, config=quick)


@pytest.fixture(autouse=True)
def healed() -> Iterator[None]:
    """No region stays cut off for other tests."""
    yield
    for region in (HOME, ABROAD):
        regions.heal(region)


@dataclass
class Lab:
    """What of the lab runs here, and how it is asked."""

    endpoint: str
    door: int
    apis: dict[str, str] = field(default_factory=dict)
    checks: dict[str, str] = field(default_factory=dict)

    def ask(self, host: str, path: str, price: int | None = None) -> tuple[int, dict[str, Any]]:
        """Read what is at a path, or put a price there."""
        body = None if price is None else str(price).encode()
        headers = {"Host": host, "Content-Type": "text/plain"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.door}{path}", body, headers)
        request.method = "GET" if price is None else "PUT"
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with contextlib.suppress(ValueError):
                return error.code, dict(json.load(error))
            return error.code, {}

    def own(self, region: str) -> str:
        """Host name of a region's API."""
        return f"{self.apis[region]}.execute-api.{region}.amazonaws.com"

    def first(self, host: str, path: str, price: int | None = None) -> tuple[float, dict[str, Any]]:
        """Seconds until a request succeeds, asked again and again, and what it was answered."""
        began = time.monotonic()
        while time.monotonic() < began + 60:
            status, answer = self.ask(host, path, price)
            if status < 300:
                return time.monotonic() - began, answer
            time.sleep(0.05)
        raise AssertionError(f"{host}{path} was never answered")


def free_port() -> int:
    with socket.socket() as free:
        free.bind((settings.LOOPBACK, 0))
        return int(free.getsockname()[1])


def archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr("package.json", '{"type": "module"}')
        packed.writestr("index.js", CODE)
    return content.getvalue()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, account: None) -> Iterator[Lab]:
    """The API, functions, the front door, health checks and replication, with an API over one table in two regions."""
    monkeypatch.setenv("VAHANA_LAB_HOME", str(tmp_path))
    metrics.set_pace(metrics.Pace(PERIOD))
    port = free_port()
    service = api.Api(lambda: None, (settings.LOOPBACK,), 0)
    made = Lab(f"http://{settings.LOOPBACK}:{service.port}", port)
    door = FrontDoor((settings.LOOPBACK,), port, None)
    running: list[Reconciler] = [
        PollingFunctions(functions.Functions(made.endpoint)),
        HealthChecks((settings.LOOPBACK, port)),
        Tables(),
    ]
    parts: list[Any] = [service, door, *running]
    for part in parts:
        part.start()
    _make_table()
    role = client("iam").create_role(RoleName="cars", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    client("iam").put_role_policy(
        RoleName="cars",
        PolicyName="table",
        PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}}
        ),
    )
    for region in (HOME, ABROAD):
        made.apis[region] = _make_api(region, role)
        config = {
            "Type": "HTTPS",
            "FullyQualifiedDomainName": made.own(region),
            "ResourcePath": "/api/health",
            "RequestInterval": INTERVAL,
            "FailureThreshold": THRESHOLD,
        }
        answer = client("route53").create_health_check(CallerReference=region, HealthCheckConfig=config)
        made.checks[region] = answer["HealthCheck"]["Id"]
    yield made
    for part in reversed(parts):
        part.close()


def _make_table(url: str | None = None) -> None:
    client("dynamodb", url=url).create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    client("dynamodb", url=url).update_table(TableName=TABLE, ReplicaUpdates=[{"Create": {"RegionName": ABROAD}}])


def _make_api(region: str, role: str) -> str:
    made = client("lambda", region).create_function(
        FunctionName="cars",
        Runtime="nodejs24.x",
        Role=role,
        Handler="index.handler",
        Code={"ZipFile": archive()},
        Timeout=20,
    )
    client("lambda", region).add_permission(
        FunctionName="cars", StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com"
    )
    gateway = client("apigatewayv2", region)
    identifier = str(gateway.create_api(Name="cars", ProtocolType="HTTP")["ApiId"])
    integration = gateway.create_integration(
        ApiId=identifier,
        IntegrationType="AWS_PROXY",
        IntegrationUri=made["FunctionArn"],
        PayloadFormatVersion="2.0",
    )["IntegrationId"]
    gateway.create_route(ApiId=identifier, RouteKey="ANY /api/{proxy+}", Target=f"integrations/{integration}")
    gateway.create_stage(ApiId=identifier, StageName="$default", AutoDeploy=True)
    return identifier


def make_domain(lab: Lab, **policies: dict[str, Any]) -> None:
    """Let the APIs answer at one domain, by a record with a policy a region: an alias, or with a TTL a CNAME."""
    zone = client("route53").create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]

    def keep(record: dict[str, Any]) -> None:
        batch = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
        client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)

    proof = acm.validation_record(settings.ACCOUNT_ID, DOMAIN)
    keep({"Name": proof["Name"], "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": proof["Value"]}]})
    for name, policy in policies.items():
        region = name.replace("_", "-")
        arn = client("acm", region).request_certificate(DomainName=DOMAIN, ValidationMethod="DNS")["CertificateArn"]
        gateway = client("apigatewayv2", region)
        [made] = gateway.create_domain_name(
            DomainName=DOMAIN,
            DomainNameConfigurations=[{"CertificateArn": arn, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}],
        )["DomainNameConfigurations"]
        gateway.create_api_mapping(DomainName=DOMAIN, ApiId=lab.apis[region], Stage="$default")
        record = {"Name": DOMAIN, "SetIdentifier": region, "HealthCheckId": lab.checks[region], **policy}
        if "TTL" in policy:
            keep({**record, "Type": "CNAME", "ResourceRecords": [{"Value": made["ApiGatewayDomainName"]}]})
            continue
        target = {"DNSName": made["ApiGatewayDomainName"], "HostedZoneId": made["HostedZoneId"]}
        keep({**record, "Type": "A", "AliasTarget": {**target, "EvaluateTargetHealth": False}})


def origin(name: str, domain: str) -> dict[str, Any]:
    return {
        "Id": name,
        "DomainName": domain,
        "ConnectionAttempts": 1,
        "ConnectionTimeout": CONNECT,
        "CustomOriginConfig": {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"},
    }


def distribute(origins: dict[str, str], methods: list[str], target: str, **behavior: Any) -> str:
    """Make a distribution of APIs, by the ids that its origins are to have; return its domain."""
    return distribute_origins([origin(*each) for each in origins.items()], methods, target, **behavior)


def distribute_origins(origins: list[dict[str, Any]], methods: list[str], target: str, **behavior: Any) -> str:
    """Make a distribution with one behavior, and a group `both` of its two origins; return its domain."""
    members = [{"OriginId": each["Id"]} for each in origins]
    codes = [500, 502, 503, 504]
    group = {
        "Id": "both",
        "FailoverCriteria": {"StatusCodes": {"Quantity": len(codes), "Items": codes}},
        "Members": {"Quantity": len(members), "Items": members},
    }
    made = client("cloudfront").create_distribution(
        DistributionConfig={
            "CallerReference": secrets.token_hex(4),
            "Comment": "",
            "Enabled": True,
            "Origins": {"Quantity": len(origins), "Items": origins},
            "OriginGroups": {"Quantity": 1, "Items": [group]},
            "DefaultCacheBehavior": {
                "TargetOriginId": target,
                "ViewerProtocolPolicy": "allow-all",
                "CachePolicyId": DISABLED,
                "OriginRequestPolicyId": EXCEPT_HOST,
                "AllowedMethods": {"Quantity": len(methods), "Items": methods},
                **behavior,
            },
        }
    )
    return str(made["Distribution"]["DomainName"])


def settle(lab: Lab) -> None:
    """Have both functions started and found healthy, and what was made a moment ago seen by the front door."""
    for region in (HOME, ABROAD):
        assert lab.first(lab.own(region), "/api/health")[1] == {"region": region}
    for each in lab.checks.values():
        # One that failed at first, while a function started, would be nearer to its threshold.
        wait_for(lambda each=each: _passes(health.finding(each)))  # type: ignore[misc]


def _passes(found: health.Finding) -> bool:
    return found.passes and found.streak == 0 and found.said.startswith("Success")


def test_nothing_of_a_region_answers_until_it_is_healed(lab: Lab) -> None:
    settle(lab)
    client("sqs").create_queue(QueueName="mail")
    regions.cut(HOME)
    status, _ = lab.ask(lab.own(HOME), "/api/health")
    assert (status, lab.ask(lab.own(ABROAD), "/api/health")[0]) == (504, 200)
    for service, call in (("dynamodb", "list_tables"), ("sqs", "list_queues"), ("lambda", "list_functions")):
        with pytest.raises(BotoCoreError, match=r"Connection was closed|Could not connect"):
            getattr(client(service, url=lab.endpoint), call)()
        getattr(client(service, ABROAD, lab.endpoint), call)()
    # The control planes of services without regions are in us-east-1.
    with pytest.raises(BotoCoreError):
        client("route53", url=lab.endpoint).list_hosted_zones()
    signer = boto3.client("s3", endpoint_url=lab.endpoint, config=Config(signature_version="s3v4"))
    signed = signer.generate_presigned_url("list_buckets")
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(signed, timeout=5)
    regions.heal(HOME)
    assert lab.ask(lab.own(HOME), "/api/health") == (200, {"region": HOME})
    assert client("sqs", url=lab.endpoint).list_queues()["QueueUrls"]


def test_the_command_cuts_and_heals(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    port = lab.endpoint.rpartition(":")[2]
    assert cli.main(["fault", "region", ABROAD, "--port", port]) == 0
    assert regions.is_cut(ABROAD)
    assert cli.main(["fault", "region", ABROAD, "--heal", "--port", port]) == 0
    assert not regions.is_cut(ABROAD)
    assert cli.main(["fault", "region", "us-east-9", "--port", port]) == 1
    said = capsys.readouterr()
    assert said.out == f"cut off: {ABROAD}\ncut off: no region\n"
    assert "there is no region 'us-east-9'" in said.err


def edge_function() -> dict[str, Any]:
    """What a behavior needs for the function that groups the origins of reading requests."""
    cloudfront = client("cloudfront")
    made = cloudfront.create_function(
        Name="regions",
        FunctionConfig={"Comment": "", "Runtime": "cloudfront-js-2.0"},
        FunctionCode=EDGE.encode(),
    )
    cloudfront.publish_function(Name="regions", IfMatch=made["ETag"])
    arn = made["FunctionSummary"]["FunctionMetadata"]["FunctionARN"]
    association = {"EventType": "viewer-request", "FunctionARN": arn}
    return {"FunctionAssociations": {"Quantity": 1, "Items": [association]}}


def test_without_a_domain_reads_go_on_and_writes_do_not(lab: Lab) -> None:
    origins = {"home": lab.own(HOME), "abroad": lab.own(ABROAD)}
    with pytest.raises(client("cloudfront").exceptions.InvalidArgument, match="AllowedMethods cannot include POST"):
        distribute(origins, ALL, "both")
    grouped, chosen = distribute(origins, READING, "both"), distribute(origins, ALL, "home", **edge_function())
    settle(lab)
    for site in (grouped, chosen):
        assert lab.first(site, "/api/health")[1] == {"region": HOME}
        # An answer that is none of the codes.
        assert lab.ask(site, "/api/nothing") == (404, {"region": HOME})
    assert lab.ask(grouped, "/api/1", 5)[0] == 403
    assert lab.ask(chosen, "/api/1", 5) == (201, {"region": HOME})
    regions.cut(HOME)
    for site in (grouped, chosen):
        began = time.monotonic()
        assert lab.ask(site, "/api/health") == (200, {"region": ABROAD})
        assert CONNECT <= time.monotonic() - began < CONNECT + SLOW
    assert lab.ask(chosen, "/api/1", 6)[0] == 504
    regions.cut(ABROAD)
    assert lab.ask(grouped, "/api/health")[0] == 504
    regions.heal(HOME)
    assert lab.ask(grouped, "/api/health") == (200, {"region": HOME})


def test_a_front_end_that_is_in_two_buckets_goes_on(lab: Lab) -> None:
    cloudfront = client("cloudfront")
    config = {
        "Name": "cars",
        "SigningProtocol": "sigv4",
        "SigningBehavior": "always",
        "OriginAccessControlOriginType": "s3",
    }
    control = cloudfront.create_origin_access_control(OriginAccessControlConfig=config)["OriginAccessControl"]["Id"]
    origins = []
    for region, where in ((HOME, {}), (ABROAD, {"CreateBucketConfiguration": {"LocationConstraint": ABROAD}})):
        name, s3 = f"cars-{region}", client("s3", region)
        s3.create_bucket(Bucket=name, **where)
        s3.put_object(Bucket=name, Key="where", Body=json.dumps({"region": region}).encode())
        allow = {"Effect": "Allow", "Principal": {"Service": "cloudfront.amazonaws.com"}, "Action": "s3:GetObject"}
        statement = {**allow, "Resource": f"arn:aws:s3:::{name}/*"}
        s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        bucket = {**origin(region, f"{name}.s3.{region}.amazonaws.com"), "OriginAccessControlId": control}
        del bucket["CustomOriginConfig"]
        origins.append({**bucket, "S3OriginConfig": {"OriginAccessIdentity": ""}})
    site = distribute_origins(origins, ["GET", "HEAD"], "both")
    assert lab.first(site, "/where")[1] == {"region": HOME}
    regions.cut(HOME)
    assert lab.ask(site, "/where") == (200, {"region": ABROAD})
    # That it is not there is no failure.
    assert lab.ask(site, "/nowhere")[0] == 403


POLICIES: dict[str, dict[str, dict[str, Any]]] = {
    "latency": {"us_east_1": {"Region": HOME}, "eu_west_1": {"Region": ABROAD}},
    "failover": {
        "us_east_1": {"Failover": "PRIMARY", "TTL": SHORT_TTL},
        "eu_west_1": {"Failover": "SECONDARY", "TTL": SHORT_TTL},
    },
}


@pytest.mark.parametrize("policy", POLICIES)
def test_the_front_door_goes_on_and_both_regions_agree_afterwards(
    lab: Lab, policy: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_domain(lab, **POLICIES[policy])
    site = distribute({"home": DOMAIN, "abroad": lab.own(ABROAD)}, ALL, "home", **edge_function())
    settle(lab)
    assert lab.first(site, "/api/both", 1)[1] == {"region": HOME}
    lab.first(lab.own(ABROAD), "/api/both")
    # API Gateway goes by the Host header, at the name itself and at none that records point to.
    assert lab.first(DOMAIN, "/api/health")[1] == {"region": HOME}
    regional = client("apigatewayv2", ABROAD).get_domain_name(DomainName=DOMAIN)["DomainNameConfigurations"][0]
    assert lab.ask(regional["ApiGatewayDomainName"], "/api/health") == (403, {"message": "Forbidden"})

    # Acknowledged, and the region is gone before anybody else has it.
    with monkeypatch.context() as held:
        held.setattr(dynamodb.GlobalTable, "deliver", lambda *_: 0)
        assert lab.ask(site, "/api/last", 1) == (201, {"region": HOME})
        regions.cut(HOME)
    began, slowest_read = time.monotonic(), 0.0
    while lab.ask(site, "/api/during", 2)[0] != 201:
        asked = time.monotonic()
        assert lab.ask(site, "/api/both") == (200, {"region": ABROAD, "price": 1})
        slowest_read = max(slowest_read, time.monotonic() - asked)
    gap = time.monotonic() - began
    scale, ttl = 60 / PERIOD, POLICIES[policy]["us_east_1"].get("TTL", ALIAS_TTL)
    told = f"interval {INTERVAL} s, threshold {THRESHOLD}, TTL {ttl} s"
    longest = (THRESHOLD * INTERVAL + ttl) / scale
    with capsys.disabled():
        print(
            f"\n{policy}: no read failed, the slowest took {slowest_read:.1f} s ({CONNECT} s for a connection); first "
            f"write after {gap:.1f} s, Route 53 being {scale:g} times as fast as on AWS: {gap * scale:.0f} s ({told}, "
            f"together at most {longest * scale:.0f} s)"
        )
    # It may be that the first check after the cut was just about to begin, and the name had just been looked up.
    assert INTERVAL / scale * (THRESHOLD - 1) - 0.5 <= gap <= longest + SLOW
    assert lab.ask(site, "/api/both", 2) == (201, {"region": ABROAD})
    assert lab.ask(site, "/api/last")[0] == 404, "what the other region did not have yet"

    regions.heal(HOME)
    for host in (lab.own(HOME), lab.own(ABROAD)):
        wait_for(lambda host=host: lab.ask(host, "/api/both")[1].get("price") == 2)  # type: ignore[misc]
        prices = [lab.first(host, f"/api/{path}")[1]["price"] for path in ("last", "during", "both")]
        assert prices == [1, 2, 2], host


def test_tables_of_a_region_that_is_cut_off_are_on_their_own() -> None:
    _make_table()
    home, abroad = (client("dynamodb", region) for region in (HOME, ABROAD))
    [group] = dynamodb.global_tables()

    def put(where: Any, key: str, price: int) -> None:
        where.put_item(TableName=TABLE, Item={"pk": {"S": key}, "price": {"N": str(price)}})

    def prices(where: Any) -> dict[str, int]:
        return {item["pk"]["S"]: int(item["price"]["N"]) for item in where.scan(TableName=TABLE)["Items"]}

    put(home, "before", 1)
    regions.cut(HOME)
    put(home, "conflict", 1)
    put(abroad, "conflict", 2)
    put(abroad, "later at home", 1)
    put(home, "later at home", 2)
    put(abroad, "deleted", 1)
    home.delete_item(TableName=TABLE, Key={"pk": {"S": "deleted"}})
    put(abroad, "abroad", 1)
    assert [group.deliver(region) for region in (HOME, ABROAD)] == [0, 0]
    assert set(prices(home)) == {"before", "conflict", "later at home"}
    assert set(prices(abroad)) == {"conflict", "later at home", "deleted", "abroad"}
    regions.heal(HOME)
    for region in (HOME, ABROAD):
        group.deliver(region)
    assert prices(home) == prices(abroad)
    assert prices(home) == {"before": 1, "conflict": 2, "later at home": 2, "deleted": 1, "abroad": 1}


def test_two_writes_at_one_moment_end_alike_in_both_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    _make_table()
    [group] = dynamodb.global_tables()
    monkeypatch.setattr(dynamodb.time, "time", lambda: 1000.0)
    for region, price in ((HOME, "1"), (ABROAD, "2")):
        client("dynamodb", region).put_item(TableName=TABLE, Item={"pk": {"S": "a"}, "price": {"N": price}})
    for region in (HOME, ABROAD):
        group.deliver(region)
    found = [
        client("dynamodb", region).get_item(TableName=TABLE, Key={"pk": {"S": "a"}})["Item"]["price"]["N"]
        for region in (HOME, ABROAD)
    ]
    assert found[0] == found[1]


def test_a_queue_waits_while_its_region_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    awslambda.apply()
    queue = client("sqs").create_queue(QueueName="mail", Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
    role = client("iam").create_role(RoleName="mail", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    client("lambda").create_function(
        FunctionName="mail", Runtime="nodejs24.x", Role=role, Handler="index.handler", Code={"ZipFile": archive()}
    )
    arn = f"arn:aws:sqs:{HOME}:{settings.ACCOUNT_ID}:mail"
    client("lambda").create_event_source_mapping(FunctionName="mail", EventSourceArn=arn)
    polling = PollingFunctions()
    seen: list[str] = []

    def invoke(function: Any, event: Any, alias: str = "") -> functions.Outcome:
        seen.extend(record["body"] for record in event["Records"])
        if event["Records"][0]["body"] == "last":
            regions.cut(HOME)
        return functions.Outcome(None)

    monkeypatch.setattr(polling.functions, "invoke", invoke)
    regions.cut(HOME)
    client("sqs").send_message(QueueUrl=queue, MessageBody="first")
    polling.reconcile()
    try:
        time.sleep(1.5)
        assert seen == []
        regions.heal(HOME)
        wait_for(lambda: seen == ["first"])
        wait_for(lambda: not sqs_backends[settings.ACCOUNT_ID][HOME].queues["mail"]._messages)
        # The function ends when nobody can hear of it: its message is still there.
        client("sqs").send_message(QueueUrl=queue, MessageBody="last")
        wait_for(lambda: seen == ["first", "last"])
        time.sleep(0.2)
        assert len(sqs_backends[settings.ACCOUNT_ID][HOME].queues["mail"]._messages) == 1
    finally:
        polling.close()


@pytest.mark.parametrize(("method", "asked"), [("GET", 3), ("HEAD", 3), ("OPTIONS", 1), ("POST", 1)])
def test_an_origin_that_does_not_answer_is_asked_again_by_who_only_reads(method: str, asked: int) -> None:
    door, seen = FrontDoor((settings.LOOPBACK,), 0, None), []
    door.start()
    with socket.socket() as silent:
        silent.bind((settings.LOOPBACK, 0))
        silent.listen()
        url = URL(f"http://{settings.LOOPBACK}:{silent.getsockname()[1]}/")
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=1, sock_read=0.2)
        asking = asyncio.run_coroutine_threadsafe(door._fetch(None, method, url, [], "it", timeout, 3), door._loop)
        with pytest.raises(Unreachable) as failed:
            asking.result(20)
        silent.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            while True:
                seen.append(silent.accept())
        for connection, _ in seen:
            connection.close()
    # Nobody listens there, and nobody else can: what cannot be connected to counts as 503.
    with socket.socket() as deaf:
        deaf.bind((settings.LOOPBACK, 0))
        url = URL(f"http://{settings.LOOPBACK}:{deaf.getsockname()[1]}/")
        with pytest.raises(Unreachable) as refused:
            asking = asyncio.run_coroutine_threadsafe(door._fetch(None, method, url, [], "it", timeout, 3), door._loop)
            asking.result(20)
    door.close()
    assert (len(seen), failed.value.status, failed.value.counts_as) == (asked, 504, 504)
    assert (refused.value.status, refused.value.counts_as) == (502, 503)


def test_the_api_alone_knows_two_regions_too() -> None:
    command = [sys.executable, "-m", "lab.cli", "serve", "--api-only", "--port", "0"]
    with Popen(command, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("ready: ").strip()
        try:
            _see_two_regions(url)
        finally:
            process.terminate()


def _see_two_regions(url: str) -> None:
    port = url.rpartition(":")[2]
    _make_table(url)
    home, abroad = (client("dynamodb", region, url) for region in (HOME, ABROAD))

    def write(where: Any, price: str) -> None:
        where.put_item(TableName=TABLE, Item={"pk": {"S": "a"}, "price": {"N": price}})

    def read(where: Any) -> str:
        return str(where.get_item(TableName=TABLE, Key={"pk": {"S": "a"}}).get("Item", {}).get("price", {}).get("N"))

    write(home, "1")
    wait_for(lambda: read(abroad) == "1")
    assert cli.main(["fault", "region", HOME, "--port", port]) == 0
    with pytest.raises(BotoCoreError):
        write(home, "2")
    write(abroad, "3")
    assert cli.main(["fault", "region", HOME, "--heal", "--port", port]) == 0
    wait_for(lambda: read(home) == "3")
    assert read(abroad) == "3"


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
