"""Sources, digests and archives of releases."""

from __future__ import annotations

import json
import os
import tarfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plugins.module_utils.release_artifact import (
    RELEASE_NAME,
    Npm,
    ReleaseError,
    build,
    builds_locked,
    check_sources,
    default_version,
    digest_sources,
    identity,
    is_tested,
    list_sources,
    pack,
    prune,
    read_local,
)


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def write_app(root: Path) -> Path:
    for name, text in {
        "package.json": json.dumps(
            {"name": "app", "version": "2.1.0", "scripts": {"migrate": "true", "build": "true"}}
        ),
        "package-lock.json": "{}",
        "src/server.js": "// start",
        "migrations/0001_a.sql": "SELECT 1",
        "bin/tool": "#!/bin/sh",
    }.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (root / "bin/tool").chmod(0o755)
    (root / "latest.sql").symlink_to("migrations/0001_a.sql")
    return root


def test_digest_is_of_content_not_of_place_time_or_umask(tmp_path: Path, umask: None) -> None:
    one = write_app(tmp_path / "one")
    os.umask(0o077)
    two = write_app(tmp_path / "deep/two")
    os.utime(two / "src/server.js", (0, 0))
    (two / "bin/tool").chmod(0o700)
    for left in ("node_modules/x/index.js", "dist/old.js", ".git/HEAD", "coverage/index.html", ".env", "npm.log"):
        (two / left).parent.mkdir(parents=True, exist_ok=True)
        (two / left).write_text("left")
    (two / "src/dev.sqlite3").write_bytes(b"rows")
    assert digest_sources({"backend": one}) == digest_sources({"backend": two})
    assert digest_sources({"backend": one}) != digest_sources({"frontend": one})
    assert default_version(one, "0123456789abcdef") == "2.1.0-0123456789ab"


@pytest.mark.parametrize(
    "change",
    [
        lambda app: (app / "src/server.js").write_text("// stop"),
        lambda app: (app / "src/server.js").rename(app / "src/main.js"),
        lambda app: (app / "src/server.js").chmod(0o755),
        lambda app: (app / "src/dist").mkdir() or (app / "src/dist/kept.js").write_text("a source"),
        lambda app: (app / "latest.sql").unlink() or (app / "latest.sql").symlink_to("src/server.js"),
    ],
    ids=["content", "name", "executable", "a folder dist below the top", "link"],
)
def test_digest_sees_each_change(tmp_path: Path, change: object) -> None:
    app = write_app(tmp_path / "app")
    before = digest_sources({"backend": app})
    assert callable(change)
    change(app)
    assert digest_sources({"backend": app}) != before


def test_a_link_out_of_the_sources_is_refused(tmp_path: Path) -> None:
    app = write_app(tmp_path / "app")
    (tmp_path / "secret").write_text("x")
    (app / "config.json").symlink_to("../secret")
    with pytest.raises(ReleaseError, match=r"config\.json is a link out of"):
        list_sources(app)


def test_archives_have_the_same_bytes_whatever_the_files_carry(tmp_path: Path, umask: None) -> None:
    one = write_app(tmp_path / "one")
    os.umask(0o077)
    two = write_app(tmp_path / "two")
    for path in two.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    if os.geteuid() == 0:
        os.chown(two / "src", 12345, 12345)
        os.chown(two / "src/server.js", 12345, 12345)
    assert pack(one, tmp_path / "one.tar.gz") == pack(two, tmp_path / "two.tar.gz")
    with tarfile.open(tmp_path / "one.tar.gz") as tar:
        members = {member.name: member for member in tar}
    assert list(members) == sorted(members)
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members.values()} == {(0, 0, 0, "", "")}
    assert members["bin/tool"].mode == 0o755
    assert members["src/server.js"].mode == 0o644
    assert members["latest.sql"].linkname == "migrations/0001_a.sql"


def test_everything_missing_is_named_with_its_mend(tmp_path: Path) -> None:
    backend, frontend = tmp_path / "backend", tmp_path / "frontend"
    assert check_sources({"backend": write_app(tmp_path / "good")}, "src/server.js") == []
    assert "release_backend_source" in check_sources({"backend": backend}, "src/server.js")[0]
    backend.mkdir()
    frontend.mkdir()
    assert "npm init" in check_sources({"backend": backend}, "src/server.js")[0]
    (backend / "package.json").write_text("{}")
    (frontend / "package.json").write_text("{}")
    text = " / ".join(check_sources({"backend": backend, "frontend": frontend}, "src/server.js"))
    for mend in ("npm install", "create it or set release_start_file", 'script "migrate"', 'script "build"'):
        assert mend in text
    (backend / "package.json").write_text("{")
    assert any("not valid JSON" in problem for problem in check_sources({"backend": backend}, "src/server.js"))
    (backend / "package.json").write_text("[]")
    assert any("JSON object" in problem for problem in check_sources({"backend": backend}, "src/server.js"))


