"""A resource with a name and tags, brought to what is wanted: what our smaller modules have in common.

A module says how its service is asked (:class:`NamedResource`); whether anything is to be done, check mode, diff and
ownership are decided here.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.ownership import foreign, owned_by
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.tagging import compare_aws_tags
from botocore.exceptions import BotoCoreError, ClientError

ROLE_ATTEMPTS = 12
ROLE_SECONDS = 5.0
"""How often and how long apart a service is asked that does not know a new role yet.

https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html: changes are not visible everywhere at once.
"""


@dataclass(frozen=True)
class Found:
    """What there is under the name: the fields as the service describes them, and the tags."""

    arn: str
    fields: Mapping[str, Any]
    tags: Mapping[str, str]


class NamedResource(abc.ABC):
    """How a service is asked about one of its kinds, and told to change it."""

    kind: str
    """In words, for messages and the plan."""
    service: str
    """boto3's name of the service."""

    def __init__(self, module: AnsibleAWSModule, client: Any) -> None:
        """Take the module and a client of the service."""
        self.parameters: dict[str, Any] = module.params
        self.client = client
        self.name: str = module.params["name"]

    @abc.abstractmethod
    def find(self) -> Found | None:
        """Look for what has the name."""

    @abc.abstractmethod
    def wanted(self) -> dict[str, Any]:
        """Return the fields that should be so, named as :meth:`find` has them; others are nobody's business."""

    @abc.abstractmethod
    def create(self, wanted: dict[str, Any], tags: Mapping[str, str]) -> str:
        """Make it and return its ARN."""

    @abc.abstractmethod
    def update(self, found: Found, wanted: dict[str, Any]) -> None:
        """Change its fields."""

    @abc.abstractmethod
    def tag(self, found: Found, to_set: Mapping[str, str], to_unset: list[str]) -> None:
        """Change its tags."""

    @abc.abstractmethod
    def delete(self, found: Found) -> None:
        """Delete it."""


class TaggedByArn(NamedResource):
    """A resource whose service takes its tags as a map, by its ARN."""

    def tag(self, found: Found, to_set: Mapping[str, str], to_unset: list[str]) -> None:
        """Change its tags."""
        if to_set:
            self.client.tag_resource(ResourceArn=found.arn, Tags=dict(to_set), aws_retry=True)
        if to_unset:
            self.client.untag_resource(ResourceArn=found.arn, TagKeys=to_unset, aws_retry=True)


def part_of(found: Any, wanted: Any) -> Any:
    """Cut what was found down to what is wanted of it, so that the two are equal when nothing is to be done."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        return {key: part_of(found[key], value) for key, value in wanted.items() if key in found}
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        return [part_of(*pair) for pair in zip(found, wanted, strict=True)]
    return found


def _once_roles_are_known(call: Callable[[], Any]) -> Any:
    """Call; again when the service cannot assume the role, which may have been made a moment ago."""
    for attempt in range(1, ROLE_ATTEMPTS + 1):
        try:
            return call()
        except ClientError as error:
            if "AssumeRole" not in str(error) or attempt == ROLE_ATTEMPTS:
                raise
            time.sleep(ROLE_SECONDS)
    raise AssertionError("unreachable")


def ensure_present(module: AnsibleAWSModule, resource: NamedResource) -> dict[str, Any]:
    """Create it, or change what differs."""
    wanted, tags, found = resource.wanted(), module.params["tags"], resource.find()
    if found is None:
        arn = "" if module.check_mode else _once_roles_are_known(lambda: resource.create(wanted, tags))
        return {"changed": True, "arn": arn, "diff": {"before": {}, "after": wanted}}
    if not owned_by(found.tags, tags):
        module.fail_json(msg=foreign(resource.kind, resource.name, tags))
    before = part_of(found.fields, wanted)
    to_set, to_unset = compare_aws_tags(dict(found.tags), tags, True)
    if not module.check_mode:
        if before != wanted:
            _once_roles_are_known(lambda: resource.update(found, wanted))
        if to_set or to_unset:
            resource.tag(found, to_set, to_unset)
    return {
        "changed": before != wanted or bool(to_set or to_unset),
        "arn": found.arn,
        "diff": {"before": {**before, "tags": dict(found.tags)}, "after": {**wanted, "tags": tags}},
    }


def ensure_absent(module: AnsibleAWSModule, resource: NamedResource) -> dict[str, Any]:
    """Delete it if it is there and ours; somebody else's is left alone."""
    found = resource.find()
    if found is None or not owned_by(found.tags, module.params["tags"]):
        return {"changed": False}
    if not module.check_mode:
        resource.delete(found)
    return {"changed": True, "diff": {"before": {"name": resource.name}, "after": {}}}


def run(
    kind: type[NamedResource],
    arguments: Mapping[str, Any],
    required: list[str],
    more: Callable[[NamedResource], Mapping[str, Any]] | None = None,
) -> None:
    """Be the module of a kind.

    :param arguments: its options beside name, tags and state.
    :param required: those of them that I(state=present) needs.
    :param more: what to return beside name and arn, asked after the work was done.
    """
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            **arguments,
            "tags": {"type": "dict", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", required)] if required else [],
        supports_check_mode=True,
    )
    try:
        resource = kind(module, module.client(kind.service))
        ensure = ensure_present if module.params["state"] == "present" else ensure_absent
        result = {"name": resource.name, **ensure(module, resource)}
        if more:
            result |= more(resource)
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"{kind.kind} {module.params['name']}")
    except ValueError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)
