"""The warm process: preloads, listens on a unix socket, and forks one child for each module that is to be run.

Usage: server.py SOCKET, with a pipe as standard input; it ends when that pipe closes, that is, with its parent.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import botocore.loaders
import botocore.session

from plugins.module_utils.aws_session import model_loader
from plugins.warm_worker.wire import Answer, Request, receive, send

#: boto3 parses a service's model for each new client: 10 to 190 ms, once here instead of once a task.
PRELOADED_SERVICES = (
    "acm",
    "autoscaling",
    "cloudfront",
    "cloudwatch",
    "ec2",
    "elbv2",
    "iam",
    "rds",
    "route53",
    "s3",
    "secretsmanager",
    "sns",
    "ssm",
    "sts",
)
#: The modules of both collections are built on this.
PRELOADED_PACKAGE = "ansible_collections.amazon.aws.plugins.module_utils"


def preload(module_utils: Path) -> None:
    """Import what AWS modules import, and parse the services' models into one loader that all sessions share."""
    import ansible.module_utils
    import boto3

    ansible.module_utils.__path__.append(str(module_utils))
    package = importlib.import_module(PRELOADED_PACKAGE)
    for module in pkgutil.walk_packages(package.__path__, f"{PRELOADED_PACKAGE}."):
        # One that needs a library which is not installed fails in the module that asks for it.
        with contextlib.suppress(ImportError):
            importlib.import_module(module.name)

    shared = model_loader()
    original = botocore.loaders.create_loader

    def create_loader(search_path_string: str | None = None) -> Any:
        return original(search_path_string) if search_path_string else shared

    botocore.session.create_loader = create_loader
    session: Any = boto3.Session(aws_access_key_id="-", aws_secret_access_key="-", region_name="us-east-1")
    for service in PRELOADED_SERVICES:
        session.client(service)


def serve(path: str) -> None:
    """Answer requests until the parent's pipe closes."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(f"{path}.new")
    listener.listen(64)
    # Who sees it can connect.
    Path(f"{path}.new").rename(path)
    preload(Path(__file__).resolve().parents[1] / "module_utils")
    # Without this every child's first collection copies all preloaded pages: 250 ms instead of 8.
    gc.collect()
    gc.freeze()
    # Not SIG_IGN: then the children's processor time would be in nobody's account.
    signal.signal(signal.SIGCHLD, _reap)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _answer(connection)
        connection.close()


def _reap(_signal: int, _frame: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _answer(connection: socket.socket) -> None:
    """In a child: run one request's module in a grandchild and send back what it wrote. Does not return."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        request = Request(**receive(connection))
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            pid = os.fork()
            if pid == 0:
                connection.close()
                _run(request, out, err)
            code = _wait(pid, connection)
            if code is not None:
                send(connection, Answer(code, _content(out), _content(err)))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _wait(pid: int, connection: socket.socket) -> int | None:
    """Return the exit code of ``pid``, or None when the one who asked went away: then the module ends with it."""
    handle = os.pidfd_open(pid)
    ready, _, _ = select.select([handle, connection.fileno()], [], [])
    if handle not in ready:
        os.kill(pid, signal.SIGKILL)
        return None
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _content(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode(errors="surrogateescape")


def _run(request: Request, out: IO[bytes], err: IO[bytes]) -> None:
    """In a grandchild: be the module. Does not return."""
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    os._exit(be_module(request))


def be_module(request: Request) -> int:
    """Run the module in this process, which is then worth nothing else, and return its exit code."""
    code = 1
    try:
        os.environ.clear()
        os.environ.update(request.environment)
        os.chdir(request.directory)
        os.umask(request.umask)

        from ansible.module_utils import basic

        basic._ANSIBLE_ARGS = request.arguments.encode()
        basic._ANSIBLE_PROFILE = request.profile
        names = {"_module_fqn": request.module, "_modlib_path": None}
        sys.argv = [request.module]
        with _watch(request):
            if request.path:
                runpy.run_path(request.path, init_globals=names, run_name="__main__")
            else:
                runpy.run_module(request.module, init_globals=names, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return code


@contextlib.contextmanager
def _watch(request: Request) -> Iterator[None]:
    """Let a module that is only planned write nothing, and answer for it where that ends it."""
    if not request.plan:
        yield
        return
    from plugins.module_utils.planning import Planner

    planner = Planner(request.module.rpartition(".")[2])
    planner.install()
    try:
        yield
    except SystemExit:
        raise
    except BaseException:
        if not planner.report():
            raise
        raise SystemExit(0) from None


if __name__ == "__main__":
    serve(sys.argv[1])
