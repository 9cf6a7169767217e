"""The host images: Debian 13 as an AMI has it, and the same with the services that AWS runs.

A build takes about a minute. Its result is kept twice: in the lab's podman storage, and as an archive in the cache
directory under a hash of everything that goes in, so that a machine that lost its storage gets it back in seconds.
"""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import podman, settings

HERE = Path(__file__).parent
EXTRA_CERTIFICATES = Path("/usr/local/share/ca-certificates")
"""Certificates that this machine trusts besides Debian's: hosts reach the same package registries."""
CERTIFICATE_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

PACKAGES = (
    "ca-certificates",
    "cloud-init",
    "curl",
    "dbus",
    "iproute2",
    "iputils-ping",
    "libpam-systemd",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
    "udev",
    "unattended-upgrades",
)
"""What Debian's AMI has and a host role may rely on, as far as it makes sense in a container."""

ENVIRONMENT = {
    # The one difference between a host here and on AWS that a program sees.
    "AWS_ENDPOINT_URL": settings.HOST_API_URL,
    # Node and OpenSSL do not look where Debian puts added certificates.
    "NODE_EXTRA_CA_CERTS": CERTIFICATE_BUNDLE,
    "SSL_CERT_FILE": CERTIFICATE_BUNDLE,
}

SPACE_NEEDED = 3 * 2**30
"""Bytes that a build takes at its height: the tree, its tar, the images."""

TOOLS = {"mmdebstrap": "mmdebstrap", "podman": "podman", "runc": "runc", "zstd": "zstd"}
"""Commands a build needs, with the Debian package each comes from."""

Say = Callable[[str], None]


class ImageError(RuntimeError):
    """The images could not be made; the text says why and what to do."""


def recipe_hash() -> str:
    """Hash of everything that decides what is in the images (12 hex digits)."""
    digest = hashlib.sha256()
    # This module's own text counts only where it says what goes in.
    recipe = repr((PACKAGES, sorted(ENVIRONMENT.items()), inspect.getsource(_bootstrap), inspect.getsource(_stage)))
    digest.update(recipe.encode())
    sources = [path for path in sorted(HERE.rglob("*")) if path.is_file() and path.suffix not in (".py", ".pyc")]
    modules = sorted((HERE / "rootfs").rglob("*.py"))
    for path in (*sources, *modules, *_extra_certificates()):
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def archive(recipe: str) -> Path:
    """Where the saved images of a recipe are."""
    return settings.cache() / f"host-images-{recipe}.tar.zst"


def present(recipe: str) -> bool:
    """Are both images in podman's storage, and made by this recipe?"""
    return all(_recipe_of(image) == recipe for image in (settings.HOST_IMAGE, settings.SERVICE_IMAGE))


def ensure(say: Say = lambda text: None) -> None:
    """Have both images in podman's storage: leave, load or build them.

    Args:
        say: is told in a few words what is going on, when it takes more than a moment.

    Raises:
        ImageError: a tool is missing, the disk is full, a download failed. Nothing half-made stays.
    """
    recipe = recipe_hash()
    if os.geteuid() != 0:
        raise ImageError("the lab's images need root: run it with sudo")
    _require_tools("podman", "runc")
    if present(recipe):
        return
    settings.cache().mkdir(parents=True, exist_ok=True)
    with _exclusive(say):
        if present(recipe):
            return
        saved = archive(recipe)
        if saved.exists():
            say(f"loading the host images from {saved}")
            _load(saved)
        if not present(recipe):
            _require_tools(*TOOLS)
            _require_space()
            _build(recipe, saved, say)


def _require_tools(*names: str) -> None:
    missing = [TOOLS[name] for name in names if shutil.which(name) is None]
    if missing:
        raise ImageError(f"not installed: {' '.join(missing)}; run: apt install {' '.join(missing)}")


def _require_space() -> None:
    for directory in (settings.cache(), podman.configuration()):
        free = shutil.disk_usage(directory).free
        if free < SPACE_NEEDED:
            raise ImageError(
                f"{directory} has {free / 2**30:.1f} GiB free, building the host images takes"
                f" {SPACE_NEEDED / 2**30:.0f}: free some space, or set XDG_CACHE_HOME and VAHANA_LAB_HOME elsewhere"
            )


