"""IAM: a role's inline policies have room for so many characters together, white space not counted.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

from __future__ import annotations

import functools
from typing import Any

from moto.iam.exceptions import LimitExceededException
from moto.iam.models import IAMBackend

MOST_CHARACTERS = 10_240
"""Of a role; it cannot be raised."""


def size(policy: str) -> int:
    """How many characters of a policy count."""
    return len("".join(policy.split()))


@functools.cache
def apply() -> None:
    """Patch moto.iam."""
    put_role_policy = IAMBackend.put_role_policy

    def put_policy_with_room(self: Any, role_name: str, policy_name: str, policy_json: str) -> None:
        policies = {**self.get_role(role_name).policies, policy_name: policy_json}
        if sum(size(policy) for policy in policies.values()) > MOST_CHARACTERS:
            raise LimitExceededException(
                f"Maximum policy size of {MOST_CHARACTERS} bytes exceeded for role {role_name}"
            )
        put_role_policy(self, role_name, policy_name, policy_json)

    IAMBackend.put_role_policy = put_policy_with_room
