"""Lambda: what functions and mappings are set to is given back, and code is never run by moto's containers.

moto keeps no logging configuration, ignores architectures and environments in updates of some kinds, takes a second
mapping of the same queue, knows no weights of an alias's versions, and would start Docker for an invocation: here
`lab.functions` runs functions, where there is a lab that can (`follow`).
"""

from __future__ import annotations

import base64
import functools
import json
import random
from collections.abc import Callable
from typing import Any

from moto.awslambda.exceptions import InvalidParameterValueException
from moto.awslambda.models import LambdaBackend, LambdaFunction
from moto.awslambda.responses import LambdaResponse
from moto.core.exceptions import JsonRESTError
from moto.sqs.models import sqs_backends

Runner = Callable[[Any, bytes, str], tuple[bytes, str, str]]
"""Runs a function on an event (JSON), asked by an alias ("" for none): its answer (JSON), the kind of its error ("" for
none), the end of its log."""

_runner: list[Runner] = []
"""Who runs functions, if there is somebody."""

_init = LambdaFunction.__init__
_get_configuration = LambdaFunction.get_configuration
_update_configuration = LambdaFunction.update_configuration
_set_function_code = LambdaFunction._set_function_code
_answer_invoke = LambdaResponse.invoke
_create_event_source_mapping = LambdaBackend.create_event_source_mapping

NOT_HERE = "functions are not run here: this is the API alone"


class ResourceConflictError(JsonRESTError):  # type: ignore[misc]
    """Something of the kind is there already."""

    code = 409

    def __init__(self, message: str) -> None:
        super().__init__("ResourceConflictException", message)


def follow(runner: Runner | None) -> None:
    """Let functions be run by `runner`; None: by nobody."""
    _runner[:] = [runner] if runner else []


def _logging(function: Any, config: dict[str, Any] | None) -> dict[str, Any]:
    """The whole logging configuration: https://docs.aws.amazon.com/lambda/latest/api/API_LoggingConfig.html."""
    wanted = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{function.function_name}", **(config or {})}
    levels = {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"} if wanted["LogFormat"] == "JSON" else {}
    return {**levels, **wanted}


def init(function: Any, account_id: str, spec: dict[str, Any], region: str, version: str | int = 1) -> None:
    """Make a function with its logging configuration."""
    _init(function, account_id, spec, region, version)
    function.logging_config = _logging(function, spec.get("LoggingConfig"))
    function.logs_group_name = function.logging_config["LogGroup"]


def get_configuration(function: Any, on_create: bool = False) -> dict[str, Any]:
    """Describe a function with its logging configuration."""
    return {**_get_configuration(function, on_create), "LoggingConfig": function.logging_config}


def update_configuration(function: Any, config_updates: dict[str, Any]) -> dict[str, Any]:
    """Change a function's configuration, that of its logging too."""
    if "LoggingConfig" in config_updates:
        function.logging_config = _logging(function, config_updates["LoggingConfig"])
        function.logs_group_name = function.logging_config["LogGroup"]
    result: dict[str, Any] = _update_configuration(function, config_updates)
    return result


def set_function_code(function: Any, updated_spec: dict[str, Any]) -> None:
    """Change a function's code and the processor that it is for."""
    _set_function_code(function, updated_spec)
    if updated_spec is not function.code and "Architectures" in updated_spec:
        function.architectures = updated_spec["Architectures"]


def create_event_source_mapping(backend: Any, spec: dict[str, Any]) -> Any:
    """Map a queue to a function; refuse what AWS refuses.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    """
    name = str(spec.get("FunctionName", "")).rpartition(":")[2]
    for mapping in list(backend._event_source_mappings.values()):
        if mapping.event_source_arn == spec.get("EventSourceArn") and mapping.function_arn.endswith(f":{name}"):
            raise ResourceConflictError(
                f"An event source mapping with SQS arn {spec['EventSourceArn']} and function {name} already exists. "
                f"Please update or delete the existing mapping with UUID {mapping.uuid}"
            )
    for queue in list(sqs_backends[backend.account_id][backend.region_name].queues.values()):
        timeout = backend.get_function(spec.get("FunctionName")).timeout
        if queue.queue_arn == spec.get("EventSourceArn") and queue.visibility_timeout < int(timeout):
            raise InvalidParameterValueException(
                f"Queue visibility timeout: {queue.visibility_timeout} seconds is less than Function timeout: "
                f"{timeout} seconds"
            )
    return _create_event_source_mapping(backend, spec)


def chosen(backend: Any, name_or_arn: str, qualifier: str | None = None) -> tuple[Any, str]:
    """Return the function that an invocation is for, and the alias that it is asked by: of two versions now one, now
    the other.

    https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html
    """
    function = backend.get_function(name_or_arn, qualifier)
    asked = qualifier or name_or_arn.partition(f"{function.function_name}:")[2]
    alias = backend._lambdas._get_function_aliases(function.function_name).get(asked)
    if alias is None:
        return function, ""
    weights = (alias.routing_config or {}).get("AdditionalVersionWeights") or {}
    drawn = random.random()
    for version, weight in weights.items():
        if drawn < float(weight):
            return backend.get_function(function.function_name, version), asked
        drawn -= float(weight)
    return function, asked


def invoke_chosen(
    backend: Any, function_name: str, qualifier: str, body: Any, headers: Any, response_headers: Any
) -> bytes:
    """Answer Invoke by one of the versions that an alias stands for."""
    function, alias = chosen(backend, function_name, qualifier)
    payload = _payload(function, alias, body, response_headers)
    response_headers["Content-Length"] = str(len(payload))
    response_headers["x-amz-executed-version"] = str(function.version)
    return payload


def answer_invoke(response: Any) -> Any:
    """Answer Invoke for the version or alias that is asked for: moto reads it under another name."""
    if "Qualifier" in response.querystring:
        response.querystring["qualifier"] = response.querystring["Qualifier"]
    return _answer_invoke(response)


def run(function: Any, event: bytes, alias: str = "") -> tuple[bytes, str, str]:
    """Run a function where there is somebody to do so (:data:`Runner`)."""
    if not _runner:
        return json.dumps({"errorType": "Lab.NotHere", "errorMessage": NOT_HERE}).encode(), "Unhandled", ""
    return _runner[0](function, event, alias)


def invoke(function: Any, body: Any, request_headers: Any, response_headers: Any) -> bytes:
    """Run a function for another of moto's services."""
    return _payload(function, "", body, response_headers)


def _payload(function: Any, alias: str, body: Any, response_headers: Any) -> bytes:
    answer, error, log = run(function, body.encode() if isinstance(body, str) else body or b"{}", alias)
    if error:
        response_headers["x-amz-function-error"] = error
    response_headers["x-amz-log-result"] = base64.b64encode(log[-4096:].encode()).decode()
    return answer


@functools.cache
def apply() -> None:
    """Put this into moto."""
    LambdaFunction.__init__ = init
    LambdaFunction.get_configuration = get_configuration
    LambdaFunction.update_configuration = update_configuration
    LambdaFunction._set_function_code = set_function_code
    LambdaFunction.invoke = invoke
    LambdaBackend.invoke = invoke_chosen
    LambdaResponse.invoke = answer_invoke
    LambdaBackend.create_event_source_mapping = create_event_source_mapping
