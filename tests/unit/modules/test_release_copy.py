"""The module release_copy: what is copied to another region when, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from plugins.module_utils.planning import KNOWN_AFTER_APPLY
from plugins.module_utils.release_artifact import ARCHIVES, LocalRelease, ReleaseBucket, describe, manifest_text
from plugins.modules import release_copy

HERE, THERE = "cars-prod-eu-west-1-releases", "cars-prod-releases"
KEYS = [f"releases/1/{name}" for name in ("backend.tar.gz", "functions.zip", "frontend.tar.gz", "manifest.json")]
Copy = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "eu-west-1")


@pytest.fixture
def s3() -> Any:
    client = boto3.client("s3")
    client.create_bucket(Bucket=HERE, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=THERE)
    return client


@pytest.fixture
def release(s3: Any, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Put release 1 into a bucket; its archives hold a text."""

    def make(bucket: str = THERE, text: str = "one", **more: Any) -> dict[str, Any]:
        manifest: dict[str, Any] = {"version": "1", "source": text, "builder": "somebody", **more}
        for role, name in ARCHIVES.items():
            (tmp_path / name).write_text(f"{role} {text}")
            manifest[role] = describe(tmp_path / name)
        local = LocalRelease(tmp_path, manifest)
        ReleaseBucket(s3, bucket).upload(local, list(local.archives), with_manifest=True)
        return manifest

    return make


@pytest.fixture
def copy(run_module: Copy) -> Copy:
    def run(*, check: bool = False, **more: Any) -> dict[str, Any]:
        arguments = {"version": "1", "source_bucket": THERE, "source_region": "us-east-1", "bucket": HERE, **more}
        return run_module(release_copy, check, **arguments)

    return run


def keys(s3: Any) -> list[str]:
    return sorted(item["Key"] for item in s3.list_objects_v2(Bucket=HERE).get("Contents", []))


