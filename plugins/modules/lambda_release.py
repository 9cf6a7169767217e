#!/usr/bin/python
"""Publish a version of a Lambda function and let an alias send it some of the requests, or all."""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.alias_shares import ALL, shares, weights
from ansible.module_utils.named_resource import part_of
from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

DOCUMENTATION = r"""
module: lambda_release
short_description: Release a version of a Lambda function behind an alias
description:
  - Publishes code from S3 as a version of a function, once for each release, and sets how many of the requests to an
    alias it gets. Whoever asks the alias notices nothing of the change but the answers of another version.
  - A version keeps the configuration that the function had. When that is to be another one now (O(configuration)), the
    release is published once more.
  - With O(share) below 100 the version that the alias had serves the rest, so that a release can be tried by a few.
    With 0 the alias goes back to that version alone.
  - amazon.aws.lambda_alias knows no shares, amazon.aws.lambda publishes at every change of the configuration, and what
    amazon.aws.lambda_policy says in check mode is not what it does.
options:
  function_name:
    description: Name of the function, which must exist.
    type: str
    required: true
  alias:
    description: The alias that is asked. It is made when it is not there, and then the release gets all requests.
    type: str
    default: live
  release:
    description: Name of the release, which is the description of its version.
    type: str
    required: true
  s3_bucket:
    description: Bucket of the code.
    type: str
  s3_key:
    description: Key of the archive. Without it the release must have been published before, as for a way back.
    type: str
  code_sha256:
    description: SHA-256 of the archive in base64. Another one is refused.
    type: str
  share:
    description: Percent of the requests that the release gets.
    type: int
    default: 100
  configuration:
    description:
      - What the function is set to, as Lambda's API has it (C(configurations) of M(lambda_functions)). By it a plan
        knows what a run will find. Without it no version is made for another configuration.
    type: dict
  invokers:
    description: Services that may ask the alias; nobody else may then. Without it this stays as it is.
    type: list
    elements: dict
    suboptions:
      id: {description: Name of the permission., type: str, required: true}
      service: {description: "The service, as C(apigateway.amazonaws.com).", type: str, required: true}
      source_arn: {description: What of it may., type: str, required: true}
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author:
  - Vahana
"""

EXAMPLES = r"""
- name: Let a tenth of the visitors try it
  lambda_release:
    function_name: vahanhelp-prod-api
    release: 1.4.0-3f2a91c0b7de
    s3_bucket: vahanhelp-prod-releases-123456789012
    s3_key: releases/1.4.0-3f2a91c0b7de/functions.zip
    code_sha256: 9+4Hm0rT2uE8v0m8kq8gq2b0m1c0m3Qd3m0Xb8Q1c7k=
    share: 10

- name: Go back
  lambda_release:
    function_name: vahanhelp-prod-api
    release: 1.3.9-b7d21f0a9c3e
"""

RETURN = r"""
version:
  description: Number of the release's version; empty when it would only be published.
  returned: always
  type: str
before:
  description: Percent of the requests by release, before.
  returned: always
  type: dict
  sample: {1.3.9-b7d21f0a9c3e: 100}
after:
  description: Percent of the requests by release, afterwards.
  returned: always
  type: dict
  sample: {1.3.9-b7d21f0a9c3e: 90, 1.4.0-3f2a91c0b7de: 10}
"""

LATEST = "$LATEST"


class ReleaseError(Exception):
    """What somebody has to mend."""


def _invoker(statement: dict[str, Any]) -> str:
    """Return who a statement of a function's policy is for, and what of it."""
    conditions = {key.lower(): value for each in statement.get("Condition", {}).values() for key, value in each.items()}
    principal = statement["Principal"]
    who = principal if isinstance(principal, str) else " ".join(map(str, principal.values()))
    return f"{who} {conditions.get('aws:sourcearn', '')}".strip()


