"""What the modules have in common that keep a password which Secrets Manager generates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry

PASSWORD_OPTIONS: dict[str, Any] = {
    "generated_key": {"type": "str", "default": "password", "no_log": False},
    "length": {"type": "int", "default": 32},
    "exclude_characters": {"type": "str", "default": " !\"#$%&'()*+,/:;<=>?@[\\]^`{|}~"},
}

KEY_OPTION: dict[str, Any] = {"kms_key_id": {"type": "str", "no_log": False}}
OWN_KEY = "alias/aws/secretsmanager"
"""Source: AWS Secrets Manager User Guide, "Secret encryption and decryption"."""

KEY_NOT_YET = ["DecryptionFailure", "EncryptionFailure"]
"""What Secrets Manager says of a key that was just made or enabled, and that is not known everywhere yet."""


def client_of(module: Any) -> Any:
    """Return the module's client, which waits for a key that is not known everywhere yet where it names one."""
    again = KEY_NOT_YET if module.params["kms_key_id"] else []
    return module.client("secretsmanager", retry_decorator=AWSRetry.jittered_backoff(catch_extra_error_codes=again))


def describe(client: Any, name: str) -> dict[str, Any] | None:
    """Return what DescribeSecret says, ``None`` when there is no such secret (or it was deleted for good)."""
    try:
        answer: dict[str, Any] = client.describe_secret(SecretId=name, aws_retry=True)
    except client.exceptions.ResourceNotFoundException:
        return None
    return answer


def version_with(described: Mapping[str, Any], label: str) -> str:
    """Return the id of the version that has a label, empty when none has."""
    versions = described.get("VersionIdsToStages") or {}
    return next((version for version, labels in versions.items() if label in labels), "")


def key_change(described: Mapping[str, Any], wanted: str | None) -> dict[str, str]:
    """Return the argument of UpdateSecret that brings a secret under its key; nothing where it is, or none is named.

    Args:
        described: what DescribeSecret says; it names no key where that is Secrets Manager's own.
        wanted: the key's ARN, empty for Secrets Manager's own, None to leave it.
    """
    current = str(described.get("KmsKeyId") or "")
    current = "" if current.endswith(OWN_KEY) else current
    if wanted is None or current.rpartition("/")[2] == wanted.rpartition("/")[2]:
        return {}
    return {"KmsKeyId": wanted or OWN_KEY}


def new_password(client: Any, params: Mapping[str, Any]) -> str:
    """Have Secrets Manager generate a password."""
    answer = client.get_random_password(
        PasswordLength=params["length"],
        ExcludeCharacters=params["exclude_characters"],
        # Not every class has to occur: with symbols excluded the service could not meet that.
        RequireEachIncludedType=False,
        aws_retry=True,
    )
    return str(answer["RandomPassword"])
