"""The warm worker gives what Ansible's own way gives, keeps tasks apart, and leaves nothing running."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugins.warm_worker.wire import Request, receive, send

ROOT = Path(__file__).resolve().parents[2]

PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - amazon.aws.ec2_vpc_net: {name: "{{ name }}", cidr_block: 10.77.0.0/16, tags: {a: b}}
      register: vpc
    - amazon.aws.ec2_vpc_subnet: {vpc_id: "{{ vpc.vpc.id }}", cidr: "10.77.{{ item }}.0/24"}
      loop: [1, 2]
    - amazon.aws.ec2_vpc_net: {name: other, cidr_block: 10.78.0.0/16}
      check_mode: true
      diff: true
      register: planned
    - amazon.aws.ec2_vpc_net: {name: "{{ name }}", no_such_option: 1}
      ignore_errors: true
      register: refused
    - amazon.aws.aws_caller_info:
      environment: {AWS_DEFAULT_REGION: eu-west-1}
      register: caller
    - resource_ownership: {tags: {"vahana:app": a, "vahana:env": b}, resources: [{type: vpc, name: none}]}
      register: own
    - ansible.builtin.command: {cmd: "true"}
      changed_when: false
    - ansible.builtin.copy:
        dest: "{{ out }}"
        content: "{{ seen | to_json }}"
      vars:
        seen: {planned: "{{ planned.changed }}", refused: "{{ refused.msg }}", own: "{{ own }}", caller: "{{ caller }}"}
"""


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, moto_url: str) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": moto_url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "0-no-secret-0",
    }.items():
        monkeypatch.setenv(name, value)


