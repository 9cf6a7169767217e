"""Keeps a run's lock while the run lives, and writes its record when it ends.

Started by plugins/callback/keeper.py; its standard input is a pipe from the playbook. The first line is what to keep,
as JSON; the second, at the end, how the run ended. An input that ends without it means that the run was killed: the
record says so, and the lock is left to expire, because hosts may still be at work.
"""

from __future__ import annotations

import json
import select
import sys
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

_CONFIG = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4})


def _say(text: str) -> None:
    """Tell the playbook, which reads this before its next task, that it must stop."""
    print(text, flush=True)


def _bucket_gone(error: Exception) -> bool:
    return isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") == "NoSuchBucket"


def keep(lock: Lock, order: Mapping[str, Any], heartbeat: float) -> str:
    """Renew the lock until there is something to read; return its last ETag, empty when it was lost."""
    etag, holder = str(order["etag"]), order["holder"]
    heard = time.monotonic()
    while not select.select([sys.stdin], [], [], heartbeat)[0]:
        try:
            if etag:
                etag = lock.renew(holder, etag)
                heard = time.monotonic()
        except LostError as error:
            etag = ""
            # destroy empties the bucket, and the lock goes with the rest; a lock that somebody took is another matter.
            if not (error.removed and order["record"]["to"] == NOTHING):
                _say(str(error))
        except (BotoCoreError, ClientError) as error:
            if _bucket_gone(error):
                etag = ""
                continue
            # One heartbeat may be missed; after as many as make the lock expire somebody else may have it.
            if time.monotonic() - heard > EXPIRY_SECONDS:
                etag = ""
                _say(f"the lock could not be renewed: {' '.join(str(error).split())}")
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
    write_entry(session.client("s3", config=_CONFIG), order["bucket"], {**order["record"], **outcome, "to": to})


def main(heartbeat: float = HEARTBEAT_SECONDS) -> None:
    """Do what the first line of standard input says until the second one comes."""
    order = json.loads(sys.stdin.readline())
    began = time.monotonic()
    session = aws_session(order["region"])
    lock = Lock(session.client("s3", config=_CONFIG), order["bucket"])
    etag = keep(lock, order, heartbeat)
    word = sys.stdin.readline()
    outcome = json.loads(word) if word else {"result": "interrupted", "changed": None}
    outcome["seconds"] = round(time.monotonic() - began, 1)
    try:
        finish(session, order, outcome)
    except (BotoCoreError, ClientError) as error:
        # destroy takes the bucket, and with it the records.
        if not _bucket_gone(error):
            print(f"the run is not in the history: {' '.join(str(error).split())}", file=sys.stderr)
    if word and etag:
        try:
            lock.release(etag)
        except (BotoCoreError, ClientError) as error:
            if not _bucket_gone(error):
                print(f"the lock is still there and will expire: {' '.join(str(error).split())}", file=sys.stderr)


if __name__ == "__main__":
    main()
