"""One lock an environment: an object in its bucket of releases, written only on conditions that S3 checks.

Whoever creates it (``If-None-Match: *``) holds it, renews it while the run lives (``If-Match`` on what it wrote last)
and deletes it at the end. A holder that is not heard from loses it. How long that is counted by S3's own clock, the
object's ``LastModified`` against the answer's ``Date``, so that it does not matter what time two machines think it is.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

LOCK_KEY = "lock.json"
"""Key of the lock in the releases bucket."""

HEARTBEAT_SECONDS = 20

EXPIRY_SECONDS = 3 * HEARTBEAT_SECONDS
"""After as many seconds without a heartbeat the holder is taken for dead."""

_ATTEMPTS = 5


def now() -> str:
    """Return the time as people and machines can read it: ISO 8601, UTC, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def who() -> str:
    """Return who runs this: ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container's user need not have a name.
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def machine() -> str:
    """Return what makes process ids comparable: this boot of this kernel and its PID namespace. Empty if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def started(pid: int) -> str:
    """Return when a process of this machine started, in clock ticks since boot. Empty when there is none."""
    try:
        # The name, which is in brackets, may hold anything.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


@dataclass(frozen=True)
class Holder:
    """Who holds the lock. Times are ISO 8601, UTC.

    :param verb: name of the playbook.
    :param reason: why, in the holder's words.
    :param since: when the lock was taken.
    :param heartbeat: when it was last renewed, by the holder's clock.
    :param machine: what :func:`machine` says there.
    :param pid: process whose life the lock is bound to.
    :param started: when that process started, as :func:`started` says.
    :param id: tells two locks of the same person apart.
    """

    who: str
    verb: str
    reason: str = ""
    since: str = field(default_factory=now)
    heartbeat: str = field(default_factory=now)
    machine: str = ""
    pid: int = 0
    started: str = ""
    expires_after_seconds: int = EXPIRY_SECONDS
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def of_process(cls, pid: int, verb: str, reason: str) -> Holder:
        """Make the holder that lives as long as a process of this machine."""
        return cls(who(), verb, reason, machine=machine(), pid=pid, started=started(pid))

    @property
    def ended(self) -> bool:
        """Whether this is a process of this machine that is no more."""
        return bool(self.machine) and self.machine == machine() and started(self.pid) != self.started


@dataclass(frozen=True)
class Held:
    """The lock as it was read.

    :param holder: what it says.
    :param etag: what a conditional write has to name.
    :param silent: seconds since the last heartbeat.
    """

    holder: Holder
    etag: str
    silent: float

    @property
    def alive(self) -> bool:
        """Whether the holder is to be taken for alive."""
        return self.silent < EXPIRY_SECONDS and not self.holder.ended

    def __str__(self) -> str:
        holder = self.holder
        reason = f" ({holder.reason})" if holder.reason else ""
        heard = f"heard from {self.silent:.0f} s ago"
        return f"{holder.who} holds the lock since {holder.since} for {holder.verb}{reason}, {heard}"


class LockedError(Exception):
    """Somebody else holds the lock."""

    def __init__(self, held: Held) -> None:
        super().__init__(str(held))
        self.held = held


class LostError(Exception):
    """The lock is not ours any more: it was broken, or it expired and somebody else took it.

    :param removed: whether nobody has it now.
    """

    def __init__(self, text: str, *, removed: bool = False) -> None:
        super().__init__(text)
        self.removed = removed


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


_CONFLICTS = frozenset(("PreconditionFailed", "ConditionalRequestConflict", "412", "409"))
_GONE = frozenset(("NoSuchKey", "NoSuchBucket", "404"))


def is_conflict(error: Exception) -> bool:
    """Whether S3 refused a conditional write because its condition does not hold."""
    return isinstance(error, ClientError) and _code(error) in _CONFLICTS


class Lock:
    """The lock of one environment.

    :param s3: client.
    :param bucket: bucket of releases.
    """

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def read(self) -> Held | None:
        """Return the lock; None when nobody has it."""
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=LOCK_KEY)
        except ClientError as error:
            if _code(error) in _GONE:
                return None
            raise
        try:
            holder = Holder(**{"id": "", **json.loads(answer["Body"].read())})
        except (ValueError, TypeError):
            # It is there, so it counts; it expires like any other.
            since = str(answer["LastModified"])
            holder = Holder("somebody", "something that another version wrote", since=since, id="")
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        at = parsedate_to_datetime(date) if date else datetime.now(UTC)
        return Held(holder, answer["ETag"], max(0.0, (at - answer["LastModified"]).total_seconds()))

    def take(self, holder: Holder) -> tuple[str, Held | None]:
        """Take the lock, also from a holder that is dead. Return the ETag, and what was there of a dead holder.

        :raises LockedError: when somebody has it.
        """
        dead: Held | None = None
        for _attempt in range(_ATTEMPTS):
            condition = {"IfMatch": dead.etag} if dead else {"IfNoneMatch": "*"}
            etag = self._put(holder, condition)
            if etag:
                return etag, dead
            found = self.read()
            # Our own write whose answer was lost on the way: sent again, it finds itself there.
            if found and found.holder.id == holder.id:
                return found.etag, dead
            dead = found
            if dead and dead.alive:
                raise LockedError(dead)
        raise LostError("others keep taking the lock; try again")

    def renew(self, holder: Mapping[str, Any], etag: str) -> str:
        """Say that the holder lives; return the new ETag.

        :raises LostError: when the lock is not what we wrote last.
        """
        beat = Holder(**{**holder, "heartbeat": now()})
        renewed = self._put(beat, {"IfMatch": etag})
        if renewed:
            return renewed
        found = self.read()
        if found is None or found.holder.id != beat.id:
            raise LostError(str(found) if found else "the lock was removed", removed=found is None)
        # Our own write whose answer was lost on the way, or one of a keeper before this one, which may be older.
        return self._put(beat, {"IfMatch": found.etag}) or found.etag

    def release(self, etag: str) -> bool:
        """Delete the lock if it is still the one that was written or read; tell whether it was there."""
        try:
            self._s3.delete_object(Bucket=self._bucket, Key=LOCK_KEY, IfMatch=etag)
        except ClientError as error:
            if is_conflict(error) or _code(error) in _GONE:
                return False
            raise
        return True

    def take_from(self, identity: str) -> bool:
        """Take the lock away from a holder, who may renew it in this moment; tell whether it had it.

        :param identity: ``id`` of the holder.
        """
        for _attempt in range(_ATTEMPTS):
            held = self.read()
            if held is None or held.holder.id != identity:
                return False
            if self.release(held.etag):
                return True
        return False

    def _put(self, holder: Holder, condition: Mapping[str, str]) -> str:
        """Write the lock on a condition; return its ETag, empty when the condition does not hold."""
        body = json.dumps(asdict(holder), indent=1).encode()
        try:
            answer = self._s3.put_object(
                Bucket=self._bucket, Key=LOCK_KEY, Body=body, ContentType="application/json", **condition
            )
        except ClientError as error:
            if is_conflict(error) or (_code(error) in _GONE and "IfMatch" in condition):
                return ""
            raise
        return str(answer["ETag"])
