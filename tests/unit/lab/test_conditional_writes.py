"""S3's conditional writes: of many at once one succeeds, which is what the lock of an environment is built on."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from plugins.module_utils.locking import Holder, Lock, LockedError

BUCKET = "vahanhelp-prod-releases-123456789012"


@pytest.mark.usefixtures("restless")
def test_of_many_at_once_one_gets_the_lock(client: Callable[[str], Any]) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket=BUCKET)
    got: list[str] = []
    start = threading.Barrier(8)

    def race() -> None:
        holder = Holder.of_process(os.getpid(), "deploy", "")
        start.wait()
        with contextlib.suppress(LockedError):
            got.append(Lock(s3, BUCKET).take(holder)[0])

    for _ in range(10):
        got.clear()
        threads = [threading.Thread(target=race) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1
        Lock(s3, BUCKET).release(got[0])
