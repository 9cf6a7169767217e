"""KMS keys: may one be used for what it encrypts? The lab encrypts nothing with them, and refuses where AWS would.

A key's own policy decides. Where it lets the account, the policies of who asks decide, too.
https://docs.aws.amazon.com/kms/latest/developerguide/policy-evaluation.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lab import policies, settings

ROOT = f"arn:aws:iam::{settings.ACCOUNT_ID}:root"


def find(key_id: str, region: str) -> Any | None:
    """Return moto's key by id, ARN or alias; None for none and for those of AWS's services themselves."""
    from moto.kms.models import kms_backends

    if not key_id or "alias/aws/" in key_id:
        return None
    backend = kms_backends[settings.ACCOUNT_ID][region]
    return backend.keys.get(backend.any_id_to_key_id(key_id))


def serves_service(key: Any, service: str, source_arn: str) -> bool:
    """Say whether a service may encrypt by itself what it sends, as CloudWatch to a topic.

    Args:
        key: moto's key.
        service: the service's principal, as ``cloudwatch.amazonaws.com``.
        source_arn: what of the service sends.
    """
    context = {"aws:sourceaccount": settings.ACCOUNT_ID, "aws:sourcearn": source_arn}
    return is_enabled(key) and all(
        policies.permits(key.policy, service, action, key.arn, context)
        for action in ("kms:GenerateDataKey", "kms:Decrypt")
    )


def serves_role(key: Any, role_arn: str, via: str, region: str, documents: Iterable[str]) -> bool:
    """Say whether a role may have something decrypted by a service that it asks, if the key can be used at all.

    Args:
        key: moto's key.
        role_arn: the role.
        via: the service, as ``secretsmanager``.
        region: where.
        documents: the role's policies.
    """
    context = {
        "aws:principalarn": role_arn,
        "kms:calleraccount": settings.ACCOUNT_ID,
        "kms:viaservice": f"{via}.{region}.amazonaws.com",
    }
    found = policies.effects(key.policy, "kms:Decrypt", key.arn, context, role_arn)
    if policies.ALLOW in policies.effects(key.policy, "kms:Decrypt", key.arn, context, ROOT):
        found |= {effect for each in documents for effect in policies.effects(each, "kms:Decrypt", key.arn, context)}
    return policies.ALLOW in found and policies.DENY not in found


def is_enabled(key: Any) -> bool:
    """Say whether a key can be used at all."""
    return str(key.key_state) == "Enabled"
