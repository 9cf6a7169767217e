"""What images are pushed to and pulled from: ECR's registry, at the API's own address below /v2/.

The part of the distribution specification that podman, buildah, skopeo and Docker need to push and pull
(https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md). A repository's first name is its region, for
one registry serves all of them. Blobs are files below the lab's home; which repository has which, and the manifests,
are in moto's ECR. Whoever logs in with a role's token may do what the role's policies allow.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
import uuid
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from lab import lifecycle, permissions, podman, settings

TOKEN_SECONDS = 12 * 3600
"""https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html"""
CHUNK = 1 << 20
KEPT_SECONDS = 3600
"""How long a blob is kept that no manifest names yet: its push may be under way."""

NAME = r"(?P<region>[a-z0-9-]+)/(?P<name>[a-z0-9._/-]+)"
BLOB = re.compile(rf"/v2/{NAME}/blobs/(?P<digest>sha256:[0-9a-f]{{64}})")
UPLOADS = re.compile(rf"/v2/{NAME}/blobs/uploads/?")
UPLOAD = re.compile(rf"/v2/{NAME}/blobs/uploads/(?P<upload>[0-9a-f]{{32}})")
MANIFEST = re.compile(rf"/v2/{NAME}/manifests/(?P<reference>[A-Za-z0-9_.:-]+)")
TAGS = re.compile(rf"/v2/{NAME}/tags/list")
REFERENCE = re.compile(
    r"(?P<name>[^@:]+(?::\d+)?(?:/[^@:]+)+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)

PUSHING = ("ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage")
PULLING = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
"""https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html"""
READING = {
    ("GET", BLOB): PULLING[1:],
    # A push asks first whether it has to send anything.
    ("HEAD", BLOB): ("ecr:BatchCheckLayerAvailability",),
    ("GET", MANIFEST): PULLING[:1],
    ("HEAD", MANIFEST): PULLING[:1],
    ("GET", TAGS): ("ecr:ListImages",),
}
"""What a request that changes nothing takes, by method and path."""

_endpoint = f"{settings.LOOPBACK}:{settings.API_PORT}"
_directory: Path | None = None
_key = secrets.token_bytes(32)


def follow(endpoint: str, directory: Path | None) -> None:
    """Say where the registry is.

    Args:
        endpoint: host and port of the API.
        directory: where blobs are; None for the lab's home.
    """
    global _endpoint, _directory
    _endpoint, _directory = endpoint, directory


def endpoint() -> str:
    """Host and port that images' names begin with."""
    return _endpoint


def directory() -> Path:
    """Where blobs are."""
    return _directory or settings.home() / "registry"


# Who asks -------------------------------------------------------------------------------------------------------------


def issue(access_key: str) -> str:
    """A password for the registry, for whoever has an access key; it is good until the lab's process ends."""
    until = str(int(time.time()) + TOKEN_SECONDS)
    signed = hmac.new(_key, f"{until} {access_key}".encode(), hashlib.sha256).hexdigest()
    return base64.urlsafe_b64encode(f"{until} {access_key} {signed}".encode()).decode()


