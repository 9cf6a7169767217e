"""What the lab runs as AWS's services: load balancers, databases, CloudFront, names. Each with real traffic."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab import podman, settings
from tests.lab.conftest import run

pytestmark = pytest.mark.lab

CIDR = "10.92.0.0/16"
TARGETS = {"10.92.1.101": "services-one", "10.92.2.101": "services-two"}
ABROAD = "eu-west-1"
CLIENT = "services-client"
PASSWORD = "it's a long one"
MANAGED = {
    "optimized": "658327ea-f89d-4fab-a63d-7e88639e58f6",
    "disabled": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
    "all viewer except host": "b689b0a8-53d0-40ab-baf2-68738e2966ac",
    "security headers": "67f7725c-6f97-4210-82d7-5512b31e9d03",
}

# Answers each request with what it got; /health says no while the file /sick is there.
ECHO = """
import http.server, json, os, sys
class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        status = 503 if self.path == "/health" and os.path.exists("/sick") else 200
        told = {"who": sys.argv[1], "method": self.command, "path": self.path, "body": body}
        told["headers"] = {k.lower(): v for k, v in self.headers.items()}
        text = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    do_GET = do_POST = do_PUT = do_DELETE = answer
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("", 3000), Echo).serve_forever()
"""

Clients = Callable[..., Any]


@dataclass
class Site:
    """A small site of the account."""

    vpc: str
    subnets: list[str]
    group: str
    balancer: dict[str, Any]
    targets: str
    distribution: dict[str, Any]
    bucket: str


@dataclass
class Reply:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: str


def fetch(path: str, *, host: str = "", method: str = "GET", body: bytes | None = None, **headers: str) -> Reply:
    """Ask the front door."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()} | ({"Host": host} if host else {})
    request = urllib.request.Request(settings.FRONT_DOOR_URL + path, data=body, method=method, headers=sent)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return Reply(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read().decode())
    except urllib.error.HTTPError as error:
        return Reply(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read().decode())


def until(wanted: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait for something to be true and return it."""
    deadline = time.monotonic() + seconds
    while True:
        found = wanted()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {found!r}"
        time.sleep(0.3)


def states(aws: Clients, targets: str) -> dict[str, tuple[str, str]]:
    """State and reason of each target."""
    answer = aws("elbv2").describe_target_health(TargetGroupArn=targets)["TargetHealthDescriptions"]
    health = {row["Target"]["Id"]: row["TargetHealth"] for row in answer}
    return {target: (row["State"], row.get("Reason", "")) for target, row in health.items()}


def all_healthy(aws: Clients, targets: str) -> bool:
    """Are both targets healthy?"""
    return states(aws, targets) == dict.fromkeys(TARGETS, ("healthy", ""))


def in_client(*command: str, stdin: str | None = None) -> str:
    """Run a command on a host of the VPC and return what it printed, errors too."""
    done = podman.execute(CLIENT, *command, check=False, stdin=stdin)
    return (done.stdout + done.stderr).strip()


def psql(name: str, statement: str, *, password: str = PASSWORD, mode: str = "require") -> str:
    """Run SQL as the master user, over the network and by the endpoint's name."""
    connection = f"host={name} user=keeper dbname=cars sslmode={mode} connect_timeout=5"
    return in_client("env", f"PGPASSWORD={password}", "psql", "-At", "-c", statement, connection)


def make_network(aws: Clients) -> tuple[str, list[str], str]:
    """A VPC with two subnets in two zones, and a group that lets the world in on port 80."""
    ec2 = aws("ec2")
    vpc = ec2.create_vpc(CidrBlock=CIDR)["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.92.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in ((1, "a"), (2, "b"))
    ]
    group = ec2.create_security_group(GroupName="services", Description="services", VpcId=vpc)["GroupId"]
    world = [{"CidrIp": "0.0.0.0/0"}]
    rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": world}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    return vpc, subnets, group


def make_balancer(aws: Clients, vpc: str, subnets: list[str], group: str) -> tuple[dict[str, Any], str]:
    """A load balancer that forwards to two addresses and answers /fixed itself."""
    elb = aws("elbv2")
    balancer = elb.create_load_balancer(Name="services", Subnets=subnets, SecurityGroups=[group])["LoadBalancers"][0]
    targets = elb.create_target_group(
        Name="services",
        Protocol="HTTP",
        Port=3000,
        VpcId=vpc,
        TargetType="ip",
        HealthCheckPath="/health",
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
        HealthyThresholdCount=2,
        UnhealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "4"}]
    elb.modify_target_group_attributes(TargetGroupArn=targets, Attributes=delay)
    forward = [{"Type": "forward", "TargetGroupArn": targets}]
    listener = elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=forward
    )["Listeners"][0]["ListenerArn"]
    fixed = {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": 'fixed "text"'}
    elb.create_rule(
        ListenerArn=listener,
        Priority=10,
        Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/fixed*"]}}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": fixed}],
    )
    return balancer, targets


