"""The policies of the pipeline's roles as they are rendered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from lab import policies

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
