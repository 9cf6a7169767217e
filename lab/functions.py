"""Lambda functions, run for real: a Node process for each execution environment.

As on Lambda an environment serves one event at a time and is used again for the next, until its code or configuration
changes or nothing comes for a while; an invocation that takes longer than the function's timeout is killed with its
environment. The function sees its variables, credentials of its role, the lab as its AWS, a disk that it can only read
but for /tmp, and of packages the AWS SDK that the runtime brings, installed from npm when code first asks for it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import threading
import time
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.logs.models import logs_backends
from moto.sts import sts_backends

from lab import served, settings
from lab.cloudfront_functions import node

RUNTIME = Path(__file__).with_name("function_runtime.mjs")
SDK = re.compile(rb"""(?:\bfrom\s*|\bimport\(\s*|=\s*require\(\s*)['"](@aws-sdk/[a-z0-9-]+)""")
"""What of the runtime's own packages code imports; a bundle names many that it brings or only talks of."""
SDK_VERSION = "^3.900.0"
RUNTIMES = ("nodejs22.x", "nodejs24.x")
"""Those whose functions run on this machine's Node."""
INIT_SECONDS = 60
"""For loading the handler: Lambda gives 10 s, on a machine that does nothing else."""
INSTALL_SECONDS = 300
IDLE_SECONDS = 120
LIFETIME_SECONDS = 3600
"""An environment's end, well before that of its credentials."""
LOG_LINES = 2000
"""Most lines of a log that are kept of one invocation."""

_installing = threading.Lock()


class RunError(RuntimeError):
    """A function cannot be run; the text is for its log."""


@dataclass
class Outcome:
    """What became of an invocation.

    Attributes:
        answer: what the handler returned, or the error as Lambda describes it.
        error: kind of the error: "" for none, "Unhandled" as Invoke calls it.
        log: lines that were written meanwhile.
    """

    answer: Any
    error: str = ""
    log: list[str] = field(default_factory=list)


class Environment:
    """One execution environment: a Node process with the handler loaded."""

    def __init__(self, function: Any, endpoint: str) -> None:
        """Start the process.

        Args:
            function: moto's function.
            endpoint: URL of the API that it sees as AWS.

        Raises:
            RunError: there is no such runtime, or its packages cannot be installed.
        """
        if function.run_time not in RUNTIMES:
            raise RunError(f"the lab runs functions of {' and '.join(RUNTIMES)}, not {function.run_time}")
        self.key = identity(function)
        self.stream = f"{datetime.now(UTC):%Y/%m/%d}/[{function.version}]{uuid.uuid4().hex}"
        self.started = self.used = time.monotonic()
        self._function = function
        task = unpack(function)
        self._answers, answers = os.pipe()
        try:
            self._process = subprocess.Popen(
                [
                    # As on Lambda only /tmp can be written to.
                    *(node(), "--permission", "--allow-fs-read=*", "--allow-fs-write=/tmp/*"),
                    *(f"--max-old-space-size={function.memory_size}", str(RUNTIME)),
                    *(str(task), function.handler, str(answers)),
                    *([settings.RESOLVER_ADDRESS] if (function.vpc_config or {}).get("SubnetIds") else []),
                ],
                cwd=task,
                env=_variables(function, endpoint, self.stream),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(answers,),
                start_new_session=True,
            )
        finally:
            os.close(answers)
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        os.set_blocking(self._output, False)
        os.set_blocking(self._answers, False)
        self._ready = False

    @property
    def stale(self) -> bool:
        """Whether it should serve no more: it ended, is old, or nothing came for a while."""
        now = time.monotonic()
        old = now - self.started > LIFETIME_SECONDS or now - self.used > IDLE_SECONDS
        return old or self._process.poll() is not None

    def invoke(self, request_id: str, event: Any) -> Outcome:
        """Run the handler on an event; on a timeout the environment is gone."""
        function, log = self._function, list[str]()
        if not self._ready:
            first = self._answer(INIT_SECONDS, log)
            if first is None or "error" in first:
                self.close()
                return self._broken(first, f"Task timed out after {INIT_SECONDS} seconds while loading", log)
            self._ready = True
        timeout = float(function.timeout)
        line = {
            "id": request_id,
            "deadline": int((time.time() + timeout) * 1000),
            "event": event,
            "arn": function.function_arn,
            "name": function.function_name,
            "memory": function.memory_size,
            "group": function.logs_group_name,
            "stream": self.stream,
        }
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(line).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            answer = None
        else:
            answer = self._answer(timeout, log)
        self.used = time.monotonic()
        if answer is None or "error" in answer:
            if answer is None:
                self.close()
            return self._broken(answer, f"Task timed out after {timeout:.2f} seconds", log)
        return Outcome(answer["result"], log=log)

    def _broken(self, answer: dict[str, Any] | None, late: str, log: list[str]) -> Outcome:
        if answer is not None:
            return Outcome(answer["error"], "Unhandled", log)
        code = self._process.returncode
        if code is not None and code != -signal.SIGKILL:
            message = {
                "errorType": "Runtime.ExitError",
                "errorMessage": f"Runtime exited with error: exit status {code}",
            }
        else:
            message = {"errorType": "Sandbox.Timedout", "errorMessage": late}
        log.append(json.dumps({"level": "ERROR", **message}))
        return Outcome(message, "Unhandled", log)

    def _answer(self, seconds: float, log: list[str]) -> dict[str, Any] | None:
        """Wait for a line of the runtime, and read the log meanwhile; None when none came in time."""
        deadline = time.monotonic() + seconds
        received, written = b"", b""
        with selectors.DefaultSelector() as both:
            both.register(self._answers, selectors.EVENT_READ)
            both.register(self._output, selectors.EVENT_READ)
            while b"\n" not in received and both.get_map() and (left := deadline - time.monotonic()) > 0:
                for key, _ in both.select(left):
                    with contextlib.suppress(BlockingIOError):
                        chunk = os.read(key.fd, 1 << 16)
                        if not chunk:
                            both.unregister(key.fd)
                        elif key.fd == self._answers:
                            received += chunk
                        else:
                            written += chunk
        # What was written before the answer is in the pipe by now.
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._output, 1 << 16):
                written += chunk
        log += written.decode(errors="replace").splitlines()[-LOG_LINES:]
        if b"\n" in received:
            answer: dict[str, Any] = json.loads(received)
            return answer
        if self._process.stdout is not None and not time.monotonic() > deadline:
            # It ended by itself: what it leaves says why.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)
        return None

    def close(self) -> None:
        """End the process and whatever it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        with contextlib.suppress(OSError):
            os.close(self._answers)


class Functions:
    """All functions' execution environments."""

    def __init__(self, endpoint: str = settings.API_URL) -> None:
        """Take the URL of the API that functions see as AWS."""
        self._endpoint = endpoint
        self._idle: list[Environment] = []
        self._lock = threading.Lock()

    def invoke(self, function: Any, event: Any, alias: str = "") -> Outcome:
        """Run a function on an event, keep its log in its log group and count it.

        Args:
            function: moto's function, in the version that is to run.
            event: what its handler gets.
            alias: alias that it was asked by.
        """
        request_id = str(uuid.uuid4())
        began = time.monotonic()
        try:
            environment = self._take(function)
        except (RunError, OSError) as error:
            message = {"errorType": "Lab.CannotRun", "errorMessage": str(error)}
            outcome, stream = Outcome(message, "Unhandled", [json.dumps({"level": "ERROR", **message})]), "lab"
        else:
            stream = environment.stream
            outcome = environment.invoke(request_id, event)
            self._give_back(environment)
        seconds = time.monotonic() - began
        keep_log(function, stream, request_id, outcome, seconds)
        name, version, failed = function.function_name, str(function.version), bool(outcome.error)
        served.note_invocation(function.region, name, version, alias, failed=failed, seconds=seconds)
        return outcome

    def answer(self, function: Any, body: bytes, alias: str) -> tuple[bytes, str, str]:
        """Serve the API's Invoke (:data:`lab.moto_patches.awslambda.Runner`)."""
        outcome = self.invoke(function, json.loads(body or b"{}"), alias)
        return json.dumps(outcome.answer).encode(), outcome.error, "\n".join(outcome.log)

    def _take(self, function: Any) -> Environment:
        key = identity(function)
        with self._lock:
            for environment in self._idle:
                if environment.key == key and not environment.stale:
                    self._idle.remove(environment)
                    return environment
        return Environment(function, self._endpoint)

    def _give_back(self, environment: Environment) -> None:
        if environment.stale:
            environment.close()
            return
        with self._lock:
            self._idle.append(environment)

    def sweep(self, wanted: set[str]) -> None:
        """End the environments that nobody needs: those of other functions than `wanted`, and idle ones."""
        with self._lock:
            gone = [each for each in self._idle if each.stale or each.key not in wanted]
            self._idle = [each for each in self._idle if each not in gone]
        for environment in gone:
            environment.close()

    def close(self) -> None:
        """End all that are idle; those at work end with what they do."""
        self.sweep(set())


def identity(function: Any) -> str:
    """What an environment is made from: another one is another environment."""
    parts = (
        *(function.function_arn, function.code_sha_256, function.handler, function.run_time, function.role),
        *(function.memory_size, function.timeout, function.logs_group_name, sorted(function.environment_vars.items())),
        function.vpc_config,
    )
    return json.dumps(parts)


def unpack(function: Any) -> Path:
    """Return the folder of a function's code, unpacked, with the SDK where Node looks for it."""
    home = settings.home() / "functions"
    folder = home / str(function.code_digest) / "task"
    with _installing:
        if not folder.exists():
            partial = folder.with_name("partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as packed:
                packed.extractall(partial)
            partial.rename(folder)
        _install(home, set(imports(folder)))
    return folder


def imports(folder: Path) -> Iterator[str]:
    """Packages of the SDK that the code in a folder expects of the runtime."""
    for path in folder.rglob("*"):
        inside = path.relative_to(folder).parts
        if path.is_file() and path.suffix in (".js", ".mjs", ".cjs") and "node_modules" not in inside:
            yield from (name.decode() for name in SDK.findall(path.read_bytes()))


def _install(home: Path, names: set[str]) -> None:
    """Have packages of the SDK above the code of all functions: Node looks for them in every folder up to the root."""
    modules = settings.cache() / "lambda-runtime"
    missing = sorted(name for name in names if not (modules / "node_modules" / name / "package.json").exists())
    if missing:
        modules.mkdir(parents=True, exist_ok=True)
        command = [
            *(node(), str(Path(node()).parents[1] / "lib/node_modules/npm/bin/npm-cli.js"), "install"),
            *("--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(modules)),
            *(f"{name}@{SDK_VERSION}" for name in missing),
        ]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        except subprocess.CalledProcessError as error:
            raise RunError(f"npm cannot install {', '.join(missing)}: {error.stderr.strip()[-500:]}") from error
        except subprocess.TimeoutExpired as error:
            raise RunError(f"npm did not install {', '.join(missing)} within {INSTALL_SECONDS} s") from error
    link = home / "node_modules"
    if not link.is_symlink():
        link.symlink_to(modules / "node_modules")


def _variables(function: Any, endpoint: str, stream: str) -> dict[str, str]:
    """The environment of a function's process.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    issued = sts_backends[settings.ACCOUNT_ID]["aws"].assume_role(
        region_name=function.region,
        role_session_name=function.function_name,
        role_arn=function.role,
        policy="",
        duration=12 * 3600,
        external_id="",
    )
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": function.region,
        "AWS_DEFAULT_REGION": function.region,
        "AWS_ACCESS_KEY_ID": issued.access_key_id,
        "AWS_SECRET_ACCESS_KEY": issued.secret_access_key,
        "AWS_SESSION_TOKEN": issued.session_token,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
        "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
        "AWS_LAMBDA_FUNCTION_VERSION": str(function.version),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
        "AWS_LAMBDA_LOG_GROUP_NAME": function.logs_group_name,
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "_HANDLER": function.handler,
        "LAMBDA_TASK_ROOT": str(settings.home() / "functions" / str(function.code_digest) / "task"),
        **function.environment_vars,
    }


def keep_log(function: Any, stream: str, request_id: str, outcome: Outcome, seconds: float) -> None:
    """Write an invocation's log to the function's log group, unless there is none."""
    logs = logs_backends[settings.ACCOUNT_ID][function.region]
    group = function.logs_group_name
    if group not in logs.groups:
        # Its role may create streams only.
        return
    if stream not in logs.groups[group].streams:
        logs.create_log_stream(group, stream)
    report = {
        "type": "platform.report",
        "record": {
            "requestId": request_id,
            "metrics": {"durationMs": round(seconds * 1000, 1), "memorySizeMB": function.memory_size},
            "status": "failure" if outcome.error else "success",
        },
    }
    now = int(time.time() * 1000)
    lines = [*outcome.log, json.dumps(report)]
    logs.put_log_events(group, stream, [{"timestamp": now, "message": line} for line in lines])
