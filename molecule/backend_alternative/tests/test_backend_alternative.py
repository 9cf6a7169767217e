"""The backend as an image has it, then as an instance made from it: port 80, PostgreSQL, unattended boot.

Tests build on each other: an image, its first boot, a reboot, faults.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path

from testinfra.host import Host

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "resources"))

import boto3
from backend_checks import PATIENCE, answer, journal, reboot, wait_for
from releases import CANARY, DATABASE_URL, PREFIX

ENDPOINT = "http://10.98.6.1:5000"
PORT = 80
BOOT = {
    "app": "carapp",
    "env": "test",
    "region": "us-east-1",
    "port": PORT,
    "releases_bucket": "carapp-test-releases",
    "parameter_prefix": PREFIX,
    "secrets": [f"{PREFIX}/backend"],
    "database": {"engine": "postgres", "parameter": f"{PREFIX}/database"},
    "auto_scaling_group": None,
    "lifecycle_hook": None,
}


def approve(version: str) -> None:
    """Set the pointer to the approved release."""
    ssm = boto3.client("ssm", "us-east-1", endpoint_url=ENDPOINT, aws_access_key_id="x", aws_secret_access_key="x")
    ssm.put_parameter(Name=f"{PREFIX}/release", Value=version, Type="String", Overwrite=True)


def boot(host: Host) -> int:
    """Run the boot again and return its exit code."""
    with host.sudo():
        return int(host.run("systemctl start backend-boot.service").rc)


def test_image_starts_nothing(host: Host) -> None:
    assert host.service("backend-boot.service").is_enabled
    assert not host.service("backend.service").is_running
    with host.sudo():
        host.check_output("systemctl start backend-boot.service")
    assert host.check_output("systemctl show -P ConditionResult backend-boot.service") == "no"
    assert not host.file("/etc/vahana/boot.json").exists
    assert not host.file("/run/backend").exists


def test_image_holds_no_release_and_no_secret(host: Host) -> None:
    assert host.check_output("ls -A /opt/apps/carapp/releases") == ""
    assert host.run(f"sudo grep -rlsI {CANARY} /etc /var /opt /srv /home").stdout == ""


def test_user_data_brings_it_up(host: Host) -> None:
    text = json.dumps(BOOT)
    with host.sudo():
        host.check_output(f"sh -c 'cat > /etc/vahana/boot.json <<END\n{text}\nEND'")
        host.check_output("systemctl start --no-block backend-boot.service")
    wait_for(host, "1.0.0", PORT)
    assert "migrated for 1.0.0" not in journal(host, "backend.service")


def test_database_url_is_composed(host: Host) -> None:
    digests = answer(host, "/api/digests", PORT)
    assert digests["database"] == hashlib.sha256(DATABASE_URL.encode()).hexdigest()
    assert digests["secret"] == hashlib.sha256(CANARY.encode()).hexdigest()


def test_one_capability_for_the_low_port(host: Host) -> None:
    with host.sudo():
        pid = host.check_output("systemctl show -P MainPID backend")
        status = host.check_output(f"cat /proc/{pid}/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    # CAP_NET_BIND_SERVICE is number 10.
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 1 << 10
    assert host.user("runner").shell == "/usr/sbin/nologin"
    assert host.check_output("ps -o user= -p " + pid) == "runner"


def test_reboot_comes_back_by_itself_with_new_secrets(host: Host) -> None:
    secrets = boto3.client(
        "secretsmanager", "us-east-1", endpoint_url=ENDPOINT, aws_access_key_id="x", aws_secret_access_key="x"
    )
    secrets.put_secret_value(SecretId=f"{PREFIX}/backend", SecretString=json.dumps({"APP_SECRET": "rotated"}))
    reboot(host)
    wait_for(host, "1.0.0", PORT)
    assert answer(host, "/api/digests", PORT)["secret"] == hashlib.sha256(b"rotated").hexdigest()


def test_boot_again_changes_nothing(host: Host) -> None:
    pid = host.check_output("systemctl show -P MainPID backend")
    assert boot(host) == 0
    assert host.check_output("systemctl show -P MainPID backend") == pid


def test_approved_release_is_taken(host: Host) -> None:
    approve("1.1.0")
    assert boot(host) == 0
    assert answer(host, "/api/health", PORT)["version"] == "1.1.0"


def test_missing_release_is_one_line_in_the_journal(host: Host) -> None:
    approve("9.9.9")
    assert boot(host) == 1
    with host.sudo():
        errors = host.check_output(
            "journalctl --boot --priority err --identifier backend-boot --output cat --lines 5"
        ).splitlines()
    assert errors == [
        "release 9.9.9 is not in s3://carapp-test-releases/releases/9.9.9/: build and upload it with "
        "playbooks/deploy.yml, or name one that is there"
    ]
    assert answer(host, "/api/health", PORT)["version"] == "1.1.0"


def test_ill_release_touches_nothing_and_shows_its_last_words(host: Host) -> None:
    approve("1.2.0-crash")
    assert boot(host) == 1
    shown = journal(host, "backend-boot.service", 80)
    assert "this release cannot start" in shown
    assert "release 1.1.0 goes on as it was" in shown
    assert answer(host, "/api/health", PORT)["version"] == "1.1.0"


def test_unreachable_aws_is_tried_again(host: Host) -> None:
    approve("1.1.0")
    drop_in = "/run/systemd/system/backend-boot.service.d"
    with host.sudo():
        # Nothing listens on that port.
        override = "[Service]\\nEnvironment=AWS_ENDPOINT_URL=http://10.98.6.1:9"
        host.check_output(f"sh -c 'mkdir -p {drop_in} && printf \"{override}\" > {drop_in}/test.conf'")
        host.check_output("systemctl daemon-reload")
        host.check_output("systemctl start --no-block backend-boot.service")
        deadline = time.monotonic() + PATIENCE
        while "no answer from AWS" not in journal(host, "backend-boot.service"):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        host.check_output(f"rm -r {drop_in}")
        host.check_output("systemctl daemon-reload")
        # Nobody starts it again.
        deadline = time.monotonic() + PATIENCE
        while host.check_output("systemctl show -P Result -P ActiveState backend-boot.service") != "success\ninactive":
            assert time.monotonic() < deadline, journal(host, "backend-boot.service")
            time.sleep(0.5)
    assert answer(host, "/api/health", PORT)["version"] == "1.1.0"
