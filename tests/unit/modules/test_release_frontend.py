"""The module release_frontend: what is uploaded, kept, deleted and invalidated."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from plugins.module_utils.release_artifact import LocalRelease, ReleaseBucket, manifest_text, pack
from plugins.modules import release_frontend

RELEASES, BUCKET = "cars-prod-releases", "cars-prod-frontend"
ONE = {"index.html": "one", "assets/app-1.js": "1", "assets/logo.svg": "logo", "favicon.svg": "icon"}
TWO = {"index.html": "two", "assets/app-2.js": "2", "assets/logo.svg": "logo", "about/index.html": "about"}
THREE = {"index.html": "three", "assets/app-3.js": "3"}
Publish = Callable[..., dict[str, Any]]


@pytest.fixture
def s3() -> Any:
    client = boto3.client("s3")
    for bucket in (RELEASES, BUCKET):
        client.create_bucket(Bucket=bucket)
    return client


@pytest.fixture
def distribution() -> str:
    origin = {"Id": "s3", "DomainName": f"{BUCKET}.s3.amazonaws.com", "S3OriginConfig": {"OriginAccessIdentity": ""}}
    config = {
        "CallerReference": "test",
        "Comment": "",
        "Enabled": True,
        "Origins": {"Quantity": 1, "Items": [origin]},
        "DefaultCacheBehavior": {"TargetOriginId": "s3", "ViewerProtocolPolicy": "allow-all"},
    }
    answer = boto3.client("cloudfront").create_distribution(DistributionConfig=config)
    return str(answer["Distribution"]["Id"])


@pytest.fixture
def release(s3: Any, tmp_path: Path) -> Callable[[str, Mapping[str, str] | None], None]:
    """Put a release with these files of a front end, or without one, into the bucket of releases."""

    def make(version: str, files: Mapping[str, str] | None) -> None:
        directory = tmp_path / version
        for role, contents in {"backend": {"src/server.js": ""}, "frontend": files or {}}.items():
            for name, text in contents.items():
                file = directory / role / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        manifest: dict[str, Any] = {"version": version, "node": "24", "source": "", "frontend": None}
        manifest["backend"] = pack(directory / "backend", directory / "backend.tar.gz")
        if files:
            manifest["frontend"] = pack(directory / "frontend", directory / "frontend.tar.gz")
        (directory / "manifest.json").write_text(manifest_text(manifest))
        local = LocalRelease(directory, manifest)
        ReleaseBucket(s3, RELEASES).upload(local, list(local.archives), with_manifest=True)

    return make


@pytest.fixture
def publish(run_module: Publish, distribution: str) -> Publish:
    def run(version: str, *, check: bool = False, **more: Any) -> dict[str, Any]:
        arguments = {"releases_bucket": RELEASES, "bucket": BUCKET, "distribution_id": distribution, **more}
        return run_module(release_frontend, check, version=version, **arguments)

    return run


def keys(s3: Any) -> set[str]:
    return {item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])}


def invalidations(distribution: str) -> int:
    answer = boto3.client("cloudfront").list_invalidations(DistributionId=distribution)
    return len(answer["InvalidationList"].get("Items", []))


def test_published_once_with_types_and_caching(s3: Any, release: Any, publish: Publish, distribution: str) -> None:
    release("1", ONE)
    planned = publish("1", check=True)
    assert (keys(s3), invalidations(distribution)) == (set(), 0)
    made = publish("1")
    assert (made["changed"], made["uploaded"], made["invalidated"]) == (True, planned["uploaded"], [])
    assert keys(s3) == {*ONE, "release.json"}
    asset = s3.head_object(Bucket=BUCKET, Key="assets/app-1.js")
    page = s3.head_object(Bucket=BUCKET, Key="index.html")
    assert asset["CacheControl"] == "public, max-age=31536000, immutable"
    assert asset["ContentType"] == "text/javascript; charset=utf-8"
    assert (page["CacheControl"], page["ContentType"]) == ("no-cache", "text/html; charset=utf-8")
    assert s3.head_object(Bucket=BUCKET, Key="favicon.svg")["ContentType"] == "image/svg+xml"

    for check in (True, False):
        again = publish("1", check=check)
        assert (again["changed"], again["uploaded"], again["deleted"], again["invalidated"]) == (False, [], [], [])
    # Nothing was there before that CloudFront could keep.
    assert invalidations(distribution) == 0


def test_the_release_before_stays_and_what_is_not_ours(s3: Any, release: Any, publish: Publish) -> None:
    for version, files in {"1": ONE, "2": TWO, "3": THREE}.items():
        release(version, files)
    publish("1")
    s3.put_object(Bucket=BUCKET, Key="images/car.jpg", Body=b"uploaded by people")
    made = publish("2")
    # Assets have new names.
    assert made["invalidated"] == ["/", "/index.html", "/release.json"]
    assert made["uploaded"] == ["about/index.html", "assets/app-2.js", "index.html", "release.json"]
    assert keys(s3) == {*ONE, *TWO, "release.json", "images/car.jpg"}
    planned = publish("3", check=True)
    made = publish("3")
    assert planned["deleted"] == made["deleted"] == ["assets/app-1.js", "favicon.svg"]
    assert keys(s3) == {*TWO, *THREE, "release.json", "images/car.jpg"}
    # Back again: the files are still there, only the page and the record are written.
    assert publish("2")["uploaded"] == ["index.html", "release.json"]
    assert s3.get_object(Bucket=BUCKET, Key="index.html")["Body"].read() == b"two"


def test_drift_is_mended(s3: Any, release: Any, publish: Publish, distribution: str) -> None:
    release("1", ONE)
    publish("1")
    s3.put_object(Bucket=BUCKET, Key="index.html", Body=b"somebody's edit")
    s3.put_object(Bucket=BUCKET, Key="assets/logo.svg", Body=b"somebody's edit")
    made = publish("1")
    assert made["uploaded"] == ["assets/logo.svg", "index.html"]
    assert made["invalidated"] == ["/", "/assets/logo.svg", "/index.html"]
    s3.delete_object(Bucket=BUCKET, Key="assets/logo.svg")
    made = publish("1")
    assert (made["uploaded"], made["invalidated"]) == (["assets/logo.svg"], [])
    s3.put_object(Bucket=BUCKET, Key="release.json", Body=b"damaged")
    assert publish("1")["uploaded"] == ["release.json"]
    assert invalidations(distribution) == 2


def test_a_killed_run_is_finished_and_told_to_the_distribution(
    s3: Any, release: Any, publish: Publish, monkeypatch: pytest.MonkeyPatch, distribution: str
) -> None:
    release("1", ONE)
    release("2", TWO)
    publish("1")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(release_frontend, "invalidate", killed)
        with pytest.raises(KeyboardInterrupt):
            publish("2")
    assert json.loads(s3.get_object(Bucket=BUCKET, Key="release.json")["Body"].read())["version"] == "1"
    made = publish("2")
    assert (made["uploaded"], made["invalidated"]) == (
        ["release.json"],
        ["/", "/about/index.html", "/index.html", "/release.json"],
    )
    assert invalidations(distribution) == 1


def test_paths() -> None:
    assert release_frontend.paths_of(["a b/é.html"]) == ["/a%20b/%C3%A9.html"]
    assert release_frontend.paths_of(f"{number}.html" for number in range(101)) == ["/*"]


def test_pages_go_last(s3: Any, release: Any, publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    release("2", TWO)
    order: list[str] = []
    put = release_frontend.Frontend._put

    def record(self: release_frontend.Frontend, key: str, body: bytes) -> None:
        order.append(key)
        put(self, key, body)

    monkeypatch.setattr(release_frontend.Frontend, "_put", record)
    publish("2")
    assert order[-2:] == ["about/index.html", "index.html"]
    assert set(order[:-2]) == {"assets/app-2.js", "assets/logo.svg"}


def test_without_a_front_end_or_a_distribution(s3: Any, release: Any, publish: Publish) -> None:
    release("api", None)
    assert publish("api")["changed"] is False
    release("1", ONE)
    assert publish("1", distribution_id="")["invalidated"] == []


def test_in_another_region_whose_distribution_is_told_by_somebody_else(
    s3: Any, release: Any, publish: Publish, distribution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "eu-west-1")
    regions = set()
    put = release_frontend.Frontend._put

    def noted(self: release_frontend.Frontend, key: str, body: bytes) -> None:
        regions.add(self._client.meta.region_name)
        put(self, key, body)

    monkeypatch.setattr(release_frontend.Frontend, "_put", noted)
    there = boto3.client("s3")
    buckets = {"releases_bucket": "cars-prod-eu-west-1-releases", "bucket": "cars-prod-eu-west-1-frontend"}
    for bucket in buckets.values():
        there.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for version, files in {"1": ONE, "2": TWO}.items():
        release(version, files)
        for item in s3.list_objects_v2(Bucket=RELEASES)["Contents"]:
            there.copy_object(
                Bucket=buckets["releases_bucket"], Key=item["Key"], CopySource={"Bucket": RELEASES, "Key": item["Key"]}
            )
        planned = publish(version, check=True, distribution_id="", **buckets)
        made = publish(version, distribution_id="", **buckets)
        assert planned["changed"] and planned["uploaded"] == made["uploaded"]
        assert made["invalidated"] == planned["invalidated"] == []
        assert publish(version, distribution_id="", **buckets)["changed"] is False
    served = {item["Key"] for item in there.list_objects_v2(Bucket=buckets["bucket"])["Contents"]}
    assert served == {*ONE, *TWO, "release.json"}
    assert (regions, keys(s3), invalidations(distribution)) == ({"eu-west-1"}, set(), 0)
    # CloudFront is asked whichever region the environment is in.
    publish("1", **buckets)
    assert invalidations(distribution) == 1


def test_mistakes(s3: Any, release: Any, publish: Publish) -> None:
    assert "no release 'gone' in s3://cars-prod-releases; build it" in publish("gone")["msg"]
    assert publish("gone", check=True)["changed"] is True
    assert publish("gone", check=True, bucket="not-made-yet")["changed"] is True
    release("1", ONE)
    assert "run playbooks/provision.yml" in publish("1", bucket="not-made-yet")["msg"]
    s3.put_object(Bucket=RELEASES, Key="releases/1/frontend.tar.gz", Body=b"other")
    assert "is not what its manifest says" in publish("1")["msg"]
    s3.delete_object(Bucket=RELEASES, Key="releases/1/frontend.tar.gz")
    assert "is missing; build the release again" in publish("1")["msg"]
    release("own", {**ONE, "release.json": "{}"})
    assert "brings a file release.json" in publish("own")["msg"]
