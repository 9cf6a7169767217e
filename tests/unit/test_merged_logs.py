"""Several journals as one. The hosts are shells of this machine that print what journalctl would."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from plugins.module_utils import merged_logs
from plugins.module_utils.merged_logs import Line, failures, journal_command, parse, read
from plugins.module_utils.remote import NO_ANSWER, Target, ask, target, targets, within

SECOND = 1_000_000
BEGAN = 1_764_000_000 * SECOND


def entry(second: float, text: object) -> str:
    at = str(BEGAN + int(second * SECOND))
    return json.dumps({"__REALTIME_TIMESTAMP": at, "SYSLOG_IDENTIFIER": "backend", "MESSAGE": text})


def host(tmp_path: Path, name: str, *entries: str, after: str = "") -> Target:
    """Return a host that prints entries, whatever it is asked."""
    file = tmp_path / name
    file.write_text("".join(f"{each}\n" for each in entries))
    return Target(name, ("sh", "-c", f"cat {file}; {after or 'true'}; #"))


def any_command(after: str | None) -> str:
    """Return what the hosts here do not look at."""
    return ""


def test_in_the_order_of_time(tmp_path: Path) -> None:
    said: list[str] = []
    hosts = [
        host(tmp_path, "i-1", entry(0, "first"), entry(2, "third\nand more")),
        host(tmp_path, "i-2", entry(1, list(b"sec\xffond")), entry(3, None), "no JSON"),
    ]
    answers = read(hosts, any_command, said.append, follow=False)
    assert "\n".join(said).splitlines() == [
        "2025-11-24T16:00:00.000Z i-1 backend: first",
        "2025-11-24T16:00:01.000Z i-2 backend: sec�ond",
        "2025-11-24T16:00:02.000Z i-1 backend: third",
        "2025-11-24T16:00:02.000Z i-1 backend: and more",
        "2025-11-24T16:00:03.000Z i-2 backend: ",
    ]
    assert failures(answers) == []


def test_following_holds_back_what_came_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged_logs, "REORDER_SECONDS", 0.8)
    said: list[tuple[float, str]] = []
    began = time.monotonic()
    late = host(tmp_path, "i-1", after=f"sleep 0.2; echo '{entry(1, 'older')}'; sleep 2")
    hosts = [late, host(tmp_path, "i-2", entry(2, "newer"), after="sleep 2")]
    answers = read(hosts, any_command, lambda text: said.append((time.monotonic() - began, text)), follow=True)
    texts = "\n".join(text for _at, text in said).splitlines()
    assert [text.rpartition(" ")[2] for text in texts] == ["older", "newer"]
    # Long before the connections end.
    assert said[0][0] < 1.9
    assert failures(answers) == []


def test_a_host_that_cannot_be_read_is_named_after_the_others(tmp_path: Path) -> None:
    said: list[str] = []
    hosts = [
        host(tmp_path, "i-1", entry(0, "first")),
        host(tmp_path, "i-2", after="echo 'ssh: connect to host i-2: timed out' >&2; exit 255"),
        host(tmp_path, "i-3", after="echo 'Failed to compile pattern' >&2; exit 1"),
        # What journalctl ends with when nothing matches.
        host(tmp_path, "i-4", after="exit 1"),
    ]
    assert failures(read(hosts, any_command, said.append, follow=False)) == [
        "i-2: cannot be reached: ssh: connect to host i-2: timed out",
        "i-3: cannot be read: Failed to compile pattern",
    ]
    assert said == ["2025-11-24T16:00:00.000Z i-1 backend: first"]


def test_more_hosts_than_may_be_connected_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged_logs, "WORKERS", 2)
    # Each notes how many of them there are while it runs.
    count = (
        f"touch {tmp_path}/$$.runs; ls {tmp_path}/*.runs | wc -l >> {tmp_path}/most; sleep 0.1; rm {tmp_path}/$$.runs"
    )
    hosts = [host(tmp_path, f"i-{at}", entry(5 - at, str(at)), entry(9, f"end {at}"), after=count) for at in range(4)]
    hosts.append(host(tmp_path, "i-4", after="echo 'timed out' >&2; exit 255"))
    said: list[str] = []
    answers = read(hosts, any_command, said.append, follow=False)
    assert [line.rpartition(": ")[2] for line in "\n".join(said).splitlines()] == [
        *("3", "2", "1", "0"),
        *("end 0", "end 1", "end 2", "end 3"),
    ]
    assert failures(answers) == ["i-4: cannot be reached: timed out"]
    assert max(map(int, (tmp_path / "most").read_text().split())) == 2


def test_following_goes_on_over_a_new_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tunnel of AWS lasts an hour. Nothing is lost and nothing comes twice, also of an entry that was cut in two."""
    monkeypatch.setattr(merged_logs, "RECONNECT_SECONDS", (0.05, 0.05))
    monkeypatch.setattr(merged_logs, "REORDER_SECONDS", 0.2)
    first, second, third = (
        json.dumps({**json.loads(entry(at, text)), "__CURSOR": f"s=1;i={at}"})
        for at, text in enumerate(("a", "b\nc", "d"))
    )
    (tmp_path / "0").write_text(f"{first}\n{second}\n{third[:40]}")
    (tmp_path / "1").write_text(f"{third}\n")
    asked = tmp_path / "asked"
    # Two connections break, and a third reads nothing.
    number = "$(($(wc -l < asked) - 1))"
    script = f'cd {tmp_path}; echo "$0" >> asked; cat {number} 2> /dev/null; echo broken >&2; exit 255'
    said: list[str] = []

    def command(after: str | None) -> str:
        return f"after {after}"

    answers = read([Target("i-1", ("sh", "-c", script))], command, said.append, follow=True)
    assert [line.rpartition(": ")[2] for line in "\n".join(said).splitlines()] == ["a", "b", "c", "d"]
    assert asked.read_text().splitlines() == ["after None", "after s=1;i=1", "after s=1;i=2"]
    assert failures(answers) == ["i-1: cannot be reached: broken"]


