"""The backend as the minimal tier has it: port 3000, SQLite, releases deployed over SSH. Tests build on each other."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest
from testinfra.host import Host

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "resources"))

from backend_checks import answer, journal, wait_for
from releases import CANARY, DAMAGED, FOREIGN

PM2 = "setpriv --reuid carapp --regid carapp --clear-groups env PM2_HOME=/run/backend-pm2 pm2"


def release(host: Host, *arguments: str) -> tuple[int, dict[str, object], str]:
    """Run backend-release: exit code, its JSON, its messages."""
    with host.sudo():
        done = host.run(f"backend-release {' '.join(arguments)}")
    return done.rc, json.loads(done.stdout) if done.stdout else {}, done.stderr.strip()


def test_release_answers(host: Host) -> None:
    assert answer(host, "/api/health") == {"status": "ok", "version": "1.0.0"}


def test_secrets_and_database_arrive(host: Host) -> None:
    digests = answer(host, "/api/digests")
    assert digests["secret"] == hashlib.sha256(CANARY.encode()).hexdigest()
    assert digests["database"] == hashlib.sha256(b"sqlite:/srv/carapp/shared/carapp.sqlite3").hexdigest()
    with host.sudo():
        assert host.file("/srv/carapp/shared/carapp.sqlite3").user == "carapp"


def test_runs_without_rights(host: Host) -> None:
    workers = host.check_output("pgrep --parent $(systemctl show -P MainPID backend) --uid carapp").split()
    assert len(workers) == 2
    with host.sudo():
        for worker in workers:
            status = host.check_output(f"cat /proc/{worker}/status")
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
            assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
            # Its own mounts: the system is read-only to it.
            mounts = host.check_output(f"cat /proc/{worker}/mountinfo")
            assert [line for line in mounts.splitlines() if line.split()[4] == "/srv/carapp/shared"]
            assert next(line for line in mounts.splitlines() if line.split()[4] == "/").split()[5].startswith("ro")


def test_a_lost_question_for_a_name_is_soon_asked_again(host: Host) -> None:
    with host.sudo():
        for worker in host.check_output("pgrep --parent $(systemctl show -P MainPID backend) --uid carapp").split():
            assert (
                "RES_OPTIONS=timeout:1 attempts:5"
                in host.check_output(f"tr '\\0' '\\n' < /proc/{worker}/environ").splitlines()
            )


def test_rights_of_files(host: Host) -> None:
    with host.sudo():
        env = host.file("/run/backend/env")
        assert (env.user, env.group, env.mode) == ("root", "carapp", 0o640)
        assert host.check_output("stat -f -c %T /run/backend") == "tmpfs"
        assert host.file("/srv/carapp/shared").mode == 0o750
        assert not host.check_output("find /srv/carapp/releases -user carapp")
        assert host.file("/run/backend-pm2").mode == 0o700
    assert host.user("carapp").shell == "/usr/sbin/nologin"


def test_secret_is_nowhere_else(host: Host) -> None:
    with host.sudo():
        places = {
            "processes": "ps axwwo args",
            "pm2's list": f"{PM2} jlist",
            "pm2's environment": f"{PM2} env 0",
            "journal": "journalctl --boot --output json",
            "configuration": "cat /etc/vahana/boot.json /etc/vahana/backend.json",
            "unit": "systemctl show backend.service backend-boot.service",
        }
        for place, command in places.items():
            shown = host.check_output(command)
            assert len(shown) > 100, place
            assert CANARY not in shown, place
        # pm2 can write its list to a file; wherever the secret is, it is in memory.
        host.check_output(f"{PM2} save")
        found = host.run(f"grep -rlsI {CANARY} /etc /var /srv /opt /run/backend-pm2 /home /tmp /usr/local")
        assert found.stdout == ""


def test_output_goes_to_the_journal(host: Host) -> None:
    assert "release 1.0.0 listens" in journal(host, "backend.service")
    with host.sudo():
        assert host.check_output("find /run/backend-pm2 -name '*-out*.log'") == ""


def test_reload_takes_the_new_release_and_loses_no_request(host: Host) -> None:
    host.check_output(
        "nohup sh -c 'while [ ! -e /tmp/enough ]; do"
        ' curl --silent --max-time 5 --output /dev/null --write-out "%{http_code}\\n" http://127.0.0.1:3000/api/health;'
        " done' > /tmp/codes 2>&1 & true"
    )
    main_pid = host.check_output("systemctl show -P MainPID backend")
    code, result, messages = release(host, "install", "1.1.0")
    assert (code, result["changed"]) == (0, True), messages
    code, result, messages = release(host, "activate", "1.1.0", "--migrate")
    assert (code, result["changed"], result["previous"]) == (0, True, "1.0.0"), messages
    host.check_output("touch /tmp/enough")
    assert answer(host, "/api/health")["version"] == "1.1.0"
    # A reload, not a restart.
    assert host.check_output("systemctl show -P MainPID backend") == main_pid
    codes = host.check_output("sleep 0.3; cat /tmp/codes").split()
    assert len(codes) > 10
    assert set(codes) == {"200"}


def test_second_time_changes_nothing(host: Host) -> None:
    for verb in ("install", "activate"):
        code, result, messages = release(host, verb, "1.1.0")
        assert (code, result["changed"], messages) == (0, False, "")


@pytest.mark.parametrize("bad", ["1.2.0-crash", "1.3.0-ill", "1.4.0-migration"])
def test_bad_release_leaves_the_one_in_use_as_it_was(host: Host, bad: str) -> None:
    assert release(host, "install", bad)[0] == 0
    workers = host.check_output("pgrep --parent $(systemctl show -P MainPID backend)")
    code, result, messages = release(host, "activate", bad, "--migrate")
    assert code == 1
    assert result["current"] == "1.1.0"
    assert result["previous"] == "1.0.0"
    assert answer(host, "/api/health") == {"status": "ok", "version": "1.1.0"}
    assert host.check_output("pgrep --parent $(systemctl show -P MainPID backend)") == workers
    last = messages.splitlines()[-1]
    assert last.startswith("error: ")
    expected = {
        "1.2.0-crash": ("this release cannot start", "release 1.1.0 goes on as it was"),
        "1.3.0-ill": ("release 1.3.0-ill listens", "release 1.1.0 goes on as it was"),
        "1.4.0-migration": ("the migration cannot be applied", "was not started"),
    }[bad]
    assert expected[0] in "\n".join(map(str, result["log"]))  # type: ignore[call-overload]
    assert expected[1] in last


def test_bad_release_on_a_drained_host_goes_back(host: Host) -> None:
    code, result, messages = release(host, "activate", "1.2.0-crash", "--drained")
    assert (code, result["current"], result["previous"]) == (1, "1.1.0", "1.0.0")
    assert "this release cannot start" in "\n".join(map(str, result["log"]))  # type: ignore[call-overload]
    assert messages.endswith("went back to 1.1.0, which answers")
    assert answer(host, "/api/health") == {"status": "ok", "version": "1.1.0"}


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("9.9.9", "error: release 9.9.9 is not in s3://carapp-test-releases/releases/9.9.9/: build and upload it"),
        (DAMAGED, "is damaged: its sha256 is"),
        (FOREIGN, "is built for Node 18, this host has v24"),
        ("../../etc", "error: '../../etc' is no release name"),
    ],
)
def test_release_that_cannot_be_installed(host: Host, version: str, message: str) -> None:
    code, result, messages = release(host, "install", version)
    assert (code, result) == (1, {})
    assert message in messages
    assert len(messages.splitlines()) == 1


def test_disk_nearly_full(host: Host) -> None:
    with host.sudo():
        host.check_output("mount -t tmpfs -o size=8m tmpfs /srv/carapp/releases")
        try:
            code, _, messages = release(host, "install", "1.0.0")
        finally:
            host.check_output("umount /srv/carapp/releases")
    assert code == 1
    assert "no space for release 1.0.0" in messages
    assert len(messages.splitlines()) == 1


def test_two_at_once(host: Host) -> None:
    with host.sudo():
        done = host.run("flock --exclusive /run/lock/backend-release backend-release install 1.0.0 --wait 0")
    assert done.rc == 1
    assert "is at work on this host" in done.stderr


def test_old_releases_go(host: Host) -> None:
    code, result, messages = release(host, "activate", "1.0.0")
    assert (code, result["current"], result["previous"]) == (0, "1.0.0", "1.1.0"), messages
    assert set(map(str, result["installed"])) == {"1.0.0", "1.1.0"}  # type: ignore[call-overload]


def test_help_and_ordinary_user(host: Host) -> None:
    for tool in ("backend-release", "backend-boot"):
        assert f"usage: {tool}" in host.check_output(f"/usr/local/sbin/{tool} --help")
    done = host.run("/usr/local/sbin/backend-release install 1.0.0")
    assert done.rc == 1
    assert "run it as root" in done.stderr


def test_dead_worker_and_dead_pm2_come_back(host: Host) -> None:
    with host.sudo():
        host.check_output("systemctl kill --signal KILL backend.service")
    wait_for(host, "1.0.0")
