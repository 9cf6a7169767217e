"""Configuration, lock, secrets and errors of the host tools."""

from __future__ import annotations

import json
import multiprocessing
import stat
from pathlib import Path
from typing import Any

import backend_host
import boto3
import pytest
from backend_host import Aws, Boot, Host, HostError, compose_environment, environment_text, only_one, write_file
from botocore.stub import Stubber

from tests.unit.hosts.builders import set_up_environment
from tests.unit.hosts.conftest import BOOT


def test_missing_boot_file_says_who_writes_it(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"boot\.json is missing: the instance's user data"):
        Boot.load(tmp_path / "boot.json")


def test_all_faults_of_the_boot_file_at_once(boot_file: Path) -> None:
    boot_file.write_text(json.dumps({**BOOT, "port": "80", "region": "", "database": {"engine": "oracle"}}))
    with pytest.raises(HostError) as caught:
        Boot.load(boot_file)
    for fault in ("'port' must be a whole number", "'region' must be a text", "'database.engine' must be sqlite or"):
        assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", "null"])
def test_boot_file_that_is_no_object(boot_file: Path, text: str) -> None:
    boot_file.write_text(text)
    with pytest.raises(HostError, match="is not"):
        Boot.load(boot_file)


def test_incomplete_configuration(tmp_path: Path) -> None:
    path = tmp_path / "backend.json"
    path.write_text('{"app": "carapp"}')
    with pytest.raises(HostError, match=r"'user'.*configure\.yml"):
        Host.load(path)


@pytest.mark.parametrize("version", ["", ".", "..", "../etc", "a/b", ".hidden", "-x", "a b", "x" * 200])
def test_names_that_are_no_release(version: str) -> None:
    with pytest.raises(HostError, match="no release name"):
        backend_host.check_version(version)


def test_environment_of_postgres(boot: Boot, aws: Aws) -> None:
    set_up_environment(password="p@ss/w:rd", APP_SECRET="a\nb", LIMIT=5, DEBUG=True)
    environment = compose_environment(boot, aws)
    assert environment == {
        "NODE_ENV": "production",
        "PORT": "3000",
        "DATABASE_URL": "postgres://car%20app:p%40ss%2Fw%3Ard@db.internal:5432/cars?sslmode=no-verify",
        "APP_SECRET": "a\nb",
        "LIMIT": "5",
        "DEBUG": "true",
    }
    lines = environment_text(environment).splitlines()
    assert 'APP_SECRET="a\\nb"' in lines
    assert len(lines) == len(environment)


def test_environment_with_a_read_replica(boot: Boot, aws: Aws) -> None:
    set_up_environment()
    ssm, name = boto3.client("ssm", "us-east-1"), "/carapp/test/database"
    place = json.loads(ssm.get_parameter(Name=name)["Parameter"]["Value"])
    ssm.put_parameter(Name=name, Value=json.dumps({**place, "read_host": "replica.internal"}), Overwrite=True)
    environment = compose_environment(boot, aws)
    wanted = environment["DATABASE_URL"].replace("@db.internal:", "@replica.internal:")
    assert environment["DATABASE_READ_URL"] == wanted != environment["DATABASE_URL"]


def test_environment_with_a_cache(boot_file: Path, aws: Aws) -> None:
    set_up_environment()
    boot_file.write_text(json.dumps({**BOOT, "cache": {"parameter": "/carapp/test/cache"}}))
    boot = Boot.load(boot_file)
    with pytest.raises(HostError, match=r"run site\.yml, whose layer cache writes it"):
        compose_environment(boot, aws)
    place = {"host": "cache.internal", "port": 6379, "secret": "/carapp/test/cache"}
    boto3.client("ssm", "us-east-1").put_parameter(Name="/carapp/test/cache", Value=json.dumps(place), Type="String")
    boto3.client("secretsmanager", "us-east-1").create_secret(Name=place["secret"], SecretString='{"password": "p<w"}')
    assert compose_environment(boot, aws)["REDIS_URL"] == "rediss://:p%3Cw@cache.internal:6379?sslmode=no-verify"


def test_a_cache_without_its_parameter(boot_file: Path) -> None:
    boot_file.write_text(json.dumps({**BOOT, "cache": {"host": "x"}}))
    with pytest.raises(HostError, match=r"'cache\.parameter' is missing"):
        Boot.load(boot_file)


def test_environment_with_queues(boot_file: Path, aws: Aws) -> None:
    set_up_environment()
    queues = {"email": "https://sqs.example/1/email", "price-alerts": "https://sqs.example/1/price-alerts"}
    boot_file.write_text(json.dumps({**BOOT, "queues": queues}))
    environment = compose_environment(Boot.load(boot_file), aws)
    assert environment["QUEUE_URL_EMAIL"] == queues["email"]
    assert environment["QUEUE_URL_PRICE_ALERTS"] == queues["price-alerts"]
    assert environment["AWS_REGION"] == BOOT["region"]


def test_environment_with_a_bucket_of_images(boot_file: Path, aws: Aws) -> None:
    set_up_environment()
    boot_file.write_text(json.dumps({**BOOT, "images_bucket": "cars-prod-images"}))
    environment = compose_environment(Boot.load(boot_file), aws)
    assert (environment["IMAGES_BUCKET"], environment["AWS_REGION"]) == ("cars-prod-images", BOOT["region"])


