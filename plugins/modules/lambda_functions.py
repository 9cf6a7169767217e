#!/usr/bin/python
"""Manage all Lambda functions of an environment as one list, each with the queue that it works on."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from ansible.module_utils.listed_resources import run
from ansible.module_utils.ownership import foreign, owned_by
from ansible.module_utils.release_artifact import ReleaseError, list_sources, write_zip
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.tagging import compare_aws_tags
from botocore.exceptions import ClientError

DOCUMENTATION = r"""
module: lambda_functions
short_description: Manage a set of Lambda functions and their event source mappings
description:
  - amazon.aws.lambda publishes a version with every change, knows no log group and no tags of its own at creation, and
    amazon.aws.lambda_event cannot limit how many batches of a queue are worked on at the same time. This module keeps
    functions and mappings in one run, all at the same time, and deletes those of ours that the list no longer has.
  - The code is a folder of sources. The same sources give the same archive on every machine, and code is uploaded when
    that of the function is another one.
  - The runtime brings the AWS SDK for JavaScript; tests, C(package-lock.json) and C(devDependencies) stay behind. Other
    packages must be part of the sources (bundled).
options:
  prefix:
    description:
      - Names of all functions of the set begin with it. Those of ours that do, are of the same layer (tag
        C(vahana:layer)) and are not listed are deleted.
    type: str
    required: true
  source:
    description: Folder of the sources of all functions. Needed as soon as there is one, unless O(code) is given.
    type: path
    default: ""
  code:
    description:
      - Archive in S3 that a function begins with, in place of O(source). Which code it has later is left to
        M(lambda_release).
    type: dict
    suboptions:
      bucket: {description: Bucket of the archive., type: str, required: true}
      key: {description: Key of the archive., type: str, required: true}
  runtime: {description: Runtime of all functions., type: str, default: nodejs24.x}
  architecture:
    description: Processor of all functions.
    type: str
    choices: [arm64, x86_64]
    default: arm64
  functions:
    description: The functions that should exist. An empty list deletes all of ours.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: Name after the prefix., type: str, required: true}
      description: {description: What it is for., type: str, default: ""}
      handler: {description: "File and export, as C(src/email.handler).", type: str, required: true}
      role_arn: {description: Role that it runs as., type: str, required: true}
      timeout: {description: Seconds after which an invocation is ended., type: int, default: 30}
      memory_size: {description: Memory in MB., type: int, default: 256}
      environment: {description: Environment variables; no secrets., type: dict, default: {}}
      log_group: {description: Log group that it writes to., type: str, required: true}
      reserved_concurrency:
        description:
          - Most executions at the same time, taken from those of the account, of which 100 must stay for all others.
            0 reserves none; without it this is nobody's business.
        type: int
      queue_arn: {description: Queue whose messages it works on., type: str, default: ""}
      batch_size: {description: Most messages of an invocation., type: int, default: 10}
      batching_window: {description: Seconds to wait for a full batch., type: int, default: 0}
      maximum_concurrency:
        description: Most batches at the same time, at least 2.
        type: int
        default: 2
      subnet_ids:
        description: Subnets whose network the function works in; none, and it works outside of every VPC.
        type: list
        elements: str
        default: []
      security_group_ids:
        description: Security groups of the function there.
        type: list
        elements: str
        default: []
  tags:
    description: Tags. C(vahana:app) and C(vahana:env) decide whose a function is.
    type: dict
    required: true
author: Vahana
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""

EXAMPLES = r"""
- name: Keep the workers
  lambda_functions:
    prefix: cars-prod-
    source: examples/worker
    functions:
      - name: email
        handler: src/email.handler
        role_arn: arn:aws:iam::123456789012:role/cars-prod-function-email
        log_group: /cars/prod/functions/email
        queue_arn: arn:aws:sqs:us-east-1:123456789012:cars-prod-email
    tags: {"vahana:app": cars, "vahana:env": prod}
"""

RETURN = r"""
names:
  description: Names of the functions that exist afterwards.
  returned: always
  type: list
  elements: str
configurations:
  description: What each of them is set to afterwards, by its name, as Lambda's API has it.
  returned: always
  type: dict
code_sha256:
  description: Hash of their code as Lambda shows it; empty without functions.
  returned: always
  type: str
"""

