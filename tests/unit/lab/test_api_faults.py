"""An API with bad days: what SDKs see of it, that they get through all the same, and what was not carried out."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from subprocess import PIPE, Popen
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lab import cli

REGION = "us-east-1"
ATTEMPTS = 5
"""botocore's own number."""

CALLS: dict[str, Callable[[Any], Any]] = {
    "autoscaling": lambda api: api.describe_auto_scaling_groups(),
    "cloudfront": lambda api: api.list_distributions(),
    "cloudwatch": lambda api: api.describe_alarms(),
    "ec2": lambda api: api.describe_vpcs(),
    "elbv2": lambda api: api.describe_load_balancers(),
    "iam": lambda api: api.list_roles(),
    "lambda": lambda api: api.list_functions(),
    "logs": lambda api: api.describe_log_groups(),
    "rds": lambda api: api.describe_db_instances(),
    "route53": lambda api: api.list_hosted_zones(),
    "s3": lambda api: api.list_buckets(),
    "secretsmanager": lambda api: api.list_secrets(),
    "sns": lambda api: api.list_topics(),
    "sqs": lambda api: api.list_queues(),
    "ssm": lambda api: api.describe_parameters(),
    "sts": lambda api: api.get_caller_identity(),
}
"""A call of each service that Vahana uses, and of each protocol."""

QUERY = ((500, "InternalFailure"), (400, "Throttling"))
JSON = ((500, "InternalFailure"), (400, "ThrottlingException"))
REFUSALS = {
    **dict.fromkeys(("autoscaling", "cloudfront", "elbv2", "iam", "rds", "route53", "sns", "sts"), QUERY),
    **dict.fromkeys(("cloudwatch", "logs", "secretsmanager", "sqs", "ssm"), JSON),
    "ec2": ((500, "InternalError"), (503, "RequestLimitExceeded")),
    "lambda": ((500, "InternalFailure"), (429, "TooManyRequestsException")),
    "s3": ((500, "InternalError"), (503, "SlowDown")),
}
"""Status and code of an internal error, and of one request too many."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """`lab serve --api-only` as a program of its own, on a free port."""
    command = [sys.executable, "-m", "lab.cli", "serve", "--api-only", "--port", "0"]
    with Popen(command, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("ready: ").strip()
        process.terminate()
        assert process.wait(timeout=120) == 0


class Server:
    """The API under test: what is asked of it, and how bad its day is."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._clients: dict[tuple[str, int], Any] = {}

    def client(self, service: str, attempts: int = 1) -> Any:
        """A client that asks so many times before it gives up."""
        if (service, attempts) not in self._clients:
            config = Config(retries={"total_max_attempts": attempts, "mode": "standard"})
            options: dict[str, Any] = {"region_name": REGION, "endpoint_url": self.url, "config": config}
            self._clients[service, attempts] = boto3.client(service, **options)  # type: ignore[call-overload]
        return self._clients[service, attempts]

    def faults(self, **wanted: Any) -> dict[str, Any]:
        """Set what is wanted, if anything; return what there is and was."""
        data = json.dumps(wanted).encode() if wanted else None
        request = urllib.request.Request(f"{self.url}/vahana-lab/faults", data=data, method="PUT" if data else "GET")
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def refused(self, service: str, call: Callable[[Any], Any]) -> tuple[int, str]:
        """Status and code of a call that is refused at its only attempt."""
        with pytest.raises(ClientError) as caught:
            call(self.client(service))
        answer = caught.value.response
        return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


@pytest.fixture(scope="module")
def _server(url: str) -> Server:
    return Server(url)


@pytest.fixture
def server(account: None, _server: Server) -> Iterator[Server]:
    """The API, whose day is good again afterwards."""
    yield _server
    _server.faults(errors=0, throttles=0)


@pytest.mark.parametrize("service", REFUSALS)
def test_sdks_know_the_code(server: Server, service: str) -> None:
    error, throttle = REFUSALS[service]
    server.faults(errors=100)
    assert server.refused(service, CALLS[service]) == error
    server.faults(throttles=100)
    assert server.refused(service, CALLS[service]) == throttle
    server.faults(errors=0)
    CALLS[service](server.client(service))


