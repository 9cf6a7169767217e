"""Turns the sources of a backend, of functions and a front end into the archives that hosts, Lambda and buckets take.

Where services answer, a release names the version of each: their images are in a registry (the module ecr_images).

The same sources give the same bytes on every machine: archives hold sorted names, no times, no owners and one of two
modes, and nothing of the folder they were made from. That makes a release's name a promise about its content.
"""

from __future__ import annotations

import base64
import fcntl
import fnmatch
import getpass
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RELEASE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
"""A release's name: a folder on hosts, part of a key in S3, a value in Parameter Store."""

IGNORED_ANYWHERE = (
    "node_modules",
    ".git",
    ".DS_Store",
    ".env",
    ".env.local",
    ".env.*.local",
    "*.log",
    "*.sqlite3",
    "*.sqlite3-shm",
    "*.sqlite3-wal",
)
"""Names that are no source wherever they are: what is installed, and what belongs to one machine, its secrets too."""

IGNORED_AT_TOP = ("dist", "coverage")
"""Names that are no source at the top of an application: what a build or a test run leaves there."""

ARCHIVES = {"backend": "backend.tar.gz", "functions": "functions.zip", "frontend": "frontend.tar.gz"}
"""The archives of a release, by the role of their sources."""
SERVICES = "services"
"""The role of the services' sources, which become images and no archive; what a manifest calls their versions."""
IMAGE_IGNORE = ".dockerignore"
FUNCTIONS_RELEASE = "release.json"
"""What tells functions which release they are: a version of a function keeps its environment, and has no folder."""
MANIFEST = "manifest.json"

_RECIPE = 1
"""Part of every digest: raise it when archives are made differently, or releases made before keep their old content."""

_TMP_PREFIX = ".building-"
_LOCK_FILES = ("package-lock.json", "npm-shrinkwrap.json")
_LOG_LINES = 20
_TEST_LOG_LINES = 50

PASSED, NOT_RUN, NONE = "passed", "not run", "none"
"""What a manifest says of the tests: they passed, nobody asked for them, or the applications have no script "test"."""

_IDENTITY = ("version", "source", SERVICES, *ARCHIVES)
"""What of a manifest two builds of the same sources have in common; the rest says who built it, when and with what."""


class ReleaseError(Exception):
    """A release cannot be made, found or trusted; the text says what to do."""


@dataclass(frozen=True)
class SourceFile:
    """One file of an application's sources.

    Attributes:
        path: relative to the application, with forward slashes.
        executable: whether its owner may execute it.
        link: target of a symbolic link, empty for a file.
    """

    path: str
    executable: bool
    link: str

    def digest(self, root: Path) -> str:
        """Return the sha256 (hex) of its content, or of where it leads."""
        content = self.link.encode() if self.link else (root / self.path).read_bytes()
        return hashlib.sha256(content).hexdigest()


def list_sources(root: Path) -> list[SourceFile]:
    """List the source files of an application, sorted by path.

    Raises:
        ReleaseError: a symbolic link leads out of the application.
    """
    found: list[SourceFile] = []
    for directory, folders, files in os.walk(root):
        here = Path(directory)
        relative = here.relative_to(root)
        ignored = IGNORED_ANYWHERE + (IGNORED_AT_TOP if here == root else ())
        folders[:] = [name for name in folders if not _matches(name, ignored)]
        links = [name for name in folders if (here / name).is_symlink()]
        for name in [*links, *(name for name in files if not _matches(name, ignored))]:
            path = here / name
            link = str(path.readlink()) if path.is_symlink() else ""
            if link and not _stays_inside(root, path):
                raise ReleaseError(f"{path} is a link out of {root}; put the file itself there")
            if link or path.is_file():
                executable = not link and bool(path.stat().st_mode & 0o100)
                found.append(SourceFile((relative / name).as_posix(), executable, link))
    return sorted(found, key=lambda file: file.path.encode())


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _stays_inside(root: Path, link: Path) -> bool:
    return not link.readlink().is_absolute() and link.resolve().is_relative_to(root.resolve())


