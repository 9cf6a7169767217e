"""Keeps a run's lock while the run lives, and writes its record when it ends.

Started by plugins/callback/keeper.py; its standard input is a pipe from the playbook. The first line is what to keep,
as JSON; the second, at the end, how the run ended. A playbook that is gone without it was killed: the record says so,
and the lock is left to expire, because hosts may still be at work.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from plugins.module_utils.aws_session import aws_session
from plugins.module_utils.history import write_entry
from plugins.module_utils.locking import EXPIRY_SECONDS, HEARTBEAT_SECONDS, Lock, LostError

#: What destroy turns an environment into (playbooks/destroy.yml).
NOTHING = "nothing"

#: Of the heartbeats that make the lock expire the last is left to the run, which has to stop.
_MISSED_HEARTBEATS = EXPIRY_SECONDS // HEARTBEAT_SECONDS - 1
_LOOK_SECONDS = 1.0

_CONFIG = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4})
#: A renewal is tried again here, by a new connection.
_ONCE = _CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))

# Without a buffer: what that had read ahead, select would not see.
_input = io.FileIO(0, closefd=False)


def _say(text: str) -> None:
    """Tell the playbook, which reads this before its next task, that it must stop."""
    with contextlib.suppress(BrokenPipeError):
        print(text, flush=True)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _bucket_gone(error: Exception) -> bool:
    return isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") == "NoSuchBucket"


def _has_spoken(seconds: float) -> bool:
    """Wait so long at most; tell whether there is something to read, be it the end of the input."""
    return bool(select.select([_input], [], [], seconds)[0])


class Silence:
    """Says that the lock is to be taken for lost when no renewal has succeeded for too long.

    A thread does, because nothing else bounds how long a request takes: names are resolved without a timeout, and
    every address of S3 is tried in turn.

    :param seconds: how long is too long.
    """

    def __init__(self, seconds: float) -> None:
        self.why = "S3 does not answer"
        self._seconds = seconds
        self._timer: threading.Timer | None = None

    def begin(self, at: float) -> None:
        """Count from this moment of the monotonic clock."""
        self.end()
        self._timer = threading.Timer(max(0.0, at + self._seconds - time.monotonic()), self._tell)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """Count no more."""
        if self._timer:
            self._timer.cancel()

    def _tell(self) -> None:
        _say(f"the lock could not be renewed for {self._seconds:.0f} s: {self.why}")


def keep(lock: Lock, order: Mapping[str, Any], heartbeat: float) -> str:
    """Renew the lock until the playbook speaks or is dead; return its last ETag, empty when it was lost."""
    etag, holder = str(order["etag"]), order["holder"]
    due = time.monotonic() + heartbeat
    silence = Silence(_MISSED_HEARTBEATS * heartbeat)
    if etag:
        silence.begin(time.monotonic())
    # The input of a playbook that was killed does not end before the tasks do that are its forks.
    while not _has_spoken(min(heartbeat, _LOOK_SECONDS)) and os.getppid() == holder["pid"]:
        if not etag or time.monotonic() < due:
            continue
        asked = time.monotonic()
        try:
            etag = lock.renew(holder, etag)
            silence.begin(asked)
            due = asked + heartbeat
        except LostError as error:
            etag = ""
            # destroy empties the bucket, and the lock goes with the rest; a lock that somebody took is another matter.
            if not (error.removed and order["record"]["to"] == NOTHING):
                _say(str(error))
        except (BotoCoreError, ClientError) as error:
            silence.why = _one_line(error)
            if _bucket_gone(error):
                etag = ""
        if not etag:
            silence.end()
    silence.end()
    return etag


def finish(session: boto3.Session, order: Mapping[str, Any], outcome: Mapping[str, Any]) -> None:
    """Write the record, unless the run changed nothing."""
    if outcome["result"] == "ok" and not outcome["changed"]:
        return
    to = order["record"]["to"]
    if not to:
        ssm = session.client("ssm", config=_CONFIG)
        names = [f"{order['parameter_prefix']}/release"]
        to = next((item["Value"] for item in ssm.get_parameters(Names=names)["Parameters"]), "")
    entry = {**order["record"], **outcome, "to": to}
    # Of a release that did not get in service nothing else tells, when it was built by this run.
    if order["record"]["to"] or entry.get("attempted") in ("", to):
        entry.pop("attempted", None)
    write_entry(session.client("s3", config=_CONFIG), order["bucket"], entry)


def main(heartbeat: float = HEARTBEAT_SECONDS) -> None:
    """Do what the first line of standard input says until the second one comes."""
    order = json.loads(_input.readline())
    session = aws_session(order["region"])
    etag = keep(Lock(session.client("s3", config=_ONCE), order["bucket"]), order, heartbeat)
    word = _input.readline() if _has_spoken(0) else b""
    outcome = json.loads(word) if word else {"result": "interrupted", "changed": None}
    # One clock for all processes of the machine: a keeper that was killed may have been here before.
    outcome["seconds"] = round(time.monotonic() - order["began"], 1)
    try:
        finish(session, order, outcome)
    except (BotoCoreError, ClientError) as error:
        # destroy takes the bucket, and with it the records.
        if not _bucket_gone(error):
            print(f"the run is not in the history: {_one_line(error)}", file=sys.stderr)
    if word and etag:
        try:
            Lock(session.client("s3", config=_CONFIG), order["bucket"]).release(etag)
        except (BotoCoreError, ClientError) as error:
            if not _bucket_gone(error):
                print(f"the lock is still there and will expire: {_one_line(error)}", file=sys.stderr)


if __name__ == "__main__":
    main()
