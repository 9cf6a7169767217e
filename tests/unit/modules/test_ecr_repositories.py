"""All container repositories of an environment as one list."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from lab.moto_patches import ecr as ecr_patch
from plugins.modules import ecr_repositories

TAGS = {"vahana:app": "cars", "vahana:env": "prod"}

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def repositories(run_module: Run) -> Run:
    ecr_patch.apply()

    def run(*wanted: str, **options: Any) -> dict[str, Any]:
        defaults = {"prefix": "cars-prod/", "repositories": list(wanted), "tags": TAGS}
        return run_module(ecr_repositories, **{**defaults, **options})

    return run


def ecr() -> Any:
    return boto3.client("ecr", region_name="us-east-1")


def names() -> list[str]:
    return sorted(each["repositoryName"] for each in ecr().describe_repositories()["repositories"])


def push(name: str) -> None:
    manifest = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []}
    ecr().put_image(repositoryName=name, imageManifest=json.dumps(manifest), imageTag="1")


def test_sets_them_once(repositories: Run) -> None:
    planned = repositories("auth", "cars", check=True)
    assert planned["changed"] and names() == []
    assert (planned["uris"], planned["arns"]) == ({"auth": "", "cars": ""}, {})
    made = repositories("auth", "cars")
    assert made["changed"] and made["diff"] == planned["diff"]
    assert names() == ["cars-prod/auth", "cars-prod/cars"]
    found = ecr().describe_repositories(repositoryNames=["cars-prod/auth"])["repositories"][0]
    assert (made["uris"]["auth"], made["arns"]["auth"]) == (found["repositoryUri"], found["repositoryArn"])
    for check in (False, True):
        again = repositories("auth", "cars", check=check)
        assert not again["changed"] and again["uris"] == made["uris"]


def test_a_repository_is_what_it_should_be(repositories: Run) -> None:
    repositories("auth", keep_images=5)
    found = ecr().describe_repositories()["repositories"][0]
    assert found["imageTagMutability"] == "IMMUTABLE" and found["imageScanningConfiguration"] == {"scanOnPush": True}
    policy = json.loads(ecr().get_lifecycle_policy(repositoryName="cars-prod/auth")["lifecyclePolicyText"])
    assert [(rule["selection"]["countType"], rule["selection"]["countNumber"]) for rule in policy["rules"]] == [
        ("sinceImagePushed", 7),
        ("imageCountMoreThan", 5),
    ]


@pytest.mark.parametrize("drift", ["mutability", "scan", "policy", "none", "tags"])
def test_drift_is_found_and_mended(repositories: Run, drift: str) -> None:
    made = repositories("auth")
    name = "cars-prod/auth"
    match drift:
        case "mutability":
            ecr().put_image_tag_mutability(repositoryName=name, imageTagMutability="MUTABLE")
        case "scan":
            off = {"scanOnPush": False}
            ecr().put_image_scanning_configuration(repositoryName=name, imageScanningConfiguration=off)
        case "policy":
            policy = ecr_repositories.lifecycle_policy({"keep_images": 1, "keep_untagged_days": 7})
            ecr().put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=json.dumps(policy))
        case "none":
            ecr().delete_lifecycle_policy(repositoryName=name)
        case "tags":
            ecr().tag_resource(resourceArn=made["arns"]["auth"], tags=[{"Key": "more", "Value": "1"}])
            ecr().untag_resource(resourceArn=made["arns"]["auth"], tagKeys=["Name"])
    planned = repositories("auth", check=True)
    assert list(planned["diff"]["after"]) == [name]
    assert repositories("auth")["diff"] == planned["diff"]
    assert not repositories("auth")["changed"]


def test_deletes_what_is_no_longer_listed_and_only_ours(repositories: Run) -> None:
    repositories("auth", "cars")
    push("cars-prod/cars")
    ecr().create_repository(repositoryName="cars-prod/foreign")
    assert repositories("auth", check=True)["diff"]["before"] == {
        "cars-prod/cars": {"repositoryName": "cars-prod/cars"}
    }
    assert repositories("auth")["changed"]
    assert names() == ["cars-prod/auth", "cars-prod/foreign"]
    assert repositories()["changed"] and names() == ["cars-prod/foreign"]
    assert not repositories()["changed"]


def test_refuses_a_foreign_repository(repositories: Run) -> None:
    ecr().create_repository(repositoryName="cars-prod/auth")
    refused = repositories("auth")
    assert refused["failed"] and "cars-prod/auth exists but is not tagged vahana:app=cars" in refused["msg"]


def test_needs_an_owner(repositories: Run) -> None:
    repositories("auth")
    assert "vahana:env" in repositories("auth", tags={"vahana:app": "cars"})["msg"]
