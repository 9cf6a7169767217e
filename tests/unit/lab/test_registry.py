"""The registry: pushes and pulls as clients make them, who may, what ECR then says of the images."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.ecr.models import ecr_backends
from werkzeug.test import Client as Web
from werkzeug.test import TestResponse

from lab import registry, settings

pytestmark = pytest.mark.usefixtures("lab_account")
Client = Callable[[str], Any]
KIND = "application/vnd.oci.image.manifest.v1+json"
NAME = "/v2/us-east-1/trial/web"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Pusher:
    """What podman does, step by step."""

    def __init__(self, client: Any) -> None:
        found = client.get_authorization_token()["authorizationData"][0]
        self.headers = {"Authorization": f"Basic {found['authorizationToken']}"}
        self.web = Web(registry.answer)

    def ask(self, method: str, path: str, **more: Any) -> TestResponse:
        headers = {**self.headers, **more.pop("headers", {})}
        return self.web.open(path, method=method, headers=headers, **more)

    def blob(self, data: bytes) -> str:
        digest = digest_of(data)
        begun = self.ask("POST", f"{NAME}/blobs/uploads/")
        assert begun.status_code == 202, begun.text
        half = len(data) // 2
        sent = self.ask("PATCH", begun.headers["Location"], data=data[:half])
        assert (sent.status_code, sent.headers["Range"]) == (202, f"0-{max(0, half - 1)}")
        ended = self.ask("PUT", sent.headers["Location"], query_string={"digest": digest}, data=data[half:])
        assert (ended.status_code, ended.headers["Docker-Content-Digest"]) == (201, digest)
        return digest

    def manifest(self, *layers: bytes) -> bytes:
        config = b"{}"
        parts = {data: self.blob(data) for data in (config, *layers)}
        sizes = [{"digest": parts[data], "size": len(data)} for data in layers]
        made = {"schemaVersion": 2, "mediaType": KIND, "config": {"digest": parts[config], "size": 2}, "layers": sizes}
        return json.dumps(made).encode()

    def put(self, manifest: bytes, reference: str) -> TestResponse:
        return self.ask("PUT", f"{NAME}/manifests/{reference}", data=manifest, headers={"Content-Type": KIND})


@pytest.fixture
def ecr(client: Client, tmp_path: Path) -> Any:
    endpoint = registry.endpoint()
    registry.follow("127.0.0.1:4566", tmp_path)
    client("ecr").create_repository(repositoryName="trial/web")
    yield client("ecr")
    registry.follow(endpoint, None)


def test_an_image_that_is_pushed_is_ecrs(ecr: Any) -> None:
    pusher = Pusher(ecr)
    assert pusher.ask("GET", "/v2/").status_code == 200
    manifest = pusher.manifest(b"first", b"second layer")
    digest = digest_of(manifest)
    assert pusher.put(manifest, "v1").headers["Docker-Content-Digest"] == digest
    (image,) = ecr.describe_images(repositoryName="trial/web")["imageDetails"]
    assert (image["imageDigest"], image["imageTags"], image["imageSizeInBytes"]) == (digest, ["v1"], 2 + 5 + 12)
    assert image["imageManifestMediaType"] == KIND and "imageScanStatus" not in image
    for reference in ("v1", digest):
        got = pusher.ask("GET", f"{NAME}/manifests/{reference}")
        assert got.data == manifest and got.headers["Docker-Content-Digest"] == digest
        assert got.headers["Content-Type"] == KIND
        seen = pusher.ask("HEAD", f"{NAME}/manifests/{reference}")
        assert seen.headers["Content-Length"] == str(len(manifest)) and seen.data == b""
    layer = digest_of(b"second layer")
    assert pusher.ask("GET", f"{NAME}/blobs/{layer}").data == b"second layer"
    assert pusher.ask("HEAD", f"{NAME}/blobs/{layer}").headers["Content-Length"] == "12"
    assert pusher.ask("GET", f"{NAME}/tags/list").json == {"name": "us-east-1/trial/web", "tags": ["v1"]}
    found = ecr.batch_check_layer_availability(repositoryName="trial/web", layerDigests=[layer])
    assert found["layers"][0]["layerSize"] == 12


def test_a_tag_moves_unless_it_is_immutable(ecr: Any) -> None:
    pusher = Pusher(ecr)
    first, second = pusher.manifest(b"one"), pusher.manifest(b"two")
    pusher.put(first, "v1")
    assert pusher.put(second, "v1").status_code == 201
    images = ecr.describe_images(repositoryName="trial/web")["imageDetails"]
    tags = {each["imageDigest"]: each.get("imageTags") for each in images}
    assert tags == {digest_of(first): None, digest_of(second): ["v1"]}
    ecr.put_image_tag_mutability(repositoryName="trial/web", imageTagMutability="IMMUTABLE")
    assert pusher.put(second, "v1").status_code == 201, "the same image again"
    refused = pusher.put(first, "v1")
    assert (refused.status_code, refused.json["errors"][0]["code"]) == (400, "TAG_INVALID")
    assert pusher.put(first, "v0").status_code == 201
    assert pusher.put(pusher.manifest(b"three"), digest_of(pusher.manifest(b"three"))).status_code == 201
    assert len(ecr.describe_images(repositoryName="trial/web")["imageDetails"]) == 3


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "code"),
    [
        ("POST", "/v2/us-east-1/none/blobs/uploads/", b"", 404, "NAME_UNKNOWN"),
        ("POST", "/v2/nowhere/trial/web/blobs/uploads/", b"", 404, "NAME_UNKNOWN"),
        ("PATCH", f"{NAME}/blobs/uploads/{'0' * 32}", b"", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("GET", f"{NAME}/blobs/sha256:{'0' * 64}", b"", 404, "BLOB_UNKNOWN"),
        ("GET", f"{NAME}/manifests/none", b"", 404, "MANIFEST_UNKNOWN"),
        ("PUT", f"{NAME}/manifests/v1", b"no json", 400, "MANIFEST_INVALID"),
        ("PUT", f"{NAME}/manifests/sha256:{'0' * 64}", b"{}", 400, "DIGEST_INVALID"),
        ("PUT", f"{NAME}/manifests/v1", b'{"layers": [{"digest": "sha256:0"}]}', 404, "MANIFEST_BLOB_UNKNOWN"),
        ("DELETE", f"{NAME}/manifests/v1", b"", 405, "UNSUPPORTED"),
    ],
)
def test_what_is_refused(ecr: Any, method: str, path: str, data: bytes, status: int, code: str) -> None:
    found = Pusher(ecr).ask(method, path, data=data)
    assert (found.status_code, found.json["errors"][0]["code"]) == (status, code)


def test_a_blob_with_another_digest_is_refused(ecr: Any) -> None:
    pusher = Pusher(ecr)
    where = f"{NAME}/blobs/uploads/"
    found = pusher.ask("POST", where, query_string={"digest": digest_of(b"other")}, data=b"data")
    assert found.json["errors"][0]["code"] == "DIGEST_INVALID"
    assert pusher.ask("POST", where, query_string={"digest": digest_of(b"data")}, data=b"data").status_code == 201


def test_a_layer_of_another_repository_is_not_sent_again(ecr: Any) -> None:
    pusher = Pusher(ecr)
    layer = pusher.blob(b"shared")
    ecr.create_repository(repositoryName="other")
    where = "/v2/us-east-1/other/blobs/uploads/"
    unknown = pusher.ask("POST", where, query_string={"mount": layer, "from": "us-east-1/none"})
    assert unknown.status_code == 202
    assert pusher.ask("GET", f"/v2/us-east-1/other/blobs/{layer}").status_code == 404
    mounted = pusher.ask("POST", where, query_string={"mount": layer, "from": "us-east-1/trial/web"})
    assert mounted.status_code == 201
    assert pusher.ask("GET", f"/v2/us-east-1/other/blobs/{layer}").data == b"shared"


def test_nobody_without_a_token(ecr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pusher = Pusher(ecr)
    for wrong in ("", "Basic ", "Basic QVdTOm5vbmU=", "Basic " + base64.b64encode(b"user:" + b"x" * 20).decode()):
        pusher.headers = {"Authorization": wrong} if wrong else {}
        found = pusher.ask("GET", "/v2/")
        assert found.status_code == 401 and found.headers["WWW-Authenticate"].startswith("Basic ")
    pusher = Pusher(ecr)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + registry.TOKEN_SECONDS + 1)
    assert pusher.ask("GET", "/v2/").status_code == 401


def test_a_role_may_what_its_policies_allow(ecr: Any, client: Client) -> None:
    arn = client("iam").create_role(RoleName="reader", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": list(registry.PULLING), "Resource": "*"}],
    }
    client("iam").put_role_policy(RoleName="reader", PolicyName="trial", PolicyDocument=json.dumps(policy))
    Pusher(ecr).put(Pusher(ecr).manifest(b"layer"), "v1")
    key = client("sts").assume_role(RoleArn=arn, RoleSessionName="trial")["Credentials"]["AccessKeyId"]
    pusher = Pusher(ecr)
    pusher.headers = {"Authorization": "Basic " + base64.b64encode(f"AWS:{registry.issue(key)}".encode()).decode()}
    assert pusher.ask("GET", f"{NAME}/manifests/v1").status_code == 200
    # Whoever pushes asks so; whoever pulls does not.
    layer = digest_of(b"layer")
    assert pusher.ask("GET", f"{NAME}/blobs/{layer}").status_code == 200
    assert pusher.ask("HEAD", f"{NAME}/blobs/{layer}").status_code == 403
    denied = pusher.ask("POST", f"{NAME}/blobs/uploads/")
    assert denied.status_code == 403 and "ecr:InitiateLayerUpload" in denied.json["errors"][0]["message"]


def test_requests_of_aws_are_not_the_registrys() -> None:
    signed = {"PATH_INFO": "/v2/apis", "HTTP_AUTHORIZATION": "AWS4-HMAC-SHA256 Credential=…"}
    assert not registry.concerns(signed)
    assert registry.concerns({"PATH_INFO": "/v2/"}) and not registry.concerns({"PATH_INFO": "/bucket/v2/"})


def test_what_is_deleted_leaves_no_blobs(ecr: Any, tmp_path: Path) -> None:
    pusher = Pusher(ecr)
    kept, gone = pusher.manifest(b"kept"), pusher.manifest(b"gone")
    pusher.put(kept, "v1")
    pusher.put(gone, "v2")
    ecr.batch_delete_image(repositoryName="trial/web", imageIds=[{"imageTag": "v2"}])
    registry.sweep()
    blob = tmp_path / "blobs" / digest_of(b"gone").partition(":")[2]
    assert blob.exists(), "a push may be under way"
    for path in (tmp_path / "blobs").iterdir():
        os.utime(path, (0, 0))
    registry.sweep()
    assert not blob.exists()
    assert pusher.ask("HEAD", f"{NAME}/blobs/{digest_of(b'gone')}").status_code == 404
    assert pusher.ask("GET", f"{NAME}/blobs/{digest_of(b'kept')}").data == b"kept"


def test_old_images_expire_when_one_is_pushed(ecr: Any) -> None:
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 2}
    policy = {"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]}
    ecr.put_lifecycle_policy(repositoryName="trial/web", lifecyclePolicyText=json.dumps(policy))
    pusher = Pusher(ecr)
    for number in range(4):
        pusher.put(pusher.manifest(f"layer {number}".encode()), f"v{number}")
        for image in ecr_backends[settings.ACCOUNT_ID]["us-east-1"].repositories["trial/web"].images:
            image.image_pushed_at -= 60
    images = ecr.describe_images(repositoryName="trial/web")["imageDetails"]
    assert sorted(each["imageTags"][0] for each in images) == ["v2", "v3"]


def test_a_scan_says_that_it_cannot(ecr: Any) -> None:
    pusher = Pusher(ecr)
    pusher.put(pusher.manifest(b"layer"), "v1")
    asked = {"repositoryName": "trial/web", "imageId": {"imageTag": "v1"}}
    with pytest.raises(ClientError, match="ScanNotFoundException"):
        ecr.describe_image_scan_findings(**asked)
    ecr.put_image_scanning_configuration(repositoryName="trial/web", imageScanningConfiguration={"scanOnPush": True})
    found = ecr.describe_image_scan_findings(**asked)
    assert found["imageScanStatus"]["status"] == "UNSUPPORTED_IMAGE" and "imageScanFindings" not in found
    (image,) = ecr.describe_images(repositoryName="trial/web")["imageDetails"]
    assert image["imageScanStatus"]["status"] == "UNSUPPORTED_IMAGE"


def test_repositories_are_tagged_and_of_their_region(ecr: Any, client: Client) -> None:
    arn = ecr.describe_repositories()["repositories"][0]["repositoryArn"]
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": "vahana:app", "Value": "trial"}])
    found = client("resourcegroupstaggingapi").get_resources(TagFilters=[{"Key": "vahana:app"}])
    assert [each["ResourceARN"] for each in found["ResourceTagMappingList"]] == [arn]
    other = boto3.client("ecr", region_name="eu-west-1")
    made = other.create_repository(repositoryName="trial/web")["repository"]
    assert made["repositoryUri"] == "127.0.0.1:4566/eu-west-1/trial/web"
    pusher = Pusher(ecr)
    pusher.put(pusher.manifest(b"layer"), "v1")
    assert other.describe_images(repositoryName="trial/web")["imageDetails"] == []
    repository, digest = registry.resolve("127.0.0.1:4566/us-east-1/trial/web:v1")
    assert (repository.arn, digest) == (arn, digest_of(pusher.manifest(b"layer")))
    for wrong in ("127.0.0.1:4566/eu-west-1/trial/web:v1", "node:24", "127.0.0.1:4566/us-east-1/none", "A b"):
        with pytest.raises(registry.PullError, match="not found"):
            registry.resolve(wrong)
    assert settings.ACCOUNT_ID in arn