WORKERS = 8
LAYER = "vahana:layer"
LEFT_OUT = ("test", "tests", "package-lock.json", ".gitignore")
"""What of a folder's top no function needs."""
PROPAGATION_SECONDS = 90
"""How long Lambda may take to see a role and its policy that were made a moment ago."""
_NOT_YET = (
    "cannot be assumed",
    "does not have permissions",
    # The same in other words.
    "doesn't have permission to perform this operation",
    # Of the key that encrypts the environment.
    "invalid for CreateGrant",
    "in progress",
    "in use",
    # Of the network interfaces of functions that are made at the same time.
    "throttled by EC2",
)
_CONFIGURATION = (
    "Description",
    "Role",
    "Handler",
    "Timeout",
    "MemorySize",
    "Runtime",
    "Environment",
    "LoggingConfig",
    "VpcConfig",
)
KEPT_BY_VERSIONS = (*(key for key in _CONFIGURATION if key != "Description"), "Architectures")
"""What a published version keeps of the function; the description of a version is its own."""
_NETWORK = ("SubnetIds", "SecurityGroupIds")
_MAPPING = ("BatchSize", "MaximumBatchingWindowInSeconds", "ScalingConfig", "FunctionResponseTypes")
_ALIVE = ("Enabled", "Enabling", "Creating", "Updating")

Object = dict[str, Any]


def archive(source: Path) -> bytes:
    """Return the sources as a zip whose bytes depend on their names and contents only.

    Raises:
        ReleaseError: there is no such folder, or it needs packages that the runtime does not bring.
    """
    package = source / "package.json"
    if not source.is_dir() or not package.is_file():
        raise ReleaseError(f"{source} is no folder with a package.json; set functions_source to that of your functions")
    try:
        needed = json.loads(package.read_text()).get("dependencies")
    except (ValueError, AttributeError) as error:
        raise ReleaseError(f"{package} is not a JSON object; mend it") from error
    if needed:
        raise ReleaseError(
            f"{package} has dependencies ({', '.join(sorted(needed))}), and only sources are uploaded: bundle them "
            "into the sources (for example with esbuild), list them as devDependencies; @aws-sdk comes with the runtime"
        )
    content = io.BytesIO()
    sources = (file.path for file in list_sources(source) if file.path.split("/")[0] not in LEFT_OUT)
    write_zip(content, {path: source / path for path in sources})
    return content.getvalue()


def wanted_function(module: AnsibleAWSModule, option: Mapping[str, Any], digest: str) -> Object:
    """Return what a function should be, in the API's terms; ``EventSource`` is its mapping.

    :param digest: hash of the code, empty when that is nobody's business.
    """
    wanted: Object = {
        "Description": option["description"],
        "Role": option["role_arn"],
        "Handler": option["handler"],
        "Timeout": option["timeout"],
        "MemorySize": option["memory_size"],
        "Runtime": module.params["runtime"],
        "Environment": {"Variables": {key: str(value) for key, value in option["environment"].items()}},
        "LoggingConfig": {"LogFormat": "JSON", "LogGroup": option["log_group"]},
        "VpcConfig": {
            "SubnetIds": sorted(option["subnet_ids"]),
            "SecurityGroupIds": sorted(option["security_group_ids"]),
        },
        "Architectures": [module.params["architecture"]],
        "Tags": {**module.params["tags"], "Name": module.params["prefix"] + option["name"]},
        "EventSource": {},
    }
    if digest:
        wanted["CodeSha256"] = digest
    if option["reserved_concurrency"] is not None:
        wanted["ReservedConcurrency"] = option["reserved_concurrency"]
    if option["queue_arn"]:
        wanted["EventSource"] = {
            "EventSourceArn": option["queue_arn"],
            "Enabled": True,
            "BatchSize": option["batch_size"],
            "MaximumBatchingWindowInSeconds": option["batching_window"],
            "ScalingConfig": {"MaximumConcurrency": option["maximum_concurrency"]},
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
        }
    return wanted


