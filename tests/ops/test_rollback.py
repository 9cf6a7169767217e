"""Back to the release before, by the way of a deployment."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.ops.conftest import BUCKET, PARAMETERS, TAGS, Account


@pytest.fixture
def front_door(account: Account) -> Iterator[str]:
    """Answer like the backend, always with the release that is approved."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            release = approved(account)
            body = json.dumps({"status": "ok", "release": release, "version": release}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def approved(account: Account) -> str:
    value = account.client("ssm").get_parameter(Name=f"{PARAMETERS}/release")["Parameter"]["Value"]
    return str(value)


def publish(account: Account, version: str) -> None:
    s3, archive = account.client("s3"), version.encode()
    sha256 = hashlib.sha256(archive).hexdigest()
    manifest = {"version": version, "backend": {"sha256": sha256, "size": len(archive)}, "frontend": None}
    s3.put_object(Bucket=BUCKET, Key=f"releases/{version}/backend.tar.gz", Body=archive)
    s3.put_object(Bucket=BUCKET, Key=f"releases/{version}/manifest.json", Body=json.dumps(manifest).encode())


def test_back_and_forth(account: Account, front_door: str) -> None:
    ssm, ec2 = account.client("ssm"), account.client("ec2")
    ssm.put_parameter(Name=f"{PARAMETERS}/tier", Value="minimal", Type="String", Tags=TAGS)
    ssm.put_parameter(Name=f"{PARAMETERS}/release", Value="1.0.0", Type="String", Tags=TAGS)
    own = [{"Key": "vahana:role", "Value": "backend"}, {"Key": "vahana:tier", "Value": "minimal"}]
    image = ec2.register_image(Name="any", RootDeviceName="/dev/xvda", Architecture="x86_64")["ImageId"]
    ec2.run_instances(
        ImageId=image,
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": [*TAGS, *own]}],
    )
    arguments = ("-e", f"public_url={front_door}")
    alone = account.play("rollback", *arguments)
    assert alone.code != 0
    assert "No release but 1.0.0 was ever in service" in alone.output

    ssm.put_parameter(Name=f"{PARAMETERS}/release", Value="2.0.0", Overwrite=True)
    # Named in the history, gone from the bucket.
    publish(account, "2.0.0")
    gone = account.play("rollback", *arguments)
    assert gone.code != 0
    assert "there is no release '1.0.0'; there are 2.0.0" in gone.output
    assert approved(account) == "2.0.0"

    publish(account, "1.0.0")
    back = account.play("rollback", *arguments)
    assert back.code == 0, back.output
    assert "rollback: 2.0.0 → 1.0.0" in back.output
    assert approved(account) == "1.0.0"
    last = account.history()[-1]
    assert (last["verb"], last["from"], last["to"], last["result"]) == ("rollback", "2.0.0", "1.0.0", "ok")

    named = account.play("rollback", "-e", "to=2.0.0", *arguments)
    assert named.code == 0, named.output
    assert approved(account) == "2.0.0"
