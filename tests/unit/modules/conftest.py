"""An empty AWS account in this process for every test of a module, and a way to run a module in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import ansible.module_utils
import pytest
from ansible.module_utils.testing import patch_module_args
from botocore.client import BaseClient
from moto import mock_aws

from lab.moto_patches import ec2_connect

REGION = "us-east-1"
# Ansible puts the project's module_utils there when it ships a module.
ansible.module_utils.__path__.append(str(Path(__file__).parents[3] / "plugins" / "module_utils"))


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """moto with nothing in it, and nothing of the caller's AWS settings."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.setenv(name, REGION)
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    ec2_connect.apply()
    with mock_aws():
        yield


@pytest.fixture
def run_module(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Run a module as Ansible does and return its result; a failed one has C(failed)."""

    def run(module: ModuleType, check: bool = False, **arguments: Any) -> dict[str, Any]:
        with (
            patch_module_args({**arguments, "_ansible_check_mode": check, "_ansible_diff": True}),
            pytest.raises(SystemExit) as exit_info,
        ):
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert (exit_info.value.code != 0) == result.get("failed", False)
        return result

    return run


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """Note the region, the operation and the key (of S3) of each call."""
    made: list[tuple[str, str, str]] = []
    client_class: Any = BaseClient
    call = client_class._make_api_call

    def noted(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        made.append((client.meta.region_name, operation, parameters.get("Key", "")))
        return call(client, operation, parameters)

    monkeypatch.setattr(client_class, "_make_api_call", noted)
    return made