class Functions:
    """What Lambda has, and how to change it."""

    def __init__(self, client: Any, *, reserving: bool) -> None:
        """Take a client of Lambda, and whether reserved executions are anybody's business."""
        self._client, self._reserving = client, reserving

    def existing(self, prefix: str) -> dict[str, Object]:
        """Return the functions whose names begin with the prefix in the terms of :func:`wanted_function`, by name.

        ``Mappings`` has the ids of all event source mappings, those of other queues too.
        """
        pages = self._client.get_paginator("list_functions").paginate()
        found = [item for page in pages for item in page["Functions"] if item["FunctionName"].startswith(prefix)]
        with ThreadPoolExecutor(WORKERS) as pool:
            return dict(zip((item["FunctionName"] for item in found), pool.map(self._describe, found), strict=True))

    def _describe(self, item: Mapping[str, Any]) -> Object:
        tags = self._client.list_tags(Resource=item["FunctionArn"]).get("Tags", {})
        pages = self._client.get_paginator("list_event_source_mappings").paginate(FunctionName=item["FunctionName"])
        mappings = [each for page in pages for each in page["EventSourceMappings"] if each["State"] != "Deleting"]
        found: Object = {key: item.get(key) for key in (*_CONFIGURATION, "Architectures", "CodeSha256")}
        network = item.get("VpcConfig") or {}
        found["VpcConfig"] = {key: sorted(network.get(key, [])) for key in _NETWORK}
        environment = (item.get("Environment") or {}).get("Variables", {})
        found |= {"Tags": tags, "Environment": {"Variables": environment}, "Mappings": {}, "EventSource": {}}
        if self._reserving:
            reserved = self._client.get_function_concurrency(FunctionName=item["FunctionName"])
            found["ReservedConcurrency"] = reserved.get("ReservedConcurrentExecutions") or 0
        for each in mappings:
            found["Mappings"][each["EventSourceArn"]] = each["UUID"]
            found["EventSource"] = {
                "EventSourceArn": each["EventSourceArn"],
                "Enabled": each["State"] in _ALIVE,
                **{key: each.get(key) for key in _MAPPING},
            }
        return found

    def create(self, name: str, wanted: Mapping[str, Any], code: Mapping[str, Any]) -> None:
        """Make a function and its mapping."""
        _as_soon_as_possible(
            lambda: self._client.create_function(
                FunctionName=name,
                Code=code,
                Architectures=wanted["Architectures"],
                Tags=wanted["Tags"],
                **{key: wanted[key] for key in _CONFIGURATION if key != "VpcConfig" or any(wanted[key].values())},
            )
        )
        self._client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        self._reserve(name, 0, wanted)
        self._map(name, {}, wanted["EventSource"])

    def update(self, name: str, found: Mapping[str, Any], wanted: Mapping[str, Any], code: Mapping[str, Any]) -> None:
        """Change what differs, one thing after the other: Lambda takes no second change while one is under way."""
        changed = {key: wanted[key] for key in _CONFIGURATION if found[key] != wanted[key]}
        if changed:
            _as_soon_as_possible(lambda: self._client.update_function_configuration(FunctionName=name, **changed))
            self._updated(name)
        if any(key in wanted and found[key] != wanted[key] for key in ("CodeSha256", "Architectures")):
            _as_soon_as_possible(
                lambda: self._client.update_function_code(
                    FunctionName=name, Architectures=wanted["Architectures"], **code
                )
            )
            self._updated(name)
        to_set, to_unset = compare_aws_tags(found["Tags"], wanted["Tags"], True)
        if to_set or to_unset:
            arn = self._client.get_function_configuration(FunctionName=name)["FunctionArn"]
            if to_unset:
                self._client.untag_resource(Resource=arn, TagKeys=to_unset)
            if to_set:
                self._client.tag_resource(Resource=arn, Tags=to_set)
        self._reserve(name, found.get("ReservedConcurrency", 0), wanted)
        if found["EventSource"] != wanted["EventSource"] or len(found["Mappings"]) > 1:
            self._map(name, found["Mappings"], wanted["EventSource"])

    def _reserve(self, name: str, found: int, wanted: Mapping[str, Any]) -> None:
        """Reserve executions, or give them back."""
        number = wanted.get("ReservedConcurrency", found)
        if number == found:
            return
        if number:
            self._client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=number)
        else:
            self._client.delete_function_concurrency(FunctionName=name)

    def delete(self, name: str, found: Mapping[str, Any]) -> None:
        """Delete a function and its mappings, which would outlive it."""
        self._map(name, found["Mappings"], {})
        self._client.delete_function(FunctionName=name)

    def _updated(self, name: str) -> None:
        self._client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})

    def _map(self, name: str, mappings: Mapping[str, str], wanted: Mapping[str, Any]) -> None:
        source = wanted.get("EventSourceArn", "")
        for arn, uuid in mappings.items():
            if arn != source:
                _as_soon_as_possible(partial(self._client.delete_event_source_mapping, UUID=uuid))
        settings = {key: value for key, value in wanted.items() if key != "EventSourceArn"}
        if source in mappings:
            uuid = mappings[source]
            _as_soon_as_possible(lambda: self._client.update_event_source_mapping(UUID=uuid, **settings))
        elif source:
            _as_soon_as_possible(
                lambda: self._client.create_event_source_mapping(FunctionName=name, EventSourceArn=source, **settings)
            )


