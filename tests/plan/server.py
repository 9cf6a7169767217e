"""The API alone, as ``lab serve --api-only``, whose account can be saved and brought back: one command a line.

Usage: server.py DIRECTORY. Answers ``ready: <url>`` first, then ``done`` to each ``save NAME`` and ``load NAME``.
"""

from __future__ import annotations

import contextlib
import sys
import urllib.request
from pathlib import Path
from typing import TextIO

from lab import api, moto_patches, registry, settings, state
from lab.reconcilers.stand_ins import StandIns


def serve(directory: Path) -> None:
    """Answer until standard input closes."""
    answers = sys.stdout
    # moto prints what it does not know.
    with contextlib.redirect_stdout(sys.stderr):
        _serve(directory, answers)


def _serve(directory: Path, answers: TextIO) -> None:
    api.configure()
    moto_patches.apply_all()
    stand_ins = StandIns()
    service = api.Api(stand_ins.attempt, addresses=(settings.LOOPBACK,), port=0)
    registry.follow(f"{settings.LOOPBACK}:{service.port}", directory / "registry")
    service.start()
    url = f"http://{settings.LOOPBACK}:{service.port}"
    print(f"ready: {url}", file=answers, flush=True)
    for line in sys.stdin:
        command, name = line.split()
        if command == "save":
            state.save(directory / name)
        else:
            # What was made since is in backends that a saved state does not know.
            urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST"), timeout=60).close()
            state.load(directory / name)
        print("done", file=answers, flush=True)
    service.close()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