def test_copied_once_and_the_manifest_last(
    s3: Any, release: Any, copy: Copy, calls: list[tuple[str, str, str]]
) -> None:
    manifest = release()
    planned = copy(check=True)
    assert keys(s3) == []
    calls.clear()
    made = copy()
    assert planned["changed"] and made["changed"]
    assert planned["copied"] == made["copied"] == KEYS
    assert planned["manifest"] == made["manifest"] == manifest
    assert made["diff"] == {"before": {}, "after": {"release": "1", "copied": KEYS}} == planned["diff"]
    # S3 copies by itself, asked where the copy is to be.
    copies = [("eu-west-1", "CopyObject", key) for key in KEYS[:-1]]
    assert [call for call in calls if not call[1].startswith(("Get", "Head"))] == [
        *copies,
        ("eu-west-1", "PutObject", KEYS[-1]),
    ]
    assert {region for region, operation, _key in calls if operation == "GetObject"} == {"eu-west-1", "us-east-1"}
    for key in KEYS:
        here, there = (s3.get_object(Bucket=bucket, Key=key) for bucket in (HERE, THERE))
        assert here["ContentType"] == there["ContentType"]
        assert here["Body"].read() == there["Body"].read()
    head = s3.head_object(Bucket=HERE, Key=KEYS[1], ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"] == s3.head_object(Bucket=THERE, Key=KEYS[1], ChecksumMode="ENABLED")["ChecksumSHA256"]

    calls.clear()
    for check in (True, False):
        again = copy(check=check)
        assert (again["changed"], again["copied"], again["manifest"]) == (False, [], manifest)
        assert again["diff"] == {"before": {}, "after": {}}
    assert all(operation.startswith(("Get", "Head")) for _region, operation, _key in calls)


def test_a_release_has_the_archives_that_its_manifest_names(s3: Any, copy: Copy) -> None:
    s3.put_object(Bucket=THERE, Key=KEYS[0], Body=b"")
    size = {"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "size": 0}
    manifest = {"version": "1", "backend": size, "functions": None, "frontend": None}
    s3.put_object(Bucket=THERE, Key=KEYS[-1], Body=manifest_text(manifest).encode())
    assert copy(check=True)["copied"] == copy()["copied"] == [KEYS[0], KEYS[-1]]


def test_what_a_killed_run_left_is_finished_and_what_was_damaged_is_mended(s3: Any, release: Any, copy: Copy) -> None:
    release()
    s3.copy_object(Bucket=HERE, Key=KEYS[0], CopySource={"Bucket": THERE, "Key": KEYS[0]})
    s3.put_object(Bucket=HERE, Key=KEYS[1], Body=b"half")
    assert copy(check=True)["copied"] == copy()["copied"] == KEYS[1:]
    s3.delete_object(Bucket=HERE, Key=KEYS[2])
    assert copy(check=True)["copied"] == copy()["copied"] == [KEYS[2]]
    assert keys(s3) == sorted(KEYS)


def test_who_built_it_makes_no_other_release_and_another_content_does(s3: Any, release: Any, copy: Copy) -> None:
    release(HERE, builder="somebody else")
    release()
    assert copy()["changed"] is False
    assert json.loads(s3.get_object(Bucket=HERE, Key=KEYS[-1])["Body"].read())["builder"] == "somebody else"
    s3.delete_object(Bucket=THERE, Key=KEYS[-1])
    release(text="two")
    for check in (True, False):
        message = copy(check=check)["msg"]
        assert f"release 1 in s3://{HERE} is another one than that in s3://{THERE}, and is not overwritten" in message
    assert s3.get_object(Bucket=HERE, Key=KEYS[0])["Body"].read() == b"backend one"


def test_a_plan_knows_what_is_only_to_be_made(s3: Any, release: Any, copy: Copy, calls: Any) -> None:
    unbuilt = copy(check=True)
    assert (unbuilt["changed"], unbuilt["copied"], unbuilt["manifest"]) == (True, KEYS[-1:], {})
    calls.clear()
    nothing = copy(check=True, source_bucket=f"{THERE} {KNOWN_AFTER_APPLY}", bucket=f"{HERE} {KNOWN_AFTER_APPLY}")
    assert (nothing["changed"], nothing["copied"], calls) == (True, KEYS[-1:], [])
    manifest = release()
    for bucket in (f"{HERE} {KNOWN_AFTER_APPLY}", "not-made-yet"):
        planned = copy(check=True, bucket=bucket)
        assert (planned["changed"], planned["copied"], planned["manifest"]) == (True, KEYS, manifest)
    # It is here, and would be built again there.
    copy()
    s3.delete_object(Bucket=THERE, Key=KEYS[-1])
    assert copy(check=True)["changed"] is False


def test_another_run_publishes_meanwhile(s3: Any, release: Any, copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = release()
    missing = ReleaseBucket.missing

    def publish(text: str) -> Any:
        def late(bucket: Any, of: Any) -> Any:
            if bucket._bucket == THERE:
                other = {**manifest, "source": text, "builder": "another"}
                s3.put_object(Bucket=HERE, Key=KEYS[-1], Body=manifest_text(other).encode())
            return missing(bucket, of)

        return late

    monkeypatch.setattr(release_copy.ReleaseBucket, "missing", publish("one"))
    assert copy()["copied"] == KEYS[:-1]
    s3.delete_object(Bucket=HERE, Key=KEYS[-1])
    monkeypatch.setattr(release_copy.ReleaseBucket, "missing", publish("two"))
    assert "another run has published a different release 1 meanwhile" in copy()["msg"]


def test_what_changes_while_it_is_copied_is_not_published(
    s3: Any, release: Any, copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    release()
    monkeypatch.setattr(release_copy.ReleaseBucket, "missing", lambda bucket, manifest: ["backend"])
    assert "is damaged" in copy()["msg"]
    monkeypatch.setattr(
        release_copy.ReleaseBucket, "missing", lambda bucket, manifest: ["backend"] if bucket._bucket == HERE else []
    )
    assert "was changed in s3://cars-prod-releases while it was copied; run again" in copy()["msg"]
    assert KEYS[-1] not in keys(s3)


def test_mistakes(s3: Any, release: Any, copy: Copy) -> None:
    assert "'../1' is not a release name" in copy(version="../1")["msg"]
    assert copy()["msg"] == f"there is no release '1' in s3://{THERE}; build it with playbooks/build.yml first"
    release()
    for name in ("source_bucket", "bucket"):
        message = copy(**{name: "not-made-yet"})["msg"]
        assert message == "the bucket of releases not-made-yet does not exist; run playbooks/provision.yml"
    s3.put_object(Bucket=THERE, Key=KEYS[1], Body=b"other")
    message = copy()["msg"]
    assert f"release 1 in s3://{THERE} is damaged (its functions archive is missing or not what its manifest" in message
    assert keys(s3) == []
