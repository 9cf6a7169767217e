"""EC2: instances that take time, launch templates whose every field counts, AMIs that this machine can start.

moto answers at once that an instance runs. Here the API only records what is wanted; `lab.reconcilers.instances`
makes it so and moves the state on.
"""

from __future__ import annotations

import copy
import datetime
import enum
import hashlib
import itertools
from ipaddress import IPv4Network, ip_address
from typing import Any

from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.core.utils import utcnow
from moto.ec2 import utils as ec2_utils
from moto.ec2.exceptions import EC2ClientError, InvalidAMIIdError, InvalidLaunchTemplateVersionNotFound
from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami, AmiBackend
from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.models.instances import InstanceState as MotoInstanceState
from moto.ec2.models.launch_templates import LaunchTemplate, LaunchTemplateBackend, LaunchTemplateVersion
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.models.subnets import Subnet
from moto.ec2.models.vpcs import VPC, VPCBackend
from moto.ec2.responses.amis import AmisResponse
from moto.ec2.responses.general import General
from moto.ec2.responses.launch_templates import LaunchTemplates
from moto.ec2.utils import convert_tag_spec, filter_iam_instance_profiles, parse_user_data
from moto.ssm.models import Parameter, ParameterDict

from lab import machine, podman, settings

DEBIAN_OWNER = "136693071363"
"""Debian's account: https://wiki.debian.org/Cloud/AmazonEC2Image"""
DEBIAN_PARAMETER = "/aws/service/debian/release/13/latest/amd64"
DEBIAN_IMAGE_NAME = "debian-13-amd64-20250814-2205"
ROOT_DEVICE = "/dev/xvda"
ROOT_SIZE = 8
"""GiB of the root volume of Debian's AMI."""

SEEN_FOR = datetime.timedelta(hours=1)
"""How long a terminated instance is still described, as on AWS."""

FIRST_FREE = 4
"""AWS keeps the first four addresses of a subnet and the last:
https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html"""

CONSOLE_BYTES = 65536
"""How much of a console EC2 gives."""
HIGHEST_PAGE = 200
"""Results of a describe call that names no number, as on AWS (moto: 15)."""


_real = True


def follow(real: bool) -> None:
    """Let VPCs and instances be networks and hosts of this machine.

    Args:
        real: they are, so a VPC's range must be free on this machine. Without it they are records alone.
    """
    global _real  # noqa: PLW0603 - one lab a process, like moto's own backends
    _real = real


class State(enum.Enum):
    """An instance's state and its code: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceState.html"""

    PENDING = 0
    RUNNING = 16
    SHUTTING_DOWN = 32
    TERMINATED = 48
    STOPPING = 64
    STOPPED = 80

    def __str__(self) -> str:
        """Return the name as the API spells it."""
        return self.name.lower().replace("_", "-")


def state_of(instance: Any) -> State:
    """The state an instance is in."""
    return State(instance._state.code)


def set_state(instance: Any, state: State) -> None:
    """Move an instance to a state."""
    instance._state.code, instance._state.name = state.value, str(state)


def all_instances() -> list[Any]:
    """Every instance of every region that was used, terminated ones too."""
    return [instance for backend in backends() for instance in backend.all_instances()]


def backends() -> list[Any]:
    """The EC2 backends that exist, one a region."""
    return list(ec2_backends[settings.ACCOUNT_ID].values())


def network_name(vpc_id: str) -> str:
    """Name of a VPC's podman network."""
    return f"{settings.NAME_PREFIX}{vpc_id}"


def debian_image_id(region: str) -> str:
    """Id of Debian 13's AMI in a region: ids differ between regions, and stay the same here."""
    return f"ami-{hashlib.sha256(f'{DEBIAN_IMAGE_NAME} {region}'.encode()).hexdigest()[:17]}"


def host_image(ami: Any) -> str:
    """The podman image behind an AMI."""
    if ami.owner_id == DEBIAN_OWNER:
        return settings.HOST_IMAGE
    return f"{settings.AMI_REPOSITORY}:{ami.id}"


# Instances ------------------------------------------------------------------------------------------------------------

_run_instances = InstanceBackend.run_instances
_start, _stop, _terminate = Instance.start, Instance.stop, Instance.terminate


