"""An upgrade: the new version beside the old one, which what runs still uses."""

from __future__ import annotations

from testinfra.host import Host


def test_new_version_is_in_use(host: Host) -> None:
    assert host.check_output("node --version") == "v24.21.0"
    assert host.check_output("readlink -f /usr/local/bin/pm2-runtime").startswith("/opt/pm2-7.0.4/")


def test_old_version_stays_for_what_runs(host: Host) -> None:
    with host.sudo():
        pid = host.check_output("systemctl show old-node.service --property MainPID --value")
        assert host.check_output(f"readlink /proc/{pid}/exe") == "/opt/node-24.20.0/bin/node"


def test_as_many_versions_stay_as_shall(host: Host) -> None:
    nodes, pm2s = {"node-22.2.0", "node-24.20.0", "node-24.21.0"}, {"pm2-5.4.3", "pm2-7.0.3", "pm2-7.0.4"}
    assert set(host.check_output("ls /opt").split()) == nodes | pm2s
