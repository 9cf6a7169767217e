"""API Gateway's HTTP APIs: UpdateStage and DeleteAccessLogSettings, which moto lacks."""

from __future__ import annotations

import functools
import json
from typing import Any
from urllib.parse import unquote

from moto.apigatewayv2.models import Stage
from moto.apigatewayv2.responses import ApiGatewayV2Response
from moto.apigatewayv2.urls import url_paths

Answer = tuple[int, dict[str, str], str]


def _stage(response: Any, position: int) -> tuple[Any, Any]:
    """Return the API and the stage that a path names, the stage at a place counted from its end."""
    parts = [unquote(part) for part in response.path.split("/")]
    api = response.apigatewayv2_backend.get_api(parts[parts.index("apis") + 1])
    return api, api.get_stage(parts[position])


def update_stage(response: Any) -> Answer:
    """UpdateStage: what is not given stays."""
    api, stage = _stage(response, -1)
    changed = Stage(api, {**stage.config, **json.loads(response.body)})
    changed.created = stage.created
    api.stages[stage.name] = changed
    return 200, {}, json.dumps(changed.to_json())


def delete_access_log_settings(response: Any) -> Answer:
    """DeleteAccessLogSettings."""
    _, stage = _stage(response, -2)
    stage.config.pop("accessLogSettings", None)
    stage.access_log_settings = None
    return 204, {}, ""


@functools.cache
def apply() -> None:
    """Put this into moto."""
    ApiGatewayV2Response.update_stage = update_stage
    ApiGatewayV2Response.delete_access_log_settings = delete_access_log_settings
    stages = "{0}/v2/apis/(?P<api_id>[^/]+)/stages/(?P<stage_name>[^/]+)"
    url_paths[f"{stages}/accesslogsettings$"] = ApiGatewayV2Response.dispatch
