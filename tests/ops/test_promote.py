"""A further region's replica becomes a database of its own, by its own region's API alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.ops.conftest import BUCKET, NAME, Account

pytestmark = pytest.mark.long

ABROAD = "eu-west-1"
THERE = f"{NAME}-{ABROAD}"


def make_database(account: Account, region: str, name: str, env: str, source: str = "") -> dict[str, Any]:
    """Make a database, or a replica of one, in a network of its own."""
    ec2, rds = account.client("ec2", region), account.client("rds", region)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{region}{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate("ab")
    ]
    rds.create_db_subnet_group(DBSubnetGroupName=name, DBSubnetGroupDescription="d", SubnetIds=subnets)
    app, part = NAME.split("-")[0], {"vahana:app": NAME.split("-")[0], "vahana:env": env}
    tags = [{"Key": key, "Value": value} for key, value in part.items()]
    common = {"DBInstanceIdentifier": name, "DBSubnetGroupName": name, "Tags": tags}
    if source:
        return dict(rds.create_db_instance_read_replica(SourceDBInstanceIdentifier=source, **common)["DBInstance"])
    more = {"Engine": "postgres", "EngineVersion": "17", "DBInstanceClass": "db.t3.micro", "AllocatedStorage": 20}
    login = {"MasterUsername": app, "MasterUserPassword": "the-first-one"}
    return dict(rds.create_db_instance(**common, **more, **login, BackupRetentionPeriod=7)["DBInstance"])


def test_promote(account: Account) -> None:
    source = make_database(account, "us-east-1", NAME, "prod")["DBInstanceArn"]
    bucket, s3 = BUCKET.replace(NAME, THERE), account.client("s3", ABROAD)
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": ABROAD})
    make_database(account, ABROAD, THERE, f"prod-{ABROAD}", source)
    rds = account.client("rds", ABROAD)

    def follows() -> str:
        [found] = rds.describe_db_instances()["DBInstances"]
        return str(found.get("ReadReplicaSourceDBInstanceIdentifier", ""))

    there = ("-e", f"aws_region={ABROAD}", "-e", f"deploy_env=prod-{ABROAD}")
    unsaid = account.play("promote", *there)
    assert unsaid.code != 0
    assert f"To promote it: -e confirm={THERE}" in unsaid.output, unsaid.output
    trial = account.play("promote", *there, "-e", f"confirm={THERE}", "--check")
    assert trial.code == 0, trial.output
    assert follows() == source

    promoted = account.play("promote", *there, "-e", f"confirm={THERE}")
    assert promoted.code == 0, promoted.output
    assert follows() == ""
    *_refused, line = s3.list_objects_v2(Bucket=bucket, Prefix="audit/")["Contents"]
    record = json.loads(s3.get_object(Bucket=bucket, Key=line["Key"])["Body"].read())
    assert (record["verb"], record["result"]) == ("promote", "ok")

    again = account.play("promote", *there, "-e", f"confirm={THERE}")
    assert again.code == 0 and "changed=0" in again.output, again.output
    assert "follows nobody: there is nothing to promote" in again.output


def test_nothing_to_promote(account: Account) -> None:
    refused = account.play("promote", "-e", f"confirm={NAME}")
    assert refused.code != 0
    assert f"There is no database of {NAME} in us-east-1" in refused.output, refused.output