def test_a_connection_that_lasted_was_a_good_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged_logs, "RECONNECT_SECONDS", (0.01,))
    monkeypatch.setattr(merged_logs, "_LASTED", 0.2)
    asked = tmp_path / "asked"
    script = f"echo >> {asked}; if [ $(wc -l < {asked}) -lt 4 ]; then sleep 0.3; fi; exit 255"
    read([Target("i-1", ("sh", "-c", script))], any_command, print, follow=True)
    assert len(asked.read_text().splitlines()) == 4, "three that lasted, and one in vain"


def test_following_ends_where_no_new_connection_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged_logs, "RECONNECT_SECONDS", (0.01,))
    connect, made = merged_logs._connect, [0]

    def connected(target: Target, command: str) -> subprocess.Popen[str]:
        made[0] += 1
        if made[0] > 1:
            raise OSError("Too many open files")
        return connect(target, command)

    monkeypatch.setattr(merged_logs, "_connect", connected)
    answers = read([Target("i-1", ("sh", "-c", "exit 255"))], any_command, print, follow=True)
    assert failures(answers) == ["i-1: cannot be reached: Too many open files"]


def test_the_command() -> None:
    again = journal_command(["backend"], 1.6, "", follow=True, after="s=1;i=2")
    assert "'\"'\"'--after-cursor=s=1;i=2'\"'\"'" in again, again
    assert "--since" not in again, "journalctl takes one of both"
    once = journal_command(["backend"], 1.6, "it's", follow=False)
    assert once.startswith("sudo -n journalctl --output=json ")
    assert once.endswith("""--unit=backend --since=@2 '--grep=it'"'"'s'""")
    assert "--follow" not in once


def test_a_host_that_is_left_stops_reading(tmp_path: Path) -> None:
    """Without a terminal the end of the input is all that a host learns of a controller that was killed."""
    tools = {"sudo": '#!/bin/sh\nshift\nexec "$@"\n', "journalctl": "#!/bin/sh\necho $$\nexec sleep 600\n"}
    for name, text in tools.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    command = journal_command(["backend"], None, "", follow=True)
    with subprocess.Popen(
        ["sh", "-c", command],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin and process.stdout
        reader = int(process.stdout.readline())
        assert Path(f"/proc/{reader}").exists()
        process.stdin.close()
        process.wait(timeout=60)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{reader}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{reader}").exists()


def test_how_a_host_is_reached() -> None:
    variables = {
        "ansible_host": "10.0.0.5",
        "ansible_user": "admin",
        "ansible_ssh_private_key_file": "/k",
        "ansible_ssh_common_args": '-o ProxyCommand="aws open-tunnel --instance-id %h" -o HostKeyAlias=i-1',
    }
    found = target("i-1", variables, 5)
    assert found.ssh[-5:] == ("-i", "/k", "-l", "admin", "10.0.0.5")
    assert "ProxyCommand=aws open-tunnel --instance-id %h" in found.ssh
    assert found.ssh[3:5] == ("-o", "ConnectTimeout=5")
    slow = target("i-1", {**variables, "ansible_ssh_timeout": 30}, 5)
    assert slow.ssh[3:5] == ("-o", "ConnectTimeout=30")
    assert [target("i-1", {"ansible_ssh_timeout": given}, 5).connect_seconds for given in (None, "3", 30)] == [5, 5, 30]
    assert [each.name for each in targets(["i-1", "i-unknown"], {"hostvars": {"i-1": variables}}, 5)] == ["i-1"]
    limited = {"hostvars": {"i-1": variables}, "groups": {"all": ["i-1"]}, "ansible_limit": "localhost"}
    assert targets(["i-1"], limited, 5) == []


def test_a_connection_that_takes_long_is_no_host_that_is_dead() -> None:
    hosts = [Target("slow", ("sh", "-c", "sleep 0.5; cat; #"), 20), Target("hangs", ("sh", "-c", "sleep 20; #"), 0)]
    answers = ask(hosts, "", "it is well", 0.2)
    assert (answers["slow"].code, answers["slow"].output) == (0, "it is well")
    assert (answers["hangs"].code, answers["hangs"].reason) == (NO_ANSWER, "no answer within 0.2 s")


@pytest.mark.parametrize(
    ("limit", "inside"),
    [
        ("localhost", False),
        ("i-1", True),
        ("localhost,i-1", True),
        ("tier_basic", True),
        ("tier_*", True),
        ("all", True),
        ("all:!i-1", False),
        ("!i-2", True),
        ("tier_basic:&az_b", False),
        ("i-1:&tier_basic", True),
        ("~i-.*", False),
    ],
)
def test_a_limit_of_the_run_counts(limit: str, inside: bool) -> None:
    groups = {"all": ["i-1", "i-2"], "tier_basic": ["i-1"], "az_b": ["i-2"]}
    assert within(limit, "i-1", groups) == inside


def test_a_line_that_is_none() -> None:
    assert list(parse("i-1", "-- No entries --")) == []
    assert list(parse("i-1", '{"MESSAGE": "without a time"}')) == []
    assert list(parse("i-1", entry(0, ""))) == [Line(BEGAN, "i-1", "backend", "")]