def test_environment_of_sqlite(boot_file: Path, aws: Aws) -> None:
    data = {**BOOT, "secrets": [], "database": {"engine": "sqlite", "path": "/srv/x.sqlite3"}}
    boot_file.write_text(json.dumps(data))
    assert compose_environment(Boot.load(boot_file), aws)["DATABASE_URL"] == "sqlite:/srv/x.sqlite3"


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({"PORT": "1"}, "PORT is computed on the host"),
        ({"not-a-name": "1"}, "'not-a-name' is no name of an environment variable"),
        ({"NESTED": {"a": 1}}, "the value of NESTED must be a text"),
    ],
)
def test_secret_that_cannot_be_an_environment(boot: Boot, aws: Aws, pairs: dict[str, Any], message: str) -> None:
    set_up_environment(**pairs)
    with pytest.raises(HostError, match=message):
        compose_environment(boot, aws)


def test_missing_secret_and_parameter(boot: Boot, aws: Aws) -> None:
    with pytest.raises(HostError, match=r"parameter /carapp/test/database does not exist: run site\.yml"):
        compose_environment(boot, aws)


def test_missing_permission_names_it(aws: Aws) -> None:
    with Stubber(aws.client("secretsmanager")) as stub:
        stub.add_client_error("get_secret_value", "AccessDeniedException", "no", 400)
        with pytest.raises(HostError, match="the instance role needs secretsmanager:GetSecretValue") as caught:
            aws.secret("/carapp/test/backend")
    assert not caught.value.passing


def test_denied_object_may_also_be_missing(aws: Aws) -> None:
    with Stubber(aws.client("s3")) as stub:
        stub.add_client_error("get_object", "AccessDenied", "no", 403)
        with pytest.raises(HostError, match=r"needs s3:GetObject \(or: no such release\)"):
            aws.read_object("releases", "x", "no such release")


def test_unreachable_aws_is_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not mocked away by moto: the address refuses connections.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    unreachable = Aws("us-east-1")
    unreachable._config = unreachable._config.merge(backend_host.Config(retries={"total_max_attempts": 1}))
    with pytest.raises(HostError, match="no answer from AWS") as caught:
        unreachable.parameter("/x", "missing")
    assert caught.value.passing


@pytest.mark.parametrize("fit", [True, False])
def test_launch_is_answered(aws: Aws, fit: bool) -> None:
    expected = {
        "AutoScalingGroupName": "group",
        "LifecycleHookName": "hook",
        "InstanceId": "i-1",
        "LifecycleActionResult": "CONTINUE" if fit else "ABANDON",
    }
    with Stubber(aws.client("autoscaling")) as stub:
        stub.add_response("complete_lifecycle_action", {}, expected)
        assert aws.complete_launch("group", "hook", "i-1", fit=fit)


def test_no_launch_waits(aws: Aws) -> None:
    with Stubber(aws.client("autoscaling")) as stub:
        text = "No active Lifecycle Action found with instance ID i-1"
        stub.add_client_error("complete_lifecycle_action", "ValidationError", text, 400)
        assert not aws.complete_launch("group", "hook", "i-1", fit=True)


def test_environment_file_is_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "env"
    write_file(path, "A=1\n", 0o640, 0)
    write_file(path, "A=2\n", 0o640, 0)
    assert path.read_text() == "A=2\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [file.name for file in tmp_path.iterdir() if file.name != "node"] == ["env"]


def _hold(path: Path, held: Any, release: Any) -> None:
    with only_one("backend-release activate 1.0.0", 0, path):
        held.set()
        release.wait(10)


def test_no_two_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    context = multiprocessing.get_context("fork")
    held, release = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(path, held, release))
    holder.start()
    assert held.wait(10)
    with (
        pytest.raises(HostError, match=r"backend-release activate 1\.0\.0 \(process \d+.*is at work"),
        only_one("me", 0, path),
    ):
        pytest.fail("two at once")
    release.set()
    with only_one("me", 10, path):
        assert path.read_text().startswith("me (process")
    holder.join()


def test_tool_turns_failures_into_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)

    def fails() -> int:
        raise HostError("it is broken: mend it")

    assert backend_host.run_tool(fails) == 1
    assert capsys.readouterr().err == "error: it is broken: mend it\n"


def test_journal_gets_the_priority(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    backend_host.say("all is well")
    backend_host.say("it is broken", error=True)
    assert capsys.readouterr().err == "<6>all is well\n<3>it is broken\n"


def test_tool_explains_a_full_disk_and_missing_rights(capsys: pytest.CaptureFixture[str]) -> None:
    def full() -> int:
        raise OSError(28, "No space left on device", "/srv/x")

    def forbidden() -> int:
        raise PermissionError(13, "Permission denied", "/run/lock/x")

    assert backend_host.run_tool(full) == 1
    assert "/srv/x: no space left" in capsys.readouterr().err
    assert backend_host.run_tool(forbidden) == 1
    assert "/run/lock/x: permission denied: run it as root" in capsys.readouterr().err
