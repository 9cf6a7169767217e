"""The module release_build: what is built and published when, and what each mistake says."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from ansible.module_utils.release_artifact import ReleaseError, identity

from plugins.modules import release_build

Build = Callable[..., dict[str, Any]]

BUCKET = "cars-prod-releases-123456789012"
EXAMPLES = Path(__file__).resolve().parents[3] / "examples"

# npm without the network: what it installs depends on the lock file only, as with the real one.
FAKE_NPM = """#!/bin/sh
echo "$PWD $*" >> "$NPM_CALLS"
case "$1" in
  ci) mkdir -p node_modules && cp package-lock.json node_modules/installed ;;
  run) mkdir -p dist/assets && cp package.json dist/index.html ;;
  test) test ! -e failing || { cat failing; exit 1; } ;;
  --version) echo 11.5.1 ;;
esac
"""


class ModuleFailedError(Exception):
    """The module failed; the text is its message."""


@pytest.fixture
def run(run_module: Build) -> Build:
    def run(parameters: dict[str, Any], *, check: bool = False) -> dict[str, Any]:
        result = run_module(release_build, check, **parameters)
        if result.get("failed"):
            raise ModuleFailedError(result["msg"])
        return result

    return run


@pytest.fixture
def s3() -> Any:
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture
def parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    for role in ("backend", "frontend"):
        app = tmp_path / role
        (app / "src").mkdir(parents=True)
        (app / "src/server.js").write_text("// start")
        (app / "package.json").write_text('{"version": "1.0.0", "scripts": {"migrate": "true", "build": "true"}}')
        (app / "package-lock.json").write_text('{"lockfileVersion": 3}')
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "npm").write_text(FAKE_NPM)
    (tools / "node").write_text("#!/bin/sh\necho v24.19.0\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    monkeypatch.setenv("NPM_CALLS", str(tmp_path / "calls"))
    return {
        "backend_source": str(tmp_path / "backend"),
        "frontend_source": str(tmp_path / "frontend"),
        "dist": str(tmp_path / "dist"),
        "bucket": BUCKET,
        "npm": str(tools / "npm"),
    }


def calls(parameters: dict[str, Any]) -> int:
    record = Path(parameters["dist"]).parent / "calls"
    return len(record.read_text().splitlines()) if record.exists() else 0


def keys(s3: Any) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def test_built_and_published_once(run: Build, s3: Any, parameters: dict[str, Any]) -> None:
    planned = run(parameters, check=True)
    assert keys(s3) == []
    assert not Path(parameters["dist"]).exists()
    made = run(parameters)
    version = made["version"]
    assert planned["changed"] and made["changed"] and made["built"]
    assert (planned["version"], planned["uploaded"]) == (version, made["uploaded"])
    names = ("backend.tar.gz", "frontend.tar.gz", "manifest.json")
    assert made["uploaded"] == keys(s3) == [f"releases/{version}/{name}" for name in names]
    head = s3.head_object(Bucket=BUCKET, Key=f"releases/{version}/backend.tar.gz", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"]

    count = calls(parameters)
    for check in (False, True):
        again = run(parameters, check=check)
        assert (again["changed"], again["version"], again["manifest"]) == (False, version, made["manifest"])
    # Another machine finds it in the bucket as well.
    shutil.rmtree(parameters["dist"])
    assert run(parameters)["changed"] is False
    assert calls(parameters) == count


def test_changed_sources_are_another_release(run: Build, s3: Any, parameters: dict[str, Any]) -> None:
    first = run(parameters)
    Path(parameters["frontend_source"], "src/server.js").write_text("// changed")
    second = run(parameters)
    assert second["version"] != first["version"]
    assert len(keys(s3)) == 6


def test_a_named_release_is_never_rebuilt(run: Build, s3: Any, parameters: dict[str, Any]) -> None:
    parameters["version"] = "2.0.0"
    first = run(parameters)
    assert first["built"]
    Path(parameters["backend_source"], "src/server.js").write_text("// changed")
    for sources in (parameters, {**parameters, "backend_source": "", "frontend_source": ""}):
        again = run(sources)
        assert (again["changed"], again["manifest"]) == (False, first["manifest"])


def test_an_unknown_name_lists_what_exists(run: Build, s3: Any, parameters: dict[str, Any]) -> None:
    unknown = {**parameters, "backend_source": "", "frontend_source": "", "version": "9.9.9"}
    for check in (False, True):
        with pytest.raises(ModuleFailedError, match=r"no release '9.9.9', nor any other; leave out -e release"):
            run(unknown, check=check)
    run({**parameters, "version": "1.0.0"})
    run({**parameters, "version": "1.1.0"})
    s3.put_object(Bucket=BUCKET, Key="releases/half/backend.tar.gz", Body=b"")
    with pytest.raises(ModuleFailedError, match=r"there are 1\.\d\.0, 1\.\d\.0$"):
        run(unknown)
    # One that only this machine has is published.
    run({**parameters, "version": "1.2.0", "bucket": ""})
    assert run({**unknown, "version": "1.2.0"})["uploaded"]


def test_a_damaged_release_is_not_called_an_unknown_one(run: Build, s3: Any, parameters: dict[str, Any]) -> None:
    version = run(parameters)["version"]
    s3.delete_object(Bucket=BUCKET, Key=f"releases/{version}/backend.tar.gz")
    shutil.rmtree(parameters["dist"])
    without = {**parameters, "version": version, "backend_source": None, "frontend_source": None}
    with pytest.raises(
        ModuleFailedError, match=rf"release {re.escape(version)} in s3://.* is damaged \(its backend archive"
    ):
        run(without)


def test_a_killed_upload_is_finished(run: Build, s3: Any, parameters: dict[str, Any]) -> None:
    version = run({**parameters, "bucket": ""})["version"]
    s3.put_object(Bucket=BUCKET, Key=f"releases/{version}/backend.tar.gz", Body=b"half")
    count = calls(parameters)
    planned = run(parameters, check=True)
    made = run(parameters)
    assert not made["built"] and calls(parameters) == count
    assert planned["uploaded"] == made["uploaded"] == keys(s3)
    assert s3.head_object(Bucket=BUCKET, Key=keys(s3)[0])["ContentLength"] == made["manifest"]["backend"]["size"]


def test_a_damaged_release_is_mended_by_the_same_sources_only(run: Build, s3: Any, parameters: dict[str, Any]) -> None:
    version = run(parameters)["version"]
    key = f"releases/{version}/backend.tar.gz"
    size = s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"]
    # The same size, other bytes, and no checksum to go by.
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"x" * size)
    shutil.rmtree(parameters["dist"])
    assert run(parameters)["uploaded"] == [key]
    assert run(parameters)["changed"] is False

    parameters["version"] = "named"
    run(parameters)
    s3.delete_object(Bucket=BUCKET, Key="releases/named/frontend.tar.gz")
    Path(parameters["backend_source"], "src/server.js").write_text("// changed")
    with pytest.raises(ModuleFailedError, match=r"named in s3://.* is damaged .*frontend.* delete its folder there"):
        run(parameters)
    s3.put_object(Bucket=BUCKET, Key="releases/named/manifest.json", Body=b"{}")
    with pytest.raises(ModuleFailedError, match="is not the manifest of release named"):
        run(parameters)


def test_no_bucket_yet(run: Build, s3: Any, parameters: dict[str, Any]) -> None:
    parameters["bucket"] = "not-made-yet"
    planned = run(parameters, check=True)
    assert planned["changed"] and len(planned["uploaded"]) == 3
    with pytest.raises(ModuleFailedError, match=r"not-made-yet does not exist; run playbooks/provision\.yml"):
        run(parameters)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": "../x"}, "'../x' is not a release name; use letters"),
        ({"backend_source": ""}, "nothing to build; set release_backend_source"),
        ({"backend_source": "/nonexistent"}, "/nonexistent, does not exist; set release_backend_source"),
        ({"start_file": "src/main.js"}, r"no src/main\.js.*release_start_file"),
        ({"npm": "/nonexistent/npm"}, r"npm is not in /nonexistent/npm; .*install Node\.js 24"),
    ],
)
def test_each_mistake_names_its_mend(
    run: Build, s3: Any, parameters: dict[str, Any], change: dict[str, str], message: str
) -> None:
    for check in (False, True):
        with pytest.raises(ModuleFailedError, match=message):
            run({**parameters, **change}, check=check)


def test_a_failing_test_keeps_a_release_back(run: Build, s3: Any, parameters: dict[str, Any]) -> None:
    backend = Path(parameters["backend_source"])
    (backend / "package.json").write_text('{"version": "1.0.0", "scripts": {"migrate": "true", "test": "x"}}')
    (backend / "failing").write_text("1 test failed: a car is listed")
    tested = {**parameters, "tests": True}
    with pytest.raises(
        ModuleFailedError, match=r"backend does not pass its tests(?s:.*)1 test failed: a car is listed"
    ):
        run(tested)
    assert keys(s3) == []

    # Built without its tests it is there; whoever asks for them is still told, and no byte of it changes.
    untested = run(parameters)
    assert (untested["tested"], untested["manifest"]["tests"]) == (False, "not run")
    assert run(tested, check=True)["changed"] is False
    with pytest.raises(ModuleFailedError, match="does not pass its tests"):
        run(tested)
    assert len(keys(s3)) == 3

    (backend / "failing").unlink()
    passed = run(tested)
    assert (passed["built"], passed["tested"], passed["manifest"]["tests"]) == (True, True, "passed")
    count = calls(parameters)
    again = run(tested)
    assert (again["changed"], again["tested"], calls(parameters)) == (False, False, count)


def test_a_release_that_was_built_untested_is_tested_before_it_is_published(
    run: Build, s3: Any, parameters: dict[str, Any]
) -> None:
    backend = Path(parameters["backend_source"])
    (backend / "package.json").write_text('{"version": "1.0.0", "scripts": {"migrate": "true", "test": "x"}}')
    local = run({**parameters, "bucket": ""})
    made = run({**parameters, "tests": True})
    assert (made["built"], made["tested"], made["manifest"]["tests"]) == (False, True, "passed")
    assert identity(made["manifest"]) == identity(local["manifest"])
    # A release that is there already, untested, is tested and left as it is.
    other = {**parameters, "version": "named"}
    run(other)
    again = run({**other, "tests": True})
    assert (again["changed"], again["tested"], again["manifest"]["tests"]) == (False, True, "not run")


def test_the_same_release_by_whoever_builds_it(
    run: Build, s3: Any, parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(parameters)
    s3.delete_object(Bucket=BUCKET, Key=first["uploaded"][1])
    monkeypatch.setenv("LOGNAME", "somebody-else")
    second = run({**parameters, "dist": f"{parameters['dist']}-2"})
    # The damage is mended by the other's build; the manifest stays that of the first.
    assert second["built"] and second["uploaded"] == first["uploaded"][1:2]
    assert second["manifest"] == first["manifest"]


def test_a_release_of_services_names_their_versions(run: Build, s3: Any, parameters: dict[str, Any]) -> None:
    services = Path(parameters.pop("backend_source"))
    (services / "Containerfile").write_text("FROM scratch\n")
    for name in ("auth", "cars"):
        (services / name).mkdir()
        (services / name / "package.json").write_text('{"version": "2.0.0", "scripts": {"test": "false"}}')
    parameters |= {"services_source": str(services), "services": ["auth", "cars"], "tests": True}
    planned = run(parameters, check=True)
    first = run(parameters)
    assert planned["version"] == first["version"] and planned["uploaded"] == first["uploaded"]
    assert keys(s3) == [f"releases/{first['version']}/{name}" for name in ("frontend.tar.gz", "manifest.json")]
    assert first["version"].startswith("1.0.0-") and first["manifest"]["backend"] is None
    versions = first["manifest"]["services"]
    assert sorted(versions) == ["auth", "cars"] and versions["auth"].startswith("2.0.0-")

    (services / "cars" / "main.js").write_text("cars")
    second = run(parameters)
    assert second["version"] != first["version"]
    assert second["manifest"]["services"]["auth"] == versions["auth"]
    assert second["manifest"]["services"]["cars"] != versions["cars"]
    again = run({**parameters, "version": first["version"], "services_source": "", "frontend_source": ""})
    assert (again["changed"], again["manifest"]["services"]) == (False, versions)


def test_npm_is_found_beside_python_or_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    with pytest.raises(ReleaseError, match="npm is not in"):
        release_build.find_npm(None)
    for folder in ("path", "bin"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "npm").touch(mode=0o755)
        assert release_build.find_npm(None).path == tmp_path / folder / "npm"


def test_the_example_backend_with_the_real_npm(run: Build, s3: Any, parameters: dict[str, Any], tmp_path: Path) -> None:
    parameters |= {"backend_source": str(EXAMPLES / "backend"), "frontend_source": ""}
    del parameters["npm"]
    first = run(parameters)
    package = json.loads((EXAMPLES / "backend/package.json").read_text())
    assert first["version"].startswith(f"{package['version']}-")
    assert first["manifest"]["node"].startswith("24.") and first["manifest"]["npm"]
    shutil.unpack_archive(tmp_path / "dist" / first["version"] / "backend.tar.gz", tmp_path / "unpacked", filter="data")
    assert (tmp_path / "unpacked/node_modules/pg/package.json").is_file()

    copy = shutil.copytree(EXAMPLES / "backend", tmp_path / "copy", ignore=shutil.ignore_patterns("node_modules"))
    second = run({**parameters, "backend_source": str(copy), "dist": str(tmp_path / "other"), "bucket": ""})
    assert second["built"]
    assert identity(second["manifest"]) == identity(first["manifest"])
