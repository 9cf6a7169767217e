"""Functions are run by Node as Lambda runs them, and queues deliver to them as SQS and Lambda do."""

from __future__ import annotations

import io
import json
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import dns, functions, names
from lab.names import Answer, Record
from lab.reconcilers.functions import PollingFunctions, failures

Client = Callable[[str], Any]
REGION = "us-east-1"
GROUP = "/cars/prod/functions/trial"

CODE = """
let count = 0;
export const handler = async (event, context) => {
  count += 1;
  console.log(JSON.stringify({ level: 'INFO', count, request: context.awsRequestId }));
  if (event.fail) throw new TypeError(event.fail);
  if (event.exit) process.exit(3);
  if (event.hang) for (;;);
  if (event.write) (await import('node:fs')).writeFileSync(event.write, 'x');
  const { COLOUR: variable, AWS_ACCESS_KEY_ID: key } = process.env;
  return { count, variable, key, left: context.getRemainingTimeInMillis() };
};
// What a batch says should happen to each message is in its body.
export const batch = async ({ Records }) => {
  console.log(JSON.stringify({ bodies: Records.map((record) => record.body) }));
  const bad = Records.filter((record) => record.body === 'bad');
  return { batchItemFailures: bad.map((record) => ({ itemIdentifier: record.messageId })) };
};
"""


def archive(code: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr("package.json", '{"type": "module"}')
        packed.writestr("src/trial.js", code)
    return content.getvalue()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Client) -> Iterator[PollingFunctions]:
    """The part of the lab that runs functions."""
    monkeypatch.setenv("VAHANA_LAB_HOME", str(tmp_path / "home"))
    client("logs").create_log_group(logGroupName=GROUP)
    polling = PollingFunctions(functions.Functions("http://127.0.0.1:9"))
    yield polling
    polling.close()


def make(client: Client, handler: str = "src/trial.handler", **options: Any) -> None:
    role = client("iam").create_role(RoleName="trial", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    client("lambda").create_function(
        **{
            "FunctionName": "trial",
            "Runtime": "nodejs24.x",
            "Role": role,
            "Handler": handler,
            "Code": {"ZipFile": archive(CODE)},
            "Timeout": 30,
            "Environment": {"Variables": {"COLOUR": "blue"}},
            "LoggingConfig": {"LogFormat": "JSON", "LogGroup": GROUP},
            **options,
        }
    )


def invoke(client: Client, **event: Any) -> tuple[Any, str]:
    answer = client("lambda").invoke(FunctionName="trial", Payload=json.dumps(event))
    return json.loads(answer["Payload"].read()), answer.get("FunctionError", "")


def log(client: Client) -> list[Any]:
    """What the function has logged, parsed."""
    events = client("logs").filter_log_events(logGroupName=GROUP)["events"]
    return [json.loads(event["message"]) for event in events]


@pytest.mark.usefixtures("lab")
def test_a_handler_runs_with_its_variables_and_its_role(client: Client) -> None:
    make(client)
    (first, error), (second, _) = invoke(client), invoke(client)
    assert error == ""
    assert (first["count"], first["variable"]) == (1, "blue")
    assert first["key"].startswith("ASIA")
    assert 0 < first["left"] <= 30000
    # The same environment serves again, until the code is another.
    assert second["count"] == 2
    lines = log(client)
    assert [line["count"] for line in lines if "count" in line] == [1, 2]
    assert [line["record"]["status"] for line in lines if line.get("type") == "platform.report"] == ["success"] * 2
    client("lambda").update_function_code(
        FunctionName="trial", ZipFile=archive(CODE.replace("count = 0", "count = 40"))
    )
    assert invoke(client)[0]["count"] == 41


def test_packages_that_the_runtime_brings(tmp_path: Path) -> None:
    (tmp_path / "module.mjs").write_text(
        "import { S3Client } from '@aws-sdk/client-s3';\n"
        'const { SQS } = await import("@aws-sdk/client-sqs");\n'
        "throw new Error('install it: require(\"@aws-sdk/signature-v4-crt\")');\n"
        "const agent = ['@aws-sdk/core', '3.1'];\n"
    )
    (tmp_path / "common.cjs").write_text("const { SSM } = require('@aws-sdk/client-ssm');")
    assert set(functions.imports(tmp_path)) == {f"@aws-sdk/client-{name}" for name in ("s3", "sqs", "ssm")}


@pytest.mark.usefixtures("lab")
def test_what_goes_wrong_is_told(client: Client) -> None:
    make(client, Timeout=3)
    answer, error = invoke(client, fail="no such car")
    assert (answer["errorType"], answer["errorMessage"], error) == ("TypeError", "no such car", "Unhandled")
    # An error is none of the environment.
    assert invoke(client)[0]["count"] == 2
    assert "Runtime exited with error: exit status 3" in invoke(client, exit=True)[0]["errorMessage"]
    began = time.monotonic()
    assert "Task timed out after 3.00 seconds" in invoke(client, hang=True)[0]["errorMessage"]
    assert time.monotonic() - began >= 3
    # A new environment, in which nothing was written.
    assert invoke(client)[0]["count"] == 1
    answer, error = invoke(client, write="/var/task/written")
    assert (answer["errorMessage"].split(".")[0], error) == ("Access to this API has been restricted", "Unhandled")


@pytest.mark.usefixtures("lab")
def test_a_handler_that_is_not_there(client: Client) -> None:
    make(client, "src/nowhere.handler")
    assert invoke(client)[0]["errorType"] == "Runtime.ImportModuleError"
    client("lambda").update_function_configuration(FunctionName="trial", Handler="src/trial.nothing")
    assert invoke(client)[0]["errorType"] == "Runtime.HandlerNotFound"


def test_without_a_lab_nothing_is_run(client: Client) -> None:
    make(client)
    answer, error = invoke(client)
    assert (answer["errorType"], error) == ("Lab.NotHere", "Unhandled")


def test_a_poison_message_ends_in_the_dead_letter_queue_and_comes_back(client: Client, lab: PollingFunctions) -> None:
    make(client, "src/trial.batch", Timeout=1)
    sqs = client("sqs")
    urls = {name: sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "1"})["QueueUrl"] for name in "ab"}
    arns = {
        name: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        for name, url in urls.items()
    }
    policy = json.dumps({"deadLetterTargetArn": arns["b"], "maxReceiveCount": 2})
    sqs.set_queue_attributes(QueueUrl=urls["a"], Attributes={"RedrivePolicy": policy})
    mapping = client("lambda").create_event_source_mapping(
        FunctionName="trial",
        EventSourceArn=arns["a"],
        BatchSize=10,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    for body in ("good", "bad", "better"):
        sqs.send_message(QueueUrl=urls["a"], MessageBody=body)

    def count(name: str) -> int:
        wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = sqs.get_queue_attributes(QueueUrl=urls[name], AttributeNames=wanted)["Attributes"]
        return sum(map(int, found.values()))

    def wait_for(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 90
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.1)

    lab.reconcile()
    wait_for(lambda: (count("a"), count("b")) == (0, 1))
    delivered = [body for line in log(client) for body in line.get("bodies", [])]
    # Those that were done came once, whatever else was in their batch.
    assert sorted(delivered) == ["bad", "bad", "better", "good"]

    # Nobody polls any more: what is brought back stays where it is.
    client("lambda").update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    lab.reconcile()
    sqs.start_message_move_task(SourceArn=arns["b"])
    wait_for(lambda: sqs.list_message_move_tasks(SourceArn=arns["b"])["Results"][0]["Status"] == "COMPLETED")
    (task,) = sqs.list_message_move_tasks(SourceArn=arns["b"])["Results"]
    assert (task["ApproximateNumberOfMessagesMoved"], task["ApproximateNumberOfMessagesToMove"]) == (1, 1)
    assert (count("a"), count("b")) == (1, 0)


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "1"}]}, {"1"}),
        ({"batchItemFailures": [{"itemIdentifier": "9"}]}, {"1", "2"}),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, {"1", "2"}),
        ({"batchItemFailures": [{}]}, {"1", "2"}),
        ({"batchItemFailures": "1"}, {"1", "2"}),
        ("done", {"1", "2"}),
    ],
)
def test_which_messages_of_a_batch_failed(answer: Any, failed: set[str]) -> None:
    assert failures(answer, {"1", "2"}, True) == failed
    assert failures(answer, {"1", "2"}, False) == set()