def _access_key(environ: dict[str, Any]) -> str | None:
    """The access key that a request's password was issued for; None where it is not valid."""
    try:
        plain = base64.b64decode(str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")[2]).decode()
        user, _, password = plain.partition(":")
        until, key, signed = base64.urlsafe_b64decode(password).decode().split(" ")
    except ValueError:
        return None
    wanted = hmac.new(_key, f"{until} {key}".encode(), hashlib.sha256).hexdigest()
    return key if user == "AWS" and hmac.compare_digest(signed, wanted) and int(until) > time.time() else None


def concerns(environ: dict[str, Any]) -> bool:
    """Is a request the registry's? AWS's own APIs have paths like that, too, but their requests are signed."""
    authorization = str(environ.get("HTTP_AUTHORIZATION", ""))
    return str(environ["PATH_INFO"]).startswith("/v2/") and (not authorization or authorization.startswith("Basic "))


# Answers --------------------------------------------------------------------------------------------------------------


class RefusedError(Exception):
    """A request that is not carried out."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Answer(NamedTuple):
    """What a request gets."""

    status: HTTPStatus
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed
    body: Iterable[bytes] = ()


def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The registry's WSGI application."""
    try:
        made = _answer(environ)
    except RefusedError as refusal:
        text = {"errors": [{"code": refusal.code, "message": refusal.message}]}
        body = json.dumps(text).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        if refusal.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = f'Basic realm="http://{_endpoint}/",service="ecr.amazonaws.com"'
        made = Answer(refusal.status, headers, [body])
    headers = {"Docker-Distribution-Api-Version": "registry/2.0", "Content-Length": "0", **made.headers}
    start_response(f"{made.status.value} {made.status.phrase}", list(headers.items()))
    return made.body if environ["REQUEST_METHOD"] != "HEAD" else []


def _answer(environ: dict[str, Any]) -> Answer:
    key = _access_key(environ)
    if key is None:
        raise RefusedError(HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED", "Not Authorized")
    path, method = str(environ["PATH_INFO"]), str(environ["REQUEST_METHOD"])
    query = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
    if path == "/v2/":
        return Answer(HTTPStatus.OK)
    for pattern, methods in (
        (UPLOAD, {"PATCH": _patch_upload, "PUT": _put_upload}),
        (UPLOADS, {"POST": _start_upload}),
        (BLOB, {"GET": _get_blob, "HEAD": _get_blob}),
        (MANIFEST, {"GET": _get_manifest, "HEAD": _get_manifest, "PUT": _put_manifest}),
        (TAGS, {"GET": _list_tags}),
    ):
        if not (found := pattern.fullmatch(path)):
            continue
        if method not in methods:
            raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED", f"{method} is not supported")
        repository = _repository(found["region"], found["name"])
        for action in READING.get((method, pattern), PUSHING):
            _permit(key, action, repository)
        return methods[method](repository, found.groupdict(), query, environ)
    raise RefusedError(HTTPStatus.NOT_FOUND, "NAME_INVALID", f"invalid path {path}")


def _permit(key: str, action: str, repository: Any) -> None:
    if not permissions.permitted(key, action, repository.arn, repository.region_name):
        raise RefusedError(
            HTTPStatus.FORBIDDEN,
            "DENIED",
            f"User is not authorized to perform: {action} on resource: {repository.arn}",
        )


def _repository(region: str, name: str) -> Any:
    from moto.ecr.models import ecr_backends

    found = ecr_backends[settings.ACCOUNT_ID][region].repositories.get(name) if _is_region(region) else None
    if found is None:
        raise RefusedError(
            HTTPStatus.NOT_FOUND,
            "NAME_UNKNOWN",
            f"The repository with name '{name}' does not exist in the registry with id '{settings.ACCOUNT_ID}'",
        )
    return found


def _is_region(name: str) -> bool:
    from moto.ecr.models import ecr_backends

    return name in ecr_backends[settings.ACCOUNT_ID].regions


# Blobs ----------------------------------------------------------------------------------------------------------------


def _blob(digest: str) -> Path:
    return directory() / "blobs" / digest.partition(":")[2]


def _upload(identifier: str) -> Path:
    return directory() / "uploads" / identifier


def _read(environ: dict[str, Any]) -> Iterator[bytes]:
    """A request's body; of one in chunks the server has put the chunks together."""
    left = int(environ.get("CONTENT_LENGTH") or 0)
    endless = bool(environ.get("wsgi.input_terminated"))
    while endless or left > 0:
        part = environ["wsgi.input"].read(CHUNK if endless else min(CHUNK, left))
        if not part:
            return
        left -= len(part)
        yield part


def _append(path: Path, environ: dict[str, Any]) -> int:
    with path.open("ab") as file:
        for part in _read(environ):
            file.write(part)
        return file.tell()


def _location(found: dict[str, str], upload: str) -> str:
    return f"/v2/{found['region']}/{found['name']}/blobs/uploads/{upload}"


def _start_upload(repository: Any, found: dict[str, str], query: dict[str, str], environ: dict[str, Any]) -> Answer:
    wanted = query.get("mount", "")
    source = query.get("from", "").partition("/")
    if wanted and _is_region(source[0]) and wanted in getattr(_peek(source[0], source[2]), "layers", {}):
        repository.layers[wanted] = _blob(wanted).stat().st_size
        return _created(found, wanted)
    identifier = uuid.uuid4().hex
    path = _upload(identifier)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    if "digest" in query:
        return _put_upload(repository, {**found, "upload": identifier}, query, environ)
    headers = {"Location": _location(found, identifier), "Docker-Upload-UUID": identifier, "Range": "0-0"}
    return Answer(HTTPStatus.ACCEPTED, headers)


def _peek(region: str, name: str) -> Any | None:
    try:
        return _repository(region, name)
    except RefusedError:
        return None


def _known_upload(found: dict[str, str]) -> Path:
    path = _upload(found["upload"])
    if not path.exists():
        raise RefusedError(HTTPStatus.NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", f"no upload {found['upload']}")
    return path


def _patch_upload(_repository: Any, found: dict[str, str], _query: dict[str, str], environ: dict[str, Any]) -> Answer:
    size = _append(_known_upload(found), environ)
    headers = {
        "Location": _location(found, found["upload"]),
        "Docker-Upload-UUID": found["upload"],
        "Range": f"0-{max(0, size - 1)}",
    }
    return Answer(HTTPStatus.ACCEPTED, headers)


def _put_upload(repository: Any, found: dict[str, str], query: dict[str, str], environ: dict[str, Any]) -> Answer:
    path = _known_upload(found)
    size = _append(path, environ)
    with path.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    if digest != query.get("digest"):
        path.unlink()
        raise RefusedError(HTTPStatus.BAD_REQUEST, "DIGEST_INVALID", f"the blob's digest is {digest}")
    target = _blob(digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    path.replace(target)
    repository.layers[digest] = size
    return _created(found, digest)


def _created(found: dict[str, str], digest: str) -> Answer:
    where = f"/v2/{found['region']}/{found['name']}/blobs/{digest}"
    return Answer(HTTPStatus.CREATED, {"Location": where, "Docker-Content-Digest": digest})


def _get_blob(repository: Any, found: dict[str, str], _query: dict[str, str], _environ: dict[str, Any]) -> Answer:
    digest = found["digest"]
    path = _blob(digest)
    if digest not in repository.layers or not path.exists():
        raise RefusedError(HTTPStatus.NOT_FOUND, "BLOB_UNKNOWN", f"no blob {digest} in {repository.name}")
    headers = {
        "Content-Length": str(path.stat().st_size),
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": digest,
    }
    return Answer(HTTPStatus.OK, headers, _parts(path))


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(CHUNK):
            yield part


# Manifests ------------------------------------------------------------------------------------------------------------


def _image(repository: Any, reference: str) -> Any | None:
    """An image by digest or tag."""
    for image in list(repository.images):
        if reference in (image.image_digest, *image.image_tags):
            return image
    return None


def _get_manifest(repository: Any, found: dict[str, str], _query: dict[str, str], _environ: dict[str, Any]) -> Answer:
    image = _image(repository, found["reference"])
    if image is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, "MANIFEST_UNKNOWN", "Requested image not found")
    body = image.image_manifest.encode()
    headers = {
        "Content-Length": str(len(body)),
        "Content-Type": image.image_manifest_media_type,
        "Docker-Content-Digest": image.image_digest,
    }
    return Answer(HTTPStatus.OK, headers, [body])


def _put_manifest(repository: Any, found: dict[str, str], _query: dict[str, str], environ: dict[str, Any]) -> Answer:
    body = b"".join(_read(environ))
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    reference = found["reference"]
    tag = None if reference.startswith("sha256:") else reference
    if tag is None and reference != digest:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "DIGEST_INVALID", f"the manifest's digest is {digest}")
    try:
        manifest = json.loads(body)
    except ValueError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID", str(error)) from error
    parts = [each["digest"] for each in [manifest.get("config"), *manifest.get("layers", [])] if each]
    missing = [each for each in parts if each not in repository.layers]
    missing += [each["digest"] for each in manifest.get("manifests", []) if _image(repository, each["digest"]) is None]
    if missing:
        raise RefusedError(HTTPStatus.NOT_FOUND, "MANIFEST_BLOB_UNKNOWN", f"Layers with digests {missing} do not exist")
    kind = str(environ.get("CONTENT_TYPE") or manifest.get("mediaType"))
    keep_image(repository, body.decode(), kind, digest, tag)
    if repository.lifecycle_policy:
        gone = lifecycle.expired(repository.lifecycle_policy, repository.images, time.time())
        repository.images = [image for image in repository.images if image not in gone]
    sweep()
    where = f"/v2/{found['region']}/{found['name']}/manifests/{digest}"
    return Answer(HTTPStatus.CREATED, {"Location": where, "Docker-Content-Digest": digest})


def keep_image(repository: Any, manifest: str, kind: str, digest: str, tag: str | None) -> None:
    """Have an image in a repository under a tag, which another loses.

    Raises:
        RefusedError: the repository's tags are immutable and another image has it.
    """
    from moto.ecr.models import Image

    image = _image(repository, digest)
    holder = _image(repository, tag) if tag else None
    if holder is not None and holder is not image:
        if repository.is_tag_immutable():
            raise RefusedError(
                HTTPStatus.BAD_REQUEST,
                "TAG_INVALID",
                f"The image tag '{tag}' already exists in the '{repository.name}' repository and cannot be overwritten"
                " because the repository is immutable.",
            )
        holder.remove_tag(tag)
    if image is None:
        repository.images.append(Image(settings.ACCOUNT_ID, tag, manifest, repository.name, kind, digest))
    elif tag:
        image.update_tag(tag)


def _list_tags(repository: Any, found: dict[str, str], _query: dict[str, str], _environ: dict[str, Any]) -> Answer:
    tags = sorted({tag for image in list(repository.images) for tag in image.image_tags})
    body = json.dumps({"name": f"{found['region']}/{found['name']}", "tags": tags}).encode()
    return Answer(HTTPStatus.OK, {"Content-Type": "application/json", "Content-Length": str(len(body))}, [body])


def sweep() -> None:
    """Remove what images that were deleted have left: blobs that no manifest names, and uploads that nobody ends."""
    from moto.ecr.models import ecr_backends

    oldest = time.time() - KEPT_SECONDS
    used: set[str] = set()
    for backend in list(ecr_backends[settings.ACCOUNT_ID].values()):
        for repository in list(backend.repositories.values()):
            named: set[str] = set()
            for image in list(repository.images):
                manifest = json.loads(image.image_manifest)
                named |= {each["digest"] for each in [manifest.get("config"), *manifest.get("layers", [])] if each}
            for digest in list(repository.layers):
                if digest in named or (_blob(digest).exists() and _blob(digest).stat().st_mtime > oldest):
                    used.add(digest.partition(":")[2])
                else:
                    repository.layers.pop(digest, None)
    for folder in ("blobs", "uploads"):
        for path in (directory() / folder).glob("*"):
            if path.name not in used and path.stat().st_mtime < oldest:
                path.unlink()


# Pulling for tasks ----------------------------------------------------------------------------------------------------


class PullError(RuntimeError):
    """An image cannot be had; the text is AWS's, as far as it is known."""


def resolve(image: str) -> tuple[Any, str]:
    """The repository and digest of an image's name.

    Raises:
        PullError: it is not in the lab's registry.
    """
    found = REFERENCE.fullmatch(image)
    host, _, path = (found["name"] if found else "").partition("/")
    region, _, name = path.partition("/")
    repository = _peek(region, name) if host == _endpoint else None
    wanted = found and (found["digest"] or found["tag"] or "latest")
    known = _image(repository, wanted) if repository and wanted else None
    if known is None:
        raise PullError(
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref"
            f" {image}: {image}: not found"
        )
    return repository, str(known.image_digest)


def pull(image: str) -> tuple[str, str]:
    """Have an image in podman's storage; return its name there and its digest.

    Raises:
        PullError: it is not in the lab's registry, or podman cannot pull it.
    """
    repository, digest = resolve(image)
    name = f"{repository.uri}@{digest}"
    if not podman.image_exists(name):
        # The lab itself pulls, with any key: what roles may is asked of their policies beforehand.
        options = ("--quiet", "--tls-verify=false", "--creds", f"AWS:{issue('lab')}")
        try:
            podman.podman("pull", *options, name)
        except podman.PodmanError as error:
            raise PullError(f"CannotPullContainerError: {error}") from error
    return name, digest
