"""Installing releases, switching between them and going back."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import backend_releases
import pytest
from backend_host import Aws, Boot, Host, HostError, compose_environment, environment_text
from backend_releases import Activation, ActivationError, Releases, Service

from tests.unit.hosts.builders import archive, set_up_environment, upload

REAL_NODE = Path(sys.executable).parent / "node"
READY = "process.send('ready');"
SERVER = """
require('node:fs').writeFileSync('pid', `${{process.pid}}`);
{before}
const server = require('node:http').createServer((request, response) => {{
  response.writeHead({status});
  response.end(JSON.stringify({{ version: process.env.APP_VERSION }}));
}});
server.listen(process.env.PORT, () => {{ console.log('listens'); {ready} }});
"""


@pytest.fixture
def releases(host: Host) -> Releases:
    """No release is installed."""
    return Releases(host.root)


class TestInstall:
    def test_unpacks_and_marks(self, releases: Releases, boot: Boot, aws: Aws) -> None:
        data = archive({"src/server.js": "code"}, {"node_modules/.bin/x": "../x/cli.js"})
        upload("1.0.0", data)
        assert releases.install("1.0.0", boot, aws)
        assert (releases.path("1.0.0") / "src/server.js").read_text() == "code"
        assert releases.is_complete("1.0.0")
        assert not releases.install("1.0.0", boot, aws)

    def test_marks_what_is_on_the_disk(
        self, releases: Releases, boot: Boot, aws: Aws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upload("1.0.0")
        partial = releases.path("1.0.0").with_name(".1.0.0.partial")
        synced = []
        monkeypatch.setattr(os, "sync", lambda: synced.append(sorted(path.name for path in partial.rglob("*"))))
        releases.install("1.0.0", boot, aws)
        assert synced == [["server.js", "src"]]

    def test_release_that_is_not_in_the_bucket(self, releases: Releases, boot: Boot, aws: Aws) -> None:
        with pytest.raises(HostError, match=r"release 9 is not in s3://releases/releases/9/: build and upload it"):
            releases.install("9", boot, aws)

    def test_wrong_checksum(self, releases: Releases, boot: Boot, aws: Aws) -> None:
        upload("1.0.0", backend={"sha256": "0" * 64, "size": 1})
        with pytest.raises(HostError, match="is damaged: its sha256 is"):
            releases.install("1.0.0", boot, aws)
        assert list(releases.path("1.0.0").parent.iterdir()) == []

    def test_archive_that_leads_out(self, releases: Releases, boot: Boot, aws: Aws) -> None:
        upload("1.0.0", archive({"../../evil": "x"}))
        with pytest.raises(HostError, match="cannot be unpacked"):
            releases.install("1.0.0", boot, aws)
        assert releases.installed() == []

    def test_archive_that_is_none(self, releases: Releases, boot: Boot, aws: Aws) -> None:
        upload("1.0.0", b"not gzip")
        with pytest.raises(HostError, match="cannot be unpacked"):
            releases.install("1.0.0", boot, aws)

    @pytest.mark.parametrize("manifest", [{"version": "2.0.0"}, {"backend": {}}, {"backend": None}])
    def test_bad_manifest(self, releases: Releases, boot: Boot, aws: Aws, manifest: dict[str, object]) -> None:
        upload("1.0.0", **manifest)
        with pytest.raises(HostError, match=r"manifest of release 1\.0\.0 is"):
            releases.install("1.0.0", boot, aws)

    def test_foreign_node(self, releases: Releases, boot: Boot, aws: Aws) -> None:
        upload("1.0.0", node="v22.1.0")
        with pytest.raises(HostError, match=r"built for Node 22, this host has v24\.21\.0"):
            releases.install("1.0.0", boot, aws)

    def test_disk_nearly_full(self, releases: Releases, boot: Boot, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
        upload("1.0.0")
        usage = shutil.disk_usage("/")._replace(free=10 * 2**20)
        monkeypatch.setattr(backend_releases.shutil, "disk_usage", lambda path: usage)
        with pytest.raises(HostError, match=r"no space for release 1\.0\.0: .*10 MiB free"):
            releases.install("1.0.0", boot, aws)

    def test_leftovers_do_not_count_and_go(self, releases: Releases, boot: Boot, aws: Aws) -> None:
        killed = releases.path("1.0.0")
        killed.mkdir()
        (killed.parent / ".0.9.partial").mkdir()
        (killed.parent / ".0.9.tar.gz").write_text("")
        assert releases.installed() == []
        upload("1.0.0")
        assert releases.install("1.0.0", boot, aws)
        assert [path.name for path in killed.parent.iterdir()] == ["1.0.0"]


def test_prune_never_takes_current_or_previous(releases: Releases, boot: Boot, aws: Aws) -> None:
    for number in range(6):
        upload(f"1.{number}")
        releases.install(f"1.{number}", boot, aws)
    releases.point("1.0", "1.1")
    assert set(releases.prune(3)) == {"1.2", "1.3", "1.4"}
    assert set(releases.installed()) == {"1.0", "1.1", "1.5"}
    assert set(releases.prune(0)) == {"1.5"}


def test_the_cause_is_not_lost_in_what_pm2_says_of_its_waiting() -> None:
    waits = [f"12:00:00: PM2 log: pid=1 {backend_releases.PM2_WAITS}"] * 100
    lines = [f"line {number}" for number in range(60)]
    assert backend_releases.worth_reading(["Error: out of cheese", *waits]) == ["Error: out of cheese"]
    assert backend_releases.worth_reading([*lines, *waits]) == lines[10:]


@dataclass
class FakeService(Service):
    """A service whose releases are healthy, or not, by name; records what it was told."""

    host: Host
    ill: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    failing_migrations: set[str] = field(default_factory=set)
    unfit: set[str] = field(default_factory=set)
    tried: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    running: str | None = None
    outdated: bool = False

    def __post_init__(self) -> None:
        super().__init__(self.host)

    def is_active(self) -> bool:
        return self.running is not None

    def is_outdated(self) -> bool:
        return self.outdated

    def start_or_reload(self) -> None:
        self.running = Releases(self.host.root).current
        self.outdated = False
        self.told.append(f"start {self.running}")

    def try_out(self, release: Path, environment: dict[str, str]) -> None:
        self.tried.append(release.name)
        if release.name in self.unfit:
            raise ActivationError(f"release {release.name} does not run", ["last words"])

    def stop(self) -> None:
        self.running = None
        self.told.append("stop")

    def health(self, port: int) -> str | None:
        return None if self.running in self.ill else self.running

    def is_ready(self) -> bool:
        return self.running not in self.silent

    def _property(self, name: str) -> str:
        return "active"

    def log(self, since: float) -> list[str]:
        return ["last words"]

    def migrate(self, release: Path, environment: dict[str, str]) -> None:
        self.told.append(f"migrate {release.name} on {environment['DATABASE_URL'].split(':')[0]}")
        if release.name in self.failing_migrations:
            raise ActivationError("the migrations failed", ["sql error"])


@pytest.fixture
def service(host: Host) -> FakeService:
    """Nothing runs."""
    return FakeService(host)


@pytest.fixture
def activation(
    host: Host, boot: Boot, aws: Aws, releases: Releases, service: FakeService, tmp_path: Path
) -> Activation:
    """Releases 1.0.0, 1.1.0 and 1.2.0 are installed, none is in use."""
    set_up_environment()
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        upload(version)
        releases.install(version, boot, aws)
    return Activation(host, boot, aws, releases, service, runtime=tmp_path / "run")


class TestActivate:
    def test_first_release(self, activation: Activation, service: FakeService, boot: Boot, aws: Aws) -> None:
        assert activation.activate("1.0.0", migrate=True)
        assert service.told == ["migrate 1.0.0 on postgres", "start 1.0.0"]
        assert (activation.releases.current, activation.releases.previous) == ("1.0.0", None)
        assert (activation.runtime / "env").read_text() == environment_text(compose_environment(boot, aws))

    def test_second_time_changes_nothing(self, activation: Activation, service: FakeService) -> None:
        activation.activate("1.0.0", migrate=True)
        service.told.clear()
        assert not activation.activate("1.0.0", migrate=True)
        assert service.told == []

    def test_switch_remembers_the_one_before(self, activation: Activation) -> None:
        activation.activate("1.0.0", migrate=False)
        assert activation.activate("1.1.0", migrate=False)
        assert (activation.releases.current, activation.releases.previous) == ("1.1.0", "1.0.0")

    def test_check_tells_and_does_nothing(self, activation: Activation, service: FakeService) -> None:
        assert activation.activate("1.0.0", migrate=True, check=True)
        assert activation.activate("7.7.7", migrate=True, check=True)
        assert service.told == []
        activation.activate("1.0.0", migrate=True)
        assert not activation.activate("1.0.0", migrate=True, check=True)

    def test_release_that_is_not_installed(self, activation: Activation) -> None:
        with pytest.raises(HostError, match=r"run backend-release install 7\.7\.7"):
            activation.activate("7.7.7", migrate=False)

    def test_changed_secret_is_taken_in(self, activation: Activation, service: FakeService, aws: Aws) -> None:
        activation.activate("1.0.0", migrate=False)
        aws.client("secretsmanager").put_secret_value(
            SecretId="/carapp/test/backend", SecretString=json.dumps({"APP_SECRET": "rotated"})
        )
        assert activation.activate("1.0.0", migrate=False)
        assert 'APP_SECRET="rotated"' in (activation.runtime / "env").read_text()
        assert service.told == ["start 1.0.0", "start 1.0.0"]

    def test_new_node_takes_a_restart(self, activation: Activation, service: FakeService) -> None:
        activation.activate("1.0.0", migrate=False)
        service.outdated = True
        assert activation.activate("1.0.0", migrate=False)
        assert activation.releases.previous is None

    def test_ill_release_goes_back(self, activation: Activation, service: FakeService) -> None:
        activation.activate("1.0.0", migrate=False)
        activation.activate("1.1.0", migrate=False)
        service.ill = {"1.2.0"}
        with pytest.raises(ActivationError, match=r"1\.2\.0 is not healthy.*went back to 1\.1\.0") as caught:
            activation.activate("1.2.0", migrate=False)
        assert caught.value.log == ["last words"]
        assert (activation.releases.current, activation.releases.previous) == ("1.1.0", "1.0.0")
        assert service.running == "1.1.0"

    def test_release_that_never_says_it_is_ready_goes_back(self, activation: Activation, service: FakeService) -> None:
        activation.activate("1.0.0", migrate=False)
        service.silent.add("1.1.0")
        with pytest.raises(ActivationError, match=r"1.1.0 is not ready after .* process.send.*; went back to 1.0.0"):
            activation.activate("1.1.0", migrate=False)
        assert service.running == "1.0.0"

    def test_release_that_fails_its_trial_touches_nothing(
        self, activation: Activation, service: FakeService, aws: Aws
    ) -> None:
        activation.activate("1.0.0", migrate=False)
        before = (activation.runtime / "env").read_text()
        secret = json.dumps({"APP_SECRET": "for the new one"})
        aws.client("secretsmanager").put_secret_value(SecretId="/carapp/test/backend", SecretString=secret)
        service.unfit = {"1.1.0"}
        with pytest.raises(ActivationError, match=r"1\.1\.0 does not run; release 1\.0\.0 goes on as it was") as caught:
            activation.activate("1.1.0", migrate=False)
        assert caught.value.log == ["last words"]
        assert service.told == ["start 1.0.0"]
        assert (activation.releases.current, activation.releases.previous) == ("1.0.0", None)
        assert (activation.runtime / "env").read_text() == before

    def test_trial_is_for_visitors_only(self, activation: Activation, service: FakeService) -> None:
        # Nothing runs yet, then nobody is sent here.
        activation.activate("1.0.0", migrate=False)
        activation.activate("1.1.0", migrate=False, drained=True)
        assert service.tried == []
        activation.activate("1.2.0", migrate=False)
        assert service.tried == ["1.2.0"]

    def test_ill_release_and_no_way_back(self, activation: Activation, service: FakeService) -> None:
        service.ill = {"1.0.0"}
        with pytest.raises(ActivationError, match="no release to go back to"):
            activation.activate("1.0.0", migrate=False)
        assert activation.releases.current is None
        assert service.told[-1] == "stop"

    def test_going_back_fails_too(self, activation: Activation, service: FakeService) -> None:
        activation.activate("1.0.0", migrate=False)
        service.ill = {"1.0.0", "1.1.0"}
        with pytest.raises(ActivationError, match=r"going back to 1\.0\.0 failed too"):
            activation.activate("1.1.0", migrate=False)

    def test_ill_current_release_keeps_its_environment(
        self, activation: Activation, service: FakeService, aws: Aws
    ) -> None:
        activation.activate("1.0.0", migrate=False)
        before = (activation.runtime / "env").read_text()
        aws.client("secretsmanager").put_secret_value(
            SecretId="/carapp/test/backend", SecretString=json.dumps({"APP_SECRET": "bad"})
        )
        service.ill = {"1.0.0"}
        with pytest.raises(ActivationError, match="it was the one in use"):
            activation.activate("1.0.0", migrate=False)
        assert (activation.runtime / "env").read_text() == before

    def test_failed_migration_switches_nothing(self, activation: Activation, service: FakeService) -> None:
        activation.activate("1.0.0", migrate=True)
        service.failing_migrations = {"1.1.0"}
        with pytest.raises(ActivationError, match="migrations failed"):
            activation.activate("1.1.0", migrate=True)
        assert activation.releases.current == "1.0.0"
        assert service.running == "1.0.0"

    def test_migrating_touches_nothing_else(self, activation: Activation, service: FakeService) -> None:
        activation.activate("1.0.0", migrate=False)
        before = (activation.runtime / "env").read_text()
        scripts = {"scripts": {"migrate": "node src/migrate.js"}}
        (activation.releases.path("1.1.0") / "package.json").write_text(json.dumps(scripts))
        assert activation.migrate("1.1.0", check=True)
        assert service.told == ["start 1.0.0"]
        assert activation.migrate("1.1.0")
        service.failing_migrations = {"1.1.0"}
        with pytest.raises(ActivationError, match="migrations failed") as failed:
            activation.migrate("1.1.0")
        assert failed.value.log == ["sql error"]
        assert service.told == ["start 1.0.0", *["migrate 1.1.0 on postgres"] * 2]
        assert (activation.runtime / "env").read_text() == before
        assert activation.releases.current == "1.0.0"

    def test_migrating_what_has_no_migrations_or_is_not_there(
        self, activation: Activation, service: FakeService
    ) -> None:
        assert not activation.migrate("1.1.0")
        (activation.releases.path("1.1.0") / "package.json").write_text('{"scripts": {"start": "node ."}}')
        assert not activation.migrate("1.1.0")
        assert activation.migrate("7.7.7", check=True)
        with pytest.raises(HostError, match=r"release 7\.7\.7 is not on this host: run backend-release install"):
            activation.migrate("7.7.7")
        assert service.told == []

    def test_tells_how_long_it_took(self, activation: Activation) -> None:
        activation.activate("1.0.0", migrate=False)
        assert set(activation.seconds) == {"switch", "health"}

    def test_killed_between_switch_and_reload_is_finished(self, activation: Activation, service: FakeService) -> None:
        activation.activate("1.0.0", migrate=False)
        activation.releases.point("1.1.0", "1.0.0")
        assert activation.activate("1.1.0", migrate=False)
        assert service.running == "1.1.0"
        assert activation.releases.previous == "1.0.0"

    def test_old_releases_go(self, activation: Activation) -> None:
        for version in ("1.3.0", "1.4.0"):
            upload(version)
            activation.releases.install(version, activation.boot, activation.aws)
            activation.activate(version, migrate=False)
        assert activation.releases.installed() == ["1.4.0", "1.3.0", "1.2.0"]


class TestTryOut:
    """The releases are real ones, each in a process of its own."""

    @pytest.fixture(autouse=True)
    def real_node(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The Node that comes with the tests."""
        node = subprocess.check_output([REAL_NODE, "--print", "process.execPath"], text=True).strip()
        monkeypatch.setattr(backend_releases, "NODE", node)

    def release(self, host: Host, *, status: int = 200, before: str = "", ready: str = READY) -> Path:
        """A release that notes its process's id."""
        entry = host.root / "releases/2.0.0" / host.entry
        entry.parent.mkdir(parents=True)
        entry.write_text(SERVER.format(status=status, before=before, ready=ready))
        return entry.parents[1]

    def assert_over(self, release: Path) -> None:
        assert not Path("/proc", (release / "pid").read_text()).exists()

    def test_one_that_is_fit(self, host: Host) -> None:
        release = self.release(host, before="if (process.env.APP_SECRET !== 's3cret') throw new Error('no secret');")
        started = time.monotonic()
        Service(replace(host, health_timeout=60)).try_out(release, {"APP_SECRET": "s3cret", "PORT": "80"})
        assert time.monotonic() - started < 30
        self.assert_over(release)

    def test_one_that_crashes_is_found_out_at_once(self, host: Host) -> None:
        release = self.release(host, before="throw new Error('out of cheese');")
        started = time.monotonic()
        with pytest.raises(
            ActivationError, match=r"2\.0\.0 does not run: it ended with code 1 at its start"
        ) as failure:
            Service(replace(host, health_timeout=60)).try_out(release, {})
        assert time.monotonic() - started < 30
        assert "Error: out of cheese" in failure.value.log
        self.assert_over(release)

    @pytest.mark.parametrize(
        ("fault", "message"),
        [
            ({"ready": ""}, r"2\.0\.0 is not ready after 3 s: it did not say process\.send\('ready'\)"),
            ({"status": 500}, r"2\.0\.0 is not healthy after 3 s: nothing answers 200 on /api/health"),
        ],
    )
    def test_one_that_is_not_fit(self, host: Host, fault: dict[str, Any], message: str) -> None:
        release = self.release(host, **fault)
        with pytest.raises(ActivationError, match=message) as failure:
            Service(replace(host, health_timeout=3)).try_out(release, {})
        assert failure.value.log == ["listens"]
        self.assert_over(release)

    def test_it_ends_with_the_tool(self, host: Host) -> None:
        release = self.release(host, ready="")
        tool = os.fork()
        if tool == 0:
            with contextlib.suppress(BaseException):
                Service(replace(host, health_timeout=60)).try_out(release, {})
            os._exit(0)
        deadline = time.monotonic() + 30
        while not (release / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(tool, signal.SIGKILL)
        os.waitpid(tool, 0)
        pid = (release / "pid").read_text()
        while time.monotonic() < deadline and _state(pid) not in ("", "Z"):
            time.sleep(0.01)
        assert _state(pid) in ("", "Z")


def _state(pid: str) -> str:
    """A process's state; a zombie waits for an init that a container may not have."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return ""


class TestWatch:
    """The application is a shell whose children are its processes."""

    @pytest.fixture
    def watched(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeService]:
        """A service that runs release 1.0.0 with two processes."""
        service = FakeService(host, running="1.0.0")
        with subprocess.Popen(["sh", "-c", "sleep 60 & sleep 61 & wait"]) as shell:
            monkeypatch.setattr(service, "_property", lambda name: {"MainPID": str(shell.pid)}.get(name, "active"))
            deadline = time.monotonic() + 60
            while len(service.workers()) < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            yield service
            for worker in service.workers():
                os.kill(worker, signal.SIGKILL)
            shell.kill()

    @pytest.fixture(autouse=True)
    def quickly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Look often."""
        monkeypatch.setattr(backend_releases, "WATCH_SECONDS", 0.05)

    def test_ready_is_what_all_processes_have_said(
        self, watched: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(backend_releases, "MARKS", tmp_path)
        first, second = watched.workers()
        (tmp_path / f"ready-{first}").touch()
        assert not Service.is_ready(watched)
        (tmp_path / f"ready-{second}").touch()
        assert Service.is_ready(watched)

    def test_one_that_lasts(self, watched: FakeService) -> None:
        watched.watch("1.0.0", 3000, 0.3)

    def test_one_that_dies(self, watched: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
        worker = min(watched.workers())

        def dies(port: int) -> str:
            # Asked for the first time, so the look before is over.
            if worker in watched.workers():
                os.kill(worker, signal.SIGKILL)
            return "1.0.0"

        monkeypatch.setattr(watched, "health", dies)
        with pytest.raises(ActivationError, match="did not last: a process of it ended within") as failure:
            watched.watch("1.0.0", 3000, 20)
        assert failure.value.log == ["last words"]

    def test_one_that_falls_silent(self, watched: FakeService) -> None:
        watched.ill.add("1.0.0")
        with pytest.raises(ActivationError, match="it does not answer 200 on /api/health within"):
            watched.watch("1.0.0", 3000, 20)
