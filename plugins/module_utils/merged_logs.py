"""The journals of several hosts as one, in the order of time."""

from __future__ import annotations

import heapq
import itertools
import json
import queue
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from plugins.module_utils.remote import NO_ANSWER, WORKERS, Answer, Target, as_root

REORDER_SECONDS = 1.0
"""How long a line is held back while following, for an older one of another host to arrive."""

RECONNECT_SECONDS = (1.0, 5.0, 15.0)
"""While following: how long it waits before it connects again; after so many times in vain a host is given up."""

_LASTED = 60
"""Seconds after which a connection that breaks has been a good one: a tunnel of AWS lasts an hour and no longer."""

_BATCH_LINES = 500
_ERROR_LINES = 20
#: Of journalctl: nothing was found (--grep).
_NOTHING_FOUND = 1

Say = Callable[[str], None]
#: What a host is to run, after the entry with a cursor or, without one, from the beginning.
Command = Callable[[str | None], str]


@dataclass(frozen=True, order=True)
class Line:
    """One line of a journal.

    :param time: microseconds since 1970, by the host's clock.
    :param source: what wrote it, e.g. ``backend``.
    """

    time: int
    host: str
    source: str
    text: str

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.time / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return f"{at} {self.host} {self.source}: {self.text}"


def journal_command(
    units: Sequence[str], since: float | None, grep: str, *, follow: bool, after: str | None = None
) -> str:
    """Return the command that reads a host's journal, for its shell.

    :param since: seconds since 1970.
    :param after: cursor of the entry that was read last; it counts instead of ``since``.
    :param grep: a pattern of journalctl's own (PCRE2); in lower case it matches both cases.
    """
    command = ["journalctl", "--output=json", "--output-fields=MESSAGE,SYSLOG_IDENTIFIER", "--all", "--quiet"]
    command += [f"--unit={unit}" for unit in units]
    if after is not None:
        command += [f"--after-cursor={after}"]
    elif since is not None:
        command += [f"--since=@{since:.0f}"]
    command += [f"--grep={grep}"] if grep else []
    if not follow:
        return as_root(command)
    # Without a terminal nothing tells the host that we are gone, but the end of its input: journalctl ends with it.
    script = f"{shlex.join([*command, '--follow', '--no-tail'])} & reader=$!; cat > /dev/null; kill $reader"
    return as_root(["sh", "-c", script])


def parse(host: str, text: str) -> Iterator[Line]:
    """Read one entry of ``journalctl --output=json``; yield a line for each line of its message."""
    try:
        entry: Mapping[str, Any] = json.loads(text)
        at, message = int(entry["__REALTIME_TIMESTAMP"]), entry.get("MESSAGE")
    except (ValueError, KeyError, TypeError):
        return
    if isinstance(message, list):
        # What is no UTF-8 comes as bytes (systemd's Journal Export Formats).
        message = bytes(message).decode(errors="replace")
    for part in str(message or "").splitlines() or [""]:
        yield Line(at, host, str(entry.get("SYSLOG_IDENTIFIER") or "?"), part)


def _cursor(text: str) -> str | None:
    """Return where in the journal an entry stands."""
    try:
        return str(json.loads(text)["__CURSOR"])
    except (ValueError, KeyError, TypeError):
        return None