def run_instances(
    backend: Any, image_id: str, count: int, user_data: Any, security_group_names: list[str], **kwargs: Any
) -> Any:
    """Record instances that are to be started, with what their launch template says."""
    template = kwargs.get("launch_template")
    version: LaunchTemplateVersion | None = backend._get_template_from_args(template) if template else None
    data: dict[str, Any] = version.data if version else {}
    ami = _bootable(backend, image_id or data.get("ImageId") or "")
    if key_name := kwargs.get("key_name") or data.get("KeyName"):
        backend.describe_key_pairs(key_names=[key_name])
    kwargs["metadata_options"] = {**data.get("MetadataOptions", {}), **(kwargs.get("metadata_options") or {})}
    tags = convert_tag_spec(data.get("TagSpecifications", []))
    for resource, more in (kwargs.get("tags") or {}).items():
        tags[resource] = {**tags.get(resource, {}), **more}
    kwargs["tags"] = tags
    _place(kwargs, data)
    kwargs["block_device_mappings"] = _block_devices(
        ami, kwargs.get("block_device_mappings") or data.get("BlockDeviceMappings") or []
    )
    profile = {} if _names_profile(kwargs) else _profile(backend, data.get("IamInstanceProfile") or {})

    reservation = _run_instances(backend, image_id, count, user_data, security_group_names, **kwargs)
    for number, instance in enumerate(reservation.instances):
        set_state(instance, State.PENDING)
        instance.host_image = host_image(ami)
        instance.state_reason.code = instance.state_reason.message = "pending"
        for nic in instance.nics.values():
            nic.add_tags(tags.get("network-interface", {}))
        if profile:
            backend.associate_iam_instance_profile(instance.id, **profile)
        elif number and _names_profile(kwargs):
            # moto's response handler sees to the first instance only.
            backend.associate_iam_instance_profile(
                instance.id,
                iam_instance_profile_name=kwargs.get("iam_instance_profile_name"),
                iam_instance_profile_arn=kwargs.get("iam_instance_profile_arn"),
            )
    return reservation


def _bootable(backend: Any, image_id: str) -> Any:
    ami = backend.amis.get(image_id)
    if ami is None:
        raise InvalidAMIIdError([image_id])
    if ami.state != "available":
        raise EC2ClientError("InvalidAMIID.Unavailable", f"The AMI '{image_id}' is in state {ami.state}")
    return ami


def _place(kwargs: dict[str, Any], data: dict[str, Any]) -> None:
    """Turn a single network interface specification into the plain arguments that moto handles fully."""
    nics = kwargs.get("nics") or data.get("NetworkInterfaces") or []
    if len(nics) != 1 or nics[0].get("NetworkInterfaceId"):
        kwargs["nics"] = nics
        return
    nic = nics[0]
    kwargs["nics"] = []
    kwargs["subnet_id"] = kwargs.get("subnet_id") or nic.get("SubnetId")
    kwargs["security_group_ids"] = kwargs.get("security_group_ids") or nic.get("Groups") or []
    kwargs["private_ip"] = kwargs.get("private_ip") or nic.get("PrivateIpAddress")
    if nic.get("AssociatePublicIpAddress") is not None:
        kwargs["associate_public_ip"] = nic["AssociatePublicIpAddress"]


