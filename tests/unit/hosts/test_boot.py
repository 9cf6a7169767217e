"""What the boot does when it succeeds, fails, and is repeated."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from pathlib import Path
from typing import Any

import backend_boot
import pytest
from backend_boot import Launch
from backend_host import Aws, Boot, Host, HostError
from backend_releases import ActivationError, Service
from botocore.stub import Stubber

from tests.unit.hosts.builders import set_up_environment

ANSWER = {"AutoScalingGroupName": "carapp-test", "LifecycleHookName": "carapp-test-launch", "InstanceId": "i-1"}


@pytest.fixture
def launch(boot: Boot, aws: Aws, tmp_path: Path) -> Launch:
    """The launch of the instance i-1."""
    return Launch(boot, aws, tmp_path / "state", instance_id=lambda: "i-1", began=tmp_path / "began")


def test_launch_is_answered_once(launch: Launch, aws: Aws) -> None:
    with Stubber(aws.client("autoscaling")) as stub:
        stub.add_response("complete_lifecycle_action", {}, {**ANSWER, "LifecycleActionResult": "CONTINUE"})
        launch.answer(fit=True)
        # A reboot: a second call would find no response.
        launch.answer(fit=True)
        stub.assert_no_pending_responses()


def test_instance_of_an_image_answers_for_itself(launch: Launch, boot: Boot, aws: Aws, tmp_path: Path) -> None:
    with Stubber(aws.client("autoscaling")) as stub:
        stub.add_response("complete_lifecycle_action", {})
        launch.answer(fit=True)
        stub.add_response(
            "complete_lifecycle_action", {}, {**ANSWER, "InstanceId": "i-2", "LifecycleActionResult": "ABANDON"}
        )
        Launch(boot, aws, tmp_path / "state", instance_id=lambda: "i-2").answer(fit=False)
        stub.assert_no_pending_responses()


def test_host_without_a_group_asks_no_one(boot: Boot, aws: Aws, tmp_path: Path) -> None:
    alone = Boot(**{**vars(boot), "auto_scaling_group": None})
    Launch(alone, aws, tmp_path, instance_id=lambda: pytest.fail("no metadata needed")).answer(fit=True)


class Beats:
    """A group that counts the heartbeats of its launch."""

    def __init__(self, *answers: object) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.enough = threading.Event()
        self._answers = list(answers)

    def client(self, service: str) -> None:
        """Say that there is one."""
        assert service == "autoscaling"

    def prolong_launch(self, *names: str) -> bool:
        """Note it, and answer as the test has it."""
        self.asked.append(names)
        answer = self._answers.pop(0)
        if not self._answers:
            self.enough.set()
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)


def _beating(boot: Boot, aws: Any, path: Path) -> Launch:
    return Launch(boot, aws, path / "state", instance_id=lambda: "i-1", began=path / "began")


def test_a_launch_is_prolonged_while_the_boot_works(
    boot: Boot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(backend_boot, "BEAT", 0.01)
    # One that gets lost, and the group that waits no more: then there is nothing to prolong.
    aws = Beats(True, HostError("no answer from AWS"), True, False)
    before = threading.active_count()
    with _beating(boot, aws, tmp_path).prolonged():
        assert aws.enough.wait(10)
        deadline = time.monotonic() + 10
        while threading.active_count() > before and time.monotonic() < deadline:
            time.sleep(0.01)
    assert aws.asked == [("carapp-test", "carapp-test-launch", "i-1")] * 4
    assert "the launch was not prolonged: no answer from AWS" in capsys.readouterr().err


def test_a_migration_is_waited_for(boot: Boot, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_boot, "BEAT", 0.01)
    aws = Beats(True, True)
    migrated: list[Path] = []

    def migrate(_self: Service, release: Path, _environment: dict[str, str]) -> None:
        assert aws.enough.wait(10)
        migrated.append(release)

    monkeypatch.setattr(Service, "migrate", migrate)
    backend_boot.LaunchedService(host, _beating(boot, aws, tmp_path)).migrate(tmp_path, {})
    assert migrated == [tmp_path]


def test_what_is_done_prolongs_nothing(boot: Boot, tmp_path: Path) -> None:
    aws = Beats()
    before = threading.active_count()
    with pytest.raises(HostError, match="ill"), _beating(boot, aws, tmp_path).prolonged():
        raise HostError("ill")
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before, "it ends with what it waited for, not a beat later"
    assert aws.asked == []


def test_an_hour_of_tries_is_enough(boot: Boot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try of the unit is a process of its own; they count together, but for those before a reboot."""
    began = tmp_path / "began"
    with _beating(boot, Beats(), tmp_path).prolonged():
        first = float(began.read_text())
    assert first <= time.monotonic()
    monkeypatch.setattr(backend_boot, "BEAT", 0.01)
    began.write_text(str(time.monotonic() - backend_boot.BEATS_FOR))
    aws = Beats()
    with _beating(boot, aws, tmp_path).prolonged():
        time.sleep(0.1)
    assert aws.asked == []


