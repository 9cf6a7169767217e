"""The policies of the pipeline's roles as they are rendered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from lab import policies
from lab.moto_patches import iam
from plugins.module_utils.inputs import BACKEND, LONGEST_NAME

ROLE = Path(__file__).resolve().parents[2] / "roles/pipeline"
ACCOUNT = "123456789012"
PLACE = f"us-east-1:{ACCOUNT}"
TEMPLATE = f"arn:aws:ec2:{PLACE}:launch-template/lt-cars"
#: What the role is called with when there is nothing but an environment.
GIVEN: dict[str, Any] = {
    "pipeline_name": "cars-prod",
    "pipeline_parameter_prefix": "/cars/prod",
    "pipeline_region": "us-east-1",
    "pipeline_account_id": ACCOUNT,
    "pipeline_releases_bucket": f"cars-prod-releases-{ACCOUNT}",
    "pipeline_frontend_bucket": "",
    "pipeline_distribution_arn": "",
    "pipeline_auto_scaling_group": "",
    "pipeline_launch_template_id": "",
    "pipeline_instance_role_arn": "",
    "__pipeline_connection": {"arn": f"arn:aws:codeconnections:{PLACE}:connection/{'0' * 8}-0000-0000-0000-{'0' * 12}"},
}
OF_INSTANCES: dict[str, Any] = {
    "pipeline_auto_scaling_group": "cars-prod",
    "pipeline_launch_template_id": "lt-cars",
    "pipeline_instance_role_arn": f"arn:aws:iam::{ACCOUNT}:role/cars/prod/cars-prod-instance",
}


def policy(stage: str, **given: Any) -> str:
    """Render the policy of a stage's role as the role gives it to IAM."""
    loader = DataLoader()
    # Templates that are loaded like this are trusted as those of a role are.
    loaded = [
        loader.load_from_file(str(ROLE / part / "main.yml"), trusted_as_template=True) for part in ("defaults", "vars")
    ]
    variables = {**loaded[0], **loaded[1], **GIVEN, **given}
    statements = Templar(loader=loader, variables=variables).template(variables["__pipeline_statements"])
    return json.dumps({"Version": "2012-10-17", "Statement": statements[stage]}, separators=(",", ":"))


@pytest.mark.parametrize("kind", ["instance", "volume"])
def test_auto_scaling_may_launch_and_tag_for_the_stage_that_deploys(kind: str) -> None:
    # In the context of each action stands what the Service Authorization Reference has for it, nothing of the other's.
    deploy, resource = policy("deploy", **OF_INSTANCES), f"arn:aws:ec2:{PLACE}:{kind}/*"
    launch = {"ec2:launchtemplate": TEMPLATE}
    assert policies.effects(deploy, "ec2:RunInstances", resource, launch) == {"Allow"}
    assert policies.effects(deploy, "ec2:CreateTags", resource, {"ec2:createaction": "RunInstances"}) == {"Allow"}
    # From no other template, and nothing that is there already gets tags.
    assert policies.effects(deploy, "ec2:RunInstances", resource, {"ec2:launchtemplate": f"{TEMPLATE}-other"}) == set()
    assert policies.effects(deploy, "ec2:CreateTags", resource, {}) == set()
    assert (
        policies.effects(
            policy("build", **OF_INSTANCES), "ec2:CreateTags", resource, {"ec2:createaction": "RunInstances"}
        )
        == set()
    )


def test_the_longest_names_have_room() -> None:
    app, env = "a" * 11, "e" * (LONGEST_NAME - len(BACKEND) - 12)
    name, regions = f"{app}-{env}", ["ap-northeast-1", "ap-southeast-2"]
    given = {
        "pipeline_name": name,
        "pipeline_parameter_prefix": f"/{app}/{env}",
        "pipeline_region": regions[0],
        "pipeline_further_regions": regions[1:],
        "pipeline_releases_bucket": f"{name}-releases-{ACCOUNT}",
        "pipeline_frontend_bucket": f"{name}-frontend-{ACCOUNT}",
        "pipeline_distribution_arn": f"arn:aws:cloudfront::{ACCOUNT}:distribution/{'E' * 14}",
    }
    services = yaml.safe_load((ROLE.parents[1] / "group_vars/tier_microservices.yml").read_text())[
        "containers_services"
    ]
    for stage in ("pipeline", "build", "deploy"):
        assert iam.size(policy(stage, **given, pipeline_services=list(services))) < iam.MOST_CHARACTERS
        functions = ["api", "sweep", "email", "listing", "images"]
        assert iam.size(policy(stage, **given, pipeline_functions=functions)) < iam.MOST_CHARACTERS


def test_the_services_of_another_environment_are_not_the_stages_to_change() -> None:
    deploy = policy("deploy", pipeline_services=["auth", "cars"], pipeline_further_regions=["eu-west-1"])
    allowed = {
        "ecs:UpdateService": "ecs:{place}:service/{name}/auth",
        "ecs:StopServiceDeployment": "ecs:{place}:service-deployment/{name}/auth/1",
        "ecs:DeleteTaskDefinitions": "ecs:{place}:task-definition/{name}-auth:1",
        "ecr:PutImage": "ecr:{place}:repository/{name}/auth",
    }
    abroad = f"eu-west-1:{ACCOUNT}"
    for action, resource in allowed.items():
        for place, name, effects in (
            (PLACE, "cars-prod", {"Allow"}),
            (abroad, "cars-prod-eu-west-1", {"Allow"}),
            # One whose name begins like ours.
            (PLACE, "cars-prod-next", set()),
            (PLACE, "cars-prod-eu-west-1", set()),
            (abroad, "cars-prod", set()),
        ):
            arn = f"arn:aws:{resource.format(place=place, name=name)}"
            assert policies.effects(deploy, action, arn, {}) == effects, (action, arn)
    to_tasks = {"iam:passedtoservice": "ecs-tasks.amazonaws.com"}
    for role, effects in (
        ("cars/prod/cars-prod-service-auth", {"Allow"}),
        ("cars/prod-eu-west-1/cars-prod-eu-west-1-service-auth", {"Allow"}),
        ("cars/prod/cars-prod-pipeline-deploy", set()),
        ("cars/prod-next/cars-prod-next-service-auth", set()),
    ):
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        assert policies.effects(deploy, "iam:PassRole", arn, to_tasks) == effects, arn
