#!/usr/bin/python
"""Make and remove the launch template version that pins the release of a group's next instances."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.planning import KNOWN_AFTER_APPLY
from ansible.module_utils.replacement import (
    ACTIVE,
    ReplacementError,
    describe_group,
    describe_versions,
    description,
    desired_version,
    last_refresh,
    numbered,
    pinned_user_data,
    pins_of,
    words,
)
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: autoscaling_pin
short_description: Pin the release that an instance refresh starts instances with
description:
  - Instances of a group start with the approved release. O(state=present) makes a numbered version of the group's
    launch template whose user data names another one; everything else is as in the version that the group has. Neither
    the group nor the template's default version changes.
  - O(state=absent) gives the group back the version that the pinned one was made from, without replacing an instance,
    and deletes every pinned version.
  - M(amazon.aws.autoscaling_group) cannot change the version alone, because it resets what it is not told.
options:
  name:
    description: Name of the Auto Scaling group.
    type: str
    required: true
  state:
    description: Whether there should be a pinned version.
    type: str
    choices: [present, absent]
    default: present
  release:
    description: The release; required for O(state=present).
    type: str
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author:
  - Vahana
"""

EXAMPLES = r"""
- name: Let a refresh start instances with the new release
  autoscaling_pin:
    name: vahanhelp-prod-backend
    release: 1.4.0-3f2a91c0b7de
  register: pin

- name: Leave nothing of it
  autoscaling_pin:
    name: vahanhelp-prod-backend
    state: absent
"""

RETURN = r"""
launch_template_id:
  description: Id of the group's launch template.
  returned: always
  type: str
version:
  description: Number of the pinned version; empty when it is absent.
  returned: always
  type: str
source_version:
  description: Number of the version that it was made from, which is the group's at the end.
  returned: always
  type: str
deleted:
  description: Numbers of the pinned versions that were deleted.
  returned: state=absent
  type: list
  elements: str
"""


class Manager:
    """Makes and removes the pins of one group."""

    def __init__(self, module: Any) -> None:
        """Take the parameters and make the clients."""
        retry = AWSRetry.jittered_backoff()
        self.module = module
        self.name = module.params["name"]
        self.autoscaling = module.client("autoscaling", retry_decorator=retry)
        self.ec2 = module.client("ec2", retry_decorator=retry)
        self.group = describe_group(self.autoscaling, self.name)
        self.template, self.version = numbered(self.group)
        self.versions = describe_versions(self.ec2, self.template)
        self.pins = pins_of(self.versions)

    def present(self, release: str) -> dict[str, Any]:
        """Make the pinned version, unless it is there."""
        here = [pin for pin in self.pins if pin["release"] == release and pin["source"] == self.version]
        outcome = {"launch_template_id": self.template, "source_version": self.version}
        if here:
            return {"changed": False, "version": here[-1]["version"], **outcome}
        if any(pin["version"] == self.version for pin in self.pins):
            raise ReplacementError(
                f"the group {self.name} is on version {self.version} of its launch template, which pins a release: "
                "an earlier replacement has not been finished"
            )
        source = next(item for item in self.versions if str(item["VersionNumber"]) == self.version)
        user_data = pinned_user_data(source["LaunchTemplateData"].get("UserData", ""), release)
        version = KNOWN_AFTER_APPLY
        if not self.module.check_mode:
            made = self.ec2.create_launch_template_version(
                LaunchTemplateId=self.template,
                SourceVersion=self.version,
                VersionDescription=description(release, self.version),
                LaunchTemplateData={"UserData": user_data},
                aws_retry=True,
            )
            version = str(made["LaunchTemplateVersion"]["VersionNumber"])
        diff = {"before": {}, "after": {"release": release, "source_version": self.version}}
        return {"changed": True, "version": version, **outcome, "diff": diff}

    def absent(self) -> dict[str, Any]:
        """Give the group back its own version and delete the pinned ones."""
        refresh = last_refresh(self.autoscaling, self.name)
        numbers = [pin["version"] for pin in self.pins]
        if refresh.get("Status") in ACTIVE and desired_version(refresh) in numbers:
            raise ReplacementError(
                f"the refresh of {self.name} still starts instances from version {desired_version(refresh)} of its "
                f"launch template ({words(refresh)}): run the same command again, which goes on with it"
            )
        back = next((pin["source"] for pin in self.pins if pin["version"] == self.version), self.version)
        if not self.module.check_mode:
            if back != self.version:
                self.autoscaling.update_auto_scaling_group(
                    AutoScalingGroupName=self.name,
                    LaunchTemplate={"LaunchTemplateId": self.template, "Version": back},
                    aws_retry=True,
                )
            if numbers:
                self.delete(numbers)
        before = {"launch_template_version": self.version, "pinned_versions": numbers}
        return {
            "changed": bool(numbers),
            "launch_template_id": self.template,
            "version": "",
            "source_version": back,
            "deleted": numbers,
            "diff": {"before": before, "after": {"launch_template_version": back, "pinned_versions": []}},
        }

    def delete(self, numbers: list[str]) -> None:
        """Delete versions of the template.

        :raises ReplacementError: EC2 keeps one.
        """
        answer = self.ec2.delete_launch_template_versions(
            LaunchTemplateId=self.template, Versions=numbers, aws_retry=True
        )
        for kept in answer.get("UnsuccessfullyDeletedLaunchTemplateVersions", []):
            raise ReplacementError(
                f"version {kept['VersionNumber']} of the launch template {self.template} was not deleted: "
                f"{kept['ResponseError']['Message']}"
            )


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "release": {"type": "str"},
        },
        required_if=[("state", "present", ["release"])],
        supports_check_mode=True,
    )
    try:
        manager = Manager(module)
        present = module.params["state"] == "present"
        outcome = manager.present(module.params["release"]) if present else manager.absent()
    except ReplacementError as error:
        module.fail_json(msg=str(error))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"Pinning the release of {module.params['name']} failed")
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