def test_only_a_launch_that_waits_is_prolonged(boot: Boot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_boot.threading, "Thread", lambda **_: pytest.fail("nothing to prolong"))
    with _beating(dataclasses.replace(boot, lifecycle_hook=None), Beats(), tmp_path).prolonged():
        pass
    answered = tmp_path / "state" / "launch-answered"
    answered.parent.mkdir()
    answered.write_text("i-1\n")
    with _beating(boot, Beats(), tmp_path).prolonged():
        pass


def test_how_a_launch_is_prolonged(aws: Aws) -> None:
    names = {"AutoScalingGroupName": "carapp-test", "LifecycleHookName": "carapp-test-launch", "InstanceId": "i-1"}
    with Stubber(aws.client("autoscaling")) as stub:
        stub.add_response("record_lifecycle_action_heartbeat", {}, names)
        assert aws.prolong_launch(*names.values())
        message = "No active Lifecycle Action found with instance ID i-1"
        stub.add_client_error("record_lifecycle_action_heartbeat", "ValidationError", message)
        assert not aws.prolong_launch(*names.values())
        stub.add_client_error("record_lifecycle_action_heartbeat", "AccessDenied")
        with pytest.raises(HostError, match="autoscaling:RecordLifecycleActionHeartbeat"):
            aws.prolong_launch(*names.values())


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, host: Host, boot: Boot, tmp_path: Path) -> list[bool]:
    """Run main with this host; collects what the launch is told."""
    told: list[bool] = []
    monkeypatch.setattr(backend_boot.Host, "load", lambda path: host)
    monkeypatch.setattr(backend_boot.Boot, "load", lambda path: boot)
    monkeypatch.setattr(backend_boot.Launch, "prolonged", lambda self: contextlib.nullcontext())
    monkeypatch.setattr(backend_boot.Launch, "answer", lambda self, *, fit: told.append(fit))
    monkeypatch.setattr(backend_boot, "only_one", lambda purpose, patience: contextlib.nullcontext())
    monkeypatch.setattr("sys.argv", ["backend-boot"])
    return told


def _boot_up(result: Any) -> Any:
    def boot_up(*arguments: object) -> str:
        if isinstance(result, Exception):
            raise result
        return str(result)

    return boot_up


def test_success_continues(answers: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_boot, "boot_up", _boot_up("1.0.0"))
    assert backend_boot.main() == 0
    assert answers == [True]


def test_failure_abandons_and_shows_the_log(
    answers: list[bool], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(backend_boot, "boot_up", _boot_up(ActivationError("it is ill", ["last words"])))
    assert backend_boot.main() == 1
    assert answers == [False]
    assert "  | last words" in capsys.readouterr().err


def test_what_may_pass_is_tried_again(answers: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_boot, "boot_up", _boot_up(HostError("no answer", passing=True)))
    assert backend_boot.run_tool(backend_boot.main) == 75
    assert answers == []


def test_a_launch_takes_the_release_that_boot_json_names(host: Host, boot: Boot, aws: Aws) -> None:
    set_up_environment()
    pinned = dataclasses.replace(boot, release="2.0.0")
    with pytest.raises(HostError, match=r"release 2\.0\.0 is not in s3"):
        backend_boot.boot_up(host, pinned, aws, backend_boot.Service(host))


@pytest.mark.parametrize(("answered", "release"), [(False, "2.0.0"), (True, None)])
def test_a_later_boot_takes_the_approved_release(
    answers: list[bool], boot: Boot, monkeypatch: pytest.MonkeyPatch, answered: bool, release: str | None
) -> None:
    booted: list[str | None] = []
    pinned = dataclasses.replace(boot, release="2.0.0")
    monkeypatch.setattr(backend_boot.Boot, "load", lambda path: pinned)
    monkeypatch.setattr(backend_boot.Launch, "is_answered", lambda self: answered)

    def boot_up(host: Host, boot: Boot, *rest: object) -> str:
        booted.append(boot.release)
        return "any"

    monkeypatch.setattr(backend_boot, "boot_up", boot_up)
    assert backend_boot.main() == 0
    assert booted == [release]


def test_launch_knows_whether_it_was_answered(launch: Launch, aws: Aws) -> None:
    assert not launch.is_answered()
    with Stubber(aws.client("autoscaling")) as stub:
        stub.add_response("complete_lifecycle_action", {})
        launch.answer(fit=True)
    assert launch.is_answered()


def test_no_release_is_approved(host: Host, boot: Boot, aws: Aws) -> None:
    with pytest.raises(HostError, match=r"no release is approved: parameter /carapp/test/release is missing"):
        backend_boot.boot_up(host, boot, aws, backend_boot.Service(host))


def test_approved_release_is_missing(host: Host, boot: Boot, aws: Aws) -> None:
    set_up_environment()
    with pytest.raises(HostError, match=r"release 1\.0\.0 is not in s3"):
        backend_boot.boot_up(host, boot, aws, backend_boot.Service(host))
