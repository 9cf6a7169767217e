"""Instances are hosts: they boot their user data, answer SSH, die, come back, and outlive the lab's process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab import podman, process, settings
from tests.lab.conftest import run

pytestmark = pytest.mark.lab

USER_DATA = "#!/bin/sh\necho made by user data > /srv/made\n"
TRUST = '{"Version":"2012-10-17","Statement":[]}'
IMDS = (
    'token=$(curl -s -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" http://169.254.169.254/latest/api/token);'
    ' curl -s -H "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/{}'
)


def wait(what: str, condition: Callable[[], Any], seconds: float = 90) -> Any:
    """Wait until a condition holds and return what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.5)
    return found


@dataclass
class Network:
    """Two subnets, a key pair, an instance profile and Debian's image."""

    aws: Callable[[str], Any]
    directory: Path
    vpc: str
    subnets: list[str]
    image: str
    host_keys: dict[str, str] = field(default_factory=dict)

    def run_instance(self, **more: Any) -> str:
        """Start a host and wait until it can be reached; return its id."""
        given = {
            "ImageId": self.image,
            "InstanceType": "t3.micro",
            "SubnetId": self.subnets[0],
            "KeyName": "hosts-test",
            "UserData": USER_DATA,
            "IamInstanceProfile": {"Name": "hosts-test"},
            "MetadataOptions": {"HttpTokens": "required"},
            **more,
        }
        made = self.aws("ec2").run_instances(MinCount=1, MaxCount=1, **given)["Instances"][0]["InstanceId"]
        self.wait_reachable(made)
        return str(made)

    def wait_reachable(self, instance: str) -> None:
        """Wait until an instance's status checks pass and its first boot is over."""
        ec2 = self.aws("ec2")
        wait(
            f"{instance} reachable",
            lambda: [
                each
                for each in ec2.describe_instance_status(InstanceIds=[instance])["InstanceStatuses"]
                if each["InstanceStatus"]["Status"] == "ok"
            ],
        )
        wait(f"host keys of {instance}", lambda: self.host_key(instance))
        self.ssh(instance, "cloud-init status --wait")

    def address(self, instance: str) -> str:
        """The private address of an instance."""
        found = self.aws("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        return str(found["PrivateIpAddress"])

    def host_key(self, instance: str) -> str | None:
        """The host key that the instance showed on its console at its first boot, which later boots may push out."""
        if instance not in self.host_keys:
            text = self.aws("ec2").get_console_output(InstanceId=instance)["Output"]
            found = re.search(r"BEGIN SSH HOST KEY KEYS.*?(ssh-ed25519 \S+).*?END SSH HOST KEY KEYS", text, re.DOTALL)
            if not found:
                return None
            self.host_keys[instance] = found.group(1)
        return self.host_keys[instance]

    def ssh(self, instance: str, command: str) -> str:
        """Run a command as admin; the host must prove the key from its console."""
        known_hosts = self.directory / "known_hosts"
        known_hosts.write_text(f"{instance} {self.host_key(instance)}\n")
        options = {
            "HostKeyAlias": instance,
            "UserKnownHostsFile": known_hosts,
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": 5,
        }
        flags = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        target = f"admin@{self.address(instance)}"
        done = subprocess.run(
            ["ssh", "-i", str(self.directory / "key"), *flags, target, command],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def network(aws: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Something to start hosts in, gone afterwards."""
    directory = tmp_path_factory.mktemp("hosts")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / "key")], check=True)
    ec2, iam = aws("ec2"), aws("iam")
    vpc = ec2.create_vpc(CidrBlock="10.201.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.201.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate("ab", start=1)
    ]
    ec2.import_key_pair(KeyName="hosts-test", PublicKeyMaterial=(directory / "key.pub").read_bytes())
    iam.create_role(RoleName="hosts-test", AssumeRolePolicyDocument=TRUST)
    iam.create_instance_profile(InstanceProfileName="hosts-test")
    iam.add_role_to_instance_profile(InstanceProfileName="hosts-test", RoleName="hosts-test")
    parameter = aws("ssm").get_parameter(Name="/aws/service/debian/release/13/latest/amd64")["Parameter"]
    made = Network(aws, directory, vpc, subnets, parameter["Value"])
    try:
        yield made
    finally:
        filters = [
            {"Name": "vpc-id", "Values": [vpc]},
            {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
        ]
        for reservation in ec2.describe_instances(Filters=filters)["Reservations"]:
            ec2.terminate_instances(InstanceIds=[each["InstanceId"] for each in reservation["Instances"]])
        everything = [{"Name": "vpc-id", "Values": [vpc]}]
        wait(
            "hosts gone",
            lambda: all(
                each["State"]["Name"] == "terminated"
                for reservation in ec2.describe_instances(Filters=everything)["Reservations"]
                for each in reservation["Instances"]
            ),
        )
        for subnet in subnets:
            ec2.delete_subnet(SubnetId=subnet)
        ec2.delete_vpc(VpcId=vpc)
        ec2.delete_key_pair(KeyName="hosts-test")
        iam.remove_role_from_instance_profile(InstanceProfileName="hosts-test", RoleName="hosts-test")
        iam.delete_instance_profile(InstanceProfileName="hosts-test")
        iam.delete_role(RoleName="hosts-test")
        wait("network gone", lambda: f"vahana-{vpc}" not in podman.networks())


@pytest.fixture(scope="module")
def host(network: Network) -> str:
    """A host that has booted."""
    return network.run_instance()


def container(instance: str) -> dict[str, Any]:
    """What podman knows of an instance's host."""
    found = podman.inspect(f"vahana-{instance}")
    assert found is not None
    return found


def test_user_data_ran_as_root_and_no_unit_failed(network: Network, host: str) -> None:
    assert network.ssh(host, "cat /srv/made; stat -c %U /srv/made") == "made by user data\nroot"
    assert network.ssh(host, "systemctl is-system-running --wait; systemctl --failed --no-legend") == "running"


def test_host_knows_itself_by_metadata(network: Network, host: str) -> None:
    assert network.ssh(host, IMDS.format("meta-data/instance-id")) == host
    credentials = network.ssh(host, IMDS.format("meta-data/iam/security-credentials/hosts-test"))
    assert '"AccessKeyId": "ASIA' in credentials
    refused = network.ssh(
        host, "curl -s -o /dev/null -w '%{http_code}' http://169.254.169.254/latest/meta-data/instance-id"
    )
    assert refused == "401"


def test_host_reaches_the_api_and_not_aws(network: Network, host: str) -> None:
    assert network.ssh(host, 'echo "$AWS_ENDPOINT_URL"') == "http://169.254.169.254:4566"
    assert network.ssh(host, "sudo sh -c 'echo \"$AWS_ENDPOINT_URL\"'") == "http://169.254.169.254:4566"


def test_restart_keeps_files_and_address(network: Network, host: str) -> None:
    ec2, before = network.aws("ec2"), network.address(host)
    ec2.stop_instances(InstanceIds=[host])
    wait("stopped", lambda: container(host)["State"]["Status"] == "exited")
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[host], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    ec2.start_instances(InstanceIds=[host])
    network.wait_reachable(host)
    assert network.address(host) == before
    assert network.ssh(host, "cat /srv/made") == "made by user data"
    # User data runs at the first boot only.
    network.ssh(host, "sudo rm /srv/made")
    started = container(host)["State"]["StartedAt"]
    ec2.reboot_instances(InstanceIds=[host])
    wait("restarted", lambda: container(host)["State"]["StartedAt"] != started)
    network.wait_reachable(host)
    assert network.ssh(host, "test -e /srv/made || echo gone") == "gone"


def test_a_host_that_hangs_still_runs_until_it_is_stopped(network: Network, host: str) -> None:
    ec2, started = network.aws("ec2"), container(host)["State"]["StartedAt"]
    run("lab", "fault", "pause", host)
    ec2.reboot_instances(InstanceIds=[host])
    wait("restarted", lambda: container(host)["State"]["StartedAt"] != started)
    network.wait_reachable(host)
    run("lab", "fault", "pause", host)
    ec2.stop_instances(InstanceIds=[host])
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[host], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    ec2.start_instances(InstanceIds=[host])
    network.wait_reachable(host)


def test_image_is_the_file_system_of_its_host_at_a_first_boot(network: Network, host: str) -> None:
    ec2 = network.aws("ec2")
    network.ssh(host, "echo baked | sudo tee /srv/baked >/dev/null; sync")
    image = ec2.create_image(InstanceId=host, Name="hosts-test")["ImageId"]
    try:
        ec2.get_waiter("image_available").wait(ImageIds=[image], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        # Without NoReboot the host was down for the file system to be whole.
        network.wait_reachable(host)
        copy = network.run_instance(ImageId=image)
        assert network.ssh(copy, "cat /srv/baked /srv/made") == "baked\nmade by user data"
        assert network.host_key(copy) != network.host_key(host)
        assert network.ssh(copy, "cat /etc/machine-id") != network.ssh(host, "cat /etc/machine-id")
        ec2.terminate_instances(InstanceIds=[copy])
    finally:
        ec2.deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)
    wait("image gone", lambda: not podman.image_exists(f"localhost/vahana-lab/ami:{image}"))


def test_killed_host_is_impaired_and_its_group_replaces_it(network: Network) -> None:
    ec2, scaling = network.aws("ec2"), network.aws("autoscaling")
    data = {"ImageId": network.image, "InstanceType": "t3.micro", "KeyName": "hosts-test"}
    ec2.create_launch_template(LaunchTemplateName="hosts-test", LaunchTemplateData=data)
    scaling.create_auto_scaling_group(
        AutoScalingGroupName="hosts-test",
        MinSize=2,
        MaxSize=2,
        LaunchTemplate={"LaunchTemplateName": "hosts-test", "Version": "$Latest"},
        VPCZoneIdentifier=",".join(network.subnets),
    )

    def in_service() -> set[str]:
        groups = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=["hosts-test"])["AutoScalingGroups"]
        return {
            each["InstanceId"]
            for each in (groups[0]["Instances"] if groups else [])
            if each["LifecycleState"] == "InService"
        }

    try:
        first = wait("two in service", lambda: len(found := in_service()) == 2 and found)
        lost = sorted(first)[0]
        podman.podman("kill", f"vahana-{lost}")
        second = wait("a replacement", lambda: len(found := in_service()) == 2 and lost not in found and found)
        assert len(first & second) == 1
        wait("the lost host removed", lambda: podman.inspect(f"vahana-{lost}") is None)
    finally:
        scaling.delete_auto_scaling_group(AutoScalingGroupName="hosts-test", ForceDelete=True)
        wait("group gone", lambda: not scaling.describe_auto_scaling_groups()["AutoScalingGroups"])
        ec2.delete_launch_template(LaunchTemplateName="hosts-test")


def test_killed_lab_comes_back_with_its_account_and_hosts(network: Network, host: str) -> None:
    network.aws("ssm").put_parameter(Name="/hosts-test/kept", Value="yes", Type="String", Overwrite=True)
    before = container(host)
    wait("the state saved", lambda: b"/hosts-test/kept" in (settings.home() / "state.pickle").read_bytes())
    pid = process.running()
    assert pid
    os.kill(pid, signal.SIGKILL)
    wait("the process gone", lambda: process.running() is None)
    assert "front door" in run("lab", "up").output
    assert process.running() not in (None, pid)
    assert network.aws("ssm").get_parameter(Name="/hosts-test/kept")["Parameter"]["Value"] == "yes"
    network.wait_reachable(host)
    after = container(host)
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
    assert network.ssh(host, IMDS.format("meta-data/instance-id")) == host
    network.aws("ssm").delete_parameter(Name="/hosts-test/kept")


def test_second_up_changes_nothing(lab: None) -> None:
    pid = process.running()
    run("lab", "up")
    assert process.running() == pid
    assert "the lab runs" in run("lab", "status").output
