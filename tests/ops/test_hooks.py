"""Task files of the user's: the examples as they stand, and what a failing one means."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ops.conftest import BIN, ROOT, Run

STACK = {"release": "1.0.0"}
LOCK = {"order": {"record": {"who": "alice@laptop"}}}


@dataclass
class Site:
    """A web site and a webhook, which remember what they were asked."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    broken: bool = False


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            self._answer()

        def do_POST(self) -> None:
            site.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self._answer()

        def _answer(self) -> None:
            self.send_response(500 if site.broken else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    yield site
    server.shutdown()
    server.server_close()


def hook(point: str, directory: Path, **values: str) -> dict[str, Any]:
    """Return the task that a playbook runs a hook with; a failure is caught and printed."""
    call = {
        "ansible.builtin.include_role": {"name": "hooks"},
        "vars": {"hooks_point": point, "hooks_directory": str(directory), "hooks_release": "2.0.0", **values},
    }
    return {
        "block": [call],
        "rescue": [{"ansible.builtin.debug": {"msg": "stopped by {{ ansible_failed_result.msg }}"}}],
    }


def play(folder: Path, site: Site, *tasks: dict[str, Any], check: bool = False) -> Run:
    playbook = folder / "play.yml"
    variables = {
        "ansible_python_interpreter": sys.executable,
        "name_prefix": "cars-prod",
        "stack": STACK,
        "lock_result": LOCK,
        "public_url": site.url,
        "reason": "Friday's release",
        "warm_paths": ["/", "/api/cars"],
    }
    content = {"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": list(tasks)}
    playbook.write_text(yaml.safe_dump([content]))
    done = subprocess.run(
        [str(BIN / "ansible-playbook"), "-i", "localhost,", "-c", "local", *["--check"] * check, str(playbook)],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1", "NOTIFY_WEBHOOK": site.url},
        capture_output=True,
        text=True,
        check=False,
    )
    return Run(done.returncode, done.stdout + done.stderr)


def test_the_examples(tmp_path: Path, site: Site) -> None:
    examples = ROOT / "examples/hooks"
    points = [path.stem for path in sorted(examples.glob("*.yml"))]
    tasks = [hook(point, examples, hooks_error="i-1 is not healthy") for point in points]
    done = play(tmp_path, site, *tasks)
    assert done.code == 0 and "stopped by" not in done.output, done.output
    # In the order of their names, as they were called.
    assert site.told == [
        f"{text} (alice@laptop: Friday's release)"
        for text in (
            "2.0.0 is built",
            f"cars-prod runs 2.0.0: {site.url}",
            "cars-prod is back to 2.0.0 from 1.0.0",
            "cars-prod: 1.0.0 → 2.0.0 begins",
            "cars-prod: 2.0.0 failed, 1.0.0 stays: i-1 is not healthy",
        )
    ]
    assert site.asked == ["/", "/api/cars"] * 2
    site.told.clear()
    # Of a trial there is nothing to tell.
    assert play(tmp_path, site, *tasks, check=True).code == 0
    assert site.told == []
    # A chat that is down stops nobody, and its URL is a secret.
    site.broken = True
    broken = play(tmp_path, site, hook("before_deploy", examples))
    assert broken.code == 0 and "the webhook did not take the notification" in broken.output
    assert site.url not in broken.output


def test_what_a_failing_hook_means(tmp_path: Path, site: Site) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    points = ("before_deploy", "after_deploy", "failed_deploy")
    for point in points:
        (hooks / f"{point}.yml").write_text(f"- ansible.builtin.fail:\n    msg: trouble in {point}\n")
    last = {"ansible.builtin.debug": {"msg": "and on"}}
    done = play(tmp_path, site, *[hook(point, hooks) for point in points], hook("after_migrate", hooks), last)
    assert done.code == 0, done.output
    lines = [line for line in done.output.splitlines() if line.startswith("stopped by")]
    assert lines == [
        f"stopped by the hook {hooks}/before_deploy.yml failed: the deployment did not begin and nothing of it was "
        "changed; mend the hook, or move it away",
        f"stopped by the hook {hooks}/after_deploy.yml failed: the deployment itself is done: 2.0.0",
    ]
    # One for a failure does not hide that failure.
    assert "error: trouble in failed_deploy" in done.output and "and on" in done.output
