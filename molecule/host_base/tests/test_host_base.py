"""What host_base promises with its defaults, on a container: time and kernel settings are left alone."""

from __future__ import annotations

from testinfra.host import Host


def sshd(host: Host) -> dict[str, str]:
    """The settings sshd would run with."""
    with host.sudo():
        lines = host.check_output("sshd -T").splitlines()
    return dict(line.split(" ", 1) for line in lines if " " in line)


def test_ssh_takes_keys_only(host: Host) -> None:
    settings = sshd(host)
    assert settings["passwordauthentication"] == "no"
    assert settings["permitrootlogin"] == "no"
    assert settings["authenticationmethods"] == "publickey"
    assert settings["maxauthtries"] == "3"
    assert settings["allowtcpforwarding"] == "no"


def test_running_sshd_knows_the_settings(host: Host) -> None:
    with host.sudo():
        log = host.check_output("journalctl --unit ssh.service --output cat")
    assert "Received SIGHUP" in log


def test_security_updates_install_by_themselves(host: Host) -> None:
    config = host.check_output("apt-config dump")
    assert 'APT::Periodic::Unattended-Upgrade "1";' in config
    origins = [line for line in config.splitlines() if line.startswith("Unattended-Upgrade::Origins-Pattern::")]
    assert len(origins) == 2
    assert all("Debian-Security" in line for line in origins)
    with host.sudo():
        dry_run = host.run("unattended-upgrade --dry-run --debug 2>&1")
    assert dry_run.rc == 0, dry_run.stdout
    assert "label=Debian-Security" in dry_run.stdout


def test_update_timers(host: Host) -> None:
    for timer in ("apt-daily.timer", "apt-daily-upgrade.timer"):
        assert host.service(timer).is_enabled
        assert host.service(timer).is_running
    shown = host.check_output("systemctl show apt-daily-upgrade.timer --property TimersCalendar,RandomizedDelayUSec")
    assert "OnCalendar=*-*-* 04:00:00" in shown
    assert shown.count("OnCalendar") == 1
    assert "RandomizedDelayUSec=1h" in shown


def test_journal_persists(host: Host) -> None:
    with host.sudo():
        assert host.file("/var/log/journal").is_directory
        assert "/var/log/journal/" in host.check_output("journalctl --header --boot")
    limits = host.check_output("systemd-analyze cat-config systemd/journald.conf")
    assert "SystemMaxUse=300M" in limits


def test_every_boot_shows_the_host_keys(host: Host) -> None:
    shown = host.check_output("systemctl show cloud-final.service --property ExecStartPost --value")
    program = shown.split("path=")[1].split()[0]
    with host.sudo():
        written = host.check_output(program)
    key = host.file("/etc/ssh/ssh_host_ed25519_key.pub").content_string.strip()
    assert f"{key}\n" in written.partition("-----BEGIN SSH HOST KEY KEYS-----")[2]


def test_container_keeps_clock_and_kernel(host: Host) -> None:
    assert not host.package("chrony").is_installed
    assert not host.file("/etc/sysctl.d/60-vahana.conf").exists


def test_host_is_whole(host: Host) -> None:
    assert host.check_output("systemctl is-system-running") == "running"
