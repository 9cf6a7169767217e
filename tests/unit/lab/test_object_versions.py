"""Pages of an S3 bucket's versions, which a bucket is emptied by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from lab.moto_patches import s3 as s3_patch

PAGE = 3


@pytest.fixture
def s3(credentials: None) -> Iterator[Any]:
    s3_patch.apply()
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="full")
        client.put_bucket_versioning(Bucket="full", VersioningConfiguration={"Status": "Enabled"})
        yield client


def pages(s3: Any, **options: Any) -> Iterator[list[dict[str, Any]]]:
    for page in s3.get_paginator("list_object_versions").paginate(
        Bucket="full", PaginationConfig={"PageSize": PAGE}, **options
    ):
        yield page.get("Versions", []) + page.get("DeleteMarkers", [])


def test_a_bucket_is_emptied_page_by_page(s3: Any) -> None:
    for number in range(4 * PAGE):
        s3.put_object(Bucket="full", Key=f"{number:02}", Body=b"")
    for page in pages(s3):
        s3.delete_objects(
            Bucket="full", Delete={"Objects": [{name: each[name] for name in ("Key", "VersionId")} for each in page]}
        )
    s3.delete_bucket(Bucket="full")


def test_a_page_may_end_between_two_versions_of_an_object(s3: Any) -> None:
    for key in ("a", "b"):
        for content in range(4):
            s3.put_object(Bucket="full", Key=key, Body=b"%d" % content)
    s3.delete_object(Bucket="full", Key="b")
    listed = [each for page in pages(s3) for each in page]
    assert len(listed) == len({(each["Key"], each["VersionId"]) for each in listed}) == 9
    assert [(each["Key"], "ETag" in each) for each in listed if each["IsLatest"]] == [("a", True), ("b", False)]
    assert {each["Key"] for page in pages(s3, Prefix="b") for each in page} == {"b"}


def test_objects_without_a_version_are_listed_once(s3: Any) -> None:
    s3.create_bucket(Bucket="plain")
    for number in range(2 * PAGE + 1):
        s3.put_object(Bucket="plain", Key=f"{number}", Body=b"")
    found = s3.get_paginator("list_object_versions").paginate(Bucket="plain", PaginationConfig={"PageSize": PAGE})
    listed = [each for page in found for each in page["Versions"]]
    assert [each["Key"] for each in listed] == [f"{number}" for number in range(2 * PAGE + 1)]
    assert {each["VersionId"] for each in listed} == {"null"}
