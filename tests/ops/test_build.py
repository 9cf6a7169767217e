"""Build a release: from folders and commits, tested, once; the hooks around it; the list of releases."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ops.conftest import BUCKET, PARAMETERS, TAGS, Account, Run
from tests.ops.test_rollback import publish

PACKAGE = {"name": "cars", "version": "1.0.0", "private": True}
SCRIPTS = {"migrate": "node -e ''", "test": "node --test"}
LOCK = {"name": "cars", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": {"": PACKAGE}}
PASSING = "require('node:test').test('cars are listed', () => {});\n"

Build = Callable[..., Run]


def git(folder: Path, *arguments: str) -> str:
    person = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    done = subprocess.run(["git", *person, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a repository with a backend that needs no package, and a tag."""
    shop = tmp_path / "shop"
    for name, text in {
        "api/package.json": json.dumps({**PACKAGE, "scripts": SCRIPTS}),
        "api/package-lock.json": json.dumps(LOCK),
        "api/src/server.js": "// start\n",
        "api/test/cars.test.js": PASSING,
    }.items():
        (shop / name).parent.mkdir(parents=True, exist_ok=True)
        (shop / name).write_text(text)
    git(shop, "init", "-q", "-b", "main")
    git(shop, "add", ".")
    git(shop, "commit", "-qm", "first")
    git(shop, "tag", "v1")
    return shop


@pytest.fixture
def build(account: Account, shop: Path) -> Build:
    """Build with the real npm, which needs no network for this backend."""

    def build(*arguments: str) -> Run:
        return account.play(
            "build",
            *("-e", f"release_backend_source={shop / 'api'}", "-e", "release_frontend_source="),
            *("-e", f"release_dist={shop.parent / 'dist'}"),
            *arguments,
        )

    return build


def changed(run: Run) -> int:
    [line] = [line for line in run.output.splitlines() if line.startswith("localhost") and "changed=" in line]
    return int(line.split("changed=")[1].split()[0])


@pytest.fixture
def told(shop: Path) -> Path:
    """Have hooks that write down what they may read, and return where."""
    hooks, told = shop.parent / "hooks", shop.parent / "told"
    (hooks / "tasks").mkdir(parents=True)
    # A file beside the hooks, found from them.
    (hooks / "tasks/tell.yml").write_text(
        "- ansible.builtin.lineinfile:\n"
        "    create: true\n"
        "    mode: '0600'\n"
        f"    path: {told}\n"
        "    line: >-\n"
        "      {{ hooks_point }} {{ hooks_name }} {{ hooks_release }} {{ hooks_previous }} {{ hooks_result }}\n"
        "      {{ hooks_who }} {{ hooks_reason }} {{ hooks_urls.health }} {{ hooks_error.splitlines() | join(' ') }}\n"
    )
    for point in ("before_build", "after_build", "failed_build"):
        (hooks / f"{point}.yml").write_text("- ansible.builtin.include_tasks: tasks/tell.yml\n")
    return told


