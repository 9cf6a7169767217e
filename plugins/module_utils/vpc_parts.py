"""The parts of one kind that a VPC has, as its route tables: read in one go, written unless that is only planned."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.ec2 import ensure_ec2_tags
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.tagging import boto3_tag_list_to_ansible_dict

TABLE_NOT_YET = ["InvalidRouteTableID.NotFound", "InvalidRouteTableId.NotFound"]
"""What AWS says of a route table that was just made and is not known everywhere yet: it spells it in both ways."""


class VpcParts:
    """The parts of one kind; all answers of the API are as boto3 gives them."""

    propagation, poll = 60.0, 1.0
    """Seconds until what was made is known, and between two looks."""

    def __init__(self, module: AnsibleAWSModule, client: Any, kind: str, answer: str, id_field: str) -> None:
        """Take what to call the API with.

        Args:
            module: the running module, whose check mode counts.
            client: of EC2, with a retry decorator.
            kind: as tags call it (``route-table``), from which the operation's name follows.
            answer: the field of the answer that has the parts, as ``RouteTables``.
            id_field: the field of a part that has its id.
        """
        self.module, self.client, self.kind, self.answer, self.id_field = module, client, kind, answer, id_field

    def read(self, field: str, values: list[str]) -> list[dict[str, Any]]:
        """Return the parts of which a filter's field is one of some values."""
        pages = self.client.get_paginator(f"describe_{self.kind.replace('-', '_')}s").paginate(
            Filters=[{"Name": field, "Values": values}]
        )
        return [part for page in pages for part in page[self.answer]]

    def write(self, operation: str, **parameters: Any) -> Any:
        """Call the API, but not in check mode."""
        return {} if self.module.check_mode else getattr(self.client, operation)(aws_retry=True, **parameters)

    def settle(
        self, field: str, made: Collection[str], ready: Callable[[Mapping[str, Any]], object] = bool
    ) -> list[dict[str, Any]]:
        """Return what was made once the API lists all of it, each part as ready as is asked.

        Raises:
            TimeoutError: that took too long.
        """
        deadline = time.monotonic() + self.propagation
        while True:
            found = self.read(field, sorted(made))
            if len(found) == len(made) and all(map(ready, found)):
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"AWS does not show what it has made: {', '.join(sorted(made))}. Run it again.")
            time.sleep(self.poll)

    def keep_tags(self, part: Mapping[str, Any], would: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Keep a part's tags; return those that differ, as they were and as they are to be."""
        was: dict[str, str] = boto3_tag_list_to_ansible_dict(part.get("Tags", []))
        if was != would:
            ensure_ec2_tags(self.client, self.module, part[self.id_field], resource_type=self.kind, tags=would)
        return dict(was.items() - would.items()), dict(would.items() - was.items())
