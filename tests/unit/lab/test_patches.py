"""moto with the lab's patches: each test is a gap that was there."""

from __future__ import annotations

import json
import time
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.ec2.responses import EC2Response

REGION = "us-east-1"
ACCOUNT = "123456789012"
TAGS = [{"Key": "vahana:app", "Value": "trial"}]
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
FUNCTION = b"function handler(event) { return event.request; }"


def client(service: str, region: str = REGION) -> Any:
    """A boto3 client of the account."""
    return boto3.client(service, region_name=region)  # type: ignore[call-overload]


def code(caught: pytest.ExceptionInfo[ClientError]) -> str:
    """The error code that AWS answered."""
    return str(caught.value.response["Error"]["Code"])


def network(*, gateway: bool = True) -> tuple[str, list[str]]:
    """A VPC with two subnets in two zones."""
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.91.0.0/16")["Vpc"]["VpcId"]
    if gateway:
        internet = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=internet, VpcId=vpc)
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.91.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate("ab")
    ]
    return vpc, subnets


def balancer(subnets: list[str], name: str = "trial") -> dict[str, Any]:
    """An Application Load Balancer."""
    made = client("elbv2").create_load_balancer(Name=name, Subnets=subnets, Tags=TAGS)
    return dict(made["LoadBalancers"][0])


def target_group(vpc: str, name: str = "trial") -> str:
    """A target group of addresses; its ARN."""
    made = client("elbv2").create_target_group(
        Name=name, Protocol="HTTP", Port=3000, VpcId=vpc, TargetType="ip", HealthCheckPath="/api/health"
    )
    return str(made["TargetGroups"][0]["TargetGroupArn"])


class TestLoadBalancing:
    """lab.moto_patches.elbv2."""

    def test_no_code_above_499_is_healthy(self) -> None:
        vpc, _ = network()
        elb, group = client("elbv2"), target_group(vpc)
        elb.modify_target_group(TargetGroupArn=group, Matcher={"HttpCode": "200-299,404"})
        with pytest.raises(ClientError, match="'200,503' must be within 200-499"):
            elb.modify_target_group(TargetGroupArn=group, Matcher={"HttpCode": "200,503"})
        with pytest.raises(ClientError, match="must be within 200-499"):
            elb.create_target_group(
                Name="other", Protocol="HTTP", Port=3000, VpcId=vpc, TargetType="ip", Matcher={"HttpCode": "200-599"}
            )

    def test_attributes_are_there_from_the_start(self) -> None:
        vpc, subnets = network()
        elb = client("elbv2")
        arn = balancer(subnets)["LoadBalancerArn"]
        attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
        assert {"Key": "idle_timeout.timeout_seconds", "Value": "60"} in attributes
        assert {"Key": "routing.http2.enabled", "Value": "true"} in attributes
        groups = elb.describe_target_group_attributes(TargetGroupArn=target_group(vpc))["Attributes"]
        assert {"Key": "stickiness.lb_cookie.duration_seconds", "Value": "86400"} in groups

    def test_needs_two_zones_and_a_way_to_the_internet(self) -> None:
        _, subnets = network(gateway=False)
        with pytest.raises(ClientError) as one_zone:
            balancer(subnets[:1])
        assert code(one_zone) == "ValidationError"
        with pytest.raises(ClientError) as no_gateway:
            balancer(subnets)
        assert code(no_gateway) == "InvalidSubnet"

    def test_a_name_is_taken_once(self) -> None:
        _, subnets = network()
        balancer(subnets)
        with pytest.raises(ClientError) as taken:
            balancer(subnets)
        assert code(taken) == "DuplicateLoadBalancerName"

    def test_protection_and_what_a_deletion_leaves(self) -> None:
        vpc, subnets = network()
        elb = client("elbv2")
        arn, group = balancer(subnets)["LoadBalancerArn"], target_group(vpc)
        forward = [{"Type": "forward", "TargetGroupArn": group}]
        elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=forward)
        assert elb.describe_target_groups(TargetGroupArns=[group])["TargetGroups"][0]["LoadBalancerArns"] == [arn]
        protection = [{"Key": "deletion_protection.enabled", "Value": "true"}]
        elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=protection)
        with pytest.raises(ClientError) as protected:
            elb.delete_load_balancer(LoadBalancerArn=arn)
        assert code(protected) == "OperationNotPermitted"
        protection[0]["Value"] = "false"
        elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=protection)
        elb.delete_load_balancer(LoadBalancerArn=arn)
        assert elb.describe_target_groups(TargetGroupArns=[group])["TargetGroups"][0]["LoadBalancerArns"] == []
        elb.delete_target_group(TargetGroupArn=group)

    def test_a_second_listener_on_a_port(self) -> None:
        vpc, subnets = network()
        elb = client("elbv2")
        arn = balancer(subnets)["LoadBalancerArn"]
        forward = [{"Type": "forward", "TargetGroupArn": target_group(vpc)}]
        elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=forward)
        with pytest.raises(ClientError) as twice:
            elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=forward)
        assert code(twice) == "DuplicateListener"

    def test_life_of_a_target(self) -> None:
        vpc, subnets = network()
        elb = client("elbv2")
        arn, group = balancer(subnets)["LoadBalancerArn"], target_group(vpc)

        def states() -> dict[str, tuple[str, str]]:
            answer = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
            health = {row["Target"]["Id"]: row["TargetHealth"] for row in answer}
            return {target: (row["State"], row.get("Reason", "")) for target, row in health.items()}

        elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "10.91.0.9"}])
        assert states() == {"10.91.0.9": ("unused", "Target.NotInUse")}
        forward = [{"Type": "forward", "TargetGroupArn": group}]
        elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=forward)
        assert states() == {"10.91.0.9": ("healthy", "")}
        elb.modify_target_group_attributes(
            TargetGroupArn=group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}]
        )
        elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": "10.91.0.9"}])
        assert states() == {"10.91.0.9": ("draining", "Target.DeregistrationInProgress")}
        time.sleep(1.1)
        assert states() == {}
        # AWS does not mind a target that is not registered.
        elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": "10.91.0.9"}])


