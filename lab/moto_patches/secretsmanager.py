"""Secrets Manager: whoever names no version gets the one with the label AWSCURRENT, wherever that label was moved.

moto goes on answering with the version that was put last. A secret without any value has no such label, and one whose
key is disabled or waits for its end can be neither read nor written.
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
    get, add = SecretsManagerBackend.get_secret_value, SecretsManagerBackend._add_secret

    def get_secret_value(self: Any, secret_id: str, version_id: str, version_stage: str) -> Any:
        if not version_id and not version_stage and self._is_valid_identifier(secret_id):
            versions = self.secrets[secret_id].versions.values()
            if any(CURRENT in version["version_stages"] for version in versions):
                version_stage = CURRENT
        secret = self.secrets[secret_id] if self._is_valid_identifier(secret_id) else None
        if secret and not _usable(self, secret.kms_key_id):
            raise SecretsManagerClientError(
                "DecryptionFailure",
                "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
            )
        return get(self, secret_id, version_id, version_stage)

    def add_secret(
        self: Any, secret_id: str, secret_string: Any = None, secret_binary: Any = None, *more: Any, **given: Any
    ) -> Any:
        secret = self.secrets[secret_id] if self._is_valid_identifier(secret_id) else None
        written = secret_string is not None or secret_binary is not None
        key = given.get("kms_key_id") or (secret.kms_key_id if secret and written else None)
        if not _usable(self, key):
            raise SecretsManagerClientError(
                "EncryptionFailure",
                "Secrets Manager can't encrypt the protected secret text using the provided KMS key.",
            )
        return add(self, secret_id, secret_string, secret_binary, *more, **given)

    SecretsManagerBackend.get_secret_value = get_secret_value
    SecretsManagerBackend._add_secret = add_secret


def _usable(backend: Any, key_id: str | None) -> bool:
    key = keys.find(str(key_id or ""), backend.region_name)
    return key is None or keys.is_enabled(key)