@pytest.mark.parametrize("name", ["1.4.0", "1.4.0-3f2a91c0b7de", "2026.11.22+hotfix_1", "a" * 64])
def test_release_names(name: str) -> None:
    assert RELEASE_NAME.fullmatch(name)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "-rf", "a b", "a" * 65, "ä"])
def test_what_is_no_release_name(name: str) -> None:
    assert not RELEASE_NAME.fullmatch(name)


def test_a_version_that_cannot_be_a_name_is_refused(tmp_path: Path) -> None:
    app = write_app(tmp_path / "app")
    (app / "package.json").write_text('{"version": "one two"}')
    with pytest.raises(ReleaseError, match="one two"):
        default_version(app, "0" * 64)


FAKE_NPM = """#!/bin/sh
# What npm does to a folder, without the network; where it was called and with which credentials is recorded.
env | grep ^AWS_ >> "$RECORD"
case "$1" in
  ci) mkdir -p node_modules/dep && echo "$@" > node_modules/dep/arguments
      date +%N > node_modules/.package-lock.json ;;
  test) echo left > src/left-by-a-test.js; test ! -e failing || { cat failing; exit 1; } ;;
  --version) echo 11.5.1 ;;
  run) mkdir -p dist/assets && echo page > dist/index.html && echo js > dist/assets/app.js ;;
esac
test ! -e fail || { echo "npm error this package is broken"; exit 7; }
"""


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    folder = tmp_path / "node/bin"
    folder.mkdir(parents=True)
    (folder / "npm").write_text(FAKE_NPM)
    (folder / "node").write_text("#!/bin/sh\necho v24.19.0\n")
    for tool in folder.iterdir():
        tool.chmod(0o755)
    monkeypatch.setenv("RECORD", str(tmp_path / "record"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    return Npm(folder / "npm")


def test_a_build_is_whole_and_found_again(tmp_path: Path, npm: Npm, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, frontend, dist = write_app(tmp_path / "backend"), write_app(tmp_path / "frontend"), tmp_path / "dist"
    with builds_locked(dist):
        first = build(dist, "1.0.0", "d" * 64, {"backend": backend, "frontend": frontend}, npm, commit="c" * 40)
        monkeypatch.setenv("LOGNAME", "somebody-else")
        second = build(dist, "1.0.0", "d" * 64, {"backend": backend, "frontend": frontend}, npm)
    assert identity(first.manifest) == identity(second.manifest)
    assert {key: first.manifest[key] for key in ("commit", "node", "npm", "tests")} == {
        "commit": "c" * 40,
        "node": "24.19.0",
        "npm": "11.5.1",
        "tests": "not run",
    }
    assert second.manifest["builder"].startswith("somebody-else@") != first.manifest["builder"].startswith("some")
    assert datetime.fromisoformat(second.manifest["time"]).tzinfo == UTC
    assert read_local(dist, "1.0.0") == second
    with tarfile.open(dist / "1.0.0/backend.tar.gz") as tar:
        names = tar.getnames()
        arguments = tar.extractfile("node_modules/dep/arguments")
        assert arguments is not None
        assert arguments.read().split()[:2] == [b"ci", b"--omit=dev"]
    assert {"src/server.js", "public/index.html", "public/assets/app.js"} < set(names)
    assert "node_modules/.package-lock.json" not in names
    assert (tmp_path / "record").read_text() == ""
    assert sorted(path.name for path in dist.iterdir()) == [".lock", "1.0.0"]

    archive = dist / "1.0.0/frontend.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-1])
    assert read_local(dist, "1.0.0") is None


def test_functions_are_built_beside_the_backend(tmp_path: Path, npm: Npm) -> None:
    sources = {role: write_app(tmp_path / "elsewhere" / role) for role in ("backend", "functions")}
    (sources["functions"] / "src/shared.js").write_text("import '../../backend/src/server.js';")
    dist = tmp_path / "dist"
    with builds_locked(dist):
        first = build(dist, "1.0.0", "d" * 64, sources, npm)
        second = build(dist, "1.0.0", "d" * 64, sources, npm)
        other = build(dist, "1.0.1", "d" * 64, sources, npm)
    assert identity(first.manifest) == identity(second.manifest)
    assert first.manifest["functions"] != other.manifest["functions"]
    assert first.manifest["frontend"] is None
    with zipfile.ZipFile(first.archives["functions"].parent.parent / "1.0.0/functions.zip") as packed:
        assert sorted(packed.namelist()) == ["assets/app.js", "index.html", "release.json"]
        assert json.loads(packed.read("release.json")) == {"version": "1.0.0"}
    with tarfile.open(dist / "1.0.0/backend.tar.gz") as tar:
        assert not [name for name in tar.getnames() if "functions" in name]


def test_a_failed_build_says_why_and_leaves_nothing(tmp_path: Path, npm: Npm) -> None:
    backend, dist = write_app(tmp_path / "backend"), tmp_path / "dist"
    (backend / "fail").write_text("")
    with (
        builds_locked(dist),
        pytest.raises(ReleaseError, match=r"npm ci --omit=dev.*exit code 7:\nnpm error this package is broken"),
    ):
        build(dist, "1.0.0", "", {"backend": backend}, npm)
    assert [path.name for path in dist.iterdir()] == [".lock"]


def test_tests_run_in_a_copy_and_a_failing_one_is_quoted(tmp_path: Path, npm: Npm) -> None:
    backend, frontend, dist = write_app(tmp_path / "backend"), write_app(tmp_path / "frontend"), tmp_path / "dist"
    with builds_locked(dist):
        untested = build(dist, "1.0.0", "d" * 64, {"backend": backend, "frontend": frontend}, npm)
        without = build(dist, "1.0.1", "d" * 64, {"backend": backend, "frontend": frontend}, npm, tests=True)
        assert (without.manifest["tests"], is_tested(without.manifest)) == ("none", True)
        package = json.loads((backend / "package.json").read_text())
        (backend / "package.json").write_text(json.dumps({**package, "scripts": {"test": "x", "migrate": "true"}}))
        tested = build(dist, "1.0.2", "d" * 64, {"backend": backend, "frontend": frontend}, npm, tests=True)
        assert (tested.manifest["tests"], is_tested(tested.manifest)) == ("passed", True)
        assert not is_tested(untested.manifest)
        with tarfile.open(dist / "1.0.2/backend.tar.gz") as tar:
            assert "src/left-by-a-test.js" not in tar.getnames()
        (backend / "failing").write_text("not ok 1 - cars are listed")
        with pytest.raises(ReleaseError, match=r"backend does not pass its tests.*exit code 1:\nnot ok 1 - cars are"):
            build(dist, "1.0.3", "d" * 64, {"backend": backend, "frontend": frontend}, npm, tests=True)
    assert not (dist / "1.0.3").exists()


def test_what_a_killed_build_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "dist/.building-abc/backend").mkdir(parents=True)
    with builds_locked(tmp_path / "dist"):
        assert [path.name for path in (tmp_path / "dist").iterdir()] == [".lock"]


def test_a_file_of_both_applications_is_refused(tmp_path: Path, npm: Npm) -> None:
    backend, frontend, dist = write_app(tmp_path / "backend"), write_app(tmp_path / "frontend"), tmp_path / "dist"
    (backend / "public").mkdir()
    (backend / "public/index.html").write_text("mine")
    with builds_locked(dist), pytest.raises(ReleaseError, match=r"backend has public/index\.html"):
        build(dist, "1.0.0", "", {"backend": backend, "frontend": frontend}, npm)


def test_npm_that_does_not_run(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"install Node\.js"):
        Npm(tmp_path / "npm").run(["ci"], tmp_path)


def test_prune_keeps_the_newest_and_the_one_in_use(tmp_path: Path) -> None:
    for age, version in enumerate(["d", "c", "b", "a"]):
        (tmp_path / version).mkdir()
        manifest = tmp_path / version / "manifest.json"
        manifest.write_text("{}")
        os.utime(manifest, (1000 - age, 1000 - age))
    (tmp_path / "notes").mkdir()
    assert prune(tmp_path, keep=2, version="a") == ["b", "c"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "d", "notes"]
