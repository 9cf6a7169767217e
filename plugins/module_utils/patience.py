"""Calls that AWS refuses only for as long as something that was begun before goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from botocore.exceptions import ClientError


def when_let[Answer](
    call: Callable[[], Answer], codes: Collection[str], seconds: float, poll: float, text: str = ""
) -> Answer:
    """Call until it is not refused with one of these codes any more; give up with the refusal.

    :param seconds: for how long.
    :param poll: seconds between two calls.
    :param text: what the refusal has to say, where a code says too little.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except ClientError as error:
            refusal = error.response["Error"]
            if refusal["Code"] not in codes or text not in refusal.get("Message", "") or time.monotonic() >= deadline:
                raise
            time.sleep(poll)
