"""The releases in a bucket as people read them."""

from __future__ import annotations

import json
from typing import Any

import boto3

from plugins.module_utils.release_artifact import ReleaseBucket
from plugins.module_utils.release_list import read_releases, table

BUCKET = "cars-prod-releases-123456789012"


def publish(s3: Any, version: str, **more: Any) -> None:
    manifest = {"version": version, "backend": {"sha256": "0" * 64, "size": 1_500_000}, "frontend": None, **more}
    s3.put_object(Bucket=BUCKET, Key=f"releases/{version}/manifest.json", Body=json.dumps(manifest))


def test_releases(lab_account: None) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    # Older than the question who built it, and when.
    publish(s3, "1.0.0", node="24")
    about = {"builder": "alice@ci", "time": "2026-11-22T12:00:00+00:00", "tests": "passed", "node": "24"}
    size = {"sha256": "0" * 64, "size": 600_000}
    publish(s3, "1.1.0", commit=f"{'ab' * 20}-dirty", frontend=size, **about)
    publish(s3, "1.2.0", commit="cd" * 20, **about)
    s3.put_object(Bucket=BUCKET, Key="releases/1.3.0/manifest.json", Body=b"{}")
    s3.put_object(Bucket=BUCKET, Key="releases/half/backend.tar.gz", Body=b"")
    found = read_releases(ReleaseBucket(s3, BUCKET), "1.1.0", "1.0.0", limit=10)
    by_name = {release["release"]: release for release in found}
    assert set(by_name) == {"1.0.0", "1.1.0", "1.2.0", "1.3.0"}
    assert [by_name[name]["state"] for name in ("1.0.0", "1.1.0", "1.2.0")] == ["previous", "current", ""]
    assert by_name["1.0.0"]["time"] and by_name["1.0.0"]["builder"] == ""
    assert by_name["1.3.0"]["tests"] == "damaged"
    lines = table([by_name["1.1.0"], by_name["1.2.0"]])
    assert [line.split() for line in lines] == [
        ["release", "built", "who", "commit", "tests", "node", "size"],
        [
            "current",
            "1.1.0",
            "2026-11-22T12:00:00Z",
            "alice@ci",
            "abababababab-dirty",
            "passed",
            "24",
            "2.1",
            "MB",
        ],
        ["1.2.0", "2026-11-22T12:00:00Z", "alice@ci", "cdcdcdcdcdcd", "passed", "24", "1.5", "MB"],
    ]
    # Those in service whatever the limit.
    least = read_releases(ReleaseBucket(s3, BUCKET), "1.1.0", "1.0.0", limit=0)
    assert {"1.0.0", "1.1.0"} == {release["release"] for release in least}
