"""Nothing to do is said only when nothing is: every drift, every input and every fault counts."""

from __future__ import annotations

import copy
import datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from plugins.module_utils.convergence import (
    RECORD_KEY,
    Document,
    differences,
    documents,
    drift_lines,
    project_fingerprint,
    read_record,
    unsettled,
    write_record,
)
from plugins.module_utils.discovery import EMPTY, Resource

TAGS = {"vahana:app": "vahanhelp", "vahana:env": "prod", "vahana:layer": "network"}


def resource(kind: str, tags: dict[str, str] | None = None, **description: Any) -> Resource:
    """Return a resource as discovery finds it."""
    arn = f"arn:aws:{kind.partition(':')[0]}:us-east-1:123456789012:{kind}/x"
    return Resource(kind, "x", arn, tags or TAGS, False, description)


def document(kind: str, **description: Any) -> dict[str, Document]:
    """Return the documents of an environment with one resource."""
    return documents([(resource(kind, **description), {})])


def test_times_and_what_changes_by_itself_do_not_count() -> None:
    now, then = datetime.datetime(2026, 1, 1), datetime.datetime(2026, 1, 2)
    before = document("cloudwatch:alarm", Threshold=80.0, StateValue="OK", StateUpdatedTimestamp=now)
    after = document("cloudwatch:alarm", Threshold=80.0, StateValue="ALARM", StateUpdatedTimestamp=then)
    assert differences(before, after) == []


