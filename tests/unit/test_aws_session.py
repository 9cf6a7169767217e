"""The session that the controller's plugins ask AWS with."""

from __future__ import annotations

import json
from pathlib import Path

import botocore.loaders
import botocore.session
import pytest

from plugins.module_utils.aws_session import aws_session, model_loader
from plugins.module_utils.project import region_names


@pytest.mark.parametrize("service", ["ec2", "s3", "sqs"])
def test_models_are_those_of_botocore(service: str) -> None:
    # A loader of its own: a client changes the model of S3 that it was made with.
    ordered = botocore.loaders.create_loader().load_service_model(service, "service-2")
    plain = model_loader().load_service_model(service, "service-2")
    # Their order too.
    assert json.dumps(plain) == json.dumps(ordered)
    assert type(plain["metadata"]) is dict


def test_a_model_of_ones_own_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "own/2026-01-01"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text('{"metadata": {"serviceId": "own"}}')
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    session = aws_session("us-east-1")
    assert "own" in session.get_available_services()
    assert session.region_name == "us-east-1"


def test_regions_are_those_of_botocore() -> None:
    session = botocore.session.Session(profile=None)
    assert region_names() == {
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("ec2", partition_name=partition)
    }
