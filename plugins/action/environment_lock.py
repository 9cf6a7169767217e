"""Take, read or break the lock of an environment, in the controller's own process."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import boto3
from ansible import context
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars
from botocore.exceptions import BotoCoreError, ClientError

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.history import given, write_entry
from plugins.module_utils.locking import Held, Holder, Lock, LockedError, LostError, is_conflict
from plugins.module_utils.project import ROOT, known_variables, verb_of

DOCUMENTATION = r"""
module: environment_lock
short_description: Take, read or break the lock of an environment
description:
  - What is taken is kept, released and written to the history by plugins/callback/keeper.py.
  - Bookkeeping that says nothing about the environment, so taking it never counts as a change.
options:
  state:
    description:
      - C(taken) takes the lock, C(noted) only has the run written to the history, C(read) says who has the lock,
        C(absent) removes the lock of the holder whose O(id) is given, also while that renews it.
    type: str
    choices: [taken, noted, read, absent]
    required: true
  region:
    description: AWS region.
    type: str
    required: true
  bucket:
    description: Bucket of releases.
    type: str
    required: true
  parameter_prefix:
    description: Path of the environment's parameters; the history asks there for the release at the end.
    type: str
    default: ""
  identity:
    description: ARN of the caller, for the history.
    type: str
    default: ""
  reason:
    description: Why the lock is taken, for those who find it taken.
    type: str
    default: ""
  wait:
    description: Seconds to wait for a lock that somebody has.
    type: int
    default: 0
  from:
    description: What was, for the history.
    type: str
    default: ""
  to:
    description: What will be, for the history. Empty takes the release at the end.
    type: str
    default: ""
  unlock:
    description: The command that breaks the lock, for the message.
    type: str
    default: ""
  id:
    description: With O(state=absent), the holder that was read.
    type: str
    default: ""
"""

RETURN = r"""
order:
  description: What to keep.
  returned: when O(state) is C(taken) or C(noted)
  type: dict
waited:
  description: Whether the lock was somebody else's at first, who may have changed what was read before.
  returned: when O(state=taken)
  type: bool
held:
  description: Whether somebody has the lock.
  returned: when O(state=read)
  type: bool
alive:
  description: Whether that holder is to be taken for alive.
  returned: when O(state=read)
  type: bool
id:
  description: Names this very holder, who renews the lock now and then.
  returned: when O(state=read)
  type: str
who:
  description: Who holds it, since when and why.
  returned: when O(state=read)
  type: str
"""

_POLL_SECONDS = 2
_LINE_SECONDS = 15


class ActionModule(ActionBase):  # type: ignore[misc]
    """Run on the controller, whatever the host of the play."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Do it, or fail with one line."""
        super().run(tmp, task_vars)
        optional = ("parameter_prefix", "identity", "reason", "from", "to", "unlock", "id")
        _validation, arguments = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "choices": ["taken", "noted", "read", "absent"], "required": True},
                "region": {"type": "str", "required": True},
                "bucket": {"type": "str", "required": True},
                "wait": {"type": "int", "default": 0},
                **{name: {"type": "str", "default": ""} for name in optional},
            }
        )
        # Ansible's own text types would reach botocore's serialisers.
        texts = {name: str(value) for name, value in arguments.items() if name != "wait"}
        try:
            s3 = boto3.client("s3", region_name=texts["region"])
            lock = Lock(s3, texts["bucket"])
            if texts["state"] == "read":
                return _description(lock.read())
            if texts["state"] == "absent":
                return _break(s3, lock, texts)
            return self._begin(s3, lock, texts, int(arguments["wait"]))
        except LockedError as error:
            mend = f"; wait for it with -e wait=600, or break it with `{texts['unlock']}`"
            return {"changed": False, "failed": True, "msg": f"{error}{mend}"}
        except (BotoCoreError, ClientError, LostError) as error:
            detail = " ".join(str(error).split())
            return {"changed": False, "failed": True, "msg": f"the lock cannot be used: {detail}"}

    def _begin(self, s3: Any, lock: Lock, texts: dict[str, str], wait: int) -> dict[str, Any]:
        # A task runs in a fork of the playbook's process.
        holder = Holder.of_process(os.getppid(), verb_of(context.CLIARGS), texts["reason"])
        etag, waited = "", False
        if texts["state"] == "taken":
            etag, waited, dead = _take(lock, holder, wait)
            if dead:
                Display().display(f"taken over from a run that is dead: {dead}")
                _record(s3, texts["bucket"], dead.holder)
        record = {
            "id": holder.id,
            "time": holder.since,
            "who": holder.who,
            "identity": texts["identity"],
            "verb": holder.verb,
            "reason": holder.reason,
            "arguments": given(load_extra_vars(self._loader), known_variables(ROOT).keys() - {"reason", "wait"}),
            "from": texts["from"],
            "to": texts["to"],
        }
        order = {name: texts[name] for name in ("region", "bucket", "parameter_prefix")}
        return {
            "changed": False,
            "waited": waited,
            "order": {**order, "holder": asdict(holder), "etag": etag, "record": record, "began": time.monotonic()},
        }


def _take(lock: Lock, holder: Holder, wait: int) -> tuple[str, bool, Held | None]:
    """Take the lock within ``wait`` seconds; return its ETag, whether somebody else had it, and who is dead."""
    began = time.monotonic()
    said = began - _LINE_SECONDS
    waited = False
    while True:
        try:
            etag, dead = lock.take(holder)
        except LockedError as error:
            if time.monotonic() - began >= wait:
                raise
            waited = True
            if time.monotonic() - said >= _LINE_SECONDS:
                said = time.monotonic()
                Display().display(f"waiting: {error} ({said - began:.0f} of {wait} s)")
            time.sleep(min(_POLL_SECONDS, max(0.1, wait - (time.monotonic() - began))))
            continue
        return etag, waited or dead is not None, dead


def _record(s3: Any, bucket: str, dead: Holder) -> None:
    """Write a dead run to the history, unless its keeper has done so: it may have died with its whole machine."""
    if not dead.id:
        # Another version wrote this lock.
        return
    entry = {
        **{name: getattr(dead, name) for name in ("id", "who", "verb", "reason")},
        "time": dead.since,
        "result": "interrupted",
        "changed": None,
        "error": f"not heard from after {dead.heartbeat}",
    }
    try:
        write_entry(s3, bucket, entry, IfNoneMatch="*")
    except (BotoCoreError, ClientError) as error:
        if not is_conflict(error):
            Display().warning(f"the dead run is not in the history: {' '.join(str(error).split())}")


def _break(s3: Any, lock: Lock, texts: dict[str, str]) -> dict[str, Any]:
    """Take the lock away from its holder, or fail when another one has it by now."""
    held = lock.read()
    if lock.take_from(texts["id"]):
        # One that is alive stops, and its keeper writes it to the history.
        if held and held.holder.id == texts["id"] and not held.alive:
            _record(s3, texts["bucket"], held.holder)
        return {"changed": True}
    held = lock.read()
    if held is None:
        return {"changed": False}
    msg = f"nothing was broken, for by now {held}; to break that lock run playbooks/unlock.yml again"
    return {"changed": False, "failed": True, "msg": msg}


def _description(held: Held | None) -> dict[str, Any]:
    if held is None:
        return {"changed": False, "held": False, "alive": False, "id": "", "who": "nobody holds the lock"}
    return {"changed": False, "held": True, "alive": held.alive, "id": held.holder.id, "who": str(held)}