def make_distribution(aws: Clients, balancer: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """A private bucket and the load balancer behind one distribution, with an SPA function."""
    bucket = "services-frontend"
    s3, cloudfront = aws("s3"), aws("cloudfront")
    s3.create_bucket(Bucket=bucket)
    page = b"<html>" + b"page " * 400
    s3.put_object(Bucket=bucket, Key="index.html", Body=page, ContentType="text/html", CacheControl="max-age=600")
    control = cloudfront.create_origin_access_control(
        OriginAccessControlConfig={
            "Name": bucket,
            "SigningProtocol": "sigv4",
            "SigningBehavior": "always",
            "OriginAccessControlOriginType": "s3",
        }
    )["OriginAccessControl"]["Id"]
    code = b"function handler(e) { if (!e.request.uri.includes('.')) e.request.uri = '/index.html'; return e.request; }"
    config = {"Comment": "", "Runtime": "cloudfront-js-2.0"}
    function = cloudfront.create_function(Name=bucket, FunctionConfig=config, FunctionCode=code)
    cloudfront.publish_function(Name=bucket, IfMatch=function["ETag"])
    arn = function["FunctionSummary"]["FunctionMetadata"]["FunctionARN"]
    methods = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    made = cloudfront.create_distribution(
        DistributionConfig={
            "CallerReference": bucket,
            "Comment": "",
            "Enabled": True,
            "DefaultRootObject": "index.html",
            "Origins": {
                "Quantity": 2,
                "Items": [
                    {
                        "Id": "frontend",
                        "DomainName": f"{bucket}.s3.us-east-1.amazonaws.com",
                        "S3OriginConfig": {"OriginAccessIdentity": ""},
                        "OriginAccessControlId": control,
                    },
                    {
                        "Id": "api",
                        "DomainName": balancer["DNSName"],
                        "CustomOriginConfig": {
                            "HTTPPort": 80,
                            "HTTPSPort": 443,
                            "OriginProtocolPolicy": "http-only",
                        },
                    },
                ],
            },
            "DefaultCacheBehavior": {
                "TargetOriginId": "frontend",
                "ViewerProtocolPolicy": "redirect-to-https",
                "CachePolicyId": MANAGED["optimized"],
                "ResponseHeadersPolicyId": MANAGED["security headers"],
                "Compress": True,
                "FunctionAssociations": {
                    "Quantity": 1,
                    "Items": [{"EventType": "viewer-request", "FunctionARN": arn}],
                },
            },
            "CacheBehaviors": {
                "Quantity": 1,
                "Items": [
                    {
                        "PathPattern": "/api/*",
                        "TargetOriginId": "api",
                        "ViewerProtocolPolicy": "redirect-to-https",
                        "CachePolicyId": MANAGED["disabled"],
                        "OriginRequestPolicyId": MANAGED["all viewer except host"],
                        "AllowedMethods": {"Quantity": len(methods), "Items": methods},
                    }
                ],
            },
        }
    )["Distribution"]
    return made, bucket


@pytest.fixture(scope="module")
def site(aws: Clients) -> Iterator[Site]:
    """The site, with two targets and a client as hosts of its VPC; all gone afterwards."""
    vpc, subnets, group = make_network(aws)
    network = f"{settings.NAME_PREFIX}{vpc}"
    balancer, targets = make_balancer(aws, vpc, subnets, group)
    distribution, bucket = make_distribution(aws, balancer)
    until(lambda: network in podman.networks())
    hosts = [*TARGETS.values(), CLIENT]
    for name in hosts:
        podman.rm(name)
    for address, name in TARGETS.items():
        command = ("python3", "-c", ECHO, name)
        podman.run(name, settings.SERVICE_IMAGE, *command, network=network, address=address)
    podman.run(CLIENT, settings.SERVICE_IMAGE, "sleep", "infinity", network=network, address="10.92.1.102")
    aws("elbv2").register_targets(
        TargetGroupArn=targets, Targets=[{"Id": address, "Port": 3000} for address in TARGETS]
    )
    yield Site(vpc, subnets, group, balancer, targets, distribution, bucket)
    for name in hosts:
        podman.rm(name)
    remove(aws, Site(vpc, subnets, group, balancer, targets, distribution, bucket))


def remove(aws: Clients, site: Site) -> None:
    """Delete the site in the order that AWS asks for."""
    ec2, elb, cloudfront, s3 = aws("ec2"), aws("elbv2"), aws("cloudfront"), aws("s3")
    known = cloudfront.get_distribution_config(Id=site.distribution["Id"])
    config = known["DistributionConfig"]
    off = cloudfront.update_distribution(
        Id=site.distribution["Id"], IfMatch=known["ETag"], DistributionConfig={**config, "Enabled": False}
    )
    cloudfront.delete_distribution(Id=site.distribution["Id"], IfMatch=off["ETag"])
    control = config["Origins"]["Items"][0]["OriginAccessControlId"]
    etag = cloudfront.get_origin_access_control(Id=control)["ETag"]
    cloudfront.delete_origin_access_control(Id=control, IfMatch=etag)
    cloudfront.delete_function(Name=site.bucket, IfMatch=cloudfront.describe_function(Name=site.bucket)["ETag"])
    for item in s3.list_objects_v2(Bucket=site.bucket).get("Contents", []):
        s3.delete_object(Bucket=site.bucket, Key=item["Key"])
    s3.delete_bucket(Bucket=site.bucket)
    elb.delete_load_balancer(LoadBalancerArn=site.balancer["LoadBalancerArn"])
    elb.delete_target_group(TargetGroupArn=site.targets)
    mine = [{"Name": "vpc-id", "Values": [site.vpc]}]
    # The load balancer's interfaces go with its host: until then AWS refuses to delete the subnets.
    until(lambda: not ec2.describe_network_interfaces(Filters=mine)["NetworkInterfaces"])
    for subnet in site.subnets:
        ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_security_group(GroupId=site.group)
    gateways = ec2.describe_internet_gateways(Filters=[{"Name": "attachment.vpc-id", "Values": [site.vpc]}])
    for gateway in gateways["InternetGateways"]:
        ec2.detach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=site.vpc)
        ec2.delete_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"])
    ec2.delete_vpc(VpcId=site.vpc)


