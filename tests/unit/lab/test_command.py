"""What the command says when it cannot do its work, and how requests are told apart."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from lab import api, cli, image, machine, podman, process, settings


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine of the test's own, as far as files go."""
    monkeypatch.setenv("VAHANA_LAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(settings, "runtime", lambda: tmp_path / "run")
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What went to standard error: one line."""
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


def test_not_root(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.main(["up"]) == 1
    assert "run it with sudo" in said(capsys)


def test_podman_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(machine.shutil, "which", lambda name: None if name == "podman" else f"/usr/bin/{name}")
    assert cli.main(["up"]) == 1
    assert "apt install podman" in said(capsys)


def test_port_in_use_names_the_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(machine, "missing_tools", list)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(settings, "API_PORT", taken.getsockname()[1])
        assert cli.main(["up"]) == 1
    text = said(capsys)
    assert f"(pid {os.getpid()})" in text
    assert "stop that process" in text


def test_disk_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(image, "present", lambda recipe: False)
    monkeypatch.setattr(image, "_require_tools", lambda *names: None)
    monkeypatch.setattr(image.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(image.ImageError, match="free some space"):
        image.ensure()
    assert [path.name for path in (tmp_path / "cache/vahana").iterdir()] == ["build.lock"]


def test_nothing_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status"]) == 1
    assert "lab up" in said(capsys)
    assert cli.main(["logs"]) == 1
    assert "lab up" in said(capsys)


def test_one_lab_a_machine() -> None:
    assert process.running() is None
    with process.lock():
        # Locks of one process do not exclude each other across open files only for the same file object.
        with pytest.raises(process.AlreadyRunningError, match=f"pid {os.getpid()}"):
            process.lock()
        assert process.running() == os.getpid()
    assert process.running() is None


@pytest.mark.parametrize(
    ("request_", "reads"),
    [
        ({"REQUEST_METHOD": "GET", "PATH_INFO": "/bucket/key"}, True),
        ({"REQUEST_METHOD": "PUT", "PATH_INFO": "/bucket/key"}, False),
        ({"REQUEST_METHOD": "POST", "HTTP_X_AMZ_TARGET": "AmazonSSM.GetParameter"}, True),
        ({"REQUEST_METHOD": "POST", "HTTP_X_AMZ_TARGET": "AmazonSSM.PutParameter"}, False),
        ({"REQUEST_METHOD": "POST", "PATH_INFO": "/service/Granite/operation/ListMetrics"}, True),
        ({"REQUEST_METHOD": "POST", "body": b"Action=DescribeInstances&Version=1"}, True),
        ({"REQUEST_METHOD": "POST", "body": b"Action=RunInstances&Version=1"}, False),
    ],
)
def test_reading_requests_are_told_from_changing_ones(request_: dict[str, Any], reads: bool) -> None:
    body = request_.pop("body", b"")
    environ = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)), **request_}
    if body:
        environ["CONTENT_TYPE"] = "application/x-www-form-urlencoded; charset=utf-8"
    assert api.reads_only(environ) is reads
    assert environ["wsgi.input"].read() == body


HOST = "vahana-i-1"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A host of the lab, as podman tells of it, and what was done to the machine's network."""
    found: dict[str, Any] = {"State": {"Pid": 7}, "done": []}
    monkeypatch.setattr(podman, "containers", lambda labels: {HOST: podman.Container(HOST, "running", {}, "")})
    monkeypatch.setattr(podman, "inspect", lambda name: found)
    monkeypatch.setattr(machine, "cable_of", lambda process_id: f"veth{process_id}")
    monkeypatch.setattr(machine, "_ip", lambda *arguments: found["done"].append(" ".join(arguments)))
    return found


def test_a_host_is_cut_off_at_the_machines_end(host: dict[str, Any]) -> None:
    assert cli.main(["fault", "cut", "i-1"]) == 0
    assert cli.main(["fault", "heal", "i-1"]) == 0
    assert host["done"] == ["link set dev veth7 down", "link set dev veth7 up"]


def test_what_does_not_run_cannot_be_cut_off(host: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    host["State"]["Pid"] = 0
    assert cli.main(["fault", "cut", "i-1"]) == 1
    assert "i-1 does not run" in said(capsys)
    assert cli.main(["fault", "cut", "i-2"]) == 1
    assert "no host of the lab" in said(capsys)
    assert host["done"] == []


def test_a_process_without_a_network_has_no_cable() -> None:
    with pytest.raises(machine.MachineError, match="no cable"):
        machine.cable_of(2**22 + 1)


@pytest.mark.parametrize("factor", ["0", "-1", "1000", "fast"])
def test_a_senseless_pace_is_refused(factor: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["up", "--realistic", "--scale", factor])
    assert "--scale" in capsys.readouterr().err


def test_a_reader_that_has_enough_is_no_error() -> None:
    code = (
        "import os, sys; from lab import cli; os.geteuid = lambda: 1000;"
        "cli.process.running = os.getpid; sys.exit(cli.main(['status']))"
    )
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


class FakeAws:
    """Two hosts, a database and a cache's node; one host is in zone b."""

    def client(self, service: str, endpoint_url: str) -> FakeAws:
        """Return itself, whatever is asked for; it answers at the lab's address."""
        assert endpoint_url == settings.API_URL
        return self

    def describe_instances(self, Filters: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        """Find the host of the zone."""
        found = {"us-east-1a": ["i-a", "i-ended"], "us-east-1b": ["i-b"]}[Filters[0]["Values"][0]]
        return {"Reservations": [{"Instances": [{"InstanceId": each}]} for each in found]}

    def describe_db_instances(self) -> dict[str, Any]:
        """Know the database."""
        return {"DBInstances": [{"DBInstanceIdentifier": "cars", "AvailabilityZone": "us-east-1a"}]}

    def describe_cache_clusters(self) -> dict[str, Any]:
        """Know the cache's node."""
        return {"CacheClusters": [{"CacheClusterId": "cars-001", "PreferredAvailabilityZone": "us-east-1a"}]}


def test_a_zone_is_lost_at_one_moment(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    regions: list[str] = []

    def session(*_keys: str, region_name: str) -> FakeAws:
        regions.append(region_name)
        return FakeAws()

    monkeypatch.setattr(boto3, "Session", session)
    lost = [settings.host_name("i-a"), settings.database_name("cars"), settings.cache_name("cars-001")]
    task, other = settings.task_name("1"), settings.task_name("2")
    zones = {task: {"vahana.zone": "us-east-1a"}, other: {"vahana.zone": "us-east-1c"}}
    lost.append(task)
    names = {*lost, other, settings.host_name("i-b")}
    running = {name: podman.Container(name, "running", zones.get(name, {}), "") for name in names}
    monkeypatch.setattr(podman, "containers", lambda: running)
    killed: list[tuple[str, ...]] = []
    monkeypatch.setattr(podman, "podman", lambda *arguments: killed.append(arguments))
    assert cli.main(["fault", "zone", "us-east-1a"]) == 0
    assert killed == [("kill", *lost)]
    assert capsys.readouterr().out == "lost with us-east-1a: i-a, db-cars, cache-cars-001, task-1\n"
    assert regions == ["us-east-1"]
    del running[settings.host_name("i-b")]
    assert cli.main(["fault", "zone", "us-east-1b"]) == 1
    assert "nothing of the lab runs in us-east-1b" in said(capsys)


def test_a_task_is_lost(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    name = settings.task_name("0123")
    monkeypatch.setattr(podman, "containers", lambda _labels: {name: podman.Container(name, "running", {}, "")})
    killed: list[tuple[str, ...]] = []
    monkeypatch.setattr(podman, "podman", lambda *arguments: killed.append(arguments))
    for named in ("0123", "arn:aws:ecs:us-east-1:123456789012:task/cars/0123"):
        assert cli.main(["fault", "task", named]) == 0
    assert killed == [("kill", name)] * 2
    assert cli.main(["fault", "task", "none"]) == 1
    assert "none is no task that runs in the lab" in said(capsys)


@pytest.mark.parametrize("profile", ["", "elsewhere"])
def test_the_shells_profile_is_none_of_the_labs(tmp_path: Path, profile: str) -> None:
    environment = {**os.environ, "AWS_PROFILE": profile, "VAHANA_LAB_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "lab.cli", "metrics", "--period", "5"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "a datapoint every 5 s" in done.stdout) == (0, True), done.stderr
