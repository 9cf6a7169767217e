"""Releases for the tests, as the controller uploads them."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import tarfile
from typing import Any

import boto3


@functools.cache
def _client(service: str) -> Any:
    return boto3.client(service, "us-east-1")  # type: ignore[call-overload]


def archive(files: dict[str, str], links: dict[str, str] | None = None) -> bytes:
    """A backend.tar.gz."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type = tarfile.SYMTYPE
            member.linkname = target
            tar.addfile(member)
    return buffer.getvalue()


def upload(version: str, data: bytes | None = None, /, **manifest: Any) -> None:
    """Put a release into the bucket; `manifest` overrides what its manifest says."""
    data = archive({"src/server.js": version}) if data is None else data
    described = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    text = json.dumps({"version": version, "node": "24", "backend": described, **manifest})
    s3 = _client("s3")
    s3.put_object(Bucket="releases", Key=f"releases/{version}/backend.tar.gz", Body=data)
    s3.put_object(Bucket="releases", Key=f"releases/{version}/manifest.json", Body=text.encode())


def set_up_environment(password: str = "pa/ss", **pairs: Any) -> None:
    """The parameters and secrets of an environment."""
    ssm = _client("ssm")
    place = {
        "engine": "postgres",
        "host": "db.internal",
        "port": 5432,
        "name": "cars",
        "secret": "/carapp/test/database",
    }
    ssm.put_parameter(Name="/carapp/test/database", Value=json.dumps(place), Type="String")
    ssm.put_parameter(Name="/carapp/test/release", Value="1.0.0", Type="String")
    secrets = _client("secretsmanager")
    login = {"username": "car app", "password": password}
    secrets.create_secret(Name="/carapp/test/database", SecretString=json.dumps(login))
    secrets.create_secret(Name="/carapp/test/backend", SecretString=json.dumps(pairs or {"APP_SECRET": "s3cret"}))
