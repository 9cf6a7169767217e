"""The API's state on disk: one pickle of all of moto's backends together, so that what refers to each other still does.

Not everything in moto can be pickled as it is: locks are made anew, functions that live in no module are taken apart,
and the contents of S3 objects are files of their own, written once.
"""

from __future__ import annotations

import gc
import logging
import marshal
import os
import pickle
import select
import signal
import sys
import threading
import time
import traceback
import types
import warnings
import weakref
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import moto
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificate
from moto.backends import get_backend
from moto.core.base_backend import AccountSpecificBackend, BackendDict
from moto.s3.models import FakeKey

FORMAT = [2, moto.__version__, list(sys.version_info[:2])]
"""Functions are stored as byte code and moto's classes by name: a state fits only the versions that wrote it."""

COPY_SECONDS = 120
"""Longest time that writing may take. What hangs was copied while another thread held a lock, and another try helps."""
ATTEMPTS = 3
NICE = 10
"""Requests come first."""
REST = 9
"""How much longer than the last save took the next one waits: whoever writes all the time finds the lab answering."""
SETTLE_SECONDS = 1.0
"""How long to wait after a change before saving: a playbook makes many at once."""

PARTITION = "aws"

_log = logging.getLogger("lab.state")
_Lock, _RLock = type(threading.Lock()), type(threading.RLock())


class StateError(RuntimeError):
    """The state cannot be read; the text says why and what to do."""