def database(subnets: list[str], name: str = "trial", **more: Any) -> dict[str, Any]:
    """A DB instance in a subnet group of its own."""
    rds = client("rds")
    rds.create_db_subnet_group(DBSubnetGroupName=name, DBSubnetGroupDescription="trial", SubnetIds=subnets, Tags=TAGS)
    arguments = {
        "DBInstanceIdentifier": name,
        "DBInstanceClass": "db.t3.micro",
        "Engine": "postgres",
        "EngineVersion": "17",
        "AllocatedStorage": 20,
        "StorageType": "gp3",
        "MasterUsername": "owner",
        "MasterUserPassword": "a-long-password",
        "DBSubnetGroupName": name,
        "Tags": TAGS,
        **more,
    }
    return dict(rds.create_db_instance(**arguments)["DBInstance"])


class TestDatabases:
    """lab.moto_patches.rds."""

    def test_major_version_and_storage(self) -> None:
        _, subnets = network()
        made = database(subnets)
        assert made["EngineVersion"].startswith("17.")
        assert (made["Iops"], made["StorageThroughput"]) == (3000, 125)
        assert made["DBParameterGroups"][0]["DBParameterGroupName"] == "default.postgres17"

    @pytest.mark.parametrize("version", ["15.3", "9.6", "18"])
    def test_version_that_is_gone(self, version: str) -> None:
        _, subnets = network()
        with pytest.raises(ClientError) as gone:
            database(subnets, EngineVersion=version)
        assert code(gone) == "InvalidParameterCombination"
        assert f"Cannot find version {version} for postgres" in str(gone.value)

    def test_engine_versions_are_listed(self) -> None:
        versions = client("rds").describe_db_engine_versions(Engine="postgres", EngineVersion="17")
        assert versions["DBEngineVersions"][-1]["DBParameterGroupFamily"] == "postgres17"

    def test_subnet_group_survives_its_change_and_needs_two_zones(self) -> None:
        _, subnets = network()
        database(subnets)
        rds = client("rds")
        rds.modify_db_subnet_group(DBSubnetGroupName="trial", DBSubnetGroupDescription="new", SubnetIds=subnets)
        assert rds.describe_db_subnet_groups(DBSubnetGroupName="Trial")["DBSubnetGroups"]
        with pytest.raises(ClientError) as one_zone:
            rds.modify_db_subnet_group(DBSubnetGroupName="trial", SubnetIds=subnets[:1])
        assert code(one_zone) == "DBSubnetGroupDoesNotCoverEnoughAZs"
        with pytest.raises(ClientError) as in_use:
            rds.delete_db_subnet_group(DBSubnetGroupName="trial")
        assert code(in_use) == "InvalidDBSubnetGroupStateFault"

    def test_deletion_asks_for_the_final_snapshot(self) -> None:
        _, subnets = network()
        database(subnets, DeletionProtection=True)
        rds = client("rds")
        with pytest.raises(ClientError) as unnamed:
            rds.delete_db_instance(DBInstanceIdentifier="trial")
        assert code(unnamed) == "InvalidParameterCombination"
        with pytest.raises(ClientError) as protected:
            rds.delete_db_instance(DBInstanceIdentifier="trial", SkipFinalSnapshot=True)
        assert "disable deletion protection" in str(protected.value)
        rds.modify_db_instance(DBInstanceIdentifier="trial", DeletionProtection=False, ApplyImmediately=True)
        rds.delete_db_instance(DBInstanceIdentifier="trial", FinalDBSnapshotIdentifier="last")
        assert rds.describe_db_snapshots(DBSnapshotIdentifier="last")["DBSnapshots"][0]["Status"] == "available"

    def test_no_automated_backup_without_retention(self) -> None:
        _, subnets = network()
        database(subnets, BackupRetentionPeriod=0)
        assert client("rds").describe_db_snapshots()["DBSnapshots"] == []

    def test_maintenance_may_begin_when_the_backup_ends(self) -> None:
        _, subnets = network()
        made = database(subnets, PreferredBackupWindow="03:00-04:00", PreferredMaintenanceWindow="sun:04:00-sun:05:00")
        assert made["PreferredMaintenanceWindow"] == "sun:04:00-sun:05:00"
        with pytest.raises(ClientError, match="must not overlap"):
            client("rds").modify_db_instance(DBInstanceIdentifier="trial", PreferredBackupWindow="03:30-04:30")

    def test_a_replica_is_an_instance_of_its_own(self) -> None:
        _, subnets = network()
        source = database(subnets, DeletionProtection=True, MultiAZ=True, StorageEncrypted=True)
        rds = client("rds")
        replica = rds.create_db_instance_read_replica(
            DBInstanceIdentifier="trial-replica", SourceDBInstanceIdentifier="trial", StorageType="gp3"
        )["DBInstance"]
        assert replica["DbiResourceId"] != source["DbiResourceId"]
        assert replica["Endpoint"]["Address"] == source["Endpoint"]["Address"].replace("trial", "trial-replica", 1)
        found = rds.describe_db_instances(DBInstanceIdentifier="trial-replica")["DBInstances"][0]
        assert (found["DeletionProtection"], found["MultiAZ"], found["TagList"]) == (False, False, [])
        assert (found["StorageEncrypted"], found["MasterUsername"], found["BackupRetentionPeriod"]) == (
            True,
            "owner",
            0,
        )
        assert found["ReadReplicaSourceDBInstanceIdentifier"] == "trial"
        assert found["StatusInfos"][0]["Status"] == "replicating"
        source = rds.describe_db_instances(DBInstanceIdentifier="trial")["DBInstances"][0]
        assert source["ReadReplicaDBInstanceIdentifiers"] == ["trial-replica"]
        with pytest.raises(ClientError) as final:
            rds.delete_db_instance(DBInstanceIdentifier="trial-replica", FinalDBSnapshotIdentifier="last")
        assert code(final) == "InvalidParameterCombination"
        rds.delete_db_instance(DBInstanceIdentifier="trial-replica", SkipFinalSnapshot=True)
        source = rds.describe_db_instances(DBInstanceIdentifier="trial")["DBInstances"][0]
        assert source["ReadReplicaDBInstanceIdentifiers"] == []

    def test_the_authority_is_good_for_years(self) -> None:
        _, subnets = network()
        asked = client("rds").describe_certificates(CertificateIdentifier=database(subnets)["CACertificateIdentifier"])
        [authority] = asked["Certificates"]
        assert authority["ValidTill"].year == 2061

    def test_a_replica_outlives_its_source(self) -> None:
        _, subnets = network()
        database(subnets)
        rds = client("rds")
        rds.create_db_instance_read_replica(
            DBInstanceIdentifier="trial-replica", SourceDBInstanceIdentifier="trial", Tags=TAGS
        )
        rds.delete_db_instance(DBInstanceIdentifier="trial", SkipFinalSnapshot=True)
        (left,) = rds.describe_db_instances()["DBInstances"]
        assert left["DBInstanceIdentifier"] == "trial-replica"
        assert not left.get("ReadReplicaSourceDBInstanceIdentifier")
        with pytest.raises(ClientError) as alone:
            rds.promote_read_replica(DBInstanceIdentifier="trial-replica")
        assert code(alone) == "InvalidDBInstanceState"

    def test_a_replica_may_be_in_another_region(self) -> None:
        _, subnets = network()
        source = database(subnets, StorageEncrypted=True)
        abroad = client("rds", "eu-west-1")
        zones = {"a": "10.92.0.0/24", "b": "10.92.1.0/24"}
        ec2 = client("ec2", "eu-west-1")
        vpc = ec2.create_vpc(CidrBlock="10.92.0.0/16")["Vpc"]["VpcId"]
        there = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=f"eu-west-1{zone}")["Subnet"]["SubnetId"]
            for zone, block in zones.items()
        ]
        abroad.create_db_subnet_group(DBSubnetGroupName="trial", DBSubnetGroupDescription="trial", SubnetIds=there)
        arguments: dict[str, Any] = {
            "DBInstanceIdentifier": "trial",
            "SourceDBInstanceIdentifier": source["DBInstanceArn"],
            "DBSubnetGroupName": "trial",
        }
        with pytest.raises(ClientError, match="unencrypted read replica from encrypted source"):
            abroad.create_db_instance_read_replica(**arguments)
        replica = abroad.create_db_instance_read_replica(**arguments, KmsKeyId="alias/aws/rds")["DBInstance"]
        assert replica["DBSubnetGroup"]["VpcId"] == vpc
        assert replica["ReadReplicaSourceDBInstanceIdentifier"] == source["DBInstanceArn"]
        assert replica["StatusInfos"][0]["Status"] == "replicating"
        rds = client("rds")

        def replicas() -> list[str]:
            return list(rds.describe_db_instances()["DBInstances"][0]["ReadReplicaDBInstanceIdentifiers"])

        assert replicas() == [replica["DBInstanceArn"]]
        abroad.delete_db_instance(DBInstanceIdentifier="trial", SkipFinalSnapshot=True)
        assert replicas() == []

        abroad.create_db_instance_read_replica(**arguments, KmsKeyId="alias/aws/rds")
        abroad.promote_read_replica(DBInstanceIdentifier="trial")
        assert replicas() == []
        abroad.delete_db_instance(DBInstanceIdentifier="trial", SkipFinalSnapshot=True)

        # Other than one in its own region it is not promoted when its source is deleted.
        abroad.create_db_instance_read_replica(**arguments, KmsKeyId="alias/aws/rds")
        rds.delete_db_instance(DBInstanceIdentifier="trial", SkipFinalSnapshot=True)
        (left,) = abroad.describe_db_instances()["DBInstances"]
        assert left["ReadReplicaSourceDBInstanceIdentifier"] == source["DBInstanceArn"]
        assert left["StatusInfos"][0]["Status"] == "terminated"

    def test_a_replica_needs_backups(self) -> None:
        _, subnets = network()
        database(subnets, BackupRetentionPeriod=0)
        with pytest.raises(ClientError) as refused:
            client("rds").create_db_instance_read_replica(
                DBInstanceIdentifier="trial-replica", SourceDBInstanceIdentifier="trial"
            )
        assert code(refused) == "InvalidDBInstanceState"

    def test_parameter_groups(self) -> None:
        rds = client("rds")
        with pytest.raises(ClientError) as unknown:
            rds.describe_db_parameter_groups(DBParameterGroupName="trial")
        assert code(unknown) == "DBParameterGroupNotFound"
        rds.create_db_parameter_group(
            DBParameterGroupName="trial", DBParameterGroupFamily="postgres17", Description="x", Tags=TAGS
        )
        pages = rds.get_paginator("describe_db_parameters")
        everything = pages.paginate(DBParameterGroupName="trial").build_full_result()["Parameters"]
        assert [(one["ParameterName"], one["ParameterValue"]) for one in everything] == [("rds.force_ssl", "1")]
        assert rds.describe_db_parameters(DBParameterGroupName="trial", Source="user")["Parameters"] == []
        change = {"ParameterName": "rds.force_ssl", "ParameterValue": "0", "ApplyMethod": "immediate"}
        rds.modify_db_parameter_group(DBParameterGroupName="trial", Parameters=[change])
        (set_by_user,) = rds.describe_db_parameters(DBParameterGroupName="trial", Source="user")["Parameters"]
        assert set_by_user["ParameterValue"] == "0"
        with pytest.raises(ClientError) as wrong:
            rds.modify_db_parameter_group(
                DBParameterGroupName="trial", Parameters=[{**change, "ParameterName": "rds.force_tls"}]
            )
        assert code(wrong) == "InvalidParameterValue"
        _, subnets = network()
        database(subnets, DBParameterGroupName="trial")
        with pytest.raises(ClientError) as used:
            rds.delete_db_parameter_group(DBParameterGroupName="trial")
        assert code(used) == "InvalidDBParameterGroupState"


