"""Node, npm and pm2 of the pinned versions, laid out like the official archive."""

from __future__ import annotations

import pytest
from testinfra.host import Host

NODE, NPM, PM2 = "24.21.0", "11.21.2", "7.0.4"


@pytest.mark.parametrize(
    ("command", "answer"),
    [("node --version", f"v{NODE}"), ("npm --version", NPM), ("npx --version", NPM)],
)
def test_versions(host: Host, command: str, answer: str) -> None:
    assert host.check_output(command) == answer


def test_pm2(host: Host) -> None:
    assert host.check_output(f"node -p 'require(\"/opt/pm2-{PM2}/lib/node_modules/pm2/package.json\").version'") == PM2
    assert host.check_output("PM2_HOME=/tmp/pm2 pm2 --version --silent").splitlines()[-1] == PM2
    assert host.file("/usr/local/bin/pm2-runtime").linked_to.startswith(f"/opt/pm2-{PM2}/")


def test_layout_of_the_official_archive(host: Host) -> None:
    home = f"/opt/node-{NODE}"
    for name in ("bin/node", "include/node/node.h", "share/man/man1/node.1", "LICENSE"):
        assert host.file(f"{home}/{name}").is_file
    npm = host.file(f"{home}/bin/npm")
    assert npm.is_symlink
    assert npm.linked_to == f"{home}/lib/node_modules/npm/bin/npm-cli.js"


def test_belongs_to_root(host: Host) -> None:
    assert not host.check_output("find /opt/node-* /opt/pm2-* -not -type l '(' -not -user root -o -perm /022 ')'")


def test_nothing_half_made_is_left(host: Host) -> None:
    assert host.check_output("ls /opt").split() == [f"node-{NODE}", f"pm2-{PM2}"]


def test_runs_typical_code(host: Host) -> None:
    code = "const {DatabaseSync} = require('node:sqlite'); new DatabaseSync(':memory:').exec('select 1'); fetch.name"
    assert host.check_output(f'node --no-warnings -p "{code}"') == "fetch"