def test_tested_built_once_and_listed_with_hooks_around(account: Account, build: Build, shop: Path, told: Path) -> None:
    ssm, commit = account.client("ssm"), git(shop, "rev-parse", "HEAD")
    ssm.put_parameter(Name=f"{PARAMETERS}/release", Value="0.9.0", Type="String", Tags=TAGS)
    given = ("-e", f"hooks_directory={told.parent}/hooks", "-e", "reason=Friday", "-e", "public_url=http://127.0.0.1:1")

    # A failing test, not committed.
    tests = shop / "api/test/cars.test.js"
    tests.write_text(PASSING.replace("{}", "{ throw new Error('no car is listed'); }"))
    failed = build(*given)
    assert failed.code != 0 and "error: there is no release to go on with" in failed.output, failed.output
    assert "the backend does not pass its tests" in failed.output and "no car is listed" in failed.output
    assert account.objects("releases/") == []
    before, after = told.read_text().splitlines()
    assert before.startswith("before_build vahanhelp-prod 1.0.0-")
    assert after.startswith("failed_build vahanhelp-prod ") and "no car is listed" in after
    told.unlink()
    [entry] = account.history()
    assert (entry["verb"], entry["result"]) == ("build", "failed")

    # What is committed has none.
    made = build("-e", "ref=v1", *given)
    assert made.code == 0 and changed(made) > 0, made.output
    entry = account.history()[-1]
    release = entry["to"]
    assert (entry["verb"], entry["from"], entry["result"], entry["reason"]) == ("build", "", "ok", "Friday")
    assert f"playbooks/deploy.yml -e release={release}" in made.output
    assert account.objects("releases/") == [f"releases/{release}/{n}" for n in ("backend.tar.gz", "manifest.json")]
    about, tail = f"vahanhelp-prod {release} 0.9.0", f"{entry['who']} Friday http://127.0.0.1:1/api/health"
    lines = [" ".join(line.split()) for line in told.read_text().splitlines()]
    assert lines == [f"before_build {about} {tail}", f"after_build {about} ok {tail}"]

    # The same by another name: nothing to build, nothing to tell.
    account.writes()
    name = told.parent / "release.txt"
    again = build("-e", "ref=main", "-e", f"out={name}", *given)
    assert again.code == 0 and changed(again) == 0, again.output
    assert "nothing to build" in again.output
    assert name.read_text() == release
    assert account.writes() == []
    assert len(told.read_text().splitlines()) == 2

    ssm.put_parameter(Name=f"{PARAMETERS}/release", Value=release, Type="String", Overwrite=True)
    publish(account, "0.9.0")
    shown = account.play("releases", "-e", "limit=1", "-e", "format=json")
    found = [json.loads(line) for line in shown.output.splitlines() if line.startswith("{")]
    assert [(line["release"], line["state"]) for line in found] == [("0.9.0", "previous"), (release, "current")]
    assert (found[1]["commit"], found[1]["builder"], found[1]["tests"]) == (commit, entry["who"], "passed")
    assert found[1]["node"].startswith("24.") and found[1]["npm"] and found[1]["time"] >= entry["time"]


def test_every_mistake_is_named_at_once(account: Account, build: Build, shop: Path) -> None:
    hooks = shop.parent / "hooks"
    hooks.mkdir()
    (hooks / "after_biuld.yml").write_text("- ansible.builtin.debug:\n")
    (hooks / "after_build.yml").write_text("- name: {\n")
    stopped = build("-e", "version=1", "-e", "build_tests=flase", "-e", f"hooks_directory={hooks}")
    assert stopped.code != 0
    for message in (
        "release (-e): build names the release after its sources",
        "build_tests (-e): 'flase' is neither; true or false",
        f"{hooks}/after_biuld.yml (hooks_directory): no hook has this name, so it would never run; did you mean",
        f"{hooks}/after_build.yml (hooks_directory): cannot be read (",
    ):
        assert f"[ERROR]: {message}" in stopped.output, stopped.output
    assert account.writes() == []


def test_the_tier_says_what_a_release_is_made_of(account: Account, build: Build, shop: Path) -> None:
    account.client("ssm").put_parameter(Name=f"{PARAMETERS}/tier", Value="microservices", Type="String", Tags=TAGS)
    services = shop.parent / "services"
    names = ["auth", "cars", "insurance", "notification", "payment"]
    for folder in (services, *(services / name for name in names)):
        folder.mkdir()
        (folder / "package.json").write_text(json.dumps(PACKAGE))
    (services / "package-lock.json").write_text(json.dumps(LOCK))
    (services / "Containerfile").write_text("FROM scratch\n")
    made = build("-e", f"containers_source={services}", "-e", "release_backend_source=")
    assert made.code == 0, made.output
    [key] = account.objects("releases/")
    manifest = json.loads(account.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())
    assert sorted(manifest["services"]) == names and manifest["backend"] is None
