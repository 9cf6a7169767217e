"""What host_base does with other values than its defaults."""

from __future__ import annotations

from testinfra.host import Host


def test_users_who_may_log_in(host: Host) -> None:
    with host.sudo():
        assert "\nallowusers admin\n" in host.check_output("sshd -T")


def test_updates(host: Host) -> None:
    config = host.check_output("apt-config dump")
    assert 'Unattended-Upgrade::Automatic-Reboot "true";' in config
    assert 'Unattended-Upgrade::Automatic-Reboot-Time "03:30";' in config
    assert 'Unattended-Upgrade::Package-Blacklist:: "postgresql-.*";' in config
    shown = host.check_output("systemctl show apt-daily-upgrade.timer --property TimersCalendar,RandomizedDelayUSec")
    assert "OnCalendar=Sun *-*-* 02:30:00" in shown
    assert "RandomizedDelayUSec=5min" in shown


def test_packages(host: Host) -> None:
    assert host.package("jq").is_installed


def test_time_servers(host: Host) -> None:
    sources = [line for line in host.check_output("/usr/sbin/chronyd -p").splitlines() if line.startswith("sourcedir")]
    assert "sourcedir /etc/chrony/sources.d" in sources
    assert host.file("/etc/chrony/sources.d/vahana.sources").contains("^server 169.254.169.123 prefer iburst")


def test_kernel_parameters(host: Host) -> None:
    assert host.file("/etc/sysctl.d/60-vahana.conf").contains("^net.core.somaxconn = 1024$")
    applied = host.check_output("/usr/lib/systemd/systemd-sysctl --cat-config --tldr")
    assert "net.core.somaxconn = 1024" in applied.splitlines()


def test_journal_limit(host: Host) -> None:
    assert "SystemMaxUse=64M" in host.check_output("systemd-analyze cat-config systemd/journald.conf")