def _play(tmp_path: Path, warm: bool, python: str = sys.executable) -> tuple[str, dict[str, Any]]:
    book, out = tmp_path / "play.yml", tmp_path / "out.json"
    out.unlink(missing_ok=True)
    book.write_text(PLAYBOOK)
    program = str(Path(python).with_name("ansible-playbook"))
    # Each test's own network: they share the API.
    variables = ("-e", f"out={out} name={tmp_path.name}", "-e", f"ansible_python_interpreter={python}")
    run = subprocess.run(
        [program, "-i", "localhost,", "-c", "local", *variables, "-vvv", str(book)],
        cwd=ROOT,
        env={**os.environ, "VAHANA_WARM_WORKER": str(warm).lower()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr
    recap = re.search(r"localhost +: (.*)", run.stdout)
    assert recap
    built = run.stdout.count("<127.0.0.1> EXEC") + run.stdout.count("<localhost> EXEC")
    return recap.group(1), {**json.loads(out.read_text()), "local processes": built}


def _both_ways(tmp_path: Path, python: str = sys.executable) -> None:
    first, _ = _play(tmp_path, True, python)
    warm_recap, warm = _play(tmp_path, True, python)
    own_recap, own = _play(tmp_path, False, python)
    assert "changed=4" in first
    assert warm_recap == own_recap
    assert warm.pop("local processes") < own.pop("local processes")
    assert warm == own
    assert warm["planned"] is True
    assert "required" in warm["refused"]


def test_the_results_are_those_of_ansibles_own_way(api: None, tmp_path: Path) -> None:
    _both_ways(tmp_path)


def test_hosts_at_the_same_time_do_not_mix(api: None, tmp_path: Path) -> None:
    """Six hosts, three forks: each module has the variables and the environment of its own host."""
    hosts = [f"h{number}" for number in range(6)]
    book = tmp_path / "play.yml"
    book.write_text(
        """
- hosts: all
  gather_facts: false
  connection: local
  tasks:
    - amazon.aws.ec2_vpc_net: {name: "{{ prefix }}-{{ inventory_hostname }}", cidr_block: 10.79.0.0/16}
      environment: {AWS_DEFAULT_REGION: "{{ ['us-east-1', 'eu-west-1'][inventory_hostname[1:] | int % 2] }}"}
      register: vpc
    - amazon.aws.ec2_vpc_net_info: {vpc_ids: ["{{ vpc.vpc.id }}"]}
      environment: {AWS_DEFAULT_REGION: "{{ ['us-east-1', 'eu-west-1'][inventory_hostname[1:] | int % 2] }}"}
      register: seen
    - ansible.builtin.assert:
        that: seen.vpcs | map(attribute='tags.Name') | list == [prefix ~ '-' ~ inventory_hostname]
"""
    )
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    variables = ("-e", f"prefix={tmp_path.name}", "-e", f"ansible_python_interpreter={sys.executable}")
    run = subprocess.run(
        [program, "-i", ",".join(hosts), "-f", "3", *variables, str(book)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr
    assert len(re.findall(r"h\d +: ok=3 +changed=1 ", run.stdout)) == len(hosts)
    assert _servers() == []


@pytest.mark.long
@pytest.mark.parametrize("minor", ["2.19", "2.20"])
def test_other_versions_of_ansible(api: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minor: str) -> None:
    """With collections that, as those from Galaxy, are not installed beside ansible-core."""
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = str(environment / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", f"ansible-core=={minor}.*", "boto3"]
    subprocess.run(pip, check=True, timeout=300)
    collections = tmp_path / "collections" / "ansible_collections"
    collections.parent.mkdir()
    collections.symlink_to(Path(sysconfig.get_path("purelib")) / "ansible_collections")
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(collections.parent))
    _both_ways(tmp_path, python)


def test_no_server_outlives_its_playbook(api: None, tmp_path: Path) -> None:
    _play(tmp_path, warm=True)
    assert _servers() == []


def _servers() -> list[str]:
    mine = str(os.getpid())
    lines = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in lines if "plugins.warm_worker.server" in line and line.split()[0] in (mine, "1")]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "socket"
    process = subprocess.Popen(
        [sys.executable, "-m", "plugins.warm_worker.server", str(path)], cwd=ROOT, stdin=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    yield path
    assert process.stdin
    process.stdin.close()
    assert process.wait(timeout=60) == 0


def _request(path: Path, **changes: Any) -> Request:
    fields: dict[str, Any] = {
        "module": "ansible.modules.test",
        "path": str(path),
        "arguments": json.dumps({"ANSIBLE_MODULE_ARGS": {}}),
        "profile": "legacy",
        "environment": {"PATH": os.environ["PATH"]},
        "directory": "/",
        "umask": 0o022,
    }
    return Request(**{**fields, **changes})


def _ask(server: Path, request: Request) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server))
        send(connection, request)
        return receive(connection)


def test_one_task_does_not_see_what_another_left(server: Path, tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("import os, boto3\nprint(os.environ.get('SEEN'), hasattr(boto3, 'mark'))\nboto3.mark = 1\n")
    first = _ask(server, _request(module, environment={"SEEN": "1"}))
    second = _ask(server, _request(module))
    assert (first["out"], second["out"]) == ("1 False\n", "None False\n")


def test_processor_time_of_modules_is_not_lost(server: Path, tmp_path: Path) -> None:
    """What measures a playbook from outside sees what its modules took."""
    module = tmp_path / "module.py"
    # proc_pid_stat(5), from its third field on: the second may have spaces in it.
    module.write_text(
        "import os, time\nwhile time.process_time() < 1: pass\n"
        "print(open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()[1])\n"
    )
    worker = Path("/proc", _ask(server, _request(module))["out"].strip(), "stat")
    deadline, seconds = time.monotonic() + 60, 0.0
    while seconds < 0.9 and time.monotonic() < deadline:
        time.sleep(0.05)
        of_children = worker.read_text().rpartition(")")[2].split()[13:15]
        seconds = sum(int(ticks) for ticks in of_children) / os.sysconf("SC_CLK_TCK")
    assert seconds >= 0.9


def test_a_module_that_dies_is_reported_and_the_next_one_runs(server: Path, tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("import os\nprint('before', flush=True)\nos.kill(os.getpid(), 9)\n")
    assert _ask(server, _request(module)) == {"code": -9, "out": "before\n", "err": ""}
    module.write_text("raise SystemExit(3)\n")
    assert _ask(server, _request(module))["code"] == 3


def test_a_module_ends_with_the_task_that_waits_for_it(server: Path, tmp_path: Path) -> None:
    module, mark = tmp_path / "module.py", tmp_path / "pid"
    module.write_text(f"import os, time\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server))
        send(connection, _request(module))
        while not (mark.exists() and mark.read_text()):
            time.sleep(0.05)
    pid, deadline = int(mark.read_text()), time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
