"""The pipeline's layer against the API: planned, made, drifted, asked with the roles of its stages, deleted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.plan.conftest import HERE, Account
from tests.plan.drifts import ACCOUNT_ID, NAME
from tests.plan.test_plan import prove
from tests.plan.test_two_regions import ABROAD, THERE
from tests.plan.test_two_regions import GIVEN as BOTH

REPOSITORY = ("-e", "pipeline_repository=some/cars")
#: The other layers have their own tests; without instances a stage can do all but replace them.
GIVEN = (*REPOSITORY, "--tags", "environment,storage,identity,pipeline")
#: What a first run does, among others.
MADE = {
    "Present | Keep the pipeline",
    "Present | Keep the projects that build and deploy",
    "Present | Connect to the repository",
}


def as_role(account: Account, stage: str) -> dict[str, str]:
    """Return the credentials that a stage of the pipeline has."""
    role = account.client("iam").get_role(RoleName=f"{NAME}-pipeline-{stage}")["Role"]["Arn"]
    made = account.client("sts").assume_role(RoleArn=role, RoleSessionName=stage)["Credentials"]
    return {
        "aws_access_key_id": made["AccessKeyId"],
        "aws_secret_access_key": made["SecretAccessKey"],
        "aws_session_token": made["SessionToken"],
    }


def play_as(account: Account, stage: str, *arguments: str) -> tuple[int, str]:
    """Run the playbook that a stage of the pipeline runs, as it does; return its exit code and what it printed."""
    [project] = account.client("codebuild").batch_get_projects(names=[f"{NAME}-pipeline-{stage}"])["projects"]
    options = {each["name"]: each["value"] for each in project["environment"]["environmentVariables"]}["OPTIONS"]
    command = account.command_of(f"playbooks/{stage}.yml", "-e", options, *arguments)
    with account.begin(command, VAHANA_LAB_CREDENTIALS=" ".join(as_role(account, stage).values())) as process:
        output, _nothing = process.communicate(timeout=600)
    return process.returncode, output


def delete(account: Account, tier: str) -> None:
    """Destroy the environment; see that nothing of the pipeline is left."""
    gone = account.play(tier, "-e", f"confirm={NAME}", playbook="playbooks/destroy.yml")
    assert gone.code == 0, gone.output
    assert f"{NAME}: nothing is left" in gone.output
    assert account.client("codepipeline").list_pipelines()["pipelines"] == []
    assert account.client("codebuild").list_projects()["projects"] == []
    assert account.client("codeconnections").list_connections()["Connections"] == []
    assert json.dumps(account.client("iam").list_roles()["Roles"], default=str).count("-pipeline") == 0


def client(account: Account, service: str, stage: str, region: str = "us-east-1") -> Any:
    """Make a client with the credentials of a stage."""
    keys = as_role(account, stage)
    return boto3.client(service, endpoint_url=account.url, region_name=region, **keys)  # type: ignore[call-overload]


def refused(account: Account) -> None:
    """See what no stage may do."""
    with pytest.raises(ClientError, match="AccessDenied"):
        client(account, "ssm", "build").put_parameter(Name="/vahanhelp/prod/release", Value="x", Overwrite=True)
    with pytest.raises(ClientError, match="AccessDenied"):
        client(account, "secretsmanager", "deploy").get_secret_value(SecretId="/vahanhelp/prod/database")
    with pytest.raises(ClientError, match="Unauthorized"):
        client(account, "ec2", "deploy").terminate_instances(InstanceIds=["i-0123456789abcdef0"])
    with pytest.raises(ClientError, match="AccessDenied"):
        client(account, "s3", "build").put_object(Bucket=bucket("releases"), Key="lock.json", Body=b"{}")


def refused_of_functions(account: Account) -> None:
    """See what no stage may do with functions and their data."""
    functions = client(account, "lambda", "deploy")
    with pytest.raises(ClientError, match="AccessDenied"):
        functions.update_function_configuration(FunctionName=f"{NAME}-api", MemorySize=128)
    with pytest.raises(ClientError, match="AccessDenied"):
        functions.update_function_code(FunctionName=f"{NAME}-email", ZipFile=b"x")
    with pytest.raises(ClientError, match="AccessDenied"):
        functions.invoke(FunctionName=f"{NAME}-sweep", Qualifier="1")
    with pytest.raises(ClientError, match="AccessDenied"):
        client(account, "lambda", "build").update_alias(FunctionName=f"{NAME}-api", Name="live", FunctionVersion="1")
    with pytest.raises(ClientError, match="AccessDenied"):
        client(account, "dynamodb", "deploy").scan(TableName=NAME)


def refused_of_services(account: Account) -> None:
    """See what no stage may do with services and their images."""
    for action in ("update_service", "delete_service"):
        with pytest.raises(ClientError, match="AccessDenied"):
            getattr(client(account, "ecs", "build"), action)(cluster=NAME, service="cars")
    with pytest.raises(ClientError, match="AccessDenied"):
        client(account, "ecs", "deploy").delete_service(cluster=NAME, service="cars")
    with pytest.raises(ClientError, match="AccessDenied"):
        client(account, "ecr", "deploy").put_image(repositoryName=f"{NAME}/cars", imageManifest="{}", imageTag="x")
    with pytest.raises(ClientError, match="AccessDenied"):
        client(account, "ecr", "build").put_image(repositoryName="other/cars", imageManifest="{}", imageTag="x")
    with pytest.raises(ClientError, match="AccessDenied"):
        client(account, "ecs", "deploy").delete_task_definitions(taskDefinitions=["other-cars:1"])


def bucket(kind: str, name: str = NAME) -> str:
    """Return the name of a bucket of an environment."""
    return f"{name}-{kind}-{ACCOUNT_ID}"


def write_as_deployment(account: Account) -> None:
    """Write what roles/release and roles/lock write, with the credentials of the stage."""
    s3 = client(account, "s3", "deploy")
    for key in ("releases/x", "audit/x", "lock.json"):
        s3.put_object(Bucket=bucket("releases"), Key=key, Body=b"{}")
        s3.get_object(Bucket=bucket("releases"), Key=key)
    s3.delete_object(Bucket=bucket("releases"), Key="lock.json")
    approve_as_deployment(account, "us-east-1", "prod")


def approve_as_deployment(account: Account, region: str, environment: str) -> None:
    """Write what roles/release writes at last."""
    given = {"app": "vahanhelp", "env": environment, "layer": "release"}
    tags = [{"Key": f"vahana:{name}", "Value": value} for name, value in given.items()]
    ssm, name = client(account, "ssm", "deploy", region), f"/vahanhelp/{environment}/release"
    ssm.put_parameter(Name=name, Value="1", Type="String", Overwrite=True)
    ssm.get_parameter(Name=name)
    ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId=name, Tags=tags)


def serve_as_deployment(account: Account, name: str) -> None:
    """Write what roles/release writes for browsers."""
    s3 = client(account, "s3", "deploy")
    s3.put_object(Bucket=bucket("frontend", name), Key="x.html", Body=b"x")
    s3.get_object(Bucket=bucket("frontend", name), Key="x.html")
    s3.delete_objects(Bucket=bucket("frontend", name), Delete={"Objects": [{"Key": "x.html"}]})


def shift_as_deployment(account: Account, name: str, region: str) -> None:
    """Do what roles/shift does."""
    functions = client(account, "lambda", "deploy", region)
    release = client(account, "ssm", "deploy", region).get_parameter(Name="/" + name.replace("-", "/", 1) + "/release")
    key = f"releases/{release['Parameter']['Value']}/functions.zip"
    function = {"FunctionName": f"{name}-api"}
    functions.update_function_code(**function, S3Bucket=bucket("releases", name), S3Key=key)
    made = functions.publish_version(**function)["Version"]
    functions.invoke(**function, Qualifier=made)
    functions.update_alias(**function, Name="live", FunctionVersion=made)


@pytest.mark.long
def test_the_pipeline_from_its_plan_to_its_end(account: Account) -> None:
    account.load("empty")
    planned = prove(account, "full", *GIVEN)
    assert "approve the connection" not in planned.output
    assert {entry["task"] for entry in planned.entries if entry["role"] == "pipeline"} >= MADE
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

    code, output = play_as(account, "build", "--check")
    assert code == 0, output
    # There is nothing to deploy to, which it finds out by asking everything that it has to ask.
    code, output = play_as(account, "deploy", "--check")
    assert "has no running instance" in output, output

    refused(account)
    write_as_deployment(account)

    delete(account, "full")


def releases_of(account: Account) -> tuple[str, str]:
    """Return the approved release, and the one that visitors of the API are answered by."""
    functions, function = account.client("lambda"), {"FunctionName": f"{NAME}-api"}
    alias = functions.get_alias(**function, Name="live")
    assert not (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights")
    answers = functions.get_function_configuration(**function, Qualifier=alias["FunctionVersion"])["Description"]
    return account.client("ssm").get_parameter(Name="/vahanhelp/prod/release")["Parameter"]["Value"], answers


@pytest.mark.long
def test_the_pipeline_to_the_alias(account: Account) -> None:
    """Of tier serverless, whole: here functions do not run, so a release is published, found ill and taken back."""
    account.load("empty")
    planned = prove(account, "serverless", *REPOSITORY)
    assert {entry["task"] for entry in planned.entries if entry["role"] == "pipeline"} >= MADE
    again = account.play("serverless", *REPOSITORY)
    assert (again.changed, set(again.writes) - {"PutObject", "DeleteObject"}) == (set(), set())

    for stage in ("build", "deploy"):
        code, output = play_as(account, stage, "--check")
        assert code == 0, output
    release, answers = releases_of(account)
    assert answers == release
    code, output = play_as(account, "deploy", "-e", "release=next", "-e", "release_build_named=true")
    assert code != 0
    assert "release next did not stay: it fails: Lab.NotHere" in output, output
    assert f"{release} answers as before" in output
    assert releases_of(account) == (release, release)

    refused(account)
    refused_of_functions(account)
    write_as_deployment(account)
    serve_as_deployment(account, NAME)
    delete(account, "serverless")


@pytest.mark.long
def test_the_pipeline_to_the_aliases_of_two_regions(account: Account) -> None:
    """The one of the first region deploys to both."""
    account.load("empty")
    made = account.play("serverless", *BOTH, *REPOSITORY)
    assert made.code == 0, made.output
    code, output = play_as(account, "deploy", "--check")
    assert code == 0, output
    key = {"Bucket": bucket("releases", THERE), "Key": "releases/x"}
    client(account, "s3", "deploy", ABROAD).put_object(**key, Body=b"{}")
    with pytest.raises(ClientError, match="AccessDenied"):
        client(account, "s3", "build", ABROAD).put_object(**key, Body=b"{}")
    shift_as_deployment(account, THERE, ABROAD)
    approve_as_deployment(account, ABROAD, f"prod-{ABROAD}")
    serve_as_deployment(account, THERE)
    assert account.client("codepipeline", ABROAD).list_pipelines()["pipelines"] == []
    delete(account, "serverless")


@pytest.mark.long
def test_the_pipeline_to_services(account: Account, tmp_path: Path) -> None:
    """Of tier microservices, whole: its stages have the rights that a release takes, and no others."""
    account.load("empty")
    planned = prove(account, "microservices", *REPOSITORY)
    assert {entry["task"] for entry in planned.entries if entry["role"] == "pipeline"} >= MADE
    again = account.play("microservices", *REPOSITORY)
    assert (again.changed, set(again.writes) - {"PutObject", "DeleteObject"}) == (set(), set())
    projects = account.client("codebuild").batch_get_projects(
        names=[f"{NAME}-pipeline-{stage}" for stage in ("build", "deploy")]
    )["projects"]
    assert [each["environment"]["privilegedMode"] for each in projects] == [True, True]

    # As after a push that changes one service.
    sources, name = tmp_path / "services", tmp_path / "release.txt"
    shutil.copytree(HERE / "services", sources)
    (sources / "cars/main.js").write_text("// Cheaper cars.\n")
    given = ("-e", f"containers_source={sources}")
    code, output = play_as(account, "build", *given, "-e", "build_tests=false", "-e", f"out={name}")
    assert code == 0, output
    release = name.read_text()
    ecs, services = account.client("ecs"), {"cluster": NAME, "services": ["auth", "cars"]}
    before = ecs.describe_services(**services)["services"]
    # Here no task runs, so nothing answers in the end.
    waiting = ("-e", "probe=false", "-e", "verify_timeout=3")
    code, output = play_as(account, "deploy", *given, "-e", f"release={release}", *waiting)
    assert code != 0
    assert "/api/auth/health does not answer with release" in output, output
    after = ecs.describe_services(**services)["services"]
    renewed = [old["taskDefinition"] != new["taskDefinition"] for old, new in zip(before, after, strict=True)]
    assert renewed == [False, True]

    # One service alone, which the history tells.
    code, _output = play_as(account, "deploy", *given, "-e", "service=cars", *waiting)
    assert code != 0
    printed = account.play("microservices", "-e", "format=json", "-e", "limit=1", playbook="playbooks/history.yml")
    told = json.loads(next(line for line in printed.output.splitlines() if line.startswith("{")))
    assert told["from"].startswith("cars 1.0.0-")
    assert (told["verb"], told["to"], told["result"]) == ("deploy", "cars as its sources are", "failed")

    # What else a deployment may come to.
    [auth, _cars] = after
    described = ecs.describe_task_definition(taskDefinition=auth["taskDefinition"])["taskDefinition"]
    fields = ("family", "containerDefinitions", "cpu", "memory", "networkMode", "requiresCompatibilities")
    roles = {name: described[name] for name in ("taskRoleArn", "executionRoleArn")}
    deploying = client(account, "ecs", "deploy")
    made = deploying.register_task_definition(**{name: described[name] for name in fields}, **roles)["taskDefinition"]
    deploying.update_service(cluster=NAME, service="auth", taskDefinition=made["taskDefinitionArn"])
    deploying.update_service(cluster=NAME, service="auth", taskDefinition=described["taskDefinitionArn"])
    deploying.deregister_task_definition(taskDefinition=made["taskDefinitionArn"])
    deploying.delete_task_definitions(taskDefinitions=[made["taskDefinitionArn"]])

    refused(account)
    refused_of_services(account)
    write_as_deployment(account)
    serve_as_deployment(account, NAME)
    delete(account, "microservices")


@pytest.mark.long
def test_the_pipeline_to_services_of_two_regions(account: Account) -> None:
    """The one of the first region brings images to both."""
    account.load("empty")
    made = account.play("microservices", *BOTH, *REPOSITORY)
    assert made.code == 0, made.output
    code, output = play_as(account, "deploy", "--check")
    assert code == 0, output
    client(account, "ecr", "deploy", ABROAD).initiate_layer_upload(repositoryName=f"{THERE}/cars")
    with pytest.raises(ClientError, match="AccessDenied"):
        client(account, "ecr", "build", ABROAD).put_image(repositoryName="other/cars", imageManifest="{}", imageTag="x")
    approve_as_deployment(account, ABROAD, f"prod-{ABROAD}")
    serve_as_deployment(account, THERE)
    delete(account, "microservices")