def test_load_balancer_spreads_and_follows_its_rules(aws: Clients, site: Site) -> None:
    until(lambda: all_healthy(aws, site.targets))
    name = site.balancer["DNSName"]
    replies = [fetch("/", host=name) for _ in range(10)]
    assert {json.loads(reply.body)["who"] for reply in replies} == set(TARGETS.values())
    told = json.loads(replies[0].body)["headers"]
    assert told["x-forwarded-proto"] == "http"
    assert told["x-forwarded-port"] == "80"
    assert told["x-amzn-trace-id"].startswith("Root=1-")
    assert fetch("/fixed/a", host=name).body == 'fixed "text"'


def test_a_sick_target_gets_no_requests(aws: Clients, site: Site) -> None:
    until(lambda: all_healthy(aws, site.targets))
    address, name = next(iter(TARGETS.items()))
    podman.execute(name, "touch", "/sick")
    until(lambda: states(aws, site.targets)[address] == ("unhealthy", "Target.ResponseCodeMismatch"))
    answers = {json.loads(fetch("/", host=site.balancer["DNSName"]).body)["who"] for _ in range(10)}
    assert answers == set(TARGETS.values()) - {name}
    podman.execute(name, "rm", "/sick")
    until(lambda: all_healthy(aws, site.targets))


def test_a_killed_target(aws: Clients, site: Site) -> None:
    until(lambda: all_healthy(aws, site.targets))
    address, name = next(iter(TARGETS.items()))
    podman.podman("kill", name)
    until(lambda: states(aws, site.targets)[address][0] == "unhealthy")
    podman.start(name)
    until(lambda: all_healthy(aws, site.targets))


