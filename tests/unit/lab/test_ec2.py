"""EC2 in the lab's API: each test is something that moto alone does otherwise."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.moto_patches import ec2
from lab.moto_patches.ec2 import State

Client = Callable[[str], Any]
PROFILE_TRUST = '{"Version":"2012-10-17","Statement":[]}'
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl test"


def code(caught: pytest.ExceptionInfo[ClientError]) -> str:
    """The error code that AWS answered."""
    return str(caught.value.response["Error"]["Code"])


@pytest.fixture
def image(client: Client) -> str:
    """Debian's AMI, as its public parameter names it."""
    parameter = client("ssm").get_parameter(Name=ec2.DEBIAN_PARAMETER)["Parameter"]
    return str(parameter["Value"])


@pytest.fixture
def subnet(client: Client) -> str:
    """A subnet of a VPC."""
    vpc = client("ec2").create_vpc(CidrBlock="10.92.0.0/16")["Vpc"]["VpcId"]
    return str(client("ec2").create_subnet(VpcId=vpc, CidrBlock="10.92.1.0/24")["Subnet"]["SubnetId"])


def run(client: Client, image: str, subnet: str, **more: Any) -> Any:
    """Start one instance and return moto's object of it."""
    given = {"ImageId": image, "MinCount": 1, "MaxCount": 1, "SubnetId": subnet, "InstanceType": "t3.micro", **more}
    made = client("ec2").run_instances(**{key: value for key, value in given.items() if value is not None})
    identifier = made["Instances"][0]["InstanceId"]
    return next(instance for instance in ec2.all_instances() if instance.id == identifier)


class TestImages:
    def test_debians_image_is_public_and_debians(self, client: Client, image: str) -> None:
        shown = client("ec2").describe_images(ImageIds=[image])["Images"][0]
        assert shown["OwnerId"] == ec2.DEBIAN_OWNER
        assert shown["RootDeviceName"] == "/dev/xvda"
        assert shown["Architecture"] == "x86_64"

    def test_unknown_image_is_refused(self, client: Client, subnet: str) -> None:
        with pytest.raises(ClientError) as caught:
            run(client, "ami-00000000000000000", subnet)
        assert code(caught) == "InvalidAMIID.NotFound"

    def test_image_of_an_instance_is_pending_with_its_tags(self, client: Client, image: str, subnet: str) -> None:
        instance = run(client, image, subnet)
        ec2.set_state(instance, State.RUNNING)
        tags = [{"Key": "vahana:app", "Value": "trial"}]
        made = client("ec2").create_image(
            InstanceId=instance.id,
            Name="trial",
            TagSpecifications=[{"ResourceType": kind, "Tags": tags} for kind in ("image", "snapshot")],
        )["ImageId"]
        shown = client("ec2").describe_images(ImageIds=[made])["Images"][0]
        assert shown["State"] == "pending"
        assert shown["Tags"] == tags
        snapshot = shown["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
        assert client("ec2").describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["Tags"] == tags

    @pytest.mark.parametrize("encrypted", [True, False])
    def test_snapshot_is_encrypted_like_the_volume(
        self, client: Client, image: str, subnet: str, encrypted: bool
    ) -> None:
        disk = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8, "Encrypted": encrypted}}
        instance = run(client, image, subnet, BlockDeviceMappings=[disk])
        ec2.set_state(instance, State.RUNNING)
        made = client("ec2").create_image(InstanceId=instance.id, Name="trial")["ImageId"]
        [shown] = client("ec2").describe_images(ImageIds=[made])["Images"][0]["BlockDeviceMappings"]
        assert shown["Ebs"]["Encrypted"] is encrypted

    def test_pending_image_starts_nothing_and_its_name_is_taken(self, client: Client, image: str, subnet: str) -> None:
        instance = run(client, image, subnet)
        ec2.set_state(instance, State.RUNNING)
        made = client("ec2").create_image(InstanceId=instance.id, Name="trial")["ImageId"]
        with pytest.raises(ClientError) as caught:
            run(client, made, subnet)
        assert code(caught) == "InvalidAMIID.Unavailable"
        with pytest.raises(ClientError) as caught:
            client("ec2").create_image(InstanceId=instance.id, Name="trial")
        assert code(caught) == "InvalidAMIName.Duplicate"

    def test_deregistered_image_is_unknown_and_its_snapshot_deletable(
        self, client: Client, image: str, subnet: str
    ) -> None:
        instance = run(client, image, subnet)
        ec2.set_state(instance, State.RUNNING)
        made = client("ec2").create_image(InstanceId=instance.id, Name="trial")["ImageId"]
        snapshot = client("ec2").describe_images(ImageIds=[made])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]
        with pytest.raises(ClientError) as caught:
            client("ec2").delete_snapshot(SnapshotId=snapshot["SnapshotId"])
        assert code(caught) == "InvalidSnapshot.InUse"
        client("ec2").deregister_image(ImageId=made)
        client("ec2").delete_snapshot(SnapshotId=snapshot["SnapshotId"])
        with pytest.raises(ClientError) as caught:
            client("ec2").describe_images(ImageIds=[made])
        assert code(caught) == "InvalidAMIID.NotFound"


