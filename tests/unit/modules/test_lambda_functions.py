"""All functions of an environment as one list."""

from __future__ import annotations

import contextlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lab.moto_patches import awslambda as lambda_patch
from lab.moto_patches import sqs as sqs_patch
from plugins.modules import lambda_functions

TAGS = {"vahana:app": "cars", "vahana:env": "prod"}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}

Run = Callable[..., dict[str, Any]]


def aws(service: str) -> Any:
    return boto3.client(service, region_name="us-east-1")  # type: ignore[call-overload]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "worker"
    (folder / "src").mkdir(parents=True)
    (folder / "test").mkdir()
    (folder / "package.json").write_text('{"type": "module", "devDependencies": {"x": "1"}}')
    (folder / "src/email.js").write_text("export const handler = async () => ({});\n")
    (folder / "test/email.test.js").write_text("no part of it")
    return folder


@pytest.fixture
def email() -> dict[str, Any]:
    """A function with its role and its queue."""
    lambda_patch.apply()
    sqs_patch.apply()
    role = aws("iam").create_role(RoleName="cars-prod-function", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    aws("sqs").create_queue(QueueName="cars-prod-email", Attributes={"VisibilityTimeout": "180"})
    return {
        "name": "email",
        "handler": "src/email.handler",
        "role_arn": role["Arn"],
        "log_group": "/cars/prod/functions/email",
        "queue_arn": "arn:aws:sqs:us-east-1:123456789012:cars-prod-email",
        "environment": {"OUTPUT_BUCKET": "cars"},
    }


@pytest.fixture
def functions(run_module: Run, source: Path) -> Run:
    def run(*wanted: dict[str, Any], **options: Any) -> dict[str, Any]:
        defaults = {"prefix": "cars-prod-", "source": str(source), "functions": list(wanted), "tags": TAGS}
        return run_module(lambda_functions, **{**defaults, **options})

    return run


def names() -> list[str]:
    return sorted(item["FunctionName"] for item in aws("lambda").list_functions()["Functions"])


def mappings() -> list[dict[str, Any]]:
    return list(aws("lambda").list_event_source_mappings()["EventSourceMappings"])


def test_sets_them_once(functions: Run, email: dict[str, Any]) -> None:
    assert functions(email, check=True)["changed"]
    assert names() == []
    made = functions(email)
    assert made["changed"] and made["names"] == names() == ["cars-prod-email"]
    function = aws("lambda").get_function(FunctionName="cars-prod-email")
    configuration = function["Configuration"]
    assert configuration["CodeSha256"] == made["code_sha256"]
    assert (configuration["Runtime"], configuration["Architectures"]) == ("nodejs24.x", ["arm64"])
    assert configuration["LoggingConfig"]["LogGroup"] == email["log_group"]
    assert configuration["Environment"]["Variables"] == {"OUTPUT_BUCKET": "cars"}
    assert function["Tags"] == {**TAGS, "Name": "cars-prod-email"}
    (mapping,) = mappings()
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert (mapping["BatchSize"], mapping["ScalingConfig"]) == (10, {"MaximumConcurrency": 2})
    # No version of it is ever published.
    assert len(aws("lambda").list_versions_by_function(FunctionName="cars-prod-email")["Versions"]) == 1
    assert not functions(email)["changed"]
    assert not functions(email, check=True)["changed"]


def test_code_changes_with_its_sources_alone(functions: Run, email: dict[str, Any], source: Path) -> None:
    before = functions(email)["code_sha256"]
    (source / "test/email.test.js").write_text("another test")
    os.utime(source / "src/email.js", (1, 1))
    assert not functions(email)["changed"]
    (source / "src/email.js").write_text("export const handler = async () => 1;\n")
    planned = functions(email, check=True)
    assert planned["diff"]["before"]["cars-prod-email"]["CodeSha256"] == before
    assert functions(email)["changed"]
    configuration = aws("lambda").get_function_configuration(FunctionName="cars-prod-email")
    assert configuration["CodeSha256"] == planned["code_sha256"] != before
    assert not functions(email)["changed"]


def test_the_archive_is_the_sources(source: Path) -> None:
    packed = lambda_functions.archive(source)
    assert packed == lambda_functions.archive(source)
    with zipfile.ZipFile(io.BytesIO(packed)) as opened:
        assert opened.namelist() == ["package.json", "src/email.js"]


@pytest.mark.parametrize(
    "change",
    [
        {"timeout": 60},
        {"memory_size": 512},
        {"environment": {}},
        {"log_group": "/elsewhere"},
        {"description": "new"},
        {"batch_size": 5},
        {"batching_window": 3},
        {"maximum_concurrency": 9},
        {"queue_arn": ""},
    ],
)
def test_a_change_is_planned_and_made(functions: Run, email: dict[str, Any], change: dict[str, Any]) -> None:
    functions(email)
    assert functions({**email, **change}, check=True)["changed"]
    assert functions({**email, **change})["changed"]
    assert not functions({**email, **change})["changed"]
    assert len(mappings()) == (0 if change == {"queue_arn": ""} else 1)


def test_the_processor_changes_with_the_code(functions: Run, email: dict[str, Any]) -> None:
    functions(email)
    assert functions(email, architecture="x86_64")["changed"]
    assert not functions(email, architecture="x86_64")["changed"]


def test_a_mapping_that_somebody_disabled_works_again(functions: Run, email: dict[str, Any]) -> None:
    functions(email)
    aws("lambda").update_event_source_mapping(UUID=mappings()[0]["UUID"], Enabled=False)
    assert functions(email)["changed"]
    assert mappings()[0]["State"] == "Enabled"


def test_deletes_what_is_no_longer_listed_and_only_ours(functions: Run, email: dict[str, Any]) -> None:
    functions(email, {**email, "name": "other", "queue_arn": ""})
    functions({**email, "queue_arn": ""}, tags={**TAGS, "vahana:env": "prod-2"}, prefix="cars-prod-2-")
    assert functions(email)["changed"]
    assert names() == ["cars-prod-2-email", "cars-prod-email"]
    assert functions(check=True)["changed"]
    assert functions(source="")["changed"]
    assert names() == ["cars-prod-2-email"]
    assert mappings() == []
    assert not functions(source="")["changed"]


def test_refuses_a_foreign_function(functions: Run, email: dict[str, Any]) -> None:
    functions(email, tags={**TAGS, "vahana:app": "bikes"})
    refused = functions(email)
    assert refused["failed"]
    assert "cars-prod-email exists but is not tagged vahana:app=cars" in refused["msg"]


def test_says_what_is_wrong_with_the_sources(functions: Run, email: dict[str, Any], source: Path) -> None:
    (source / "package.json").write_text('{"dependencies": {"left-pad": "1"}}')
    assert "has dependencies (left-pad)" in functions(email)["msg"]
    assert "set functions_source" in functions(email, source=str(source / "nowhere"))["msg"]
    assert names() == []


def test_code_in_a_bucket_is_what_a_function_begins_with(run_module: Run, email: dict[str, Any]) -> None:
    aws("s3").create_bucket(Bucket="cars-releases")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr("api.js", "// 1")
    aws("s3").put_object(Bucket="cars-releases", Key="1/functions.zip", Body=content.getvalue())
    api = {**email, "name": "api", "handler": "api.handler", "queue_arn": "", "reserved_concurrency": 5}
    given = {"prefix": "cars-prod-", "code": {"bucket": "cars-releases", "key": "1/functions.zip"}, "tags": TAGS}
    assert run_module(lambda_functions, True, functions=[api], **given)["changed"]
    assert run_module(lambda_functions, functions=[api], **given)["changed"]
    assert not run_module(lambda_functions, functions=[api], **given)["changed"]
    name = {"FunctionName": "cars-prod-api"}
    assert aws("lambda").get_function_concurrency(**name)["ReservedConcurrentExecutions"] == 5
    # What code it has later is somebody else's business, how many run at the same time is not.
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr("api.js", "// 2")
    aws("lambda").update_function_code(**name, ZipFile=content.getvalue())
    assert not run_module(lambda_functions, functions=[api], **given)["changed"]
    none = {**api, "reserved_concurrency": 0}
    assert run_module(lambda_functions, functions=[none], **given)["changed"]
    assert not run_module(lambda_functions, functions=[none], **given)["changed"]


def test_functions_of_another_layer_are_left(run_module: Run, source: Path, email: dict[str, Any]) -> None:
    workers = {"prefix": "cars-prod-", "source": str(source), "tags": {**TAGS, "vahana:layer": "functions"}}
    others = {"prefix": "cars-prod-", "source": str(source), "tags": {**TAGS, "vahana:layer": "api"}}
    run_module(lambda_functions, functions=[email], **workers)
    run_module(lambda_functions, functions=[{**email, "name": "api", "queue_arn": ""}], **others)
    run_module(lambda_functions, functions=[], **workers)
    assert [each["FunctionName"] for each in aws("lambda").list_functions()["Functions"]] == ["cars-prod-api"]


def test_goes_into_a_network_and_out_again(functions: Run, email: dict[str, Any]) -> None:
    ec2 = aws("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24")["Subnet"]["SubnetId"] for number in (3, 4)]
    group = ec2.create_security_group(VpcId=vpc, GroupName="cars-prod-backend", Description="Backend")["GroupId"]

    def network() -> list[str]:
        found = aws("lambda").get_function_configuration(FunctionName="cars-prod-email").get("VpcConfig") or {}
        return sorted(found.get("SubnetIds", []) + found.get("SecurityGroupIds", []))

    functions(email)
    assert network() == []
    inside = {**email, "subnet_ids": subnets, "security_group_ids": [group]}
    planned = functions(inside, check=True)
    moved = functions(inside)
    assert planned["changed"] and moved["changed"] and network() == sorted([*subnets, group])
    assert moved["configurations"]["cars-prod-email"]["VpcConfig"]["SubnetIds"] == sorted(subnets)
    # Their order is nobody's business.
    assert not functions({**inside, "subnet_ids": subnets[::-1]})["changed"]
    assert functions(email)["changed"] and network() == []
    assert not functions(email)["changed"]


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("The role defined for the function cannot be assumed by Lambda.", 2),
        ("The provided execution role does not have permissions to call CreateNetworkInterface on EC2", 2),
        ("The function's execution role doesn't have permission to perform this operation", 2),
        ("…your environment variables because the KMS key is invalid for CreateGrant. Please check your KMS key", 2),
        ("Lambda was throttled by EC2 while trying to set up the function's network", 2),
        ("Unzipped size must be smaller than 262144000 bytes", 1),
    ],
)
def test_what_is_not_there_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch, text: str, asked: int) -> None:
    monkeypatch.setattr(lambda_functions.time, "sleep", lambda _seconds: None)
    refusals = [ClientError({"Error": {"Code": "InvalidParameterValueException", "Message": text}}, "CreateFunction")]
    calls: list[str] = []

    def create() -> None:
        calls.append("create")
        if refusals:
            raise refusals.pop()

    with contextlib.nullcontext() if asked > 1 else pytest.raises(ClientError, match="Unzipped"):
        lambda_functions._as_soon_as_possible(create)
    assert len(calls) == asked
