"""Hands the AWS modules of localhost to the warm worker; everything else goes Ansible's ordinary way."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.executor.module_common import _BuiltModule
from ansible.module_utils.common.json import Direction, get_module_encoder
from ansible.plugins import action as stock_actions
from ansible.release import __version__ as ansible_version

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.planning import ALWAYS_WRITING
from plugins.warm_worker import COLLECTIONS, SOCKET_VARIABLE, environment
from plugins.warm_worker.wire import Answer, Request, receive, send

ROOT = Path(__file__).resolve().parents[2]
OWN_MODULES = ROOT / "plugins/modules"
#: The private calls of ActionBase that are used here were read in these; any other goes the ordinary way.
KNOWN_VERSIONS = ("2.19.", "2.20.", "2.21.")
#: What modules of these collections, which are older than ansible-core's serialization profiles, speak.
PROFILE = "legacy"
START_SECONDS = 10


def _stock_action() -> Any:
    """Return Ansible's own action, whose name in sys.modules this very file has."""
    file = Path(stock_actions.__file__).with_name("normal.py")
    spec = importlib.util.spec_from_file_location("stock_normal_action", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ActionModule


NormalAction: Any = _stock_action()


class ActionModule(NormalAction):  # type: ignore[misc]
    """The ordinary action, with another way to run a module where that is possible."""

    _warm: socket.socket | None = None
    _request: Request | None = None
    _only_read = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module; one that writes in every run only when there is something to write."""
        if self._task.action.rpartition(".")[2] in ALWAYS_WRITING and not self._task.check_mode:
            self._only_read = True
            planned: dict[str, Any] = super().run(tmp, task_vars)
            self._only_read = False
            if not planned.get("changed") and not planned.get("failed"):
                return planned
        result: dict[str, Any] = super().run(tmp, task_vars)
        return result

    def _configure_module(self, module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]) -> Any:
        """Return the module as a request to the warm worker, or as Ansible builds it."""
        self._request = None
        found = self._find(module_name)
        planned = found is not None and (self._task.check_mode or self._only_read)
        self._warm = _connect(os.environ.get(SOCKET_VARIABLE, "")) if found else None
        if found is None or not (self._warm or planned):
            return super()._configure_module(module_name, module_args, task_vars)
        name, path = found
        environment: dict[str, Any] = {}
        self._compute_environment_string(environment)
        if planned and not path:
            # Its own check mode is not asked: it runs as ever, and what it would write is noted.
            module_args = {**module_args, "_ansible_check_mode": False}
        arguments = {"ANSIBLE_MODULE_ARGS": module_args}
        self._request = Request(
            module=name,
            path=path,
            arguments=json.dumps(arguments, cls=get_module_encoder(PROFILE, Direction.CONTROLLER_TO_MODULE)),
            profile=PROFILE,
            environment={**os.environ, **{key: str(value) for key, value in environment.items()}},
            directory=str(self._loader.get_basedir()),
            umask=_umask(),
            plan=planned,
        )
        built = _BuiltModule(
            b_module_data=b"", module_style="new", shebang=f"#!{sys.executable}", serialization_profile=PROFILE
        )
        return built, path or name

    def _low_level_execute_command(self, cmd: str, *args: Any, **kwargs: Any) -> Any:
        """Run the module that was configured above, or the command that Ansible asks for."""
        request, self._request = self._request, None
        if request is None:
            return super()._low_level_execute_command(cmd, *args, **kwargs)
        answer = self._ask(request) if self._warm else _run_once(request)
        lines = answer.out.splitlines()
        return {
            "rc": answer.code,
            "stdout": answer.out,
            "stdout_lines": lines,
            "stderr": answer.err,
            "stderr_lines": answer.err.splitlines(),
        }

    def _ask(self, request: Request) -> Answer:
        """Let the warm worker run the module."""
        assert self._warm
        with self._warm as connection:
            self._warm = None
            try:
                send(connection, request)
                return Answer(**receive(connection))
            except (OSError, EOFError) as gone:
                # The module may have done half of its work: what it did is seen by the next run, not repeated here.
                return Answer(1, "", f"the warm worker ended while the module ran ({gone}); VAHANA_WARM_WORKER=false")

    def _find(self, module_name: str) -> tuple[str, str] | None:
        """Return the Python name of an AWS module that runs on localhost, and its file where it is our own."""
        if (
            not ansible_version.startswith(KNOWN_VERSIONS)
            or self._task.async_val
            or self._connection.transport not in ("local", "ansible.builtin.local")
            or self._connection.become is not None
            or not self._is_pipelining_enabled("new")
        ):
            return None
        found = self._shared_loader_obj.module_loader.find_plugin_with_context(
            module_name, ".py", collection_list=self._task.collections
        )
        if not found.resolved:
            return None
        resolved = str(found.resolved_fqcn or "")
        file = Path(found.plugin_resolved_path)
        if resolved.startswith(COLLECTIONS):
            namespace, collection, module = resolved.split(".", 2)
            return f"ansible_collections.{namespace}.{collection}.plugins.modules.{module}", ""
        if file.parent == OWN_MODULES:
            return f"ansible.modules.{file.stem}", str(file)
        return None


def _run_once(request: Request) -> Answer:
    """Run a module that is planned without the warm worker: Ansible's ordinary way would not watch it."""
    command = [sys.executable, "-m", "plugins.warm_worker.once"]
    ran = subprocess.run(
        command,
        input=json.dumps(asdict(request)),
        cwd=ROOT,
        env=environment(constants.COLLECTIONS_PATHS),
        capture_output=True,
        text=True,
        check=False,
    )
    return Answer(ran.returncode, ran.stdout, ran.stderr)


def _connect(path: str) -> socket.socket | None:
    """Return a connection to the server, which may be starting still; None when there is none to be had."""
    if not path:
        return None
    deadline = time.monotonic() + START_SECONDS
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            if time.monotonic() > deadline:
                return None
            time.sleep(0.02)
        except OSError:
            connection.close()
            return None
        else:
            return connection


def _umask() -> int:
    current = os.umask(0o077)
    os.umask(current)
    return current
