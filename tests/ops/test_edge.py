"""A distribution in front of two regions: planned, made once, and all of it removed."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.ops.conftest import NAME, Account, Run

BUCKETS = {"home-frontend": "us-east-1", "abroad-frontend": "eu-west-1"}
ABROAD = {
    "region": "eu-west-1",
    "frontend_bucket_domain": "abroad-frontend.s3.eu-west-1.amazonaws.com",
    "backend_domain_name": "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com",
}
CHANGED = re.compile(r"changed=(\d+)")


class Edge:
    """The role in an account that has nothing but the buckets."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.cloudfront, self.s3 = account.client("cloudfront"), account.client("s3")
        for name, region in BUCKETS.items():
            where = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region != "us-east-1" else {}
            self.s3.create_bucket(Bucket=name, **where)
            self.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def run(self, *arguments: str, **inputs: Any) -> int:
        """Bring the edge to its inputs; return how many tasks changed something."""
        played: Run = self.account.play(
            "../tests/ops/edge", "-e", json.dumps({"tier": "serverless", **inputs}), *arguments
        )
        found = CHANGED.search(played.output)
        assert played.code == 0 and found, played.output
        return int(found[1])

    def bring(self, **inputs: Any) -> None:
        """Bring the edge to its inputs, planned before."""
        self.account.writes()
        planned = self.run("--check", **inputs)
        assert self.account.writes() == []
        assert self.run(**inputs) == planned > 0

    def functions(self) -> dict[str, str]:
        """Code of the functions by name."""
        listed = self.cloudfront.list_functions()["FunctionList"].get("Items", [])
        return {
            each["Name"]: self.cloudfront.get_function(Name=each["Name"], Stage="LIVE")["FunctionCode"].read().decode()
            for each in listed
        }

    def config(self) -> Any:
        [listed] = self.cloudfront.list_distributions()["DistributionList"]["Items"]
        return self.cloudfront.get_distribution_config(Id=listed["Id"])["DistributionConfig"]


@pytest.fixture
def edge(account: Account) -> Edge:
    return Edge(account)


def patience(config: Any) -> set[tuple[int, int]]:
    return {(each["ConnectionAttempts"], each["ConnectionTimeout"]) for each in config["Origins"]["Items"]}


@pytest.mark.long
def test_a_second_region_comes_and_goes(edge: Edge) -> None:
    edge.bring(edge_regions=[ABROAD])
    assert edge.run(edge_regions=[ABROAD]) == 0
    both = edge.config()
    origins = {each["Id"]: each for each in both["Origins"]["Items"]}
    assert set(origins) == {"frontend", "backend", "frontend-eu-west-1", "backend-eu-west-1"}
    assert patience(both) == {(1, 1)}
    assert origins["frontend-eu-west-1"]["OriginAccessControlId"] == origins["frontend"]["OriginAccessControlId"] != ""
    assert origins["backend-eu-west-1"]["CustomOriginConfig"] == origins["backend"]["CustomOriginConfig"]
    [group] = both["OriginGroups"]["Items"]
    assert [each["OriginId"] for each in group["Members"]["Items"]] == ["frontend", "frontend-eu-west-1"]
    assert group["FailoverCriteria"]["StatusCodes"]["Items"] == [500, 502, 503, 504]
    pages, [api] = both["DefaultCacheBehavior"], both["CacheBehaviors"]["Items"]
    assert (pages["TargetOriginId"], api["TargetOriginId"]) == (group["Id"], "backend")
    associated = [each["FunctionAssociations"]["Items"][0]["FunctionARN"].rpartition("/")[2] for each in (pages, api)]
    assert associated == [f"{NAME}-spa", f"{NAME}-api"]
    assert "'backend-eu-west-1'" in edge.functions()[f"{NAME}-api"]
    home, abroad = (json.loads(edge.s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"] for name in BUCKETS)
    assert home[0]["Condition"] == abroad[0]["Condition"]
    assert abroad[0]["Resource"] == "arn:aws:s3:::abroad-frontend/*"
    # The module that writes the policy knows the rest of a bucket too.
    assert edge.s3.get_bucket_versioning(Bucket="abroad-frontend")["Status"] == "Enabled"

    edge.bring(edge_state="absent")
    assert edge.functions() == {}
    assert edge.cloudfront.list_distributions()["DistributionList"]["Quantity"] == 0
    assert edge.cloudfront.list_origin_access_controls()["OriginAccessControlList"].get("Items", []) == []