def test_an_answer_without_a_body_is_told_by_its_status(server: Server) -> None:
    server.faults(throttles=100)
    assert server.refused("s3", lambda api: api.head_bucket(Bucket="trial")) == (503, "503")


def test_sdks_get_through_and_the_refused_are_counted(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    # How long they wait before they try again is not what is tried here.
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    server.faults(errors=5, throttles=10, seed=1)
    for number in range(60):
        server.client("ssm", ATTEMPTS).put_parameter(Name=f"/trial/{number}", Value="1", Type="String")
        server.client("ec2", ATTEMPTS).describe_vpcs()
    found = server.faults()
    assert found["refused"]["errors"] > 0
    assert found["refused"]["throttles"] > found["refused"]["errors"]
    assert found["requests"] == 120 + sum(found["refused"].values())
    assert sum(each["count"] for each in found["actions"]) == sum(found["refused"].values())
    # Off: nothing more is refused or counted, and what was can still be asked for.
    off = server.faults(errors=0, throttles=0)
    CALLS["ec2"](server.client("ec2"))
    assert off == {**found, "errors": 0, "throttles": 0} == server.faults()


def test_a_refused_request_is_not_carried_out(server: Server) -> None:
    s3, ssm = server.client("s3"), server.client("ssm")
    s3.create_bucket(Bucket="trial")
    server.faults(errors=50, throttles=50)
    # Large enough that the answer comes while the body is still being sent.
    server.refused("s3", lambda api: api.put_object(Bucket="trial", Key="large", Body=bytes(5_000_000)))
    server.refused("ssm", lambda api: api.put_parameter(Name="/refused", Value="1", Type="String"))
    server.refused("ec2", lambda api: api.create_vpc(CidrBlock="192.0.2.0/24"))
    server.faults(errors=0, throttles=0)
    assert "Contents" not in s3.list_objects_v2(Bucket="trial")
    assert ssm.get_parameters(Names=["/refused"])["InvalidParameters"] == ["/refused"]
    assert "192.0.2.0/24" not in {vpc["CidrBlock"] for vpc in server.client("ec2").describe_vpcs()["Vpcs"]}


def test_a_seed_repeats_what_others_ask_meanwhile(server: Server) -> None:
    def fates(others: int) -> list[bool]:
        seen = []
        server.faults(errors=50, seed=7)
        for _ in range(20):
            for _ in range(others):
                try_to(lambda: server.client("sts").get_caller_identity())
            seen.append(try_to(lambda: server.client("ssm").describe_parameters()))
        return seen

    first = fates(0)
    assert {True, False} == set(first)
    assert fates(1) == first


def try_to(call: Callable[[], Any]) -> bool:
    """Call; say whether it was carried out."""
    try:
        call()
    except ClientError:
        return False
    return True


@pytest.mark.parametrize(
    "wanted", [{"errors": 101}, {"errors": -1}, {"errors": 60, "throttles": 60}, {"errors": "many"}, {"seed": "x"}]
)
def test_senseless_shares_are_refused(server: Server, wanted: dict[str, Any]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        server.faults(**wanted)
    assert server.faults()["errors"] == 0


def test_the_command(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    port = ("--port", server.url.rpartition(":")[2])
    assert cli.main(["fault", "api", "--errors", "0.5", "--throttles", "99.5", "--seed", "3", *port]) == 0
    assert capsys.readouterr().out == "the API refuses 0.5 % and throttles 99.5 % (--seed 3)\n"
    server.refused("ssm", CALLS["ssm"])
    assert cli.main(["fault", "api", *port]) == 0
    assert "nothing; of 1 requests" in capsys.readouterr().out
    CALLS["ssm"](server.client("ssm"))
    assert cli.main(["fault", "api", "--errors", "200", *port]) == 1
    assert "together at most 100" in capsys.readouterr().err


def test_the_command_says_where_nothing_answers(account: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fault", "api", "--errors", "5", "--port", "1"]) == 1
    assert "lab up" in capsys.readouterr().err