def test_a_target_drains(aws: Clients, site: Site) -> None:
    until(lambda: all_healthy(aws, site.targets))
    address, name = next(iter(TARGETS.items()))
    elb = aws("elbv2")
    elb.deregister_targets(TargetGroupArn=site.targets, Targets=[{"Id": address}])
    assert states(aws, site.targets)[address] == ("draining", "Target.DeregistrationInProgress")
    until(lambda: address not in states(aws, site.targets), seconds=15)
    answers = {json.loads(fetch("/", host=site.balancer["DNSName"]).body)["who"] for _ in range(6)}
    assert answers == set(TARGETS.values()) - {name}
    elb.register_targets(TargetGroupArn=site.targets, Targets=[{"Id": address, "Port": 3000}])
    assert states(aws, site.targets)[address][0] == "initial"
    until(lambda: all_healthy(aws, site.targets))


def test_a_listener_is_added_and_removed_without_a_lost_request(aws: Clients, site: Site) -> None:
    until(lambda: all_healthy(aws, site.targets))
    elb = aws("elbv2")
    redirect = {"Type": "redirect", "RedirectConfig": {"Port": "80", "StatusCode": "HTTP_302"}}
    added = elb.create_listener(
        LoadBalancerArn=site.balancer["LoadBalancerArn"], Protocol="HTTP", Port=8081, DefaultActions=[redirect]
    )["Listeners"][0]["ListenerArn"]
    statuses = set()
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        statuses.add(fetch("/", host=site.balancer["DNSName"]).status)
    elb.delete_listener(ListenerArn=added)
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        statuses.add(fetch("/", host=site.balancer["DNSName"]).status)
    assert statuses == {200}


def test_names_inside_the_vpc(aws: Clients, site: Site) -> None:
    until(lambda: all_healthy(aws, site.targets))
    assert "services-" in in_client("curl", "-s", f"http://{site.balancer['DNSName']}/")
    assert in_client("getent", "hosts", "ip-10-92-1-101.ec2.internal").split()[0] == "10.92.1.101"
    # A name of AWS that the lab does not have must not be asked of the internet.
    assert in_client("getent", "hosts", "sts.us-east-1.amazonaws.com") == ""
    route53 = aws("route53")
    zone = route53.create_hosted_zone(Name="services.example", CallerReference=str(time.time()))["HostedZone"]["Id"]
    alias = {
        "HostedZoneId": site.balancer["CanonicalHostedZoneId"],
        "DNSName": site.balancer["DNSName"],
        "EvaluateTargetHealth": False,
    }
    record = {"Name": "api.services.example", "Type": "A", "AliasTarget": alias}

    def change(action: str) -> None:
        changes = [{"Action": action, "ResourceRecordSet": record}]
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})

    change("CREATE")
    try:
        assert "services-" in in_client("curl", "-s", "http://api.services.example/")
        assert until(lambda: fetch("/", host="api.services.example").status == 200)
    finally:
        change("DELETE")
        route53.delete_hosted_zone(Id=zone)


