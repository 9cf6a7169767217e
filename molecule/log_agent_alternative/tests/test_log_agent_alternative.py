"""The log agent on a host that serves no environment, as one that an image is made of."""

from __future__ import annotations

from testinfra.host import Host


def test_it_waits_for_an_environment(host: Host) -> None:
    assert host.service("log-agent").is_enabled
    assert not host.service("log-agent").is_running
    assert host.check_output("systemctl show --property ConditionResult --value log-agent") == "no"
    assert host.check_output("systemctl list-units --failed --no-legend log-agent.service") == ""


def test_its_unit_says_what_it_sends(host: Host) -> None:
    [command] = [
        line.split() for line in host.check_output("systemctl cat log-agent").splitlines() if "ExecStart=" in line
    ]
    assert command[-3:] == ["30", "--unit", "worker.service"]
