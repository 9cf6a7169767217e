"""Images of services that repositories have, or get from podman."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from lab.moto_patches import ecr as ecr_patch
from plugins.modules import ecr_images

Run = Callable[..., dict[str, Any]]


def ecr() -> Any:
    return boto3.client("ecr", region_name="us-east-1")


def push(name: str, tag: str, content: str = "") -> None:
    manifest = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [], "annotations": {"is": content}}
    ecr().put_image(repositoryName=f"cars-prod/{name}", imageManifest=json.dumps(manifest), imageTag=tag)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The sources of two services."""
    (tmp_path / "Containerfile").write_text("FROM scratch\n")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "log.js").write_text("log")
    for name in ("auth", "cars"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "package.json").write_text('{"version": "1.2.0"}')
    return tmp_path


@pytest.fixture
def images(run_module: Run, source: Path) -> Run:
    ecr_patch.apply()

    def run(**options: Any) -> dict[str, Any]:
        defaults = {"prefix": "cars-prod/", "services": ["auth", "cars"], "source": str(source)}
        return run_module(ecr_images, **{**defaults, **options})

    return run


@pytest.fixture
def podman(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What podman is asked; what it pushes is there."""
    asked: list[tuple[str, ...]] = []

    def run(*arguments: str, given: str = "") -> None:
        asked.append(arguments)
        if arguments[0] == "push":
            name, _, tag = arguments[-1].rpartition(":")
            push(name.rpartition("/")[2], tag, name)

    monkeypatch.setattr(ecr_images, "run_podman", run)
    return asked


def repositories() -> None:
    for name in ("auth", "cars"):
        ecr().create_repository(repositoryName=f"cars-prod/{name}")


def test_a_plan_needs_no_repository(images: Run, podman: list[tuple[str, ...]]) -> None:
    planned = images(check=True)
    assert planned["changed"] and podman == []
    assert planned["images"]["auth"]["version"].startswith("1.2.0-")
    assert planned["images"]["auth"]["image"] == "(known after apply)"


def test_what_is_missing_is_built_and_named_by_its_digest(images: Run, podman: list[tuple[str, ...]]) -> None:
    repositories()
    made = images()
    assert made["changed"] and [each[0] for each in podman] == ["login", "build", "push", "build", "push"]
    found = ecr().describe_images(repositoryName="cars-prod/auth")["imageDetails"][0]
    auth = made["images"]["auth"]
    assert (auth["digest"], [auth["version"]]) == (found["imageDigest"], found["imageTags"])
    assert auth["image"].endswith(f"/cars-prod/auth@{found['imageDigest']}")
    podman.clear()
    for check in (False, True):
        again = images(check=check)
        assert (again["changed"], again["images"], podman) == (False, made["images"], [])


def test_another_service_keeps_its_version(images: Run, source: Path) -> None:
    before = images(check=True)["images"]
    (source / "cars" / "main.js").write_text("cars")
    (source / "cars" / "node_modules").mkdir()
    after = images(check=True)["images"]
    assert (before["auth"] == after["auth"], before["cars"] == after["cars"]) == (True, False)
    (source / "README.md").write_text("how to start")
    (source / ".dockerignore").write_text("# not in an image\nREADME.md\nContainerfile\n")
    assert images(check=True)["images"] == after
    (source / "Containerfile").write_text("FROM scratch\nUSER 1\n")
    assert images(check=True)["images"]["auth"] != after["auth"]
    (source / "shared" / "log.js").write_text("logs")
    assert images(check=True)["images"]["auth"] != before["auth"]


def test_a_version_that_is_there(images: Run, podman: list[tuple[str, ...]]) -> None:
    repositories()
    push("auth", "1.0.0")
    push("cars", "1.1.0")
    found = images(source="", versions={"auth": "1.0.0", "cars": "1.1.0"})
    assert (found["changed"], found["images"]["auth"]["version"], podman) == (False, "1.0.0", [])


def test_a_version_that_the_sources_make_is_built(images: Run, podman: list[tuple[str, ...]]) -> None:
    repositories()
    versions = {name: each["version"] for name, each in images(check=True)["images"].items()}
    made = images(versions=versions)
    assert (made["changed"], [each[0] for each in podman].count("push")) == (True, 2)
    assert {name: each["version"] for name, each in made["images"].items()} == versions


def test_the_sources_of_another_folder(images: Run, source: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(source, elsewhere)
    (elsewhere / "cars" / "main.js").write_text("cars")
    here, there = (images(check=True, ref=ref, project=str(source))["images"] for ref in ("", str(elsewhere)))
    assert (here["auth"] == there["auth"], here["cars"] == there["cars"]) == (True, False)


def test_a_version_that_is_not_there(images: Run) -> None:
    repositories()
    push("auth", "1.0.0")
    failed = images(versions={"auth": "0.9.0"})
    assert failed["failed"] and failed["msg"] == "there is no version 0.9.0 of auth; there are: 1.0.0"


@pytest.mark.parametrize(
    ("file", "message"),
    [("Containerfile", "which the image of auth is built from"), ("auth/package.json", "auth is built from")],
)
def test_sources_that_are_none(images: Run, source: Path, file: str, message: str) -> None:
    (source / file).unlink()
    assert message in images()["msg"]


def test_neither_a_version_nor_sources(images: Run) -> None:
    assert images(source="")["msg"] == "auth has neither a version nor sources"


def test_podman_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "podman"
    program.write_text("#!/bin/sh\necho no such base image\nexit 125\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ecr_images.ReleaseError, match="podman build failed:\nno such base image"):
        ecr_images.run_podman("build", ".")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(ecr_images.ReleaseError, match="apt install podman"):
        ecr_images.run_podman("build", ".")
