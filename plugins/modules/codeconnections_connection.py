#!/usr/bin/python
"""Manage a connection to repositories at GitHub and the like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.named_resource import Found, NamedResource, run
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
)

DOCUMENTATION = r"""
module: codeconnections_connection
short_description: Manage a CodeConnections connection
description:
  - The collections have no module for it.
  - A new connection is C(PENDING) until a person has approved it in the console; no API can do that.
options:
  name:
    description: Name, unique in the account.
    type: str
    required: true
  provider_type:
    description: Where the repositories are. That of a connection cannot be changed.
    type: str
    choices: [AzureDevOps, Bitbucket, GitHub, GitLab]
    default: GitHub
  tags:
    description: Tags. C(vahana:app) and C(vahana:env) decide whose the connection is.
    type: dict
    required: true
  state:
    description: Whether it should exist.
    type: str
    choices: [present, absent]
    default: present
author: Vahana
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""

EXAMPLES = r"""
- name: Be able to read the repository
  codeconnections_connection:
    name: cars-prod
    tags: {"vahana:app": cars, "vahana:env": prod}
  register: connection
"""

RETURN = r"""
arn:
  description: ARN. Empty in check mode before it exists.
  returned: I(state=present)
  type: str
status:
  description: C(PENDING), C(AVAILABLE) or C(ERROR); empty when there is none.
  returned: always
  type: str
"""


class Connection(NamedResource):  # type: ignore[misc]  # Ansible gives it its name when it runs
    """A connection."""

    kind = "connection"
    service = "codeconnections"

    def find(self) -> Found | None:
        """Go through the list: the API knows connections by their ARN alone."""
        # ListConnections gives 100 to a page at most.
        token: dict[str, str] = {}
        while True:
            page = self.client.list_connections(MaxResults=100, **token)
            for item in page["Connections"]:
                if item["ConnectionName"] == self.name:
                    arn = item["ConnectionArn"]
                    tags = self.client.list_tags_for_resource(ResourceArn=arn)["Tags"]
                    return Found(arn, item, boto3_tag_list_to_ansible_dict(tags))
            if not page.get("NextToken"):
                return None
            token = {"NextToken": page["NextToken"]}

    def wanted(self) -> dict[str, Any]:
        """Return the provider."""
        return {"ProviderType": self.parameters["provider_type"]}

    def create(self, wanted: dict[str, Any], tags: Mapping[str, str]) -> str:
        """Make it; it is pending."""
        made = self.client.create_connection(
            ConnectionName=self.name, Tags=ansible_dict_to_boto3_tag_list(tags), **wanted
        )
        return str(made["ConnectionArn"])

    def update(self, found: Found, wanted: dict[str, Any]) -> None:
        """Refuse: there is no such call, and another connection needs another approval."""
        raise ValueError(
            f"the connection {self.name} is one to {found.fields['ProviderType']}, not to {wanted['ProviderType']}. "
            f"Delete it first: aws codeconnections delete-connection --connection-arn {found.arn}"
        )

    def tag(self, found: Found, to_set: Mapping[str, str], to_unset: list[str]) -> None:
        """Change its tags."""
        if to_unset:
            self.client.untag_resource(ResourceArn=found.arn, TagKeys=to_unset)
        if to_set:
            self.client.tag_resource(ResourceArn=found.arn, Tags=ansible_dict_to_boto3_tag_list(to_set))

    def delete(self, found: Found) -> None:
        """Delete it."""
        self.client.delete_connection(ConnectionArn=found.arn)

    def status(self) -> dict[str, str]:
        """Say whether it can be used."""
        found = self.find()
        return {"status": str(found.fields["ConnectionStatus"]) if found else ""}


def main() -> None:
    """Run the module."""
    providers = ["AzureDevOps", "Bitbucket", "GitHub", "GitLab"]
    arguments = {"provider_type": {"type": "str", "choices": providers, "default": "GitHub"}}
    run(Connection, arguments, [], more=Connection.status)


if __name__ == "__main__":
    main()
