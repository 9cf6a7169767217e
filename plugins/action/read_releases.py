"""Read which releases are in the bucket, in the controller's own process."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, ClassVar

import boto3

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.aws_action import AwsAction
from plugins.module_utils.release_artifact import ReleaseBucket
from plugins.module_utils.release_list import read_releases, table

DOCUMENTATION = r"""
module: read_releases
short_description: Read which releases are in the bucket
description:
  - Returns the releases, the newest first, with what their manifests say of them.
options:
  region:
    description: AWS region.
    type: str
    required: true
  bucket:
    description: Bucket of releases.
    type: str
    required: true
  current:
    description: The release in service, to be marked.
    type: str
    default: ""
  previous:
    description: The release before it, to be marked.
    type: str
    default: ""
  limit:
    description: How many of the newest. Those two are there whatever the limit.
    type: int
    default: 20
"""

RETURN = r"""
releases:
  description:
    - The releases, each with C(release), C(state) (C(current), C(previous) or empty), C(time), C(builder), C(commit),
      C(tests), C(node), C(npm), C(source) and C(size) in bytes.
  returned: success
  type: list
  elements: dict
table:
  description: The releases as lines of a table.
  returned: success
  type: list
  elements: str
json:
  description: The releases as one line of JSON each.
  returned: success
  type: list
  elements: str
"""


class ActionModule(AwsAction):
    """Read the bucket."""

    takes: ClassVar[dict[str, Any]] = {
        "region": {"type": "str", "required": True},
        "bucket": {"type": "str", "required": True},
        "current": {"type": "str", "default": ""},
        "previous": {"type": "str", "default": ""},
        "limit": {"type": "int", "default": 20},
    }
    failure = "the releases cannot be read"

    def ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the releases, the newest first."""
        s3 = boto3.client("s3", region_name=arguments["region"])
        bucket = ReleaseBucket(s3, arguments["bucket"])
        try:
            found = read_releases(bucket, arguments["current"], arguments["previous"], arguments["limit"])
        except s3.exceptions.NoSuchBucket:
            # An environment that is not there yet has no releases.
            found = []
        return {
            "releases": found,
            "table": table(found),
            "json": [json.dumps(release, sort_keys=True) for release in found],
        }