def test_a_field_that_we_set_counts_at_any_depth() -> None:
    before = document("ec2:security-group", IpPermissions=[{"FromPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
    after = document(
        "ec2:security-group",
        IpPermissions=[
            {"FromPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
            {"FromPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        ],
    )
    (found,) = differences(before, after)
    assert (found["what"], found["kind"], found["layer"]) == ("changed", "ec2:security-group", "network")
    (field,) = found["fields"]
    assert (field["field"], field["before"]) == ("IpPermissions", None)
    assert [rule["FromPort"] for rule in field["after"]] == [22]


def test_drift_in_words() -> None:
    before = document("ec2:security-group", GroupName="web", Rules=[1, 2])
    after = documents([(resource("ec2:security-group", {**TAGS, "Name": "web"}, GroupName="web", Rules=[2, 3]), {})])
    gone = document("ec2:subnet")
    assert drift_lines(differences({**before, **gone}, after)) == [
        "~ network  ec2:security-group x (web) is changed",
        "    Rules: [1] → [3]",
        "    Tags.Name: nothing → web",
        "- network  ec2:subnet x is gone",
    ]


def test_a_lost_tag_counts() -> None:
    before = documents([(resource("ec2:subnet", {**TAGS, "Name": "a"}), {})])
    after = documents([(resource("ec2:subnet"), {})])
    (found,) = differences(before, after)
    assert found["fields"] == [{"field": "Tags.Name", "before": "a", "after": None}]


def test_the_order_counts_only_where_it_means_something() -> None:
    rules, reverse = [{"Port": 1}, {"Port": 2}], [{"Port": 2}, {"Port": 1}]
    assert not differences(document("ec2:route-table", Routes=rules), document("ec2:route-table", Routes=reverse))
    assert differences(document("cloudfront:distribution", B=rules), document("cloudfront:distribution", B=reverse))


def test_what_came_and_what_went() -> None:
    vpc, subnet = document("ec2:vpc"), document("ec2:subnet")
    assert [(entry["what"], entry["kind"]) for entry in differences(vpc, subnet)] == [
        ("new", "ec2:subnet"),
        ("gone", "ec2:vpc"),
    ]


def test_what_auto_scaling_starts_is_no_change() -> None:
    member = resource("ec2:instance", {**TAGS, "aws:autoscaling:groupName": "vahanhelp-prod-backend"})
    assert documents([(member, {})]) == {}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.client("s3", region_name="us-east-1")


def test_a_record_is_read_as_it_was_written(s3: Any) -> None:
    live = document("ec2:vpc", CidrBlock="10.0.0.0/16")
    assert read_record(s3, "releases") is None
    s3.create_bucket(Bucket="releases")
    assert read_record(s3, "releases") is None
    write_record(s3, "releases", "abc", live)
    record = read_record(s3, "releases")
    assert record is not None
    assert (record.inputs, differences(record.documents, live)) == ("abc", [])


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format": 0}', b'{"format": 1, "strange": 1}'])
def test_a_record_that_cannot_be_understood_is_none(s3: Any, content: bytes) -> None:
    s3.create_bucket(Bucket="releases")
    s3.put_object(Bucket="releases", Key=RECORD_KEY, Body=content)
    assert read_record(s3, "releases") is None


def test_any_file_of_the_project_counts_wherever_it_lies(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "roles" / "network").mkdir(parents=True)
        (tmp_path / name / "roles" / "network" / "main.yml").write_text("a: 1\n")
    assert project_fingerprint(tmp_path / "one") == project_fingerprint(tmp_path / "two")
    (tmp_path / "two" / "roles" / "network" / "main.yml").write_text("a: 2\n")
    assert project_fingerprint(tmp_path / "one") != project_fingerprint(tmp_path / "two")


def stack_of(**changes: Any) -> dict[str, Any]:
    """Return the stack of a group of one instance that serves, with some of its fields changed."""
    stack = copy.deepcopy(EMPTY)
    instance = {"id": "i-1", "state": "running", "lifecycle": "InService", "health": "healthy"}
    stack["compute"].update(auto_scaling_group="group", desired_capacity=1, instances=[instance])
    stack["load_balancer"]["target_group_arn"] = "arn"
    stack["database"].update(identifier="db", status="available")
    for path, value in changes.items():
        layer, _, key = path.partition("__")
        if key in instance:
            stack["compute"]["instances"][0][key] = value
        else:
            stack[layer][key] = value
    return stack


def test_what_serves_is_settled() -> None:
    assert unsettled(stack_of()) == []


def test_services_are_settled_when_their_deployments_are_over() -> None:
    def reasons(**changes: Any) -> list[str]:
        stack = copy.deepcopy(EMPTY)
        stack["containers"]["services"] = [
            {"name": "auth", "running": 2, "desired": 2, "deployment": "COMPLETED", **changes}
        ]
        return unsettled(stack)

    assert reasons() == []
    assert reasons(running=1) == ["1 of 2 tasks of auth run"]
    assert reasons(running=1, deployment="IN_PROGRESS") == ["the deployment of auth is IN_PROGRESS"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"compute__health": "unhealthy"}, "i-1 is unhealthy"),
        ({"compute__health": ""}, "i-1 is not registered with the load balancer"),
        ({"compute__lifecycle": "Pending:Wait"}, "i-1 is Pending:Wait"),
        ({"compute__state": "pending"}, "i-1 is pending"),
        ({"compute__desired_capacity": 2}, "1 of 2 instances run"),
        ({"compute__instances": []}, "0 of 1 instances run"),
        ({"api__releases": {"1.0.0": 90, "2.0.0": 10}}, "the requests are shared: 90 % 1.0.0, 10 % 2.0.0"),
        ({"database__status": "modifying"}, "the database db is modifying"),
        ({"image__builder_instance_ids": ["i-2"]}, "i-2 is baking an image"),
    ],
)
def test_what_is_under_way_or_broken_is_not(change: dict[str, Any], reason: str) -> None:
    assert unsettled(stack_of(**change)) == [reason]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        # EC2 gives this time as text, and another one after each launch.
        ("ec2:image", ({"LastLaunchedTime": "2026-11-29T10:00:00Z"}, {"LastLaunchedTime": "2026-11-30T11:00:00Z"})),
        (
            "dynamodb:table",
            (
                {"WarmThroughput": {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"}},
                {"WarmThroughput": {"ReadUnitsPerSecond": 24000, "WriteUnitsPerSecond": 9000, "Status": "UPDATING"}},
            ),
        ),
    ],
)
def test_what_use_alone_moves_is_no_difference(kind: str, fields: tuple[dict[str, Any], dict[str, Any]]) -> None:
    before, after = (document(kind, Name="x", **each) for each in fields)
    assert differences(before, after) == []
    assert differences(before, document(kind, Name="y", **fields[0]))