def distribution(**more: Any) -> dict[str, Any]:
    """A distribution's configuration with one S3 origin."""
    return {
        "CallerReference": "trial",
        "Comment": "",
        "Enabled": True,
        "Origins": {
            "Quantity": 1,
            "Items": [
                {
                    "Id": "frontend",
                    "DomainName": "trial-bucket.s3.us-east-1.amazonaws.com",
                    "S3OriginConfig": {"OriginAccessIdentity": ""},
                    **more.pop("origin", {}),
                }
            ],
        },
        "DefaultCacheBehavior": {
            "TargetOriginId": "frontend",
            "ViewerProtocolPolicy": "redirect-to-https",
            "CachePolicyId": CACHING_OPTIMIZED,
            **more.pop("behavior", {}),
        },
        **more,
    }


class TestCloudFront:
    """lab.moto_patches.cloudfront."""

    def publish(self) -> str:
        """A published function; its ARN."""
        cloudfront = client("cloudfront")
        config = {"Comment": "", "Runtime": "cloudfront-js-2.0"}
        made = cloudfront.create_function(Name="spa", FunctionConfig=config, FunctionCode=FUNCTION)
        assert made["FunctionSummary"]["FunctionMetadata"]["Stage"] == "DEVELOPMENT"
        cloudfront.publish_function(Name="spa", IfMatch=made["ETag"])
        return str(made["FunctionSummary"]["FunctionMetadata"]["FunctionARN"])

    def access_control(self) -> dict[str, Any]:
        """An origin access control."""
        config = {
            "Name": "trial",
            "SigningProtocol": "sigv4",
            "SigningBehavior": "always",
            "OriginAccessControlOriginType": "s3",
        }
        return dict(client("cloudfront").create_origin_access_control(OriginAccessControlConfig=config))

    def test_a_configuration_comes_back_as_sent(self) -> None:
        cloudfront = client("cloudfront")
        control = self.access_control()["OriginAccessControl"]["Id"]
        association = {"EventType": "viewer-request", "FunctionARN": self.publish()}
        config = distribution(
            origin={"OriginAccessControlId": control},
            behavior={"FunctionAssociations": {"Quantity": 1, "Items": [association]}},
            DefaultRootObject="index.html",
        )
        made = cloudfront.create_distribution_with_tags(
            DistributionConfigWithTags={"DistributionConfig": config, "Tags": {"Items": TAGS}}
        )["Distribution"]
        assert made["DomainName"].endswith(".cloudfront.net")
        read = cloudfront.get_distribution_config(Id=made["Id"])
        kept = read["DistributionConfig"]
        assert kept["Origins"]["Items"][0]["OriginAccessControlId"] == control
        assert kept["DefaultCacheBehavior"]["FunctionAssociations"]["Items"] == [association]
        assert kept["DefaultRootObject"] == "index.html"
        assert kept["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1"
        # What was read can be sent back, and is the same then.
        updated = cloudfront.update_distribution(Id=made["Id"], IfMatch=read["ETag"], DistributionConfig=kept)
        assert updated["Distribution"]["DistributionConfig"] == kept
        assert updated["ETag"] != read["ETag"]
        assert cloudfront.get_distribution(Id=made["Id"])["Distribution"]["Status"] == "Deployed"
        with pytest.raises(ClientError) as stale:
            cloudfront.update_distribution(Id=made["Id"], IfMatch=read["ETag"], DistributionConfig=kept)
        assert code(stale) == "PreconditionFailed"
        summary = cloudfront.list_distributions()["DistributionList"]["Items"][0]
        assert summary["Origins"]["Items"][0]["OriginAccessControlId"] == control

    def test_what_is_in_use_stays(self) -> None:
        cloudfront = client("cloudfront")
        control = self.access_control()
        association = {"EventType": "viewer-request", "FunctionARN": self.publish()}
        config = distribution(
            origin={"OriginAccessControlId": control["OriginAccessControl"]["Id"]},
            behavior={"FunctionAssociations": {"Quantity": 1, "Items": [association]}},
        )
        made = cloudfront.create_distribution(DistributionConfig=config)
        identifier = made["Distribution"]["Id"]
        with pytest.raises(ClientError) as enabled:
            cloudfront.delete_distribution(Id=identifier, IfMatch=made["ETag"])
        assert code(enabled) == "DistributionNotDisabled"
        development = cloudfront.describe_function(Name="spa")["ETag"]
        with pytest.raises(ClientError) as function_used:
            cloudfront.delete_function(Name="spa", IfMatch=development)
        assert code(function_used) == "FunctionInUse"
        control_id = control["OriginAccessControl"]["Id"]
        with pytest.raises(ClientError) as control_used:
            cloudfront.delete_origin_access_control(Id=control_id, IfMatch=control["ETag"])
        assert code(control_used) == "OriginAccessControlInUse"
        config = {**made["Distribution"]["DistributionConfig"], "Enabled": False}
        etag = cloudfront.update_distribution(Id=identifier, IfMatch=made["ETag"], DistributionConfig=config)["ETag"]
        cloudfront.delete_distribution(Id=identifier, IfMatch=etag)
        cloudfront.delete_function(Name="spa", IfMatch=development)
        cloudfront.delete_origin_access_control(Id=control_id, IfMatch=control["ETag"])

    def test_function_stages_and_test_run(self) -> None:
        cloudfront = client("cloudfront")
        self.publish()
        changed = b"function handler(event) { event.request.uri = '/changed'; return event.request; }"
        etag = cloudfront.describe_function(Name="spa", Stage="DEVELOPMENT")["ETag"]
        config = {"Comment": "", "Runtime": "cloudfront-js-2.0"}
        new = cloudfront.update_function(Name="spa", IfMatch=etag, FunctionConfig=config, FunctionCode=changed)
        assert cloudfront.get_function(Name="spa", Stage="LIVE")["FunctionCode"].read() == FUNCTION
        assert cloudfront.get_function(Name="spa", Stage="DEVELOPMENT")["FunctionCode"].read() == changed
        assert new["ETag"] != etag
        event = json.dumps({"request": {"method": "GET", "uri": "/", "headers": {}}}).encode()
        result = cloudfront.test_function(Name="spa", IfMatch=new["ETag"], EventObject=event)["TestResult"]
        assert json.loads(result["FunctionOutput"])["uri"] == "/changed"

    @pytest.mark.parametrize(
        ("change", "wanted"),
        [
            ({"behavior": {"CachePolicyId": "00000000-0000-0000-0000-000000000000"}}, "NoSuchCachePolicy"),
            ({"behavior": {"TargetOriginId": "nowhere"}}, "NoSuchOrigin"),
            ({"Aliases": {"Quantity": 1, "Items": ["cars.example.com"]}}, "InvalidViewerCertificate"),
            ({"origin": {"OriginAccessControlId": "E0000000000000"}}, "InvalidOriginAccessControl"),
        ],
    )
    def test_refuses(self, change: dict[str, Any], wanted: str) -> None:
        with pytest.raises(ClientError) as refused:
            client("cloudfront").create_distribution(DistributionConfig=distribution(**change))
        assert code(refused) == wanted

    def test_invalidation(self) -> None:
        cloudfront = client("cloudfront")
        made = cloudfront.create_distribution(DistributionConfig=distribution())["Distribution"]["Id"]
        batch = {"Paths": {"Quantity": 1, "Items": ["/*"]}, "CallerReference": "one"}
        invalidation = cloudfront.create_invalidation(DistributionId=made, InvalidationBatch=batch)["Invalidation"]
        assert invalidation["Status"] == "Completed"


class TestNames:
    """lab.moto_patches.route53 and acm."""

    def zone(self, name: str = "example.com") -> str:
        """A public hosted zone; its id."""
        return str(client("route53").create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]["Id"])

    def change(self, zone: str, action: str, **record: Any) -> None:
        """Change one record set."""
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)

    def test_records_as_they_are(self) -> None:
        zone = self.zone()
        record = {"Name": "a.example.com", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}
        self.change(zone, "CREATE", **record)
        with pytest.raises(ClientError) as exists:
            self.change(zone, "CREATE", **record)
        assert "already exists" in str(exists.value)
        with pytest.raises(ClientError) as other_values:
            self.change(zone, "DELETE", **{**record, "TTL": 61})
        assert "do not match" in str(other_values.value)
        self.change(zone, "DELETE", **record)
        with pytest.raises(ClientError) as gone:
            self.change(zone, "DELETE", **record)
        assert "was not found" in str(gone.value)
        self.change(zone, "CREATE", **record)

    def test_a_certificate_waits_for_its_record(self) -> None:
        acm = client("acm")
        zone = self.zone()
        arn = acm.request_certificate(
            DomainName="example.com", SubjectAlternativeNames=["*.example.com"], ValidationMethod="DNS"
        )["CertificateArn"]
        certificate = acm.describe_certificate(CertificateArn=arn)["Certificate"]
        assert certificate["Status"] == "PENDING_VALIDATION"
        assert "IssuedAt" not in certificate
        records = {
            option["ResourceRecord"]["Name"]: option["ResourceRecord"]
            for option in certificate["DomainValidationOptions"]
        }
        assert len(records) == 1, "a wildcard is proved by its parent"
        for record in records.values():
            value = [{"Value": record["Value"]}]
            self.change(zone, "UPSERT", Name=record["Name"], Type="CNAME", TTL=300, ResourceRecords=value)
        issued = acm.describe_certificate(CertificateArn=arn)["Certificate"]
        assert issued["Status"] == "ISSUED"
        assert {option["ValidationStatus"] for option in issued["DomainValidationOptions"]} == {"SUCCESS"}

    def test_a_certificate_in_use_stays(self) -> None:
        acm, elb = client("acm"), client("elbv2")
        vpc, subnets = network()
        zone = self.zone()
        arn = acm.request_certificate(DomainName="example.com", ValidationMethod="DNS")["CertificateArn"]
        arguments = {
            "LoadBalancerArn": balancer(subnets)["LoadBalancerArn"],
            "Protocol": "HTTPS",
            "Port": 443,
            "Certificates": [{"CertificateArn": arn}],
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": target_group(vpc)}],
        }
        with pytest.raises(ClientError) as pending:
            elb.create_listener(**arguments)
        assert code(pending) == "UnsupportedCertificate"
        record = acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"][0][
            "ResourceRecord"
        ]
        values = [{"Value": record["Value"]}]
        self.change(zone, "UPSERT", Name=record["Name"], Type="CNAME", TTL=300, ResourceRecords=values)
        listener = elb.create_listener(**arguments)["Listeners"][0]["ListenerArn"]
        with pytest.raises(ClientError) as used:
            acm.delete_certificate(CertificateArn=arn)
        assert code(used) == "ResourceInUseException"
        elb.delete_listener(ListenerArn=listener)
        acm.delete_certificate(CertificateArn=arn)


