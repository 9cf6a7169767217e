"""Releases on a backend host: getting them, switching between them, and the service that runs them.

* <root>/releases/<version>/: a release; it counts only with its mark `.complete`.
* <root>/current, previous: links to the release in use and the one before.
* <root>/shared/: what outlives releases; the application may write here only.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from backend_host import (
    RUNTIME_DIRECTORY,
    Aws,
    Boot,
    Host,
    HostError,
    check_version,
    compose_environment,
    environment_text,
    say,
    write_file,
)

MARK = ".complete"
NODE = "/usr/local/bin/node"
NPM = "/usr/local/bin/npm"
PATH = "/usr/local/bin:/usr/bin:/bin"
RESERVE = 64 * 2**20
"""Bytes that stay free on the releases' disk, for logs and the database."""
LOG_LINES = 50
PM2_WAITS = "msg=failed to kill - retrying in 100ms"
MARKS = Path("/run/backend-pm2")
"""Where the launcher notes which of the application's processes are ready."""
HEALTHY_ANSWERS = 2
"""Good answers in a row that count as healthy, each over a connection of its own: other workers take them."""
SILENT_ANSWERS = 3
"""Missing answers in a row that count as ill: one may be a busy moment."""
WATCH_SECONDS = 1.0
"""Time between two looks at a release that is watched."""


