"""Fills a scenario's AWS: a bucket with good and bad releases, the parameters and the secrets of an environment."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import sys
import tarfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

APP = Path(__file__).parent / "app"
BUCKET = "carapp-test-releases"
PREFIX = "/carapp/test"
CANARY = "canary-of-the-application"
PASSWORD = "canary/of:the@database"
DATABASE_URL = "postgres://carapp:canary%2Fof%3Athe%40database@10.0.21.7:5432/carapp?sslmode=no-verify"

RELEASES: dict[str, str] = {
    "1.0.0": "",
    "1.1.0": "",
    "1.2.0-crash": "crash",
    "1.3.0-ill": "ill",
    "1.4.0-migration": "migration",
}
"""Releases by the fault each has."""
DAMAGED = "1.5.0-damaged"
FOREIGN = "1.6.0-foreign-node"


def archive(fault: str) -> bytes:
    """A release's backend.tar.gz."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path in sorted(APP.rglob("*")):
            tar.add(path, arcname=str(path.relative_to(APP)), recursive=False)
        if fault:
            member = tarfile.TarInfo("fault")
            member.size = len(fault)
            tar.addfile(member, io.BytesIO(fault.encode()))
    return buffer.getvalue()


def upload(s3: Any, version: str, data: bytes, **manifest: Any) -> None:
    """Put a release into the bucket; `manifest` overrides what its manifest says."""
    described = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    text = json.dumps({"version": version, "node": "24.21.0", "backend": described, **manifest})
    s3.put_object(Bucket=BUCKET, Key=f"releases/{version}/backend.tar.gz", Body=data)
    s3.put_object(Bucket=BUCKET, Key=f"releases/{version}/manifest.json", Body=text.encode())


def main(endpoint: str) -> None:
    """Fill the AWS at that address; a second time changes nothing."""
    # Binding works with this machine's own addresses only: nothing may go elsewhere, were the bridge not there.
    with socket.socket() as probe:
        probe.bind((urlsplit(endpoint).hostname, 0))
    session = boto3.Session("molecule", "molecule", region_name="us-east-1")
    s3 = session.client("s3", endpoint_url=endpoint)
    s3.create_bucket(Bucket=BUCKET)
    for version, fault in RELEASES.items():
        upload(s3, version, archive(fault))
    upload(s3, DAMAGED, archive(""), backend={"sha256": "0" * 64, "size": 1})
    upload(s3, FOREIGN, archive(""), node="18.20.0")

    ssm = session.client("ssm", endpoint_url=endpoint)
    place = {
        "engine": "postgres", "host": "10.0.21.7", "port": 5432, "name": "carapp", "secret": f"{PREFIX}/database"
    }  # fmt: skip
    for name, value in {"release": "1.0.0", "database": json.dumps(place)}.items():
        ssm.put_parameter(Name=f"{PREFIX}/{name}", Value=value, Type="String", Overwrite=True)
    secrets = session.client("secretsmanager", endpoint_url=endpoint)
    known = {secret["Name"] for secret in secrets.list_secrets()["SecretList"]}
    for name, pairs in {
        "backend": {"APP_SECRET": CANARY},
        "database": {"username": "carapp", "password": PASSWORD},
    }.items():
        secret_id, text = f"{PREFIX}/{name}", json.dumps(pairs)
        if secret_id in known:
            secrets.put_secret_value(SecretId=secret_id, SecretString=text)
        else:
            secrets.create_secret(Name=secret_id, SecretString=text)


if __name__ == "__main__":
    main(sys.argv[1])
