"""What podman is not asked for again and again: to ask it is dear, and the lab's processors are few."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import Any

import pytest

from lab import machine, podman, settings
from lab.moto_patches import ec2
from lab.moto_patches.ec2 import State
from lab.reconcilers import images, instances, networks

Client = Callable[[str], Any]


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """The images that podman has, each with whether a host uses it; `asked` is true once it was asked for them."""
    kept = {f"{settings.AMI_REPOSITORY}:{name}": used for name, used in (("ami-used", True), ("ami-left", False))}

    def listed(_repository: str) -> list[str]:
        kept["asked"] = True
        return [name for name in kept if name != "asked"]

    def remove(name: str) -> bool:
        return kept[name] is False and kept.pop(name) is False

    monkeypatch.setattr(podman, "images", listed)
    monkeypatch.setattr(podman, "image_rm", remove)
    return kept


def running_instance(client: Client) -> Any:
    """One instance that has booted and can be reached."""
    image = client("ssm").get_parameter(Name=ec2.DEBIAN_PARAMETER)["Parameter"]["Value"]
    client("ec2").run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    [instance] = ec2.all_instances()
    instance.reachability = "passed"
    ec2.set_state(instance, State.RUNNING)
    return instance


def asked(storage: dict[str, bool]) -> bool:
    """Tell whether podman was asked since the last time."""
    return storage.pop("asked", False)


@pytest.mark.usefixtures("client")
def test_images_are_asked_for_while_one_of_them_waits_for_its_hosts(storage: dict[str, bool]) -> None:
    reconciler = images.Images()
    reconciler.reconcile()
    assert asked(storage)
    assert set(storage) == {f"{settings.AMI_REPOSITORY}:ami-used"}
    reconciler.reconcile()
    assert asked(storage)
    storage[f"{settings.AMI_REPOSITORY}:ami-used"] = False
    reconciler.reconcile()
    assert asked(storage)
    assert storage == {}
    reconciler.reconcile()
    assert not asked(storage)


def test_an_image_whose_ami_goes_later_goes_too(client: Client, storage: dict[str, bool]) -> None:
    storage.clear()
    api, instance = client("ec2"), running_instance(client)
    made = api.create_image(InstanceId=instance.id, Name="trial")["ImageId"]
    [ami] = [ami for backend in ec2.backends() for ami in backend.amis.values() if ami.id == made]
    ami.state = "available"
    reconciler = images.Images()
    reconciler.reconcile()
    storage[f"{settings.AMI_REPOSITORY}:{made}"] = False
    asked(storage)
    reconciler.reconcile()
    assert not asked(storage)
    api.deregister_image(ImageId=made)
    reconciler.reconcile()
    assert asked(storage)
    assert storage == {}


def test_networks_are_asked_for_when_the_vpcs_are_others(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    present: dict[str, IPv4Network] = {}
    questions = []

    def listed() -> dict[str, IPv4Network]:
        questions.append(len(present))
        return dict(present)

    monkeypatch.setattr(podman, "networks", listed)
    monkeypatch.setattr(podman, "network_create", present.__setitem__)
    monkeypatch.setattr(podman, "network_rm", present.pop)
    for name in ("add_blackhole", "remove_blackhole"):
        monkeypatch.setattr(machine, name, lambda _cidr: None)
    reconciler = networks.Networks()
    reconciler.reconcile()
    vpc = client("ec2").create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    reconciler.reconcile()
    assert present[ec2.network_name(vpc)] == IPv4Network("10.7.0.0/16")
    before = len(questions)
    reconciler.reconcile()
    assert len(questions) == before
    client("ec2").delete_vpc(VpcId=vpc)
    reconciler.reconcile()
    assert ec2.network_name(vpc) not in present


def test_a_network_that_could_not_go_is_tried_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    present = {"vahana-gone": IPv4Network("10.8.0.0/16")}

    def remove(name: str) -> None:
        if len(tried) < 1:
            tried.append(name)
            raise podman.PodmanError("in use")
        present.pop(name)

    tried: list[str] = []
    monkeypatch.setattr(podman, "networks", lambda: dict(present))
    monkeypatch.setattr(podman, "network_rm", remove)
    monkeypatch.setattr(machine, "remove_blackhole", lambda _cidr: None)
    reconciler = networks.Networks()
    with pytest.raises(podman.PodmanError):
        reconciler.reconcile()
    reconciler.reconcile()
    assert present == {}


def test_hosts_are_asked_for_when_one_is_gone_or_awaited(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = running_instance(client)
    questions = []
    with subprocess.Popen(["sleep", "60"]) as process:
        name = settings.host_name(instance.id)
        present = {name: podman.Container(name, "running", {}, "image", process.pid)}

        def listed(_labels: dict[str, str]) -> dict[str, podman.Container]:
            questions.append(len(present))
            return dict(present)

        monkeypatch.setattr(podman, "containers", listed)
        reconciler = instances.Instances()
        for _ in range(3):
            reconciler.reconcile()
        assert questions == [1]
        process.kill()
    # `lab fault` and the machine's own faults: nobody tells the lab.
    monkeypatch.setattr(podman, "inspect", lambda _name: {"State": {"ExitCode": 137}})
    present[name] = podman.Container(name, "exited", {}, "image")
    reconciler.reconcile()
    assert (questions, instance.reachability) == ([1, 1], "failed")
    # It is awaited as long as it shall run.
    reconciler.reconcile()
    assert len(questions) == 3
    reconciler.close()


def test_the_list_of_hosts_is_forgotten_by_what_changes_one(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client("ec2")
    present = {"vahana-i-left": podman.Container("vahana-i-left", "running", {}, "image", os.getpid())}
    questions = []

    def listed(_labels: dict[str, str]) -> dict[str, podman.Container]:
        questions.append(len(present))
        return dict(present)

    monkeypatch.setattr(podman, "containers", listed)
    monkeypatch.setattr(podman, "rm", present.pop)
    reconciler = instances.Instances()
    for _ in range(3):
        reconciler.reconcile()
    assert questions == [1, 0]
    reconciler.close()


def test_a_host_that_hangs_has_not_halted(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = running_instance(client)
    name = settings.host_name(instance.id)
    monkeypatch.setattr(
        podman, "containers", lambda _labels: {name: podman.Container(name, "paused", {}, "image", os.getpid())}
    )
    monkeypatch.setattr(podman, "inspect", lambda _name: {"State": {"ExitCode": 0}})
    reconciler = instances.Instances()
    reconciler.reconcile()
    reconciler.close()
    assert (ec2.state_of(instance), instance.reachability) == (State.RUNNING, "passed")
