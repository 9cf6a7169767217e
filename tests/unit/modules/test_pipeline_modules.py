"""What a pipeline is made of: its connection, its projects, itself; all by the same rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lab.moto_patches import codebuild, codeconnections, codepipeline
from plugins.module_utils import named_resource
from plugins.modules import codebuild_pipeline_project, codeconnections_connection, codepipeline_v2

TAGS = {"vahana:app": "cars", "vahana:env": "prod"}
Run = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def services(account: None) -> None:
    """moto with what the three services lack."""
    for patch in (codeconnections, codebuild, codepipeline):
        patch.apply()


def role(service: str) -> str:
    """Make a role that a service may assume; return its ARN."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    made = boto3.client("iam").create_role(RoleName=service, AssumeRolePolicyDocument=trust)
    return str(made["Role"]["Arn"])


def stage(name: str, category: str, provider: str, **configuration: str) -> dict[str, Any]:
    """Return a stage of one action."""
    kind = {"category": category, "owner": "AWS", "provider": provider, "version": "1"}
    return {"name": name, "actions": [{"name": name, "actionTypeId": kind, "configuration": configuration}]}


def arguments(module: ModuleType) -> dict[str, Any]:
    """Return what a module is called with, without which its resource cannot be."""
    if module is codeconnections_connection:
        return {}
    if module is codebuild_pipeline_project:
        return {
            "role_arn": role("codebuild.amazonaws.com"),
            "buildspec": "buildspec.yml",
            "image": "aws/codebuild/standard:7.0",
            "log_group": "/cars/prod/build",
            "variables": {"B": "2", "A": "1"},
        }
    git = {"sourceActionName": "source", "push": [{"branches": {"includes": ["main"]}}]}
    return {
        "role_arn": role("codepipeline.amazonaws.com"),
        "bucket": "cars-prod-releases",
        "stages": [
            stage("source", "Source", "CodeStarSourceConnection", BranchName="main"),
            stage("build", "Build", "CodeBuild", ProjectName="cars"),
        ],
        "triggers": [{"providerType": "CodeStarSourceConnection", "gitConfiguration": git}],
    }


MODULES = pytest.mark.parametrize(
    "module",
    [codeconnections_connection, codebuild_pipeline_project, codepipeline_v2],
    ids=lambda module: module.__name__.rpartition(".")[2],
)


@MODULES
def test_made_once_tagged_anew_deleted(module: ModuleType, run_module: Run) -> None:
    given = {"name": "cars-prod", "tags": TAGS, **arguments(module)}
    planned = run_module(module, check=True, **given)
    assert (planned["changed"], planned["arn"], planned["diff"]["before"]) == (True, "", {})
    assert run_module(module, check=True, **given)["arn"] == ""
    made = run_module(module, **given)
    assert made["changed"]
    assert made["arn"].startswith("arn:aws:")
    for check in (True, False):
        again = run_module(module, check=check, **given)
        assert (again["changed"], again["arn"]) == (False, made["arn"])
    given["tags"] = {**TAGS, "vahana:tier": "full"}
    assert run_module(module, check=True, **given)["changed"]
    tagged = run_module(module, **given)
    assert tagged["diff"]["after"]["tags"]["vahana:tier"] == "full"
    assert not run_module(module, **given)["changed"]
    absent = {"name": "cars-prod", "tags": TAGS, "state": "absent"}
    assert run_module(module, check=True, **absent)["changed"]
    assert not run_module(module, **given)["changed"]
    assert run_module(module, **absent)["changed"]
    assert not run_module(module, **absent)["changed"]


@MODULES
def test_what_is_somebody_elses_is_left_alone(module: ModuleType, run_module: Run) -> None:
    given = {"name": "cars-prod", "tags": {**TAGS, "vahana:env": "test"}, **arguments(module)}
    run_module(module, **given)
    refused = run_module(module, **{**given, "tags": TAGS})
    assert refused["failed"]
    assert "not tagged vahana:app=cars, vahana:env=prod" in refused["msg"]
    assert not run_module(module, name="cars-prod", tags=TAGS, state="absent")["changed"]
    assert not run_module(module, **given)["changed"]


def test_a_connection_says_that_it_waits_for_a_person(run_module: Run) -> None:
    given = {"name": "cars-prod", "tags": TAGS}
    assert run_module(codeconnections_connection, check=True, **given)["status"] == ""
    assert run_module(codeconnections_connection, **given)["status"] == "PENDING"
    other = run_module(codeconnections_connection, provider_type="GitLab", **given)
    assert other["failed"]
    assert "aws codeconnections delete-connection" in other["msg"]


def test_a_project_is_changed_where_it_differs(run_module: Run) -> None:
    given = {"name": "cars-prod", "tags": TAGS, **arguments(codebuild_pipeline_project)}
    run_module(codebuild_pipeline_project, **given)
    changed = run_module(codebuild_pipeline_project, **{**given, "variables": {"A": "3"}, "timeout_minutes": 30})
    assert changed["diff"]["before"]["timeoutInMinutes"] == 60
    project = boto3.client("codebuild").batch_get_projects(names=["cars-prod"])["projects"][0]
    assert project["environment"]["environmentVariables"] == [{"name": "A", "value": "3", "type": "PLAINTEXT"}]
    assert project["timeoutInMinutes"] == 30
    assert project["logsConfig"]["cloudWatchLogs"] == {"status": "ENABLED", "groupName": "/cars/prod/build"}


def test_a_pipeline_is_changed_where_it_differs(run_module: Run) -> None:
    given = {"name": "cars-prod", "tags": TAGS, **arguments(codepipeline_v2)}
    run_module(codepipeline_v2, **given)
    given["stages"][0]["actions"][0]["configuration"]["BranchName"] = "next"
    assert run_module(codepipeline_v2, check=True, **given)["changed"]
    assert run_module(codepipeline_v2, **given)["changed"]
    found = boto3.client("codepipeline").get_pipeline(name="cars-prod")["pipeline"]
    assert found["stages"][0]["actions"][0]["configuration"]["BranchName"] == "next"
    assert (found["pipelineType"], found["version"]) == ("V2", 2)


def test_a_role_that_is_not_known_yet_is_waited_for(run_module: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"name": "cars-prod", "tags": TAGS, **arguments(codebuild_pipeline_project)}
    boto3.client("iam").delete_role(RoleName="codebuild.amazonaws.com")
    waited: list[float] = []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            role("codebuild.amazonaws.com")

    monkeypatch.setattr("time.sleep", pause)
    assert run_module(codebuild_pipeline_project, **given)["changed"]
    assert waited == [named_resource.ROLE_SECONDS] * 2


def test_other_refusals_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise ClientError({"Error": {"Code": "LimitExceeded", "Message": "too many"}}, "CreateProject")

    monkeypatch.setattr("time.sleep", lambda _seconds: pytest.fail("it waits"))
    with pytest.raises(ClientError):
        named_resource._once_roles_are_known(refuse)