def digest_sources(sources: Mapping[str, Path]) -> str:
    """Return the sha256 (hex) of the sources of all applications, each under its role (:data:`ARCHIVES`).

    Names, contents, links and the executable bit count; times, owners, other mode bits and the folder's place do not.
    """
    digest = hashlib.sha256(f"recipe {_RECIPE}\n".encode())
    for role in sorted(sources):
        for file in list_sources(sources[role]):
            kind = "link" if file.link else "program" if file.executable else "file"
            line = json.dumps([role, file.path, kind, file.digest(sources[role])])
            digest.update(f"{line}\n".encode())
    return digest.hexdigest()


def check_sources(sources: Mapping[str, Path], start_file: str) -> list[str]:
    """Return what keeps these applications from being built, each with its mend; empty when nothing does."""
    problems: list[str] = []
    backend = sources.get("backend")
    package = _read_package(backend, "backend", problems) if backend else None
    if backend and package is not None:
        if not (backend / start_file).is_file():
            problems.append(
                f"the backend has no {start_file}, the file it is started with; create it or set release_start_file"
            )
        if "migrate" not in _scripts(package):
            problems.append(
                f'{backend}/package.json has no script "migrate"; add one that brings the database up to date and may '
                'run again, or that does nothing, e.g. "migrate": "node -e \'\'"'
            )
    if SERVICES in sources:
        _read_package(sources[SERVICES], SERVICES, problems)
    for role, example in (("functions", "node build.js"), ("frontend", "vite build")):
        if role not in sources:
            continue
        package = _read_package(sources[role], role, problems)
        if package is not None and "build" not in _scripts(package):
            problems.append(
                f'{sources[role]}/package.json has no script "build"; add one that builds into dist/, e.g. "{example}"'
            )
    return problems


def _read_package(source: Path, role: str, problems: list[str]) -> dict[str, Any] | None:
    """Read package.json; None, with the reason added to ``problems``, when there is none to use."""
    file = source / "package.json"
    if not source.is_dir():
        problems.append(f"the folder of the {role}, {source}, does not exist; set release_{role}_source")
        return None
    if not file.is_file():
        problems.append(f"{file} is missing; run `npm init` in {source}")
        return None
    if not any((source / name).is_file() for name in _LOCK_FILES):
        problems.append(
            f"{source} has no package-lock.json, so what it depends on is not fixed; "
            "run `npm install` there and commit the file"
        )
    try:
        package = json.loads(file.read_text())
    except ValueError as error:
        problems.append(f"{file} is not valid JSON ({error}); mend it")
        return None
    if not isinstance(package, dict):
        problems.append(f"{file} does not hold a JSON object; mend it")
        return None
    return package


def _scripts(package: Mapping[str, Any]) -> Mapping[str, Any]:
    scripts = package.get("scripts")
    return scripts if isinstance(scripts, dict) else {}


def has_tests(source: Path) -> bool:
    """Say whether an application has a script "test"."""
    return "test" in _scripts(json.loads((source / "package.json").read_text()))


def default_version(application: Path, digest: str) -> str:
    """Return the name of what these sources make: the version of an application and the digest's first 12 digits.

    Raises:
        ReleaseError: package.json's version cannot be part of a name.
    """
    version = str(json.loads((application / "package.json").read_text()).get("version") or "0.0.0")
    name = f"{version}-{digest[:12]}"
    if not RELEASE_NAME.fullmatch(name):
        raise ReleaseError(f"{application}/package.json: version '{version}' is not usable; write one like 1.4.0")
    return name


