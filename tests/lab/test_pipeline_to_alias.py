"""What is pushed is tested, built and deployed to the alias; what fails on the way changes nothing that serves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.conftest import playbook
from tests.lab.repository import NAME, Aws, Repository, approved, last_of_history
from tests.lab.test_tier_serverless import BROKEN, HANDLER, shares
from tests.lab.visitor import version

TIER = ("-e", "tier=serverless", "-e", "pipeline_repository=ann/listings")

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def repository(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """The tier with its pipeline, and the repository."""
    made = playbook("site.yml", *TIER, timeout=1800)
    assert "approve the connection" in made.output
    yield Repository(tmp_path_factory.mktemp("repository") / "listings", aws)
    gone = playbook("playbooks/destroy.yml", "-e", f"confirm={NAME}")
    assert f"{NAME}: nothing is left" in gone.output


def test_a_push_is_tested_built_and_deployed_to_the_alias(repository: Repository, aws: Aws) -> None:
    before = version()
    handler = repository.folder / "examples/functions/src/api.js"
    handler.write_text(handler.read_text() + "\n// Cheaper cars.\n")
    commit = repository.push("Cheaper cars")
    ended = repository.execution(commit)
    assert ended["status"] == "Succeeded", repository.log("build") + repository.log("deploy")
    assert repository.stages() == {"source": "Succeeded", "build": "Succeeded", "deploy": "Succeeded"}
    after = version()
    assert after != before
    assert (approved(aws), shares(aws)) == (after, (after, {}))
    told = last_of_history()
    assert (told["verb"], told["to"], told["result"], told["reason"]) == ("deploy", after, "ok", f"commit {commit}")


def test_a_failing_test_stops_it(repository: Repository, aws: Aws) -> None:
    before = version()
    repository.fail_a_test_of("functions")
    commit = repository.push("Free cars")
    assert repository.execution(commit)["status"] == "Failed"
    assert repository.stages()["build"] == "Failed"
    assert "they are not" in repository.log("build")
    assert (version(), approved(aws), shares(aws)) == (before, before, (before, {}))
    repository.undo()


def test_an_ill_release_is_taken_back(repository: Repository, aws: Aws) -> None:
    before = version()
    handler = repository.folder / "examples/functions/src/api.js"
    text = handler.read_text()
    assert HANDLER in text
    handler.write_text(text.replace(HANDLER, HANDLER + BROKEN["ill"]))
    repository.drop_tests()
    commit = repository.push("Cars that are ill")
    assert repository.execution(commit)["status"] == "Failed"
    assert repository.stages()["deploy"] == "Failed"
    said = repository.log("deploy")
    assert "it answers /api/health with 500" in said
    assert f"{before} answers as before" in said
    assert (version(), approved(aws), shares(aws)) == (before, before, (before, {}))
    told = last_of_history()
    assert (told["verb"], told["result"], told["reason"]) == ("deploy", "failed", f"commit {commit}")
