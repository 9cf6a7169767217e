"""Where a release's sources come from: the folders as they are, a folder elsewhere, a commit."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from plugins.module_utils.release_artifact import digest_sources
from plugins.module_utils.release_sources import SourceError, find_sources, is_folder


def git(folder: Path, *arguments: str) -> str:
    settings = {"user.name": "Test", "user.email": "test@example.com", "init.defaultBranch": "main"}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    done = subprocess.run(["git", *options, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with a tag v1 and something newer."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    shop = tmp_path / "shop"
    write(shop, "apps/api/src/server.js", "// one")
    write(shop, "apps/api/bin/tool", "#!/bin/sh")
    (shop / "apps/api/bin/tool").chmod(0o755)
    (shop / "apps/api/latest.js").symlink_to("src/server.js")
    # What `git archive` would leave out and fill in.
    write(shop, "apps/api/version.txt", "$Format:%H$")
    write(shop, ".gitattributes", "version.txt export-subst\n*.js export-ignore\n")
    write(shop, "apps/web/index.html", "one")
    git(shop, "init", "-q")
    git(shop, "add", ".")
    git(shop, "commit", "-qm", "one")
    git(shop, "tag", "v1")
    write(shop, "apps/api/src/server.js", "// two")
    write(shop, "apps/api/new[1].js", "// a name with a pattern in it")
    git(shop, "add", ".")
    git(shop, "commit", "-qm", "two")
    return shop


def sources(shop: Path) -> dict[str, Path]:
    return {"backend": shop / "apps/api", "frontend": shop / "apps/web"}


def test_a_commit_is_what_a_checkout_of_it_has(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(shop), str(clone))
    git(clone, "checkout", "-q", "v1")
    expected = digest_sources(sources(clone))
    write(shop, "apps/api/src/server.js", "// not committed")
    before = git(shop, "status", "--porcelain", "--ignored"), (shop / ".git/index").read_bytes()
    # As in a hook of git's.
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    with find_sources("v1", sources(shop), shop) as origin:
        assert digest_sources(origin.sources) == expected
        assert (origin.sources["backend"] / "version.txt").read_text() == "$Format:%H$"
        temporary = origin.sources["backend"]
    monkeypatch.delenv("GIT_DIR")
    assert origin.commit == git(shop, "rev-parse", "v1")
    assert not temporary.exists()
    assert before == (git(shop, "status", "--porcelain", "--ignored"), (shop / ".git/index").read_bytes())
    assert git(shop, "worktree", "list").count("\n") == 0


def test_the_names_of_a_commit(shop: Path) -> None:
    for ref in ("main", "HEAD", git(shop, "rev-parse", "--short", "HEAD"), "HEAD^0"):
        with find_sources(ref, sources(shop), shop) as origin:
            assert (origin.sources["backend"] / "new[1].js").is_file()
    git(shop, "checkout", "-q", "v1")
    # The folder of the sources may be of the commit alone.
    git(shop, "rm", "-qr", "apps")
    with find_sources("main", sources(shop), shop) as origin:
        assert (origin.sources["backend"] / "src/server.js").read_text() == "// two"


def test_folders_as_they_are(shop: Path, tmp_path: Path) -> None:
    head = git(shop, "rev-parse", "HEAD")
    with find_sources("", sources(shop), shop) as origin:
        assert (origin.sources, origin.commit) == (sources(shop), head)
    write(shop, "notes.txt", "beside the sources")
    with find_sources("", sources(shop), shop) as origin:
        assert origin.commit == head
    write(shop, "apps/web/new.html", "a source")
    with find_sources("", sources(shop), shop) as origin:
        assert origin.commit == f"{head}-dirty"
    write(tmp_path, "plain/src/server.js", "")
    with find_sources("", {"backend": tmp_path / "plain"}, shop) as origin:
        assert origin.commit == ""
    with find_sources("", {}, shop) as origin:
        assert origin.folder("backend") is None


def test_a_folder_elsewhere(shop: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", str(shop), "clone")
    clone = tmp_path / "clone"
    # Of sources in the project, the place there; of others, that in their own repository.
    for project in (shop, shop / "apps", clone):
        with find_sources(f"{'../' * (project.name == 'apps')}../clone", sources(shop), project) as origin:
            place = "web" if project.name == "apps" else "apps/web"
            assert origin.sources["frontend"].resolve() == clone / place
    with find_sources(str(clone), sources(shop), shop) as origin:
        assert origin.commit == git(clone, "rev-parse", "HEAD")


@pytest.mark.parametrize(("ref", "folder"), [(".", True), ("../x", True), ("~/x", True), ("feature/x", False)])
def test_what_is_a_folder(ref: str, folder: bool) -> None:
    assert is_folder(ref) is folder


def test_each_mistake_names_its_mend(shop: Path, tmp_path: Path) -> None:
    def message(ref: str, places: dict[str, Path], project: Path = shop) -> str:
        with pytest.raises(SourceError) as error, find_sources(ref, places, project):
            pass
        return str(error.value)

    assert "has no commit 'mian'; did you mean main? `git fetch --tags`" in message("mian", sources(shop))
    assert "has no commit '--help'; `git fetch" in message("--help", sources(shop))
    assert "is no folder; give -e ref=" in message("./none", sources(shop))
    plain = {"backend": tmp_path / "plain"}
    assert "is in no git repository, so ref can only be a folder" in message("v1", plain)
    assert "set release_backend_source" in message(".", plain)
    missing = message("v1", {"backend": shop / "apps/admin"})
    assert "of " in missing and "has no apps/admin; set release_backend_source" in missing
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    assert "would be of two repositories" in message("v1", {**sources(shop), "frontend": other})
    git(other, "commit", "-q", "--allow-empty", "-m", "empty")
    git(shop, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "apps/web/lib")
    git(shop, "commit", "-qm", "submodule")
    assert "apps/web/lib in 'main' is a submodule" in message("main", sources(shop))