@contextmanager
def _exclusive(say: Say) -> Iterator[None]:
    """Let one build run at a time; the second then finds the first one's images."""
    with (settings.cache() / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that builds the host images")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _recipe_of(image: str) -> str:
    done = podman.podman("image", "inspect", "--format", '{{index .Labels "vahana.recipe"}}', image, check=False)
    return done.stdout.strip()


def _extra_certificates() -> list[Path]:
    return sorted(EXTRA_CERTIFICATES.glob("*.crt"))


def _load(saved: Path) -> None:
    try:
        podman.podman("load", "--quiet", "--input", str(saved))
    except podman.PodmanError:
        # A damaged archive is worth nothing: the build writes a new one.
        saved.unlink()


def _build(recipe: str, saved: Path, say: Say) -> None:
    for left in settings.cache().glob("build-*/"):
        _discard(left)
    work = settings.cache() / f"build-{os.getpid()}"
    try:
        work.mkdir()
        say("building the host image (Debian 13), about 40 s")
        base = _bootstrap(work)
        _import(base, recipe)
        say("building the service image (PostgreSQL, HAProxy), about 30 s")
        _run(
            *("podman", "build", "--quiet", "--file", str(HERE / "service.containerfile")),
            *("--build-arg", f"HOST_IMAGE={settings.HOST_IMAGE}", "--label", f"vahana.recipe={recipe}"),
            *("--tag", settings.SERVICE_IMAGE, str(HERE)),
        )
        _save(work, saved)
        # What the new images replaced; those that containers use stay.
        podman.podman("image", "prune", "--force", "--filter", "label=vahana.recipe")
    except OSError as error:
        raise ImageError(f"building the host images failed: {error}") from error
    finally:
        _discard(work)


def _discard(directory: Path) -> None:
    """Remove a build's directory, unless something is mounted below: the removal would reach into that too."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    if below := [mount for mount in mounts if mount.startswith(f"{directory}/")]:
        raise ImageError(f"{directory} still has mounts; undo them first: umount {' '.join(reversed(below))}")
    shutil.rmtree(directory, ignore_errors=True)


def _bootstrap(work: Path) -> Path:
    """Make Debian's file tree with our files in it, as a tar archive."""
    _stage(work / "rootfs")
    tar = work / "debian.tar"
    excluded = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
    scratch = work / "scratch"
    scratch.mkdir()
    _run(
        *("env", f"TMPDIR={scratch}"),
        # mmdebstrap binds this machine's /dev into the tree: in name spaces of its own, both its mounts and its
        # processes are gone whichever way it or this process ends.
        *("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"),
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar", f"--include={','.join(PACKAGES)}"),
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in excluded),
        # The tree is thrown away if the machine goes down: no need to wait for the disk.
        *("--dpkgopt=force-unsafe-io", "--aptopt=Acquire::Languages none"),
        f'--customize-hook=umask 022; cp -r --no-preserve=all {work}/rootfs/. "$1"',
        '--customize-hook=chroot "$1" update-ca-certificates',
        # Each host makes its own at its first boot.
        '--customize-hook=rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/hostname; : > "$1"/etc/machine-id',
        # /usr is as new as these say: no work on caches at the first boot.
        '--customize-hook=touch "$1"/etc/.updated "$1"/var/.updated',
        # A console nobody types at; the disk checks have no disk.
        '--customize-hook=chroot "$1" systemctl mask console-getty.service getty.target'
        " e2scrub_reap.service fstrim.timer systemd-udevd.service",
        *("trixie", str(tar), str(HERE / "debian.sources")),
        cwd=work,
    )
    return tar


def _stage(tree: Path) -> None:
    """Collect the files that make Debian's tree an AMI of the lab."""
    shutil.copytree(HERE / "rootfs", tree)
    plain = "".join(f"{key}={value}\n" for key, value in ENVIRONMENT.items())
    quoted = " ".join(f'"{key}={value}"' for key, value in ENVIRONMENT.items())
    texts = {
        # Logins, services, and commands under sudo: each takes its environment from another place.
        "etc/environment": plain,
        "etc/systemd/system.conf.d/lab.conf": f"[Manager]\nDefaultEnvironment={quoted}\n",
        "etc/sudoers.d/lab": f'Defaults env_keep += "{" ".join(ENVIRONMENT)}"\n',
    }
    for name, text in texts.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for certificate in _extra_certificates():
        target = tree / str(EXTRA_CERTIFICATES).lstrip("/") / certificate.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(certificate, target)


def _import(tar: Path, recipe: str) -> None:
    changes = ('CMD ["/sbin/init"]', "STOPSIGNAL SIGRTMIN+3", f"LABEL vahana.recipe={recipe}")
    arguments = [part for change in changes for part in ("--change", change)]
    _run("podman", "import", "--quiet", *arguments, str(tar), settings.HOST_IMAGE)
    tar.unlink()


def _save(work: Path, saved: Path) -> None:
    """Keep both images in the cache, and no archive of an earlier recipe."""
    plain, packed = work / "images.tar", work / "images.tar.zst"
    _run("podman", "save", "--quiet", "--multi-image-archive", "--output", str(plain),
         settings.HOST_IMAGE, settings.SERVICE_IMAGE)  # fmt: skip
    _run("zstd", "--quiet", "-1", "-T0", "-o", str(packed), str(plain))
    for old in settings.cache().glob("host-images-*.tar.zst"):
        old.unlink()
    packed.replace(saved)


def _run(*command: str, cwd: Path | None = None) -> None:
    """Run a step of the build; its failure is one line."""
    environment = podman.environment()
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode == 0:
        return
    output = done.stdout + done.stderr
    if "No space left on device" in output:
        raise ImageError(
            f"the disk is full: free {SPACE_NEEDED / 2**30:.0f} GiB below {settings.cache()} and"
            f" {podman.configuration()}, or set XDG_CACHE_HOME and VAHANA_LAB_HOME elsewhere"
        )
    errors = [line for line in output.splitlines() if line.startswith(("E:", "Err:", "Error"))]
    reason = (errors or [line for line in output.splitlines() if line.strip()] or ["no output"])[-1].strip()
    raise ImageError(f"building the host images failed at {command[0]}: {reason}")