def test_what_lambda_refuses(client: Client) -> None:
    make(client)
    sqs, client_error = client("sqs"), client("lambda").exceptions.ClientError
    url = sqs.create_queue(QueueName="a", Attributes={"VisibilityTimeout": "5"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    with pytest.raises(client_error, match="visibility timeout: 5 seconds is less than Function timeout: 30 seconds"):
        client("lambda").create_event_source_mapping(FunctionName="trial", EventSourceArn=arn)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "180"})
    client("lambda").create_event_source_mapping(FunctionName="trial", EventSourceArn=arn)
    with pytest.raises(client_error, match="already exists"):
        client("lambda").create_event_source_mapping(FunctionName="trial", EventSourceArn=arn)
    # Nothing is delivered in the request that sends a message, where nobody polls.
    sqs.send_message(QueueUrl=url, MessageBody="x")
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1


def test_moves_that_sqs_refuses(client: Client) -> None:
    sqs = client("sqs")
    url = sqs.create_queue(QueueName="a")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    with pytest.raises(sqs.exceptions.ClientError, match="Dead Letter Queue"):
        sqs.start_message_move_task(SourceArn=arn)
    with pytest.raises(sqs.exceptions.ClientError, match="does not exist"):
        sqs.start_message_move_task(SourceArn=f"{arn}-gone")


LOOKUP = """
import dns from 'node:dns';
const lookup = (name, options) => new Promise((resolve) => {
  dns.lookup(name, options, (error, address) => resolve(error ? error.code : address));
});
export const handler = async ({ name, options }) => ({ found: await lookup(name, options ?? {}) });
"""


@pytest.mark.usefixtures("lab")
def test_in_a_network_the_resolver_of_the_network_is_asked(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setattr("lab.settings.RESOLVER_ADDRESS", f"127.0.0.1:{port}")
    known = Answer((Record("cache.example", "A", 5, "10.0.5.7"),), True)
    monkeypatch.setattr(names, "lookup", lambda name, _kind: known if name == "cache.example." else Answer((), False))
    resolver = dns.Resolver("127.0.0.1", port)
    resolver.start()
    try:
        make(client, Code={"ZipFile": archive(LOOKUP)})
        assert invoke(client, name="cache.example")[0]["found"] == "ENOTFOUND"
        vpc = client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = client("ec2").create_subnet(VpcId=vpc, CidrBlock="10.0.3.0/24")["Subnet"]["SubnetId"]
        inside = {"SubnetIds": [subnet], "SecurityGroupIds": []}
        client("lambda").update_function_configuration(FunctionName="trial", VpcConfig=inside)
        assert invoke(client, name="cache.example")[0]["found"] == "10.0.5.7"
        every = invoke(client, name="cache.example", options={"all": True})[0]["found"]
        assert every == [{"address": "10.0.5.7", "family": 4}]
        assert invoke(client, name="other.example")[0]["found"] == "ENOTFOUND"
        assert invoke(client, name="127.0.0.1")[0]["found"] == "127.0.0.1"
    finally:
        resolver.close()