def service_version(source: Path, service: str, services: Sequence[str]) -> str:
    """Return the version of a service that these sources make, of what goes into its image and nothing else.

    Args:
        source: folder with a Containerfile, a folder for each service and what they share.
        service: the service.
        services: names of all; of the others' folders nothing goes into the image.

    Raises:
        ReleaseError: there is nothing to build it from, or package.json's version cannot be part of a name.
    """
    for needed in (source / "Containerfile", source / service / "package.json"):
        if not needed.is_file():
            raise ReleaseError(f"{needed} is missing, which the image of {service} is built from")
    left_out = (set(services) - {service}) | _left_out_of_images(source)
    digest = hashlib.sha256()
    for file in list_sources(source):
        if file.path.partition("/")[0] in left_out:
            continue
        line = json.dumps([file.path, file.executable, bool(file.link), file.digest(source)])
        digest.update(f"{line}\n".encode())
    return default_version(source / service, digest.hexdigest())


def _left_out_of_images(source: Path) -> set[str]:
    """Return the names at the top of the sources that are in no image, podman-build(1), "Files".

    Its patterns can do more than names; what one of those leaves out only makes a version that nobody would need.
    """
    file = source / IMAGE_IGNORE
    lines = file.read_text().splitlines() if file.is_file() else []
    names = {name for line in lines if (name := line.strip().strip("/"))}
    # How an image is made is in none, and makes it another.
    return (names | {IMAGE_IGNORE}) - {"Containerfile"}