def test_bucket_answers_only_with_its_policy(aws: Clients, site: Site) -> None:
    s3, cloudfront = aws("s3"), aws("cloudfront")
    domain = site.distribution["DomainName"]
    until(lambda: fetch("/", host=domain).status == 403)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{site.bucket}/*",
        "Condition": {"StringEquals": {"AWS:SourceArn": site.distribution["ARN"]}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    s3.put_bucket_policy(Bucket=site.bucket, Policy=policy)
    batch = {"Paths": {"Quantity": 1, "Items": ["/*"]}, "CallerReference": "policy"}
    cloudfront.create_invalidation(DistributionId=site.distribution["Id"], InvalidationBatch=batch)
    page = fetch("/cars/42", host=domain)
    assert (page.status, page.body[:6]) == (200, "<html>")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["x-cache"] == "Miss from cloudfront"
    assert fetch("/other/route", host=domain).headers["x-cache"] == "Hit from cloudfront"
    # No right to list the bucket: S3 does not tell that there is no such object.
    assert fetch("/missing.js", host=domain).status == 403


def test_cache_keeps_until_an_invalidation(aws: Clients, site: Site) -> None:
    s3, cloudfront = aws("s3"), aws("cloudfront")
    domain = site.distribution["DomainName"]

    def put(text: str) -> None:
        s3.put_object(Bucket=site.bucket, Key="note.txt", Body=text.encode(), ContentType="text/plain")

    put("first")
    first = fetch("/note.txt", host=domain)
    assert first.body == "first"
    put("second")
    assert fetch("/note.txt", host=domain).body == "first"
    unchanged = fetch("/note.txt", host=domain, If_None_Match=first.headers["etag"])
    assert unchanged.status == 304
    batch = {"Paths": {"Quantity": 1, "Items": ["/note*"]}, "CallerReference": "note"}
    done = cloudfront.create_invalidation(DistributionId=site.distribution["Id"], InvalidationBatch=batch)
    assert done["Invalidation"]["Status"] == "Completed"
    assert fetch("/note.txt", host=domain).body == "second"
    part = fetch("/note.txt", host=domain, Range="bytes=0-2")
    assert (part.status, part.body) == (206, "sec")


def test_api_behind_cloudfront(aws: Clients, site: Site) -> None:
    until(lambda: all_healthy(aws, site.targets))
    domain = site.distribution["DomainName"]
    reply = fetch("/api/cars?q=a%20b&q=c", host=domain, method="POST", body=b"hello", X_Mine="yes", Cookie="a=1")
    told = json.loads(reply.body)
    assert (told["method"], told["path"], told["body"]) == ("POST", "/api/cars?q=a%20b&q=c", "hello")
    assert told["headers"]["x-mine"] == "yes"
    assert told["headers"]["cookie"] == "a=1"
    assert told["headers"]["host"] == site.balancer["DNSName"]
    assert "x-amz-cf-id" in told["headers"]
    assert reply.headers["x-cache"] == "Miss from cloudfront"
    # The frontend's behavior takes reading methods only.
    assert fetch("/", host=domain, method="POST", body=b"").status == 403


def test_front_door_says_what_it_does_not_know(site: Site) -> None:
    reply = fetch("/", host="unknown.example")
    assert reply.status == 404
    assert site.distribution["DomainName"] in reply.body


def instance_status(aws: Clients, name: str) -> str:
    """Status of a DB instance, gone if there is none."""
    try:
        return str(aws("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]["DBInstanceStatus"])
    except ClientError as error:
        assert error.response["Error"]["Code"] == "DBInstanceNotFound"
        return "gone"


@pytest.fixture
def database(aws: Clients, site: Site) -> Iterator[str]:
    """Endpoint of a database with a standby; it is gone afterwards, and what was made of it."""
    rds = aws("rds")
    rds.create_db_subnet_group(
        DBSubnetGroupName="services", DBSubnetGroupDescription="services", SubnetIds=site.subnets
    )
    try:
        yield create_database(aws, site)
    finally:
        for name in ("services-replica", "services", "services-restored"):
            if instance_status(aws, name) not in {"gone", "deleting"}:
                rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
            until(lambda: instance_status(aws, name) == "gone")  # noqa: B023
        for snapshot in rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]:
            if snapshot["DBSnapshotIdentifier"] == "services-final":
                rds.delete_db_snapshot(DBSnapshotIdentifier="services-final")
        rds.delete_db_subnet_group(DBSubnetGroupName="services")


def test_life_of_a_database(aws: Clients, database: str) -> None:
    use_database(aws, database)
    snapshot_and_restore(aws)


@pytest.mark.long
def test_life_of_a_replica(aws: Clients, database: str) -> None:
    assert "INSERT 0 1" in psql(database, "create table notes (text text); insert into notes values ('kept')")
    follow_and_promote(aws, database)


@pytest.mark.long
def test_life_of_a_replica_in_another_region(aws: Clients, database: str) -> None:
    """What is written comes to it but when one of the two is cut off, and promoted it goes on alone."""
    assert "INSERT 0 1" in psql(database, "create table notes (text text); insert into notes values ('kept')")
    rds, ec2, name = aws("rds", ABROAD), aws("ec2", ABROAD), "services-abroad"
    vpc = ec2.create_vpc(CidrBlock="10.93.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.93.{number}.0/24", AvailabilityZone=f"{ABROAD}{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in ((1, "a"), (2, "b"))
    ]

    def status() -> str:
        found = rds.describe_db_instances()["DBInstances"]
        return str(found[0]["DBInstanceStatus"]) if found else "gone"

    source = aws("rds").describe_db_instances(DBInstanceIdentifier="services")["DBInstances"][0]["DBInstanceArn"]
    rds.create_db_subnet_group(DBSubnetGroupName=name, DBSubnetGroupDescription=name, SubnetIds=subnets)
    try:
        rds.create_db_instance_read_replica(
            DBInstanceIdentifier=name, SourceDBInstanceIdentifier=source, DBSubnetGroupName=name
        )
        until(lambda: status() == "available")
        replica = str(rds.describe_db_instances()["DBInstances"][0]["Endpoint"]["Address"])
        assert f".{ABROAD}." in replica
        assert psql(replica, "select text from notes") == "kept"
        assert "read-only transaction" in psql(replica, "insert into notes values ('lost')")

        run("lab", "fault", "region", ABROAD)
        follows = f"select count(*) from pg_stat_replication where application_name = '{name}'"
        until(lambda: psql(database, follows) == "0")
        psql(database, "insert into notes values ('meanwhile')")
        assert psql(replica, "select count(*) from notes") == "1"
        run("lab", "fault", "region", ABROAD, "--heal")
        until(lambda: psql(replica, "select count(*) from notes") == "2")

        rds.promote_read_replica(DBInstanceIdentifier=name)
        until(lambda: status() == "available")
        assert "INSERT 0 1" in psql(replica, "insert into notes values ('its own')")
        assert psql(database, "select count(*) from notes") == "2"
    finally:
        run("lab", "fault", "region", ABROAD, "--heal")
        if status() != "gone":
            rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
        until(lambda: status() == "gone")
        rds.delete_db_subnet_group(DBSubnetGroupName=name)
        for subnet in subnets:
            ec2.delete_subnet(SubnetId=subnet)
        ec2.delete_vpc(VpcId=vpc)


def create_database(aws: Clients, site: Site) -> str:
    """Create the database; its endpoint once it is available."""
    rds = aws("rds")
    made = rds.create_db_instance(
        DBInstanceIdentifier="services",
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        EngineVersion="17",
        AllocatedStorage=20,
        StorageType="gp3",
        DBName="cars",
        MasterUsername="keeper",
        MasterUserPassword=PASSWORD,
        DBSubnetGroupName="services",
        VpcSecurityGroupIds=[site.group],
        # A replica begins with a backup.
        BackupRetentionPeriod=1,
        MultiAZ=True,
    )["DBInstance"]
    assert made["DBInstanceStatus"] == "creating"
    assert "Endpoint" not in made
    until(lambda: instance_status(aws, "services") == "available")
    instance = rds.describe_db_instances(DBInstanceIdentifier="services")["DBInstances"][0]
    return str(instance["Endpoint"]["Address"])


def use_database(aws: Clients, endpoint: str) -> None:
    """TLS, rights, data, another password, a crash."""
    assert psql(endpoint, "select ssl from pg_stat_ssl where pid = pg_backend_pid()") == "t"
    assert "no encryption" in psql(endpoint, "select 1", mode="disable")
    assert "authentication failed" in psql(endpoint, "select 1", password="wrong")
    assert psql(endpoint, "select rolsuper, rolcreatedb from pg_roles where rolname = current_user") == "f|t"
    assert "INSERT 0 1" in psql(endpoint, "create table notes (text text); insert into notes values ('kept')")
    rds = aws("rds")
    rds.modify_db_instance(DBInstanceIdentifier="services", MasterUserPassword="another-one", ApplyImmediately=True)
    # Its status is the one of before for a while.
    until(
        lambda: (
            not rds.describe_db_instances(DBInstanceIdentifier="services")["DBInstances"][0]["PendingModifiedValues"]
        )
    )
    until(lambda: instance_status(aws, "services") == "available")
    assert psql(endpoint, "select 1", password="another-one") == "1"
    assert "authentication failed" in psql(endpoint, "select 1")
    podman.podman("kill", settings.database_name("services"))
    until(lambda: psql(endpoint, "select text from notes", password="another-one") == "kept")
    until(lambda: instance_status(aws, "services") == "available")


def follow_and_promote(aws: Clients, endpoint: str) -> None:
    """A read replica: what is written comes to it, it takes no writes, survives a crash, and goes on alone."""
    rds, name = aws("rds"), "services-replica"
    rds.create_db_instance_read_replica(DBInstanceIdentifier=name, SourceDBInstanceIdentifier="services")
    until(lambda: instance_status(aws, name) == "available")
    replica = str(rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]["Endpoint"]["Address"])
    assert replica == endpoint.replace("services.", "services-replica.")

    assert psql(replica, "select text from notes") == "kept"
    assert "read-only transaction" in psql(replica, "insert into notes values ('lost')")
    for crash in ("", settings.database_name(name), settings.database_name("services")):
        if crash:
            podman.podman("kill", crash)
            until(lambda: psql(replica, "select 1") == "1" and psql(endpoint, "select 1") == "1")
        assert "INSERT 0 1" in psql(endpoint, f"insert into notes values ('after {crash}')")
        until(lambda: psql(replica, f"select count(*) from notes where text = 'after {crash}'") == "1")  # noqa: B023
    psql(endpoint, "delete from notes where text <> 'kept'")
    until(lambda: instance_status(aws, name) == "available")
    rds.promote_read_replica(DBInstanceIdentifier=name)
    until(lambda: instance_status(aws, name) == "available")
    assert "INSERT 0 1" in psql(replica, "insert into notes values ('its own')")
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    until(lambda: instance_status(aws, name) == "gone")
    until(lambda: instance_status(aws, "services") == "available")


def snapshot_and_restore(aws: Clients) -> None:
    """A final snapshot and an instance made of it."""
    rds = aws("rds")
    rds.delete_db_instance(DBInstanceIdentifier="services", FinalDBSnapshotIdentifier="services-final")
    assert instance_status(aws, "services") == "deleting"
    until(lambda: instance_status(aws, "services") == "gone")
    snapshot = rds.describe_db_snapshots(DBSnapshotIdentifier="services-final")["DBSnapshots"][0]
    assert snapshot["Status"] == "available"
    rds.restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier="services-restored",
        DBSnapshotIdentifier="services-final",
        DBSubnetGroupName="services",
    )
    until(lambda: instance_status(aws, "services-restored") == "available")
    restored = rds.describe_db_instances(DBInstanceIdentifier="services-restored")["DBInstances"][0]
    assert psql(restored["Endpoint"]["Address"], "select text from notes", password="another-one") == "kept"


def valkey(name: str, *command: str, password: str = "0123456789abcdef") -> str:
    """Ask a cache, over the network and by the endpoint's name."""
    client = ("valkey-cli", "--tls", "--insecure", "--no-auth-warning", "-h", name)
    return in_client("env", f"REDISCLI_AUTH={password}", *client, *command)


def test_life_of_a_cache(aws: Clients, site: Site) -> None:
    cache, name = aws("elasticache"), "services"

    def group() -> dict[str, Any]:
        try:
            return dict(cache.describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"][0])
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ReplicationGroupNotFoundFault"
            return {"Status": "gone"}

    cache.create_cache_subnet_group(CacheSubnetGroupName=name, CacheSubnetGroupDescription=name, SubnetIds=site.subnets)
    try:
        cache.create_replication_group(
            ReplicationGroupId=name,
            ReplicationGroupDescription=name,
            Engine="valkey",
            CacheNodeType="cache.t3.micro",
            NumCacheClusters=2,
            AutomaticFailoverEnabled=True,
            CacheSubnetGroupName=name,
            SecurityGroupIds=[site.group],
            TransitEncryptionEnabled=True,
            AuthToken="0123456789abcdef",
        )
        until(lambda: group()["Status"] == "available")
        (shard,) = group()["NodeGroups"]
        primary, readers = shard["PrimaryEndpoint"]["Address"], shard["ReaderEndpoint"]["Address"]
        assert valkey(primary, "set", "car", "Nexon") == "OK"
        until(lambda: valkey(readers, "get", "car") == "Nexon")
        assert "READONLY" in valkey(readers, "set", "car", "Swift")
        assert "NOAUTH" in valkey(primary, "get", "car", password="") or "WRONGPASS" in valkey(
            primary, "get", "car", password="wrong"
        )
        assert "NOPERM" in valkey(primary, "config", "get", "*")
        assert "Nexon" not in in_client("valkey-cli", "-h", primary, "get", "car"), "nothing without TLS"
        podman.podman("kill", settings.cache_name(f"{name}-001"))
        until(lambda: valkey(primary, "get", "car") == "Nexon" and valkey(primary, "set", "car", "Swift") == "OK")
        until(lambda: valkey(readers, "get", "car") == "Swift")
    finally:
        if group()["Status"] != "gone":
            until(lambda: group()["Status"] in {"available", "deleting"})
            cache.delete_replication_group(ReplicationGroupId=name)
        until(lambda: group()["Status"] == "gone")
        cache.delete_cache_subnet_group(CacheSubnetGroupName=name)
