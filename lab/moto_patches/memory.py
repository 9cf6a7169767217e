"""What moto keeps in memory and nobody here asks for: about 90 MiB of the lab's one process."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES
from moto.iam.models import IAMBackend

FAMILIES = {"t2", "t3", "t3a", "t4g", "m5", "m6i", "m7g", "m7i", "c5", "c6i", "c7g", "c7i", "r5", "r6i", "r7g", "r7i"}
"""Instance types that the lab knows; it refuses others as AWS refuses unknown ones."""

_init_aws_policies = IAMBackend._init_aws_policies


def init_aws_policies(backend: Any) -> list[Any]:
    """Make AWS's managed policies for the public partition alone, not for China, GovCloud and the rest too."""
    return list(_init_aws_policies(backend)) if backend.partition == "aws" else []


def _known(name: str) -> bool:
    return name.split(".")[0] in FAMILIES


def apply() -> None:
    """Drop what is not needed."""
    IAMBackend._init_aws_policies = init_aws_policies
    for name in [name for name in INSTANCE_TYPES if not _known(name)]:
        del INSTANCE_TYPES[name]
    for regions in INSTANCE_TYPE_OFFERINGS.values():
        for region, offerings in regions.items():
            regions[region] = [each for each in offerings if _known(each["InstanceType"])]