def _as_soon_as_possible(call: Callable[[], Any]) -> None:
    """Call Lambda, again for as long as it says that something it needs is not there yet or at work still."""
    deadline = time.monotonic() + PROPAGATION_SECONDS
    while True:
        try:
            call()
            return
        except ClientError as error:
            code, text = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
            retriable = ("InvalidParameterValueException", "ResourceConflictException", "ResourceInUseException")
            if code not in retriable or not any(mark in text for mark in _NOT_YET) or time.monotonic() > deadline:
                raise
            time.sleep(2)


def managed_part(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Object:
    """Cut a function down to what we set: Lambda adds log levels to the logging configuration."""
    part: Object = {key: found[key] for key in wanted}
    logging = found["LoggingConfig"] or {}
    part["LoggingConfig"] = {key: logging.get(key) for key in wanted["LoggingConfig"]}
    return part


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    return (key for key in after if before[key] != after[key])


def ensure(module: AnsibleAWSModule, client: Any) -> Object:
    """Bring the set of functions to the list."""
    prefix, tags = module.params["prefix"], module.params["tags"]
    reserving = any(option["reserved_concurrency"] is not None for option in module.params["functions"])
    functions = Functions(client, reserving=reserving)
    code: Object = {}
    digest = ""
    if place := module.params["code"]:
        code = {"S3Bucket": place["bucket"], "S3Key": place["key"]}
    elif module.params["functions"]:
        packed = archive(Path(module.params["source"]))
        code, digest = {"ZipFile": packed}, base64.b64encode(hashlib.sha256(packed).digest()).decode()
    wanted = {prefix + option["name"]: wanted_function(module, option, digest) for option in module.params["functions"]}
    existing = functions.existing(prefix)
    for name in wanted.keys() & existing.keys():
        if not owned_by(existing[name]["Tags"], tags):
            module.fail_json(msg=foreign("Lambda function", name, tags))
    before: Object = {}
    after: Object = {}
    work: list[Callable[[], None]] = []
    for name, found in existing.items():
        if name not in wanted and owned_by(found["Tags"], tags) and found["Tags"].get(LAYER) == tags.get(LAYER):
            before[name] = {"FunctionName": name}
            work.append(partial(functions.delete, name, found))
    for name, function in wanted.items():
        if name not in existing:
            after[name] = function
            work.append(partial(functions.create, name, function, code))
            continue
        current = managed_part(existing[name], function)
        if list(_differences(current, function)) or len(existing[name]["Mappings"]) > 1:
            before[name], after[name] = current, function
            found = existing[name] | current
            work.append(partial(functions.update, name, found, function, code))
    if work and not module.check_mode:
        # A role that was just made is seen by Lambda after some seconds: better once than one after the other.
        with ThreadPoolExecutor(WORKERS) as pool:
            for done in [pool.submit(each) for each in work]:
                done.result()
    return {
        "changed": bool(work),
        "names": sorted(wanted),
        "configurations": {name: {key: function[key] for key in KEPT_BY_VERSIONS} for name, function in wanted.items()},
        "code_sha256": digest,
        "diff": {"before": before, "after": after},
    }


def main() -> None:
    """Run the module."""
    function: Object = {
        "name": {"type": "str", "required": True},
        "description": {"type": "str", "default": ""},
        "handler": {"type": "str", "required": True},
        "role_arn": {"type": "str", "required": True},
        "timeout": {"type": "int", "default": 30},
        "memory_size": {"type": "int", "default": 256},
        "environment": {"type": "dict", "default": {}},
        "log_group": {"type": "str", "required": True},
        "reserved_concurrency": {"type": "int"},
        "queue_arn": {"type": "str", "default": ""},
        "batch_size": {"type": "int", "default": 10},
        "batching_window": {"type": "int", "default": 0},
        "maximum_concurrency": {"type": "int", "default": 2},
        **{name: {"type": "list", "elements": "str", "default": []} for name in ("subnet_ids", "security_group_ids")},
    }
    arguments = {
        "source": {"type": "path", "default": ""},
        "code": {
            "type": "dict",
            "options": {"bucket": {"type": "str", "required": True}, "key": {"type": "str", "required": True}},
        },
        "runtime": {"type": "str", "default": "nodejs24.x"},
        "architecture": {"type": "str", "choices": ["arm64", "x86_64"], "default": "arm64"},
        "functions": {"type": "list", "elements": "dict", "required": True, "options": function},
    }
    run("lambda", "Lambda functions", arguments, ensure, mistakes=(ReleaseError, ValueError))


if __name__ == "__main__":
    main()