def _connect(target: Target, command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*target.ssh, command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


@dataclass
class _Reader:
    """A process that reads one host's journal."""

    target: Target
    process: subprocess.Popen[str]
    errors: list[str] = field(default_factory=list)
    listener: threading.Thread | None = None
    stopped: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def start(cls, target: Target, command: str) -> _Reader:
        """Start it."""
        reader = cls(target, _connect(target, command))
        reader._listen()
        return reader

    def _listen(self) -> None:
        self.listener = threading.Thread(target=self._collect_errors, daemon=True)
        self.listener.start()

    def _collect_errors(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.errors = [*self.errors, line][-_ERROR_LINES:]

    def lines(self) -> Iterator[Line]:
        """Yield what it reads, to the end."""
        assert self.process.stdout
        for text in self.process.stdout:
            yield from parse(self.target.name, text)

    def lines_for_good(self, command: Command) -> Iterator[Line]:
        """Yield what it reads, over as many connections as that takes: nothing is missing, nothing comes twice."""
        cursor: str | None = None
        pauses = iter(RECONNECT_SECONDS)
        while True:
            began = time.monotonic()
            assert self.process.stdout
            for text in self.process.stdout:
                # Of an entry that was cut off neither the lines nor the cursor can be read: it comes again, whole.
                yield from parse(self.target.name, text)
                cursor = _cursor(text) or cursor
            if self.answer().code != NO_ANSWER:
                return
            if time.monotonic() - began >= _LASTED:
                pauses = iter(RECONNECT_SECONDS)
            pause = next(pauses, None)
            if pause is None or self.stopped.wait(pause):
                return
            self.errors = []
            try:
                self.process = _connect(self.target, command(cursor))
            except OSError as error:
                # The former connection's end says that it has failed, and this why there is no other.
                self.errors.append(str(error))
                return
            self._listen()

    def answer(self) -> Answer:
        """Return how it ended."""
        code = self.process.wait()
        if self.listener:
            self.listener.join()
        said = "".join(self.errors)
        # A pattern that nothing matches is no failure; a pattern that is wrong says so.
        return Answer(0 if code == _NOTHING_FOUND and not said else code, "", said)

    def stop(self) -> None:
        """End it, here and on the host."""
        self.stopped.set()
        if self.process.stdin:
            self.process.stdin.close()
        self.process.kill()
        self.process.wait()


def read(targets: Sequence[Target], command: Command, say: Say, *, follow: bool) -> dict[str, Answer]:
    """Print the journals of all hosts, merged; return how reading each ended.

    :param say: prints text of one or more lines.
    :param follow: go on until no host can be reached any more.
    """
    if not follow and len(targets) > WORKERS:
        return _read_in_turns(targets, command(None), say)
    readers: list[_Reader] = []
    try:
        readers += [_Reader.start(target, command(None)) for target in targets]
        merged = (
            _as_they_come(readers, command)
            if follow
            else _batches(heapq.merge(*(reader.lines() for reader in readers)))
        )
        for lines in merged:
            say("\n".join(map(str, lines)))
        return {reader.target.name: reader.answer() for reader in readers}
    finally:
        for reader in readers:
            reader.stop()


def _read_in_turns(targets: Sequence[Target], command: str, say: Say) -> dict[str, Answer]:
    """Read as many at once as may be (:data:`WORKERS`), each into a file, and merge these."""

    def lines(host: str, path: Path) -> Iterator[Line]:
        with path.open(errors="replace") as file:
            for text in file:
                yield from parse(host, text)

    with tempfile.TemporaryDirectory() as folder:
        paths = {target.name: Path(folder, str(number)) for number, target in enumerate(targets)}

        def fetch(target: Target) -> Answer:
            reader = _Reader.start(target, command)
            try:
                assert reader.process.stdout
                with paths[target.name].open("w") as file:
                    shutil.copyfileobj(reader.process.stdout, file)
                return reader.answer()
            finally:
                reader.stop()

        with ThreadPoolExecutor(WORKERS) as pool:
            answers = dict(zip(paths, pool.map(fetch, targets), strict=True))
        for batch in _batches(heapq.merge(*(lines(host, path) for host, path in paths.items()))):
            say("\n".join(map(str, batch)))
    return answers


def _batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Yield lines in pieces that are printed at once: each print is a message from one process to another."""
    left = iter(lines)
    while batch := list(itertools.islice(left, _BATCH_LINES)):
        yield batch


def _as_they_come(readers: Sequence[_Reader], command: Command) -> Iterator[list[Line]]:
    """Yield what has waited long enough, in the order of time; nothing is yielded while there is nothing."""
    arrived: queue.SimpleQueue[Line | None] = queue.SimpleQueue()

    def pump(reader: _Reader) -> None:
        try:
            for line in reader.lines_for_good(command):
                arrived.put(line)
        finally:
            arrived.put(None)

    for reader in readers:
        threading.Thread(target=pump, args=(reader,), daemon=True).start()
    held: list[tuple[Line, float]] = []
    running = len(readers)
    while running or held:
        deadline = time.monotonic() + REORDER_SECONDS / 4
        while running and (left := deadline - time.monotonic()) > 0:
            try:
                line = arrived.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                running -= 1
            else:
                heapq.heappush(held, (line, time.monotonic()))
        due = time.monotonic() - REORDER_SECONDS
        ready: list[Line] = []
        while held and (not running or held[0][1] <= due):
            ready.append(heapq.heappop(held)[0])
        if ready:
            yield ready


def failures(answers: Mapping[str, Answer]) -> list[str]:
    """Return a line for each host whose journal could not be read to its end."""
    return [
        f"{host}: {'cannot be reached' if answer.code == NO_ANSWER else 'cannot be read'}: {answer.reason}"
        for host, answer in answers.items()
        if answer.code != 0
    ]
