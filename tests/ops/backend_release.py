"""Stands in for backend-release on hosts that are nothing but a folder: what is installed and which release runs.

Its first argument is the folder, the rest is what the host's own tool takes. A release is as its name says: `…-crash`
does not start, `…-leak` dies after a while, `…-migration` has migrations that fail, `…-damaged` cannot be installed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def answer(code: int, **result: object) -> None:
    """Print what the host's tool prints, and end."""
    print(json.dumps(result))
    if "error" in result:
        print(f"error: {result['error']}", file=sys.stderr)
    sys.exit(code)


def main() -> None:
    """Do what the command line says, and note that it was said."""
    folder = Path(sys.argv[1])
    words = sys.argv[2:]
    if "--wait" in words:
        at = words.index("--wait")
        del words[at : at + 2]
    verb, version = words[:2]
    check = "--check" in sys.argv
    current, installed = folder / "current", folder / version
    if not check:
        with (folder.parent / "told").open("a") as told:
            told.write(f"{folder.name} {verb} {version}\n")
    if verb == "watch":
        if version.endswith("-leak"):
            answer(1, changed=False, error=f"release {version} did not last", log=["heap out of memory"])
        answer(0, changed=False, seconds={"watch": 0.1})
    running = current.read_text() if current.exists() else "1.0.0"
    if verb == "install":
        if version.endswith("-damaged"):
            answer(1, error=f"release {version} is damaged")
        changed = not installed.exists()
        if not check:
            installed.touch()
        answer(0, changed=changed)
    if verb == "migrate":
        if version.endswith("-migration") and not check:
            answer(1, changed=True, error="the migrations failed", log=["ERROR: relation does not exist"])
        answer(0, changed=True)
    if running == version or check:
        answer(0, changed=running != version, current=running)
    if version.endswith("-crash"):
        answer(
            1, changed=True, error=f"release {version} is not healthy; went back to {running}", log=["out of cheese"]
        )
    current.write_text(version)
    answer(0, changed=True, current=version, previous=running, seconds={"switch": 0.1, "health": 0.1})


if __name__ == "__main__":
    main()