class TestTagging:
    """lab.moto_patches.tagging."""

    def listed(self, region: str = REGION) -> set[str]:
        """Resource types and names of all that carries the tag."""
        pages = client("resourcegroupstaggingapi", region).get_paginator("get_resources")
        filters = [{"Key": "vahana:app", "Values": ["trial"]}]
        return {
            row["ResourceARN"].split(":", 2)[2]
            for page in pages.paginate(TagFilters=filters)
            for row in page["ResourceTagMappingList"]
        }

    def test_lists_what_the_tiers_own(self) -> None:
        vpc, subnets = network()
        ec2, elb = client("ec2"), client("elbv2")

        def tagged(kind: str) -> list[dict[str, Any]]:
            return [{"ResourceType": kind, "Tags": TAGS}]

        address = ec2.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip"))["AllocationId"]
        key = ec2.create_key_pair(KeyName="trial", TagSpecifications=tagged("key-pair"))["KeyPairId"]
        template = ec2.create_launch_template(
            LaunchTemplateName="trial", LaunchTemplateData={}, TagSpecifications=tagged("launch-template")
        )["LaunchTemplate"]["LaunchTemplateId"]
        ec2.create_tags(Resources=[vpc, *subnets], Tags=TAGS)
        arn = balancer(subnets)["LoadBalancerArn"]
        group = target_group(vpc)
        elb.add_tags(ResourceArns=[group], Tags=TAGS)
        forward = [{"Type": "forward", "TargetGroupArn": group}]
        listener = elb.create_listener(
            LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=forward, Tags=TAGS
        )["Listeners"][0]["ListenerArn"]
        database(subnets)
        client("s3").create_bucket(Bucket="trial-bucket")
        client("s3").put_bucket_tagging(Bucket="trial-bucket", Tagging={"TagSet": TAGS})
        client("secretsmanager").create_secret(Name="/trial/secret", SecretString="x", Tags=TAGS)
        client("ssm").put_parameter(Name="/trial/tier", Value="basic", Type="String", Tags=TAGS)
        client("logs").create_log_group(logGroupName="/trial", tags={"vahana:app": "trial"})
        client("sns").create_topic(Name="trial", Tags=TAGS)
        made = client("cloudfront").create_distribution_with_tags(
            DistributionConfigWithTags={"DistributionConfig": distribution(), "Tags": {"Items": TAGS}}
        )["Distribution"]["Id"]
        zone = client("route53").create_hosted_zone(Name="example.com", CallerReference="x")["HostedZone"]["Id"]
        zone = zone.rsplit("/", 1)[1]
        client("route53").change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone, AddTags=TAGS)
        listed = self.listed()
        place = f"{REGION}:{ACCOUNT}"
        wanted = {
            *(f"ec2:{place}:{name}" for name in (f"vpc/{vpc}", *(f"subnet/{subnet}" for subnet in subnets))),
            f"ec2:{place}:elastic-ip/{address}",
            f"ec2:{place}:key-pair/{key}",
            f"ec2:{place}:launch-template/{template}",
            *(each.split(":", 2)[2] for each in (arn, group, listener)),
            f"rds:{place}:db:trial",
            f"rds:{place}:subgrp:trial",
            "s3:::trial-bucket",
            f"ssm:{place}:parameter/trial/tier",
            f"logs:{place}:log-group:/trial",
            f"sns:{place}:trial",
            f"cloudfront::{ACCOUNT}:distribution/{made}",
            f"route53:::hostedzone/{zone}",
        }
        assert wanted <= listed
        rest = listed - wanted
        assert len(rest) == 1, rest
        assert rest.pop().startswith(f"secretsmanager:{place}:secret:/trial/secret-")
        assert self.listed("eu-west-1") == set()

    def test_terminated_instances_and_deleted_secrets_are_gone(self) -> None:
        secrets = client("secretsmanager")
        secrets.create_secret(Name="/trial/secret", SecretString="x", Tags=TAGS)
        secrets.delete_secret(SecretId="/trial/secret", RecoveryWindowInDays=7)
        assert self.listed() == set()

    def test_tags_through_the_api(self) -> None:
        client("ssm").put_parameter(Name="/trial/tier", Value="basic", Type="String")
        arn = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/trial/tier"
        failed = client("resourcegroupstaggingapi").tag_resources(ResourceARNList=[arn], Tags={"vahana:app": "trial"})
        assert failed["FailedResourcesMap"] == {}
        assert self.listed() == {f"ssm:{REGION}:{ACCOUNT}:parameter/trial/tier"}


