"""What is pushed becomes images and is deployed to the services; what fails on the way changes nothing that serves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.conftest import playbook
from tests.lab.repository import NAME, Aws, Repository, approved, last_of_history
from tests.lab.visitor import call

TIER = ("-e", "tier=microservices", "-e", "pipeline_repository=ann/listings")
SERVICES = ("auth", "cars", "insurance", "payment", "notification")

NEVER = """import { test } from 'vitest';
test('cars are free', () => { throw new Error('they are not'); });
"""

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def repository(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """The tier with its pipeline, and the repository."""
    made = playbook("site.yml", *TIER, timeout=1800)
    assert "approve the connection" in made.output
    yield Repository(tmp_path_factory.mktemp("repository") / "listings", aws)
    gone = playbook("playbooks/destroy.yml", "-e", f"confirm={NAME}")
    assert f"{NAME}: nothing is left" in gone.output


def versions() -> dict[str, str]:
    """Return which version of each service answers."""
    return {service: str(call("GET", f"/api/{service}/health")["version"]) for service in SERVICES}


def test_a_push_is_tested_built_and_deployed_to_what_it_changes(repository: Repository, aws: Aws) -> None:
    before, release = versions(), approved(aws)
    main = repository.folder / "examples/services/cars/src/main.js"
    main.write_text(main.read_text() + "\n// Cheaper cars.\n")
    commit = repository.push("Cheaper cars")
    ended = repository.execution(commit)
    assert ended["status"] == "Succeeded", repository.log("build") + repository.log("deploy")
    after = versions()
    assert {service for service in SERVICES if after[service] != before[service]} == {"cars"}
    assert approved(aws) != release
    told = last_of_history()
    assert (told["verb"], told["to"], told["result"], told["reason"]) == (
        "deploy",
        approved(aws),
        "ok",
        f"commit {commit}",
    )


def test_a_failing_test_stops_it(repository: Repository, aws: Aws) -> None:
    before, release = versions(), approved(aws)
    (repository.folder / "examples/portal/src/never.test.js").write_text(NEVER)
    commit = repository.push("Free cars")
    assert repository.execution(commit)["status"] == "Failed"
    assert repository.stages()["build"] == "Failed"
    assert "they are not" in repository.log("build")
    assert (versions(), approved(aws)) == (before, release)
    repository.undo()


def test_an_ill_version_is_taken_back(repository: Repository, aws: Aws) -> None:
    before, release = versions(), approved(aws)
    main = repository.folder / "examples/services/cars/src/main.js"
    main.write_text("throw new Error('no cars today');\n")
    commit = repository.push("No cars")
    assert repository.execution(commit)["status"] == "Failed"
    assert repository.stages()["deploy"] == "Failed"
    assert "cars: deployment" in repository.log("deploy")
    assert (versions(), approved(aws)) == (before, release)
    told = last_of_history()
    assert (told["verb"], told["result"], told["reason"]) == ("deploy", "failed", f"commit {commit}")