class Manager:
    """A function, its versions and the alias."""

    def __init__(self, module: AnsibleAWSModule) -> None:
        """Take the parameters and make the client."""
        self.module = module
        self.params = module.params
        self.function = {"FunctionName": self.params["function_name"]}
        self.client = module.client("lambda", retry_decorator=AWSRetry.jittered_backoff())

    def versions(self) -> dict[str, dict[str, Any]]:
        """Return the function in all its versions; none when a plan's function is not there yet."""
        try:
            pages = self.client.get_paginator("list_versions_by_function").paginate(**self.function)
            return {each["Version"]: each for page in pages for each in page["Versions"]}
        except is_boto3_error_code("ResourceNotFoundException"):
            if self.module.check_mode:
                return {}
            raise

    def find_alias(self) -> dict[str, Any] | None:
        """Return the alias."""
        try:
            return dict(self.client.get_alias(**self.function, Name=self.params["alias"], aws_retry=True))
        except is_boto3_error_code("ResourceNotFoundException"):
            return None

    def publish(self) -> str:
        """Upload the release's code and publish it as a version. Raises ``ReleaseError`` when it is another code."""
        release, sha256 = self.params["release"], self.params["code_sha256"]
        code = {"S3Bucket": self.params["s3_bucket"], "S3Key": self.params["s3_key"]}
        updated = self.client.update_function_code(**self.function, **code, aws_retry=True)
        if sha256 and updated["CodeSha256"] != sha256:
            raise ReleaseError(
                f"s3://{code['S3Bucket']}/{code['S3Key']} has the hash {updated['CodeSha256']}, not {sha256}: build"
                f" release {release} anew under another name"
            )
        self.client.get_waiter("function_updated_v2").wait(**self.function)
        made = self.client.publish_version(
            **self.function, CodeSha256=updated["CodeSha256"], Description=release, aws_retry=True
        )
        self.client.get_waiter("published_version_active").wait(**self.function, Qualifier=made["Version"])
        return str(made["Version"])

    def point(self, alias: dict[str, Any] | None, stable: str, others: dict[str, float]) -> None:
        """Let the alias stand for a version, and for others with weights."""
        wanted = {**self.function, "Name": self.params["alias"], "FunctionVersion": stable}
        if alias is None:
            self.client.create_alias(**wanted, aws_retry=True)
            return
        routing = {"AdditionalVersionWeights": others}
        # Nobody else's change is overwritten.
        revision = {"RevisionId": alias["RevisionId"]}
        self.client.update_alias(**wanted, RoutingConfig=routing, **revision, aws_retry=True)

    def run(self) -> dict[str, Any]:
        """Publish what is not published yet, point the alias at it, and return the module's result."""
        release, share = self.params["release"], self.params["share"]
        if not 0 <= share <= ALL:
            raise ReleaseError(f"share is {share}; it is a percentage, 0 to 100")
        versions, alias = self.versions(), self.find_alias()
        versions.pop(LATEST, None)
        releases = {number: each.get("Description", "") for number, each in versions.items()}
        version = max((int(each) for each, name in releases.items() if name == release), default=0)
        outdated = bool(version) and self.is_outdated(versions[str(version)])
        if not version and not self.params["s3_key"]:
            known = ", ".join(sorted(set(releases.values()))) or "none"
            raise ReleaseError(f"release {release} was never published; s3_key says where its code is (known: {known})")
        before = shares(alias, releases) if alias else {}
        published = not version or outdated
        number = "" if published else str(version)
        if published and not self.module.check_mode:
            number = self.publish()
        stable, others = self.wanted(alias, number, share)
        is_now = (alias["FunctionVersion"], weights(alias)) if alias else None
        moved = is_now != (stable, others)
        if moved and not self.module.check_mode:
            self.point(alias, stable, others)
        allowed_before, allowed = self.permit(alias)
        releases = {**releases, number: release}
        after = shares({"FunctionVersion": stable, "RoutingConfig": {"AdditionalVersionWeights": others}}, releases)
        return {
            "changed": published or moved or allowed_before != allowed,
            "version": number,
            "before": before,
            "after": after,
            "diff": {
                "before": {**before, **({"configuration": "as it was"} if outdated else {}), **allowed_before},
                "after": {**after, **({"configuration": "as it is now"} if outdated else {}), **allowed},
            },
        }

    def permit(self, alias: dict[str, Any] | None) -> tuple[dict[str, str], dict[str, str]]:
        """Let the invokers ask the alias; return who may, by the permission's name, before and afterwards."""
        found = self.permissions() if alias else {}
        if self.params["invokers"] is None:
            return found, found
        wanted = {each["id"]: f"{each['service']} {each['source_arn']}" for each in self.params["invokers"]}
        qualified = {**self.function, "Qualifier": self.params["alias"]}
        if not self.module.check_mode:
            for name in found:
                if wanted.get(name) != found[name]:
                    self.client.remove_permission(**qualified, StatementId=name, aws_retry=True)
            for each in self.params["invokers"]:
                if found.get(each["id"]) != wanted[each["id"]]:
                    self.client.add_permission(
                        **qualified,
                        StatementId=each["id"],
                        Action="lambda:InvokeFunction",
                        Principal=each["service"],
                        SourceArn=each["source_arn"],
                        aws_retry=True,
                    )
        return found, wanted

    def permissions(self) -> dict[str, str]:
        """Return who may ask the alias, by the permission's name."""
        try:
            policy = self.client.get_policy(**self.function, Qualifier=self.params["alias"], aws_retry=True)["Policy"]
        except is_boto3_error_code("ResourceNotFoundException"):
            return {}
        return {each["Sid"]: _invoker(each) for each in json.loads(policy)["Statement"]}

    def is_outdated(self, version: dict[str, Any]) -> bool:
        """Say whether a version was published with another configuration than the function is to have."""
        wanted = self.params["configuration"] or {}
        # Lambda says nothing of a network where there is none, and sorts no ids.
        network = version.get("VpcConfig") or {}
        found = {**version, "VpcConfig": {key: sorted(network.get(key, [])) for key in wanted.get("VpcConfig", {})}}
        return bool(part_of(found, wanted) != wanted)

    @staticmethod
    def wanted(alias: dict[str, Any] | None, version: str, share: int) -> tuple[str, dict[str, float]]:
        """Return the version that the alias should stand for, and the weights of others."""
        if alias is None or share == ALL or alias["FunctionVersion"] == version:
            return version, {}
        return alias["FunctionVersion"], {version: share / ALL} if share else {}


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "function_name": {"type": "str", "required": True},
            "alias": {"type": "str", "default": "live"},
            "release": {"type": "str", "required": True},
            "s3_bucket": {"type": "str"},
            "s3_key": {"type": "str", "no_log": False},
            "code_sha256": {"type": "str"},
            "share": {"type": "int", "default": ALL},
            "configuration": {"type": "dict"},
            "invokers": {
                "type": "list",
                "elements": "dict",
                "options": {name: {"type": "str", "required": True} for name in ("id", "service", "source_arn")},
            },
        },
        required_together=[("s3_bucket", "s3_key")],
        required_by={"configuration": ("s3_key",)},
        supports_check_mode=True,
    )
    try:
        result = Manager(module).run()
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    except (BotoCoreError, ClientError, WaiterError) as error:
        module.fail_json_aws(error, msg=f"releasing {module.params['release']} to {module.params['function_name']}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
