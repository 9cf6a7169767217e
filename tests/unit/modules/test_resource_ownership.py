"""What has our names must be ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from lab.moto_patches import elasticache
from plugins.modules import resource_ownership

TAGS = {"vahana:app": "vahanhelp", "vahana:env": "prod", "vahana:tier": "basic"}
OURS = [{"Key": key, "Value": value} for key, value in TAGS.items()]
SOMEBODY = [{"Key": "owner", "Value": "somebody"}]
THEIRS = [{"Key": "vahana:app", "Value": "vahanhelp"}, {"Key": "vahana:env", "Value": "staging"}]
NAME = "vahanhelp-prod"
TRUST = '{"Version": "2012-10-17", "Statement": []}'
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def look(run_module: Run) -> Run:
    def run(*resources: dict[str, str], tags: dict[str, str] = TAGS) -> dict[str, Any]:
        return run_module(resource_ownership, tags=tags, resources=list(resources))

    return run


def make_iam_role(tags: list[Any]) -> None:
    boto3.client("iam").create_role(RoleName=NAME, AssumeRolePolicyDocument=TRUST, Tags=tags)


def make_iam_instance_profile(tags: list[Any]) -> None:
    boto3.client("iam").create_instance_profile(InstanceProfileName=NAME, Tags=tags)


def make_secret(tags: list[Any]) -> None:
    boto3.client("secretsmanager").create_secret(Name=NAME, SecretString="x", Tags=tags)


def make_s3_bucket(tags: list[Any]) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=NAME)
    s3.put_bucket_tagging(Bucket=NAME, Tagging={"TagSet": tags})


def make_key_pair(tags: list[Any]) -> None:
    specification: Any = [{"ResourceType": "key-pair", "Tags": tags}]
    boto3.client("ec2").create_key_pair(KeyName=NAME, TagSpecifications=specification)


def make_kms_key(tags: list[Any]) -> None:
    kms = boto3.client("kms")
    key = kms.create_key(Tags=[{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in tags])["KeyMetadata"]
    kms.create_alias(AliasName=f"alias/{NAME}", TargetKeyId=key["KeyId"])


def make_vpc(tags: list[Any], cidr: str = "10.9.0.0/16") -> str:
    named: Any = [{"ResourceType": "vpc", "Tags": [*tags, {"Key": "Name", "Value": NAME}]}]
    return str(boto3.client("ec2").create_vpc(CidrBlock=cidr, TagSpecifications=named)["Vpc"]["VpcId"])


def make_db_subnet_group(tags: list[Any]) -> None:
    ec2, vpc = boto3.client("ec2"), make_vpc([])
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"]
        for number, zone in ((1, "a"), (2, "b"))
    ]
    boto3.client("rds").create_db_subnet_group(
        DBSubnetGroupName=NAME,
        DBSubnetGroupDescription=NAME,
        SubnetIds=[subnet["SubnetId"] for subnet in subnets],
        Tags=tags,
    )


def make_db_instance(tags: list[Any]) -> None:
    boto3.client("rds").create_db_instance(
        DBInstanceIdentifier=NAME, DBInstanceClass="db.t3.micro", Engine="postgres", AllocatedStorage=20, Tags=tags
    )


MAKERS: dict[str, Callable[[list[Any]], Any]] = {
    "db_instance": make_db_instance,
    "db_subnet_group": make_db_subnet_group,
    "iam_instance_profile": make_iam_instance_profile,
    "iam_role": make_iam_role,
    "key_pair": make_key_pair,
    "kms_key": make_kms_key,
    "s3_bucket": make_s3_bucket,
    "secret": make_secret,
    "vpc": make_vpc,
}


@pytest.mark.parametrize("kind", sorted(resource_ownership.TYPES))
def test_finds_nothing_in_an_empty_account(look: Run, kind: str) -> None:
    result = look({"type": kind, "name": NAME})
    assert not result["changed"] and result["resources"] == {kind: []}


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_finds_ours_whatever_its_other_tags(look: Run, kind: str) -> None:
    MAKERS[kind](OURS)
    result = look({"type": kind, "name": NAME}, tags={**TAGS, "vahana:tier": "full"})
    (found,) = result["resources"][kind]
    assert found["name"] == NAME and found["id"] and TAGS.items() <= found["tags"].items()


@pytest.mark.parametrize("kind", sorted(MAKERS))
@pytest.mark.parametrize("tags", [SOMEBODY, THEIRS], ids=["untagged by us", "of another environment"])
def test_refuses_what_is_not_ours(look: Run, kind: str, tags: list[Any]) -> None:
    MAKERS[kind](tags)
    result = look({"type": kind, "name": NAME}, {"type": "secret", "name": "other"})
    assert result["failed"] and f" {NAME} " in result["msg"] and "is not ours" in result["msg"]
    assert "adopt it: aws " in result["msg"] and "{" not in result["msg"]


def test_names_every_foreign_resource_at_once(look: Run) -> None:
    make_secret(THEIRS)
    make_iam_role([])
    result = look({"type": "secret", "name": NAME}, {"type": "iam_role", "name": NAME})
    assert len(result["msg"].splitlines()) == 2


def test_lists_what_is_ours_when_no_name_is_given(look: Run) -> None:
    ours = make_vpc(OURS)
    make_vpc(THEIRS, cidr="10.10.0.0/16")
    result = look({"type": "vpc"}, {"type": "security_group", "vpc_id": ours})
    assert [vpc["id"] for vpc in result["resources"]["vpc"]] == [ours]
    assert result["resources"]["security_group"] == []


def test_takes_an_empty_untagged_bucket_for_an_interrupted_run(look: Run) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=NAME)
    assert len(look({"type": "s3_bucket", "name": NAME})["resources"]["s3_bucket"]) == 1
    s3.put_object(Bucket=NAME, Key="theirs", Body=b"x")
    assert look({"type": "s3_bucket", "name": NAME})["failed"]


def test_shows_a_secret_scheduled_for_deletion(look: Run) -> None:
    make_secret(OURS)
    boto3.client("secretsmanager").delete_secret(SecretId=NAME)
    (found,) = look({"type": "secret", "name": NAME})["resources"]["secret"]
    assert found["deleted_date"]


def test_returns_what_the_roles_read(look: Run) -> None:
    make_key_pair(OURS)
    make_db_instance(OURS)
    result = look({"type": "key_pair", "name": NAME}, {"type": "db_instance", "name": NAME})
    assert result["resources"]["key_pair"][0]["public_key"].startswith("ssh-")
    assert result["resources"]["db_instance"][0]["db_instance_status"] == "available"


def test_refuses_tags_without_an_owner(look: Run) -> None:
    assert look({"type": "vpc", "name": NAME}, tags={"vahana:app": "x"})["failed"]


def test_refuses_to_list_what_cannot_be_listed(look: Run) -> None:
    assert "by name" in look({"type": "iam_role"})["msg"]


@pytest.mark.parametrize("tags", [OURS, THEIRS, SOMEBODY])
def test_a_cache_that_does_not_say_its_tags(look: Run, monkeypatch: pytest.MonkeyPatch, tags: list[Any]) -> None:
    elasticache.apply()
    monkeypatch.setattr(elasticache, "_real", True)
    client = boto3.client("elasticache")
    subnet = boto3.client("ec2").create_subnet(VpcId=make_vpc([]), CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    client.create_cache_subnet_group(
        CacheSubnetGroupName=NAME, CacheSubnetGroupDescription=NAME, SubnetIds=[subnet], Tags=OURS
    )
    client.create_replication_group(
        ReplicationGroupId=NAME,
        ReplicationGroupDescription=NAME,
        Engine="valkey",
        CacheNodeType="cache.t3.micro",
        CacheSubnetGroupName=NAME,
        Tags=tags,
    )
    result = look({"type": "replication_group", "name": NAME})
    if tags == OURS:
        (found,) = result["resources"]["replication_group"]
        assert found["tags"] == TAGS and found["status"] == "creating"
    else:
        assert result["failed"] and f"The cache {NAME} exists, but lacks the tags" in result["msg"]
