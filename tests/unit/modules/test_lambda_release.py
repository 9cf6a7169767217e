"""The module lambda_release: versions by their release, and an alias that shares the requests between two."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from lab.moto_patches import awslambda
from plugins.modules import lambda_release

Run = Callable[..., dict[str, Any]]
NAME, BUCKET = "cars-prod-api", "cars-prod-releases"


def archive(text: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr(zipfile.ZipInfo("index.js"), text)
    return content.getvalue()


def put(release: str) -> dict[str, str]:
    """Upload the code of a release; return where it is."""
    code = archive(f"// {release}")
    key = f"releases/{release}/functions.zip"
    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=code)
    sha256 = base64.b64encode(hashlib.sha256(code).digest()).decode()
    return {"release": release, "s3_bucket": BUCKET, "s3_key": key, "code_sha256": sha256}


@pytest.fixture
def release(run_module: Run) -> Run:
    awslambda.apply()
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    role = boto3.client("iam").create_role(RoleName="api", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    boto3.client("lambda").create_function(
        FunctionName=NAME,
        Runtime="nodejs24.x",
        Role=role,
        Handler="index.handler",
        Code={"ZipFile": archive("// nothing yet")},
    )

    def run(check: bool = False, **arguments: Any) -> dict[str, Any]:
        return run_module(lambda_release, check, function_name=NAME, **arguments)

    return run


def alias() -> tuple[str, dict[str, float]]:
    found = boto3.client("lambda").get_alias(FunctionName=NAME, Name="live")
    return found["FunctionVersion"], (found.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}


def versions() -> dict[str, str]:
    found = boto3.client("lambda").list_versions_by_function(FunctionName=NAME)["Versions"]
    return {each["Version"]: each["Description"] for each in found if each["Version"] != "$LATEST"}


def test_the_first_release_gets_all(release: Run) -> None:
    one = put("1.0.0")
    planned = release(True, **one)
    assert (planned["changed"], planned["after"], versions()) == (True, {"1.0.0": 100}, {})
    done = release(**one, share=10)
    assert (done["changed"], done["version"], done["after"]) == (True, "1", {"1.0.0": 100})
    assert (alias(), versions()) == (("1", {}), {"1": "1.0.0"})
    for check in (True, False):
        assert not release(check, **one)["changed"]


def test_a_few_try_it_then_all_have_it_then_back(release: Run) -> None:
    release(**put("1.0.0"))
    two = put("2.0.0")
    planned, done = release(True, **two, share=10), release(**two, share=10)
    assert planned["diff"] == done["diff"]
    assert (done["before"], done["after"]) == ({"1.0.0": 100}, {"1.0.0": 90, "2.0.0": 10})
    assert alias() == ("1", {"2": 0.1})
    assert not release(**two, share=10)["changed"]
    assert release(release="2.0.0")["after"] == {"2.0.0": 100}
    assert (alias(), versions()) == (("2", {}), {"1": "1.0.0", "2": "2.0.0"})
    back = release(release="1.0.0")
    assert (back["before"], back["after"], alias()) == ({"2.0.0": 100}, {"1.0.0": 100}, ("1", {}))


def test_a_trial_is_given_up(release: Run) -> None:
    release(**put("1.0.0"))
    two = put("2.0.0")
    release(**two, share=10)
    assert release(**two, share=0)["after"] == {"1.0.0": 100}
    assert alias() == ("1", {})
    assert not release(**two, share=0)["changed"]


def test_mistakes(release: Run) -> None:
    release(**put("1.0.0"))
    assert "was never published; s3_key says where its code is (known: 1.0.0)" in release(release="9")["msg"]
    assert "it is a percentage" in release(**put("2.0.0"), share=101)["msg"]
    wrong = {**put("2.0.0"), "code_sha256": put("3.0.0")["code_sha256"]}
    assert "build release 2.0.0 anew under another name" in release(**wrong)["msg"]
    assert versions() == {"1": "1.0.0"}


def test_a_changed_configuration_is_another_version_of_the_release(release: Run) -> None:
    one = put("1.0.0")
    more: dict[str, Any] = {"MemorySize": 1024, "Environment": {"Variables": {"CARS": "10"}}}
    release(**one, configuration={"MemorySize": 128})
    assert versions() == {"1": "1.0.0"}
    # A plan says so before the function is changed.
    planned = release(True, **one, configuration=more)
    boto3.client("lambda").update_function_configuration(FunctionName=NAME, **more)
    done = release(**one, configuration=more)
    assert planned["diff"] == done["diff"]
    assert (done["changed"], done["version"], done["after"]) == (True, "2", {"1.0.0": 100})
    assert (alias(), versions()) == (("2", {}), {"1": "1.0.0", "2": "1.0.0"})
    assert not release(**one, configuration=more)["changed"]
    # What somebody else did to the function, and a run will take back, makes no version.
    boto3.client("lambda").update_function_configuration(FunctionName=NAME, MemorySize=512)
    assert not release(True, **one, configuration=more)["changed"]
    # Who does not say what it is to be takes it as it was published.
    assert not release(release="1.0.0")["changed"]


def test_who_may_ask_the_alias(release: Run) -> None:
    one = put("1.0.0")
    api = {"id": "http-api", "service": "apigateway.amazonaws.com", "source_arn": "arn:aws:execute-api:x:1:abc/*"}
    planned, done = release(True, **one, invokers=[api]), release(**one, invokers=[api])
    assert planned["diff"]["after"] == done["diff"]["after"]
    assert done["diff"]["after"]["http-api"] == "apigateway.amazonaws.com arn:aws:execute-api:x:1:abc/*"
    assert not release(**one, invokers=[api])["changed"]
    # Who does not say anything about it changes nothing.
    assert not release(**one)["changed"]
    other = {**api, "source_arn": "arn:aws:execute-api:x:1:other/*"}
    for check in (True, False):
        assert release(check, **one, invokers=[other])["changed"]
    assert not release(**one, invokers=[other])["changed"]
    assert release(**one, invokers=[])["changed"]
    assert not release(**one, invokers=[])["changed"]


def test_a_plan_knows_no_function_yet(release: Run) -> None:
    boto3.client("lambda").delete_function(FunctionName=NAME)
    planned = release(True, **put("1.0.0"))
    assert (planned["changed"], planned["after"]) == (True, {"1.0.0": 100})
    assert release(**put("1.0.0"))["failed"]


def test_a_version_outside_of_the_network_is_another_one(release: Run) -> None:
    given = put("1.0.0")
    outside: dict[str, Any] = {"VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []}}
    release(**given, configuration=outside)
    assert not release(**given, configuration=outside)["changed"]
    ec2 = boto3.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24")["Subnet"]["SubnetId"] for n in (3, 4)]
    inside = {"VpcConfig": {"SubnetIds": sorted(subnets), "SecurityGroupIds": []}}
    reverse: Any = {"SubnetIds": sorted(subnets)[::-1], "SecurityGroupIds": []}
    boto3.client("lambda").update_function_configuration(FunctionName=NAME, VpcConfig=reverse)
    assert release(**given, configuration=inside)["version"] == "2"
    assert not release(**given, configuration=inside)["changed"]