class Releases:
    """The releases of one application on this host."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._directory = root / "releases"

    def path(self, version: str) -> Path:
        """Where the release is or would be."""
        return self._directory / check_version(version)

    def installed(self) -> list[str]:
        """The complete releases, the one installed last first."""
        marks = sorted(self._directory.glob(f"*/{MARK}"), key=lambda mark: mark.stat().st_mtime_ns, reverse=True)
        return [mark.parent.name for mark in marks if not mark.parent.name.startswith(".")]

    def is_complete(self, version: str) -> bool:
        """Is the release here as a whole?"""
        return (self.path(version) / MARK).is_file()

    @property
    def current(self) -> str | None:
        """The release in use."""
        return self._linked("current")

    @property
    def previous(self) -> str | None:
        """The release that was in use before."""
        return self._linked("previous")

    def _linked(self, name: str) -> str | None:
        try:
            return (self._root / name).readlink().name
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINVAL):
                return None
            raise

    def point(self, current: str | None, previous: str | None) -> None:
        """Set both links. Each changes at once; killed in between, `current` is still the old one."""
        for name, version in (("previous", previous), ("current", current)):
            link = self._root / name
            if version is None:
                link.unlink(missing_ok=True)
                continue
            partial = self._root / f".{name}"
            partial.unlink(missing_ok=True)
            partial.symlink_to(Path("releases") / version)
            partial.replace(link)

    def install(self, version: str, boot: Boot, aws: Aws) -> bool:
        """Have the release here: download, verify, unpack. Nothing half-made is left or ever counts.

        Returns:
            Whether it was not here already.

        Raises:
            HostError: it is not in the bucket, not what its manifest says, or does not fit on the disk.
        """
        target = self.path(version)
        if self.is_complete(version):
            return False
        self._directory.mkdir(parents=True, exist_ok=True)
        self._sweep()
        prefix = f"releases/{version}"
        missing = (
            f"release {version} is not in s3://{boot.releases_bucket}/{prefix}/: build and upload it with "
            f"playbooks/deploy.yml, or name one that is there"
        )
        manifest = _parse_manifest(version, aws.read_object(boot.releases_bucket, f"{prefix}/manifest.json", missing))
        _check_node(version, manifest)
        self._require_space(version, manifest["backend"]["size"])
        archive = self._directory / f".{version}.tar.gz"
        partial = self._directory / f".{version}.partial"
        try:
            key = f"{prefix}/backend.tar.gz"
            checksum = aws.download(boot.releases_bucket, key, archive, missing)
            if checksum != manifest["backend"]["sha256"]:
                raise HostError(
                    f"s3://{boot.releases_bucket}/{key} is damaged: its sha256 is {checksum}, its manifest says "
                    f"{manifest['backend']['sha256']}: upload the release again"
                )
            self._unpack(version, archive, partial)
            # The mark must not be on the disk before what it vouches for: the power may fail in between.
            os.sync()
            (partial / MARK).write_text(checksum + "\n")
            if target.exists():
                shutil.rmtree(target)
            partial.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise HostError(_no_space(self._directory, version)) from error
        finally:
            archive.unlink(missing_ok=True)
            shutil.rmtree(partial, ignore_errors=True)
        return True

    def _unpack(self, version: str, archive: Path, partial: Path) -> None:
        try:
            with tarfile.open(archive, "r:gz") as tar:
                self._require_space(version, sum(_blocks(member.size) for member in tar))
                # "data" refuses paths and links that lead out, and drops owners and special modes.
                tar.extractall(partial, filter="data")
        except (tarfile.TarError, EOFError) as wrong:
            raise HostError(f"release {version} cannot be unpacked ({wrong}): build it again") from wrong

    def _require_space(self, version: str, needed: int) -> None:
        if shutil.disk_usage(self._directory).free < needed + RESERVE:
            raise HostError(_no_space(self._directory, version, needed))

    def _sweep(self) -> None:
        """Remove what an install that was killed left behind."""
        for left in self._directory.iterdir():
            if left.is_symlink() or left.is_file():
                left.unlink()
            elif left.name.startswith(".") or not (left / MARK).exists():
                shutil.rmtree(left)

    def prune(self, keep: int) -> list[str]:
        """Remove the oldest releases beyond `keep`, never the current or the previous one.

        Returns:
            The releases removed.
        """
        pinned = {self.current, self.previous}
        kept = sum(version in pinned for version in self.installed())
        removed = []
        for version in self.installed():
            if version in pinned:
                continue
            kept += 1
            if kept > keep:
                # Without its mark it no longer counts, should this be interrupted.
                (self.path(version) / MARK).unlink()
                shutil.rmtree(self.path(version))
                removed.append(version)
        return removed


def _blocks(size: int) -> int:
    """What a file of that size takes on a disk, with its share of the directory, in bytes."""
    return (size // 4096 + 1) * 4096


def _no_space(directory: Path, version: str, needed: int | None = None) -> str:
    free = shutil.disk_usage(directory).free
    takes = f"release {version} needs {(needed + RESERVE) / 2**20:.0f} MiB, " if needed is not None else ""
    return (
        f"no space for release {version}: {takes}{directory} has {free / 2**20:.0f} MiB free: "
        f"lower backend_keep_releases or take a bigger volume"
    )


def _parse_manifest(version: str, text: bytes) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(text)
        if manifest["version"] != version:
            raise HostError(f"the manifest of release {version} is that of {manifest['version']}: upload it again")
        backend = manifest["backend"]
        manifest["backend"] = {"sha256": str(backend["sha256"]), "size": int(backend["size"])}
    except (ValueError, KeyError, TypeError) as wrong:
        raise HostError(f"the manifest of release {version} is damaged ({wrong!r}): upload it again") from wrong
    return manifest


def _check_node(version: str, manifest: dict[str, Any]) -> None:
    """Refuse a release whose native modules were made for another Node."""
    wanted = str(manifest.get("node") or "").lstrip("v").split(".")[0]
    try:
        found = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise HostError(f"{NODE} does not run ({error}): run playbooks/configure.yml, which installs it") from error
    if wanted and wanted != found.lstrip("v").split(".")[0]:
        raise HostError(
            f"release {version} is built for Node {wanted}, this host has {found}: build it with that Node, or set "
            f"nodejs_version and run playbooks/configure.yml"
        )


# --- the service ---------------------------------------------------------------------------------------------------


class Service:
    """The systemd unit that runs the application."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def is_active(self) -> bool:
        """Does systemd run it (which says nothing of its health)?"""
        return self._property("ActiveState") in ("active", "reloading")

    def is_outdated(self) -> bool:
        """Has something changed on the host that only a restart takes into use, as another version of Node?"""
        pid = self._property("MainPID")
        try:
            started = Path(f"/proc/{pid}").stat().st_ctime
        except OSError:
            return True
        # The links' own time, not their targets': a package is older than its installation.
        return any(path.lstat().st_mtime > started for path in self._host.depends_on if os.path.lexists(path))

    def start_or_reload(self) -> None:
        """Bring what `current` points to into service, without a gap where possible."""
        workers = self.workers()
        for mark in MARKS.glob("ready-*"):
            if mark.name.removeprefix("ready-") not in map(str, workers):
                mark.unlink(missing_ok=True)
        if self.is_active() and not self.is_outdated():
            if self._systemctl("reload").returncode == 0:
                return
            say(f"{self._host.unit} did not reload: restarting it")
        self._systemctl("reset-failed")
        done = self._systemctl("restart")
        if done.returncode != 0:
            raise HostError(f"{self._host.unit} does not start: {done.stderr.strip().splitlines()[0].rstrip('.')}")

    def stop(self) -> None:
        """End it; requests under way are answered first."""
        self._systemctl("stop")

    def health(self, port: int) -> str | None:
        """The release that answers on the health path with 200, None if none does."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
        try:
            connection.request("GET", self._host.health_path, headers={"Connection": "close"})
            response = connection.getresponse()
            if response.status != http.client.OK:
                return None
            return str(json.loads(response.read())["version"])
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return None
        finally:
            connection.close()

    def is_ready(self) -> bool:
        """Has each of the application's processes said so? The launcher notes it, because pm2 goes on without."""
        workers = self.workers()
        return bool(workers) and all((MARKS / f"ready-{worker}").exists() for worker in workers)

    def is_healthy(self, version: str, port: int) -> bool:
        """Is the release ready, and does it answer, again and again?"""
        return self.is_ready() and all(self.health(port) == version for _ in range(HEALTHY_ANSWERS))

    def wait_healthy(self, version: str, port: int) -> None:
        """Wait until the release answers.

        Raises:
            HostError: it does not within the time a start may take; the text says what was seen instead.
        """
        timeout = self._host.health_timeout
        deadline = time.monotonic() + timeout
        while not self.is_healthy(version, port):
            if self._property("ActiveState") == "failed":
                raise HostError(f"release {version} does not run: {self._host.unit} failed")
            if time.monotonic() > deadline:
                seen = self.health(port)
                if seen == version and not self.is_ready():
                    raise HostError(
                        f"release {version} is not ready after {timeout:.0f} s: it answers, and one of its processes "
                        f"did not say process.send('ready')"
                    )
                what = f"release {seen} answers instead" if seen else "nothing answers 200"
                raise HostError(
                    f"release {version} is not healthy after {timeout:.0f} s: {what} on "
                    f"http://127.0.0.1:{port}{self._host.health_path}"
                )
            time.sleep(0.2)

    def workers(self) -> dict[int, str]:
        """The application's processes, which are pm2's own children, by id, with the ticks at which each started."""
        parent = self._property("MainPID")
        found = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                # The name of a process, in parentheses, may hold anything.
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                # Ended in this very moment.
                continue
            # proc(5): after the name come state, ppid, and as the twentieth the start.
            if fields[1] == parent:
                found[int(stat.parent.name)] = fields[19]
        return found

    def watch(self, version: str, port: int, seconds: float) -> None:
        """Look on for a while whether a release that came into service lasts.

        Raises:
            ActivationError: one of its processes ended, or it does not answer any more; with its last lines.
        """
        started, began = time.time(), time.monotonic()
        workers = self.workers()
        silent = 0
        while (elapsed := time.monotonic() - began) < seconds:
            time.sleep(min(WATCH_SECONDS, seconds - elapsed))
            silent = 0 if self.health(port) == version else silent + 1
            ended = workers.items() - self.workers().items()
            if ended or silent >= SILENT_ANSWERS:
                what = "a process of it ended" if ended else f"it does not answer 200 on {self._host.health_path}"
                raise ActivationError(
                    f"release {version} did not last: {what} within {time.monotonic() - began:.0f} s", self.log(started)
                )

    def log(self, since: float) -> list[str]:
        """The last lines the application wrote since a time (seconds of the epoch)."""
        command = ["journalctl", "--unit", self._host.unit, "--output", "cat", "--no-pager"]
        done = subprocess.run(
            [*command, f"--lines={10 * LOG_LINES}", f"--since=@{since:.0f}"],
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        return worth_reading(done.stdout.splitlines())

    def try_out(self, release: Path, environment: dict[str, str]) -> None:
        """Start the release beside the one that serves, on a port of its own, and end it once it has proved its health.

        No visitor meets it. pm2 is no proof: its reload takes the old worker away after a while in any case, also when
        the new one has died, and one that is ready gets its share of the requests, however it answers.

        Raises:
            ActivationError: it is not healthy within the time a start may take; with its last lines.
        """
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            try:
                self._run_trial(release, environment, output)
            except HostError as failure:
                output.seek(0)
                raise ActivationError(str(failure), worth_reading(output.read().splitlines())) from failure

    def _run_trial(self, release: Path, environment: dict[str, str], output: IO[str]) -> None:
        user = pwd.getpwnam(self._host.user)
        port = _free_port()
        ours, theirs = socket.socketpair()
        with (
            ours,
            theirs,
            subprocess.Popen(
                # Nobody else would end it, should this process be killed.
                ["setpriv", "--pdeathsig", "KILL", NODE, release / self._host.entry],
                cwd=release,
                env={
                    "PATH": PATH,
                    "HOME": user.pw_dir,
                    **environment,
                    "PORT": str(port),
                    "APP_VERSION": release.name,
                    # What process.send writes to, as child_process.fork() has it.
                    "NODE_CHANNEL_FD": str(theirs.fileno()),
                },
                user=user.pw_uid,
                group=user.pw_gid,
                extra_groups=[],
                umask=0o027,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            ) as process,
        ):
            try:
                self._wait_proved(release.name, port, process, ours)
            finally:
                # At once: nobody waits for an answer from it.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def _wait_proved(self, version: str, port: int, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        timeout = self._host.health_timeout
        deadline = time.monotonic() + timeout
        channel.setblocking(False)
        messages = b""
        while True:
            with contextlib.suppress(BlockingIOError, ConnectionResetError):
                messages += channel.recv(65536)
            ready, seen = b'"ready"' in messages.splitlines(), self.health(port)
            if ready and seen == version:
                return
            if process.poll() is not None:
                raise HostError(f"release {version} does not run: it ended with code {process.returncode} at its start")
            if time.monotonic() > deadline:
                if not ready:
                    what = f"is not ready after {timeout:.0f} s: it did not say process.send('ready')"
                else:
                    answers = f"release {seen} answers instead" if seen else "nothing answers 200"
                    what = f"is not healthy after {timeout:.0f} s: {answers} on {self._host.health_path}"
                raise HostError(f"release {version} {what}")
            time.sleep(0.1)

    def migrate(self, release: Path, environment: dict[str, str]) -> None:
        """Run the release's `npm run migrate` as the application's user.

        Raises:
            HostError: it failed; the text holds its last lines.
        """
        user = pwd.getpwnam(self._host.user)
        with tempfile.TemporaryDirectory(prefix="migrate-") as home:
            os.chown(home, user.pw_uid, user.pw_gid)
            done = subprocess.run(
                [NPM, "run", "--if-present", "migrate"],
                cwd=release,
                env={
                    "PATH": PATH,
                    "HOME": home,
                    "npm_config_cache": f"{home}/npm",
                    "npm_config_update_notifier": "false",
                    **environment,
                    "APP_VERSION": release.name,
                },
                user=user.pw_uid,
                group=user.pw_gid,
                extra_groups=[],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
            )
        if done.returncode != 0:
            lines = [line for line in done.stdout.splitlines() if line.strip()]
            raise ActivationError(
                f"the migrations of release {release.name} failed; {release.name} was not started", lines[-LOG_LINES:]
            )

    def _property(self, name: str) -> str:
        return self._systemctl("show", "--property", name, "--value").stdout.strip()

    def _systemctl(self, verb: str, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["systemctl", verb, *options, self._host.unit], capture_output=True, text=True, check=False
        )


# --- activation ----------------------------------------------------------------------------------------------------


class ActivationError(HostError):
    """A release did not come into service.

    Attributes:
        log: the application's last lines.
    """

    def __init__(self, message: str, log: list[str]) -> None:
        super().__init__(message)
        self.log = log


@dataclass(frozen=True)
class Activation:
    """Brings a release into service on this host.

    Attributes:
        host, boot: the host's configuration.
        aws: where the secrets come from.
        releases, service: what is changed.
        runtime: directory, in memory, of the application's environment.
        seconds: how long the last activation took to `switch` (reload or start) and until `health` was proved.
    """

    host: Host
    boot: Boot
    aws: Aws
    releases: Releases
    service: Service
    runtime: Path = RUNTIME_DIRECTORY
    seconds: dict[str, float] = field(default_factory=dict)

    def migrate(self, version: str, *, check: bool = False) -> bool:
        """Run the release's migrations while the release in use goes on; they must suit both.

        Args:
            version: a complete release.
            check: change nothing, only tell.

        Returns:
            Whether the release has migrations. What they find done they leave, which cannot be told from outside.

        Raises:
            ActivationError: they failed.
            HostError: they cannot be tried.
        """
        if not self.releases.is_complete(version):
            if check:
                return True
            raise HostError(f"release {version} is not on this host: run backend-release install {version}")
        release = self.releases.path(version)
        if not has_migrations(release):
            return False
        if not check:
            self.service.migrate(release, compose_environment(self.boot, self.aws))
        return True

    def activate(self, version: str, *, migrate: bool, drained: bool = False, check: bool = False) -> bool:
        """Make the release the one that answers, or go back to the one that did.

        The order is: secrets, migrations, trial, environment, links, reload (or start), health. Migrations come while
        the old release still runs: they must suit both.

        Args:
            version: a complete release.
            migrate: run the release's migrations first.
            drained: nobody is sent here meanwhile, so the release is not tried out beside the one that serves.
            check: change nothing, only tell.

        Returns:
            Whether anything was (or would be) changed.

        Raises:
            ActivationError: it failed, and the release that was in use answers again unless the text says otherwise.
            HostError: it cannot be tried; nothing was changed.
        """
        if not self.releases.is_complete(version):
            if check:
                return True
            raise HostError(f"release {version} is not on this host: run backend-release install {version}")
        environment = compose_environment(self.boot, self.aws)
        text = environment_text(environment)
        before = self.releases.current
        if (
            before == version
            and self._read_environment() == text
            and self.service.is_active()
            and not self.service.is_outdated()
            and self.service.is_healthy(version, self.boot.port)
        ):
            return False
        if check:
            return True
        if migrate:
            self.service.migrate(self.releases.path(version), environment)
        if not drained and self.service.is_active():
            try:
                self.service.try_out(self.releases.path(version), environment)
            except ActivationError as failure:
                raise ActivationError(f"{failure}; release {before} goes on as it was", failure.log) from failure
        self._switch(version, text)
        for removed in self.releases.prune(self.host.keep_releases):
            say(f"removed release {removed}")
        return True

    def _switch(self, version: str, text: str) -> None:
        started = time.time()
        before = (self.releases.current, self.releases.previous)
        old_text = self._read_environment()
        fallback = before[0] if before[0] and self.releases.is_complete(before[0]) else None
        previous = before[1] if before[0] == version else before[0]
        try:
            self._write_environment(text)
            self.releases.point(version, previous)
            begun = time.monotonic()
            self.service.start_or_reload()
            switched = time.monotonic()
            self.service.wait_healthy(version, self.boot.port)
            healthy = time.monotonic()
            self.seconds.update(switch=round(switched - begun, 1), health=round(healthy - switched, 1))
        except HostError as failure:
            log = self.service.log(started)
            if fallback is None:
                self.service.stop()
                self.releases.point(*before)
                raise ActivationError(f"{failure}; there is no release to go back to", log) from failure
            if fallback == version:
                self._write_environment(old_text or text)
                self.service.start_or_reload()
                raise ActivationError(f"{failure}; it was the one in use: activate another release", log) from failure
            raise ActivationError(
                f"{failure}; {self._go_back(fallback, before[1], old_text or text)}", log
            ) from failure

    def _go_back(self, fallback: str, previous: str | None, text: str) -> str:
        """Bring the former release back; tell how that went."""
        self._write_environment(text)
        self.releases.point(fallback, previous)
        try:
            self.service.start_or_reload()
            self.service.wait_healthy(fallback, self.boot.port)
        except HostError as failure:
            return f"going back to {fallback} failed too: {failure}"
        return f"went back to {fallback}, which answers"

    @property
    def _environment_file(self) -> Path:
        return self.runtime / "env"

    def _read_environment(self) -> str | None:
        try:
            return self._environment_file.read_text()
        except FileNotFoundError:
            return None

    def _write_environment(self, text: str) -> None:
        group = grp.getgrnam(self.host.user).gr_gid
        self.runtime.mkdir(mode=0o750, exist_ok=True)
        os.chown(self.runtime, -1, group)
        write_file(self._environment_file, text, 0o640, group)


def describe(releases: Releases) -> dict[str, Any]:
    """What is on the host, for `backend-release current`."""
    return {"current": releases.current, "previous": releases.previous, "installed": releases.installed()}


def _free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return int(any_port.getsockname()[1])


def worth_reading(lines: list[str]) -> list[str]:
    """The last lines, without those that pm2 writes ten times a second while a worker finishes its requests."""
    return [line for line in lines if not line.endswith(PM2_WAITS)][-LOG_LINES:]


def has_migrations(release: Path) -> bool:
    """Does the release bring a script `migrate` (docs/backend-contract.md)?"""
    try:
        scripts = json.loads((release / "package.json").read_text()).get("scripts") or {}
    except FileNotFoundError:
        return False
    except (ValueError, AttributeError) as wrong:
        raise HostError(f"{release.name}: package.json cannot be read ({wrong}): build the release again") from wrong
    return bool(scripts.get("migrate"))


def indent(lines: list[str]) -> Iterator[str]:
    """Lines as the part of a message."""
    return (f"  | {line}" for line in lines)
