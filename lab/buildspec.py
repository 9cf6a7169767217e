"""Runs a build specification as CodeBuild does: phase by phase, as processes of this machine.

https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html. What the lab does not know is refused, not
passed over.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

PHASES = ("install", "pre_build", "build", "post_build")
KNOWN: Mapping[str, frozenset[str]] = {
    "specification": frozenset({"version", "env", "phases"}),
    "env": frozenset({"variables", "exported-variables"}),
    "phases": frozenset(PHASES),
    "phase": frozenset({"commands", "finally", "on-failure"}),
}
STOP_SECONDS = 10.0

Say = Callable[[str], None]
"""Is given each line of the output."""


class SpecificationError(ValueError):
    """The specification is missing, wrong, or asks for what the lab does not do."""


@dataclass
class Phase:
    """How a phase went: `SUCCEEDED`, `FAILED`, `TIMED_OUT` or `STOPPED`, and when (seconds since 1970)."""

    name: str
    status: str
    message: str
    began: float
    ended: float


@dataclass
class Outcome:
    """How a build went, and what it hands to the actions after it."""

    phases: list[Phase] = field(default_factory=list)
    exported: dict[str, str] = field(default_factory=dict)

    @property
    def failure(self) -> Phase | None:
        """The first phase that did not succeed."""
        return next((phase for phase in self.phases if phase.status != "SUCCEEDED"), None)


def read(path: Path) -> dict[str, Any]:
    """Read a specification.

    Raises:
        SpecificationError: as it says.
    """
    try:
        found = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise SpecificationError(f"YAML_FILE_ERROR: {path.name} does not exist in the source") from error
    except yaml.YAMLError as error:
        raise SpecificationError(f"YAML_FILE_ERROR: {error}") from error
    if not isinstance(found, dict) or str(found.get("version")) != "0.2":
        raise SpecificationError(f"YAML_FILE_ERROR: {path.name} is no build specification of version 0.2")
    phases = found.get("phases") or {}
    parts = [("specification", found), ("env", found.get("env") or {}), ("phases", phases)]
    for kind, part in [*parts, *(("phase", phase) for phase in phases.values())]:
        if unknown := sorted(set(part) - KNOWN[kind]):
            raise SpecificationError(f"the lab does not know {', '.join(unknown)} of a {kind} ({path.name})")
    return found


class Build:
    """One build of a source."""

    def __init__(self, source: Path, environment: Mapping[str, str], timeout: float, say: Say) -> None:
        """Prepare.

        Args:
            source: the folder that it begins in.
            environment: all that its processes get.
            timeout: seconds that it may take.
            say: is given the output, line by line.
        """
        self._environment = dict(environment)
        self._folder = str(source)
        self._say = say
        self._timeout = timeout
        self._state = source.parent / "state"
        self._process: subprocess.Popen[str] | None = None
        self._ended_as = ""

    def run(self, specification: Mapping[str, Any], begin: Say = lambda phase: None) -> Outcome:
        """Run the phases.

        Args:
            specification: from `read`.
            begin: is told the name of each phase before it runs.
        """
        env = specification.get("env") or {}
        for name, value in (env.get("variables") or {}).items():
            # The project's have precedence.
            self._environment.setdefault(name, str(value))
        outcome = Outcome()
        timer = threading.Timer(self._timeout, self._end, ("TIMED_OUT",))
        timer.daemon = True
        timer.start()
        try:
            self._run_phases(specification.get("phases") or {}, outcome, begin)
        finally:
            timer.cancel()
        if self._ended_as and outcome.failure is None:
            # Between two phases, or before the first.
            outcome.phases.append(Phase("finalizing", self._ended_as, self._ended_as, time.time(), time.time()))
        names = env.get("exported-variables") or []
        outcome.exported = {name: self._environment[name] for name in names if name in self._environment}
        return outcome

    def _run_phases(self, phases: Mapping[str, Any], outcome: Outcome, begin: Say) -> None:
        for name in PHASES:
            failed = outcome.failure
            # "Build phase transitions": what comes after the build comes also when the build failed.
            aborted = failed is not None and phases[failed.name].get("on-failure") == "ABORT"
            after_build = name == "post_build" and failed is not None and failed.name == "build"
            if name in phases and not self._ended_as and (failed is None or (after_build and not aborted)):
                begin(name)
                self._environment["CODEBUILD_BUILD_SUCCEEDING"] = str(int(failed is None))
                outcome.phases.append(self._run_phase(name, phases[name]))

    def _run_phase(self, name: str, phase: Mapping[str, Any]) -> Phase:
        began = time.time()
        self._say(f"[Container] Entering phase {name.upper()}")
        command, code = self._run_commands(phase.get("commands") or [])
        if phase.get("finally") and not self._ended_as:
            in_finally, code_of_finally = self._run_commands(phase["finally"])
            command, code = (command, code) if code else (in_finally, code_of_finally)
        if code and not self._ended_as and phase.get("on-failure") == "CONTINUE":
            self._say(f"[Container] {command} ended with {code}; on-failure is CONTINUE")
            code = 0
        message = f"Error while executing command: {command}. Reason: exit status {code}" if code else ""
        status = self._ended_as or ("FAILED" if code else "SUCCEEDED")
        self._say(f"[Container] Phase complete: {name.upper()} State: {status}")
        return Phase(name, status, self._ended_as or message, began, time.time())

    def _run_commands(self, commands: Iterable[str]) -> tuple[str, int]:
        """Run commands in one shell until one fails; return that one and its exit code."""
        where = shlex.quote(str(self._state))
        # Version 0.2 runs all commands of a build in the same shell: what they export, and where they go, stays.
        kept = f'printf %s "$last" > {where}.last; env -0 > {where}; pwd > {where}.folder'
        lines = [f"trap {shlex.quote(f'code=$?; {kept}; exit $code')} EXIT"]
        for command in map(str, commands):
            shown = shlex.quote(f"[Container] Running command {command.partition(chr(10))[0]}")
            lines += [f"last={shlex.quote(command)}", f"printf '%s\\n' {shown}", 'eval "$last" || exit']
        self._process = subprocess.Popen(
            ["sh", "-c", "\n".join(lines)],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        if self._ended_as:
            # Meanwhile, and that could not know of this process yet.
            self._end(self._ended_as)
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._say(line.rstrip("\n"))
        code = self._process.wait()
        with contextlib.suppress(FileNotFoundError):
            pairs = (each.partition("=") for each in self._state.read_text(errors="replace").split("\0") if each)
            self._environment = {name: value for name, _, value in pairs}
            self._folder = Path(f"{self._state}.folder").read_text().rstrip("\n")
            return Path(f"{self._state}.last").read_text(), code
        return "sh", code

    def stop(self) -> None:
        """End the build and whatever it has started."""
        self._end("STOPPED")

    def _end(self, status: str) -> None:
        self._ended_as = status
        process = self._process
        if process is None or process.poll() is not None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            deadline = time.monotonic() + STOP_SECONDS
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
