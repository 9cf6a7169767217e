"""Secrets Manager: whoever names no version gets the one with the label AWSCURRENT, wherever that label was moved.

moto goes on answering with the version that was put last. A secret without any value has no such label, and one whose
key is disabled or waits for its end cannot be read.
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
"""

from __future__ import annotations

import functools
from typing import Any

from moto.secretsmanager.exceptions import SecretsManagerClientError
from moto.secretsmanager.models import SecretsManagerBackend

from lab import keys

CURRENT = "AWSCURRENT"


@functools.cache
def apply() -> None:
    """Patch moto.secretsmanager."""
    get = SecretsManagerBackend.get_secret_value

    def get_secret_value(self: Any, secret_id: str, version_id: str, version_stage: str) -> Any:
        if not version_id and not version_stage and self._is_valid_identifier(secret_id):
            versions = self.secrets[secret_id].versions.values()
            if any(CURRENT in version["version_stages"] for version in versions):
                version_stage = CURRENT
        secret = self.secrets[secret_id] if self._is_valid_identifier(secret_id) else None
        key = keys.find(str(secret.kms_key_id or ""), self.region_name) if secret else None
        if key is not None and not keys.is_enabled(key):
            raise SecretsManagerClientError(
                "DecryptionFailure",
                "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
            )
        return get(self, secret_id, version_id, version_stage)

    SecretsManagerBackend.get_secret_value = get_secret_value
