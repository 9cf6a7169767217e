"""Host keys come from an instance's console, are cached by its id, and failing to get them says why."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest

SCRIPT = Path(__file__).parents[2] / "plugins/ssh/instance_host_keys"
INSTANCE = "i-0123456789abcdef0"
ED25519 = "AAAAC3NzaC1lZDI1NTE5AAAAIJ7fJm0dY1Qb2rWnQ3Yw0R7p8sWn3b5m0J5gq5bq7QxB"
ECDSA = "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBA=="
CONSOLE = f"""
[    1.2] systemd[1]: Started cloud-init
-----BEGIN SSH HOST KEY KEYS-----
ssh-ed25519 AAAAold root@first-boot
-----END SSH HOST KEY KEYS-----
[    9.9] rebooted
-----BEGIN SSH HOST KEY KEYS-----
ecdsa-sha2-nistp256 {ECDSA} root@host
ssh-ed25519 {ED25519} root@host
-----END SSH HOST KEY KEYS-----
host login:
"""


@pytest.fixture
def host_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load the program as a module, with a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    loader = importlib.machinery.SourceFileLoader("instance_host_keys", str(SCRIPT))
    spec = importlib.util.spec_from_loader("instance_host_keys", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_last_whole_block_counts(host_keys: ModuleType) -> None:
    assert host_keys.host_keys(CONSOLE) == [f"ecdsa-sha2-nistp256 {ECDSA}", f"ssh-ed25519 {ED25519}"]


def test_a_block_that_is_not_finished_does_not_count(host_keys: ModuleType) -> None:
    unfinished = f"-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 {ED25519} root@host\n"
    assert host_keys.host_keys(unfinished) == []
    assert host_keys.host_keys("") == []


def test_keys_are_printed_as_known_hosts_lines_and_cached(
    host_keys: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(host_keys, "console_of", lambda _instance_id: CONSOLE)
    expected = f"{INSTANCE} ecdsa-sha2-nistp256 {ECDSA}\n{INSTANCE} ssh-ed25519 {ED25519}\n"
    assert host_keys.main([INSTANCE]) == 0
    assert capsys.readouterr().out == expected

    def unreachable(_instance_id: str) -> str:
        raise AssertionError("asked again although the keys are cached")

    monkeypatch.setattr(host_keys, "console_of", unreachable)
    assert host_keys.main([INSTANCE]) == 0
    assert capsys.readouterr().out == expected
    assert [path.name for path in (tmp_path / "vahana/host_keys").iterdir()] == [INSTANCE]


def test_a_console_without_keys_is_an_error_and_is_not_cached(
    host_keys: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(host_keys, "console_of", lambda _instance_id: "booting")
    assert host_keys.main([INSTANCE]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert f"the console of {INSTANCE} shows no SSH host keys yet" in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "vahana").exists()


def test_the_console_is_read_through_the_api(
    host_keys: ModuleType, monkeypatch: pytest.MonkeyPatch, moto_url: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    ec2 = boto3.client("ec2")
    subnet = ec2.create_subnet(VpcId=ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"], CidrBlock="10.9.1.0/24")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    started = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnet["Subnet"]["SubnetId"])
    # What moto puts on a console says nothing of keys.
    assert isinstance(host_keys.console_of(started["Instances"][0]["InstanceId"]), str)
    with pytest.raises(host_keys.HostKeysError, match=f"the console of {INSTANCE} cannot be read: .*NotFound"):
        host_keys.console_of(INSTANCE)


@pytest.mark.parametrize("arguments", [[], ["10.0.1.4"], [INSTANCE, INSTANCE], ["i-0123; rm -rf /"]])
def test_anything_but_an_instance_id_is_refused(
    host_keys: ModuleType, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert host_keys.main(arguments) == 2
    assert "usage: instance_host_keys INSTANCE_ID" in capsys.readouterr().err


def test_it_runs_as_a_program_the_way_ssh_starts_it(tmp_path: Path) -> None:
    cache = tmp_path / "vahana/host_keys"
    cache.mkdir(parents=True)
    (cache / INSTANCE).write_text(f"ssh-ed25519 {ED25519}\n")
    environment: dict[str, Any] = {"XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(
        [sys.executable, SCRIPT, INSTANCE], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout == f"{INSTANCE} ssh-ed25519 {ED25519}\n"