def test_what_one_answer_leaves_out_is_not_noted_for_all() -> None:
    first, second = EC2Response(), EC2Response()
    first._exclude_from_response("Vpcs")
    assert second.RESPONSE_KEY_PATH_TO_TRANSFORMER == EC2Response.RESPONSE_KEY_PATH_TO_TRANSFORMER
    assert first.RESPONSE_KEY_PATH_TO_TRANSFORMER != EC2Response.RESPONSE_KEY_PATH_TO_TRANSFORMER


def test_a_secret_is_its_current_version_wherever_the_label_was_moved(lab_account: None) -> None:
    client = boto3.client("secretsmanager")
    client.create_secret(Name="s", SecretString="first")
    pending = client.put_secret_value(SecretId="s", SecretString="second", VersionStages=["AWSPENDING"])["VersionId"]
    assert client.get_secret_value(SecretId="s")["SecretString"] == "first"
    stages = client.describe_secret(SecretId="s")["VersionIdsToStages"]
    (current,) = (version for version, labels in stages.items() if "AWSCURRENT" in labels)
    client.update_secret_version_stage(
        SecretId="s", VersionStage="AWSCURRENT", MoveToVersionId=pending, RemoveFromVersionId=current
    )
    assert client.get_secret_value(SecretId="s")["SecretString"] == "second"
    assert client.get_secret_value(SecretId="s", VersionId=current)["SecretString"] == "first"


