"""The modules of a serverless environment ask the region that their task's environment names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plugins.modules import (
    apigatewayv2_http_api,
    cloudwatch_alarms,
    events_schedule,
    lambda_functions,
    lambda_release,
    release_build,
    release_frontend,
    sqs_queues,
)

TAGS = {"vahana:app": "cars", "vahana:env": "prod-eu-west-1"}
SET = {"prefix": "cars-prod-eu-west-1-", "tags": TAGS}
RELEASE = {"version": "1", "bucket": "cars-prod-eu-west-1-releases"}


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        (apigatewayv2_http_api, {"name": "cars-prod-eu-west-1", "state": "absent", "tags": TAGS}),
        (cloudwatch_alarms, {**SET, "alarms": []}),
        (events_schedule, {"name": "cars-prod-eu-west-1-sweep", "state": "absent", "tags": TAGS}),
        (lambda_functions, {**SET, "functions": []}),
        (lambda_release, {"function_name": "cars-prod-eu-west-1-api", "release": "1", "s3_bucket": "a", "s3_key": "b"}),
        (release_build, {**RELEASE, "dist": "dist"}),
        (release_frontend, {**RELEASE, "releases_bucket": "cars-prod-eu-west-1-releases"}),
        (sqs_queues, {**SET, "account_id": "123456789012", "queues": ["email"]}),
    ],
)
def test_a_module_asks_its_tasks_region(
    module: Any,
    arguments: dict[str, Any],
    run_module: Callable[..., dict[str, Any]],
    calls: list[tuple[str, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The inventory sets both for the whole run, a task only this one.
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    result = run_module(module, True, **arguments)
    assert {region for region, _operation, _key in calls} == {"eu-west-1"}
    if module is sqs_queues:
        assert result["arns"] == {"email": "arn:aws:sqs:eu-west-1:123456789012:cars-prod-eu-west-1-email"}
