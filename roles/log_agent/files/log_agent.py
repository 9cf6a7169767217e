#!/usr/bin/python3
"""Send this host's journal to CloudWatch Logs.

Follows the journal and sorts it into two log groups of the environment: `backend` gets what the units of the backend
write, `system` what all others warn of. Entries go out in batches to a stream named like the instance. The place in the
journal up to which CloudWatch has everything is kept on disk: after a restart, or hours without a network, it goes on
from there. Nothing is dropped, for the journal waits meanwhile; a batch whose answer was lost is sent twice.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

BOOT_FILE = Path("/etc/vahana/boot.json")
INSTANCE_FILE = Path("/var/lib/cloud/data/instance-id")

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
BATCH_EVENTS = 10_000
BATCH_BYTES = 1_048_576
EVENT_OVERHEAD = 26
BATCH_SPAN = 24 * 3600 * 1000
# One event may be as large as a batch; smaller pieces are easier to read.
LARGEST_EVENT = 200_000

WARNING = 4
"""Priority of the journal: https://www.freedesktop.org/software/systemd/man/latest/systemd.journal-fields.html"""
LONGEST_PAUSE = 60.0


def say(message: str) -> None:
    """Write one line to the journal. Not as a warning: that would be sent, too."""
    print(f"<6>{message}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Event:
    """A line for a log group, with its time in milliseconds since 1970."""

    group: str
    time: int
    text: str

    @property
    def size(self) -> int:
        """Bytes it counts in a batch."""
        return len(self.text.encode()) + EVENT_OVERHEAD


def _text(value: Any) -> str:
    """Return a field of the journal as text; journalctl writes what is no UTF-8 as a list of bytes."""
    if isinstance(value, list):
        return bytes(each for each in value if isinstance(each, int)).decode(errors="replace")
    return "" if value is None else str(value)


def events_of(entry: dict[str, Any], units: Iterable[str]) -> Iterator[Event]:
    """Yield what an entry of the journal becomes: nothing, an event, or one for each piece of a long one."""
    # systemd's own words about a unit come from its init.scope.
    unit = _text(entry.get("UNIT") or entry.get("_SYSTEMD_UNIT"))
    text = _text(entry.get("MESSAGE"))
    # CloudWatch Logs takes no empty event.
    if not text.strip():
        return
    if unit in units:
        group = "backend"
    elif int(_text(entry.get("PRIORITY")) or WARNING + 1) <= WARNING:
        group = "system"
        text = f"{_text(entry.get('SYSLOG_IDENTIFIER')) or unit or 'kernel'}: {text}"
    else:
        return
    moment = int(entry["__REALTIME_TIMESTAMP"]) // 1000
    data = text.encode()
    for start in range(0, len(data), LARGEST_EVENT):
        yield Event(group, moment, data[start : start + LARGEST_EVENT].decode(errors="replace"))


class Shipper:
    """Collects events and sends them.

    Args:
        client: boto3 client of CloudWatch Logs.
        prefix: path of the environment, with which the groups' names begin.
        stream: name of the stream in each group.
        state: file of the place in the journal up to which everything is sent.
        pause: waits, in seconds, before something is tried again.
    """

    def __init__(
        self, client: Any, prefix: str, stream: str, state: Path, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._client, self._prefix, self._stream, self._state, self._pause = client, prefix, stream, state, pause
        self._waiting: list[Event] = []
        self._size = 0
        self._cursor = ""

    def place(self) -> str:
        """Return where to go on in the journal; empty at the beginning."""
        try:
            return self._state.read_text().strip()
        except FileNotFoundError:
            return ""

    def add(self, cursor: str, events: Iterable[Event]) -> None:
        """Take the events of one entry; send what there is when a batch is full."""
        for event in events:
            # Of both groups together: each one's share fits then, too.
            if len(self._waiting) >= BATCH_EVENTS or self._size + event.size > BATCH_BYTES:
                # The entry before this one is the last that is whole.
                self.flush()
            self._waiting.append(event)
            self._size += event.size
        self._cursor = cursor

    def flush(self) -> None:
        """Send everything, however long that takes, then note the place."""
        for group in sorted({event.group for event in self._waiting}):
            for batch in _spans(event for event in self._waiting if event.group == group):
                self._send(f"{self._prefix}/{group}", batch)
        self._waiting, self._size = [], 0
        if self._cursor and self._cursor != self.place():
            partial = self._state.with_suffix(".new")
            partial.write_text(self._cursor + "\n")
            partial.replace(self._state)

    def _send(self, group: str, batch: list[Event]) -> None:
        pause = 1.0
        events = [{"timestamp": event.time, "message": event.text} for event in batch]
        while True:
            try:
                answer = self._client.put_log_events(logGroupName=group, logStreamName=self._stream, logEvents=events)
            except (BotoCoreError, ClientError) as error:
                if self._no_stream(error) and self._make_stream(group):
                    continue
                say(f"{group}: {error}; trying again in {pause:.0f} s")
                self._pause(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            if refused := answer.get("rejectedLogEventsInfo"):
                # Older than two weeks or than the group's retention: it would be deleted at once.
                say(f"{group}: CloudWatch did not take {refused}")
            return

    @staticmethod
    def _no_stream(error: Exception) -> bool:
        return isinstance(error, ClientError) and error.response["Error"]["Code"] == "ResourceNotFoundException"

    def _make_stream(self, group: str) -> bool:
        """Make the stream; say whether there is one now. Groups are made by roles/monitoring."""
        try:
            self._client.create_log_stream(logGroupName=group, logStreamName=self._stream)
        except ClientError as error:
            return bool(error.response["Error"]["Code"] == "ResourceAlreadyExistsException")
        except BotoCoreError:
            return False
        return True


def _spans(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Yield batches in the order of time, none longer than a day."""
    batch: list[Event] = []
    for event in sorted(events, key=lambda each: each.time):
        if batch and event.time - batch[0].time > BATCH_SPAN:
            yield batch
            batch = []
        batch.append(event)
    if batch:
        yield batch


def follow(lines: Iterable[bytes | None], shipper: Shipper, units: Iterable[str], seconds: float) -> None:
    """Send what the journal's lines say until they end; None is a moment without one.

    Args:
        lines: entries as journalctl writes them in JSON.
        shipper: takes them.
        units: those of the backend.
        seconds: how long an event waits for others at most.
    """
    since: float | None = None
    for line in lines:
        if line is not None:
            entry = json.loads(line)
            shipper.add(entry["__CURSOR"], events_of(entry, units))
            since = time.monotonic() if since is None else since
        if since is not None and time.monotonic() - since >= seconds:
            shipper.flush()
            since = None
    shipper.flush()


def journal(place: str) -> subprocess.Popen[bytes]:
    """Start to read the journal from a place on, or from the beginning of this boot."""
    start = [f"--after-cursor={place}"] if place else ["--boot"]
    command = ["journalctl", "--follow", "--no-tail", "--output=json", "--all", *start]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def lines_of(process: subprocess.Popen[bytes], seconds: float) -> Iterator[bytes | None]:
    """Yield the lines that a process writes, and None after so many seconds without one."""
    assert process.stdout is not None
    source = process.stdout.fileno()
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(source, selectors.EVENT_READ)
        while True:
            if not selector.select(seconds):
                yield None
                continue
            read = os.read(source, 65536)
            if not read:
                return
            *whole, rest = (rest + read).split(b"\n")
            yield from whole


def main() -> int:
    """Follow the journal; ends only when the journal does, for systemd to start it again."""
    parser = argparse.ArgumentParser(prog="log-agent", description=__doc__)
    parser.add_argument("--unit", action="append", default=[], help="unit of the backend; may be repeated")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long a line waits for others at most")
    parser.add_argument("--state", type=Path, required=True, help="file of the place in the journal")
    arguments = parser.parse_args()
    boot = json.loads(BOOT_FILE.read_text())
    config = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 3})
    client = boto3.client("logs", region_name=boot["region"], config=config)
    shipper = Shipper(client, boot["parameter_prefix"], INSTANCE_FILE.read_text().strip(), arguments.state)
    process = journal(shipper.place())
    try:
        follow(lines_of(process, arguments.seconds), shipper, arguments.unit, arguments.seconds)
    finally:
        process.terminate()
    return 1


if __name__ == "__main__":
    sys.exit(main())
