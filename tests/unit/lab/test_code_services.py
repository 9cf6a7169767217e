"""CodeConnections, CodeBuild and CodePipeline as the lab has them: each test is a gap that was there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.codebuild.models import codebuild_backends
from moto.codepipeline.models import codepipeline_backends

from lab import settings
from lab.moto_patches import codebuild

Client = Callable[[str], Any]
REGION = settings.DEFAULT_REGION


def code(caught: pytest.ExceptionInfo[ClientError]) -> str:
    """The error code that AWS answered."""
    return str(caught.value.response["Error"]["Code"])


def role(client: Client, service: str) -> str:
    """Make a role that a service may assume; return its ARN."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
    }
    made = client("iam").create_role(RoleName=service, AssumeRolePolicyDocument=json.dumps(trust))
    return str(made["Role"]["Arn"])


def project(client: Client, **changes: Any) -> dict[str, Any]:
    """What a pipeline's project is made of."""
    return {
        "name": "trial",
        "source": {"type": "CODEPIPELINE", "buildspec": "buildspec.yml"},
        "artifacts": {"type": "CODEPIPELINE"},
        "environment": {"type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL"},
        "serviceRole": role(client, "codebuild.amazonaws.com"),
        "tags": [{"key": "vahana:app", "value": "trial"}],
        **changes,
    }


def pipeline(client: Client, **changes: Any) -> dict[str, Any]:
    """What a pipeline of two stages is made of."""

    def stage(name: str, category: str, provider: str, **configuration: str) -> dict[str, Any]:
        kind = {"category": category, "owner": "AWS", "provider": provider, "version": "1"}
        return {"name": name, "actions": [{"name": name, "actionTypeId": kind, "configuration": configuration}]}

    return {
        "name": "trial",
        "roleArn": role(client, "codepipeline.amazonaws.com"),
        "artifactStore": {"type": "S3", "location": "trial"},
        "stages": [
            stage("source", "Source", "CodeStarSourceConnection", FullRepositoryId="some/cars", BranchName="main"),
            stage("build", "Build", "CodeBuild", ProjectName="trial"),
        ],
        "pipelineType": "V2",
        "triggers": [
            {
                "providerType": "CodeStarSourceConnection",
                "gitConfiguration": {"sourceActionName": "source", "push": [{"branches": {"includes": ["main"]}}]},
            }
        ],
        **changes,
    }


def test_a_connection_waits_for_a_person(client: Client) -> None:
    api = client("codeconnections")
    tags = [{"Key": "vahana:app", "Value": "trial"}]
    arn = api.create_connection(ConnectionName="trial", ProviderType="GitHub", Tags=tags)["ConnectionArn"]
    assert api.get_connection(ConnectionArn=arn)["Connection"]["ConnectionStatus"] == "PENDING"
    assert [each["ConnectionArn"] for each in api.list_connections(ProviderTypeFilter="GitHub")["Connections"]] == [arn]
    assert api.list_connections(ProviderTypeFilter="GitLab")["Connections"] == []
    with pytest.raises(ClientError):
        api.create_connection(ConnectionName="trial", ProviderType="GitHub")
    api.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    api.untag_resource(ResourceArn=arn, TagKeys=["vahana:app"])
    assert api.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    found = client("resourcegroupstaggingapi").get_resources(TagFilters=[{"Key": "a"}])["ResourceTagMappingList"]
    assert [each["ResourceARN"] for each in found] == [arn]
    api.delete_connection(ConnectionArn=arn)
    with pytest.raises(ClientError) as gone:
        api.get_connection(ConnectionArn=arn)
    assert code(gone) == "ResourceNotFoundException"