class TestInstances:
    def test_states_wait_for_the_host(self, client: Client, image: str, subnet: str) -> None:
        instance = run(client, image, subnet)
        assert ec2.state_of(instance) is State.PENDING
        ec2.set_state(instance, State.RUNNING)
        client("ec2").stop_instances(InstanceIds=[instance.id])
        assert ec2.state_of(instance) is State.STOPPING
        ec2.set_state(instance, State.STOPPED)
        client("ec2").start_instances(InstanceIds=[instance.id])
        assert ec2.state_of(instance) is State.PENDING
        client("ec2").terminate_instances(InstanceIds=[instance.id])
        assert ec2.state_of(instance) is State.SHUTTING_DOWN

    def test_a_stopping_instance_cannot_start(self, client: Client, image: str, subnet: str) -> None:
        instance = run(client, image, subnet)
        client("ec2").stop_instances(InstanceIds=[instance.id])
        with pytest.raises(ClientError) as caught:
            client("ec2").start_instances(InstanceIds=[instance.id])
        assert code(caught) == "IncorrectInstanceState"

    def test_status_follows_the_host(self, client: Client, image: str, subnet: str) -> None:
        instance = run(client, image, subnet)
        ec2.set_state(instance, State.RUNNING)
        for reachability, status in (("initializing", "initializing"), ("passed", "ok"), ("failed", "impaired")):
            instance.reachability = reachability
            shown = client("ec2").describe_instance_status(InstanceIds=[instance.id])["InstanceStatuses"][0]
            assert shown["InstanceStatus"]["Status"] == status

    def test_terminated_instance_gives_its_addresses_back(self, client: Client, image: str, subnet: str) -> None:
        instance = run(client, image, subnet)
        ec2.set_state(instance, State.RUNNING)
        allocation = client("ec2").allocate_address(Domain="vpc")["AllocationId"]
        client("ec2").associate_address(AllocationId=allocation, InstanceId=instance.id)
        client("ec2").terminate_instances(InstanceIds=[instance.id])
        assert "AssociationId" not in client("ec2").describe_addresses()["Addresses"][0]
        assert not client("ec2").describe_network_interfaces()["NetworkInterfaces"]

    def test_template_fields_reach_the_instance(self, client: Client, image: str, subnet: str) -> None:
        vpc = client("ec2").describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
        group = client("ec2").create_security_group(GroupName="trial", Description="trial", VpcId=vpc)["GroupId"]
        client("ec2").import_key_pair(KeyName="trial", PublicKeyMaterial=PUBLIC_KEY.encode())
        client("iam").create_instance_profile(InstanceProfileName="trial")
        user_data = base64.b64encode(b"#!/bin/sh\ntrue\n").decode()
        client("ec2").create_launch_template(
            LaunchTemplateName="trial",
            LaunchTemplateData={
                "ImageId": image,
                "InstanceType": "t3.small",
                "KeyName": "trial",
                "UserData": user_data,
                "IamInstanceProfile": {"Name": "trial"},
                "MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
                "NetworkInterfaces": [{"DeviceIndex": 0, "Groups": [group], "AssociatePublicIpAddress": True}],
                "BlockDeviceMappings": [
                    {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20, "VolumeType": "gp3", "Encrypted": True}}
                ],
                "TagSpecifications": [
                    {"ResourceType": kind, "Tags": [{"Key": "kind", "Value": kind}]} for kind in ("instance", "volume")
                ],
            },
        )
        template = {"LaunchTemplateName": "trial", "Version": "$Latest"}
        instance = run(client, "", subnet, ImageId=None, InstanceType=None, LaunchTemplate=template)
        shown = client("ec2").describe_instances(InstanceIds=[instance.id])["Reservations"][0]["Instances"][0]
        assert shown["InstanceType"] == "t3.small"
        assert shown["KeyName"] == "trial"
        assert shown["IamInstanceProfile"]["Arn"].endswith(":instance-profile/trial")
        assert shown["MetadataOptions"]["HttpTokens"] == "required"
        assert [each["GroupId"] for each in shown["SecurityGroups"]] == [group]
        assert shown["PublicIpAddress"]
        assert {"Key": "kind", "Value": "instance"} in shown["Tags"]
        assert str(instance.user_data) == user_data
        volume = client("ec2").describe_volumes()["Volumes"][0]
        assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (20, "gp3", True)
        assert volume["Tags"] == [{"Key": "kind", "Value": "volume"}]

    def test_a_launch_in_another_thread_is_not_forgotten(
        self, client: Client, image: str, subnet: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def made_later(*args: Any, **kwargs: Any) -> None:
            ec2.forget_terminated()
            init(*args, **kwargs)

        init = ec2.Instance.__init__
        monkeypatch.setattr(ec2.Instance, "__init__", made_later)
        run(client, image, subnet)

    def test_unknown_key_pair_is_refused(self, client: Client, image: str, subnet: str) -> None:
        with pytest.raises(ClientError) as caught:
            run(client, image, subnet, KeyName="absent")
        assert code(caught) == "InvalidKeyPair.NotFound"


class TestLaunchTemplates:
    def test_template_tags_stay_out_of_its_data(self, client: Client, image: str) -> None:
        client("ec2").create_launch_template(
            LaunchTemplateName="trial",
            LaunchTemplateData={"ImageId": image},
            TagSpecifications=[{"ResourceType": "launch-template", "Tags": [{"Key": "a", "Value": "b"}]}],
        )
        version = client("ec2").describe_launch_template_versions(LaunchTemplateName="trial")["LaunchTemplateVersions"]
        assert version[0]["LaunchTemplateData"] == {"ImageId": image}
        shown = client("ec2").describe_launch_templates(LaunchTemplateNames=["trial"])["LaunchTemplates"][0]
        assert shown["Tags"] == [{"Key": "a", "Value": "b"}]

    def test_versions_can_be_deleted_and_their_numbers_are_not_used_again(self, client: Client, image: str) -> None:
        api = client("ec2")
        api.create_launch_template(LaunchTemplateName="trial", LaunchTemplateData={"ImageId": image})
        for _ in range(2):
            api.create_launch_template_version(
                LaunchTemplateName="trial", SourceVersion="1", LaunchTemplateData={"InstanceType": "t3.small"}
            )
        done = api.delete_launch_template_versions(LaunchTemplateName="trial", Versions=["1", "2", "9"])
        assert [each["VersionNumber"] for each in done["SuccessfullyDeletedLaunchTemplateVersions"]] == [2]
        assert [each["VersionNumber"] for each in done["UnsuccessfullyDeletedLaunchTemplateVersions"]] == [1, 9]
        made = api.create_launch_template_version(LaunchTemplateName="trial", LaunchTemplateData={"ImageId": image})
        assert made["LaunchTemplateVersion"]["VersionNumber"] == 4
        third = api.describe_launch_template_versions(LaunchTemplateName="trial", Versions=["3"])
        data = third["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        assert data == {"ImageId": image, "InstanceType": "t3.small"}


class TestNetworks:
    def test_vpc_over_a_network_of_the_machine_is_refused(self, client: Client) -> None:
        with pytest.raises(ClientError, match=r"overlaps route to 192\.0\.2\.0/24 dev eth0"):
            client("ec2").create_vpc(CidrBlock="192.0.0.0/16")

    def test_vpc_over_another_is_refused(self, client: Client) -> None:
        client("ec2").create_vpc(CidrBlock="10.92.0.0/16")
        with pytest.raises(ClientError, match="overlaps vpc-"):
            client("ec2").create_vpc(CidrBlock="10.92.128.0/20")

    def test_elastic_address_is_tagged_as_aws_names_it(self, client: Client) -> None:
        tags = [{"ResourceType": "elastic-ip", "Tags": [{"Key": "a", "Value": "b"}]}]
        client("ec2").allocate_address(Domain="vpc", TagSpecifications=tags)
        assert client("ec2").describe_tags()["Tags"][0]["ResourceType"] == "elastic-ip"
        filters = [{"Name": "tag:a", "Values": ["b"]}]
        assert len(client("ec2").describe_addresses(Filters=filters)["Addresses"]) == 1

    def test_addresses_go_round_before_one_is_used_again(self, client: Client, image: str) -> None:
        vpc = client("ec2").create_vpc(CidrBlock="10.92.0.0/16")["Vpc"]["VpcId"]
        subnet = client("ec2").create_subnet(VpcId=vpc, CidrBlock="10.92.1.0/28")["Subnet"]["SubnetId"]
        first = run(client, image, subnet)
        assert first.private_ip == "10.92.1.4"
        client("ec2").terminate_instances(InstanceIds=[first.id])
        more = [run(client, image, subnet).private_ip for _ in range(11)]
        assert more == [f"10.92.1.{number}" for number in [*range(5, 15), 4]]
        with pytest.raises(ClientError) as caught:
            run(client, image, subnet)
        assert code(caught) == "InsufficientFreeAddressesInSubnet"


def test_a_rule_for_a_group_keeps_its_description(client: Client) -> None:
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.93.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="trial", Description="trial", VpcId=vpc)["GroupId"]
    source = {"GroupId": group, "Description": "from each other"}
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [source]}],
    )
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    assert [rule["Description"] for rule in rules if not rule["IsEgress"]] == ["from each other"]
