"""Asks a URL again and again while a playbook runs, and tells at the end how many requests were answered.

Started by plugins/callback/probe.py with an order on the first line of its standard input, as JSON; the end of the
input is the end of the run, whatever became of it. Half of the requests come over one connection that is kept, half
over new ones: a server that stops badly fails the one or the other.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections.abc import Mapping
from typing import IO, Any
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 15.0
"""Longer than a visitor waits; what takes longer counts as failed."""
MOST_CAUSES = 3


class Probe:
    """Two visitors of one URL.

    :param order: ``url``, and ``interval``, the seconds between an answer and the next request.
    """

    def __init__(self, order: Mapping[str, Any]) -> None:
        url = urlsplit(str(order["url"]))
        self._secure, self._host, self._port = url.scheme == "https", url.hostname or "", url.port
        self._path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        self._interval = float(order["interval"])
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._served = self._failed = 0
        self._longest = 0.0
        self._causes: list[str] = []

    def run(self) -> None:
        """Ask until the end."""
        visitors = [threading.Thread(target=self._visit, args=(keeps,), daemon=True) for keeps in (True, False)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join()

    def end_with(self, stream: IO[str]) -> None:
        """Wait for the end of a stream, and ask no more."""
        stream.read()
        self._ended.set()

    def summary(self) -> dict[str, Any]:
        """Return what was seen: ``served``, ``failed``, ``longest`` in seconds, and the first ``causes``."""
        with self._lock:
            return {
                "served": self._served,
                "failed": self._failed,
                "longest": round(self._longest, 2),
                "causes": list(self._causes),
            }

    def _visit(self, keeps: bool) -> None:
        connection = self._connect()
        while not self._ended.wait(self._interval):
            began = time.monotonic()
            cause = self._ask(connection, keeps)
            with self._lock:
                self._longest = max(self._longest, time.monotonic() - began)
                if not cause:
                    self._served += 1
                    continue
                self._failed += 1
                if len(self._causes) < MOST_CAUSES:
                    self._causes.append(f"{time.strftime('%H:%M:%S')} {cause}")
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=TIMEOUT_SECONDS)

    def _ask(self, connection: http.client.HTTPConnection, keeps: bool) -> str:
        """Ask once; return what was wrong, nothing when the answer is good."""
        try:
            connection.request("GET", self._path, headers={} if keeps else {"Connection": "close"})
            answer = connection.getresponse()
            answer.read()
            if not keeps:
                # Not every server says that it will.
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            # The next request opens it anew.
            connection.close()
            return f"{type(error).__name__}: {error}".rstrip(": ")
        # A path that is not there, or not for everybody, says nothing about who noticed the change.
        return "" if answer.status < http.client.BAD_REQUEST else f"{answer.status} {answer.reason}"


def main() -> None:
    """Probe until standard input ends."""
    probe = Probe(json.loads(sys.stdin.readline()))
    threading.Thread(target=probe.end_with, args=(sys.stdin,), daemon=True).start()
    probe.run()
    print(json.dumps(probe.summary()), flush=True)


if __name__ == "__main__":
    main()