def test_a_project_of_a_pipeline(client: Client) -> None:
    api = client("codebuild")
    given = project(client)
    with pytest.raises(ClientError) as role_missing:
        api.create_project(**{**given, "serviceRole": given["serviceRole"] + "x"})
    assert code(role_missing) == "InvalidInputException"
    api.create_project(**given)
    api.update_project(name="trial", description="of a trial", tags=[{"key": "vahana:app", "value": "other"}])
    found = api.batch_get_projects(names=["trial"])["projects"][0]
    assert found["description"] == "of a trial"
    assert found["source"] == {"type": "CODEPIPELINE", "buildspec": "buildspec.yml", "insecureSsl": False}
    assert found["environment"]["imagePullCredentialsType"] == "CODEBUILD"
    tagged = client("resourcegroupstaggingapi").get_resources(TagFilters=[{"Key": "vahana:app", "Values": ["other"]}])
    assert [each["ResourceARN"] for each in tagged["ResourceTagMappingList"]] == [found["arn"]]
    with pytest.raises(ClientError) as by_hand:
        api.start_build(projectName="trial")
    assert code(by_hand) == "InvalidInputException"
    with pytest.raises(ClientError) as unknown:
        api.update_project(name="other", description="")
    assert code(unknown) == "ResourceNotFoundException"


def test_a_build_is_what_was_recorded(client: Client) -> None:
    client("codebuild").create_project(**project(client))
    build = {"id": "trial:1", "projectName": "trial", "buildStatus": "FAILED", "phases": []}
    codebuild.record(codebuild_backends[settings.ACCOUNT_ID][REGION], build)
    assert client("codebuild").list_builds_for_project(projectName="trial")["ids"] == ["trial:1"]
    assert client("codebuild").batch_get_builds(ids=["trial:1"])["builds"][0]["buildStatus"] == "FAILED"


def test_a_pipeline_keeps_what_v2_has(client: Client) -> None:
    api = client("codepipeline")
    given = pipeline(client)
    with pytest.raises(ClientError) as old:
        api.create_pipeline(pipeline={**given, "pipelineType": "V1"})
    assert code(old) == "InvalidStructureException"
    api.create_pipeline(pipeline=given, tags=[{"key": "vahana:app", "value": "trial"}])
    given["triggers"][0]["gitConfiguration"]["sourceActionName"] = "build"
    with pytest.raises(ClientError) as no_source:
        api.update_pipeline(pipeline=given)
    assert code(no_source) == "InvalidStructureException"
    found = api.get_pipeline(name="trial")["pipeline"]
    assert (found["pipelineType"], found["executionMode"]) == ("V2", "SUPERSEDED")
    assert found["triggers"][0]["gitConfiguration"]["push"] == [{"branches": {"includes": ["main"]}}]
    tagged = client("resourcegroupstaggingapi").get_resources(TagFilters=[{"Key": "vahana:app"}])
    assert [each["ResourceARN"].rpartition(":")[2] for each in tagged["ResourceTagMappingList"]] == ["trial"]


def test_an_execution_tells_how_far_it_is(client: Client) -> None:
    api = client("codepipeline")
    api.create_pipeline(pipeline=pipeline(client))
    identity = api.start_pipeline_execution(name="trial")["pipelineExecutionId"]
    assert api.list_pipeline_executions(pipelineName="trial")["pipelineExecutionSummaries"][0]["status"] == "InProgress"
    assert "latestExecution" not in api.get_pipeline_state(name="trial")["stageStates"][0]
    known = codepipeline_backends[settings.ACCOUNT_ID][REGION].pipelines["trial"]
    execution = known.executions[identity]
    execution.commit, execution.message = "3f2a91c", "Cheaper cars"
    execution.act("source", "source", "Succeeded")
    execution.act("build", "build", "InProgress", externalExecutionId="trial:1")
    execution.act("build", "build", "Failed", summary="npm test")
    execution.end("Failed")
    source, build = api.get_pipeline_state(name="trial")["stageStates"]
    assert source["latestExecution"] == {"pipelineExecutionId": identity, "status": "Succeeded"}
    assert build["latestExecution"]["status"] == "Failed"
    shown = build["actionStates"][0]["latestExecution"]
    assert (shown["externalExecutionId"], shown["summary"]) == ("trial:1", "npm test")
    summary = api.list_pipeline_executions(pipelineName="trial")["pipelineExecutionSummaries"][0]
    assert (summary["status"], summary["sourceRevisions"][0]["revisionId"]) == ("Failed", "3f2a91c")
    whole = api.get_pipeline_execution(pipelineName="trial", pipelineExecutionId=identity)["pipelineExecution"]
    assert whole["artifactRevisions"][0]["revisionSummary"] == "Cheaper cars"
