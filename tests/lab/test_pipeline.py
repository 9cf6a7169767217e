"""What is pushed is tested, built and deployed to new hosts; what fails on the way changes nothing that serves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.conftest import playbook
from tests.lab.repository import NAME, Aws, Repository, approved, last_of_history
from tests.lab.visitor import version

#: A short watch at the end.
TIER = ("-e", "tier=full", "-e", "pipeline_repository=ann/cars", "-e", "pipeline_bake_time=10")

pytestmark = pytest.mark.long


def _hosts(aws: Aws) -> set[str]:
    [group] = aws("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[f"{NAME}-backend"])[
        "AutoScalingGroups"
    ]
    return {each["InstanceId"] for each in group["Instances"] if each["LifecycleState"] == "InService"}


@pytest.fixture(scope="module")
def repository(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """The tier with its pipeline, and the repository."""
    made = playbook("site.yml", *TIER, timeout=2400)
    assert "approve the connection" in made.output
    yield Repository(tmp_path_factory.mktemp("repository") / "cars", aws)
    playbook("playbooks/destroy.yml", "-e", f"confirm={NAME}", "-e", "keep_snapshot=false", timeout=1800)


def test_a_push_is_tested_built_and_deployed_to_new_hosts(repository: Repository, aws: Aws) -> None:
    before, hosts = version(), _hosts(aws)
    page = repository.folder / "examples/backend/src/server.js"
    page.write_text(page.read_text() + "\n// Cheaper cars.\n")
    commit = repository.push("Cheaper cars")
    ended = repository.execution(commit)
    assert ended["status"] == "Succeeded", repository.log("build") + repository.log("deploy")
    assert repository.stages() == {"source": "Succeeded", "build": "Succeeded", "deploy": "Succeeded"}
    after = version()
    assert after != before
    assert after == approved(aws)
    assert not _hosts(aws) & hosts
    told = last_of_history()
    assert (told["verb"], told["to"], told["result"], told["reason"]) == ("deploy", after, "ok", f"commit {commit}")


def test_a_failing_test_stops_it(repository: Repository, aws: Aws) -> None:
    before, hosts = version(), _hosts(aws)
    repository.fail_a_test_of("backend")
    commit = repository.push("Free cars")
    assert repository.execution(commit)["status"] == "Failed"
    assert repository.stages()["build"] == "Failed"
    assert "they are not" in repository.log("build")
    assert (version(), approved(aws), _hosts(aws)) == (before, before, hosts)
    repository.undo()


def test_what_is_not_healthy_is_rolled_back(repository: Repository, aws: Aws) -> None:
    before = version()
    server = repository.folder / "examples/backend/src/server.js"
    # Its tests require the parts; the server itself starts on hosts only.
    server.write_text("process.exit(1);\n" + server.read_text())
    repository.drop_tests()
    commit = repository.push("Cars that do not start")
    assert repository.execution(commit)["status"] == "Failed"
    assert repository.stages()["deploy"] == "Failed"
    assert f"{before} serves" in repository.log("deploy")
    assert (version(), approved(aws)) == (before, before)
    assert len(_hosts(aws)) >= 2