class _Content:
    """Stands for the content of an S3 object, which is in a file of this name."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Pickler(pickle.Pickler):
    def __init__(self, file: Any, objects: Path) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._objects = objects
        self.kept: set[str] = set()

    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, _Content):
            return ("content", value.name)
        if isinstance(value, BackendDict):
            return ("service", value.service_name)
        if isinstance(value, AccountSpecificBackend):
            return ("account", value.service_name, value.account_id)
        return None

    def reducer_override(self, value: Any) -> Any:
        match value:
            case _Lock() | _RLock() | threading.Event():
                return _fresh, (type(value).__name__,)
            case threading.Condition():
                return _fresh, ("Condition",)
            case FakeKey() if not value.disposed:
                return FakeKey.__new__, (FakeKey,), self._key_state(value)
            case RSAPrivateKey() | EllipticCurvePrivateKey() | Ed25519PrivateKey():
                text = value.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
                return _private_key, (text,)
            case Certificate():
                return _certificate, (value.public_bytes(Encoding.PEM),)
            case defaultdict() if type(value) is not defaultdict:
                # Its own way to be pickled calls the class with the factory alone, which a subclass may not bear.
                return _default_dict, (type(value), value.default_factory), vars(value), None, iter(value.items())
            case weakref.ReferenceType():
                return _reference, (value(),)
            case types.FunctionType() if "<locals>" in value.__qualname__ or "<lambda>" in value.__qualname__:
                cells = tuple(cell.cell_contents for cell in value.__closure__ or ())
                code = marshal.dumps(value.__code__)
                return _function, (code, value.__module__, value.__name__, value.__defaults__, cells)
        return NotImplemented

    def _key_state(self, key: FakeKey) -> dict[str, Any]:
        name = _keep_content(key, self._objects)
        self.kept.add(name)
        state = {name: value for name, value in vars(key).items() if name not in ("_value_buffer", "lock")}
        return {**state, "value": _Content(name)}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, objects: Path) -> None:
        super().__init__(file)
        self._objects = objects

    def persistent_load(self, pid: Any) -> Any:
        match pid:
            case ("content", name):
                return (self._objects / name).read_bytes()
            case ("service", service):
                return get_backend(service)
            case ("account", service, account):
                return get_backend(service)[account]
        raise pickle.UnpicklingError(f"unknown reference {pid}")


def _fresh(name: str) -> Any:
    makers: dict[str, Callable[[], Any]] = {
        "lock": threading.Lock,
        "RLock": threading.RLock,
        "Condition": threading.Condition,
        "Event": threading.Event,
    }
    return makers[name]()


def _default_dict(kind: type[defaultdict[Any, Any]], factory: Any) -> defaultdict[Any, Any]:
    made = kind.__new__(kind)
    defaultdict.__init__(made, factory)
    return made


def _private_key(text: bytes) -> Any:
    return load_pem_private_key(text, password=None)


def _certificate(text: bytes) -> Certificate:
    return load_pem_x509_certificate(text)


def _reference(target: Any) -> Any:
    return weakref.ref(target) if target is not None else lambda: None


def _function(code: bytes, module: str, name: str, defaults: Any, cells: tuple[Any, ...]) -> types.FunctionType:
    closure = tuple(types.CellType(value) for value in cells)
    return types.FunctionType(marshal.loads(code), vars(sys.modules[module]), name, defaults, closure)


def save(directory: Path) -> None:
    """Write the state of all backends below a directory; the file there before stays whole until the new one is.

    A copy of this process writes: here requests would change what is being written, and wait for it all the time.

    Args:
        directory: where state.pickle and the folder objects are.

    Raises:
        OSError: the disk is full or the directory not writable.
        StateError: it could not be written.
    """
    objects = directory / "objects"
    objects.mkdir(parents=True, exist_ok=True)
    partial, names = directory / "state.partial", directory / "objects.partial"
    for attempt in range(1, ATTEMPTS + 1):
        _keep_contents(objects)
        if not (fault := _in_a_copy(partial, names, objects)):
            break
        if attempt == ATTEMPTS:
            raise StateError(f"{partial} could not be written: {fault}")
    partial.replace(directory / "state.pickle")
    kept = set(names.read_text().splitlines())
    names.unlink()
    for path in objects.iterdir():
        if path.name not in kept:
            path.unlink()


def _in_a_copy(partial: Path, names: Path, objects: Path) -> str:
    """Fork, write there, and return what went wrong."""
    # A collection looks at every object of an account and stops the whole lab meanwhile, its resolver too: for seconds,
    # once there are many. What is there now is left out of all that follow, and its pages stay shared with the copy.
    # What is not used any more is freed all the same, but for circles that are this old.
    gc.freeze()
    faults = partial.with_suffix(".faults")
    faults.unlink(missing_ok=True)
    with warnings.catch_warnings():
        # The copy has this thread alone and does nothing that waits for another one.
        warnings.simplefilter("ignore", DeprecationWarning)
        copy = os.fork()
    if copy == 0:
        status = 1
        try:
            # Nobody's connection stays open because the copy has it too.
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            os.nice(NICE)
            _write(partial, names, objects)
            status = 0
        except BaseException:
            faults.write_text(traceback.format_exc())
        finally:
            os._exit(status)
    watched = os.pidfd_open(copy)
    try:
        ended, _, _ = select.select([watched], [], [], COPY_SECONDS)
        if not ended:
            os.kill(copy, signal.SIGKILL)
        _, status = os.waitpid(copy, 0)
    finally:
        os.close(watched)
    if status == 0:
        return ""
    return faults.read_text() if faults.exists() else f"not done after {COPY_SECONDS} s" if not ended else "killed"


def _write(partial: Path, names: Path, objects: Path) -> None:
    with partial.open("wb") as file:
        pickle.dump(FORMAT, file)
        pickler = _Pickler(file, objects)
        pickler.dump((_collect(), _common()))
    names.write_text("\n".join(pickler.kept))


def _keep_contents(objects: Path) -> None:
    """Write the contents of objects that are new: a copy of this process shares the files that large ones are in."""
    for _account, _region, backend in list(get_backend("s3").iter_backends()):
        for bucket in list(backend.buckets.values()):
            for name in list(bucket.keys):
                for key in list(bucket.keys.getlist(name) or ()):
                    if isinstance(key, FakeKey) and not key.disposed:
                        _keep_content(key, objects)


def _keep_content(key: FakeKey, objects: Path) -> str:
    """Have the content of an object in a file; return its name."""
    name = f"{key.etag.strip(chr(34))}-{key.contentsize}"
    path = objects / name
    if not path.exists():
        partial = path.with_suffix(".partial")
        partial.write_bytes(key.value)
        partial.replace(path)
    return name


def load(directory: Path) -> bool:
    """Put a saved state into moto's backends; say whether there was one.

    Args:
        directory: where `save` wrote it.

    Raises:
        StateError: it was written by other versions, or is damaged.
    """
    path = directory / "state.pickle"
    if not path.exists():
        return False
    with path.open("rb") as file:
        try:
            if pickle.load(file) != FORMAT:
                raise StateError(f"{path} was written by another version: run `lab down`, which discards it")
            state, common = _Unpickler(file, directory / "objects").load()
        except (pickle.UnpicklingError, AttributeError, EOFError, ImportError, OSError) as error:
            raise StateError(f"{path} is damaged ({error}): run `lab down`, which discards it") from error
    for (service, account, region), backend in state.items():
        get_backend(service)[account][region] = backend
    for service, attributes in common.items():
        vars(get_backend(service)).update(attributes)
    return True


def _collect() -> dict[tuple[str, str, str], Any]:
    """Every backend in use; those of the other partitions hold nothing but copies of the managed policies."""
    return {
        (service.service_name, account, region): backend
        for service in list(BackendDict._instances)
        for account, region, backend in service.iter_backends()
        if backend.partition == PARTITION
    }


def _common() -> dict[str, dict[str, Any]]:
    """What a service keeps across accounts and regions: S3 the owner of each bucket name."""
    plain = vars(BackendDict(object, "")).keys()
    return {
        service.service_name: {name: value for name, value in vars(service).items() if name not in plain}
        for service in list(BackendDict._instances)
    }


class Saver:
    """Saves the state a moment after each change, in a thread of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="state", daemon=True)

    def start(self) -> None:
        """Begin to save changes."""
        self._thread.start()

    def changed(self) -> None:
        """Note that the state is not what is on disk any more."""
        self._changed.set()

    def close(self) -> None:
        """Save a last time and stop."""
        self._closing.set()
        self._changed.set()
        self._thread.join()
        self._save()

    def _work(self) -> None:
        took = 0.0
        while not self._closing.is_set():
            self._changed.wait()
            self._closing.wait(max(SETTLE_SECONDS, took * REST))
            self._changed.clear()
            if not self._closing.is_set():
                began = time.monotonic()
                self._save()
                took = time.monotonic() - began

    def _save(self) -> None:
        try:
            save(self._directory)
        except Exception:
            _log.exception("the state could not be saved; the next change tries again")