def _block_devices(ami: Any, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The image's devices, each changed by the request's of the same name, then the request's others."""
    devices = {ami.root_device_name: ami.block_device_mappings[0]["Ebs"]}
    for mapping in wanted:
        given = {key: value for key, value in (mapping.get("Ebs") or {}).items() if value is not None}
        if mapping.get("NoDevice") is not None:
            devices.pop(mapping["DeviceName"], None)
        elif given:
            devices[mapping["DeviceName"]] = {
                "DeleteOnTermination": True,
                **devices.get(mapping["DeviceName"], {}),
                **given,
            }
    return [{"DeviceName": name, "Ebs": ebs} for name, ebs in devices.items()]


def _names_profile(kwargs: dict[str, Any]) -> bool:
    return bool(kwargs.get("iam_instance_profile_name") or kwargs.get("iam_instance_profile_arn"))


def _profile(backend: Any, given: dict[str, str]) -> dict[str, str | None]:
    """Arguments that name a launch template's instance profile; an unknown one is refused."""
    if not given:
        return {}
    named = {"iam_instance_profile_name": given.get("Name"), "iam_instance_profile_arn": given.get("Arn")}
    filter_iam_instance_profiles(settings.ACCOUNT_ID, partition=backend.partition, **named)
    return named


def prep_nics(instance: Any, nic_spec: list[dict[str, Any]], *args: Any, **kwargs: Any) -> None:
    """Attach network interfaces that go with the instance, unless told otherwise."""
    _prep_nics(instance, nic_spec, *args, **kwargs)
    kept = {int(nic["DeviceIndex"]) for nic in nic_spec if nic.get("DeleteOnTermination") is False}
    for index, nic in instance.nics.items():
        nic.delete_on_termination = index not in kept


_prep_nics = Instance.prep_nics


def start(instance: Any) -> MotoInstanceState:
    """Begin to start a stopped instance."""
    previous = _transition(instance, "start", {State.STOPPED}, {State.PENDING, State.RUNNING})
    if state_of(instance) is State.STOPPED:
        _start(instance)
        set_state(instance, State.PENDING)
    return previous


def stop(instance: Any) -> MotoInstanceState:
    """Begin to stop a running instance."""
    previous = _transition(instance, "stop", {State.RUNNING, State.PENDING}, {State.STOPPING, State.STOPPED})
    if state_of(instance) in (State.RUNNING, State.PENDING):
        _stop(instance)
        set_state(instance, State.STOPPING)
    return previous


def terminate(instance: Any) -> MotoInstanceState:
    """Begin to terminate an instance in whatever state; its address and elastic address are free from now on."""
    previous = copy.copy(instance._state)
    if state_of(instance) not in (State.SHUTTING_DOWN, State.TERMINATED):
        for address in instance.ec2_backend.addresses:
            if address.instance is instance:
                instance.ec2_backend.disassociate_address(address=address.public_ip)
        _terminate(instance)
        set_state(instance, State.SHUTTING_DOWN)
        instance.terminated_at = utcnow()
    return previous


def reboot(instance: Any) -> None:
    """Ask for a restart of a running instance; its state stays running."""
    _transition(instance, "reboot", {State.RUNNING}, set())
    instance.reboot_wanted = True


def _transition(instance: Any, verb: str, allowed: set[State], harmless: set[State]) -> MotoInstanceState:
    """Return the state before the act, which must be one that allows it or makes it needless."""
    if state_of(instance) not in allowed | harmless:
        raise EC2ClientError(
            "IncorrectInstanceState",
            f"The instance '{instance.id}' is not in a state from which it can {verb} ({instance._state.name}).",
        )
    return copy.copy(instance._state)


def instance_status(instance: Any) -> dict[str, Any]:
    """Reachability of the instance: initializing until its SSH answers once, impaired when its host died."""
    if state_of(instance) is not State.RUNNING:
        return {"Status": "not-applicable"}
    reachability = getattr(instance, "reachability", "initializing")
    status = {"passed": "ok", "failed": "impaired"}.get(reachability, "initializing")
    return {"Details": [{"Name": "reachability", "Status": reachability}], "Status": status}


def forget_terminated() -> None:
    """Drop the instances that AWS would not describe any more."""
    for backend in backends():
        for reservation_id, reservation in list(backend.reservations.items()):
            # Without any its instances are still to come: another thread is launching them.
            if reservation.instances and all(
                state_of(i) is State.TERMINATED and utcnow() - getattr(i, "terminated_at", utcnow()) > SEEN_FOR
                for i in reservation.instances
            ):
                del backend.reservations[reservation_id]


def get_console_output(response: Any) -> ActionResult:
    """Return what the host's console shows (the last 64 KiB, as on AWS)."""
    instance = response.ec2_backend.get_instance(response._get_param("InstanceId"))
    there = _real and podman.inspect(settings.host_name(instance.id))
    text = podman.logs(settings.host_name(instance.id)) if there else getattr(instance, "last_console", "")
    return ActionResult(
        {
            "InstanceId": instance.id,
            "Timestamp": utcnow(),
            "Output": Base64EncodedString.from_raw_string(text[-CONSOLE_BYTES:]),
        }
    )


# Launch templates -----------------------------------------------------------------------------------------------------

_create_launch_template = LaunchTemplateBackend.create_launch_template
_describe_launch_template_versions = LaunchTemplateBackend.describe_launch_template_versions


def create_launch_template(
    backend: Any, name: str, description: str, template_data: dict[str, Any], tag_spec: dict[str, Any]
) -> Any:
    """Create a template whose own tags do not leak into the data of its versions."""
    specifications = template_data.get("TagSpecifications", [])
    kept = [each for each in specifications if each["ResourceType"] != "launch-template"]
    template_data = {key: value for key, value in template_data.items() if key != "TagSpecifications"}
    if kept:
        template_data["TagSpecifications"] = kept
    return _create_launch_template(backend, name, description, template_data, tag_spec)


def create_version(template: Any, data: dict[str, Any], description: str) -> LaunchTemplateVersion:
    """Add a version under a number that no version had before."""
    data = {key: value for key, value in data.items() if value is not None}
    if "UserData" in data:
        data["UserData"] = parse_user_data(str(data["UserData"]))
    template.last_number = getattr(template, "last_number", 0) + 1
    version = LaunchTemplateVersion(template, template.last_number, data, description)
    template.versions.append(version)
    return version


def create_launch_template_version(response: Any) -> ActionResult:
    """Handle CreateLaunchTemplateVersion, with what SourceVersion brings in."""
    template = _template(response)
    data = response._get_param("LaunchTemplateData", {})
    if source := response._get_param("SourceVersion"):
        data = {**template.get_version(source).data, **data}
    response.error_on_dryrun()
    version = template.create_version(data, response._get_param("VersionDescription"))
    result = {
        "CreateTime": version.create_time,
        "CreatedBy": f"arn:{response.partition}:iam::{response.current_account}:root",
        "DefaultVersion": template.is_default(version),
        "LaunchTemplateData": version.data,
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "VersionDescription": version.description,
        "VersionNumber": version.number,
    }
    return ActionResult({"LaunchTemplateVersion": result})


def delete_launch_template_versions(response: Any) -> ActionResult:
    """Handle DeleteLaunchTemplateVersions; the default version stays."""
    template = _template(response)
    response.error_on_dryrun()
    deleted, refused = [], []
    for number in response._get_param("Versions", []):
        named = {
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "VersionNumber": int(number),
        }
        found = [version for version in template.versions if version.number == int(number)]
        if found and not template.is_default(found[0]):
            template.versions.remove(found[0])
            deleted.append(named)
        else:
            code = "unexpectedError" if found else "launchTemplateVersionDoesNotExist"
            text = "The default version cannot be deleted" if found else "The version does not exist"
            refused.append({**named, "ResponseError": {"Code": code, "Message": text}})
    return ActionResult(
        {
            "SuccessfullyDeletedLaunchTemplateVersions": deleted,
            "UnsuccessfullyDeletedLaunchTemplateVersions": refused,
        }
    )


def _template(response: Any) -> Any:
    if name := response._get_param("LaunchTemplateName"):
        return response.ec2_backend.get_launch_template_by_name(name)
    return response.ec2_backend.get_launch_template(response._get_param("LaunchTemplateId"))


def get_version(template: Any, number: Any) -> LaunchTemplateVersion:
    """Find a version by number, $Latest or $Default; numbers have gaps once versions were deleted."""
    wanted = {"$latest": template.versions[-1].number, "$default": template.default_version_number}.get(
        str(number).lower(), number
    )
    for version in template.versions:
        if str(version.number) == str(wanted):
            return version
    raise InvalidLaunchTemplateVersionNotFound(template_id=template.id, version=number)


def describe_launch_template_versions(backend: Any, *, max_results: int, **kwargs: Any) -> Any:
    """Describe versions, as many as AWS does when it is not told a number."""
    return _describe_launch_template_versions(backend, max_results=max(max_results, HIGHEST_PAGE), **kwargs)


# Images ---------------------------------------------------------------------------------------------------------------

_ami_init = Ami.__init__


def load_amis(backend: Any) -> None:
    """Know Debian's AMI alone: it is what the lab can start, and a list of thousands takes seconds to describe."""
    region = backend.region_name
    backend.amis[debian_image_id(region)] = Ami(
        backend,
        debian_image_id(region),
        name=DEBIAN_IMAGE_NAME,
        description="Debian 13 (20250814-2205)",
        owner_id=DEBIAN_OWNER,
        image_location=f"{DEBIAN_OWNER}/{DEBIAN_IMAGE_NAME}",
        public=True,
        virtualization_type="hvm",
        hypervisor="xen",
        architecture="x86_64",
        region_name=f"{region}a",
    )


def ami_init(ami: Any, *args: Any, **kwargs: Any) -> None:
    """Make an AMI whose root device is that of Debian's."""
    _ami_init(ami, *args, **{"root_device_type": "ebs", "root_device_name": ROOT_DEVICE, **kwargs})


def ami_block_device_mappings(ami: Any) -> list[dict[str, Any]]:
    """The root device, as Debian's AMI has it."""
    ebs = {
        "SnapshotId": ami.ebs_snapshot.id,
        "VolumeSize": ROOT_SIZE,
        "VolumeType": "gp3",
        "DeleteOnTermination": True,
        "Encrypted": bool(ami.ebs_snapshot.encrypted),
    }
    return [{"DeviceName": ami.root_device_name, "Ebs": ebs}]


def create_image(response: Any) -> ActionResult:
    """Handle CreateImage: the image is pending until `lab.reconcilers.images` saved the host's file system."""
    backend = response.ec2_backend
    instance = backend.get_instance(response._get_param("InstanceId"))
    name = response._get_param("Name")
    response.error_on_dryrun()
    if state_of(instance) not in (State.RUNNING, State.STOPPED, State.STOPPING):
        raise EC2ClientError(
            "IncorrectState", f"Instance '{instance.id}' is not 'running' or 'stopped' but {instance._state.name}."
        )
    for ami in backend.amis.values():
        if ami.owner_id == settings.ACCOUNT_ID and ami.name == name:
            raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {ami.id}")
    tags = convert_tag_spec(response._get_param("TagSpecifications", []))
    ami = backend.create_image(instance.id, name, response._get_param("Description", ""), [])
    ami.state = "pending"
    ami.creation = {"no_reboot": response._get_bool_param("NoReboot", False)}
    ami.add_tags(tags.get("image", {}))
    ami.ebs_snapshot.add_tags(tags.get("snapshot", {}))
    devices = [device for _, device in instance.get_block_device_mapping]
    ami.ebs_snapshot.encrypted = any(backend.get_volume(device.volume_id).encrypted for device in devices)
    return ActionResult({"ImageId": ami.id})


def describe_images(backend: Any, ami_ids: list[str] | None = None, **kwargs: Any) -> list[Any]:
    """Describe images; one that was deregistered is as unknown as one that never was."""
    found: list[Any] = _describe_images(backend, ami_ids=ami_ids, **kwargs)
    if ami_ids and not found:
        raise InvalidAMIIdError(ami_ids)
    return found


_describe_images = AmiBackend.describe_images


def deregister_image(response: Any) -> ActionResult:
    """Handle DeregisterImage, with DeleteAssociatedSnapshots; the podman image goes once no host needs it."""
    backend, image_id = response.ec2_backend, response._get_param("ImageId")
    response.error_on_dryrun()
    ami = backend.amis.get(image_id)
    backend.deregister_image(image_id)
    results = []
    if ami and response._get_bool_param("DeleteAssociatedSnapshots", False):
        backend.delete_snapshot(ami.ebs_snapshot.id)
        results = [{"SnapshotId": ami.ebs_snapshot.id, "ReturnCode": "success"}]
    return ActionResult({"Return": True, "DeleteSnapshotResults": results})


def check_loading_status(parameters: Any, key: str) -> None:
    """Have Debian's public parameter in Parameter Store, in every region."""
    _check_loading_status(parameters, key)
    if str(key or "").startswith("/aws/service/debian") and DEBIAN_PARAMETER not in set(parameters.keys()):
        parameter = Parameter(
            account_id=settings.ACCOUNT_ID,
            name=DEBIAN_PARAMETER,
            value=debian_image_id(parameters.region_name),
            parameter_type="String",
            description="",
            allowed_pattern=None,
            keyid=None,
            last_modified_date=datetime.datetime(2025, 8, 14, tzinfo=datetime.UTC),
            version=1,
            data_type="aws:ec2:image",
        )
        dict.__setitem__(parameters, DEBIAN_PARAMETER, [parameter])


_check_loading_status = ParameterDict._check_loading_status


# VPCs -----------------------------------------------------------------------------------------------------------------

_create_vpc, _delete_vpc = VPCBackend.create_vpc, VPCBackend.delete_vpc


def create_vpc(backend: Any, cidr_block: str, *args: Any, **kwargs: Any) -> VPC:
    """Create a VPC, if its range can be a network of this machine."""
    if _real and not kwargs.get("is_default"):
        _refuse_overlap(cidr_block)
    return _create_vpc(backend, cidr_block, *args, **kwargs)


def _refuse_overlap(cidr_block: str) -> None:
    try:
        wanted = IPv4Network(cidr_block, strict=False)
    except ValueError:
        return  # moto words this error as AWS does
    taken = {network: text for network, text in machine.networks().items() if wanted.overlaps(network)}
    for backend in backends():
        for vpc in backend.vpcs.values():
            if not vpc.is_default and wanted.overlaps(IPv4Network(vpc.cidr_block, strict=False)):
                taken[IPv4Network(vpc.cidr_block, strict=False)] = f"{vpc.id} in {backend.region_name}"
    if taken:
        raise EC2ClientError(
            "InvalidParameterValue",
            f"The range {cidr_block} overlaps {' and '.join(taken.values())}: the lab makes VPCs networks of this"
            " machine, so choose another range",
        )


def get_available_subnet_ip(subnet: Any, instance: Any) -> str:
    """Give out the next free address of a subnet, in turn, so that one is not used again soon.

    moto keeps its place in a generator, which is lost with the process.
    """
    first, last = int(subnet.cidr.network_address) + FIRST_FREE, int(subnet.cidr.broadcast_address) - 1
    begin = getattr(subnet, "next_address", first)
    for number in itertools.chain(range(begin, last + 1), range(first, begin)):
        address = ip_address(number)
        if str(address) not in subnet._subnet_ips and address not in subnet._reserved_ips:
            subnet.next_address = number + 1
            subnet._subnet_ips[str(address)] = instance
            return str(address)
    raise EC2ClientError("InsufficientFreeAddressesInSubnet", f"The subnet '{subnet.id}' has no free address left.")


def delete_vpc(backend: Any, vpc_id: str) -> VPC:
    """Delete a VPC that nothing is in: hosts and interfaces count, as on AWS."""
    for instance in backend.all_instances():
        if instance.vpc_id == vpc_id and state_of(instance) is not State.TERMINATED:
            raise EC2ClientError(
                "DependencyViolation", f"The vpc '{vpc_id}' has dependencies and cannot be deleted: {instance.id}."
            )
    return _delete_vpc(backend, vpc_id)


def rule_description(rule: Any) -> str | None:
    """Describe a rule whatever it opens to: moto looks only at ranges, and groups have descriptions too."""
    described: str | None = rule.ip_range.get("Description") or rule.source_group.get("Description")
    return described


def apply() -> None:
    """Put all of this into moto."""
    InstanceBackend.run_instances = run_instances
    Instance.prep_nics = prep_nics
    Instance.start, Instance.stop, Instance.terminate, Instance.reboot = start, stop, terminate, reboot
    Instance.instance_status = property(instance_status)
    # It would free an address that by then belongs to another instance.
    del Instance.__del__
    General.get_console_output = get_console_output

    LaunchTemplateBackend.create_launch_template = create_launch_template
    LaunchTemplateBackend.describe_launch_template_versions = describe_launch_template_versions
    LaunchTemplate.create_version = create_version
    LaunchTemplate.get_version = get_version
    LaunchTemplate.default_version = lambda template: template.get_version("$Default")
    # moto keeps a copy of the first tags.
    LaunchTemplate.tags = property(lambda template: template.get_tags(), lambda template, tags: None)
    LaunchTemplates.create_launch_template_version = create_launch_template_version
    LaunchTemplates.delete_launch_template_versions = delete_launch_template_versions

    AmiBackend._load_amis = load_amis
    AmiBackend.describe_images = describe_images
    Ami.__init__ = ami_init
    Ami.block_device_mappings = property(ami_block_device_mappings)
    AmisResponse.create_image = create_image
    AmisResponse.deregister_image = deregister_image
    ParameterDict._check_loading_status = check_loading_status

    VPCBackend.create_vpc = create_vpc
    VPCBackend.delete_vpc = delete_vpc
    Subnet.get_available_subnet_ip = get_available_subnet_ip
    SecurityGroupRule.description = property(rule_description)
    # Names of resource types as AWS spells them in tag specifications and filters.
    ec2_utils.EC2_PREFIX_TO_RESOURCE.update({"eipalloc": "elastic-ip", "nat": "natgateway"})
