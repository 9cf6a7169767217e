"""The pipeline's layer against the API: planned, made, drifted, asked with the roles of its stages, deleted."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.plan.conftest import Account, Run
from tests.plan.test_plan import prove

NAME = "vahanhelp-prod"
#: The other layers have their own tests; without instances a stage can do all but replace them.
GIVEN = ("-e", "pipeline_repository=some/cars", "--tags", "environment,storage,identity,pipeline")


def as_role(account: Account, stage: str) -> dict[str, str]:
    """Return the credentials that a stage of the pipeline has."""
    role = account.client("iam").get_role(RoleName=f"{NAME}-pipeline-{stage}")["Role"]["Arn"]
    made = account.client("sts").assume_role(RoleArn=role, RoleSessionName=stage)["Credentials"]
    return {
        "aws_access_key_id": made["AccessKeyId"],
        "aws_secret_access_key": made["SecretAccessKey"],
        "aws_session_token": made["SessionToken"],
    }


def play_as(account: Account, stage: str, playbook: str) -> tuple[int, str]:
    """Run a playbook as a stage of the pipeline does, but without writing; return its exit code and what it printed."""
    [project] = account.client("codebuild").batch_get_projects(names=[f"{NAME}-pipeline-{stage}"])["projects"]
    options = {each["name"]: each["value"] for each in project["environment"]["environmentVariables"]}["OPTIONS"]
    command = account.command_of(f"playbooks/{playbook}.yml", "--check", "-e", options)
    with account.begin(command, VAHANA_LAB_CREDENTIALS=" ".join(as_role(account, stage).values())) as process:
        output, _nothing = process.communicate(timeout=600)
    return process.returncode, output


def delete(account: Account) -> Run:
    """Destroy the environment."""
    return account.play("full", "-e", f"confirm={NAME}", playbook="playbooks/destroy.yml")


def client(account: Account, service: str, stage: str) -> Any:
    """Make a client with the credentials of a stage."""
    keys = as_role(account, stage)
    return boto3.client(service, endpoint_url=account.url, region_name="us-east-1", **keys)  # type: ignore[call-overload]


def refused(account: Account) -> None:
    """See what no stage may do."""
    with pytest.raises(ClientError, match="AccessDenied"):
        client(account, "ssm", "build").put_parameter(Name="/vahanhelp/prod/release", Value="x", Overwrite=True)
    with pytest.raises(ClientError, match="AccessDenied"):
        client(account, "secretsmanager", "deploy").get_secret_value(SecretId="/vahanhelp/prod/database")
    with pytest.raises(ClientError, match="Unauthorized"):
        client(account, "ec2", "deploy").terminate_instances(InstanceIds=["i-0123456789abcdef0"])
    [bucket] = releases(account)
    with pytest.raises(ClientError, match="AccessDenied"):
        client(account, "s3", "build").put_object(Bucket=bucket, Key="lock.json", Body=b"{}")


def releases(account: Account) -> list[str]:
    """Return the bucket of releases."""
    buckets = [each["Name"] for each in account.client("s3").list_buckets()["Buckets"]]
    return [name for name in buckets if "-releases-" in name]


def write_as_deployment(account: Account) -> None:
    """Write what roles/release and roles/lock write, with the credentials of the stage; there is no front end."""
    [bucket] = releases(account)
    s3 = client(account, "s3", "deploy")
    for key in ("releases/x", "audit/x", "lock.json"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"{}")
        s3.get_object(Bucket=bucket, Key=key)
    s3.delete_object(Bucket=bucket, Key="lock.json")
    given = {"app": "vahanhelp", "env": "prod", "layer": "release"}
    tags = [{"Key": f"vahana:{name}", "Value": value} for name, value in given.items()]
    ssm, name = client(account, "ssm", "deploy"), "/vahanhelp/prod/release"
    ssm.put_parameter(Name=name, Value="1", Type="String")
    ssm.get_parameter(Name=name)
    ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId=name, Tags=tags)


@pytest.mark.long
def test_the_pipeline_from_its_plan_to_its_end(account: Account) -> None:
    account.load("empty")
    planned = prove(account, "full", *GIVEN)
    assert "approve the connection" not in planned.output
    assert {entry["task"] for entry in planned.entries if entry["role"] == "pipeline"} >= {
        "Present | Keep the pipeline",
        "Present | Keep the projects that build and deploy",
        "Present | Connect to the repository",
    }
    again = account.play("full", *GIVEN)
    # The lock, and the line in the history.
    assert (again.changed, set(again.writes) - {"PutObject", "DeleteObject"}) == (set(), set())

    api, builds = account.client("codepipeline"), account.client("codebuild")
    pipeline = api.get_pipeline(name=NAME)["pipeline"]
    pipeline["stages"][0]["actions"][0]["configuration"]["BranchName"] = "next"
    api.update_pipeline(pipeline=pipeline)
    builds.update_project(name=f"{NAME}-pipeline-build", timeoutInMinutes=5)
    account.client("iam").delete_role_policy(RoleName=f"{NAME}-pipeline-deploy", PolicyName="deploy")
    drifted = prove(account, "full", *GIVEN)
    assert {entry["task"] for entry in drifted.entries} == {
        "Present | Keep each role's one policy",
        "Present | Keep the projects that build and deploy",
        "Present | Keep the pipeline",
    }

    code, output = play_as(account, "build", "build")
    assert code == 0, output
    # There is nothing to deploy to, which it finds out by asking everything that it has to ask.
    code, output = play_as(account, "deploy", "deploy")
    assert "has no running instance" in output, output

    refused(account)
    write_as_deployment(account)

    gone = delete(account)
    assert gone.code == 0, gone.output
    assert api.list_pipelines()["pipelines"] == []
    assert builds.list_projects()["projects"] == []
    assert account.client("codeconnections").list_connections()["Connections"] == []
    assert json.dumps(account.client("iam").list_roles()["Roles"], default=str).count("-pipeline") == 0