def test_a_restored_database_is_as_it_is_told_to_be(lab_account: None) -> None:
    rds = boto3.client("rds")
    common: Any = {"Engine": "postgres", "DBInstanceClass": "db.t3.micro"}
    rds.create_db_instance(DBInstanceIdentifier="source", AllocatedStorage=20, MasterUsername="u",
                           MasterUserPassword="p" * 9, DeletionProtection=True, MultiAZ=True, **common)  # fmt: skip
    rds.create_db_snapshot(DBSnapshotIdentifier="s", DBInstanceIdentifier="source")
    plain = rds.restore_db_instance_from_db_snapshot(DBSnapshotIdentifier="s", DBInstanceIdentifier="plain")[
        "DBInstance"
    ]
    assert (plain["DeletionProtection"], plain["MultiAZ"]) == (False, False)
    like = rds.restore_db_instance_from_db_snapshot(
        DBSnapshotIdentifier="s", DBInstanceIdentifier="like", DeletionProtection=True, MultiAZ=True
    )["DBInstance"]
    assert (like["DeletionProtection"], like["MultiAZ"]) == (True, True)


def test_what_can_be_scaled_has_tags(lab_account: None) -> None:
    scaling = client("application-autoscaling")
    what = {
        "ServiceNamespace": "dynamodb",
        "ResourceId": "table/trial",
        "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
    }
    arn = scaling.register_scalable_target(**what, MinCapacity=1, MaxCapacity=2, Tags={"a": "1", "b": "2"})[
        "ScalableTargetARN"
    ]
    # One that is there keeps its own.
    scaling.register_scalable_target(**what, MaxCapacity=3, Tags={"a": "9"})
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"a": "1", "b": "2"}
    scaling.tag_resource(ResourceARN=arn, Tags={"c": "3"})
    scaling.untag_resource(ResourceARN=arn, TagKeys=["a"])
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"b": "2", "c": "3"}
    with pytest.raises(ClientError) as caught:
        scaling.list_tags_for_resource(ResourceARN=f"{arn}x")
    assert code(caught) == "ResourceNotFoundException"