@dataclass(frozen=True)
class Npm:
    """The npm to build with.

    Attributes:
        path: its executable. The node beside it is the one that everything runs with.
    """

    path: Path

    def run(self, arguments: Sequence[str], directory: Path, lines: int = _LOG_LINES) -> str:
        """Run npm in a folder and return what it printed.

        Raises:
            ReleaseError: it failed; the text ends with its last ``lines``.
        """
        command = [str(self.path), *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=directory,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as error:
            raise ReleaseError(f"{self.path} does not run ({error}); install Node.js 24 with npm") from error
        if done.returncode != 0:
            tail = "\n".join(done.stdout.strip().splitlines()[-lines:])
            raise ReleaseError(f"`npm {' '.join(arguments)}` failed with exit code {done.returncode}:\n{tail}")
        return done.stdout

    def versions(self) -> dict[str, str]:
        """Return the versions of Node.js and npm, e.g. ``{"node": "24.19.0", "npm": "11.5.1"}``.

        Native modules are built for the major version of Node.js.

        Raises:
            ReleaseError: there is no node where npm is, nor on PATH.
        """
        environment = self._environment()
        node = shutil.which("node", path=environment["PATH"])
        if node is None:
            raise ReleaseError(f"there is no node beside {self.path} nor on PATH; install Node.js 24")

        def version(program: str) -> str:
            # What npm has to say beside it goes to stderr.
            done = subprocess.run(
                [program, "--version"],
                env=environment,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                check=True,
            )
            return done.stdout.strip().removeprefix("v")

        return {"node": version(node), "npm": version(str(self.path))}

    def _environment(self) -> dict[str, str]:
        # Packages may run code of their own while they are installed: it gets no credentials of ours.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment["PATH"] = f"{self.path.parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
        # What tools put into their output when asked for the time or the language.
        environment.update(CI="true", LC_ALL="C.UTF-8", TZ="UTC", SOURCE_DATE_EPOCH="0", NO_COLOR="1")
        environment.pop("NODE_ENV", None)
        return environment


def pack(directory: Path, archive: Path) -> dict[str, Any]:
    """Write the files below a folder into a .tar.gz whose bytes depend on their names and contents only.

    Returns:
        {"sha256": hex, "size": bytes} of the archive.
    """
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(directory.rglob("*"), key=lambda path: path.relative_to(directory).as_posix().encode()):
            info = tarfile.TarInfo(path.relative_to(directory).as_posix())
            if path.is_symlink():
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
                tar.addfile(info)
            elif path.is_dir():
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            else:
                stat = path.stat()
                info.size, info.mode = stat.st_size, 0o755 if stat.st_mode & 0o100 else 0o644
                with path.open("rb") as content:
                    tar.addfile(info, content)
    return describe(archive)


def pack_zip(directory: Path, archive: Path) -> dict[str, Any]:
    """Write the files below a folder into a .zip whose bytes depend on their names and contents only.

    Returns:
        {"sha256": hex, "size": bytes} of the archive.
    """
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    write_zip(archive, {path.relative_to(directory).as_posix(): path for path in files})
    return describe(archive)


def write_zip(archive: Path | io.BytesIO, files: Mapping[str, Path]) -> None:
    """Write files by their names in the archive; no times, no owners, and one of two modes."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name, path in files.items():
            # The earliest time that a zip can say; 0o100644 or 0o100755 as on Unix.
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.compress_type = 3, zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if path.stat().st_mode & 0o100 else 0o100644) << 16
            packed.writestr(entry, path.read_bytes())


def describe(archive: Path) -> dict[str, Any]:
    """Return {"sha256": hex, "size": bytes} of a file."""
    with archive.open("rb") as content:
        return {"sha256": hashlib.file_digest(content, "sha256").hexdigest(), "size": archive.stat().st_size}


@dataclass(frozen=True)
class LocalRelease:
    """A built release in the folder of builds."""

    directory: Path
    manifest: dict[str, Any]

    @property
    def archives(self) -> dict[str, Path]:
        """Files by the manifest's key for them."""
        return {role: self.directory / name for role, name in ARCHIVES.items() if self.manifest.get(role)}


def read_local(dist: Path, version: str) -> LocalRelease | None:
    """Return a release from the folder of builds, None when it is absent or not whole."""
    directory = dist / version
    try:
        manifest = json.loads((directory / MANIFEST).read_text())
        release = LocalRelease(directory, manifest)
        whole = manifest["version"] == version and all(
            describe(archive) == manifest[role] for role, archive in release.archives.items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return release if whole else None


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """Return a manifest as it is written to a file or a bucket."""
    return json.dumps(manifest, indent=2, sort_keys=True) + "\n"


def identity(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a manifest that of a release: equal for two builds of the same sources, whoever made them."""
    return {name: manifest.get(name) for name in _IDENTITY}


def is_tested(manifest: Mapping[str, Any]) -> bool:
    """Say whether the sources passed their tests when the release was built, or have none."""
    return manifest.get("tests") in (PASSED, NONE)


def builder() -> str:
    """Return who builds: ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container's user need not have a name.
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def build(
    dist: Path,
    version: str,
    digest: str,
    sources: Mapping[str, Path],
    npm: Npm,
    *,
    services: Sequence[str] = (),
    tests: bool = False,
    commit: str = "",
) -> LocalRelease:
    """Build a release from sources into ``dist/<version>``, all at once or not at all.

    Args:
        dist: folder of builds.
        version: name of the release.
        digest: of the sources.
        sources: folders by role; there is a backend, or there are services.
        npm: what to build with.
        services: names of the services, whose versions the manifest tells.
        tests: whether the sources have to pass their tests.
        commit: that the sources are of, for the manifest.

    Raises:
        ReleaseError: npm or a test failed, the front end made no page, or the two applications want the same file.
    """
    with tempfile.TemporaryDirectory(prefix=_TMP_PREFIX, dir=dist) as temporary:
        work = Path(temporary)
        backend, functions, frontend = (sources.get(role) for role in ARCHIVES)
        with ThreadPoolExecutor(max_workers=2) as pool:
            app = pool.submit(_install_backend, backend, work / "backend", npm) if backend else None
            code = pool.submit(_build_functions, sources, work / "lambda", npm, version) if functions else None
            pages = pool.submit(_build_frontend, frontend, work / "frontend", npm) if frontend else None
            tested = pool.submit(_test_all, sources, work / "tests", npm) if tests else None
            app_directory = app.result() if app else None
            code_directory = code.result() if code else None
            pages_directory = pages.result() if pages else None
            test_result = tested.result() if tested else NOT_RUN
        output = work / "release"
        output.mkdir()
        manifest: dict[str, Any] = {
            "version": version,
            "source": digest,
            "commit": commit,
            "builder": builder(),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            **npm.versions(),
            "tests": test_result,
            "backend": None,
            "functions": None,
            "frontend": None,
        }
        if services:
            manifest[SERVICES] = {name: service_version(sources[SERVICES], name, services) for name in services}
        if code_directory:
            manifest["functions"] = pack_zip(code_directory, output / ARCHIVES["functions"])
        if pages_directory:
            manifest["frontend"] = pack(pages_directory, output / ARCHIVES["frontend"])
            if app_directory:
                _add_pages(pages_directory, app_directory / "public")
        if app_directory:
            manifest["backend"] = pack(app_directory, output / ARCHIVES["backend"])
        (output / MANIFEST).write_text(manifest_text(manifest))
        target = dist / version
        if target.exists():
            shutil.rmtree(target)
        output.rename(target)
    return LocalRelease(target, manifest)


def _copy_sources(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for file in list_sources(source):
        destination = target / file.path
        destination.parent.mkdir(parents=True, exist_ok=True)
        if file.link:
            destination.symlink_to(file.link)
        else:
            shutil.copyfile(source / file.path, destination)
            destination.chmod(0o755 if file.executable else 0o644)


def _install_backend(source: Path, target: Path, npm: Npm) -> Path:
    _copy_sources(source, target)
    npm.run(["ci", "--omit=dev", "--no-audit", "--no-fund"], target)
    # npm's note of what it installed names the registry of this machine; nothing reads it at run time.
    (target / "node_modules" / ".package-lock.json").unlink(missing_ok=True)
    shutil.rmtree(target / "node_modules" / ".cache", ignore_errors=True)
    return target


def _build_frontend(source: Path, target: Path, npm: Npm) -> Path:
    _copy_sources(source, target)
    npm.run(["ci", "--include=dev", "--no-audit", "--no-fund"], target)
    npm.run(["run", "build"], target)
    pages = target / "dist"
    if not (pages / "index.html").is_file():
        raise ReleaseError(f"`npm run build` of {source} made no dist/index.html; let it build into dist/")
    return pages


def _build_functions(sources: Mapping[str, Path], target: Path, npm: Npm, version: str) -> Path:
    """Build the functions in a copy beside one of the backend, from which they may import as ``../backend``."""
    for role in ("backend", "functions"):
        _copy_sources(sources[role], target / role)
    copy = target / "functions"
    npm.run(["ci", "--include=dev", "--no-audit", "--no-fund"], copy)
    npm.run(["run", "build"], copy)
    code = copy / "dist"
    if not code.is_dir() or not any(code.iterdir()):
        raise ReleaseError(f"`npm run build` of {sources['functions']} made no dist/; let it build into dist/")
    (code / FUNCTIONS_RELEASE).write_text(f"{json.dumps({'version': version})}\n")
    return code


def run_tests(dist: Path, sources: Mapping[str, Path], npm: Npm) -> str:
    """Run the tests of sources that are built already; return what :data:`PASSED` and its like mean.

    Raises:
        ReleaseError: one failed.
    """
    with tempfile.TemporaryDirectory(prefix=_TMP_PREFIX, dir=dist) as temporary:
        return _test_all(sources, Path(temporary) / "tests", npm)


def _test_all(sources: Mapping[str, Path], target: Path, npm: Npm) -> str:
    """Run the tests in copies of their own, side by side: what they leave there is in no archive.

    Those of services need a database each, which who builds need not have.
    """
    result = NONE
    tested = {role: source for role, source in sources.items() if role != SERVICES}
    for role, source in tested.items():
        _copy_sources(source, target / role)
    for role, source in tested.items():
        if not has_tests(source):
            continue
        copy = target / role
        npm.run(["ci", "--include=dev", "--no-audit", "--no-fund"], copy)
        try:
            npm.run(["test"], copy, _TEST_LOG_LINES)
        except ReleaseError as error:
            raise ReleaseError(f"the {role} does not pass its tests, so nothing is released: {error}") from error
        result = PASSED
    return result


def _add_pages(pages: Path, public: Path) -> None:
    """Put the built front end where the backend serves it from."""
    for path in sorted(pages.rglob("*")):
        target = public / path.relative_to(pages)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        if target.exists():
            name = target.relative_to(public.parent)
            raise ReleaseError(f"the backend has {name} and the built front end brings it too; remove one of them")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


@contextmanager
def builds_locked(dist: Path) -> Iterator[None]:
    """Keep other builds out of the folder of builds, and clear what one that was killed left there."""
    dist.mkdir(parents=True, exist_ok=True)
    with (dist / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in dist.glob(f"{_TMP_PREFIX}*"):
            shutil.rmtree(left)
        yield


def prune(dist: Path, keep: int, version: str) -> list[str]:
    """Delete the oldest builds beyond ``keep``, never ``version``; return the names of those deleted."""
    builds = [path.parent for path in dist.glob(f"*/{MANIFEST}") if path.parent.name != version]
    builds.sort(key=lambda path: (path / MANIFEST).stat().st_mtime, reverse=True)
    surplus = builds[max(keep - 1, 0) :]
    for directory in surplus:
        shutil.rmtree(directory)
    return sorted(directory.name for directory in surplus)


class ReleaseBucket:
    """The releases in a bucket: ``<prefix>/<version>/``, with a manifest and :data:`ARCHIVES`.

    A release is there when its manifest is, which is written last and never rewritten.
    """

    def __init__(self, client: Any, bucket: str, prefix: str = "releases") -> None:
        """Take a boto3 S3 client, the bucket's name and the folder of releases in it."""
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    def key(self, version: str, name: str) -> str:
        """Return the key of one file of a release."""
        return f"{self._prefix}/{version}/{name}"

    def manifest(self, version: str) -> dict[str, Any] | None:
        """Return a release's manifest, None when the release is not there.

        Raises:
            ReleaseError: what is there is no manifest of this release.
        """
        key = self.key(version, MANIFEST)
        try:
            text = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except self._client.exceptions.NoSuchKey:
            return None
        try:
            manifest: dict[str, Any] = json.loads(text)
            answers = manifest.get(SERVICES) or manifest["backend"]["sha256"]
            sound = manifest["version"] == version and len(answers) > 0
        except (ValueError, KeyError, TypeError):
            sound = False
        if not sound:
            raise ReleaseError(
                f"s3://{self._bucket}/{key} is not the manifest of release {version}; delete it and run again"
            )
        return manifest

    def versions(self) -> list[str]:
        """Return the names of all releases, the newest first."""
        return [version for version, _time in self.published()]

    def published(self) -> list[tuple[str, datetime]]:
        """Return the names of all releases and when each was uploaded, the newest first."""
        found = []
        for page in self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{self._prefix}/"
        ):
            for item in page.get("Contents", []):
                folder, _, name = item["Key"].removeprefix(f"{self._prefix}/").rpartition("/")
                if name == MANIFEST:
                    found.append((folder, item["LastModified"]))
        return sorted(found, key=lambda release: (release[1], release[0]), reverse=True)

    def missing(self, manifest: Mapping[str, Any]) -> list[str]:
        """Return which archives (by role) are not in the bucket as the manifest has them."""
        return [
            role
            for role, name in ARCHIVES.items()
            if manifest.get(role) and not self._holds(self.key(manifest["version"], name), manifest[role])
        ]

    def _holds(self, key: str, expected: Mapping[str, Any]) -> bool:
        try:
            head = self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        except self._client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey", "NoSuchBucket"):
                return False
            raise
        if head["ContentLength"] != expected["size"]:
            return False
        checksum = head.get("ChecksumSHA256")
        if checksum and "-" not in checksum:
            return bool(base64.b64decode(checksum).hex() == expected["sha256"])
        # Uploaded by something that left no checksum of the whole.
        body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"]
        digest = hashlib.sha256()
        for chunk in body.iter_chunks(1 << 20):
            digest.update(chunk)
        return bool(digest.hexdigest() == expected["sha256"])

    def upload(self, release: LocalRelease, roles: Sequence[str], with_manifest: bool) -> list[str]:
        """Upload archives of a release, then its manifest; return the keys written.

        S3 itself compares each archive with its sha256. When another run publishes the same release meanwhile, the
        first one wins.

        Raises:
            ReleaseError: the release was published meanwhile with other content.
        """
        version = release.manifest["version"]
        written = []
        for role in roles:
            archive = release.archives[role]
            key = self.key(version, archive.name)
            with archive.open("rb") as body:
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=body,
                    ContentType="application/zip" if archive.suffix == ".zip" else "application/gzip",
                    ChecksumAlgorithm="SHA256",
                    ChecksumSHA256=base64.b64encode(bytes.fromhex(release.manifest[role]["sha256"])).decode(),
                )
            written.append(key)
        return written + (self._publish(release.manifest) if with_manifest else [])

    def copy(
        self, source: ReleaseBucket, manifest: Mapping[str, Any], roles: Sequence[str], with_manifest: bool
    ) -> list[str]:
        """Copy archives of a release from a bucket, of whatever region, then its manifest; return the keys written.

        S3 copies by itself, nothing comes through here. When another run publishes the same release meanwhile, the
        first one wins.

        Raises:
            ReleaseError: what arrived is not what the manifest says, or the release was published meanwhile with other
                content.
        """
        version = manifest["version"]
        written = []
        for role in roles:
            name = ARCHIVES[role]
            self._client.copy_object(
                Bucket=self._bucket,
                Key=self.key(version, name),
                CopySource={"Bucket": source._bucket, "Key": source.key(version, name)},
                ChecksumAlgorithm="SHA256",
            )
            written.append(self.key(version, name))
        if damaged := self.missing(manifest):
            raise ReleaseError(
                f"the {' and '.join(damaged)} of release {version} was changed in s3://{source._bucket} while it was "
                "copied; run again"
            )
        return written + (self._publish(manifest) if with_manifest else [])

    def _publish(self, manifest: Mapping[str, Any]) -> list[str]:
        """Write the manifest unless there is one; return its key when it was written.

        Raises:
            ReleaseError: the one that is there is of a release with other content.
        """
        key = self.key(manifest["version"], MANIFEST)
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=manifest_text(manifest).encode(),
                ContentType="application/json",
                IfNoneMatch="*",
            )
        except self._client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise
            if identity(self.manifest(manifest["version"]) or {}) != identity(manifest):
                raise ReleaseError(
                    f"another run has published a different release {manifest['version']} meanwhile; run again"
                ) from error
            return []
        return [key]

    def archive(self, manifest: Mapping[str, Any], role: str) -> bytes:
        """Return the content of one archive of a release.

        Raises:
            ReleaseError: it is not what the manifest says.
        """
        key = self.key(manifest["version"], ARCHIVES[role])
        try:
            content: bytes = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except self._client.exceptions.NoSuchKey as error:
            raise ReleaseError(f"s3://{self._bucket}/{key} is missing; build the release again") from error
        if hashlib.sha256(content).hexdigest() != manifest[role]["sha256"]:
            raise ReleaseError(f"s3://{self._bucket}/{key} is not what its manifest says; delete it and build again")
        return content
